"""The index of a store's suites, from their JSON tables."""

from collections.abc import Mapping
from typing import Any

from bench.leaderboard.render import templating
from bench.leaderboard.render.columns import head, score
from bench.leaderboard.render.table import Cell, Head, Table
from bench.text import NONE


def index(suites: Mapping[str, Mapping[str, Any]], *, complexity: bool, changes: bool = False) -> str:
    """Return the index page as GitHub Markdown.

    Args:
        suites: name to content of its JSON table.
        complexity: whether the store has `complexity.md`.
        changes: whether it has `CHANGES.md`.
    """
    found = [
        {"name": name, "title": content["title"], "best": _best(content)} for name, content in sorted(suites.items())
    ]
    return templating.render("index.md.j2", suites=found, complexity=complexity, changes=changes)


def _best(content: Mapping[str, Any]) -> Table:
    """Return the first ranked row of each of a suite's leaderboards."""
    heads = ("dataset", "best model", "front-end", "score", "ranked rows")
    return Table(
        title="",
        heads=tuple(Head(words, is_text=words != "ranked rows") for words in heads),
        rows=tuple(_row(board) for board in content["leaderboards"]),
    )


def _row(board: Mapping[str, Any]) -> tuple[Cell, ...]:
    ranked = [row for row in board["rows"] if row["rank"] is not None]
    if not ranked:
        return (Cell(board["dataset"]), Cell(NONE), Cell(NONE), Cell(NONE), Cell("0"))
    best, metric = ranked[0], board["primary"]
    interval = "" if best["low"] is None else f" [{100 * best['low']:.1f}, {100 * best['high']:.1f}]"
    frontend = NONE if best["frontend"] == "none" else best["frontend"]
    alike = sum(row["rank"] == best["rank"] for row in ranked)
    model = best["model"] if alike == 1 else f"{best['model']}, first of {alike} without a significant difference"
    written = f"{head(metric)}: {score(best[metric], metric).text}{interval}"
    return Cell(board["dataset"]), Cell(model), Cell(frontend), Cell(written), Cell(str(len(ranked)))
