"""Wavegram: a spectrogram whose bands are learned from the samples by convolutions.

`Wavegram` is the one of PANNs (Kong et al. 2020, https://arxiv.org/abs/1912.10211): a convolution of 11 samples every
5, then three blocks of two convolutions (the second dilated) that pool time by 4; 128 channels every 320 samples. The
paper's models then process them as 32 bands in 4 channels by a two-dimensional block, which is part of the models.

`StridedWavegram` is for RANN: a talk on it ("multiple features") names a learned front-end, which its published counts
do not include. Its layers are not published; these are our choice, and can be changed by arguments: four strided
convolutions, each with batch norm and leaky ReLU as in RANN's blocks, up to 128 channels, the number of mel bands;
strides 5, 4, 4, 4, so 320 samples as in RANN's spectrogram at 44.1 kHz; each kernel is twice its stride plus one, so
that windows overlap.
"""

import math
from collections.abc import Sequence
from fractions import Fraction

import torch.nn.functional as F
from torch import Tensor, nn

from models.base import Frontend, ModelError
from models.layers.framing import Framing


class WaveBlock(nn.Module):
    """Two convolutions over time, the second dilated, each with batch norm and ReLU, then maximum pooling by 4."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(inputs, outputs, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm1d(outputs)
        self.conv2 = nn.Conv1d(outputs, outputs, 3, padding=2, dilation=2, bias=False)
        self.bn2 = nn.BatchNorm1d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Map `(B, C, S)` to `(B, C', S / 4)`."""
        x = F.relu_(self.bn1(self.conv1(x)))
        x = F.relu_(self.bn2(self.conv2(x)))
        return F.max_pool1d(x, 4)


class Wavegram(Frontend):
    """Waveform `(B, S)` to learned bands `(B, F, T)`, T = S / (stride · 4^blocks), 320 in the paper, rounded down.

    Args:
        sample_rate: of the waveform, in hertz.
        channels: channels of the first convolution and of each block; the last is F.
        kernel: samples of the first convolution's kernel, odd.
        stride: stride of the first convolution, in samples.

    Raises:
        ModelError: the arguments are out of range, or a clip is shorter than one frame.
    """

    def __init__(
        self, sample_rate: int, channels: Sequence[int] = (64, 64, 128, 128), kernel: int = 11, stride: int = 5
    ) -> None:
        super().__init__()
        if len(channels) < 2 or min(channels) < 1 or kernel % 2 == 0 or stride < 1:
            raise ModelError(
                f"need two or more channels ≥ 1, an odd kernel and stride ≥ 1, "
                f"got {tuple(channels)}, {kernel}, {stride}"
            )
        self.hop = self.least_samples = stride * 4 ** (len(channels) - 1)
        self.frame_rate = sample_rate / self.hop
        self.conv = nn.Conv1d(1, channels[0], kernel, stride, padding=kernel // 2, bias=False)
        self.bn = nn.BatchNorm1d(channels[0])
        self.blocks = nn.Sequential(*map(WaveBlock, channels[:-1], channels[1:]))
        _initialise(self)

    def forward(self, waveform: Tensor) -> Tensor:
        """Map `(B, S)` to `(B, F, T)`."""
        _check_length(waveform, self.hop)
        x = F.relu_(self.bn(self.conv(waveform[:, None].to(self.conv.weight))))
        bands: Tensor = self.blocks(x)
        return bands

    def framing(self) -> Framing:
        """Return where the frames lie among the samples."""
        stride, reach = self.conv.stride[0], self.conv.kernel_size[0] // 2
        found = Framing(stride=Fraction(stride), before=reach, after=reach + 1)
        block = Framing(before=3, after=4).then(Framing(stride=Fraction(4), centre=1.5, after=4))
        for _ in self.blocks:
            found = found.then(block)
        return found

    def macs(self, samples: int) -> int:
        """Return the multiply-adds of the convolutions for one clip of `samples` samples."""
        frames = _outputs(self.conv, samples)
        total = frames * self.conv.weight.numel()
        for block in self.blocks:
            assert isinstance(block, WaveBlock)
            total += frames * (block.conv1.weight.numel() + block.conv2.weight.numel())
            frames //= 4
        return total


class StridedWavegram(Frontend):
    """Waveform `(B, S)` to learned bands `(B, F, T)`, T = ceil(S / product of the strides).

    Args:
        sample_rate: of the waveform, in hertz.
        channels: channels of each convolution; the last is F.
        strides: stride of each convolution.

    Raises:
        ModelError: there is not one stride ≥ 1 for each number of channels ≥ 1.
    """

    def __init__(
        self,
        sample_rate: int,
        channels: Sequence[int] = (32, 64, 128, 128),
        strides: Sequence[int] = (5, 4, 4, 4),
    ) -> None:
        super().__init__()
        if not channels or len(channels) != len(strides) or min(*channels, *strides) < 1:
            raise ModelError(f"need a stride ≥ 1 for each channels ≥ 1, got {tuple(channels)} and {tuple(strides)}")
        self.frame_rate = sample_rate / math.prod(strides)
        layers: list[nn.Module] = []
        inputs = 1
        for outputs, stride in zip(channels, strides, strict=True):
            layers += [
                nn.Conv1d(inputs, outputs, 2 * stride + 1, stride, padding=stride, bias=False),
                nn.BatchNorm1d(outputs),
                nn.LeakyReLU(),
            ]
            inputs = outputs
        self.layers = nn.Sequential(*layers)
        _initialise(self)

    def forward(self, waveform: Tensor) -> Tensor:
        """Map `(B, S)` to `(B, F, T)`."""
        bands: Tensor = self.layers(waveform[:, None].to(next(self.parameters())))
        return bands

    def framing(self) -> Framing:
        """Return where the frames lie among the samples."""
        found = Framing()
        for layer in self.layers:
            if isinstance(layer, nn.Conv1d):
                stride = layer.stride[0]
                found = found.then(Framing(stride=Fraction(stride), before=stride, after=stride + 1))
        return found

    def macs(self, samples: int) -> int:
        """Return the multiply-adds of the convolutions for one clip of `samples` samples."""
        total = 0
        for layer in self.layers:
            if isinstance(layer, nn.Conv1d):
                samples = _outputs(layer, samples)
                total += samples * layer.weight.numel()
        return total


def _initialise(module: nn.Module) -> None:
    """Initialise convolutions as PANNs do: uniform, with Glorot's variance."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv1d):
            nn.init.xavier_uniform_(layer.weight)


def _outputs(conv: nn.Conv1d, samples: int) -> int:
    """Return the number of output values of the convolution for `samples` input values."""
    padding = conv.padding[0]
    assert isinstance(padding, int)
    return (samples + 2 * padding - conv.kernel_size[0]) // conv.stride[0] + 1


def _check_length(waveform: Tensor, hop: int) -> None:
    """Raise `ModelError` for clips shorter than a frame."""
    if waveform.shape[1] < hop:
        raise ModelError(f"a clip of {waveform.shape[1]} samples is shorter than one frame of {hop}: pad it with zeros")
