"""Self-normalising network on single frames (SELU: Klambauer et al. 2017, https://arxiv.org/abs/1706.02515).

SwishNet's baseline "SNN" (Hussain & Haque 2018, https://arxiv.org/abs/1812.00149): 20 MFCC with their first and second
differences, 60 - 512 - 256 - 64 - C, 179,203 parameters for three classes, as published. The 60 inputs make it a
network on single frames. The paper does not say how decisions on frames become a decision on the clip. Here the clip's
logits are the mean of its frames' logits, which for softmax is the normalised product of the frames' probabilities.

Coefficients are standardised by running statistics (no parameters); initialisation and dropout are those of SELU.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, ClassVar

from torch import Tensor, nn

from models.base import AudioModel, ModelError
from models.frontends.mfcc import MFCCDeltas
from models.layers.framing import Blocks, Framing, Stage


class SNN(AudioModel):
    """Linear layers with SELU and alpha dropout on each frame, mean of the frames' logits.

    Args:
        frontend: maps the batch's `x` to features `(B, F, T)`, 20 MFCC and their differences in the paper.
        features: F.
        frames: T of one clip; clips of other lengths are accepted.
        classes: C.
        hidden: units of the hidden layers.
        dropout: rate of alpha dropout after each of them.
    """

    default_frontend = MFCCDeltas

    inputs: ClassVar[frozenset[str]] = frozenset({"waveform"})
    clip_seconds = 2.0

    def __init__(
        self,
        frontend: nn.Module,
        features: int,
        frames: int,
        classes: int,
        hidden: Sequence[int] = (512, 256, 64),
        dropout: float = 0.05,
    ) -> None:
        super().__init__(frontend, features, frames, classes)
        if not hidden:
            raise ModelError("hidden must contain the units of at least one layer, e.g. [512, 256, 64]")
        self.standardise = nn.BatchNorm1d(features, affine=False)
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise([features, *hidden]):
            layers += [nn.Linear(inputs, outputs), nn.SELU(), nn.AlphaDropout(dropout)]
        self.hidden = nn.Sequential(*layers)
        self.logits = nn.Linear(hidden[-1], classes)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.kaiming_normal_(module.weight, nonlinearity="linear")  # LeCun's: variance 1 / inputs
                nn.init.zeros_(module.bias)

    @property
    def output(self) -> nn.Linear:
        """The linear layer that makes the logits."""
        return self.logits

    def frame_logits(self, features: Tensor) -> Tensor:
        """Map features `(B, F, T)` to logits `(B, T, C)` of a decision at each frame."""
        x = self.standardise(features).transpose(1, 2)  # (B, T, F)
        logits: Tensor = self.logits(self.hidden(x))  # (B, T, C)
        return logits

    def framing(self) -> Framing:
        """Return where the decisions lie: at every frame, from this frame alone."""
        return Framing()

    def stage(self) -> Stage:
        """Return a stage without a state."""
        return Blocks(lambda features: self.frame_logits(features).transpose(1, 2), self.framing())

    def stream(self, features: Tensor) -> Tensor:
        """Return the frames of features `(B, F, T)` as they are."""
        return features

    def step(self, frame: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Map one more frame `(B, F)` to the mean of the frames' logits so far `(B, C)`, and the state."""
        total, count = (0, 0) if state is None else state
        total, count = total + self.frame_logits(frame[..., None])[:, 0], count + 1
        return total / count, (total, count)

    def classify(self, features: Tensor) -> Tensor:
        """Map features `(B, F, T)` to logits `(B, C)`."""
        return self.frame_logits(features).mean(1)
