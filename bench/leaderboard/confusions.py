"""A system's scores per class and its confusion matrix, summed up over its runs."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from bench.records import Record

PER_CLASS = {"single": ("macro_f1", "macro_precision", "macro_recall"), "multi": ("mAP", "mAUC")}
"""The metrics of the per-class table, by task; the first one sorts."""


@dataclass(frozen=True)
class ClassReport:
    """Scores per class and confusions of a leaderboard's first row.

    Attributes:
        label: of the row.
        classes: names.
        per_class: metric name to one value per class: the mean over the runs with a value, or None without any.
        confusion: number of clips over all runs, rows true, columns predicted; None for multi-label.
    """

    label: str
    classes: tuple[str, ...]
    per_class: dict[str, tuple[float | None, ...]]
    confusion: tuple[tuple[int, ...], ...] | None

    def confused(self) -> list[tuple[int, int]]:
        """Return the confused pairs (true, predicted), those with the most clips first."""
        pairs = [
            (i, j)
            for i, row in enumerate(self.confusion or ())
            for j, clips in enumerate(row)
            if i != j and clips
        ]  # fmt: skip
        return sorted(pairs, key=lambda pair: (-(self.confusion or ())[pair[0]][pair[1]], pair))

    def support(self, label: int) -> int:
        """Return how many test clips have this class."""
        return sum((self.confusion or ())[label])


def class_report(label: str, records: Sequence[Record], task: str) -> ClassReport | None:
    """Sum up the finished runs of one system; None if their classes differ or are not recorded."""
    classes = {r.classes for r in records}
    if len(classes) != 1 or not (names := classes.pop()):
        return None
    tables = [r.confusion for r in records if r.confusion is not None]
    whole = len(tables) == len(records)
    return ClassReport(
        label=label,
        classes=names,
        per_class={
            metric: tuple(_mean([r.per_class[metric][i] for r in records]) for i in range(len(names)))
            for metric in PER_CLASS[task]
            if all(metric in r.per_class for r in records)
        },
        confusion=tuple(
            tuple(sum(table[i][j] for table in tables) for j in range(len(names))) for i in range(len(names))
        )
        if whole
        else None,
    )


def _mean(values: Sequence[float | None]) -> float | None:
    found = [value for value in values if value is not None]
    return fmean(found) if found else None
