"""The child's side: messages through its pipes, a file whose bytes come from the other process, and limits.

Messages have a letter, the length of their content in four bytes, and the content. To the child: a request in JSON, or
the bytes that it asked for. From the child: R (place and length of bytes that it needs), H (facts in JSON), B (samples,
float32), E (the end), X (why a file cannot be used, in JSON).

This module imports the standard library alone, because every child imports it before its memory is limited.
"""

import json
import struct
import sys
from collections.abc import Callable
from typing import BinaryIO


def send(to: BinaryIO, letter: bytes, content: bytes) -> None:
    """Write a message."""
    to.write(letter + struct.pack("<I", len(content)))
    to.write(content)
    to.flush()


def refuse(to: BinaryIO, *words: str) -> None:
    """Say why a sound cannot be used."""
    send(to, b"X", json.dumps(words).encode())


def receive(source: BinaryIO) -> bytes:
    """Return the content of a message from the other process; exit where that is gone."""
    head = source.read(4)
    content = source.read(struct.unpack("<I", head)[0]) if len(head) == 4 else b""
    if len(head) < 4 or len(content) < struct.unpack("<I", head)[0]:
        sys.exit(0)
    return content


class Asked:
    """A file whose bytes come from the other process."""

    def __init__(self, incoming: BinaryIO, outgoing: BinaryIO, size: int) -> None:
        self.incoming, self.outgoing, self.size, self.place = incoming, outgoing, size, 0

    def at(self, place: int, length: int) -> bytes:
        """Return up to `length` bytes from a place, without going there."""
        length = min(length, max(0, self.size - place))
        if not length:
            return b""
        send(self.outgoing, b"R", struct.pack("<QI", place, length))
        return receive(self.incoming)

    def read(self, length: int = -1) -> bytes:
        """Return the next bytes."""
        content = self.at(self.place, self.size if length < 0 else length)
        self.place += len(content)
        return content

    def seek(self, place: int, whence: int = 0) -> int:
        """Go to a place."""
        self.place = place + (0, self.place, self.size)[whence]
        return self.place

    def tell(self) -> int:
        """Return the place."""
        return self.place


def limited(memory: int) -> Callable[[float], None]:
    """Limit this process, once everything is imported; return a function that limits the processor time of a file.

    Args:
        memory: bytes that it may use in addition to what it has now.
    """
    try:
        import resource
        import signal
        from pathlib import Path
    except ImportError:  # Windows has no such limits; the other process still ends this one after a time
        return lambda seconds: None
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the other process is told, and ends this one
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    status = Path("/proc/self/status")
    if status.exists():
        most = 1024 * int(status.read_text().split("VmData:")[1].split()[0]) + memory
        hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
        if hard != resource.RLIM_INFINITY:  # that of the process which started this one
            most = min(most, hard)
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))

    def limit(seconds: float) -> None:
        spent = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
        hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
        resource.setrlimit(resource.RLIMIT_CPU, (int(spent + seconds) + 1, hard))

    return limit
