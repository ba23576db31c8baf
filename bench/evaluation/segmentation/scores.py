"""Scores of time lines with 95 % intervals: counts of each stream, and a bootstrap over streams."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from bench.evaluation.metrics import DRAWS
from bench.evaluation.metrics.bootstrap import group_counts
from bench.evaluation.segmentation import FRAME_RATE, threshold_free
from bench.evaluation.segmentation.decisions import Floats, PostProcessing, Truth, decided, events, prepared
from bench.evaluation.segmentation.events import event_counts, f1, segment_counts
from bench.statistics import RunScore, nested_interval
from datamodules.clips.timeline import UNLABELLED, segments_of

SPEECH = "speech"
LEAST_CLASSES = 3
"""Number of classes from which speech against all others is a score of its own."""


@dataclass(frozen=True)
class StreamScores:
    """Scores of a system on the test streams.

    Attributes:
        values: metric to value; None where it is undefined or cannot be computed here.
        intervals: 95 % interval of each value that has one.
        draws: of the frame accuracy.
        per_class: metric to one value per class.
    """

    values: dict[str, float | None]
    intervals: dict[str, tuple[float, float]] = field(default_factory=dict)
    draws: tuple[float, ...] = ()
    per_class: dict[str, tuple[float | None, ...]] = field(default_factory=dict)


def score(
    scores: Sequence[Floats], truth: Truth, classes: Sequence[str], chosen: PostProcessing, fold: int
) -> StreamScores:
    """Return every score of time lines.

    Args:
        scores: log-probabilities of each test stream `(C, T)`, from `stream_scores`.
        truth: of the test streams.
        classes: names of the C classes.
        chosen: the post-processing, chosen on validation streams.
        fold: number of the test fold, the seed of the draws.
    """
    frames = truth.frames()
    labels = [decided(each, chosen) for each in scores]
    shares: dict[str, npt.NDArray[np.int64]] = {"frame_accuracy": _right(frames, labels)}
    if SPEECH in classes and len(classes) >= LEAST_CLASSES:
        speech = list(classes).index(SPEECH)
        shares["frame_sns"] = _right(frames, labels, speech)
    found = [events(*pair) for pair in zip(labels, frames, strict=True)]
    known = [segments_of(each, FRAME_RATE) if (each == UNLABELLED).any() else segments
             for each, segments in zip(frames, truth.segments, strict=True)]  # fmt: skip
    counts = {
        "segment_f1": np.stack([
            segment_counts(true, predicted, len(classes), seconds)
            for true, predicted, seconds in zip(known, found, truth.seconds, strict=True)
        ]),
        "event_f1": np.stack([event_counts(*each, len(classes)) for each in zip(known, found, strict=True)]),
    }  # fmt: skip
    groups, of = np.unique(np.asarray(truth.groups), return_inverse=True)
    times = group_counts(len(groups), DRAWS, fold) if len(groups) > 1 else None
    values: dict[str, float | None] = {}
    intervals: dict[str, tuple[float, float]] = {}
    draws: dict[str, npt.NDArray[np.float64]] = {}
    for name, pair in shares.items():
        grouped = _by_group(pair, of, len(groups))  # (G, 2)
        values[name] = _number(_share(grouped.sum(0)))
        if times is not None:
            draws[name] = _share(times @ grouped)
    for name, each in counts.items():
        grouped = _by_group(each.sum(1), of, len(groups))  # (G, 3)
        values[name] = _number(f1(grouped.sum(0)))
        if times is not None:
            draws[name] = f1(times @ grouped)
    for name, drawn in draws.items():
        if (value := values[name]) is not None and np.isfinite(drawn).all():
            run = RunScore(value, drawn, len(groups))
            intervals[name] = nested_interval({(fold, 0): run}, proportion=False)
    smooth = [np.exp(prepared(each, chosen)) for each in scores]
    further = threshold_free.scores(smooth, known, truth.seconds, classes, of, len(groups), fold)
    per_class = {name: tuple(map(_number, f1(each.sum(0)))) for name, each in counts.items()}
    return StreamScores(
        values | further.values,
        intervals | further.intervals,
        tuple(draws["frame_accuracy"].round(5).tolist()) if "frame_accuracy" in intervals else (),
        per_class | further.per_class,
    )


def _right(
    truths: Sequence[npt.NDArray[np.int64]], labels: Sequence[npt.NDArray[np.int64]], only: int | None = None
) -> npt.NDArray[np.int64]:
    """Return right and all labelled frames of each stream `(N, 2)`; with `only`, right is as to that one class."""
    rows = []
    for truth, label in zip(truths, labels, strict=True):
        right = truth == label if only is None else (truth == only) == (label == only)
        known = truth != UNLABELLED
        rows.append((int((right & known).sum()), int(known.sum())))
    return np.array(rows, np.int64)


def _share(pairs: npt.NDArray[np.generic]) -> npt.NDArray[np.float64]:
    right, of = np.moveaxis(np.asarray(pairs, np.float64), -1, 0)
    with np.errstate(invalid="ignore"):
        return np.asarray(right / of)


def _by_group(counts: npt.NDArray[np.int64], of: npt.NDArray[np.int64], groups: int) -> npt.NDArray[np.int64]:
    total = np.zeros((groups, *counts.shape[1:]), np.int64)
    np.add.at(total, of, counts)
    return total


def _number(value: npt.NDArray[np.float64] | np.float64) -> float | None:
    return float(value) if np.isfinite(value) else None
