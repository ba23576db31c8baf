"""Escapes of text for each format, and numbers in a readable form."""

import math
import re
from collections.abc import Iterable
from html import escape

NONE = "\N{EN DASH}"


def plain(text: str) -> str:
    """Return text on one line, with a replacement for each character that cannot be printed."""
    text = " ".join(text.split())
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def shortened(text: str, length: int = 300) -> str:
    """Return the beginning of a text on one line."""
    text = plain(text)
    return text if len(text) <= length else f"{text[: length - 1]}…"


def html(text: str) -> str:
    """Return text that HTML and SVG show as it is, also in an attribute."""
    return escape(plain(text))


def md(text: str) -> str:
    """Return text that GitHub Markdown shows as it is, also in a table."""
    escaped = "".join(_MARKDOWN.get(c, c) for c in plain(text))
    return re.sub(r"(?<![^\W_])_|_(?![^\W_])", r"\\_", escaped).replace("](", r"]\(")


_MARKDOWN = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "|": "&#124;"} | {c: f"\\{c}" for c in "\\`*~$#"}


def csv_cell(value: str | int | float | None) -> str:
    """Return a value for a CSV file; a quote precedes text that a spreadsheet would take for a formula."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, int):
        return str(value)
    text = plain(value)
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text


def three(value: float) -> str:
    """Write a number with three digits, or as an integer above 1,000; never in powers of ten."""
    rounded = float(f"{value:.3g}")
    if rounded == 0:
        return "0"
    return f"{value:.{max(0, 2 - math.floor(math.log10(abs(rounded))))}f}"


def prefixed(number: float) -> str:
    """Write a count with three digits and a unit prefix, 54.9 M."""
    rounded = float(f"{number:.3g}")
    for unit, size in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if rounded >= size:
            return f"{three(rounded / size)} {unit}"
    return f"{number:g}"


def plural(number: int, word: str) -> str:
    """Return "1 run" or "2 runs"."""
    return f"{number} {word}{'' if number == 1 else 's'}"


def span(numbers: Iterable[int]) -> str:
    """Return the one number, or the least and the greatest."""
    found = sorted(set(numbers))
    return f"{found[0]:,}" if len(found) == 1 else f"{found[0]:,} to {found[-1]:,}"
