"""Portable forms: the same computation in operators that other runtimes have, at any length, exactly and fast.

A module with a method `portable()` is replaced by what that returns where a model is exported. Loops over frames become
`scan`, which is one operator and not as many copies as a clip has frames; Fourier transforms become convolutions.
"""

import copy
import math
from collections.abc import Callable
from typing import Any, Protocol, cast, runtime_checkable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch._higher_order_ops.scan import scan as _scan  # the only loop that torch.export and ONNX both have
from torch.utils._pytree import tree_map

SLOW = 2.0
"""How many times as many multiply-adds a transform may take that needs no copies of the frames."""

SPARSE = 2 / 3
"""Largest share of the multiply-adds of a filterbank with which it is computed in two parts."""


@runtime_checkable
class HasPortableForm(Protocol):
    """A module with another form for exports."""

    def portable(self) -> nn.Module:
        """Return a module that computes the same."""


def portable(module: nn.Module) -> nn.Module:
    """Return a copy of a module in eval mode, its parts in their portable forms; the module is not changed."""
    form = _replaced(copy.deepcopy(module)).eval()
    for part in form.modules():
        part._non_persistent_buffers_set.clear()  # ExecuTorch's compiler refuses them
        if isinstance(part, nn.modules.batchnorm._BatchNorm) and part.running_var is not None and part.weight is None:
            part.weight, part.bias = (nn.Parameter(f(part.running_var)) for f in (torch.ones_like, torch.zeros_like))
    return form


def least_samples(module: nn.Module) -> int:
    """Return the samples of the shortest clip for which a module in its portable form is right."""
    return max((int(getattr(part, "least_samples", 1)) for part in module.modules()), default=1)


def _replaced(module: nn.Module) -> nn.Module:
    if isinstance(module, HasPortableForm):
        return module.portable()
    if isinstance(module, (nn.LSTM, nn.GRU, nn.RNN)) and not module.proj_size:
        return Recurrent(module)
    for name, child in module.named_children():
        setattr(module, name, _replaced(child))
    return module


def scan(step: Callable[[Any, Any], tuple[Any, Tensor]], first: Any, inputs: Any) -> Tensor:
    """Run a step over frames, and return its outputs `(T, ...)`.

    Args:
        step: maps the state and one frame of the inputs to the next state and an output, without changing them.
        first: first state, a tensor or several.
        inputs: `(T, ...)`, a tensor or several.
    """
    return cast(Tensor, _scan(step, tree_map(Tensor.contiguous, first), inputs)[1])


class Recurrent(nn.Module):
    """`nn.LSTM`, `nn.GRU` or `nn.RNN` in evaluation with a loop that exports keep; torch.export fixes their length.

    Args:
        rnn: the layers, without projection.
    """

    def __init__(self, rnn: nn.RNNBase) -> None:
        super().__init__()
        self.batch_first, self.layers, self.sides = rnn.batch_first, rnn.num_layers, 1 + rnn.bidirectional
        self.units, self.bias = rnn.hidden_size, rnn.bias
        self.kind = rnn.mode
        for name, parameter in rnn.named_parameters():
            self.register_buffer(name, parameter.detach().clone())

    def forward(self, x: Tensor, first: Any = None) -> tuple[Tensor, Any]:
        """Map `(B, T, F)`, or `(T, B, F)`, to the outputs and None in the place of the last states.

        Args:
            x: as the layers take it.
            first: first states; zeros where None.
        """
        x = x.transpose(0, 1) if self.batch_first else x
        for layer in range(self.layers):
            outputs = []
            for side in range(self.sides):
                name = f"l{layer}" + "_reverse" * side
                of = layer * self.sides + side
                start = [x.new_zeros(x.shape[1], self.units) for _ in range(1 + (self.kind == "LSTM"))]
                if first is not None:
                    start = [part[of] for part in (first if self.kind == "LSTM" else (first,))]
                outputs.append(self._run(x, name, start, side == 1))
            x = torch.cat(outputs, 2)
        return x.transpose(0, 1) if self.batch_first else x, None

    def _run(self, x: Tensor, name: str, start: list[Tensor], backwards: bool) -> Tensor:
        inputs, own = self.get_buffer(f"weight_ih_{name}"), self.get_buffer(f"weight_hh_{name}")
        offsets = [self.get_buffer(f"bias_{kind}_{name}") if self.bias else None for kind in ("ih", "hh")]
        known = F.linear(x.flip(0) if backwards else x, inputs, offsets[0])  # (T, B, gates)

        def step(state: tuple[Tensor, ...], frame: Tensor) -> tuple[tuple[Tensor, ...], Tensor]:
            state = self._next(state, frame, F.linear(state[0], own, offsets[1]))
            return state, state[0].clone()

        states = scan(step, tuple(start), known)
        return states.flip(0) if backwards else states

    def _next(self, state: tuple[Tensor, ...], known: Tensor, own: Tensor) -> tuple[Tensor, ...]:
        if self.kind == "LSTM":
            enter, forget, new, leave = (known + own).chunk(4, 1)
            c = state[1] * forget.sigmoid() + enter.sigmoid() * new.tanh()
            return leave.sigmoid() * c.tanh(), c
        if self.kind == "GRU":
            (reset, keep, new), (own_reset, own_keep, own_new) = known.chunk(3, 1), own.chunk(3, 1)
            keep = (keep + own_keep).sigmoid()
            new = (new + (reset + own_reset).sigmoid() * own_new).tanh()
            return ((1 - keep) * new + keep * state[0],)
        return ((known + own).tanh() if self.kind == "RNN_TANH" else (known + own).relu(),)


class AtMost(nn.Module):
    """Averages `(B, F, T)` to `steps` frames where there are more.

    Args:
        steps: most frames.
    """

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.steps = steps

    def forward(self, x: Tensor) -> Tensor:
        """Map `(B, F, T)` to `(B, F, min(T, steps))`."""
        return F.adaptive_avg_pool1d(x, self.steps) if x.shape[-1] > self.steps else x

    def portable(self) -> nn.Module:
        """Return the averages as a product with a matrix that follows from the length."""
        return _AveragingMatrix(self.steps)


class _AveragingMatrix(nn.Module):
    """Frame i of n is the mean of the frames from floor(i T / n) to ceil((i + 1) T / n); n = T copies them."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.steps = steps

    def forward(self, x: Tensor) -> Tensor:
        frames = x.shape[-1]
        n: Any = torch.sym_min(frames, self.steps)  # type: ignore[no-untyped-call]
        index = torch.arange(n, device=x.device)
        first, end = (index * frames) // n, ((index + 1) * frames + n - 1) // n
        frame = torch.arange(frames, device=x.device)[:, None]
        share = ((frame >= first) & (frame < end)).to(x) / (end - first).to(x)  # (T, n)
        averages: Tensor = x @ share
        return averages


def rounded(numerator: Any, denominator: int) -> Any:
    """Return numerator / denominator ≥ 0 rounded half to even, as `round`, for integers whose value is open."""
    if denominator % 2:  # never half
        return (numerator + denominator // 2) // denominator
    return (numerator + denominator // 2 - 1 + numerator // denominator % 2) // denominator


class PowerSpectrum(nn.Module):
    """Power of a Fourier transform of frames, as two convolutions.

    With n = N₂ n₁ + n₂ and k = k₁ + N₁ k₂, N = N₁ N₂, the transform of N points is

        X[k] = Σ_n₂ exp(-2πi n₂ k₂ / N₂) Σ_n₁ x[n] exp(-2πi n k₁ / N)

    The inner sums, window and twiddle factors included, are a convolution of each of the N₂ signals of every N₂-th
    sample for each of the N₁ / 2 + 1 values of k₁ that a real signal needs; where N₂ divides the hop, no frame is
    copied. The outer sums are the same small matrix for all k₁ and frames, so nothing is transposed in between.
    Everything is a real product of at most some dozen values, so rounding is that of a fast transform, and a transform
    of 512 points takes a quarter of the multiply-adds of the full matrix.

    Args:
        window: `(W,)`.
        n_fft: N.
        hop: samples from frame to frame.

    Attributes:
        points: number of the point 0 to N / 2 of each output; one that an earlier output has is -1.
    """

    def __init__(self, window: Tensor, n_fft: int, hop: int) -> None:
        super().__init__()
        size = len(window)
        whole = min(_divisors(n_fft), key=lambda n: _cost(size, n_fft, n))
        shared = min(_divisors(math.gcd(n_fft, hop)), key=lambda n: _cost(size, n_fft, n))
        self.copies = _cost(size, n_fft, shared) > SLOW * _cost(size, n_fft, whole)
        self.signals = n2 = whole if self.copies else shared
        self.taps = -(-size // n2)
        self.stride = self.taps if self.copies else hop // n2
        self.hop = hop
        n1 = n_fft // n2
        kept = n1 // 2 + 1
        k1, signals = torch.arange(kept), torch.arange(n2)
        half = signals // 2
        k2 = torch.where(signals % 2 == 0, half, n2 - 1 - half)  # 0, -1, 1, -2 …: points in the order of frequency
        weights = F.pad(window.double(), (0, self.taps * n2 - size)).view(self.taps, n2)
        n = n2 * torch.arange(self.taps) + signals[:, None]  # (N2, taps)
        angle = -2 * math.pi * (n[:, None] * k1[:, None] % n_fft).double() / n_fft  # (N2, K, taps)
        inner = torch.stack([angle.cos(), angle.sin()], 1) * weights.T[:, None, None]  # (N2, 2, K, taps)
        self.register_buffer("inner", inner.reshape(-1, 1, self.taps).float())
        angle = -2 * math.pi * (k2[:, None] * signals % n2).double() / n2  # (k2, n2)
        real = torch.stack([angle.cos(), -angle.sin()], -1)  # of the output, by that of the input
        imaginary = torch.stack([angle.sin(), angle.cos()], -1)
        outer = torch.stack([real, imaginary])  # (2, k2, n2, 2)
        self.register_buffer("outer", outer.reshape(2 * n2, 2 * n2, 1).float())
        k = k1 + n1 * k2[:, None]  # (N2, K)
        points = torch.minimum(k, n_fft - k).flatten()
        first = torch.full((n_fft // 2 + 1,), len(points)).scatter_reduce(
            0, points, torch.arange(len(points)), "amin", include_self=True
        )
        self.points = torch.where(first[points] == torch.arange(len(points)), points, -1)

    def forward(self, samples: Tensor, frames: Any) -> Tensor:
        """Map `(B, L)` to the power `(B, P, T)` at each of `points`.

        Args:
            samples: L ≥ (T - 1) · hop + W, W rounded up to a multiple of N₂.
            frames: T.
        """
        if self.copies:
            index = torch.arange(frames, device=samples.device)[:, None] * self.hop
            index = index + torch.arange(self.taps * self.signals, device=samples.device)
            samples = samples[:, index.flatten()]
        length = (frames - 1) * self.stride + self.taps
        x = torch.unflatten(samples[:, : length * self.signals], 1, (length, self.signals)).transpose(1, 2)
        x = F.conv1d(x, self.get_buffer("inner"), stride=self.stride, groups=self.signals)  # (B, N2 · 2 · K, T)
        x = torch.unflatten(x, 1, (2 * self.signals, -1)).flatten(2)
        x = F.conv1d(x, self.get_buffer("outer"))  # (B, 2 · N2, K · T)
        real, imaginary = torch.unflatten(x * x, 2, (-1, frames)).flatten(1, 2).chunk(2, 1)
        return real + imaginary

    def filters(self, filters: Tensor) -> Tensor:
        """Return weights of power at each point `(F, N / 2 + 1)` as those of a convolution `(F, P, 1)`."""
        known = torch.cat([filters, filters.new_zeros(len(filters), 1)], 1)[:, self.points]  # -1 is the zeros
        return known[..., None].contiguous()


class PortableBands(nn.Module):
    """Power in the bands of a filterbank, see `models.frontends.filterbank.FilterbankPower`.

    Args:
        window: as there.
        filters: as there.
        n_fft: as there.
        hop: as there.
        preemphasis: as there.
        reflect: as there.
        before: samples of the first frame before the clip, half a transform where it is centred.
        frames: returns T for a number of samples.
        drifts: whether hops are longer than the time between frames, so that longer clips are reflected further.
    """

    def __init__(
        self,
        window: Tensor,
        filters: Tensor,
        n_fft: int,
        hop: int,
        preemphasis: float,
        reflect: bool,
        before: int,
        frames: Callable[[Any], Any],
        drifts: bool,
    ) -> None:
        super().__init__()
        self.spectrum = PowerSpectrum(window, n_fft, hop)
        weights = self.spectrum.filters(filters)
        self.parts = _parts(weights)
        for number, (first, end, low, high) in enumerate(self.parts):
            self.register_buffer(f"filters{number}", weights[first:end, low:high].contiguous())
        self.emphasised = preemphasis != 0
        if self.emphasised:
            self.register_buffer("emphasis", torch.tensor([[[-preemphasis, 1.0]]]))
        self.hop, self.reflect = hop, reflect
        self.frames, self.drifts = frames, drifts
        self.lead = before - (n_fft - len(window)) // 2
        self.size = self.spectrum.taps * self.spectrum.signals
        self.behind = self.size - self.lead + hop
        self.least_samples = max(before, n_fft - before + hop, self.behind) + 1 if reflect else 1

    def forward(self, waveform: Tensor, tail: Callable[[Tensor], Tensor] | None = None, form: object = None) -> Tensor:
        """Map `(B, S)` to power in bands `(B, F, T)`, or to what a tail makes of it; the form is for kernels."""
        frames = self.frames(waveform.shape[1])
        if self.emphasised:
            waveform = F.conv1d(F.pad(waveform[:, None], (1, 0)), self.get_buffer("emphasis")).squeeze(1)
        power = self._banded(self.spectrum(self._filled(waveform, frames), frames))
        return power if tail is None else tail(power.transpose(1, 2)).transpose(1, 2)

    def _banded(self, power: Tensor) -> Tensor:
        """Map power at all points `(B, P, T)` to that in bands `(B, F, T)`."""
        found = [
            F.conv1d(power[:, low:high], self.get_buffer(f"filters{number}"))
            for number, (_, _, low, high) in enumerate(self.parts)
        ]
        return found[0] if len(found) == 1 else torch.cat(found, 1)

    def _filled(self, waveform: Tensor, frames: Any) -> Tensor:
        """Return the samples of all frames, and some more."""
        if not self.reflect:
            return F.pad(waveform, (self.lead, self.behind + (frames * self.hop if self.drifts else 0)))
        if not self.drifts:
            return F.pad(waveform, (self.lead, self.behind), "reflect")
        last = waveform.shape[1] - 1
        index = torch.arange((frames - 1) * self.hop + self.size, device=waveform.device) - self.lead
        return waveform[:, (last - (last - index.abs()).abs()).abs()]


def _parts(weights: Tensor) -> list[tuple[int, int, int, int]]:
    """Return the parts of a product with `(F, P, 1)` that are computed apart, as they leave out many zeros.

    Each is (first row, end of rows, first column, end of columns). A part takes a copy of its columns, so there are two
    only where that saves a third of the multiply-adds.
    """
    rows, columns = weights.shape[:2]

    def part(first: int, end: int) -> tuple[int, int, int, int]:
        used = weights[first:end].abs().amax((0, 2)).nonzero().flatten().tolist() or [0]
        return first, end, used[0], used[-1] + 1

    def cost(parts: list[tuple[int, int, int, int]]) -> int:
        return sum((end - first) * (high - low) for first, end, low, high in parts)

    best = min(([part(0, row), part(row, rows)] for row in range(1, rows)), key=cost, default=[])
    return best if best and cost(best) <= SPARSE * rows * columns else [(0, rows, 0, columns)]


def _divisors(n: int) -> list[int]:
    return [d for d in range(1, n + 1) if n % d == 0]


def _cost(window: int, n_fft: int, signals: int) -> int:
    """Return the multiply-adds of a frame with N₂ = `signals`."""
    kept = n_fft // signals // 2 + 1
    return 2 * kept * signals * -(-window // signals) + kept * (2 * signals) ** 2
