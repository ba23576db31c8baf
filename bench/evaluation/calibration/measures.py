"""Measures of calibration and the temperature, on logits in double precision.

A temperature T divides the logits. It is fitted on the validation clips by the least log-loss (Guo et al. 2017,
arXiv:1706.04599), which is convex in 1/T, so there is one minimum. It changes no clip's most probable class.
"""

from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar
from scipy.special import expit, log_expit, log_softmax, softmax

Floats = npt.NDArray[np.float64]
Array = npt.NDArray[np.generic]
Task = Literal["single", "multi"]

BINS = 15
"""Bins of equal width, as in a record's ECE."""

TEMPERATURES = (0.05, 20.0)
"""Lowest and highest temperature. Where all validation clips are right, it is close to the lowest."""


def probabilities(logits: Array, task: Task) -> Floats:
    """Return the probabilities `(N, C)` of logits `(N, C)`: softmax for one label per clip, sigmoid for several."""
    x = np.asarray(logits, np.float64)
    return np.asarray(softmax(x, 1) if task == "single" else expit(x))


def log_losses(logits: Array, targets: Array, task: Task) -> Floats:
    """Return each clip's log-loss `(N,)` in nats: the NLL, or the mean binary cross-entropy of its labels."""
    x = np.asarray(logits, np.float64)
    if task == "single":
        return np.asarray(-log_softmax(x, 1)[np.arange(len(x)), targets.astype(np.int64)])
    y = targets.astype(np.float64)
    return np.asarray(-(y * log_expit(x) + (1 - y) * log_expit(-x)).mean(1))


def brier_scores(p: Floats, targets: Array, task: Task) -> Floats:
    """Return each clip's Brier score `(N,)`.

    For one label per clip it is the sum over the classes of the squared difference, from 0 to 2 (Brier 1950); for
    several it is the mean over the labels, from 0 to 1.

    Args:
        p: probabilities `(N, C)`.
        targets: `(N,)` or `(N, C)`.
        task: "single" or "multi" label.
    """
    if task == "single":
        return np.asarray(((p - np.eye(p.shape[1])[targets.astype(np.int64)]) ** 2).sum(1))
    return np.asarray(((p - targets.astype(np.float64)) ** 2).mean(1))


def reliability(confidence: Floats, right: Array, bins: int = BINS) -> Floats:
    """Return, for each bin, the number of predictions, their mean confidence and the share that is right `(bins, 3)`.

    A bin contains its lower edge; the last one also contains 1. Mean and share of an empty bin are NaN.

    Args:
        confidence: `(M,)` in [0, 1].
        right: `(M,)` whether each prediction is right.
        bins: of equal width.
    """
    which = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    count = np.bincount(which, minlength=bins).astype(np.float64)
    with np.errstate(invalid="ignore"):
        mean = np.bincount(which, confidence, bins) / count
        share = np.bincount(which, np.asarray(right, np.float64), bins) / count
    return np.stack([count, mean, share], 1)


def calibration_error(confidence: Floats, right: Array, bins: int = BINS) -> float:
    """Return the expected calibration error: the mean over predictions of |confidence − share right| of their bin."""
    count, mean, share = reliability(confidence, right, bins).T
    return float(np.nansum(count * np.abs(mean - share)) / count.sum())


def top(p: Floats, targets: Array) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Return the probability of each clip's most probable class `(N,)`, and whether it is the right one `(N,)`."""
    return p.max(1), p.argmax(1) == targets


def labels(p: Floats, targets: Array) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Return all probabilities of all labels `(N C,)`, and whether each label is present `(N C,)`."""
    return p.ravel(), np.asarray(targets, np.float64).ravel() > 0.5


def class_wise_error(p: Floats, targets: Array, task: Task, bins: int = BINS) -> float:
    """Return the mean over the classes of the calibration error of "this class is present".

    It is defined for a class without positives, too: its probabilities should be low (Kull et al. 2019,
    arXiv:1910.12656).
    """
    y = np.eye(p.shape[1])[targets.astype(np.int64)] if task == "single" else targets.astype(np.float64)
    return float(np.mean([calibration_error(p[:, c], y[:, c] > 0.5, bins) for c in range(p.shape[1])]))


def fit_temperature(logits: Array, targets: Array, task: Task) -> float:
    """Return the temperature with the least log-loss on validation clips, within `TEMPERATURES`.

    Args:
        logits: of the validation clips `(N, C)`.
        targets: of the validation clips.
        task: "single" or "multi" label.
    """
    x = np.asarray(logits, np.float64)
    low, high = (-np.log(each) for each in reversed(TEMPERATURES))  # of log 1/T
    found = minimize_scalar(
        lambda b: float(log_losses(np.exp(b) * x, targets, task).mean()), bounds=(low, high), method="bounded",
        options={"xatol": 1e-6},
    )  # fmt: skip
    return float(np.exp(-found.x))
