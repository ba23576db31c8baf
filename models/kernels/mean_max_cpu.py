"""The sum of mean and maximum over the rows of maps, in a training step on a CPU, compiled by numba.

One pass makes the sum, and one its gradient. torch reads the maps for the mean and for the maximum, and its gradient
has seven passes, some of them over maps of different layouts. Equal values share the gradient of their maximum, as in
torch. The maps lie channels last, in float32 or bfloat16, with a multiple of 8 channels.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from models.kernels.compiling import compiled
from models.kernels.norm_cpu import ZERO, Maps, numbers, read, rows, write
from models.kernels.norm_pool_cpu import chosen, larger, takes, width_of
from models.kernels.simd import spread

__all__ = ["MeanMax", "takes"]


@cache
def _kernels(width: int) -> tuple[Callable[..., None], Callable[..., None]]:
    """Return the passes forwards and backwards for vectors of `width`; a row of x has all columns and channels."""

    def forward(x: Maps, high: int, y: Maps) -> None:
        part = spread(np.float32(1 / high), width)
        for n in range(y.shape[0]):
            for c in range(0, x.shape[1], width):
                most = read(x, n * high, c, width)
                total = spread(ZERO, width)
                for h in range(high):
                    value = read(x, n * high + h, c, width)
                    total += value
                    most = larger(most, value)
                write(y, n, c, total * part + most)

    def backward(x: Maps, g: Maps, high: int, dx: Maps) -> None:
        part, none, one = spread(np.float32(1 / high), width), spread(ZERO, width), spread(np.float32(1), width)
        for n in range(g.shape[0]):
            for c in range(0, x.shape[1], width):
                most = read(x, n * high, c, width)
                for h in range(1, high):
                    most = larger(most, read(x, n * high + h, c, width))
                number = none
                for h in range(high):
                    number += chosen(read(x, n * high + h, c, width), most, one, none)
                gradient = read(g, n, c, width)
                share, rest = gradient / number, gradient * part
                for h in range(high):
                    write(dx, n * high + h, c, chosen(read(x, n * high + h, c, width), most, share, none) + rest)

    return compiled(forward), compiled(backward)


class MeanMax(torch.autograd.Function):
    """Sum of mean and maximum over the rows of finite maps `(B, C, H, W)`; `takes` must hold."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        """Return `(B, C, W)`, channels last."""
        clips, channels, high, long = x.shape
        y = torch.empty_strided((clips, channels, long), (long * channels, 1, channels), dtype=x.dtype)
        _kernels(width_of(channels))[0](
            rows(x), high, numbers(y.as_strided((clips, long * channels), (long * channels, 1)))
        )
        ctx.save_for_backward(x)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        """Return the gradient of x."""
        (x,) = ctx.saved_tensors
        g = gradient.to(x.dtype).transpose(1, 2).reshape(len(x), -1).contiguous()
        dx = torch.empty_like(x)
        _kernels(width_of(x.shape[1]))[1](rows(x), numbers(g), x.shape[2], rows(dx))
        return dx
