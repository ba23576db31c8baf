"""Lets a process keep what its children leave behind. Importing this never imports torch.

On Linux, a process whose parent has ended gets another one: the nearest process above it that is a reaper. So what a
model forks stays below its child process, also in a session of its own, and below the fork server once that has died.
"""

import ctypes
from contextlib import suppress

_PR_SET_CHILD_SUBREAPER = 36


def keep_orphans() -> None:
    """Make this process a reaper; on other systems, nothing happens."""
    with suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
