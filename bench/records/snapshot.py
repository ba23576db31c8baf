"""The records of some runs, each read once."""

import gc
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

from bench.errors import RecordError
from bench.records.record import Record, graded_records
from bench.records.run import Run
from bench.records.store import Store


class Snapshot:
    """The records of a suite's runs, each as it was when it was last read.

    Args:
        store: contains the records.
        runs: their records are read at once; any other record is read on first request.
    """

    def __init__(self, store: Store, runs: Sequence[Run]) -> None:
        self.store = store
        self._read: dict[str, Record | RecordError | None] = {}
        self._versions: dict[str, tuple[int, int, int] | None] = {}
        self._runs = {run.key: run for run in runs}
        with _without_collections():
            for key in self._runs:
                self.read(key)

    def read(self, key: str) -> Record | None:
        """Read a run's record again and return it; None if it is missing or damaged."""
        self._versions[key] = self.store.version(key)
        try:
            self._read[key] = self.store.get(key, self._runs.get(key))
        except RecordError as error:
            self._read[key] = error
        return self.get(key)

    def version(self, key: str) -> tuple[int, int, int] | None:
        """Return the version of a record's file that was read; None if there was none."""
        if key not in self._versions:
            self.read(key)
        return self._versions[key]

    def refresh(self) -> None:
        """Read the records again whose files have changed; another process may work on the same store."""
        for key, version in list(self._versions.items()):
            if self.store.version(key) != version:
                self.read(key)

    def get(self, key: str) -> Record | None:
        """Return a run's record; None if it is missing or damaged."""
        found = self._read[key] if key in self._read else self.read(key)
        return found if isinstance(found, Record) else None

    def damage(self, key: str) -> RecordError | None:
        """Return the error of a run's record that cannot be read; None where it can, or there is none."""
        found = self._read.get(key)
        return found if isinstance(found, RecordError) else None

    def finished(self, key: str) -> Record | None:
        """Return the record of a finished run; None for any other run."""
        record = self.get(key)
        return record if record is not None and record.status == "ok" else None

    def all_finished(self, keys: Iterable[str]) -> list[Record]:
        """Return the records of all these runs; an empty list if one of them is not finished."""
        found = [self.finished(key) for key in keys]
        whole = [record for record in found if record is not None]
        return whole if len(whole) == len(found) else []

    def latest_like(self, run: Run) -> Record | None:
        """Return the latest finished record of a run with any source of its components; None if there is none."""
        start = run.key.removesuffix(run.key.rpartition("-")[2])
        keys = self.store.keys()
        return latest_like(run, [record for key in keys if key.startswith(start) and (record := self.get(key))])

    def __contains__(self, run: Run) -> bool:
        """Whether the run is finished; a failed or damaged record does not count."""
        return self.finished(run.key) is not None

    def write(self, record: Record) -> None:
        """Write a record to the store, and read it back."""
        self.store.write(record)
        self.read(record.key)

    def amend(self, record: Record, change: Callable[[Record], Record]) -> Record:
        """Change a record in the store (`Store.amend`), read it back, and return it.

        Raises:
            RunError: the run was done again since.
        """
        changed = self.store.amend(record, change)
        self.read(record.key)
        return changed

    @property
    def records(self) -> dict[str, Record]:
        """All undamaged records that were read, by key."""
        return {key: found for key, found in self._read.items() if isinstance(found, Record)}

    @property
    def damaged(self) -> list[RecordError]:
        """Errors of the records that could not be read."""
        return [found for found in self._read.values() if isinstance(found, RecordError)]

    def graded(self) -> dict[str, Record]:
        """Return all records, with grades that compare all their timings with each other."""
        return graded_records(self.records)


@contextmanager
def _without_collections() -> Iterator[None]:
    """Keep Python from looking for garbage meanwhile: what reading records makes stays."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def latest_like(run: Run, records: Iterable[Record]) -> Record | None:
    """Return the latest finished record of a run with any source of its components; None if there is none."""
    found = [record for record in records if record.status == "ok" and record.run.is_like(run)]
    return max(found, key=lambda record: (record.started, record.key), default=None)
