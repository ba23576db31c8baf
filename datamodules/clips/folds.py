"""Division of clips: by official folds, or by their sources where there are none."""

from collections.abc import Sequence

import numpy as np

from datamodules.base import Splits
from datamodules.clips.array_clips import ArrayClips
from datamodules.clips.dealing import grouped_folds as grouped_folds
from datamodules.clips.dealing import grouped_shares as grouped_shares
from datamodules.clips.dealing import rotate as rotate


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


def merged(groups: Sequence[str], hashes: Sequence[str]) -> list[str]:
    """Return the group of each clip after merging groups that share audio; the first group gives the name."""
    from scipy.sparse import coo_array  # takes as long to import as reading a cached dataset
    from scipy.sparse.csgraph import connected_components

    names, group = np.unique(np.asarray(groups), return_inverse=True)
    _, content = np.unique(np.asarray(hashes), return_inverse=True)
    nodes = len(names) + len(hashes)  # groups, then contents, each clip an edge from its group to its content
    edges = coo_array((np.ones(len(groups)), (group, len(names) + content)), shape=(nodes, nodes))
    _, component = connected_components(edges, directed=False)
    first: dict[int, str] = {}
    return [first.setdefault(int(component[of]), name) for of, name in zip(group, groups, strict=True)]
