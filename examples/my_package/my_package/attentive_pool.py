"""Attention over the frames, as a pooling of features."""

import torch
from torch import Tensor, nn

from models.base import AudioModel


class AttentivePool(AudioModel):
    """A convolution over time, frames weighted by attention, logits.

    Args:
        frontend: maps the batch's `x` to features `(B, F, T)`.
        features: F.
        frames: T.
        classes: C.
        hidden: channels H of the convolution.
    """

    def __init__(self, frontend: nn.Module, features: int, frames: int, classes: int, hidden: int = 32) -> None:
        super().__init__(frontend, features, frames, classes)
        self.norm = nn.BatchNorm1d(features)
        self.conv = nn.Conv1d(features, hidden, 5, padding=2)
        self.attention = nn.Conv1d(hidden, 1, 1)
        self.logits = nn.Linear(hidden, classes)

    @property
    def output(self) -> nn.Linear:
        """The linear layer that makes the logits."""
        return self.logits

    def classify(self, features: Tensor) -> Tensor:
        """Map features `(B, F, T)` to logits `(B, C)`."""
        x = self.conv(self.norm(features)).relu()  # (B, H, T)
        weights = torch.softmax(self.attention(x), 2)  # (B, 1, T)
        logits: Tensor = self.logits((weights * x).sum(2))
        return logits
