"""Chroma: power of the spectrum in the twelve pitch classes, all octaves together (Ellis 2007, `librosa.chroma_stft`).

Each point of the transform contributes to the classes near its pitch by a Gaussian (sum of squares 1), and octaves near
880 Hz have the highest weights (a Gaussian of two octaves). A frame is divided by its greatest class. The tuning is
fixed at A = 440 Hz, librosa's with `tuning=0`, and not estimated, because an estimate would depend on the whole clip.
"""

import math

import torch
from torch import Tensor

from models.base import Frontend, ModelError
from models.frontends.centred import CentredPower, transform_points
from models.layers.framing import Framing

CENTRE = 5.0
"""Octave with the highest weight, counted from A0 = 27.5 Hz: 880 Hz."""

WIDTH = 2.0
"""Standard deviation of the weight of octaves, in octaves."""

TINY = torch.finfo(torch.float32).tiny
"""A frame whose greatest class is below this is silent."""


class Chroma(Frontend):
    """Waveform `(B, S)` to classes `(B, F, T)` in [0, 1], the greatest of a frame 1, T = 1 + floor(S / hop).

    Class 0 is C. Frames of silence are 0.

    Args:
        sample_rate: of the waveform, in hertz.
        classes: F, equal steps in an octave.
        n_fft: points of the Fourier transform, and samples of its window.
        hop: samples from frame to frame.

    Raises:
        ModelError: `classes` is not a multiple of 12, which class 0 needs to be C, or `n_fft` is not a power of two.
    """

    def __init__(self, sample_rate: int, classes: int = 12, n_fft: int = 2048, hop: int = 512) -> None:
        super().__init__()
        if classes < 12 or classes % 12:
            raise ModelError(f"classes must be a multiple of 12, to begin at C, got {classes}: use 12, 24 or 36")
        self.power = CentredPower(chroma_filters(sample_rate, classes, transform_points(n_fft)), hop)
        self.frame_rate = sample_rate / hop

    def forward(self, waveform: Tensor) -> Tensor:
        """Map `(B, S)` to `(B, F, T)`."""
        power: Tensor = self.power(waveform)  # (B, F, T)
        return power / power.amax(1, keepdim=True).clamp(min=TINY)

    def framing(self) -> Framing:
        """Return where the frames lie among the samples."""
        return self.power.framing()

    def macs(self, samples: int) -> int:
        """Return the multiply-adds for one clip of `samples` samples."""
        return self.power.macs(samples)


def chroma_filters(sample_rate: int, classes: int, n_fft: int) -> Tensor:
    """Return the share of each point of the transform in each class `(classes, n_fft / 2 + 1)`, float64."""
    frequency = torch.arange(1, n_fft, dtype=torch.float64) * sample_rate / n_fft
    pitch = classes * torch.log2(frequency / (440 / 16))  # in classes above A0
    pitch = torch.cat([pitch[:1] - 1.5 * classes, pitch])  # 0 Hz has no pitch: far below, and broad
    width = torch.cat([pitch.diff().clamp(min=1), pitch.new_ones(1)])  # of a point, in classes
    half = math.floor(classes / 2 + 0.5)
    away = (pitch - torch.arange(classes, dtype=torch.float64)[:, None] + half).remainder(classes) - half
    bumps = torch.exp(-0.5 * (2 * away / width).square())  # (classes, n_fft)
    bumps = bumps / bumps.norm(dim=0)
    bumps = bumps * torch.exp(-0.5 * ((pitch / classes - CENTRE) / WIDTH).square())
    filters: Tensor = bumps.roll(-3 * (classes // 12), 0)[:, : n_fft // 2 + 1]
    return filters
