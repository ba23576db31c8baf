"""Power in the bands of any filterbank: the common part of the log-mel spectrogram and of the cepstral coefficients.

On a CPU without gradients, clips are processed one by one in pieces of frames that fit the processor's cache: window,
real Fourier transform, squares, filters and a tail (logarithm, cosine transform), before the next piece. Elsewhere a
whole batch is computed at once, which is differentiable and can be exported.

A kernel (`models.kernels.spectrum_cpu`) computes the same two to four times as fast, with other rounding. It is used
where `models.base.use_kernels` has asked for it: to predict and to time predictions, never to train or to score.
"""

import math
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.weak import WeakTensorKeyDictionary

from models.base import ModelError
from models.kernels.loading import available
from models.layers.framing import Framing
from models.layers.portable import PortableBands

PIECE = 786_432
"""Points of a piece on one thread, 768 frames of 1,024: 3 MB. Smaller pieces prepare the transform too often."""
GROUP = 16
"""Bands of one matrix product: fewer waste the product's width, more include points with zero weight in most bands."""

_EXPANDED = WeakTensorKeyDictionary()
"""Weights of the filters in the layout of the product, computed at first use."""

KEPT = 2**21
"""Largest working memory, in values (8 MB), that a thread keeps: allocating it again costs an eighth of the time."""

_SCRATCH = threading.local()

KERNEL_THREADS = 2
"""Threads up to which a kernel, which has one, is faster than torch."""

Tail = Callable[[Tensor], Tensor]
"""Function applied to each frame after the filters: `(..., F)` to `(..., F')`."""


@dataclass(frozen=True, eq=False)
class Form:
    """A tail in the terms of the kernel, which computes it with each block of frames; equal forms are of equal tails.

    Attributes:
        kind: "power" leaves the power; "logarithm" and "cube root" take these of it.
        floor: least power.
        scale: factor of the logarithm.
        matrix: product with it at the end `(F', F)`; None for none.
    """

    kind: Literal["power", "logarithm", "cube root"] = "power"
    floor: float = 1e-30
    scale: float = 1.0
    matrix: Tensor | None = None

    def same(self, other: "Form") -> bool:
        """Whether both are one function."""
        numbers = (self.kind, self.floor, self.scale) == (other.kind, other.floor, other.scale)
        return numbers and self.matrix is other.matrix


@dataclass(eq=False)
class _Plan:
    """The tables with which the kernel computes a tail for one window and one filterbank.

    Attributes:
        window: of the front-end.
        form: the tail.
        tables: of the kernel; None where it cannot compute this transform.
        silence: the kernel's level of silence, and the tail's; None until they are needed.
    """

    window: Tensor
    form: Form
    tables: Any
    silence: tuple[float, float] | None = None


_PLANS = WeakTensorKeyDictionary()
"""Plans of the kernel for filters, computed at first use."""


class FilterbankPower(nn.Module, ABC):
    """Waveform `(B, S)` to power in bands `(B, F, T)`, or with a tail to its results `(B, F', T)`.

    Subclasses define the number of frames and the start of the first one.

    Args:
        window: the window `(W,)`, which is centred in the transform.
        filters: weights of the power at every point of the transform `(F, n_fft / 2 + 1)`.
        n_fft: points of the Fourier transform.
        hop: samples between frames.
        preemphasis: share of the previous sample that is subtracted from each sample; 0 for none.
        reflect: whether the clip is reflected at its ends, where it is long enough; otherwise it is padded with zeros.

    Raises:
        ModelError: the window is longer than the transform.
    """

    window: Tensor
    filters: Tensor
    kernels_allowed: bool = False
    """Whether the kernel may compute it, see `models.base.use_kernels`."""
    kernels_used: bool = False
    """Whether a kernel has."""

    def __init__(
        self, window: Tensor, filters: Tensor, n_fft: int, hop: int, preemphasis: float = 0, reflect: bool = True
    ) -> None:
        super().__init__()
        if not 0 < len(window) <= n_fft:
            raise ModelError(f"the window ({len(window)} samples) must fit into the transform ({n_fft} points)")
        self.n_fft = n_fft
        self.hop = hop
        self.preemphasis = preemphasis
        self.reflect = reflect
        self.register_buffer("window", window, persistent=False)
        self.register_buffer("filters", filters.contiguous(), persistent=False)
        self.groups = [
            (first, min(first + GROUP, len(filters)), *_points(filters[first : first + GROUP]))
            for first in range(0, len(filters), GROUP)
        ]  # (first band, end of bands, first point, end of points)

    @abstractmethod
    def frames(self, samples: int) -> int:
        """Return T for a clip of `samples` samples."""

    @abstractmethod
    def before(self) -> int:
        """Return the number of samples between the start of the first frame and that of the clip."""

    def drifts(self) -> bool:
        """Return whether frames reach the further beyond the clip's end, the longer it is."""
        return False

    def portable(self) -> nn.Module:
        """Return the same as convolutions, for exports; a clip must be longer than what is reflected of it."""
        return PortableBands(
            self.window, self.filters, self.n_fft, self.hop, self.preemphasis, self.reflect, self.before(),
            self.frames, self.drifts(),
        )  # fmt: skip

    def framing(self) -> Framing:
        """Return where the frames lie among the samples."""
        before = self.before()
        return Framing(
            stride=Fraction(self.hop), centre=self.n_fft // 2 - before, before=before + bool(self.preemphasis),
            after=self.n_fft - before,
        )  # fmt: skip

    def forward(self, waveform: Tensor, tail: Tail | None = None, form: Form | None = None) -> Tensor:
        """Map `(B, S)` to `(B, F, T)`, or to `(B, F', T)` with a tail.

        Args:
            waveform: `(B, S)`.
            tail: applied to each frame's power.
            form: the same tail for the kernel; None where the kernel does not have it.
        """
        # In half precision, loud clips would overflow and quiet ones vanish.
        with full_precision(waveform.device.type):
            waveform = waveform.to(self.window)
            if self.kernels_allowed and (form or tail is None) and kernels_fit(waveform):
                plan = self._plan(form or Form())
                if plan.tables is not None:
                    found = self._by_kernel(waveform, plan)
                    return found if tail is None or form is None else self._with_silence(found, tail, plan)
            return self._in_bulk(waveform, tail) if _in_bulk(waveform) else self._in_pieces(waveform, tail)

    def _ends(self, samples: int) -> tuple[int, int, int]:
        """Return the number of samples of all frames, and the numbers of these before and after the clip."""
        length = (self.frames(samples) - 1) * self.hop + self.n_fft
        before = self.before()
        return length, before, max(0, length - before - samples)

    def _reflects(self, samples: int) -> bool:
        """Return whether the ends are reflected; a clip that is too short for it is padded with zeros."""
        length, before, after = self._ends(samples)
        return self.reflect and max(before, after) < length - before - after

    def _filled(self, waveform: Tensor) -> Tensor:
        """Map `(B, S)` to the samples of all frames, with emphasis `(B, L)`."""
        samples = waveform.shape[1]
        length, before, after = self._ends(samples)
        if self.preemphasis:
            rest = waveform[:, 1:] - self.preemphasis * waveform[:, :-1]
            waveform = torch.cat([waveform[:, :1], rest], 1)
        mode = "reflect" if self._reflects(samples) else "constant"
        return F.pad(waveform[:, : length - before - after], (before, after), mode)

    def _fill(self, clip: Tensor, out: Tensor) -> None:
        """Write the samples of all frames of one clip `(S,)`, with emphasis, to `out (L,)`."""
        samples = len(clip)
        length, before, after = self._ends(samples)
        end = length - after
        clip = clip[: end - before]
        inner = out[before:end]
        if self.preemphasis:
            inner[:1] = clip[:1]
            torch.sub(clip[1:], clip[:-1], alpha=self.preemphasis, out=inner[1:])
        else:
            inner.copy_(clip)
        if self._reflects(samples):
            out[:before] = inner[1 : before + 1].flip(0)
            out[end:] = inner[len(inner) - 1 - after : len(inner) - 1].flip(0)
        else:
            out[:before] = 0
            out[end:] = 0

    def _in_bulk(self, waveform: Tensor, tail: Tail | None) -> Tensor:
        spectrum = torch.stft(
            self._filled(waveform),
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
        frames = self.frames(waveform.shape[1])
        pieces = -(-frames // max(1, PIECE // self.n_fft * torch.get_num_threads()))
        piece = -(-frames // pieces)  # all of one size, except the last one
        before = (self.n_fft - len(self.window)) // 2
        weights: list[Tensor] | None = _EXPANDED.get(self.filters)  # type: ignore[no-untyped-call]
        if weights is None or weights[0].dtype != self.filters.dtype:  # a conversion changes the tensor in place
            weights = _EXPANDED[self.filters] = self._expanded()
        filled, padded = scratch((self._ends(waveform.shape[1])[0],), (piece, self.n_fft))
        framed = filled[before:].unfold(0, len(self.window), self.hop)[:frames]
        windowed = padded[:, before : before + len(self.window)]
        if len(self.window) < self.n_fft:
            padded[:, :before] = 0
            padded[:, before + len(self.window) :] = 0
        power = waveform.new_empty(len(waveform), frames, bands)
        rows = []
        for clip, clip_power in zip(waveform, power, strict=True):
            self._fill(clip, filled)
            for frame, out in zip(torch.split(framed, piece), torch.split(clip_power, piece), strict=True):
                n = len(frame)
                torch.mul(frame, self.window, out=windowed[:n])
                spectrum = torch.fft.rfft(padded[:n])  # with `out` it would be copied there
                squares = torch.view_as_real(spectrum).view(n, 2 * points)
                squares.mul_(squares)
                for (first, end, low, high), weight in zip(self.groups, weights, strict=True):
                    torch.mm(squares[:, 2 * low : 2 * high], weight, out=out[:, first:end])
                if tail:
                    rows.append(tail(out))
        done = torch.cat(rows).view(len(waveform), frames, -1) if tail else power
        return done.transpose(1, 2).contiguous()

    def _plan(self, form: Form) -> _Plan:
        known = _PLANS.get(self.filters)  # type: ignore[no-untyped-call]
        if known is None or known[0].dtype != self.filters.dtype:  # as for `_EXPANDED`
            known = _PLANS[self.filters] = (self.filters.new_empty(0), [])
        plans: list[_Plan] = known[1]
        for plan in plans:
            if plan.window is self.window and plan.form.same(form):
                return plan
        tables = available("spectrum_cpu").plan(
            self.window.numpy(), self.n_fft, self.hop, self.filters.numpy(), form.kind, form.floor, form.scale,
            None if form.matrix is None else form.matrix.numpy(),
        )  # fmt: skip
        plan = _Plan(self.window, form, tables)
        plans.append(plan)
        return plan

    def _by_kernel(self, waveform: Tensor, plan: _Plan) -> Tensor:
        self.kernels_used = True
        samples = waveform.shape[1]
        found = available("spectrum_cpu").bands_of(
            waveform.detach().contiguous().numpy(), *plan.tables, self.frames(samples), self._ends(samples),
            self._reflects(samples), self.preemphasis,
        )  # fmt: skip
        return torch.from_numpy(found)

    def _with_silence(self, found: Tensor, tail: Tail, plan: _Plan) -> Tensor:
        """Return the kernel's levels with those of silence as the tail has them.

        Models may take frames of exactly this level for padding, and the kernel's logarithm rounds otherwise.
        """
        if plan.form.kind != "logarithm" or plan.form.matrix is not None:
            return found
        if plan.silence is None:
            silence = self.window.new_zeros(1, self.n_fft)
            plan.silence = self._by_kernel(silence, plan).min().item(), tail(silence[:, :1]).item()
        lowest, level = plan.silence
        loud = found.amin() > lowest  # a NaN is not, and the rest of the batch may be silent
        return found if loud else found.masked_fill_(found <= lowest, level)

    def dft_macs(self, samples: int) -> int:
        """Return the multiply-adds of the transform of one clip, computed as convolutions with cosines and sines."""
        return self.frames(samples) * 2 * (self.n_fft // 2 + 1) * self.n_fft

    def _expanded(self) -> list[Tensor]:
        """Return each group's weights `(2 points, bands)`.

        Real and imaginary parts have the same weight, so their squares are not added first.
        """
        return [
            self.filters[first:end, low:high].T[:, None].expand(-1, 2, -1).reshape(-1, end - first)
            for first, end, low, high in self.groups
        ]

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


def scratch(*shapes: tuple[int, ...]) -> tuple[Tensor, ...]:
    """Return uninitialised float32 tensors of these shapes, valid until this thread's next call."""
    sizes = [-(-math.prod(shape) // 16) * 16 for shape in shapes]  # each on a cache line
    buffer: Tensor | None = getattr(_SCRATCH, "buffer", None)
    if buffer is None or len(buffer) < sum(sizes):
        with torch.inference_mode(False):  # else it could not be written to outside of that mode
            buffer = torch.empty(sum(sizes), dtype=torch.float32)  # whatever the default is
        if len(buffer) <= KEPT:
            _SCRATCH.buffer = buffer
    parts = torch.split(buffer[: sum(sizes)], sizes)
    return tuple(part[: math.prod(shape)].view(shape) for part, shape in zip(parts, shapes, strict=True))


def _in_bulk(waveform: Tensor) -> bool:
    """Whether buffers that are written over are out of the question, or of no use."""
    return (
        waveform.device.type != "cpu"
        or waveform.dtype != torch.float32
        or (torch.is_grad_enabled() and waveform.requires_grad)
        or torch.compiler.is_compiling()
        or torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]
    )


def kernels_fit(waveform: Tensor) -> bool:
    """Return whether kernels for a CPU take a batch `(B, S)` or `(B, T)`, and are installed."""
    return (
        type(waveform) is Tensor
        and not _in_bulk(waveform)
        and waveform.numel() > 0
        and torch.get_num_threads() <= KERNEL_THREADS
        and not torch._C._functorch.is_functorch_wrapped_tensor(waveform)  # inside torch.func.grad
        and torch.utils._python_dispatch._get_current_dispatch_mode() is None  # fake tensors, for one
        and available("spectrum_cpu") is not None
    )


def check_range(f_min: float, f_max: float, sample_rate: int) -> None:
    """Raise `ModelError` for bands outside of the spectrum; all in hertz."""
    if not 0 <= f_min < f_max <= sample_rate / 2:
        raise ModelError(f"need 0 ≤ f_min < f_max ≤ sample_rate / 2, got {f_min}, {f_max} at {sample_rate} Hz")


def full_precision(device: str) -> AbstractContextManager[object]:
    """Leave mixed precision for a while: half precision overflows on loud clips and loses quiet ones."""
    mixed = torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)
    return torch.autocast(device, enabled=False) if mixed else nullcontext()


def band_centres(filters: Tensor, sample_rate: int) -> Tensor:
    """Return the mean frequency of each filter `(F, n_fft / 2 + 1)` in hertz, `(F,)` float64."""
    filters = filters.detach().double()
    points = torch.linspace(0, sample_rate / 2, filters.shape[1], dtype=torch.float64, device=filters.device)
    return filters @ points / filters.sum(1)


def next_power_of_two(samples: float) -> int:
    """Return the smallest power of two that is not less than `samples`."""
    n = 1
    while n < samples:
        n *= 2
    return n
