"""A folder of records: one file per run, written completely or not at all. Only records decide which runs are done."""

import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from bench.errors import RecordError, RunError, refuse_url
from bench.records import lease, scratch
from bench.records.lease import EXPIRY, Lease
from bench.records.record import Record
from bench.records.run import Run

if TYPE_CHECKING:
    from filelock import FileLock

WEIGHTS = "weights.safetensors"
"""Name of a run's weights among its artifacts."""

OLD_WEIGHTS = "model.pt"
"""Their name in the artifacts of earlier versions."""

RECORD = "record.json"
"""Name of the copy of a run's record among its artifacts, so that the folder says by itself what it is."""

CLAIM_SECONDS = 5.0
"""Time that an amendment waits for a claim: a sweep, or another amendment, takes one for a moment."""

_UMASK = os.umask(0o077)
os.umask(_UMASK)


class Store:
    """Records, tables and artifacts under one folder.

    Args:
        root: the folder; the first write creates it.

    Raises:
        ArgumentError: it is a URL.
    """

    def __init__(self, root: Path) -> None:
        refuse_url(root, "a store", "name a folder, and copy it there afterwards")
        self.root = root
        self._records = (
            f"{root / 'records'}/"  # as text, because pathlib takes its time for each of thousands of records
        )
        self._leases: dict[str, Lease] = {}

    @property
    def cache(self) -> Path:
        """Folder for decoded audio and features."""
        return self.root / "cache"

    def path(self, key: str) -> Path:
        """Return the file of a record."""
        return Path(f"{self._records}{key}.json")

    def version(self, key: str) -> tuple[int, int, int] | None:
        """Return what changes when a record's file is replaced; None where there is none."""
        try:
            status = os.stat(f"{self._records}{key}.json")  # noqa: PTH116 - as text, see above
        except OSError:
            return None
        return status.st_ino, status.st_mtime_ns, status.st_size

    def keys(self) -> list[str]:
        """Return the keys of all records, sorted."""
        return sorted(path.stem for path in (self.root / "records").glob("*.json"))

    def matching(self, part: str) -> list[str]:
        """Return the keys that begin with a part of a key, or else those that have it somewhere."""
        known = self.keys() if part else []
        return [key for key in known if key.startswith(part)] or [key for key in known if part in key]

    def artifacts(self, key: str) -> Path:
        """Return the folder of a run's logits and weights."""
        return self.root / "artifacts" / key

    def checkpoints(self, key: str) -> Path:
        """Return the folder of a run's checkpoints; it is there while the run is not done."""
        return self.root / "checkpoints" / key

    def weights(self, key: str) -> Path | None:
        """Return the file of a run's weights; None where there is none."""
        files = (self.artifacts(key) / name for name in (WEIGHTS, OLD_WEIGHTS))
        return next((path for path in files if path.exists()), None)

    def get(self, key: str, run: Run | None = None) -> Record | None:
        """Return a run's record, or None where there is none.

        Args:
            key: of the run.
            run: the run, if it is at hand; its record then holds this very object.

        Raises:
            RecordError: the file is damaged.
        """
        try:
            with open(f"{self._records}{key}.json", "rb", buffering=0) as file:  # noqa: PTH123
                text = file.read().decode()  # which takes half as long as a file of text
        except FileNotFoundError:
            return None
        except OSError as error:
            raise RecordError(
                f"record {key} cannot be read ({error.strerror}): remove {self.path(key)}, and `bench run` does the "
                f"run again"
            ) from error
        except UnicodeDecodeError as error:
            raise RecordError(
                f"record {key} is damaged ({error}): delete the file, and `bench run` does the run again"
            ) from error
        return Record.from_json(text.replace("\r\n", "\n") if "\r" in text else text, key, run)

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

        A failure never replaces a result. A run's artifacts get a copy of its record.
        """
        if record.status == "failed" and record.run in self:
            return
        content = record.to_json().encode()
        write_whole(self.path(record.key), content)
        folder = self.artifacts(record.key)
        if record.status == "ok" and folder.is_dir() and any(path.suffix != ".gz" for path in folder.iterdir()):
            write_whole(folder / RECORD, content)  # not next to published logits, which are all that is there

    def amend(self, seen: Record, change: Callable[[Record], Record]) -> Record:
        """Change the record of a finished run, which another process may be doing again, and return the new one.

        Args:
            seen: the record by which the change was computed.
            change: of the record as it is now; others may have changed it, too.

        Raises:
            RunError: the run was done again since, or is being done again: the change is not of its result.
        """
        with self._claim_soon(seen.key) as mine:
            now = self.get(seen.key) if mine else None
            if now is None or (now.started, now.artifacts) != (seen.started, seen.artifacts):
                raise RunError(f"{seen.key} is done again by another process: repeat the command afterwards")
            changed = change(now)
            self.write(changed)
            return changed

    @contextmanager
    def _claim_soon(self, key: str) -> Iterator[bool]:
        """Claim a run, and wait some seconds for a process that looks at it for a moment; yield False if it stays."""
        until = time.monotonic() + CLAIM_SECONDS
        while True:
            with self.claim(key) as mine:
                if mine or time.monotonic() > until:
                    yield mine
                    return
            time.sleep(0.05)

    def write_with_artifacts(self, record: Record, new: Path) -> None:
        """Write a record whose artifacts are in a new folder on the same disk, and put them in place of earlier ones.

        The earlier record is removed first, so a process that is killed in between leaves a run that is not done, and
        never a record with the artifacts of another training.

        Raises:
            RunError: this process has lost its claim to another machine.
        """
        if (held := self._leases.get(record.key)) is not None and not held.is_mine():
            raise RunError(
                f"another machine has taken over {record.key}, because this one could not reach {self.root} for "
                f"{EXPIRY / 60:g} minutes: its result counts"
            )
        folder = self.artifacts(record.key)
        written = sorted(new.iterdir())
        self.path(record.key).unlink(missing_ok=True)
        for path in folder.iterdir():
            if path.is_file() and path.name not in {each.name for each in written}:
                path.unlink()
        for path in written:
            path.replace(folder / path.name)
        self.write(record)

    def check(self) -> None:
        """Check that this process may write records, before work is done for them; nothing is made.

        Raises:
            RecordError: it may not.
        """
        place = self.root / "records"
        while not place.exists() and place != place.parent:
            place = place.parent
        if not place.is_dir():
            raise RecordError(
                f"the store {self.root} cannot be a folder, because {place} is a file: give another --store"
            )
        if not os.access(place, os.W_OK | os.X_OK):
            raise RecordError(
                f"the store {self.root} cannot be written, because {place} is read-only for you: give another --store, "
                f"or change the folder's permissions"
            )

    def sweep(self) -> None:
        """Remove unfinished files of processes that were killed.

        Those of a run are removed if no process does the run now, others if no process holds them.
        """
        scratch.sweep()
        for folder in (self.root, self.cache, self.root / "records"):
            for leftover in folder.glob(".tmp-*"):
                with suppress(OSError):
                    if scratch.abandoned(leftover):
                        _remove(leftover)
        for key in dict.fromkeys(path.parent.name for path in (self.root / "artifacts").glob("*/.tmp-*")):
            with suppress(OSError), self.claim(key) as mine:
                for leftover in self.artifacts(key).glob(".tmp-*") if mine else ():
                    _remove(leftover)

    @contextmanager
    def machine(self, *, alone: bool) -> Iterator[None]:
        """Wait for this machine: trainings share it, and a timing excludes all other processes that use this store.

        Both first take the lock `machine.<id>`, with an id of this machine: the locks of a network disk may reach other
        machines, which have their own. A training takes a second lock, the first free one of `machine.<id>-0`,
        `machine.<id>-1`, ..., and releases the first at once. A timing keeps it, so that no further training starts,
        and waits until the running trainings have ended. The system frees the locks of a process that dies.
        """
        name = _machine_lock()
        if alone:
            with self._lock(name):
                for place in sorted((self.root / "locks").glob(f"{name}-*")):
                    with self._lock(place.name):
                        pass  # no process can take it again while this one has `machine`
                yield
            return
        with self._lock(name):
            own = self._free_place(name)
        try:
            yield
        finally:
            own.release()

    @contextmanager
    def claim(self, key: str) -> Iterator[bool]:
        """Claim a run for this process; yield False if another process has it.

        The system frees the claim on death; that of another machine is free after `EXPIRY`, see `bench.records.lease`.
        """
        lock = self._lock(key)
        if not _taken(lock):
            yield False
            return
        held = Lease(Path(f"{lock.lock_file}.owner"))
        try:
            if not held.take():
                yield False
                return
            self._leases[key] = held
            yield True
        finally:
            self._leases.pop(key, None)
            held.release()
            lock.release()

    def _free_place(self, name: str) -> "FileLock":
        """Take the first free lock of a training on the machine with this lock, and return it."""
        return next(lock for i in count() if _taken(lock := self._lock(f"{name}-{i}")))

    def _lock(self, name: str) -> "FileLock":
        """Return a lock, not yet taken; a waiting process checks it four times a second, which disturbs no timing."""
        from filelock import FileLock  # imported here, because most commands need no lock

        folder = self.root / "locks"
        folder.mkdir(parents=True, exist_ok=True)
        return FileLock(folder / name, poll_interval=0.25)


def _machine_lock() -> str:
    """Return the name of this machine's lock."""
    return f"machine.{hashlib.sha256(lease.machine().encode()).hexdigest()[:8]}"


def _remove(leftover: Path) -> None:
    shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()


def _taken(lock: "FileLock") -> bool:
    """Take a lock if it is free, and return whether it was free."""
    from filelock import Timeout

    try:
        lock.acquire(blocking=False)
    except Timeout:
        return False
    return True


def write_whole(path: Path, content: bytes) -> None:
    """Write a file through a temporary one in the same folder, so that it exists completely or not at all.

    Raises:
        OSError: it cannot be written, for example because the disk is full; the error names the path.
    """
    try:
        _write_whole(path, content)
    except OSError as error:
        error.filename = os.fspath(path)  # a disk that is full names none, and others the temporary file
        raise


def _write_whole(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=".tmp-", dir=path.parent)
    try:
        scratch.hold(descriptor)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o666 & ~_UMASK)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    if not hasattr(os, "O_DIRECTORY"):
        return  # Windows cannot open a folder
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
