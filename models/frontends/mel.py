"""Power in mel bands, the common part of the log-mel spectrogram and of the mel-frequency cepstral coefficients."""

import warnings
from fractions import Fraction
from typing import Literal

import torch
from torch import Tensor

from models.base import ModelError
from models.frontends._torchaudio import functional
from models.frontends.filterbank import FilterbankPower, check_range
from models.layers.portable import rounded

MAX_LONGER = 8
"""Largest factor by which a transform is lengthened."""


class MelPower(FilterbankPower):
    """Waveform `(B, S)` to power in mel bands `(B, F, T)`, T = round(frames_per_second · S / sample_rate).

    Frames are centred on multiples of the hop, `round(sample_rate / frames_per_second)`, and the clip is reflected at
    its ends (zeros where it is too short for that). Where the hop does not divide the sample rate, frames at the end
    are left out or reflected further, so that a second always has `frames_per_second` of them.

    Args:
        sample_rate: in hertz.
        bands: F.
        window: samples of the periodic Hann window.
        n_fft: points of the Fourier transform.
        frames_per_second: T of one second.
        f_min: lower edge of the first band, in hertz.
        f_max: upper edge of the last band, in hertz.
        scale: "slaney" has filters of equal area, as librosa and PANNs; "htk" has filters of equal height.
        closing_frame: whether one more frame is centred on the clip's end.
        preemphasis: share of the sample before that is taken off each sample; 0 for none.
        reflect: whether the clip is reflected at its ends; otherwise zeros go on.
        longer: whether the transform is lengthened by zeros, as often doubled as it takes, where a band would hold no
            point of it; power keeps its scale.
        whole_hops: whether frames are centred on all multiples of the hop within the clip, its ends included, as in
            librosa: T = floor(S / hop) + 1 instead.

    Raises:
        ModelError: bands outside of the spectrum, or so narrow that one holds no point of the transform; a window
            longer than the transform.
    """

    def __init__(
        self,
        sample_rate: int,
        bands: int,
        window: int,
        n_fft: int,
        frames_per_second: float,
        f_min: float,
        f_max: float,
        scale: Literal["slaney", "htk"],
        closing_frame: bool = False,
        preemphasis: float = 0,
        reflect: bool = True,
        whole_hops: bool = False,
        longer: bool = False,
    ) -> None:
        check_range(f_min, f_max, sample_rate)
        norm = "slaney" if scale == "slaney" else None

        def points(n_fft: int) -> Tensor:
            with warnings.catch_warnings(action="ignore"):  # about empty bands, which are an error here
                filters: Tensor = functional.melscale_fbanks(
                    n_fft // 2 + 1, f_min, f_max, bands, sample_rate, norm, scale
                )
            return filters

        filters, asked = points(n_fft), n_fft
        while longer and n_fft < MAX_LONGER * asked and (filters.amax(0) == 0).any():
            n_fft *= 2
            filters = points(n_fft) * (asked / n_fft)  # as many points more; a power of two, so nothing is rounded
        empty = int((filters.amax(0) == 0).sum())
        if empty:
            raise ModelError(
                f"{empty} of {bands} mel bands contain no point of a {n_fft}-point transform at {sample_rate} Hz: "
                f"use fewer bands, a larger n_fft or another sample rate"
            )
        hop = max(1, round(sample_rate / frames_per_second))
        # Rounded once: a cosine in float32 shows in the third decimal.
        hann = torch.hann_window(window, dtype=torch.float64).float()
        super().__init__(hann, filters.T, n_fft, hop, preemphasis, reflect)
        self.sample_rate = sample_rate
        self.frames_per_second = frames_per_second
        self.closing_frame = closing_frame
        self.whole_hops = whole_hops

    def frames(self, samples: int) -> int:
        """Return T for a clip of `samples` samples."""
        if self.whole_hops:
            return samples // self.hop + 1
        if isinstance(samples, torch.SymInt):  # of a clip of any length, in an export
            share = Fraction(self.frames_per_second) / Fraction(self.sample_rate)
            return rounded(samples * share.numerator, share.denominator) + self.closing_frame
        return max(1, round(self.frames_per_second * samples / self.sample_rate)) + self.closing_frame

    def drifts(self) -> bool:
        """Return whether the hop is longer than the time between frames."""
        return not self.whole_hops and self.hop * self.frames_per_second > self.sample_rate

    def before(self) -> int:
        """Return half a transform: the first frame is centred on the clip's first sample."""
        return self.n_fft // 2
