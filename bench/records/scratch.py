"""Files that are only needed while a process works, and their removal after a process that was killed.

A lock of the system is held on each for as long as it is used. The system frees it when the process ends, however it
ends, so whoever gets the lock knows that nobody needs the file any more.
"""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import current_process
from pathlib import Path
from typing import Any

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

PREFIX = "bench-scratch-"
"""Start of the names of folders in the system's temporary folder."""

YOUNG_SECONDS = 10.0
"""A file that is younger may belong to a process that is about to lock it."""

OLD_SECONDS = 3600.0
"""Where the system has no such locks, a file that is older counts as abandoned."""


def hold(descriptor: int) -> None:
    """Hold an open file, or folder, until its descriptor is closed."""
    if fcntl is not None:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def abandoned(path: Path) -> bool:
    """Return whether no process works on a file or folder that `hold` was called for.

    Raises:
        OSError: it is gone, or cannot be opened.
    """
    age = time.time() - path.stat().st_mtime
    if fcntl is None:
        return age > OLD_SECONDS
    if age < YOUNG_SECONDS:
        return False
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


@contextmanager
def folder(name: str) -> Iterator[Path]:
    """Yield a new temporary folder, and remove it at the end. Killed processes' go, too.

    That of a child process is in the folder of the process that started it, and goes with that one at the latest.
    """
    sweep()
    with tempfile.TemporaryDirectory(prefix=f"{PREFIX}{name}-", dir=_place()) as made:
        descriptor = os.open(made, os.O_RDONLY) if fcntl is not None else None
        try:
            if descriptor is not None:
                hold(descriptor)
            yield Path(made)
        finally:
            if descriptor is not None:
                os.close(descriptor)


def sweep() -> None:
    """Remove the folders of processes that were killed."""
    for place in {Path(tempfile.gettempdir()), _place()}:
        for path in place.glob(f"{PREFIX}*"):
            with suppress(OSError):
                if abandoned(path):
                    shutil.rmtree(path)


def _place() -> Path:
    """Return the folder that `multiprocessing` has in this process and its children, or the system's temporary one."""
    config: dict[str, Any] = current_process()._config  # type: ignore[attr-defined]
    own = config.get("tempdir")
    return Path(own) if own and Path(own).is_dir() else Path(tempfile.gettempdir())
