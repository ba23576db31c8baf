"""The module that is exported, its input, and test signals for it."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bench.errors import ArgumentError
from bench.inference.classifier import Classifier
from models.base import AudioModel, Frontend, ModelError
from models.export_forms import faster
from models.layers.portable import least_samples


class Classify(nn.Module):
    """A model from its features `(B, F, T)` on."""

    def __init__(self, model: AudioModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, features: Tensor) -> Tensor:
        """Map `(B, F, T)` to logits `(B, C)`."""
        return self.model.classify(features)


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A module with one input, of which one axis may have any length.

    Attributes:
        name: of the model, in messages.
        eager: the module as it is, in eval mode on the CPU: the reference.
        module: the same in its portable form.
        input: name of the input, "clips", "features" or "embeddings".
        shape: of the input for one clip of the model's own length, without the batch.
        axis: of the batch that may have any length.
        least: shortest length that the portable form is right for.
        open: whether the module takes other lengths.
        signals: returns inputs `(B, ...)` for a number of clips and a length.
    """

    name: str
    eager: nn.Module
    module: nn.Module
    input: str
    shape: tuple[int, ...]
    axis: int
    least: int
    open: bool
    signals: Callable[[int, int], Tensor]

    @property
    def length(self) -> int:
        """Length of a clip of the model's own length."""
        return self.shape[self.axis - 1]

    @property
    def odd_length(self) -> int:
        """A length at which nothing divides: an export that fixes the traced length is wrong at all usual ones."""
        return max(self.length * 131 // 100, self.least + 2) | 1

    def reference(self, x: Tensor) -> Tensor:
        """Return the logits of the model itself."""
        with torch.inference_mode():
            out: Tensor = self.eager(x)
        return out


def subject(model: Classifier, features: bool = False) -> Subject:
    """Return what is exported of a trained model.

    Args:
        model: on any device.
        features: whether the file starts at the features, without the front-end.

    Raises:
        ArgumentError: the front-end cannot be left out.
    """
    module = model.module.cpu().eval()
    if features and not isinstance(module, AudioModel):
        raise ArgumentError(
            f"{model.name} combines several models, each with a front-end of its own: leave --features out"
        )
    if not model.takes_sound:
        return _of(model.name, module, "embeddings", model.clip_shape, 1, 1, _sequences(model.clip_shape))
    rate = model.rate()
    if not features:
        form = faster(module)
        least = max([least_samples(form), *(_shortest(part) for part in module.modules())])
        return _of(model.name, module, "clips", model.clip_shape, 1, least, lambda b, n: signals(b, n, rate), form)
    assert isinstance(module, AudioModel)
    own = module.extract

    def cut(batch: int, length: int) -> Tensor:
        """Return features of signals that are long enough."""
        samples = model.samples
        with torch.inference_mode():
            while (found := own(signals(batch, samples, rate))).shape[2] < length:
                samples *= 2
        return found[..., :length].clone()

    shape = (module.features, module.frames)
    return _of(model.name, Classify(module), "features", shape, 2, max(1, type(module).least_frames), cut)


def _of(
    name: str,
    eager: nn.Module,
    what: str,
    shape: tuple[int, ...],
    axis: int,
    least: int,
    inputs: Callable[[int, int], Tensor],
    form: nn.Module | None = None,
) -> Subject:
    form = faster(eager) if form is None else form
    made = Subject(
        name=name, eager=eager.eval(), module=form, input=what, shape=tuple(shape), axis=axis,
        least=min(least, shape[axis - 1]), open=True, signals=inputs,
    )  # fmt: skip
    try:
        made.reference(inputs(1, made.odd_length))
    except (ModelError, RuntimeError):  # a model of one length
        return Subject(**{**vars(made), "open": False})
    return made


def _shortest(module: nn.Module) -> int:
    if not isinstance(module, AudioModel) or not isinstance(module.frontend, Frontend):
        return 1
    return type(module).shortest_clip(module.frontend)


def signals(batch: int, samples: int, rate: int) -> Tensor:
    """Return test signals `(B, S)`: gliding tones of several levels in noise, the same for the same arguments."""
    noise = torch.randn(batch, samples, generator=torch.Generator().manual_seed(samples))
    time = torch.arange(samples, dtype=torch.float64) / rate
    pitch = 150.0 * 2.0 ** (torch.arange(batch, dtype=torch.float64) % 5)[:, None]
    tone = torch.sin(2 * torch.pi * pitch * time * (1 + 0.3 * time)).float()
    level = 10.0 ** -(torch.arange(batch) % 3)[:, None]
    return (level * (0.3 * tone + 0.03 * noise)).clamp(-1, 1)


def _sequences(shape: tuple[int, ...]) -> Callable[[int, int], Tensor]:
    def inputs(batch: int, length: int) -> Tensor:
        return torch.rand(batch, length, *shape[1:], generator=torch.Generator().manual_seed(length))

    return inputs
