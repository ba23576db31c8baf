"""k nearest neighbours (Cover & Hart 1967, doi:10.1109/TIT.1967.1053964) among the training clips, as a model.

A clip is the mean over time of its features or embeddings, divided by its length, so that the nearest clips are those
of the smallest angle (cosine distance). The share of each class among the k nearest, times `sharpness`, is its logit.
The order of the classes is that of the shares. Only `sharpness` is trained, so that probabilities are calibrated.

An epoch of training keeps the training clips as they come; the next epoch begins with an empty memory. One epoch is
enough. Their labels are kept as shares, so several labels per clip work, too. Untrained, the memory holds random clips.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.base import AudioModel, ModelError
from models.errors import TrainingError
from models.frontends.logmel import PooledLogMel

UNTRAINED = 4
"""Random clips of each class before a training."""


class KNN(AudioModel):
    """Cosine distance to the kept clips, shares of the classes among the nearest.

    Args:
        frontend: maps the batch's `x` to features `(B, F, T)`.
        features: F.
        frames: T of one clip; clips of other lengths are accepted.
        classes: C.
        k: neighbours that count; all where fewer clips are kept.

    Attributes:
        kept: unit vectors of the kept clips `(N, F)`.
        shares: their labels `(N, C)`.
    """

    default_frontend = PooledLogMel

    inputs: ClassVar[frozenset[str]] = frozenset({"waveform", "embedding"})
    kept: Tensor
    shares: Tensor

    def __init__(self, frontend: nn.Module, features: int, frames: int, classes: int, k: int = 5) -> None:
        super().__init__(frontend, features, frames, classes)
        if k < 1:
            raise ModelError(f"k must be ≥ 1, got {k}")
        self.k = k
        self.register_buffer("kept", F.normalize(torch.rand(UNTRAINED * classes, features), dim=1))
        self.register_buffer("shares", torch.eye(classes).repeat(UNTRAINED, 1))
        self.sharpness = nn.Parameter(torch.tensor(10.0))
        self.logits = nn.Linear(classes, classes).requires_grad_(False)
        nn.init.eye_(self.logits.weight)
        nn.init.zeros_(self.logits.bias)
        self._coming: list[tuple[Tensor, Tensor]] = []

    @property
    def output(self) -> nn.Linear:
        """The identity, which is not trained."""
        return self.logits

    def vectors(self, features: Tensor) -> Tensor:
        """Map features `(B, F, T)` to unit vectors `(B, F)`."""
        return F.normalize(features.mean(2), dim=1)

    def classify(self, features: Tensor) -> Tensor:
        """Map features `(B, F, T)` to logits `(B, C)`."""
        near = F.linear(self.vectors(features), self.kept)  # (B, N)
        nearest = near.topk(min(self.k, len(self.kept)), 1).indices  # (B, k)
        logits: Tensor = self.logits(self.sharpness * self.shares[nearest].mean(1))
        return logits

    def on_fit_start(self) -> None:
        """Leave the prior out: the shares of the neighbours follow it already.

        Raises:
            TrainingError: several processes would each keep a part of the clips, or the recipe averages weights.
        """
        super().on_fit_start()
        if self._processes() > 1:
            raise TrainingError("nearest neighbours keep the training clips in one process: train with devices=1")
        if self.recipe.ema_decay is not None:
            raise TrainingError("nearest neighbours have no weights to average: leave ema_decay out")
        self._coming.clear()
        nn.init.zeros_(self.logits.bias)

    def on_train_epoch_start(self) -> None:
        """Begin a new memory."""
        super().on_train_epoch_start()
        self._coming.clear()

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Keep the clips of a batch, and return the loss by those of the last memory."""
        x, target = batch[:2]
        with torch.no_grad():
            vectors = self.vectors(x if self.from_features else self.extract(x))
            shares = F.one_hot(target, self.classes) if self.task == "single" else target
            self._coming.append((vectors.float(), shares.float()))
        return super().training_step(batch, batch_idx)

    def on_validation_epoch_start(self) -> None:
        """Take the clips so far as the memory; Lightning validates before it ends the epoch."""
        super().on_validation_epoch_start()
        self._renew()

    def on_train_epoch_end(self) -> None:
        """Take the epoch's clips as the memory."""
        super().on_train_epoch_end()
        self._renew()

    def _renew(self) -> None:
        if self._coming and self.trainer.state.fn == "fit":
            vectors, shares = (torch.cat(part) for part in zip(*self._coming, strict=True))
            self.remember(vectors, shares)

    def remember(self, vectors: Tensor, shares: Tensor) -> None:
        """Replace the memory.

        Args:
            vectors: `(N, F)`, of any length.
            shares: `(N, C)`.
        """
        self.kept, self.shares = F.normalize(vectors, dim=1).to(self.kept), shares.to(self.shares)

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *rest: Any) -> None:
        """Load a memory of any number of clips."""
        for name in ("kept", "shares"):
            given = state_dict.get(prefix + name)
            if given is not None and given.shape[1:] == getattr(self, name).shape[1:]:
                setattr(self, name, getattr(self, name).new_zeros(given.shape))
        super()._load_from_state_dict(state_dict, prefix, *rest)
