"""Tables in the terminal. No cell is folded: a narrow terminal shows fewer columns."""

import textwrap
from collections.abc import Iterator, Sequence, Set
from dataclasses import replace

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from bench.leaderboard.board import Leaderboard
from bench.leaderboard.render import columns
from bench.leaderboard.render.footnotes import doubts, listed
from bench.leaderboard.render.table import Table
from bench.text import plain

NAMED = 4
"""Rows that a line below a table in the terminal names; the page names all."""
_SHORTEST = 8
"""Number of characters that a shortened name keeps at least."""


def terminal(
    leaderboards: Sequence[Leaderboard],
    width: int | None = None,
    where: str = "the leaderboard's page",
    command: str = "",
) -> Iterator[RichTable | Text]:
    """Yield a short table of each leaderboard, and what is doubtful about its scores, ready to print.

    A line names the systems none of whose runs has been tried, which `--model` leaves out, for one.

    Args:
        leaderboards: one table each.
        width: characters of a line; None for no limit, as in a file.
        where: the place of the columns that are left out.
        command: shell command that does the suite's runs; may be empty.
    """
    for board in leaderboards:
        left = [row.full for row in board.rows if not (row.done or row.failed)]
        begun = board
        if 0 < len(left) < len(board.rows):
            begun = replace(board, rows=tuple(row for row in board.rows if row.done or row.failed))
        yield from fitted(columns.brief(begun), width, columns.LEAST_IMPORTANT, where)
        if begun is not board:
            line = plain(f"Not run yet: {listed(left, NAMED)}")
            yield Text(line if width is None else textwrap.fill(line, width, subsequent_indent="    "))
        for head, words in doubts(begun, command, NAMED):
            line = plain(f"{head}: {words}")
            yield Text(line if width is None else textwrap.fill(line, width, subsequent_indent="    "))


def fitted(found: Table, width: int | None, least_important: Sequence[str], where: str) -> Iterator[RichTable | Text]:
    """Yield a table's title, the table with the most important columns that fit, and a line that names the other ones.

    Args:
        found: the table. Its first column of text is shortened if nothing else helps.
        width: characters of a line; None for no limit.
        least_important: heads of the columns that may be left out, the least important one first.
        where: the place of the columns that are left out.
    """
    present = [head.text for head in found.heads]
    left_out = set() if width is None else {*least_important} & {*present}
    table, natural = _laid_out(found, left_out)
    for head in reversed(least_important):
        if width is not None and head in left_out:
            more = _laid_out(found, left_out - {head})
            if more[1] <= width:
                left_out.remove(head)
                table, natural = more
    if width is not None and natural > width:
        n = next(n for n, head in enumerate(found.heads) if head.is_text)
        longest = max(cell_len(plain(row[n].text)) for row in found.rows)
        table, natural = _laid_out(found, left_out, longest=max(_SHORTEST, longest - (natural - width)))
    title = plain(found.title)
    yield Text(title if width is None else textwrap.fill(title, width), style="bold")
    yield table
    if left_out:
        names = "; ".join(head for head in present if head in left_out)
        yield Text(textwrap.fill(f"Not shown for lack of space: {names}. See {where}.", width or 80))


def _laid_out(found: Table, left_out: Set[str], longest: int | None = None) -> tuple[RichTable, int]:
    """Return the table without some columns, and its width.

    Args:
        found: the table.
        left_out: heads of the columns to leave out.
        longest: columns of the terminal to which the cells of the first column of text are cut; None leaves them whole.
    """
    table = RichTable(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    shown = [n for n, head in enumerate(found.heads) if head.text not in left_out]
    name = next((n for n in shown if found.heads[n].is_text), None)
    for n in shown:
        head = found.heads[n]
        table.add_column(Text(head.text), justify="left" if head.is_text else "right", no_wrap=True)
    for row in found.rows:
        texts = [Text(plain(row[n].text), style="dim" if row[n].grey else "") for n in shown]
        if longest is not None and name is not None:
            texts[shown.index(name)].truncate(longest, overflow="ellipsis")
        table.add_row(*texts)
    table.width = Console(width=10_000).measure(table).maximum  # also where the console is narrower
    return table, table.width
