"""Average precision and area under the ROC curve of each class, by one sort of its clips and binary searches.

Both equal scikit-learn's values, also with ties: clips of equal score enter the ranking together. This module exists
for speed: a class takes one sort and four binary searches (527 classes at 20,371 clips take well under a second),
whereas scikit-learn and torchmetrics build whole curves.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.floating]
Floats = npt.NDArray[np.float64]

BLOCK = 256
"""Number of rows that are transposed at once."""


def average_precision(scores: Matrix, positive: npt.NDArray[np.bool_]) -> Floats:
    """Return `(C,)` average precisions of scores `(N, C)`; NaN for a class without positives."""
    return average_precision_and_auc(scores, positive)[0]


def average_precision_and_auc(scores: Matrix, positive: npt.NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Return `(C,)` average precisions and areas under the ROC curve.

    AP is the mean, over the positives, of the precision among all clips with at least the positive's score. AUC is the
    share of pairs (positive, negative) in the right order; a tie counts half.

    Args:
        scores: `(N, C)`, higher means more likely.
        positive: `(N, C)`.

    Returns:
        Both arrays; NaN for a class without positives, and the AUC also NaN for a class without negatives.
    """
    clips, classes = scores.shape
    precision, area = np.full(classes, np.nan), np.full(classes, np.nan)
    for c, (column, is_hit) in enumerate(zip(_columns(scores), _columns(positive), strict=True)):
        hits = np.sort(column[is_hit])  # (P,)
        if not len(hits):
            continue
        column.sort()
        below, hits_below = np.searchsorted(column, hits), np.searchsorted(hits, hits)
        precision[c] = np.mean((len(hits) - hits_below) / (clips - below))
        if negatives := clips - len(hits):
            up_to = np.searchsorted(column, hits, side="right") - np.searchsorted(hits, hits, side="right")
            area[c] = np.mean(below - hits_below + up_to) / (2 * negatives)
    return precision, area


def _columns(rows: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return `(C, N)`, contiguous; copying blocks of rows that fit the cache is three times as fast as one copy."""
    columns = np.empty(rows.shape[::-1], rows.dtype)
    for first in range(0, len(rows), BLOCK):
        columns[:, first : first + BLOCK] = rows[first : first + BLOCK].T
    return columns
