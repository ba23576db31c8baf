"""Any nn.Module or LightningModule that maps clips to logits, as a model of the benchmark.

Nothing needs to be inherited from this project. A plain `nn.Module` is trained by the recipe. A LightningModule with a
`training_step` of its own trains itself: its loss, optimisers, schedules and callbacks stay as they are.
"""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Self

import lightning.pytorch as pl
import torch
from lightning.pytorch.utilities.model_helpers import is_overridden
from torch import Tensor, nn

from models.base import AudioModel, Data, ModelError
from models.frontends.waveform import Waveform
from models.recipe import Recipe

CLASSES = ("classes", "num_classes", "n_classes", "num_labels")
"""Names of constructor parameters that receive the number of classes."""


class ForeignModel(AudioModel):
    """A wrapped module: `x → (B, C)`.

    With the front-end `Waveform` the module receives waveforms `(B, S)`, or embeddings `(B, T, F)` as they are; with
    any other front-end it receives features `(B, F, T)`.

    Args:
        frontend: maps the batch's `x` to features.
        features: F.
        frames: T.
        classes: C.
        module: maps waveforms, embeddings or features to logits `(B, C)`.
    """

    inputs = frozenset({"waveform", "embedding"})
    default_frontend = Waveform

    def __init__(self, frontend: nn.Module, features: int, frames: int, classes: int, module: nn.Module) -> None:
        super().__init__(frontend, features, frames, classes)
        self.module = module

    @classmethod
    def of(
        cls,
        kind: Callable[..., nn.Module],
        data: Data,
        frontend: nn.Module,
        recipe: Recipe | None = None,
        arguments: Mapping[str, Any] | None = None,
    ) -> Self:
        """Build a module of a class for a dataset, and wrap it.

        Args:
            kind: class or function that returns the module. Parameters called `classes` (or `num_classes`,
                `n_classes`, `num_labels`), `sample_rate`, `samples`, `clip_shape`, `features` and `frames` receive
                what the data and the front-end say, unless `arguments` have them.
            data: set up.
            frontend: `Waveform` for a module that takes waveforms.
            recipe: how the model is trained, unless it trains itself.
            arguments: further arguments.

        Raises:
            ModelError: the module cannot be built, or does not return logits of the data's classes.
        """
        data.setup("fit")
        features, frames = cls.fitting(frontend, data.clip_shape)
        known = {name: len(data.classes) for name in CLASSES} | {
            "sample_rate": data.sample_rate, "samples": data.clip_shape[0], "clip_shape": data.clip_shape,
            "features": features, "frames": frames,
        }  # fmt: skip
        given = {**accepted(kind, known), **(arguments or {})}
        name = getattr(kind, "__qualname__", repr(kind))
        try:
            module = kind(**given)
        except TypeError as error:
            remedy = "; set it in the suite, or give it a default" if "required" in str(error) else ""
            raise ModelError(
                f"{name} cannot be built with {', '.join(given) or 'no arguments'}: {error}{remedy}"
            ) from error
        if not isinstance(module, nn.Module):
            raise ModelError(f"{name} makes a {type(module).__name__}, not an nn.Module")
        return cls.around(module, data, frontend, recipe)

    @classmethod
    def around(
        cls, module: nn.Module, data: Data, frontend: nn.Module | None = None, recipe: Recipe | None = None
    ) -> Self:
        """Wrap a module that is built already.

        Args:
            module: maps waveforms or features to logits `(B, C)`.
            data: the dataset; it is set up if it is not yet.
            frontend: None gives the module waveforms, or embeddings.
            recipe: as in `of`.

        Raises:
            ModelError: the module does not return logits of the data's classes.
        """
        data.setup("fit")
        if isinstance(module, pl.LightningModule) and is_overridden("configure_model", module):
            module.configure_model()  # as the Trainer does, again: it must do nothing then
        if frontend is None:
            frontend = cls._frontend_of(data)(data.sample_rate)  # type: ignore[arg-type]
        model = cls.for_clips(frontend, data.clip_shape, len(data.classes), module=module)
        model.task, model.labels, model.sample_rate = data.task, tuple(data.classes), data.sample_rate
        model.recipe = recipe or Recipe()
        model._check(data)
        if model._last_linear() is not None and not model.trains_itself and model.recipe.prior_bias:
            model.start_at_prior(data.prior())
        return model

    @property
    def trains_itself(self) -> bool:
        """Whether the wrapped module is a LightningModule with a training step of its own."""
        return (
            isinstance(self.module, pl.LightningModule)
            and not isinstance(self.module, AudioModel)
            and (type(self.module).training_step is not pl.LightningModule.training_step)
        )

    @property
    def output(self) -> nn.Linear:
        """The last linear layer with C outputs.

        Raises:
            ModelError: there is none.
        """
        if (found := self._last_linear()) is None:
            raise ModelError(f"{type(self.module).__name__} has no linear layer of {self.classes} outputs")
        return found

    def classify(self, features: Tensor) -> Tensor:
        """Map features `(B, F, T)`, or `(B, 1, S)` of a waveform, to logits `(B, C)`."""
        if isinstance(self.frontend, Waveform):
            features = features[:, 0]
        elif self.embedded:
            features = features.transpose(1, 2)
        logits: Tensor = self.module(features)
        return logits

    @property
    def embedded(self) -> bool:
        """Whether the module receives embeddings `(B, T, F)` as the data have them."""
        return self.sample_rate is None

    @property
    def takes_batches(self) -> bool:
        """Whether the module receives the batches of the data as they are, without features in between."""
        return self.embedded or isinstance(self.frontend, Waveform)

    def _last_linear(self) -> nn.Linear | None:
        linear = [m for m in self.module.modules() if isinstance(m, nn.Linear) and m.out_features == self.classes]
        return linear[-1] if linear and linear[-1].bias is not None else None

    def _check(self, data: Data) -> None:
        modes = [(module, module.training) for module in self.modules()]  # some may be frozen in eval mode
        self.eval()
        clip = torch.zeros(2, *data.clip_shape)
        try:
            with torch.no_grad():
                shape = tuple(self(clip).shape)
        except Exception as error:
            what = "embeddings" if self.embedded else "waveforms" if isinstance(self.frontend, Waveform) else "features"
            raise ModelError(
                f"{type(self.module).__name__} cannot compute {what} of {len(clip)} clips of shape "
                f"{tuple(data.clip_shape)}: {type(error).__name__}: {error}"
            ) from error
        finally:
            for module, training in modes:
                module.training = training
        if shape != (2, self.classes):
            raise ModelError(
                f"{type(self.module).__name__} returns {shape} for 2 clips, and must return logits (2, {self.classes})"
            )


def accepted(kind: Callable[..., Any], known: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of the known arguments that a constructor has by name."""
    return {name: value for name, value in known.items() if name in inspect.signature(kind).parameters}
