"""Tempogram: how alike the onsets of a clip are to themselves a while later (Grosche et al. 2010, `librosa.tempogram`).

The onset strength of a frame is the mean rise in dB over 128 mel bands since the frame before (spectral flux); decibels
end 80 dB below the clip's own greatest, never another's. Windows of 384 frames about each frame are weighted by a Hann
window and correlated with themselves by way of their power spectrum, each divided by its greatest, that of lag 0.
"""

import math
import warnings
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from models.base import Frontend, ModelError
from models.frontends._torchaudio import functional
from models.frontends.centred import CentredPower, transform_points
from models.frontends.filterbank import Form, full_precision, kernels_fit
from models.kernels.loading import available

FLOOR = 1e-10
"""Power below which a band counts as silent: -100 dB."""

RANGE = 80.0
"""Decibels below the clip's greatest at which a band counts as silent."""

CHUNK = 64
"""Windows at a time on a CPU: with their spectra they stay in the second-level cache."""

DECIBELS = Form("logarithm", FLOOR, 10 / math.log(10))
"""`to_decibels` for the kernel."""

_TABLES = WeakTensorKeyDictionary()
"""Tables of the kernel for weights."""

TINY = torch.finfo(torch.float32).tiny
"""Greatest correlation of a frame below which it counts as silent."""


class Tempogram(Frontend):
    """Waveform `(B, S)` to autocorrelation of onsets at each lag `(B, F, T)`, lag 0 being 1, T = 1 + floor(S / hop).

    Frames without an onset in their window are 0.

    Args:
        sample_rate: of the waveform, in hertz.
        lags: F, and frames of the window.
        bands: mel bands whose rise is an onset.
        n_fft: points of the Fourier transform, and samples of its window.
        hop: samples from frame to frame.

    Raises:
        ModelError: fewer than two lags, no band, or `n_fft` no power of two.
    """

    weights: Tensor
    kernels_allowed: bool = False
    """Whether kernels may compute it, see `models.base.use_kernels`."""
    kernels_used: bool = False
    """Whether a kernel has."""

    def __init__(self, sample_rate: int, lags: int = 384, bands: int = 128, n_fft: int = 2048, hop: int = 512) -> None:
        super().__init__()
        if lags < 2 or bands < 1:
            raise ModelError(f"need lags ≥ 2 and bands ≥ 1, got {lags}, {bands}")
        points = transform_points(n_fft) // 2 + 1
        with warnings.catch_warnings(action="ignore"):  # about empty bands, which never rise; librosa has them, too
            mel = functional.melscale_fbanks(points, 0.0, sample_rate / 2, bands, sample_rate, "slaney", "slaney")
        self.power = CentredPower(mel.T, hop)
        self.frame_rate = sample_rate / hop
        self.lags = lags
        self.late = 1 + n_fft // (2 * hop)  # frames: a rise is heard once its window is half in
        self.points = _fast_points(2 * lags - 1)
        self.register_buffer("weights", torch.hann_window(lags), persistent=False)

    def forward(self, waveform: Tensor) -> Tensor:
        """Map `(B, S)` to `(B, F, T)`."""
        with full_precision(waveform.device.type):
            strength = self.onset_strength(waveform)  # (B, T)
            if self.kernels_allowed and kernels_fit(strength) and (tables := self._tables()):
                self.kernels_used = True
                found = available("correlation_cpu").correlations(self._padded(strength).detach().numpy(), tables)
                return torch.from_numpy(found)
            onsets = self._framed(strength)  # (B, T, F)
            if waveform.device.type != "cpu":
                return self._correlated(onsets)
            count = max(1, CHUNK // max(1, len(waveform)))
            return torch.cat([self._correlated(chunk) for chunk in torch.split(onsets, count, 1)], 2)

    def onset_strength(self, waveform: Tensor) -> Tensor:
        """Map `(B, S)` to the mean rise of the mel bands since the last frame `(B, T)`, in dB."""
        decibels: Tensor = self.power(waveform, to_decibels, DECIBELS)  # (B, bands, T)
        decibels = decibels.maximum(decibels.amax((1, 2), keepdim=True) - RANGE)
        rise = decibels.diff(dim=2).relu().mean(1)
        return F.pad(rise, (self.late, 0))[:, : decibels.shape[2]]

    def _framed(self, onsets: Tensor) -> Tensor:
        """Map `(B, T)` to windows about each frame `(B, T, F)`; beyond the ends, onsets decrease linearly to 0."""
        return self._padded(onsets).unfold(1, self.lags, 1)

    def _padded(self, onsets: Tensor) -> Tensor:
        """Map `(B, T)` to the values of all windows `(B, T + F - 1)`."""
        half = self.lags // 2
        ramp = torch.arange(half, dtype=onsets.dtype, device=onsets.device) / half
        padded = torch.cat([onsets[:, :1] * ramp, onsets, onsets[:, -1:] * ramp.flip(0)], 1)
        return padded[:, : onsets.shape[1] + self.lags - 1]

    def _tables(self) -> Any:
        """Return the tables of the kernel, computed at first use; None where it does not take this many lags."""
        known = _TABLES.get(self.weights)  # type: ignore[no-untyped-call]
        if known is None:
            known = available("correlation_cpu").plan(self.weights.numpy(), self.points), self.weights.dtype
            _TABLES[self.weights] = known
        return known[0]

    def _correlated(self, windows: Tensor) -> Tensor:
        """Map windows `(B, T, F)` to their normalised autocorrelation `(B, F, T)`."""
        spectrum = torch.fft.rfft(windows * self.weights, self.points)
        power = spectrum.real.square() + spectrum.imag.square()
        correlation = torch.fft.irfft(power, self.points)[..., : self.lags]
        greatest = correlation.abs().amax(2, keepdim=True)
        normalised: Tensor = correlation / greatest.masked_fill(greatest < TINY, 1)
        return normalised.transpose(1, 2)

    def macs(self, samples: int) -> int:
        """Return the multiply-adds for one clip: mel power, and a window, two transforms and squares for each frame."""
        n = self.points
        transform = round(4 * (n / 2) * math.log2(n))
        return self.power.macs(samples) + self.power.frames(samples) * (self.lags + 2 * transform + n + 2)


def to_decibels(power: Tensor) -> Tensor:
    """Map power to dB, silence to -100."""
    return 10 * power.clamp(min=FLOOR).log10()


def _fast_points(least: int) -> int:
    """Return the smallest even number ≥ this one without a prime factor above 5, for a fast transform."""
    n = least + least % 2
    while True:
        rest = n
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return n
        n += 2
