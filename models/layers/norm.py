"""Batch normalisation and the activation after it, fused in a training step that asks for it.

Without `fuse`, in eval mode, and where the kernel does not fit, these are torch's operations, one after another.
"""

import math
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

FUSED = "fuses_training"
"""Attribute of a norm that `fuse` has marked."""


def fuse(model: nn.Module, on: bool) -> None:
    """Let the model's batch norms compute with the kernel in training, or no longer."""
    for module in model.modules():
        if isinstance(module, (nn.BatchNorm2d, MaxPool)):
            if on:
                setattr(module, FUSED, True)
            elif hasattr(module, FUSED):
                delattr(module, FUSED)


def normalised(norm: nn.BatchNorm2d, x: Tensor, activation: Callable[[Tensor], Tensor] | None = None) -> Tensor:
    """Return the activation of `norm(x)`, for maps `(B, C, H, W)`.

    Args:
        norm: the batch norm.
        x: the maps.
        activation: a module or a function; None for no activation.
    """
    if norm.training and getattr(norm, FUSED, False):
        limits = _limits(activation)
        kernel = _kernel()
        if limits is not None and kernel is not None and _fits(norm, x, kernel[0]):
            assert norm.num_batches_tracked is not None
            norm.num_batches_tracked.add_(1)
            fused: Tensor = kernel[0].NormActivation.apply(
                x, norm.weight, norm.bias, norm.running_mean, norm.running_var, norm.momentum, norm.eps, *limits
            )
            return fused
    y: Tensor = norm(x)
    return y if activation is None else activation(y)


class MaxPool(nn.Module):
    """Maximum over 2×2 places, over fewer at odd ends."""

    def forward(self, x: Tensor) -> Tensor:
        """Map `(B, C, H, W)` to `(B, C, ⌈H / 2⌉, ⌈W / 2⌉)`."""
        kernel = _kernel() if getattr(self, FUSED, False) and self.training else None
        if kernel is not None and _here(x) and kernel[1].fits(x):
            fused: Tensor = kernel[1].MaxPool.apply(x)
            return fused
        return F.max_pool2d(x, 2, ceil_mode=True)


class FusedSequential(nn.Sequential):
    """nn.Sequential in which a batch norm and the activation after it may be fused in training."""

    def forward(self, x: Tensor) -> Tensor:
        """Map maps `(B, C, H, W)` through all modules."""
        if not self.training:
            return super().forward(x)  # type: ignore[no-any-return, no-untyped-call]
        modules = list(self)
        while modules:
            module = modules.pop(0)
            if type(module) is nn.BatchNorm2d:
                following = modules.pop(0) if modules and _limits(modules[0]) is not None else None
                x = normalised(module, x, following)
            else:
                x = module(x)
        return x


def _limits(activation: Any) -> tuple[float, float] | None:
    """Return the factor of negative values and the largest value of an activation; None of one without these."""
    if activation is None:
        return 1.0, math.inf
    if activation in (F.relu, F.relu_, torch.relu) or type(activation) is nn.ReLU:
        return 0.0, math.inf
    if type(activation) is nn.ReLU6:
        return 0.0, 6.0
    if activation is F.leaky_relu:
        return 0.01, math.inf
    if type(activation) is nn.LeakyReLU:
        return activation.negative_slope, math.inf
    return None


def _fits(norm: nn.BatchNorm2d, x: Tensor, kernel: Any) -> bool:
    """Return whether the kernel computes what the norm does."""
    affine = norm.weight is not None and norm.weight.dtype == torch.float32
    usual = affine and norm.running_mean is not None and norm.momentum is not None
    return usual and _here(x) and bool(kernel.fits(x))


def _here(x: Tensor) -> bool:
    """Return whether kernels of one thread of a CPU are of use."""
    eager = torch.is_grad_enabled() and not torch.compiler.is_compiling()
    return eager and x.device.type == "cpu" and torch.get_num_threads() == 1


@cache
def _kernel() -> Any:
    """Return the modules of kernels; None where numba is not installed."""
    try:
        from models.kernels import norm_cpu, pool_cpu
    except ImportError:
        return None
    return norm_cpu, pool_cpu
