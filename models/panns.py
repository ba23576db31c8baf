"""PANNs: CNN6/10/14, ResNet22/38/54, MobileNetV1/V2, Wavegram-CNN and Wavegram-Logmel-CNN for audio tagging.

Kong et al. 2020, https://arxiv.org/abs/1912.10211. Modules and parameters have the names of the authors' checkpoints,
which `load_official` reads (`Cnn14_mAP=0.431.pth` and similar). Three differences: `scale` makes a smaller model of
the same structure, SpecAugment and mixup belong to the training recipe, and the models return logits.

The published multiply-adds follow another convention, see `bench complexity --convention panns`; with it, and with the
front-end `logmel-panns` (one frame more than 100 a second), the ten counts come out exactly.
"""

from abc import abstractmethod
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models import checkpoints
from models.base import AudioModel, Frontend, ModelError
from models.checkpoints import Loaded
from models.frontends.logmel import LogMel
from models.frontends.waveform import Waveform
from models.frontends.wavegram import WaveBlock
from models.layers.framing import Framing
from models.layers.norm import FusedSequential, normalised


class ConvBlock(nn.Module):
    """Two 3×3 convolutions, or one 5×5, each with batch norm and ReLU, then average pooling."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 3) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.two = kernel == 3
        if self.two:
            self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
            self.bn2 = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor, pool: tuple[int, int] = (2, 2)) -> Tensor:
        """Map `(B, C, T, F)` to `(B, C', T / pool[0], F / pool[1])`."""
        x = normalised(self.bn1, self.conv1(x), F.relu_)
        if self.two:
            x = normalised(self.bn2, self.conv2(x), F.relu_)
        return x if pool == (1, 1) else F.avg_pool2d(x, pool)


class PANN(AudioModel):
    """Common parts of all PANNs: norm over mel bands, a body of convolutions, pooling, one hidden layer, logits.

    Args:
        frontend: maps the batch's `x` to a log-mel spectrogram `(B, F, T)`; for Wavegrams to the waveform `(B, 1, S)`.
        features: F, 64 in the paper.
        frames: T of one clip; clips of other lengths are accepted.
        classes: C.
        scale: multiplier of all numbers of channels; 1 in the paper.
        weights: path of a published checkpoint to start from, see `load_official`.
    """

    default_frontend: ClassVar[Any] = partial(LogMel, closing_frame=True)

    inputs: ClassVar[frozenset[str]] = frozenset({"waveform"})
    clip_seconds = 10.0
    hidden: ClassVar[tuple[int, int]] = (2048, 2048)
    """Channels of the body's maps and of the hidden layer."""
    pooled_dropout: ClassVar[float] = 0.5
    reduction: ClassVar[int] = 32
    """Frames and bands of the spectrogram for one of the body's maps."""
    padded_frames = reduction
    map_frames: ClassVar[int] = 32
    """Frames of the features from one frame of the last maps to the next."""

    def __init__(
        self,
        frontend: nn.Module,
        features: int,
        frames: int,
        classes: int,
        scale: float = 1.0,
        weights: str | None = None,
    ) -> None:
        super().__init__(frontend, features, frames, classes)
        if scale <= 0:
            raise ModelError(f"scale must be > 0, got {scale}")
        self.scale = scale
        self.bn0 = nn.BatchNorm2d(self._bands)
        self._build()
        maps, hidden = map(self.channels, self.hidden)
        self.fc1 = nn.Linear(maps, hidden)
        self.fc_audioset = nn.Linear(hidden, classes)
        for module in self.modules():
            if isinstance(module, (nn.Conv1d, nn.Conv2d, nn.Linear)):
                nn.init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            if isinstance(module, (BasicBlock, Bottleneck)):
                nn.init.zeros_(module.last.weight)
        if weights is not None:
            self.load_weights(weights)

    def load_weights(self, path: str | Path) -> Loaded:
        """Load a checkpoint, see `load_official`."""
        self.loaded = load_official(self, Path(path))
        return self.loaded

    @property
    def _bands(self) -> int:
        """Bands of the spectrogram."""
        return self.features

    def channels(self, number: int) -> int:
        """Return a published number of channels, scaled."""
        return max(1, round(self.scale * number))

    @abstractmethod
    def _build(self) -> None:
        """Make the body."""

    @abstractmethod
    def _body(self, x: Tensor) -> Tensor:
        """Map a normalised spectrogram `(B, 1, T, F)` to maps `(B, C, T', F')`."""

    def normalised(self, spectrogram: Tensor) -> Tensor:
        """Map a spectrogram `(B, F, T)` to `(B, 1, T, F)`, each band normalised; short ones are padded with silence."""
        short = [max(0, self.reduction - size) for size in spectrogram.shape[1:]]
        x = self.bn0(spectrogram[:, :, :, None])  # (B, F, T, 1)
        return F.pad(x.permute(0, 3, 2, 1), (0, short[0], 0, short[1]))

    @property
    def output(self) -> nn.Linear:
        """The linear layer that makes the logits."""
        return self.fc_audioset

    def classify(self, features: Tensor) -> Tensor:
        """Map features `(B, F, T)` to logits `(B, C)`."""
        x = self.maps(features).mean(3)  # (B, C, T')
        return self.head(x.amax(2) + x.mean(2))

    def maps(self, features: Tensor) -> Tensor:
        """Map features `(B, F, T)` to the last maps `(B, C, T', F')`."""
        return self._body(self.normalised(features))

    def frame_logits(self, features: Tensor) -> Tensor:
        """Map features `(B, F, T)` to logits `(B, T', C)` of each frame of the last maps, as of a clip of this frame.

        The maximum plus the mean of a single frame is twice its value.
        """
        return self.head(2 * self.maps(features).mean(3).transpose(1, 2))

    def framing(self) -> Framing:
        """Return where the frames of the last maps lie; each may depend on all of the clip."""
        return Framing(stride=Fraction(self.map_frames), centre=(self.map_frames - 1) / 2, before=None, after=None)

    def head(self, x: Tensor) -> Tensor:
        """Map maps `(..., C)` pooled over bands and time to logits `(..., C)`."""
        x = F.relu_(self.fc1(F.dropout(x, self.pooled_dropout, self.training)))
        logits: Tensor = self.fc_audioset(x)
        return logits

    def dropped(self, x: Tensor) -> Tensor:
        """Drop a fifth of the values in training."""
        return F.dropout(x, 0.2, self.training)


class CNN(PANN):
    """Blocks `conv_block1` to `conv_block{n}`; the last one pools only where it is the fourth."""

    widths: ClassVar[tuple[int, ...]]
    kernel: ClassVar[int] = 3

    def _build(self) -> None:
        widths = [1, *map(self.channels, self.widths)]
        for n, (inputs, outputs) in enumerate(pairwise(widths), start=1):
            self.add_module(f"conv_block{n}", ConvBlock(inputs, outputs, self.kernel))

    def _body(self, x: Tensor) -> Tensor:
        return self.blocks(x, 1)

    def blocks(self, x: Tensor, first: int) -> Tensor:
        """Run the blocks from number `first` on."""
        for n in range(first, len(self.widths) + 1):
            x = self.dropped(getattr(self, f"conv_block{n}")(x, (1, 1) if n == 6 else (2, 2)))
        return x


class CNN6(CNN):
    """Four blocks of one 5×5 convolution."""

    map_frames = 16
    widths = (64, 128, 256, 512)
    kernel = 5
    hidden = (512, 512)


class CNN10(CNN):
    """Four blocks of two 3×3 convolutions."""

    map_frames = 16
    widths = (64, 128, 256, 512)
    hidden = (512, 512)


class CNN14(CNN):
    """Six blocks of two 3×3 convolutions."""

    widths = (64, 128, 256, 512, 1024, 2048)


class BasicBlock(nn.Module):
    """Residual block of two 3×3 convolutions; one of stride 2 averages its input over 2×2 first."""

    expansion = 1

    def __init__(self, inputs: int, width: int, stride: int, shortcut: nn.Module | None) -> None:
        super().__init__()
        self.stride = stride
        self.conv1 = nn.Conv2d(inputs, width, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU()
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = shortcut

    @property
    def last(self) -> nn.BatchNorm2d:
        """The norm before the addition; its scale starts at 0."""
        return self.bn2

    def forward(self, x: Tensor) -> Tensor:
        """Map `(B, C, T, F)` to `(B, C', T / stride, F / stride)`."""
        identity = x if self.downsample is None else self.downsample(x)
        x = F.avg_pool2d(x, 2) if self.stride == 2 else x
        x = F.dropout(normalised(self.bn1, self.conv1(x), self.relu), 0.1, self.training)
        added: Tensor = self.relu(normalised(self.bn2, self.conv2(x)) + identity)
        return added


class Bottleneck(nn.Module):
    """Residual block of a 1×1, a 3×3 and a 1×1 convolution; one of stride 2 averages its input over 2×2 first."""

    expansion = 4

    def __init__(self, inputs: int, width: int, stride: int, shortcut: nn.Module | None) -> None:
        super().__init__()
        self.stride = stride
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, 4 * width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * width)
        self.relu = nn.ReLU()
        self.downsample = shortcut

    @property
    def last(self) -> nn.BatchNorm2d:
        """The norm before the addition; its scale starts at 0."""
        return self.bn3

    def forward(self, x: Tensor) -> Tensor:
        """Map `(B, C, T, F)` to `(B, C', T / stride, F / stride)`."""
        identity = x if self.downsample is None else self.downsample(x)
        x = F.avg_pool2d(x, 2) if self.stride == 2 else x
        x = normalised(self.bn1, self.conv1(x), self.relu)
        x = F.dropout(normalised(self.bn2, self.conv2(x), self.relu), 0.1, self.training)
        added: Tensor = self.relu(normalised(self.bn3, self.conv3(x)) + identity)
        return added


class _Stages(nn.Module):
    """`layer1` to `layer4` of residual blocks."""

    def __init__(self, block: type[BasicBlock | Bottleneck], counts: tuple[int, ...], widths: list[int]) -> None:
        super().__init__()
        inputs = widths[0]
        for n, (count, width) in enumerate(zip(counts, widths, strict=True), start=1):
            stage: list[nn.Module] = []
            for index in range(count):
                outputs, stride = width * block.expansion, 2 if n > 1 and index == 0 else 1
                shortcut = None
                if stride == 2 or inputs != outputs:
                    pool = [nn.AvgPool2d(2)] if stride == 2 else []
                    shortcut = FusedSequential(
                        *pool, nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs)
                    )
                stage.append(block(inputs, width, stride, shortcut))
                inputs = outputs
            self.add_module(f"layer{n}", nn.Sequential(*stage))

    def forward(self, x: Tensor) -> Tensor:
        for stage in self.children():
            x = stage(x)
        return x


class ResNet(PANN):
    """A block as in the CNNs, four stages of residual blocks, another block."""

    counts: ClassVar[tuple[int, ...]]
    block: ClassVar[type[BasicBlock | Bottleneck]] = BasicBlock

    def _build(self) -> None:
        widths = [self.channels(width) for width in (64, 128, 256, 512)]
        self.conv_block1 = ConvBlock(1, widths[0])
        self.resnet = _Stages(self.block, self.counts, widths)
        self.conv_block_after1 = ConvBlock(widths[-1] * self.block.expansion, self.channels(2048))

    def _body(self, x: Tensor) -> Tensor:
        x = self.resnet(self.dropped(self.conv_block1(x)))
        x = self.dropped(F.avg_pool2d(x, 2))
        return self.dropped(self.conv_block_after1(x, (1, 1)))


class ResNet22(ResNet):
    """2, 2, 2, 2 basic blocks."""

    counts = (2, 2, 2, 2)


class ResNet38(ResNet):
    """3, 4, 6, 3 basic blocks."""

    counts = (3, 4, 6, 3)


class ResNet54(ResNet):
    """3, 4, 6, 3 bottlenecks."""

    counts = (3, 4, 6, 3)
    block = Bottleneck


def _convolution(inputs: int, outputs: int, stride: int, activation: Callable[[], nn.Module]) -> list[nn.Module]:
    """3×3 convolution at full rate, average pooling, norm, activation; depthwise if channel numbers agree."""
    groups = inputs if inputs == outputs else 1
    convolution = nn.Conv2d(inputs, outputs, 3, padding=1, groups=groups, bias=False)
    return [convolution, nn.AvgPool2d(stride), nn.BatchNorm2d(outputs), activation()]


def _pointwise(inputs: int, outputs: int, activation: Callable[[], nn.Module] | None = None) -> list[nn.Module]:
    """1×1 convolution, norm, activation."""
    layers = [nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs)]
    return layers if activation is None else [*layers, activation()]


class MobileNetV1(PANN):
    """Depthwise separable convolutions with average pooling instead of strides."""

    hidden = (1024, 1024)

    def _build(self) -> None:
        relu = partial(nn.ReLU, inplace=True)
        plan = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1)]
        inputs = self.channels(32)
        stages = [FusedSequential(*_convolution(1, inputs, 2, relu))]
        for width, stride in plan:
            outputs = self.channels(width)
            stages.append(
                FusedSequential(*_convolution(inputs, inputs, stride, relu), *_pointwise(inputs, outputs, relu))
            )
            inputs = outputs
        self.features_ = nn.Sequential(*stages)

    def _body(self, x: Tensor) -> Tensor:
        maps: Tensor = self.features_(x)
        return maps


class InvertedResidual(nn.Module):
    """1×1 convolution to more channels, depthwise 3×3, 1×1 back; added to its input where shapes agree."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = inputs * expansion
        relu = partial(nn.ReLU6, inplace=True)
        widen = _pointwise(inputs, inner, relu) if expansion > 1 else []
        self.conv = FusedSequential(*widen, *_convolution(inner, inner, stride, relu), *_pointwise(inner, outputs))
        self.adds = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """Map `(B, C, T, F)` to `(B, C', T / stride, F / stride)`."""
        y: Tensor = self.conv(x)
        return x + y if self.adds else y


class MobileNetV2(PANN):
    """Inverted residuals with average pooling instead of strides."""

    hidden = (1280, 1024)
    pooled_dropout = 0.0

    def _build(self) -> None:
        plan = [
            (1, 16, 1, 1),
            (6, 24, 2, 2),
            (6, 32, 3, 2),
            (6, 64, 4, 2),
            (6, 96, 3, 2),
            (6, 160, 3, 1),
            (6, 320, 1, 1),
        ]
        relu = partial(nn.ReLU6, inplace=True)
        inputs = self.channels(32)
        stages: list[nn.Module] = [FusedSequential(*_convolution(1, inputs, 2, relu))]
        for expansion, width, count, stride in plan:
            for index in range(count):
                outputs = self.channels(width)
                stages.append(InvertedResidual(inputs, outputs, stride if index == 0 else 1, expansion))
                inputs = outputs
        stages.append(FusedSequential(*_pointwise(inputs, self.channels(1280), relu)))
        self.features_ = nn.Sequential(*stages)

    def _body(self, x: Tensor) -> Tensor:
        maps: Tensor = self.features_(x)
        return maps


class WavegramCNN(CNN14):
    """CNN14 whose first block is the Wavegram, a spectrogram of 32 learned bands in 4 channels.

    The published model contains `bn0` and `conv_block1` without using them. This one does, too, so that its checkpoint
    loads and its parameters are as many.
    """

    default_frontend = Waveform

    idle = frozenset({"bn0", "conv_block1"})
    published_bands: ClassVar[int] = 64
    padded_frames = map_frames = 32 * 320  # samples for one of the body's maps

    @property
    def _bands(self) -> int:
        return self.published_bands

    def _build(self) -> None:
        if self.features != 1:
            raise ModelError(
                f"{type(self).__name__} computes its own spectrogram from the samples, and the front-end "
                f"{type(self.frontend).__name__} gives it {self.features} channels: use the front-end waveform"
            )
        super()._build()
        first, second = self.channels(64), 32 * max(1, self.channels(128) // 32)
        self.pre_conv0 = nn.Conv1d(1, first, 11, stride=5, padding=5, bias=False)
        self.pre_bn0 = nn.BatchNorm1d(first)
        self.pre_block1 = WaveBlock(first, first)
        self.pre_block2 = WaveBlock(first, second)
        self.pre_block3 = WaveBlock(second, second)
        self.pre_block4 = ConvBlock(second // 32, first)

    def wavegram(self, waveform: Tensor) -> Tensor:
        """Map `(B, 1, S)` to `(B, C, S / 640, 32)`."""
        x = F.relu_(self.pre_bn0(self.pre_conv0(waveform)))  # (B, 64, S / 5)
        x = self.pre_block3(self.pre_block2(self.pre_block1(x)))  # (B, 128, S / 320)
        x = x.unflatten(1, (-1, 32)).transpose(2, 3)  # (B, 4, S / 320, 32)
        maps: Tensor = self.pre_block4(x, (2, 1))
        return maps

    def maps(self, features: Tensor) -> Tensor:
        """Map the waveform `(B, 1, S)` to the last maps `(B, C, T', F')`."""
        return self.blocks(self.dropped(self.wavegram(self.padded(features))), 2)

    def padded(self, waveform: Tensor) -> Tensor:
        """Pad a short waveform `(B, 1, S)` with zeros, as `normalised` pads short spectrograms with silence."""
        short = self.padded_frames - waveform.shape[2]
        return F.pad(waveform, (0, short)) if short > 0 else waveform


class WavegramLogmelCNN(WavegramCNN):
    """CNN14 on the Wavegram and the log-mel spectrogram, both with a frame every 320 samples (10 ms at 32 kHz)."""

    idle = frozenset[str]()

    def __init__(
        self,
        frontend: Frontend,
        features: int,
        frames: int,
        classes: int,
        scale: float = 1.0,
        weights: str | None = None,
    ) -> None:
        super().__init__(frontend, features, frames, classes, scale, weights)
        rate = round(float(self.frontend.frame_rate))  # type: ignore[arg-type]
        self.logmel = LogMel(rate, self.published_bands, frames_per_second=rate / HOP, closing_frame=True)
        self.logmel.power.counted_by_formula = True  # type: ignore[assignment]

    def uncounted_macs(self) -> int:
        """Return the multiply-adds of the spectrogram for one clip, without the mel filters, which the counter sees."""
        power = self.logmel.power
        samples = max(self.frames, self.padded_frames)
        return power.macs(samples) - power.frames(samples) * power.filters.numel()

    def _build(self) -> None:
        super()._build()
        self.conv_block2 = ConvBlock(2 * self.channels(64), self.channels(128))

    def maps(self, features: Tensor) -> Tensor:
        """Map the waveform `(B, 1, S)` to the last maps `(B, C, T', F')`."""
        features = self.padded(features)
        wavegram = self.wavegram(features)
        logmel = self.logmel(features[:, 0].float()).to(features.dtype)  # in single precision in a model of half, too
        spectrogram = self.get_submodule("conv_block1")(self.normalised(logmel))
        frames = min(wavegram.shape[2], spectrogram.shape[2])
        x = torch.cat([spectrogram[:, :, :frames], wavegram[:, :, :frames]], 1)
        return self.blocks(self.dropped(x), 2)


HOP = 320
"""Samples of the waveform for a frame of the Wavegram."""

OFFICIAL = "https://zenodo.org/records/3987831"
"""Address of the authors' checkpoints."""

_BODIES = ("pre_", "conv_block", "resnet.", "features_.")
"""Starts of the names of the bodies' tensors, by which the architectures differ."""


def load_official(model: PANN, path: Path) -> Loaded:
    """Load a checkpoint of the authors, or of a training with their code, into a model of the same architecture.

    The authors' front-end in the file is not used. A file with another number of classes than the model, or without a
    head, leaves the model's last layer as it is, for fine-tuning.

    Args:
        model: a model of this module.
        path: for example `Cnn14_mAP=0.431.pth`.

    Returns:
        What was taken from the file.

    Raises:
        ModelError: the file does not exist, is not a checkpoint, or belongs to another architecture.
    """
    if not path.expanduser().exists():
        raise ModelError(f"{path} does not exist: correct the path, or download the file from {OFFICIAL}")
    return checkpoints.load(
        model, path, ("fc_audioset", "fc1"), ignored=("frontend.", "logmel."), sisters=_BODIES, renamed=_renamed
    )


def _renamed(name: str) -> str:
    """Return our name of a parameter: `features` is the number of bands in every model here."""
    return f"features_{name.removeprefix('features')}" if name.startswith("features.") else name
