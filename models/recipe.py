"""The recipe of a training, as plain data. Importing this never imports torch."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any, Literal, Self

WEIGHTS = (".pt", ".pth", ".ckpt", ".bin", ".safetensors", ".th")
"""Endings of the names of files with weights, in lower case."""


def is_weights_file(name: str) -> bool:
    """Return whether `init` names a file of weights, and not a system or the key of a run."""
    return name.lower().endswith(WEIGHTS)


@dataclass(frozen=True)
class _Limits:
    """The finite numbers from `lowest` to `highest`.

    Attributes:
        lowest: of the numbers.
        highest: of the numbers.
        above: whether `lowest` itself is left out.
        below: whether `highest` itself is left out.
    """

    lowest: float
    highest: float = math.inf
    above: bool = False
    below: bool = False

    def hold(self, value: float) -> bool:
        """Return whether a number is within the limits; NaN is not."""
        low = self.lowest < value if self.above else self.lowest <= value
        high = value < self.highest if self.below or math.isinf(self.highest) else value <= self.highest
        return low and high

    def __str__(self) -> str:
        if math.isinf(self.highest):
            return f"{'>' if self.above else '≥'} {self.lowest:g}"
        return f"in {'(' if self.above else '['}{self.lowest:g}, {self.highest:g}{')' if self.below else ']'}"


_MOST_DB = 120
"""Largest change of a level, and largest ratio of two, in decibels: more than 16 bits of a sample can hold."""
_SHARE = _Limits(0, 1)
_CHANGE = _Limits(0, 0.9)  # a clip that is slowed by more has hardly any content left
_LIMITS = {
    "epochs": _Limits(1),
    "batch_size": _Limits(1),
    "learning_rate": _Limits(0, above=True),
    "weight_decay": _Limits(0),
    "gradient_clip": _Limits(0),
    "ema_decay": _Limits(0, 1, below=True),
    "label_smoothing": _SHARE,
    "mixup": _Limits(0, 100),
    "time_shift": _SHARE,
    "time_crop": _Limits(0, 1, above=True),
    "time_stretch": _CHANGE,
    "channel_noise": _Limits(0, 10),
    "style_mix": _SHARE,
    "time_masks": _Limits(0, 100),
    "frequency_masks": _Limits(0, 100),
    "waveform_shift": _SHARE,
    "waveform_crop": _Limits(0, 1, above=True),
    "speed": _CHANGE,
    "tempo": _CHANGE,
    "pitch_semitones": _Limits(0, 24),
    "gain_db": _Limits(0, _MOST_DB),
    "augmented": _SHARE,
    "patience": _Limits(0),
    "teacher_temperature": _Limits(0, above=True),
    "teacher_weight": _SHARE,
}
"""Limits of the numbers of a recipe; None is no number."""


def _is_below(folder: str) -> bool:
    """Return whether the path of a folder stays below the folder that it is joined to, on every system."""
    paths = PurePosixPath(folder), PureWindowsPath(folder)
    return bool(folder) and not any(path.anchor or ".." in path.parts for path in paths)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a model is trained.

    Defaults must not change: a run's key only contains the values that differ from them.

    A model does what concerns its steps, its optimiser and its weights. `epochs`, `batch_size`, `precision`, `balanced`
    and `init` are of the harness: with a Trainer of your own they are `max_epochs` and `precision` of the Trainer,
    `batch_size` and `balanced` of the data, and the weights that the model has.

    Attributes:
        epochs: passes over the training clips.
        batch_size: clips per step.
        accumulate: parts in which a step computes its batch, for less memory; their gradients are added, each weighted
            by its clips, so the step is that of the whole batch. Batch norms take the statistics of each part.
        optimizer: of torch.optim.
        learning_rate: initial rate, or the peak of a one-cycle schedule.
        weight_decay: decoupled for adamw, L2 for the other optimizers.
        schedule: constant, cosine to 0, one-cycle (30 % rise), or sgdr (warm restarts; the first period is one epoch,
            and each period is twice as long as the last); it changes the rate at every step.
        gradient_clip: largest gradient norm; None and 0 do not clip.
        ema_decay: decay of the weights' exponential moving average, which is then evaluated in place of the weights.
        label_smoothing: share of the target spread over all classes.
        mixup: alpha of the Beta distribution of mixup; 0 mixes nothing.
        time_shift: largest circular shift of a clip's features in time, as a share of its length.
        time_crop: share of a clip's frames in a training step, at a random position; tests use the whole clip.
        time_stretch: largest change of a clip's speed in training, as a share of the speed.
        channel_noise: standard deviation of the constant added to each channel of a clip, as a share of the channel's
            own standard deviation.
        style_mix: probability that a clip's channels get mean and deviation mixed with another clip's (Freq-MixStyle).
        time_masks: SpecAugment time masks per clip, each up to an eighth of the frames.
        frequency_masks: SpecAugment frequency masks per clip, each up to an eighth of the bands.
        waveform_shift: largest circular shift of a clip's samples, as a share of its length.
        waveform_crop: share of a clip's samples in a training step, at a random position; silence follows them.
        speed: largest change of tempo and pitch together, as a share.
        tempo: largest change of tempo at the same pitch, as a share.
        pitch_semitones: largest change of pitch at the same tempo.
        gain_db: largest change of a clip's level in decibels, never past full scale.
        noise_snr_db: lowest and highest signal-to-noise ratio of added white noise; None adds no noise.
        background: folder of noises under the data directory, such as musan/noise; None adds no background.
        background_snr_db: lowest and highest ratio of a clip to the background.
        augmented: share of the clips that each of speed, tempo, pitch, noise and background changes; the clips are
            chosen independently for each.
        between_class: mix each waveform with one of another class, each as loud as its share of the target.
        patience: epochs without a better validation score after which training stops; None never stops early.
        prior_bias: initialise the output bias to the logits of the class priors.
        precision: as in Lightning's Trainer; "auto" takes what the machine is quick in, and the memory format, too. The
            record says what that was.
        memory_format: how the maps of 2-D convolutions lie in memory in training; "channels-last" also fuses batch
            norms with their activations and takes Winograd's 3×3 convolutions, where the training has one thread of a
            CPU.
        balanced: draw the training clips with replacement, weighted by the inverse frequency of their rarest class;
            otherwise every clip is used once per epoch.
        amsgrad: use the AMSGrad variant of Adam, whose step size never increases.
        compile: compile the model with torch.compile; the first steps then take minutes.
        init: key of the run that provides the initial weights; in a suite, the name of a system; or the path of a file
            of weights that were trained elsewhere. If the number of classes differs, the last layer keeps its random
            initial weights.
        frozen: modules of the model whose weights and batch statistics do not change.
        teacher: key of the run whose model is the teacher in distillation; in a suite, the name of a system.
        teacher_temperature: temperature T by which both models' logits are divided in the distillation loss.
        teacher_weight: share of the distillation loss in the total loss; with 1 the labels have no influence.
    """

    epochs: int = 20
    batch_size: int = 32
    accumulate: int = 1
    optimizer: Literal["adam", "adamw", "sgd"] = "adamw"
    learning_rate: float = 1e-3
    weight_decay: float = 1e-2
    schedule: Literal["constant", "cosine", "one-cycle", "sgdr"] = "one-cycle"
    gradient_clip: float | None = 1.0
    ema_decay: float | None = None
    label_smoothing: float = 0.0
    mixup: float = 0.0
    time_shift: float = 0.0
    time_crop: float = 1.0
    time_stretch: float = 0.0
    channel_noise: float = 0.0
    style_mix: float = 0.0
    time_masks: int = 0
    frequency_masks: int = 0
    waveform_shift: float = 0.0
    waveform_crop: float = 1.0
    speed: float = 0.0
    tempo: float = 0.0
    pitch_semitones: float = 0.0
    gain_db: float = 0.0
    noise_snr_db: tuple[float, float] | None = None
    background: str | None = None
    background_snr_db: tuple[float, float] = (5.0, 20.0)
    augmented: float = 1.0
    between_class: bool = False
    patience: int | None = None
    prior_bias: bool = True
    precision: Literal["32-true", "bf16-mixed", "16-mixed", "auto"] = "32-true"
    memory_format: Literal["contiguous", "channels-last"] = "contiguous"
    balanced: bool = False
    amsgrad: bool = False
    compile: bool = False
    init: str | None = None
    frozen: tuple[str, ...] = ()
    teacher: str | None = None
    teacher_temperature: float = 2.0
    teacher_weight: float = 0.9

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            if each.type in (int, int | None) and type(value) is not int and (value is not None or each.type is int):
                raise ValueError(f"{each.name} must be a whole number, not {value!r}")
        for name, limits in _LIMITS.items():
            if (value := getattr(self, name)) is not None and not limits.hold(value):
                raise ValueError(f"{name} must be {limits}, not {value}")
        most = max(1, self.batch_size // 2)
        if not 1 <= self.accumulate <= most:
            raise ValueError(
                f"accumulate must be from 1 to {most}, so that each part of {self.batch_size} clips (batch_size) has "
                f"two, not {self.accumulate}"
            )
        if self.background is not None and not _is_below(self.background):
            raise ValueError(
                f"background must be a folder under the data directory, such as musan/noise, not {self.background!r}"
            )
        for lowest, highest in filter(None, (self.noise_snr_db, self.background_snr_db)):
            if lowest > highest:
                raise ValueError(f"a lowest ratio of {lowest} dB is above the highest of {highest} dB")
            if not -_MOST_DB <= lowest <= highest <= _MOST_DB:
                raise ValueError(f"ratios must be from -{_MOST_DB} to {_MOST_DB} dB, not {lowest} to {highest}")
        if "" in (self.teacher, self.init):
            raise ValueError("teacher must be a name or a key, and so must init; leave them out for none")
        if self.amsgrad and self.optimizer == "sgd":
            raise ValueError("amsgrad is a variant of adam and adamw, not of sgd")

    @property
    def changes_waveforms(self) -> bool:
        """Whether training changes the waveforms, so that features cannot be computed once."""
        changed = (self.waveform_shift, self.speed, self.tempo, self.pitch_semitones, self.gain_db, self.between_class)
        return any(changed) or self.waveform_crop < 1 or bool(self.noise_snr_db or self.background)

    @property
    def differences(self) -> dict[str, Any]:
        """The values that differ from the defaults."""
        return {f.name: value for f in fields(self) if (value := getattr(self, f.name)) != f.default}

    @classmethod
    def of(cls, differences: Mapping[str, Any]) -> Self:
        """Return the recipe with these `differences`, in which lists stand for tuples."""
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in differences.items()
        }
        return cls(**values)
