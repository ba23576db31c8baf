"""Liquid time-constant networks (LTC).

Hasani, Lechner et al. 2021 (AAAI, https://arxiv.org/abs/2006.04439); wiring: see `models.wirings`; reference: the
authors' package ncps 1.0.1, whose state dicts load into `LTCLayer` as they are. Neuron i with input x obeys

    cm_i dv_i/dt = gleak_i (vleak_i - v_i) + Σ_j w_ji s_ji(v_j) (erev_ji - v_i) + Σ_k w_ki s_ki(x_k) (erev_ki - v_i)
    s_ji(v) = sigmoid(sigma_ji (v - mu_ji))

and is solved by `ode_unfolds` semi-implicit Euler steps a frame, each

    v_i ← (cm_i/d v_i + gleak_i vleak_i + Σ w s erev) / (cm_i/d + gleak_i + Σ w s + 1e-8),  d = timespan / ode_unfolds

with every s at the old v. The results equal those of ncps up to rounding; the order of the work differs:

* Terms that do not depend on the state are computed once: sigmoid(slope v + offset), masked weights, leaks.
* Inputs, and neurons that no neuron feeds (inter neurons of an NCP), are known in advance, so their synapses
  are computed for all frames and sub-steps at once; so are synapses onto neurons that feed none (motors). Only the
  recurrent core in between is computed step by step, and absent blocks of synapses are skipped.
* The backward pass keeps only states and computes the sigmoids again, in pieces that fit the processor's cache.
* `timespans` may differ from clip to clip (ncps divides them into the wrong axis).

In float32 one of two kernels runs the solver where it can, `models.kernels.ltc_cpu` for a CPU and
`models.kernels.ltc_cuda` for a GPU. The code in this file defines their results, and replaces them elsewhere.

Shape letters: **B** batch, **T** frames, **I** inputs, **U** neurons, **O** outputs (motor neurons), **S** sources of
synapses, **R** rows (frames or sub-steps times clips), **N** sub-steps of the whole clip.
"""

import importlib
import math
import warnings
from collections.abc import Mapping
from functools import cache
from typing import Any, ClassVar, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx, once_differentiable

from models.base import ModelError
from models.layers.memory import LSTMCell
from models.layers.portable import scan
from models.wirings import FullyConnected, Wires, Wiring

State = Tensor | tuple[Tensor, Tensor]
Mapped = Literal["affine", "linear"] | None

_PIECE = {"cpu": 2**16}  # synapses × rows computed at once: what fits a processor's second-level cache
_PIECE_ELSEWHERE = 2**26


class Synapses(NamedTuple):
    """Precomputed parameters of the synapses from S sources to U neurons.

    Attributes:
        slope: sigma `(U, 1, S)`.
        offset: -sigma · mu `(U, 1, S)`.
        weight: w · erev and w, 0 where there is no synapse `(U, S, 2)`.
    """

    slope: Tensor
    offset: Tensor
    weight: Tensor

    def activation(self, v: Tensor) -> Tensor:
        """Return s of sources `v (R, S)` as `(U, R, S)`."""
        return torch.addcmul(self.offset, self.slope, v).sigmoid_()

    def sums(self, v: Tensor) -> Tensor:
        """Return Σ w s erev and Σ w s `(U, R, 2)` of sources `v (R, S)`."""
        return torch.bmm(self.activation(v), self.weight)

    def backward(self, v: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor]:
        """Return the gradient of the argument of s, and s `(U, R, S)`, for a gradient of the sums `(U, R, 2)`."""
        s = self.activation(v)
        return torch.ops.aten.sigmoid_backward(torch.bmm(gradient, self.weight.mT), s), s

    def rows(self, v: Tensor) -> int:
        """Return the number of rows of `v` to compute at once."""
        return max(1, _PIECE.get(v.device.type, _PIECE_ELSEWHERE) // self.slope.numel())

    def gradients(self, v: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the gradients of `v` and of the three parameters for that of the sums `(U, R, 2)`."""
        d_slope, d_offset, d_weight = (torch.zeros_like(parameter) for parameter in self)
        d_v = []
        size = self.rows(v)
        for part, g in zip(torch.split(v, size), torch.split(gradient, size, 1), strict=True):
            d_argument, s = self.backward(part, g)
            d_v.append((d_argument * self.slope).sum(0))
            d_slope += (d_argument * part).sum(1, keepdim=True)
            d_offset += d_argument.sum(1, keepdim=True)
            d_weight += torch.bmm(s.mT, g)
        return torch.cat(d_v), d_slope, d_offset, d_weight


class _Sums(torch.autograd.Function):
    """Computes `Synapses.sums` in pieces, without keeping sigmoids for the backward pass."""

    @staticmethod
    def forward(ctx: FunctionCtx, v: Tensor, *parameters: Tensor) -> Tensor:
        ctx.save_for_backward(v, *parameters)
        synapses = Synapses(*parameters)
        if torch.compiler.is_compiling():  # pieces depend on the number of clips, which an exported program leaves open
            return synapses.sums(v)
        return torch.cat([synapses.sums(part) for part in torch.split(v, synapses.rows(v))], 1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, ...]:
        v, *parameters = ctx.saved_tensors
        return Synapses(*parameters).gradients(v, gradient.contiguous())


class _Solve(torch.autograd.Function):
    """All sub-steps v ← (c v + p + Σ w s erev) / (q + Σ w s) of neurons with, or without, synapses among themselves.

    Takes v `(B, U)`, c `(N, B or 1, U)`, p and q `(N, B, U)` and the `Synapses`; returns the states `(N + 1, B, U)`,
    the first one included. The backward pass runs the adjoint recursion for the states' gradients; those of the
    parameters follow at once for all sub-steps, as they do in `_Sums`.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, v: Tensor, c: Tensor, p: Tensor, q: Tensor, *parameters: Tensor) -> Tensor:
        states, divisors = [v], []
        synapses = Synapses(*parameters) if parameters else None
        for c_n, p_n, q_n in zip(c.unbind(), p.unbind(), q.unbind(), strict=True):
            if synapses is not None:
                current, conductance = synapses.sums(v).permute(2, 1, 0)  # (B, U) each
                p_n, q_n = p_n + current, q_n + conductance
            v = torch.addcmul(p_n, c_n, v) / q_n
            states.append(v)
            divisors.append(q_n)
        trajectory = torch.stack(states)  # (N + 1, B, U)
        ctx.save_for_backward(c, trajectory, torch.stack(divisors), *parameters)
        return trajectory

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, ...]:
        c, trajectory, divisors, *parameters = ctx.saved_tensors
        synapses = Synapses(*parameters) if parameters else None
        states, cs = trajectory.unbind(), c.unbind()
        d_v = torch.zeros_like(states[0])
        d_p = []
        for n in range(len(cs) - 1, -1, -1):
            d_n = (d_v + gradient[n + 1]) / divisors[n]
            d_p.append(d_n)
            d_v = d_n * cs[n]
            if synapses is not None:
                d_sums = torch.stack([d_n.T, -(d_n * states[n + 1]).T], -1)  # (U, B, 2)
                d_v = d_v + (synapses.backward(states[n], d_sums)[0] * synapses.slope).sum(0)
        d_p_all = torch.stack(d_p[::-1])  # (N, B, U)
        d_q = -d_p_all * trajectory[1:]
        d_c = (d_p_all * trajectory[:-1]).sum_to_size(c.shape)
        d_parameters: tuple[Tensor, ...] = ()
        if synapses is not None:
            d_sums = torch.stack([d_p_all, d_q], -1).flatten(0, 1).transpose(0, 1)  # (U, N B, 2)
            d_parameters = synapses.gradients(trajectory[:-1].flatten(0, 1), d_sums.contiguous())[1:]
        return d_v + gradient[0], d_c, d_p_all, d_q, *d_parameters


class _Layer(NamedTuple):
    """Neurons that are solved together.

    Attributes:
        neurons: their numbers.
        sources: numbers of the neurons of earlier layers that feed them.
        recurrent: whether they feed each other.
    """

    neurons: list[int]
    sources: list[int]
    recurrent: bool


class _LTCCell(nn.Module):
    """Parameters of the neurons, with the names, the shapes and the random draws of ncps."""

    def __init__(self, wiring: Wiring, inputs: int, input_mapping: Mapped, output_mapping: Mapped) -> None:
        super().__init__()
        u = wiring.units
        sensory = torch.tensor(wiring.build(inputs), dtype=torch.get_default_dtype())
        internal = torch.tensor(wiring.adjacency_matrix, dtype=torch.get_default_dtype())

        def uniform(low: float, high: float, *shape: int) -> nn.Parameter:
            return nn.Parameter(torch.rand(*shape) * (high - low) + low)

        self.gleak = uniform(0.001, 1.0, u)
        self.vleak = uniform(-0.2, 0.2, u)
        self.cm = uniform(0.4, 0.6, u)
        self.sigma = uniform(3, 8, u, u)
        self.mu = uniform(0.3, 0.8, u, u)
        self.w = uniform(0.001, 1.0, u, u)
        self.erev = nn.Parameter(internal.clone())
        self.sensory_sigma = uniform(3, 8, inputs, u)
        self.sensory_mu = uniform(0.3, 0.8, inputs, u)
        self.sensory_w = uniform(0.001, 1.0, inputs, u)
        self.sensory_erev = nn.Parameter(sensory.clone())
        self.sparsity_mask = nn.Parameter(internal.abs(), requires_grad=False)
        self.sensory_sparsity_mask = nn.Parameter(sensory.abs(), requires_grad=False)
        if input_mapping is not None:
            self.input_w = nn.Parameter(torch.ones(inputs))
        if input_mapping == "affine":
            self.input_b = nn.Parameter(torch.zeros(inputs))
        if output_mapping is not None:
            self.output_w = nn.Parameter(torch.ones(wiring.output_dim))
        if output_mapping == "affine":
            self.output_b = nn.Parameter(torch.zeros(wiring.output_dim))
        self._arrange()

    def _arrange(self) -> None:
        """Find the layers: neurons that no neuron feeds, the recurrent core, neurons that feed none."""
        synapse = self.sparsity_mask != 0
        fed, feeds = synapse.any(0).tolist(), synapse.any(1).tolist()
        neurons = range(len(fed))
        self.layers: list[_Layer] = []
        for members in (
            [i for i in neurons if not fed[i]],
            [i for i in neurons if fed[i] and feeds[i]],
            [i for i in neurons if fed[i] and not feeds[i]],
        ):
            if members:
                into = synapse[:, members].any(1).tolist()
                known = [i for layer in self.layers for i in layer.neurons if into[i]]
                self.layers.append(_Layer(members, known, any(into[i] for i in members)))
        self.sensed: list[int] = self.sensory_sparsity_mask.any(0).nonzero().flatten().tolist()
        masks = {"sensory_": self.sensory_sparsity_mask, "": self.sparsity_mask}
        self.wires = {prefix: Wires(mask.detach().cpu().numpy()) for prefix, mask in masks.items()}

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *rest: Any) -> None:
        """Load the parameters, then arrange the layers by the loaded wiring."""
        super()._load_from_state_dict(state_dict, prefix, *rest)
        if not self.sparsity_mask.is_meta:
            self._arrange()


class LTCLayer(nn.Module):
    """Recurrent layer of liquid time-constant neurons; arguments and state dict as in `ncps.torch.LTC`.

    Trainable parameters: 4U² + 4IU + 3U + 2I + 2O; the two wiring masks are frozen parameters.

    Args:
        input_size: I.
        units: a wiring, or the number of fully connected neurons.
        return_sequences: whether to return the outputs of all frames or of the last one.
        batch_first: whether sequences are `(B, T, ...)` or `(T, B, ...)`.
        mixed_memory: whether an LSTM cell updates the state before each frame.
        input_mapping: "affine" scales and shifts each input, "linear" scales it, None leaves it.
        output_mapping: the same for the outputs.
        ode_unfolds: sub-steps per frame.
        epsilon: added to the divisor.
        implicit_param_constraints: whether softplus keeps w, sensory_w, cm and gleak positive; if not, call
            `apply_weight_constraints` after each optimiser step.
    """

    own_kernels: ClassVar[bool] = True

    def __init__(
        self,
        input_size: int,
        units: int | Wiring,
        return_sequences: bool = True,
        batch_first: bool = True,
        mixed_memory: bool = False,
        input_mapping: Mapped = "affine",
        output_mapping: Mapped = "affine",
        ode_unfolds: int = 6,
        epsilon: float = 1e-8,
        implicit_param_constraints: bool = True,
    ) -> None:
        super().__init__()
        if ode_unfolds < 1 or input_size < 1:
            raise ModelError(f"input_size and ode_unfolds must be ≥ 1, got {input_size} and {ode_unfolds}")
        wiring = FullyConnected(units) if isinstance(units, int) else units
        if not isinstance(wiring, Wiring):
            raise ModelError(f"units is a number or a wiring of models.wirings, not {type(units).__name__}")
        self.input_size = input_size
        self.state_size = wiring.units
        self.output_size = wiring.output_dim
        self.return_sequences = return_sequences
        self.batch_first = batch_first
        self.ode_unfolds = ode_unfolds
        self.epsilon = epsilon
        self.implicit_param_constraints = implicit_param_constraints
        self.rnn_cell = _LTCCell(wiring, input_size, input_mapping, output_mapping)
        self.lstm = LSTMCell(input_size, wiring.units) if mixed_memory else None

    def forward(self, x: Tensor, state: State | None = None, timespans: Tensor | None = None) -> tuple[Tensor, State]:
        """Run over a batch of sequences.

        Args:
            x: `(B, T, I)`.
            state: first state `(B, U)`, with mixed memory a pair of them; zeros where None.
            timespans: time since the frame before, > 0, of a shape that broadcasts to `(B, T)`; 1 where None.

        Returns:
            Outputs `(B, T, O)`, or `(B, O)` of the last frame, and the last state.

        Raises:
            ModelError: x or the state is of another shape.
        """
        if x.dim() != 3 or x.shape[-1] != self.input_size:
            raise ModelError(f"LTCLayer takes sequences (B, T, {self.input_size}), got {tuple(x.shape)}")
        if x.shape[int(self.batch_first)] == 0:
            raise ModelError(f"LTCLayer needs at least one frame, got {tuple(x.shape)}")
        if state is not None and isinstance(state, tuple) != (self.lstm is not None):
            raise ModelError("the state is a pair of tensors (B, U) with mixed_memory and one tensor otherwise")
        if x.dtype in (torch.float16, torch.bfloat16) and self.rnn_cell.sigma.dtype == torch.float32:
            x = x.float()  # from autocast: half precision is too coarse for a recurrence over hundreds of sub-steps
        if self.batch_first:
            x = x.transpose(0, 1)  # (T, B, I)
            timespans = None if timespans is None else timespans.mT if timespans.dim() > 1 else timespans[..., None]
        if timespans is not None:
            timespans = timespans.to(x).expand(x.shape[:2])[..., None]  # (T, B, 1)
        v, memory = state if isinstance(state, tuple) else (state, None)
        if v is None:
            v = x.new_zeros(x.shape[1], self.state_size)
        fast = _kernels(x, self.state_size)
        blocks = None if fast else self._blocks()
        if self.lstm is None:
            states, last = self._solve(x, v, timespans, fast, blocks), memory
        else:
            memory = torch.zeros_like(v) if memory is None else memory
            frames = []
            for t in range(len(x)):
                v, memory = self.lstm(x[t], v, memory)
                frames.append(
                    self._solve(x[t : t + 1], v, timespans if timespans is None else timespans[t : t + 1], fast, blocks)
                )
                v = frames[-1][-1]
            states, last = torch.cat(frames), memory
        y = states[..., : self.output_size]  # (T, B, O)
        y = y * getattr(self.rnn_cell, "output_w", 1) + getattr(self.rnn_cell, "output_b", 0)
        if not self.return_sequences:
            y = y[-1]
        elif self.batch_first:
            y = y.transpose(0, 1)  # (B, T, O)
        return y, states[-1] if last is None else (states[-1], last)

    def portable(self) -> nn.Module:
        """Return the same with a loop over frames that exports keep, or itself where an LSTM cell comes between."""
        return self if self.lstm is not None else _PortableLTC(self)

    def sigmoids(self, frames: int) -> int:
        """Sigmoids of one sequence as computed, absent synapses of present blocks included.

        A frame has I · U_s of sensory synapses, for the U_s neurons that an input feeds, and L sub-steps of the blocks
        between neurons; L · U² + I · U where all are connected.
        """
        cell = self.rnn_cell
        inner = sum(len(k.neurons) * (len(k.sources) + k.recurrent * len(k.neurons)) for k in cell.layers)
        return frames * (self.input_size * len(cell.sensed) + self.ode_unfolds * inner)

    def uncounted_macs(self, frames: int) -> int:
        """Multiply-adds of one sequence that PyTorch's operator counter does not see.

        One per sigmoid, for its argument slope · v + offset; one per neuron and sub-step, for c · v + p; the input and
        output maps, I + O a frame. The sums Σ w s erev and Σ w s, two per sigmoid, are `bmm`, which it does see.
        """
        maps = self.input_size + self.output_size
        return self.sigmoids(frames) + frames * (self.ode_unfolds * self.state_size + maps)

    @torch.no_grad()
    def apply_weight_constraints(self) -> None:
        """Clip w, sensory_w, cm and gleak to ≥ 0, where softplus does not do so."""
        if not self.implicit_param_constraints:
            cell = self.rnn_cell
            for parameter in (cell.w, cell.sensory_w, cell.cm, cell.gleak):
                parameter.clamp_(min=0)

    def _positive(self, parameter: Tensor) -> Tensor:
        return F.softplus(parameter) if self.implicit_param_constraints else parameter

    def _synapses(self, prefix: str, sources: list[int], neurons: list[int]) -> Synapses:
        """Return the block of synapses from these sources to these neurons."""

        def block(name: str) -> Tensor:
            whole: Tensor = getattr(self.rnn_cell, prefix + name)
            rows, columns = (torch.tensor(index, device=whole.device) for index in (sources, neurons))
            return whole.index_select(0, rows).index_select(1, columns).T.contiguous()  # (U, S)

        slope = block("sigma")
        w = self._positive(block("w")) * block("sparsity_mask")
        return Synapses(slope[:, None], (-slope * block("mu"))[:, None], torch.stack([w * block("erev"), w], -1))

    def _blocks(self) -> list[tuple[Synapses | None, Synapses | None]]:
        """Return the sensory block, then for each layer the block from earlier layers and that within it."""
        cell = self.rnn_cell
        sensory = self._synapses("sensory_", list(range(self.input_size)), cell.sensed) if cell.sensed else None
        return [(sensory, None)] + [
            (
                self._synapses("", layer.sources, layer.neurons) if layer.sources else None,
                self._synapses("", layer.neurons, layer.neurons) if layer.recurrent else None,
            )
            for layer in cell.layers
        ]

    def _packed(self, prefix: str) -> Tensor:
        """Return the parameters of the existing synapses `(K, 4)`, see `models.kernels.ltc_cpu.Synapses`.

        Those from inputs take in the inputs' scale and shift.
        """
        cell, wires = self.rnn_cell, self.rnn_cell.wires[prefix]
        place, source = (torch.as_tensor(i, device=cell.sigma.device) for i in (wires.place, wires.source))
        sigma, mu, w, erev = (
            getattr(cell, prefix + name).flatten().index_select(0, place) for name in ("sigma", "mu", "w", "erev")
        )
        w = self._positive(w)  # its mask is 1
        a = sigma * (-1 / math.log(2))
        b = -a * mu
        if prefix and hasattr(cell, "input_b"):
            b = b + a * cell.input_b.index_select(0, source)
        if prefix and hasattr(cell, "input_w"):
            a = a * cell.input_w.index_select(0, source)
        return torch.stack([a, b, w * erev, w], 1)

    def _solve(
        self,
        x: Tensor,
        v: Tensor,
        timespans: Tensor | None,
        fast: Any,
        blocks: list[tuple[Synapses | None, Synapses | None]] | None,
    ) -> Tensor:
        """Return the states after each frame `(T, B, U)` for inputs `(T, B, I)` and the first state `(B, U)`.

        By the kernels `fast`, or with `blocks` where there are none.
        """
        cell, unfolds = self.rnn_cell, self.ode_unfolds
        frames, batch, _ = x.shape
        gleak, c = self._positive(cell.gleak), self._positive(cell.cm) * unfolds  # (U)
        if blocks is None:
            c = c.expand(1, 1, -1) if timespans is None else c / timespans  # (1 or T, 1 or B, U)
            wires = [cell.wires[prefix] for prefix in ("sensory_", "")]
            packed = [self._packed(prefix) for prefix in ("sensory_", "")]
            states: Tensor = fast.Solve.apply(
                x, v, c, gleak * cell.vleak, gleak + self.epsilon, *packed, unfolds, *wires
            )
            return states
        x = x * getattr(cell, "input_w", 1) + getattr(cell, "input_b", 0)
        c = c.expand(frames, 1, -1) if timespans is None else c / timespans  # (T, B or 1, U)
        p = (gleak * cell.vleak).expand(frames, batch, -1)
        q = (c + gleak + self.epsilon).expand(frames, batch, -1)
        if blocks[0][0] is not None:
            sums = _sums(x, blocks[0][0])  # (2, T, B, U_s)
            index = torch.tensor(cell.sensed, device=x.device)
            p, q = p.index_add(2, index, sums[0]), q.index_add(2, index, sums[1])
        known = x.new_zeros(frames * unfolds, batch, 0)  # states before each sub-step, of the layers solved so far
        place: dict[int, int] = {}  # neuron → its place in `known`
        solved = []
        for layer, (before, within) in zip(cell.layers, blocks[1:], strict=True):
            index = torch.tensor(layer.neurons, device=x.device)
            c_k, p_k, q_k = (part.index_select(-1, index).repeat_interleave(unfolds, 0) for part in (c, p, q))
            if before is not None:
                sources = torch.tensor([place[i] for i in layer.sources], device=x.device)
                sums = _sums(known.index_select(-1, sources), before)  # (2, N, B, U_k)
                p_k, q_k = p_k + sums[0], q_k + sums[1]
            v_k = v.index_select(1, index)
            trajectory = _Solve.apply(v_k, c_k, p_k, q_k, *(within or ()))  # type: ignore[no-untyped-call]
            place |= {i: len(place) + n for n, i in enumerate(layer.neurons)}
            known = torch.cat([known, trajectory[:-1]], -1)
            solved.append(trajectory[unfolds::unfolds])
        order = torch.tensor([place[i] for i in range(self.state_size)], device=x.device)
        return torch.cat(solved, -1).index_select(-1, order)


class _PortableLTC(nn.Module):
    """A liquid layer whose loop over frames is one operator, with all synapses between neurons in each sub-step."""

    def __init__(self, layer: LTCLayer) -> None:
        super().__init__()
        cell, units = layer.rnn_cell, list(range(layer.state_size))
        self.unfolds, self.outputs = layer.ode_unfolds, layer.output_size
        self.return_sequences, self.batch_first = layer.return_sequences, layer.batch_first
        sensory = layer._synapses("sensory_", list(range(layer.input_size)), units)
        inner = layer._synapses("", units, units)
        gleak, c = layer._positive(cell.gleak), layer._positive(cell.cm) * layer.ode_unfolds
        one, none = torch.ones(1), torch.zeros(1)
        constants = {
            "scale": getattr(cell, "input_w", one), "shift": getattr(cell, "input_b", none),
            "output_scale": getattr(cell, "output_w", one), "output_shift": getattr(cell, "output_b", none),
            "sensory_slope": sensory.slope, "sensory_offset": sensory.offset, "sensory_weight": sensory.weight,
            "slope": inner.slope[:, 0], "offset": inner.offset[:, 0],
            "driven": inner.weight[..., 0], "weight": inner.weight[..., 1],
            "c": c, "p": gleak * cell.vleak, "q": c + gleak + layer.epsilon,
        }  # fmt: skip
        for name, tensor in constants.items():
            self.register_buffer(name, tensor.detach().clone())

    def forward(self, x: Tensor) -> tuple[Tensor, None]:
        """Map `(B, T, I)` to outputs `(B, T, O)`, or `(B, O)`, as the layer does from a first state of zeros."""
        own = dict(self.named_buffers())
        x = x.transpose(0, 1) if self.batch_first else x
        frames, batch = x.shape[0], x.shape[1]
        x = (x * own["scale"] + own["shift"]).flatten(0, 1)  # (T B, I)
        s = torch.sigmoid(own["sensory_offset"] + own["sensory_slope"] * x)  # (U, T B, I)
        sums = torch.bmm(s, own["sensory_weight"]).permute(2, 1, 0).unflatten(1, (frames, batch))  # (2, T, B, U)
        c, slope, offset, driven, weight = (own[name] for name in ("c", "slope", "offset", "driven", "weight"))

        def step(v: Tensor, frame: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
            for _ in range(self.unfolds):
                s = torch.sigmoid(offset + slope * v[:, None])  # (B, U, S)
                v = (c * v + frame[0] + (s * driven).sum(2)) / (frame[1] + (s * weight).sum(2))
            return v, v.clone()

        states = scan(step, x.new_zeros(batch, len(c)), (own["p"] + sums[0], own["q"] + sums[1]))  # (T, B, U)
        y = states[..., : self.outputs] * own["output_scale"] + own["output_shift"]
        if not self.return_sequences:
            return y[-1], None
        return y.transpose(0, 1) if self.batch_first else y, None


@cache
def kernels(device: str) -> Any:
    """Return the module of kernels for a type of device, or None, after one warning where something is to install."""
    names = {"cpu": ("models.kernels.ltc_cpu", "numba"), "cuda": ("models.kernels.ltc_cuda", "triton")}
    if device not in names:
        return None
    module, package = names[device]
    try:
        return importlib.import_module(module)
    except ImportError as error:
        warnings.warn(
            f"liquid layers run many times slower without {package} ({error}): pip install {package}", stacklevel=2
        )
        return None


def _kernels(x: Tensor, units: int) -> Any:
    """Return the kernels that accept these inputs `(T, B, I)`, or None for the code of this module."""
    if x.dtype != torch.float32 or torch.compiler.is_compiling() or not x.numel():
        return None
    found = kernels(x.device.type)
    return found if found is not None and found.fits(x.shape[2], units) else None


def _sums(v: Tensor, synapses: Synapses) -> Tensor:
    """Return Σ w s erev and Σ w s `(2, N, B, U)` of sources `(N, B, S)`."""
    steps, batch, _ = v.shape
    sums: Tensor = _Sums.apply(v.flatten(0, 1), *synapses)  # type: ignore[no-untyped-call]
    return sums.view(-1, steps, batch, 2).permute(3, 1, 2, 0)
