"""Batch normalisation of a training step with its activation for a CPU, compiled by numba: one pass for each of four.

torch reads and writes the maps for the statistics, the norm, the activation and their gradients one after another. Here
the statistics are a pass that reads, the norm with its activation one that reads and writes, and the same backwards;
what the activation let through is computed again from the input. The maps lie channels last, in float32 or bfloat16,
and all sums are in float32 over short blocks, then in float64.

A map `(B, C, H, W)` is a matrix of B H W rows of C channels. Rows are joined until a row has whole vectors: "columns"
below are then several times the channels.
"""

import math
from typing import Any

import numpy as np
import torch
from llvmlite import ir
from numba import types
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd.function import once_differentiable

from models.kernels.compiling import compiled
from models.kernels.simd import Vector, _intrinsic, _place, load, spread, store

Floats = NDArray[np.float32]
Maps = NDArray[Any]
"""A matrix of float32, or of uint16 that are bfloat16."""
Pair = tuple[int, int]
"""A number for the rows of a map, and one for its columns."""

WIDTH = 64
"""Channels of a vector: four registers of AVX-512, whose sums don't wait for one another."""
BLOCK = 64
"""Rows whose sums are in float32."""
ZERO = np.float32(0)
_i16, _i32 = ir.IntType(16), ir.IntType(32)


def _integers(width: int, value: int) -> Any:
    return ir.Constant(ir.VectorType(_i32, width), [value] * width)


@_intrinsic
def read(typing: Any, array: Any, row: Any, column: Any, width: Any) -> Any:
    """Return `array[row, column : column + width]` of a C-contiguous matrix of either type; unchecked."""
    vector = Vector(width.literal_value)
    half = array.dtype == types.uint16

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        place = _place(context, builder, sig, args, vector.width)
        if not half:
            return builder.load(place, align=4)
        bits = builder.load(builder.bitcast(place, ir.VectorType(_i16, vector.width).as_pointer()), align=2)
        wide = builder.shl(builder.zext(bits, ir.VectorType(_i32, vector.width)), _integers(vector.width, 16))
        return builder.bitcast(wide, ir.VectorType(ir.FloatType(), vector.width))

    return vector(array, row, column, width), generate


@_intrinsic
def write(typing: Any, array: Any, row: Any, column: Any, value: Any) -> Any:
    """Put a vector into a C-contiguous matrix of either type, rounded to even where it is bfloat16; unchecked."""
    half, width = array.dtype == types.uint16, value.width

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        place, vector = _place(context, builder, sig, args, width), args[3]
        if not half:
            builder.store(vector, place, align=4)
            return context.get_dummy_value()
        bits = builder.bitcast(vector, ir.VectorType(_i32, width))
        last = builder.and_(builder.lshr(bits, _integers(width, 16)), _integers(width, 1))
        rounded = builder.add(builder.add(bits, last), _integers(width, 0x7FFF))
        kept = builder.select(builder.fcmp_unordered("uno", vector, vector), _integers(width, 0x7FC00000), rounded)
        short = builder.trunc(builder.lshr(kept, _integers(width, 16)), ir.VectorType(_i16, width))
        builder.store(short, builder.bitcast(place, ir.VectorType(_i16, width).as_pointer()), align=2)
        return context.get_dummy_value()

    return types.void(array, row, column, value), generate


@_intrinsic
def activated(typing: Any, value: Any, slope: Any, cap: Any) -> Any:
    """Return value where it is positive, else slope · value; at most cap. NaN stays NaN."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        value, slope, cap = args
        zero = ir.Constant(value.type, [0.0] * value.type.count)
        left = builder.select(builder.fcmp_ordered(">", value, zero), value, builder.fmul(value, slope))
        return builder.select(builder.fcmp_ordered(">", left, cap), cap, left)

    return value(value, slope, cap), generate


@_intrinsic
def passed(typing: Any, gradient: Any, value: Any, slope: Any, cap: Any) -> Any:
    """Return the gradient that `activated` lets through to its input."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        gradient, value, slope, cap = args
        zero = ir.Constant(value.type, [0.0] * value.type.count)
        left = builder.select(builder.fcmp_ordered(">", value, zero), gradient, builder.fmul(gradient, slope))
        return builder.select(builder.fcmp_ordered(">=", value, cap), zero, left)

    return gradient(gradient, value, slope, cap), generate


@compiled
def _statistics(x: Maps, channels: int, momentum: float, running: Floats, found: Floats) -> None:
    """Put mean and variance into `found (2, C)`, and move the running ones `(2, C)` towards them.

    Each block's sums are those of the differences from the mean of the blocks before, or for the first one of its own,
    so that squares are of small numbers, and are joined to theirs as Chan, Golub and LeVeque do (1983, "Algorithms for
    computing the sample variance").
    """
    rows, columns = x.shape
    near, part = np.empty((1, columns), np.float32), np.empty((2, columns), np.float32)
    sums = np.zeros((2, channels))
    joined = np.zeros((2, channels))  # the mean, and the sum of squared differences from it
    copies, before, first = columns // channels, 0.0, min(rows, BLOCK)
    for i in range(0, columns, WIDTH):
        total = spread(ZERO, WIDTH)
        for r in range(first):
            total += read(x, r, i, WIDTH)
        store(part, 0, i, total)
    for i in range(columns):
        sums[0, i % channels] += part[0, i]
    for i in range(columns):
        near[0, i] = sums[0, i % channels] / (first * copies)
    for start in range(0, rows, BLOCK):
        end = min(start + BLOCK, rows)
        for i in range(0, columns, WIDTH):
            least = load(near, 0, i, WIDTH)
            total, square = spread(ZERO, WIDTH), spread(ZERO, WIDTH)
            for r in range(start, end):
                off = read(x, r, i, WIDTH) - least
                total += off
                square += off * off
            store(part, 0, i, total)
            store(part, 1, i, square)
        sums[:] = 0
        for i in range(0, columns, channels):
            for c in range(channels):
                sums[0, c] += part[0, i + c]
                sums[1, c] += part[1, i + c]
        number = float((end - start) * copies)
        share, both = number / (before + number), before * number / (before + number)
        for c in range(channels):
            off = sums[0, c] / number
            apart = near[0, c] + off - joined[0, c]
            joined[0, c] += share * apart
            joined[1, c] += max(sums[1, c] - sums[0, c] * off, 0.0) + both * apart * apart
        before += number
        for i in range(0, columns, channels):
            for c in range(channels):
                near[0, i + c] = joined[0, c]
    for c in range(channels):
        variance = joined[1, c] / before
        found[0, c], found[1, c] = joined[0, c], variance
        running[0, c] += momentum * (found[0, c] - running[0, c])
        running[1, c] += momentum * (variance * before / (before - 1) - running[1, c])


@compiled
def _apply(x: Maps, factors: Floats, slope: np.float32, cap: np.float32, y: Maps) -> None:
    """Put activated `x * factors[0] + factors[1]` into y."""
    rows, columns = x.shape
    slopes, caps = spread(slope, WIDTH), spread(cap, WIDTH)
    for r in range(rows):
        for i in range(0, columns, WIDTH):
            value = read(x, r, i, WIDTH) * load(factors, 0, i, WIDTH) + load(factors, 1, i, WIDTH)
            write(y, r, i, activated(value, slopes, caps))


@compiled
def _gradient_sums(x: Maps, g: Maps, factors: Floats, slope: np.float32, cap: np.float32, sums: NDArray[Any]) -> None:
    """Add Σ g' and Σ g' (x - mean) to `sums (2, C)`, with the gradient g' before the activation and factors[2] mean."""
    rows, columns = x.shape
    channels = sums.shape[1]
    slopes, caps = spread(slope, WIDTH), spread(cap, WIDTH)
    part = np.empty((2, columns), np.float32)
    for start in range(0, rows, BLOCK):
        end = min(start + BLOCK, rows)
        for i in range(0, columns, WIDTH):
            scale, shift, mean = load(factors, 0, i, WIDTH), load(factors, 1, i, WIDTH), load(factors, 2, i, WIDTH)
            total, product = spread(ZERO, WIDTH), spread(ZERO, WIDTH)
            for r in range(start, end):
                value = read(x, r, i, WIDTH)
                let = passed(read(g, r, i, WIDTH), value * scale + shift, slopes, caps)
                total += let
                product += let * (value - mean)
            store(part, 0, i, total)
            store(part, 1, i, product)
        for i in range(0, columns, channels):
            for c in range(channels):
                sums[0, c] += part[0, i + c]
                sums[1, c] += part[1, i + c]


@compiled
def _gradients(x: Maps, g: Maps, factors: Floats, slope: np.float32, cap: np.float32, dx: Maps) -> None:
    """Put the gradient of x, which is factors[0] g' + factors[3] x + factors[4], into dx."""
    rows, columns = x.shape
    slopes, caps = spread(slope, WIDTH), spread(cap, WIDTH)
    for r in range(rows):
        for i in range(0, columns, WIDTH):
            scale, value = load(factors, 0, i, WIDTH), read(x, r, i, WIDTH)
            let = passed(read(g, r, i, WIDTH), value * scale + load(factors, 1, i, WIDTH), slopes, caps)
            write(dx, r, i, let * scale + (value * load(factors, 3, i, WIDTH) + load(factors, 4, i, WIDTH)))


@compiled
def prepare(
    x: Maps, weight: Floats, bias: Floats, running_mean: Floats, running_var: Floats,
    momentum: float, eps: float, inverse: NDArray[Any], factors: Floats,
) -> None:  # fmt: skip
    """Put 1 / deviation `(C,)` into `inverse`, and scale, shift and mean into `factors (5, K)`."""
    channels = len(weight)
    found = np.empty((2, channels), np.float32)
    running = np.empty((2, channels), np.float32)
    running[0], running[1] = running_mean, running_var
    _statistics(x, channels, momentum, running, found)
    for c in range(channels):
        running_mean[c], running_var[c] = running[0, c], running[1, c]
        inverse[c] = 1 / math.sqrt(found[1, c] + eps)
    for i in range(factors.shape[1]):
        c = i % channels
        factors[0, i] = weight[c] * inverse[c]
        factors[1, i] = bias[c] - found[0, c] * factors[0, i]
        factors[2, i] = found[0, c]


@compiled
def turn_back(
    sums: NDArray[Any], number: int, inverse: NDArray[Any], factors: Floats, weight: Floats, bias: Floats
) -> None:
    """Put the gradients of weight and bias into the last two, and the factors of that of x into `factors[3:]`.

    Args:
        sums: Σ g' and Σ g' (x - mean), `(2, C)`.
        number: values of a channel.
        inverse: what `prepare` has found.
        factors: the same.
        weight: its gradient, `(C,)`.
        bias: its gradient, `(C,)`.
    """
    channels = len(inverse)
    for c in range(channels):
        weight[c], bias[c] = sums[1, c] * inverse[c], sums[0, c]
    for i in range(factors.shape[1]):
        c = i % channels
        factors[3, i] = -factors[0, i] * inverse[c] * inverse[c] * sums[1, c] / number
        factors[4, i] = -factors[0, i] * sums[0, c] / number - factors[3, i] * factors[2, i]


@compiled
def _forward(
    x: Maps, weight: Floats, bias: Floats, running_mean: Floats, running_var: Floats,
    momentum: float, eps: float, slope: np.float32, cap: np.float32, y: Maps, inverse: NDArray[Any], factors: Floats,
) -> None:  # fmt: skip
    """Put the maps into y; see `prepare`."""
    prepare(x, weight, bias, running_mean, running_var, momentum, eps, inverse, factors)
    _apply(x, factors, slope, cap, y)


@compiled
def _backward(
    x: Maps, g: Maps, inverse: NDArray[Any], factors: Floats, slope: np.float32, cap: np.float32,
    dx: Maps, weight: Floats, bias: Floats,
) -> None:  # fmt: skip
    """Put the gradients of x, weight and bias into the last three."""
    sums = np.zeros((2, len(inverse)))
    _gradient_sums(x, g, factors, slope, cap, sums)
    turn_back(sums, x.size // len(inverse), inverse, factors, weight, bias)
    _gradients(x, g, factors, slope, cap, dx)


def joined(x: Tensor) -> int | None:
    """Return how many rows of maps `(B, C, H, W)` are joined to one of whole vectors; None where that does not fit."""
    times = WIDTH // math.gcd(WIDTH, x.shape[1])
    return times if x.numel() and x.numel() // x.shape[1] % times == 0 else None


def fits(x: Tensor) -> bool:
    """Return whether the kernels take maps `(B, C, H, W)`, which lie channels last."""
    return (
        x.dtype in (torch.float32, torch.bfloat16)
        and x.is_contiguous(memory_format=torch.channels_last)
        and x.numel() > x.shape[1]
        and joined(x) is not None
    )


def matrix(x: Tensor, times: int = 1) -> Maps:
    """Return maps as a matrix, without a copy."""
    return numbers(x.detach().permute(0, 2, 3, 1).reshape(-1, times * x.shape[1]))


def rows(x: Tensor) -> Maps:
    """Return maps `(B, C, H, W)` as the matrix `(B H, W C)`, without a copy."""
    clips, channels, height, width = x.shape
    return matrix(x).reshape(clips * height, width * channels)


def numbers(matrix: Tensor) -> Maps:
    """Return a matrix as an array for the kernels, without a copy."""
    if matrix.dtype == torch.bfloat16:
        return matrix.view(torch.int16).numpy().view(np.uint16)
    return matrix.numpy()


class NormActivation(torch.autograd.Function):
    """Batch normalisation `(B, C, H, W)` with the batch's statistics, then an activation; `fits` must hold.

    The activation leaves positive values up to `cap`, and multiplies negative ones by `slope`.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, running_mean: Tensor, running_var: Tensor,
        momentum: float, eps: float, slope: float, cap: float,
    ) -> Tensor:  # fmt: skip
        """Return the maps, and move the running statistics."""
        times = joined(x)
        assert times is not None
        channels = x.shape[1]
        y = torch.empty_like(x)
        inverse, factors = np.empty(channels), np.empty((5, times * channels), np.float32)
        limits = np.float32(slope), np.float32(cap)
        _forward(
            matrix(x, times), weight.detach().numpy(), bias.detach().numpy(), running_mean.numpy(),
            running_var.numpy(), momentum, eps, *limits, matrix(y, times), inverse, factors,
        )  # fmt: skip
        ctx.save_for_backward(x)
        ctx.known = times, inverse, factors, limits
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of x, weight and bias."""
        (x,) = ctx.saved_tensors
        times, inverse, factors, limits = ctx.known
        gradient = gradient.to(x.dtype).contiguous(memory_format=torch.channels_last)
        dx, weight, bias = torch.empty_like(x), torch.empty(x.shape[1]), torch.empty(x.shape[1])
        _backward(
            matrix(x, times), matrix(gradient, times), inverse, factors, *limits,
            matrix(dx, times), weight.numpy(), bias.numpy(),
        )  # fmt: skip
        return dx, weight, bias, None, None, None, None, None, None
