"""An executor that runs one job after another in this process, for debuggers. A crash of a job ends the suite."""

import ctypes
import math
import queue
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from queue import SimpleQueue
from threading import Thread

from bench.errors import BenchError
from bench.records import Failure
from bench.runner.executors import MOST_OF_A_STACK, Event, Failed, Finished, Job, Reported, Watch, perform
from bench.runner.news import Working
from bench.training import stopping

END_SECONDS = 5.0
"""Time that a job past its limits has to end; one call of a library that never returns cannot be ended."""


def execute(jobs: Sequence[Job], workers: int, places: Sequence[str] = ()) -> Iterator[Event]:
    """Do the jobs in order; `workers` has no meaning here, and `places` has to be empty.

    A job runs in a thread, so that its reports arrive while it works. Closing the iterator raises a KeyboardInterrupt
    in that thread and waits for its end. A job that is past its limits has failed, and its thread gets one, too. In a
    debugger nothing is past its limits.

    Raises:
        BenchError: a job that is past its limits cannot be ended, because it is in one call that never returns.
    """
    for job in jobs:
        events: SimpleQueue[Event] = SimpleQueue()
        thread = Thread(target=_perform, args=(job, events.put), name=job.key, daemon=True)
        watch = Watch(job.limits)
        thread.start()
        try:
            while True:
                due = math.inf if _debugged() else watch.due()
                try:
                    event = events.get(timeout=None if due == math.inf else max(0.0, due - time.monotonic()))
                except queue.Empty:
                    yield _overdue(job, watch, thread)
                    if thread.is_alive():
                        raise BenchError(
                            f"{job.key} hangs in a call that cannot be ended from within its process: use --executor "
                            f"processes"
                        ) from None
                    break
                watch.take(event)
                if not (isinstance(event, Reported) and isinstance(event.news, Working)):
                    yield event
                if isinstance(event, Finished | Failed):
                    thread.join()
                    break
        except BenchError:
            raise
        except BaseException:
            _interrupt(thread)
            raise


def _debugged() -> bool:
    """Whether a debugger may hold the job."""
    monitoring = getattr(sys, "monitoring", None)
    return sys.gettrace() is not None or (
        monitoring is not None and monitoring.get_tool(monitoring.DEBUGGER_ID) is not None
    )


def _overdue(job: Job, watch: Watch, thread: Thread) -> Failed:
    """Return the failure of a job that is past its limits, and end its thread as far as that can be done."""
    frame = sys._current_frames().get(thread.ident or 0)
    frames = traceback.extract_stack(frame) if frame is not None else []
    where = ", called from ".join(
        f"{each.name} ({each.filename.rpartition('/')[2]}:{each.lineno})" for each in reversed(frames[-6:])
    )
    failed = watch.overdue(job.key, where, "".join(traceback.format_list(frames))[-MOST_OF_A_STACK:])
    _raise(thread)
    thread.join(END_SECONDS)
    return failed


def _perform(job: Job, emit: Callable[[Event], None]) -> None:
    """Do one job; one that ends its thread in any way has failed, and nobody waits for it in vain."""
    try:
        perform(job, emit)
    except BaseException as end:
        emit(Failed(job.key, Failure.of(end), "killed"))


def _interrupt(thread: Thread) -> None:
    """Let a training save and stop; end any other thread at its next Python instruction."""
    if stopping.training():
        stopping.ask()
        thread.join(stopping.LEAVE_SECONDS)
    _raise(thread)
    thread.join()


def _raise(thread: Thread) -> None:
    """Raise a KeyboardInterrupt in a thread, at its next Python instruction."""
    if thread.ident is not None and thread.is_alive():
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(KeyboardInterrupt))
