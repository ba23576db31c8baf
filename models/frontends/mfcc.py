"""Mel-frequency cepstral coefficients as SwishNet takes them (Hussain & Haque 2018, https://arxiv.org/abs/1812.00149).

The paper takes the first 20 coefficients of 32 mel bands from python_speech_features: pre-emphasis 0.97, 25 ms frames
every 10 ms, HTK mel scale over the whole spectrum, power / n_fft, natural logarithm, orthonormal DCT-II, sine lifter
22. Different here: frames are centred, weighted by a Hann window and exactly 100 a second; band edges are not rounded
to points of the transform; the first coefficient stays the cepstrum's unless `append_energy`.

`LibrosaMFCC` takes librosa's conventions instead.
"""

import math
from typing import ClassVar

import torch
from torch import Tensor

from models.base import Frontend, ModelError
from models.frontends._torchaudio import functional
from models.frontends.deltas import Deltas
from models.frontends.filterbank import Form, full_precision, next_power_of_two
from models.frontends.logmel import DECIBELS, decibels
from models.frontends.mel import MelPower
from models.layers.framing import Framing

FLOOR = 1e-7
"""Least power of a band (-70 dB): digital silence, which ends many clips, must not outweigh what is heard."""

LIBROSA_POINTS = 2048
"""librosa's default points of the Fourier transform."""


class MFCC(Frontend):
    """Waveform `(B, S)` to cepstral coefficients `(B, F, T)`, T = round(frames_per_second · S / sample_rate).

    Args:
        sample_rate: of the waveform, in hertz.
        coefficients: F.
        bands: number of mel bands.
        window_seconds: length of a frame.
        frames_per_second: T of one second.
        preemphasis: share of the sample before that is taken off each sample; 0 for none.
        lifter: L of the weights 1 + L/2 sin(πn/L) on coefficient n; 0 for none.
        append_energy: put the logarithm of all bands' power in the place of the first coefficient.
    """

    axis: ClassVar[str] = "coefficient"
    dct: Tensor

    def __init__(
        self,
        sample_rate: int,
        coefficients: int = 20,
        bands: int = 32,
        window_seconds: float = 0.025,
        frames_per_second: float = 100,
        preemphasis: float = 0.97,
        lifter: int = 22,
        append_energy: bool = False,
    ) -> None:
        super().__init__()
        if not 1 <= coefficients <= bands:
            raise ModelError(f"{bands} mel bands have 1 to {bands} coefficients, not {coefficients}")
        self.frame_rate = frames_per_second
        self.append_energy = append_energy
        window = round(window_seconds * sample_rate)
        n_fft = next_power_of_two(window)
        self.power = MelPower(
            sample_rate, bands, window, n_fft, frames_per_second, 0, sample_rate / 2, "htk", preemphasis=preemphasis
        )
        self.power.filters /= n_fft  # a power of two, so nothing is rounded
        dct = functional.create_dct(coefficients, bands, "ortho").T  # (F, bands)
        if lifter:
            dct = dct * (1 + lifter / 2 * torch.sin(math.pi * torch.arange(coefficients) / lifter))[:, None]
        self.register_buffer("dct", dct.contiguous(), persistent=False)

    def forward(self, waveform: Tensor) -> Tensor:
        """Map `(B, S)` to `(B, F, T)`."""
        form = None if self.append_energy else Form("logarithm", FLOOR, 1.0, self.dct)
        cepstrum: Tensor = self.power(waveform, self.cepstrum, form)
        return cepstrum

    def cepstrum(self, power: Tensor) -> Tensor:
        """Map power in bands `(..., bands)` to cepstral coefficients `(..., F)`."""
        cepstrum = power.clamp(min=FLOOR).log() @ self.dct.T
        if self.append_energy:
            energy = power.sum(-1, keepdim=True).clamp(min=FLOOR).log()
            cepstrum = torch.cat([energy, cepstrum[..., 1:]], -1)
        return cepstrum

    def framing(self) -> Framing:
        """Return where the frames lie among the samples."""
        return self.power.framing()

    def macs(self, samples: int) -> int:
        """Return the multiply-adds for one clip of `samples` samples."""
        emphasis = samples if self.power.preemphasis else 0
        return emphasis + self.power.macs(samples) + self.power.frames(samples) * self.dct.numel()


class LibrosaMFCC(Frontend):
    """Waveform `(B, S)` to the coefficients of `librosa.feature.mfcc(y, sr, n_mfcc=F)`: `(B, F, T)`.

    Slaney mel scale with filters of equal area over the whole spectrum, periodic Hann window as long as the transform,
    frames centred on the multiples of the hop, zeros beyond the clip's ends (T = floor(S / hop) + 1), decibels, at most
    `range_decibels` below the clip's loudest band, orthonormal DCT-II, no lifter (librosa 0.10 and 0.11). librosa takes
    that loudest band from all clips that it is given together; here every clip has its own.

    Args:
        sample_rate: of the waveform, in hertz.
        coefficients: F.
        bands: number of mel bands.
        n_fft: points of the Fourier transform, and samples of its window; librosa's default is lengthened by zeros
            where a band would hold none of its points, which at 192 kHz librosa leaves empty.
        hop: samples between frames.
        range_decibels: how far below the clip's loudest band another may be.

    Raises:
        ModelError: more coefficients than bands, or bands so narrow that one holds no point of the transform.
    """

    axis: ClassVar[str] = "coefficient"
    dct: Tensor
    constant: Tensor

    def __init__(
        self,
        sample_rate: int,
        coefficients: int = 20,
        bands: int = 128,
        n_fft: int = LIBROSA_POINTS,
        hop: int = 512,
        range_decibels: float = 80,
    ) -> None:
        super().__init__()
        if not 1 <= coefficients <= bands:
            raise ModelError(f"{bands} mel bands have 1 to {bands} coefficients, not {coefficients}")
        self.frame_rate = sample_rate / hop
        self.range_decibels = range_decibels
        self.power = MelPower(
            sample_rate, bands, n_fft, n_fft, self.frame_rate, 0, sample_rate / 2, "slaney",
            reflect=False, whole_hops=True, longer=n_fft == LIBROSA_POINTS,
        )  # fmt: skip
        dct = functional.create_dct(coefficients, bands, "ortho").T  # (F, bands)
        self.register_buffer("dct", dct.contiguous(), persistent=False)
        constant = torch.zeros(coefficients, 1)  # coefficients of a band level of 1 everywhere
        constant[0] = math.sqrt(bands)
        self.register_buffer("constant", constant, persistent=False)

    def forward(self, waveform: Tensor) -> Tensor:
        """Map `(B, S)` to `(B, F, T)`."""
        level: Tensor = self.power(waveform, decibels, DECIBELS)  # (B, bands, T)
        with full_precision(waveform.device.type):
            loudest = level.amax((1, 2), keepdim=True)
            floor = loudest - self.range_decibels
            # From the floor up: sums of many values about -65 would lose digits, in silence all in one direction.
            return self.dct @ (level - floor).clamp(min=0) + floor * self.constant

    def macs(self, samples: int) -> int:
        """Return the multiply-adds for one clip of `samples` samples."""
        return self.power.macs(samples) + self.power.frames(samples) * self.dct.numel()


class MFCCDeltas(Deltas):
    """MFCC with slopes and slopes of slopes `(B, 3F, T)`, as the paper's frame-wise baselines take them.

    Args:
        sample_rate: of the waveform, in hertz.
        coefficients: F.
        reach: frames on either side.
    """

    def __init__(self, sample_rate: int, coefficients: int = 20, reach: int = 2) -> None:
        super().__init__(MFCC(sample_rate, coefficients), reach)
