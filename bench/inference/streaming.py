"""Classification of sound while it arrives: changes of class with their times, and how fast and how late they come."""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch

from bench.inference import recordings
from bench.inference.classifier import Classifier, Samples
from bench.inference.frames import Frames, Timeline, timeline
from bench.inference.segments import Change, Segment, Segmenter, Smoothing

PREPARED_SECONDS = 1
"""Parts in which sound is prepared for models whose training data were; it delays every decision by two such parts."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """How fast and how late the decisions on a stream came.

    Attributes:
        seconds: length of the sound.
        compute_seconds: time for preparation, front-end, model and smoothing.
        real_time_factor: computing time per second of sound; None without sound.
        look_ahead: largest time from a frame to the last sample that it depends on, in seconds: of front-end and model,
            and of the preparation where there is one.
        memory: largest time from the first sample that a frame depends on to its place; None for all of the stream.
        smoothing_delay: largest time that smoothing adds, in seconds.
        chunk_seconds: length of the chunks.
        largest_chunk_seconds: longest time for one chunk.
        reactions: of each change the time from its place to the moment when it was certain, in seconds: sound that had
            to arrive, and computing.
        overflows: number of times that a microphone's sound was lost.
    """

    seconds: float
    compute_seconds: float
    look_ahead: float
    memory: float | None
    smoothing_delay: float
    chunk_seconds: float
    largest_chunk_seconds: float
    reactions: tuple[float, ...]
    overflows: int = 0

    @property
    def real_time_factor(self) -> float | None:
        """Computing time per second of sound."""
        return self.compute_seconds / self.seconds if self.seconds else None

    @property
    def reaction(self) -> float | None:
        """Median time from a change to its certainty, in seconds; None without a change."""
        return float(np.median(self.reactions)) if self.reactions else None

    @property
    def largest_reaction(self) -> float | None:
        """Longest time from a change to its certainty, in seconds; None without a change."""
        return max(self.reactions, default=None)


@dataclass
class Stream:
    """A stream that is being classified.

    Args:
        model: of `load_model`.
        smoothing: how probabilities become changes of class.
        windows: whether to classify windows even where the model has logits of single frames.
        hop_seconds: from one window to the next; None as in `timeline`. Implies windows.
        observer: receives the frames.
        clock: returns seconds.

    Attributes:
        overflows: number of times that sound was lost; whoever records it counts.
    """

    model: Classifier
    smoothing: Smoothing = field(default_factory=Smoothing)
    windows: bool = False
    hop_seconds: float | None = None
    observer: Callable[[Frames], object] | None = None
    clock: Callable[[], float] = time.perf_counter
    overflows: int = 0

    def __post_init__(self) -> None:
        self.line: Timeline = timeline(self.model, self.windows, self.hop_seconds)
        self.segmenter = Segmenter(len(self.model.classes), self.model.task, self.line.frame_seconds, self.smoothing)
        self.received = 0  # samples
        self.compute_seconds = self.largest = self.chunk_seconds = 0.0
        self.reactions: list[float] = []
        self._began = 0.0

    def warm_up(self) -> None:
        """Classify a clip of silence in a time line of its own, so that the first chunk is as quick as the others."""
        line = timeline(self.model, self.windows, self.hop_seconds)
        for _ in range(2):
            line.push(np.zeros(self.model.samples, np.float32))
        line.finish()

    def run(self, chunks: Iterable[Samples]) -> Iterator[Change]:
        """Yield the changes of class while chunks `(s,)` at the model's rate arrive.

        The report is right whenever the stream ends, also where the caller stops earlier.
        """
        rate = self.model.rate()
        arriving = self._arriving(chunks)
        prepared = self.model.prepare is not None
        blocks = recordings.prepared(self.model, arriving, PREPARED_SECONDS) if prepared else arriving
        samples = 0
        self._began = self.clock()
        for block in blocks:
            samples += len(block)
            yield from self._take(self.line.push(block))
        last = self._take(self.line.finish())
        yield from last
        yield from self._noted(self.segmenter.finish(samples / rate))
        self._ended()

    def segments(self) -> list[Segment]:
        """Return the segments that have ended since the last call."""
        return self.segmenter.segments()

    def report(self) -> Report:
        """Return how fast and how late the decisions came."""
        preparation = 2.0 * PREPARED_SECONDS if self.model.prepare is not None else 0.0
        return Report(
            seconds=self.received / self.model.rate(), compute_seconds=self.compute_seconds,
            look_ahead=self.line.look_ahead + preparation, memory=self.line.memory,
            smoothing_delay=self.segmenter.delay, chunk_seconds=self.chunk_seconds, largest_chunk_seconds=self.largest,
            reactions=tuple(self.reactions), overflows=self.overflows,
        )  # fmt: skip

    def _arriving(self, chunks: Iterable[Samples]) -> Iterator[Samples]:
        """Yield chunks, and note the time between them as computing time."""
        waiting = iter(chunks)
        while True:
            if self.received:
                self._ended()
            chunk = next(waiting, None)
            self._began = self.clock()
            if chunk is None:
                return
            self.received += len(chunk)
            self.chunk_seconds = max(self.chunk_seconds, len(chunk) / self.model.rate())
            yield chunk

    def _ended(self) -> None:
        taken = self.clock() - self._began
        self.compute_seconds += taken
        self.largest = max(self.largest, taken)
        self._began = self.clock()

    def _take(self, frames: Frames) -> Iterator[Change]:
        if not len(frames):
            return
        if self.observer is not None:
            self.observer(frames)
        probabilities = self.model.probabilities(torch.from_numpy(frames.logits)).numpy()
        yield from self._noted(self.segmenter.push(frames.times, probabilities))

    def _noted(self, changes: list[Change]) -> Iterator[Change]:
        arrived = self.received / self.model.rate() + self.clock() - self._began
        self.reactions += [arrived - change.time for change in changes if change.time > 0]
        for change in changes:
            began = self.clock()
            yield change
            self._began += self.clock() - began  # the caller's time is not the model's
