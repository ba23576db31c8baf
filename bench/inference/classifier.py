"""A trained model with the facts that its use needs: classes, rate, clip length, preparation of recordings."""

import math
import numbers
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bench.errors import ArgumentError, RunError
from bench.inference import arrays
from bench.inference.parts import Part
from bench.records import Record
from datamodules.audio.clip import quantised
from datamodules.audio.decoder import MAX_SECONDS, decode

Samples = NDArray[np.float32]

NEGLIGIBLE = 100
"""A window's samples divided by those that may be left over at the end of a recording."""


@dataclass(frozen=True)
class Windows:
    """Parts of one recording, each as long as the clips that the model was trained on.

    Attributes:
        clips: `(N, S)` float32 in [-1, 1).
        starts: `(N,)` start of each in the recording, in seconds.
        ends: `(N,)` end of each in the recording, in seconds; the padding of the last one is left out.
    """

    clips: Tensor
    starts: NDArray[np.float64]
    ends: NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Classifier:
    """A trained model, ready to be used.

    Attributes:
        name: the reference that it was found by, such as a run's key.
        module: maps clips to logits `(B, C)`; in eval mode, on `device`.
        classes: names of the C classes.
        task: "single" or "multi" label.
        sample_rate: in hertz; None for embeddings.
        clip_shape: `(S,)` or `(T, F)` of the clips that it was trained on.
        clip_seconds: length of these clips.
        short_clips: whether a shorter sound is padded with zeros or repeated.
        keys: of the runs whose weights it has, one of a single model.
        records: their records, as far as there are any.
        parts: these runs, and the members of those that are fusions, by key, for the card.
        prepare: prepares a whole recording `(S,)` at `sample_rate` as the training data were, without changing its
            times; None where that is nothing.
        device: where the module is.
    """

    name: str
    module: nn.Module
    classes: tuple[str, ...]
    task: Literal["single", "multi"]
    sample_rate: int | None
    clip_shape: tuple[int, ...]
    clip_seconds: float
    short_clips: Literal["pad", "repeat"] = "pad"
    keys: tuple[str, ...] = ()
    records: tuple[Record, ...] = ()
    parts: Mapping[str, Part] = field(default_factory=dict)
    prepare: Callable[[Samples, int], Samples] | None = None
    device: str = "cpu"

    @property
    def takes_sound(self) -> bool:
        """Whether the model takes waveforms, not embeddings."""
        return self.sample_rate is not None

    @property
    def samples(self) -> int:
        """Samples of one clip.

        Raises:
            RunError: the model takes embeddings.
        """
        self.rate()
        return self.clip_shape[0]

    def rate(self) -> int:
        """Return the sample rate in hertz.

        Raises:
            RunError: the model takes embeddings.
        """
        if self.sample_rate is None:
            frames, features = self.clip_shape
            raise RunError(
                f"{self.name} takes embeddings of {frames} frames with {features} values, not sound: give "
                f"`bench predict` .npy files"
            )
        return self.sample_rate

    @torch.inference_mode()
    def logits(self, x: Tensor | NDArray[np.floating[Any]]) -> Tensor:
        """Return the logits `(B, C)` float32 of clips `(B, S)`, or of embeddings `(B, T, F)`, on the CPU.

        Raises:
            ArgumentError: they have another shape, or values that are not finite or, of sound, far beyond 1.
        """
        clips = arrays.batch(x, self.clip_shape, self.takes_sound)
        out: Tensor = self.module(clips.to(self.device)).float().cpu()
        return out

    def probabilities(self, logits: Tensor | NDArray[np.floating[Any]]) -> Tensor:
        """Return the probabilities `(B, C)` of logits: softmax for one label per clip, sigmoid for several.

        Raises:
            ArgumentError: the logits are of another number of classes.
        """
        logits = arrays.logits(logits, len(self.classes))
        return torch.softmax(logits, -1) if self.task == "single" else torch.sigmoid(logits)

    def load(self, path: str | Path, max_seconds: float = MAX_SECONDS) -> Samples:
        """Decode an audio file to a recording `(S,)` at the model's rate, prepared as the training data were.

        Raises:
            AudioError: the file cannot be used; the message says why.
            RunError: the model takes embeddings.
        """
        return self.prepared(decode(Path(path).expanduser(), self.rate(), max_seconds))

    def prepared(self, recording: Samples) -> Samples:
        """Return a recording `(S,)` at the model's rate, prepared as the training data were; its times stay."""
        return recording if self.prepare is None else self.prepare(recording, self.rate())

    def check_hop(self, hop_seconds: float | None) -> None:
        """Raise `ArgumentError` unless a hop is above 0 and at most a clip's length, or None: no sound is left out."""
        if hop_seconds is None:
            return
        if not isinstance(hop_seconds, numbers.Real) or isinstance(hop_seconds, bool):
            raise ArgumentError(
                f"a hop of {hop_seconds!r} is no number: give the seconds from one window to the next, such as 0.5"
            )
        if not 0 < hop_seconds < math.inf:
            raise ArgumentError(
                f"a hop of {hop_seconds:g} s is no number above 0: give the seconds from one window to the next"
            )
        if hop_seconds > self.clip_seconds * (1 + 1e-9):
            raise ArgumentError(
                f"a hop of {hop_seconds:.10g} s would leave out sound between windows of {self.clip_seconds:.10g} s: "
                f"give at most {self.clip_seconds:.10g}"
            )

    def windows(self, recording: Samples, hop_seconds: float | None = None) -> Windows:
        """Cut a recording to clips of the model's length.

        The last one ends with the recording where the recording is longer than a clip, so that none is padded.
        A rest of at most a hundredth of a clip has no window of its own.

        Args:
            recording: `(S,)` floats in about [-1, 1] at the model's rate.
            hop_seconds: from the start of one window to the next; None takes the length of a clip.

        Raises:
            ArgumentError: the hop is not above 0, or longer than a clip, or the recording is none: of several channels,
                of integers, not finite, or far beyond 1.
        """
        rate, size = self.rate(), self.samples
        recording = arrays.recording(recording)
        self.check_hop(hop_seconds)
        hop = size if hop_seconds is None else max(1, round(hop_seconds * rate))
        last = max(0, len(recording) - size)
        starts = np.arange(0, last + 1, hop)
        if starts[-1] + size // NEGLIGIBLE < last:
            starts = np.append(starts, last)
        clips = np.stack([self.clip(recording[start : start + size]) for start in starts])
        ends = np.minimum(starts + size, max(1, len(recording)))
        return Windows(torch.from_numpy(clips), starts / rate, ends / rate)

    def clip(self, part: Samples) -> NDArray[np.float32]:
        """Return a clip `(S,)` of the model's length as the datasets have it.

        It is rounded to 16 bits; a shorter part is padded with zeros or repeated, as `short_clips` says.

        Args:
            part: `(s,)` of a recording, at most as long as a clip.
        """
        if self.short_clips == "repeat" and 0 < len(part) < self.samples:
            part = part[np.arange(len(part) - self.samples, len(part)) % len(part)]
        return quantised(part, self.samples).astype(np.float32) / np.float32(32768)

    def batches(self, clips: Tensor, batch_size: int = 32) -> Iterator[Tensor]:
        """Yield the logits `(b, C)` of clips `(N, S)`, batch by batch."""
        for part in torch.split(clips, batch_size):
            yield self.logits(part)
