"""Linear probe (Alain & Bengio 2016, https://arxiv.org/abs/1610.01644): how well one linear layer separates embeddings.

The mean over time of features or embeddings is standardised by running statistics, which have no parameters, and mapped
to logits. With `weight_decay` in the recipe it is logistic regression with a penalty on the weights.
"""

from typing import ClassVar

from torch import Tensor, nn

from models.base import AudioModel
from models.frontends.logmel import PooledLogMel


class LinearProbe(AudioModel):
    """Mean over time, standardised; one linear layer.

    Args:
        frontend: maps the batch's `x` to features `(B, F, T)`.
        features: F.
        frames: T of one clip; clips of other lengths are accepted.
        classes: C.
    """

    default_frontend = PooledLogMel

    inputs: ClassVar[frozenset[str]] = frozenset({"waveform", "embedding"})

    def __init__(self, frontend: nn.Module, features: int, frames: int, classes: int) -> None:
        super().__init__(frontend, features, frames, classes)
        self.standardise = nn.BatchNorm1d(features, affine=False)
        self.logits = nn.Linear(features, classes)

    @property
    def output(self) -> nn.Linear:
        """The linear layer."""
        return self.logits

    def classify(self, features: Tensor) -> Tensor:
        """Map features `(B, F, T)` to logits `(B, C)`."""
        logits: Tensor = self.logits(self.standardise(features.mean(2)))
        return logits
