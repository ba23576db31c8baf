"""SwishNet as the public Keras port i7p9h9/swishnet has it, which is not the network of the paper.

The paper: Hussain & Haque 2018, https://arxiv.org/abs/1812.00149. The port has plain convolutions of 6 frames where the
paper has separable ones, no hidden layer, and a mean over the clip's frames where the paper reads out one frame. It has
7,154 parameters for two classes and 7,195 for three (width 2: 22,370 and 22,451), on 20 coefficients; its example is a
clip of 16 frames. The paper's slim network has 5,466 and 5,483. Dilations are 3, 2, 2, 2, 2, so a frame depends on 38
frames; the paper's cumulative ones reach over 202.

Difference: coefficients are standardised by running statistics (no parameters).
"""

from collections.abc import Sequence
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.base import AudioModel, ModelError
from models.frontends.mfcc import MFCC
from models.layers.framing import Blocks, Framing, Stage

DILATIONS = (3, 2, 2, 2, 2)
"""Dilations of blocks 4 to 8."""

LOOK_BACK = 3 * 5 + 2 * sum(DILATIONS)
"""Frames before its own that a frame depends on."""


class GatedConv(nn.Module):
    """Causal convolution `(B, F, T)` → `(B, H, T)`: tanh of one half of its channels times sigmoid of the other."""

    def __init__(self, features: int, hidden: int, kernel: int, dilation: int = 1) -> None:
        super().__init__()
        self.reach = (kernel - 1) * dilation
        self.conv = nn.Conv1d(features, 2 * hidden, kernel, dilation=dilation)

    def forward(self, x: Tensor) -> Tensor:
        """Map `(B, F, T)` to `(B, H, T)`."""
        signal, share = self.conv(F.pad(x, (self.reach, 0))).chunk(2, 1)
        return signal.tanh() * share.sigmoid()  # type: ignore[no-any-return]


class SwishNetKeras(AudioModel):
    """The port's network; frames are averaged after the last convolution.

    Args:
        frontend: maps the batch's `x` to features `(B, F, T)`, 20 MFCC.
        features: F.
        frames: T of one clip; clips of other lengths are accepted.
        classes: C.
        width: multiplier of all channels.
    """

    default_frontend = MFCC

    inputs: ClassVar[frozenset[str]] = frozenset({"waveform"})
    clip_seconds = 2.0

    def __init__(self, frontend: nn.Module, features: int, frames: int, classes: int, width: int = 1) -> None:
        super().__init__(frontend, features, frames, classes)
        if width < 1:
            raise ModelError(f"need width ≥ 1, got {width}")
        w = width
        self.standardise = nn.BatchNorm1d(features, affine=False)
        self.trunk = nn.ModuleList(
            nn.ModuleList([GatedConv(inputs, hidden, 3), GatedConv(inputs, hidden, 6)])
            for inputs, hidden in ((features, 8 * w), (16 * w, 4 * w), (8 * w, 4 * w))
        )
        self.dilated = nn.ModuleList(
            GatedConv(8 * w, hidden * w, 3, dilation)
            for hidden, dilation in zip((8, 8, 8, 8, 16), DILATIONS, strict=True)
        )
        self.logits = nn.Linear(40 * w, classes)
        for module in self.modules():
            if isinstance(module, (nn.Conv1d, nn.Linear)):  # as Keras draws them
                nn.init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    @property
    def output(self) -> nn.Linear:
        """The linear layer that makes the logits."""
        return self.logits

    def frame_logits(self, features: Tensor) -> Tensor:
        """Map features `(B, F, T)` to logits `(B, T, C)` of each frame, whose mean is the clip's."""
        x = self.standardise(features)
        for block, branches in enumerate(self._branches(), start=1):
            y = torch.cat([branch(x) for branch in branches], 1)
            x = x + y if block == 3 else y  # (B, 8w, T) in the end
        outputs: list[Tensor] = []
        for block, conv in enumerate(self.dilated, start=4):
            outputs.append(conv(x))
            x = x + outputs[-1] if block < 7 else outputs[-1]
        logits: Tensor = self.logits(torch.cat(outputs[1:], 1).transpose(1, 2))  # (B, T, C)
        return logits

    def _branches(self) -> Sequence[Sequence[nn.Module]]:
        return [list(block) for block in self.trunk if isinstance(block, nn.ModuleList)]

    def classify(self, features: Tensor) -> Tensor:
        """Map features `(B, F, T)` to logits `(B, C)`."""
        return self.frame_logits(features).mean(1)

    def framing(self) -> Framing:
        """Return where the decisions lie: at every frame, from the frames until then."""
        return Framing(before=LOOK_BACK)

    def stage(self) -> Stage:
        """Return a stage that keeps the frames that later decisions depend on."""
        return Blocks(lambda features: self.frame_logits(features).transpose(1, 2), self.framing())
