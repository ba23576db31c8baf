"""Dropout in distributed training: each process draws for the clips of all processes, and uses the draws of its own.

The draws of a step are those of one process with the whole batch, of which each of W processes has every W-th clip.
A layer may see several rows of each clip, one after another, such as its frames.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from models.layers.dropout import CheapDropout

_CHANNELS = ("dropout1d", "dropout2d", "dropout3d")
_NAMES = ("dropout", "alpha_dropout", *_CHANNELS)
_TORCH: dict[str, Callable[..., Tensor]] = {name: getattr(F, name) for name in _NAMES}
_ALPHA = 1.7580993408473766  # SELU's scale times its slope at minus infinity, as torch has it

_clips, _of_all = 0, 0
"""Clips that this process and all processes have in the present step; 0 where that is not known: rows are clips then,
and all processes have as many."""


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Zero a share `p` of the values `(B, ...)`, as `F.dropout` does for the clips of all processes together."""
    if not training or not 0 < p < 1 or input.dim() < 2:
        return _TORCH["dropout"](input, p, training, inplace)
    mask = _own(_TORCH["dropout"](_ones(input, _layout(input)), p, True), input)
    return input.mul_(mask) if inplace else input * mask


def alpha_dropout(input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False) -> Tensor:
    """Set a share `p` of the values `(B, ...)` to SELU's limit, and keep mean and variance, as `F.alpha_dropout`."""
    if not training or not 0 < p < 1 or input.dim() < 2:
        return _TORCH["alpha_dropout"](input, p, training, inplace)
    kept = (_own(_TORCH["dropout"](_ones(input, _layout(input)), p, True), input) > 0).to(input.dtype)
    scale = 1 / ((_ALPHA**2 * p + 1) * (1 - p)) ** 0.5
    offset = (kept - 1) * (_ALPHA * scale) + _ALPHA * scale * p
    return input.mul_(kept * scale).add_(offset) if inplace else input * (kept * scale) + offset


def _of_channels(name: str) -> Callable[..., Tensor]:
    """Return `F.dropout1d`, `2d` or `3d` for the clips of all processes together."""

    def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
        if not training or not 0 < p < 1 or input.dim() < int(name[-2]) + 2:
            return _TORCH[name](input, p, training, inplace)
        mask = _own(_TORCH[name](_ones(input, range(input.dim())), p, True), input)
        return input.mul_(mask) if inplace else input * mask

    return dropout


class _SharedCheapDropout(CheapDropout):
    """`CheapDropout` whose draws are for the clips of all processes."""

    def forward(self, input: Tensor) -> Tensor:
        if not self.training or not 0 < self.p < 1 or input.dim() < 2:
            return super().forward(input)
        return input * _own(super().forward(_ones(input, range(input.dim()))), input)


def _layout(input: Tensor) -> Sequence[int]:
    """Return the axes from the outermost to the innermost one; torch draws in the order of memory."""
    return sorted(range(input.dim()), key=lambda axis: input.stride()[axis], reverse=True)


def _ones(input: Tensor, layout: Sequence[int]) -> Tensor:
    """Return ones like the batch of all processes."""
    rows = _rows(input)
    clips = _of_all if rows else len(input) * torch.distributed.get_world_size()
    shape = clips * max(rows, 1), *input.shape[1:]
    return torch.empty_permuted(shape, tuple(layout), dtype=input.dtype, device=input.device).fill_(1)


def _rows(input: Tensor) -> int:
    """Return how many rows each clip has; 0 where the rows are not those of clips."""
    return len(input) // _clips if _clips and len(input) % _clips == 0 else 0


def _own(mask: Tensor, input: Tensor) -> Tensor:
    """Return the rows of this process's clips."""
    rank, world = torch.distributed.get_rank(), torch.distributed.get_world_size()
    return mask.view(-1, max(_rows(input), 1), *mask.shape[1:])[rank::world].flatten(0, 1)


def apply(model: nn.Module) -> None:
    """Let a model's dropout, and every later call of torch's dropout in this process, share its draws."""
    F.dropout, F.alpha_dropout = dropout, alpha_dropout
    for name in _CHANNELS:
        setattr(F, name, _of_channels(name))
    for module in model.modules():
        if type(module) is CheapDropout:
            module.__class__ = _SharedCheapDropout
    if (step := getattr(model, "training_step", None)) is not None:
        vars(model)["training_step"] = _counted(step)


def revert(model: nn.Module) -> None:
    """Take `apply` back."""
    global _clips, _of_all
    _clips = _of_all = 0
    for name, function in _TORCH.items():
        setattr(F, name, function)
    for module in model.modules():
        if type(module) is _SharedCheapDropout:
            module.__class__ = CheapDropout  # type: ignore[assignment]
    vars(model).pop("training_step", None)


def _counted(step: Callable[..., Any]) -> Callable[..., Any]:
    """Return a training step that says how many clips it has, and whose loss weighs as much as its clips.

    The gradients of all processes are averaged, and the last step of an epoch may have a clip more on some of them.
    """

    def counted(batch: Any, *arguments: Any, **named: Any) -> Any:
        global _clips, _of_all
        first = next((leaf for leaf in tree_leaves(batch) if isinstance(leaf, Tensor) and leaf.dim()), None)
        if first is None:
            _clips = _of_all = 0
            return step(batch, *arguments, **named)
        total = torch.tensor(len(first), device=first.device)
        torch.distributed.all_reduce(total)
        _clips, _of_all = len(first), int(total)
        return _weighted(step(batch, *arguments, **named), _clips * torch.distributed.get_world_size() / _of_all)

    return counted


def _weighted(result: Any, weight: float) -> Any:
    """Return what a training step returns with its loss times a weight."""
    if weight == 1 or result is None:
        return result
    if isinstance(result, Mapping):
        return {**result, "loss": result["loss"] * weight} if "loss" in result else result
    return result * weight
