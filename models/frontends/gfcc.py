"""Gammatone-frequency cepstral coefficients as spafe 0.3.3 takes them.

The magnitude response of fourth-order gammatone filters (Slaney 1993, "An efficient implementation of the
Patterson-Holdsworth auditory filter bank", Apple technical report 35; bandwidths of Glasberg & Moore 1990) weighs the
power spectrum; cube root, orthonormal DCT-II. Pre-emphasis 0.97, symmetric Hamming window of 25 ms every 10 ms. Frames
begin at multiples of the hop and lie wholly in the clip, as in spafe; a clip shorter than a frame goes on with zeros.
"""

import math
from typing import ClassVar

import torch
from torch import Tensor

from models.base import Frontend, ModelError
from models.frontends._torchaudio import functional
from models.frontends.filterbank import FilterbankPower, Form, check_range, next_power_of_two
from models.layers.framing import Framing

EAR_Q = 9.26449
"""Centre frequency per bandwidth, far from 0 Hz (Glasberg & Moore)."""
MIN_BANDWIDTH = 24.7
"""Bandwidth at 0 Hz, in hertz (Glasberg & Moore)."""
FLOOR = 1e-24
"""Least power of a band: the cube root of 0 has no slope. Its own cube root, 1e-8, is below what float32 resolves."""


def gammatone_filters(sample_rate: int, bands: int, n_fft: int, f_min: float, f_max: float) -> Tensor:
    """Return the magnitude of gammatone filters at the points of a transform `(bands, n_fft / 2 + 1)`, maximum 1.

    The centres lie evenly on the ERB-rate scale, the lowest on `f_min`, the highest one step below `f_max`.
    """
    corner = EAR_Q * MIN_BANDWIDTH
    step = torch.arange(bands, 0, -1, dtype=torch.float64)[:, None] / bands
    centre = (f_max + corner) * torch.exp(step * math.log((f_min + corner) / (f_max + corner))) - corner
    bandwidth = ((centre / EAR_Q) ** 4 + MIN_BANDWIDTH**4) ** 0.25  # Glasberg & Moore add them; spafe so
    decay = torch.exp(-1.019 * 2 * math.pi * bandwidth / sample_rate)
    angle = 2 * math.pi * centre / sample_rate
    # Four zeros on the real axis, and four times the same pair of poles.
    u = torch.exp(2j * math.pi * torch.arange(n_fft // 2 + 1, dtype=torch.float64) / n_fft)
    response = torch.ones(bands, len(u), dtype=torch.float64)
    for root in (math.sqrt(3 + 2**1.5), math.sqrt(3 - 2**1.5)):
        for sign in (1, -1):
            response = response * (u - decay * (angle.cos() + sign * root * angle.sin())).abs()
    pole = torch.polar(decay, angle)
    response = response / ((u - pole) * (u - pole.conj())).abs() ** 4
    return response / response.amax(1, keepdim=True)


class GammatonePower(FilterbankPower):
    """Waveform `(B, S)` to power in gammatone bands `(B, F, T)`, T = floor((S - W) / hop) + 1 for windows of W samples.

    Args:
        sample_rate: in hertz.
        bands: F.
        window: W.
        n_fft: points of the Fourier transform; the power is divided by as many.
        hop: samples between frames.
        f_min: centre of the first band, in hertz.
        f_max: in hertz, one step above the centre of the last band.
        preemphasis: share of the sample before that is taken off each sample; 0 for none.

    Raises:
        ModelError: bands outside of the spectrum, or a window longer than the transform.
    """

    def __init__(
        self,
        sample_rate: int,
        bands: int,
        window: int,
        n_fft: int,
        hop: int,
        f_min: float,
        f_max: float,
        preemphasis: float,
    ) -> None:
        check_range(f_min, f_max, sample_rate)
        filters = gammatone_filters(sample_rate, bands, n_fft, f_min, f_max) / n_fft
        hamming = torch.hamming_window(window, periodic=False, dtype=torch.float64).float()
        super().__init__(hamming, filters.float(), n_fft, hop, preemphasis, reflect=False)

    def frames(self, samples: int) -> int:
        """Return T for a clip of `samples` samples."""
        return max(0, samples - len(self.window)) // self.hop + 1

    def before(self) -> int:
        """Return by how much the transform begins before the window, which begins with the clip."""
        return (self.n_fft - len(self.window)) // 2


class GFCC(Frontend):
    """Waveform `(B, S)` to cepstral coefficients `(B, F, T)`, T = floor((S - window) / hop) + 1.

    Args:
        sample_rate: of the waveform, in hertz.
        coefficients: F.
        bands: number of gammatone bands.
        window_seconds: length of a frame; a fraction of a sample is left out.
        frames_per_second: the hop is its inverse, a fraction of a sample left out.
        f_min: centre of the first band, in hertz.
        f_max: in hertz, one step above the centre of the last band; by default half the sample rate.
        preemphasis: share of the sample before that is taken off each sample; 0 for none.

    Raises:
        ModelError: more coefficients than bands, bands outside of the spectrum.
    """

    axis: ClassVar[str] = "coefficient"
    dct: Tensor

    def __init__(
        self,
        sample_rate: int,
        coefficients: int = 13,
        bands: int = 24,
        window_seconds: float = 0.025,
        frames_per_second: float = 100,
        f_min: float = 0,
        f_max: float | None = None,
        preemphasis: float = 0.97,
    ) -> None:
        super().__init__()
        if not 1 <= coefficients <= bands:
            raise ModelError(f"{bands} gammatone bands have 1 to {bands} coefficients, not {coefficients}")
        self.frame_rate = frames_per_second
        window = int(window_seconds * sample_rate)
        hop = max(1, int(sample_rate / frames_per_second))
        n_fft = next_power_of_two(window)
        self.power = GammatonePower(
            sample_rate, bands, window, n_fft, hop, f_min, f_max or sample_rate / 2, preemphasis
        )
        dct = functional.create_dct(coefficients, bands, "ortho").T  # (F, bands)
        self.register_buffer("dct", dct.contiguous(), persistent=False)

    def forward(self, waveform: Tensor) -> Tensor:
        """Map `(B, S)` to `(B, F, T)`."""
        cepstrum: Tensor = self.power(waveform, self.cepstrum, Form("cube root", FLOOR, 1.0, self.dct))
        return cepstrum

    def cepstrum(self, power: Tensor) -> Tensor:
        """Map power in bands `(..., bands)` to cepstral coefficients `(..., F)`."""
        return (power.clamp(min=FLOOR).log() / 3).exp() @ self.dct.T  # faster than a power of 1/3

    def framing(self) -> Framing:
        """Return where the frames lie among the samples."""
        return self.power.framing()

    def macs(self, samples: int) -> int:
        """Return the multiply-adds for one clip of `samples` samples."""
        emphasis = samples if self.power.preemphasis else 0
        return emphasis + self.power.macs(samples) + self.power.frames(samples) * self.dct.numel()
