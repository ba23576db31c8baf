"""Dropout in distributed training: each process draws for the clips of all processes, and uses the draws of its own.

The draws of a step are those of one process with the whole batch, of which each of W processes has every W-th clip.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.layers.dropout import CheapDropout

_dropout: Callable[..., Tensor] = F.dropout


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Zero a share `p` of the values `(B, ...)`, as `F.dropout` does for the clips of all processes together."""
    if not training or not 0 < p < 1 or input.dim() < 2:
        return _dropout(input, p, training, inplace)
    layout = sorted(
        range(input.dim()), key=lambda axis: input.stride()[axis], reverse=True
    )  # torch draws in the order of memory
    mask = _own(_dropout(_ones(input, layout), p, True))
    return input.mul_(mask) if inplace else input * mask


class _SharedCheapDropout(CheapDropout):
    """`CheapDropout` whose draws are for the clips of all processes."""

    def forward(self, input: Tensor) -> Tensor:
        if not self.training or not 0 < self.p < 1 or input.dim() < 2:
            return super().forward(input)
        return input * _own(super().forward(_ones(input, range(input.dim()))))


def _ones(input: Tensor, layout: "range | list[int]") -> Tensor:
    """Return ones like the batch of all processes."""
    shape = input.shape[0] * torch.distributed.get_world_size(), *input.shape[1:]
    return torch.empty_permuted(shape, tuple(layout), dtype=input.dtype, device=input.device).fill_(1)


def _own(mask: Tensor) -> Tensor:
    """Return the rows of this process."""
    return mask[torch.distributed.get_rank() :: torch.distributed.get_world_size()]


def apply(model: nn.Module) -> None:
    """Let a model's dropout, and every later call of `F.dropout` in this process, share its draws."""
    F.dropout = dropout
    for module in model.modules():
        if type(module) is CheapDropout:
            module.__class__ = _SharedCheapDropout


def revert(model: nn.Module) -> None:
    """Take `apply` back."""
    F.dropout = _dropout
    for module in model.modules():
        if type(module) is _SharedCheapDropout:
            module.__class__ = CheapDropout  # type: ignore[assignment]
