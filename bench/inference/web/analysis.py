"""What the page shows of a sound: its classes over time, its waveform, its mel spectrogram, computed block by block."""

import base64
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bench import catalog
from bench.inference.classifier import Samples
from bench.inference.web.columns import Columns
from bench.inference.web.engine import Engine
from bench.inference.web.limits import Refused
from datamodules.audio.in_child import Stopped

PICTURE_COLUMNS = 2048
"""Columns of a waveform and of a spectrogram, at most; a long sound has at least half as many."""
DECIBELS = 80.0
"""Range of a spectrogram below its loudest value."""
MAX_PREPARED_SECONDS = 600.0
"""Longest sound for a model whose data were prepared as a whole, such as by removing noise."""
_MEL_SECONDS, _MEL_CONTEXT = 5.0, 0.1


@dataclass(frozen=True)
class Options:
    """What a client asks for.

    Attributes:
        top: number of classes in the answer.
        hop_seconds: from the start of a window to the next; None takes the length of a clip.
        pictures: whether waveform and spectrogram are wanted.
    """

    top: int = 10
    hop_seconds: float | None = None
    pictures: bool = False


class Analysis:
    """Classes and pictures of one sound.

    The windows and their probabilities are those of `Classifier.windows` on the whole recording.

    Args:
        engine: the model.
        options: what is asked for.
        max_windows: a sound that has more is refused.
        stop: asked between two batches and between two layers.
    """

    def __init__(self, engine: Engine, options: Options, max_windows: int, stop: Callable[[], bool]) -> None:
        self._engine, self._options, self._max_windows, self._stop = engine, options, max_windows, stop
        model = engine.model
        self._rate, self._size = model.rate(), model.samples
        hop = options.hop_seconds
        self._hop = self._size if hop is None else max(1, round(hop * self._rate))
        self._whole: list[Samples] | None = None if model.prepare is None else []
        self._buffer: Samples = np.empty(0, np.float32)
        self._offset = self._total = self._next = 0
        self._starts: list[NDArray[np.float64]] = []
        self._ends: list[NDArray[np.float64]] = []
        self._found: list[NDArray[np.float32]] = []
        self._count = 0
        self._waveform = Columns(PICTURE_COLUMNS, max(1, self._rate // 1000))
        self._mel = Mel(self._rate) if options.pictures else None

    @property
    def seconds(self) -> float:
        """Length of the sound so far."""
        return self._total / self._rate

    def add(self, block: Samples) -> None:
        """Take the next samples `(s,)` at the model's rate.

        Raises:
            Stopped: `stop` said so.
            Refused: there are too many windows.
        """
        self._look()
        if self._options.pictures:
            self._draw(block)
        if self._whole is None:
            self._take(block)
        else:
            self._whole.append(block)
            self._total += len(block)

    def finish(self) -> dict[str, Any]:
        """Return the answer to the client.

        Raises:
            Stopped: `stop` said so.
            Refused: there are too many windows.
        """
        if self._whole is not None:
            self._total = 0
            self._take(self._engine.model.prepared(np.concatenate(self._whole)))
        last = max(0, self._total - self._size)
        for start in self._full(1):
            self._classify(start, min(start + self._size, self._total))
        if not self._count or last > round(self._starts[-1][-1] * self._rate):
            self._classify(last, self._total)
        return self._answer()

    def _look(self) -> None:
        if self._stop():
            raise Stopped

    def _take(self, block: Samples) -> None:
        self._buffer = np.concatenate([self._buffer, block])
        self._total += len(block)
        batch = self._engine.batch
        for start in self._full(batch):
            self._classify(start, start + (batch - 1) * self._hop + self._size)
        # The last window ends with the sound, so that the last samples are always kept.
        drop = max(0, min(self._next, self._total - self._size) - self._offset)
        self._buffer = self._buffer[drop:]
        self._offset += drop

    def _full(self, batch: int) -> Iterator[int]:
        """Yield the start of each batch of windows that have arrived."""
        while self._next + (batch - 1) * self._hop + self._size <= self._total:
            start = self._next
            self._next += batch * self._hop
            yield start

    def _classify(self, start: int, end: int) -> None:
        """Classify the windows of a part of the sound, a batch at a time."""
        part = self._buffer[start - self._offset : end - self._offset]
        windows = self._engine.model.windows(part, self._options.hop_seconds)
        self._count += len(windows.starts)
        if self._count > self._max_windows:
            raise Refused(422, "windows", f"this makes more than {self._max_windows:,} windows: use a longer hop")
        self._found.append(self._engine.probabilities(windows.clips, self._stop).numpy())
        self._starts.append(windows.starts + start / self._rate)
        self._ends.append(windows.ends + start / self._rate)

    def _draw(self, block: Samples) -> None:
        self._waveform.add(np.stack([block, -block], 1))
        assert self._mel is not None
        for _ in self._mel.add(block):
            self._look()

    def _answer(self) -> dict[str, Any]:
        model = self._engine.model
        found = np.concatenate(self._found)  # (W, C)
        if not np.isfinite(found).all():
            raise Refused(422, "model", f"{model.name} gives no finite probabilities for this sound: use another run")
        mean = found.mean(0, dtype=np.float64)
        order = np.argsort(-mean, kind="stable")[: self._options.top]
        answer: dict[str, Any] = {
            "run": model.name,
            "task": model.task,
            "seconds": round(self.seconds, 6),
            "sample_rate": self._rate,
            "clip_seconds": model.clip_seconds,
            "top": [{"class": model.classes[at], "probability": round(float(mean[at]), 7)} for at in order],
            "windows": {
                "starts": [round(float(value), 6) for value in np.concatenate(self._starts)],
                "ends": [round(float(value), 6) for value in np.concatenate(self._ends)],
                "classes": [model.classes[at] for at in order],
                "probabilities": [[round(float(value), 5) for value in row] for row in found[:, order]],
            },
        }
        if self._mel is not None:
            columns = self._waveform.finished()
            answer["waveform"] = {
                "seconds_per_column": self._waveform.per_column / self._rate,
                "high": [round(float(value), 4) for value in columns[:, 0]],
                "low": [round(float(-value), 4) for value in columns[:, 1]],
            }
            for _ in self._mel.end():
                self._look()
            answer["spectrogram"] = self._mel.picture()
        return answer


@dataclass
class Mel:
    """The log-mel spectrogram of a sound, computed a few seconds at a time.

    Attributes:
        rate: of the sound, in hertz.
    """

    rate: int
    _rest: list[Samples] = field(default_factory=list)
    _held: int = 0

    def __post_init__(self) -> None:
        self._frontend: Any = catalog.load(catalog.frontend("logmel").target)(self.rate).eval()
        self._columns = Columns(PICTURE_COLUMNS)
        self._context = round(_MEL_CONTEXT * self.rate)
        self._before: Samples = np.zeros(self._context, np.float32)

    def add(self, block: Samples) -> Iterator[None]:
        """Take the next samples; yields after each part."""
        self._rest.append(block)
        self._held += len(block)
        size = round(_MEL_SECONDS * self.rate)
        if self._held < size + self._context:
            return
        samples = np.concatenate(self._rest)
        while len(samples) >= size + self._context:
            self._frames(samples[:size], samples[size : size + self._context])
            samples = samples[size:]
            yield
        self._rest, self._held = [samples], len(samples)

    def end(self) -> Iterator[None]:
        """Take the end of the sound; yields after each part."""
        samples = np.concatenate([*self._rest, np.empty(0, np.float32)])
        size = round(_MEL_SECONDS * self.rate)
        while len(samples):
            after = samples[size : size + self._context]
            self._frames(samples[:size], np.pad(after, (0, self._context - len(after))))
            samples = samples[size:]
            yield
        self._rest, self._held = [], 0

    def _frames(self, part: Samples, after: Samples) -> None:
        whole = np.concatenate([self._before, part, after])
        with torch.inference_mode():
            frames = self._frontend(torch.from_numpy(whole)[None])[0].numpy().T  # (T, F)
        rate = self._frontend.frame_rate
        skip = round(_MEL_CONTEXT * rate)
        self._columns.add(frames[skip : skip + max(1, round(len(part) / self.rate * rate))])
        self._before = np.concatenate([self._before, part])[-self._context :]

    def picture(self) -> dict[str, Any]:
        """Return the spectrogram: bytes from 0 for `low` to 255 for `high` decibels, band by band from the lowest."""
        columns = self._columns.finished()  # (T, F)
        high = float(columns.max())
        low = high - DECIBELS
        scaled = np.clip((columns - low) * (255 / DECIBELS), 0, 255).round().astype(np.uint8)
        return {
            "bands": scaled.shape[1],
            "columns": len(scaled),
            "seconds_per_column": self._columns.per_column / self._frontend.frame_rate,
            "low": round(low, 2),
            "high": round(high, 2),
            "hertz": [round(float(value), 1) for value in self._frontend.band_centres()],
            "values": base64.b64encode(np.ascontiguousarray(scaled.T).tobytes()).decode(),
        }
