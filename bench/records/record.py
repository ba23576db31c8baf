"""What came of a run."""

import hashlib
import json
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Literal

from pydantic import TypeAdapter, ValidationError, with_config

from bench.errors import RecordError
from bench.records.canonical import STRICT, canonical
from bench.records.latency import Latency, graded
from bench.records.redaction import redacted
from bench.records.run import Run

SCHEMA = 1
"""Version of the record file; a record of another version is refused by name."""


@with_config(STRICT)
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


@with_config(STRICT)
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


@with_config(STRICT)
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


@with_config(STRICT)
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


@with_config(STRICT)
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
            rest = canonical(content)
        except ValueError as error:  # NaN or Infinity, which this version never writes
            raise RecordError(f"record {name} holds a number that is not finite: restore or delete it") from error
        if digest != hashlib.sha256(rest.encode()).hexdigest():
            raise RecordError(f"record {name} does not match its own digest (edited or damaged): restore or delete it")
        try:
            record = _adapter().validate_json(rest)
        except ValidationError as error:
            raise RecordError(f"record {name} does not fit its schema: {error}") from error
        if record.key != name:
            raise RecordError(f"record {name} holds the run {record.key}: name the file after its run or delete it")
        return record


def graded_records(records: Mapping[str, Record]) -> dict[str, Record]:
    """Return records, by the same keys, with the grades that their timings get next to each other."""
    timings = iter(graded([timing for record in records.values() for timing in record.latencies]))
    return {
        key: replace(record, latencies=tuple(next(timings) for _ in record.latencies))
        for key, record in records.items()
    }


@cache
def _adapter() -> TypeAdapter[Record]:
    return TypeAdapter(Record)
