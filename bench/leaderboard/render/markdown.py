"""Leaderboards as GitHub Markdown."""

from collections.abc import Iterator, Sequence

from bench.leaderboard import pareto
from bench.leaderboard.board import Leaderboard
from bench.leaderboard.papers import PaperTable
from bench.leaderboard.render import columns, papers, templating
from bench.leaderboard.render.details import details
from bench.leaderboard.render.footnotes import footnotes
from bench.leaderboard.render.header import header
from bench.leaderboard.render.svg import WIDTH, alternative
from bench.leaderboard.render.use import with_commands


def markdown(
    title: str,
    leaderboards: Sequence[Leaderboard],
    command: str,
    stems: Sequence[str] = (),
    note: str = "",
    suite: str | None = None,
    paper_tables: Sequence[PaperTable] = (),
    store: str = "",
    use_note: str = "",
) -> str:
    """Return the leaderboards as GitHub Markdown.

    Args:
        title: of the page.
        leaderboards: one section each.
        command: shell command that reproduces the records and the tables.
        stems: the beginning of the names of each leaderboard's plots; a page without stems shows no plots.
        note: text below the title.
        suite: name or file of the suite, which `bench predict --run` finds; None shows no command in each row.
        paper_tables: shown first.
        store: folder of the runs, which the rows' commands name; empty for the one that `bench` takes by itself.
        use_note: what the rows' commands need.
    """
    sections = [
        {
            "name": board.name,
            "header": header(board),
            "main": with_commands(columns.main(board), board, leaderboards, suite, store),
            "pictures": list(pictures(board, stems[n])) if stems else None,
            "footnotes": footnotes(board, command=command),
            "details": details(board, all_classes=False),
        }
        for n, board in enumerate(leaderboards)
    ]
    return templating.render(
        "page.md.j2", title=title, note=note, legend=columns.LEGEND, command=command, sections=sections,
        use_note=use_note,
        papers=papers.markdown(paper_tables) if paper_tables else "",
    )  # fmt: skip


def brief(board: Leaderboard) -> str:
    """Return the short table of one leaderboard as GitHub Markdown."""
    return templating.render("brief.md.j2", found=columns.brief(board))


def pictures(board: Leaderboard, stem: str, axis: str | None = None) -> Iterator[str]:
    """Yield a leaderboard's plots as HTML within Markdown, in the light or dark colours of the reader's page.

    Args:
        board: the leaderboard.
        stem: the beginning of the plots' addresses.
        axis: only the plot on this one.
    """
    for plot in pareto.plots(board):
        if axis in (None, plot.axis.name):
            address = f"{stem}-{plot.axis.name}"
            yield templating.render(
                "picture.html.j2", address=address, alternative=alternative(plot), width=WIDTH - 30
            ).rstrip("\n")
