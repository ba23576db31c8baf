"""Power in the bands of any filterbank: the common part of the log-mel spectrogram and of the cepstral coefficients.

On a CPU without gradients a batch is taken clip by clip and in pieces of frames that stay in the cache: window, real
Fourier transform, squares, filters and what follows them frame by frame (logarithm, cosine transform) before the next
piece is touched. Elsewhere the same mathematics is done in bulk, where it is differentiable and can be exported.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.base import ModelError

PIECE = 128
"""Frames of a piece on one thread: 1,024 points and their spectrum are 1 MB, about the second-level cache."""
GROUP = 16
"""Bands of one matrix product: fewer waste the product's width, more take in points that are zero in most of them."""

Tail = Callable[[Tensor], Tensor]
"""What follows the filters, frame by frame: `(..., F)` to `(..., F')`."""


class FilterbankPower(nn.Module):
    """Waveform `(B, S)` to power in bands `(B, F, T)`, or to what a tail makes of it `(B, F', T)`.

    Subclasses say how many frames a clip has and how its ends are filled.

    Args:
        window: the window `(W,)`, which is centred in the transform.
        filters: weights of the power at every point of the transform `(F, n_fft / 2 + 1)`.
        n_fft: points of the Fourier transform.
        hop: samples between frames.
        preemphasis: share of the sample before that is taken off each sample; 0 for none.

    Raises:
        ModelError: the window is longer than the transform.
    """

    window: Tensor
    filters: Tensor

    def __init__(self, window: Tensor, filters: Tensor, n_fft: int, hop: int, preemphasis: float = 0) -> None:
        super().__init__()
        if not 0 < len(window) <= n_fft:
            raise ModelError(f"the window ({len(window)} samples) must fit into the transform ({n_fft} points)")
        self.n_fft = n_fft
        self.hop = hop
        self.preemphasis = preemphasis
        self.register_buffer("window", window, persistent=False)
        self.register_buffer("filters", filters.contiguous(), persistent=False)
        self.groups = [
            (first, min(first + GROUP, len(filters)), *_points(filters[first : first + GROUP]))
            for first in range(0, len(filters), GROUP)
        ]  # (first band, end of bands, first point, end of points)

    def frames(self, samples: int) -> int:
        """Return T for a clip of `samples` samples."""
        raise NotImplementedError

    def fill(self, waveform: Tensor) -> Tensor:
        """Map `(B, S)` to the samples of all frames `(B, (T - 1) · hop + n_fft)`."""
        raise NotImplementedError

    def forward(self, waveform: Tensor, tail: Tail | None = None) -> Tensor:
        """Map `(B, S)` to `(B, F, T)`, or to `(B, F', T)` with a tail."""
        # Half precision would overflow where a clip is loud and lose it where it is quiet.
        with full_precision(waveform.device.type):
            waveform = waveform.to(self.window)
            return self._in_bulk(waveform, tail) if _in_bulk(waveform) else self._in_pieces(waveform, tail)

    def emphasise(self, waveform: Tensor) -> Tensor:
        """Take off each sample of `(B, S)` its share of the one before."""
        if not self.preemphasis:
            return waveform
        rest = waveform[:, 1:] - self.preemphasis * waveform[:, :-1]
        return torch.cat([waveform[:, :1], rest], 1)

    def _in_bulk(self, waveform: Tensor, tail: Tail | None) -> Tensor:
        spectrum = torch.stft(
            self.fill(self.emphasise(waveform)),
            self.n_fft,
            self.hop,
            len(self.window),
            self.window,
            center=False,
            return_complex=True,
        ).transpose(1, 2)  # (B, T, n_fft / 2 + 1)
        power = (spectrum.real.square() + spectrum.imag.square()) @ self.filters.T  # (B, T, F)
        return (tail(power) if tail else power).transpose(1, 2).contiguous()

    def _in_pieces(self, waveform: Tensor, tail: Tail | None) -> Tensor:
        bands, points = self.filters.shape
        piece = PIECE * torch.get_num_threads()
        frames = self.frames(waveform.shape[1])
        before = (self.n_fft - len(self.window)) // 2
        window = F.pad(self.window, (before, self.n_fft - len(self.window) - before))
        # A real and an imaginary part have the same weight, so their squares need not be added first.
        weights = [
            self.filters[first:end, low:high].repeat_interleave(2, 1).T.contiguous()
            for first, end, low, high in self.groups
        ]
        windowed = waveform.new_empty(min(piece, frames), self.n_fft)
        spectrum = torch.empty(len(windowed), points, dtype=self.window.dtype.to_complex())
        power = waveform.new_empty(len(windowed), bands)
        result: Tensor | None = None
        for clip in range(len(waveform)):
            framed = self.fill(self.emphasise(waveform[clip : clip + 1]))[0].unfold(0, self.n_fft, self.hop)
            for start in range(0, frames, piece):
                n = min(piece, frames - start)
                torch.mul(framed[start : start + n], window, out=windowed[:n])
                torch.fft.rfft(windowed[:n], out=spectrum[:n])
                squares = torch.view_as_real(spectrum[:n]).view(n, 2 * points)
                squares.mul_(squares)
                for (first, end, low, high), weight in zip(self.groups, weights, strict=True):
                    torch.mm(squares[:, 2 * low : 2 * high], weight, out=power[:n, first:end])
                rows = tail(power[:n]) if tail else power[:n]
                if result is None:
                    result = rows.new_empty(len(waveform), rows.shape[1], frames)
                result[clip, :, start : start + n] = rows.T
        return waveform.new_empty(0, bands, frames) if result is None else result

    def macs(self, samples: int) -> int:
        """Return the multiply-adds for one clip.

        A frame takes N for the window, N/2 log2 N complex products (four multiply-adds each) for the transform, two a
        point for the power, and the full matrix of the filters.
        """
        n = self.n_fft
        bands, bins = self.filters.shape
        transform = 4 * (n // 2) * (n.bit_length() - 1)
        return self.frames(samples) * (len(self.window) + transform + 2 * bins + bands * bins)


def _points(filters: Tensor) -> tuple[int, int]:
    """Return the first point that has weight in any of the filters, and the one after the last."""
    used = filters.amax(0).nonzero()
    return int(used[0]), int(used[-1]) + 1


def _in_bulk(waveform: Tensor) -> bool:
    """Whether buffers that are written over are out of the question, or of no use."""
    return (
        waveform.device.type != "cpu"
        or (torch.is_grad_enabled() and waveform.requires_grad)
        or torch.compiler.is_compiling()
        or torch.jit.is_tracing()
    )


def full_precision(device: str) -> AbstractContextManager[object]:
    """Leave mixed precision for a while: half precision overflows on loud clips and loses quiet ones."""
    return torch.autocast(device, enabled=False) if torch.amp.is_autocast_available(device) else nullcontext()


def next_power_of_two(samples: float) -> int:
    """Return the smallest power of two that is not less than `samples`."""
    n = 1
    while n < samples:
        n *= 2
    return n
