"""Log-mel spectrogram and constant-Q transform one above the other, for a model that is to hear both.

The log-mel bands say most above 4 kHz and change fast; the notes resolve what lies below 500 Hz, where a log-mel band
is as wide as several harmonics of a rotor. Both are in dB, so one image holds them.
"""

import torch
from torch import Tensor

from models.base import Frontend
from models.frontends.cqt import CQT
from models.frontends.logmel import LogMel


class LogMelCQT(Frontend):
    """Waveform `(B, S)` to log-mel bands and, above them, notes `(B, F, T)` in dB, T = 1 + floor(S / hop).

    Args:
        sample_rate: of the waveform, in hertz.
        bands: log-mel bands; F is as many and the notes of `CQT`, 84 at most.
        frames_per_second: of both; the hop is a whole number of samples.
    """

    def __init__(self, sample_rate: int, bands: int = 64, frames_per_second: float = 50) -> None:
        super().__init__()
        hop = round(sample_rate / frames_per_second)
        self.frame_rate = sample_rate / hop
        self.logmel = LogMel(sample_rate, bands, frames_per_second=self.frame_rate, closing_frame=True)
        self.cqt = CQT(sample_rate, hop=hop)

    def forward(self, waveform: Tensor) -> Tensor:
        """Map `(B, S)` to `(B, F, T)`."""
        bands, notes = self.logmel(waveform), self.cqt(waveform)
        frames = min(bands.shape[2], notes.shape[2])  # the log-mel rounds up where half a hop is left
        return torch.cat([bands[:, :, :frames], notes[:, :, :frames]], 1)

    def macs(self, samples: int) -> int:
        """Multiply-adds for one clip of `samples` samples."""
        return self.logmel.macs(samples) + self.cqt.macs(samples)
