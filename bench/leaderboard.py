"""Systems ranked on a dataset, over its folds and seeds: a pure function of a suite's runs and their records."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from statistics import fmean
from typing import Any, Literal

import numpy as np

from bench import catalog, grades, stats
from bench.catalog import METRICS, PRIMARY
from bench.records import Complexity, Data, Environment, Failure, Latency, Record, Run, canonical
from bench.winner import ClassReport, class_report

Cell = tuple[int, int]
"""(fold, seed)."""


@dataclass(frozen=True)
class System:
    """What is compared: a run without its fold and seed.

    Attributes:
        model: name in the catalogue.
        frontend: name in the catalogue.
        arguments: the model's arguments as sorted (name, value) pairs of text.
        recipe: what differs from the default recipe, likewise.
        members: the systems a fusion combines, whatever the fold and seed of their runs.
        teacher: the system it learnt from; a run that is not the suite's is a system of its own, called by its key.
        origin: the system whose weights it started from, likewise.
    """

    model: str
    frontend: str
    arguments: tuple[tuple[str, str], ...] = ()
    recipe: tuple[tuple[str, str], ...] = ()
    members: tuple["System", ...] = ()
    teacher: "System | None" = None
    origin: "System | None" = None

    @property
    def needs(self) -> tuple["System", ...]:
        """The systems that stand in its name."""
        return self.members + tuple(other for other in (self.teacher, self.origin) if other)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One system on one dataset.

    Attributes:
        rank: 1 is best; None for a row that cannot be compared. A row shares the rank of the best row that its score is
            not significantly different from.
        label: what the suite calls the system; else the model's name, with what tells it from another system of that.
        about: what the label leaves out of that.
        recipe: all that differs from the harness's own recipe.
        model: name in the catalogue.
        frontend: name in the catalogue.
        members: labels of the systems a fusion combines.
        scores: metric name to mean over the cells done; None where a cell has no value.
        interval: 95 % interval of the primary score.
        interval_over: "groups" (bootstrap over the test groups and over seeds) or "cells" (Student's t over folds
            and seeds, for records without draws).
        done: cells with a finished run.
        expected: cells the suite asks for.
        failed: kinds of error of its failed runs.
        complexity: size.
        cpu: end-to-end latency on the CPU at the fewest threads, of the cell whose median is in the middle.
        gpu: the same on a GPU.
        cpu_parallel: of a fusion whose latency is its members' sum, what it is with the members side by side.
        gpu_parallel: the same on GPUs.
        train_seconds: mean over the cells.
        conflict: mean conflict mass between a fusion's members.
        flags: what a reader has to know before comparing this row.
        cells: (fold, seed) to the run's score and bootstrap draws; empty where a run has none.
        keys: (fold, seed) to the run's key.
        finished: keys of the runs that have a result.
    """

    rank: int | None
    label: str
    model: str
    frontend: str
    members: tuple[str, ...]
    scores: dict[str, float | None]
    interval: tuple[float, float] | None
    interval_over: Literal["cells", "groups"] | None
    done: int
    expected: int
    failed: tuple[str, ...]
    complexity: Complexity | None
    cpu: Latency | None
    gpu: Latency | None
    cpu_parallel: Latency | None
    gpu_parallel: Latency | None
    train_seconds: float | None
    conflict: float | None
    flags: tuple[str, ...]
    about: str = ""
    recipe: str = ""
    cells: dict[Cell, stats.Cell] = field(default_factory=dict, compare=False, repr=False)
    keys: dict[Cell, str] = field(default_factory=dict)
    finished: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Leaderboard:
    """A dataset's rows, ranked ones first.

    Attributes:
        dataset: name in the catalogue.
        arguments: the dataset's arguments in words; empty with its defaults.
        task: "single" or "multi" label.
        primary: the metric that ranks.
        metrics: names of all metrics that any row has a value of.
        folds: the folds that are run.
        folds_official: how many folds the dataset has.
        seeds: the seeds that are run.
        rows: one per system.
        data: what the ranked systems were trained and tested on, one per differing fold.
        detectable: difference from the best row that would be found, at the 5 % level, four times out of five; None
            where no two rows can be compared.
        failures: failed runs, by key.
        missing: number of runs without a record.
        notes: what a reader has to know of the whole table.
        environments: where the runs ran, each once.
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
    """Draw the leaderboards of these runs, one per dataset, in the order of the runs.

    Args:
        runs: a suite's runs.
        records: run key to record; keys of other runs are ignored, their order does not matter.
        names: run key to what the suite calls its system, which is then the row's label.

    Raises:
        SuiteError: a name is not in the catalogue.
    """
    systems = _systems(runs)
    records = grades.records({run.key: record for run in runs if (record := records.get(run.key))})
    datasets: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        datasets.setdefault((run.dataset, canonical(run.data)), []).append(run)
    return tuple(_board(group, systems, records, names or {}) for group in datasets.values())


def summary(boards: Sequence[Leaderboard]) -> tuple[Summary, ...]:
    """Return the main columns of each leaderboard."""
    return tuple(_summary(board) for board in boards)


def _systems(runs: Sequence[Run]) -> dict[str, System]:
    """Return each run's system, by key."""
    by_key = {run.key: run for run in runs}
    found: dict[str, System] = {}

    def system(run: Run) -> System:
        if run.key not in found:
            found[run.key] = System(
                model=run.model,
                frontend=run.frontend,
                arguments=_pairs(run.arguments, "members"),
                recipe=_pairs(run.recipe_differences, "teacher", "init"),
                members=tuple(named(key) for key in run.members),
                teacher=named(run.recipe.teacher) if run.recipe.teacher else None,
                origin=named(run.recipe.init) if run.recipe.init else None,
            )
        return found[run.key]

    def named(key: str) -> System:
        return system(by_key[key]) if key in by_key else System(model=key, frontend="none")

    for run in runs:
        system(run)
    return found


def _pairs(values: Mapping[str, Any], *without: str) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((name, _value(value)) for name, value in values.items() if name not in without))


def _value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def _board(
    runs: Sequence[Run], systems: Mapping[str, System], records: Mapping[str, Record], names: Mapping[str, str]
) -> Leaderboard:
    first = runs[0]
    entry = catalog.dataset(first.dataset)
    primary = PRIMARY[entry.task]
    folds, seeds = sorted({run.fold for run in runs}), sorted({run.seed for run in runs})
    groups: dict[System, list[Run]] = {}
    for run in sorted(runs, key=lambda run: (run.fold, run.seed, run.key)):
        groups.setdefault(systems[run.key], []).append(run)
    done = {run.key: r for run in runs if (r := records.get(run.key)) and r.status == "ok"}
    reference = _reference_data(list(done.values()))
    full = _labels(_with_needs(groups))
    labels = full | _named(groups, names)
    rows = [
        replace(_row(s, group, folds, labels, records, reference, entry.task), about=_about(full[s], labels[s]))
        for s, group in groups.items()
    ]
    ranked, detectable = _ranked(list(_flag_devices(rows)), primary)
    environments = {canonical(asdict(r.environment)): r.environment for r in done.values() if r.environment}
    failures = {run.key: r.error for run in runs if (r := records.get(run.key)) and r.status == "failed"}
    return Leaderboard(
        dataset=first.dataset,
        arguments=", ".join(f"{name}={_value(value)}" for name, value in sorted(first.data.items())),
        task=entry.task,
        primary=primary,
        metrics=tuple(name for name in METRICS if any(row.scores.get(name) is not None for row in rows)),
        folds=tuple(folds),
        folds_official=entry.folds,
        seeds=tuple(seeds),
        rows=ranked,
        data=tuple(
            {canonical(asdict(data)): data for _, data in sorted(reference.items(), key=lambda c: c[0])}.values()
        ),
        detectable=detectable,
        failures=tuple(sorted((key, error or _UNKNOWN) for key, error in failures.items())),
        missing=sum(run.key not in records for run in runs),
        notes=tuple(_notes(list(done.values()))),
        environments=tuple(environments[key] for key in sorted(environments)),
        class_report=class_report(ranked[0].label, [done[key] for key in ranked[0].keys.values()], entry.task)
        if ranked and ranked[0].rank
        else None,
    )


_UNKNOWN = Failure(kind="unknown", message="the record names no error")


def _row(
    system: System,
    runs: Sequence[Run],
    folds: Sequence[int],
    labels: Mapping[System, str],
    records: Mapping[str, Record],
    reference: Mapping[Cell, Data],
    task: str,
) -> Row:
    """Sum up a system's runs, which are in the order of fold and seed; a rank of 0 says that it can be ranked."""
    primary = PRIMARY[task]
    found = [r for run in runs if (r := records.get(run.key))]
    done = [r for r in found if r.status == "ok"]
    failed = sorted((r.error or _UNKNOWN).kind for r in found if r.status == "failed")
    own_folds = {run.fold for run in runs}
    expected = len(runs) + sum(fold not in own_folds for fold in folds)
    scores = {name: _mean([r.scores.get(name) for r in done]) for name, m in METRICS.items() if task in m.tasks}
    cells = _cells(done, primary)
    interval, over = _interval(done, cells, primary, task)
    other_data = [r for r in done if r.data and _identity(r.data) != _identity(reference[r.run.fold, r.run.seed])]
    flags = []
    if other_data:
        flags.append(
            f"data differ from the other systems' in fold {_numbers(sorted({r.run.fold for r in other_data}))}"
        )
    if any(r.environment and r.environment.dirty for r in done):
        flags.append("the working tree had uncommitted changes")
    if done and scores[primary] is None:
        flags.append(f"{primary} is undefined")
    comparable = len(done) == expected and scores[primary] is not None and not other_data
    conflicts = [r.conflict for r in done if r.conflict is not None]
    train = [r.seconds["train"] for r in done if "train" in r.seconds]
    return Row(
        rank=0 if comparable else None,
        label=labels[system],
        recipe=", ".join("=".join(pair) for pair in system.recipe),
        model=system.model,
        frontend=system.frontend,
        members=tuple(_member(member, labels[member]) for member in system.members),
        scores=scores,
        interval=interval,
        interval_over=over,
        done=len(done),
        expected=expected,
        failed=tuple(failed),
        complexity=next((r.complexity for r in done if r.complexity), None),
        cpu=_latency(done, "cpu"),
        gpu=_latency(done, "cuda"),
        cpu_parallel=_latency(done, "cpu", parallel=True),
        gpu_parallel=_latency(done, "cuda", parallel=True),
        train_seconds=fmean(train) if train else None,
        conflict=fmean(conflicts) if conflicts else None,
        flags=tuple(flags),
        cells=cells,
        keys={(run.fold, run.seed): run.key for run in runs},
        finished=tuple(r.key for r in done),
    )


def _mean(values: Sequence[float | None]) -> float | None:
    """Return the mean; None where a value is missing, for a mean over other cells is another number."""
    defined = [value for value in values if value is not None]
    return fmean(defined) if defined and len(defined) == len(values) else None


def _cells(done: Sequence[Record], primary: str) -> dict[Cell, stats.Cell]:
    """Return each run's score and draws; empty where one has none."""
    cells = {
        (r.run.fold, r.run.seed): stats.Cell(score, np.array(r.draws), r.data.test_groups)
        for r in done
        if r.draws and r.data and (score := r.scores.get(primary)) is not None
    }
    return cells if len(cells) == len(done) and len({len(cell.draws) for cell in cells.values()}) == 1 else {}


def _interval(
    done: Sequence[Record], cells: Mapping[Cell, stats.Cell], primary: str, task: str
) -> tuple[tuple[float, float], Literal["cells", "groups"]] | tuple[None, None]:
    """Return the primary score's interval, within [0, 1] as the primary scores are, and over what it was taken."""
    if cells:
        return stats.nested_interval(cells, proportion=task == "single"), "groups"
    values = [value for r in done if (value := r.scores.get(primary)) is not None]
    if len(values) >= 2:
        _, low, high = stats.mean_interval(values)
        return (max(low, 0.0), min(high, 1.0)), "cells"
    if len(values) == 1 and len(done) == 1 and primary in done[0].intervals:
        return done[0].intervals[primary], "groups"
    return None, None


def _latency(done: Sequence[Record], device_type: str, *, parallel: bool = False) -> Latency | None:
    """Return the measurement to show: of one clip end to end in eager, at the fewest threads, graded A or B if any is.

    Of several such the one in the middle, of two the slower: by the grade alone, each row would show another state of
    the machine's clock. Other backends' are in the records; they are never mixed with these.
    """
    kind = device_type, "end-to-end", "eager", 1, parallel
    found = [
        x
        for r in done
        for x in r.latencies
        if (x.device_type, x.scope, x.backend, x.batch, x.combined == "parallel") == kind
    ]
    if not found:
        return None
    best = min((x.threads, not x.ranked) for x in found)
    alike = [x for x in found if (x.threads, not x.ranked) == best]
    alike.sort(key=lambda x: (x.p50_ms, canonical(asdict(x))))
    return alike[len(alike) // 2]


def _reference_data(done: Sequence[Record]) -> dict[Cell, Data]:
    """Return the data that most systems used in each cell; of equally frequent ones, the one with more clips."""
    cells: dict[Cell, list[Data]] = {}
    for r in done:
        if r.data:
            cells.setdefault((r.run.fold, r.run.seed), []).append(r.data)
    reference = {}
    for cell, found in cells.items():
        votes = Counter(map(_identity, found))
        chosen = max(votes, key=lambda identity: (votes[identity], max(_clips(found, identity)), identity))
        alike = (data for data in found if _identity(data) == chosen)
        reference[cell] = min(alike, key=lambda data: canonical(asdict(data)))
    return reference


def _clips(found: Sequence[Data], identity: str) -> Iterator[int]:
    return (data.clips_available for data in found if _identity(data) == identity)


def _identity(data: Data) -> str:
    """Return what must be the same for two scores to be comparable: clips, targets, classes and split."""
    return canonical([data.manifest, data.labels, data.split, data.clips])


def _ranked(rows: Sequence[Row], primary: str) -> tuple[tuple[Row, ...], float | None]:
    """Return the rows, best first, then those that are not ranked; and the detectable difference.

    From the best row down, a row whose paired difference from the first of its group is not significant shares that
    one's rank; the next row begins a group. Rows without draws share a rank only with an equal score.
    """
    sign = -1 if METRICS[primary].higher_is_better else 1

    def order(row: Row) -> tuple[bool, bool, float, str, str]:
        score = row.scores[primary]
        return row.rank is None, score is None, sign * (score or 0.0), row.label, row.frontend

    placed: list[Row] = []
    deviations: list[float] = []
    first: Row | None = None
    for place, row in enumerate(sorted(rows, key=order), 1):
        if row.rank is None:
            placed.append(row)
            continue
        if placed and (found := _difference(placed[0], row)):
            deviations.append(found.deviation)
        if first is None or not _tied(first, row, primary):
            first = replace(row, rank=place)
        placed.append(replace(row, rank=first.rank))
    return tuple(placed), stats.DETECTABLE * max(deviations) if deviations else None


def _difference(a: Row, b: Row) -> stats.Difference | None:
    return stats.difference(a.cells, b.cells) if a.cells and b.cells else None


def _tied(first: Row, row: Row, primary: str) -> bool:
    found = _difference(first, row)
    return first.scores[primary] == row.scores[primary] if found is None else not found.significant


def _with_needs(systems: Iterable[System]) -> set[System]:
    """Return systems, and those that stand in their names."""
    return {found for system in systems for found in (system, *_with_needs(system.needs))}


def _named(groups: Mapping[System, Sequence[Run]], names: Mapping[str, str]) -> dict[System, str]:
    """Return what the suite calls each system, where no other one on the same front-end is called so."""
    called = {system: names[runs[0].key] for system, runs in groups.items() if runs[0].key in names}
    count = Counter((name, system.frontend) for system, name in called.items())
    return {system: name for system, name in called.items() if count[name, system.frontend] == 1}


def _about(full: str, label: str) -> str:
    """Return what a label leaves out of the full one."""
    return (
        "" if full == label else full.removeprefix(f"{label} ").strip("()") if full.startswith(f"{label} (") else full
    )


def _labels(systems: Iterable[System]) -> dict[System, str]:
    """Return each system's label: the model's name, its arguments, and what tells it from others of the same name.

    A teacher and an origin are always named; how it taught, only where one taught in two ways.
    """
    alike: dict[tuple[str, str], set[System]] = {}
    ears: dict[str, set[str]] = {}
    for system in systems:
        alike.setdefault((system.model, system.frontend), set()).add(system)
        ears.setdefault(system.model, set()).add(system.frontend)

    def label(system: System) -> str:
        twins = alike[system.model, system.frontend]
        pupils = {twin for twin in twins if twin.teacher == system.teacher}
        own = []
        if system.teacher:
            own.append(f"teacher={short(system.teacher)}")
        if system.origin:
            own.append(f"init={short(system.origin)}")
        own += map("=".join, system.arguments)
        for detail in system.recipe:
            others = pupils if detail[0].startswith("teacher_") else twins
            if any(detail not in other.recipe for other in others):
                own.append("=".join(detail))
        if len({twin.members for twin in twins}) > 1:
            own.append("of " + " + ".join(map(short, system.members)))
        return f"{system.model} ({', '.join(own)})" if own else system.model

    def short(system: System) -> str:
        """Return a label within another one, with the front-end only where the model has several."""
        return _member(system, label(system)) if len(ears[system.model]) > 1 else label(system)

    return {system: label(system) for system in systems}


def _member(system: System, label: str) -> str:
    return label if system.frontend == "none" else f"{label} on {system.frontend}"


def _flag_devices(rows: Sequence[Row]) -> Iterator[Row]:
    """Yield the rows; one whose latency was measured on another device than most says so."""
    usual = {}
    for kind in ("cpu", "gpu"):
        votes = Counter(device(latency) for row in rows if (latency := getattr(row, kind)))
        usual[kind] = max(votes, key=lambda device: (votes[device], device), default="")
    for row in rows:
        found = [(kind, device(x)) for kind in usual if (x := getattr(row, kind))]
        flags = tuple(f"{kind.upper()} latency on {device}" for kind, device in found if device != usual[kind])
        yield replace(row, flags=(*row.flags, *flags)) if flags else row


def device(latency: Latency) -> str:
    """Return in words what must be the same for two timings to be comparable."""
    threads = "1 thread" if latency.threads == 1 else f"{latency.threads} threads"
    how = ", ".join(filter(None, (threads, latency.dtype, latency.backend, latency.software)))
    return f"{latency.device}, {how}, clips of {latency.clip_seconds:g} s"


def _notes(done: Sequence[Record]) -> Iterator[str]:
    """Yield what holds for the whole table: means over fewer classes, runs of different commits."""
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


def _numbers(values: Iterable[int]) -> str:
    return ", ".join(map(str, values))


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
