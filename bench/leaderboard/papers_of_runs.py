"""Normalised confusion matrices and learning curves of a system's runs, as papers show them besides scores."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from bench.leaderboard.confusions import class_report
from bench.leaderboard.rows import Row
from bench.records import Record

_COLUMNS = 8
"""Largest number of epochs that a table of learning curves has."""

Where = tuple[str, ...]
"""The words that name a system: its label, and the dataset where there are several."""


@dataclass(frozen=True)
class Drawn:
    """A table of systems, not yet in the words of a layout.

    Attributes:
        axis: what the rows of a system are.
        columns: heads of the value columns.
        rows: (system, name of the row, (metric, value) of each cell).
        words: how to read it.
        curves: (name, one value per epoch), to be drawn below the table.
    """

    axis: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Where, str, tuple[tuple[str, float | None], ...]], ...]
    words: str
    curves: tuple[tuple[str, tuple[float, ...]], ...] = ()


def confusions(measured: Sequence[tuple[Where, Row, str]]) -> Drawn:
    """Return the share of each true class's test clips that is taken for each class, over all runs of a system.

    Args:
        measured: (system, its row, the metric that ranks). A row whose clips have several labels has no confusions and
            is left out.
    """
    columns: dict[str, None] = {}
    found = []
    for where, row, _ in measured:
        report = class_report(row.label, row.records, "single")
        if report and report.confusion is not None:
            columns |= dict.fromkeys(report.classes)
            found.append((where, report))
    rows = []
    for where, report in found:
        for i, name in enumerate(report.classes):
            clips = report.support(i)
            shares = {
                other: (report.confusion or ())[i][j] / clips if clips else None
                for j, other in enumerate(report.classes)
            }
            rows.append((where, name, tuple((f"recall.{name}", shares.get(other)) for other in columns)))
    words = "each row is the test clips of a true class, in % by the class that they are taken for, over all runs"
    return Drawn("true class", tuple(columns), tuple(rows), words)


def learning_curves(measured: Sequence[tuple[Where, Row, str]], labels: Mapping[str, str]) -> Drawn:
    """Return the validation score and the losses by epoch: means over a system's runs.

    Args:
        measured: (system, its row, the metric that ranks). A system without curves, such as a fusion, is left out.
        labels: name of a curve to its words.
    """
    means: list[tuple[Where, str, tuple[float, ...]]] = []
    for where, row, primary in measured:
        for name in (f"val_{primary}", "val_loss", "train_loss"):
            if curve := _mean_curve(row.records, name):
                means.append((where, name, curve))
    longest = max((len(curve) for _, _, curve in means), default=0)
    epochs = sorted({round(i * (longest - 1) / (_COLUMNS - 1)) for i in range(_COLUMNS)}) if longest else []
    rows = tuple(
        (where, name, tuple((name.removeprefix("val_"), curve[e] if e < len(curve) else None) for e in epochs))
        for where, name, curve in means
    )
    curves = tuple((f"{', '.join(where)}: {labels.get(name, name)}", curve) for where, name, curve in means)
    words = "means over the runs, to the last epoch that all of them have"
    return Drawn("curve", tuple(f"epoch {epoch + 1}" for epoch in epochs), rows, words, curves)


def _mean_curve(records: Sequence[Record], name: str) -> tuple[float, ...]:
    """Return the mean of a curve over the runs; empty where one of them lacks it."""
    found = [record.curves.get(name, ()) for record in records]
    return tuple(fmean(values) for values in zip(*found, strict=False))
