"""Leaderboards as Markdown, CSV, JSON, a self-contained web page, SVG plots, a table in the terminal.

The same records give the same bytes. Names and messages come from files that others may have written, so each format
escapes them: Markdown, HTML and SVG so that they stay text, CSV so that a spreadsheet does not run them as a formula.
"""

from bench.render.html import html
from bench.render.index import index
from bench.render.markdown import brief, markdown, pictures
from bench.render.svg import THEMES, svg
from bench.render.terminal import fitted, terminal
from bench.render.values import csv_text, json_text

__all__ = [
    "THEMES",
    "brief",
    "csv_text",
    "fitted",
    "html",
    "index",
    "json_text",
    "markdown",
    "pictures",
    "svg",
    "terminal",
]
