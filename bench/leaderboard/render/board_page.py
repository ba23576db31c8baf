"""The reader's own board as a web page that loads nothing: `board.html` in a published store."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from bench.leaderboard import joined
from bench.leaderboard.render import templating
from bench.leaderboard.render.columns import head
from bench.leaderboard.render.html import page_parts
from bench.text import NONE, plural

_DATA = re.compile(r'<script type="application/json" id="data">(.*?)</script>', re.DOTALL)


def board_page(boards: Sequence[Mapping[str, Any]]) -> str:
    """Return the page: without a script, a table of equal weights; with one, sliders of weights and budgets.

    Args:
        boards: what `joined.share` returns, of all suites, sorted by suite.
    """
    weights = joined.first_weights(boards)
    used = [place for place, weight in enumerate(weights) if weight]
    places = joined.ranking(boards, weights)
    rows = [
        {
            "rank": place.rank,
            "name": place.name,
            "places": NONE if place.interval is None else "{}\N{EN DASH}{}".format(*place.interval),
            "mean": f"{100 * place.score:.1f}",
            "cells": [place.shown[i] for i in used],
        }
        for place in places
    ]
    names = {name for board in boards for name in board["rows"]}
    shown = [{**board, "head": f"{board['dataset']}, {head(board['metric'])}"} for board in boards]
    content = json.dumps(
        {"boards": shown, "weights": weights}, separators=(",", ":"), allow_nan=False, sort_keys=True,
        ensure_ascii=False,
    )  # fmt: skip
    return templating.render(
        "board.html.j2",
        how="Without a script each dataset in the table counts alike.",
        draws=joined.DRAWS,
        heads=[shown[i]["head"] for i in used],
        rows=rows,
        count=f"{len(places)} of {plural(len(names), 'system')}",
        suites=list(dict.fromkeys(board["suite"] for board in boards)),
        data=content.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029"),
        **page_parts(styles=("page.css", "board.css"), scripts=("board.js",)),
    )


def shares_of(page: str) -> list[dict[str, Any]]:
    """Return what a page was drawn from; nothing if it is no such page."""
    found = _DATA.search(page)
    try:
        boards = json.loads(found[1])["boards"] if found else []
        return [{name: board[name] for name in ("suite", "dataset", "metric", "rows")} for board in boards]
    except (ValueError, KeyError, TypeError):
        return []
