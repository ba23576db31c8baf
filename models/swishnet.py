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

    kernels_allowed: bool = False
    """Whether both may be computed as one convolution, see `models.base.use_kernels`."""

    def __init__(self, features: int, hidden: int) -> None:
        super().__init__()
        self.short = CausalConv(features, 2 * hidden, 3)
        self.long = nn.Sequential(
            CausalConv(features, features, 6, groups=features, bias=False), nn.Conv1d(features, 2 * hidden, 1)
        )

    def forward(self, x: Tensor, past: Past | None = None) -> Tensor:
        """Map `(B, F, T)` to `(B, 2H, T)`."""
        if self.kernels_allowed and past is None and self._joins(x):
            return self._joined(x)
        each, mixed = self.long
        return torch.cat([gate(self.short(x, 1, past)), gate(mixed(each(x, 1, past)))], 1)

    def _joins(self, x: Tensor) -> bool:
        """Whether one convolution takes less time than three."""
        exported = torch.compiler.is_compiling() or torch._C._get_tracing_state() is not None
        return x.device.type == "cpu" and not self.training and not torch.is_grad_enabled() and not exported

    def _joined(self, x: Tensor) -> Tensor:
        """Return what `forward` does from one convolution of 6 frames, whose weights are those of all three.

        tanh takes four times as long as a sigmoid: tanh(x) = 2 sigmoid(2x) - 1.
        """
        each, mixed = self.long
        assert isinstance(each, nn.Conv1d)
        assert isinstance(mixed, nn.Conv1d)
        assert self.short.bias is not None
        assert mixed.bias is not None
        reach = each.kernel_size[0] - 1
        short = F.pad(self.short.weight, (reach + 1 - self.short.kernel_size[0], 0))
        signal, share = (torch.stack(pair) for pair in zip(
            short.chunk(2), (mixed.weight * each.weight.transpose(0, 1)).chunk(2), strict=True))  # fmt: skip
        weight = torch.cat([2 * signal, share]).flatten(0, 1)  # (4H, F, 6)
        first, second = self.short.bias.chunk(2), mixed.bias.chunk(2)
        bias = torch.cat([2 * first[0], 2 * second[0], first[1], second[1]])
        halves = F.conv1d(F.pad(x, (reach, 0)), weight, bias).sigmoid_()
        signal, share = halves.chunk(2, 1)
        return signal.mul_(2).sub_(1).mul_(share)


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
        """Return a stage that keeps the frames that later decisions depend on, with the weights as they are now."""
        return Stateful(self._next)

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
        logits, state = self._next(frame[..., None], state)
        return logits[..., 0], state

    def _next(self, features: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Map the next frames `(B, F, t)` to logits `(B, C, t)`, and the state; a single stream is quick."""
        quick = len(features) == 1 and not self.training
        function, past = (_Streamed(self) if quick else self.advance, None) if state is None else state
        logits, past = function(features, past)
        return logits, (function, past)


class _Streamed:
    """`SwishNet.advance` of a single stream in eval mode, with fewer and larger operations on a chunk's few frames.

    A separable convolution is written as a full one, both branches of a block are one convolution, and each
    convolution is one matrix product. That takes more multiply-adds, and a third of the time.
    """

    def __init__(self, model: SwishNet) -> None:
        norm = model.standardise
        assert norm.running_mean is not None
        assert norm.running_var is not None
        with torch.no_grad():
            self.scale = (norm.running_var + norm.eps).rsqrt()[:, None]
            self.shift = -norm.running_mean[:, None] * self.scale
            blocks = [self._joined(block) for block in (model.block1, model.block2, model.block3)]
            dilation = 1
            for stride, conv in zip(STRIDES, model.strided, strict=True):
                dilation *= stride
                assert isinstance(conv, CausalConv)
                assert conv.bias is not None
                blocks.append((conv.weight, conv.bias, dilation))
        self.products = [(w.flatten(1), b[:, None], w.shape[2], dilation) for w, b, dilation in blocks]
        self.hidden = model.hidden.weight, model.hidden.bias[:, None]
        self.logits = model.logits.weight, model.logits.bias[:, None]

    @staticmethod
    def _joined(block: TwoBranches) -> tuple[Tensor, Tensor, int]:
        """Return weight `(4H, F, 6)`, bias `(4H,)` and dilation of both branches: their signals, then their shares."""
        each, mixed = block.long
        assert isinstance(each, nn.Conv1d)
        assert isinstance(mixed, nn.Conv1d)
        assert mixed.bias is not None
        assert block.short.bias is not None
        short = F.pad(block.short.weight, (each.kernel_size[0] - block.short.kernel_size[0], 0))  # (2H, F, 6)
        long = mixed.weight * each.weight[:, 0]  # (2H, F, 6)
        weight = torch.cat([part for pair in zip(short.chunk(2), long.chunk(2), strict=True) for part in pair])
        biases = zip(block.short.bias.chunk(2), mixed.bias.chunk(2), strict=True)
        return weight, torch.cat([part for pair in biases for part in pair]), 1

    def __call__(self, features: Tensor, past: list[Tensor] | None) -> tuple[Tensor, list[Tensor]]:
        """Map the next frames `(1, F, t)` and the frames before them to logits `(1, C, t)`, and the frames to keep."""
        if past is None:
            rows = [weight.shape[1] // taps for weight, _, taps, _ in self.products]
            past = [features.new_zeros(row, (taps - 1) * dilation)
                    for row, (_, _, taps, dilation) in zip(rows, self.products, strict=True)]  # fmt: skip
        kept: list[Tensor] = []
        x = torch.addcmul(self.shift, features[0], self.scale)  # (F, t)
        outputs: list[Tensor] = []
        for block, (product, before) in enumerate(zip(self.products, past, strict=True), start=1):
            y = self._gated(x, before, *product, kept)
            if block > 4:
                outputs.append(y)
            x = x + y if 2 < block < 7 else y
        x = torch.addmm(self.hidden[1], self.hidden[0], torch.cat(outputs)).relu_()
        return torch.addmm(self.logits[1], self.logits[0], x)[None], kept

    @staticmethod
    def _gated(
        x: Tensor, before: Tensor, weight: Tensor, bias: Tensor, taps: int, dilation: int, kept: list[Tensor]
    ) -> Tensor:
        """Map the next frames `(F, t)` and those before to gated outputs `(H, t)`; keep what the next ones need."""
        frames = x.shape[1]
        x = torch.cat([before, x], 1)
        kept.append(x[:, frames:])
        rows, length = x.shape
        windows = x.as_strided((rows, taps, frames), (length, dilation, 1)).reshape(rows * taps, frames)
        y = torch.addmm(bias, weight, windows)
        half = len(y) // 2
        return y[:half].tanh_().mul_(y[half:].sigmoid_())


def every(x: Tensor, stride: int) -> Tensor:
    """Return every `stride`-th frame of `(B, F, T)`, counted backwards from the last."""
    if isinstance(x.shape[2], torch.SymInt):  # an export of any length, whose tracer is slow with remainders
        index = torch.arange((x.shape[2] + stride - 1) // stride, device=x.device).flip(0)
        return x.index_select(2, x.shape[2] - 1 - stride * index)
    return x[..., (x.shape[2] - 1) % stride :: stride]
