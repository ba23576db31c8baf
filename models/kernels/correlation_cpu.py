"""Normalised autocorrelation of overlapping windows for a CPU, compiled by numba: sixteen windows side by side."""

from typing import Any

import numpy as np

from models.kernels.lanes import at_least, instead_of_small
from models.kernels.simd import load, spread, store
from models.kernels.spectrum_cpu import (
    LANES,
    ZERO,
    Floats,
    Transform,
    _compile,
    _first,
    _pass,
    _powers,
    _rest,
    radices,
    scratch_arrays,
)  # fmt: skip

ONE, TINY = np.float32(1), np.float32(np.finfo(np.float32).tiny)


class Correlation:
    """Tables of the autocorrelation of windows of as many values as there are weights.

    Args:
        weights: `(F,)`.
        points: of the transform, at least 2 F - 1.
    """

    def __init__(self, weights: Floats, points: int) -> None:
        padded = np.zeros(points)
        padded[: len(weights)] = weights
        self.lags = len(weights)
        self.transform = Transform(padded, 1)
        angle = 2 * np.pi * np.arange(points // 2) / points
        self.turns = np.stack([np.cos(angle), np.sin(angle)], 1).astype(np.float32)


def plan(weights: Floats, points: int) -> Correlation | None:
    """Return the tables for `correlations`; None for sizes that it does not take."""
    return None if points % 2 or radices(points // 2) is None else Correlation(weights, points)


@_compile
def _spectrum_of_powers(power: Floats, turns: Floats, data: Floats) -> None:
    """Put the points whose transform is the powers' autocorrelation into `data`, real and imaginary part swapped."""
    half = len(turns)
    p, d = power.reshape(-1, LANES), data.reshape(-1, LANES)
    for k in range(half):
        near, far = load(p, k, 0, LANES), load(p, half - k, 0, LANES)
        off = near - far
        store(d, 2 * k, 0, spread(turns[k, 0], LANES) * off)
        store(d, 2 * k + 1, 0, near + far - spread(turns[k, 1], LANES) * off)


@_compile
def _correlations(
    rows: Floats, lags: int, columns: int, transform: Any, turns: Floats, out: Floats, scratch: Any
) -> None:
    """Put the autocorrelation of all windows of `rows (B, T + F - 1)` into `out (B, F, T)`."""
    sizes, factors, starts, order, halves, places, window = transform
    span, data, power, flat = scratch
    found = flat.reshape(-1, LANES)
    d = data.reshape(-1, LANES)
    clips, _, frames = out.shape
    half = len(order)
    span[:] = 0
    for clip in range(clips):
        for t in range(0, frames, LANES):
            number = min(columns, rows.shape[1] - t)
            span[:number] = rows[clip, t : t + number]
            span[number:] = 0
            _first(span, places, window, data, sizes[0], half // sizes[0], factors)
            _rest(data, half, sizes, factors, starts)
            _powers(data, order, halves, power)
            _spectrum_of_powers(power, turns, data)
            _pass(data, 0, sizes[0], half // sizes[0], factors, 0)
            _rest(data, half, sizes, factors, starts)
            greatest, none = spread(ZERO, LANES), spread(ZERO, LANES)
            for lag in range(lags):
                value = load(d, 2 * order[lag // 2] + 1 - lag % 2, 0, LANES)
                greatest = at_least(at_least(value, none - value), greatest)
                store(found, lag, 0, value)
            greatest = instead_of_small(greatest, spread(TINY, LANES), spread(ONE, LANES))
            if t + LANES <= frames:
                for lag in range(lags):
                    store(out[clip], lag, t, load(found, lag, 0, LANES) / greatest)
            else:
                for lag in range(lags):
                    store(found, lag, 0, load(found, lag, 0, LANES) / greatest)
                    for lane in range(frames - t):
                        out[clip, lag, t + lane] = found[lag, lane]


def correlations(rows: Floats, tables: Correlation) -> Floats:
    """Return the autocorrelation `(B, F, T)` of all windows of `rows (B, T + F - 1)`, that of lag 0 being 1."""
    transform, lags = tables.transform, tables.lags
    out = np.empty((len(rows), lags, rows.shape[1] - lags + 1), np.float32)
    half, columns = transform.points // 2, transform.columns
    scratch = scratch_arrays(columns + LANES, 2 * half * LANES, (half + 1) * LANES, lags * LANES)
    _correlations(rows, lags, columns, transform.tables, tables.turns, out, scratch)
    return out
