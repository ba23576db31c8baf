"""The tables below a leaderboard's own: published results, and the confusions and class scores of its first row."""

from collections.abc import Iterator, Sequence

from bench.catalog import METRICS
from bench.leaderboard import budgets, published
from bench.leaderboard.board import Leaderboard
from bench.leaderboard.confusions import ClassReport
from bench.leaderboard.render.columns import columns, head, score
from bench.leaderboard.render.table import Cell, Head, Table
from bench.text import NONE, plural, prefixed

_MATRIX = 12
"""Number of classes up to which the whole confusion matrix is shown."""
_PAIRS = 15
_SHOWN_CLASSES = 50
_WITHIN = 5
"""Number of rows that a budget's table shows."""
_ENDS = 10
"""Number of best and of worst classes that a shortened table shows."""
_WORDS = {"macro_f1": "F1", "macro_precision": "precision", "macro_recall": "recall", "mAP": "AP", "mAUC": "AUC"}


def details(board: Leaderboard, *, all_classes: bool) -> Iterator[Table]:
    """Yield the tables below a leaderboard's own.

    Args:
        board: the leaderboard.
        all_classes: whether the table of classes shows each of hundreds, on a page that can filter them.
    """
    yield from _budgets(board)
    if systems := published.systems(board.dataset, board.primary):
        yield _published(board, systems)
    if board.class_report:
        yield from of_classes(board.class_report, all_classes=all_classes)


def of_classes(report: ClassReport, *, all_classes: bool) -> Iterator[Table]:
    """Yield the confusions, as a matrix of few classes or else as the worst pairs, and the scores per class.

    Args:
        report: of a system, or of one run.
        all_classes: whether the table of classes shows each of hundreds.
    """
    if report.confusion and len(report.classes) <= _MATRIX:
        yield _matrix(report)
    elif report.confusion and report.confused():
        yield confused(report)
    if report.per_class:
        yield _classes(report, all_classes=all_classes)


def _budgets(board: Leaderboard) -> Iterator[Table]:
    """Yield the best rows within each budget that some ranked row exceeds and some ranked row fits."""
    ranked = [row for row in board.rows if row.rank is not None]
    on_front = budgets.fronts(board)
    shown = (("model", True), ("front-end", True), (head(board.primary), False), ("parameters", False), ("MACs", False))
    cells = {column.head: column.cell for column in columns(board)}
    names = (*shown, ("CPU ms, p50 / p90", False))
    for budget in budgets.BUDGETS:
        found = budgets.within(board, budget)
        if not 0 < len(found) < len(ranked):
            continue
        rows = tuple(
            (
                *(cells[name](row) for name, _ in names),
                Cell(", ".join(on_front.get(row.full, ())) or NONE),
            )
            for row in found[:_WITHIN]
        )
        yield Table(
            title=f"Within {budget.name}",
            heads=(*(Head(name, is_text=text) for name, text in names), Head("Pareto front", is_text=True)),
            rows=rows,
            footnote=f"{len(found)} of {plural(len(ranked), 'ranked row')} fit; the table shows the best {len(rows)}. "
            "A parameter counts as one byte, and the front-end's MACs do not count. Timings count if they are "
            "comparable with those of most rows.",
        )


def _published(board: Leaderboard, systems: Sequence[published.PublishedSystem]) -> Table:
    metrics = [name for name in METRICS if any(name in system.scores for system in systems)]
    metrics.sort(key=lambda name: name != board.primary)
    rows = tuple(
        (
            Cell(system.model),
            *(score(system.scores.get(name), name) for name in metrics),
            _count(system.params),
            _count(system.macs),
            Cell(system.protocol),
            Cell(system.citation),
            Cell("yes" if system.verified else "no", grey=not system.verified),
        )
        for system in systems
    )
    return Table(
        title="Published results, on other protocols: not ranked",
        heads=(
            Head("published system", is_text=True),
            *(Head(head(name)) for name in metrics),
            Head("parameters"),
            Head("multiply-adds as published"),
            Head("protocol", is_text=True),
            Head("source", is_text=True),
            Head("checked", is_text=True),
        ),
        rows=rows,
        footnote="None of these results was measured here, and none was trained and tested on the same data as the "
        "rows above. Papers count multiply-adds in different ways. The column checked says whether the figure was read "
        "in the source itself.",
    )


def _count(number: int | None) -> Cell:
    return Cell(NONE) if number is None else Cell(prefixed(number), number)


def _matrix(report: ClassReport) -> Table:
    rows = tuple(
        (Cell(name), *(Cell(str(n) if n else "·", n, heat=_heat(n, sum(row), i == j)) for j, n in enumerate(row)))
        for i, (name, row) in enumerate(zip(report.classes, report.confusion or (), strict=True))
    )
    return Table(
        title=f"Confusion matrix of {report.label}",
        heads=(Head("true class", is_text=True), *(Head(name) for name in report.classes)),
        rows=rows,
        footnote="Test clips, summed over the runs. The columns are the predicted classes.",
    )


def _heat(clips: int, of: int, right: bool) -> str:
    """Return the colour of a cell of a confusion matrix: its share of the true class, in nine steps."""
    return f"{'right' if right else 'wrong'}-{max(1, round(9 * clips / of))}" if clips else ""


def confused(report: ClassReport) -> Table:
    """Return the table of the pairs of classes that are confused most often."""
    pairs = report.confused()
    confusion = report.confusion or ()
    rows = tuple(
        (
            Cell(report.classes[i]),
            Cell(report.classes[j]),
            Cell(str(confusion[i][j]), confusion[i][j]),
            Cell(f"{100 * confusion[i][j] / report.support(i):.0f}", confusion[i][j] / report.support(i)),
        )
        for i, j in pairs[:_PAIRS]
    )
    return Table(
        title=f"Most confused classes of {report.label}",
        heads=(
            Head("true class", is_text=True),
            Head("predicted", is_text=True),
            Head("clips"),
            Head("share of the class, %"),
        ),
        rows=rows,
        footnote=f"Test clips, summed over the runs. The table shows {len(rows)} of {plural(len(pairs), 'pair')} with "
        "confused clips.",
    )


def _classes(report: ClassReport, *, all_classes: bool) -> Table:
    first = next(iter(report.per_class))
    values = report.per_class[first]
    order = sorted(
        range(len(values)), key=lambda i: (values[i] is None, -(values[i] or 0.0), report.classes[i], i)
    )  # fmt: skip
    cut = not all_classes and len(order) > _SHOWN_CLASSES
    defined = [i for i in order if values[i] is not None]
    shown = [*defined[:_ENDS], *defined[-_ENDS:]] if cut else order
    rows = tuple(
        (
            Cell(report.classes[i]),
            *(
                Cell(NONE) if (v := each[i]) is None else Cell(f"{100 * v:.1f}", round(100 * v, 1))
                for each in report.per_class.values()
            ),
        )
        for i in shown
    )
    left = f" The table shows the best and the worst {_ENDS} of {len(order)} classes." if cut else ""
    return Table(
        title=f"Scores per class of {report.label}",
        heads=(Head("class", is_text=True), *(Head(f"{_WORDS[name]}, %") for name in report.per_class)),
        rows=rows,
        footnote=f"Means over the runs whose test clips include the class.{left}",
    )
