"""Leaderboards in the terminal."""

from collections.abc import Iterator, Sequence
from typing import Literal

from rich import box
from rich.table import Table
from rich.text import Text

from bench.leaderboard.board import Leaderboard
from bench.leaderboard.render.columns import short
from bench.leaderboard.render.text import plain


def terminal(leaderboards: Sequence[Leaderboard]) -> Iterator[Table]:
    """Yield a short table of each leaderboard for the terminal."""
    for board in leaderboards:
        table = Table(title=Text(plain(board.name)), box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
        columns = short(board)
        for column in columns:
            justify: Literal["left", "right"] = "left" if column.is_text else "right"
            table.add_column(
                Text(column.head), justify=justify, overflow="fold", no_wrap=column.head in ("model", "runs")
            )
        for row in board.rows:
            cells = [column.cell(row) for column in columns]
            table.add_row(*(Text(plain(c.text), style="dim" if c.grey else "") for c in cells))
        yield table
