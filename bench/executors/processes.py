"""Each job in a child process of its own: a clean start for every run, and a crash that takes nobody along.

A fork server imports torch once; every job is forked from it in milliseconds, with no thread started yet.
"""

import os
import signal
import threading
from collections import deque
from collections.abc import Sequence
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerProcess

from bench.executors import Event, Job, Listener, perform
from bench.records import Failure

_PRELOAD = ["bench.runner", "bench.work"]


def execute(jobs: Sequence[Job], workers: int, listen: Listener) -> None:
    """Do the jobs, `workers` at a time; leaves no child behind, however it ends."""
    context = get_context("forkserver")
    context.set_forkserver_preload(_PRELOAD)
    waiting = deque(jobs)
    running: dict[Connection, tuple[Job, ForkServerProcess]] = {}
    ended: set[str] = set()
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                job = waiting.popleft()
                here, there = context.Pipe()
                process = context.Process(target=_child, args=(there, job), name=job.key)
                running[here] = job, process  # first: an interruption while it starts must end it, too
                process.start()
                there.close()
            for ready in wait(list(running)):
                assert isinstance(ready, Connection)
                job, process = running[ready]
                try:
                    event: Event = ready.recv()
                except (EOFError, ConnectionResetError):
                    ready.close()
                    del running[ready]
                    process.join()
                    if job.key not in ended:
                        listen(Event(job.key, "failed", failure=_death(process.exitcode)))
                    continue
                if event.kind in ("done", "failed"):
                    ended.add(job.key)
                listen(event)
    finally:
        started = [process for _, process in running.values() if process.pid is not None]
        for process in started:
            process.kill()
        for process in started:
            process.join()


def _child(connection: Connection, job: Job) -> None:
    """Do one job and send its events; dies with the driver and leaves Ctrl-C to it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_die_with_driver, args=(connection,), daemon=True).start()
    perform(job, connection.send)


def _die_with_driver(connection: Connection) -> None:
    """End this process when the driver's end of the pipe closes; its parent is the fork server, which may live on."""
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
