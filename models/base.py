"""The interface of every model and every front-end.

The batch, shared with `datamodules`, is `(x, target)`:

* `x` is a waveform `(B, S)` float32 in [-1, 1] at the data's sample rate, or an embedding sequence `(B, T, F)` float32
  in [0, 1];
* `target` is `(B,)` int64 for single-label data, `(B, C)` float32 for multi-label data.

Shape letters: **B** batch, **S** samples, **F** feature channels, **T** frames, **C** classes, **H** state,
**N** sources.
"""

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Protocol, runtime_checkable

import torch
from torch import Tensor, nn


class ModelError(ValueError):
    """A model or front-end cannot be built or run with these arguments; the message says what to change."""


class Frontend(nn.Module, ABC):
    """Waveform to features, as a module: it runs on the model's device, is counted and is timed.

    Attributes:
        frame_rate: frames per second of the features.
        axis: unit or name of what the F feature channels stand for, as the axis of a plot shows it.
    """

    axis: ClassVar[str] = "channel"
    frame_rate: float

    @abstractmethod
    def forward(self, waveform: Tensor) -> Tensor:
        """Map a waveform `(B, S)` to features `(B, F, T)`; a clip's features do not depend on its batch."""

    @abstractmethod
    def macs(self, samples: int) -> int:
        """Return the multiply-adds of a clip of `samples` samples; an N-point FFT is N/2 log2 N complex products."""

    @property
    def fixed(self) -> bool:
        """Whether the features of a clip never change, so that they may be computed once."""
        return not any(p.requires_grad for p in self.parameters())

    def band_centres(self) -> Tensor | None:
        """Return the centre of each channel's band in hertz `(F,)`; None where channels are no frequency bands."""
        return None


@runtime_checkable
class FourierTransform(Protocol):
    """A module that computes a Fourier transform of a waveform, which no layer with weights shows."""

    def dft_macs(self, samples: int) -> int:
        """Return the multiply-adds of the transform of one clip of `samples` samples, computed as two convolutions."""


class AudioModel(nn.Module, ABC):
    """A classifier: `frontend: x → (B, F, T)`, then `classify: (B, F, T) → logits (B, C)`.

    Args:
        frontend: module that maps the batch's `x` to features `(B, F, T)`.
        features: F of one clip.
        frames: T of one clip.
        classes: C, the number of logits.

    Attributes:
        inputs: kinds of data that the model accepts, "waveform", "embedding" or both.
        clip_seconds: length of clip that published figures are for; `bench complexity` uses it by default.
        idle: names of modules that a published checkpoint contains and the model does not use.

    A module inside the model that computes with kernels of its own, which are no operators of torch, sets
    `own_kernels = True`.
    """

    inputs: ClassVar[frozenset[str]] = frozenset({"waveform"})
    clip_seconds: float = 10.0
    idle: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, frontend: nn.Module, features: int, frames: int, classes: int) -> None:
        super().__init__()
        if min(features, frames, classes) < 1:
            raise ModelError(f"features, frames and classes must be ≥ 1, got {features}, {frames}, {classes}")
        self.frontend = frontend
        self.features = features
        self.frames = frames
        self.classes = classes

    @abstractmethod
    def classify(self, features: Tensor) -> Tensor:
        """Map features `(B, F, T)` to logits `(B, C)`."""

    @property
    @abstractmethod
    def output(self) -> nn.Linear:
        """The last linear layer, the one that makes the logits."""

    def forward(self, x: Tensor) -> Tensor:
        """Map the batch's `x` to logits `(B, C)`."""
        return self.classify(self.frontend(x))

    def stream(self, features: Tensor) -> Tensor:
        """Return the frames `(B, I, N)` of features `(B, F, T)` that `step` takes one after another.

        Raises:
            ModelError: the model has no step-by-step inference, as most have not.
        """
        raise ModelError("the model has no step-by-step inference")

    def step(self, frame: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Process one more frame, in eval mode.

        Args:
            frame: `(B, I)`.
            state: what the step before returned; None at a clip's beginning.

        Returns:
            Logits `(B, C)` of all frames so far, after the last one the clip's, and the state for the next step.

        Raises:
            ModelError: the model has no step-by-step inference, as most have not.
        """
        raise ModelError("the model has no step-by-step inference")

    def start_at_prior(self, prior: Tensor) -> None:
        """Set the output bias to the logit of each class's share `prior (C,)` of the training clips.

        Without it, a recurrent network with hundreds of rare labels spends its training on learning their rarity.
        """
        with torch.no_grad():
            self.output.bias.copy_(torch.logit(prior.to(self.output.bias), eps=1e-6))

    def elementwise(self) -> int:
        """Return the sigmoids, exponentials and the like of one clip where they dominate the cost (LTC), else 0."""
        return 0

    def has_own_kernels(self) -> bool:
        """Return whether a module inside the model computes with kernels that are no operators of torch (LTC)."""
        return any(getattr(module, "own_kernels", False) for module in self.modules())

    def uncounted_macs(self) -> int:
        """Return the multiply-adds of one clip that no operator counter sees (LTC's element-wise sums), else 0."""
        return 0
