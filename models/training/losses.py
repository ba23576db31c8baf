"""Losses of single-label and multi-label classification, and of distillation."""

import math

import torch.nn.functional as F
from torch import Tensor

from models.errors import TrainingError
from models.metrics import Task


def classification_loss(logits: Tensor, target: Tensor, task: Task, smoothing: float = 0.0) -> Tensor:
    """Return the cross-entropy over classes, or the binary cross-entropy per label.

    Args:
        logits: `(B, C)`.
        target: `(B,)` class indices or `(B, C)` shares of the classes.
        task: "single" or "multi" label.
        smoothing: share of the target that is spread over all classes.
    """
    if task == "single":
        return F.cross_entropy(logits, target, label_smoothing=smoothing)
    return F.binary_cross_entropy_with_logits(logits, target * (1 - smoothing) + smoothing / 2)


def softened(logits: Tensor, task: Task, temperature: float) -> Tensor:
    """Return the distribution `(B, C)` of logits at a temperature: over classes, or of each label."""
    logits = logits / temperature
    return logits.softmax(1) if task == "single" else logits.sigmoid()


def distillation_loss(logits: Tensor, goal: Tensor, task: Task, temperature: float) -> Tensor:
    """Return the cross-entropy against the teacher's distribution at temperature T, times T².

    The factor keeps the size of the gradients (Hinton et al. 2015, arXiv 1503.02531, section 2). For multi-label data
    it is the binary cross-entropy of each label, which the paper does not treat.

    Args:
        logits: the student's, `(B, C)`.
        goal: the teacher's distribution at T, `(B, C)`.
        task: "single" or "multi" label.
        temperature: T.
    """
    return temperature**2 * classification_loss(logits / temperature, goal, task)


def finite(value: float, what: str, epoch: int) -> float:
    """Return the value.

    Raises:
        TrainingError: it is NaN or infinite.
    """
    if not math.isfinite(value):
        raise TrainingError(f"the {what} is {value} in epoch {epoch + 1}: lower the learning rate or clip gradients")
    return value
