"""Maps that lie channels last in memory, as the convolutions of a CPU and the tensor cores of a GPU prefer them.

The maps change, and the weights don't: torch's fused optimisers on a CPU combine parameters, gradients and moments of
different layouts by their places in memory, and a checkpoint's moments have the layout of the training that wrote it.
"""

from typing import Any

import torch
from torch import Tensor, nn

from models.layers import norm


def channels_last(x: Tensor) -> Tensor:
    """Return maps `(B, C, H, W)` as they are, or as a copy that lies channels last."""
    if x.shape[1] == 1:  # of a single channel, both layouts are the same, and only the strides say which it is
        return x.contiguous().squeeze(1).unsqueeze(3).permute(0, 3, 1, 2)
    return x.contiguous(memory_format=torch.channels_last)


def enter(model: nn.Module) -> None:
    """Let all 2-D convolutions of a model take their maps channels last, and fuse its batch norms in training."""
    leave(model)
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_pre_hook(_laid_out)
    norm.fuse(model, True)


def leave(model: nn.Module) -> None:
    """Undo `enter`; nothing where it was not called."""
    for module in model.modules():
        hooks = module._forward_pre_hooks
        for number in [number for number, hook in hooks.items() if hook is _laid_out]:
            del hooks[number]
    norm.fuse(model, False)


def _laid_out(module: nn.Module, given: tuple[Any, ...]) -> tuple[Any, ...]:
    x, *others = given
    return channels_last(x) if isinstance(x, Tensor) and x.ndim == 4 else x, *others
