"""Gradient of the maps of a convolution of one channel for a CPU, compiled by numba; its output lies channels last.

Positions of the output lie side by side in a vector. As many rows of the output's gradient as the taps reach over are
kept, each channel's values next to each other, and each row of the result is written once. With strides of two, the
places of even and odd rows and columns are four vectors, each the sum of a quarter of the taps over all channels.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import torch
from llvmlite import ir
from numba import types
from numba.core import cgutils
from torch import Tensor

from models.kernels.compiling import compiled
from models.kernels.lanes import _Value, _Writer, transposed
from models.kernels.norm_cpu import Maps, Pair, numbers, read
from models.kernels.simd import _intrinsic, _mask, store
from models.kernels.spectrum_cpu import Floats

WIDTHS = {1: 64, 2: 32, 4: 16}
"""Positions of a vector by the stride along the rows: several registers of sums, none of which waits for another."""
STRIDES = (1, 2, 4)
ROW = 8
"""Rows and columns of what `transposed` takes."""


def _shifts(taps: int, stride: int, padding: int) -> dict[int, tuple[int, int]]:
    """Return for each tap the remainder of its place by the stride, and the output's position from there."""
    return {tap: ((tap - padding) % stride, -((tap - padding) // stride)) for tap in range(taps)}


def reach(taps: int, stride: int, padding: int) -> Pair:
    """Return the first and the last position, from u on, of the outputs that depend on place `stride` u or after."""
    shifts = [shift for _, shift in _shifts(taps, stride, padding).values()]
    return min(shifts), max(shifts)


def _interleaved(builder: Any, parts: list[Any], width: int) -> Any:
    """Return a vector of the first values of all parts, then of their second ones, and so on."""
    while len(parts) > 1:
        half, mixed = len(parts) // 2, _mask([i // 2 + width * (i % 2) for i in range(2 * width)])
        parts = [builder.shuffle_vector(parts[i], parts[i + half], mixed) for i in range(half)]
        width *= 2
    return parts[0]


@_intrinsic
def summed(
    typing: Any, planes: Any, weights: Any, channels: Any, step: Any, u: Any, v: Any, out: Any, at: Any, length: Any,
    taps: Any, rows_stride: Any, stride: Any, padding: Any,
) -> Any:  # fmt: skip
    """Write as many rows of the result as `rows_stride`, from `out[at]` and `length` apart, from position v on.

    `planes` holds rows u + least ... u + most of the output's gradient, the row's number modulo theirs, and within it
    the channels `step` apart; `weights` holds those of a channel's taps next to each other.
    """
    number, pad = taps.literal_value, padding.literal_value
    high, long = rows_stride.literal_value, stride.literal_value
    width, downs, alongs = WIDTHS[long], _shifts(number, high, pad), _shifts(number, long, pad)
    (top, bottom), (left, right) = reach(number, high, pad), reach(number, long, pad)
    rows, lead = bottom - top + 1, max(-left, 0)

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        w = _Writer(context, builder, sig, args, width)
        planes, weights, channels, step, u, v, out, at, length = w.args[:9]
        kind = ir.VectorType(ir.FloatType(), width)
        reserve: Any = cgutils.alloca_once
        sums = {(a, b): reserve(builder, kind) for a in range(high) for b in range(long)}
        for place in sums.values():
            builder.store(ir.Constant(kind, [0.0] * width), place)
        first = {}
        for down in range(top, bottom + 1):
            row = builder.urem(w.add(u, down + rows), ir.IntType(64)(rows))
            first[down] = w.add(w.times(w.times(row, channels), step), w.add(v, lead))
        with cgutils.for_range(builder, channels) as loop:
            row, weight = w.times(loop.index, step), w.times(loop.index, number * number)
            for down in range(top, bottom + 1):
                for along in range(left, right + 1):
                    value = w.load(planes, w.add(w.add(first[down], row), along))
                    for i, (a, shift) in downs.items():
                        for j, (b, other) in alongs.items():
                            if (shift, other) == (down, along):
                                factor = w.spread(weights, w.add(weight, i * number + j))
                                total = _Value(builder, builder.load(sums[a, b]))
                                builder.store((value * factor + total).value, sums[a, b])
        w.width = long * width
        for a in range(high):
            line = _interleaved(builder, [builder.load(sums[a, b]) for b in range(long)], width)
            w.store(out, w.add(at, w.times(length, a)), _Value(builder, line))
        return context.get_dummy_value()

    kinds = (planes, weights, channels, step, u, v, out, at, length, taps, rows_stride, stride, padding)
    return types.void(*kinds), generate


@cache
def _kernel(taps: int, strides: Pair, padding: int) -> Callable[..., None]:
    """Return the compiled pass of a kernel."""
    rows_stride, stride = strides
    width = WIDTHS[stride]
    top, bottom = reach(taps, rows_stride, padding)
    rows, lead = bottom - top + 1, max(-reach(taps, stride, padding)[0], 0)

    def gather(
        g: Maps, size: tuple[int, int, int], weights: Floats, line: Floats, planes: Floats, step: int, out: Floats,
        high: int, long: int,
    ) -> None:  # fmt: skip
        clips, height, channels = size
        positions = g.shape[1] // channels
        whole = channels * step
        flat = line.reshape(-1)
        for n in range(clips):
            planes[:] = 0
            for u in range(-bottom, high):
                coming = u + bottom  # within reach of the taps from here on
                if coming >= 0:
                    base = (coming + rows) % rows * whole
                    if coming < height:
                        for i in range(0, g.shape[1], ROW):
                            store(line, 0, i, read(g, n * height + coming, i, ROW))
                        for c in range(0, channels, ROW):
                            for i in range(0, positions, ROW):
                                transposed(flat, i * channels + c, channels, planes, base + c * step + lead + i, step)
                    else:
                        planes[base : base + whole] = 0
                if u >= 0:
                    row = (n * high + u) * rows_stride * long
                    for v in range(0, long // stride, width):
                        summed(
                            planes, weights, channels, step, u, v, out, row + stride * v, long, taps, rows_stride,
                            stride, padding,
                        )  # fmt: skip

    return compiled(gather)


def fits(gradient: Tensor, strides: Pair) -> bool:
    """Return whether the kernel takes a gradient `(B, C, H', W')`, which lies channels last."""
    return (
        strides[0] in STRIDES
        and strides[1] in WIDTHS
        and gradient.dtype in (torch.float32, torch.bfloat16)
        and gradient.is_contiguous(memory_format=torch.channels_last)
        and gradient.numel() > 0
        and gradient.shape[1] % ROW == 0
    )


def input_gradient(gradient: Tensor, weight: Tensor, strides: Pair, padding: int, shape: torch.Size) -> Tensor:
    """Return what `models.layers.memory_format.input_gradient` does; `fits` must hold."""
    clips, channels, height, width = gradient.shape
    taps, (rows_stride, stride) = weight.shape[2], strides
    left, right = reach(taps, stride, padding)
    top, bottom = reach(taps, rows_stride, padding)
    vector = WIDTHS[stride]
    high = max(height, -(-shape[2] // rows_stride))
    long = -(-max(width, -(-shape[3] // stride)) // vector) * vector
    step = max(-left, 0) + max(long + max(right, 0), -(-width // ROW) * ROW)
    line = np.zeros((1, -(-width // ROW) * ROW * channels), np.float32)
    out = torch.empty(clips, rows_stride * high, stride * long)
    g = gradient.detach().permute(0, 2, 3, 1).reshape(clips * height, width * channels)
    weights = weight.detach().reshape(channels, -1).float().contiguous().numpy().reshape(-1)
    _kernel(taps, strides, padding)(
        numbers(g), (clips, height, channels), weights, line,
        np.empty((bottom - top + 1) * channels * step, np.float32), step, out.numpy().reshape(-1), high, stride * long,
    )  # fmt: skip
    return out[:, None, : shape[2], : shape[3]].to(gradient.dtype).contiguous()
