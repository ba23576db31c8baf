"""A Pareto plot as SVG: score against cost on a logarithmic axis, every point labelled.

As a file it carries the colours of a light or a dark page; within the web page, that page's own.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from bench.leaderboard.pareto import Plot, Point
from bench.leaderboard.render.text import html, plain, prefixed, three

WIDTH = 440
_LEFT, _RIGHT, _TOP, _BOTTOM, _NOTE = 46, 12, 48, 26, 20
_LINE = 14
_DOT = 4

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

    def meets(self, other: "Box") -> bool:
        """Whether the two share more than an edge."""
        return (
            self.left < other.right and other.left < self.right
            and self.top < other.bottom and other.top < self.bottom
        )  # fmt: skip


@dataclass(frozen=True)
class _Spot:
    """A point's place in the picture, with its whisker's ends."""

    point: Point
    x: float
    y: float
    low: float
    high: float

    @property
    def dot(self) -> Box:
        return Box(self.x - _DOT - 1, self.y - _DOT - 1, self.x + _DOT + 1, self.y + _DOT + 1)

    @property
    def whisker(self) -> Box:
        return Box(self.x - 3, self.high, self.x + 3, self.low)


def svg(plot: Plot, theme: str | None) -> str:
    """Draw a plot.

    Args:
        plot: with at least one point.
        theme: one of `THEMES` for a file; None for the inside of a web page, which has the `style`.
    """
    inner, spots, boxes = _placed(plot)
    height = _TOP + inner + _BOTTOM + _NOTE * bool(plot.left_out)
    size = f'width="{WIDTH}" height="{height}"' if theme else 'class="plot"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} viewBox="0 0 {WIDTH} {height}" role="img" '
        f'aria-label="{html(alternative(plot))}">'
    ]
    if theme:  # a page has the style once, for all its plots
        lines.append(f"<style>{style(THEMES[theme])}</style>")
        lines.append(f'<rect class="page" width="{WIDTH}" height="{height}"/>')
    lines += _frame(plot, inner)
    lines += _front(spots)
    for spot, box in zip(spots, boxes, strict=True):
        lines += _leader(spot, box)
    for spot in sorted(spots, key=lambda spot: spot.point.front):  # the front's own are on top
        lines += _mark(plot, spot)
    for spot, box in zip(spots, boxes, strict=True):
        kind = "label on" if spot.point.front else "label"
        lines.append(f'<text class="{kind}" x="{box.left:.1f}" y="{box.top + 11:.1f}">{html(spot.point.label)}</text>')
    return "\n".join([*lines, "</svg>"]) + "\n"


def alternative(plot: Plot) -> str:
    """Return a plot in one sentence, for who cannot see it."""
    best = [point.label for point in plot.points if point.front]
    return f"{plot.dataset}: {plot.metric} against {plot.axis.head}; on the front: {', '.join(best)}"


def style(colours: Mapping[str, str], scope: str = "") -> str:
    """Return the style of plots.

    Args:
        colours: as of a theme; a web page gives variables.
        scope: selector before each rule, so that a page's own text keeps its style.
    """
    c = colours
    rules = {
        ".page": f"fill:{c['page']}",
        "text": f"font:11px system-ui,-apple-system,Segoe UI,Helvetica,Arial,sans-serif;fill:{c['soft']}",
        ".head": f"font-size:13px;font-weight:600;fill:{c['ink']}",
        ".label": f"fill:{c['ink']};stroke:{c['page']};stroke-width:3px;stroke-linejoin:round;paint-order:stroke",
        ".on": "font-weight:600",
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


@lru_cache(maxsize=64)  # a plot is drawn light, dark and in the page
def _placed(plot: Plot) -> tuple[int, list[_Spot], list[Box]]:
    """Return the height of the axes (more where labels need it), the points' places and their labels' boxes."""
    inner = max(240, _LINE * len(plot.points) + 60)
    while True:
        spots = [_spot(plot, point, inner) for point in plot.points]
        boxes = place(spots, Box(_LEFT + 2, _TOP + 2, WIDTH - _RIGHT, _TOP + inner - 2))
        if boxes is not None:
            return inner, spots, boxes
        inner += 120


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


def _spot(plot: Plot, point: Point, inner: int) -> _Spot:
    left, right = _x_range(plot)
    low, high = point.interval or (point.score, point.score)
    x = _LEFT + (WIDTH - _LEFT - _RIGHT) * (math.log10(point.cost) - left) / (right - left)
    return _Spot(point, x, _y(plot, point.score, inner), _y(plot, low, inner), _y(plot, high, inner))


def _y(plot: Plot, value: float, inner: int) -> float:
    bottom, top = _y_range(plot)
    return _TOP + inner * (top - value) / (top - bottom)


def place(spots: Sequence[_Spot], within: Box) -> list[Box] | None:
    """Find a box for each point's label that stays `within`, on no other label and on no point; None if there is none.

    Points of the front choose first. Of the free places the one wins that is near and on few lines.
    """
    order = sorted(range(len(spots)), key=lambda i: (not spots[i].point.front, spots[i].y, spots[i].x, i))
    found: dict[int, Box] = {}
    for i in order:
        best = math.inf
        for box in _candidates(spots[i], within):
            if _distance(spots[i], box) >= best:  # no cost is below the distance
                continue
            if any(box.meets(other) for other in found.values()) or any(box.meets(s.dot) for s in spots):
                continue
            if (cost := _cost(spots[i], box, spots, found)) < best:
                best, nearest = cost, box
        if best == math.inf:
            return None
        found[i] = nearest
    return [found[i] for i in range(len(spots))]


def _candidates(spot: _Spot, within: Box) -> Iterator[Box]:
    """Yield places for a label from beside its point to anywhere within."""
    width = text_width(spot.point.label, bold=spot.point.front)
    for x in (spot.x + _DOT + 3, spot.x - _DOT - 3 - width, spot.x - width / 2):
        for step in range(-40, 41):
            top = spot.y - _LINE / 2 + 7 * step
            box = Box(x, top, x + width, top + _LINE)
            if _inside(box, within):
                yield box
    for column in range(9):
        x = within.left + (within.right - within.left - width) * column / 8
        for line in range(int((within.bottom - within.top) // 7) - 1):
            box = Box(x, within.top + 7 * line, x + width, within.top + 7 * line + _LINE)
            if _inside(box, within):
                yield box


def _inside(box: Box, within: Box) -> bool:
    return (
        box.left >= within.left and box.right <= within.right and box.top >= within.top and box.bottom <= within.bottom
    )


def _distance(spot: _Spot, box: Box) -> float:
    x, y = _nearest(box, spot)
    return math.hypot(x - spot.x, y - spot.y)


def _cost(spot: _Spot, box: Box, spots: Sequence[_Spot], found: Mapping[int, Box]) -> float:
    """Return how bad a place is: far away, on whiskers, its leader over labels and points."""
    x, y = _nearest(box, spot)
    far = _distance(spot, box)
    crossed = sum(box.meets(s.whisker) for s in spots)
    if far > _NEAR:
        steps = [(x + (spot.x - x) * k / 12, y + (spot.y - y) * k / 12) for k in range(1, 12)]
        apart = (s.dot for s in spots if not s.dot.meets(spot.dot))
        crossed += 4 * sum(
            any(o.left < u < o.right and o.top < v < o.bottom for u, v in steps) for o in (*found.values(), *apart)
        )
        crossed += 1 if abs(x - spot.x) > 3 else 8  # a line along the whisker cannot be seen
    return far + 9 * crossed


_NEAR = 12
"""Pixels between a point and its label from which on a line joins them."""


def _nearest(box: Box, spot: _Spot) -> tuple[float, float]:
    """Return the point of a label's edge that is nearest to the label's own point."""
    middle = (box.top + box.bottom) / 2
    y = middle if not box.left < spot.x < box.right else min(max(spot.y, box.top), box.bottom)
    return min(max(spot.x, box.left), box.right), y


def text_width(text: str, *, bold: bool = False) -> float:
    """Return how wide a text of 11 px is at most, in the wider of the usual fonts."""
    narrow, wide = "ijl.,:;|!'()[]ftr ", "mwMW@%—…"
    total = sum(0.36 if c in narrow else 0.95 if c in wide or ord(c) > 0x2E7F else 0.66 for c in plain(text))
    return 11 * total * (1.09 if bold else 1.0)


def _frame(plot: Plot, inner: int) -> Iterator[str]:
    """Yield title, grid and axes."""
    bottom = _TOP + inner
    right = WIDTH - _RIGHT
    yield f'<text class="head" x="8" y="18">{html(_fitted(f"{plot.metric} on {plot.dataset}", 13))}</text>'
    yield f'<text x="8" y="34">{html(_fitted(f"against {plot.axis.head}", 11))}</text>'
    for value in _score_ticks(*_y_range(plot)):
        y = _y(plot, value, inner)
        yield f'<path class="grid" d="M{_LEFT} {y:.1f}H{right}"/>'
        yield f'<text class="end" x="{_LEFT - 5}" y="{y + 4:.1f}">{100 * value:g} %</text>'
    left_end, right_end = _x_range(plot)
    for cost in cost_ticks(10**left_end, 10**right_end):
        x = _LEFT + (right - _LEFT) * (math.log10(cost) - left_end) / (right_end - left_end)
        yield f'<path class="grid" d="M{x:.1f} {_TOP}V{bottom}"/>'
        yield f'<text class="middle" x="{x:.1f}" y="{bottom + 16}">{html(_tick(cost, plot.axis.unit))}</text>'
    if plot.left_out:
        yield f'<text x="8" y="{bottom + 38}">{html(_fitted(f"not shown: {plot.left_out}", 11))}</text>'


def _fitted(text: str, size: int) -> str:
    """Return as much of a text as fits the width."""
    text = plain(text)
    while text_width(text) * size / 11 > WIDTH - 16:
        text = f"{text.rstrip('…')[:-1]}…"
    return text


def _score_ticks(low: float, high: float) -> list[float]:
    """Return four to nine round shares within the axis, none below 0 or above 1."""
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
    """Write a round cost without needless zeros."""
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
    x, y = _nearest(box, spot)
    if _distance(spot, box) > _NEAR:
        yield f'<path class="leader" d="M{spot.x:.1f} {spot.y:.1f}L{x:.1f} {y:.1f}"/>'


def _mark(plot: Plot, spot: _Spot) -> Iterator[str]:
    """Yield a point with its whisker and what a pointer over it reads."""
    point = spot.point
    low, high = point.interval or (None, None)
    interval = "" if low is None or high is None else f" [{100 * low:.1f}, {100 * high:.1f}]"
    cost = f"{three(point.cost)} {plot.axis.unit}" if plot.axis.unit else prefixed(point.cost)
    yield f"<g><title>{html(f'{point.full}: {plot.metric} {100 * point.score:.1f} %{interval}, {cost}')}</title>"
    if interval:
        yield f'<path class="whisker" d="M{spot.x:.1f} {spot.low:.1f}V{spot.high:.1f}"/>'
    kind = "best" if point.front else "dot"
    yield f'<circle class="{kind}" cx="{spot.x:.1f}" cy="{spot.y:.1f}" r="{_DOT}"/></g>'
