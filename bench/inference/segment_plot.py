"""The picture of a time line: waveform, mel spectrogram and coloured segments over a common axis of seconds.

matplotlib is imported where it is used. Drawing needs no display.
"""

import io
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from bench.errors import RunError
from bench.inference.segmentation import Segmentation
from bench.text import plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#999999")
"""Colours that people with a colour vision deficiency can distinguish (Okabe and Ito)."""

HATCHES = ("", "///", "...", "xxx")
"""Patterns by which classes of the same colour differ."""

MAX_CLASSES = len(COLOURS) * len(HATCHES)
MAX_ROWS = 12
"""Rows of a picture with several labels; the classes that last longest are drawn."""

INCHES = (11.0, 2.0)
_LEAST_WIDTH = 0.06
"""Share of the picture's width from which a segment has its name inside."""


def figure(found: Segmentation) -> "Figure":
    """Return the picture of a time line.

    Args:
        found: of `segment(..., picture=True)`.

    Raises:
        RunError: the time line was made without what a picture is drawn of.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    picture = found.picture
    if picture is None:
        raise RunError("there is no picture of this time line: segment the recording with picture=True")
    present = _present(found)
    rows = 1 if found.task == "single" else max(1, min(len(present), MAX_ROWS))
    heights = [1.0, 1.4, 0.45 + 0.18 * (rows - 1)]
    drawn = Figure(figsize=(INCHES[0], INCHES[1] * sum(heights) + 0.4), layout="constrained")
    FigureCanvasAgg(drawn)
    axes: Any = drawn.subplots(3, 1, sharex=True, height_ratios=heights)
    drawn.suptitle(plain(found.file).encode("utf-8", "replace").decode(), parse_math=False)
    seconds = max(found.seconds, 1e-3)
    low, high = picture.low.columns[0], picture.high.columns[0]
    times = (np.arange(len(low)) + 0.5) * picture.low.step / picture.rate
    axes[0].fill_between(times, low, high, linewidth=0.6, color="#333333")
    axes[0].set_ylabel("amplitude")
    mel = picture.mel.columns
    extent = (0.0, mel.shape[1] * picture.mel.step * picture.frame_seconds, -0.5, len(mel) - 0.5)
    axes[1].imshow(mel, aspect="auto", origin="lower", extent=extent, interpolation="nearest", cmap="magma")
    ticks = np.linspace(0, len(mel) - 1, 4).round().astype(int)
    axes[1].set_yticks(ticks, [f"{picture.hertz[tick]:,.0f}" for tick in ticks])
    axes[1].set_ylabel("Hz")
    _bars(axes[2], found, present, rows)
    axes[2].set_xlim(0, seconds)
    axes[2].set_xlabel("seconds")
    if present:
        legend = drawn.legend(
            handles=[_patch(found.classes[label], place) for place, label in enumerate(present[:MAX_CLASSES])],
            loc="outside lower center", ncols=min(6, len(present)), frameon=False,
        )  # fmt: skip
        for text in legend.get_texts():
            text.set_parse_math(False)
    return drawn


def content(found: Segmentation, kind: Literal["png", "svg"]) -> bytes:
    """Return the picture of a time line as a PNG or SVG file."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # a box replaces the glyph
        drawn = figure(found)
        drawn.savefig(buffer, format=kind, dpi=100)
    return buffer.getvalue()


def _present(found: Segmentation) -> list[int]:
    """Return the classes that occur, longest first where there are too many, or else in their own order."""
    lengths: dict[int, float] = {}
    for each in found.segments:
        lengths[each.label] = lengths.get(each.label, 0.0) + each.end - each.start
    most = MAX_CLASSES if found.task == "single" else MAX_ROWS
    return sorted(sorted(lengths, key=lambda label: -lengths[label])[:most])


def _style(place: int) -> dict[str, Any]:
    return {
        "facecolor": COLOURS[place % len(COLOURS)],
        "hatch": HATCHES[place // len(COLOURS) % len(HATCHES)],
        "edgecolor": "white",
        "linewidth": 0.8,
    }


def _patch(name: str, place: int) -> Any:
    from matplotlib.patches import Patch

    return Patch(label=plain(name), **_style(place))


def _bars(ax: "Axes", found: Segmentation, present: Sequence[int], rows: int) -> None:
    """Draw the segments; with several labels each class has a row of its own."""
    places = {label: place for place, label in enumerate(present)}
    for each in found.segments:
        if (place := places.get(each.label)) is None:
            continue
        row = rows - 1 - place if found.task == "multi" else 0
        ax.broken_barh([(each.start, each.end - each.start)], (row - 0.45, 0.9), **_style(place))
        if found.task == "single" and each.end - each.start >= _LEAST_WIDTH * found.seconds:
            middle = (each.start + each.end) / 2
            ax.text(
                middle, row, plain(found.classes[each.label]), ha="center", va="center", fontsize="small",
                parse_math=False, clip_on=True, bbox={"facecolor": "white", "alpha": 0.75, "linewidth": 0, "pad": 1.5},
            )  # fmt: skip
    ax.set_ylim(-0.5, rows - 0.5)
    if found.task == "multi":
        names = [plain(found.classes[label]) for label in present]
        ax.set_yticks([rows - 1 - place for place in range(len(names))], names, parse_math=False)
    else:
        ax.set_yticks([])
