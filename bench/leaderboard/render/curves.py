"""Learning curves: a line of blocks in the terminal, a plot on a page."""

import math
from collections.abc import Mapping, Sequence

from bench.text import html, three

_BLOCKS = "▁▂▃▄▅▆▇█"
_WIDTH, _HEIGHT = 440, 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 12, 40, 34
_KINDS = ("curve-val", "curve-loss")


def blocks(values: Sequence[float], width: int = 60) -> str:
    """Return a curve as blocks of eight heights, from its least to its greatest value; gaps where it is not finite.

    Args:
        values: one per epoch.
        width: most blocks; a longer curve shows every k-th epoch and the last one.
    """
    step = max(1, math.ceil(len(values) / width))
    shown = list(values[::-step])[::-1]
    finite = [value for value in shown if math.isfinite(value)]
    if not finite:
        return " " * len(shown)
    low, high = min(finite), max(finite)
    scale = 7 / (high - low) if high > low else 0.0
    return "".join(_BLOCKS[round((v - low) * scale)] if math.isfinite(v) else " " for v in shown)


def plots(curves: Mapping[str, Sequence[float]], best_epoch: int | None) -> list[str]:
    """Return a plot of the losses and one of the scores, as SVG with the style of a page.

    Args:
        curves: name to one value per epoch.
        best_epoch: from 0; marked in each plot.
    """
    losses = {name: values for name, values in curves.items() if "loss" in name and len(values)}
    scores = {name: values for name, values in curves.items() if "loss" not in name and len(values)}
    return [_plot(found, best_epoch) for found in (scores, losses) if found]


def _plot(curves: Mapping[str, Sequence[float]], best_epoch: int | None) -> str:
    finite = [value for values in curves.values() for value in values if math.isfinite(value)]
    low, high = (min(finite), max(finite)) if finite else (0.0, 1.0)
    high = high if high > low else low + 1.0
    epochs = max(map(len, curves.values()))

    def x(epoch: int) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * (epoch / (epochs - 1) if epochs > 1 else 0.5)

    def y(value: float) -> float:
        return _TOP + (_HEIGHT - _TOP - _BOTTOM) * (high - value) / (high - low)

    names = " and ".join(curves)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="plot" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-label="{html(f"{names} over {epochs} epochs, from {three(low)} to {three(high)}")}">',
        f'<text class="head" x="8" y="18">{html(names)}</text>',
    ]
    for value in (low, (low + high) / 2, high):
        parts.append(f'<path class="grid" d="M{_LEFT} {y(value):.1f}H{_WIDTH - _RIGHT}"/>')
        parts.append(f'<text class="end" x="{_LEFT - 5}" y="{y(value) + 4:.1f}">{three(value)}</text>')
    for epoch in sorted({0, (epochs - 1) // 2, epochs - 1}):
        parts.append(f'<text class="middle" x="{x(epoch):.1f}" y="{_HEIGHT - 16}">{epoch + 1}</text>')
    if best_epoch is not None and best_epoch < epochs:
        parts.append(f'<path class="leader" d="M{x(best_epoch):.1f} {_TOP}V{_HEIGHT - _BOTTOM}"/>')
    for number, (name, values) in enumerate(curves.items()):
        kind = _KINDS[number % 2]
        places = [f"{x(i):.1f} {y(v):.1f}" for i, v in enumerate(values) if math.isfinite(v)]
        if places:
            parts.append(f'<path class="{kind}" d="M{"L".join(places)}"/>')
        if epochs == 1 and places:
            parts.append(f'<circle class="best" cx="{x(0):.1f}" cy="{y(values[0]):.1f}" r="3"/>')
        if len(curves) > 1:
            where = _LEFT + 130 * number
            parts.append(f'<path class="{kind}" d="M{where} 30h18"/><text x="{where + 23}" y="34">{html(name)}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"
