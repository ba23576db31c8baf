"""Batch normalisation of a training step, its activation and a maximum over 2×2 places for a CPU, compiled by numba.

Neither the activated maps nor their gradient are ever written: a pass over the input computes four neighbours and keeps
their maximum, and the passes backwards compute them again. The activation never falls, so it comes after the maximum.
The first of equal values has the gradient, as in torch. The maps lie channels last, in float32 or bfloat16, with a
multiple of 8 channels; see `norm_cpu` for the rest.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd.function import once_differentiable

from models.kernels import norm_cpu
from models.kernels.compiling import compiled
from models.kernels.norm_cpu import BLOCK, ZERO, Floats, Maps, Pair, activated, matrix, passed, read, write
from models.kernels.simd import _intrinsic, load, spread, store

WIDTHS = (64, 48, 32, 24, 16, 8)
"""Channels of a vector."""


@_intrinsic
def larger(typing: Any, a: Any, b: Any) -> Any:
    """Return the larger of each pair, or the first. A norm has made all of a channel NaN where one value is."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        a, b = args
        return builder.select(builder.fcmp_ordered(">", b, a), b, a)

    return a(a, b), generate


@_intrinsic
def chosen(typing: Any, key: Any, most: Any, value: Any, other: Any) -> Any:
    """Return value where key equals most, else the other."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        key, most, value, other = args
        return builder.select(builder.fcmp_ordered("==", key, most), value, other)

    return value(key, most, value, other), generate


@cache
def _kernels(width: int) -> tuple[Callable[..., None], Callable[..., None], Callable[..., None]]:
    """Return the pass forwards, that of the gradient's sums and that of the gradient, for vectors of `width`.

    `size` is that of the maps, `(B, H, W)`, and `used` how many rows and columns are pooled, H and W or one less. At
    odd ends, the last row or column stands for the missing one after it: it does not change a maximum.
    """

    def forward(
        x: Maps, size: tuple[int, int, int], used: Pair, factors: Floats, slope: np.float32, cap: np.float32, y: Maps
    ) -> None:
        (clips, height, length), (down, along) = size, used
        slopes, caps = spread(slope, width), spread(cap, width)
        row = 0
        for n in range(clips):
            for i in range(0, down, 2):
                upper, lower = (n * height + i) * length, (n * height + min(i + 1, down - 1)) * length
                for c in range(0, x.shape[1], width):
                    scale, shift = load(factors, 0, c, width), load(factors, 1, c, width)
                    for j in range(0, along, 2):
                        right = min(j + 1, along - 1)
                        a = read(x, upper + j, c, width) * scale + shift
                        b = read(x, upper + right, c, width) * scale + shift
                        d = read(x, lower + j, c, width) * scale + shift
                        e = read(x, lower + right, c, width) * scale + shift
                        write(y, row + j // 2, c, activated(larger(larger(a, b), larger(d, e)), slopes, caps))
                row += (along + 1) // 2

    def gradient_sums(
        x: Maps, g: Maps, size: tuple[int, int, int], used: Pair, factors: Floats, slope: np.float32, cap: np.float32,
        sums: NDArray[Any],
    ) -> None:  # fmt: skip
        """Add Σ g' and Σ g' (x - mean) to `sums (2, C)`, with the gradient g' before the activation."""
        (clips, height, length), (down, along) = size, used
        slopes, caps = spread(slope, width), spread(cap, width)
        part = np.empty((2, width), np.float32)
        row = 0
        for n in range(clips):
            for i in range(0, down, 2):
                upper, lower = (n * height + i) * length, (n * height + min(i + 1, down - 1)) * length
                for c in range(0, x.shape[1], width):
                    scale, shift, mean = (
                        load(factors, 0, c, width),
                        load(factors, 1, c, width),
                        load(factors, 2, c, width),
                    )
                    for start in range(0, along, 2 * BLOCK):
                        total, product = spread(ZERO, width), spread(ZERO, width)
                        for j in range(start, min(start + 2 * BLOCK, along), 2):
                            right = min(j + 1, along - 1)
                            one, two = read(x, upper + j, c, width), read(x, upper + right, c, width)
                            three, value = read(x, lower + j, c, width), read(x, lower + right, c, width)
                            a, b, d = one * scale + shift, two * scale + shift, three * scale + shift
                            most = larger(larger(a, b), larger(d, value * scale + shift))
                            value = chosen(d, most, three, value)
                            value = chosen(b, most, two, value)
                            value = chosen(a, most, one, value)  # the first of equal ones
                            let = passed(read(g, row + j // 2, c, width), most, slopes, caps)
                            total += let
                            product += let * (value - mean)
                        store(part, 0, 0, total)
                        store(part, 1, 0, product)
                        for k in range(width):
                            sums[0, c + k] += part[0, k]
                            sums[1, c + k] += part[1, k]
                row += (along + 1) // 2

    def gradients(
        x: Maps,
        g: Maps,
        size: tuple[int, int, int],
        used: Pair,
        factors: Floats,
        slope: np.float32,
        cap: np.float32,
        dx: Maps,
    ) -> None:
        """Put the gradient of x, which is factors[0] g' + factors[3] x + factors[4], into dx."""
        (clips, height, length), (down, along) = size, used
        slopes, caps = spread(slope, width), spread(cap, width)
        row = 0
        for n in range(clips):
            for i in range(0, down, 2):
                upper, lower = (n * height + i) * length, (n * height + min(i + 1, down - 1)) * length
                for c in range(0, x.shape[1], width):
                    scale, shift = load(factors, 0, c, width), load(factors, 1, c, width)
                    slant, level = load(factors, 3, c, width), load(factors, 4, c, width)
                    for j in range(0, along, 2):
                        right = min(j + 1, along - 1)
                        a = read(x, upper + j, c, width) * scale + shift
                        b = read(x, upper + right, c, width) * scale + shift
                        d = read(x, lower + j, c, width) * scale + shift
                        e = read(x, lower + right, c, width) * scale + shift
                        most = larger(larger(a, b), larger(d, e))
                        rest, none = passed(read(g, row + j // 2, c, width), most, slopes, caps), spread(ZERO, width)
                        first, rest = chosen(a, most, rest, none), chosen(a, most, none, rest)
                        second, rest = chosen(b, most, rest, none), chosen(b, most, none, rest)
                        third, rest = chosen(d, most, rest, none), chosen(d, most, none, rest)
                        # From the last place to the first, whose gradient is right where it is several of them.
                        value = read(x, lower + right, c, width) * slant + level
                        write(dx, lower + right, c, chosen(e, most, rest, none) * scale + value)
                        value = read(x, lower + j, c, width) * slant + level
                        write(dx, lower + j, c, third * scale + value)
                        value = read(x, upper + right, c, width) * slant + level
                        write(dx, upper + right, c, second * scale + value)
                        value = read(x, upper + j, c, width) * slant + level
                        write(dx, upper + j, c, first * scale + value)
                row += (along + 1) // 2

    return compiled(forward), compiled(gradient_sums), compiled(gradients)


def fits(x: Tensor) -> bool:
    """Return whether the kernels take maps `(B, C, H, W)`, which lie channels last."""
    return norm_cpu.fits(x) and x.shape[1] % WIDTHS[-1] == 0


class NormActivationPool(torch.autograd.Function):
    """`norm_cpu.NormActivation`, then the maximum over 2×2 places, over fewer at odd ends; `fits` must hold."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, running_mean: Tensor, running_var: Tensor,
        momentum: float, eps: float, slope: float, cap: float,
    ) -> Tensor:  # fmt: skip
        """Return maps `(B, C, ⌈H / 2⌉, ⌈W / 2⌉)`, and move the running statistics."""
        times = norm_cpu.joined(x)
        assert times is not None
        clips, channels, height, length = x.shape
        size, limits = (clips, height, length), (np.float32(slope), np.float32(cap))
        half = (clips, channels, (height + 1) // 2, (length + 1) // 2)
        y = torch.empty(half, dtype=x.dtype, memory_format=torch.channels_last)
        inverse, factors = np.empty(channels), np.empty((5, channels), np.float32)
        norm_cpu.prepare(
            matrix(x, times), weight.detach().numpy(), bias.detach().numpy(), running_mean.numpy(),
            running_var.numpy(), momentum, eps, inverse, factors,
        )  # fmt: skip
        _kernels(width_of(channels))[0](matrix(x), size, size[1:], factors, *limits, matrix(y))
        ctx.save_for_backward(x)
        ctx.known = size, inverse, factors, limits
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of x, weight and bias."""
        (x,) = ctx.saved_tensors
        size, inverse, factors, limits = ctx.known
        channels = x.shape[1]
        g = matrix(gradient.to(x.dtype).contiguous(memory_format=torch.channels_last))
        dx, weight, bias = torch.empty_like(x), torch.empty(channels), torch.empty(channels)
        _, gradient_sums, gradients = _kernels(width_of(channels))
        sums = np.zeros((2, channels))
        gradient_sums(matrix(x), g, size, size[1:], factors, *limits, sums)
        norm_cpu.turn_back(sums, x.numel() // channels, inverse, factors, weight.numpy(), bias.numpy())
        gradients(matrix(x), g, size, size[1:], factors, *limits, matrix(dx))
        return dx, weight, bias, None, None, None, None, None, None


def takes(x: Tensor) -> bool:
    """Return whether `MaxPool` takes maps `(B, C, H, W)`, which lie channels last."""
    last = x.is_contiguous(memory_format=torch.channels_last)
    return last and x.dtype in (torch.float32, torch.bfloat16) and x.numel() > 0 and x.shape[1] % WIDTHS[-1] == 0


class MaxPool(torch.autograd.Function):
    """Maximum over 2×2 places of finite maps `(B, C, H, W)`, without an odd last row and column; `takes` must hold."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        """Return maps `(B, C, ⌊H / 2⌋, ⌊W / 2⌋)`."""
        clips, channels, height, length = x.shape
        half = (clips, channels, height // 2, length // 2)
        y = torch.empty(half, dtype=x.dtype, memory_format=torch.channels_last)
        size, used = (clips, height, length), (2 * (height // 2), 2 * (length // 2))
        _kernels(width_of(channels))[0](matrix(x), size, used, _same(channels), *_NO_LIMITS, matrix(y))
        ctx.save_for_backward(x)
        ctx.known = size, used
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        """Return the gradient of x."""
        (x,) = ctx.saved_tensors
        size, used = ctx.known
        g = matrix(gradient.to(x.dtype).contiguous(memory_format=torch.channels_last))
        dx = torch.empty_like(x)
        dx[:, :, used[0] :], dx[..., used[1] :] = 0, 0
        channels = x.shape[1]
        _kernels(width_of(channels))[2](matrix(x), g, size, used, _same(channels), *_NO_LIMITS, matrix(dx))
        return dx


_NO_LIMITS = np.float32(1), np.float32(np.inf)


def _same(channels: int) -> Floats:
    """Return the factors of maps that are not normalised."""
    factors = np.zeros((5, channels), np.float32)
    factors[0] = 1
    return factors


def width_of(channels: int) -> int:
    """Return the width of a vector for maps of a number of channels."""
    return next(width for width in WIDTHS if channels % width == 0)
