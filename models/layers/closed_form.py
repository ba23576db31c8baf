"""The closed-form cell over a whole sequence as one operation; its numbers are those of `models.cfc` up to rounding.

Of a frame, autograd would keep and replay a dozen small operations, and sum up the weights' gradients frame by frame.
Here a frame takes five operations forwards and four backwards, all in buffers that are there already; each weight's
gradient is one product over all frames at the end. Without time spans the two time heads are one. A sigmoid takes a
quarter of a tanh's time, and tanh(x) = 2 sigmoid(2 x) - 1, whose factors and terms stand in weights and biases: the
states, too, are s = (h + 1) / 2 here. Only operations of torch are used, on any device.
"""

from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from models.kernels.loading import available

PIECE = 8
"""Frames whose derivatives are computed at once: they stay in the second-level cache."""


LECUN, TANH = "models.cfc.LeCun", "torch.nn.modules.activation.Tanh"
"""Activations of a backbone that the kernel computes."""
FEWEST = 4
"""Frames below which the preparation takes longer than it saves; with mixed memory, a call has one frame."""


class Sequence(torch.autograd.Function):
    """Inputs to states, all frames at once.

    e = sigmoid(known + s own), (s1, s2, t) = sigmoid(e weight + bias), and s' = s1 + t (s2 - s1), or s1 + t (s2 - 1/2)
    without gate. Without a backbone, (s1, s2, t) = sigmoid(known + s own).
    """

    @staticmethod
    def forward(
        ctx: Any, known: Tensor, s: Tensor, own: Tensor, weight: Tensor | None, bias: Tensor | None, gate: bool
    ) -> Tensor:
        """Return the states `(T, B, U)`.

        Args:
            ctx: of autograd.
            known: what the inputs contribute, `(T, B, K)`.
            s: first state `(B, U)`.
            own: weights of the states `(U, K)`; without a backbone K is 3U.
            weight: of the heads `(K, 3U)`; None without a backbone.
            bias: of the heads `(3U)`; None without a backbone.
            gate: whether s1 is weighted, too.
        """
        frames, batch, units = len(known), *s.shape
        kept = frames if any(ctx.needs_input_grad) else 1  # else each frame uses the same buffers
        entries = known.new_empty(kept, batch, known.shape[2])
        heads = entries if weight is None else known.new_empty(kept, batch, 3 * units)
        states = known.new_empty(frames + 1, batch, units)
        states[0] = s
        own = own.contiguous()
        ctx.gate, ctx.kernel = gate, _kernel(known, s, weight, bias)
        if ctx.kernel is not None:
            ctx.kernel.forward(known, own, weight, bias, gate, entries, heads, states)
            ctx.save_for_backward(own, weight, entries, heads, states)
            return states[1:]
        before, *after = states.unbind()
        buffers = [each.unbind() * (frames // kept) for each in (entries, heads, *torch.split(heads, units, 2))]
        for part, entry, head, s1, s2, t, state in zip(known.unbind(), *buffers, after, strict=True):
            torch.addmm(part, before, own, out=entry)
            entry.sigmoid_()
            if weight is not None:
                assert bias is not None
                torch.addmm(bias, entry, weight, out=head)
                head.sigmoid_()
            before = torch.lerp(s1, s2, t, out=state) if gate else torch.addcmul(s1, t, s2.sub_(0.5), out=state)
        ctx.save_for_backward(own, weight, entries, heads, states)
        return states[1:]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of the five tensors."""
        own, weight, entries, heads, states = ctx.saved_tensors
        frames, _, units = gradient.shape
        back, down = own.T.contiguous(), None if weight is None else weight.T.contiguous()
        d_known, d_own = torch.empty_like(entries), torch.zeros_like(own)
        d_weight = None if weight is None else torch.zeros_like(weight)
        d_bias = None if weight is None else own.new_zeros(3 * units)
        gradient = gradient.contiguous()
        gradients = gradient.unbind()
        d_s = gradients[-1] if ctx.kernel is None else gradients[-1].clone()
        for end in range(frames, 0, -PIECE):
            piece = slice(max(0, end - PIECE), end)
            if ctx.kernel is not None:
                d_heads = torch.empty_like(heads[piece])
                ctx.kernel.backward(gradient, piece, down, back, ctx.gate, entries, heads, d_s, d_heads, d_known)
            else:
                d_heads, d_s = Sequence._recur(ctx.gate, gradients, piece, down, back, entries, heads, d_s, d_known)
            flat = d_heads.flatten(0, 1)
            if d_weight is None or d_bias is None:
                d_known[piece] = d_heads
            else:
                d_weight.addmm_(entries[piece].flatten(0, 1).T, flat)
                d_bias += flat.sum(0)
            d_own.addmm_(states[piece].flatten(0, 1).T, d_known[piece].flatten(0, 1))
        return d_known, d_s, d_own, d_weight, d_bias, None

    @staticmethod
    def _recur(
        gate: bool, gradients: tuple[Tensor, ...], piece: slice, down: Tensor | None, back: Tensor, entries: Tensor,
        heads: Tensor, d_s: Tensor, d_known: Tensor,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        """Return the gradients of a piece's heads and of the state before it; with a backbone, fill `d_known`, too."""
        d_heads = _slopes(heads[piece], gate)
        units = d_s.shape[1]
        by_head = d_heads.view(*d_heads.shape[:2], 3, units).unbind()
        rows = d_known[piece].unbind() if down is not None else d_heads.unbind()
        parts, slopes = d_heads.unbind(), () if down is None else _product(entries[piece]).unbind()
        for n in range(len(rows) - 1, -1, -1):
            by_head[n].mul_(d_s[:, None])
            if down is not None:
                torch.mm(parts[n], down, out=rows[n])
                rows[n].mul_(slopes[n])
            earlier = piece.start + n - 1
            d_s = torch.addmm(gradients[earlier], rows[n], back) if earlier >= 0 else rows[n] @ back
        return d_heads, d_s


def _kernel(known: Tensor, s: Tensor, weight: Tensor | None, bias: Tensor | None) -> Any:
    """Return the module of kernels where they compute this on one thread of a CPU, else None."""
    tensors = [known, s, weight, bias]
    plain = all(x is not None and x.device.type == "cpu" and x.dtype == torch.float32 for x in tensors)
    if not plain or torch.get_num_threads() > 1:
        return None
    found = available("closed_form_cpu")
    return found if found is not None and found.fits(len(s), known.shape[2], s.shape[1]) else None


def _states(*given: Any) -> Tensor:
    """Return the states of `Sequence`."""
    found: Tensor = Sequence.apply(*given)  # type: ignore[no-untyped-call]
    return found


def _slopes(heads: Tensor, gate: bool) -> Tensor:
    """Return the derivatives of the states by what the sigmoids are of, `(T, B, 3U)`."""
    s1, s2, t = heads.chunk(3, 2)
    found = _product(heads)
    of_1, of_2, of_t = found.chunk(3, 2)
    if gate:
        of_1.mul_(1 - t)
        of_t.mul_(s2 - s1)
    else:  # s2 is s2 - 1/2
        of_2.fill_(0.25).addcmul_(s2, s2, value=-1)
        of_t.mul_(s2)
    of_2.mul_(t)
    return found


def _product(s: Tensor) -> Tensor:
    """Return s (1 - s)."""
    return torch.addcmul(s, s, s, value=-1)


def enter(model: nn.Module) -> bool:
    """Let the closed-form cells of a model compute a sequence as one operation; returns whether it has such cells."""
    cells = [module for module in model.modules() if _name(module) == "models.cfc._CfCCell"]
    for cell in cells:
        kind: Any = type(cell)
        cell.__class__ = _fused(kind)
    return bool(cells)


def leave(model: nn.Module) -> None:
    """Undo `enter`; nothing where it was not called."""
    for module in model.modules():
        if isinstance(module, _Fused):
            module.__class__ = type(module).__bases__[1]


def _name(module: nn.Module) -> str:
    return f"{type(module).__module__}.{type(module).__qualname__}"


@cache
def _fused(cell: Any) -> Any:
    """Return the class of a cell of this class between `enter` and `leave`."""
    return type("Fused", (_Fused, cell), {})


class _Fused(nn.Module):
    """A cell of `models.cfc` whose sequence is one operation, which is mixed into the cell's own class."""

    inputs: int
    mode: str
    sparsity_mask: Tensor | None
    backbone: nn.Sequential | None
    ff1: nn.Linear
    ff2: nn.Linear
    time_a: nn.Linear
    time_b: nn.Linear

    def forward(self, x: Tensor, h: Tensor, spans: Tensor | None) -> Tensor:
        """Return the states as the cell does."""
        if spans is None and len(x) >= FEWEST and self._fits():
            return self._fused(x, h)
        states: Tensor = super().forward(x, h, spans)
        return states

    def _fits(self) -> bool:
        """Whether the kernel computes what this cell does."""
        plain = self.backbone is None or (len(self.backbone) == 2 and _name(self.backbone[1]) in (LECUN, TANH))
        return plain and self.mode != "pure" and not torch.compiler.is_compiling()

    def _fused(self, x: Tensor, h: Tensor) -> Tensor:
        """Return the states as `forward` does, from one operation; in the weights' precision, also within autocast."""
        with torch.autocast(x.device.type, enabled=False):
            weight, bias = self._joined()
            x, s, gate = x.to(weight.dtype), (h.to(weight.dtype) + 1) / 2, self.mode == "default"
            if self.backbone is None:
                own = weight[:, self.inputs :]
                known = F.linear(x, weight[:, : self.inputs], bias - own.sum(1))  # (T, B, 3U)
                return 2 * _states(known, s, 2 * own.T, None, None, gate) - 1
            entry = self.backbone[0]
            assert isinstance(entry, nn.Linear)
            inner, outer = (2 * 0.666, 1.7159) if _name(self.backbone[1]) == LECUN else (2.0, 1.0)
            first = inner * entry.weight
            own = first[:, self.inputs :]
            known = F.linear(x, first[:, : self.inputs], inner * entry.bias - own.sum(1))  # (T, B, K)
            weight = outer * weight
            return 2 * _states(known, s, 2 * own.T, 2 * weight.T, bias - weight.sum(1), gate) - 1

    def _joined(self) -> tuple[Tensor, Tensor]:
        """Return weights `(3H, K)` and bias of the heads; those of time are one head, and the others are doubled."""
        mask = 1.0 if self.sparsity_mask is None else self.sparsity_mask
        times = self.time_a.weight + self.time_b.weight
        weight = torch.cat([2 * mask * self.ff1.weight, 2 * mask * self.ff2.weight, times])
        return weight, torch.cat([2 * self.ff1.bias, 2 * self.ff2.bias, self.time_a.bias + self.time_b.bias])
