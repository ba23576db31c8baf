"""Batch normalisation, the activation and the pooling after it, fused in a training step that asks for it.

Without `fuse`, in eval mode, and where the kernel does not fit, these are torch's operations, one after another.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.kernels.loading import available

FUSED = "fuses_training"
"""Attribute of a norm or a pooling that `fuse` has marked."""


def fuse(model: nn.Module, on: bool) -> None:
    """Let the model's batch norms and poolings compute with kernels in training, or no longer."""
    for module in model.modules():
        if isinstance(module, (nn.BatchNorm2d, nn.MaxPool2d, MeanMax)):
            if on:
                setattr(module, FUSED, True)
            elif hasattr(module, FUSED):
                delattr(module, FUSED)


def normalised(
    norm: nn.BatchNorm2d, x: Tensor, activation: Callable[[Tensor], Tensor] | None = None, pools: bool = False
) -> Tensor:
    """Return the activation of `norm(x)`, for maps `(B, C, H, W)`.

    Args:
        norm: the batch norm.
        x: the maps.
        activation: a module or a function; None for no activation.
        pools: whether the maxima over 2×2 places are returned, `(B, C, ⌈H / 2⌉, ⌈W / 2⌉)`.
    """
    if norm.training and getattr(norm, FUSED, False) and _is_only(norm, nn.BatchNorm2d) and not _hooked(activation):
        limits = _limits(activation)
        kernel = available("norm_pool_cpu" if pools else "norm_cpu")
        rises = limits is not None and (limits[0] >= 0 or not pools)  # or the maximum need not stay one
        if limits is not None and rises and kernel is not None and _fits(norm, x, kernel):
            assert norm.num_batches_tracked is not None
            norm.num_batches_tracked.add_(1)
            operation = kernel.NormActivationPool if pools else kernel.NormActivation
            fused: Tensor = operation.apply(
                x, norm.weight, norm.bias, norm.running_mean, norm.running_var, norm.momentum, norm.eps, *limits
            )
            return fused
    y: Tensor = norm(x)
    y = y if activation is None else activation(y)
    return pooled(y) if pools else y


def pooled(x: Tensor) -> Tensor:
    """Return the maxima over 2×2 places of maps `(B, C, H, W)`, over fewer at odd ends: `(B, C, ⌈H / 2⌉, ⌈W / 2⌉)`.

    They lie channels last, in which a CPU finds them in two thirds of the time.
    """
    return F.max_pool2d(x.contiguous(memory_format=torch.channels_last), 2, ceil_mode=True)


def _largest(module: nn.MaxPool2d, x: Tensor) -> Tensor:
    """Return `module(x)` for maps `(B, C, H, W)`."""
    usual = [module.kernel_size, module.stride, module.padding, module.dilation] in (
        [2, 2, 0, 1],
        [(2, 2)] * 2 + [0, 1],
    )
    fused = getattr(module, FUSED, False) and usual and not module.ceil_mode and not _hooked(module)
    if fused and here(x) and min(x.shape[2:]) > 1:
        kernel = available("norm_pool_cpu")
        if kernel is not None and kernel.takes(x):
            found: Tensor = kernel.MaxPool.apply(x)
            return found
    return module(x)  # type: ignore[no-any-return]


class MeanMax(nn.Module):
    """Sum of mean and maximum over the rows of maps: `(B, C, H, W)` → `(B, C, W)`."""

    def forward(self, x: Tensor) -> Tensor:
        """Map maps `(B, C, H, W)` to `(B, C, W)`."""
        if self.training and getattr(self, FUSED, False) and here(x):
            kernel = available("mean_max_cpu")
            if kernel is not None and kernel.takes(x):
                found: Tensor = kernel.MeanMax.apply(x)
                return found
        return x.mean(2) + x.amax(2)


class FusedSequential(nn.Sequential):
    """nn.Sequential in which a batch norm and what follows it may be fused in training: activation, pooling."""

    def forward(self, x: Tensor, pools: bool = False) -> Tensor:
        """Map maps `(B, C, H, W)` through all modules; with `pools`, `pooled` comes after the last one."""
        if not self.training:
            y: Tensor = super().forward(x)  # type: ignore[no-untyped-call]
            return pooled(y) if pools else y
        modules = list(self)
        while modules:
            module = modules.pop(0)
            if type(module) is nn.BatchNorm2d:
                following = modules.pop(0) if modules and _limits(modules[0]) is not None else None
                x = normalised(module, x, following, pools and not modules)
                pools = pools and bool(modules)
            elif type(module) is nn.MaxPool2d:
                x = _largest(module, x)
            else:
                x = module(x)
        return pooled(x) if pools else x


def _is_only(module: nn.Module, kind: type[nn.Module]) -> bool:
    """Return whether a call of the module does what its class says and nothing else: no subclass, and no hooks.

    A subclass may share its statistics with other processes, and a hook may compute its weight, as pruning does.
    """
    return type(module) is kind and not _hooked(module)


def _hooked(module: object) -> bool:
    """Return whether something else is to be called together with a module; never so for a function."""
    return isinstance(module, nn.Module) and any(
        (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks, module._backward_pre_hooks)
    )


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
    return usual and x.shape[1] == norm.num_features and here(x) and bool(kernel.fits(x))


def here(x: Tensor) -> bool:
    """Return whether kernels of one thread of a CPU are of use."""
    eager = torch.is_grad_enabled() and not torch.compiler.is_compiling()
    return eager and x.device.type == "cpu" and torch.get_num_threads() == 1
