"""Batch normalisation over the batch of all processes, as one process would see it; on the CPU and on GPUs.

torch's own `SyncBatchNorm` refuses tensors on the CPU, and Lightning's plugin around it returns other classes.
"""

from functools import cache
from typing import Any

import torch
from lightning.pytorch.plugins.layer_sync import LayerSync
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from models.training import shared_dropout


class SyncedStatistics(LayerSync):
    """Lets the batch normalisation and the dropout of a model act on all processes' clips while it is trained."""

    def apply(self, model: nn.Module) -> nn.Module:
        """Change the model's layers in place, and return it."""
        for module in model.modules():
            if isinstance(module, _BatchNorm) and not isinstance(module, _Synced):
                module.__class__ = _synced(type(module))  # type: ignore[arg-type]
        shared_dropout.apply(model)
        return model

    def revert(self, model: nn.Module) -> nn.Module:
        """Give the layers their classes back, and return the model."""
        for module in model.modules():
            if isinstance(module, _Synced):
                module.__class__ = type(module).__bases__[1]
        shared_dropout.revert(model)
        return model


class _Sum(torch.autograd.Function):
    """The sum of the values of all processes."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        summed = values.clone()
        torch.distributed.all_reduce(summed)
        return summed

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        summed = gradient.clone()
        torch.distributed.all_reduce(summed)
        return summed


def _summed(values: Tensor) -> Tensor:
    summed: Tensor = _Sum.apply(values)  # type: ignore[no-untyped-call]
    return summed


@cache
def _synced(kind: type[_BatchNorm]) -> type[_BatchNorm]:
    """Return a subclass with the statistics of all processes."""
    return type(f"Synced{kind.__name__}", (_Synced, kind), {})


class _Synced(_BatchNorm):
    """Batch normalisation of `(B, C, ...)` over the batches of all processes, which may differ in size."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or torch.distributed.get_world_size() == 1:
            return super().forward(x)
        self._check_input_dim(x)  # type: ignore[no-untyped-call]
        axes = [0, *range(2, x.dim())]
        shape = (1, -1, *[1] * (x.dim() - 2))
        wide = x.to(torch.promote_types(x.dtype, torch.float32))  # sums of half precision are too coarse
        values = wide.new_tensor([wide.numel() / wide.shape[1]])
        total = _summed(torch.cat([wide.sum(axes), values]))
        count = total[-1].detach()
        mean = total[:-1] / count  # (C,)
        centred = wide - mean.view(shape)
        variance = _summed(centred.square().sum(axes)) / count
        if self.track_running_stats:
            self._keep(mean.detach(), variance.detach() * count / (count - 1))
        y = centred * (variance + self.eps).rsqrt().view(shape)
        if self.affine:
            y = y * self.weight.view(shape) + self.bias.view(shape)
        return y.to(x.dtype)

    @torch.no_grad()
    def _keep(self, mean: Tensor, variance: Tensor) -> None:
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        share = self.momentum if self.momentum is not None else 1 / float(self.num_batches_tracked)
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), share)
        self.running_var.lerp_(variance.to(self.running_var.dtype), share)
