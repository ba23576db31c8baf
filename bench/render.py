"""Leaderboards as Markdown, CSV, a self-contained web page, a table in the terminal: the same ones, the same bytes.

Names and messages come from files that others may have written, so each format escapes them: Markdown and HTML so that
they stay text, CSV so that a spreadsheet does not run them as a formula.
"""

import base64
import csv
import hashlib
import io
import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from html import escape
from typing import Literal

from rich import box
from rich.table import Table
from rich.text import Text

from bench import catalog
from bench.catalog import METRICS
from bench.leaderboard import Leaderboard, Row
from bench.records import Environment, Latency

NONE = "\N{EN DASH}"
_SHOWN = {"single": ("sns", "macro_f1", "top5_accuracy", "mAP", "mAUC", "ece"), "multi": ("mAUC", "d_prime")}
"""Metrics beside the primary one that the readable tables show; the CSV has all."""
_NOT_A_SHARE = frozenset({"d_prime", "nll"})
_LEGEND = (
    "Scores are means over folds and seeds, with a 95 % interval in brackets. Only rows with all their runs, on the "
    "same data, are ranked. MACs are multiply-adds for one clip (FLOPs are twice as many). Latency is end to end for "
    "one clip at batch 1; A, B and C grade how steady it was, and C is too noisy to compare. Real-time factor is CPU "
    f"latency by clip length. A fusion's size and training time are its members' sums. {NONE} means not measured."
)


@dataclass(frozen=True)
class _Cell:
    """A table cell: its text, the number it sorts by, and whether it is too uncertain to print in full ink."""

    text: str
    number: float | None = None
    grey: bool = False


@dataclass(frozen=True)
class _Column:
    head: str
    cell: Callable[[Row], _Cell]
    is_text: bool = False


def markdown(title: str, leaderboards: Sequence[Leaderboard], command: str) -> str:
    """Return the leaderboards as GitHub Markdown.

    Args:
        title: of the page.
        leaderboards: one section each.
        command: shell command that makes the records and the tables anew.
    """
    lines = [f"# {_md(title)}", "", _md(_LEGEND), "", "To regenerate:", "", f"    {_plain(command)}", ""]
    for board in leaderboards:
        columns = _columns(board)
        lines += [f"## {_md(board.name)}", ""]
        lines += [f"- **{_md(head)}**: {_md(text)}" for head, text in _about(board)]
        lines += ["", *_table(board, columns)]
        lines += ["", *(f"- **{_md(head)}**: {_md(text)}" for head, text in _remarks(board)), ""]
    return "\n".join(lines).rstrip("\n") + "\n"


def brief(board: Leaderboard) -> str:
    """Return the short table of one leaderboard as GitHub Markdown: what the terminal shows."""
    return "\n".join(_table(board, _short(board))) + "\n"


def _table(board: Leaderboard, columns: Sequence[_Column]) -> Iterator[str]:
    yield "| " + " | ".join(_md(column.head) for column in columns) + " |"
    yield "|" + "|".join(" :-- " if column.is_text else " --: " for column in columns) + "|"
    for row in board.rows:
        yield "| " + " | ".join(_md(column.cell(row).text) for column in columns) + " |"


def csv_text(leaderboards: Sequence[Leaderboard]) -> str:
    """Return all rows of all leaderboards as one CSV with every metric, shares as fractions of 1."""
    content = io.StringIO()
    writer = csv.writer(content, lineterminator="\n")
    writer.writerow(_CSV_HEADS)
    for board in leaderboards:
        for row in board.rows:
            writer.writerow(_csv_cell(value) for value in _csv_row(board, row))
    return content.getvalue()


def html(title: str, leaderboards: Sequence[Leaderboard], command: str) -> str:
    """Return the leaderboards as one page that loads nothing: columns to sort by, light or dark as the reader's system.

    Args:
        title: of the page.
        leaderboards: one section each.
        command: shell command that makes the records and the tables anew.
    """
    digest = base64.b64encode(hashlib.sha256(_SCRIPT.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    head = [
        "<!doctype html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{_html(title)}</title>",
        f"<style>{_STYLE}</style>",
        "</head>",
        "<body>",
        f"<h1>{_html(title)}</h1>",
        f"<p>{_html(_LEGEND)} A click on a column's head sorts by it.</p>",
        f"<p>To regenerate: <code>{_html(command)}</code></p>",
    ]
    sections = [line for board in leaderboards for line in _section(board)]
    return "\n".join([*head, *sections, f"<script>{_SCRIPT}</script>", "</body>", "</html>"]) + "\n"


def terminal(leaderboards: Sequence[Leaderboard]) -> Iterator[Table]:
    """Yield a short table of each leaderboard for the terminal."""
    for board in leaderboards:
        table = Table(title=Text(_plain(board.name)), box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
        columns = _short(board)
        for column in columns:
            justify: Literal["left", "right"] = "left" if column.is_text else "right"
            table.add_column(
                Text(column.head), justify=justify, overflow="fold", no_wrap=column.head in ("model", "runs")
            )
        for row in board.rows:
            cells = [column.cell(row) for column in columns]
            table.add_row(*(Text(_plain(c.text), style="dim" if c.grey else "") for c in cells))
        yield table


_IN_SHORT = frozenset({"rank", "model", "front-end", "parameters", "MACs", "CPU ms, p50 / p90", "runs"})


def _columns(board: Leaderboard) -> list[_Column]:
    """Return the columns of the readable tables."""
    shown = [name for name in _SHOWN[board.task] if name in board.metrics]
    columns = [
        _Column("rank", lambda row: _Cell(NONE if row.rank is None else str(row.rank), row.rank)),
        _Column("model", lambda row: _Cell(row.label), is_text=True),
        _Column("front-end", lambda row: _Cell(NONE if row.frontend == "none" else row.frontend), is_text=True),
        _Column(_head(board.primary), partial(_primary, metric=board.primary)),
        *(_Column(_head(name), partial(_score, metric=name)) for name in shown),
        _Column("parameters", lambda row: _size(row, "parameters")),
        _Column("MACs", lambda row: _size(row, "macs")),
        _Column("front-end MACs", lambda row: _size(row, "frontend_macs")),
        _Column("CPU ms, p50 / p90", lambda row: _latency(row.cpu)),
        _Column("GPU ms, p50 / p90", lambda row: _latency(row.gpu)),
        _Column("real-time factor", _real_time),
        _Column("train s", lambda row: _number(row.train_seconds)),
    ]
    if any(row.conflict is not None for row in board.rows):
        columns.append(_Column("conflict", lambda row: _number(row.conflict)))
    return [*columns, _Column("runs", _runs)]


def _short(board: Leaderboard) -> list[_Column]:
    return [c for c in _columns(board) if c.head in _IN_SHORT or c.head == _head(board.primary)]


def _head(metric: str) -> str:
    return metric if metric in _NOT_A_SHARE else f"{metric}, %"


def _score(row: Row, metric: str) -> _Cell:
    value = row.scores.get(metric)
    if value is None:
        return _Cell(NONE)
    return _Cell(f"{value:.3f}" if metric in _NOT_A_SHARE else f"{100 * value:.1f}", value)


def _primary(row: Row, metric: str) -> _Cell:
    cell = _score(row, metric)
    if row.interval is None or cell.number is None:
        return cell
    low, high = row.interval
    return _Cell(f"{cell.text} [{100 * low:.1f}, {100 * high:.1f}]", cell.number)


def _latency(latency: Latency | None) -> _Cell:
    if latency is None:
        return _Cell(NONE)
    text = f"{_three(latency.p50_ms)} / {_three(latency.p90_ms)} ({latency.grade})"
    return _Cell(text, latency.p50_ms, grey=latency.grade == "C")


def _real_time(row: Row) -> _Cell:
    if row.cpu is None:
        return _Cell(NONE)
    return _Cell(_three(row.cpu.real_time_factor), row.cpu.real_time_factor, grey=row.cpu.grade == "C")


def _runs(row: Row) -> _Cell:
    failed = f", {len(row.failed)} failed ({', '.join(sorted(set(row.failed)))})" if row.failed else ""
    return _Cell(f"{row.done}/{row.expected}{failed}", row.done)


def _size(row: Row, name: str) -> _Cell:
    """Write a count with three digits and a unit prefix, 54.9 M."""
    if row.complexity is None:
        return _Cell(NONE)
    number: int = getattr(row.complexity, name)
    rounded = float(f"{number:.3g}")
    for unit, size in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if rounded >= size:
            return _Cell(f"{_three(rounded / size)} {unit}", number)
    return _Cell(str(number), number)


def _number(value: float | None) -> _Cell:
    return _Cell(NONE) if value is None else _Cell(_three(value), value)


def _three(value: float) -> str:
    """Write a number with three digits, or as an integer above 1,000; never in powers of ten."""
    rounded = float(f"{value:.3g}")
    if rounded == 0:
        return "0"
    return f"{value:.{max(0, 2 - math.floor(math.log10(abs(rounded))))}f}"


def _about(board: Leaderboard) -> Iterator[tuple[str, str]]:
    """Yield what stands above a table: what the data are, as (head, text)."""
    yield "Data", catalog.dataset(board.dataset).line
    if splits := sorted({data.split for data in board.data}):
        yield "Split", "; ".join(splits)
    if board.data:
        parts = [f"{_range(data.clips[name] for data in board.data)} {word}" for name, word in _SPLITS]
        lengths = sorted({row.complexity.clip_seconds for row in board.rows if row.complexity})
        each = f" of {' or '.join(f'{seconds:g}' for seconds in lengths)} s" if lengths else ""
        sources = _range(data.test_groups for data in board.data)
        yield "Clips", f"{', '.join(parts)}{each}; the test clips come from {sources} sources"
        available = _range(data.clips_available for data in board.data)
        official = sorted({data.clips_official for data in board.data if data.clips_official is not None})
        yield "Coverage", f"{available} of {_range(official)} official clips" if official else f"{available} clips"
    if remarks := sorted({data.note for data in board.data if data.note}):
        yield "Note", "; ".join(remarks)
    folds, seeds = (", ".join(map(str, numbers)) for numbers in (board.folds, board.seeds))
    yield "Runs", f"{len(board.folds)} of {board.folds_official} folds ({folds}), seeds {seeds}"


_SPLITS: tuple[tuple[Literal["train", "val", "test"], str], ...] = (
    ("train", "training"),
    ("val", "validation"),
    ("test", "test"),
)


def _remarks(board: Leaderboard) -> Iterator[tuple[str, str]]:
    """Yield what stands below a table: how to read it, what went wrong, where it was measured, as (head, text)."""
    over = {row.interval_over for row in board.rows}
    if "cells" in over:
        yield "Interval", "Student's t over the runs, where there are at least two and not all have bootstrap draws"
    if "groups" in over:
        yield (
            "Interval",
            "bootstrap over the sources of the test clips (and over seeds), 1,000 draws; Wilson near 0 and 100 %",
        )
    if board.detectable is not None:
        yield (
            "Rank",
            "rows share a rank where their paired difference from the first of them is not significant (5 %); a "
            f"difference of {100 * board.detectable:.1f} points from the best row is found four times out of five",
        )
    for note in board.notes:
        yield "Note", note
    told: dict[str, list[str]] = {}
    for row in board.rows:
        for words in _about_row(row):
            told.setdefault(words, []).append(row.label if row.frontend == "none" else f"{row.label} on {row.frontend}")
    for words, rows in told.items():
        yield "all rows" if 1 < len(rows) == len(board.rows) else ", ".join(rows), words
    for key, failure in board.failures:
        yield "Failed", f"{key}: {failure.kind}: {_shortened(failure.message)}"
    if board.missing:
        yield "Missing", f"{_plural(board.missing, 'run')} without a record"
    machines: dict[str, set[str]] = {}
    for environment in board.environments:
        machines.setdefault(_machine(environment), set()).add(_commit(environment))
    for machine, commits in sorted(machines.items()):
        yield "Measured on", f"{machine}; commit {', '.join(sorted(commits))}"


def _about_row(row: Row) -> Iterator[str]:
    """Yield what a reader has to know of a row."""
    if row.members:
        yield f"combines {', '.join(row.members)}"
    for kind, latency in (("CPU", row.cpu_parallel), ("GPU", row.gpu_parallel)):
        if latency:
            yield f"{kind} ms are its members' sum, one after another; side by side: {_latency(latency).text}"
    if row.done < row.expected:
        yield f"not ranked: {row.done} of {row.expected} runs are done"
    unlike = row.rank is None and row.done == row.expected
    for flag in row.flags:
        yield f"not ranked: {flag}" if unlike and flag == row.flags[0] else flag


def _machine(environment: Environment) -> str:
    packages = ", ".join(f"{name} {version}" for name, version in sorted(environment.packages.items()))
    load = f"{_plural(environment.workers, 'run')} at a time, {_plural(environment.threads, 'thread')} each"
    return (
        f"{environment.processor}, {_plural(environment.cores, 'core')}, {environment.gpu or 'no GPU'}; {load}; "
        f"{environment.platform}; Python {environment.python}, {packages}"
    )


def _commit(environment: Environment) -> str:
    return f"{(environment.commit or 'unknown')[:10]}{' (with uncommitted changes)' if environment.dirty else ''}"


def _plural(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


def _range(numbers: Iterable[int]) -> str:
    found = sorted(set(numbers))
    return f"{found[0]:,}" if len(found) == 1 else f"{found[0]:,} to {found[-1]:,}"


def _shortened(text: str) -> str:
    text = _plain(text)
    return text if len(text) <= 300 else f"{text[:299]}…"


_SIZES = ("parameters", "macs", "frontend_macs", "elementwise", "bytes", "clip_seconds")
_TIMES = ("device", "threads", "p50_ms", "p90_ms", "grade", "real_time_factor")
_CSV_HEADS = (
    *("dataset", "rank", "model", "frontend", "primary", "low", "high", "interval_over", *METRICS),
    *("runs_done", "runs_expected", "runs_failed", *_SIZES),
    *(f"{kind}_{name}" for kind in ("cpu", "gpu") for name in _TIMES),
    *("cpu_parallel_p50_ms", "gpu_parallel_p50_ms"),
    *("train_seconds", "conflict", "members", "flags"),
)


def _csv_row(board: Leaderboard, row: Row) -> Iterator[str | int | float | None]:
    """Yield a row's values in the order of `_CSV_HEADS`."""
    yield from (board.name, row.rank, row.label, row.frontend, board.primary, *(row.interval or (None, None)))
    yield row.interval_over
    yield from (row.scores.get(name) for name in METRICS)
    yield from (row.done, row.expected, len(row.failed))
    yield from (getattr(row.complexity, name, None) for name in _SIZES)
    yield from (getattr(latency, name, None) for latency in (row.cpu, row.gpu) for name in _TIMES)
    yield from (getattr(latency, "p50_ms", None) for latency in (row.cpu_parallel, row.gpu_parallel))
    yield from (row.train_seconds, row.conflict, " + ".join(row.members), "; ".join(row.flags))


def _csv_cell(value: str | int | float | None) -> str:
    """Write a value; text that a spreadsheet would take for a formula gets a quote before it.

    Six digits of a float: the last bits differ between builds of the same libraries.
    """
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, int):
        return str(value)
    text = _plain(value)
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text


def _section(board: Leaderboard) -> Iterator[str]:
    """Yield the lines of a leaderboard's section of the web page."""
    columns = _columns(board)
    yield f"<h2>{_html(board.name)}</h2>"
    yield from _items(_about(board))
    yield '<div class="wide"><table>'
    heads = (f'<th{_css(text=c.is_text)}><button type="button">{_html(c.head)}</button></th>' for c in columns)
    yield f"<thead><tr>{''.join(heads)}</tr></thead>"
    yield "<tbody>"
    for row in board.rows:
        yield f"<tr>{''.join(_td(column, column.cell(row)) for column in columns)}</tr>"
    yield "</tbody></table></div>"
    yield from _items(_remarks(board))


def _td(column: _Column, cell: _Cell) -> str:
    number = f' data-number="{cell.number:.9g}"' if cell.number is not None else ""
    return f"<td{_css(text=column.is_text, grey=cell.grey)}{number}>{_html(cell.text)}</td>"


def _css(**classes: bool) -> str:
    names = " ".join(name for name, here in classes.items() if here)
    return f' class="{names}"' if names else ""


def _items(facts: Iterable[tuple[str, str]]) -> Iterator[str]:
    yield "<ul>"
    for head, text in facts:
        yield f"<li><b>{_html(head)}</b>: {_html(text)}</li>"
    yield "</ul>"


def _plain(text: str) -> str:
    """Return text on one line, without characters that do not print."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in " ".join(text.split()))


def _html(text: str) -> str:
    return escape(_plain(text))


def _md(text: str) -> str:
    """Return text that GitHub Markdown shows as it is, also in a table."""
    escaped = "".join(_MARKDOWN.get(c, c) for c in _plain(text))
    return re.sub(r"(?<![^\W_])_|_(?![^\W_])", r"\\_", escaped).replace("](", r"]\(")


_MARKDOWN = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "|": "&#124;"} | {c: f"\\{c}" for c in "\\`*~$#"}

_STYLE = """
:root { color-scheme: light dark; --line: #d0d7de; --grey: #8c959f; --head: #f6f8fa; }
@media (prefers-color-scheme: dark) { :root { --line: #3d444d; --grey: #767e88; --head: #151b23; } }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 90rem; padding: 0 1rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { border: 1px solid var(--line); padding: .3rem .6rem; text-align: right; white-space: nowrap; }
th { background: var(--head); }
th.text, td.text { text-align: left; }
td.grey { color: var(--grey); }
th button { all: unset; cursor: pointer; }
th button:focus-visible { outline: 2px solid; }
th[aria-sort=ascending] button::after { content: " \\2191"; }
th[aria-sort=descending] button::after { content: " \\2193"; }
"""

_SCRIPT = """
for (const table of document.querySelectorAll("table")) {
  const heads = [...table.tHead.rows[0].cells], body = table.tBodies[0];
  heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => {
    const down = head.getAttribute("aria-sort") === "ascending";
    heads.forEach(other => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const sign = down ? -1 : 1;
    body.append(...[...body.rows].sort((a, b) => {
      const x = a.cells[column], y = b.cells[column];
      const s = x.textContent, t = y.textContent;
      if (head.classList.contains("text")) return sign * (s < t ? -1 : s > t);
      const m = x.dataset.number, n = y.dataset.number;
      if (m === undefined || n === undefined) return (m === undefined) - (n === undefined);
      return sign * (m - n);
    }));
  }));
}
"""
