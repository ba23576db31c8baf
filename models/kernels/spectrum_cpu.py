"""Power in bands of all frames of a clip for a CPU, compiled by numba: sixteen frames side by side in SIMD lanes.

A block of frames stays in the cache from the samples to its results: the samples are brought into the lanes' order
once, each frame's real transform of N points is a complex one of N / 2, its power is weighted by the filters, and the
tail (logarithm or cube root, cosine transform) is computed before the next block. No frame's result depends on its
place in a block.
"""

import threading
from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.kernels.compiling import compiled
from models.kernels.lanes import (
    RADICES,
    at_least,
    butterfly,
    exponential,
    first_butterfly,
    last_butterfly,
    logarithm,
    real_powers,
    transposed,
)  # fmt: skip
from models.kernels.simd import load, spread, store

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]

LANES = 16
"""Frames of a block."""
ROW = 8
"""Rows and columns of what `transposed` takes."""
DENSE = 4
"""Filters that are computed together where most of their points are the same."""
KINDS = ("power", "logarithm", "cube root")
LOGARITHM, CUBE_ROOT = 1, 2
MAX_KNOWN = 64
"""Choices of sizes whose arrays are kept."""
_SCRATCH = threading.local()
ZERO = np.float32(0)


def _compile(function: Callable[..., Any]) -> Callable[..., Any]:
    return compiled(function, nogil=True)


def radices(points: int) -> tuple[int, ...] | None:
    """Return transforms whose sizes multiply to `points`, the largest first; None where there are none."""
    found = []
    for radix in RADICES:
        while points % radix == 0 and not (radix == 8 and points == 16):  # 4 · 4 rather than 8 · 2
            found.append(radix)
            points //= radix
    return tuple(sorted(found, reverse=True)) if points == 1 and len(found) > 1 else None


class Transform:
    """Tables of the real transform of `points` points, weighted by a window at its middle.

    Args:
        window: float64 weights `(points,)`.
        hop: samples between frames.
    """

    def __init__(self, window: NDArray[np.float64], hop: int) -> None:
        n, half = len(window), len(window) // 2
        sizes = radices(half) if n % 2 == 0 else None
        if sizes is None:
            raise ValueError(f"no transform of {n} points")
        self.points, self.hop = n, hop
        self.columns = -(-(LANES + (n - 1) // hop) // ROW) * ROW if hop > 1 else LANES + n
        i = np.arange(n)
        zero = hop * self.columns if hop > 1 else self.columns
        places = (i % hop) * self.columns + i // hop
        self.places = np.where(window == 0, zero, places)  # of zeros, whatever the sample is
        self.window = (window / 2).astype(np.float32)
        self.sizes = np.array(sizes)
        factors, order, length = [], np.zeros(1, np.int64), half
        for size in sizes:
            step = length // size
            turns = np.arange(step)[:, None] * np.arange(1, size) / length
            factors.append(_pairs(np.exp(-2j * np.pi * turns)))
            length = step
        for size in reversed(sizes):  # where frequency k lies after transforms in place
            order = (np.arange(size)[:, None] * len(order) + order).T.reshape(-1)
        self.order = order
        self.starts = np.cumsum([0] + [len(part) for part in factors[:-1]])
        self.factors = np.concatenate(factors)
        self.halves = _pairs(-1j * np.exp(-2j * np.pi * np.arange(half // 2 + 1) / n))

    @cached_property
    def tables(self) -> tuple[Any, ...]:
        """What the kernels take."""
        return self.sizes, self.factors, self.starts, self.order, self.halves, self.places, self.window


def _pairs(values: NDArray[np.complex128]) -> Floats:
    return np.stack([values.real, values.imag], -1).astype(np.float32).reshape(-1)


class Bands:
    """Tables of the filters and of what follows them.

    Args:
        filters: weights `(F, N / 2 + 1)`.
        kind: of `KINDS`.
        floor: least power, at least 1e-37.
        scale: factor of the logarithm.
        matrix: product with it at the end `(F', F)`; None for none.
    """

    def __init__(self, filters: Floats, kind: str, floor: float, scale: float, matrix: Floats | None) -> None:
        used = filters != 0
        first = np.where(used.any(1), used.argmax(1), 0)
        end = np.where(used.any(1), filters.shape[1] - used[:, ::-1].argmax(1), 0)
        groups: list[tuple[int, ...]] = []
        weights: list[Floats] = []
        band = 0
        while band < len(filters):
            few = slice(band, band + DENSE)
            low, high = int(first[few].min()), int(end[few].max())
            together = len(first[few]) == DENSE and 4 * (high - low) <= 1.5 * (end[few] - first[few]).sum()
            if not together:
                low, high = int(first[band]), int(end[band])
            count = DENSE if together else 1
            groups.append((band, count, low, high, sum(len(part) for part in weights)))
            weights.append(np.ascontiguousarray(filters[band : band + count, low:high].T).reshape(-1))
            band += count
        self.bands = len(filters)
        self.groups = np.array(groups)
        self.weights = np.concatenate([*weights, np.zeros(1, np.float32)]).astype(np.float32)
        self.kind, self.floor, self.scale = KINDS.index(kind), np.float32(floor), np.float32(scale)
        self.matrix = np.zeros((0, 0), np.float32) if matrix is None else np.ascontiguousarray(matrix)
        self.results = self.matrix.shape[0] or self.bands

    @cached_property
    def tables(self) -> tuple[Any, ...]:
        """What the kernels take."""
        return self.groups, self.weights, self.kind, self.floor, self.scale, self.matrix


@_compile
def _fill(wave: Floats, start: int, number: int, emphasis: np.float32, length: int, before: int, after: int,
          reflect: bool, span: Floats) -> None:  # fmt: skip
    """Put samples start … start + number of a clip with its ends, as `FilterbankPower` has them, into `span`."""
    end = length - after
    inner = min(len(wave), end - before)
    low, high = min(max(before - start, 0), number), min(max(before + inner - start, 0), number)
    if low < high:
        own, into = wave[low + start - before : high + start - before], span[low:high]
        if emphasis == 0:
            into[:] = own
        else:
            first = low + start - before
            into[0] = wave[0] if first == 0 else wave[first] - emphasis * wave[first - 1]
            earlier, later, into = own[:-1], own[1:], into[1:]
            for j in range(len(into)):
                into[j] = later[j] - emphasis * earlier[j]
    for part in range(2):
        for j in range(0 if part == 0 else high, low if part == 0 else number):
            place = j + start
            value = ZERO
            if reflect and place < length:
                i = before - place if place < before else 2 * inner - 2 - (place - before)
                value = wave[i]
                if emphasis != 0 and i > 0:
                    value -= emphasis * wave[i - 1]
            span[j] = value


@_compile
def _arrange(span: Floats, hop: int, columns: int, samples: Floats) -> None:
    """Put sample i of the frames side by side from `samples[i columns]` on: `samples[i, f] = span[f hop + i]`."""
    for f in range(0, columns, ROW):
        for i in range(0, hop - ROW + 1, ROW):
            transposed(span, f * hop + i, hop, samples, i * columns + f, columns)
        if hop % ROW:
            i = hop - ROW  # some rows a second time
            transposed(span, f * hop + i, hop, samples, i * columns + f, columns)


@_compile
def _pass(data: Floats, base: int, size: int, step: int, factors: Floats, start: int) -> None:
    """Transform in place the points from base on, `size` at a time that lie `step` apart."""
    if size == 8:
        for j in range(step):
            butterfly(data, base + j, step, factors, start + 14 * j, 8, LANES)
    elif size == 5:
        for j in range(step):
            butterfly(data, base + j, step, factors, start + 8 * j, 5, LANES)
    elif size == 4:
        for j in range(step):
            butterfly(data, base + j, step, factors, start + 6 * j, 4, LANES)
    elif size == 3:
        for j in range(step):
            butterfly(data, base + j, step, factors, start + 4 * j, 3, LANES)
    else:
        for j in range(step):
            butterfly(data, base + j, step, factors, start + 2 * j, 2, LANES)


@_compile
def _last(data: Floats, base: int, number: int, size: int) -> None:
    """Transform in place `number` times `size` neighbouring points."""
    if size == 8:
        for j in range(number):
            last_butterfly(data, base + 8 * j, 8, LANES)
    elif size == 5:
        for j in range(number):
            last_butterfly(data, base + 5 * j, 5, LANES)
    elif size == 4:
        for j in range(number):
            last_butterfly(data, base + 4 * j, 4, LANES)
    elif size == 3:
        for j in range(number):
            last_butterfly(data, base + 3 * j, 3, LANES)
    else:
        for j in range(number):
            last_butterfly(data, base + 2 * j, 2, LANES)


@_compile
def _rest(data: Floats, half: int, sizes: Integers, factors: Floats, starts: Integers) -> None:
    """Do all passes but the first one, part by part so that each stays in the nearest cache."""
    whole = half // sizes[0]
    for part in range(sizes[0]):
        length = whole
        for p in range(1, len(sizes) - 1):
            step = length // sizes[p]
            for base in range(part * whole, (part + 1) * whole, length):
                _pass(data, base, sizes[p], step, factors, starts[p])
            length = step
        _last(data, part * whole, whole // length, length)


@_compile
def _first(samples: Floats, places: Integers, window: Floats, data: Floats, size: int, step: int,
           factors: Floats) -> None:  # fmt: skip
    """Do the first pass, from the samples."""
    if size == 8:
        for j in range(step):
            first_butterfly(samples, places, window, data, j, step, factors, 14 * j, 8, LANES)
    elif size == 5:
        for j in range(step):
            first_butterfly(samples, places, window, data, j, step, factors, 8 * j, 5, LANES)
    elif size == 4:
        for j in range(step):
            first_butterfly(samples, places, window, data, j, step, factors, 6 * j, 4, LANES)
    elif size == 3:
        for j in range(step):
            first_butterfly(samples, places, window, data, j, step, factors, 4 * j, 3, LANES)
    else:
        for j in range(step):
            first_butterfly(samples, places, window, data, j, step, factors, 2 * j, 2, LANES)


@_compile
def _powers(data: Floats, order: Integers, halves: Floats, power: Floats) -> None:
    """Put the power of points 0 … M of the real transform into `power`, vector by vector."""
    half = len(order)
    matrix, result = data.reshape(-1, LANES), power.reshape(-1, LANES)
    both, apart = load(matrix, 0, 0, LANES), load(matrix, 1, 0, LANES)
    two = spread(np.float32(2), LANES)
    total, difference = two * (both + apart), two * (both - apart)
    for k in range(1, half // 2 + 1):
        real_powers(data, order[k], order[half - k], halves, k, power, half - k, LANES)
    store(result, 0, 0, total * total)
    store(result, half, 0, difference * difference)


@_compile
def _weigh(power: Floats, groups: Integers, weights: Floats, found: Floats) -> None:
    """Put the power in bands into `found (F, LANES)`."""
    p = power.reshape(-1, LANES)
    for g in range(len(groups)):
        band, count, low, high, at = groups[g, 0], groups[g, 1], groups[g, 2], groups[g, 3], groups[g, 4]
        a, b, c, d = spread(ZERO, LANES), spread(ZERO, LANES), spread(ZERO, LANES), spread(ZERO, LANES)
        if count == 1:
            k = low
            while k + 4 <= high:
                a += spread(weights[at], LANES) * load(p, k, 0, LANES)
                b += spread(weights[at + 1], LANES) * load(p, k + 1, 0, LANES)
                c += spread(weights[at + 2], LANES) * load(p, k + 2, 0, LANES)
                d += spread(weights[at + 3], LANES) * load(p, k + 3, 0, LANES)
                k += 4
                at += 4
            while k < high:
                a += spread(weights[at], LANES) * load(p, k, 0, LANES)
                k += 1
                at += 1
            store(found, band, 0, (a + b) + (c + d))
        else:
            for k in range(low, high):
                value = load(p, k, 0, LANES)
                a += spread(weights[at], LANES) * value
                b += spread(weights[at + 1], LANES) * value
                c += spread(weights[at + 2], LANES) * value
                d += spread(weights[at + 3], LANES) * value
                at += 4
            store(found, band, 0, a)
            store(found, band + 1, 0, b)
            store(found, band + 2, 0, c)
            store(found, band + 3, 0, d)


@_compile
def _finish(found: Floats, kind: int, floor: np.float32, scale: np.float32) -> None:
    """Do to the power in bands what the tail says, in place."""
    bands = len(found)
    least, factor = spread(floor, LANES), spread(scale, LANES)
    if kind == LOGARITHM:
        for f in range(bands):
            store(found, f, 0, logarithm(at_least(load(found, f, 0, LANES), least)) * factor)
    elif kind == CUBE_ROOT:
        third = spread(np.float32(1 / 3), LANES)
        for f in range(bands):
            store(found, f, 0, exponential(logarithm(at_least(load(found, f, 0, LANES), least)) * third))


@_compile
def _multiply(matrix: Floats, found: Floats, results: Floats) -> None:
    """Put `matrix @ found` into `results`."""
    rows, columns = matrix.shape
    r = 0
    while r + 4 <= rows:
        a, b, c, d = spread(ZERO, LANES), spread(ZERO, LANES), spread(ZERO, LANES), spread(ZERO, LANES)
        for k in range(columns):
            value = load(found, k, 0, LANES)
            a += spread(matrix[r, k], LANES) * value
            b += spread(matrix[r + 1, k], LANES) * value
            c += spread(matrix[r + 2, k], LANES) * value
            d += spread(matrix[r + 3, k], LANES) * value
        store(results, r, 0, a)
        store(results, r + 1, 0, b)
        store(results, r + 2, 0, c)
        store(results, r + 3, 0, d)
        r += 4
    while r < rows:
        a = spread(ZERO, LANES)
        for k in range(columns):
            a += spread(matrix[r, k], LANES) * load(found, k, 0, LANES)
        store(results, r, 0, a)
        r += 1


@_compile
def _bands(
    waves: Floats, hop: int, columns: int, ends: tuple[int, int, int], reflect: bool, emphasis: np.float32,
    transform: Any, bands: Any, out: Floats, scratch: tuple[Floats, Floats, Floats, Floats, Floats, Floats],
) -> None:  # fmt: skip
    """Put the results of all frames of clips `(B, S)` into `out (B, F', T)`."""
    sizes, factors, starts, order, halves, places, window = transform
    groups, weights, kind, floor, scale, matrix = bands
    length, before, after = ends
    clips, results, frames = out.shape
    half = len(order)
    span, samples, data, power = scratch[:4]
    found, made = scratch[4].reshape(-1, LANES), scratch[5].reshape(-1, LANES)
    span[:] = 0
    samples[-LANES:] = 0  # what lies outside of the window
    for clip in range(clips):
        for t in range(0, frames, LANES):
            _fill(waves[clip], t * hop, columns * hop, emphasis, length, before, after, reflect, span)
            if hop > 1:
                _arrange(span, hop, columns, samples)
            _first(span if hop == 1 else samples, places, window, data, sizes[0], half // sizes[0], factors)
            _rest(data, half, sizes, factors, starts)
            _powers(data, order, halves, power)
            _weigh(power, groups, weights, found)
            _finish(found, kind, floor, scale)
            if len(matrix):
                _multiply(matrix, found, made)
            else:
                made = found
            if t + LANES <= frames:
                for f in range(results):
                    store(out[clip], f, t, load(made, f, 0, LANES))
            else:
                for f in range(results):
                    for lane in range(frames - t):
                        out[clip, f, t + lane] = made[f, lane]


def scratch_arrays(*sizes: int) -> tuple[Floats, ...]:
    """Return arrays that each begin on a cache line, valid until this thread's next call."""
    known: dict[tuple[int, ...], tuple[Floats, ...]] = getattr(_SCRATCH, "known", {})
    if sizes in known:
        return known[sizes]
    places = np.cumsum([0, *(-(-size // 16) * 16 for size in sizes)]).tolist()
    buffer: Floats | None = getattr(_SCRATCH, "buffer", None)
    if buffer is None or len(buffer) < places[-1] or len(known) >= MAX_KNOWN:
        buffer = np.empty(places[-1] + 16, np.float32)
        buffer = _SCRATCH.buffer = buffer[-(buffer.ctypes.data // 4) % 16 :]
        known = _SCRATCH.known = {}
    known[sizes] = tuple(buffer[at : at + size] for at, size in zip(places, sizes, strict=False))
    return known[sizes]


def plan(
    window: Floats, n_fft: int, hop: int, filters: Floats, kind: str, floor: float, scale: float, matrix: Floats | None
) -> tuple[Transform, Bands] | None:
    """Return the tables for `bands_of`; None for sizes that it does not take.

    Args:
        window: `(W,)`, in the middle of the transform.
        n_fft: points of the transform.
        hop: samples between frames.
        filters: weights `(F, n_fft / 2 + 1)`.
        kind: of `KINDS`.
        floor: least power.
        scale: factor of the logarithm.
        matrix: product with it at the end `(F', F)`; None for none.
    """
    if n_fft % 2 or radices(n_fft // 2) is None or 1 < hop < ROW:
        return None
    padded = np.zeros(n_fft)
    start = (n_fft - len(window)) // 2
    padded[start : start + len(window)] = window
    return Transform(padded, hop), Bands(filters, kind, floor, scale, matrix)


def bands_of(
    waves: Floats, transform: Transform, bands: Bands, frames: int, ends: tuple[int, int, int], reflect: bool,
    emphasis: float,
) -> Floats:  # fmt: skip
    """Return the results `(B, F', T)` of clips `(B, S)`.

    Args:
        waves: C-contiguous.
        transform: of a frame.
        bands: filters and tail.
        frames: T.
        ends: samples of all frames, and of these before and after the clip.
        reflect: whether the clip is reflected at its ends.
        emphasis: share of the previous sample that is subtracted.
    """
    out = np.empty((len(waves), bands.results, frames), np.float32)
    half, hop, columns = transform.points // 2, transform.hop, transform.columns
    sizes = columns * hop + ROW, columns * hop + LANES, 2 * half * LANES, (half + 1) * LANES
    scratch = scratch_arrays(*sizes, bands.bands * LANES, bands.results * LANES)
    _bands(waves, hop, columns, ends, reflect, np.float32(emphasis), transform.tables, bands.tables, out, scratch)
    return out
