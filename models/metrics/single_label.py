"""Metrics of data with one label per clip."""

import numpy as np
import numpy.typing as npt
import torch
from torchmetrics.functional.classification import (
    multiclass_accuracy,
    multiclass_calibration_error,
    multiclass_confusion_matrix,
    multiclass_f1_score,
    multiclass_precision,
    multiclass_recall,
)

Matrix = npt.NDArray[np.floating]
Indices = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def plain(logits: Matrix, targets: Indices) -> dict[str, float | None]:
    """Return the scalar metrics: accuracy, top-5 accuracy (for more than 10 classes), calibration error, NLL.

    Args:
        logits: `(N, C)`.
        targets: `(N,)` class indices.
    """
    classes = logits.shape[1]
    log_probabilities = torch.from_numpy(log_softmax(logits))  # (N, C)
    y = torch.from_numpy(targets)
    values: dict[str, float | None] = {
        # the argmax of the logits, because probabilities may tie where logits do not
        "accuracy": float((logits.argmax(1) == targets).mean()),
        "ece": calibration_error(log_probabilities.exp(), y),
        "nll": float(torch.nn.functional.nll_loss(log_probabilities, y)),
    }
    if classes > 10:
        top5 = multiclass_accuracy(log_probabilities, y, num_classes=classes, average="micro", top_k=5)
        values["top5_accuracy"] = float(top5)
    return values


def calibration_error(probabilities: torch.Tensor, targets: torch.Tensor) -> float:
    """Return the expected calibration error over 15 bins of equal width (Guo et al. 2017, arXiv:1706.04599).

    A bin contains its lower edge; the last bin also contains 1. torchmetrics rounds probabilities to 32 bits and puts
    probabilities that become 1 into a 16th bin. They are therefore limited to the next smaller number, 1 - 2^-24.

    Args:
        probabilities: `(N, C)`; not logits, because torchmetrics takes logits within [0, 1] for probabilities.
        targets: `(N,)` class indices.
    """
    limited = probabilities.clamp(max=1 - 2**-24)
    return float(multiclass_calibration_error(limited, targets, num_classes=limited.shape[1], n_bins=15))


def one_or_other(logits: Matrix, targets: Indices, of: int) -> float:
    """Return the binary accuracy of one class against all other classes.

    Args:
        logits: `(N, C)`.
        targets: `(N,)` class indices.
        of: the class.
    """
    return float(((logits.argmax(1) == of) == (targets == of)).mean())


def per_class(logits: Matrix, targets: Indices) -> dict[str, Floats]:
    """Return precision, recall and F1 `(C,)` of each class under the names of their macro means.

    A class without targets is NaN. A class with targets that is never predicted has precision 0.
    """
    classes = logits.shape[1]
    predicted, y = torch.from_numpy(logits.argmax(1)), torch.from_numpy(targets)
    absent = np.bincount(targets, minlength=classes) == 0  # (C,)
    functions = {
        "macro_f1": multiclass_f1_score,
        "macro_precision": multiclass_precision,
        "macro_recall": multiclass_recall,
    }
    return {
        name: np.where(absent, np.nan, function(predicted, y, num_classes=classes, average="none").double().numpy())
        for name, function in functions.items()
    }


def confusion(logits: Matrix, targets: Indices) -> tuple[tuple[int, ...], ...]:
    """Return numbers of clips, rows true, columns predicted."""
    predicted, y = torch.from_numpy(logits.argmax(1)), torch.from_numpy(targets)
    counts = multiclass_confusion_matrix(predicted, y, num_classes=logits.shape[1])  # (C, C)
    return tuple(tuple(row) for row in counts.tolist())


def log_odds(logits: Matrix) -> Floats:
    """Return log(p / (1 - p)) `(N, C)` of the softmax probabilities, also accurate where p rounds to 0 or 1."""
    x = torch.from_numpy(logits.astype(np.float64))
    top = x.argmax(1, keepdim=True)  # (N, 1), the only class whose p may exceed 1/2
    rest = x.scatter(1, top, -torch.inf).logsumexp(1, keepdim=True)  # (N, 1)
    log_p = x.log_softmax(1)  # (N, C)
    odds = log_p - torch.log1p(-log_p.exp().clamp(max=0.5))
    return np.asarray(odds.scatter(1, top, x.gather(1, top) - rest).numpy())


def log_softmax(logits: Matrix) -> Floats:
    """Return log-probabilities `(N, C)` in double precision."""
    return np.asarray(torch.from_numpy(logits.astype(np.float64)).log_softmax(1).numpy())
