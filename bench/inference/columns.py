"""Waveform and mel spectrogram of a recording in a limited number of columns, whatever its length."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bench import catalog
from bench.inference.classifier import Samples

MAX_COLUMNS = 2000
"""Half of the largest number of columns that are kept; twice the pixels of a picture's width make no better one."""

Values = NDArray[np.float32]


class Columns:
    """Values in columns of equal size; where they become too many, two neighbours become one.

    Args:
        reduce: maps values `(C, n, k)` to `(C, n)`: minimum, maximum or mean over k.
        rows: C.
    """

    def __init__(self, reduce: Callable[[Values], Values], rows: int) -> None:
        self.reduce = reduce
        self.step = 1
        self.columns = np.empty((rows, 0), np.float32)
        self.rest = np.empty((rows, 0), np.float32)
        self.count = 0

    def push(self, values: Values) -> None:
        """Take the next values `(C, n)`."""
        self.count += values.shape[1]
        values = np.concatenate([self.rest, values], 1)
        whole = values.shape[1] // self.step * self.step
        parts = values[:, :whole].reshape(len(values), -1, self.step)
        self.columns = np.concatenate([self.columns, self.reduce(parts)], 1)
        self.rest = values[:, whole:]
        while self.columns.shape[1] >= 2 * MAX_COLUMNS:
            even = self.columns.shape[1] // 2 * 2
            odd = self.columns[:, even:]
            self.columns = self.reduce(self.columns[:, :even].reshape(len(self.columns), -1, 2))
            if odd.shape[1]:
                self.rest = np.concatenate([np.repeat(odd, self.step, 1), self.rest], 1)
            self.step *= 2

    def finish(self) -> Values:
        """Return all columns `(C, n)`; the last one may be of fewer values."""
        if self.rest.shape[1]:
            self.columns = np.concatenate([self.columns, self.reduce(self.rest[:, None])], 1)
            self.rest = self.rest[:, :0]
        return self.columns


class Picture:
    """Content of the picture of a recording.

    Args:
        rate: sample rate in hertz.

    Attributes:
        seconds: length of the recording so far.
        hertz: centre of each mel band `(F,)`.
        low: columns with the lowest samples; `high` those with the highest.
        mel: columns of the log-mel spectrogram `(F, n)` in dB.
    """

    def __init__(self, rate: int) -> None:
        entry = catalog.frontend("logmel-20ms")
        frontend: Any = catalog.load(entry.target)(rate, **entry.arguments)
        self.rate = rate
        self.stage = frontend.stage()
        self.hertz: NDArray[np.float64] = frontend.band_centres().numpy()
        self.frame_seconds = int(frontend.framing().stride) / rate
        self.low = Columns(lambda values: values.min(2), 1)
        self.high = Columns(lambda values: values.max(2), 1)
        self.mel = Columns(lambda values: values.mean(2, dtype=np.float32), len(self.hertz))

    @property
    def seconds(self) -> float:
        """Length of what has arrived."""
        return self.low.count / self.rate

    @torch.inference_mode()
    def push(self, samples: Samples) -> None:
        """Take the next samples `(s,)`."""
        self.low.push(samples[None])
        self.high.push(samples[None])
        self._mel(self.stage.push(torch.from_numpy(samples)[None]))

    @torch.inference_mode()
    def finish(self) -> None:
        """Take the end of the recording."""
        self._mel(self.stage.finish())
        for columns in (self.low, self.high, self.mel):
            columns.finish()

    def _mel(self, features: torch.Tensor) -> None:
        if features.shape[-1]:
            self.mel.push(features[0].numpy())
