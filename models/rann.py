"""RANN, a residual audio network: early ERANN (Verbitskiy et al. 2021, https://arxiv.org/abs/2106.01621).

RANN-{t_c}x{t_m}-{W}: t_c seconds of 128 frames, time reduced by 16 t_m, 8W channels in the first stage. Parameters
and multiply-adds equal the published ones to the last digit. They leave three points open, which are our choice: the
batch norm after the 1×1 convolution of a shortcut, kernels 6 and 5 where time is reduced by four, and global average +
global maximum as pooling. The paper's 1,103 frames of 8 s have to become 1,024 before the network: the front-end makes
128 frames a second, and features of another length are resampled linearly along time.
"""

from fractions import Fraction
from functools import partial
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.base import AudioModel, ModelError
from models.frontends.logmel import LogMel
from models.layers.framing import Framing
from models.layers.norm import FusedSequential, normalised

STAGES = 5
BLOCKS = 4
FRAMES_PER_SECOND = 128


class Block(nn.Module):
    """Pre-activation residual block `(B, C, F, T)` → `(B, C', F / s_f, T / s_t)`.

    Args:
        inputs: C.
        outputs: C'.
        stride: `(s_f, s_t)`.
        first: whether it is the first of its stage, with a convolution in its shortcut.
    """

    def __init__(self, inputs: int, outputs: int, stride: tuple[int, int], first: bool) -> None:
        super().__init__()
        time1, time2 = (6, 5) if stride[1] == 4 else (3, 3)
        self.norm1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, (3, time1), stride, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, (3, time2), padding=(1, time2 // 2), bias=False)
        self.shortcut = (
            FusedSequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
            if first
            else nn.Identity()
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map `(B, C, F, T)` to `(B, C', F / s_f, T / s_t)`."""
        y = self.conv1(normalised(self.norm1, x, F.leaky_relu))
        y = self.conv2(normalised(self.norm2, y, F.leaky_relu))
        return y + self.shortcut(x)  # type: ignore[no-any-return]


class RANN(AudioModel):
    """Batch norm over mel bands, five stages of four blocks, global pooling, two linear layers.

    Args:
        frontend: maps the batch's `x` to features `(B, F, T)`; 128 mel bands, 128 frames a second in the paper.
        features: F.
        frames: T of one clip; clips of other lengths are accepted.
        classes: C.
        t_c: the time axis is resampled to 128 t_c frames; None keeps the clip's own, the last frame repeated up to a
            multiple of 16 t_m.
        t_m: 1, 2, 4 or 8: time is reduced by 16 t_m.
        width: W, of which the first stage has 8 channels each.

    Attributes:
        clip_seconds: published multiply-adds are for 8 s.
    """

    default_frontend = partial(LogMel, bands=128, frames_per_second=128)

    inputs: ClassVar[frozenset[str]] = frozenset({"waveform"})
    clip_seconds = 8.0

    def __init__(
        self,
        frontend: nn.Module,
        features: int,
        frames: int,
        classes: int,
        t_c: int | None = None,
        t_m: int = 4,
        width: int = 6,
    ) -> None:
        super().__init__(frontend, features, frames, classes)
        if t_m not in (1, 2, 4, 8) or width < 1 or (t_c is not None and t_c < 1):
            raise ModelError(f"need t_m 1, 2, 4 or 8, width ≥ 1 and t_c ≥ 1 or None, got {t_m}, {width}, {t_c}")
        self.t_c = t_c
        self.multiple = 16 * t_m
        self.norm = nn.BatchNorm1d(features)
        blocks: list[Block] = []
        channels = 1
        for stage in range(STAGES):
            outputs = 8 * width * 2**stage
            quarter = 1 <= stage <= t_m.bit_length() - 1
            stride = (1, 1) if stage == 0 else (2, 4 if quarter else 2)
            for block in range(BLOCKS):
                blocks.append(Block(channels, outputs, (1, 1) if block else stride, first=block == 0))
                channels = outputs
        self.blocks = nn.Sequential(*blocks)
        self.hidden = nn.Linear(channels, channels)
        self.logits = nn.Linear(channels, classes)

    @property
    def output(self) -> nn.Linear:
        """The linear layer that makes the logits."""
        return self.logits

    def classify(self, features: Tensor) -> Tensor:
        """Map features `(B, F, T)` to logits `(B, C)`."""
        x = self.maps(features)
        return self.head(x.mean((2, 3)) + x.amax((2, 3)))  # (B, 128W) to (B, C)

    def maps(self, features: Tensor) -> Tensor:
        """Map features `(B, F, T)` to `(B, 128W, F / 16, T / (16 t_m))`."""
        x: Tensor = self.blocks(self.norm(self.fit(features))[:, None])
        return x

    def head(self, x: Tensor) -> Tensor:
        """Map pooled maps `(..., 128W)` to logits `(..., C)`."""
        logits: Tensor = self.logits(F.leaky_relu(self.hidden(x)))
        return logits

    def frame_logits(self, features: Tensor) -> Tensor:
        """Map features `(B, F, T)` to logits `(B, T', C)` of each frame of the last maps, as of a clip of this frame.

        Raises:
            ModelError: the time axis is resampled to another length.
        """
        self.framing()
        x = self.maps(features)
        return self.head((x.mean(2) + x.amax(2)).transpose(1, 2))

    def framing(self) -> Framing:
        """Return where the frames of the last maps lie; each may depend on all of the clip.

        Raises:
            ModelError: the time axis is resampled to another length.
        """
        if self.t_c is not None and self.frames != FRAMES_PER_SECOND * self.t_c:
            raise ModelError(
                f"RANN has no logits of single frames where clips of {self.frames} frames are resampled to "
                f"{FRAMES_PER_SECOND * self.t_c}: use t_c = None"
            )
        return Framing(stride=Fraction(self.multiple), centre=(self.multiple - 1) / 2, before=None, after=None)

    def fit(self, features: Tensor) -> Tensor:
        """Bring the time axis of `(B, F, T)` to the length that the network takes."""
        frames = features.shape[2]
        if self.t_c is None and isinstance(frames, torch.SymInt):  # an export of any length
            whole = (frames + self.multiple - 1) // self.multiple * self.multiple
            return features[..., torch.arange(whole, device=features.device).clamp(max=frames - 1)]
        if self.t_c is None:
            return F.pad(features, (0, -frames % self.multiple), "replicate")
        if frames == FRAMES_PER_SECOND * self.t_c:
            return features
        return F.interpolate(features, FRAMES_PER_SECOND * self.t_c, mode="linear")
