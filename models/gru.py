"""GRU on MFCC, SwishNet's rival in its authors' earlier report (S. Hussain & Dey, course report, BUET, 2018).

One convolution over 3 frames with 32 channels and ReLU, one GRU of 32 units (Cho et al. 2014,
https://arxiv.org/abs/1406.1078), its state after the last frame, logits. On 20 coefficients and for three classes
these are the published 8,387 parameters: 1,952 + 6,336 + 99. The GRU has two biases per gate, as cuDNN's has, and the
authors' code used that one. The published figures are for clips of 0.5, 1 and 2 s. The report's code also has a
variant with SwishNet's first block in the place of the convolution, which would have 9,179.

Difference: coefficients are standardised by running statistics (no parameters).
"""

from typing import ClassVar

from torch import Tensor, nn

from models.base import AudioModel
from models.frontends.mfcc import MFCC


class GRU(AudioModel):
    """Convolution, GRU, logits of its last state.

    Args:
        frontend: maps the batch's `x` to features `(B, F, T)`, 20 MFCC at 100 frames a second in the report.
        features: F.
        frames: T of one clip; clips of other lengths are accepted.
        classes: C.
        channels: of the convolution.
        units: of the GRU.
        dropout: share of the values that is dropped in training, before the GRU and after it.
    """

    default_frontend = MFCC

    inputs: ClassVar[frozenset[str]] = frozenset({"waveform"})
    clip_seconds = 2.0

    def __init__(
        self,
        frontend: nn.Module,
        features: int,
        frames: int,
        classes: int,
        channels: int = 32,
        units: int = 32,
        dropout: float = 0.1,
    ) -> None:
        super().__init__(frontend, features, frames, classes)
        self.standardise = nn.BatchNorm1d(features, affine=False)
        self.convolution = nn.Conv1d(features, channels, 3, padding=1)
        self.gru = nn.GRU(channels, units, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.logits = nn.Linear(units, classes)

    @property
    def output(self) -> nn.Linear:
        """The linear layer that makes the logits."""
        return self.logits

    def classify(self, features: Tensor) -> Tensor:
        """Map features `(B, F, T)` to logits `(B, C)`."""
        x = self.dropout(self.convolution(self.standardise(features)).relu())  # (B, 32, T)
        states: Tensor = self.gru(x.transpose(1, 2))[0]  # (B, T, H)
        logits: Tensor = self.logits(self.dropout(states[:, -1]))  # (B, C)
        return logits
