"""Division of clips: by official folds, or by their sources where there are none."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from datamodules.base import DataError, Splits
from datamodules.clips.array_clips import ArrayClips


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


def rotated(clips: ArrayClips, folds: Sequence[int], test: int) -> Splits:
    """Return the clips split by `rotate`."""
    train, val, held_out = rotate(folds, test)
    return Splits(clips.select(train), clips.select(val), clips.select(held_out))


def drop_leaks(train: ArrayClips, val: ArrayClips, test: ArrayClips) -> tuple[Splits, list[str], list[str]]:
    """Drop training clips that validation or test also has, and validation clips that test also has.

    Two clips count as the same if they share a group or a content hash. This is for datasets whose official parts split
    sources or hold copies; the test part stays as published.

    Returns:
        Splits that share neither group nor content hash, and the ids of the training and the validation clips left out.
    """
    own_val, from_val = _without(val, test)
    own_train, from_train = _without(train, own_val, test)
    return Splits(own_train, own_val, test), from_train, from_val


def _without(clips: ArrayClips, *others: ArrayClips) -> tuple[ArrayClips, list[str]]:
    taken = {value for other in others for value in (*other.groups, *other.hashes)}
    shared = [not taken.isdisjoint(pair) for pair in zip(clips.groups, clips.hashes, strict=True)]
    left_out = [clip for clip, out in zip(clips.ids, shared, strict=True) if out]
    return clips.select(np.flatnonzero(~np.array(shared, bool))), left_out


def grouped_folds(groups: Sequence[str], labels: Sequence[int], n: int, seed: int = 0) -> list[int]:
    """Divide clips into `n` folds that keep groups together and spread each class as evenly as possible.

    Groups are dealt out from the largest to the smallest, each to the fold that has the fewest of its clips' classes.

    Returns:
        The fold of each clip, 0 to n - 1.
    """
    names, members = np.unique(np.asarray(groups), return_inverse=True)
    if len(names) < n:
        raise DataError(f"{len(names)} sources cannot fill {n} folds: add clips or define smaller groups")
    counts = np.zeros((len(names), max(labels) + 1), np.int64)  # (groups, C)
    np.add.at(counts, (members, np.asarray(labels)), 1)
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


def grouped_shares(groups: Sequence[str], labels: Sequence[int], shares: Sequence[float], seed: int = 0) -> list[int]:
    """Divide clips into parts of given shares that keep groups together, each class in about these shares.

    Groups are dealt out from the largest to the smallest, each to the part that is furthest below its share of the
    group's classes (Sainte-Laguë's rule for seats). A class's last groups go to the parts that have none of it
    yet, so a part lacks a class only where the class has fewer groups than there are parts.

    Args:
        groups: source of each clip.
        labels: class of each clip.
        shares: of the parts, above 0.
        seed: orders groups of one size.

    Returns:
        The part of each clip, 0 to `len(shares) - 1`.
    """
    names, members = np.unique(np.asarray(groups), return_inverse=True)
    counts = np.zeros((len(names), max(labels) + 1), np.int64)  # (groups, C)
    np.add.at(counts, (members, np.asarray(labels)), 1)
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


def merged(groups: Sequence[str], hashes: Sequence[str]) -> list[str]:
    """Return the group of each clip after merging groups that share audio; the first group gives the name."""
    names, group = np.unique(np.asarray(groups), return_inverse=True)
    _, content = np.unique(np.asarray(hashes), return_inverse=True)
    nodes = len(names) + len(hashes)  # groups, then contents, each clip an edge from its group to its content
    edges = coo_array((np.ones(len(groups)), (group, len(names) + content)), shape=(nodes, nodes))
    _, component = connected_components(edges, directed=False)
    first: dict[int, str] = {}
    return [first.setdefault(int(component[of]), name) for of, name in zip(group, groups, strict=True)]
