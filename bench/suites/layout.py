"""Layouts: tables in the form of a paper's, rows × columns from the axes of a suite, `[[layout]]` in its file."""

from dataclasses import dataclass, field, fields
from typing import Literal

from pydantic import ConfigDict, with_config

from bench import catalog
from bench.errors import SuiteError
from bench.records import Recipe
from bench.suites.messages import near

AXES = ("system", "model", "dataset", "frontend", "members", "teacher")
"""Axes that every suite has; "arguments.NAME", "recipe.NAME" and "data.NAME" are further ones."""

MEASURES = ("parameters", "macs", "bytes", "train_seconds", "cpu_ms")
"""Contents of a cell other than a metric; "cpu_ms.BACKEND" is a backend's latency, "recall.CLASS" a class's recall."""


@with_config(ConfigDict(extra="forbid"))
@dataclass(frozen=True, kw_only=True)
class Layout:
    """A table in the form of a paper's.

    Attributes:
        title: one line.
        source: paper and number of its table.
        form: "scores" is a table of rows × columns. "confusion" is each system's confusion matrix, normalised so that
            each true class sums to 1, and "curves" its learning curves; both are over all its runs, and take no axes.
        rows: axes whose values name the rows, see `AXES`.
        columns: axes whose values name the columns; a table without them has a column for each metric.
        metrics: what each cell shows, see `MEASURES`; the metric that ranks where empty.
        systems: the systems that the table shows, in this order; all where empty.
        datasets: the datasets that it shows, by the suite's names; all where empty.
        labels: value of an axis, or a metric, to the words that the table has for it.
        marks: whether the axis "members" is drawn as a column with a mark for each member, as combinations are.
        published: system to the model's name in the published figures.
        protocols: dataset to the beginning of the protocol of the published figures.
        published_dataset: the dataset of the published figures; the measured one's own where empty.
        citation: beginning of the citation of the published figures.
        differs: what differs from the paper's protocol, one sentence each.
    """

    title: str
    source: str = ""
    form: Literal["scores", "confusion", "curves"] = "scores"
    rows: tuple[str, ...] = ("system",)
    columns: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    systems: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()
    labels: dict[str, str] = field(default_factory=dict)
    marks: bool = False
    published: dict[str, str] = field(default_factory=dict)
    protocols: dict[str, str] = field(default_factory=dict)
    published_dataset: str = ""
    citation: str = ""
    differs: tuple[str, ...] = ()


def check(layout: Layout, models: tuple[str, ...], datasets: tuple[str, ...], where: str) -> None:
    """Check every name in a layout.

    Args:
        layout: the layout.
        models: the suite's systems.
        datasets: the suite's datasets.
        where: names the file in an error.

    Raises:
        SuiteError: an axis, a metric, a system or a dataset is unknown.
    """
    where = f"{where}: the layout {layout.title!r}"
    for axis in (*layout.rows, *layout.columns):
        kind, _, name = axis.partition(".")
        if axis in AXES or (name and kind in ("arguments", "data")):
            continue
        if kind == "recipe" and name in (known := [f.name for f in fields(Recipe)]):
            continue
        known = [*AXES, "arguments.NAME", "data.NAME"] if kind != "recipe" else known
        raise SuiteError(f"{where} has no axis {axis!r}{near(name or axis, known)}")
    if layout.form != "scores" and (layout.rows != ("system",) or layout.columns or layout.metrics or layout.marks):
        raise SuiteError(
            f"{where} has the form {layout.form!r}, which takes no rows, columns, metrics and marks: remove them"
        )
    if not layout.rows:
        raise SuiteError(f"{where} has no rows: name an axis, for example rows = ['system']")
    for metric in layout.metrics:
        kind, _, name = metric.partition(".")
        if metric in MEASURES or (name and kind == "recall"):
            continue
        if kind == "cpu_ms":
            catalog.backend(name)
        elif metric not in {**catalog.STREAM_METRICS, **catalog.SECOND_METRICS}:
            catalog.metric(metric)
    for kind, given, known_names in (
        ("system", layout.systems, models),
        ("dataset", layout.datasets, datasets),
    ):
        for name in given:
            if name not in known_names:
                raise SuiteError(f"{where} names the {kind} {name!r}{near(name, list(known_names))}")
