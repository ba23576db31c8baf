"""The LSTM cell of `mixed_memory`, which liquid and closed-form layers share."""

import torch
from torch import Tensor, nn


class LSTMCell(nn.Module):
    """LSTM cell as in ncps 1.0.1: forget bias +1, no bias in the recurrent map.

    Args:
        inputs: I.
        units: U.
    """

    def __init__(self, inputs: int, units: int) -> None:
        super().__init__()
        self.input_map = nn.Linear(inputs, 4 * units)
        self.recurrent_map = nn.Linear(units, 4 * units, bias=False)
        nn.init.xavier_uniform_(self.input_map.weight)
        nn.init.uniform_(self.input_map.bias, -0.1, 0.1)
        nn.init.orthogonal_(self.recurrent_map.weight)

    def forward(self, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """Map inputs `(B, I)` and the states `(B, U)` to the next states."""
        new, enter, forget, leave = (self.input_map(x) + self.recurrent_map(h)).chunk(4, 1)
        c = c * torch.sigmoid(forget + 1) + torch.tanh(new) * torch.sigmoid(enter)
        return torch.tanh(c) * torch.sigmoid(leave), c
