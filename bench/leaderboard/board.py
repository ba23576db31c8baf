"""Systems ranked on a dataset, over its folds and seeds: a pure function of a suite's runs and their records."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from bench import catalog
from bench.catalog import METRICS, PRIMARY, STREAM_METRICS, STREAM_PRIMARY
from bench.leaderboard.caveats import Caveat, caveats, has_speech_score
from bench.leaderboard.confusions import ClassReport, class_report
from bench.leaderboard.ranking import flag_devices, rank
from bench.leaderboard.rows import UNKNOWN_FAILURE, Row, make_row, reference_data
from bench.leaderboard.systems import (
    System,
    as_text,
    details,
    find_systems,
    make_labels,
    suite_names,
    with_needs,
)
from bench.records import Data, Environment, Failure, Record, Run, canonical, graded_records

_OF_SPEECH = ("sns", "frame_sns")


@dataclass(frozen=True, kw_only=True)
class Leaderboard:
    """A dataset's rows, ranked ones first.

    Attributes:
        dataset: name in the catalogue.
        arguments: the dataset's arguments in words; empty with its defaults.
        task: "single" or "multi" label.
        primary: the metric that ranks.
        metrics: names of all metrics for which any row has a value; speech against all others only where the classes
            are speech, music and noise.
        folds: the folds that are run.
        folds_official: how many folds the dataset has.
        seeds: the seeds that are run.
        rows: one per system.
        data: the data on which the ranked systems were trained and tested, each different one once.
        detectable: minimum detectable difference from the best row (5 % level, 80 % power); None where no two rows can
            be compared.
        failures: failed runs, by key.
        missing: number of runs without a record.
        notes: what a reader has to know about the whole table.
        environments: the different environments of the runs.
        class_report: of the first row; None where no row is ranked.
    """

    dataset: str
    arguments: str
    task: str
    primary: str
    metrics: tuple[str, ...]
    folds: tuple[int, ...]
    folds_official: int
    seeds: tuple[int, ...]
    rows: tuple[Row, ...]
    data: tuple[Data, ...]
    detectable: float | None
    failures: tuple[tuple[str, Failure], ...]
    missing: int
    notes: tuple[str, ...]
    environments: tuple[Environment, ...]
    class_report: ClassReport | None = None

    @cached_property
    def caveats(self) -> tuple[tuple[Caveat, ...], ...]:
        """What is doubtful about each row, in the order of the rows."""
        return tuple(tuple(caveats(row, self.task, self.primary)) for row in self.rows)

    @property
    def name(self) -> str:
        """The dataset, with its arguments where it has any."""
        return f"{self.dataset} ({self.arguments})" if self.arguments else self.dataset


@dataclass(frozen=True)
class Summary:
    """A leaderboard's main columns, as plain values."""

    dataset: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str | int | float | None, ...], ...]

    def columns_and_rows(self) -> tuple[str, tuple[str, ...], tuple[tuple[str | int | float | None, ...], ...]]:
        """Return (dataset, columns, rows)."""
        return self.dataset, self.columns, self.rows


def leaderboards(
    runs: Sequence[Run], records: Mapping[str, Record], names: Mapping[str, str] | None = None
) -> tuple[Leaderboard, ...]:
    """Return the leaderboards of these runs, one per dataset, in the order of the runs.

    Args:
        runs: a suite's runs.
        records: run key to record, in any order; keys of other runs are ignored.
        names: run key to the suite's name of the system; it becomes the row's label.

    Raises:
        SuiteError: a name is not in the catalogue.
    """
    systems = find_systems(runs)
    records = graded_records({run.key: record for run in runs if (record := records.get(run.key))})
    datasets: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        datasets.setdefault((run.dataset, canonical(run.data)), []).append(run)
    return tuple(_board(group, systems, records, names or {}) for group in datasets.values())


def summary(boards: Sequence[Leaderboard]) -> tuple[Summary, ...]:
    """Return the main columns of each leaderboard."""
    return tuple(_summary(board) for board in boards)


def _board(
    runs: Sequence[Run], systems: Mapping[str, System], records: Mapping[str, Record], names: Mapping[str, str]
) -> Leaderboard:
    first = runs[0]
    entry = catalog.dataset(first.dataset)
    task = catalog.task(first.dataset, first.data)
    if entry.package is not None:  # the records know it, whether the package is there or not
        task = next((r.task for run in runs if (r := records.get(run.key)) and r.task), task)
    primary = _primary(entry, task, [r for run in runs if (r := records.get(run.key)) and r.status == "ok"])
    folds, seeds = sorted({run.fold for run in runs}), sorted({run.seed for run in runs})
    groups: dict[System, list[Run]] = {}
    for run in sorted(runs, key=lambda run: (run.fold, run.seed, run.key)):
        groups.setdefault(systems[run.key], []).append(run)
    done = {run.key: r for run in runs if (r := records.get(run.key)) and r.status == "ok"}
    reference = reference_data(list(done.values()))
    full = make_labels(with_needs(groups))
    labels = full | suite_names(groups, names)
    rows = [
        replace(
            make_row(s, group, folds, labels, records, reference, task, primary),
            about=details(full[s], labels[s]),
            name=names.get(group[0].key, ""),
        )
        for s, group in groups.items()
    ]
    ranked, detectable = rank(list(flag_devices(rows)), primary)
    environments = {r.environment.text: r.environment for r in done.values() if r.environment}
    classes = {r.classes for r in done.values() if r.classes}
    failures = {run.key: r.error for run in runs if (r := records.get(run.key)) and r.status == "failed"}
    return Leaderboard(
        dataset=first.dataset,
        arguments=", ".join(f"{name}={as_text(value)}" for name, value in sorted(first.data.items())),
        task=task,
        primary=primary,
        metrics=tuple(
            name
            for name in dict.fromkeys([*METRICS, *STREAM_METRICS, *(name for row in rows for name in row.scores)])
            if any(row.scores.get(name) is not None for row in rows)
            and (name not in _OF_SPEECH or all(map(has_speech_score, classes)))
        ),
        folds=tuple(folds),
        folds_official=_official(entry, folds, [r.data for r in done.values() if r.data]),
        seeds=tuple(seeds),
        rows=ranked,
        data=tuple({data.text: data for _, data in sorted(reference.items(), key=lambda c: c[0])}.values()),
        detectable=detectable,
        failures=tuple(sorted((key, error or UNKNOWN_FAILURE) for key, error in failures.items())),
        missing=sum(run.key not in records for run in runs),
        notes=tuple(_notes(list(done.values()))),
        environments=tuple(environments[key] for key in sorted(environments)),
        class_report=class_report(ranked[0].label, [done[key] for key in ranked[0].keys.values()], task)
        if ranked and ranked[0].rank
        else None,
    )


def _primary(entry: catalog.Dataset, task: str, done: Sequence[Record]) -> str:
    """Return the metric that ranks: the frame accuracy of streams, as the records show it or the catalogue says."""
    if any(STREAM_PRIMARY in r.scores for r in done) or (entry.streams and not done):
        return STREAM_PRIMARY
    return PRIMARY[task]


def _official(entry: catalog.Dataset, folds: Sequence[int], data: Sequence[Data]) -> int:
    """Return how many folds the dataset has: records of a user's own clips know it, and so does the catalogue."""
    if known := max((each.folds for each in data if each.folds), default=0):
        return max(known, len(folds))
    return max(entry.folds, folds[-1] + 1) if entry.package is not None else entry.folds


def _notes(done: Sequence[Record]) -> Iterator[str]:
    """Yield notes on the whole table: means over fewer classes, runs of different commits."""
    for name in METRICS:
        counts = {r.defined[name] for r in done if name in r.defined}
        if any(k < n for k, n in counts):
            some, all_ = _span(k for k, _ in counts), _span(n for _, n in counts)
            yield f"{name} is the mean over {some} of {all_} classes; it is undefined for the other classes."
    commits = sorted({r.environment.commit or "no commit" for r in done if r.environment})
    if len(commits) > 1:
        yield f"The runs come from {len(commits)} commits: {', '.join(commit[:10] for commit in commits)}."


def _span(numbers: Iterable[int]) -> str:
    found = sorted(set(numbers))
    return str(found[0]) if len(found) == 1 else f"{found[0]} to {found[-1]}"


def _summary(board: Leaderboard) -> Summary:
    columns = ("rank", "model", "frontend", board.primary, "low", "high", "parameters", "macs", "cpu_p50_ms")
    rows = tuple(
        (
            row.rank, row.label, row.frontend, row.scores[board.primary], *(row.interval or (None, None)),
            row.complexity.parameters if row.complexity else None,
            row.complexity.macs + row.complexity.frontend_macs if row.complexity else None,
            row.cpu.p50_ms if row.cpu else None, row.train_seconds, f"{row.done}/{row.expected}",
        )
        for row in board.rows
    )  # fmt: skip
    return Summary(board.name, (*columns, "train_seconds", "runs"), rows)
