"""The leaderboard of a suite while its runs end: mean scores so far, without the final tables' statistics."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from statistics import fmean

from rich import box
from rich.table import Table

from bench import catalog
from bench.catalog import PRIMARY
from bench.records import Record, Run

BEST = 3
"""Number of systems that a line names."""


@dataclass
class _Row:
    """A system on a dataset.

    Attributes:
        name: of the system.
        frontend: its front-end.
        scores: the primary metric by the run's key; None where it is undefined.
        milliseconds: p50 on one clip, end to end, by the run's key; empty before the timings.
    """

    name: str
    frontend: str
    scores: dict[str, float | None] = field(default_factory=dict)
    milliseconds: dict[str, float] = field(default_factory=dict)

    @property
    def mean(self) -> float | None:
        """Mean score of the runs that have ended; None if none has a score."""
        known = [score for score in self.scores.values() if score is not None]
        return fmean(known) if known else None


class Standings:
    """The standings so far.

    Args:
        systems: key to the system's name, as the suite calls it.
        datasets: key to the dataset's name.
        runs: all runs of the call.
    """

    def __init__(self, systems: Mapping[str, str], datasets: Mapping[str, str], runs: Iterable[Run]) -> None:
        self.systems = systems
        self.datasets = datasets
        self.of = Counter(dataset for dataset, _ in {(self._dataset(run), self._system(run)) for run in runs})
        self.rows: dict[str, dict[tuple[str, str], _Row]] = {}
        self.metrics: dict[str, str] = {}
        self.latest = ""

    def add(self, record: Record) -> None:
        """Count a finished run's score, and its timing if it has one."""
        run = record.run
        self.latest = self._dataset(run)
        metric = self.metrics.setdefault(self.latest, PRIMARY[catalog.task(run.dataset, run.data)])
        system = self._system(run)
        row = self.rows.setdefault(self.latest, {}).setdefault(system, _Row(system[0], run.frontend))
        row.scores[run.key] = record.scores.get(metric)
        for timing in record.latencies:
            if (timing.scope, timing.batch, timing.backend, timing.device_type) == ("end-to-end", 1, "eager", "cpu"):
                row.milliseconds[run.key] = timing.p50_ms

    def table(self, height: int) -> Table | None:
        """Return the best systems on the dataset of the latest run; None as long as no run has ended.

        Args:
            height: largest number of rows.
        """
        ranked = self._ranked()
        if not ranked:
            return None
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title=self._title(), title_justify="left")
        for heading in ("", "model", "front-end", self.metrics[self.latest], "CPU ms, p50", "runs"):
            table.add_column(heading, justify="left" if heading in ("model", "front-end") else "right", no_wrap=True)
        for place, row in enumerate(ranked[: max(1, height)], 1):
            times = f"{fmean(row.milliseconds.values()):.3g}" if row.milliseconds else ""
            table.add_row(str(place), row.name, row.frontend, _words(row.mean), times, str(len(row.scores)))
        return table

    def line(self) -> str:
        """Return the best systems on the dataset of the latest run in one line; "" as long as no run has ended."""
        best = ", ".join(f"{row.name} {_words(row.mean)}" for row in self._ranked()[:BEST])
        return f"{self._title()}: {best}" if best else ""

    def _title(self) -> str:
        return f"{self.latest} so far, {len(self._ranked())} of {self.of[self.latest]} systems"

    def _ranked(self) -> list[_Row]:
        rows = self.rows.get(self.latest, {}).values()
        return sorted(rows, key=lambda row: (row.mean is None, -(row.mean or 0.0), row.name))

    def _system(self, run: Run) -> tuple[str, str]:
        return self.systems.get(run.key, run.model), run.frontend

    def _dataset(self, run: Run) -> str:
        return self.datasets.get(run.key, run.dataset)


def _words(score: float | None) -> str:
    return "undefined" if score is None else f"{score:.3f}"
