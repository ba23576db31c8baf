"""A Pareto plot as SVG: score against cost on a logarithmic axis, with numbered points and the list of their names.

A file has the colours of a light or a dark page; a plot within the web page has the colours of that page.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray

from bench.leaderboard.pareto import Plot, Point
from bench.statistics import Floats
from bench.text import html, plain, prefixed, three

WIDTH = 440
_LEFT, _RIGHT, _TOP, _BOTTOM, _NOTE = 46, 12, 48, 26, 20
_LINE = 15
_DOT = 4
_SMALL = 10
_INDENT = 24
_RINGS = ((0, 30), (30, 60), (60, 105), (105, 240), (240, 1000))
"""Distances from a point, in which a place for its number is looked for one after another."""

THEMES: dict[str, Mapping[str, str]] = {
    "light": {"page": "#ffffff", "ink": "#1f2328", "soft": "#59636e", "line": "#d1d9e0", "front": "#0969da"},
    "dark": {"page": "#0d1117", "ink": "#f0f6fc", "soft": "#9198a1", "line": "#3d444d", "front": "#4493f8"},
}
"""Colours by theme."""


@dataclass(frozen=True)
class Box:
    """A rectangle by its left, top, right and bottom."""

    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True)
class _Spot:
    """A point's place in the picture, with its whisker's ends and its number in the list of names."""

    point: Point
    number: int
    x: float
    y: float
    low: float
    high: float

    @property
    def dot(self) -> Box:
        return Box(self.x - _DOT - 1, self.y - _DOT - 1, self.x + _DOT + 1, self.y + _DOT + 1)


def svg(plot: Plot, theme: str | None) -> str:
    """Draw a plot: its points carry numbers, and the list below it says which system has which number.

    Args:
        plot: with at least one point.
        theme: one of `THEMES` for a file; None for the inside of a web page, which has the `style`.
    """
    inner = max(240, 6 * len(plot.points))  # room for the numbers of many points
    x_range, y_range = _x_range(plot), _y_range(plot)
    spots = [_spot(number, point, inner, x_range, y_range) for number, point in enumerate(plot.points, 1)]
    names = _TOP + inner + _BOTTOM + _NOTE * bool(plot.left_out)
    columns = _columns(spots)
    height = names + _LINE * math.ceil(len(spots) / columns) + 8
    size = f'width="{WIDTH}" height="{height}"' if theme else 'class="plot"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} viewBox="0 0 {WIDTH} {height}" role="img" '
        f'aria-label="{html(alternative(plot))}">'
    ]
    if theme:  # a page has the style once, for all its plots
        lines.append(f"<style>{style(THEMES[theme])}</style>")
        lines.append(f'<rect class="page" width="{WIDTH}" height="{height}"/>')
    lines += _frame(plot, inner, x_range, y_range)
    lines += _front(spots)
    boxes = _numbered(tuple(spots), Box(_LEFT + 2, _TOP + 2, WIDTH - _RIGHT, _TOP + inner - 2))
    for spot, box in zip(spots, boxes, strict=True):
        lines += _leader(spot, box)
    for spot in sorted(spots, key=lambda spot: spot.point.front):  # the front's own are on top
        lines += _mark(plot, spot)
    for spot, box in zip(spots, boxes, strict=True):
        kind = "number on" if spot.point.front else "number"
        middle = (box.left + box.right) / 2
        lines.append(f'<text class="{kind}" x="{middle:.1f}" y="{box.bottom - 2:.1f}">{spot.number}</text>')
    lines += _names(spots, columns, names)
    return "\n".join([*lines, "</svg>"]) + "\n"


def alternative(plot: Plot) -> str:
    """Return a plot in one sentence, for readers who cannot see it."""
    best = [point.label for point in plot.points if point.front]
    return f"{plot.dataset}: {plot.metric} against {plot.axis.head}; on the Pareto front: {', '.join(best)}"


def style(colours: Mapping[str, str], scope: str = "") -> str:
    """Return the style of plots.

    Args:
        colours: as of a theme; a web page gives CSS variables.
        scope: selector before each rule, so that a page's own text keeps its style.
    """
    c = colours
    rules = {
        ".page": f"fill:{c['page']}",
        "text": f"font:11px system-ui,-apple-system,Segoe UI,Helvetica,Arial,sans-serif;fill:{c['soft']}",
        ".head": f"font-size:13px;font-weight:600;fill:{c['ink']}",
        ".number": f"font-size:{_SMALL}px;text-anchor:middle;fill:{c['ink']};stroke:{c['page']};stroke-width:3px;"
        "stroke-linejoin:round;paint-order:stroke",
        ".name": f"fill:{c['ink']}",
        ".on": f"font-weight:600;fill:{c['front']}",
        ".end": "text-anchor:end",
        ".middle": "text-anchor:middle",
        ".grid": f"stroke:{c['line']};stroke-width:1",
        ".whisker": f"stroke:{c['soft']};stroke-width:1;opacity:.6",
        ".leader": f"stroke:{c['soft']};stroke-width:.6",
        ".front": f"fill:none;stroke:{c['front']};stroke-width:1.6",
        ".dot": f"fill:{c['soft']}",
        ".best": f"fill:{c['front']}",
    }
    return "".join(f"{scope}{selector}{{{rule}}}" for selector, rule in rules.items())


def _x_range(plot: Plot) -> tuple[float, float]:
    """Return the decimal logarithms of the axis' ends, a margin beyond the points."""
    logs = [math.log10(point.cost) for point in plot.points]
    margin = max(0.12, 0.06 * (max(logs) - min(logs)))
    return min(logs) - margin, max(logs) + margin


def _y_range(plot: Plot) -> tuple[float, float]:
    """Return the ends of the score's axis: all points and intervals, within what a score can be."""
    values = [value for point in plot.points for value in (point.score, *(point.interval or ()))]
    margin = max(0.01, 0.05 * (max(values) - min(values)))
    return min(values) - margin, max(values) + margin


Range = tuple[float, float]


def _spot(number: int, point: Point, inner: int, x_range: Range, y_range: Range) -> _Spot:
    left, right = x_range
    low, high = point.interval or (point.score, point.score)
    x = _LEFT + (WIDTH - _LEFT - _RIGHT) * (math.log10(point.cost) - left) / (right - left)
    return _Spot(point, number, x, _y(point.score, inner, y_range), _y(low, inner, y_range), _y(high, inner, y_range))


def _y(value: float, inner: int, y_range: Range) -> float:
    bottom, top = y_range
    return _TOP + inner * (top - value) / (top - bottom)


@lru_cache(maxsize=16)  # a plot is drawn in two themes and in the page
def _numbered(spots: tuple[_Spot, ...], within: Box) -> list[Box]:
    """Return a box for each point's number: the nearest free place, on no point and on no other number.

    The plot grows with the points, so a place is always free.
    """
    taken = [(dot.left, dot.top, dot.right, dot.bottom) for spot in spots for dot in (spot.dot,)]
    found = []
    for spot in spots:
        half = 0.32 * _SMALL * len(str(spot.number)) + 1
        box = _nearest_free(spot, half, np.array(taken), within)
        taken.append((box.left, box.top, box.right, box.bottom))
        found.append(box)
    return found


def _nearest_free(spot: _Spot, half: float, taken: Floats, within: Box) -> Box:
    """Return the nearest place around a point, with room on both sides of its middle, that meets no taken box `(N, 4)`.

    Raises:
        ValueError: there is none.
    """
    for nearest, farthest in _RINGS:  # most numbers find a place in the first ones
        steps, order = _places(nearest, farthest)
        x, y = spot.x + steps, spot.y + steps  # (P,)
        left, top, right, bottom = x - half, y - 5, x + half, y + 6
        near = taken[
            (taken[:, 2] > left[0]) & (taken[:, 0] < right[-1]) & (taken[:, 3] > top[0]) & (taken[:, 1] < bottom[-1])
        ]
        free = np.logical_and.outer(
            (left >= within.left) & (right <= within.right), (top >= within.top) & (bottom <= within.bottom)
        )  # (P, P), by x and y
        met = (
            right.searchsorted(near[:, 0], "right"), left.searchsorted(near[:, 2]),
            bottom.searchsorted(near[:, 1], "right"), top.searchsorted(near[:, 3]),
        )  # fmt: skip
        for first, last, upper, lower in zip(*(ends.tolist() for ends in met), strict=True):
            free[first:last, upper:lower] = False
        ordered = free.ravel()[order]
        if ordered.any():
            i, j = divmod(int(order[ordered.argmax()]), len(steps))
            return Box(float(left[i]), float(top[j]), float(right[i]), float(bottom[j]))
    raise ValueError("no place is free for a number")


@cache
def _places(nearest: int, farthest: int) -> tuple[Floats, NDArray[np.intp]]:
    """Return steps `(P,)` to both sides, which make a grid around a point, and the grid's places in their order.

    The places are those whose distance is above `nearest` and at most `farthest`, the nearest first: left, where no
    line of the front goes, then right, then above and below.
    """
    steps = min(140, farthest // 3)
    quarter = np.array([[math.hypot(3 * x, 1.6 * (3 * y)) for y in range(steps + 1)] for x in range(steps + 1)])
    x, y = np.mgrid[-steps : steps + 1, -steps : steps + 1]
    distances = quarter[abs(x), abs(y)]
    wanted = np.flatnonzero((distances > (nearest or -1)) & (distances <= farthest))
    order = np.lexsort((y.ravel()[wanted], x.ravel()[wanted], distances.ravel()[wanted]))
    return np.arange(-steps, steps + 1, dtype=np.float64) * 3.0, wanted[order]


def text_width(text: str, *, bold: bool = False) -> float:
    """Return an upper bound of the width of a text of 11 px in the usual fonts."""
    narrow, wide = "ijl.,:;|!'()[]ftr ", "mwMW@%—…"
    total = sum(0.36 if c in narrow else 0.95 if c in wide or ord(c) > 0x2E7F else 0.66 for c in plain(text))
    return 11 * total * (1.09 if bold else 1.0)


def _frame(plot: Plot, inner: int, x_range: Range, y_range: Range) -> Iterator[str]:
    """Yield title, grid and axes."""
    bottom = _TOP + inner
    right = WIDTH - _RIGHT
    yield f'<text class="head" x="8" y="18">{html(_fitted(f"{plot.metric} on {plot.dataset}", 13))}</text>'
    yield f'<text x="8" y="34">{html(_fitted(f"against {plot.axis.head}", 11))}</text>'
    for value in _score_ticks(*y_range):
        y = _y(value, inner, y_range)
        yield f'<path class="grid" d="M{_LEFT} {y:.1f}H{right}"/>'
        yield f'<text class="end" x="{_LEFT - 5}" y="{y + 4:.1f}">{100 * value:g} %</text>'
    left_end, right_end = x_range
    for cost in cost_ticks(10**left_end, 10**right_end):
        x = _LEFT + (right - _LEFT) * (math.log10(cost) - left_end) / (right_end - left_end)
        yield f'<path class="grid" d="M{x:.1f} {_TOP}V{bottom}"/>'
        yield f'<text class="middle" x="{x:.1f}" y="{bottom + 16}">{html(_tick(cost, plot.axis.unit))}</text>'
    if plot.left_out:
        yield f'<text x="8" y="{bottom + 38}">{html(_fitted(f"not shown: {plot.left_out}", 11))}</text>'


def _fitted(text: str, size: int) -> str:
    """Return a text, shortened to the width of the plot."""
    text = plain(text)
    while text_width(text) * size / 11 > WIDTH - 16:
        text = f"{text.rstrip('…')[:-1]}…"
    return text


def _score_ticks(low: float, high: float) -> list[float]:
    """Return four to nine round values within the axis and within [0, 1]."""
    step = next(s for s in (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2) if (high - low) / s <= 9 or s == 0.2)
    first = math.ceil(max(low, 0.0) / step - 1e-9)
    last = math.floor(min(high, 1.0) / step + 1e-9)
    return [round(n * step, 6) for n in range(first, last + 1)]


def cost_ticks(low: float, high: float) -> list[float]:
    """Return round costs within the axis: powers of ten, with 2 and 5 in between where there are few decades."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for parts in ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 5, 7)):
        ticks = [float(f"{part * 10.0**n:.3g}") for n in decades for part in parts if low <= part * 10.0**n <= high]
        if len(ticks) >= 4:
            break
    return ticks[:: max(1, math.ceil(len(ticks) / 8))]


def _tick(cost: float, unit: str) -> str:
    """Return a round cost as text without trailing zeros."""
    if unit:
        return f"{cost:g} {unit}"
    number, _, prefix = prefixed(cost).partition(" ")
    return f"{float(number):g} {prefix}".strip()


def _front(spots: Sequence[_Spot]) -> Iterator[str]:
    """Yield the front as stairs: the best score that a cost can buy."""
    corners = sorted({(round(s.x, 1), round(s.y, 1)) for s in spots if s.point.front})
    steps = [f"M{corners[0][0]} {corners[0][1]}"]
    steps += [f"H{x}V{y}" for x, y in corners[1:]]
    yield f'<path class="front" d="{"".join(steps)}H{WIDTH - _RIGHT}"/>'


def _leader(spot: _Spot, box: Box) -> Iterator[str]:
    """Yield the line from a point to its number, where the number is not next to it."""
    x, y = min(max(spot.x, box.left), box.right), min(max(spot.y, box.top), box.bottom)
    if math.hypot(x - spot.x, y - spot.y) > 2 * _DOT:
        yield f'<path class="leader" d="M{spot.x:.1f} {spot.y:.1f}L{x:.1f} {y:.1f}"/>'


def _columns(spots: Sequence[_Spot]) -> int:
    """Return the number of columns that the list of names has room for."""
    widest = max(text_width(spot.point.label, bold=spot.point.front) for spot in spots)
    return 2 if len(spots) > 1 and _INDENT + widest < (WIDTH - 16) / 2 else 1


def _names(spots: Sequence[_Spot], columns: int, top: int) -> Iterator[str]:
    """Yield the list of names, in the order of the table, down the first column and then down the next."""
    rows = math.ceil(len(spots) / columns)
    for n, spot in enumerate(spots):
        x, y = 8 + n // rows * (WIDTH - 16) // columns, top + 11 + _LINE * (n % rows)
        kind = "name on" if spot.point.front else "name"
        yield f'<text class="end" x="{x + _INDENT - 6}" y="{y}">{spot.number}</text>'
        yield f'<text class="{kind}" x="{x + _INDENT}" y="{y}">{html(spot.point.label)}</text>'


def _mark(plot: Plot, spot: _Spot) -> Iterator[str]:
    """Yield a point with its whisker and the text that a pointer over it shows."""
    point = spot.point
    low, high = point.interval or (None, None)
    interval = "" if low is None or high is None else f" [{100 * low:.1f}, {100 * high:.1f}]"
    cost = f"{three(point.cost)} {plot.axis.unit}" if plot.axis.unit else prefixed(point.cost)
    yield f"<g><title>{html(f'{point.full}: {plot.metric} {100 * point.score:.1f} %{interval}, {cost}')}</title>"
    if interval:
        yield f'<path class="whisker" d="M{spot.x:.1f} {spot.low:.1f}V{spot.high:.1f}"/>'
    kind = "best" if point.front else "dot"
    yield f'<circle class="{kind}" cx="{spot.x:.1f}" cy="{spot.y:.1f}" r="{_DOT}"/></g>'
