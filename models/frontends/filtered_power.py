"""Power spectrum times a bank of filters, with librosa's framing: the common part of chroma and tempogram."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.base import ModelError
from models.frontends.mel import full_precision

CHUNK = 48
"""Frames at a time on a CPU: those of 2,048 points, their spectra and powers then stay in the second-level cache."""


class FilteredPower(nn.Module):
    """Waveform `(B, S)` to power in bands `(B, T, F)`, T = 1 + floor(S / hop).

    Frames are centred on multiples of the hop, weighted by a periodic Hann window as long as the transform; the clip has
    zeros around it.

    Args:
        filters: `(F, n_fft / 2 + 1)`.
        hop: samples from frame to frame.

    Raises:
        ModelError: there is no hop.
    """

    window: Tensor
    filters: Tensor

    def __init__(self, filters: Tensor, hop: int) -> None:
        super().__init__()
        if hop < 1:
            raise ModelError(f"hop must be ≥ 1 sample, got {hop}")
        self.hop = hop
        self.n_fft = 2 * (filters.shape[1] - 1)
        self.register_buffer("window", torch.hann_window(self.n_fft), persistent=False)
        # Twice each, for the squares of real and of imaginary parts: a product is quicker than their sum.
        twice = filters.to(torch.float32).repeat_interleave(2, 1).T.contiguous()  # (n_fft + 2, F)
        self.register_buffer("filters", twice, persistent=False)

    def frames(self, samples: int) -> int:
        """Return T for a clip of `samples` samples."""
        return 1 + samples // self.hop

    def forward(self, waveform: Tensor) -> Tensor:
        """Map `(B, S)` to `(B, T, F)`."""
        with full_precision(waveform.device.type):
            half = self.n_fft // 2
            frames = F.pad(waveform.to(self.window), (half, half)).unfold(1, self.n_fft, self.hop)  # (B, T, n_fft)
            if waveform.device.type != "cpu":
                return self._power(frames)
            count = max(1, CHUNK // max(1, len(waveform)))
            return torch.cat([self._power(chunk) for chunk in frames.split(count, 1)], 1)

    def _power(self, frames: Tensor) -> Tensor:
        """Map frames `(B, T, n_fft)` to power in bands `(B, T, F)`."""
        spectrum = torch.view_as_real(torch.fft.rfft(frames * self.window)).flatten(2)  # (B, T, n_fft + 2)
        return spectrum.square() @ self.filters

    def macs(self, samples: int) -> int:
        """Multiply-adds for one clip: window, transform, squares and the full matrix of the filters (see `MelPower`)."""
        n = self.n_fft
        bands = self.filters.shape[1]
        transform = round(4 * (n / 2) * math.log2(n))
        return self.frames(samples) * (n + transform + (n + 2) + bands * (n // 2 + 1))


def transform_points(n_fft: int) -> int:
    """Return `n_fft`.

    Raises:
        ModelError: it is odd or less than 2.
    """
    if n_fft < 2 or n_fft % 2:
        raise ModelError(f"n_fft must be even and ≥ 2, got {n_fft}")
    return n_fft
