"""Forms of models and front-ends that other runtimes compute faster, with the same weights and results, for exports.

They stand apart from the models, because no training and no score depends on them. What has no form here keeps its own,
see `models.layers.portable`.
"""

import copy
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.frontends.mfcc import FLOOR, MFCC
from models.layers.portable import portable
from models.swishnet import LOOK_BACK, STRIDES, CausalConv, SwishNet, TwoBranches, gate

FOLLOWING = (*STRIDES[1:], 1)
"""Strides after blocks 4 to 8."""


def faster(module: nn.Module) -> nn.Module:
    """Return a copy of a module in its portable form, its parts in their fastest forms; the module is not changed."""
    return portable(_replaced(copy.deepcopy(module)))


def _replaced(module: nn.Module) -> nn.Module:
    for name, child in module.named_children():
        setattr(module, name, _replaced(child))
    if type(module) is SwishNet:
        return SwishNetForm(module)
    if type(module) is MFCC and not module.append_energy:
        return MFCCForm(module)
    return module


class MFCCForm(nn.Module):
    """`MFCC` with its cosine transform as a convolution, with which a runtime can join a standardisation.

    Args:
        frontend: with the cepstrum's own first coefficient.

    Attributes:
        hop: samples from frame to frame; None where frames are not exactly as far apart as hops, so that a clip without
            its first samples has other frames.
        before: samples before its own that a frame depends on.
    """

    def __init__(self, frontend: MFCC) -> None:
        super().__init__()
        self.power = frontend.power
        exact = self.power.hop * self.power.frames_per_second == self.power.sample_rate
        self.hop = self.power.hop if exact else None
        before = frontend.framing().before
        assert before is not None
        self.before = before
        self.register_buffer("dct", frontend.dct.clone()[..., None])

    def forward(self, waveform: Tensor) -> Tensor:
        """Map `(B, S)` to `(B, F, T)`."""
        return F.conv1d(self.power(waveform).clamp(min=FLOOR).log(), self.get_buffer("dct"))


class SwishNetForm(nn.Module):
    """`SwishNet` in evaluation, with time backwards from block 3 on.

    Frames are counted from the clip's end there, so each stride takes frame 0 and every n-th one after it, whatever
    the clip's length is; the taps of the convolutions are backwards, too. Both branches of blocks 2 and 3 are one
    convolution, of 6 frames, whose signals come first and whose shares come second. Where only the frames of the stride
    that follows are needed, which is before all strides in a model that decides at the last frame, and before the first
    two in one that takes a mean, no others are computed.

    A model that decides at the last frame looks at the frames that this decision depends on, and at the samples that
    they depend on, and at nothing before: from two seconds on, the clip's length does not matter to the time it takes.

    Args:
        model: in eval mode.
    """

    def __init__(self, model: SwishNet) -> None:
        super().__init__()
        self.frontend, self.standardise = model.frontend, model.standardise
        self.last = model.read_out == "last"
        self.block1 = model.block1
        self.block2, self.block3 = _joined(model.block2), _backwards(_joined(model.block3), STRIDES[0])
        self.own = [stride if self.last or block == 4 else 1 for block, stride in enumerate(FOLLOWING, start=4)]
        self.strided = nn.ModuleList(
            _backwards(conv, stride)
            for conv, stride in zip(model.strided, self.own, strict=True)
            if isinstance(conv, CausalConv)
        )
        self.hidden, self.logits = model.hidden, model.logits

    def forward(self, x: Tensor) -> Tensor:
        """Map what the front-end takes to logits `(B, C)`."""
        if self.last and isinstance(self.frontend, MFCCForm) and self.frontend.hop:
            # An even number of hops is left out, as half a frame is rounded to an even number of frames.
            hops = LOOK_BACK + 2 - (-self.frontend.before // self.frontend.hop)  # one more for the rounding
            step = 2 * self.frontend.hop
            x = _last(x, (hops + 1) // 2 * step + x.shape[1] % step)
        return self.classify(self.frontend(x))

    def classify(self, features: Tensor) -> Tensor:
        """Map features `(B, F, T)` to logits `(B, C)`."""
        if self.last:
            features = _last(features, LOOK_BACK + 1)
        x = self.block1(self.standardise(features))
        x = gate(self.block2(F.pad(x, (5, 0)))).flip(2)
        x = _every(x, STRIDES[0]) + gate(self.block3(F.pad(x, (0, 5))))
        outputs: list[Tensor] = []
        each = zip(self.strided, self.own, FOLLOWING, strict=True)
        for block, (conv, own, stride) in enumerate(each, start=4):
            outputs.append(gate(conv(F.pad(x, (0, 2)))))
            x = _every(x, own) + outputs[-1] if block < 7 else outputs[-1]
            x = _every(x, stride // own)
        decisive = torch.cat([y[..., 0] if self.last else y.mean(2) for y in outputs[1:]], 1)  # (B, 40w)
        logits: Tensor = self.logits(self.hidden(decisive).relu())
        return logits


def _every(x: Tensor, stride: int) -> Tensor:
    """Return every n-th frame, the first one included."""
    return x if stride == 1 else x[..., ::stride]


def _last(x: Tensor, number: Any) -> Tensor:
    """Return the last values along the last axis, `number` at most."""
    kept: Any = torch.sym_min(x.shape[-1], number)  # type: ignore[no-untyped-call]
    return x.narrow(-1, x.shape[-1] - kept, kept)


def _joined(block: TwoBranches) -> nn.Conv1d:
    """Return both branches of a block as one convolution of 6 frames."""
    each, mixed = block.long
    assert isinstance(each, nn.Conv1d)
    assert isinstance(mixed, nn.Conv1d)
    assert block.short.bias is not None
    assert mixed.bias is not None
    with torch.no_grad():
        short = F.pad(block.short.weight, (each.kernel_size[0] - block.short.kernel_size[0], 0))
        long = mixed.weight * each.weight[:, 0]
        weights = [part for pair in zip(short.chunk(2), long.chunk(2), strict=True) for part in pair]
        biases = zip(block.short.bias.chunk(2), mixed.bias.chunk(2), strict=True)
        return _convolution(torch.cat(weights), torch.cat([part for pair in biases for part in pair]))


def _backwards(conv: nn.Conv1d, stride: int) -> nn.Conv1d:
    """Return a convolution for time backwards, of every n-th frame."""
    assert conv.bias is not None
    return _convolution(conv.weight.flip(2), conv.bias, stride)


def _convolution(weight: Tensor, bias: Tensor, stride: int = 1) -> nn.Conv1d:
    made = nn.Conv1d(weight.shape[1], len(weight), weight.shape[2], stride)
    made.weight, made.bias = nn.Parameter(weight.detach().clone()), nn.Parameter(bias.detach().clone())
    return made
