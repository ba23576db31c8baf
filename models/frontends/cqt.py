"""Constant-Q transform: one bin per note, each with a window of the same number of periods (Brown 1991).

The filters are librosa's (`librosa.filters.wavelet`, Hann window, L1 norm, times the root of their length), and bin k
of frame t is |Σ_q g_k[q] x[hop · t + q]| at the clip's own sample rate. librosa computes the sum octave by octave from
a clip that it repeatedly downsamples, and drops the weakest hundredth of each filter. This code does neither and is
closer to the definition. Tuning is not estimated: `f_min` is exact.

The sum is computed in the frequency domain. A block of N = hop · M samples has a spectrum of N points. There a filter
is a product, and only every hop-th value of the product's inverse transform is needed. That is the inverse transform of
M points of the product folded modulo M: point m of it is Σ_r X[rM + m] G_k[rM + m], M small matrix products. Each
octave uses only those r in which its filters are not zero. Blocks overlap by the longest filter.
"""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from models.base import Frontend, ModelError
from models.frontends.filterbank import full_precision, kernels_fit, scratch
from models.kernels.loading import available

C1 = 440 * 2 ** (-45 / 12)
"""Lowest note, 32.70 Hz: 45 semitones below the concert pitch."""

FLOOR = 1e-10
"""A bin with less power is silent: -100 dB."""

LEFT_OUT = 1e-6
"""Largest share of a filter's energy in points that are not computed: -60 dB."""

_ANSWERS = WeakTensorKeyDictionary()
"""Filters for the kernel, by those of the first octave."""

HANN_BANDWIDTH = 1.50018310546875
"""Equivalent noise bandwidth of the Hann window in points, as in librosa: it has to lie below half the rate."""


class CQT(Frontend):
    """Waveform `(B, S)` to magnitudes of notes `(B, F, T)`, T = 1 + floor(S / hop).

    Frames are centred on multiples of the hop; the clip has zeros around it.

    Args:
        sample_rate: of the waveform, in hertz.
        bins: F; by default 84, seven octaves, or as many as lie below half the sample rate (83 at 8 kHz).
        bins_per_octave: bins in a doubling of frequency.
        f_min: frequency of the first bin, in hertz.
        hop: samples from frame to frame.
        decibels: whether 20 log10(magnitude), at least -100 dB, is returned instead of the magnitude.

    Raises:
        ModelError: there is no bin, or a bin's band exceeds half the sample rate.
    """

    kernels_allowed: bool = False
    """Whether a kernel may compute it, see `models.base.use_kernels`."""
    kernels_used: bool = False
    """Whether a kernel has."""

    def __init__(
        self,
        sample_rate: int,
        bins: int | None = None,
        bins_per_octave: int = 12,
        f_min: float = C1,
        hop: int = 512,
        decibels: bool = True,
    ) -> None:
        super().__init__()
        if min(bins_per_octave, hop) < 1 or f_min <= 0:
            raise ModelError(f"need bins_per_octave ≥ 1, hop ≥ 1, f_min > 0, got {bins_per_octave}, {hop}, {f_min}")
        step = 2 ** (2 / bins_per_octave)
        quality = (step + 1) / (step - 1)  # centre frequency / bandwidth
        top = sample_rate / 2 / (1 + HANN_BANDWIDTH / 2 / quality)  # of the last bin
        room = 1 + math.floor(bins_per_octave * math.log2(top / f_min)) if f_min <= top else 0
        bins = min(84, room) if bins is None else bins
        if not 1 <= bins <= room:
            raise ModelError(
                f"at {sample_rate} Hz there is room for {room} bins from {f_min:.4g} Hz, {bins_per_octave} an octave, "
                f"not for {bins}: use 1 to {room} bins, a lower f_min or a higher sample rate"
            )
        self.frame_rate = sample_rate / hop
        self.hop = hop
        self.decibels = decibels
        frequencies = [f_min * 2 ** (k / bins_per_octave) for k in range(bins)]
        longest = quality * sample_rate / f_min  # samples
        self.lead = math.ceil((longest / 2 + 1) / hop)  # frames that a filter extends to either side
        self.points = _round_points(8 * self.lead)
        rows: list[int] = []
        self.last = 0
        self.groups = 0
        for start in range(0, bins, bins_per_octave):
            octave = frequencies[start : start + bins_per_octave]
            first, answers = _answers(octave, sample_rate, quality, hop, self.points)
            rows.append(first)
            self.register_buffer(f"answers{self.groups}", torch.view_as_real(answers), persistent=False)
            self.groups += 1
            self.last = max(self.last, first + answers.shape[1])
        self.rows = tuple(rows)

    def forward(self, waveform: Tensor) -> Tensor:
        """Map `(B, S)` to `(B, F, T)`."""
        with full_precision(waveform.device.type):
            frames = 1 + waveform.shape[1] // self.hop
            whole = self.points - 2 * self.lead  # frames of a block whose filters lie inside it
            blocks = -(-frames // whole)
            length = ((blocks - 1) * whole + self.points) * self.hop
            before = self.lead * self.hop
            own: Tensor = self.get_buffer("answers0")
            if self.kernels_allowed and kernels_fit(waveform.to(own)) and (answers := self._answers()):
                return self._by_kernel(waveform.to(own), answers, frames, whole)
            padded = F.pad(waveform.to(own), (before, length - before - waveform.shape[1]))
            block = padded.unfold(1, self.points * self.hop, whole * self.hop)  # (B, blocks, N)
            spectrum = torch.fft.rfft(block.flatten(0, 1))[:, :-1]  # (B blocks, N / 2)
            rows = spectrum.unflatten(1, (-1, self.points)).permute(2, 0, 1)  # (M, B blocks, N / 2M)
            rows = rows[..., : self.last].contiguous()
            folded = torch.cat([self._octave(rows, index) for index in range(self.groups)], 2)
            values = torch.fft.ifft(folded.permute(1, 2, 0))[..., self.lead : self.lead + whole]
            values = values.unflatten(0, (-1, blocks)).transpose(1, 2).flatten(2)[..., :frames]  # (B, F, T)
            if not self.decibels:
                return torch.abs(values)
            power = torch.view_as_real(values).square().sum(3)
            decibels: Tensor = 10 * power.clamp(min=FLOOR).log10()
            return decibels

    def _octave(self, rows: Tensor, index: int) -> Tensor:
        """Map the blocks' spectrum `(M, B, rows)` to an octave's folded products `(M, B, bins)`."""
        answers = torch.view_as_complex(self.get_buffer(f"answers{index}"))  # (M, R, bins)
        first = self.rows[index]
        return rows[..., first : first + answers.shape[1]] @ answers

    def _answers(self) -> Any:
        """Return the filters for the kernel, computed at first use; None where it does not take this transform."""
        key = self.get_buffer("answers0")
        known = _ANSWERS.get(key)  # type: ignore[no-untyped-call]
        if known is None:
            octaves = [
                (first, torch.view_as_complex(self.get_buffer(f"answers{index}")).numpy())
                for index, first in enumerate(self.rows)
            ]
            known = _ANSWERS[key] = (available("cqt_cpu").plan(octaves, self.hop, self.points, LEFT_OUT / 1000),)
        return known[0]

    def _by_kernel(self, waveform: Tensor, answers: Any, frames: int, whole: int) -> Tensor:
        """Map `(B, S)` to `(B, F, T)`, block by block."""
        self.kernels_used = True
        samples, before = waveform.shape[1], self.lead * self.hop
        (whole_block,) = scratch((self.points * self.hop,))
        levels = waveform.new_empty(len(waveform), answers.bins, frames)
        scale = 10 / math.log(10) if self.decibels else 0.0
        notes, block = available("cqt_cpu").notes, whole_block.numpy()
        for clip, out in zip(waveform.detach().numpy(), levels.numpy(), strict=True):
            for first in range(0, frames, whole):
                start = first * self.hop - before
                low, high = max(0, -start), min(len(block), samples - start)
                block[:low] = 0
                block[low:high] = clip[start + low : start + high]
                block[high:] = 0
                own = range(first, min(first + whole, frames))
                notes(block, answers, self.lead, FLOOR, scale, out, own)
        return levels if self.decibels else levels.sqrt_()

    def macs(self, samples: int) -> int:
        """Return the multiply-adds for one clip of `samples` samples, four for a complex product."""
        frames = 1 + samples // self.hop
        blocks = -(-frames // (self.points - 2 * self.lead))
        n = self.points * self.hop
        answers = [self.get_buffer(f"answers{index}") for index in range(self.groups)]
        bins = sum(part.shape[2] for part in answers)
        forwards = 4 * round(n / 2 * math.log2(n))
        backwards = 4 * round(bins * self.points / 2 * math.log2(self.points))
        products = 4 * sum(part.numel() // 2 for part in answers)
        return blocks * (forwards + products + backwards) + 2 * bins * frames


def _round_points(least: int) -> int:
    """Return the smallest number of the form 5 · 2^n that is at least as large.

    MKL's real transforms of 5 · 2^14 points take half as long per point as those of 2^16 or 3 · 2^15 points.
    """
    n = 10
    while n < least:
        n *= 2
    return n


def _answers(frequencies: list[float], sample_rate: int, quality: float, hop: int, points: int) -> tuple[int, Tensor]:
    """Return the first row of `points` points where filters are not zero, and their values `(points, rows, bins)`.

    Values are complex64, times 1 / hop, because the inverse transform divides by its own points, not by the block's.
    """
    n = hop * points
    answers = []
    for frequency in frequencies:
        length = quality * sample_rate / frequency  # not an integer; these are librosa's samples
        q = torch.arange(math.floor(-length / 2), math.floor(length / 2), dtype=torch.float64)
        window = torch.hann_window(len(q), dtype=torch.float64)
        g = torch.polar(window / window.sum() * math.sqrt(length), 2 * math.pi * frequency / sample_rate * q)
        filtered = torch.zeros(n, dtype=torch.complex128)
        filtered[q.long() % n] = g
        answers.append(torch.fft.fft(filtered)[: n // 2])
    stacked = torch.stack(answers)  # (bins, N / 2)
    energy = stacked.abs().square().view(len(stacked), -1, points).sum(2)  # (bins, rows)
    share = energy / energy.sum(1, keepdim=True)
    inside = (share.cumsum(1) > LEFT_OUT / 2) & (share.flip(1).cumsum(1).flip(1) > LEFT_OUT / 2)
    rows = inside.any(0).nonzero()[:, 0]
    first, last = int(rows[0]), int(rows[-1]) + 1
    kept = stacked.view(len(stacked), -1, points)[:, first:last].permute(2, 1, 0) / hop
    return first, kept.to(torch.complex64).contiguous()
