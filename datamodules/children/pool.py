"""The other side: children of one program, each of which serves one file after the other.

A child that dies takes its file with it and is replaced. Children wait for the next file until this process ends.
"""

import atexit
import os
import signal
import struct
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path


class Child:
    """A process that decodes.

    Attributes:
        process: the process.
        heard: when its last message came, as of `time.monotonic`.
    """

    def __init__(self, program: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-P", str(program)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"},
        )
        self.heard = time.monotonic()

    def send(self, content: bytes) -> None:
        """Send a message; one to a child that is gone is lost, which its next answer shows."""
        assert self.process.stdin is not None
        with suppress(OSError):
            self.process.stdin.write(struct.pack("<I", len(content)) + content)
            self.process.stdin.flush()

    def receive(self) -> tuple[bytes, bytes]:
        """Return letter and content of the next message; both empty where the child is gone."""
        assert self.process.stdout is not None
        head = self.process.stdout.read(5)
        if len(head) < 5:
            return b"", b""
        length = struct.unpack("<I", head[1:])[0]
        content = self.process.stdout.read(length)
        self.heard = time.monotonic()
        return (head[:1], content) if len(content) == length else (b"", b"")

    def end(self) -> int:
        """Kill the child and return its exit code."""
        self.process.kill()
        code = self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            with suppress(OSError):  # for what was not yet written to a child that is gone
                pipe.close()
        return code


class Pool:
    """Children that wait for a file.

    Args:
        program: what they run.
    """

    def __init__(self, program: Path) -> None:
        self._program = program
        self._idle: list[Child] = []
        self._lock = threading.Lock()
        atexit.register(self.end)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._forget)

    def take(self) -> Child:
        """Return a child that waits, or a new one."""
        with self._lock:
            waiting = self._idle.pop() if self._idle else None
        return waiting or Child(self._program)

    def give(self, child: Child) -> None:
        """Take a child back that has come to the end of its file."""
        with self._lock:
            self._idle.append(child)

    def warm(self, count: int) -> None:
        """Start children, so that so many wait."""
        while len(self.pids()) < count:
            self.give(Child(self._program))

    def pids(self) -> list[int]:
        """Return the process ids of the children that wait for a file."""
        with self._lock:
            return [child.process.pid for child in self._idle]

    def end(self) -> None:
        """End the children that wait."""
        with self._lock:
            while self._idle:
                self._idle.pop().end()

    def _forget(self) -> None:
        """Leave a forked process without the children of its parent, which still talks to them."""
        self._lock = threading.Lock()
        for child in self._idle:
            child.process.returncode = 0
        self._idle.clear()


def ended(code: int) -> str:
    """Say how a child came to an end, by its exit code."""
    if code == -getattr(signal, "SIGXCPU", 0):
        return "takes longer than any sound of its length"
    if code == -getattr(signal, "SIGKILL", 0):
        return "was ended because it took too long or too much memory"
    return f"died, with {'signal' if code < 0 else 'exit code'} {abs(code)}"
