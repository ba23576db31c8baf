"""The wish that a training saves and stops, as SIGTERM says it. Importing this never imports torch."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

LEAVE_SECONDS = 3.0
"""Time that a training has to save and stop before its process is ended; 5 s after a signal, nothing is to be alive."""

SOON_SECONDS = 2.5
"""Time to the end of an epoch for which a training that is to stop goes on."""

_asked = threading.Event()
_training = threading.Event()


class Stopped(BaseException):
    """A training has saved what it can and stopped, because it was asked to."""


def ask() -> None:
    """Ask this process's training to save and stop; without a training, nothing happens."""
    _asked.set()


def asked() -> bool:
    """Whether this process's training is to save and stop."""
    return _asked.is_set()


def training() -> bool:
    """Whether this process trains, and so would follow `ask`."""
    return _training.is_set()


@contextmanager
def catching() -> Iterator[None]:
    """Take SIGTERM for `ask` until the block ends; in a thread other than the main one only `ask` itself counts."""
    _asked.clear()
    main = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGTERM) if main else None
    _training.set()
    try:
        catch()
        yield
    finally:
        _training.clear()
        if main:
            signal.signal(signal.SIGTERM, before if before is not None else signal.SIG_DFL)


def catch() -> None:
    """Set the handler of `catching` again; Lightning's own would end the training without saving."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _handle)


def _handle(number: int, frame: FrameType | None) -> None:
    _asked.set()  # nothing else: a signal arrives between any two instructions
