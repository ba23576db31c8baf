"""The closed-form cell with a backbone over a sequence for a CPU, compiled by numba; see `models.layers.closed_form`.

A frame's products are of some thousand rows and columns: here they are sums in registers, eight rows and 32 columns at
a time, and what follows each product is computed while its result is in the first-level cache.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from torch import Tensor

from models.kernels.compiling import compiled
from models.kernels.lanes import _Value, _Writer, exponential
from models.kernels.simd import _intrinsic, bounded, inverse, load, spread, store
from models.kernels.spectrum_cpu import Floats

ROWS, WIDTH = 8, 32
"""Rows and columns of a tile of a product: sixteen registers of AVX-512."""
ONE, MINUS_ONE, HALF, QUARTER = (np.float32(value) for value in (1, -1, 0.5, 0.25))


@_intrinsic
def tile(
    typing: Any, a: Any, a_at: Any, a_step: Any, depth: Any, b: Any, b_at: Any, b_step: Any, c: Any, c_at: Any,
    c_step: Any, out: Any, at: Any, step: Any,
) -> Any:  # fmt: skip
    """Put a tile of a b + c into `out`; all are flat, with the place of the tile and the length of a row."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        w = _Writer(context, builder, sig, args, WIDTH)
        a, a_at, a_step, depth, b, b_at, b_step, c, c_at, c_step, out, at, step = w.args
        reserve: Any = cgutils.alloca_once
        sums = [reserve(builder, ir.VectorType(ir.FloatType(), WIDTH)) for _ in range(ROWS)]
        for r, place in enumerate(sums):
            builder.store(w.load(c, w.add(c_at, w.times(c_step, r))).value, place)
        with cgutils.for_range(builder, depth) as loop:
            row = w.load(b, w.add(b_at, w.times(loop.index, b_step)))
            for r, place in enumerate(sums):
                factor = w.spread(a, w.add(w.add(a_at, w.times(a_step, r)), loop.index))
                total = _Value(builder, builder.load(place))
                builder.store((row * factor + total).value, place)
        for r, place in enumerate(sums):
            w.store(out, w.add(at, w.times(step, r)), _Value(builder, builder.load(place)))
        return context.get_dummy_value()

    kinds = (a, a_at, a_step, depth, b, b_at, b_step, c, c_at, c_step, out, at, step)
    return types.void(*kinds), generate


@compiled
def _product(
    a: Floats, a_at: int, depth: int, b: Floats, columns: int, c: Floats, c_at: int, c_step: int, out: Floats, at: int,
    rows: int,
) -> None:  # fmt: skip
    """Put the product of `a (rows, depth)` and `b (depth, columns)`, plus c, into `out`."""
    for j in range(0, columns, WIDTH):
        for i in range(0, rows, ROWS):
            tile(
                a, a_at + i * depth, depth, depth, b, j, columns, c, c_at + i * c_step + j, c_step,
                out, at + i * columns + j, columns,
            )  # fmt: skip


@compiled
def _sigmoid(x: Any) -> Any:
    one = spread(ONE, WIDTH)
    return inverse(one + exponential(bounded(spread(MINUS_ONE, WIDTH) * x)))


@compiled
def _forward(
    known: Floats, size: tuple[int, int, int, int], own: Floats, weight: Floats, bias: Floats, gate: bool, kept: int,
    entries: Floats, heads: Floats, states: Floats,
) -> None:  # fmt: skip
    frames, batch, width, units = size
    e, h, s = entries.reshape(1, -1), heads.reshape(1, -1), states.reshape(1, -1)
    half = spread(HALF, WIDTH)
    for frame in range(frames):
        place = frame if kept > 1 else 0
        e_at, h_at, s_at = place * batch * width, place * batch * 3 * units, frame * batch * units
        _product(states, s_at, units, own, width, known, frame * batch * width, width, entries, e_at, batch)
        for i in range(e_at, e_at + batch * width, WIDTH):
            store(e, 0, i, _sigmoid(load(e, 0, i, WIDTH)))
        _product(entries, e_at, width, weight, 3 * units, bias, 0, 0, heads, h_at, batch)
        s_at += batch * units
        for r in range(batch):
            for u in range(0, units, WIDTH):
                i = h_at + 3 * r * units + u
                s1, s2 = _sigmoid(load(h, 0, i, WIDTH)), _sigmoid(load(h, 0, i + units, WIDTH))
                t = _sigmoid(load(h, 0, i + 2 * units, WIDTH))
                if gate:
                    store(s, 0, s_at + r * units + u, s1 + t * (s2 - s1))
                else:
                    s2 = s2 - half
                    store(s, 0, s_at + r * units + u, s1 + t * s2)
                store(h, 0, i, s1)
                store(h, 0, i + units, s2)
                store(h, 0, i + 2 * units, t)


@compiled
def _backward(
    gradients: Floats, size: tuple[int, int, int, int], start: int, down: Floats, back: Floats, none: Floats,
    gate: bool, entries: Floats, heads: Floats, d_s: Floats, d_heads: Floats, d_known: Floats,
) -> None:  # fmt: skip
    """Put the gradients of frames start … start + frames into the last two, and that of the state before into `d_s`."""
    frames, batch, width, units = size
    e, h, g = entries.reshape(1, -1), heads.reshape(1, -1), d_s.reshape(1, -1)
    into, known = d_heads.reshape(1, -1), d_known.reshape(1, -1)
    one, quarter = spread(ONE, WIDTH), spread(QUARTER, WIDTH)
    for frame in range(start + frames - 1, start - 1, -1):
        h_at, piece_at = frame * batch * 3 * units, (frame - start) * batch * 3 * units
        for r in range(batch):
            for u in range(0, units, WIDTH):
                i, k = h_at + 3 * r * units + u, piece_at + 3 * r * units + u
                s1, s2 = load(h, 0, i, WIDTH), load(h, 0, i + units, WIDTH)
                t, d = load(h, 0, i + 2 * units, WIDTH), load(g, 0, r * units + u, WIDTH)
                of_t = d * (t - t * t)
                if gate:
                    store(into, 0, k, d * (one - t) * (s1 - s1 * s1))
                    store(into, 0, k + units, d * t * (s2 - s2 * s2))
                    store(into, 0, k + 2 * units, of_t * (s2 - s1))
                else:
                    store(into, 0, k, d * (s1 - s1 * s1))
                    store(into, 0, k + units, d * t * (quarter - s2 * s2))
                    store(into, 0, k + 2 * units, of_t * s2)
        e_at = frame * batch * width
        _product(d_heads, piece_at, 3 * units, down, width, none, 0, 0, d_known, e_at, batch)
        for i in range(e_at, e_at + batch * width, WIDTH):
            s = load(e, 0, i, WIDTH)
            store(known, 0, i, load(known, 0, i, WIDTH) * (s - s * s))
        if frame:
            before = (frame - 1) * batch * units
            _product(d_known, e_at, width, back, units, gradients, before, units, d_s, 0, batch)
        else:
            _product(d_known, e_at, width, back, units, none, 0, 0, d_s, 0, batch)


def fits(batch: int, width: int, units: int) -> bool:
    """Return whether the kernel takes so many sequences, units of the backbone and neurons."""
    return batch % ROWS == 0 and width % WIDTH == 0 and units % WIDTH == 0 and batch * width * units > 0


def _flat(x: Tensor) -> Floats:
    array: Floats = x.detach().contiguous().numpy().reshape(-1)
    return array


def forward(
    known: Tensor, own: Tensor, weight: Tensor, bias: Tensor, gate: bool, entries: Tensor, heads: Tensor, states: Tensor
) -> None:
    """Fill `entries`, `heads` and, after its first, `states`, as `models.layers.closed_form.Sequence` does."""
    size = (*known.shape, states.shape[2])
    parts = (_flat(x) for x in (own, weight, bias))
    _forward(_flat(known), size, *parts, gate, len(entries), _flat(entries), _flat(heads), _flat(states))


def backward(
    gradients: Tensor, piece: slice, down: Tensor, back: Tensor, gate: bool, entries: Tensor, heads: Tensor,
    d_s: Tensor, d_heads: Tensor, d_known: Tensor,
) -> None:  # fmt: skip
    """Put the gradients of a piece into `d_heads` and `d_known[piece]`, and the state's before it into `d_s`."""
    size = (piece.stop - piece.start, *entries.shape[1:], d_s.shape[1])
    none = np.zeros(max(size[2:]), np.float32)
    parts = (_flat(x) for x in (entries, heads, d_s, d_heads, d_known))
    _backward(_flat(gradients), size, piece.start, _flat(down), _flat(back), none, gate, *parts)
