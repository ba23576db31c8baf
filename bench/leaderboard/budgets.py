"""Boards within a budget: which ranked systems fit a microcontroller or a deadline, best first."""

from collections.abc import Callable
from dataclasses import dataclass

from bench.leaderboard import pareto
from bench.leaderboard.board import Leaderboard
from bench.leaderboard.rows import Row

MAX_BYTES = 128_000
"""Weights of one byte each: the limit of DCASE's low-complexity task."""
MAX_MACS = 30_000_000
"""The same task's limit of multiply-adds for a clip; the front-end is not counted there, nor is it here."""
MAX_MS = 10.0
"""Limit of the median CPU latency, end to end."""


@dataclass(frozen=True)
class Budget:
    """A budget.

    Attributes:
        name: in words.
        fits: whether a row is within it; the second argument is the device on which most rows were timed.
    """

    name: str
    fits: Callable[[Row, str], bool]


def _small(row: Row, _: str) -> bool:
    size = row.complexity
    return size is not None and size.parameters <= MAX_BYTES and size.macs <= MAX_MACS


def _quick(row: Row, usual: str) -> bool:
    cost = pareto.cost_of(row, pareto.AXES[-1], usual)
    return isinstance(cost, float) and cost <= MAX_MS


BUDGETS = (
    Budget("128 kB of int8 weights and 30 MMACs", _small),
    Budget("10 ms on the CPU", _quick),
)
"""The budgets that a page shows."""


def within(board: Leaderboard, budget: Budget) -> list[Row]:
    """Return the ranked rows that fit a budget, best first."""
    ranked = [row for row in board.rows if row.rank is not None]
    usual = pareto.usual_device(ranked)
    return [row for row in ranked if budget.fits(row, usual)]


def fronts(board: Leaderboard) -> dict[str, tuple[str, ...]]:
    """Return the axes on whose Pareto front a row is, by its label with the front-end."""
    found: dict[str, list[str]] = {}
    for plot in pareto.plots(board):
        for point in plot.points:
            if point.front:
                found.setdefault(point.full, []).append("MACs" if plot.axis.name == "macs" else plot.axis.name)
    return {name: tuple(axes) for name, axes in found.items()}
