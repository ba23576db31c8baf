"""Leaderboards as one web page that loads nothing: `page.css` and `page.js` are inside it, allowed by their digests."""

import base64
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from importlib import resources

from bench.leaderboard import pareto
from bench.leaderboard.board import Leaderboard
from bench.leaderboard.render import columns
from bench.leaderboard.render.about import about, remarks
from bench.leaderboard.render.beside import beside
from bench.leaderboard.render.svg import THEMES, style, svg
from bench.leaderboard.render.table import Cell, Head, Table
from bench.leaderboard.render.text import html as text


def html(title: str, leaderboards: Sequence[Leaderboard], command: str, note: str = "") -> str:
    """Return the leaderboards as one page: tables to sort and filter, plots, light or dark as the reader's system.

    Args:
        title: of the page.
        leaderboards: one section each.
        command: shell command that makes the records and the tables anew.
        note: what stands below the title.
    """
    rules, script = _style(), page_file("page.js")
    policy = f"default-src 'none'; style-src '{_digest(rules)}'; script-src '{_digest(script)}'"
    head = [
        "<!doctype html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{text(title)}</title>",
        f"<style>{rules}</style>",
        "</head>",
        "<body>",
        f"<h1>{text(title)}</h1>",
        *([f"<p>{text(note)}</p>"] if note else []),
        f"<p>{text(columns.LEGEND)} A click on a column's head sorts by it.</p>",
        f"<p>To regenerate: <code>{text(command)}</code></p>",
    ]
    sections = [line for board in leaderboards for line in _section(board)]
    return "\n".join([*head, *sections, f"<script>{script}</script>", "</body>", "</html>"]) + "\n"


def page_file(name: str) -> str:
    """Return one of the files that a page holds."""
    return (resources.files("bench.leaderboard.render") / name).read_text(encoding="utf-8")


def _style() -> str:
    """Return the page's style, which the plots take their colours from."""
    rules = page_file("page.css")
    for theme, colours in THEMES.items():
        variables = " ".join(f"--{name}: {value};" for name, value in colours.items())
        rules = rules.replace(f"/* {theme} */", variables)
    return rules + style({name: f"var(--{name})" for name in THEMES["light"]}, ".plot ") + "\n"


def _digest(content: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}"


def _section(board: Leaderboard) -> Iterator[str]:
    """Yield the lines of a leaderboard's section of the web page."""
    yield f"<h2>{text(board.name)}</h2>"
    yield from _items(about(board))
    yield from _table(columns.main(board))
    if plots := pareto.plots(board):
        yield '<div class="plots">'
        for plot in plots:
            yield svg(plot, None).rstrip("\n")
        yield "</div>"
    yield from _items(remarks(board))
    for other in beside(board, all_classes=True):
        yield f"<h3>{text(other.title)}</h3>"
        yield from _table(other)
        if other.remark:
            yield f"<p>{text(other.remark)}</p>"


def _table(table: Table) -> Iterator[str]:
    yield '<div class="wide"><table>'
    heads = (f'<th{_css(text=h.is_text)}><button type="button">{text(h.text)}</button></th>' for h in table.heads)
    yield f"<thead><tr>{''.join(heads)}</tr></thead>"
    yield "<tbody>"
    for row in table.rows:
        yield f"<tr>{''.join(_td(head, cell) for head, cell in zip(table.heads, row, strict=True))}</tr>"
    yield "</tbody></table></div>"


def _td(head: Head, cell: Cell) -> str:
    number = f' data-number="{cell.number:.9g}"' if cell.number is not None else ""
    classes = _css(text=head.is_text, long=len(cell.text) > _LONG, grey=cell.grey)
    return f"<td{classes}{number}>{text(cell.text)}</td>"


_LONG = 40
"""Characters of a cell from which on it is broken into lines."""


def _css(**classes: bool) -> str:
    names = " ".join(name for name, here in classes.items() if here)
    return f' class="{names}"' if names else ""


def _items(facts: Iterable[tuple[str, str]]) -> Iterator[str]:
    yield "<ul>"
    for head, words in facts:
        yield f"<li><b>{text(head)}</b>: {text(words)}</li>"
    yield "</ul>"
