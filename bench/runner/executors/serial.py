"""An executor that runs one job after another in this process, for debuggers. A crash of a job ends the suite."""

import ctypes
from collections.abc import Callable, Iterator, Sequence
from queue import SimpleQueue
from threading import Thread

from bench.records import Failure
from bench.runner.executors import Event, Failed, Finished, Job, perform
from bench.training import stopping


def execute(jobs: Sequence[Job], workers: int, places: Sequence[str] = ()) -> Iterator[Event]:
    """Do the jobs in order; `workers` has no meaning here, and `places` has to be empty.

    A job runs in a thread, so that its reports arrive while it works. Closing the iterator raises a KeyboardInterrupt
    in that thread and waits for its end.
    """
    for job in jobs:
        events: SimpleQueue[Event] = SimpleQueue()
        thread = Thread(target=_perform, args=(job, events.put), name=job.key, daemon=True)
        thread.start()
        try:
            while True:
                event = events.get()
                yield event
                if isinstance(event, Finished | Failed):
                    break
        except BaseException:
            _interrupt(thread)
            raise
        thread.join()


def _perform(job: Job, emit: Callable[[Event], None]) -> None:
    """Do one job; one that ends its thread, for example by `sys.exit`, has failed, and nobody waits for it in vain."""
    try:
        perform(job, emit)
    except BaseException as end:
        emit(Failed(job.key, Failure.of(end), "killed"))


def _interrupt(thread: Thread) -> None:
    """Let a training save and stop; end any other thread at its next Python instruction."""
    if stopping.training():
        stopping.ask()
        thread.join(stopping.LEAVE_SECONDS)
    if thread.ident is not None and thread.is_alive():
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(KeyboardInterrupt))
        thread.join()
