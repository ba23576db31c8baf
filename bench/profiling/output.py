"""The output of child processes: it goes to a file, never among the tables and the JSON that a command prints.

Models, front-ends and libraries print what they like. The output of a run is in `logs/<key>.log` of its store; it is
that of the last call that did something for the run.
"""

import os
import re
import sys
from contextlib import suppress
from pathlib import Path

FOLDER = "logs"
"""Name of the folder in a store."""

_current: Path | None = None


def path_of(store: Path, key: str) -> Path:
    """Return the file for the output of a job in a store."""
    return store / FOLDER / f"{re.sub(r'[^A-Za-z0-9_.-]+', '-', key)[:200]}.log"


def current() -> Path | None:
    """Return the file to which this process and its children print; None where it has none."""
    return _current


def keep(path: Path | None, *, append: bool = False) -> None:
    """Let everything that this process prints from now on go to a file, or to the standard error where there is none.

    Only child processes call this. It also holds for what libraries print that are not written in Python.

    Args:
        path: the file; None, or one that cannot be written, lets the output go to the standard error.
        append: whether the file keeps what it has.
    """
    global _current
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, OSError, ValueError):
            stream.flush()
    kind = os.O_WRONLY | os.O_CREAT | os.O_APPEND | (0 if append else os.O_TRUNC)
    with suppress(OSError):
        if path is None:
            os.dup2(2, 1)
            return
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, kind, 0o666)
        except OSError:
            os.dup2(2, 1)
            return
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        os.close(descriptor)
        _current = path


def remove_if_empty() -> None:
    """Remove the file if nothing was printed to it."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, OSError, ValueError):
            stream.flush()
    remove_empty(_current)


def remove_empty(path: Path | None) -> None:
    """Remove a file of output if nothing was printed to it, as by a process that has died; None is no file."""
    with suppress(OSError):
        if path is not None and not path.stat().st_size:
            path.unlink()
