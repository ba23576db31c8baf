"""A leaderboard's main table on a web page: the score next to the name, intervals drawn, settings on demand."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench.leaderboard import caveats
from bench.leaderboard.board import Leaderboard
from bench.leaderboard.budgets import fronts
from bench.leaderboard.render import columns
from bench.leaderboard.render.footnotes import about_row
from bench.leaderboard.render.table import Cell
from bench.leaderboard.render.use import commands
from bench.leaderboard.rows import Row
from bench.text import NONE, plural

_WIDTH = 90
_EDGE = 4


@dataclass(frozen=True)
class Dots:
    """A dot with whiskers: places from left to right within a picture of 90 x 10."""

    low: float
    middle: float
    high: float


@dataclass(frozen=True)
class GridCell:
    """A cell: what it shows, its kind, and the picture of its interval."""

    cell: Cell
    kind: str
    small: str = ""
    dots: Dots | None = None
    is_text: bool = False


@dataclass(frozen=True)
class GridRow:
    """A row: its name, front-end, Pareto fronts, doubts, cells, place in the page's addresses, what opens on demand."""

    anchor: str
    name: str
    small: str
    front: str
    doubts: str
    cells: tuple[GridCell, ...]
    facts: tuple[tuple[str, str], ...]
    records: tuple[str, ...]


@dataclass(frozen=True)
class Grid:
    """The table: heads with their kinds, rows, and the columns that no row has a value in."""

    heads: tuple[tuple[str, str, bool], ...]
    rows: tuple[GridRow, ...]
    empty: tuple[str, ...]


def grid(boards: Sequence[Leaderboard], number: int, suite: str | None, store: str = "") -> Grid:
    """Return a leaderboard's main table, without the first head, which is the systems'.

    Args:
        boards: all leaderboards of the page.
        number: place of the leaderboard among them.
        suite: name or file of the suite; None shows no command that uses a row.
        store: folder of the runs, which the commands name; empty for the one that `bench` takes by itself.
    """
    board = boards[number]
    own = {"model", "front-end", columns.RANK_INTERVAL}
    shown = [column for column in columns.columns(board) if column.head not in own]
    shown.sort(key=lambda column: column.head != columns.head(board.primary))
    cells = {column.head: [column.cell(row) for row in board.rows] for column in shown}
    empty = tuple(head for head, found in cells.items() if board.rows and all(cell.text == NONE for cell in found))
    shown = [column for column in shown if column.head not in empty]
    scale = _score_scale(board)
    uses = commands(board, boards, suite, store)
    on_front = fronts(board)
    rows = []
    for place, row in enumerate(board.rows):
        doubts = board.caveats[place]
        made = [_cell(board, row, column.head, cells[column.head][place], scale) for column in shown]
        rows.append(
            GridRow(
                anchor=f"r{number}-{place}",
                name=row.label,
                small="" if row.frontend == "none" else row.frontend,
                front=", ".join(on_front.get(row.full, ())),
                doubts=", ".join(each.short for each in doubts if each.kind != "timing"),
                cells=tuple(made),
                facts=tuple(_facts(row, uses[place], doubts)),
                records=row.finished,
            )
        )
    return Grid(tuple((column.head, _kind(board, column.head), column.is_text) for column in shown), tuple(rows), empty)


def _kind(board: Leaderboard, head: str) -> str:
    return "score" if head == columns.head(board.primary) else head.partition(" ms")[0].lower()


def _cell(board: Leaderboard, row: Row, head: str, cell: Cell, scale: tuple[float, float]) -> GridCell:
    kind, dots = _kind(board, head), None
    words, _, small = cell.text.partition(" [")
    if kind == "score" and row.interval and cell.number is not None:
        dots = _dots(row.interval[0], cell.number, row.interval[1], scale)
    elif kind == "rank" and row.rank_interval and cell.number is not None:
        small = f"{columns.rank_interval(row)}]"
        dots = _dots(row.rank_interval[0], cell.number, row.rank_interval[1], (1, max(2, _ranked(board))))
    return GridCell(Cell(words, cell.number, cell.grey), kind, small.removesuffix("]"), dots)


def _ranked(board: Leaderboard) -> int:
    return sum(row.rank is not None for row in board.rows)


def _score_scale(board: Leaderboard) -> tuple[float, float]:
    """Return the ends of the scores' common axis."""
    ends = [end for row in board.rows for end in row.interval or ()]
    return (min(ends), max(ends)) if ends and min(ends) < max(ends) else (0.0, 1.0)


def _dots(low: float, middle: float, high: float, scale: tuple[float, float]) -> Dots:
    left, right = scale
    wide = _WIDTH - 2 * _EDGE
    return Dots(*(round(_EDGE + wide * (value - left) / (right - left), 1) for value in (low, middle, high)))


def _facts(row: Row, use: str | None, doubts: Sequence[caveats.Caveat]) -> Iterator[tuple[str, str]]:
    """Yield what is behind a row: settings, how often it was trained, where, on which data, and the commands."""
    if doubts:
        yield "Caveat", ", ".join(each.short for each in doubts)
    for words in about_row(row):
        head, colon, rest = words.partition(": ")
        yield (head.capitalize(), rest) if colon and head in ("recipe", "not ranked", "time line") else ("Note", words)
    done = row.records
    folds, seeds = {r.run.fold for r in done}, {r.run.seed for r in done}
    trials = f"{plural(len(folds), 'fold')}, {plural(len(seeds), 'seed')}; {plural(row.done, 'run')} of {row.expected}"
    yield "Trials", f"{trials}{f', {len(row.failed)} failed' if row.failed else ''}"
    found = {
        f"{r.data.clips_available:,} of {r.data.clips_official:,} official clips"
        if r.data.clips_official is not None
        else f"{r.data.clips_available:,} clips"
        for r in done
        if r.data
    }
    if found:
        yield "Coverage", "; ".join(sorted(found))
    if row.cpu:
        yield "Grade", f"{row.cpu.grade} for the CPU latency"
    if commits := sorted({_commit(r.environment.commit, r.environment.dirty) for r in done if r.environment}):
        yield "Commit", ", ".join(commits)
    if use is not None and use != NONE:
        yield "To use it", use
    if row.finished:
        yield "To repeat a run", f"bench reproduce {row.finished[0]}"


def _commit(commit: str | None, dirty: bool) -> str:
    return f"{(commit or 'unknown')[:10]}{' (with uncommitted changes)' if dirty else ''}"
