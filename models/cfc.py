"""Closed-form continuous-time networks (CfC): Hasani, Lechner et al. 2022, https://arxiv.org/abs/2106.13898.

Reference: the authors' package ncps 1.0.1, whose state dicts load as they are. From z = backbone([x, h]), or [x, h]
itself where there is no backbone, and the time ts since the frame before:

    default   h' = tanh(W1 z) (1 - t) + t tanh(W2 z),  t = sigmoid((Wa z) ts + Wb z)
    no_gate   h' = tanh(W1 z) + t tanh(W2 z)
    pure      h' = A - A exp(-ts (|w_tau| + |W1 z|)) W1 z

With a wiring, one cell for each of its layers, without backbone: the sources of a cell are the layer before and itself,
and W1 and W2 are masked by the synapses from the layer before. The results equal those of ncps up to rounding.
The order of the work differs: products with inputs are computed for all frames at once, all heads are one product, and
the cells of a wiring run one after another over the whole clip. `timespans` may differ from clip to clip for any
number of clips (ncps broadcasts them along the wrong axis).
"""

from itertools import pairwise
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.base import ModelError
from models.layers.memory import LSTMCell
from models.layers.portable import scan
from models.wirings import Wiring

State = Tensor | tuple[Tensor, Tensor]
Mode = Literal["default", "pure", "no_gate"]


class LeCun(nn.Module):
    """1.7159 tanh(0.666 x)."""

    def forward(self, x: Tensor) -> Tensor:
        """Map any shape to the same."""
        return 1.7159 * torch.tanh(0.666 * x)


ACTIVATIONS = {"lecun_tanh": LeCun, "tanh": nn.Tanh, "relu": nn.ReLU, "silu": nn.SiLU, "gelu": nn.GELU}


class _CfCCell(nn.Module):
    """One cell, run over a whole sequence; names, shapes and random draws of its parameters as in ncps."""

    def __init__(
        self,
        inputs: int,
        units: int,
        mode: Mode,
        activation: str = "lecun_tanh",
        backbone_units: int = 0,
        backbone_layers: int = 0,
        backbone_dropout: float = 0.0,
        mask: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.inputs = inputs
        self.mode = mode
        self.sparsity_mask = None if mask is None else nn.Parameter(mask, requires_grad=False)
        self.backbone: nn.Sequential | None = None
        width = inputs + units
        if backbone_layers:
            layers: list[nn.Module] = []
            for before, after in pairwise([width] + backbone_layers * [backbone_units]):
                layers += [nn.Linear(before, after), ACTIVATIONS[activation]()]
                if backbone_dropout > 0 and len(layers) > 2:
                    layers.append(nn.Dropout(backbone_dropout))
            self.backbone = nn.Sequential(*layers)
            width = backbone_units
        self.ff1 = nn.Linear(width, units)
        if mode == "pure":
            self.w_tau = nn.Parameter(torch.zeros(1, units))
            self.A = nn.Parameter(torch.ones(1, units))
        else:
            self.ff2 = nn.Linear(width, units)
            self.time_a = nn.Linear(width, units)
            self.time_b = nn.Linear(width, units)
        for parameter in self.parameters():
            if parameter.dim() == 2 and parameter.requires_grad:
                nn.init.xavier_uniform_(parameter)

    def forward(self, x: Tensor, h: Tensor, spans: Tensor | None) -> Tensor:
        """Return the states `(T, B, H)` for inputs `(T, B, F)`, a first state `(B, H)` and spans `(T, B, 1)`."""
        first, offset, own, weight, bias = self._products()
        known = F.linear(x, first, offset)  # (T, B, K)
        states = []
        for t, part in enumerate(known.unbind()):
            h = self._next(h, part, 1.0 if spans is None else spans[t], own, weight, bias)
            states.append(h)
        return torch.stack(states)

    def portable(self) -> nn.Module:
        """Return the same with a loop that exports keep."""
        return _PortableCell(self)

    def _products(self) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Return weights `(K, F)` and bias of the inputs, weights of the states `(H, K)`, weights and bias of heads."""
        heads = [self.ff1] if self.mode == "pure" else [self.ff1, self.ff2, self.time_a, self.time_b]
        masks = [self.sparsity_mask] * 2 + [None] * 2
        weight = torch.cat([k.weight if m is None else k.weight * m for k, m in zip(heads, masks, strict=False)])
        bias = torch.cat([head.bias for head in heads])
        entry = None if self.backbone is None else self.backbone[0]
        first, offset = (entry.weight, entry.bias) if isinstance(entry, nn.Linear) else (weight, bias)
        return first[:, : self.inputs], offset, first[:, self.inputs :].T, weight, bias

    def _next(self, h: Tensor, part: Tensor, span: Tensor | float, own: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """Return the state `(B, H)` after one more frame."""
        z = torch.addmm(part, h, own)  # (B, K)
        if self.backbone is not None:
            z = F.linear(self.backbone[1:](z), weight, bias)
        return self._mix(z, span)

    def _mix(self, heads: Tensor, span: Tensor | float) -> Tensor:
        """Map the heads `(B, 4H)`, or `(B, H)`, to the state `(B, H)`."""
        if self.mode == "pure":
            return self.A - self.A * torch.exp(-span * (self.w_tau.abs() + heads.abs())) * heads
        ff1, ff2, a, b = heads.chunk(4, 1)
        ff1, ff2, t = ff1.tanh(), ff2.tanh(), torch.sigmoid(a * span + b)
        return ff1 + t * ff2 if self.mode == "no_gate" else ff1 * (1 - t) + t * ff2


class _PortableCell(nn.Module):
    """A cell whose loop over frames is one operator; called as the cell."""

    def __init__(self, cell: _CfCCell) -> None:
        super().__init__()
        self.cell = cell
        for name, tensor in zip(("first", "offset", "own", "weight", "bias"), cell._products(), strict=True):
            self.register_buffer(name, tensor.detach().clone())  # computed before, because OpenVINO's loop needs it

    def forward(self, x: Tensor, h: Tensor, spans: Tensor | None) -> Tensor:
        known = F.linear(x, self.get_buffer("first"), self.get_buffer("offset"))  # (T, B, K)
        own, weight, bias = self.get_buffer("own"), self.get_buffer("weight"), self.get_buffer("bias")

        def step(h: Tensor, frame: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
            h = self.cell._next(h, frame[0], frame[1] if len(frame) > 1 else 1.0, own, weight, bias)
            return h, h.clone()

        return scan(step, h, (known,) if spans is None else (known, spans))


class _WiredCell(nn.Module):
    """`layer_0` and so on, a cell for each layer of a wiring; the state holds the layers in this order."""

    def __init__(self, inputs: int, wiring: Wiring, mode: Mode) -> None:
        super().__init__()
        matrix = wiring.build(inputs)
        self.sizes = [len(layer) for layer in wiring.layers]
        before: list[int] | None = None
        for n, layer in enumerate(wiring.layers):
            heard = matrix[:, layer] if before is None else wiring.adjacency_matrix[np.ix_(before, layer)]
            mask = np.concatenate([np.abs(heard), np.ones((len(layer), len(layer)))]).T
            cell = _CfCCell(len(heard), len(layer), mode, mask=torch.tensor(mask, dtype=torch.get_default_dtype()))
            self.add_module(f"layer_{n}", cell)
            before = list(layer)

    def forward(self, x: Tensor, h: Tensor, spans: Tensor | None) -> Tensor:
        """Return the states after each frame `(T, B, H)`, the last layer's last."""
        states = []
        for cell, state in zip(self.children(), torch.split(h, self.sizes, 1), strict=True):
            x = cell(x, state, spans)
            states.append(x)
        return torch.cat(states, 2)


class CfCLayer(nn.Module):
    """Recurrent layer of closed-form neurons; arguments and state dict as in `ncps.torch.CfC`.

    Args:
        input_size: I.
        units: number of neurons, or a wiring.
        proj_size: O of a linear map of the outputs; None leaves them.
        return_sequences: whether to return the outputs of all frames or of the last one.
        batch_first: whether sequences are `(B, T, ...)` or `(T, B, ...)`.
        mixed_memory: whether an LSTM cell updates the state before each frame.
        mode: "default", "pure" or "no_gate", see above.
        activation: of the backbone: lecun_tanh, tanh, relu, silu or gelu.
        backbone_units: units of each layer of the backbone, 128 by default; a wiring has none.
        backbone_layers: number of its layers, 1 by default.
        backbone_dropout: share dropped after each of its layers but the first.
    """

    def __init__(
        self,
        input_size: int,
        units: int | Wiring,
        proj_size: int | None = None,
        return_sequences: bool = True,
        batch_first: bool = True,
        mixed_memory: bool = False,
        mode: Mode = "default",
        activation: str = "lecun_tanh",
        backbone_units: int | None = None,
        backbone_layers: int | None = None,
        backbone_dropout: float | None = None,
    ) -> None:
        super().__init__()
        if mode not in ("default", "pure", "no_gate"):
            raise ModelError(f"mode is 'default', 'pure' or 'no_gate', not {mode!r}")
        if activation not in ACTIVATIONS:
            raise ModelError(f"activation is one of {', '.join(ACTIVATIONS)}, not {activation!r}")
        self.input_size = input_size
        self.return_sequences = return_sequences
        self.batch_first = batch_first
        if isinstance(units, Wiring):
            if (backbone_units, backbone_layers, backbone_dropout) != (None, None, None):
                raise ModelError("a wired CfC has no backbone: leave its arguments out")
            self.state_size, self.output_size = units.units, len(units.layers[-1])
            self.rnn_cell: nn.Module = _WiredCell(input_size, units, mode)
        elif not isinstance(units, int):
            raise ModelError(f"units is a number or a wiring of models.wirings, not {type(units).__name__}")
        else:
            self.state_size = self.output_size = units
            self.rnn_cell = _CfCCell(
                input_size, units, mode, activation,
                128 if backbone_units is None else backbone_units,
                1 if backbone_layers is None else backbone_layers,
                backbone_dropout or 0.0,
            )  # fmt: skip
        self.lstm = LSTMCell(input_size, self.state_size) if mixed_memory else None
        self.fc = nn.Identity() if proj_size is None else nn.Linear(self.output_size, proj_size)

    def forward(self, x: Tensor, state: State | None = None, timespans: Tensor | None = None) -> tuple[Tensor, State]:
        """Run over a batch of sequences.

        Args:
            x: `(B, T, I)`.
            state: first state `(B, U)`, with mixed memory a pair of them; zeros where None.
            timespans: time since the frame before, of a shape that broadcasts to `(B, T)`; 1 where None.

        Returns:
            Outputs `(B, T, O)`, or `(B, O)` of the last frame, and the last state.

        Raises:
            ModelError: x is of another shape, or the state of another kind.
        """
        if x.dim() != 3 or x.shape[-1] != self.input_size:
            raise ModelError(f"CfCLayer takes sequences (B, T, {self.input_size}), got {tuple(x.shape)}")
        if state is not None and isinstance(state, tuple) != (self.lstm is not None):
            raise ModelError("the state is a pair (h, c) with mixed_memory and one tensor otherwise")
        if self.batch_first:
            x = x.transpose(0, 1)  # (T, B, I)
            timespans = None if timespans is None else timespans.mT if timespans.dim() > 1 else timespans[..., None]
        if timespans is not None:
            timespans = timespans.to(x).expand(x.shape[:2])[..., None]  # (T, B, 1)
        h, memory = state if isinstance(state, tuple) else (state, None)
        h = x.new_zeros(x.shape[1], self.state_size) if h is None else h
        if self.lstm is None:
            states = self.rnn_cell(x, h, timespans)  # (T, B, U)
            last: State = states[-1]
        else:
            memory = torch.zeros_like(h) if memory is None else memory
            frames = []
            for t in range(len(x)):
                h, memory = self.lstm(x[t], h, memory)
                frames.append(self.rnn_cell(x[t : t + 1], h, None if timespans is None else timespans[t : t + 1]))
                h = frames[-1][-1]
            states, last = torch.cat(frames), (h, memory)
        y = states[..., -self.output_size :]  # (T, B, O)
        if not self.return_sequences:
            return self.fc(y[-1]), last
        return self.fc(y.transpose(0, 1) if self.batch_first else y), last
