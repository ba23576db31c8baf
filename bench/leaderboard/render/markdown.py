"""Leaderboards as GitHub Markdown."""

from collections.abc import Iterator, Sequence

from bench.leaderboard import pareto
from bench.leaderboard.board import Leaderboard
from bench.leaderboard.render import columns
from bench.leaderboard.render.about import about, remarks
from bench.leaderboard.render.beside import beside
from bench.leaderboard.render.svg import WIDTH, alternative
from bench.leaderboard.render.table import Table
from bench.leaderboard.render.text import html, md, plain


def markdown(
    title: str, leaderboards: Sequence[Leaderboard], command: str, stems: Sequence[str] = (), note: str = ""
) -> str:
    """Return the leaderboards as GitHub Markdown.

    Args:
        title: of the page.
        leaderboards: one section each.
        command: shell command that makes the records and the tables anew.
        stems: what the names of each leaderboard's plots begin with; without, the page shows none.
        note: what stands below the title.
    """
    lines = [f"# {md(title)}", "", *([md(note), ""] if note else []), md(columns.LEGEND), ""]
    lines += ["To regenerate:", "", f"    {plain(command)}", ""]
    for n, board in enumerate(leaderboards):
        lines += [f"## {md(board.name)}", ""]
        lines += [f"- **{md(head)}**: {md(text)}" for head, text in about(board)]
        lines += ["", *table(columns.main(board)), ""]
        if stems:
            lines += [*pictures(board, stems[n]), ""]
        lines += [f"- **{md(head)}**: {md(text)}" for head, text in remarks(board)]
        lines += [""]
        for other in beside(board, all_classes=False):
            lines += [f"### {md(other.title)}", "", *table(other), ""]
            lines += [md(other.remark), ""] if other.remark else []
    return "\n".join(lines).rstrip("\n") + "\n"


def brief(board: Leaderboard) -> str:
    """Return the short table of one leaderboard as GitHub Markdown: what the terminal shows."""
    return "\n".join(table(columns.brief(board))) + "\n"


def pictures(board: Leaderboard, stem: str, axis: str | None = None) -> Iterator[str]:
    """Yield a leaderboard's plots, light or dark as the reader's page is.

    Args:
        board: the leaderboard.
        stem: what the plots' addresses begin with.
        axis: only the plot on this one.
    """
    for plot in pareto.plots(board):
        if axis in (None, plot.axis.name):
            address = html(f"{stem}-{plot.axis.name}")
            yield (
                f'<picture><source media="(prefers-color-scheme: dark)" srcset="{address}-dark.svg">'
                f'<img alt="{html(alternative(plot))}" src="{address}-light.svg" width="{WIDTH - 30}"></picture>'
            )


def table(found: Table) -> Iterator[str]:
    """Yield the lines of a table."""
    yield "| " + " | ".join(md(head.text) for head in found.heads) + " |"
    yield "|" + "|".join(" :-- " if head.is_text else " --: " for head in found.heads) + "|"
    for row in found.rows:
        yield "| " + " | ".join(md(cell.text) for cell in row) + " |"
