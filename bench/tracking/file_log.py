"""The common part of the loggers that write one folder per run; they work in the suite's own process."""

import shutil
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench.records import Record, Run
from bench.tracking.live import Logged
from bench.tracking.tracker import CLOSE_SECONDS, Table

if TYPE_CHECKING:
    from bench.leaderboard.pareto import Plot


class FileLog(ABC):
    """A logger that writes `<folder>/<key>/` for each run. An error of the disk ends no training: it is a warning.

    Args:
        folder: folder of the logs.
    """

    name: str
    """Name of the logger."""
    files: str
    """Pattern of the logger's files in a run's folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._logged: dict[str, Logged] = {}
        self._trouble: OSError | None = None

    @abstractmethod
    def write(self, key: str, values: Mapping[str, float]) -> None:
        """Append a point, so that it is on the disk afterwards.

        Raises:
            OSError: the disk is full, or the folder cannot be written.
        """

    @abstractmethod
    def end(self, key: str) -> None:
        """Close what is open of a run."""

    def started(self, run: Run) -> None:
        """Begin the log of a run; this logger's files of an earlier training of the run are removed."""
        try:
            for path in self._earlier(run.key):
                path.unlink()
            (self.folder / run.key).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            self._trouble = error
        self._logged[run.key] = Logged()

    def point(self, key: str, values: Mapping[str, float]) -> None:
        """Append a point of a training that has started."""
        if key in self._logged:
            self._logged[key].add(values)
            self._try(key, values)

    def record(self, record: Record, artifacts: Path | None = None) -> None:
        """Append what is missing of the learning curves, and the scores on test as `test_<metric>`.

        A log that an earlier call has written stays as it is.
        """
        key = record.key
        if key not in self._logged:
            if self._earlier(key):
                return
            self.started(record.run)
        epochs = max(map(len, record.curves.values()), default=0)
        logged = self._logged.pop(key)
        for point in logged.missing(record.curves):
            self._try(key, point)
        scores = {f"test_{name}": value for name, value in record.scores.items() if value is not None}
        if scores:
            self._try(key, logged.where(max(0, epochs - 1)) | scores)
        self.end(key)
        self._remove_if_empty(key)

    def summary(self, tables: Sequence[Table], plots: "Sequence[Plot]" = ()) -> None:  # noqa: B027
        """Do nothing: the suite's tables are files of the store."""

    def close(self, timeout_seconds: float = CLOSE_SECONDS) -> str | None:
        """Close the logs of interrupted trainings; return a line of warning if something could not be written."""
        for key in self._logged:
            self.end(key)
        self._logged.clear()
        if self._trouble is None:
            return None
        return f"{self.name} did not log everything in {self.folder} ({self._trouble}); the records are complete"

    def _try(self, key: str, values: Mapping[str, float]) -> None:
        try:
            self.write(key, values)
        except OSError as error:
            self._trouble = error

    def _earlier(self, key: str) -> list[Path]:
        return sorted((self.folder / key).glob(self.files))

    def _remove_if_empty(self, key: str) -> None:
        folder = self.folder / key
        if folder.is_dir() and not any(folder.iterdir()):
            shutil.rmtree(folder, ignore_errors=True)
