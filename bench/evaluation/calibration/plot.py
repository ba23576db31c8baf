"""A reliability plot as SVG: the share that is right against the confidence, before and after a temperature."""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from bench.evaluation.calibration.measures import Floats
from bench.leaderboard.render.svg import THEMES, style
from bench.text import html

WIDTH, HEIGHT = 440, 330
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 12, 48, 46


def svg(title: str, before: Floats, after: Floats, temperature: str, theme: str | None = None) -> str:
    """Draw the reliability of one system.

    Args:
        title: of the plot.
        before: `(bins, 3)` of `measures.reliability`.
        after: the same with the temperature.
        temperature: in words.
        theme: one of `THEMES` for a file; None for the inside of a web page, which has the `style`.
    """
    size = f'width="{WIDTH}" height="{HEIGHT}"' if theme else 'class="plot"'
    words = f"{title}: share right against confidence, before and after a temperature of {temperature}"
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{html(words)}">'
    ]
    if theme:
        lines.append(f"<style>{style(THEMES[theme])}</style>")
        lines.append(f'<rect class="page" width="{WIDTH}" height="{HEIGHT}"/>')
    lines += _frame(title, temperature)
    lines += _curve(before, "dot", "whisker")
    lines += _curve(after, "best", "front")
    return "\n".join([*lines, "</svg>"]) + "\n"


def _x(value: float) -> float:
    return _LEFT + (WIDTH - _LEFT - _RIGHT) * value


def _y(value: float) -> float:
    return _TOP + (HEIGHT - _TOP - _BOTTOM) * (1 - value)


def _frame(title: str, temperature: str) -> Iterator[str]:
    yield f'<text class="head" x="8" y="18">{html(title)}</text>'
    yield '<text x="8" y="34">share right against confidence; the diagonal is calibrated</text>'
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        yield f'<path class="grid" d="M{_LEFT} {_y(share):.1f}H{WIDTH - _RIGHT}"/>'
        yield f'<text class="end" x="{_LEFT - 5}" y="{_y(share) + 4:.1f}">{100 * share:g} %</text>'
        yield f'<text class="middle" x="{_x(share):.1f}" y="{HEIGHT - _BOTTOM + 16}">{100 * share:g} %</text>'
    yield f'<path class="grid" d="M{_x(0):.1f} {_y(0):.1f}L{_x(1):.1f} {_y(1):.1f}"/>'
    foot = HEIGHT - 8
    yield f'<circle class="dot" cx="{_LEFT + 4}" cy="{foot - 4}" r="4"/>'
    yield f'<text x="{_LEFT + 14}" y="{foot}">as trained</text>'
    yield f'<circle class="best" cx="{_LEFT + 124}" cy="{foot - 4}" r="4"/>'
    yield f'<text x="{_LEFT + 134}" y="{foot}">temperature {html(temperature)}</text>'


def _curve(bins: Floats, dot: str, line: str) -> Iterator[str]:
    """Yield the bins that hold predictions; the area of a point grows with their number."""
    found = bins[bins[:, 0] > 0]
    places = [(_x(confidence), _y(share)) for _, confidence, share in found]
    for (x, y), (u, v) in pairwise(places):
        yield f'<path class="{line}" d="M{x:.1f} {y:.1f}L{u:.1f} {v:.1f}"/>'
    for (x, y), (count, confidence, share) in zip(places, found, strict=True):
        radius = 2 + 6 * float(np.sqrt(count / bins[:, 0].sum()))
        words = f"{count:.0f} predictions: confidence {100 * confidence:.1f} %, right {100 * share:.1f} %"
        yield f'<g><title>{html(words)}</title><circle class="{dot}" cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}"/></g>'
