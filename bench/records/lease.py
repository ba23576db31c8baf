"""A claim that also holds where the locks of a network disk do not reach from one machine to another.

The owner of a lease is a file that is made by a hard link, which NFS does as a whole or not at all. It is touched
while its owner works; one of another machine that nobody has touched for `EXPIRY` is taken over. Between processes of
one machine the lock that the caller holds decides, so a lease that such a process has left counts for nothing.
"""

import os
import socket
import threading
import uuid
from contextlib import suppress
from functools import cache
from pathlib import Path

BEAT = 30.0
"""Seconds between two touches."""

EXPIRY = 300.0
"""Seconds without a touch after which a lease is taken over. The disk's own clock measures them."""


@cache
def machine() -> str:
    """Return what names this machine until it is started again."""
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return socket.gethostname()


class Lease:
    """A lease, not yet taken. The caller holds a lock that other processes of this machine respect.

    Args:
        path: of the file; its folder exists.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.words = f"{machine()} {uuid.uuid4().hex}"
        self._ended = threading.Event()

    def take(self) -> bool:
        """Take the lease, and touch it from now on; return whether nobody else has it."""
        own = self.path.with_name(f".{self.path.name}.{uuid.uuid4().hex}")
        own.write_text(self.words)
        try:
            taken = self._link(own) or (self._is_left(own) and self._link(own))
        finally:
            own.unlink(missing_ok=True)
        if taken:
            threading.Thread(target=self._touch, name="lease", daemon=True).start()
        return taken

    def is_mine(self) -> bool:
        """Whether this process still has the lease."""
        try:
            return self.path.read_text() == self.words
        except OSError:
            return False

    def release(self) -> None:
        """Give the lease back."""
        self._ended.set()
        if self.is_mine():
            self.path.unlink(missing_ok=True)

    def _link(self, own: Path) -> bool:
        try:
            os.link(own, self.path)
        except FileExistsError:
            pass
        except OSError:  # no hard links on this disk
            with suppress(FileExistsError), self.path.open("x") as file:
                file.write(self.words)
        return self.is_mine()  # also where the answer of a link that was made is lost

    def _is_left(self, own: Path) -> bool:
        """Remove the lease of a process that is gone; return whether it was one."""
        try:
            before = self.path.read_text()
            age = own.stat().st_mtime - self.path.stat().st_mtime
        except FileNotFoundError:
            return True
        if before.split()[:1] != [machine()] and age < EXPIRY:
            return False
        aside = own.with_name(f"{own.name}.left")
        try:
            self.path.rename(aside)
        except FileNotFoundError:
            return True
        if aside.read_text() != before:  # another machine was quicker, and this is its new lease
            with suppress(OSError):
                os.link(aside, self.path)
        aside.unlink(missing_ok=True)
        return True

    def _touch(self) -> None:
        while not self._ended.wait(BEAT):
            with suppress(OSError):
                if self.is_mine():
                    os.utime(self.path)
