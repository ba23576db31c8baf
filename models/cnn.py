"""Small CNN on log-mel spectrograms, in the manner of PANNs (Kong et al. 2020, https://arxiv.org/abs/1912.10211).

As there: batch norm over the mel bands, blocks of two 3×3 convolutions with batch norm and ReLU, 2×2 pooling, mean
over frequency, then mean + maximum over time, a hidden layer. Different, for a few hundred clips and one processor
core: a 5×5 stem of stride 2 replaces the first block, channels are few, pooling is by maximum, levels below a floor
are raised to it, as digital silence would outweigh what is heard, and SpecAugment and mixup are left to training.
"""

from collections.abc import Sequence
from functools import partial
from typing import ClassVar

from torch import Tensor, nn

from models.base import AudioModel, ModelError
from models.frontends.logmel import LogMel
from models.layers.norm import FusedSequential


def conv_norm(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """Convolution, batch norm, ReLU."""
    return FusedSequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class Block(nn.Sequential):
    """Two convolutions, each with batch norm and ReLU."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(conv_norm(inputs, outputs, 3), conv_norm(outputs, outputs, 3))

    def forward(self, x: Tensor, pools: bool = False) -> Tensor:
        """Map `(B, C, H, W)` to `(B, C', H, W)`, or with `pools` to `(B, C', ⌈H / 2⌉, ⌈W / 2⌉)`."""
        first, second = self
        y: Tensor = second(first(x), pools=pools)
        return y


class CNN(AudioModel):
    """Stem, blocks of two convolutions and pooling, pooling over frequency and time, hidden layer, logits.

    Args:
        frontend: maps the batch's `x` to features `(B, F, T)`, a log-mel spectrogram.
        features: F.
        frames: T of one clip; clips of other lengths are accepted.
        classes: C.
        channels: of the stem and of each block.
        dropout: share of the pooled values and of the hidden layer that is dropped in training.
        floor: least level of a feature, in the feature's own unit: dB.
    """

    default_frontend = partial(LogMel, frames_per_second=50)

    inputs: ClassVar[frozenset[str]] = frozenset({"waveform"})

    def __init__(
        self,
        frontend: nn.Module,
        features: int,
        frames: int,
        classes: int,
        channels: Sequence[int] = (16, 32, 64, 128),
        dropout: float = 0.3,
        floor: float = -60.0,
    ) -> None:
        super().__init__(frontend, features, frames, classes)
        if not channels:
            raise ModelError("channels must contain at least the stem's width, e.g. [16, 32, 64, 128]")
        self.floor = floor
        self.norm = nn.BatchNorm1d(features)
        stem, *rest = channels
        self.stem = conv_norm(1, stem, 5, stride=2)
        self.blocks = nn.ModuleList()
        for inputs, outputs in zip(channels, rest, strict=False):
            self.blocks.append(Block(inputs, outputs))
        self.dropout = nn.Dropout(dropout)
        self.hidden = nn.Linear(channels[-1], channels[-1])
        self.logits = nn.Linear(channels[-1], classes)

    @property
    def output(self) -> nn.Linear:
        """The linear layer that makes the logits."""
        return self.logits

    def classify(self, features: Tensor) -> Tensor:
        """Map features `(B, F, T)` to logits `(B, C)`."""
        x = self.norm(features.clamp(min=self.floor))[:, None]  # (B, 1, F, T)
        layers = [self.stem, *self.blocks]
        for layer in layers[:-1]:
            x = layer(x, pools=True)  # (B, channels[i], F / 2^(i + 2), T / 2^(i + 2))
        x = layers[-1](x)  # of the same size
        x = x.mean(2)  # (B, channels[-1], T')
        x = x.mean(2) + x.amax(2)  # (B, channels[-1])
        x = self.hidden(self.dropout(x)).relu()
        logits: Tensor = self.logits(self.dropout(x))  # (B, C)
        return logits
