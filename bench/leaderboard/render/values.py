"""Leaderboards as plain values: CSV and JSON with every metric, shares as fractions of 1.

Six digits of a float: the last bits differ between builds of the same libraries.
"""

import csv
import io
import json
from collections.abc import Iterator, Sequence
from typing import Any

from bench.catalog import METRICS
from bench.leaderboard import budgets
from bench.leaderboard.board import Leaderboard
from bench.leaderboard.render import columns
from bench.leaderboard.rows import Row
from bench.text import csv_cell, plain

_SIZES = ("parameters", "macs", "frontend_macs", "elementwise", "bytes", "clip_seconds")
_TIMES = ("device", "threads", "p50_ms", "p90_ms", "grade", "real_time_factor")
_HEADS = (
    *("dataset", "rank", "model", "frontend", "primary", "low", "high", "interval_over", *METRICS),
    *("rank_low", "rank_high", "validation"),
    *("runs_done", "runs_expected", "runs_failed", *_SIZES),
    *(f"{kind}_{name}" for kind in ("cpu", "gpu") for name in _TIMES),
    *("cpu_parallel_p50_ms", "gpu_parallel_p50_ms"),
    *("train_seconds", "conflict", "members", "flags"),
)


_TIME_LINES = (
    *("event_f1_low", "event_f1_high", "form", "hop_seconds", "delay_seconds", "smoothing_seconds", "min_seconds"),
    *("macs_per_second", "frontend_macs_per_second", "streams", "stream_seconds"),
)
"""Columns of time lines, where a suite has streams."""


def csv_text(leaderboards: Sequence[Leaderboard]) -> str:
    """Return all rows of all leaderboards as one CSV."""
    content = io.StringIO()
    writer = csv.writer(content, lineterminator="\n")
    added = list(dict.fromkeys(name for board in leaderboards for name in columns.added(board)))
    further = _TIME_LINES if any(row.segmentation for board in leaderboards for row in board.rows) else ()
    writer.writerow([*_HEADS, *added, *further])
    for board in leaderboards:
        for row in board.rows:
            values = (*_values(board, row), *(row.scores.get(name) for name in added))
            values += tuple(_time_line(row, name) for name in further)
            writer.writerow(csv_cell(value) for value in values)
    return content.getvalue()


def json_text(title: str, leaderboards: Sequence[Leaderboard]) -> str:
    """Return the same rows as strict JSON, with the keys of the records behind each row.

    Args:
        title: of the page.
        leaderboards: one object each.
    """
    content = {"title": plain(title), "leaderboards": [_board(board) for board in leaderboards]}
    return json.dumps(content, indent=1, allow_nan=False, ensure_ascii=False) + "\n"


def _board(board: Leaderboard) -> dict[str, Any]:
    rows = [
        {name: _json_value(value) for name, value in zip(_HEADS, _values(board, row), strict=True)}
        | {name: _json_value(row.scores.get(name)) for name in columns.added(board)}
        | ({name: _json_value(_time_line(row, name)) for name in _TIME_LINES} if row.segmentation else {})
        | {"records": sorted(map(plain, row.finished))}
        for row in board.rows
    ]
    report = board.class_report
    return {
        "dataset": plain(board.name),
        "primary": board.primary,
        "detectable": _json_value(board.detectable),
        "rows": rows,
        "budgets": {
            budget.name: [plain(row.full) for row in budgets.within(board, budget)] for budget in budgets.BUDGETS
        },
        "winner": report
        and {
            "model": plain(report.label),
            "classes": [plain(name) for name in report.classes],
            "per_class": {name: [_json_value(v) for v in values] for name, values in report.per_class.items()},
            "confusion": report.confusion,
        },
    }


def _values(board: Leaderboard, row: Row) -> Iterator[str | int | float | None]:
    """Yield a row's values in the order of `_HEADS`."""
    yield from (board.name, row.rank, row.label, row.frontend, board.primary, *(row.interval or (None, None)))
    yield row.interval_over
    yield from (row.scores.get(name) if name in board.metrics else None for name in METRICS)
    yield from (*(row.rank_interval or (None, None)), row.validation)
    yield from (row.done, row.expected, len(row.failed))
    yield from (getattr(row.complexity, name, None) for name in _SIZES)
    yield from (getattr(latency, name, None) for latency in (row.cpu, row.gpu) for name in _TIMES)
    yield from (getattr(latency, "p50_ms", None) for latency in (row.cpu_parallel, row.gpu_parallel))
    yield from (row.train_seconds, row.conflict, " + ".join(row.members), "; ".join(row.flags))


def _time_line(row: Row, name: str) -> str | int | float | None:
    """Return a row's value in a column of `_TIME_LINES`."""
    low, high = row.stream_intervals.get("event_f1", (None, None))
    known = {"event_f1_low": low, "event_f1_high": high}
    return known[name] if name in known else getattr(row.segmentation, name, None)


def _json_value(value: str | int | float | None) -> str | int | float | None:
    if isinstance(value, float):
        return float(f"{value:.6g}")
    return plain(value) if isinstance(value, str) else value
