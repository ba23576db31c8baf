"""Ranking of rows; rows are tied where their difference is not significant."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from bench import statistics
from bench.catalog import METRICS, STREAM_METRICS
from bench.leaderboard.rows import Row, difference
from bench.records import Latency
from bench.statistics import Difference


def rank(rows: Sequence[Row], primary: str) -> tuple[tuple[Row, ...], float | None]:
    """Return the ranked rows, best first, followed by the unranked rows; and the minimum detectable difference.

    Rows are grouped from the best row down. A row joins the current group, and has its rank, if its paired difference
    from the group's first row is not significant; otherwise it begins a new group. Rows that cannot be tested share a
    rank only if their scores are equal.
    """
    sign = -1 if {**METRICS, **STREAM_METRICS}[primary].higher_is_better else 1

    def order(row: Row) -> tuple[bool, bool, float, str, str]:
        score = row.scores[primary]
        return row.rank is None, score is None, sign * (score or 0.0), row.label, row.frontend

    placed: list[Row] = []
    deviations: list[float] = []
    first: Row | None = None
    for place, row in enumerate(sorted(rows, key=order), 1):
        if row.rank is None:
            placed.append(row)
            continue
        best = difference(placed[0], row) if placed else None
        if best:
            deviations.append(best.deviation)
        found = best if first is None or first is placed[0] else difference(first, row)
        if first is None or not _tied(first, row, found, primary):
            first = replace(row, rank=place)
            placed.append(first)
        else:
            placed.append(replace(row, rank=first.rank))
    return tuple(_with_intervals(placed, primary)), statistics.DETECTABLE * max(deviations) if deviations else None


def redrawn(rows: Sequence[Row]) -> statistics.Floats | None:
    """Return the ranked rows' scores in draws of test groups, folds and seeds `(R, D)`.

    None where there are fewer than two ranked rows, or where one of them has nothing to draw from.
    """
    ranked = [row for row in rows if row.rank is not None]
    if len(ranked) < 2:
        return None
    if all(row.run_scores for row in ranked):
        found = [statistics.redrawn(row.run_scores, stream=place) for place, row in enumerate(ranked)]
    elif all(row.fold_scores for row in ranked):
        found = [statistics.redrawn_folds(row.fold_scores) for row in ranked]
    else:
        return None
    return np.stack(found) if len({len(draws) for draws in found}) == 1 else None


def _with_intervals(rows: Sequence[Row], primary: str) -> Iterator[Row]:
    """Yield the rows; the ranked ones have the interval of their rank."""
    draws = redrawn(rows)
    better = {**METRICS, **STREAM_METRICS}[primary].higher_is_better
    intervals = iter([] if draws is None else statistics.rank_intervals(draws, higher_is_better=better))
    for row in rows:
        yield row if row.rank is None else replace(row, rank_interval=next(intervals, None))


def _tied(first: Row, row: Row, found: Difference | None, primary: str) -> bool:
    return first.scores[primary] == row.scores[primary] if found is None else not found.significant


def flag_devices(rows: Sequence[Row]) -> Iterator[Row]:
    """Yield the rows; a row whose latency was measured on another device than most rows' has a flag."""
    usual = {}
    for kind in ("cpu", "gpu"):
        votes = Counter(device(latency) for row in rows if (latency := getattr(row, kind)))
        usual[kind] = max(votes, key=lambda device: (votes[device], device), default="")
    for row in rows:
        found = [(kind, device(x)) for kind in usual if (x := getattr(row, kind))]
        flags = tuple(f"{kind.upper()} latency on {device}" for kind, device in found if device != usual[kind])
        yield replace(row, flags=(*row.flags, *flags)) if flags else row


def device(latency: Latency) -> str:
    """Return device and settings in words; timings are comparable only if these are equal."""
    threads = "1 thread" if latency.threads == 1 else f"{latency.threads} threads"
    how = ", ".join(filter(None, (threads, latency.dtype, latency.backend, latency.software)))
    return f"{latency.device}, {how}, clips of {latency.clip_seconds:g} s"
