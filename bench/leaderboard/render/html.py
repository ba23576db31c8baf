"""Leaderboards as one web page that loads nothing: `page.css` and `page.js` are inside it, allowed by their digests."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from importlib import resources

from bench.leaderboard import pareto
from bench.leaderboard.board import Leaderboard
from bench.leaderboard.clips import RunClips
from bench.leaderboard.papers import PaperTable
from bench.leaderboard.render import columns, papers, templating
from bench.leaderboard.render.details import details
from bench.leaderboard.render.explorer_data import explorer_data
from bench.leaderboard.render.footnotes import footnotes
from bench.leaderboard.render.grid import grid
from bench.leaderboard.render.header import header
from bench.leaderboard.render.svg import THEMES, style, svg

SCRIPTS = ("explorer.js", "plot.js", "panels.js", "runs.js", "sounds.js", "address.js")
"""Files of the explorer's script, in order."""


def html(
    title: str,
    leaderboards: Sequence[Leaderboard],
    command: str,
    note: str = "",
    suite: str | None = None,
    paper_tables: Sequence[PaperTable] = (),
    clips: Mapping[str, RunClips] | None = None,
    store: str = "",
    use_note: str = "",
) -> str:
    """Return the leaderboards as one page: tables to sort and filter, and plots, in light or dark colours.

    Args:
        title: of the page.
        leaderboards: one section each.
        command: shell command that reproduces the records and the tables.
        note: text below the title.
        suite: name or file of the suite, which `bench predict --run` finds; None shows no command in each row.
        paper_tables: shown first.
        clips: run key to what the run said of each test clip; the page then shows which clips two systems differ in.
        store: folder of the runs, which the rows' commands name; empty for the one that `bench` takes by itself.
        use_note: what the rows' commands need.
    """
    sections = [
        {
            "name": board.name,
            "header": header(board),
            "grid": grid(leaderboards, number, suite, store),
            "plots": [svg(plot, None) for plot in pareto.plots(board)[:1]],
            "further": [plot.axis.name for plot in pareto.plots(board)[1:]],
            "footnotes": footnotes(board, of_rows=False, command=command),
            "details": details(board, all_classes=True),
        }
        for number, board in enumerate(leaderboards)
    ]
    return templating.render(
        "suite.html.j2",
        title=title,
        note=note,
        legend=columns.LEGEND,
        command=command,
        use_note=use_note,
        sections=sections,
        papers=papers.html(paper_tables) if paper_tables else "",
        data=explorer_data(leaderboards, clips),
        **page_parts(styles=("page.css", "suite.css"), scripts=("page.js", *SCRIPTS)),
    )


def page_parts(styles: Sequence[str] = ("page.css",), scripts: Sequence[str] = ("page.js",)) -> dict[str, str]:
    """Return the style and the script of a page, and their digests, by the names that the templates have for them.

    Args:
        styles: names of the files with the rules.
        scripts: names of the files with the script.
    """
    rules, script = _style(styles), "".join(map(page_file, scripts))
    if len(scripts) > 1:
        rules, script = _stripped(rules), _stripped(script)
    return {
        "style": rules, "script": script, "style_digest": _digest(rules), "script_digest": _digest(script),
    }  # fmt: skip


def _stripped(content: str) -> str:
    """Return a page's own style or script without indentation, blank lines and lines of comment."""
    lines = (line.strip() for line in content.splitlines())
    return "\n".join(line for line in lines if line and not line.startswith("//")) + "\n"


def page_file(name: str) -> str:
    """Return one of the files that a page holds."""
    return (resources.files(__package__) / name).read_text(encoding="utf-8")


def _style(styles: Sequence[str]) -> str:
    """Return the page's style, which the plots take their colours from."""
    rules = "".join(map(page_file, styles))
    for theme, colours in THEMES.items():
        variables = " ".join(f"--{name}: {value};" for name, value in colours.items())
        rules = rules.replace(f"/* {theme} */", variables)
    return rules + style({name: f"var(--{name})" for name in THEMES["light"]}, ".plot ") + "\n"


def _digest(content: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}"
