"""The pulse of the work in this process: whoever watches it learns that something goes on, or that it has to wait.

A function that works through batches calls `beat` after each. Importing this never imports torch.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

SECONDS = 1.0
"""Least time between two beats that the listener gets."""

_listener: Callable[[bool], None] | None = None
_latest = 0.0


def beat() -> None:
    """Say that a batch, or any other part of the work, has ended."""
    global _latest
    if _listener is not None and (now := time.monotonic()) - _latest >= SECONDS:
        _latest = now
        _listener(False)


@contextmanager
def waiting() -> Iterator[None]:
    """Say that the block waits for others, so that no time is too long for it."""
    if _listener is None:
        yield
        return
    _listener(True)
    try:
        yield
    finally:
        _listener(False)


@contextmanager
def calling(listener: Callable[[bool], None]) -> Iterator[None]:
    """Call a function at each beat of this process until the block ends.

    Args:
        listener: is called with whether the work waits for others.
    """
    global _listener, _latest
    before, _listener, _latest = _listener, listener, 0.0
    try:
        yield
    finally:
        _listener = before
