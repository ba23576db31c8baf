"""An executor that runs each job in its own child process, so that a crash ends only one job.

A fork server that has imported torch forks each of them (`bench.profiling.children`).
"""

import os
import signal
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection, wait

from bench.profiling import output
from bench.profiling.children import Child, ChildEnded
from bench.records import Failure
from bench.runner.executors import Event, Failed, Finished, Job, perform
from bench.runner.settings import RunSettings

_PRELOAD = ["bench.runner.driver", "bench.runner.worker", "bench.runner.timings"]


def execute(jobs: Sequence[Job], workers: int) -> Iterator[Event]:
    """Do the jobs, `workers` at a time; no child is running after the iteration ends."""
    waiting = deque(jobs)
    running: dict[Connection, tuple[Job, Child]] = {}
    ended: set[str] = set()
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                job = waiting.popleft()
                child = Child(_child, job, preload=_PRELOAD, name=job.key)
                running[child.connection] = job, child
            for ready in wait(list(running)):
                assert isinstance(ready, Connection)
                job, child = running[ready]
                try:
                    event: Event = child.receive()
                except ChildEnded as end:
                    del running[ready]
                    child.end()
                    if job.key not in ended:
                        yield Failed(job.key, _death(end.exitcode), "killed")
                    continue
                if isinstance(event, Finished | Failed):
                    ended.add(job.key)
                yield event
    finally:
        for _, child in running.values():
            child.end()


def _child(connection: Connection, job: Job) -> None:
    """Do one job and send its events; end with the driver."""
    threading.Thread(target=_die_with_driver, args=(connection,), daemon=True).start()
    settings = next((each for each in job.arguments if isinstance(each, RunSettings)), None)
    output.keep(None if settings is None else output.path_of(settings.store, job.key))
    try:
        perform(job, connection.send)
    finally:
        output.remove_if_empty()


def _die_with_driver(connection: Connection) -> None:
    """End this process when the driver's end of the pipe closes; the fork server may outlive the driver."""
    try:
        connection.recv()
    except (EOFError, OSError):
        os._exit(1)


def _death(exitcode: int | None) -> Failure:
    if exitcode is not None and exitcode < 0:
        name = signal.Signals(-exitcode).name
        hint = " (out of memory? try fewer --workers or a smaller batch)" if name == "SIGKILL" else ""
        return Failure(kind="killed", message=f"the process was ended by {name}{hint}")
    return Failure(kind="killed", message=f"the process ended with exit code {exitcode} before its run did")
