"""The interface of every logger. No method raises an error because of the log, and none delays a training."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from bench.records import Record, Run

if TYPE_CHECKING:
    from bench.leaderboard.pareto import Plot

Table = tuple[str, Sequence[str], Sequence[Sequence[Any]]]
"""A leaderboard: name of the dataset, names of the columns, rows."""
CLOSE_SECONDS = 14.0
"""Longest time that a suite waits for a logger's server at its end."""


class Tracker(Protocol):
    """A log of a suite's runs: one logger, such as W&B, CSV files or TensorBoard."""

    def started(self, run: Run) -> None:
        """Open the log of a run whose training starts now; an earlier log of the run is replaced."""

    def point(self, key: str, values: Mapping[str, float]) -> None:
        """Log a point of a training that has started.

        Args:
            key: of the run.
            values: numbers by name (`bench.tracking.live`); one of them is the `epoch`.
        """

    def record(self, record: Record, artifacts: Path | None = None) -> None:
        """Log a finished record and close the run's log; the values of its curves that are missing are added.

        Args:
            record: "ok" or "failed"; it is already on disk.
            artifacts: folder of the run's files; None if it has none.
        """

    def summary(self, tables: Sequence[Table], plots: "Sequence[Plot]" = ()) -> None:
        """Log the suite's leaderboards and their Pareto plots, where the logger shows tables."""

    def close(self, timeout_seconds: float = CLOSE_SECONDS) -> str | None:
        """Close all logs; return a line of warning if something was not logged.

        Args:
            timeout_seconds: longest time that a logger may wait for its server.
        """
