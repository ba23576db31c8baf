"""Winograd's 3×3 convolution on a CPU (Lavin & Gray 2016, https://arxiv.org/abs/1509.09308), compiled by numba.

A tile of 6×6 values gives 4×4 outputs, F(4×4, 3×3) of the paper: 36 products in the place of 144. The tiles of a block
are transformed, torch makes 36 products of matrices of them (tiles × channels), and what comes out is transformed back.
Blocks are small, for the caches. The gradient of the maps is such a convolution with turned kernels, and that of the
kernels is made of the same tiles. The maps lie channels last, in float32 or bfloat16. All else is float32.

The transforms add and subtract all values of a tile, so an error is relative to the largest of them, and a value that
is not finite makes all outputs of its tiles NaN.
"""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from models.kernels.compiling import compiled
from models.kernels.norm_cpu import Maps, read, rows, write
from models.kernels.simd import load, spread, store
from models.kernels.spectrum_cpu import Floats

WIDTH = 16
"""Channels of a vector."""
PRODUCTS = 36
OUT, IN = 4, 6
"""Places along a side of a tile's output and input."""
BLOCK = 2**19
"""Values of a block of transformed tiles, unless there are fewer than `LEAST` of them."""
LEAST = 64
ZERO = np.float32(0)

_KERNEL = torch.tensor(
    [[1 / 4, 0, 0], [-1 / 6] * 3, [-1 / 6, 1 / 6, -1 / 6], [1 / 24, 1 / 12, 1 / 6], [1 / 24, -1 / 12, 1 / 6], [0, 0, 1]]
)
_BOTH = torch.kron(_KERNEL, _KERNEL)
"""From the 9 values of a kernel to 36."""


@compiled
def _copied(x: Maps, n: int, shape: tuple[int, int, int], top: int, left: int, size: int, tile: Maps) -> None:
    """Put the places of a tile that lie in the maps into `tile (size, size C)`, and zeros into the others."""
    height, width, channels = shape
    zero = spread(ZERO, WIDTH)
    for i in range(size):
        for j in range(size):
            h, w = top + i, left + j
            inside = 0 <= h < height and 0 <= w < width
            for c in range(0, channels, WIDTH):
                value = read(x, n * height + h, w * channels + c, WIDTH) if inside else zero
                write(tile, i, j * channels + c, value)


@compiled
def _transformed(x: Maps, row: int, column: int, channels: int, near: Floats, v: Floats, t: int) -> None:
    """Put B' d B of the tile of x from `row` and `column` on into `v[:, t C:]`."""
    four, five, two = spread(np.float32(4), WIDTH), spread(np.float32(5), WIDTH), spread(np.float32(2), WIDTH)
    for c in range(0, channels, WIDTH):
        for j in range(6):
            at = column + j * channels + c
            a, b, d = read(x, row, at, WIDTH), read(x, row + 1, at, WIDTH), read(x, row + 2, at, WIDTH)
            e, f, g = read(x, row + 3, at, WIDTH), read(x, row + 4, at, WIDTH), read(x, row + 5, at, WIDTH)
            even, odd = f - four * d, e - four * b
            near_even, near_odd = f - d, two * (e - b)
            store(near, 0, j * WIDTH, four * a - five * d + f)
            store(near, 1, j * WIDTH, even + odd)
            store(near, 2, j * WIDTH, even - odd)
            store(near, 3, j * WIDTH, near_even + near_odd)
            store(near, 4, j * WIDTH, near_even - near_odd)
            store(near, 5, j * WIDTH, four * b - five * e + g)
        for i in range(6):
            a, b, d = load(near, i, 0, WIDTH), load(near, i, WIDTH, WIDTH), load(near, i, 2 * WIDTH, WIDTH)
            e, f, g = load(near, i, 3 * WIDTH, WIDTH), load(near, i, 4 * WIDTH, WIDTH), load(near, i, 5 * WIDTH, WIDTH)
            even, odd = f - four * d, e - four * b
            near_even, near_odd = f - d, two * (e - b)
            at = t * channels + c
            store(v, 6 * i, at, four * a - five * d + f)
            store(v, 6 * i + 1, at, even + odd)
            store(v, 6 * i + 2, at, even - odd)
            store(v, 6 * i + 3, at, near_even + near_odd)
            store(v, 6 * i + 4, at, near_even - near_odd)
            store(v, 6 * i + 5, at, four * b - five * e + g)


@compiled
def _spread_out(g: Maps, row: int, column: int, channels: int, near: Floats, v: Floats, t: int) -> None:
    """Put A g A' of the 4×4 gradients of g from `row` and `column` on into `v[:, t C:]`."""
    four, two = spread(np.float32(4), WIDTH), spread(np.float32(2), WIDTH)
    for c in range(0, channels, WIDTH):
        for j in range(4):
            at = column + j * channels + c
            a, b = read(g, row, at, WIDTH), read(g, row + 1, at, WIDTH)
            d, e = read(g, row + 2, at, WIDTH), read(g, row + 3, at, WIDTH)
            even, odd = a + d, b + e
            wide_even, wide_odd = a + four * d, two * (b + four * e)
            store(near, 0, j * WIDTH, a)
            store(near, 1, j * WIDTH, even + odd)
            store(near, 2, j * WIDTH, even - odd)
            store(near, 3, j * WIDTH, wide_even + wide_odd)
            store(near, 4, j * WIDTH, wide_even - wide_odd)
            store(near, 5, j * WIDTH, e)
        for i in range(6):
            a, b = load(near, i, 0, WIDTH), load(near, i, WIDTH, WIDTH)
            d, e = load(near, i, 2 * WIDTH, WIDTH), load(near, i, 3 * WIDTH, WIDTH)
            even, odd = a + d, b + e
            wide_even, wide_odd = a + four * d, two * (b + four * e)
            at = t * channels + c
            store(v, 6 * i, at, a)
            store(v, 6 * i + 1, at, even + odd)
            store(v, 6 * i + 2, at, even - odd)
            store(v, 6 * i + 3, at, wide_even + wide_odd)
            store(v, 6 * i + 4, at, wide_even - wide_odd)
            store(v, 6 * i + 5, at, e)


@compiled
def _scatter(
    x: Maps, shape: tuple[int, int, int], first: int, tiles: int, gradients: bool, tile: Maps, near: Floats, v: Floats
) -> None:
    """Put the transformed tiles from number `first` on into `v (36, tiles C)`."""
    height, width, channels = shape
    downs, alongs = (height + OUT - 1) // OUT, (width + OUT - 1) // OUT
    before, size = (0, OUT) if gradients else (1, IN)
    for t in range(tiles):
        clip, place = divmod(first + t, downs * alongs)
        top, left = place // alongs * OUT - before, place % alongs * OUT - before
        whole = top >= 0 and left >= 0 and top + size <= height and left + size <= width
        if not whole:
            _copied(x, clip, shape, top, left, size, tile)
        if gradients:
            if whole:
                _spread_out(x, clip * height + top, left * channels, channels, near, v, t)
            else:
                _spread_out(tile, 0, 0, channels, near, v, t)
        elif whole:
            _transformed(x, clip * height + top, left * channels, channels, near, v, t)
        else:
            _transformed(tile, 0, 0, channels, near, v, t)


@compiled
def _gather(m: Floats, shape: tuple[int, int, int], first: int, tiles: int, near: Floats, y: Maps) -> None:
    """Put A' m A of the products `m (36, tiles C)` into the maps."""
    height, width, channels = shape
    downs, alongs = (height + OUT - 1) // OUT, (width + OUT - 1) // OUT
    two, four, eight = spread(np.float32(2), WIDTH), spread(np.float32(4), WIDTH), spread(np.float32(8), WIDTH)
    for t in range(tiles):
        clip, place = divmod(first + t, downs * alongs)
        top, left = place // alongs * OUT, place % alongs * OUT
        high, long = min(OUT, height - top), min(OUT, width - left)
        row = clip * height + top
        for c in range(0, channels, WIDTH):
            at = t * channels + c
            for j in range(6):
                a, b, d = load(m, j, at, WIDTH), load(m, 6 + j, at, WIDTH), load(m, 12 + j, at, WIDTH)
                e, f, g = load(m, 18 + j, at, WIDTH), load(m, 24 + j, at, WIDTH), load(m, 30 + j, at, WIDTH)
                even, odd, far_even, far_odd = b + d, b - d, e + f, e - f
                store(near, 0, j * WIDTH, a + even + far_even)
                store(near, 1, j * WIDTH, odd + two * far_odd)
                store(near, 2, j * WIDTH, even + four * far_even)
                store(near, 3, j * WIDTH, odd + eight * far_odd + g)
            for i in range(high):
                a, b, d = load(near, i, 0, WIDTH), load(near, i, WIDTH, WIDTH), load(near, i, 2 * WIDTH, WIDTH)
                e, f = load(near, i, 3 * WIDTH, WIDTH), load(near, i, 4 * WIDTH, WIDTH)
                even, odd, far_even, far_odd = b + d, b - d, e + f, e - f
                column = left * channels + c
                write(y, row + i, column, a + even + far_even)
                if long > 1:
                    write(y, row + i, column + channels, odd + two * far_odd)
                if long > 2:
                    write(y, row + i, column + 2 * channels, even + four * far_even)
                if long > 3:
                    last = odd + eight * far_odd + load(near, i, 5 * WIDTH, WIDTH)
                    write(y, row + i, column + 3 * channels, last)


def _tiles(x: Tensor) -> int:
    return x.shape[0] * -(-x.shape[2] // OUT) * -(-x.shape[3] // OUT)


def pays(x: Tensor, kernels: Tensor) -> tuple[bool, bool]:
    """Return whether this is faster than torch's convolution: for the maps and their gradient, and for the kernels'.

    The limits were measured on an AMD EPYC with AVX-512, by `benchmarks/convolution.py`. They are about how the
    transforms compare with the products that they save: kernels are many where channels are many and tiles few, tiles
    at the edges may be nearly empty, and oneDNN's products of bfloat16 take half of the time. With AMX, whose products
    take less, only float32 pays.

    Args:
        x: the maps `(B, C, H, W)`.
        kernels: `(C', C, 3, 3)`.
    """
    outputs, channels = kernels.shape[:2]
    usual = x.dtype in (torch.float32, torch.bfloat16) and x.is_contiguous(memory_format=torch.channels_last)
    if not usual or x.numel() == 0 or x.shape[1] != channels or channels % WIDTH or outputs % WIDTH:
        return False, False
    tiles, weights = _tiles(x), channels * outputs
    filled = x.numel() / (channels * tiles * OUT**2)
    if x.dtype == torch.float32:
        return (
            filled > 0.75 and tiles >= 64 and 512 <= weights <= 2048 * tiles,
            filled > 0.75 and tiles >= 32 and 512 <= weights <= 4096 * tiles,
        )
    if filled < 0.9 or getattr(torch.cpu, "_is_amx_tile_supported", bool)():
        return False, False
    return tiles >= 512 and 4096 <= weights <= 128 * tiles, tiles * weights >= 2**22 and weights <= 256 * tiles


def _size(x: Tensor) -> tuple[int, int, int]:
    return x.shape[2], x.shape[3], x.shape[1]


def _block(*maps: Tensor) -> int:
    """Return the tiles of a block."""
    most = max(x.shape[1] for x in maps)
    return min(_tiles(maps[0]), max(LEAST, BLOCK // (PRODUCTS * most)))


def convolved(x: Tensor, kernels: Tensor) -> Tensor:
    """Return the convolution of maps `(B, C, H, W)` with kernels `(C', C, 3, 3)`, padded by one: `(B, C', H, W)`.

    The maps lie channels last, and both numbers of channels are multiples of `WIDTH`.
    """
    outputs, channels = kernels.shape[:2]
    assert x.shape[1] == channels
    assert channels % WIDTH == outputs % WIDTH == 0
    factors = (_BOTH @ kernels.detach().float().permute(2, 3, 1, 0).reshape(9, -1)).view(PRODUCTS, channels, outputs)
    y = torch.empty((x.shape[0], outputs, *x.shape[2:]), dtype=x.dtype, memory_format=torch.channels_last)
    tiles, block = _tiles(x), _block(x, y)
    near = np.empty((IN, IN * WIDTH), np.float32)
    source, target = rows(x), rows(y)
    tile = np.empty((IN, IN * channels), source.dtype)
    v, m = torch.empty(PRODUCTS, block * channels), torch.empty(PRODUCTS, block * outputs)
    for first in range(0, tiles, block):
        number = min(block, tiles - first)
        _scatter(source, _size(x), first, number, False, tile, near, v.numpy())
        torch.bmm(_cut(v, channels, number), factors, out=_cut(m, outputs, number))
        _gather(m.numpy(), _size(y), first, number, near, target)
    return y


def kernel_gradient(x: Tensor, gradient: Tensor) -> Tensor:
    """Return the gradient of the kernels `(C', C, 3, 3)` from that of the maps that `convolved` returns."""
    channels, outputs = x.shape[1], gradient.shape[1]
    assert channels % WIDTH == outputs % WIDTH == 0
    assert x.shape[0] == gradient.shape[0]
    assert x.shape[2:] == gradient.shape[2:]
    tiles, block = _tiles(x), _block(x, gradient)
    near = np.empty((IN, IN * WIDTH), np.float32)
    source, later = rows(x), rows(gradient)
    tile, other = np.empty((IN, IN * channels), source.dtype), np.empty((OUT, OUT * outputs), later.dtype)
    v, m = torch.empty(PRODUCTS, block * channels), torch.empty(PRODUCTS, block * outputs)
    sums = torch.zeros(PRODUCTS, channels, outputs)
    for first in range(0, tiles, block):
        number = min(block, tiles - first)
        _scatter(source, _size(x), first, number, False, tile, near, v.numpy())
        _scatter(later, _size(gradient), first, number, True, other, near, m.numpy())
        sums.baddbmm_(_cut(v, channels, number).transpose(1, 2), _cut(m, outputs, number))
    return (_BOTH.T @ sums.view(PRODUCTS, -1)).view(3, 3, channels, outputs).permute(3, 2, 0, 1).contiguous()


def _cut(values: Tensor, channels: int, number: int) -> Tensor:
    """Return the first tiles of a block's `(36, tiles C)`, as `(36, number, C)`."""
    return values.view(PRODUCTS, -1, channels)[:, :number]


class Winograd(torch.autograd.Function):
    """Convolution of maps `(B, C, H, W)` with kernels `(C', C, 3, 3)`, padded by one; what does not pay is torch's."""

    @staticmethod
    def forward(x: Tensor, kernels: Tensor) -> Tensor:
        """Return the maps `(B, C', H, W)`."""
        with torch.autocast("cpu", enabled=False):
            return convolved(x, kernels) if pays(x, kernels)[0] else F.conv2d(x, kernels.to(x.dtype), padding=1)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        """Keep the maps and the kernels."""
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of the maps and of the kernels; where they are to be differentiated, torch's."""
        x, kernels = ctx.saved_tensors
        needed = ctx.needs_input_grad
        with torch.autocast("cpu", enabled=False):
            gradient = gradient.to(x.dtype).contiguous(memory_format=torch.channels_last)
            found: list[Tensor | None] = [None, None]
            if not torch.is_grad_enabled():
                for_maps, for_kernels = pays(x, kernels)
                if needed[0] and for_maps:
                    found[0] = convolved(gradient, kernels.flip(2, 3).transpose(0, 1))
                if needed[1] and for_kernels:
                    found[1] = kernel_gradient(x, gradient)
            missing = [need and one is None for need, one in zip(needed, found, strict=True)]
            if any(missing):
                others = torch.ops.aten.convolution_backward(
                    gradient, x, kernels.to(x.dtype), None, [1, 1], [1, 1], [1, 1], False, [0, 0], 1, [*missing, False]
                )
                found = [own if other is None else other for own, other in zip(found, others[:2], strict=True)]
            return found[0], None if found[1] is None else found[1].to(kernels.dtype)
