"""Executors of jobs with one interface: in this process, in child processes, or on a Ray cluster.

An executor is a function `execute(jobs, workers, places)` that returns an iterator of events. `places` are the GPUs
that each of the jobs at work may see (`bench.runner.gpus`), or nothing. For each job it yields `Started`, then a
`Reported` for each report as soon as the job makes it, and at last `Finished` or `Failed`. A failed job raises no
exception in the caller. Closing the iterator ends the jobs that are still running.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench import catalog
from bench.errors import code_of
from bench.records import Failure


@dataclass(frozen=True)
class Limits:
    """When a job is ended as a failure; only an executor of child processes can end one.

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
    """Make the call in this process and emit its events; an exception becomes a `Failed`."""
    emit(Started(job.key))
    try:
        value = catalog.load(job.target)(*job.arguments, report=lambda news: emit(Reported(job.key, news)))
    except Exception as error:
        emit(Failed(job.key, Failure.of(error), code_of(error)))
    else:
        emit(Finished(job.key, value))
