"""The interface of every model and every front-end.

The batch, shared with `datamodules`, is `(x, target)`:

* `x` is a waveform `(B, S)` float32 in [-1, 1] at the data's sample rate, or an embedding sequence `(B, T, F)` float32
  in [0, 1];
* `target` is `(B,)` int64 for single-label data, `(B, C)` float32 for multi-label data.

Shape letters: **B** batch, **S** samples, **F** feature channels, **T** frames, **C** classes, **H** state,
**N** sources.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, Self, runtime_checkable

import torch
from torch import Tensor, nn

from models import checkpoints
from models.checkpoints import Loaded
from models.errors import ModelError as ModelError
from models.layers import lengths
from models.layers.framing import Blocks, Framing, Stage
from models.recipe import Recipe
from models.training.arguments import remembers
from models.training.steps import TrainingSteps

HALF = (torch.float16, torch.bfloat16)


def use_kernels(module: nn.Module, use: bool = True) -> None:
    """Let kernels for a CPU compute the features of a module's front-ends where they can, or not.

    They round otherwise than torch does: decibels and coefficients differ by about 1e-4 at most. What predicts and what
    times predictions uses them. Training and scoring never do, so that a run's numbers stay what they are.

    Args:
        module: a front-end, a model, or what holds models.
        use: whether they may.
    """
    for part in module.modules():
        if hasattr(type(part), "kernels_allowed"):
            part.kernels_allowed = use  # type: ignore[assignment]


class Frontend(nn.Module, ABC):
    """Waveform to features, as a module: it runs on the model's device, is counted and is timed.

    Attributes:
        frame_rate: frames per second of the features.
        axis: unit or name of what the F feature channels stand for, as the axis of a plot shows it.
        least_samples: samples of the shortest clip that has features.
        given_arguments: the arguments that it was built with.
    """

    axis: ClassVar[str] = "channel"
    frame_rate: float
    least_samples: int = 1
    given_arguments: dict[str, Any]

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        remembers(cls)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Move or convert the module; what never learns stays in single precision in a model of half precision."""
        if not self.fixed:
            return super()._apply(fn, recurse)  # type: ignore[no-any-return, no-untyped-call]

        def converted(tensor: Tensor) -> Tensor:
            new = fn(tensor)
            return tensor.to(new.device) if new.dtype in HALF else new

        return super()._apply(converted, recurse)  # type: ignore[no-any-return, no-untyped-call]

    @abstractmethod
    def forward(self, waveform: Tensor) -> Tensor:
        """Map a waveform `(B, S)` to features `(B, F, T)`; a clip's features do not depend on its batch."""

    @abstractmethod
    def macs(self, samples: int) -> int:
        """Return the multiply-adds of a clip of `samples` samples; an N-point FFT is N/2 log2 N complex products."""

    def framing(self) -> Framing:
        """Return where the frames lie among the samples, and which samples each depends on.

        Raises:
            ModelError: features depend on the clip as a whole, or on more of it than is known.
        """
        raise ModelError(f"the features of {type(self).__name__} depend on the clip as a whole")

    def stage(self) -> Stage:
        """Return a stage that computes features `(B, F, n)` from a waveform that arrives in chunks `(B, s)`.

        Its frames are the ones of the whole waveform. Where the hop does not divide the sample rate, a clip's frames
        end earlier or later than the clip, and the stage has a frame at each hop.

        Raises:
            ModelError: as for `framing`.
        """
        framing = self.framing()
        assert framing.before is not None
        assert framing.after is not None
        settled = framing.before + framing.after + 2 * int(framing.stride)
        return Blocks(self, framing, self.least_samples, settled)

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


class Data(Protocol):
    """The facts about a dataset that a model is sized by; every datamodule of this project has it after `setup`."""

    @property
    def clip_shape(self) -> tuple[int, ...]:
        """Shape of one clip: `(S,)` or `(T, F)`."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the C classes."""

    @property
    def task(self) -> Literal["single", "multi"]:
        """Whether a clip has one label or several."""

    @property
    def sample_rate(self) -> int | None:
        """Sample rate in hertz; None for embeddings."""

    def setup(self, stage: str) -> None:
        """Read the dataset, once."""

    def prior(self) -> Tensor:
        """Return each class's share `(C,)` of the training clips."""


class AudioModel(TrainingSteps, ABC):
    """A classifier as a LightningModule: `frontend: x → (B, F, T)`, then `classify: (B, F, T) → logits (B, C)`.

    `SwishNet.for_data(data)` builds one for a dataset, and `SwishNet.load_from_checkpoint(path)` one of a checkpoint.

    Args:
        frontend: module that maps the batch's `x` to features `(B, F, T)`; or a front-end's description, which
            checkpoints hold.
        features: F of one clip.
        frames: T of one clip.
        classes: C, the number of logits.

    Attributes:
        inputs: kinds of data that the model accepts, "waveform", "embedding" or both.
        default_frontend: builds the front-end of `for_data` from a sample rate in hertz.
        read_once: constructor arguments that name a file with weights, which a checkpoint replaces.
        clip_seconds: length of clip that published figures are for; `bench complexity` uses it by default.
        least_features: smallest F that the model takes.
        least_frames: smallest T that the model takes.
        padded_frames: T up to which the model itself pads shorter clips with silence.
        idle: names of modules that a published checkpoint contains and the model does not use.
        loaded: what was taken from a file of weights; None where the weights are no file's.
        given_arguments: the arguments that it was built with, and that a file can hold.
        left_out_arguments: the names of the others.

    A module inside the model that computes with kernels of its own, which are no operators of torch, sets
    `own_kernels = True`.
    """

    inputs: ClassVar[frozenset[str]] = frozenset({"waveform"})
    default_frontend: ClassVar[Any] = None
    clip_seconds: float = 10.0
    least_features: ClassVar[int] = 1
    least_frames: ClassVar[int] = 1
    padded_frames: ClassVar[int] = 1
    idle: ClassVar[frozenset[str]] = frozenset()
    loaded: Loaded | None = None

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        remembers(cls)

    def __init__(self, frontend: nn.Module | Mapping[str, Any], features: int, frames: int, classes: int) -> None:
        super().__init__()
        if min(features, frames, classes) < 1:
            raise ModelError(f"features, frames and classes must be ≥ 1, got {features}, {frames}, {classes}")
        self.frontend = built(frontend) if isinstance(frontend, Mapping) else frontend
        self.features = features
        self.frames = frames
        self.classes = classes
        self.save_hyperparameters(self._constructor())

    @classmethod
    def for_data(
        cls,
        data: Data,
        *,
        frontend: nn.Module | Callable[[int], nn.Module] | None = None,
        recipe: Recipe | None = None,
        **arguments: Any,
    ) -> Self:
        """Return a model that is sized by a dataset, with weights drawn from torch's global generator.

        Args:
            data: a datamodule of this project; it is set up if it is not yet.
            frontend: a front-end, or what builds one from the data's sample rate; None takes the model's own.
            recipe: how the model is trained.
            **arguments: constructor arguments of the model.

        Raises:
            ModelError: the model cannot be built for these data.
        """
        data.setup("fit")
        if missing := [name for name in ("clip_shape", "classes", "task", "sample_rate") if not hasattr(data, name)]:
            raise ModelError(
                f"{type(data).__name__} has no {missing[0]!r} after setup: wrap it with "
                f"datamodules.foreign.ForeignData, or build the model with its constructor"
            )
        if frontend is None:
            frontend = cls._frontend_of(data)
        front = frontend if isinstance(frontend, nn.Module) else frontend(data.sample_rate)  # type: ignore[arg-type]
        model = cls.for_clips(front, data.clip_shape, len(data.classes), **arguments)
        model.task, model.labels, model.sample_rate = data.task, tuple(data.classes), data.sample_rate
        model.recipe = recipe or Recipe()
        if model.recipe.prior_bias and model.recipe.init is None:
            model.start_at_prior(data.prior())
        return model

    @classmethod
    def load_from_checkpoint(  # type: ignore[override]
        cls,
        checkpoint_path: Any,
        map_location: Any = None,
        hparams_file: Any = None,
        strict: bool | None = None,
        weights_only: bool = True,
        **options: Any,
    ) -> Self:
        """Return the model of a checkpoint, as in Lightning, but without reading pickles, which can run code.

        A checkpoint may also name a function that makes the model. That name is not used.

        Args:
            checkpoint_path: the file, or its address.
            map_location: as in Lightning.
            hparams_file: as in Lightning.
            strict: as in Lightning.
            weights_only: False reads pickles, which run any code; only for files that you trust.
            **options: arguments of the constructor, which replace those of the checkpoint.
        """
        load = super().load_from_checkpoint
        return load(
            checkpoint_path, map_location, hparams_file, strict, weights_only, **options | {"_instantiator": None}
        )

    @classmethod
    def for_clips(cls, frontend: nn.Module, clip_shape: Sequence[int], classes: int, **arguments: Any) -> Self:
        """Return a model for clips of `clip_shape`, `(S,)` or `(T, F)`, as the front-end computes their features.

        Raises:
            ModelError: the clips are too short for the model or the front-end, or have too few feature channels.
        """
        features, frames = cls.fitting(frontend, clip_shape)
        return cls(frontend, features, frames, classes, **arguments)

    @classmethod
    def fitting(cls, frontend: nn.Module, clip_shape: Sequence[int]) -> tuple[int, int]:
        """Return F and T of a clip of `clip_shape`.

        Raises:
            ModelError: as for `for_clips`.
        """
        return lengths.fitting(cls, frontend, clip_shape)

    @classmethod
    def shortest_clip(cls, frontend: nn.Module) -> int:
        """Return the samples of the shortest waveform that the model takes with this front-end."""
        return lengths.samples_for(frontend, cls.least_frames)

    @classmethod
    def _frontend_of(cls, data: Data) -> Callable[[int], nn.Module]:
        """Return what builds the front-end for a dataset where none was named."""
        if data.sample_rate is None:
            from models.frontends.none import NoFrontend

            if "embedding" not in cls.inputs:
                raise ModelError(f"{cls.__name__} takes waveforms, and the data are embeddings: choose another model")
            return NoFrontend
        if cls.default_frontend is None:
            raise ModelError(
                f"{cls.__name__} has no front-end of its own: give for_data a `frontend`, or the command line "
                "the option --frontend"
            )
        own: Callable[[int], nn.Module] = cls.default_frontend
        return own

    def _constructor(self) -> dict[str, Any]:
        """Return the arguments of the constructor as plain content; what a file cannot hold is left out."""
        given = vars(self)["given_arguments"]
        content = {name: value for name, value in given.items() if name not in self.read_once}
        if description := described(self.frontend):
            content["frontend"] = description
        return content

    def extract(self, x: Tensor) -> Tensor:
        """Map the batch's `x` to features `(B, F, T)`.

        A front-end that never learns computes in single precision, also within autocast and in a model of half
        precision, because rounded samples and filters would change its features.
        """
        if not getattr(self.frontend, "fixed", False):
            features: Tensor = self.frontend(x)
            return features
        device = x.device.type
        autocast = torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)
        with torch.autocast(device, enabled=False) if autocast else nullcontext():
            features = self.frontend(x.float() if x.dtype in HALF else x)
        return features.to(x.dtype) if x.dtype in HALF else features

    @abstractmethod
    def classify(self, features: Tensor) -> Tensor:
        """Map features `(B, F, T)` to logits `(B, C)`."""

    @property
    @abstractmethod
    def output(self) -> nn.Linear:
        """The last linear layer, the one that makes the logits."""

    def load_weights(self, path: str | Path) -> Loaded:
        """Load weights that were trained elsewhere, for this architecture and any head.

        The last layer keeps its weights where the file has none that fit.

        Args:
            path: a state dict, a checkpoint of a training, or a .safetensors file; see `models.checkpoints`.

        Raises:
            ModelError: the file cannot be read, or belongs to another architecture.
        """
        head = next(name for name, module in self.named_modules() if module is self.output)
        ignored = ("frontend.",) if getattr(self.frontend, "fixed", False) else ()
        self.loaded = checkpoints.load(self, path, (head,), ignored=ignored)
        return self.loaded

    def forward(self, x: Tensor) -> Tensor:
        """Map the batch's `x` to logits `(B, C)`."""
        return self.classify(self.extract(x))

    def frame_logits(self, features: Tensor) -> Tensor:
        """Map features `(B, F, T)` to the logits `(B, T', C)` of a decision at each of T' frames.

        `framing` says where these frames lie among the features.

        Raises:
            ModelError: the model decides on clips alone.
        """
        raise ModelError(f"{type(self).__name__} has no logits of single frames")

    def framing(self) -> Framing:
        """Return where the frames of `frame_logits` lie among the features, and which features each depends on.

        Raises:
            ModelError: the model decides on clips alone.
        """
        raise ModelError(f"{type(self).__name__} has no logits of single frames")

    def stage(self) -> Stage:
        """Return a stage that computes frame logits `(B, C, n)` from features that arrive in chunks `(B, F, t)`.

        All chunks together give what `frame_logits` gives for the whole recording.

        Raises:
            ModelError: the model has no logits of single frames, or a frame's depend on features until the end.
        """
        self.framing()
        raise ModelError(f"a frame of {type(self).__name__} depends on all of the clip")

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


def described(frontend: nn.Module) -> dict[str, Any] | None:
    """Return class and arguments of a front-end as plain content; None where a file cannot hold them."""
    known = vars(frontend)
    if "given_arguments" not in known or known["left_out_arguments"]:
        return None
    return {"class": _name(type(frontend)), "arguments": dict(known["given_arguments"])}


def built(description: Mapping[str, Any]) -> nn.Module:
    """Return the front-end of a description. Its class is one of this project's, or is imported already.

    Raises:
        ModelError: there is no such class; a name in a file never leads to an import.
    """
    import models.frontends.everything  # noqa: F401 - so that the project's own are imported

    classes = list(Frontend.__subclasses__())
    for kind in classes:
        classes.extend(kind.__subclasses__())
    for kind in classes:
        if _name(kind) == description.get("class"):
            return kind(**description["arguments"])
    raise ModelError(
        f"the front-end {description.get('class')} is not imported: import its module before, or give `frontend`"
    )


def _name(kind: type) -> str:
    return f"{kind.__module__}:{kind.__qualname__}"
