"""Power in mel bands, the common part of the log-mel spectrogram and of the cepstral coefficients."""

import warnings
from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.base import ModelError
from models.frontends._torchaudio import functional


class MelPower(nn.Module):
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

    Raises:
        ModelError: bands outside of the spectrum, or so narrow that one holds no point of the transform.
    """

    window: Tensor
    filters: Tensor

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
    ) -> None:
        super().__init__()
        if not 0 <= f_min < f_max <= sample_rate / 2:
            raise ModelError(f"need 0 ≤ f_min < f_max ≤ sample_rate / 2, got {f_min}, {f_max} at {sample_rate} Hz")
        if not 0 < window <= n_fft:
            raise ModelError(f"the window ({window} samples) must fit into the transform ({n_fft} points)")
        self.sample_rate = sample_rate
        self.n_fft = n_fft
        self.frames_per_second = frames_per_second
        self.closing_frame = closing_frame
        self.hop = max(1, round(sample_rate / frames_per_second))
        norm = "slaney" if scale == "slaney" else None
        with warnings.catch_warnings(action="ignore"):  # about empty bands, which are an error here
            filters = functional.melscale_fbanks(n_fft // 2 + 1, f_min, f_max, bands, sample_rate, norm, scale)
        empty = int((filters.amax(0) == 0).sum())
        if empty:
            raise ModelError(
                f"{empty} of {bands} mel bands hold no point of a {n_fft}-point transform at {sample_rate} Hz: "
                f"use fewer bands or a larger n_fft"
            )
        self.register_buffer("window", torch.hann_window(window), persistent=False)
        self.register_buffer("filters", filters.T.contiguous(), persistent=False)  # (F, n_fft / 2 + 1)

    def frames(self, samples: int) -> int:
        """Return T for a clip of `samples` samples."""
        return max(1, round(self.frames_per_second * samples / self.sample_rate)) + self.closing_frame

    def forward(self, waveform: Tensor) -> Tensor:
        """Map `(B, S)` to `(B, F, T)`."""
        samples = waveform.shape[1]
        before = self.n_fft // 2
        after = (self.frames(samples) - 1) * self.hop + self.n_fft - before - samples
        if after < 0:
            waveform, after = waveform[:, :after], 0
        reflects = max(before, after) < waveform.shape[1]
        waveform = F.pad(waveform, (before, after), "reflect" if reflects else "constant")
        kind = waveform.device.type
        # Half precision would overflow where a clip is loud and lose it where it is quiet.
        with torch.autocast(kind, enabled=False) if torch.amp.is_autocast_available(kind) else torch.no_grad():
            spectrum = torch.stft(
                waveform.to(self.window),
                self.n_fft,
                self.hop,
                len(self.window),
                self.window,
                center=False,
                return_complex=True,
            )  # (B, n_fft / 2 + 1, T)
            return self.filters @ (spectrum.real.square() + spectrum.imag.square())  # (B, F, T)

    def macs(self, samples: int) -> int:
        """Return the multiply-adds for one clip.

        A frame takes N for the window, N/2 log2 N complex products (four multiply-adds each) for the transform, two a
        point for the power, and the full matrix of the filters.
        """
        n = self.n_fft
        bands, bins = self.filters.shape
        transform = 4 * (n // 2) * (n.bit_length() - 1)
        return self.frames(samples) * (len(self.window) + transform + 2 * bins + bands * bins)


def full_precision(device: str) -> AbstractContextManager[object]:
    """Leave mixed precision for a while: half precision overflows on loud clips and loses quiet ones."""
    return torch.autocast(device, enabled=False) if torch.amp.is_autocast_available(device) else nullcontext()


def next_power_of_two(samples: float) -> int:
    """Return the smallest power of two that is not less than `samples`."""
    n = 1
    while n < samples:
        n *= 2
    return n
