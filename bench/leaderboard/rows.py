"""Rows of a leaderboard: each aggregates a system's runs over folds and seeds."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import fmean
from typing import Literal

from bench import statistics
from bench.catalog import METRICS, PRIMARY, STREAM_METRICS
from bench.leaderboard.systems import System, member_label
from bench.records import Complexity, Data, Failure, Latency, Record, Run, Segmentation, canonical, sources
from bench.statistics import FoldSeed

UNKNOWN_FAILURE = Failure(kind="unknown", message="the record names no error")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One system on one dataset.

    Attributes:
        rank: 1 is best; None for a row that cannot be compared. A row shares the rank of the best row from which its
            score does not differ significantly.
        label: the suite's name of the system; or else the model's name, with the settings in which it differs from
            other systems of that model.
        about: the settings that the label leaves out.
        recipe: all values that differ from the harness's default recipe.
        model: name in the catalogue.
        frontend: name in the catalogue.
        members: labels of the systems that a fusion combines.
        scores: metric name to mean over the finished runs; None where a run has no value.
        interval: 95 % interval of the primary score.
        interval_over: "groups" (bootstrap over the test groups and over seeds) or "cells" (Student's t over folds
            and seeds, for records without draws).
        done: number of finished runs.
        expected: number of runs in the suite.
        failed: kinds of error of its failed runs.
        complexity: parameters, operations and bytes.
        cpu: end-to-end latency on the CPU at the fewest threads, from the run with the median p50.
        gpu: the same on a GPU.
        cpu_parallel: latency of a fusion whose members run in parallel; `cpu` is then the members' sum.
        gpu_parallel: the same on GPUs.
        segmentation: form and cost of the time lines of stream data.
        stream_intervals: 95 % interval of each other score of time lines, where there is one run.
        train_seconds: mean over the runs.
        conflict: mean conflict mass between a fusion's members.
        flags: what a reader has to know before comparing this row.
        run_scores: (fold, seed) to the run's score and bootstrap draws; empty where a run has no draws.
        fold_scores: (fold, seed) to the run's score, where there are two folds or more and the test clips of some come
            from one source, which leaves nothing to draw from; else empty.
        keys: (fold, seed) to the run's key.
        finished: keys of the runs that have a result.
        name: the suite's name of the system; empty without a suite.
        backends: name of a backend other than eager to its end-to-end latency on the CPU at the fewest threads.
        recalls: class to its recall, mean over the runs, where clips have one label.
        validation: the task's primary score on the validation clips at the epoch whose weights were tested, mean over
            the runs; None where a run has none, such as a fusion's.
        rank_interval: 95 % interval of the rank, from draws of test groups, folds and seeds; None where a ranked row of
            the leaderboard has nothing to draw from.
        records: the finished runs' records, in the order of fold and seed.
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
    run_scores: dict[FoldSeed, statistics.RunScore] = field(default_factory=dict, compare=False, repr=False)
    fold_scores: dict[FoldSeed, float] = field(default_factory=dict, compare=False, repr=False)
    segmentation: Segmentation | None = None
    stream_intervals: dict[str, tuple[float, float]] = field(default_factory=dict)
    keys: dict[FoldSeed, str] = field(default_factory=dict)
    finished: tuple[str, ...] = ()
    name: str = ""
    backends: dict[str, Latency] = field(default_factory=dict)
    recalls: dict[str, float] = field(default_factory=dict)
    validation: float | None = None
    rank_interval: tuple[int, int] | None = None
    records: tuple[Record, ...] = field(default=(), compare=False, repr=False)

    @property
    def full(self) -> str:
        """The label, with the front-end where there is one."""
        return self.label if self.frontend == "none" else f"{self.label} on {self.frontend}"


def make_row(
    system: System,
    runs: Sequence[Run],
    folds: Sequence[int],
    labels: Mapping[System, str],
    records: Mapping[str, Record],
    reference: Mapping[FoldSeed, Data],
    task: str,
    primary: str,
) -> Row:
    """Aggregate a system's runs, in the order of fold and seed; a rank of 0 marks a row that can be ranked."""
    found = [r for run in runs if (r := records.get(run.key))]
    done = [r for r in found if r.status == "ok"]
    failed = sorted((r.error or UNKNOWN_FAILURE).kind for r in found if r.status == "failed")
    own_folds = {run.fold for run in runs}
    expected = len(runs) + sum(fold not in own_folds for fold in folds)
    names = [name for name, metric in METRICS.items() if task in metric.tasks]
    names += sorted({name for r in done for name in r.scores if name not in METRICS})  # of other packages
    scores = {name: _mean([r.scores.get(name) for r in done]) for name in dict.fromkeys([*names, primary])}
    run_scores = _run_scores(done, primary)
    interval, over = _interval(done, run_scores, primary)
    other_data = [r for r in done if r.data and r.data.identity != reference[r.run.fold, r.run.seed].identity]
    flags = []
    if other_data:
        flags.append(
            f"data differ from the other systems' in fold {_numbers(sorted({r.run.fold for r in other_data}))}"
        )
    if any(r.environment and r.environment.dirty for r in done):
        flags.append("the working tree had uncommitted changes")
    alike = {tuple(sorted(r.sources.items())): r for r in done}  # all runs of a row have the same components
    other_source = {word for r in alike.values() for word in sources.changed(r)}
    if changed := [word for word in sources.WORDS.values() if word in other_source]:
        flags.append(f"measured with another version of the source of the {' and the '.join(changed)}")
    absent = dict.fromkeys(f"{target}: {why}" for run in runs for target, why in sources.missing(run).items())
    flags += absent
    flags += dict.fromkeys(f"no {name}: {why}" for r in done for name, why in r.not_scored.items())
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
        members=tuple(member_label(member, labels[member]) for member in system.members),
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
        run_scores=run_scores,
        fold_scores={} if run_scores else _fold_scores(done, primary),
        segmentation=next((r.segmentation for r in done if r.segmentation), None),
        stream_intervals={name: each for name, each in done[0].intervals.items() if name in STREAM_METRICS}
        if len(done) == 1
        else {},
        keys={(run.fold, run.seed): run.key for run in runs},
        finished=tuple(r.key for r in done),
        backends={
            name: timing
            for name in sorted({x.backend for r in done for x in r.latencies} - {"eager"})
            if (timing := _latency(done, "cpu", backend=name))
        },
        recalls=_recalls(done),
        validation=_mean([validation(r, task) for r in done]),
        records=tuple(done),
    )


def validation(record: Record, task: str) -> float | None:
    """Return a run's score on the validation clips, at the epoch whose weights were tested; None without one."""
    curve = record.curves.get(f"val_{PRIMARY[task]}", ())
    epoch = record.best_epoch
    return None if epoch is None or epoch >= len(curve) else curve[epoch]


def _recalls(done: Sequence[Record]) -> dict[str, float]:
    """Return each class's mean recall; an empty dict where the runs do not have the same classes."""
    classes = {r.classes for r in done if "macro_recall" in r.per_class}
    if len(classes) != 1:
        return {}
    tables = [r.per_class["macro_recall"] for r in done if "macro_recall" in r.per_class]
    means = {name: _mean([table[i] for table in tables]) for i, name in enumerate(classes.pop())}
    return {name: mean for name, mean in means.items() if mean is not None}


def _mean(values: Sequence[float | None]) -> float | None:
    """Return the mean; None where a value is missing, because a mean over fewer runs is not comparable."""
    defined = [value for value in values if value is not None]
    return fmean(defined) if defined and len(defined) == len(values) else None


def _run_scores(done: Sequence[Record], primary: str) -> dict[FoldSeed, statistics.RunScore]:
    """Return each run's score and draws; an empty dict if a run has no draws."""
    found = statistics.RunScores({
        (r.run.fold, r.run.seed): statistics.RunScore(score, r.draws, r.data.test_groups)
        for r in done
        if r.draws and r.data and (score := r.scores.get(primary)) is not None
    })  # fmt: skip
    return found if len(found) == len(done) and len({len(run.draws) for run in found.values()}) == 1 else {}


def _fold_scores(done: Sequence[Record], primary: str) -> dict[FoldSeed, float]:
    """Return each run's score where folds have to be compared as wholes; otherwise an empty dict."""
    found = {(r.run.fold, r.run.seed): score for r in done if (score := r.scores.get(primary)) is not None}
    alone = any(r.data is not None and r.data.test_groups < 2 for r in done)
    several = len({fold for fold, _ in found}) > 1
    return found if alone and several and len(found) == len(done) else {}


def difference(a: Row, b: Row) -> statistics.Difference | None:
    """Return the paired difference between two rows; None where they have nothing to test it with."""
    if a.run_scores and b.run_scores:
        return statistics.difference(a.run_scores, b.run_scores)
    if a.fold_scores and b.fold_scores:
        return statistics.difference_of_folds(a.fold_scores, b.fold_scores)
    return None


def _interval(
    done: Sequence[Record], run_scores: Mapping[FoldSeed, statistics.RunScore], primary: str
) -> tuple[tuple[float, float], Literal["cells", "groups"]] | tuple[None, None]:
    """Return the primary score's interval, within [0, 1] like the score, and the value of `interval_over`."""
    if run_scores:
        return statistics.nested_interval(run_scores, proportion=primary == PRIMARY["single"]), "groups"
    values = [value for r in done if (value := r.scores.get(primary)) is not None]
    if len(values) >= 2:
        mean, low, high = statistics.mean_interval(values)
        groups = sum({r.run.fold: r.data.test_groups for r in done if r.data}.values())
        alone = any(r.data is not None and r.data.test_groups < 2 for r in done)
        if alone and primary == PRIMARY["single"] and (high - low < 1e-9 or min(mean, 1 - mean) * groups < 5):
            return statistics.wilson_interval(mean * groups, groups), "cells"  # runs that are alike show no deviation
        return (max(low, 0.0), min(high, 1.0)), "cells"
    if len(values) == 1 and len(done) == 1 and primary in done[0].intervals:
        return done[0].intervals[primary], "groups"
    return None, None


def _latency(
    done: Sequence[Record], device_type: str, *, parallel: bool = False, backend: str = "eager"
) -> Latency | None:
    """Return the latency to show: one clip, end to end, at the fewest threads, and of grade A or B if any is.

    Of several such timings it is the median (of two, the slower), because the best one would depend on the state of the
    machine's clock. Timings of different backends are never mixed.
    """
    kind = device_type, "end-to-end", backend, 1, parallel
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
    alike.sort(key=lambda x: x.p50_ms)
    middle = len(alike) // 2
    equal = [x for x in alike if x.p50_ms == alike[middle].p50_ms]
    before = sum(x.p50_ms < alike[middle].p50_ms for x in alike)
    return sorted(equal, key=lambda x: canonical(asdict(x)))[middle - before] if len(equal) > 1 else equal[0]


def reference_data(done: Sequence[Record]) -> dict[FoldSeed, Data]:
    """Return the data that most systems used for each fold and seed; in a tie, the data with the most clips."""
    used: dict[FoldSeed, list[Data]] = {}
    for r in done:
        if r.data:
            used.setdefault((r.run.fold, r.run.seed), []).append(r.data)
    reference = {}
    for fold_seed, found in used.items():
        votes = Counter(data.identity for data in found)
        chosen = max(votes, key=lambda identity: (votes[identity], max(_clips(found, identity)), identity))
        alike = (data for data in found if data.identity == chosen)
        reference[fold_seed] = min(alike, key=lambda data: data.text)
    return reference


def _clips(found: Sequence[Data], identity: str) -> Iterator[int]:
    return (data.clips_available for data in found if data.identity == identity)


def _numbers(values: Iterable[int]) -> str:
    return ", ".join(map(str, values))
