"""Executors of jobs with one interface: in this process, in child processes, or on a Ray cluster.

An executor is a function `execute(jobs, workers, places)` that returns an iterator of events. `places` are the GPUs
that each of the jobs at work may see (`bench.runner.gpus`), or nothing. For each job it yields `Started`, then a
`Reported` for each report as soon as the job makes it, and at last `Finished` or `Failed`. A failed job raises no
exception in the caller. Closing the iterator ends the jobs that are still running.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench import catalog
from bench.errors import code_of
from bench.records import Failure
from bench.runner import shortage
from bench.runner.news import Working
from bench.training import stopping


@dataclass(frozen=True)
class Limits:
    """When a job is ended as a failure.

    Attributes:
        stall_seconds: longest time between two events; None for any time.
        run_seconds: longest time of the job, without what it waits for others; None for any time.
    """

    stall_seconds: float | None = None
    run_seconds: float | None = None


@dataclass(frozen=True)
class Job:
    """A call of a function.

    Attributes:
        key: name of the job.
        target: "module:function" of the project, called as `function(*arguments, report=...)`.
        arguments: picklable.
        limits: when the job is ended.
    """

    key: str
    target: str
    arguments: tuple[Any, ...]
    limits: Limits = Limits()


@dataclass(frozen=True)
class Started:
    """A job has begun."""

    job: str


@dataclass(frozen=True)
class Reported:
    """A job has reported something; `bench.runner.news` defines the reports of this project's jobs."""

    job: str
    news: object


@dataclass(frozen=True)
class Finished:
    """A job has returned a value."""

    job: str
    value: object


@dataclass(frozen=True)
class Failed:
    """A job has raised an exception, or its process died.

    Attributes:
        job: key of the job.
        failure: the failure as a record keeps it.
        code: kind of error for programs: `code` of the exception's class (`bench.errors`), "killed" for a process that
            died, "stalled" for a job that was past its limits, or "unexpected".
    """

    job: str
    failure: Failure
    code: str


Event = Started | Reported | Finished | Failed


MOST_OF_A_STACK = 4000
"""Characters of a stack that a record keeps."""


@dataclass
class Watch:
    """The times of a job at work, by which its limits hold.

    Attributes:
        limits: of the job.
        began: when it began; waiting for others moves it.
        heard: when its last event came; None while it waits for others, and before it has begun.
    """

    limits: Limits
    began: float = 0.0
    heard: float | None = None
    _waits_since: float = field(default_factory=time.monotonic)

    def take(self, event: Event) -> None:
        """Take note of an event."""
        now = time.monotonic()
        if not self.began:
            self.began = now
        elif self.heard is None:
            self.began += now - self._waits_since
        waits = isinstance(event, Reported) and isinstance(event.news, Working) and event.news.waits
        self.heard, self._waits_since = (None, now) if waits else (now, now)

    def due(self) -> float:
        """Return the time at which the job is past its limits."""
        if self.heard is None:
            return math.inf
        limits = self.limits
        return min(self.heard + (limits.stall_seconds or math.inf), self.began + (limits.run_seconds or math.inf))

    def overdue(self, job: str, where: str, stack: str) -> Failed:
        """Return the failure of a job that is past its limits.

        Args:
            job: its key.
            where: the innermost functions in which it is; empty where that is not known.
            stack: the Python stack of its main thread, not too long.
        """
        limits = self.limits
        if time.monotonic() >= self.began + (limits.run_seconds or math.inf):
            words = f"the run took longer than {(limits.run_seconds or 0) / 3600:.3g} hours (--run-hours)"
        else:
            minutes = (limits.stall_seconds or 0) / 60
            words = f"nothing went on for {minutes:.3g} minutes (--stall-minutes)"
        message = f"{words}; it was in {where}" if where else f"{words}; it could not say where it was"
        return Failed(job, Failure(kind="stalled", message=message, traceback=stack), "stalled")


Executor = Callable[[Sequence[Job], int, Sequence[str]], Iterator[Event]]

EXECUTORS: Mapping[str, str] = {
    "processes": "bench.runner.executors.processes:execute",
    "serial": "bench.runner.executors.serial:execute",
    "ray": "bench.runner.executors.ray:execute",
}


def executor(name: str) -> Executor:
    """Return an executor by name.

    Raises:
        SuiteError: no executor has that name.
    """
    found: Executor = catalog.load(catalog.find(EXECUTORS, name, "executor"))
    return found


def prepare(name: str) -> None:
    """Let an executor start what its jobs need, in the background, for a caller that will have jobs for it soon."""
    if name != "serial":
        catalog.load("bench.runner.executors.processes:prepare")()


def perform(job: Job, emit: Callable[[Event], None]) -> None:
    """Make the call in this process and emit its events; an exception, also of `sys.exit`, becomes a `Failed`."""
    emit(Started(job.key))
    try:
        value = catalog.load(job.target)(*job.arguments, report=lambda news: emit(Reported(job.key, news)))
    except Exception as error:
        emit(Failed(job.key, shortage.failure(error), code_of(error)))
    except stopping.Stopped:
        raise
    except BaseException as end:  # such as SystemExit, whose `code` is what it was given
        emit(Failed(job.key, Failure.of(end), "unexpected"))
    else:
        emit(Finished(job.key, value))
