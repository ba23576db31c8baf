"""Bidirectional LSTM layers with skip connections, for sequences of embeddings.

Each layer's output is its input concatenated with the forward and the backward states, so the head gets the embeddings
and every layer. No source states the width or the head: 100 units per direction, mean over time and a hidden layer of
500 have about the size of the fully connected baseline (1,056,527 parameters for 128 features and 527 labels).

Frames at the end that are all zero are padding. With "masked", the backward LSTM starts at the last real frame and
pooling ignores padding, so a clip's logits do not depend on the amount of padding. With "unmasked", padding counts as
ordinary frames. A clip of zeros counts as one frame. Features are standardised by statistics of all frames, including
padding.
"""

from typing import Any, ClassVar, Literal, get_args

import torch
from torch import Tensor, nn

from models.base import AudioModel, ModelError
from models.frontends.logmel import PooledLogMel
from models.layers.framing import Framing, Stage, Stateful
from models.layers.initialisation import Initialisation, initialise
from models.layers.padding import Padding, check, real_frames

Pooling = Literal["mean", "max", "last", "flatten"]


class SkipLayer(nn.Module):
    """One LSTM layer, its output concatenated to its input.

    Args:
        features: F of the input.
        hidden: H of one direction.
        bidirectional: whether there is a backward LSTM.
    """

    def __init__(self, features: int, hidden: int, bidirectional: bool) -> None:
        super().__init__()
        self.forwards = nn.LSTM(features, hidden, batch_first=True)
        self.backwards = nn.LSTM(features, hidden, batch_first=True) if bidirectional else None
        self.features = features + hidden * (1 + bidirectional)

    def forward(self, x: Tensor, mirror: Tensor) -> Tensor:
        """Map `(B, T, F)` to `(B, T, F + 2H)`; `mirror (B, T)` numbers the frames of each clip backwards."""
        outputs = [x, self.forwards(x)[0]]
        if self.backwards is not None:
            outputs.append(_take(self.backwards(_take(x, mirror))[0], mirror))
        return torch.cat(outputs, 2)


class LSTMSkip(AudioModel):
    """LSTM layers with skip connections, pooling over time, a hidden layer, logits.

    Args:
        frontend: maps the batch's `x` to features `(B, F, T)`.
        features: F.
        frames: T of one clip; clips of other lengths are accepted.
        classes: C.
        hidden: H of one direction.
        layers: number of LSTM layers.
        head_units: units of the hidden layer; 0 for none.
        bidirectional: whether the layers run backwards, too.
        pooling: "mean", "max" over the frames that are not padding, or the "last" of them; "flatten" gives the head all
            T frames, padding as 0, and refuses clips of another length.
        dropout: share of the inputs of each layer but the first, and of the head, that is dropped in training.
        input_dropout: share of the standardised features that is dropped in training.
        initialisation: how the layers are drawn, see `models.layers.initialisation`.
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
        pooling: Pooling = "mean",
        dropout: float = 0.5,
        input_dropout: float = 0.0,
        initialisation: Initialisation = "default",
        padding: Padding = "masked",
    ) -> None:
        super().__init__(frontend, features, frames, classes)
        if pooling not in get_args(Pooling):
            raise ModelError(f"pooling is 'mean', 'max', 'last' or 'flatten', not {pooling!r}")
        if min(hidden, layers + 1, head_units + 1) < 1:
            raise ModelError(f"need hidden ≥ 1, layers and head_units ≥ 0, got {hidden}, {layers} and {head_units}")
        check(padding)
        self.pooling = pooling
        self.padding: Padding = padding
        self.standardise = nn.BatchNorm1d(features, affine=False)
        self.layers = nn.ModuleList()
        for _ in range(layers):
            layer = SkipLayer(features, hidden, bidirectional)
            self.layers.append(layer)
            features = layer.features
        self.input_dropout = nn.Dropout(input_dropout)
        self.dropout = nn.Dropout(dropout)
        features *= frames if pooling == "flatten" else 1
        self.hidden = nn.Linear(features, head_units) if head_units else None
        self.logits = nn.Linear(head_units or features, classes)
        initialise(self, initialisation)

    @property
    def output(self) -> nn.Linear:
        """The linear layer that makes the logits."""
        return self.logits

    def classify(self, features: Tensor) -> Tensor:
        """Map features `(B, F, T)` to logits `(B, C)`."""
        if self.pooling == "flatten" and features.shape[2] != self.frames:
            raise ModelError(
                f"pooling 'flatten' was built for {self.frames} frames, got {features.shape[2]}: cut or pad the clips "
                f"to one length, or choose another pooling"
            )
        x, real, last = self.body(features)
        return self.head(self.pool(x, real, last))

    def body(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Map features `(B, F, T)` to outputs `(B, T, D)`, which frames are real `(B, T)` and the last one `(B, 1)`."""
        real = real_frames(features, self.padding)  # (B, T)
        last = real.sum(1, keepdim=True) - 1  # (B, 1)
        frames = torch.arange(features.shape[2], device=features.device)  # (T,)
        mirror = torch.where(real, last - frames, frames)  # (B, T)
        x = self.input_dropout(self.standardise(features)).transpose(1, 2)  # (B, T, F)
        for i, layer in enumerate(self.layers):
            x = layer(self.dropout(x) if i else x, mirror)  # (B, T, D)
        return x, real, last

    def head(self, x: Tensor) -> Tensor:
        """Map pooled outputs `(..., D)` to logits `(..., C)`."""
        x = self.dropout(x)
        if self.hidden is not None:
            x = self.dropout(self.hidden(x).relu())  # (..., head_units)
        logits: Tensor = self.logits(x)
        return logits

    def frame_logits(self, features: Tensor) -> Tensor:
        """Map features `(B, F, T)` to logits `(B, T, C)` of each frame, as of a clip whose pooled frame it is.

        Raises:
            ModelError: the head takes all frames at once.
        """
        self.framing()
        return self.head(self.body(features)[0])

    def framing(self) -> Framing:
        """Return where the decisions lie: at every frame, from all frames until then, or from all of the clip.

        Raises:
            ModelError: the head takes all frames at once.
        """
        if self.pooling == "flatten":
            raise ModelError("LSTMSkip has no logits of single frames with pooling 'flatten': use another pooling")
        return Framing(before=None, after=None if self._bidirectional() else 1)

    def stage(self) -> Stage:
        """Return a stage that keeps the states of the layers.

        Raises:
            ModelError: a layer runs backwards, or the head takes all frames at once.
        """
        if self.framing().after is None:
            raise ModelError("a frame of LSTMSkip depends on all of the clip: use bidirectional=False")
        return Stateful(self.advance)

    def advance(self, features: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Map the next frames `(B, F, t)` of a stream to logits `(B, C, t)` of each, and the state; in eval mode."""
        x, state = self._forwards(features, state)
        return self.head(x).transpose(1, 2), state

    def _forwards(self, features: Tensor, state: Any = None) -> tuple[Tensor, list[Any]]:
        """Map the next frames `(B, F, t)` to the layers' outputs `(B, t, D)`, and the layers' states."""
        x, after = self.standardise(features).transpose(1, 2), []  # (B, t, F)
        for layer, memory in zip(self._skips(), [None] * len(self.layers) if state is None else state, strict=True):
            y, memory = layer.forwards(x, memory)
            x = torch.cat([x, y], 2)  # (B, t, D)
            after.append(memory)
        return x, after

    def _bidirectional(self) -> bool:
        return any(layer.backwards is not None for layer in self._skips())

    def stream(self, features: Tensor) -> Tensor:
        """Return the frames of features `(B, F, T)` as they are.

        Raises:
            ModelError: a layer runs backwards, or the head takes all frames at once.
        """
        if self.pooling == "flatten" or self._bidirectional():
            raise ModelError(
                "the model has no step-by-step inference: use bidirectional=False and a pooling other than 'flatten'"
            )
        return features

    def step(self, frame: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Map one more frame `(B, F)` that is not padding to the logits so far `(B, C)`, and the state."""
        memories, pooled, count = (None, None, 0) if state is None else state
        outputs, after = self._forwards(frame[..., None], memories)
        x = outputs[:, 0]
        if pooled is not None and self.pooling != "last":
            x = torch.maximum(pooled, x) if self.pooling == "max" else pooled + x
        pooled, count = x, count + 1
        return self.head(x / count if self.pooling == "mean" else x), (after, pooled, count)

    def _skips(self) -> list[SkipLayer]:
        return [layer for layer in self.layers if isinstance(layer, SkipLayer)]

    def pool(self, x: Tensor, real: Tensor, last: Tensor) -> Tensor:
        """Reduce `(B, T, D)` to `(B, D)`, or `(B, T D)`, by the frames that are `real (B, T)`; the `last (B, 1)`."""
        if self.pooling == "last":
            return _take(x, last).squeeze(1)
        padding = ~real[..., None]  # (B, T, 1)
        if self.pooling == "max":
            return x.masked_fill(padding, -torch.inf).amax(1)
        x = x.masked_fill(padding, 0)
        return x.flatten(1) if self.pooling == "flatten" else x.sum(1) / (last + 1)


def _take(x: Tensor, frames: Tensor) -> Tensor:
    """Take from `(B, T, F)` the frames `(B, N)` of each clip: `(B, N, F)`."""
    return x.gather(1, frames[..., None].expand(-1, -1, x.shape[2]))
