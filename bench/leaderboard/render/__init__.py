"""Leaderboards as Markdown, CSV, JSON, a self-contained web page, SVG plots, a table in the terminal.

The same records give the same bytes. Names and messages may come from files of other people, so each format escapes
them: in Markdown, HTML and SVG they stay text, and in CSV a spreadsheet does not run them as a formula.
"""

from bench.leaderboard.render.badge import badge, row_badges
from bench.leaderboard.render.board_page import board_page, shares_of
from bench.leaderboard.render.explorer_data import CLIPS
from bench.leaderboard.render.html import html
from bench.leaderboard.render.index import index
from bench.leaderboard.render.markdown import brief, markdown, pictures
from bench.leaderboard.render.svg import THEMES, svg
from bench.leaderboard.render.terminal import fitted, terminal
from bench.leaderboard.render.values import csv_text, json_text

__all__ = [
    "CLIPS",
    "THEMES",
    "badge",
    "board_page",
    "brief",
    "csv_text",
    "fitted",
    "html",
    "index",
    "json_text",
    "markdown",
    "pictures",
    "row_badges",
    "shares_of",
    "svg",
    "terminal",
]
