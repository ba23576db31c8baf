"""An executor that runs each job in its own child process, so that a crash ends only one job.

A fork server that has imported torch forks each of them (`bench.profiling.children`).
"""

import math
import signal
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path

from bench.profiling import output
from bench.profiling.children import Child, ChildEnded, begin, end_all, end_with, innermost, main_thread
from bench.records import Failure
from bench.runner import gpus
from bench.runner.executors import MOST_OF_A_STACK, Event, Failed, Finished, Job, Reported, Watch, perform
from bench.runner.news import Working
from bench.runner.settings import RunSettings
from bench.training import stopping

_PRELOAD = ["bench.runner.preloaded", "models.frontends._torchaudio"]
"""Modules that the fork server imports once, so that no child has to."""

LEAVE_SECONDS = 5.0
"""Time that a process has to end after its job; threads and processes that a model has started may keep it."""


def prepare() -> None:
    """Let the fork server import what the jobs need, while the caller goes on."""
    begin(_PRELOAD)


@dataclass
class _Running:
    """A job at work.

    Attributes:
        job: the job.
        child: its process.
        watch: its times.
        place: the GPUs that it may see; None for those that this process sees.
        left: when its last event came that ends the job.
    """

    job: Job
    child: Child
    watch: Watch
    place: str | None = None
    left: float | None = None

    def take(self, event: Event) -> None:
        """Take note of an event."""
        self.watch.take(event)
        if isinstance(event, Finished | Failed):
            self.left = self.watch.heard

    def due(self) -> float:
        """Return the time at which the process is to be ended."""
        return self.watch.due() if self.left is None else self.left + LEAVE_SECONDS

    def overdue(self) -> Failed:
        """Return the failure of a job that is past its time, with the stack of where it is."""
        stacks = self.child.stacks()
        places = dict.fromkeys(
            filter(None, map(innermost, stacks[1:] or stacks))
        )  # the first one only waits for others
        whole = "\n\n".join(main_thread(each) for each in stacks)
        return self.watch.overdue(self.job.key, ", and another process in ".join(places), whole[:MOST_OF_A_STACK])

    def end(self) -> None:
        """End the process, and remove the file for its output if it printed nothing."""
        self.child.end()
        output.remove_empty(_printed(self.job))


def execute(jobs: Sequence[Job], workers: int, places: Sequence[str] = ()) -> Iterator[Event]:
    """Do the jobs, `workers` at a time, each on the GPUs of one of the places; no child runs after the iteration.

    A job that is past its limits has failed. Closing the iterator asks the jobs to end, so that a training saves.
    """
    waiting = deque(jobs)
    running: list[_Running] = []
    free = gpus.Places(places)
    at_once = min(workers, len(places)) if places else workers
    try:
        while waiting or running:
            busy = [each for each in running if places or each.left is None]  # a GPU is busy until its process has gone
            while waiting and len(busy) < at_once:
                job, place = waiting.popleft(), free.take()
                child = Child(_child, job, place, preload=_PRELOAD, name=job.key)
                running.append(_Running(job, child, Watch(job.limits), place))
                busy.append(running[-1])
            due = min(each.due() for each in running)
            handles = [handle for each in running for handle in (each.child.connection, each.child.sentinel)]
            ready = wait(handles, None if due == math.inf else max(0.0, due - time.monotonic()))
            for each in list(running):
                if each.child.connection in ready or each.child.sentinel in ready:
                    try:
                        event: Event = each.child.receive()
                    except ChildEnded as end:
                        running.remove(each)
                        each.end()
                        free.give_back(each.place)
                        if each.left is None:
                            yield Failed(each.job.key, _death(end.exitcode), "killed")
                        continue
                    each.take(event)
                    if not (isinstance(event, Reported) and isinstance(event.news, Working)):
                        yield event
                elif time.monotonic() >= each.due():
                    failed = None if each.left is not None else each.overdue()
                    running.remove(each)
                    each.end()
                    free.give_back(each.place)
                    if failed is not None:
                        yield failed
    finally:
        end_all([each.child for each in running], stopping.LEAVE_SECONDS)
        for each in running:
            output.remove_empty(_printed(each.job))


def _child(connection: Connection, job: Job, place: str | None) -> None:
    """Do one job on the GPUs of its place and send its events; end with the driver."""
    gpus.bind(place)  # before torch looks for devices
    end_with(connection)
    output.keep(_printed(job))
    try:
        perform(job, connection.send)
    except stopping.Stopped:
        output.remove_if_empty()  # the signal leaves no time for it
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.raise_signal(signal.SIGTERM)
    finally:
        output.remove_if_empty()


def _printed(job: Job) -> Path | None:
    """Return the file for what a job prints; None for a job without a store."""
    settings = next((each for each in job.arguments if isinstance(each, RunSettings)), None)
    return None if settings is None else output.path_of(settings.store, job.key)


def _death(exitcode: int | None) -> Failure:
    if exitcode is not None and exitcode < 0:
        name = signal.Signals(-exitcode).name
        hint = " (out of memory? try fewer --workers or a smaller batch)" if name == "SIGKILL" else ""
        return Failure(kind="killed", message=f"the process was ended by {name}{hint}")
    return Failure(kind="killed", message=f"the process ended with exit code {exitcode} before its run did")
