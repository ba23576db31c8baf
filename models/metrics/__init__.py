"""Every metric of a task, computed from the logits of all clips at once.

Two conventions hold throughout. A class without positive clips among the test targets (for AUC also one without
negative clips) has no value and is left out of the macro mean; `Scores.defined` counts the classes in the mean.
Logits that are not finite are an error, because `argmax` of NaNs would still give an accuracy.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch

from models.errors import TrainingError
from models.metrics import ranking, single_label

Array = npt.NDArray[np.generic] | torch.Tensor
Task = Literal["single", "multi"]


@dataclass(frozen=True, kw_only=True)
class Scores:
    """All metrics of a set of logits.

    Attributes:
        values: metric name to value; None where no class has one.
        defined: macro metric's name to (number of classes in the mean, number of all classes).
        per_class: macro metric's name to one value per class; None where the class has none.
        confusion: counts, rows true, columns predicted; None for multi-label.
    """

    values: dict[str, float | None] = field(default_factory=dict)
    defined: dict[str, tuple[int, int]] = field(default_factory=dict)
    per_class: dict[str, tuple[float | None, ...]] = field(default_factory=dict)
    confusion: tuple[tuple[int, ...], ...] | None = None


def score(logits: Array, targets: Array, task: Task, classes: Sequence[str] = ()) -> Scores:
    """Compute every metric that fits the task.

    Args:
        logits: `(N, C)`.
        targets: `(N,)` class indices for "single", `(N, C)` zeros and ones for "multi".
        task: "single" or "multi" label.
        classes: names of the classes, for the metric of the class "speech".

    Raises:
        TrainingError: there are no clips, or a logit is NaN or infinite.
        ValueError: the shapes do not fit, or a target is out of range.
    """
    x, y = checked(logits, targets, task)
    values: dict[str, float | None] = {}
    per_class: dict[str, npt.NDArray[np.float64]] = {}
    confusion = None
    if task == "single":
        values |= single_label.plain(x, y)
        if "speech" in classes and len(classes) > 2:  # with two classes it equals the accuracy
            values["sns"] = single_label.one_or_other(x, y, classes.index("speech"))
        per_class |= single_label.per_class(x, y)
        confusion = single_label.confusion(x, y)
    ranks, positive = _one_versus_rest(x, y, task)
    per_class["mAP"], per_class["mAUC"] = ranking.average_precision_and_auc(ranks, positive)
    values |= {name: macro(row) for name, row in per_class.items()}
    if task == "multi":
        values["d_prime"] = d_prime(values["mAUC"])
    return Scores(
        values=values,
        defined={name: (int(np.isfinite(row).sum()), len(row)) for name, row in per_class.items()},
        per_class={name: tuple(None if math.isnan(v) else v for v in row.tolist()) for name, row in per_class.items()},
        confusion=confusion,
    )


PRIMARY: dict[Task, str] = {"single": "accuracy", "multi": "mAP"}
"""The metric that ranks and that selects the best epoch on validation, by task."""


def primary(logits: Array, targets: Array, task: Task) -> float:
    """Compute only the task's primary metric, with the value of `score` but fast enough for every epoch.

    Raises:
        TrainingError: as for `score`; also where no class has a positive clip.
    """
    x, y = checked(logits, targets, task)
    if task == "single":
        return float((x.argmax(1) == y).mean())
    value = macro(ranking.average_precision(*_one_versus_rest(x, y, task)))
    if value is None:
        raise TrainingError(f"mAP is undefined: none of the {y.shape[1]} classes has a positive among {len(y)} clips")
    return value


def macro(per_class: npt.NDArray[np.float64]) -> float | None:
    """Return the mean over the classes that have a value (not NaN); None if no class has one."""
    defined = per_class[~np.isnan(per_class)]
    return float(defined.mean()) if len(defined) else None


def d_prime(auc: float | None) -> float | None:
    """Return d' = sqrt(2) Φ⁻¹(AUC); None where the AUC is undefined, and where it is 0 or 1 and d' is infinite."""
    return None if auc is None or not 0 < auc < 1 else math.sqrt(2) * NormalDist().inv_cdf(auc)


def _one_versus_rest(
    x: npt.NDArray[np.floating], y: npt.NDArray[np.int64], task: Task
) -> tuple[npt.NDArray[np.floating], npt.NDArray[np.bool_]]:
    """Return `(N, C)` values that rank the clips for each class, and whether each clip is positive.

    The sigmoid is monotone, so logits give the same ranking as probabilities. The softmax is not monotone in a single
    logit. The log-odds are monotone in its probability, and have no ties where probabilities round to 0 or 1.
    """
    if task == "multi":
        return x, y.astype(bool)
    return single_label.log_odds(x), np.eye(x.shape[1], dtype=bool)[y]


def checked(logits: Array, targets: Array, task: Task) -> tuple[npt.NDArray[np.floating], npt.NDArray[np.int64]]:
    """Return logits and targets as arrays of the expected shapes.

    Raises:
        TrainingError: there are no clips, or a logit is NaN or infinite.
        ValueError: the shapes do not fit, or a target is out of range.
    """
    x, y = _array(logits), _array(targets)
    if task not in ("single", "multi"):
        raise ValueError(f"task is {task!r}: use 'single' or 'multi'")
    if x.ndim != 2 or y.shape != (x.shape if task == "multi" else x.shape[:1]):
        raise ValueError(f"logits {x.shape} and targets {y.shape} do not fit for {task}-label")
    if len(x) == 0:
        raise TrainingError("there are no clips to score: the split is empty")
    if bad := int((~np.isfinite(x)).any(1).sum()):
        raise TrainingError(
            f"logits of {bad} of {len(x)} clips are not finite: lower the learning rate or clip gradients"
        )
    top = 1 if task == "multi" else x.shape[1] - 1
    if y.min() < 0 or y.max() > top or (y != np.round(y)).any():
        raise ValueError(f"targets must be whole numbers from 0 to {top}, found {y.min()} to {y.max()}")
    if task == "single" and x.shape[1] < 2:
        raise ValueError("single-label data need at least two classes, found one")
    return x, y.astype(np.int64)


def _array(values: Array) -> npt.NDArray[Any]:
    """Return a tensor or array as an array; bfloat16, which numpy lacks, becomes float32."""
    if not isinstance(values, torch.Tensor):
        return np.asarray(values)
    values = values.detach().cpu()
    return np.asarray((values.float() if values.dtype == torch.bfloat16 else values).numpy())
