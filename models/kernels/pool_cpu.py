"""Maximum over 2×2 places of a training step for a CPU, compiled by numba, for maps that lie channels last.

torch keeps the place of each maximum as an integer of 64 bits, clears the gradient and scatters into it. Here the
gradient's place is found again by comparing the maps with their maxima, and each value is written once.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from models.kernels.compiling import compiled
from models.kernels.norm_cpu import Maps, _matrix, read, write
from models.kernels.simd import _intrinsic

WIDTHS = (64, 32, 16, 8)


@_intrinsic
def larger(typing: Any, a: Any, b: Any) -> Any:
    """Return the larger of each pair, and NaN where one is NaN."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        a, b = args
        return builder.select(builder.fcmp_ordered("<=", b, a), a, builder.select(
            builder.fcmp_unordered("uno", a, a), a, b))  # fmt: skip

    return a(a, b), generate


def _choice(equal: bool) -> Any:
    """Return an intrinsic: its first argument where the other two are equal, or differ, else 0."""

    def write(typing: Any, value: Any, a: Any, b: Any) -> Any:
        def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            import llvmlite.ir as ir

            value, a, b = args
            zero = ir.Constant(value.type, [0.0] * value.type.count)
            same = builder.fcmp_ordered("==", a, b)
            return builder.select(same, value, zero) if equal else builder.select(same, zero, value)

        return value(value, a, b), generate

    return _intrinsic(write)


where_equal, where_different = _choice(True), _choice(False)


@cache
def _kernels(width: int) -> tuple[Callable[..., None], Callable[..., None]]:
    """Return the pass forwards and the pass backwards for channels in vectors of `width`."""

    @compiled
    def forward(x: Maps, size: tuple[int, int, int], y: Maps) -> None:
        clips, height, length = size
        row = 0
        for b in range(clips):
            for i in range(0, height, 2):
                for j in range(0, length, 2):
                    here = (b * height + i) * length + j
                    right, below = j + 1 < length, i + 1 < height
                    for c in range(0, x.shape[1], width):
                        most = read(x, here, c, width)
                        if right:
                            most = larger(most, read(x, here + 1, c, width))
                        if below:
                            most = larger(most, read(x, here + length, c, width))
                        if right and below:
                            most = larger(most, read(x, here + length + 1, c, width))
                        write(y, row, c, most)
                    row += 1

    @compiled
    def backward(x: Maps, y: Maps, g: Maps, size: tuple[int, int, int], dx: Maps) -> None:
        clips, height, length = size
        row = 0
        for b in range(clips):
            for i in range(0, height, 2):
                for j in range(0, length, 2):
                    here = (b * height + i) * length + j
                    right, below = j + 1 < length, i + 1 < height
                    for c in range(0, x.shape[1], width):
                        most, rest = read(y, row, c, width), read(g, row, c, width)
                        value = read(x, here, c, width)
                        write(dx, here, c, where_equal(rest, value, most))
                        rest = where_different(rest, value, most)  # the first of equal ones has the gradient
                        if right:
                            value = read(x, here + 1, c, width)
                            write(dx, here + 1, c, where_equal(rest, value, most))
                            rest = where_different(rest, value, most)
                        if below:
                            value = read(x, here + length, c, width)
                            write(dx, here + length, c, where_equal(rest, value, most))
                            rest = where_different(rest, value, most)
                        if right and below:
                            value = read(x, here + length + 1, c, width)
                            write(dx, here + length + 1, c, where_equal(rest, value, most))
                    row += 1

    return forward, backward


def fits(x: Tensor) -> bool:
    """Return whether the kernels take maps `(B, C, H, W)`, which lie channels last."""
    return (
        x.dtype in (torch.float32, torch.bfloat16)
        and x.is_contiguous(memory_format=torch.channels_last)
        and x.numel() > 0
        and x.shape[1] % WIDTHS[-1] == 0
    )


def _width(channels: int) -> int:
    return next(width for width in WIDTHS if channels % width == 0)


class MaxPool(torch.autograd.Function):
    """Maximum over 2×2 places of maps `(B, C, H, W)`, over fewer at odd ends; `fits` must hold."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        """Return maps `(B, C, ⌈H / 2⌉, ⌈W / 2⌉)`."""
        clips, channels, height, length = x.shape
        y = x.new_empty(clips, channels, (height + 1) // 2, (length + 1) // 2).to(memory_format=torch.channels_last)
        _kernels(_width(channels))[0](_matrix(x, 1), (clips, height, length), _matrix(y, 1))
        ctx.save_for_backward(x, y)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        """Return the gradient of the maps."""
        x, y = ctx.saved_tensors
        clips, channels, height, length = x.shape
        gradient = gradient.to(x.dtype).contiguous(memory_format=torch.channels_last)
        dx = torch.empty_like(x)
        parts = (_matrix(part, 1) for part in (x, y, gradient))
        _kernels(_width(channels))[1](*parts, (clips, height, length), _matrix(dx, 1))
        return dx
