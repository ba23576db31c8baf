"""The reader's own board: systems joined by name over the datasets of all suites, ranked by a weighted mean.

A board's share has its systems' scores, costs and draws in steps of 1/4095, so that a page can rank them again. The
ranks of a page and those of this module come from the same whole numbers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast
from zlib import crc32

import numpy as np

from bench import statistics
from bench.catalog import METRICS, STREAM_METRICS
from bench.leaderboard import pareto
from bench.leaderboard.board import Leaderboard
from bench.leaderboard.ranking import redrawn
from bench.leaderboard.rows import Row
from bench.text import plain

DRAWS = 200
"""Draws of each row."""
STEPS = 4095
"""A score of 1 in steps."""
FEWEST = 10
"""Number of systems that the datasets with weight at the start keep in common, where there are so many."""
DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
"""A draw is two of these digits."""
COSTS = ("parameters", "macs", "latency")
"""Costs with a budget, named like the axes of the Pareto plots."""


def share(suite: str, boards: Sequence[Leaderboard]) -> list[dict[str, Any]]:
    """Return what the reader's board has to know of a suite's leaderboards, as JSON.

    Args:
        suite: its name.
        boards: its leaderboards; those whose main score is better when lower are left out.
    """
    higher = {**METRICS, **STREAM_METRICS}
    found = [_share(suite, board) for board in boards if higher[board.primary].higher_is_better]
    return [each for each in found if each["rows"]]


def _share(suite: str, board: Leaderboard) -> dict[str, Any]:
    ranked = [row for row in board.rows if row.rank is not None]
    draws = redrawn(ranked)
    if draws is not None:  # draws of one number are of the same clips on each board, and boards share no clip
        order = np.random.default_rng(crc32(f"{suite}/{board.name}".encode())).permutation(draws.shape[1])
        draws = np.rint(np.clip(draws[:, order[:DRAWS]], 0, 1) * STEPS).astype(int)
    usual = pareto.usual_device(ranked)
    rows: dict[str, dict[str, Any]] = {}
    for place, row in enumerate(ranked):
        rows.setdefault(
            plain(row.full),
            {
                "score": round(STEPS * cast(float, row.scores[board.primary])),
                "shown": f"{100 * cast(float, row.scores[board.primary]):.1f}",
                "costs": [_cost(row, name, usual) for name in COSTS],
                "draws": "" if draws is None else "".join(DIGITS[n >> 6] + DIGITS[n & 63] for n in draws[place]),
            },
        )
    return {"suite": suite, "dataset": plain(board.name), "metric": board.primary, "rows": rows}


def _cost(row: Row, name: str, usual: str) -> float | None:
    axis = next(each for each in pareto.AXES if each.name == name)
    cost = pareto.cost_of(row, axis, usual)
    if not isinstance(cost, float):
        return None
    return float(f"{cost:.6g}") if name == "latency" else int(cost)


def first_weights(boards: Sequence[Mapping[str, Any]]) -> list[int]:
    """Return the weights that a page starts with: 1 for datasets that enough systems have in common, else 0.

    Of the leaderboards of one dataset only the longest counts. The longest leaderboards come first, and one more takes
    part if ten systems, or all that are there, stay in common.
    """
    longest: dict[str, int] = {}
    for place, board in enumerate(boards):
        best = longest.setdefault(board["dataset"], place)
        if len(board["rows"]) > len(boards[best]["rows"]):
            longest[board["dataset"]] = place
    weights = [0] * len(boards)
    common: set[str] = set()
    for place in sorted(longest.values(), key=lambda place: (-len(boards[place]["rows"]), place)):
        names = set(boards[place]["rows"])
        kept = common & names if common else names
        if len(kept) >= min(FEWEST, len(common)):
            common = kept
            weights[place] = 1
    return weights


@dataclass(frozen=True)
class Place:
    """A system on the reader's board.

    Attributes:
        name: of the system.
        rank: 1 is best; it is shared with the first row from which the difference may be chance.
        interval: 95 % interval of the rank; None where a board has no draws.
        score: weighted mean of the scores, in [0, 1].
        shown: score on each board, in points; empty where the system is not on it.
    """

    name: str
    rank: int
    interval: tuple[int, int] | None
    score: float
    shown: tuple[str, ...]


def ranking(boards: Sequence[Mapping[str, Any]], weights: Sequence[int]) -> list[Place]:
    """Rank the systems that are on every board with a weight, best first.

    Args:
        boards: what `share` returns, of all suites.
        weights: whole numbers, one for each board.
    """
    used = [(weight, board["rows"]) for weight, board in zip(weights, boards, strict=True) if weight]
    if not used:
        return []
    whole = sum(weight for weight, _ in used)
    names = [name for name in used[0][1] if all(name in rows for _, rows in used)]
    totals = {name: sum(weight * rows[name]["score"] for weight, rows in used) for name in names}
    names.sort(key=lambda name: (-totals[name], name))
    draws: list[Any] = [None] * len(names)
    intervals: list[tuple[int, int] | None] = [None] * len(names)
    if names and all(rows[name]["draws"] for _, rows in used for name in names):
        draws = [sum(weight * _drawn(rows[name]["draws"]) for weight, rows in used) for name in names]
        intervals = list(statistics.rank_intervals(np.stack(draws).astype(np.float64)))
    ranks: list[int] = []
    for place in range(len(names)):
        first = ranks[-1] - 1 if ranks else 0
        tied = place > 0 and _tied(totals[names[first]] - totals[names[place]], draws[first], draws[place])
        ranks.append(first + 1 if tied else place + 1)
    return [
        Place(
            name,
            ranks[place],
            intervals[place],
            totals[name] / whole / STEPS,
            tuple(board["rows"][name]["shown"] if name in board["rows"] else "" for board in boards),
        )
        for place, name in enumerate(names)
    ]


def _tied(difference: int, a: Any, b: Any) -> bool:
    """Return whether two systems' difference may be chance: 95 % of their paired draws' differences include 0."""
    if a is None:
        return difference == 0
    drawn = np.sort(a - b)
    edge = len(drawn) // 40
    return bool(drawn[edge] <= 0 <= drawn[-1 - edge])


def _drawn(text: str) -> Any:
    digits = np.array([DIGITS.index(each) for each in text]).reshape(-1, 2)
    return digits[:, 0] * 64 + digits[:, 1]
