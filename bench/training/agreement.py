"""Decisions that the processes of one training take together. A process that trains alone decides by itself."""

from typing import Any

import torch

from datamodules.clips.draws import place_among_ranks


def any_of(wish: bool, device: torch.device) -> bool:
    """Return whether a process of the training has this wish; all of them call this at the same place."""
    if place_among_ranks()[1] == 1:
        return wish
    wishes = torch.tensor(int(wish), device=device)
    torch.distributed.all_reduce(wishes, torch.distributed.ReduceOp.MAX)
    return bool(wishes.item())


def of_first(value: Any) -> Any:
    """Return the first process's value, which can be pickled and is small."""
    if place_among_ranks()[1] == 1:
        return value
    values = [value]
    torch.distributed.broadcast_object_list(values)
    return values[0]


def of_all(value: Any) -> list[Any]:
    """Return the value of each process, in their order; it can be pickled and is small."""
    ranks = place_among_ranks()[1]
    if ranks == 1:
        return [value]
    values: list[Any] = [None] * ranks
    torch.distributed.all_gather_object(values, value)
    return values
