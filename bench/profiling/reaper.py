"""Lets a process keep what its children leave behind, and learn of its parent's end. Importing this imports no torch.

On Linux, a process whose parent has ended gets another one: the nearest process above it that is a reaper. So what a
model forks stays below its child process, also in a session of its own, and below the fork server once that has died.
"""

import ctypes
from contextlib import suppress

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def keep_orphans() -> None:
    """Make this process a reaper; on other systems, nothing happens."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def signal_at_parents_end(number: int) -> None:
    """Let the system send this process a signal when the thread of its parent ends that has started it.

    Its own children do not inherit this. On other systems than Linux, nothing happens.
    """
    _prctl(_PR_SET_PDEATHSIG, number)


def _prctl(option: int, value: int) -> None:
    with suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)
