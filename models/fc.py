"""Fully connected baseline on AudioSet's embeddings: 10 × 128 values, 500 units, 527 labels, 904,527 parameters.

The features, and the hidden units before their ReLU, are standardised by running statistics, which have no parameters.
That and dropout are ours. Frames at the end that are all zero are padding; "unmasked" they are standardised as any
other, "masked" they are 0 to the hidden layer, what an average frame is.
"""

from typing import ClassVar

from torch import Tensor, nn

from models.base import AudioModel, ModelError
from models.frontends.logmel import PooledLogMel
from models.layers.dropout import CheapDropout
from models.layers.initialisation import Initialisation, initialise
from models.layers.numpy_linear import NumpyLinear
from models.layers.padding import Padding, check, real_frames


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
        initialisation: how the layers are drawn, see `models.layers.initialisation`.
        padding: whether padding is "masked" or an "unmasked" frame like the others.
        numpy: whether NumPy computes the layers' products and gradients in training, to compare frameworks.
    """

    default_frontend = PooledLogMel

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
        initialisation: Initialisation = "default",
        padding: Padding = "unmasked",
        numpy: bool = False,
    ) -> None:
        super().__init__(frontend, features, frames, classes)
        check(padding)
        self.padding: Padding = padding
        self.standardise = nn.BatchNorm1d(features, affine=False)
        self.input_dropout = CheapDropout(input_dropout)
        linear = NumpyLinear if numpy else nn.Linear
        self.hidden = linear(features * frames, hidden)
        self.level = nn.BatchNorm1d(hidden, affine=False)
        self.dropout = CheapDropout(dropout)
        self.logits = linear(hidden, classes)
        initialise(self, initialisation)

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
        x = features.mT.flatten(0, 1)  # (B·T, F), which is how embeddings lie in memory
        x = self.input_dropout(self.standardise(x)).unflatten(0, (-1, self.frames))  # (B, T, F)
        if self.padding == "masked":
            x = x * real_frames(features, self.padding)[:, :, None]
        x = self.dropout(self.level(self.hidden(x.flatten(1))).relu())  # (B, hidden)
        logits: Tensor = self.logits(x)  # (B, C)
        return logits
