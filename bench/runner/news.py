"""Reports of jobs during their work, as plain data that can be sent between processes."""

from dataclasses import dataclass
from typing import Literal

from bench.records import Failure, Record


@dataclass(frozen=True)
class EpochEnded:
    """A training has finished an epoch.

    Attributes:
        epoch: number of epochs done.
        epochs: number of epochs in all.
        score: primary metric on validation.
    """

    epoch: int
    epochs: int
    score: float


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


News = EpochEnded | RunEnded | TimingStarted | TimingEnded
