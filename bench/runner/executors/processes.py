"""An executor that runs each job in its own child process, so that a crash ends only one job.

A fork server that has imported torch forks each of them (`bench.profiling.children`).
"""

import os
import signal
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection, wait

from bench.profiling.children import Child, ChildEnded
from bench.records import Failure
from bench.runner import gpus
from bench.runner.executors import Event, Failed, Finished, Job, perform

_PRELOAD = ["bench.runner.driver", "bench.runner.worker", "bench.runner.timings"]


def execute(jobs: Sequence[Job], workers: int, places: Sequence[str] = ()) -> Iterator[Event]:
    """Do the jobs, `workers` at a time, each on the GPUs of one of the places; no child runs after the iteration."""
    waiting = deque(jobs)
    running: dict[Connection, tuple[Job, Child, str | None]] = {}
    ended: set[str] = set()
    free = gpus.Places(places)
    at_once = min(workers, len(places)) if places else workers
    try:
        while waiting or running:
            while waiting and len(running) < at_once:
                job, place = waiting.popleft(), free.take()
                child = Child(_child, job, place, preload=_PRELOAD, name=job.key)
                running[child.connection] = job, child, place
            for ready in wait(list(running)):
                assert isinstance(ready, Connection)
                job, child, place = running[ready]
                try:
                    event: Event = child.receive()
                except ChildEnded as end:
                    del running[ready]
                    child.end()
                    free.give_back(place)
                    if job.key not in ended:
                        yield Failed(job.key, _death(end.exitcode), "killed")
                    continue
                if isinstance(event, Finished | Failed):
                    ended.add(job.key)
                yield event
    finally:
        for _, child, _ in running.values():
            child.end()


def _child(connection: Connection, job: Job, place: str | None) -> None:
    """Do one job on the GPUs of its place and send its events; end with the driver."""
    gpus.bind(place)  # before torch looks for devices
    threading.Thread(target=_die_with_driver, args=(connection,), daemon=True).start()
    perform(job, connection.send)


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
