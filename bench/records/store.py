"""A folder of records: one file per run, written completely or not at all. Only records decide which runs are done."""

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from bench.errors import RecordError, RunError
from bench.records.record import Record
from bench.records.run import Run


class Store:
    """Records, tables and artifacts under one folder.

    Args:
        root: the folder; the first write creates it.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    def cache(self) -> Path:
        """Folder for decoded audio and features."""
        return self.root / "cache"

    def path(self, key: str) -> Path:
        """Return the file of a record."""
        return self.root / "records" / f"{key}.json"

    def artifacts(self, key: str) -> Path:
        """Return the folder of a run's logits and weights."""
        return self.root / "artifacts" / key

    def get(self, key: str) -> Record | None:
        """Return a run's record, or None where there is none.

        Raises:
            RecordError: the file is damaged.
        """
        try:
            text = self.path(key).read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        except UnicodeDecodeError as error:
            raise RecordError(
                f"record {key} is damaged ({error}): delete the file, and `bench run` does the run again"
            ) from error
        return Record.from_json(text, key)

    def __contains__(self, run: Run) -> bool:
        """Whether the run is finished; a failed or damaged record does not count."""
        try:
            record = self.get(run.key)
        except RecordError:
            return False
        return record is not None and record.status == "ok"

    def finished_record(self, key: str, role: str) -> Record:
        """Return the record of a run that another run needs; an error names its `role`.

        Raises:
            RunError: the run has no result.
        """
        record = self.get(key)
        if record is None or record.status != "ok":
            raise RunError(f"{role} {key} has no result: run its suite again")
        return record

    def write(self, record: Record) -> None:
        """Write a record; an earlier record of the same run stays until the new one is safe on disk.

        A failure never replaces a result.
        """
        if record.status == "failed" and record.run in self:
            return
        write_whole(self.path(record.key), record.to_json().encode())

    def sweep(self) -> None:
        """Remove unfinished files that a killed process left behind more than an hour ago."""
        for folder in (self.root, self.cache, self.root / "records", *(self.root / "artifacts").glob("*")):
            for leftover in folder.glob(".tmp-*"):
                with suppress(OSError):
                    if leftover.stat().st_mtime < time.time() - 3600:
                        shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()

    @contextmanager
    def machine(self, *, alone: bool) -> Iterator[None]:
        """Wait for this machine: trainings share it, a timing has it alone among the processes that use this store."""
        with self._lock("machine") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
            yield

    @contextmanager
    def claim(self, key: str) -> Iterator[bool]:
        """Hold a run for this process; yields False where another process holds it. Freed by the kernel on death."""
        with self._lock(key) as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
            else:
                yield True

    def _lock(self, name: str) -> IO[str]:
        folder = self.root / "locks"
        folder.mkdir(parents=True, exist_ok=True)
        return (folder / name).open("w")


def write_whole(path: Path, content: bytes) -> None:
    """Write a file through a temporary one in the same folder, so that it exists completely or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=".tmp-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
