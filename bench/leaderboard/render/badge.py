"""Badges: a leaderboard's best row and its score, as an SVG that loads nothing and looks alike with any font."""

from bench.leaderboard.board import Leaderboard
from bench.leaderboard.render import columns
from bench.leaderboard.render.text import html, shortened

_WIDE, _NARROW = "mwMW%@", "iljtfr.,:;'|!()[] "
HEIGHT = 20


def badge(board: Leaderboard) -> str | None:
    """Return the badge of a leaderboard's first ranked row; None where there is none.

    Args:
        board: the leaderboard.
    """
    best = next((row for row in board.rows if row.rank is not None), None)
    if best is None:
        return None
    name = columns.head(board.primary).removesuffix(", %")
    score = f"{columns.score(best.scores[board.primary], board.primary).text}"
    percent = " %" if columns.head(board.primary).endswith("%") else ""
    alike = sum(row.rank == best.rank for row in board.rows)
    note = "" if alike == 1 else f", first of {alike} without a significant difference"
    return drawn(f"{board.name} {name}", f"{best.full} {score}{percent}", note)


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
