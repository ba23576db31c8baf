"""The liquid layer's solver for a GPU in float32, as Triton kernels: same numbers as `models.ltc`, which defines them.

One program a clip runs through all frames and sub-steps with the parameters of all its synapses on the chip, absent
ones with weight 0. A call is two launches, inputs and then neurons; its backward pass is two and a sum over the clips.
That pass keeps only states and divisors and computes the sigmoids again. Up to 128 inputs and neurons fit.
"""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import once_differentiable

from models.wirings import Wires

MAX_NEURONS = 128
"""Most inputs, and most neurons."""


@triton.jit
def _tile(base, which, rows, columns, height: tl.constexpr, width: tl.constexpr):
    """Return one of the parameters `(4, rows, columns)` as a tile, 0 beyond them."""
    r, c = tl.arange(0, height)[:, None], tl.arange(0, width)[None, :]
    return tl.load(base + (which * rows + r) * columns + c, (r < rows) & (c < columns), 0.0)


@triton.jit
def _put(base, which, rows, columns, tile, height: tl.constexpr, width: tl.constexpr):
    """Store a tile where `_tile` reads it."""
    r, c = tl.arange(0, height)[:, None], tl.arange(0, width)[None, :]
    tl.store(base + (which * rows + r) * columns + c, tile, (r < rows) & (c < columns))


@triton.jit
def _share(a, b, v):
    """Return s of sources v for all pairs of source and neuron."""
    return 1 / (1 + tl.exp2(a * v[:, None] + b))


@triton.jit
def _synapses(x, parameters, sums, frames, batch, inputs, units, height: tl.constexpr, width: tl.constexpr):
    """Fill `sums (2, T, B, U)`, Σ w s erev and Σ w s, from inputs `(T, B, I)`."""
    clip = tl.program_id(0)
    i, u = tl.arange(0, height), tl.arange(0, width)
    a, b = _tile(parameters, 0, inputs, units, height, width), _tile(parameters, 1, inputs, units, height, width)
    reversal, weight = (
        _tile(parameters, 2, inputs, units, height, width),
        _tile(parameters, 3, inputs, units, height, width),
    )
    for t in range(frames):
        row = t * batch + clip
        s = _share(a, b, tl.load(x + row * inputs + i, i < inputs, 0.0))
        tl.store(sums + row * units + u, tl.sum(reversal * s, 0), u < units)
        tl.store(sums + (frames * batch + row) * units + u, tl.sum(weight * s, 0), u < units)


@triton.jit
def _run(
    sums, c, p, q, parameters, states, divisors, frames, unfolds, batch, units, c_frame, c_clip, width: tl.constexpr
):
    """Fill `states (N + 1, B, U)` from its first, and `divisors (N, B, U)`."""
    clip = tl.program_id(0)
    u = tl.arange(0, width)
    real = u < units
    a, b = _tile(parameters, 0, units, units, width, width), _tile(parameters, 1, units, units, width, width)
    reversal, weight = (
        _tile(parameters, 2, units, units, width, width),
        _tile(parameters, 3, units, units, width, width),
    )
    known, leak = tl.load(p + u, real, 0.0), tl.load(q + u, real, 1.0)
    v = tl.load(states + clip * units + u, real, 0.0)
    for t in range(frames):
        capacity = tl.load(c + t * c_frame + clip * c_clip + u, real, 1.0)
        row = (t * batch + clip) * units + u
        current = known + tl.load(sums + row, real, 0.0)
        conductance = leak + capacity + tl.load(sums + frames * batch * units + row, real, 0.0)
        for n in range(t * unfolds, (t + 1) * unfolds):
            s = _share(a, b, v)
            divisor = conductance + tl.sum(weight * s, 0)
            v = (current + capacity * v + tl.sum(reversal * s, 0)) / divisor
            tl.store(divisors + (n * batch + clip) * units + u, divisor, real)
            tl.store(states + ((n + 1) * batch + clip) * units + u, v, real)


@triton.jit
def _run_back(
    d_frames, c, parameters, states, divisors, d_sums, d_v0, d_c, found,
    frames, unfolds, batch, inputs, units, c_frame, c_clip, width: tl.constexpr,
):  # fmt: skip
    """Fill the gradients of `_run`'s sums, first state and c `(T, B, U)`, and of its parameters for each clip."""
    clip = tl.program_id(0)
    u = tl.arange(0, width)
    real = u < units
    a, b = _tile(parameters, 0, units, units, width, width), _tile(parameters, 1, units, units, width, width)
    reversal, weight = (
        _tile(parameters, 2, units, units, width, width),
        _tile(parameters, 3, units, units, width, width),
    )
    d_a, d_b = tl.zeros((width, width), tl.float32), tl.zeros((width, width), tl.float32)
    d_reversal, d_weight = tl.zeros((width, width), tl.float32), tl.zeros((width, width), tl.float32)
    d_v = tl.zeros((width,), tl.float32)
    for back in range(frames):
        t = frames - 1 - back
        row = (t * batch + clip) * units + u
        capacity = tl.load(c + t * c_frame + clip * c_clip + u, real, 1.0)
        d_v += tl.load(d_frames + row, real, 0.0)
        d_current, d_conductance = tl.zeros((width,), tl.float32), tl.zeros((width,), tl.float32)
        d_capacity = tl.zeros((width,), tl.float32)
        for step in range(unfolds):
            n = (t + 1) * unfolds - 1 - step
            v = tl.load(states + (n * batch + clip) * units + u, real, 0.0)
            new = tl.load(states + ((n + 1) * batch + clip) * units + u, real, 0.0)
            above = d_v / tl.load(divisors + (n * batch + clip) * units + u, real, 1.0)
            below = -above * new
            d_current += above
            d_conductance += below
            d_capacity += above * v + below
            s = _share(a, b, v)
            d_y = -0.6931471805599453 * (s - s * s) * (reversal * above[None, :] + weight * below[None, :])
            d_v = above * capacity + tl.sum(d_y * a, 1)
            d_a += d_y * v[:, None]
            d_b += d_y
            d_reversal += s * above[None, :]
            d_weight += s * below[None, :]
        tl.store(d_sums + row, d_current, real)
        tl.store(d_sums + frames * batch * units + row, d_conductance, real)
        tl.store(d_c + row, d_capacity, real)
    tl.store(d_v0 + clip * units + u, d_v, real)
    mine = found + clip * 4 * (inputs + units) * units
    own = mine + 4 * inputs * units
    _put(own, 0, units, units, d_a, width, width)
    _put(own, 1, units, units, d_b, width, width)
    _put(own, 2, units, units, d_reversal, width, width)
    _put(own, 3, units, units, d_weight, width, width)


@triton.jit
def _synapses_backward(
    d_sums, x, parameters, d_x, found, frames, batch, inputs, units, height: tl.constexpr, width: tl.constexpr
):
    """Fill the gradients of `_synapses`'s inputs, and of its parameters for each clip."""
    clip = tl.program_id(0)
    i, u = tl.arange(0, height), tl.arange(0, width)
    a, b = _tile(parameters, 0, inputs, units, height, width), _tile(parameters, 1, inputs, units, height, width)
    reversal, weight = (
        _tile(parameters, 2, inputs, units, height, width),
        _tile(parameters, 3, inputs, units, height, width),
    )
    d_a, d_b = tl.zeros((height, width), tl.float32), tl.zeros((height, width), tl.float32)
    d_reversal, d_weight = tl.zeros((height, width), tl.float32), tl.zeros((height, width), tl.float32)
    for t in range(frames):
        row = t * batch + clip
        v = tl.load(x + row * inputs + i, i < inputs, 0.0)
        above = tl.load(d_sums + row * units + u, u < units, 0.0)
        below = tl.load(d_sums + (frames * batch + row) * units + u, u < units, 0.0)
        s = _share(a, b, v)
        d_y = -0.6931471805599453 * (s - s * s) * (reversal * above[None, :] + weight * below[None, :])
        tl.store(d_x + row * inputs + i, tl.sum(d_y * a, 1), i < inputs)
        d_a += d_y * v[:, None]
        d_b += d_y
        d_reversal += s * above[None, :]
        d_weight += s * below[None, :]
    mine = found + clip * 4 * (inputs + units) * units
    _put(mine, 0, inputs, units, d_a, height, width)
    _put(mine, 1, inputs, units, d_b, height, width)
    _put(mine, 2, inputs, units, d_reversal, height, width)
    _put(mine, 3, inputs, units, d_weight, height, width)


class Solve(torch.autograd.Function):
    """Inputs to states, all frames at once."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, v: Tensor, c: Tensor, p: Tensor, q: Tensor, synapses: Tensor, own: Tensor,
        unfolds: int, heard: Wires, felt: Wires,
    ) -> Tensor:  # fmt: skip
        """Return the states after each frame `(T, B, U)`; arguments as of `models.kernels.ltc_cpu.Solve`."""
        (frames, batch, inputs), units = x.shape, felt.units
        sizes = _padded(inputs), _padded(units)
        x, p, q = (tensor.contiguous() for tensor in (x, p, q))
        whole = c.expand(-1, batch, -1).contiguous()  # (1 or T, B, U)
        strides = (batch * units if len(c) > 1 else 0, units)
        from_inputs, between = _matrices(synapses, heard), _matrices(own, felt)
        sums = x.new_empty(2, frames, batch, units)
        states, divisors = x.new_empty(frames * unfolds + 1, batch, units), x.new_empty(frames * unfolds, batch, units)
        states[0] = v
        warps = 8 if max(sizes) <= 64 else 16
        _synapses[(batch,)](x, from_inputs, sums, frames, batch, inputs, units, *sizes, num_warps=warps)
        _run[(batch,)](
            sums, whole, p, q, between, states, divisors, frames, unfolds, batch, units, *strides, sizes[1],
            num_warps=warps,
        )  # fmt: skip
        ctx.save_for_backward(x, whole, from_inputs, between, states, divisors)
        ctx.rest = unfolds, heard, felt, c.shape, strides, sizes, warps
        return states[unfolds::unfolds].clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of the seven tensors."""
        x, c, from_inputs, between, states, divisors = ctx.saved_tensors
        unfolds, heard, felt, shape, strides, sizes, warps = ctx.rest
        (frames, batch, inputs), units = x.shape, felt.units
        d_sums, d_c = x.new_empty(2, frames, batch, units), x.new_empty(frames, batch, units)
        d_x, d_v = torch.empty_like(x), x.new_empty(batch, units)
        found = x.new_empty(batch, 4 * (inputs + units), units)
        _run_back[(batch,)](
            gradient.contiguous(), c, between, states, divisors, d_sums, d_v, d_c, found,
            frames, unfolds, batch, inputs, units, *strides, sizes[1], num_warps=warps,
        )  # fmt: skip
        _synapses_backward[(batch,)](
            d_sums, x, from_inputs, d_x, found, frames, batch, inputs, units, *sizes, num_warps=warps
        )
        whole = found.sum(0)
        d_synapses, d_own = (
            part.view(4, -1)[:, torch.as_tensor(wires.place, device=x.device)].T
            for part, wires in ((whole[: 4 * inputs], heard), (whole[4 * inputs :], felt))
        )
        d_p, d_q = d_sums.sum((1, 2))
        return d_x, d_v, d_c.sum_to_size(shape), d_p, d_q, d_synapses, d_own, None, None, None


def fits(inputs: int, units: int) -> bool:
    """Whether a layer's parameters fit on the chip."""
    return max(inputs, units) <= MAX_NEURONS


def _padded(size: int) -> int:
    """Return the least power of two, from 16 on, that holds this many."""
    return max(16, 1 << (size - 1).bit_length())


def _matrices(four: Tensor, wires: Wires) -> Tensor:
    """Return parameters `(K, 4)` as `(4, S, U)`, 0 where there is no synapse."""
    whole = four.new_zeros(4, wires.sources * wires.units)
    whole[:, torch.as_tensor(wires.place, device=four.device)] = four.detach().T
    return whole
