"""SwishNet (Hussain & Haque 2018, https://arxiv.org/abs/1812.00149): gated causal 1-D convolutions on 20 MFCC.

5,483 (width 1) and 18,267 (width 2) parameters for three classes, as published; the hidden layer before the logits is
not in the paper's figure, but these counts and the authors' code have it. The "strides" 3, 2, 2, 2, 2 keep frames
counted backwards from the frame that is decided on, which is the same as dilations 3, 6, 12, 24, 48 at full rate:
`classify` computes the strided form and `frame_logits` the dilated form, from the same weights. A decision depends on
202 frames, its own and the 201 before it: blocks 1 to 3 look back 5 frames each (the separable convolution of 6
frames), the later blocks 2 · (3 + 6 + 12 + 24 + 48).

Two differences: coefficients are standardised by running statistics (no parameters), and longer clips are decided on
the mean over time. The paper decides at the clip's last frame, which depends on the 202 frames up to it, so only the
end of a longer clip would count. `read_out="mean"`, the default there, averages the outputs of blocks 5 to 8 over the
clip, at no further cost.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.base import AudioModel, ModelError
from models.frontends.mfcc import MFCC
from models.layers.framing import Framing, Stage, Stateful

STRIDES = (3, 2, 2, 2, 2)
"""Strides of blocks 4 to 8."""

LOOK_BACK = 3 * 5 + 2 * (3 + 6 + 12 + 24 + 48)
"""Frames before its own that a decision depends on."""

Past = dict[nn.Module, Tensor]
"""By convolution the frames `(B, F, n)` at its input that the next chunk's outputs depend on."""


def gate(x: Tensor) -> Tensor:
    """Gated activation `(B, 2F, T)` → `(B, F, T)`: tanh of the first half times the sigmoid of the second."""
    signal, share = x.chunk(2, 1)
    return signal.tanh() * share.sigmoid()


class CausalConv(nn.Conv1d):
    """Causal convolution: the clip is padded with zeros at its start, so T stays the same."""

    def forward(self, x: Tensor, dilation: int = 1, past: Past | None = None) -> Tensor:
        """Map `(B, F, T)` to `(B, F', T)` with taps `dilation` frames apart; `past` makes x the next frames."""
        reach = (self.kernel_size[0] - 1) * dilation
        before = None if past is None else past.get(self)
        x = F.pad(x, (reach, 0)) if before is None else torch.cat([before, x], 2)
        if past is not None:
            past[self] = x[..., x.shape[2] - reach :]
        return F.conv1d(x, self.weight, self.bias, dilation=dilation, groups=self.groups)


class TwoBranches(nn.Module):
    """Blocks 1 to 3, `(B, F, T)` → `(B, 2H, T)`: gated convolutions of 3 frames and, separable, of 6 in parallel."""

    def __init__(self, features: int, hidden: int) -> None:
        super().__init__()
        self.short = CausalConv(features, 2 * hidden, 3)
        self.long = nn.Sequential(
            CausalConv(features, features, 6, groups=features, bias=False), nn.Conv1d(features, 2 * hidden, 1)
        )

    def forward(self, x: Tensor, past: Past | None = None) -> Tensor:
        """Map `(B, F, T)` to `(B, 2H, T)`."""
        each, mixed = self.long
        return torch.cat([gate(self.short(x, 1, past)), gate(mixed(each(x, 1, past)))], 1)


class SwishNet(AudioModel):
    """SwishNet, "slim" at width 1 and "wide" at width 2.

    Args:
        frontend: maps the batch's `x` to features `(B, F, T)`, 20 MFCC at 100 frames a second in the paper.
        features: F.
        frames: T of one clip; clips of other lengths are accepted.
        classes: C.
        width: multiplier of all channels.
        dropout: share of the channels' values that is dropped after every block in training.
        read_out: "last" decides at the last frame, "mean" over the whole clip, see above; None is "last" for T < 250.
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
        width: int = 1,
        dropout: float = 0.1,
        read_out: Literal["last", "mean"] | None = None,
    ) -> None:
        super().__init__(frontend, features, frames, classes)
        read_out = read_out or ("last" if frames < 250 else "mean")
        if width < 1 or read_out not in ("last", "mean"):
            raise ModelError(f"need width ≥ 1 and read_out 'last' or 'mean', got {width} and {read_out!r}")
        w = width
        self.read_out = read_out
        self.standardise = nn.BatchNorm1d(features, affine=False)
        self.block1 = TwoBranches(features, 8 * w)
        self.block2 = TwoBranches(16 * w, 4 * w)
        self.block3 = TwoBranches(8 * w, 4 * w)
        self.strided = nn.ModuleList(CausalConv(8 * w, channels * w, 3) for channels in (16, 16, 16, 16, 32))
        self.hidden = nn.Linear(40 * w, 16 * w)
        self.logits = nn.Linear(16 * w, classes)
        self.dropout = nn.Dropout(dropout)
        for conv in self.modules():
            if isinstance(conv, nn.Conv1d):
                # A gate passes about a third of its input's scale; PyTorch's default would lose the signal in 8 blocks.
                nn.init.kaiming_normal_(conv.weight, nonlinearity="linear" if conv.groups > 1 else "tanh")
                if conv.bias is not None:
                    nn.init.zeros_(conv.bias)

    @property
    def output(self) -> nn.Linear:
        """The linear layer that makes the logits."""
        return self.logits

    def trunk(self, features: Tensor, past: Past | None = None) -> Tensor:
        """Blocks 1 to 3: `(B, F, T)` → `(B, 8w, T)`."""
        x = self.dropout(self.block1(self.standardise(features), past))  # (B, 16w, T)
        x = self.dropout(self.block2(x, past))
        added: Tensor = x + self.dropout(self.block3(x, past))
        return added

    def gated(self, x: Tensor, strided: bool, past: Past | None = None) -> list[Tensor]:
        """Blocks 4 to 8: map `(B, 8w, T)` to their gated outputs, strided or at full rate."""
        outputs: list[Tensor] = []
        dilation = 1
        for block, (stride, conv) in enumerate(zip(STRIDES, self.strided, strict=True), start=4):
            dilation *= stride
            x = every(x, stride) if strided else x
            outputs.append(self.dropout(gate(conv(x, 1 if strided else dilation, past))))
            x = x + outputs[-1] if block < 7 else outputs[-1]
        return outputs

    def decide(self, outputs: list[Tensor]) -> Tensor:
        """Map the gated outputs of blocks 5 to 8 for N decisions to logits `(B, C, N)`."""
        x = torch.cat(outputs, 1).transpose(1, 2)  # (B, N, 40w)
        logits: Tensor = self.logits(self.hidden(x).relu())  # (B, N, C)
        return logits.transpose(1, 2)

    def classify(self, features: Tensor) -> Tensor:
        """Map features `(B, F, T)` to logits `(B, C)`."""
        outputs = self.gated(self.trunk(features), strided=True)[1:]
        last = self.read_out == "last"
        return self.decide([x[..., -1:] if last else x.mean(2, keepdim=True) for x in outputs]).squeeze(2)

    def frame_logits(self, features: Tensor) -> Tensor:
        """Map features `(B, F, T)` to logits `(B, T, C)` of a decision at each frame, for streams and time lines."""
        return self.advance(features)[0].transpose(1, 2)

    def advance(self, features: Tensor, past: Mapping[nn.Module, Tensor] | None = None) -> tuple[Tensor, Past]:
        """Map the next frames `(B, F, t)` of a stream to logits `(B, C, t)` of a decision at each.

        Args:
            features: of the frames.
            past: what the call before returned; None at the stream's beginning.
        """
        kept = dict(past or {})
        return self.decide(self.gated(self.trunk(features, kept), False, kept)[1:]), kept

    def framing(self) -> Framing:
        """Return where the decisions lie: at every frame, from the frames until then."""
        return Framing(before=LOOK_BACK)

    def stage(self) -> Stage:
        """Return a stage that keeps the frames that later decisions depend on."""
        return Stateful(self.advance)

    def stream(self, features: Tensor) -> Tensor:
        """Return the frames of features `(B, F, T)` as they are.

        Raises:
            ModelError: the clip's decision is on the mean over its frames, counted from its end.
        """
        if self.read_out != "last":
            raise ModelError(
                "the model has no step-by-step inference with read_out 'mean', whose frames count backwards"
            )
        return features

    def step(self, frame: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Map one more frame `(B, F)` to the logits so far `(B, C)`, and the state."""
        logits, state = self.advance(frame[..., None], state)
        return logits[..., 0], state


def every(x: Tensor, stride: int) -> Tensor:
    """Return every `stride`-th frame of `(B, F, T)`, counted backwards from the last."""
    return x[..., (x.shape[2] - 1) % stride :: stride]
