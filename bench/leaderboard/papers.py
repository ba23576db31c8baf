"""Tables in the form of a paper's: what was measured, next to what the paper published; nothing is ranked over both."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bench import catalog
from bench.errors import SuiteError
from bench.leaderboard import published
from bench.leaderboard.board import Leaderboard
from bench.leaderboard.papers_of_runs import confusions, learning_curves
from bench.leaderboard.rows import Row
from bench.leaderboard.systems import as_text
from bench.records import Data, Run
from bench.suites import Layout, Suite

_LABELS = {
    "sns": "SNS, %",
    "macro_f1": "F1, %",
    "macro_recall": "mean recall, %",
    "d_prime": "d\N{PRIME}",
    "macs": "MACs",
    "train_seconds": "training, s",
    "cpu_ms": "CPU, ms",
    "true": "yes",
    "false": "no",
} | {name: f"{name}, %" for name in ("accuracy", "mAP", "mAUC", "frame_accuracy")}
"""Words for metrics and values where the suite's layouts have none."""


@dataclass(frozen=True, kw_only=True)
class PaperCell:
    """The results of a system in a column.

    Attributes:
        metric: what is shown.
        value: measured; None where it is not.
        interval: 95 % interval of a primary score.
        published: the paper's value; None where it has none or it could not be recovered.
        difference: measured less published, where both are of the same dataset.
        comparable: whether the difference is on all official clips and folds.
        done: number of finished runs.
        expected: number of runs in the suite.
    """

    metric: str
    value: float | None = None
    interval: tuple[float, float] | None = None
    published: float | None = None
    difference: float | None = None
    comparable: bool = False
    done: int = 0
    expected: int = 0


@dataclass(frozen=True, kw_only=True)
class PaperTable:
    """A layout, filled from a suite's leaderboards.

    Attributes:
        title: one line.
        source: paper and number of its table.
        axes: names of the row axes, one per column of names.
        columns: heads of the value columns, one tuple of words each: the column axes' values, then the metric.
        names: the values of the row axes of each row.
        cells: the cells of each row; None where no system of the suite belongs there.
        facts: (head, words) below the table: coverage, runs, what differs, citations.
        curves: (name, one value per epoch), to be drawn below the table.
    """

    title: str
    source: str
    axes: tuple[str, ...]
    columns: tuple[tuple[str, ...], ...]
    names: tuple[tuple[str, ...], ...]
    cells: tuple[tuple[PaperCell | None, ...], ...]
    facts: tuple[tuple[str, str], ...]
    curves: tuple[tuple[str, tuple[float, ...]], ...] = ()


@dataclass(frozen=True)
class _Entry:
    """A system on a dataset: its first run, the suite's names, and its row where there are records."""

    run: Run
    system: str
    dataset: str
    board: Leaderboard | None
    row: Row | None


def paper_tables(suite: Suite, boards: Sequence[Leaderboard]) -> tuple[PaperTable, ...]:
    """Return a suite's layouts, filled from its leaderboards.

    Args:
        suite: the suite.
        boards: its leaderboards; without one for a dataset, its cells show the published figures alone.

    Raises:
        SuiteError: two systems belong into one cell.
    """
    if not suite.layout:
        return ()
    entries = list(_entries(suite, boards))
    labels = dict(_LABELS)
    for layout in suite.layout:
        labels |= {name: words for name, words in layout.labels.items() if name not in labels}
    return tuple(_table(suite, replace(layout, labels=labels | layout.labels), entries) for layout in suite.layout)


def _entries(suite: Suite, boards: Sequence[Leaderboard]) -> Iterator[_Entry]:
    """Yield one entry for each system on each dataset; a fusion's combinations are one each."""
    names, datasets = suite.names(), suite.dataset_names()
    places = {key: (board, row) for board in boards for row in board.rows for key in row.keys.values()}
    seen: set[Any] = set()
    for run in suite.runs():
        board, row = places.get(run.key, (None, None))
        members = tuple(names.get(key, key) for key in run.members)
        identity = (names[run.key], datasets[run.key], run.frontend, members)
        if identity not in seen:
            seen.add(identity)
            yield _Entry(run, names[run.key], datasets[run.key], board, row)


def _table(suite: Suite, layout: Layout, entries: Sequence[_Entry]) -> PaperTable:
    shown = [entry for entry in entries if _is_shown(layout, entry)]
    if layout.systems:
        shown.sort(key=lambda entry: layout.systems.index(entry.system))
    if layout.form != "scores":
        return _table_of_runs(suite, layout, shown)
    marks = _marks(suite, layout, shown)
    rows: dict[tuple[str, ...], dict[tuple[str, ...], _Entry]] = {}
    heads: dict[tuple[str, ...], None] = {}
    for entry in shown:
        where = _words(suite, layout, layout.rows, entry, marks)
        head = _words(suite, layout, layout.columns, entry, ())
        heads[head] = None
        cells = rows.setdefault(where, {})
        if head in cells:
            raise SuiteError(
                f"the layout {layout.title!r} of {suite.name} has {cells[head].system} and {entry.system} in one cell: "
                f"add an axis in which they differ"
            )
        cells[head] = entry
    order = _ordered(suite, layout, list(heads))
    metrics = layout.metrics or ("",)
    named = [metric or (_primary(shown[0]) if shown else "") for metric in metrics]
    words = [layout.labels.get(metric, metric) for metric in named]
    columns = tuple((*head, *((word,) if len(metrics) > 1 or not head else ())) for head in order for word in words)
    figures: list[published.Figure] = []
    cells_of = tuple(
        tuple(
            None if (own := found.get(head)) is None else _cell(layout, own, metric or _primary(own), figures)
            for head in order
            for metric in metrics
        )
        for found in rows.values()
    )
    axes: list[str] = []
    for axis in layout.rows:
        axes += marks if axis == "members" and layout.marks else [layout.labels.get(axis, axis.rpartition(".")[2])]
    return PaperTable(
        title=layout.title,
        source=layout.source,
        axes=tuple(layout.labels.get(axis, axis) for axis in axes),
        columns=columns,
        names=tuple(rows),
        cells=cells_of,
        facts=tuple(_facts(suite, layout, shown, figures)),
    )


def _table_of_runs(suite: Suite, layout: Layout, shown: Sequence[_Entry]) -> PaperTable:
    """Return the confusions or learning curves of the systems that have finished runs."""
    several = len({entry.dataset for entry in shown}) > 1
    measured: list[tuple[tuple[str, ...], Row, str]] = []
    for entry in shown:
        axes = ("system", "dataset") if several else ("system",)
        if entry.row and entry.row.records:
            measured.append((_words(suite, layout, axes, entry, ()), entry.row, _primary(entry)))
    drawn = confusions(measured) if layout.form == "confusion" else learning_curves(measured, layout.labels)
    facts = [("shown", drawn.words), *_facts(suite, layout, shown, ())]
    heads = ("system", "dataset", drawn.axis) if several else ("system", drawn.axis)
    return PaperTable(
        title=layout.title,
        source=layout.source,
        axes=tuple(layout.labels.get(head, head) for head in heads),
        columns=tuple((layout.labels.get(name, name),) for name in drawn.columns),
        names=tuple((*where, layout.labels.get(name, name)) for where, name, _ in drawn.rows),
        cells=tuple(
            tuple(None if value is None else PaperCell(metric=metric, value=value) for metric, value in values)
            for _, _, values in drawn.rows
        ),
        facts=tuple(facts),
        curves=drawn.curves,
    )


def _is_shown(layout: Layout, entry: _Entry) -> bool:
    return (not layout.systems or entry.system in layout.systems) and (
        not layout.datasets or entry.dataset in layout.datasets
    )


def _marks(suite: Suite, layout: Layout, shown: Sequence[_Entry]) -> tuple[str, ...]:
    """Return the members that the combinations are of, where they are drawn as marks."""
    if not layout.marks:
        return ()
    names = suite.names()
    found = {names.get(key, key) for entry in shown for key in entry.run.members}
    return tuple(sorted(found, key=lambda name: suite.models.index(name) if name in suite.models else -1))


def _words(suite: Suite, layout: Layout, axes: Sequence[str], entry: _Entry, marks: Sequence[str]) -> tuple[str, ...]:
    """Return the words for an entry's values on these axes."""
    words: list[str] = []
    for axis in axes:
        if axis == "members" and marks:
            names = suite.names()
            members = {names.get(key, key) for key in entry.run.members}
            words += ["✓" if mark in members else "" for mark in marks]
            continue
        value = _value(suite, layout, axis, entry)
        words.append(layout.labels.get(f"{axis}={value}", layout.labels.get(value, value)))
    return tuple(words)


def _value(suite: Suite, layout: Layout, axis: str, entry: _Entry) -> str:
    """Return an entry's value on an axis as text."""
    names, run = suite.names(), entry.run
    kind, _, name = axis.partition(".")
    if kind == "arguments":
        return as_text(run.arguments.get(name, catalog.system(run.model).arguments.get(name, "default")))  # type: ignore[union-attr]
    if kind == "data":
        return as_text(run.data.get(name, "default"))
    if kind == "recipe":
        value = getattr(run.recipe, name)
        return f"{value:g}" if isinstance(value, float) else as_text(value)
    if axis == "members":
        members = dict.fromkeys(names.get(key, key) for key in run.members)
        return " + ".join(layout.labels.get(member, member) for member in members)
    teacher = names.get(run.recipe.teacher or "", "none")
    return {"system": entry.system, "dataset": entry.dataset, "teacher": teacher}.get(axis) or str(getattr(run, axis))


def _ordered(suite: Suite, layout: Layout, heads: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Return the column heads, sorted by the suite's order of datasets where that is the first axis."""
    if not layout.columns or layout.columns[0] != "dataset":
        return heads
    known = [layout.labels.get(name, name) for name in (*suite.datasets, *suite.datasets_if_here)]
    return sorted(heads, key=lambda head: known.index(head[0]))


def _primary(entry: _Entry) -> str:
    if entry.board:
        return entry.board.primary
    dataset = catalog.dataset(entry.run.dataset)
    return (
        catalog.STREAM_PRIMARY if dataset.streams else catalog.PRIMARY[catalog.task(entry.run.dataset, entry.run.data)]
    )


def _cell(layout: Layout, entry: _Entry, metric: str, figures: list[published.Figure]) -> PaperCell:
    """Return a system's cell; the published figures that it shows are added to `figures`."""
    figure = _figure(layout, entry, metric)
    value = _size(entry, metric) if figure is None and metric in ("parameters", "macs") else None
    if figure:
        figures.append(figure)
        value = figure.value
    row, board = entry.row, entry.board
    cell = PaperCell(metric=metric, published=value)
    if row is None or board is None:
        return cell
    measured = _measured(row, metric)
    same = figure is None or figure.dataset == published.name_of(entry.run.dataset)
    whole = row.done == row.expected and _covered(board) is None and len(board.folds) == board.folds_official
    return replace(
        cell,
        value=measured,
        interval=row.interval if metric == board.primary and measured is not None else None,
        difference=measured - value if measured is not None and value is not None and same else None,
        comparable=same and whole,
        done=row.done,
        expected=row.expected,
    )


def _figure(layout: Layout, entry: _Entry, metric: str) -> published.Figure | None:
    model = layout.published.get(entry.system)
    if model is None:
        return None
    dataset = layout.published_dataset or published.name_of(entry.run.dataset)
    return published.find(
        model=model, dataset=dataset, metric=metric,
        protocol=layout.protocols.get(entry.dataset, ""), citation=layout.citation,
    )  # fmt: skip


def _size(entry: _Entry, metric: str) -> float | None:
    """Return the published parameters or multiply-adds of a model that is of the published size."""
    if entry.run.arguments and set(entry.run.arguments) - {"balanced"}:
        return None
    size = published.size(entry.run.model)
    if size is None:
        return None
    if metric == "parameters":
        return size.parameters
    return None if size.multiply_adds is None else size.multiply_adds * 1e9


def _measured(row: Row, metric: str) -> float | None:
    """Return a row's value of a metric, a size, a time or a class's recall."""
    kind, _, name = metric.partition(".")
    if kind == "recall":
        return row.recalls.get(name)
    if kind == "cpu_ms":
        timing = row.backends.get(name) if name and name != "eager" else row.cpu
        return timing.p50_ms if timing else None
    if metric == "train_seconds":
        return row.train_seconds
    if metric in ("parameters", "macs", "bytes"):
        return getattr(row.complexity, metric, None)
    return row.scores.get(metric)


def _covered(board: Leaderboard) -> Data | None:
    """Return the data that are incomplete; None where all official clips were at hand."""
    return next(
        (each for each in board.data if each.clips_official and each.clips_available < each.clips_official), None
    )


def _facts(
    suite: Suite,
    layout: Layout,
    shown: Sequence[_Entry],
    figures: Sequence[published.Figure],
) -> Iterator[tuple[str, str]]:
    """Yield what a reader has to know about the table."""
    if layout.source:
        yield "paper", layout.source
    datasets = {entry.dataset: entry for entry in shown}
    coverage = []
    for name, entry in datasets.items():
        title = layout.labels.get(name, name)
        if entry.board is None or not entry.board.data:
            coverage.append(f"{title}: not measured")
        elif partial := _covered(entry.board):
            coverage.append(f"{title}: {partial.clips_available:,} of {partial.clips_official:,} clips: not comparable")
        elif entry.board.data[0].clips_official:
            coverage.append(f"{title}: all {entry.board.data[0].clips_official:,} clips")
        else:
            coverage.append(f"{title}: {entry.board.data[0].clips_available:,} clips")
    yield "coverage", "; ".join(coverage)
    rows = [entry.row for entry in shown if entry.row]
    done, expected = sum(row.done for row in rows), sum(row.expected for row in rows)
    yield "runs", f"{done:,} of {expected:,} done, folds {suite.folds}, {len(suite.seeds)} seed(s)"
    differs = list(layout.differs)
    if suite.tier:
        differs.append(f"This is the tier {suite.tier!r}: fewer clips, folds, seeds and epochs than the paper's.")
    for entry in datasets.values():
        named = published.name_of(entry.run.dataset)
        other = next((f.dataset for f in figures if f.dataset != named), None)
        if other and entry.board:
            differs.append(f"The published figures are of {other}; {entry.dataset} was measured.")
    if differs:
        yield "what differs from the paper's protocol", " ".join(dict.fromkeys(differs))
    sources = list(dict.fromkeys(f"{f.citation}{'' if f.verified else ' (not read in the source)'}" for f in figures))
    if {"parameters", "macs"} & set(layout.metrics) and any(_size(entry, "parameters") for entry in shown):
        sources.append("sizes from the papers' tables of complexity, see complexity.md")
    yield (
        "published figures",
        f"{'; '.join(sources)}. Differences are in points where both are shares, and no rank is over both."
        if sources
        else "none could be recovered for this table.",
    )
