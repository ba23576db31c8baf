"""The calibration of a leaderboard's systems: before and after a temperature, and conflict against error of fusions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean

import numpy as np
import torch
from scipy.stats import rankdata, spearmanr

from bench import statistics
from bench.errors import RunError
from bench.evaluation.calibration import measures
from bench.evaluation.calibration.measures import Array, Floats, Task
from bench.evaluation.fusion import fuse_logits, fusion_rule
from bench.evaluation.metrics import DRAWS, bootstrap
from bench.leaderboard.board import Leaderboard
from bench.leaderboard.rows import Row
from bench.records import Record, Store, artifacts
from bench.statistics import Difference, FoldSeed, RunScore

NAMES = ("brier", "nll", "ece", "class_wise_ece")
"""Measures of each run, before and after its temperature; all are better where they are lower."""

FIFTHS = 5


@dataclass(frozen=True, kw_only=True)
class Conflict:
    """Conflict mass of a fusion's members against the fusion's errors, over all test clips.

    Attributes:
        error: mean conflict and share of wrong clips (for several labels: mean log-loss), of each fifth of the clips,
            from the least conflict to the most.
        auroc: probability that a wrong clip has more conflict than a right one; None for several labels.
        confidence_auroc: the same of 1 − the fusion's own highest probability, for comparison.
        spearman: rank correlation of conflict and log-loss.
    """

    error: tuple[tuple[float, float], ...]
    auroc: float | None
    confidence_auroc: float | None
    spearman: float


@dataclass(frozen=True, kw_only=True)
class Calibrated:
    """A system's calibration, means over its runs.

    Attributes:
        row: of the leaderboard.
        done: number of runs with kept logits.
        temperatures: of each run, by (fold, seed).
        before: measure to value on the test clips.
        after: the same with the temperatures.
        change: of "brier" and "nll", after − before, paired over the sources of the clips; None without two sources.
        bins: reliability of all test clips before `(15, 3)`: number, mean confidence, share right.
        bins_after: the same with the temperatures.
        conflict: of a fusion's members.
    """

    row: Row
    done: int
    temperatures: Mapping[FoldSeed, float]
    before: Mapping[str, float]
    after: Mapping[str, float]
    change: Mapping[str, Difference | None]
    bins: Floats
    bins_after: Floats
    conflict: Conflict | None = None


@dataclass
class Study:
    """The calibration of a leaderboard.

    Attributes:
        board: the leaderboard.
        task: "single" or "multi" label.
        systems: in its order.
        left: key of a run to the reason why it is left out.
    """

    board: Leaderboard
    task: Task
    systems: list[Calibrated] = field(default_factory=list)
    left: dict[str, str] = field(default_factory=dict)


@dataclass
class _Run:
    """The measures of one run."""

    temperature: float
    scores: dict[str, tuple[float, float]]
    changes: dict[str, RunScore | None]
    pairs: tuple[tuple[Floats, Array], tuple[Floats, Array]]
    conflict: tuple[Floats, Floats, Floats, Array] | None = None


def study(board: Leaderboard, store: Store) -> Study:
    """Return the calibration of every system of a leaderboard that has kept logits."""
    task: Task = "single" if board.task == "single" else "multi"
    found = Study(board, task)
    for row in board.rows:
        runs: dict[FoldSeed, _Run] = {}
        for fold_seed, key in row.keys.items():
            record = store.get(key)
            if record is None or record.status != "ok":
                continue
            try:
                runs[fold_seed] = _run(record, store, task)
            except RunError as error:
                found.left[key] = str(error)
        if runs:
            found.systems.append(_together(row, runs, task))
    return found


def _run(record: Record, store: Store, task: Task) -> _Run:
    saved = artifacts.logits(store, record)
    logits, targets = saved["logits"].astype(np.float64), saved["targets"]
    temperature = measures.fit_temperature(saved["val_logits"], saved["val_targets"], task)
    both = [_measured(x, targets, task) for x in (logits, logits / temperature)]
    _, groups = np.unique(saved["test_groups"], return_inverse=True)
    changes = {name: _drawn(both[1][0][name] - both[0][0][name], groups, record.run.fold) for name in ("brier", "nll")}
    scores = {name: (_value(both[0], name), _value(both[1], name)) for name in NAMES}
    found = _Run(temperature, scores, changes, (both[0][2], both[1][2]))
    if record.run.members:
        found.conflict = _conflict(record, saved, store, task, measures.log_losses(logits, targets, task))
    return found


_Measured = tuple[dict[str, Floats], dict[str, float], tuple[Floats, Array]]


def _measured(logits: Floats, targets: Array, task: Task) -> _Measured:
    """Return measures of single clips, measures of all clips, and confidences with whether they are right."""
    p = measures.probabilities(logits, task)
    pairs = measures.top(p, targets) if task == "single" else measures.labels(p, targets)
    each = {"brier": measures.brier_scores(p, targets, task), "nll": measures.log_losses(logits, targets, task)}
    whole = {
        "ece": measures.calibration_error(*pairs), "class_wise_ece": measures.class_wise_error(p, targets, task)
    }  # fmt: skip
    return each, whole, pairs


def _value(found: _Measured, name: str) -> float:
    return float(found[0][name].mean()) if name in found[0] else found[1][name]


def _drawn(values: Floats, groups: Array, fold: int) -> RunScore | None:
    """Return the mean of clips' values with its draws over groups; None with fewer than two groups."""
    number = int(np.max(groups)) + 1
    if number < 2:
        return None
    draws = bootstrap.accuracies(values, groups, bootstrap.group_counts(number, DRAWS, fold))  # type: ignore[arg-type]
    return RunScore(float(values.mean()), draws, number)


def _conflict(
    record: Record, saved: Mapping[str, Array], store: Store, task: Task, losses: Floats
) -> tuple[Floats, Floats, Floats, Array]:
    """Return each test clip's conflict mass, log-loss, 1 − highest probability, and whether it is wrong."""
    members = [store.finished_record(key, "the fusion's member") for key in record.run.members]
    logits = torch.from_numpy(np.stack([artifacts.logits(store, member)["logits"] for member in members]))
    rule = fusion_rule(record.run.model, torch.from_numpy(np.asarray(saved["weights"])))
    _, k = fuse_logits(logits, rule, task)
    p = measures.probabilities(saved["logits"], task)
    if task == "single":
        confidence, right = measures.top(p, saved["targets"])
        return k.double().numpy(), losses, 1 - confidence, ~right
    return k.double().numpy(), losses, np.zeros(len(losses)), np.zeros(len(losses), bool)


def _together(row: Row, runs: Mapping[FoldSeed, _Run], task: Task) -> Calibrated:
    changes: dict[str, Difference | None] = {}
    for name in ("brier", "nll"):
        each = {key: run.changes[name] for key, run in runs.items()}
        drawn = {key: score for key, score in each.items() if score is not None}
        changes[name] = statistics.change(drawn) if len(drawn) == len(each) else None
    before, after = ({name: fmean(run.scores[name][i] for run in runs.values()) for name in NAMES} for i in (0, 1))
    bins = []
    for i in (0, 1):
        pairs = [run.pairs[i] for run in runs.values()]
        bins.append(measures.reliability(np.concatenate([p for p, _ in pairs]), np.concatenate([r for _, r in pairs])))
    conflicts = [run.conflict for run in runs.values() if run.conflict is not None]
    return Calibrated(
        row=row, done=len(runs), temperatures={key: run.temperature for key, run in runs.items()}, before=before,
        after=after, change=changes, bins=bins[0], bins_after=bins[1],
        conflict=_conflicts(conflicts, task) if conflicts else None,
    )  # fmt: skip


def _conflicts(runs: Sequence[tuple[Floats, Floats, Floats, Array]], task: Task) -> Conflict:
    k, losses, doubt = (np.concatenate([run[i] for run in runs]) for i in (0, 1, 2))
    wrong = np.concatenate([run[3] for run in runs]).astype(bool)
    fifths = np.array_split(np.argsort(k, kind="stable"), FIFTHS)
    errors = wrong.astype(np.float64) if task == "single" else losses
    return Conflict(
        error=tuple((float(k[part].mean()), float(errors[part].mean())) for part in fifths if len(part)),
        auroc=auroc(k, wrong), confidence_auroc=auroc(doubt, wrong), spearman=float(spearmanr(k, losses).statistic),
    )  # fmt: skip


def auroc(values: Floats, positive: Array) -> float | None:
    """Return the probability that a positive has a higher value than a negative; a tie counts half. None without both.

    Args:
        values: `(N,)`.
        positive: `(N,)` of bool.
    """
    hits = int(np.sum(positive))
    others = len(positive) - hits
    if not hits or not others:
        return None
    return float((rankdata(values)[np.asarray(positive, bool)].sum() - hits * (hits + 1) / 2) / (hits * others))
