"""Mixtures of Gaussians on single frames: SwishNet's baseline "GMM" (https://arxiv.org/abs/1812.00149).

Each class has 256 components with diagonal covariance on 20 MFCC with their first and second differences. A clip's
score for a class is the mean over its frames of their log-likelihood, and the class of the greatest one wins. The paper
counts 92,416 parameters for three classes. Means and variances of 3 · 256 components in 60 dimensions are 92,160; the
256 more are one set of mixture weights, so "tied" weights have the published count. By default each class has its own,
as mixtures have, which makes 92,928.

Training is expectation maximisation (Dempster, Laird & Rubin 1977), without gradients: the first epoch draws frames of
each class for the means, every further epoch is one step over all training clips. A step needs no more memory for more
clips. Coefficients are standardised by the frames of the first epoch (no parameters).
"""

import math
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.base import AudioModel, ModelError
from models.errors import TrainingError
from models.frontends.mfcc import MFCCDeltas
from models.layers.framing import Blocks, Framing, Stage

FLOOR = 1e-3
"""Least variance of a component; the variance of all frames is 1."""

DRAWN = 4
"""Frames that are kept of each clip for the first means."""


class GMM(AudioModel):
    """Log-likelihoods of each class's mixture, mean over the frames.

    Args:
        frontend: maps the batch's `x` to features `(B, F, T)`, 20 MFCC and their differences in the paper.
        features: F.
        frames: T of one clip; clips of other lengths are accepted.
        classes: C.
        components: K of each class.
        tied: whether all classes have the same mixture weights.
    """

    default_frontend = MFCCDeltas

    inputs: ClassVar[frozenset[str]] = frozenset({"waveform"})
    offset: Tensor
    scale: Tensor
    clip_seconds = 2.0

    def __init__(
        self, frontend: nn.Module, features: int, frames: int, classes: int, components: int = 256, tied: bool = False
    ) -> None:
        super().__init__(frontend, features, frames, classes)
        if components < 1:
            raise ModelError(f"components must be ≥ 1, got {components}")
        self.register_buffer("offset", torch.zeros(features))
        self.register_buffer("scale", torch.ones(features))
        self.means = nn.Parameter(torch.randn(classes, components, features))
        self.log_variances = nn.Parameter(torch.zeros(classes, components, features))
        self.weights = nn.Parameter(0.1 * torch.randn(1 if tied else classes, components))
        self.logits = nn.Linear(classes, classes).requires_grad_(False)
        nn.init.eye_(self.logits.weight)
        nn.init.zeros_(self.logits.bias)
        self._frames: list[list[Tensor]] = []
        self._sums: list[Tensor] = []
        self._drawn = False

    @property
    def output(self) -> nn.Linear:
        """The identity, which is not trained."""
        return self.logits

    def joint(self, x: Tensor) -> Tensor:
        """Map frames `(..., F)` to the log-density `(..., C, K)` of each component, its mixture weight included."""
        precision = torch.exp(-self.log_variances)  # (C, K, F)
        constant = (self.log_variances + self.means.square() * precision).sum(2) + self.features * math.log(2 * math.pi)
        flat = precision.flatten(0, 1)
        squares = F.linear(x.square(), flat) - 2 * F.linear(x, (self.means * precision).flatten(0, 1))
        density: Tensor = -0.5 * (squares.unflatten(-1, constant.shape) + constant)  # type: ignore[no-untyped-call]
        return density + self.weights.log_softmax(1)

    def standardise(self, features: Tensor) -> Tensor:
        """Map features `(B, F, T)` to standardised frames `(B, T, F)`."""
        return (features.transpose(1, 2) - self.offset) / self.scale

    def frame_logits(self, features: Tensor) -> Tensor:
        """Map features `(B, F, T)` to logits `(B, T, C)` of each frame, whose mean is the clip's."""
        logits: Tensor = self.logits(self.joint(self.standardise(features)).logsumexp(3))
        return logits

    def classify(self, features: Tensor) -> Tensor:
        """Map features `(B, F, T)` to logits `(B, C)`."""
        return self.frame_logits(features).mean(1)

    def on_fit_start(self) -> None:
        """Leave the prior out, and refuse what expectation maximisation has no meaning for.

        A training that is continued begins here, too, with the state of its checkpoint.

        Raises:
            TrainingError: several processes would each see a part of the clips, clips have several labels, or the
                recipe averages weights.
        """
        super().on_fit_start()
        self._refuse()
        nn.init.zeros_(self.logits.bias)

    def _refuse(self) -> None:
        if self.task != "single":
            raise TrainingError("a mixture of each class needs clips of one class: choose a model for several labels")
        if self.recipe.ema_decay is not None:
            raise TrainingError("expectation maximisation has no steps to average: leave ema_decay out")
        if self._processes() > 1:
            raise TrainingError("expectation maximisation sums over all clips in one process: train with devices=1")

    def on_train_start(self) -> None:
        """Forget an earlier training; one that is continued has its means if its coefficients are standardised."""
        super().on_train_start()
        if self.global_step == 0:
            self.offset.zero_()
            self.scale.fill_(1.0)
        self._drawn = bool((self.scale != 1).any())

    def on_train_epoch_start(self) -> None:
        """Begin new sums."""
        super().on_train_epoch_start()
        self._frames = [[] for _ in range(self.classes)]
        shape = self.classes, self.means.shape[1]
        self._sums = [self.means.new_zeros(*shape, 1), *(self.means.new_zeros(*shape, self.features) for _ in range(2))]

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Add a batch to the sums, and return the loss, which trains nothing."""
        x, target = batch[:2]
        with torch.no_grad():
            features = x if self.from_features else self.extract(x)
            self._add(self.standardise(features), target)
        return super().training_step(batch, batch_idx)

    def on_before_optimizer_step(self, *args: Any) -> None:
        """Drop the gradients of what expectation maximisation sets; an optimiser leaves alone what has none."""
        for parameter in (self.means, self.log_variances, self.weights):
            parameter.grad = None

    def _add(self, x: Tensor, target: Tensor) -> None:
        """Add frames `(B, T, F)` of clips of the classes `target (B,)` to the sums, or keep some for the means."""
        for label in sorted(set(target.tolist())):
            frames = x[target == label]
            if not self._drawn:
                picked = torch.randint(frames.shape[1], (len(frames), DRAWN), device=x.device)
                self._frames[label] += frames.gather(1, picked[..., None].expand(-1, -1, self.features)).flatten(0, 1)
                continue
            frames = frames.flatten(0, 1)
            share = self.joint(frames)[:, label].softmax(1)  # (N, K)
            for total, part in zip(self._sums, (torch.ones_like(frames[:, :1]), frames, frames.square()), strict=True):
                total[label] += share.T @ part

    def on_validation_epoch_start(self) -> None:
        """Take the epoch's step; Lightning validates before it ends the epoch."""
        super().on_validation_epoch_start()
        self._step()

    def on_train_epoch_end(self) -> None:
        """Take the epoch's step where no validation has."""
        super().on_train_epoch_end()
        self._step()

    @torch.no_grad()
    def _step(self) -> None:
        """Set the parameters from the epoch's frames (the first one) or sums, and forget these."""
        if self.trainer.state.fn != "fit" or not self._sums:
            return
        if not self._drawn and any(self._frames):
            self._draw()
        elif self._drawn and self._sums[0].any():
            self._maximise()
        self._frames, self._sums = [], []

    def _draw(self) -> None:
        """Standardise, and put each class's means on some of its frames, with the variance of all of its frames."""
        every = torch.stack([frame for kept in self._frames for frame in kept])
        self.offset.copy_(every.mean(0))
        self.scale.copy_(every.std(0, correction=0).clamp(min=1e-6))
        for label, kept in enumerate(self._frames):
            if not kept:
                continue
            frames = (torch.stack(kept) - self.offset) / self.scale
            chosen = torch.randperm(len(frames), device=frames.device).repeat(-(-self.means.shape[1] // len(frames)))
            self.means[label] = frames[chosen[: self.means.shape[1]]]
            self.log_variances[label] = frames.var(0, correction=0).clamp(min=FLOOR).log()
        self.weights.zero_()
        self._drawn = True

    def _maximise(self) -> None:
        """Set means, variances and weights to the moments of the frames that each component has taken."""
        count, first, second = self._sums
        taken = count > 1e-2 * self.features  # a component with hardly a frame stays as it is
        means = first / count.clamp(min=1e-9)
        variances = (second / count.clamp(min=1e-9) - means.square()).clamp(min=FLOOR)
        self.means.copy_(torch.where(taken, means, self.means))
        self.log_variances.copy_(torch.where(taken, variances.log(), self.log_variances))
        share = count[..., 0].sum(0, keepdim=True) if len(self.weights) == 1 else count[..., 0]  # (1 or C, K)
        self.weights.copy_((share + 1e-3).log())

    def framing(self) -> Framing:
        """Return where the decisions lie: at every frame, from this frame alone."""
        return Framing()

    def stage(self) -> Stage:
        """Return a stage without a state."""
        return Blocks(lambda features: self.frame_logits(features).transpose(1, 2), self.framing())
