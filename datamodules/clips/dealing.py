"""Dividing clips among folds or parts so that clips of one source stay together. Never imports torch."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from datamodules.errors import DataError

Labels = Sequence[int] | NDArray[np.int64]
"""The class of each clip, or `(N, C)` zeros and ones where a clip may have several."""


def one_hot(labels: Labels) -> NDArray[np.int64]:
    """Return the classes of each clip as zeros and ones `(N, C)`."""
    found = np.asarray(labels, dtype=np.int64)
    if found.ndim == 2:
        return found
    positives = np.zeros((len(found), int(found.max(initial=-1)) + 1), np.int64)
    positives[np.arange(len(found)), found] = 1
    return positives


def rotate(folds: Sequence[int], test: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return the indices of the training, validation and test clips.

    Args:
        folds: fold of each clip, as the dataset numbers them.
        test: 0-based position of the test fold among the sorted folds; validation is the next (wrapping), the rest
            trains.
    """
    names = sorted(set(folds))
    if not 0 <= test < len(names) or len(names) < 3:
        raise DataError(f"no test fold {test} with {len(names)} folds: train, validation and test need at least 3")
    number = np.asarray(folds)
    is_test = number == names[test]
    is_val = number == names[(test + 1) % len(names)]
    return np.flatnonzero(~is_test & ~is_val), np.flatnonzero(is_val), np.flatnonzero(is_test)


def grouped_folds(groups: Sequence[str], labels: Labels, n: int, seed: int = 0) -> list[int]:
    """Divide clips into `n` folds that keep groups together and spread each class as evenly as possible.

    Groups are dealt out from the largest to the smallest, each to the fold that has the fewest of its clips' classes.

    Returns:
        The fold of each clip, 0 to n - 1.
    """
    positives = one_hot(labels)
    names, members = np.unique(np.asarray(groups), return_inverse=True)
    if len(names) < n:
        raise DataError(f"{len(names)} sources cannot fill {n} folds: add clips or define smaller groups")
    counts = np.zeros((len(names), positives.shape[1]), np.int64)  # (groups, C)
    np.add.at(counts, members, positives)
    shuffled = np.random.default_rng(seed).permutation(len(names))
    largest_first = shuffled[np.argsort(-counts[shuffled].sum(1), kind="stable")]

    filled = np.zeros((n, counts.shape[1]), np.int64)  # (folds, C)
    fold_of = np.zeros(len(names), np.int64)
    for group in largest_first:
        crowding = filled @ counts[group]
        fold = min(range(n), key=lambda f: (crowding[f], filled[f].sum()))
        fold_of[group] = fold
        filled[fold] += counts[group]
    return [int(fold) for fold in fold_of[members]]


def grouped_shares(groups: Sequence[str], labels: Labels, shares: Sequence[float], seed: int = 0) -> list[int]:
    """Divide clips into parts of given shares that keep groups together, each class in about these shares.

    Groups are dealt out from the largest to the smallest, each to the part that is furthest below its share of the
    group's classes (Sainte-Laguë's rule for seats). A class's last groups go to the parts that have none of it
    yet, so a part lacks a class only where the class has fewer groups than there are parts.

    Args:
        groups: source of each clip.
        labels: class of each clip, or its classes as zeros and ones.
        shares: of the parts, above 0.
        seed: orders groups of one size.

    Returns:
        The part of each clip, 0 to `len(shares) - 1`.
    """
    positives = one_hot(labels)
    names, members = np.unique(np.asarray(groups), return_inverse=True)
    counts = np.zeros((len(names), positives.shape[1]), np.int64)  # (groups, C)
    np.add.at(counts, members, positives)
    shuffled = np.random.default_rng(seed).permutation(len(names))
    largest_first = shuffled[np.argsort(-counts[shuffled].sum(1), kind="stable")]

    weights = 1 / np.maximum(counts.sum(0), 1)  # (C,), so that a rare class counts as much as a frequent one
    undealt = (counts > 0).sum(0)  # (C,) groups of each class
    filled = np.zeros((len(shares), counts.shape[1]))  # (parts, C)
    part_of = np.zeros(len(names), np.int64)
    for group in largest_first:
        crowding = (filled + counts[group] / 2) @ (counts[group] * weights) / np.asarray(shares)  # (parts,)
        label = int(counts[group].argmax())
        without = np.flatnonzero(filled[:, label] == 0)
        choice = without if len(without) >= undealt[label] else np.arange(len(shares))
        part = choice[crowding[choice].argmin()]
        part_of[group] = part
        filled[part] += counts[group]
        undealt -= counts[group] > 0
    return [int(part) for part in part_of[members]]
