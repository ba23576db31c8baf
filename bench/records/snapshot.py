"""The records of some runs, each read once."""

from collections.abc import Iterable, Sequence

from bench.errors import RecordError
from bench.records.record import Record, graded_records
from bench.records.run import Run
from bench.records.store import Store


class Snapshot:
    """The records of a suite's runs, as they were in a store when each was last read.

    Args:
        store: where they are.
        runs: whose records are read now; others are read when they are first asked for.
    """

    def __init__(self, store: Store, runs: Sequence[Run]) -> None:
        self.store = store
        self._read: dict[str, Record | RecordError | None] = {}
        self._versions: dict[str, tuple[int, int] | None] = {}
        for key in dict.fromkeys(run.key for run in runs):
            self.read(key)

    def read(self, key: str) -> Record | None:
        """Read a run's record again, after the run has ended, and return it; None for a missing or damaged record."""
        self._versions[key] = self._version(key)
        try:
            self._read[key] = self.store.get(key)
        except RecordError as error:
            self._read[key] = error
        return self.get(key)

    def refresh(self) -> None:
        """Read again those records whose files have changed since; another process may work on the same store."""
        for key, version in list(self._versions.items()):
            if self._version(key) != version:
                self.read(key)

    def get(self, key: str) -> Record | None:
        """Return a run's record; None where it has none, or a damaged one."""
        found = self._read[key] if key in self._read else self.read(key)
        return found if isinstance(found, Record) else None

    def finished(self, key: str) -> Record | None:
        """Return the record of a run that is done, or None."""
        record = self.get(key)
        return record if record is not None and record.status == "ok" else None

    def all_finished(self, keys: Iterable[str]) -> list[Record]:
        """Return the records of all these runs; none where one of them is not done."""
        found = [self.finished(key) for key in keys]
        whole = [record for record in found if record is not None]
        return whole if len(whole) == len(found) else []

    def __contains__(self, run: Run) -> bool:
        """Whether the run is done; a failed or damaged record is not."""
        return self.finished(run.key) is not None

    def write(self, record: Record) -> None:
        """Write a record to the store, and keep what the store then holds."""
        self.store.write(record)
        self.read(record.key)

    @property
    def records(self) -> dict[str, Record]:
        """All records that were read, by key."""
        return {key: found for key, found in self._read.items() if isinstance(found, Record)}

    @property
    def damaged(self) -> list[RecordError]:
        """What is wrong with records that could not be read."""
        return [found for found in self._read.values() if isinstance(found, RecordError)]

    def graded(self) -> dict[str, Record]:
        """Return all records, with the grades that their timings get next to each other."""
        return graded_records(self.records)

    def _version(self, key: str) -> tuple[int, int] | None:
        try:
            status = self.store.path(key).stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_size
