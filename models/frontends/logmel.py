"""Log-mel spectrogram as in PANNs (Kong et al. 2020, https://arxiv.org/abs/1912.10211), at any sample rate.

Slaney mel scale, filters of equal area, power spectrum, periodic Hann window, 10 log10(max(x, 1e-10)) dB, no limit
below the clip's own maximum, so that a clip's features never depend on another's. PANNs' 1,024 points at 32 kHz
become the next power of two of 32 ms; a clip has exactly `frames_per_second` frames a second, and one more as in PANNs
with `closing_frame`.
"""

import math
from fractions import Fraction
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.base import Frontend
from models.frontends.filterbank import Form, band_centres, next_power_of_two
from models.frontends.mel import MelPower
from models.layers.framing import Framing

FLOOR = 1e-10
"""Power below which a band counts as silent: -100 dB."""


def decibels(power: Tensor) -> Tensor:
    """Map power to decibels."""
    return 10 * power.clamp(min=FLOOR).log10()


DECIBELS = Form("logarithm", FLOOR, 10 / math.log(10))
"""`decibels` for the kernel."""


class LogMel(Frontend):
    """Waveform `(B, S)` to log-mel spectrogram `(B, F, T)` in dB.

    Args:
        sample_rate: of the waveform, in hertz.
        bands: F.
        n_fft: points of the Fourier transform, and samples of its window; by default 32 ms, up to a power of two,
            and a transform that is longer than its window where a band would hold none of its points (4 kHz).
        frames_per_second: T of one second.
        f_min: lower edge of the first band, in hertz.
        f_max: upper edge of the last band, in hertz; by default 14 kHz or half the sample rate, whichever is less.
        closing_frame: whether one more frame is centred on the clip's end.
    """

    axis: ClassVar[str] = "Hz"

    def __init__(
        self,
        sample_rate: int,
        bands: int = 64,
        n_fft: int | None = None,
        frames_per_second: float = 100,
        f_min: float = 50,
        f_max: float | None = None,
        closing_frame: bool = False,
    ) -> None:
        super().__init__()
        longer = n_fft is None
        n_fft = n_fft or next_power_of_two(0.032 * sample_rate)
        f_max = f_max or min(14000, sample_rate / 2)
        self.frame_rate = frames_per_second
        self.power = MelPower(
            sample_rate, bands, n_fft, n_fft, frames_per_second, f_min, f_max, "slaney", closing_frame, longer=longer
        )

    def forward(self, waveform: Tensor) -> Tensor:
        """Map `(B, S)` to `(B, F, T)`, T = round(frames_per_second · S / sample_rate)."""
        features: Tensor = self.power(waveform, decibels, DECIBELS)
        return features

    def framing(self) -> Framing:
        """Return where the frames lie among the samples."""
        return self.power.framing()

    def macs(self, samples: int) -> int:
        """Return the multiply-adds for one clip of `samples` samples."""
        return self.power.macs(samples)

    def band_centres(self) -> Tensor:
        """Return the mean frequency of each band's filter in hertz `(F,)`, float64."""
        return band_centres(self.power.filters, self.power.sample_rate)


class PooledLogMel(LogMel):
    """Waveform `(B, S)` to one frame a second `(B, F, T)`, T = ceil(S / sample_rate): a stand-in for embeddings.

    The mean of the dB values over each second (the last may be shorter), put into about [0, 1] as embeddings are:
    (dB + 100) / 100, so that silence is exactly 0, and the loudest sine less than 1.4. Models that take zeros at the
    end for padding take silence for it.

    Args:
        sample_rate: of the waveform, in hertz.
        bands: F.
    """

    def __init__(self, sample_rate: int, bands: int = 128) -> None:
        super().__init__(sample_rate, bands)
        self.frame_rate = 1

    def forward(self, waveform: Tensor) -> Tensor:
        """Map `(B, S)` to `(B, F, ceil(S / sample_rate))`."""
        return self.pool(super().forward(waveform), waveform.shape[1])

    def portable(self) -> nn.Module:
        """Return the same without a choice by the length, for exports."""
        return _PortablePooled(self)

    def pool(self, level: Tensor, samples: int) -> Tensor:
        """Map levels `(B, F, T)` in dB of clips of `samples` samples to `(B, F, seconds)`."""
        a_second = round(self.power.frames_per_second)
        seconds = -(-samples // self.power.sample_rate)
        short = (seconds - 1) * a_second + 1 - level.shape[2]
        if short > 0:  # a last second of less than half a hop has no frame of its own
            level = F.pad(level, (0, short), "replicate")
        return F.avg_pool1d(level, a_second, ceil_mode=True) / 100 + 1  # (B, F, seconds)

    def framing(self) -> Framing:
        """Return where the frames, a second each, lie among the samples."""
        a_second = round(self.power.frames_per_second)
        pooling = Framing(stride=Fraction(a_second), centre=(a_second - 1) / 2, after=a_second)
        return super().framing().then(pooling)


class _PortablePooled(nn.Module):
    """`PooledLogMel` with averages as sums with weights."""

    def __init__(self, frontend: PooledLogMel) -> None:
        super().__init__()
        self.a_second = round(frontend.power.frames_per_second)
        self.sample_rate = frontend.power.sample_rate
        self.power = frontend.power.portable()

    def forward(self, waveform: Tensor) -> Tensor:
        level = self.power(waveform, decibels)
        seconds = (waveform.shape[1] + self.sample_rate - 1) // self.sample_rate
        frames = level.shape[2]
        first = torch.arange(seconds, device=level.device)[:, None] * self.a_second
        place = first + torch.arange(self.a_second, device=level.device)  # (seconds, frames of a second)
        # A last second of less than half a hop has no frame of its own, but a copy of the last.
        own = ((place < frames) | (place == first)).to(level)
        level = level[..., place.clamp(max=frames - 1)]  # (B, F, seconds, frames of a second)
        means: Tensor = (level * own).sum(3) / own.sum(1)
        return means / 100 + 1
