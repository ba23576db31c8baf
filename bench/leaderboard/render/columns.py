"""The columns of the readable tables: how each one shows a row."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from bench.catalog import METRICS, PRIMARY, STREAM_METRICS, STREAM_PRIMARY
from bench.leaderboard.board import Leaderboard
from bench.leaderboard.render.table import Cell, Head, Table
from bench.leaderboard.rows import Row
from bench.records import Latency
from bench.text import NONE, prefixed, three

_SHOWN = {"single": ("sns", "macro_f1", "top5_accuracy", "mAP", "mAUC", "ece"), "multi": ("mAUC", "d_prime")}
"""Metrics that the readable tables show next to the primary one; the CSV has every metric."""
_SHOWN_STREAMS = ("event_f1", "segment_f1", "frame_sns", "psds", "segment_mAP")
"""Metrics of time lines that the readable tables show next to the frame accuracy."""
_WITH_INTERVAL = ("event_f1",)
"""Metrics besides the primary one that the readable tables show with an interval."""
_NOT_A_SHARE = frozenset({"d_prime", "nll"})
LEGEND = (
    "Scores are means over folds and seeds, with a 95 % interval in brackets. A row has a rank only if all its runs "
    "are done, on the same data as the runs of the other rows. Validation scores are of the epoch whose weights were "
    "tested. MACs are the model's multiply-adds for one clip; "
    "FLOPs are twice as many. The tables show the MACs of the front-end in a column of their own, and the plots add "
    "them. Bytes are those of the weights and of fixed tables such as filter banks. Latency is measured end to end "
    "for one clip at batch size 1. Its grade A, B or C says how steady the timing was and how slow the machine was "
    "at that time; timings of grade C are not comparable. The real-time factor is the CPU latency divided by the "
    "length of the clip. The size and the training time of a fusion are the sums over its members. "
    f"{NONE} means not measured."
)


@dataclass(frozen=True)
class Column:
    """A column: its head, the cell that it shows of a row, and whether the cell is text."""

    head: str
    cell: Callable[[Row], Cell]
    is_text: bool = False


def secondary(board: Leaderboard) -> list[str]:
    """Return the metrics that the readable tables show next to the primary one."""
    if board.primary == STREAM_PRIMARY:
        shown = [name for name in (*_SHOWN_STREAMS, "accuracy") if name in board.metrics]
        return shown + [name for name in added(board) if name not in STREAM_METRICS]
    return [name for name in _SHOWN[board.task] if name in board.metrics] + added(board)


def added(board: Leaderboard) -> list[str]:
    """Return the metrics of other packages."""
    return [name for name in board.metrics if name not in METRICS]


def columns(board: Leaderboard) -> list[Column]:
    """Return the columns of the readable tables."""
    found = [
        Column("rank", lambda row: Cell(NONE if row.rank is None else str(row.rank), row.rank)),
        Column("model", lambda row: Cell(row.label), is_text=True),
        Column("front-end", lambda row: Cell(NONE if row.frontend == "none" else row.frontend), is_text=True),
        Column(head(board.primary), partial(_primary, metric=board.primary)),
        *([Column(RANK_INTERVAL, _rank_interval)] if any(row.rank_interval for row in board.rows) else []),
        Column(validation_head(board), partial(_validation, metric=PRIMARY[board.task])),
        *(Column(head(name), partial(_score, metric=name)) for name in secondary(board)),
        Column("parameters", lambda row: _size(row, "parameters")),
        Column("bytes", lambda row: _size(row, "bytes")),
        Column("MACs", lambda row: _size(row, "macs")),
        *([Column("MACs per second", _per_second)] if any(row.segmentation for row in board.rows) else []),
        Column("front-end MACs", lambda row: _size(row, "frontend_macs")),
        Column("CPU ms, p50 / p90", lambda row: latency(row.cpu)),
        Column("GPU ms, p50 / p90", lambda row: latency(row.gpu)),
        Column("real-time factor", _real_time),
        Column("train s", lambda row: number(row.train_seconds)),
    ]
    if any(row.conflict is not None for row in board.rows):
        found.append(Column("conflict", lambda row: number(row.conflict)))
    return [*found, Column("runs", _runs)]


def main(board: Leaderboard) -> Table:
    """Return a leaderboard's main table."""
    return _table(board, columns(board))


def brief(board: Leaderboard) -> Table:
    """Return a leaderboard's short table, as the terminal shows it."""
    return _table(board, short(board))


def _table(board: Leaderboard, shown: list[Column]) -> Table:
    return Table(
        title=board.name,
        heads=tuple(Head(column.head, is_text=column.is_text) for column in shown),
        rows=tuple(tuple(column.cell(row) for column in shown) for row in board.rows),
    )


RANK_INTERVAL = "rank, 95 %"
"""Head of the column with the intervals of the ranks."""


def validation_head(board: Leaderboard) -> str:
    """Return the head of the column with the validation scores."""
    return f"validation {head(PRIMARY[board.task])}"


def rank_interval(row: Row) -> str:
    """Return the interval of a row's rank in words, such as "4 to 11"."""
    if row.rank_interval is None:
        return NONE
    low, high = row.rank_interval
    return str(low) if low == high else f"{low} to {high}"


LEAST_IMPORTANT = ("MACs", "parameters", "CPU ms, p50 / p90", "runs", "front-end")
"""Columns that a narrow terminal leaves out, the least important one first."""


def short(board: Leaderboard) -> list[Column]:
    """Return the columns of the short table."""
    kept = {"rank", "model", head(board.primary), *LEAST_IMPORTANT}
    return [column for column in columns(board) if column.head in kept]


def head(metric: str) -> str:
    """Return the head of a metric's column."""
    return f"{metric}, %" if is_share(metric) else metric


def score(value: float | None, metric: str) -> Cell:
    """Return a metric's value as the tables show it."""
    if value is None:
        return Cell(NONE)
    return Cell(f"{100 * value:.1f}" if is_share(metric) else f"{value:.3f}", value)


def is_share(metric: str) -> bool:
    """Return whether a metric is a share, which the tables show in per cent."""
    known = metric in {**METRICS, **STREAM_METRICS} or metric.startswith("recall.")
    return known and metric not in _NOT_A_SHARE


def latency(found: Latency | None) -> Cell:
    """Return a timing as the tables show it."""
    if found is None:
        return Cell(NONE)
    text = f"{three(found.p50_ms)} / {three(found.p90_ms)} ({found.grade})"
    return Cell(text, found.p50_ms, grey=found.grade == "C")


def number(value: float | None) -> Cell:
    """Return a number with three digits."""
    return Cell(NONE) if value is None else Cell(three(value), value)


def _score(row: Row, metric: str) -> Cell:
    cell = score(row.scores.get(metric), metric)
    return _with_interval(cell, row.stream_intervals.get(metric)) if metric in _WITH_INTERVAL else cell


def _primary(row: Row, metric: str) -> Cell:
    return _with_interval(score(row.scores.get(metric), metric), row.interval)


def _validation(row: Row, metric: str) -> Cell:
    return score(row.validation, metric)


def _rank_interval(row: Row) -> Cell:
    return Cell(rank_interval(row), None if row.rank_interval is None else sum(row.rank_interval) / 2)


def _with_interval(cell: Cell, interval: tuple[float, float] | None) -> Cell:
    if interval is None or cell.number is None:
        return cell
    low, high = interval
    return Cell(f"{cell.text} [{100 * low:.1f}, {100 * high:.1f}]", cell.number)


def _real_time(row: Row) -> Cell:
    if row.cpu is None:
        return Cell(NONE)
    return Cell(three(row.cpu.real_time_factor), row.cpu.real_time_factor, grey=row.cpu.grade == "C")


def _runs(row: Row) -> Cell:
    failed = f", {len(row.failed)} failed ({', '.join(sorted(set(row.failed)))})" if row.failed else ""
    return Cell(f"{row.done}/{row.expected}{failed}", row.done)


def _per_second(row: Row) -> Cell:
    if row.segmentation is None:
        return Cell(NONE)
    count = row.segmentation.macs_per_second
    return Cell(prefixed(count), count)


def _size(row: Row, name: str) -> Cell:
    if row.complexity is None:
        return Cell(NONE)
    count: int = getattr(row.complexity, name)
    return Cell(prefixed(count), count)
