"""Ways of doing many jobs: here one after another, in child processes, or on a Ray cluster. One contract for all."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench import catalog
from bench.records import Failure


@dataclass(frozen=True)
class Job:
    """A call to be made.

    Attributes:
        key: name of the job.
        target: "module:function" of the project, called as `function(*arguments, report=...)`.
        arguments: picklable.
    """

    key: str
    target: str
    arguments: tuple[Any, ...]


@dataclass(frozen=True)
class Event:
    """News of a job.

    Attributes:
        key: of the job.
        kind: "started", "progress", "done" or "failed".
        value: what the job reported or returned.
        failure: why it failed.
    """

    key: str
    kind: str
    value: Any = field(default=None)
    failure: Failure | None = None


Listener = Callable[[Event], None]
Executor = Callable[[Sequence[Job], int, Listener], None]

EXECUTORS: Mapping[str, str] = {
    "processes": "bench.runner.executors.processes:execute",
    "serial": "bench.runner.executors.serial:execute",
    "ray": "bench.runner.executors.ray:execute",
}


def executor(name: str) -> Executor:
    """Return an executor by name; each calls the listener with the events of every job, and never raises for a job."""
    found: Executor = catalog.load(catalog.find(EXECUTORS, name, "executor"))
    return found


def perform(job: Job, listen: Listener) -> None:
    """Make the call in this process and tell the listener; an exception becomes a `failed` event."""
    listen(Event(job.key, "started"))
    try:
        value = catalog.load(job.target)(*job.arguments, report=lambda news: listen(Event(job.key, "progress", news)))
    except Exception as error:
        listen(Event(job.key, "failed", failure=Failure.of(error)))
    else:
        listen(Event(job.key, "done", value))
