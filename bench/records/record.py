"""The record of a run: its result, or the reason why it failed."""

import hashlib
import json
import operator
import traceback
from collections.abc import Mapping
from dataclasses import MISSING, Field, asdict, dataclass, field, fields, make_dataclass, replace
from functools import cache, cached_property
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError, with_config

from bench.catalog import PRIMARY, STREAM_PRIMARY
from bench.errors import RecordError
from bench.records.canonical import STRICT, canonical
from bench.records.compact import Floats, shared, verified, without
from bench.records.latency import Latency, graded, with_grade
from bench.records.redaction import redacted
from bench.records.run import Run, leave_out_later

SCHEMA = 1
"""Version of the record file; a record of another version is refused by name."""


@with_config(STRICT)
@dataclass(frozen=True, kw_only=True)
class Data:
    """The data on which a run was trained and tested.

    Attributes:
        manifest: digest over ids, groups, content hashes and targets of all clips.
        labels: digest over the class names in order.
        split: the rule of the split, in words.
        clips: numbers of training, validation and test clips.
        clips_available: number of clips on disk, or of recordings if the dataset cuts recordings to clips.
        clips_official: the same number for the complete dataset; None if it is not defined.
        test_groups: number of independent sources among the test clips.
        note: missing parts of the dataset and similar facts that a reader needs to know.
        folds: number of folds of a user's own clips; left out of the file for any other dataset.
        left_out: reason to names of the audio files that could not be read and were left out; left out of the file
            where there is none.
    """

    manifest: str
    labels: str
    split: str
    clips: dict[Literal["train", "val", "test"], int]
    clips_available: int
    clips_official: int | None = None
    test_groups: int
    note: str = ""
    folds: int | None = None
    left_out: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @cached_property
    def text(self) -> str:
        """All of it as canonical JSON."""
        return canonical(asdict(self))

    @cached_property
    def identity(self) -> str:
        """A text of clips, targets, classes and split; scores are comparable only if these are equal."""
        return canonical([self.manifest, self.labels, _split_as_before(self.split), self.clips])


def _split_as_before(words: str) -> str:
    """Return the words on a split that older records have: two splits of a user's clips had the same ones."""
    after = "test = k, validation = k + 1"
    for now in ("own clips: the given folds; ", "own clips: 5 folds grouped by source; "):
        if words.startswith(now + after):
            return f"own clips: the table's folds, or else 5 folds grouped by source; {words.removeprefix(now)}"
    return words


@with_config(STRICT)
@dataclass(frozen=True, kw_only=True)
class Complexity:
    """Size for one clip.

    Attributes:
        parameters: trainable parameters, the front-end's included.
        macs: multiply-adds of the model for one clip at batch 1; FLOPs are twice this.
        frontend_macs: multiply-adds of the front-end.
        elementwise: element-wise operations such as sigmoids, for models whose main work they are.
        bytes: size of all parameters and buffers.
        clip_seconds: length of the clip.
    """

    parameters: int
    macs: int
    frontend_macs: int
    elementwise: int = 0
    bytes: int
    clip_seconds: float


@with_config(STRICT)
@dataclass(frozen=True, kw_only=True)
class Segmentation:
    """How a system's time lines are made, and their cost.

    Attributes:
        form: "frames" for a model with logits of single frames, "windows" for one that decides on windows of a clip's
            length, "fusion" for the scores of several systems, combined.
        hop_seconds: time between two decisions.
        delay_seconds: time by which the scores are moved to the past; it is a look-ahead of the time line.
        smoothing_seconds: length of the moving mean of the log-probabilities; 0 for none.
        min_seconds: shortest segment.
        macs_per_second: multiply-adds of the model for one second of sound.
        frontend_macs_per_second: multiply-adds of the front-end for one second of sound.
        streams: number of test streams.
        stream_seconds: length of all test streams together.
    """

    form: Literal["frames", "windows", "fusion"]
    hop_seconds: float
    delay_seconds: float = 0.0
    smoothing_seconds: float = 0.0
    min_seconds: float = 0.0
    macs_per_second: int
    frontend_macs_per_second: int
    streams: int
    stream_seconds: float


@with_config(STRICT)
@dataclass(frozen=True, kw_only=True)
class Environment:
    """The software and the machine of a run.

    Attributes:
        commit: git commit of the project; None outside git.
        dirty: whether tracked files differed from the commit.
        python: version of Python.
        packages: versions of the packages that can change a number.
        platform: operating system and machine.
        processor: name of the processor.
        cores: logical processors that this process may use.
        gpu: name of the GPU used; None on the CPU.
        threads: intra-operator threads while training.
        workers: runs trained at the same time on the machine.
        devices: processes that trained the run together, each on a device of its own; they shared each batch.
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
    devices: int = 1

    @cached_property
    def text(self) -> str:
        """All of it as canonical JSON."""
        return canonical(asdict(self))


LONGEST_STACK = 200_000
"""Characters of an exception that are looked at for secrets."""
LONGEST_MESSAGE = 2000
"""Characters of an exception's message that a record keeps."""


@with_config(STRICT)
@dataclass(frozen=True, kw_only=True)
class Failure:
    """Why a run failed.

    Attributes:
        kind: class of the exception, or "killed" for a process that died.
        message: message of the exception, its first 2,000 characters.
        traceback: its last 4,000 characters.
    """

    kind: str
    message: str
    traceback: str = ""

    def __post_init__(self) -> None:
        for name in ("message", "traceback"):
            object.__setattr__(self, name, _whole(getattr(self, name)))

    @staticmethod
    def of(error: BaseException) -> "Failure":
        """Return the failure for an exception, without secrets; a message may quote a URL with a password."""
        last = redacted(_whole("".join(traceback.format_exception(error))[-LONGEST_STACK:]))[-4000:]
        words = _whole(_message(error)[:LONGEST_STACK]) or f"{type(error).__name__} without a message"
        if isinstance(error, SystemExit) and not isinstance(error.code, str):
            words = f"sys.exit({'' if error.code is None else error.code})"
        if isinstance(error, SystemExit) and isinstance(error.__context__, KeyboardInterrupt):
            error, words = error.__context__, "KeyboardInterrupt, which the model or an interruption raised"
        return Failure(kind=type(error).__name__, message=_short(redacted(words)), traceback=last)


def _message(error: BaseException) -> str:
    """Return what an exception says; one of a class of somebody's own may fail at that."""
    try:
        return str(error)
    except Exception as fault:
        return f"its message cannot be read ({type(fault).__name__})"


def _whole(text: str) -> str:
    """Return a text that UTF-8 can hold: bytes of a file's name that are no text become escapes."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _short(message: str) -> str:
    """Return a message without the end of one that is very long."""
    return message if len(message) <= LONGEST_MESSAGE else f"{message[:LONGEST_MESSAGE]} ... (cut off)"


@with_config(STRICT)
@dataclass(frozen=True, kw_only=True)
class Record:
    """The record of a run: strict JSON on disk, with a digest of its own content.

    Attributes:
        run: the run.
        status: "ok", or "failed" with `error`.
        scores: metric name to value; None where no class has a value.
        intervals: 95 % bootstrap interval over the test groups, for the metrics that have one.
        draws: the primary score (of stream data, the frame accuracy) over 1,000 bootstrap draws of the test groups. All
            systems that were tested on these clips have the same draws of groups, so that differences of draws compare
            two systems.
        defined: metric name to (number of classes in the mean, number of all classes).
        per_class: metric name to one value per class; None where the class has none.
        classes: class names in the order of `per_class` and `confusion`.
        confusion: counts, rows true, columns predicted; None for multi-label.
        curves: learning curves, one value per epoch.
        best_epoch: the epoch, from 0, whose weights were tested.
        conflict: mean conflict mass between a fusion's members; None for any other model.
        complexity: parameters, operations and bytes of the model.
        latencies: timings of the model.
        not_timed: backend to the reason why it cannot run this model.
        not_scored: metric of another package to the reason why it failed; left out of the file where there is none.
        seconds: time of each phase.
        data: the data on which it was trained and tested.
        environment: the software and the machine.
        error: the reason of a failure.
        started: UTC time in ISO 8601.
        resumed: how often the training was interrupted and continued after its last saved epoch; left out of the file
            where it never was.
        artifacts: SHA-256 of each file of the run's artifacts that is used later, such as its weights; left out of the
            file where there is none.
        sources: digest of the source of the model, the front-end and the dataset when the run started; left out of the
            file where there is none.
        segmentation: how the time lines of stream data are made; left out of the file where there are no streams.
        arithmetic: the precision and the memory format that the recipe's `precision = "auto"` was on this machine; left
            out of the file where the recipe names them.
        schema: version of the record's layout.
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
    not_scored: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    data: Data | None = None
    environment: Environment | None = None
    error: Failure | None = None
    started: str = ""
    resumed: int = 0
    artifacts: dict[str, str] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)
    segmentation: Segmentation | None = None
    arithmetic: dict[str, str] = field(default_factory=dict)
    schema: int = SCHEMA

    @property
    def key(self) -> str:
        """Key of the run; it names the record's file."""
        return self.run.key

    @property
    def task(self) -> Literal["single", "multi"] | None:
        """Whether the data have one or several labels per clip, as the scores show it; None without scores."""
        return None if not self.scores else "single" if "accuracy" in self.scores else "multi"

    @property
    def primary(self) -> str | None:
        """Name of the metric that ranks the record among others; None without scores."""
        if STREAM_PRIMARY in self.scores:
            return STREAM_PRIMARY
        return None if self.task is None else PRIMARY[self.task]

    def timed_on(self, backend: str) -> bool:
        """Whether the record has a timing on a backend, or the reason why the backend cannot run the model."""
        return backend in self.not_timed or any(latency.backend == backend for latency in self.latencies)

    def with_latencies(self, latencies: tuple[Latency, ...], not_timed: Mapping[str, str] | None = None) -> "Record":
        """Return the record with its timings replaced."""
        return replace(self, latencies=latencies, not_timed=dict(not_timed or {}))

    def to_json(self) -> str:
        """Return strict JSON with the record's own digest; equal records give equal bytes.

        Raises:
            RecordError: a number is NaN or infinite.
        """
        curves = {name: tuple(values) for name, values in self.curves.items()}
        whole = replace(self, draws=tuple(self.draws), curves=curves)
        content = _adapter().dump_python(whole, mode="json")
        _leave_out_later_fields(content)
        try:
            content["digest"] = hashlib.sha256(canonical(content).encode()).hexdigest()
            return json.dumps(content, indent=1, sort_keys=True, allow_nan=False, ensure_ascii=False) + "\n"
        except ValueError as error:
            raise RecordError(f"record {self.key} holds a number that is not finite: {error}") from error

    @staticmethod
    def from_json(text: str, name: str, run: Run | None = None) -> "Record":
        """Read a record.

        Args:
            text: of its file.
            name: name of its file without the ending.
            run: a run with this name as its key, if one is at hand; an equal run of the record is replaced by it, so
                that the key is not computed again.

        Raises:
            RecordError: the text is not JSON, has another schema, was edited by hand, or is another run's record.
        """
        rest = verified(text)
        if rest is None or rest.rfind(f'"schema":{SCHEMA},'.encode()) < 0:  # it stands near the end
            rest = _verified_by_parsing(text, name).encode()
        try:
            others = None if run is None else without(rest, "run", run.text)
            record = _adapter().validate_json(rest) if run is None or others is None else _of_run(run, others)
        except ValidationError as error:
            raise RecordError(f"record {name} does not fit its schema: {error}") from error
        if run is not None and record.run == run:
            object.__setattr__(record, "run", run)
        if record.key != name and record.run.recipe.ema_decay is not None:
            raise RecordError(
                f"record {name} is of a training whose moving average covered batch normalisation's statistics, too; "
                f"this version averages weights only, under the key {record.key}: delete it, and `bench run` does the "
                f"run again"
            )
        if record.key != name:
            raise RecordError(f"record {name} holds the run {record.key}: name the file after its run or delete it")
        return record._compact()

    def _compact(self) -> "Record":
        """Let the record share what it has in common with other records, and hold its many numbers in little memory."""
        small = {
            "draws": Floats(self.draws),
            "curves": {name: Floats(values) for name, values in self.curves.items()},
            "latencies": tuple(with_grade(timing, timing.grade) for timing in self.latencies),
            "complexity": shared(self.complexity),
            "data": shared(self.data),
            "environment": shared(self.environment),
            "classes": shared(self.classes),
        }
        for name, value in small.items():
            object.__setattr__(self, name, value)  # in place, because the record is new and a copy takes longer
        return self


def _leave_out_later_fields(content: dict[str, Any]) -> None:
    """Remove fields that came later and say nothing here, so that records of earlier versions keep their bytes."""
    tables = (
        (content, "artifacts"), (content, "sources"), (content["run"], "sources"), (content, "not_scored"),
        (content, "segmentation"), (content, "arithmetic"), (content, "resumed"),
    )  # fmt: skip
    for table, name in tables:
        if not table[name]:
            del table[name]
    leave_out_later(content["run"]["recipe"])
    for name in ("folds", "left_out"):
        if content["data"] and not content["data"][name]:
            del content["data"][name]
    for latency in content["latencies"]:
        if not latency["frontend"]:
            del latency["frontend"]
    if content["environment"] and content["environment"]["devices"] == 1:
        del content["environment"]["devices"]


_AGAIN = "restore or delete the file; if it is deleted, `bench run` does the run again"


def _verified_by_parsing(text: str, name: str) -> str:
    """Return the canonical JSON of a record's file without its digest.

    Raises:
        RecordError: the text is not JSON, has another schema, or does not match its digest.
    """
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:  # also an integer of thousands of digits
        raise RecordError(
            f"record {name} is not JSON ({error}): delete the file, and `bench run` does the run again"
        ) from error
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        found = content.get("schema") if isinstance(content, dict) else None
        raise RecordError(f"record {name} has schema {found}, but this version reads {SCHEMA}: do the run again")
    digest = content.pop("digest", None)
    try:
        rest = canonical(content)
    except (ValueError, RecursionError) as error:  # NaN or Infinity, which this version never writes
        raise RecordError(f"record {name} holds a number that is not finite: {_AGAIN}") from error
    if digest != hashlib.sha256(rest.encode()).hexdigest():
        raise RecordError(f"record {name} does not match its own digest (edited or damaged): {_AGAIN}")
    return rest


def graded_records(records: Mapping[str, Record]) -> dict[str, Record]:
    """Return the records, by the same keys, with grades that compare all their timings with each other."""
    timings = iter(graded([timing for record in records.values() for timing in record.latencies]))
    found = {}
    for key, record in records.items():
        latencies = tuple(next(timings) for _ in record.latencies)
        same = all(map(operator.is_, latencies, record.latencies))
        found[key] = record if same else _with(record, "latencies", latencies)
    return found


def _with(record: Record, name: str, value: Any) -> Record:
    """Return `replace(record, **{name: value})` in less time: a store may have thousands of records."""
    copy = object.__new__(Record)
    for each in _FIELDS:
        object.__setattr__(copy, each, value if each == name else getattr(record, each))
    return copy


def prepare() -> None:
    """Make what reading a record needs, which otherwise takes place when the first one is read."""
    _adapter()


@cache
def _adapter() -> TypeAdapter[Record]:
    return TypeAdapter(Record)


def _of_run(run: Run, content: bytes) -> Record:
    """Return the record of a run, from the JSON text of all its other attributes."""
    others = vars(_others().validate_json(content))
    record = object.__new__(Record)
    for name in _FIELDS:
        object.__setattr__(record, name, run if name == "run" else others[name])
    return record


_FIELDS = tuple(each.name for each in fields(Record))


@cache
def _others() -> TypeAdapter[Any]:
    """Return the reader of a record without its run, which takes a third of the time of reading it."""
    columns = [(each.name, each.type, _copied(each)) for each in fields(Record) if each.name != "run"]
    return TypeAdapter(with_config(STRICT)(make_dataclass("Others", columns, frozen=True, kw_only=True)))


def _copied(of: Field[Any]) -> Any:
    if of.default_factory is not MISSING:
        return field(default_factory=of.default_factory)
    return field() if of.default is MISSING else field(default=of.default)
