"""One long real transform for a CPU, compiled by numba: sixteen interleaved parts of it side by side, then across."""

from typing import Any

import numpy as np

from models.kernels.lanes import transposed
from models.kernels.simd import load, store
from models.kernels.spectrum_cpu import LANES, ROW, Floats, Transform, _compile, _last, _pass, _rest, radices


class LongTransform:
    """Tables of a real transform of `points` points, of which the first `kept` are wanted.

    Args:
        points: a multiple of 512.
        kept: at most half of the points.
    """

    def __init__(self, points: int, kept: int) -> None:
        half = points // 2
        rows = half // LANES
        self.points = points
        self.inner = Transform(np.ones(2 * rows), 1).tables
        self.across = Transform(np.ones(2 * LANES), 1).tables
        angle = -2 * np.pi * np.outer(np.arange(LANES), np.arange(rows)) / half
        self.turns = np.stack([np.cos(angle), np.sin(angle)], 1).astype(np.float32).reshape(-1)  # (LANES, 2, rows)
        halves = -0.5j * np.exp(-2j * np.pi * np.arange(kept) / points)
        self.halves = np.stack([halves.real, halves.imag]).astype(np.float32)


def fits(points: int) -> bool:
    """Return whether there is a transform of so many points."""
    return points % (2 * LANES * LANES) == 0 and radices(points // 2 // LANES) is not None


@_compile
def _split(x: Floats, data: Floats) -> None:
    """Put samples two by two, as complex numbers, into vectors of real and of imaginary parts."""
    rows = data.reshape(-1, 2 * LANES)
    for row in range(len(rows)):
        part, into = x[2 * LANES * row : 2 * LANES * (row + 1)], rows[row]
        for lane in range(LANES):
            into[lane], into[LANES + lane] = part[2 * lane], part[2 * lane + 1]


@_compile
def transform(x: Floats, inner: Any, across: Any, turns: Floats, halves: Floats, real: Floats, imag: Floats,
              scratch: Any) -> None:  # fmt: skip
    """Put the first points of the transform of `x` into `real` and `imag`."""
    data, whole, small, large = scratch
    sizes, factors, starts, order = inner[0], inner[1], inner[2], inner[3]
    few, turned, found = across[1], across[3], large.reshape(-1, LANES)
    rows, half, kept = len(order), len(order) * LANES, len(halves[0])
    _split(x, data)
    _pass(data, 0, sizes[0], rows // sizes[0], factors, 0)
    _rest(data, rows, sizes, factors, starts)
    source, gathered = data.reshape(-1, LANES), small.reshape(-1, LANES)
    planes, angles = whole.reshape(2, -1), turns.reshape(2 * LANES, -1)
    for k in range(0, rows, LANES):
        for i in range(LANES):
            store(gathered, i, 0, load(source, 2 * order[k + i], 0, LANES))
            store(gathered, LANES + i, 0, load(source, 2 * order[k + i] + 1, 0, LANES))
        for part in range(2):
            for i in range(0, LANES, ROW):
                for lane in range(0, LANES, ROW):
                    at = (part * LANES + i) * LANES + lane
                    transposed(small, at, LANES, large, (2 * lane + part) * LANES + i, 2 * LANES)
        for lane in range(1, LANES):
            a, b = load(found, 2 * lane, 0, LANES), load(found, 2 * lane + 1, 0, LANES)
            c, d = load(angles, 2 * lane, k, LANES), load(angles, 2 * lane + 1, k, LANES)
            store(found, 2 * lane, 0, a * c - b * d)
            store(found, 2 * lane + 1, 0, a * d + b * c)
        _pass(large, 0, 4, 4, few, 0)
        _last(large, 0, 4, 4)
        for j in range(LANES):
            first = j * rows + k
            if first < kept or first + LANES > half - kept:
                store(planes, 0, first, load(found, 2 * turned[j], 0, LANES))
                store(planes, 1, first, load(found, 2 * turned[j] + 1, 0, LANES))
    p, q, u, v = planes[0], planes[1], halves[0], halves[1]
    real[0], imag[0] = p[0] + q[0], 0
    a, b, c, d = p[1:kept], q[1:kept], p[half - kept + 1 :][::-1], q[half - kept + 1 :][::-1]
    into, other, e, f = real[1:kept], imag[1:kept], u[1:], v[1:]
    for k in range(len(a)):
        x_off, y_off = a[k] - c[k], b[k] + d[k]
        into[k] = np.float32(0.5) * (a[k] + c[k]) + (x_off * e[k] - y_off * f[k])
        other[k] = np.float32(0.5) * (b[k] - d[k]) + (x_off * f[k] + y_off * e[k])
