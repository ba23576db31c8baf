"""Processes that a process has started, also those that have left its group and its session. Looks at /proc only.

A program that is started inherits the environment of the process that starts it. Each child process of this project has
a mark there, by which what it has started is found wherever it is, even after the child itself has died. What is forked
without a program of its own has no mark. It is found below its parent while that is alive, and below the fork server
afterwards (`bench.profiling.reaper`), unless it has left its group and not its session.
"""

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

MARK = "BENCH_PROCESS"
"""Variable of the environment: marks of the child processes of this project that a process comes from."""

_PROC = Path("/proc")
_PASSES = 3
"""How often /proc is looked at: a process may start another one meanwhile."""


def mark(token: str) -> str:
    """Return the marks of a child process: those of this process, and a token of its own."""
    return f"{os.environ.get(MARK, '')} {token}".strip()


def kill_started(token: str, below: int | None = None) -> None:
    """Kill the programs that a marked process has started, and the processes below a process; never this one.

    Args:
        token: of the mark.
        below: number of a process that is alive; itself is not killed.
    """
    for _ in range(_PASSES):
        found = {*_marked(token), *(_below(below) if below is not None else ())} - {os.getpid(), below}
        if not found:
            return
        for number in found:
            with suppress(OSError):
                os.kill(number, signal.SIGKILL)


def kill_orphans(server: int) -> None:
    """Kill the processes that dead children have left to their fork server, in sessions of their own.

    Args:
        server: number of the fork server, all of whose children stay in its session.
    """
    with suppress(OSError):
        own = os.getsid(server)
        for number in [*_below(server, deep=False)]:
            with suppress(OSError):
                if os.getsid(number) != own:
                    for each in (*_below(number), number):
                        os.kill(each, signal.SIGKILL)


def kill_below(top: int) -> None:
    """Kill all processes that a process has started, at any depth."""
    for number in [*_below(top)]:
        with suppress(OSError):
            os.kill(number, signal.SIGKILL)


def any_below(top: int) -> bool:
    """Return whether a process that this one has started is alive."""
    return next(_below(top), None) is not None


def in_group(leader: int, server: int) -> list[int]:
    """Return the processes of a group, without its leader, that a fork server has started."""
    found = []
    for number in _below(server, deep=False):
        with suppress(OSError):
            if number != leader and os.getpgid(number) == leader:
                found.append(number)
    return sorted(found)


def parent(number: int) -> int | None:
    """Return the number of a process's parent; None where that is not known."""
    with suppress(OSError, ValueError, IndexError):
        about = (_PROC / str(number) / "stat").read_text(errors="replace").rpartition(")")[2].split()
        return int(about[1])
    return None


def _numbers() -> Iterator[int]:
    """Yield the numbers of the user's processes that are alive."""
    user = os.geteuid() if hasattr(os, "geteuid") else -1
    with suppress(OSError), os.scandir(_PROC) as entries:
        for entry in entries:
            with suppress(OSError):
                if entry.name.isdigit() and entry.stat().st_uid == user:
                    yield int(entry.name)


def _marked(token: str) -> Iterator[int]:
    """Yield the processes whose environment has the token."""
    wanted = token.encode()
    for number in _numbers():
        with suppress(OSError):
            if wanted in (_PROC / str(number) / "environ").read_bytes():
                yield number


def _below(top: int, deep: bool = True) -> Iterator[int]:
    """Yield the processes that a process has started, and those that these have started, where it is `deep`."""
    started: dict[int, list[int]] = {}
    for number in _numbers():
        with suppress(OSError, ValueError, IndexError):
            about = (_PROC / str(number) / "stat").read_text(errors="replace").rpartition(")")[2].split()
            if about[0] != "Z":
                started.setdefault(int(about[1]), []).append(number)
    waiting = [top]
    while waiting:
        for number in started.get(waiting.pop(), ()):
            if deep:
                waiting.append(number)
            yield number
