"""A paper's table as Markdown, HTML, LaTeX and plain values."""

import re
from collections.abc import Sequence
from typing import Any

from bench.leaderboard.papers import PaperCell, PaperTable
from bench.leaderboard.render import curves, templating
from bench.leaderboard.render.columns import is_share, score
from bench.leaderboard.render.table import Cell, Head, Table
from bench.text import NONE, plain, three

LEGEND = (
    "A cell shows what was measured, with its 95 % interval; then, after \N{DAGGER}, what the paper publishes, and the "
    "difference in parentheses. Where a difference has a question mark, clips or folds are missing, so the two are not "
    "comparable. Measured and published figures are never ranked together."
)


def table(found: PaperTable) -> Table:
    """Return a paper's table, independent of the format."""
    heads = (*(Head(axis, is_text=True) for axis in found.axes), *(Head(", ".join(words)) for words in found.columns))
    rows = tuple(
        (*map(Cell, names), *(Cell(NONE) if cell is None else Cell(text(cell), cell.value) for cell in cells))
        for names, cells in zip(found.names, found.cells, strict=True)
    )
    return Table(found.title, heads, rows)


def text(cell: PaperCell) -> str:
    """Return a cell's words: measured with interval, published, difference."""
    words = value(cell.value, cell.metric)
    if cell.interval is not None and is_share(cell.metric):
        words += f" [{100 * cell.interval[0]:.1f}, {100 * cell.interval[1]:.1f}]"
    if cell.done < cell.expected and cell.value is not None:
        words += f" ({cell.done}/{cell.expected} runs)"
    if cell.published is not None:
        words += f" \N{DAGGER} {value(cell.published, cell.metric, exact=True)}"
    if cell.difference is not None:
        words += f" ({difference(cell)})"
    return words


def value(number: float | None, metric: str, *, exact: bool = False) -> str:
    """Return a number as the tables show it; `exact` keeps a published share's second decimal."""
    if number is None:
        return NONE
    if metric in ("parameters", "bytes"):
        return f"{number:,.0f}"
    if metric == "macs":
        return f"{number / 1e9:.3f}e9" if number >= 1e8 else f"{number:,.0f}"
    if metric == "train_seconds" or metric.startswith("cpu_ms"):
        return three(number)
    if is_share(metric):
        return f"{100 * number:.2f}".rstrip("0").rstrip(".") if exact else f"{100 * number:.1f}"
    return score(number, metric).text


def difference(cell: PaperCell) -> str:
    """Return a cell's difference with its sign; a question mark says that it is not comparable."""
    assert cell.difference is not None
    words = value(abs(cell.difference), cell.metric)
    zero = not any(character in "123456789" for character in words.partition("e")[0])
    sign = "±" if zero else "+" if cell.difference > 0 else "\N{MINUS SIGN}"
    sized = cell.metric in ("parameters", "macs")  # counted, not measured on clips
    return f"{sign}{words}{'' if cell.comparable or sized else '?'}"


def section(found: PaperTable) -> dict[str, Any]:
    """Return what the pages' templates show of a table."""
    drawn = [curves.plots({name: values}, None)[0] for name, values in found.curves]
    lines = [(name, curves.blocks(values)) for name, values in found.curves]
    return {"title": found.title, "table": table(found), "facts": found.facts, "plots": drawn, "lines": lines}


def markdown(tables: Sequence[PaperTable]) -> str:
    """Return tables as GitHub Markdown."""
    return templating.render("papers.md.j2", papers=[section(found) for found in tables], legend=LEGEND)


def html(tables: Sequence[PaperTable]) -> str:
    """Return tables as a piece of HTML."""
    return templating.render("papers.html.j2", papers=[section(found) for found in tables], legend=LEGEND)


def latex(tables: Sequence[PaperTable]) -> str:
    r"""Return tables as LaTeX with the rules of the package `booktabs`, each in a `table` of its own."""
    return "\n".join(map(_latex, tables))


def _latex(found: PaperTable) -> str:
    drawn = table(found)
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{_tex(found.title)}}}",
        rf"\begin{{tabular}}{{{'l' * len(found.axes)}{'r' * len(found.columns)}}}",
        r"\toprule",
        " & ".join(_tex(each.text) for each in drawn.heads) + r" \\",
        r"\midrule",
        *(" & ".join(_tex(cell.text) for cell in row) + r" \\" for row in drawn.rows),
        r"\bottomrule",
        r"\end{tabular}",
        *(rf"\par\footnotesize {_tex(words)}: {_tex(about)}" for words, about in found.facts),
        r"\end{table}",
        "",
    ]
    return "\n".join(lines)


_TEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "\N{DAGGER}": r"\dag{}", "✓": r"$\checkmark$",
    "\N{MINUS SIGN}": "$-$", "±": r"$\pm$", "\N{EM DASH}": "---", "\N{EN DASH}": "--", "\N{PRIME}": "$'$",
    "<": r"\textless{}", ">": r"\textgreater{}", "\N{MULTIPLICATION SIGN}": r"$\times$", "≥": r"$\geq$",
    "|": r"\textbar{}",
}  # fmt: skip


def _tex(words: str) -> str:
    """Return text that LaTeX prints as it is."""
    return re.sub("|".join(map(re.escape, _TEX)), lambda found: _TEX[found[0]], plain(words))


def json_value(tables: Sequence[PaperTable]) -> list[dict[str, Any]]:
    """Return tables as plain values, shares as fractions of 1."""
    return [
        {
            "title": found.title,
            "source": found.source,
            "axes": list(found.axes),
            "columns": [list(words) for words in found.columns],
            "rows": [
                {"names": list(names), "cells": [cell and _plain(cell) for cell in cells]}
                for names, cells in zip(found.names, found.cells, strict=True)
            ],
            "facts": dict(found.facts),
            **({"curves": {name: list(values) for name, values in found.curves}} if found.curves else {}),
        }
        for found in tables
    ]


def _plain(cell: PaperCell) -> dict[str, Any]:
    return {
        "metric": cell.metric, "value": cell.value, "interval": cell.interval and list(cell.interval),
        "published": cell.published, "difference": cell.difference, "comparable": cell.comparable,
        "done": cell.done, "expected": cell.expected,
    }  # fmt: skip
