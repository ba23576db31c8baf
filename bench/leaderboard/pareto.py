"""Pareto plots of a leaderboard: score against cost, and the front of systems that no other system dominates.

Pages and W&B show these plots; there is no second rule.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from bench.catalog import METRICS, STREAM_METRICS
from bench.leaderboard.board import Leaderboard
from bench.leaderboard.ranking import device
from bench.leaderboard.rows import Row


@dataclass(frozen=True)
class Axis:
    """A cost of a system.

    Attributes:
        name: in file names.
        head: in words.
        unit: of its numbers; empty for a count.
    """

    name: str
    head: str
    unit: str


AXES = (
    Axis("macs", "MACs per clip, front-end included", ""),
    Axis("parameters", "Parameters", ""),
    Axis("latency", "CPU latency p50, end to end", "ms"),
)
PER_SECOND = Axis("macs", "MACs per second of sound, front-end included", "")
"""In place of the MACs per clip on a leaderboard of time lines, where windows that overlap are counted each."""


@dataclass(frozen=True)
class Point:
    """One ranked system.

    Attributes:
        label: short, unlike every other point's.
        system: its label in the table.
        frontend: name in the catalogue.
        cost: on the axis, > 0.
        score: primary score.
        interval: of the score.
        front: whether it is on the front.
    """

    label: str
    system: str
    frontend: str
    cost: float
    score: float
    interval: tuple[float, float] | None
    front: bool

    @property
    def full(self) -> str:
        """The label in the table, with the front-end."""
        return self.system if self.frontend == "none" else f"{self.system} on {self.frontend}"


@dataclass(frozen=True)
class Plot:
    """A leaderboard's points on one axis.

    Attributes:
        dataset: the leaderboard's name.
        metric: the primary one.
        axis: the cost.
        points: in the order of the table.
        left_out: how many ranked systems have no comparable cost, and why, in words; empty if each has one.
    """

    dataset: str
    metric: str
    axis: Axis
    points: tuple[Point, ...]
    left_out: str


def plots(board: Leaderboard) -> tuple[Plot, ...]:
    """Return a leaderboard's plot on each axis that at least one ranked system has a cost on.

    Timings count if their grade is A or B and if device and settings are those of most rows.
    """
    time_lines = any(row.segmentation for row in board.rows)
    found = (_plot(board, PER_SECOND if time_lines and axis.name == "macs" else axis) for axis in AXES)
    return tuple(plot for plot in found if plot.points)


def front(points: Sequence[tuple[float, float]], *, higher_is_better: bool = True) -> list[bool]:
    """Return whether each (cost, score) is on the front: no other is as good in both and better in one."""
    sign = 1 if higher_is_better else -1
    signed = [(cost, sign * score) for cost, score in points]
    return [
        not any(c <= cost and s >= score and (c, s) != (cost, score) for c, s in signed) for cost, score in signed
    ]  # fmt: skip


def _plot(board: Leaderboard, axis: Axis) -> Plot:
    ranked = [row for row in board.rows if row.rank is not None]
    usual = usual_device(ranked)
    costs = [cost_of(row, axis, usual) for row in ranked]
    placed = [
        (row, cost, score)
        for row, cost in zip(ranked, costs, strict=True)
        if isinstance(cost, float) and (score := row.scores[board.primary]) is not None
    ]
    better = {**METRICS, **STREAM_METRICS}[board.primary].higher_is_better
    on_front = front([(c, s) for _, c, s in placed], higher_is_better=better)
    labels = _labels([row for row, _, _ in placed])
    why = Counter(cost for cost in costs if isinstance(cost, str))
    return Plot(
        dataset=board.name,
        metric=board.primary,
        axis=axis,
        points=tuple(
            Point(label, row.label, row.frontend, cost, score, row.interval, on)
            for label, (row, cost, score), on in zip(labels, placed, on_front, strict=True)
        ),
        left_out=", ".join(f"{number} {reason}" for reason, number in sorted(why.items())),
    )


def cost_of(row: Row, axis: Axis, usual: str) -> float | str:
    """Return the cost of a row, or the reason why it has none on this axis.

    Args:
        row: the row.
        axis: the cost.
        usual: what `usual_device` returns.
    """
    if axis.name == "latency":
        if row.cpu is None:
            return "not timed"
        if row.cpu.grade == "C":
            return "timed with grade C"
        return row.cpu.p50_ms if device(row.cpu) == usual else "timed differently"
    if axis is PER_SECOND:
        line = row.segmentation
        return "not counted" if line is None else float(line.macs_per_second + line.frontend_macs_per_second)
    if row.complexity is None:
        return "not counted"
    size = row.complexity
    cost = size.parameters if axis.name == "parameters" else size.macs + size.frontend_macs
    return float(cost) if cost > 0 else "of zero cost"


def usual_device(rows: Sequence[Row]) -> str:
    """Return the device and the settings with which most rows were timed on a CPU; grade C does not count."""
    votes = Counter(device(row.cpu) for row in rows if row.cpu and row.cpu.grade != "C")
    return max(votes, key=lambda name: (votes[name], name), default="")


_LONGEST = 26


def _labels(rows: Sequence[Row]) -> list[str]:
    """Return short labels: the beginning of each row's label, with the front-end if several rows share a label."""
    alike = Counter(row.label for row in rows)
    seen: Counter[str] = Counter()
    labels = []
    for row in rows:
        frontend = f" {row.frontend}" if alike[row.label] > 1 and row.frontend != "none" else ""
        label = _cut(row.label + frontend, _LONGEST)
        seen[label] += 1
        labels.append(label if seen[label] == 1 else f"{_cut(label, _LONGEST - 4)} #{seen[label]}")
    return labels


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1].rstrip(' ,=[(')}…"
