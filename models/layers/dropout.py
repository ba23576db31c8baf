"""Dropout that is cheap on the CPU: sixteen random bits a value, where torch draws a full number for each."""

import torch
from torch import Tensor, nn

LEVELS = 1 << 16


class CheapDropout(nn.Dropout):
    """`nn.Dropout` with other random numbers; on the CPU `p` is rounded to 1/65,536.

    The random numbers come from torch's generator, so a seed repeats them. It is faster where the next layer is small.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Zero a share `p` of the values, of any shape, and scale the rest by 1 / (1 - p)."""
        if not self.training or input.device.type != "cpu" or not 0 < self.p < 1:
            return super().forward(input)
        words = torch.empty((input.numel() + 3) // 4, dtype=torch.int64).random_(-(1 << 63), None)
        draws = words.view(torch.int16)[: input.numel()].view(input.shape)
        dropped = min(round(self.p * LEVELS), LEVELS - 1)
        kept = (draws >= dropped - LEVELS // 2).to(input.dtype)
        return input * kept.mul_(LEVELS / (LEVELS - dropped))
