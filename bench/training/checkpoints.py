"""Files of a training's checkpoints: whole or not there, with a checksum, and the one before the newest.

A file is a line of text with the SHA-256 of the content, and the content, which torch reads without executing anything.
"""

import hashlib
import io
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from bench.records import write_whole

SHARE = 0.02
"""Largest share of a training's time that is spent on its checkpoints; large ones are written less often."""

NEWEST, BEFORE = "newest.ckpt", "before.ckpt"
_MARK = b"bench checkpoint 1, sha256 "


class DamagedError(ValueError):
    """A checkpoint does not have its checksum."""


class Checkpoints:
    """The checkpoints of one run.

    Args:
        folder: of the run's checkpoints; the first one that is saved creates it.
        identity: returns everything that a training follows from, by what it is in words; it is called when a file is
            read or written first. A checkpoint of another training is not used.
        seconds: a finished epoch is saved unless less time has passed since the last one that was saved, so that a
            training that is to stop has either saved its last epoch or is near the end of the one that it is in.

    Attributes:
        notes: lines that a user should read, about checkpoints that were not used or could not be written.
        read: file that `load` has read; None where there was none.
    """

    read: Path | None = None

    def __init__(self, folder: Path, identity: Callable[[], Mapping[str, str]], seconds: float) -> None:
        self.folder = folder
        self._identity = identity
        self.seconds = seconds
        self.notes: list[str] = []

    @cached_property
    def identity(self) -> dict[str, str]:
        """Everything on which the training depends."""
        return dict(self._identity())

    def load(self) -> dict[str, Any] | None:
        """Return the content of the newest checkpoint that is whole and of this training; None without one."""
        for path in (self.folder / NEWEST, self.folder / BEFORE):
            try:
                content = _read(path)
            except (FileNotFoundError, NotADirectoryError):
                continue
            except Exception as error:  # whatever torch makes of a file that it cannot read
                self.notes.append(f"the checkpoint {path} is not used: {str(error) or type(error).__name__}")
                if isinstance(error, DamagedError):
                    with suppress(OSError):
                        path.unlink()  # it must not take the place of the one before
                continue
            if other := [what for what, value in self.identity.items() if content["identity"].get(what) != value]:
                self.notes.append(f"the training starts from the beginning: {' and '.join(other)} changed")
                self.clear()
                return None
            self.read = path
            return content
        return None

    def load_as(self, path: Path | None) -> dict[str, Any] | None:
        """Return the content of the file that another process of the training has read; None where it read none."""
        return None if path is None else _read(path)

    def save(self, content: dict[str, Any]) -> bool:
        """Write a checkpoint, and return whether that went well; a training goes on without, and `notes` says so."""
        buffer = io.BytesIO()
        torch.save(content | {"identity": self.identity}, buffer)
        whole = buffer.getbuffer()
        head = _MARK + hashlib.sha256(whole).hexdigest().encode() + b"\n"
        newest = self.folder / NEWEST
        try:
            for leftover in self.folder.glob(".tmp-*"):  # of a process that was killed: this one has the run's lock
                leftover.unlink()
            if newest.exists():
                newest.replace(self.folder / BEFORE)
            write_whole(newest, head + whole)
        except OSError as error:
            note = f"no checkpoint can be written ({error.strerror or error}): a run that is interrupted starts again"
            self.notes += [note] if note not in self.notes else []
            return False
        return True

    def clear(self) -> None:
        """Remove all checkpoints of the run."""
        shutil.rmtree(self.folder, ignore_errors=True)
        with suppress(OSError):  # other runs may have theirs
            self.folder.parent.rmdir()


def _read(path: Path) -> dict[str, Any]:
    """Return the content of a file.

    Raises:
        FileNotFoundError: there is none.
        DamagedError: it is damaged.
    """
    head, _, whole = path.read_bytes().partition(b"\n")
    if head != _MARK + hashlib.sha256(whole).hexdigest().encode():
        raise DamagedError("it is damaged")
    content: dict[str, Any] = torch.load(io.BytesIO(whole), map_location="cpu", weights_only=True)
    return content
