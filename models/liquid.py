"""Classifiers with a liquid layer (`models.ltc`) or its closed form (`models.cfc`), each with or without a CNN.

The papers drive cars and classify gestures, and do not say how to read out a network for sounds. Here the outputs of
the motor neurons are averaged over time, normalised, because they stay close to their leak potential, and mapped to
logits. Longer clips are first averaged to `steps` steps, because the cost grows with their number.
"""

from fractions import Fraction
from math import ceil
from typing import Any, ClassVar, Literal, get_args

import torch
from torch import Tensor, nn

from models.base import AudioModel, ModelError
from models.cfc import CfCLayer, Mode
from models.frontends.logmel import LogMel
from models.layers.framing import Averages, Blocks, Chain, Framing, Stage, Stateful, averages
from models.layers.norm import FusedSequential, MeanMax
from models.layers.portable import AtMost
from models.ltc import LTCLayer
from models.wirings import AutoNCP, FullyConnected

Synapses = Literal["ncp", "full"]

LEAST_BANDS, LEAST_FRAMES = 7, 13
"""Smallest features that the strides of the convolutions leave something of."""


class Recurrent(nn.Module):
    """An LSTM or a GRU with the interface of the liquid layers.

    Args:
        cell: "lstm" or "gru".
        inputs: F.
        units: H.
    """

    def __init__(self, cell: Literal["lstm", "gru"], inputs: int, units: int) -> None:
        super().__init__()
        if cell not in ("lstm", "gru"):
            raise ModelError(f"cell is 'lstm' or 'gru', not {cell!r}")
        self.output_size = units
        self.rnn = (nn.LSTM if cell == "lstm" else nn.GRU)(inputs, units, batch_first=True)

    def forward(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Map `(B, T, F)` and a state to the outputs `(B, T, H)` and the state after them."""
        return self.rnn(x, state)  # type: ignore[no-any-return]


class _Liquid(AudioModel):
    """An encoder, a recurrent layer on at most `steps` of its frames, and a linear map of its mean outputs."""

    default_frontend = LogMel

    clip_seconds = 5.0

    def __init__(
        self,
        frontend: nn.Module,
        features: int,
        frames: int,
        classes: int,
        encoder: nn.Module,
        encoded_frames: int,
        layer: LTCLayer | CfCLayer | Recurrent,
        steps: int,
    ) -> None:
        super().__init__(frontend, features, frames, classes)
        if steps < 1:
            raise ModelError(f"steps must be ≥ 1, got {steps}")
        self.steps = min(encoded_frames, steps)
        self.step_frames = Fraction(encoded_frames, self.steps)
        self.encoder = encoder
        self.shorten = AtMost(self.steps)
        self.layer = layer
        self.norm = nn.BatchNorm1d(layer.output_size)
        self.head = nn.Linear(layer.output_size, classes)

    def classify(self, features: Tensor) -> Tensor:
        """Map features `(B, F, T)` to logits `(B, C)`."""
        y, _ = self.layer(self.stream(features).transpose(1, 2))  # (B, steps, O)
        return self.head(self.norm(y.mean(1)))  # type: ignore[no-any-return]  # (B, C)

    def stream(self, features: Tensor) -> Tensor:
        """Return the recurrent layer's inputs `(B, I, steps)`: features `(B, F, T)`, encoded and averaged."""
        shortened: Tensor = self.shorten(self.encoder(features))
        return shortened

    def frame_logits(self, features: Tensor) -> Tensor:
        """Map features `(B, F, T)` to logits `(B, steps, C)` of each step; those of a clip have its logits as mean.

        A step has as many frames as in the clips that the model was built for, however many T are.
        """
        return self.advance(averages(self.encoder(features), self.step_frames))[0].transpose(1, 2)

    def framing(self) -> Framing:
        """Return where the steps lie: each depends on its own frames and on all before."""
        ratio = self.step_frames
        longest = ceil(ratio + 1 - Fraction(1, ratio.denominator))  # a bin may end within a frame, and counts all of it
        own = Framing(stride=ratio, centre=float(ratio - 1) / 2, before=None, after=longest)
        return self._encoding().then(own)

    def stage(self) -> Stage:
        """Return a stage that keeps the state of the layer."""
        return Chain([*self._encoder_stages(), Averages(self.step_frames), Stateful(self.advance)])

    def advance(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Map the layer's next inputs `(B, I, t)` to logits `(B, C, t)` of each step, and the state."""
        y, state = self.layer(x.transpose(1, 2), state)  # (B, t, O)
        return self.head(self.norm(y.transpose(1, 2)).transpose(1, 2)).transpose(1, 2), state

    def step(self, frame: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Map one more of `stream`'s frames `(B, I)` to the logits so far `(B, C)`, and the state."""
        memory, total, count = (None, 0, 0) if state is None else state
        logits, memory = self.advance(frame[..., None], memory)  # (B, C, 1)
        total, count = total + logits[..., 0], count + 1
        return total / count, (memory, total, count)

    def _encoding(self) -> Framing:
        return self.encoder.framing() if isinstance(self.encoder, _Convolutions) else Framing()

    def _encoder_stages(self) -> list[Stage]:
        least = LEAST_FRAMES if isinstance(self.encoder, _Convolutions) else 1
        return [Blocks(self.encoder, self._encoding(), least)]

    @property
    def output(self) -> nn.Linear:
        """The layer that makes the logits."""
        return self.head

    def elementwise(self) -> int:
        """Return the sigmoids of the liquid layer for one clip, see `LTCLayer.sigmoids`."""
        return self.layer.sigmoids(self.steps) if isinstance(self.layer, LTCLayer) else 0

    def uncounted_macs(self) -> int:
        """Return the multiply-adds of the liquid layer for one clip outside `bmm`, see `LTCLayer.uncounted_macs`."""
        return self.layer.uncounted_macs(self.steps) if isinstance(self.layer, LTCLayer) else 0


def _ncp(units: int, motors: int | None, sparsity: float) -> AutoNCP:
    return AutoNCP(units, units // 2 if motors is None else motors, sparsity)


def _ltc(inputs: int, units: int, motors: int | None, ode_unfolds: int, sparsity: float, wiring: Synapses) -> LTCLayer:
    """Return a liquid layer with an NCP wiring, or with every synapse."""
    if wiring not in get_args(Synapses):
        raise ModelError(f"wiring is 'ncp' or 'full', not {wiring!r}")
    ncp = _ncp(units, motors, sparsity)
    return LTCLayer(inputs, ncp if wiring == "ncp" else FullyConnected(units, ncp.output_dim), ode_unfolds=ode_unfolds)


def _cfc(inputs: int, units: int, motors: int | None, mode: Mode, sparsity: float | None) -> CfCLayer:
    """Return a closed-form layer, with an NCP wiring where a sparsity is given."""
    return CfCLayer(inputs, units if sparsity is None else _ncp(units, motors, sparsity), mode=mode)


class LTC(_Liquid):
    """Liquid network with an NCP wiring on spectrogram frames or embeddings, each channel normalised.

    Args:
        frontend: module that maps the batch's `x` to features `(B, F, T)`.
        features: F of one clip.
        frames: T of one clip.
        classes: C.
        units: neurons.
        motors: motor neurons; half of the neurons where None.
        ode_unfolds: solver sub-steps per step.
        steps: most steps for one clip, to which longer ones are averaged; the work grows with it.
        sparsity: share of absent synapses between the layers of the wiring, 0.1 to 1.
        wiring: "ncp", or "full" for a synapse between any two neurons.
    """

    inputs: ClassVar[frozenset[str]] = frozenset({"waveform", "embedding"})

    def __init__(
        self,
        frontend: nn.Module,
        features: int,
        frames: int,
        classes: int,
        units: int = 64,
        motors: int | None = None,
        ode_unfolds: int = 6,
        steps: int = 50,
        sparsity: float = 0.5,
        wiring: Synapses = "ncp",
    ) -> None:
        layer = _ltc(features, units, motors, ode_unfolds, sparsity, wiring)
        super().__init__(frontend, features, frames, classes, nn.BatchNorm1d(features), frames, layer, steps)


class CfC(_Liquid):
    """Closed-form liquid network on spectrogram frames or embeddings, each channel normalised.

    Args:
        frontend: module that maps the batch's `x` to features `(B, F, T)`.
        features: F of one clip.
        frames: T of one clip.
        classes: C.
        units: neurons.
        motors: motor neurons of the wiring; half of the neurons where None.
        mode: "default", "pure" or "no_gate".
        steps: most steps for one clip, to which longer ones are averaged; the work grows with it.
        sparsity: share of absent synapses between the layers of an NCP wiring, 0.1 to 1; None takes no wiring, but a
            backbone.
    """

    inputs: ClassVar[frozenset[str]] = frozenset({"waveform", "embedding"})

    def __init__(
        self,
        frontend: nn.Module,
        features: int,
        frames: int,
        classes: int,
        units: int = 64,
        motors: int | None = None,
        mode: Mode = "default",
        steps: int = 50,
        sparsity: float | None = None,
    ) -> None:
        layer = _cfc(features, units, motors, mode, sparsity)
        super().__init__(frontend, features, frames, classes, nn.BatchNorm1d(features), frames, layer, steps)


class CNNLTC(_Liquid):
    """Three convolution blocks, then the liquid layer of `LTC` on their frames.

    Args:
        frontend: module that maps the waveform to features `(B, F, T)`.
        features: F of one clip, ≥ 7.
        frames: T of one clip, ≥ 13.
        classes: C.
        width: channels of the first block; the second has twice, the third four times as many.
        units: neurons.
        motors: motor neurons; half of the neurons where None.
        ode_unfolds: solver sub-steps per step.
        steps: most steps for one clip, to which longer ones are averaged; the work grows with it.
        sparsity: share of absent synapses between the layers of the wiring, 0.1 to 1.
        wiring: "ncp", or "full" for a synapse between any two neurons.
    """

    least_features = LEAST_BANDS
    least_frames = LEAST_FRAMES

    def __init__(
        self,
        frontend: nn.Module,
        features: int,
        frames: int,
        classes: int,
        width: int = 16,
        units: int = 64,
        motors: int | None = None,
        ode_unfolds: int = 6,
        steps: int = 50,
        sparsity: float = 0.5,
        wiring: Synapses = "ncp",
    ) -> None:
        encoder = _Convolutions(features, frames, width)
        layer = _ltc(4 * width, units, motors, ode_unfolds, sparsity, wiring)
        super().__init__(frontend, features, frames, classes, encoder, encoder.frames, layer, steps)


class CNNCfC(_Liquid):
    """Three convolution blocks, then the closed-form layer of `CfC` on their frames.

    Args:
        frontend: module that maps the waveform to features `(B, F, T)`.
        features: F of one clip, ≥ 7.
        frames: T of one clip, ≥ 13.
        classes: C.
        width: channels of the first block; the second has twice, the third four times as many.
        units: neurons.
        motors: motor neurons of the wiring; half of the neurons where None.
        mode: "default", "pure" or "no_gate".
        steps: most steps for one clip, to which longer ones are averaged; the work grows with it.
        sparsity: share of absent synapses between the layers of an NCP wiring, 0.1 to 1; None takes no wiring, but a
            backbone.
    """

    least_features = LEAST_BANDS
    least_frames = LEAST_FRAMES

    def __init__(
        self,
        frontend: nn.Module,
        features: int,
        frames: int,
        classes: int,
        width: int = 16,
        units: int = 64,
        motors: int | None = None,
        mode: Mode = "default",
        steps: int = 50,
        sparsity: float | None = None,
    ) -> None:
        encoder = _Convolutions(features, frames, width)
        layer = _cfc(4 * width, units, motors, mode, sparsity)
        super().__init__(frontend, features, frames, classes, encoder, encoder.frames, layer, steps)


class CNNRecurrent(_Liquid):
    """The rivals of `CNNLTC` and `CNNCfC`: an LSTM or a GRU on the frames of the same convolutions.

    With ten classes, 64 units of an LSTM (Hochreiter & Schmidhuber 1997, doi:10.1162/neco.1997.9.8.1735) and 77 of a
    GRU (Cho et al. 2014, https://arxiv.org/abs/1406.1078) make models of the size of `CNNLTC` with 64 neurons: 57,978,
    57,887 and 57,466 parameters. `CNNCfC` has 57,178 with 38 units.

    Args:
        frontend: module that maps the waveform to features `(B, F, T)`.
        features: F of one clip, ≥ 7.
        frames: T of one clip, ≥ 13.
        classes: C.
        cell: "lstm" or "gru".
        width: channels of the first block; the second has twice, the third four times as many.
        units: of the recurrent layer.
        steps: most steps for one clip, to which longer ones are averaged.
    """

    least_features = LEAST_BANDS
    least_frames = LEAST_FRAMES

    def __init__(
        self,
        frontend: nn.Module,
        features: int,
        frames: int,
        classes: int,
        cell: Literal["lstm", "gru"] = "lstm",
        width: int = 16,
        units: int = 64,
        steps: int = 50,
    ) -> None:
        encoder = _Convolutions(features, frames, width)
        layer = Recurrent(cell, 4 * width, units)
        super().__init__(frontend, features, frames, classes, encoder, encoder.frames, layer, steps)


class _Convolutions(nn.Module):
    """Features `(B, F, T)` to frames `(B, 4 width, about T / 16)`, cheap enough for one processor core.

    The first convolution, 5 × 5, strides by 2 in frequency and 4 in time; two of 3 × 3 follow, each with 2 × 2 maximum
    pooling ahead of the normalisation. Frequency is left by the sum of mean and maximum over it. Channels lie last in
    memory, which on a processor makes the pooling several times as fast.
    """

    def __init__(self, features: int, frames: int, width: int) -> None:
        super().__init__()
        if features < LEAST_BANDS or frames < LEAST_FRAMES:
            raise ModelError(
                f"strides of 8 bands and 16 frames need at least {LEAST_BANDS} bands and {LEAST_FRAMES} frames, got "
                f"{features} and {frames}: "
                f"use a front-end with more of them, longer clips, or the model without a CNN"
            )
        self.frames = (frames + 3) // 4 // 2 // 2
        self.norm = nn.BatchNorm1d(features)
        self.stem = nn.Conv2d(1, width, 5, stride=(2, 4), padding=2, bias=False)
        self.blocks = FusedSequential(
            nn.BatchNorm2d(width),
            nn.ReLU(),
            *self._block(width, 2 * width),
            *self._block(2 * width, 4 * width),
        )
        self.pool = MeanMax()
        self.scale = nn.BatchNorm1d(4 * width)

    @staticmethod
    def _block(before: int, after: int) -> list[nn.Module]:
        convolution = nn.Conv2d(before, after, 3, padding=1, bias=False)
        return [convolution, nn.MaxPool2d(2), nn.BatchNorm2d(after), nn.ReLU()]

    @staticmethod
    def framing() -> Framing:
        """Return where the frames lie among the features."""
        convolution, pooling = Framing(before=1, after=2), Framing(stride=Fraction(2), centre=0.5, after=2)
        stem = Framing(stride=Fraction(4), before=2, after=3)
        return stem.then(convolution).then(pooling).then(convolution).then(pooling)

    def forward(self, features: Tensor) -> Tensor:
        x = self.norm(features)[:, None]  # (B, 1, F, T)
        x = self.stem(x).contiguous(memory_format=torch.channels_last)  # (B, width, about F / 2, about T / 4)
        x = self.blocks(x)  # (B, 4 width, about F / 8, about T / 16)
        return self.scale(self.pool(x))  # type: ignore[no-any-return]  # (B, 4 width, about T / 16)
