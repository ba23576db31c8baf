"""Badges: the score of a leaderboard's best row, or of any row, as an SVG that looks alike with any font."""

import re

from bench.leaderboard.board import Leaderboard
from bench.leaderboard.render import columns
from bench.leaderboard.rows import Row
from bench.text import html, shortened

_WIDE, _NARROW = "mwMW%@", "iljtfr.,:;'|!()[] "
HEIGHT = 20
_LONGEST = 200
"""Characters of a row's name in the name of a file."""


def badge(board: Leaderboard) -> str | None:
    """Return the badge of a leaderboard's first ranked row; None where there is none.

    Args:
        board: the leaderboard.
    """
    best = next((row for row in board.rows if row.rank is not None), None)
    if best is None:
        return None
    alike = sum(row.rank == best.rank for row in board.rows)
    note = "" if alike == 1 else f", first of {alike} without a significant difference"
    return drawn(_measured(board), f"{best.full} {_score(board, best)}", note)


def row_badges(board: Leaderboard) -> dict[str, str]:
    """Return the badge of each ranked row, with its score, interval and rank, by a file name of the row.

    Args:
        board: the leaderboard.
    """
    found: dict[str, str] = {}
    for row in board.rows:
        if row.rank is None:
            continue
        stem = name = re.sub(r"[^A-Za-z0-9.]+", "-", row.full).strip("-.")[:_LONGEST] or "row"
        number = 1
        while name in found:
            number += 1
            name = f"{stem}-{number}"
        ends = row.interval and [columns.score(end, board.primary).text for end in row.interval]
        note = f"rank {row.rank} of {sum(each.rank is not None for each in board.rows)}"
        note = f" [{', '.join(ends)}], {note}" if ends else f", {note}"
        found[name] = drawn(f"{row.full} on {board.name}", f"{_measured(board, short=True)} {_score(board, row)}", note)
    return found


def _measured(board: Leaderboard, *, short: bool = False) -> str:
    name = columns.head(board.primary).removesuffix(", %")
    return name if short else f"{board.name} {name}"


def _score(board: Leaderboard, row: Row) -> str:
    percent = " %" if columns.head(board.primary).endswith("%") else ""
    return f"{columns.score(row.scores[board.primary], board.primary).text}{percent}"


def drawn(left: str, right: str, note: str = "") -> str:
    """Return a badge with two texts, the right one on a coloured ground.

    Args:
        left: what was measured.
        right: what came of it.
        note: words that only the title has.
    """
    left, right = shortened(left, 60), shortened(right, 60)
    first, second = _width(left), _width(right)
    width = first + second + 40
    words = html(f"{left}: {right}{note}")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{HEIGHT}" viewBox="0 0 {width} {HEIGHT}" '
        f'role="img" aria-label="{words}">\n'
        f"<title>{words}</title>\n"
        f'<rect width="{width}" height="{HEIGHT}" rx="3" fill="#424a53"/>\n'
        f'<path d="M{first + 20} 0h{second + 17}a3 3 0 0 1 3 3v14a3 3 0 0 1-3 3h-{second + 17}z" fill="#0550ae"/>\n'
        f'<g fill="#ffffff" font-family="Verdana, DejaVu Sans, sans-serif" font-size="11">\n'
        f'<text x="10" y="14" textLength="{first}">{html(left)}</text>\n'
        f'<text x="{first + 30}" y="14" textLength="{second}">{html(right)}</text>\n'
        f"</g>\n</svg>\n"
    )


def _width(text: str) -> int:
    """Return the width of a text at 11 px, to which `textLength` fits it in any font."""
    return round(sum(10 if c in _WIDE else 4.2 if c in _NARROW else 6.9 for c in text))
