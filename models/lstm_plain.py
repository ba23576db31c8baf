"""Stacked LSTM layers without skip connections, the counterpart of `lstm-skip` in its paper's comparison.

Each layer gets the states of the layer before (Hochreiter & Schmidhuber 1997, doi:10.1162/neco.1997.9.8.1735; both
directions: Schuster & Paliwal 1997, doi:10.1109/78.650093). All else is as in `lstm-skip`: 100 units per direction,
mean over the frames that are not padding, a hidden layer of 500, features standardised by running statistics. With two
layers in two directions, 128 features and 527 labels, these are 790,127 parameters; `lstm-skip` has 1,056,527.
"""

from typing import ClassVar

import torch
from torch import Tensor, nn

from models.base import AudioModel, ModelError
from models.frontends.logmel import PooledLogMel
from models.layers.padding import Padding, check, real_frames


class LSTMPlain(AudioModel):
    """LSTM layers, mean over time, a hidden layer, logits.

    Args:
        frontend: maps the batch's `x` to features `(B, F, T)`.
        features: F.
        frames: T of one clip; clips of other lengths are accepted.
        classes: C.
        hidden: H of one direction.
        layers: number of LSTM layers.
        head_units: units of the hidden layer.
        bidirectional: whether the layers run backwards, too; backwards they start at the last real frame.
        dropout: share of the inputs of each layer but the first, and of the head, that is dropped in training.
        padding: "masked", or "unmasked" to treat padding as ordinary frames.
    """

    default_frontend = PooledLogMel

    inputs: ClassVar[frozenset[str]] = frozenset({"waveform", "embedding"})

    def __init__(
        self,
        frontend: nn.Module,
        features: int,
        frames: int,
        classes: int,
        hidden: int = 100,
        layers: int = 2,
        head_units: int = 500,
        bidirectional: bool = True,
        dropout: float = 0.5,
        padding: Padding = "masked",
    ) -> None:
        super().__init__(frontend, features, frames, classes)
        if min(hidden, layers, head_units) < 1:
            raise ModelError(f"need hidden, layers and head_units ≥ 1, got {hidden}, {layers} and {head_units}")
        check(padding)
        self.padding: Padding = padding
        ways = 1 + bidirectional
        self.standardise = nn.BatchNorm1d(features, affine=False)
        sizes = [features, *[ways * hidden] * (layers - 1)]
        self.forwards = nn.ModuleList(nn.LSTM(size, hidden, batch_first=True) for size in sizes)
        self.backwards = nn.ModuleList(nn.LSTM(size, hidden, batch_first=True) for size in sizes if bidirectional)
        self.dropout = nn.Dropout(dropout)
        self.hidden = nn.Linear(ways * hidden, head_units)
        self.logits = nn.Linear(head_units, classes)

    @property
    def output(self) -> nn.Linear:
        """The linear layer that makes the logits."""
        return self.logits

    def classify(self, features: Tensor) -> Tensor:
        """Map features `(B, F, T)` to logits `(B, C)`."""
        real = real_frames(features, self.padding)  # (B, T)
        last = real.sum(1, keepdim=True) - 1  # (B, 1)
        frames = torch.arange(features.shape[2], device=features.device)  # (T,)
        mirror = torch.where(real, last - frames, frames)[..., None]  # (B, T, 1)
        x = self.standardise(features).transpose(1, 2)  # (B, T, F)
        for i, forwards in enumerate(self.forwards):
            x = self.dropout(x) if i else x
            outputs = [forwards(x)[0]]
            if self.backwards:
                turned = x.gather(1, mirror.expand(-1, -1, x.shape[2]))
                states = self.backwards[i](turned)[0]
                outputs.append(states.gather(1, mirror.expand(-1, -1, states.shape[2])))
            x = torch.cat(outputs, 2)  # (B, T, ways H)
        x = x.masked_fill(~real[..., None], 0).sum(1) / (last + 1)  # (B, ways H)
        x = self.dropout(self.hidden(self.dropout(x)).relu())
        logits: Tensor = self.logits(x)  # (B, C)
        return logits
