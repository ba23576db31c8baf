"""The liquid layer's solver for a CPU in float32, compiled by numba: same numbers as `models.ltc`, which defines them.

All frames and sub-steps are one call. The backward pass keeps only states and divisors and computes the sigmoids again.
There are two ways to lay the work out in vectors (`models.kernels.simd`), of which the one with fewer vectors is taken:

* dense: a vector of neurons, clip by clip, over all pairs of source and neuron, absent ones with weight 0; backwards a
  vector of sources, so that no vector need be summed up. For wirings with most synapses there, and for few clips.
* sparse: a vector of clips, synapse by synapse, over those that there are.

A state is a matrix in both: `(B, U)` and `(U, B)`, the second size brought to whole vectors. "Rows" and "columns" below
are its. `current` and `conductance` are Σ w s erev and Σ w s, with what else stands above and below the solver's
fraction line.

numba rather than a C++ extension: its wheels bring the compiler, so nobody needs one. The first call compiles for some
seconds, once per machine where the cache next to this file can be written.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd.function import once_differentiable

from models.kernels.compiling import compiled
from models.kernels.simd import align_stack, bounded, divisor, first, inverse, join, load, second, spread, store, totals
from models.wirings import Wires

Floats = NDArray[np.float32]
Integers = NDArray[np.uint32]

DENSE, SPARSE, PAIR = 64, 32, 64
"""Elements of a vector in each layout; a state has whole ones."""
STEPS = 6
"""Usual sub-steps of a frame, to weigh the synapses between neurons against those from inputs."""
WIDTH = 32
"""Elements of a vector where the layout does not matter."""
PIECE = 64
"""Clips computed at once: their states stay in the first-level cache."""
BLOCK = 16
"""Sources computed at once in the dense layout: so do their parameters."""
MINUS_ONE, MINUS_LN2 = np.float32(-1), np.float32(-0.6931471805599453)

FOLD = np.tile(np.eye(4, dtype=np.float32), (4, 1))
"""Adds the parts of `totals`."""


class Synapses(NamedTuple):
    """Parameters of the synapses for the kernels; the activation is 1 / (1 + 2^(a v + b)).

    Attributes:
        dense: which layout.
        wild: whether a v + b may leave [-64, 64], to which it is then brought.
        start: first synapse of each target `(U + 1)`, even.
        source: of each synapse `(K)`.
        parameters: a, b, weight · erev and weight. Dense `(4 S, U)`, those of source k in the rows from 4k on, and
            `(4 U, S)` for the backward pass; sparse `(K, 4)`.
    """

    dense: bool
    wild: bool
    start: Integers
    source: Integers
    parameters: Floats

    @staticmethod
    def of(four: Tensor, wires: Wires, bound: float, layout: "Layout") -> "Synapses":
        """Lay out the parameters `(K, 4)` for sources within ±`bound`."""
        given = _array(four)
        wild = not bool((np.abs(given[:, 0]) * bound + np.abs(given[:, 1])).max(initial=0) < 64)
        if layout.dense:
            parameters = _zeros(wires.sources, 4, layout.shape[1])
            parameters[wires.source, :, wires.target] = given
            return Synapses(True, wild, wires.start, wires.start, parameters.reshape(-1, layout.shape[1]))
        parameters, source = _zeros(wires.start[-1], 4), np.zeros(wires.start[-1], np.uint32)
        parameters[wires.slot], source[wires.slot] = given, wires.source
        return Synapses(False, wild, wires.start, source, parameters)

    def backward(self, units: int) -> "Synapses":
        """Return them as the backward pass takes them."""
        if not self.dense:
            return self
        given = self.parameters.reshape(-1, 4, self.parameters.shape[1])[:, :, :units]
        parameters = _zeros(units, 4, _whole(len(given), DENSE))
        parameters[:, :, : len(given)] = given.transpose(2, 1, 0)
        return self._replace(parameters=parameters.reshape(-1, parameters.shape[2]))

    def no_gradients(self) -> Floats:
        """Return zeros to which the kernels add the parameters' gradients."""
        return _zeros(*self.parameters.shape) if self.dense else _zeros(len(self.source), 16)

    def gradients(self, found: Floats, wires: Wires) -> Tensor:
        """Return the gradients `(K, 4)` of what the kernels found."""
        if self.dense:
            return torch.from_numpy(found.reshape(-1, 4, found.shape[1])[wires.target, :, wires.source])
        return torch.from_numpy((found @ FOLD)[wires.slot])


@compiled
def _pair(parameters: Floats, k: int, which: int) -> Any:
    """Return one parameter of synapse k, for a vector of clips, and after it that of k + 1."""
    return join(spread(parameters[k, which], SPARSE), spread(parameters[k + 1, which], SPARSE))


@compiled
def _divisor(y: Any, wild: bool) -> Any:
    return divisor(bounded(y) if wild else y)


@compiled
def _sums(v: Floats, synapses: Synapses, current: Floats, conductance: Floats) -> None:
    """Add Σ w s erev and Σ w s for sources v, `(B, S)` or `(S, B)`.

    Each turn of the inner loops inverts one sigmoid's divisor and prepares the next one's, so that neither waits.
    """
    align_stack()
    dense, wild, start, source, parameters = synapses
    rows, columns = current.shape
    if dense:
        sources = len(parameters) // 4
        for block in range(0, sources, BLOCK):
            end = min(block + BLOCK, sources)
            for b in range(rows):
                for i in range(0, columns, DENSE):
                    above, below = load(current, b, i, DENSE), load(conductance, b, i, DENSE)
                    y = load(parameters, 4 * block, i, DENSE) * spread(v[b, block], DENSE)
                    ready = _divisor(y + load(parameters, 4 * block + 1, i, DENSE), wild)
                    for k in range(block, end):
                        s = inverse(ready)
                        n = min(k + 1, end - 1)
                        y = load(parameters, 4 * n, i, DENSE) * spread(v[b, n], DENSE)
                        ready = _divisor(y + load(parameters, 4 * n + 1, i, DENSE), wild)
                        above += load(parameters, 4 * k + 2, i, DENSE) * s
                        below += load(parameters, 4 * k + 3, i, DENSE) * s
                    store(current, b, i, above)
                    store(conductance, b, i, below)
    else:
        for u in range(rows):
            if start[u] == start[u + 1]:
                continue
            last = start[u + 1] - 2
            for i in range(0, columns, SPARSE):
                above, below = load(current, u, i, SPARSE), load(conductance, u, i, SPARSE)
                k = start[u]
                x = join(load(v, source[k], i, SPARSE), load(v, source[k + 1], i, SPARSE))
                ready = _divisor(_pair(parameters, k, 0) * x + _pair(parameters, k, 1), wild)
                for k in range(start[u], start[u + 1], 2):
                    s = inverse(ready)
                    n = min(k + 2, last)
                    x = join(load(v, source[n], i, SPARSE), load(v, source[n + 1], i, SPARSE))
                    ready = _divisor(_pair(parameters, n, 0) * x + _pair(parameters, n, 1), wild)
                    current_k, conductance_k = _pair(parameters, k, 2) * s, _pair(parameters, k, 3) * s
                    above += first(current_k) + second(current_k)
                    below += first(conductance_k) + second(conductance_k)
                store(current, u, i, above)
                store(conductance, u, i, below)


@compiled
def _sums_backward(
    v: Floats, synapses: Synapses, d_current: Floats, d_conductance: Floats, d_v: Floats, found: Floats
) -> None:
    """Add to `d_v` and to the parameters' gradients those of `_sums` for gradients of its two results."""
    align_stack()
    dense, wild, start, source, parameters = synapses
    rows, columns = d_current.shape
    if dense:
        for u in range(len(parameters) // 4):
            for k in range(0, parameters.shape[1], DENSE):
                a, offset = load(parameters, 4 * u, k, DENSE), load(parameters, 4 * u + 1, k, DENSE)
                reversal = load(parameters, 4 * u + 2, k, DENSE) * spread(MINUS_LN2, DENSE)
                weight = load(parameters, 4 * u + 3, k, DENSE) * spread(MINUS_LN2, DENSE)
                d_a, d_b = load(found, 4 * u, k, DENSE), load(found, 4 * u + 1, k, DENSE)
                d_reversal, d_weight = load(found, 4 * u + 2, k, DENSE), load(found, 4 * u + 3, k, DENSE)
                ready = _divisor(a * load(v, 0, k, DENSE) + offset, wild)
                for b in range(rows):
                    s = inverse(ready)
                    ready = _divisor(a * load(v, min(b + 1, rows - 1), k, DENSE) + offset, wild)
                    above, below = spread(d_current[b, u], DENSE), spread(d_conductance[b, u], DENSE)
                    d_y = (s - s * s) * (reversal * above + weight * below)
                    store(d_v, b, k, load(d_v, b, k, DENSE) + d_y * a)
                    d_a += d_y * load(v, b, k, DENSE)
                    d_b += d_y
                    d_reversal += s * above
                    d_weight += s * below
                store(found, 4 * u, k, d_a)
                store(found, 4 * u + 1, k, d_b)
                store(found, 4 * u + 2, k, d_reversal)
                store(found, 4 * u + 3, k, d_weight)
    else:
        for u in range(rows):
            if start[u] == start[u + 1]:
                continue
            last = start[u + 1] - 2
            for i in range(0, columns, SPARSE):
                above, below = load(d_current, u, i, SPARSE), load(d_conductance, u, i, SPARSE)
                above, below = join(above, above), join(below, below)
                k = start[u]
                x = join(load(v, source[k], i, SPARSE), load(v, source[k + 1], i, SPARSE))
                ready = _divisor(_pair(parameters, k, 0) * x + _pair(parameters, k, 1), wild)
                for k in range(start[u], start[u + 1], 2):
                    s = inverse(ready)
                    n = min(k + 2, last)
                    next_x = join(load(v, source[n], i, SPARSE), load(v, source[n + 1], i, SPARSE))
                    ready = _divisor(_pair(parameters, n, 0) * next_x + _pair(parameters, n, 1), wild)
                    slope = spread(MINUS_LN2, PAIR) * (s - s * s)
                    d_y = slope * (_pair(parameters, k, 2) * above + _pair(parameters, k, 3) * below)
                    d_x = d_y * _pair(parameters, k, 0)
                    store(d_v, source[k], i, load(d_v, source[k], i, SPARSE) + first(d_x))
                    store(d_v, source[k + 1], i, load(d_v, source[k + 1], i, SPARSE) + second(d_x))
                    d_a, d_reversal, d_weight = d_y * x, s * above, s * below
                    of_k = totals(first(d_a), first(d_y), first(d_reversal), first(d_weight))
                    of_next = totals(second(d_a), second(d_y), second(d_reversal), second(d_weight))
                    store(found, k, 0, load(found, k, 0, 16) + of_k)
                    store(found, k + 1, 0, load(found, k + 1, 0, 16) + of_next)
                    x = next_x


@compiled
def _add(whole: Floats, part: Floats) -> None:
    """Add one matrix to another."""
    for r in range(len(whole)):
        for i in range(0, whole.shape[1], WIDTH):
            store(whole, r, i, load(whole, r, i, WIDTH) + load(part, r, i, WIDTH))


@compiled
def _forward(
    x: Floats, c: Floats, p: Floats, q: Floats, unfolds: int, heard: Synapses, felt: Synapses,
    states: Floats, divisors: Floats, scratch: Floats,
) -> None:  # fmt: skip
    """Fill `states (N + 1, rows, columns)` from its first, and `divisors (N, rows, columns)`.

    x is `(T, B, I)` or `(T, I, B)`, c `(1 or T, rows, columns)`, p and q are `(rows, columns)`, scratch is three of it.
    """
    rows, columns = p.shape
    current, conductance, above = scratch[0], scratch[1], scratch[2]
    for t in range(len(x)):
        capacity = c[t] if len(c) > 1 else c[0]
        for r in range(rows):
            for i in range(0, columns, WIDTH):
                store(current, r, i, load(p, r, i, WIDTH))
                store(conductance, r, i, load(q, r, i, WIDTH) + load(capacity, r, i, WIDTH))
        _sums(x[t], heard, current, conductance)
        for n in range(t * unfolds, (t + 1) * unfolds):
            v, new, below = states[n], states[n + 1], divisors[n]
            for r in range(rows):
                for i in range(0, columns, WIDTH):
                    kept = load(capacity, r, i, WIDTH) * load(v, r, i, WIDTH)
                    store(above, r, i, load(current, r, i, WIDTH) + kept)
                    store(below, r, i, load(conductance, r, i, WIDTH))
            _sums(v, felt, above, below)
            for r in range(rows):
                for i in range(0, columns, WIDTH):
                    store(new, r, i, load(above, r, i, WIDTH) / load(below, r, i, WIDTH))


@compiled
def _backward(
    d_frames: Floats, x: Floats, c: Floats, unfolds: int, heard: Synapses, felt: Synapses,
    states: Floats, divisors: Floats,
    d_x: Floats, d_v: Floats, d_c: Floats, d_p: Floats, d_q: Floats, d_heard: Floats, d_felt: Floats, scratch: Floats,
) -> None:  # fmt: skip
    """Add to the gradients for that of the states after each frame `(T, rows, columns)`; scratch is four of such."""
    rows, columns = d_v.shape
    above, below, whole_above, whole_below = scratch[0], scratch[1], scratch[2], scratch[3]
    for t in range(len(x) - 1, -1, -1):
        capacity = c[t] if len(c) > 1 else c[0]
        d_capacity = d_c[t] if len(d_c) > 1 else d_c[0]
        whole_above[:] = 0
        whole_below[:] = 0
        _add(d_v, d_frames[t])
        for n in range((t + 1) * unfolds - 1, t * unfolds - 1, -1):
            v, new, divisor = states[n], states[n + 1], divisors[n]
            for r in range(rows):
                for i in range(0, columns, WIDTH):
                    d_above = load(d_v, r, i, WIDTH) / load(divisor, r, i, WIDTH)
                    d_below = spread(MINUS_ONE, WIDTH) * d_above * load(new, r, i, WIDTH)
                    store(above, r, i, d_above)
                    store(below, r, i, d_below)
                    d_kept = d_above * load(v, r, i, WIDTH) + d_below
                    store(d_capacity, r, i, load(d_capacity, r, i, WIDTH) + d_kept)
                    store(d_v, r, i, d_above * load(capacity, r, i, WIDTH))
            _add(whole_above, above)
            _add(whole_below, below)
            _sums_backward(v, felt, above, below, d_v, d_felt)
        _sums_backward(x[t], heard, whole_above, whole_below, d_x[t], d_heard)
        _add(d_p, whole_above)
        _add(d_q, whole_below)


class Solve(torch.autograd.Function):
    """Inputs to states, all frames at once."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, v: Tensor, c: Tensor, p: Tensor, q: Tensor, synapses: Tensor, own: Tensor,
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
            synapses: from inputs `(K, 4)`: a, b, weight · erev, weight; the activation is 1 / (1 + 2^(a x + b)).
            own: between neurons `(K, 4)`.
            unfolds: number of sub-steps.
            heard: wires of the synapses from inputs.
            felt: wires of those between neurons.
        """
        bound = _bound(v, c, p, q, synapses, own)
        pieces, after = [], []
        for x_i, v_i, c_i in zip(
            *(torch.split(tensor, PIECE, 1) for tensor in (x, v[None], c.expand(-1, len(v), -1))), strict=True
        ):
            layout = Layout.best(x_i.shape[1], heard, felt)
            size = (len(x) * unfolds, *layout.shape)
            states, divisors = _array(torch.empty(size[0] + 1, *size[1:])), _array(torch.empty(size))
            states[0] = layout.state(v_i[0])
            inputs = layout.inputs(x_i)
            known = (
                inputs,
                layout.state(c_i, 1.0),  # 1, so that columns past the last do not divide by 0
                unfolds,
                Synapses.of(synapses, heard, max(-inputs.min(), inputs.max()), layout),
                Synapses.of(own, felt, bound, layout),
            )
            p_i, q_i = (layout.state(tensor.expand_as(v_i[0])) for tensor in (p, q))
            _forward(*known[:2], p_i, q_i, *known[2:], states, divisors, _zeros(3, *layout.shape))
            pieces.append((layout, known, states, divisors))
            after.append(layout.clips(states[unfolds::unfolds]))
        ctx.kept = pieces, heard, felt, c.shape
        return torch.cat(after, 1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of the seven tensors."""
        pieces, heard, felt, shape = ctx.kept
        of_clips, of_constants = [], []
        for part, (layout, known, states, divisors) in zip(torch.split(gradient, PIECE, 1), pieces, strict=True):
            x, c, unfolds = known[:3]
            synapses, own = (each.backward(layout.units) for each in known[3:])
            d_x, d_c = _zeros(*x.shape), _zeros(*c.shape)
            d_v, above, below = (_zeros(*layout.shape) for _ in range(3))
            found, found_own = synapses.no_gradients(), own.no_gradients()
            _backward(
                layout.state(part), x, c, unfolds, synapses, own, states, divisors,
                d_x, d_v, d_c, above, below, found, found_own, _zeros(4, *layout.shape),
            )  # fmt: skip
            inputs = layout.clips(d_x, heard.sources)
            of_clips.append((inputs, layout.clips(d_v[None])[0], layout.clips(d_c)))
            d_p, d_q = (layout.clips(d[None])[0].sum(0) for d in (above, below))
            of_constants.append((d_p, d_q, synapses.gradients(found, heard), own.gradients(found_own, felt)))
        all_x, all_v, all_c = zip(*of_clips, strict=True)
        constants = (torch.stack(parts).sum(0) for parts in zip(*of_constants, strict=True))
        of_x, of_v, of_c = _joined(all_x, 1), _joined(all_v, 0), _joined(all_c, 1)
        return of_x, of_v, of_c.sum_to_size(shape), *constants, None, None, None


def fits(inputs: int, units: int) -> bool:
    """Whether a layer of this size can be taken: any."""
    return True


class Layout(NamedTuple):
    """How a piece of the batch lies in memory.

    Attributes:
        dense: which of the two.
        batch: number of clips.
        units: number of neurons.
        shape: rows and columns of a state.
    """

    dense: bool
    batch: int
    units: int
    shape: tuple[int, int]

    @staticmethod
    def best(batch: int, heard: Wires, felt: Wires) -> "Layout":
        """Return the layout with the fewer vectors for this many clips."""
        dense, sparse = Layout.of(True, batch, felt.units), Layout.of(False, batch, felt.units)
        of_dense = dense.shape[0] * dense.shape[1] * (heard.sources + STEPS * felt.sources)
        of_sparse = sparse.shape[1] * int(heard.start[-1] + STEPS * felt.start[-1])
        return dense if of_dense <= of_sparse else sparse

    @staticmethod
    def of(dense: bool, batch: int, units: int) -> "Layout":
        """Return one of the layouts."""
        shape = (batch, _whole(units, DENSE)) if dense else (units, _whole(batch, SPARSE))
        return Layout(dense, batch, units, shape)

    def state(self, values: Tensor, fill: float = 0.0) -> Floats:
        """Return `(..., B, U)` as `(..., rows, columns)`."""
        return _filled(values if self.dense else values.mT, self.shape[1], fill)

    def inputs(self, x: Tensor) -> Floats:
        """Return `(T, B, I)` with I of whole vectors, or `(T, I, columns)` in the sparse layout."""
        return _filled(x.clone(), _whole(x.shape[2], DENSE)) if self.dense else self.state(x)

    def clips(self, values: Floats, size: int | None = None) -> Tensor:
        """Return `(T, rows, columns)`, or `inputs` of this size, as `(T, B, U)`."""
        tensor = torch.from_numpy(values)
        return tensor[..., : size or self.units] if self.dense else tensor[..., : self.batch].mT


def _bound(v: Tensor, c: Tensor, p: Tensor, q: Tensor, *synapses: Tensor) -> float:
    """Return the largest state that there can be.

    A sub-step averages the state before, vleak and the erevs, each weighted by a conductance, which are ≥ 0 unless the
    user left the constraints off; then there is no bound.
    """
    fours = [_array(four) for four in synapses]
    if any(weights.min(initial=0) < 0 for weights in (_array(c), _array(q), *(four[:, 3] for four in fours))):
        return math.inf
    with np.errstate(all="ignore"):
        bounds = [_array(v), _array(p) / _array(q), *(four[:, 2] / four[:, 3] for four in fours)]
    return max(float(np.fmax.reduce(np.abs(bound), axis=None, initial=0)) for bound in bounds)  # 0 / 0 bounds nothing


def _joined(parts: Sequence[Tensor], dimension: int) -> Tensor:
    """Return the parts as one tensor."""
    return torch.cat(list(parts), dimension) if len(parts) > 1 else parts[0]


def _whole(size: int, vector: int) -> int:
    """Return the size brought to whole vectors."""
    return vector * -(-size // vector)


def _filled(values: Tensor, columns: int, fill: float = 0.0) -> Floats:
    """Return `(..., columns)`, filled up where there are fewer."""
    missing = columns - values.shape[-1]
    return _array(torch.nn.functional.pad(values, (0, missing), value=fill) if missing else values)


def _zeros(*shape: int) -> Floats:
    """Return zeros that start on a cache line, as torch's do."""
    return _array(torch.zeros(shape))


def _array(tensor: Tensor) -> Floats:
    array: Floats = tensor.detach().contiguous().numpy()
    return array
