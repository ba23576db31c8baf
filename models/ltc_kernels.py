"""The liquid layer's solver for a CPU in float32, compiled by numba: same numbers as `models.ltc`, which defines them.

All frames and sub-steps are one call. Only real synapses are computed, each for a piece of the batch at once, so that
the processor's vector units work on it whatever the wiring; the sigmoid is a polynomial they can do (3e-7 relative).
The backward pass keeps states and divisors alone, and computes the sigmoids anew.

numba rather than a C++ extension: its wheels bring the compiler, so nobody needs one. The first call compiles for some
seconds, once per machine where the cache beside this file can be written.

Layout: a piece of the batch lies innermost, `(..., B)`; synapses stand in order of their target, those of neuron u from
`start[u]` to `start[u + 1]`, as `(K, 6)`: slope, offset, weight · erev, weight, -slope / ln 2, -offset / ln 2.
"""

import math
from typing import Any

import numba
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd.function import once_differentiable

Floats = NDArray[np.float32]
Integers = NDArray[np.int32]
Wires = tuple[Integers, Integers]
"""`start (U + 1)` and `source (K)`."""

PIECE = 64
"""Clips computed at once: their states stay in the first-level cache."""

_f = np.float32
_ZERO, _ONE, _LOWEST, _HIGHEST, _MANTISSA = _f(0), _f(1), _f(-126), _f(126), np.int32(23)
_E1, _E2, _E3 = (
    _f(6.931472028550421e-1),
    _f(2.402264791363012e-1),
    _f(5.550332471162809e-2),
)  # 2^r for |r| ≤ 1/2 (Cephes)
_E4, _E5, _E6 = _f(9.618437357674640e-3), _f(1.339887440266574e-3), _f(1.535336188319500e-4)


@numba.njit(inline="always")
def _share(y: Any) -> Any:
    """Return 1 / (1 + 2^y), which is sigmoid(x) for y = -x / ln 2; NaN stays NaN."""
    y = _LOWEST if y < _LOWEST else y
    y = _HIGHEST if y > _HIGHEST else y
    n = np.rint(y)
    r = y - n
    power = np.float32((((((_E6 * r + _E5) * r + _E4) * r + _E3) * r + _E2) * r + _E1) * r + _ONE)
    power = np.int32(power.view(np.int32) + (np.int32(n) << _MANTISSA)).view(np.float32)  # times 2^n
    return _ONE / (_ONE + power)


_compile = numba.njit(fastmath={"contract", "reassoc", "arcp", "nsz"}, error_model="numpy", cache=True)


@_compile
def _sums(v: Floats, wires: Wires, u: int, synapse: Floats, current: Floats, conductance: Floats) -> None:
    """Add Σ w s erev and Σ w s of neuron u to `current (B)` and `conductance (B)` for sources v `(S, B)`."""
    start, source = wires
    k, end = start[u], start[u + 1]
    while k + 1 < end:  # two at a time halve the sums' traffic; more, and LLVM no longer proves them apart
        v0, v1 = v[source[k]], v[source[k + 1]]
        _, _, r0, w0, a0, b0 = synapse[k]
        _, _, r1, w1, a1, b1 = synapse[k + 1]
        for i in range(len(v0)):
            s0, s1 = _share(a0 * v0[i] + b0), _share(a1 * v1[i] + b1)
            current[i] += r0 * s0 + r1 * s1
            conductance[i] += w0 * s0 + w1 * s1
        k += 2
    while k < end:
        v0 = v[source[k]]
        _, _, r0, w0, a0, b0 = synapse[k]
        for i in range(len(v0)):
            s0 = _share(a0 * v0[i] + b0)
            current[i] += r0 * s0
            conductance[i] += w0 * s0
        k += 1


@_compile
def _sums_backward(
    v: Floats, wires: Wires, u: int, synapse: Floats, d_current: Floats, d_conductance: Floats,
    d_v: Floats, d_synapse: Floats,
) -> None:  # fmt: skip
    """Add to `d_v` and `d_synapse (K, 4)` the gradients of `_sums` for those of its two results."""
    start, source = wires
    for k in range(start[u], start[u + 1]):
        x, d_x = v[source[k]], d_v[source[k]]
        slope, _, reversal, weight, a, b = synapse[k]
        d_slope, d_offset, d_reversal, d_weight = _ZERO, _ZERO, _ZERO, _ZERO
        for i in range(len(x)):
            s = _share(a * x[i] + b)
            g = s * (_ONE - s) * (reversal * d_current[i] + weight * d_conductance[i])
            d_x[i] += g * slope
            d_slope += g * x[i]
            d_offset += g
            d_reversal += s * d_current[i]
            d_weight += s * d_conductance[i]
        d_synapse[k, 0] += d_slope
        d_synapse[k, 1] += d_offset
        d_synapse[k, 2] += d_reversal
        d_synapse[k, 3] += d_weight


@_compile
def _forward(
    x: Floats, c: Floats, p: Floats, q: Floats, unfolds: int, heard: Wires, synapse: Floats, felt: Wires, own: Floats,
    states: Floats, divisors: Floats,
) -> None:  # fmt: skip
    """Fill `states (N + 1, U, B)` from its first, and `divisors (N, U, B)`; x is `(T, I, B)`, c `(1 or T, U, B)`."""
    units, batch = states.shape[1:]
    current, conductance = np.empty((units, batch), np.float32), np.empty((units, batch), np.float32)
    above, below = np.empty(batch, np.float32), np.empty(batch, np.float32)
    for t in range(len(x)):
        capacity = c[t] if len(c) > 1 else c[0]
        for u in range(units):
            for i in range(batch):
                current[u, i] = p[u]
                conductance[u, i] = q[u] + capacity[u, i]
            _sums(x[t], heard, u, synapse, current[u], conductance[u])
        for n in range(t * unfolds, (t + 1) * unfolds):
            v, new, divisor = states[n], states[n + 1], divisors[n]
            for u in range(units):
                for i in range(batch):
                    above[i] = current[u, i] + capacity[u, i] * v[u, i]
                    below[i] = conductance[u, i]
                _sums(v, felt, u, own, above, below)
                for i in range(batch):
                    new[u, i] = above[i] / below[i]
                    divisor[u, i] = below[i]


@_compile
def _backward(
    d_frames: Floats, x: Floats, c: Floats, unfolds: int, heard: Wires, synapse: Floats, felt: Wires, own: Floats,
    states: Floats, divisors: Floats,
    d_x: Floats, d_v: Floats, d_c: Floats, d_p: Floats, d_q: Floats, d_synapse: Floats, d_own: Floats,
) -> None:  # fmt: skip
    """Add to the gradients for that of the states after each frame `(T, U, B)`; `d_c` is `(T, U, B)`."""
    units, batch = states.shape[1:]
    above, below = np.empty((units, batch), np.float32), np.empty((units, batch), np.float32)
    whole_above, whole_below = np.empty((units, batch), np.float32), np.empty((units, batch), np.float32)
    for t in range(len(x) - 1, -1, -1):
        capacity = c[t] if len(c) > 1 else c[0]
        d_capacity, d_frame = d_c[t], d_frames[t]
        whole_above[:] = 0
        whole_below[:] = 0
        for u in range(units):
            for i in range(batch):
                d_v[u, i] += d_frame[u, i]
        for n in range((t + 1) * unfolds - 1, t * unfolds - 1, -1):
            v, new, divisor = states[n], states[n + 1], divisors[n]
            for u in range(units):
                for i in range(batch):
                    d_above = d_v[u, i] / divisor[u, i]
                    d_below = -d_above * new[u, i]
                    above[u, i] = d_above
                    below[u, i] = d_below
                    whole_above[u, i] += d_above
                    whole_below[u, i] += d_below
                    d_capacity[u, i] += d_above * v[u, i] + d_below
                    d_v[u, i] = d_above * capacity[u, i]
            for u in range(units):
                _sums_backward(v, felt, u, own, above[u], below[u], d_v, d_own)
        for u in range(units):
            _sums_backward(x[t], heard, u, synapse, whole_above[u], whole_below[u], d_x[t], d_synapse)
            for i in range(batch):
                d_p[u] += whole_above[u, i]
                d_q[u] += whole_below[u, i]


class Solve(torch.autograd.Function):
    """Inputs to states, all frames at once."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, v: Tensor, c: Tensor, p: Tensor, q: Tensor, synapse: Tensor, own: Tensor,
        unfolds: int, heard: Wires, felt: Wires,
    ) -> Tensor:  # fmt: skip
        """Return the states after each frame `(T, B, U)`.

        Args:
            ctx: of autograd.
            x: inputs `(T, B, I)`.
            v: first state `(B, U)`.
            c: cm · unfolds / timespan `(1 or T, 1 or B, U)`.
            p: gleak · vleak `(U)`.
            q: gleak + epsilon `(U)`.
            synapse: from inputs `(K, 4)`: slope, offset, weight · erev, weight.
            own: between neurons `(K, 4)`.
            unfolds: number of sub-steps.
            heard: wires of the synapses from inputs.
            felt: wires of those between neurons.
        """
        units, steps = len(p), len(x) * unfolds
        known, leak, from_inputs, between = _array(p), _array(q), _extended(synapse), _extended(own)
        pieces, after = [], []
        for x_i, v_i, c_i in zip(
            *(torch.split(tensor, PIECE, 1) for tensor in (x, v[None], c.expand(-1, len(v), -1))), strict=True
        ):
            x_a, c_a = _array(x_i.transpose(1, 2)), _array(c_i.transpose(1, 2))
            states = np.empty((steps + 1, units, v_i.shape[1]), np.float32)
            divisors = np.empty((steps, units, v_i.shape[1]), np.float32)
            states[0] = v_i[0].detach().numpy().T
            _forward(x_a, c_a, known, leak, unfolds, heard, from_inputs, felt, between, states, divisors)
            pieces.append((x_a, c_a, states, divisors))
            after.append(torch.from_numpy(states[unfolds::unfolds]).transpose(1, 2))
        ctx.kept = pieces, (from_inputs, between), unfolds, heard, felt, c.shape
        return torch.cat(after, 1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of the seven tensors."""
        pieces, (synapse, own), unfolds, heard, felt, shape = ctx.kept
        d_synapse, d_own = (np.zeros((len(synapses), 4), np.float32) for synapses in (synapse, own))
        d_p, d_q = np.zeros(gradient.shape[2], np.float32), np.zeros(gradient.shape[2], np.float32)
        of_clips: list[tuple[Tensor, Tensor, Tensor]] = []
        for part, (x, c, states, divisors) in zip(torch.split(gradient, PIECE, 1), pieces, strict=True):
            d_x, d_v = np.zeros_like(x), np.zeros(states.shape[1:], np.float32)
            d_c = np.zeros((len(x), *states.shape[1:]), np.float32)
            _backward(
                _array(part.transpose(1, 2)), x, c, unfolds, heard, synapse, felt, own, states, divisors,
                d_x, d_v, d_c, d_p, d_q, d_synapse, d_own,
            )  # fmt: skip
            of_clips.append((*(torch.from_numpy(array).mT for array in (d_x, d_v, d_c)),))  # type: ignore[arg-type]
        all_x, all_v, all_c = zip(*of_clips, strict=True)
        d_c_all = torch.cat(all_c, 1).sum_to_size(shape)
        constants = (torch.from_numpy(array) for array in (d_p, d_q, d_synapse, d_own))
        return torch.cat(all_x, 1), torch.cat(all_v), d_c_all, *constants, None, None, None


def _extended(synapse: Tensor) -> Floats:
    """Return `(K, 6)` of `(K, 4)`."""
    four = synapse.detach()
    return _array(torch.cat([four, four[:, :2] / -math.log(2)], 1))


def _array(tensor: Tensor) -> Floats:
    array: Floats = tensor.detach().contiguous().numpy()
    return array
