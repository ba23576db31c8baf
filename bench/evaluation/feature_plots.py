"""Plots of one clip's features: the waveform, and below it the features of each front-end.

matplotlib is imported where it is used, because only `bench features` needs it. Drawing needs no display.
"""

import io
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from bench import catalog
from bench.errors import SuiteError
from bench.records import write_whole
from datamodules.audio import AudioError, decode
from models.base import Frontend, ModelError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_SECONDS = 120.0
"""Length of the longest clip that is drawn; a longer clip would have only a few pixels per second."""

COLUMNS = 2000
"""Number of columns of a waveform's plot; each spans its lowest to its highest sample."""

PANEL_INCHES = (9.0, 1.9)


@dataclass(frozen=True)
class Panel:
    """A front-end's features of a clip.

    Attributes:
        name: of the catalogue.
        features: `(F, T)`.
        frame_rate: frames per second.
        axis: label of the F channels.
        hertz: centre of each channel's band `(F,)`; None where channels are not frequency bands.
    """

    name: str
    features: NDArray[np.float32]
    frame_rate: float
    axis: str
    hertz: NDArray[np.float64] | None = None


def read(path: Path, sample_rate: int) -> NDArray[np.float32]:
    """Return a file's samples `(S,)`.

    Raises:
        SuiteError: the file is not audio, or longer than `MAX_SECONDS`.
    """
    try:
        return decode(path, sample_rate, MAX_SECONDS)
    except AudioError as error:
        raise SuiteError(str(error)) from error


def panels_of(
    waveform: NDArray[np.float32], sample_rate: int, names: Sequence[str] = ()
) -> tuple[list[Panel], dict[str, str]]:
    """Compute the features of a clip with several front-ends.

    Args:
        waveform: samples `(S,)`.
        sample_rate: in hertz.
        names: front-ends of the catalogue; if empty, all fixed front-ends that take a waveform.

    Returns:
        The panels, and by name the reason why a front-end of the catalogue is left out.

    Raises:
        SuiteError: a name is unknown, or a named front-end does not take this clip.
    """
    panels: list[Panel] = []
    left_out: dict[str, str] = {}
    for name in dict.fromkeys(names or catalog.FRONTENDS):
        entry = catalog.frontend(name)
        try:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)
                frontend: Frontend = catalog.load(entry.target)(sample_rate, **entry.arguments).eval()
            if not names and not frontend.fixed:
                left_out[name] = f"its filters are learned; --frontend {name} draws them untrained"
                continue
            with torch.inference_mode():
                features = frontend(torch.from_numpy(waveform)[None])[0].float().numpy()
        except ModelError as error:
            if names:
                raise SuiteError(str(error)) from error
            left_out[name] = str(error)
        else:
            centres = frontend.band_centres()
            hertz = None if centres is None else centres.double().numpy()
            panels.append(Panel(name, features, frontend.frame_rate, frontend.axis, hertz))
    return panels, left_out


def figure(waveform: NDArray[np.float32], sample_rate: int, panels: Sequence[Panel], title: str) -> "Figure":
    """Return the figure: the waveform and one panel per front-end, over a common axis of seconds.

    Args:
        waveform: samples `(S,)`.
        sample_rate: in hertz.
        panels: below the waveform, in this order.
        title: above the waveform.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = 1 + len(panels)
    drawn = Figure(figsize=(PANEL_INCHES[0], PANEL_INCHES[1] * rows + 0.5), layout="constrained")
    FigureCanvasAgg(drawn)
    axes: Any = drawn.subplots(rows, 1, sharex=True, squeeze=False)[:, 0]
    drawn.suptitle(title.encode("utf-8", "replace").decode(), parse_math=False)  # a file name may contain anything
    _line(axes[0], waveform, sample_rate, "waveform")
    for ax, panel in zip(axes[1:], panels, strict=True):
        if len(panel.features) == 1:
            _line(ax, panel.features[0], panel.frame_rate, panel.name)
        else:
            _image(ax, panel)
    axes[0].set_xlim(0, len(waveform) / sample_rate)
    axes[-1].set_xlabel("seconds")
    return drawn


def _line(ax: "Axes", values: NDArray[np.float32], rate: float, title: str) -> None:
    """Draw `(T,)` values, `rate` per second; each column of the plot spans its lowest to its highest value."""
    step = max(1, len(values) // COLUMNS)
    padded = np.pad(values, (0, -len(values) % step), "edge").reshape(-1, step)
    seconds = np.arange(len(padded)) * step / rate
    if step == 1:
        ax.plot(seconds, values, linewidth=0.6)
    else:
        ax.fill_between(seconds, padded.min(1), padded.max(1), linewidth=0.6, edgecolor="C0")
    ax.set_title(title, loc="left", fontsize="medium")
    ax.set_ylabel("amplitude")


def _image(ax: "Axes", panel: Panel) -> None:
    """Draw `(F, T)` features, the first channel at the bottom."""
    channels, frames = panel.features.shape
    extent = (0.0, frames / panel.frame_rate, -0.5, channels - 0.5)
    ax.imshow(panel.features, aspect="auto", origin="lower", extent=extent, interpolation="nearest")
    ax.set_title(f"{panel.name}  {channels} x {frames}", loc="left", fontsize="medium")
    ax.set_ylabel(panel.axis)
    if panel.hertz is not None:
        ticks = np.linspace(0, channels - 1, min(channels, 5)).round().astype(int)
        ax.set_yticks(ticks, [f"{panel.hertz[tick]:,.0f}" for tick in ticks])


def save(drawn: "Figure", path: Path) -> None:
    """Write a figure as a PNG file, completely or not at all.

    Raises:
        SuiteError: the file cannot be written.
    """
    content = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # a box replaces the glyph
        drawn.savefig(content, format="png", dpi=100)
    try:
        write_whole(path, content.getvalue())
    except OSError as error:
        raise SuiteError(f"{str(path)!r} cannot be written ({error.strerror}): name another file with --out") from error
