"""The nouns: what may be trained (`Recipe`, `Run`) and what came of it (`Record`). Frozen, JSON in and out."""

import hashlib
import json
import traceback
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cache, cached_property
from typing import Any, Literal

from pydantic import ConfigDict, TypeAdapter, ValidationError, with_config

from bench.errors import RecordError
from bench.records.redaction import redacted

SCHEMA = 1
"""Version of the record file; a record of another version is refused by name."""

PROTOCOL = 1
"""Version of the rules (splits, selection, metrics) a run is done under; part of every key."""

Json = dict[str, Any]
_STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)


@with_config(_STRICT)
@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a run may train.

    A default is a promise: keys are made of what differs from it, so a changed default changes what a key means.

    Attributes:
        epochs: passes over the training clips.
        batch_size: clips per step.
        optimizer: of torch.optim.
        learning_rate: the peak where the schedule has one.
        weight_decay: decoupled for adamw, L2 for the others.
        schedule: constant, cosine to 0, one-cycle (30 % rise), or sgdr (warm restarts, first period one epoch,
            doubling); it moves at every step.
        gradient_clip: largest gradient norm; None does not clip.
        ema_decay: decay of the exponential moving average of the weights that is evaluated; None evaluates the weights.
        label_smoothing: share of the target spread over all classes.
        mixup: alpha of the Beta distribution of mixup; 0 mixes nothing.
        time_shift: largest circular shift of a clip's features in time, as a share of its length.
        time_crop: share of a clip's frames that a training step sees, at a random place; the whole clip is tested.
        time_stretch: largest change of a clip's speed in training, as a share of it.
        channel_noise: deviation of the constant added to each channel of a clip, as a share of the channel's own.
        style_mix: probability that a clip's channels get mean and deviation mixed with another clip's (Freq-MixStyle).
        time_masks: SpecAugment time masks per clip, each up to an eighth of the frames.
        frequency_masks: SpecAugment frequency masks per clip, each up to an eighth of the bands.
        waveform_shift: largest circular shift of a clip's samples, as a share of its length.
        waveform_crop: share of a clip's samples that a training step hears, at a random place; the rest is silent.
        speed: largest change of tempo and pitch together, as a share.
        tempo: largest change of tempo at the same pitch, as a share.
        pitch_semitones: largest change of pitch at the same tempo.
        gain_db: largest change of a clip's level in decibels, never past full scale.
        noise_snr_db: lowest and highest ratio of a clip to white noise; None adds none.
        background: folder of noises under the data directory, such as musan/noise; None adds none.
        background_snr_db: lowest and highest ratio of a clip to the background.
        augmented: share of the clips whose speed, tempo and pitch are changed and to which noise and background are
            added, each drawn anew.
        between_class: mix each waveform with one of another class, each as loud as its share of the target.
        patience: epochs without a better validation score after which training stops; None never stops early.
        prior_bias: start the output bias at the class prior's logit.
        precision: as Lightning's Trainer has it.
        balanced: draw the training clips with replacement, each by the share of its rarest class, so that all classes
            are as frequent; else every clip once an epoch.
        amsgrad: the variant of Adam whose step never grows again.
        compile: let torch.compile write kernels for the model; the first steps then take minutes.
        init: key of the run whose weights this one starts from; in a suite, the name of a system. Another number of
            classes leaves the last layer as drawn.
        frozen: modules of the model that keep the weights, and the statistics, that they start with.
        teacher: key of the run whose model this one learns from besides the labels; in a suite, the name of a system.
        teacher_temperature: T that divides both models' logits where they are compared.
        teacher_weight: share of the teacher's part of the loss; 1 takes no notice of the labels.
    """

    epochs: int = 20
    batch_size: int = 32
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
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    balanced: bool = False
    amsgrad: bool = False
    compile: bool = False
    init: str | None = None
    frozen: tuple[str, ...] = ()
    teacher: str | None = None
    teacher_temperature: float = 2.0
    teacher_weight: float = 0.9

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch_size < 1:
            raise ValueError("epochs and batch_size must be ≥ 1")
        if self.learning_rate <= 0:
            raise ValueError("learning_rate must be > 0")
        if not (0 < self.time_crop <= 1 and 0 <= self.time_stretch < 1):
            raise ValueError("time_crop must be in (0, 1], time_stretch in [0, 1)")
        if not 0 <= self.style_mix <= 1:
            raise ValueError(f"style_mix is a probability, not {self.style_mix}")
        if not (0 < self.waveform_crop <= 1 and 0 <= self.waveform_shift <= 1 and 0 <= self.augmented <= 1):
            raise ValueError("waveform_crop must be in (0, 1], waveform_shift and augmented in [0, 1]")
        if not (0 <= self.speed < 1 and 0 <= self.tempo < 1 and self.pitch_semitones >= 0 and self.gain_db >= 0):
            raise ValueError("speed and tempo must be in [0, 1), pitch_semitones and gain_db ≥ 0")
        for lowest, highest in filter(None, (self.noise_snr_db, self.background_snr_db)):
            if lowest > highest:
                raise ValueError(f"a lowest ratio of {lowest} dB is above the highest of {highest} dB")
        if self.teacher_temperature <= 0:
            raise ValueError(f"teacher_temperature must be > 0, not {self.teacher_temperature}")
        if not 0 <= self.teacher_weight <= 1:
            raise ValueError(f"teacher_weight must be in [0, 1], not {self.teacher_weight}")
        if "" in (self.teacher, self.init):
            raise ValueError("teacher must be a name or a key, and so must init; leave them out for none")
        if self.amsgrad and self.optimizer == "sgd":
            raise ValueError("amsgrad is a variant of adam and adamw, not of sgd")

    @property
    def changes_waveforms(self) -> bool:
        """Whether training changes what the front-end hears, whose features then can't be computed once."""
        changed = (self.waveform_shift, self.speed, self.tempo, self.pitch_semitones, self.gain_db, self.between_class)
        return any(changed) or self.waveform_crop < 1 or bool(self.noise_snr_db or self.background)


@with_config(_STRICT)
@dataclass(frozen=True, kw_only=True)
class Run:
    """One training to be done: everything that can change its outcome, nothing that cannot.

    Attributes:
        model: name in the catalogue.
        frontend: name in the catalogue; "none" for an embedding dataset and for a fusion.
        dataset: name in the catalogue.
        fold: 0-based test fold.
        seed: of weights, order and augmentation.
        recipe: how it may train.
        arguments: the model's constructor arguments that differ from its defaults; for a fusion, `members`, their keys.
        data: the dataset's constructor arguments that differ from its defaults.
        protocol: version of the rules.
    """

    model: str
    frontend: str
    dataset: str
    fold: int = 0
    seed: int = 0
    recipe: Recipe = field(default_factory=Recipe)
    arguments: Json = field(default_factory=dict)
    data: Json = field(default_factory=dict)
    protocol: int = PROTOCOL

    @cached_property
    def key(self) -> str:
        """The run's name: a sentence and a digest of everything in it."""
        digest = hashlib.sha256(canonical(asdict(self) | {"recipe": self.recipe_differences}).encode()).hexdigest()[:8]
        return f"{self.dataset}-{self.frontend}-{self.model}-f{self.fold}-s{self.seed}-{digest}"

    @property
    def recipe_differences(self) -> Json:
        """What the recipe sets to something else than the default."""
        return {f.name: value for f in fields(Recipe) if (value := getattr(self.recipe, f.name)) != f.default}

    @property
    def members(self) -> tuple[str, ...]:
        """Keys of the runs that a fusion combines; empty for any other model."""
        return tuple(self.arguments.get("members", ()))

    @property
    def needs(self) -> tuple[str, ...]:
        """Keys of the runs that must have a result before this one: fusion's members, teacher, origin of weights."""
        return self.members + tuple(key for key in (self.recipe.teacher, self.recipe.init) if key)


@with_config(_STRICT)
@dataclass(frozen=True, kw_only=True)
class Data:
    """What a run was trained and tested on.

    Attributes:
        manifest: digest over ids, groups, content hashes and targets of all clips.
        labels: digest over the class names in order.
        split: how the split is made, in words.
        clips: numbers of training, validation and test clips.
        clips_available: clips on disk; of a dataset whose recordings are cut to clips, recordings.
        clips_official: as many of the complete dataset; None where there is no such number.
        test_groups: number of independent sources among the test clips.
        note: coverage or omissions a reader has to know of.
    """

    manifest: str
    labels: str
    split: str
    clips: dict[Literal["train", "val", "test"], int]
    clips_available: int
    clips_official: int | None = None
    test_groups: int
    note: str = ""


@with_config(_STRICT)
@dataclass(frozen=True, kw_only=True)
class Complexity:
    """Size for one clip.

    Attributes:
        parameters: trainable parameters, the front-end's included.
        macs: multiply-adds of the model for one clip at batch 1; FLOPs are twice this.
        frontend_macs: multiply-adds of the front-end.
        elementwise: sigmoids and the like where they are the work.
        bytes: size of all parameters and buffers.
        clip_seconds: length of the clip the numbers are for.
    """

    parameters: int
    macs: int
    frontend_macs: int
    elementwise: int = 0
    bytes: int
    clip_seconds: float


Scope = Literal["end-to-end", "model", "step"]
Grade = Literal["A", "B", "C"]


@with_config(_STRICT)
@dataclass(frozen=True, kw_only=True)
class Latency:
    """Speed on one device, of single clips or of several at once.

    A fusion's is not measured but follows from its members' (`combined`): their sum, one after another, or the slowest
    of them, side by side. What adds up are the members' medians and deciles, which the median and decile of the sum
    are only near to; the rule that combines them takes microseconds and is left out.

    Attributes:
        device: name of processor or GPU.
        device_type: "cpu" or "cuda".
        threads: intra-operator threads.
        dtype: of the weights, or what the backend makes of them.
        backend: name in the catalogue; what runs the model from the features on.
        scope: "end-to-end" from the waveform (or embedding) in host memory to the logits there, "model" from the
            features, or "step" for one frame of a recurrent model that remembers the frames before.
        batch: clips at once; only 1 is ranked.
        clip_seconds: length of the clip.
        p50_ms: median of a call.
        p90_ms: ninth decile.
        p99_ms: 99th percentile; None below 1,000 samples.
        iqr_share: interquartile range / median.
        samples: number of timed calls.
        throughput: clips per second; frames per second in the scope "step".
        real_time_factor: time per second of sound.
        load: one-minute load average before the measurement.
        sentinel_drift: relative change of a fixed workload (the sentinel) timed before and after.
        sentinel_ms: the slower of those two times, which `bench.records.grades` compares with other timings'; None in early
            records.
        others: share of all the machine's processors that others took meanwhile; None where the system does not tell,
            and in early records.
        grade: A, B or C; C is not ranked.
        combined: how a fusion's members were put together; None where it was measured.
        processes: processes that measured it, each anew; the numbers are of the one in the middle.
        spread: how much slower the slowest process was than the fastest; None for one.
        peak_bytes: memory that model and runtime took while they were timed, beyond what the process had before.
        deviation: greatest difference of a logit from the trained model's, over the clips it was compared on.
        agreement: share of those clips whose top class is the same.
        software: packages of the backend, with versions; empty in early records, see their environment.
    """

    device: str
    device_type: Literal["cpu", "cuda"]
    threads: int
    dtype: str = "float32"
    backend: str = "eager"
    scope: Scope = "end-to-end"
    batch: int = 1
    clip_seconds: float
    p50_ms: float
    p90_ms: float
    p99_ms: float | None = None
    iqr_share: float
    samples: int
    throughput: float
    real_time_factor: float
    load: float
    sentinel_drift: float
    sentinel_ms: float | None = None
    others: float | None = None
    grade: Grade
    combined: Literal["sum", "parallel"] | None = None
    processes: int = 1
    spread: float | None = None
    peak_bytes: int | None = None
    deviation: float | None = None
    agreement: float | None = None
    software: str = ""

    @property
    def conditions(self) -> tuple[Any, ...]:
        """What two timings must have in common to be put together."""
        where = self.device, self.device_type, self.threads, self.dtype, self.software
        return *where, self.backend, self.scope, self.batch, self.clip_seconds

    @property
    def ranked(self) -> bool:
        """Whether it is steady enough to be compared with others."""
        return self.grade != "C"


@with_config(_STRICT)
@dataclass(frozen=True, kw_only=True)
class Environment:
    """Where a run ran.

    Attributes:
        commit: git commit of the project; None outside git.
        dirty: whether files differed from the commit.
        python: version.
        packages: versions of those that can change a number.
        platform: operating system and machine.
        processor: name.
        cores: logical processors this process may use.
        gpu: name of the GPU used; None on the CPU.
        threads: intra-operator threads while training.
        workers: runs trained at the same time on the machine.
    """

    commit: str | None
    dirty: bool
    python: str
    packages: dict[str, str]
    platform: str
    processor: str
    cores: int
    gpu: str | None
    threads: int
    workers: int = 1


@with_config(_STRICT)
@dataclass(frozen=True, kw_only=True)
class Failure:
    """Why a run failed.

    Attributes:
        kind: class of the exception, or "killed" for a process that died.
        message: what it said.
        traceback: its last lines.
    """

    kind: str
    message: str
    traceback: str = ""

    @staticmethod
    def of(error: BaseException) -> "Failure":
        """Return what a record keeps of an exception: a message may quote a URL with its password."""
        last = redacted("".join(traceback.format_exception(error)))[-4000:]
        return Failure(kind=type(error).__name__, message=redacted(str(error) or repr(error)), traceback=last)


@with_config(_STRICT)
@dataclass(frozen=True, kw_only=True)
class Record:
    """What came of a run. Strict JSON on disk, with a digest of its own content.

    Attributes:
        run: the run.
        status: "ok", or "failed" with `error`.
        scores: metric name to value; None where no class has a value.
        intervals: 95 % bootstrap interval over the test groups, for the metrics that have one.
        draws: the primary score over 1,000 draws of the test groups, the same for all systems tested on these clips;
            their differences compare two systems.
        defined: metric name to (classes it was averaged over, classes).
        per_class: metric name to one value per class; None where the class has none.
        classes: class names in the order of `per_class` and `confusion`.
        confusion: counts, rows true, columns predicted; None for multi-label.
        curves: learning curves, one value per epoch.
        best_epoch: the epoch, from 0, whose weights were tested.
        conflict: mean conflict mass between a fusion's members; None for any other model.
        complexity: size.
        latencies: speeds.
        not_timed: backend to why it cannot run this model.
        seconds: time of each phase.
        data: what it was trained and tested on.
        environment: where it ran.
        error: why it failed.
        started: UTC time in ISO 8601.
        schema: version of this layout.
    """

    run: Run
    status: Literal["ok", "failed"]
    scores: dict[str, float | None] = field(default_factory=dict)
    intervals: dict[str, tuple[float, float]] = field(default_factory=dict)
    draws: tuple[float, ...] = ()
    defined: dict[str, tuple[int, int]] = field(default_factory=dict)
    per_class: dict[str, tuple[float | None, ...]] = field(default_factory=dict)
    classes: tuple[str, ...] = ()
    confusion: tuple[tuple[int, ...], ...] | None = None
    curves: dict[str, tuple[float, ...]] = field(default_factory=dict)
    best_epoch: int | None = None
    conflict: float | None = None
    complexity: Complexity | None = None
    latencies: tuple[Latency, ...] = ()
    not_timed: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    data: Data | None = None
    environment: Environment | None = None
    error: Failure | None = None
    started: str = ""
    schema: int = SCHEMA

    @property
    def key(self) -> str:
        """Key of the run, and name of the record's file."""
        return self.run.key

    def timed_on(self, backend: str) -> bool:
        """Whether it has a timing on a backend, or the reason why it cannot have one."""
        return backend in self.not_timed or any(latency.backend == backend for latency in self.latencies)

    def with_latencies(self, latencies: tuple[Latency, ...], not_timed: Mapping[str, str] | None = None) -> "Record":
        """Return the record with these timings in place of its own."""
        return replace(self, latencies=latencies, not_timed=dict(not_timed or {}))

    def to_json(self) -> str:
        """Return strict JSON with the record's own digest, the same bytes for the same record.

        Raises:
            RecordError: a number is NaN or infinite.
        """
        content = _adapter().dump_python(self, mode="json")
        try:
            content["digest"] = hashlib.sha256(canonical(content).encode()).hexdigest()
            return json.dumps(content, indent=1, sort_keys=True, allow_nan=False, ensure_ascii=False) + "\n"
        except ValueError as error:
            raise RecordError(f"record {self.key} holds a number that is not finite: {error}") from error

    @staticmethod
    def from_json(text: str, name: str) -> "Record":
        """Read a record; `name` is the file it came from, without ending.

        Raises:
            RecordError: not JSON, of another schema, edited by hand, or under another record's name.
        """
        try:
            content = json.loads(text)
        except json.JSONDecodeError as error:
            raise RecordError(
                f"record {name} is not JSON ({error}): delete the file, `bench run` makes it anew"
            ) from error
        if not isinstance(content, dict) or content.get("schema") != SCHEMA:
            found = content.get("schema") if isinstance(content, dict) else None
            raise RecordError(f"record {name} has schema {found}, this version reads {SCHEMA}: run it anew")
        digest = content.pop("digest", None)
        try:
            expected = hashlib.sha256(canonical(content).encode()).hexdigest()
        except ValueError as error:  # NaN or Infinity, which this version never writes
            raise RecordError(f"record {name} holds a number that is not finite: restore or delete it") from error
        if digest != expected:
            raise RecordError(f"record {name} does not match its own digest (edited or damaged): restore or delete it")
        try:
            record = _adapter().validate_json(json.dumps(content))
        except ValidationError as error:
            raise RecordError(f"record {name} does not fit its schema: {error}") from error
        if record.key != name:
            raise RecordError(f"record {name} holds the run {record.key}: name the file after its run or delete it")
        return record


def canonical(content: Any) -> str:
    """Return JSON that is the same for the same content, whatever the order of its keys."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)


@cache
def _adapter() -> TypeAdapter[Record]:
    return TypeAdapter(Record)
