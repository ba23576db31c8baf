"""Logits over time: a trained model on a recording that arrives in chunks of any size.

There are three ways, and `timeline` takes the first that a model has:

| way | what is computed | for example |
|---|---|---|
| "states" | front-end and model keep states, so every sample is processed once | SwishNet, SNN, liquid networks |
| "clips" | logits of single frames in overlapping clips, the middle half of each | PANNs, LSTM in both directions |
| "windows" | logits of whole clips, a hop apart; each stands at its middle | CNN, fusions |

The chunks' sizes change nothing but the rounding of float32.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.errors import ArgumentError
from bench.inference.classifier import Classifier, Samples
from datamodules.audio.clip import quantised
from models.base import AudioModel, ModelError
from models.layers.framing import Chain, Framing, Stage

Way = Literal["states", "clips", "windows"]
WINDOW_HOPS = 10
"""Windows that begin in the length of one, unless another hop is given."""
BATCH_SIZE = 32


@dataclass(frozen=True)
class Frames:
    """Logits of frames.

    Attributes:
        times: `(n,)` where each stands in the recording, in seconds.
        logits: `(n, C)` float32.
    """

    times: NDArray[np.float64]
    logits: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.times)


class Timeline(ABC):
    """A model's logits over a recording.

    Attributes:
        way: how they are computed, see the module.
        frame_seconds: from one frame to the next.
        look_ahead: largest time from a frame's place to the last sample that it depends on, in seconds.
        memory: largest time from the first sample that a frame depends on to its place, in seconds; None where that is
            the recording's first sample.
        clip: the parts that the model gets at once, in seconds; 0 where it keeps states.
    """

    way: Way
    frame_seconds: float
    look_ahead: float
    memory: float | None
    clip: float = 0.0

    @abstractmethod
    def push(self, samples: Samples) -> Frames:
        """Take the next samples `(s,)` at the model's rate, and return the frames that are known by now."""

    @abstractmethod
    def finish(self) -> Frames:
        """Return the frames that only the end of the recording completes."""


def timeline(model: Classifier, windows: bool = False, hop_seconds: float | None = None) -> Timeline:
    """Return the timeline of a new recording.

    Args:
        model: of `load_model`.
        windows: whether to classify windows of a clip's length even where the model has logits of single frames.
        hop_seconds: from one window to the next; None is that of the run's own scores of streams, or a tenth of a clip.

    Raises:
        RunError: the model takes embeddings.
        ArgumentError: the hop is not in (0, a clip's length].
    """
    model.rate()
    scored = model.records[0].segmentation if len(model.records) == 1 else None
    windows = windows or hop_seconds is not None
    if hop_seconds is None and scored is not None and scored.form == "windows":
        hop_seconds = min(scored.hop_seconds, model.clip_seconds)
    module = model.module
    if windows or not isinstance(module, AudioModel):
        return _Windows(model, hop_seconds)
    try:
        own = module.framing()
        samples = module.frontend.framing()  # type: ignore[operator]
    except (ModelError, AttributeError):
        return _Windows(model, hop_seconds)
    try:
        return _States(model, module, samples.then(own))
    except ModelError:
        return _Clips(model, module, samples.then(own))


class _States(Timeline):
    """Front-end and model keep states."""

    way = "states"

    def __init__(self, model: Classifier, module: AudioModel, framing: Framing) -> None:
        frontend: Stage = module.frontend.stage()  # type: ignore[operator]
        self.stage = Chain([frontend, module.stage()])
        self.model = model
        self.rate = model.rate()
        self.framing = framing
        self.frame_seconds = float(framing.stride) / self.rate
        assert framing.look_ahead is not None  # the model has a stage
        self.look_ahead = framing.look_ahead / self.rate
        self.memory = None if framing.before is None else (framing.before + framing.centre) / self.rate
        self.count = 0

    @torch.inference_mode()
    def push(self, samples: Samples) -> Frames:
        x = torch.from_numpy(rounded(samples))[None].to(self.model.device)
        return self._frames(self.stage.push(x))

    @torch.inference_mode()
    def finish(self) -> Frames:
        return self._frames(self.stage.finish())

    def _frames(self, logits: Tensor) -> Frames:
        if not logits.shape[-1]:
            return none(len(self.model.classes))
        numbers = np.arange(self.count, self.count + logits.shape[-1])
        self.count += len(numbers)
        times = (self.framing.centre + numbers * float(self.framing.stride)) / self.rate
        return Frames(times, logits[0].T.float().cpu().numpy())


class _Cut(Timeline):
    """Clips of the model's length at equal distances; the last one ends with the recording."""

    def __init__(self, model: Classifier, hop: int) -> None:
        self.model = model
        self.rate = model.rate()
        self.size = model.samples
        self.hop = hop
        self.clip = self.size / self.rate
        self.held = np.empty(0, np.float32)
        self.origin = 0  # sample number of the first one held
        self.next = 0  # start of the next clip

    def push(self, samples: Samples) -> Frames:
        self.held = np.concatenate([self.held, samples])
        starts = range(self.next, self.origin + len(self.held) - self.size + 1, self.hop)
        if not starts:
            return none(len(self.model.classes))
        clips = torch.from_numpy(np.stack([self._clip(start) for start in starts]))
        parts = [
            self._of(starts[at : at + BATCH_SIZE], clips[at : at + BATCH_SIZE])
            for at in range(0, len(starts), BATCH_SIZE)
        ]
        self.next = starts[-1] + self.hop
        self.held, self.origin = self.held[starts[-1] - self.origin :], starts[-1]
        return together(parts, len(self.model.classes))

    def finish(self) -> Frames:
        total = self.origin + len(self.held)
        last = max(0, total - self.size)
        clips = None
        if total and (self.next == 0 or last > self.next - self.hop):
            clips = torch.from_numpy(self._clip(last))[None]
        return self._end(last, clips, total)

    def _clip(self, start: int) -> NDArray[np.float32]:
        return self.model.clip(self.held[start - self.origin : start - self.origin + self.size])

    @abstractmethod
    def _of(self, starts: range, clips: Tensor) -> Frames:
        """Return the frames of clips `(N, S)` that begin at these samples."""

    @abstractmethod
    def _end(self, start: int, clip: Tensor | None, total: int) -> Frames:
        """Return the last frames of a recording of `total` samples; `clip` is None if the latest clip was the last."""


class _Windows(_Cut):
    """Logits of whole clips, each at its middle."""

    way = "windows"

    def __init__(self, model: Classifier, hop_seconds: float | None) -> None:
        seconds = model.samples / model.rate()
        hop_seconds = seconds / WINDOW_HOPS if hop_seconds is None else hop_seconds
        if not 0 < hop_seconds <= seconds:
            raise ArgumentError(f"a hop of {hop_seconds:g} s is not above 0 and at most a window's {seconds:g} s")
        super().__init__(model, max(1, round(hop_seconds * model.rate())))
        self.frame_seconds = self.hop / self.rate
        self.look_ahead = self.memory = self.clip / 2

    def _of(self, starts: range, clips: Tensor) -> Frames:
        times = (np.asarray(starts) + self.size / 2) / self.rate
        return Frames(times, self.model.logits(clips).numpy())

    def _end(self, start: int, clip: Tensor | None, total: int) -> Frames:
        if clip is None:
            return none(len(self.model.classes))
        found = self._of(range(start, start + 1), clip)
        return Frames(np.minimum(found.times, total / self.rate), found.logits)


class _Clips(_Cut):
    """Logits of single frames within overlapping clips."""

    way = "clips"

    def __init__(self, model: Classifier, module: AudioModel, framing: Framing) -> None:
        stride = framing.stride
        hop = Fraction(model.samples, 2) // stride * stride  # whole frames, so that they are equally far apart
        super().__init__(model, int(hop) or model.samples)
        self.module = module
        self.framing = framing
        self.margin = (self.size - self.hop) // 2
        self.frame_seconds = float(stride) / self.rate
        self.look_ahead = self.memory = (self.size - self.margin) / self.rate
        self.kept = none(len(model.classes))  # the latest clip's
        self.until = 0.0  # end of the frames that have been returned, in seconds

    def _of(self, starts: range, clips: Tensor) -> Frames:
        found = []
        for start, frames in zip(starts, self._frames(starts, clips), strict=True):
            self.kept = frames
            found.append(self._take((start + self.margin + self.hop) / self.rate))
        return together(found, len(self.model.classes))

    def _end(self, start: int, clip: Tensor | None, total: int) -> Frames:
        if clip is not None:
            (self.kept,) = self._frames(range(start, start + 1), clip)
        first, seconds = self.until == 0, total / self.rate
        found = self._take(seconds)
        if first and not len(found):  # shorter than until the place of the first frame
            return Frames(np.minimum(self.kept.times[:1], seconds), self.kept.logits[:1])
        return found

    @torch.inference_mode()
    def _frames(self, starts: range, clips: Tensor) -> list[Frames]:
        logits = self.module.frame_logits(self.module.extract(clips.to(self.model.device))).float().cpu().numpy()
        places = self.framing.places(logits.shape[1]).numpy() / self.rate
        return [Frames(start / self.rate + places, own) for start, own in zip(starts, logits, strict=True)]

    def _take(self, end: float) -> Frames:
        """Return the frames of the latest clip that have not been returned, up to a time in seconds."""
        found, self.until = _between(self.kept, self.until, end), max(self.until, end)
        return found


def _between(frames: Frames, start: float, end: float) -> Frames:
    inside = (frames.times >= start - 1e-9) & (frames.times < end - 1e-9)
    return Frames(frames.times[inside], frames.logits[inside])


def none(classes: int) -> Frames:
    """Return no frames."""
    return Frames(np.empty(0), np.empty((0, classes), np.float32))


def together(parts: list[Frames], classes: int) -> Frames:
    """Return the frames of parts, one after another."""
    if not parts:
        return none(classes)
    return Frames(np.concatenate([part.times for part in parts]), np.concatenate([part.logits for part in parts]))


def rounded(samples: Samples) -> NDArray[np.float32]:
    """Return samples rounded to 16 bits, as the datasets have them."""
    return quantised(samples, len(samples)).astype(np.float32) / np.float32(32768)
