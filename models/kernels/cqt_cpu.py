"""A block's spectrum times filters, folded and transformed back, for a CPU, compiled by numba: for the CQT.

Each filter is a product over those points alone where it has its energy, a part of an octave's rows. Sixteen bins
are transformed back side by side.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.kernels.lanes import at_least, logarithm, transposed
from models.kernels.long_cpu import LongTransform, fits, transform
from models.kernels.simd import load, spread, store
from models.kernels.spectrum_cpu import (
    LANES,
    ROW,
    ZERO,
    Floats,
    Integers,
    Transform,
    _compile,
    _pass,
    _rest,
    radices,
    scratch_arrays,
)  # fmt: skip

WIDTH = 8
"""Points of a vector."""
FINER = 1e-3
"""Energy that is left out, as a share of what a caller allows: a bin of silence next to a loud one is exact, too."""


class Answers:
    """Filters at the points that are not left out.

    Args:
        octaves: first row and values `(points, rows, bins)` of each octave, see `models.frontends.cqt`.
        hop: samples between frames; a block has M times as many.
        points: M of the inverse transform.
        left_out: largest share of a filter's energy in points that are left out.
    """

    def __init__(
        self, octaves: list[tuple[int, NDArray[np.complex64]]], hop: int, points: int, left_out: float
    ) -> None:
        self.points = points
        stretches, parts, at = [], [], 0
        for first, values in octaves:
            for answer in values.transpose(2, 1, 0).reshape(values.shape[2], -1):  # of each bin, along the spectrum
                share = np.abs(answer.astype(np.complex128)) ** 2
                share /= share.sum()
                inside = (share.cumsum() > left_out / 2) & (share[::-1].cumsum()[::-1] > left_out / 2)
                low = int(inside.argmax()) // WIDTH * WIDTH
                high = -(-(len(inside) - int(inside[::-1].argmax())) // WIDTH) * WIDTH
                stretches.append((first * points + low, first * points + high, at))
                parts.append(answer[low:high])
                at += high - low
        self.bins = len(stretches)
        self.stretches = np.array(stretches)
        self.end = int(self.stretches[:, 1].max())
        self.long = LongTransform(hop * points, self.end)
        values = np.concatenate(parts) / points  # by which an inverse transform divides
        self.real, self.imag = (np.ascontiguousarray(part, np.float32) for part in (values.real, values.imag))
        self.transform = Transform(np.ones(2 * points), 1)  # its complex one has M points

    @property
    def tables(self) -> tuple[Any, ...]:
        """What the kernels take."""
        return self.stretches, self.real, self.imag


def plan(octaves: list[tuple[int, NDArray[np.complex64]]], hop: int, points: int, left_out: float) -> Answers | None:
    """Return the tables for `notes`, which leave out less than `left_out`; None for sizes that it does not take."""
    if points % WIDTH or radices(points) is None or not fits(hop * points):
        return None
    return Answers(octaves, hop, points, FINER * left_out)


@_compile
def _fold(real: Floats, imag: Floats, points: int, stretches: Integers, bin: int, answers: Any, lane: int,
          folded: Floats) -> None:  # fmt: skip
    """Put a bin's products, folded modulo `points`, into rows `lane` (real) and LANES + lane (imaginary part)."""
    left, right = answers
    low, high, at = stretches[bin, 0], stretches[bin, 1], stretches[bin, 2]
    into = folded.reshape(2 * LANES, -1)
    x, y = real.reshape(1, -1), imag.reshape(1, -1)
    g, h = left.reshape(1, -1), right.reshape(1, -1)
    for c in range(0, points, WIDTH):
        # Eight sums, so that no product waits for the one before.
        a, b, d, e = spread(ZERO, WIDTH), spread(ZERO, WIDTH), spread(ZERO, WIDTH), spread(ZERO, WIDTH)
        p, q, r, s = spread(ZERO, WIDTH), spread(ZERO, WIDTH), spread(ZERO, WIDTH), spread(ZERO, WIDTH)
        j = low // points * points + c
        if j < low:
            j += points
        while j + points < high:
            k = at + j - low
            xr, xi = load(x, 0, j, WIDTH), load(y, 0, j, WIDTH)
            gr, gi = load(g, 0, k, WIDTH), load(h, 0, k, WIDTH)
            a += xr * gr
            d += xi * gi
            b += xr * gi
            e += xi * gr
            j, k = j + points, k + points
            xr, xi = load(x, 0, j, WIDTH), load(y, 0, j, WIDTH)
            gr, gi = load(g, 0, k, WIDTH), load(h, 0, k, WIDTH)
            p += xr * gr
            r += xi * gi
            q += xr * gi
            s += xi * gr
            j += points
        if j < high:
            k = at + j - low
            xr, xi = load(x, 0, j, WIDTH), load(y, 0, j, WIDTH)
            gr, gi = load(g, 0, k, WIDTH), load(h, 0, k, WIDTH)
            a += xr * gr
            d += xi * gi
            b += xr * gi
            e += xi * gr
        store(into, lane, c, (a + p) - (d + r))
        store(into, LANES + lane, c, (b + q) + (e + s))


@_compile
def _notes(
    real: Floats, imag: Floats, points: int, stretches: Integers, left: Floats, right: Floats, transform: Any,
    lead: int, floor: np.float32, scale: np.float32, out: Floats, start: int, frames: int, scratch: Any,
) -> None:  # fmt: skip
    """Put the bins' power or level at the frames of a block into `out[:, start : start + frames]`."""
    sizes, factors, starts, order, _, _, _ = transform
    folded, data, levels, turned = scratch
    bins = len(out)
    d, v = data.reshape(-1, LANES), levels.reshape(-1, LANES)
    least, factor = spread(floor, LANES), spread(scale, LANES)
    rows = -(-frames // ROW) * ROW
    for first in range(0, bins, LANES):
        number = min(LANES, bins - first)
        folded[:] = 0
        for lane in range(number):
            _fold(real, imag, points, stretches, first + lane, (left, right), lane, folded)
        for lane in range(0, LANES, ROW):
            for m in range(0, points, ROW):
                # Real and imaginary part change places: forwards is then backwards.
                transposed(folded, lane * points + m, points, data, 2 * m * LANES + LANES + lane, 2 * LANES)
                transposed(folded, (LANES + lane) * points + m, points, data, 2 * m * LANES + lane, 2 * LANES)
        _pass(data, 0, sizes[0], points // sizes[0], factors, 0)
        _rest(data, points, sizes, factors, starts)
        for t in range(frames):
            place = 2 * order[lead + t]
            a, b = load(d, place, 0, LANES), load(d, place + 1, 0, LANES)
            power = a * a + b * b
            if scale != 0:
                power = logarithm(at_least(power, least)) * factor
            store(v, t, 0, power)
        for t in range(0, rows, ROW):
            for lane in range(0, LANES, ROW):
                transposed(levels, t * LANES + lane, LANES, turned, lane * rows + t, rows)
        for lane in range(number):
            out[first + lane, start : start + frames] = turned[lane * rows : lane * rows + frames]


def notes(block: Floats, answers: Answers, lead: int, floor: float, scale: float, out: Floats, frames: range) -> None:
    """Put the power of the bins at a block's frames into these columns of `out (F, T)`.

    Args:
        block: its samples.
        answers: the filters.
        lead: frames of the block before its first one.
        floor: least power.
        scale: factor of the power's logarithm, which takes its place; 0 leaves the power.
        out: is written to.
        frames: of `out`.
    """
    end, points, long = answers.end, answers.points, answers.long
    rows, size = -(-len(frames) // ROW) * ROW, 2 * LANES
    scratch = scratch_arrays(
        end, end, long.points, long.points, size * LANES, size * LANES, size * points, size * points, LANES * rows,
        LANES * rows,
    )  # fmt: skip
    real, imag = scratch[:2]
    transform(block, long.inner, long.across, long.turns, long.halves, real, imag, scratch[2:6])
    _notes(
        real, imag, points, answers.stretches, answers.real, answers.imag, answers.transform.tables, lead,
        np.float32(floor), np.float32(scale), out, frames.start, len(frames), scratch[6:],
    )  # fmt: skip
