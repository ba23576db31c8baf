"""The command that uses a row's trained models, which each row of a suite's page names."""

import shlex
from collections import Counter
from collections.abc import Sequence

from bench.leaderboard.board import Leaderboard
from bench.leaderboard.render.table import Cell, Head, Table
from bench.leaderboard.rows import Row
from bench.text import NONE

HEAD = "to use it"


def with_commands(
    table: Table, board: Leaderboard, boards: Sequence[Leaderboard], suite: str | None, store: str = ""
) -> Table:
    """Return a leaderboard's main table with a last column of commands.

    Args:
        table: the table.
        board: its leaderboard.
        boards: all leaderboards of the suite.
        suite: name or file of the suite; None adds no column.
        store: folder of the runs, which the commands name; empty for the one that `bench` takes by itself.
    """
    if suite is None:
        return table
    rows = tuple(
        (*cells, Cell(command))
        for cells, command in zip(table.rows, commands(board, boards, suite, store), strict=True)
    )
    return Table(table.title, (*table.heads, Head(HEAD, is_text=True)), rows, table.footnote)


def commands(board: Leaderboard, boards: Sequence[Leaderboard], suite: str | None, store: str = "") -> list[str]:
    """Return the command of each row; the arguments are those of `with_commands`, and None gives no commands."""
    count = Counter(row.name for each in boards for row in each.rows)
    where = f" --store {shlex.quote(store)}" if store else ""
    return [NONE if suite is None else _command(row, suite, where, alone=count[row.name] == 1) for row in board.rows]


def _command(row: Row, suite: str, where: str, *, alone: bool) -> str:
    """Return the command for a row: by its name in the suite, or by a run's key where other rows have that name."""
    if not row.finished:
        return NONE
    reference = f"{suite}:{row.name}" if row.name and alone else row.finished[0]
    return f"bench predict --run {shlex.quote(reference)}{where} FILES"
