"""Bootstrap over groups: the metric of many draws at once; a draw is the number of times that each clip counts."""

from itertools import pairwise

import numpy as np
import numpy.typing as npt
from scipy import sparse

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.int64]

_DRAWS_AT_ONCE = 64


def group_counts(groups: int, draws: int, seed: int) -> Integers:
    """Return `(D, G)` how often each of G groups occurs in each of D draws of G groups with replacement."""
    return np.random.default_rng(seed).multinomial(groups, np.full(groups, 1 / groups), size=draws)


def accuracies(right: Flags, group: Integers, counts: Integers) -> Floats:
    """Return each draw's accuracy `(D,)`, from right `(N,)`, the group of each clip `(N,)` and counts `(D, G)`."""
    clips = np.bincount(group, minlength=counts.shape[1])  # (G,)
    hits = np.bincount(group, weights=right, minlength=counts.shape[1])  # (G,)
    return np.asarray((counts @ hits) / (counts @ clips))


def mean_average_precisions(
    scores: npt.NDArray[np.floating], positive: Flags, group: Integers, counts: Integers
) -> Floats:
    """Return each draw's mAP `(D,)`; NaN for a draw in which no class has a positive.

    The precision at a positive needs the number of drawn clips with at least its score. Between two positives this
    number is a sum over clips. Therefore all sums of all classes are one sparse matrix times the clips' counts.

    Args:
        scores: `(N, C)`, higher means more likely.
        positive: `(N, C)`.
        group: `(N,)` group of each clip.
        counts: `(D, G)` from `group_counts`.
    """
    between, at, starts = _steps(scores, positive)  # (K, N), (K, N), (C' + 1,) with K steps of C' classes
    values = []
    for first in range(0, len(counts), _DRAWS_AT_ONCE):
        weights = np.ascontiguousarray(counts[first : first + _DRAWS_AT_ONCE, group].T, dtype=np.float32)  # (N, d)
        clips, hits = between @ weights, at @ weights  # (K, d), whole numbers below 2^24
        total = np.zeros(weights.shape[1])
        classes = np.zeros(weights.shape[1])
        for start, stop in pairwise(starts):
            hits_so_far = hits[start:stop].cumsum(0)
            clips_so_far = np.maximum(clips[start:stop].cumsum(0), 1)  # none drawn: no hits either
            gained = (hits[start:stop] * (hits_so_far / clips_so_far)).sum(0)  # (d,)
            total += gained / np.maximum(hits_so_far[-1], 1)
            classes += hits_so_far[-1] > 0
        values.append(np.divide(total, classes, out=np.full(len(total), np.nan), where=classes > 0))
    return np.concatenate(values)


def _steps(scores: npt.NDArray[np.floating], positive: Flags) -> tuple[sparse.csr_array, sparse.csr_array, list[int]]:
    """Return the clips and the positives between each class's distinct positive scores, from the highest score down.

    Returns:
        `between` (K, N): clips with at least the score of step k and less than that of step k - 1; `at` (K, N):
        positives with the score of step k; and the first step of each class that has positives, with K at the end.
    """
    starts = [0]
    rows, columns, hit_rows, hit_columns = [], [], [], []
    for column, is_hit in zip(np.ascontiguousarray(scores.T), np.ascontiguousarray(positive.T), strict=True):
        if not is_hit.any():
            continue
        steps = np.unique(column[is_hit])  # ascending
        step = len(steps) - np.searchsorted(
            steps, column, side="right"
        )  # (N,), len(steps) for clips below all positives
        clips = np.flatnonzero(step < len(steps))
        rows.append(step[clips] + starts[-1])
        columns.append(clips)
        hits = np.flatnonzero(is_hit)
        hit_rows.append(step[hits] + starts[-1])
        hit_columns.append(hits)
        starts.append(starts[-1] + len(steps))
    return (
        _incidence(rows, columns, (starts[-1], len(scores))),
        _incidence(hit_rows, hit_columns, (starts[-1], len(scores))),
        starts,
    )


def _incidence(rows: list[Integers], columns: list[Integers], shape: tuple[int, int]) -> sparse.csr_array:
    """Return a sparse matrix with ones at these positions."""
    row = np.concatenate(rows).astype(np.int32) if rows else np.zeros(0, np.int32)
    column = np.concatenate(columns).astype(np.int32) if columns else np.zeros(0, np.int32)
    return sparse.csr_array((np.ones(len(row), np.float32), (row, column)), shape=shape)
