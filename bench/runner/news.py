"""Reports of jobs during their work, as plain data that can be sent between processes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from bench.records import Failure, Record


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
        result: "done", "elsewhere" if another process is doing the run, or the unwritten record of its failure.
    """

    key: str
    result: Literal["done", "elsewhere"] | Record


@dataclass(frozen=True)
class TimingStarted:
    """The timing of a run has begun."""

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


News = TrainingStarted | StepsDone | EpochEnded | RunEnded | TimingStarted | TimingEnded


@dataclass
class Prepared:
    """What is known once a dataset was read, before any training.

    Attributes:
        failures: key to failure, of the runs whose model does not take the clips.
        notes: lines that a user should read before the training.
    """

    failures: dict[str, Failure] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
