"""The numbers of every chart, as rows of a table: plain numpy, nothing of W&B."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.catalog import METRICS
from bench.leaderboard.pareto import PER_SECOND, Plot
from bench.records import Record
from bench.tracking.limits import dataset_of

CURVE_POINTS = 200
CURVE_CLASSES = 10
MATRIX_ROWS = 10_000  # that W&B shows of a table
BAR_CLASSES = 50
BINS = 15  # as many as the calibration error has


@dataclass(frozen=True)
class Chart:
    """One of W&B's own charts: its specification, the table's columns, the columns' roles, and its labels."""

    spec: str
    columns: tuple[str, ...]
    fields: dict[str, str]
    words: dict[str, str] = field(default_factory=dict)


CHARTS = {
    "confusion": Chart(
        "wandb/confusion_matrix/v1",
        ("Actual", "Predicted", "nPredictions"),
        {"Actual": "Actual", "Predicted": "Predicted", "nPredictions": "nPredictions"},
        {"title": "Confusion matrix"},
    ),
    "precision-recall": Chart(
        "wandb/area-under-curve/v0",
        ("class", "recall", "precision"),
        {"x": "recall", "y": "precision", "class": "class"},
        {"title": "Precision and recall", "x-axis-title": "Recall", "y-axis-title": "Precision"},
    ),
    "roc": Chart(
        "wandb/area-under-curve/v0",
        ("class", "fpr", "tpr"),
        {"x": "fpr", "y": "tpr", "class": "class"},
        {"title": "ROC", "x-axis-title": "False positive rate", "y-axis-title": "True positive rate"},
    ),
    "average-precision": Chart(
        "wandb/bar/v0",
        ("class", "AP"),
        {"label": "class", "value": "AP"},
        {"title": f"Average precision, the {BAR_CLASSES} hardest classes at most"},
    ),
    "calibration": Chart(
        "wandb/lineseries/v0",
        ("confidence", "line", "share right", "clips"),
        {"step": "confidence", "lineKey": "line", "lineVal": "share right"},
        {"title": "Calibration", "xname": "Confidence"},
    ),
}
"""By the name under which a run logs it."""

COSTS = {
    "macs": ("macs", "multiply-adds"),
    "parameters": ("parameters", "parameters"),
    "latency": ("cpu_p50_ms", "CPU latency, p50 in ms"),
}
"""By the name of a Pareto plot's axis: the column of the table, and its words."""


def pareto_name(suite: str, plot: Plot) -> str:
    """Return the name under which a plot is logged in the suite's own run."""
    return f"pareto/{dataset_of(suite, plot.dataset)}/{COSTS[plot.axis.name][0]}"


def pareto_chart(plot: Plot) -> Chart:
    """Return the scatter of a score against the logarithm of a cost, for costs span powers of ten."""
    cost, words = COSTS[plot.axis.name]
    words += " per second of sound" if plot.axis is PER_SECOND else ""
    return Chart(
        "wandb/scatter/v0",
        ("system", "frontend", cost, f"log10 {cost}", plot.metric, "best at its cost"),
        {"x": f"log10 {cost}", "y": plot.metric},
        {"title": f"{plot.metric} against {words} (log10)"},
    )


def pareto_rows(plot: Plot) -> list[tuple[str, str, float, float, float, str]]:
    """Return the rows of `pareto_chart`, cheapest first: the points of the plot and whether they are on its front."""
    return [
        (
            point.system,
            point.frontend,
            point.cost,
            round(math.log10(point.cost), 4),
            point.score,
            "yes" if point.front else "no",
        )
        for point in sorted(plot.points, key=lambda point: (point.cost, not point.front))
    ]


def precision_recall(scores: NDArray[Any], positive: NDArray[np.bool_]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return recall and precision at each distinct score, highest first, at most `CURVE_POINTS` of them.

    Args:
        scores: `(N,)`.
        positive: `(N,)`, at least one of them true.
    """
    hits, taken = _retrieved(scores, positive)
    return hits / hits[-1], hits / taken


def roc(scores: NDArray[Any], positive: NDArray[np.bool_]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return false and true positive rate from (0, 0) on, at each distinct score, at most `CURVE_POINTS` of them.

    Args:
        scores: `(N,)`.
        positive: `(N,)`, at least one of them true and one false.
    """
    hits, taken = _retrieved(scores, positive)
    misses = taken - hits
    return np.append(0, misses / misses[-1]), np.append(0, hits / hits[-1])


def _retrieved(scores: NDArray[Any], positive: NDArray[np.bool_]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return how many positives and how many clips score at least as high as each distinct score."""
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(positive[order])
    last = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))  # tied clips are retrieved together
    if len(last) > CURVE_POINTS:
        last = last[np.linspace(0, len(last) - 1, CURVE_POINTS).round().astype(int)]
    return hits[last], last + 1


def precision_recall_rows(
    logits: NDArray[Any], targets: NDArray[Any], classes: Sequence[str]
) -> Iterator[tuple[str, float, float]]:
    """Yield (class, recall, precision) of the micro-average and of the `CURVE_CLASSES` most frequent classes.

    Args:
        logits: `(N, C)`.
        targets: `(N,)` class indices, or `(N, C)` zeros and ones.
        classes: C names.
    """
    for name, scores, positive in _one_versus_rest(logits, targets, classes):
        if positive.any():
            yield from _rows(name, *precision_recall(scores, positive))


def roc_rows(logits: NDArray[Any], targets: NDArray[Any], classes: Sequence[str]) -> Iterator[tuple[str, float, float]]:
    """Yield (class, false positive rate, true positive rate), of the same as `precision_recall_rows`."""
    for name, scores, positive in _one_versus_rest(logits, targets, classes):
        if positive.any() and not positive.all():
            yield from _rows(name, *roc(scores, positive))


def _rows(name: str, x: NDArray[Any], y: NDArray[Any]) -> Iterator[tuple[str, float, float]]:
    for a, b in zip(x, y, strict=True):
        yield name, round(float(a), 5), round(float(b), 5)


def _one_versus_rest(
    logits: NDArray[Any], targets: NDArray[Any], classes: Sequence[str]
) -> Iterator[tuple[str, NDArray[Any], NDArray[np.bool_]]]:
    """Yield (name, scores, positive) of all labels as one, and of the most frequent classes."""
    from scipy.special import log_softmax  # takes longer to import than a suite without new runs takes

    if targets.ndim == 1:
        positive = targets[:, None] == np.arange(logits.shape[1])  # (N, C)
        scores = log_softmax(logits, 1)  # comparable over clips
    else:
        positive, scores = targets > 0.5, logits
    yield "micro-average", scores.ravel(), positive.ravel()
    for c in np.argsort(-positive.sum(0), kind="stable")[:CURVE_CLASSES]:
        yield classes[c], scores[:, c], positive[:, c]


def calibration_rows(logits: NDArray[Any], targets: NDArray[Any]) -> list[tuple[float, str, float, int]]:
    """Return (mean confidence, line, share right, clips) of each bin that has some, and the two ends of the diagonal.

    The confidence is the probability of the predicted class; with several labels, that of every label of every clip.

    Args:
        logits: `(N, C)`.
        targets: `(N,)` class indices, or `(N, C)` zeros and ones.
    """
    from scipy.special import log_softmax

    x = logits.astype(np.float64)
    if targets.ndim == 1:
        confidence = np.exp(log_softmax(x, 1).max(1))
        right = x.argmax(1) == targets
    else:
        confidence = np.exp(-np.logaddexp(0, -x)).ravel()
        right = targets.ravel() > 0.5
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    rows = []
    for b in np.unique(bins):
        inside = bins == b
        rows.append((float(confidence[inside].mean()), "measured", float(right[inside].mean()), int(inside.sum())))
    return [*rows, (0.0, "perfect", 0.0, 0), (1.0, "perfect", 1.0, 0)]


def confusion_rows(record: Record) -> list[tuple[str, str, int]]:
    """Return (true class, predicted class, clips) of every cell, or of those with clips if all are too many to show."""
    cells = [
        (actual, predicted, clips)
        for actual, row in zip(record.classes, record.confusion or (), strict=True)
        for predicted, clips in zip(record.classes, row, strict=True)
    ]
    return cells if len(cells) <= MATRIX_ROWS else [cell for cell in cells if cell[2]][:MATRIX_ROWS]


def per_class(record: Record) -> tuple[list[str], list[tuple[str | float | None, ...]]]:
    """Return the columns and rows of the table of classes, in the record's order; None where a class has no value."""
    names = [name for name in METRICS if name in record.per_class]
    columns = [_OF_A_CLASS.get(name, name) for name in names]
    rows = zip(record.classes, *(record.per_class[name] for name in names), strict=True)
    return ["class", *columns], list(rows)


_OF_A_CLASS = {
    "mAP": "AP",
    "mAUC": "AUC",
    "macro_f1": "F1",
    "macro_precision": "precision",
    "macro_recall": "recall",
}


def average_precision_rows(record: Record) -> list[tuple[str, float]]:
    """Return (class, average precision), the hardest first, at most `BAR_CLASSES`; classes without a value are not."""
    pairs = zip(record.classes, record.per_class.get("mAP", ()), strict=True)
    return sorted(((name, ap) for name, ap in pairs if ap is not None), key=lambda pair: pair[1])[:BAR_CLASSES]
