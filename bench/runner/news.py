"""Reports of jobs during their work, as plain data that can be sent between processes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from bench.records import Failure, Record


@dataclass(frozen=True)
class ClipsRead:
    """A dataset is being read for the first time: files decoded so far, and all files."""

    done: int
    of: int


@dataclass(frozen=True)
class DataRead:
    """A dataset has been read.

    Attributes:
        remarks: lines that a user should read before the training.
        warnings: lines of things that a user should look at.
        failures: key to failure, of the runs whose model does not take the clips.
    """

    remarks: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    failures: Mapping[str, Failure] = field(default_factory=dict)


@dataclass(frozen=True)
class TrainingStarted:
    """The training of a run begins now."""

    key: str


@dataclass(frozen=True)
class StepsDone:
    """A training has done some steps of an epoch.

    Attributes:
        epoch: number of epochs done, without the running one.
        epochs: number of epochs in all.
        values: quantities of the training by name, as in `bench.tracking.live`.
    """

    epoch: int
    epochs: int
    values: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class EpochEnded:
    """A training has finished an epoch.

    Attributes:
        epoch: number of epochs done.
        epochs: number of epochs in all.
        score: primary metric on validation.
        values: further quantities of the epoch by name, as in `bench.tracking.live`.
    """

    epoch: int
    epochs: int
    score: float
    values: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class RunEnded:
    """A run of a job has ended.

    Attributes:
        key: of the run.
        result: "done", "kept" if another process has done the run meanwhile, "elsewhere" if it is doing the run, or the
            unwritten record of its failure.
    """

    key: str
    result: Literal["done", "kept", "elsewhere"] | Record


@dataclass(frozen=True)
class TimingStarted:
    """The timing of a run has begun."""

    key: str


@dataclass(frozen=True)
class TimingTurned:
    """The process that times runs works for this one now, and no longer for the one that it worked for before.

    It makes the next run's model ready while another one is timed, and what goes wrong meanwhile is the next run's.
    """

    key: str


@dataclass(frozen=True)
class TimingEnded:
    """The timing of a run has ended.

    Attributes:
        key: of the run.
        failure: why it was not timed; None if it was timed.
    """

    key: str
    failure: Failure | None = None


@dataclass(frozen=True)
class Noted:
    """Something that a user should read about a run: one line."""

    line: str


@dataclass(frozen=True)
class Working:
    """A batch has ended, or another part of the work.

    Attributes:
        waits: whether the job waits for other processes now, so that no time is too long.
    """

    waits: bool = False


News = (
    ClipsRead
    | Noted
    | TrainingStarted
    | StepsDone
    | EpochEnded
    | RunEnded
    | TimingStarted
    | TimingTurned
    | TimingEnded
    | Working
)
