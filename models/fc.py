"""Fully connected baseline on AudioSet's embeddings: 10 × 128 values, 500 units, 527 labels, 904,527 parameters.

The features, and the hidden units before their ReLU, are standardised by running statistics, which have no parameters.
That and dropout are ours.
"""

from typing import ClassVar

from torch import Tensor, nn

from models.base import AudioModel, ModelError


class FC(AudioModel):
    """Features flattened, one hidden layer with ReLU, logits.

    Args:
        frontend: maps the batch's `x` to features `(B, F, T)`.
        features: F.
        frames: T; clips of another length are refused.
        classes: C.
        hidden: units of the hidden layer.
        dropout: share of the hidden units that is dropped in training.
        input_dropout: share of the standardised features that is dropped in training.
    """

    inputs: ClassVar[frozenset[str]] = frozenset({"waveform", "embedding"})

    def __init__(
        self,
        frontend: nn.Module,
        features: int,
        frames: int,
        classes: int,
        hidden: int = 500,
        dropout: float = 0.5,
        input_dropout: float = 0.3,
    ) -> None:
        super().__init__(frontend, features, frames, classes)
        self.standardise = nn.BatchNorm1d(features, affine=False)
        self.input_dropout = nn.Dropout(input_dropout)
        self.hidden = nn.Linear(features * frames, hidden)
        self.level = nn.BatchNorm1d(hidden, affine=False)
        self.dropout = nn.Dropout(dropout)
        self.logits = nn.Linear(hidden, classes)

    @property
    def output(self) -> nn.Linear:
        """The linear layer that makes the logits."""
        return self.logits

    def classify(self, features: Tensor) -> Tensor:
        """Map features `(B, F, T)` to logits `(B, C)`."""
        if features.shape[1:] != (self.features, self.frames):
            raise ModelError(
                f"this FC was built for {self.features} features in {self.frames} frames, got "
                f"{features.shape[1]} in {features.shape[2]}: cut or pad the clips to one length"
            )
        x = self.input_dropout(self.standardise(features)).flatten(1)  # (B, F T)
        x = self.dropout(self.level(self.hidden(x)).relu())  # (B, hidden)
        logits: Tensor = self.logits(x)  # (B, C)
        return logits
