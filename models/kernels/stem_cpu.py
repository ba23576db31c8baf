"""Gradient of the maps of a convolution of one channel for a CPU, compiled by numba; its output lies channels last.

Positions of the output lie side by side in a vector. As many rows of the output's gradient as the taps reach over are
kept, each channel's values next to each other, and each row of the result is written once. With a stride of two, the
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
from models.kernels.norm_cpu import Maps, numbers, read
from models.kernels.simd import _intrinsic, _mask, store
from models.kernels.spectrum_cpu import Floats

WIDTHS = {1: 64, 2: 32}
"""Positions of a vector by the stride: four or eight registers of sums, none of which waits for another."""
ROW = 8
"""Rows and columns of what `transposed` takes."""


def _shifts(taps: int, stride: int, padding: int) -> dict[int, tuple[int, int]]:
    """Return for each tap the remainder of its place by the stride, and the output's position from there."""
    return {tap: ((tap - padding) % stride, -((tap - padding) // stride)) for tap in range(taps)}


@_intrinsic
def summed(
    typing: Any, planes: Any, weights: Any, channels: Any, step: Any, u: Any, v: Any, out: Any, at: Any, length: Any,
    taps: Any, stride: Any, padding: Any,
) -> Any:  # fmt: skip
    """Write as many rows of the result as the stride, from `out[at]` and `length` apart, at the positions from v on.

    `planes` holds rows u + least ... u + most of the output's gradient, the row's number modulo theirs, and within it
    the channels `step` apart; `weights` holds those of a channel's taps next to each other.
    """
    times = stride.literal_value
    width, shifts = WIDTHS[times], _shifts(taps.literal_value, times, padding.literal_value)
    least, most = reach(taps.literal_value, times, padding.literal_value)
    rows, lead, number = most - least + 1, max(-least, 0), taps.literal_value

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        w = _Writer(context, builder, sig, args, width)
        planes, weights, channels, step, u, v, out, at, length = w.args[:9]
        kind = ir.VectorType(ir.FloatType(), width)
        reserve: Any = cgutils.alloca_once
        sums = {(a, b): reserve(builder, kind) for a in range(times) for b in range(times)}
        for place in sums.values():
            builder.store(ir.Constant(kind, [0.0] * width), place)
        first = {}
        for down in range(least, most + 1):
            row = builder.urem(w.add(u, down + rows), ir.IntType(64)(rows))
            first[down] = w.add(w.times(w.times(row, channels), step), w.add(v, lead))
        with cgutils.for_range(builder, channels) as loop:
            row, weight = w.times(loop.index, step), w.times(loop.index, number * number)
            for down in range(least, most + 1):
                for along in range(least, most + 1):
                    value = w.load(planes, w.add(w.add(first[down], row), along))
                    for i, (a, shift) in shifts.items():
                        for j, (b, other) in shifts.items():
                            if (shift, other) == (down, along):
                                factor = w.spread(weights, w.add(weight, i * number + j))
                                total = _Value(builder, builder.load(sums[a, b]))
                                builder.store((value * factor + total).value, sums[a, b])
        mixed = _mask([i // times + width * (i % times) for i in range(times * width)])
        w.width = times * width
        for a in range(times):
            parts = [builder.load(sums[a, b]) for b in range(times)]
            line = parts[0] if times == 1 else builder.shuffle_vector(*parts, mixed)
            w.store(out, w.add(at, w.times(length, a)), _Value(builder, line))
        return context.get_dummy_value()

    kinds = (planes, weights, channels, step, u, v, out, at, length, taps, stride, padding)
    return types.void(*kinds), generate


def reach(taps: int, stride: int, padding: int) -> tuple[int, int]:
    """Return the first and the last position, from u on, of the outputs that depend on place `stride` u or after."""
    shifts = [shift for _, shift in _shifts(taps, stride, padding).values()]
    return min(shifts), max(shifts)


@cache
def _kernel(taps: int, stride: int, padding: int) -> Callable[..., None]:
    """Return the compiled pass of a kernel."""
    width = WIDTHS[stride]
    least, most = reach(taps, stride, padding)
    rows, lead = most - least + 1, max(-least, 0)

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
            for u in range(-most, high):
                coming = u + most  # within reach of the taps from here on
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
                    row = (n * high + u) * stride * long
                    for v in range(0, long // stride, width):
                        summed(
                            planes, weights, channels, step, u, v, out, row + stride * v, long, taps, stride, padding
                        )

    return compiled(gather)


def fits(gradient: Tensor, stride: int) -> bool:
    """Return whether the kernel takes a gradient `(B, C, H', W')`, which lies channels last."""
    return (
        stride in WIDTHS
        and gradient.dtype in (torch.float32, torch.bfloat16)
        and gradient.is_contiguous(memory_format=torch.channels_last)
        and gradient.numel() > 0
        and gradient.shape[1] % ROW == 0
    )


def input_gradient(gradient: Tensor, weight: Tensor, stride: int, padding: int, shape: torch.Size) -> Tensor:
    """Return what `models.layers.memory_format.input_gradient` does; `fits` must hold."""
    clips, channels, height, width = gradient.shape
    taps = weight.shape[2]
    least, most = reach(taps, stride, padding)
    vector = WIDTHS[stride]
    high = max(height, -(-shape[2] // stride))
    long = -(-max(width, -(-shape[3] // stride)) // vector) * vector
    step = max(-least, 0) + max(long + max(most, 0), -(-width // ROW) * ROW)
    rows = most - least + 1
    line = np.zeros((1, -(-width // ROW) * ROW * channels), np.float32)
    out = torch.empty(clips, stride * high, stride * long)
    g = gradient.detach().permute(0, 2, 3, 1).reshape(clips * height, width * channels)
    weights = weight.detach().reshape(channels, -1).float().contiguous().numpy().reshape(-1)
    _kernel(taps, stride, padding)(
        numbers(g), (clips, height, channels), weights, line, np.empty(rows * channels * step, np.float32), step,
        out.numpy().reshape(-1), high, stride * long,
    )  # fmt: skip
    return out[:, None, : shape[2], : shape[3]].to(gradient.dtype).contiguous()
