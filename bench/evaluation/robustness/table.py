"""The table of robustness: score of each system under each condition, difference from the clean clips, and rank."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

import numpy as np
from scipy.stats import kendalltau

from bench import statistics
from bench.evaluation.metrics import DRAWS, bootstrap
from bench.evaluation.robustness.conditions import CLEAN, CONDITIONS, Condition
from bench.leaderboard.board import Leaderboard
from bench.leaderboard.ranking import rank
from bench.leaderboard.rows import Row
from bench.records import Store, robustness
from bench.records.robustness import Disturbed, Robustness
from bench.statistics import Difference, FoldSeed, RunScore


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A system under one condition.

    Attributes:
        score: mean over folds and seeds; None where a run has no result.
        done: number of runs that have one.
        change: from the clean clips, paired; None where the score or its draws are missing.
        rank: among the systems with all results; systems whose difference is not significant share one.
        moved: rank minus the rank on the clean clips; below 0 is better.
    """

    score: float | None
    done: int
    change: Difference | None = None
    rank: int | None = None
    moved: int | None = None


@dataclass(frozen=True, kw_only=True)
class Line:
    """A system's row: the leaderboard's row, and the cells by the condition's name."""

    row: Row
    cells: Mapping[str, Cell]

    @property
    def worst(self) -> Difference | None:
        """The largest drop from the clean clips."""
        return min((c.change for c in self.cells.values() if c.change), key=lambda d: d.mean, default=None)


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """A dataset's table.

    Attributes:
        board: its leaderboard.
        primary: the metric of the scores.
        conditions: those that any run has a result of.
        lines: in the order of the scores on the clean clips.
        agreement: condition to Kendall's τ between its scores and those on the clean clips.
        settings: condition to the different settings of its results, each once.
        of: number of runs with any result.
    """

    board: Leaderboard
    primary: str
    conditions: tuple[Condition, ...]
    lines: tuple[Line, ...]
    agreement: Mapping[str, float]
    settings: Mapping[str, tuple[Mapping[str, object], ...]]
    of: int


def sheet(board: Leaderboard, store: Store) -> Sheet | None:
    """Return a leaderboard's table of robustness from the results in a store; None where there are none.

    Raises:
        RecordError: a file of results is damaged.
    """
    keys = [key for row in board.rows for key in row.keys.values()]
    found = {key: results for key in keys if (results := robustness.read(store, key)) is not None}
    if not found:
        return None
    primary = next(iter(found.values())).primary
    conditions = [c for c in CONDITIONS.values() if any(c.name in each.conditions for each in found.values())]
    scores = {c.name: {_id(row): _scores(row, c.name, found) for row in board.rows} for c in conditions}
    ranks = {name: _ranks(board.rows, each, primary) for name, each in scores.items()}
    lines = []
    for row in board.rows:
        own = {c.name: scores[c.name][_id(row)] for c in conditions}
        if any(own.values()):
            cells = {name: _cell(row, name, own, ranks) for name in own}
            lines.append(Line(row=row, cells=cells))
    lines.sort(key=lambda line: -(_clean(line) if _clean(line) is not None else -1.0))  # type: ignore[operator]
    return Sheet(
        board=board, primary=primary, conditions=tuple(conditions), lines=tuple(lines),
        agreement={c.name: tau for c in conditions if (tau := _agreement(lines, c.name)) is not None},
        settings={c.name: _settings(found.values(), c.name) for c in conditions}, of=len(found),
    )  # fmt: skip


def _id(row: Row) -> tuple[str, str, tuple[str, ...]]:
    return row.label, row.frontend, row.members


def _clean(line: Line) -> float | None:
    return line.cells[CLEAN].score if CLEAN in line.cells else None


def _scores(row: Row, condition: str, found: Mapping[str, Robustness]) -> dict[FoldSeed, RunScore]:
    """Return the score and the draws of a row's runs that have results under a condition."""
    scores: dict[FoldSeed, RunScore] = {}
    for fold_seed, key in row.keys.items():
        result = found[key].conditions.get(condition) if key in found else None
        if result is not None and (score := result.scores.get(found[key].primary)) is not None:
            scores[fold_seed] = RunScore(score, _draws(found[key], result), len(set(found[key].groups)))
    return scores


def _draws(run: Robustness, result: Disturbed) -> statistics.Floats:
    """Return a run's primary score over the bootstrap draws, which are those of its record."""
    if run.task == "multi":
        return np.asarray(result.draws)
    right = np.array([each == "1" for each in result.right])
    groups = np.asarray(run.groups)
    return bootstrap.accuracies(right, groups, bootstrap.group_counts(int(groups.max()) + 1, DRAWS, run.fold))


def _cell(
    row: Row,
    name: str,
    scores: Mapping[str, Mapping[FoldSeed, RunScore]],
    ranks: Mapping[str, Mapping[tuple[str, str, tuple[str, ...]], int]],
) -> Cell:
    here, clean = scores[name], scores.get(CLEAN, {})
    if not here or len(here) < row.expected:
        return Cell(score=None, done=len(here))
    change = None
    if name != CLEAN and here.keys() == clean.keys():
        change = _change(here, clean)
    place, before = ranks[name].get(_id(row)), ranks.get(CLEAN, {}).get(_id(row))
    moved = place - before if place is not None and before is not None else None
    score = fmean([fmean(r.score for (f, _), r in here.items() if f == fold) for fold in sorted({f for f, _ in here})])
    return Cell(score=score, done=len(here), change=change, rank=place, moved=moved)


def _change(here: Mapping[FoldSeed, RunScore], clean: Mapping[FoldSeed, RunScore]) -> Difference | None:
    if all(run.groups > 1 and len(run.draws) for run in (*here.values(), *clean.values())):
        return statistics.difference_of_runs(here, clean)
    if len({fold for fold, _ in here}) > 1:
        return statistics.difference_of_folds(
            {key: run.score for key, run in here.items()}, {key: run.score for key, run in clean.items()}
        )
    return None


def _ranks(
    rows: Sequence[Row], scores: Mapping[tuple[str, str, tuple[str, ...]], Mapping[FoldSeed, RunScore]], primary: str
) -> dict[tuple[str, str, tuple[str, ...]], int]:
    """Return the ranks under one condition, by the same rule as on a leaderboard."""
    disturbed = []
    for row in rows:
        own = scores[_id(row)]
        if row.rank is None or len(own) < row.expected:
            continue
        folds = sorted({fold for fold, _ in own})
        mean = fmean([fmean(r.score for (f, _), r in own.items() if f == fold) for fold in folds])
        drawn = all(run.groups > 1 and len(run.draws) for run in own.values())
        disturbed.append(
            replace(
                row, rank=0, scores={primary: mean}, run_scores=dict(own) if drawn else {},
                fold_scores={} if drawn or len(folds) < 2 else {key: run.score for key, run in own.items()},
            )
        )  # fmt: skip
    ranked, _ = rank(disturbed, primary)
    return {_id(row): row.rank for row in ranked if row.rank is not None}


def _agreement(lines: Sequence[Line], name: str) -> float | None:
    """Return Kendall's τ between the systems' scores under a condition and on the clean clips."""
    if name == CLEAN:
        return None
    pairs = [
        (before, after)
        for line in lines
        if (before := _clean(line)) is not None and (after := line.cells[name].score) is not None
    ]
    if len(pairs) < 3:
        return None
    tau = float(kendalltau(*zip(*pairs, strict=True)).statistic)
    return tau if np.isfinite(tau) else None


def _settings(found: object, name: str) -> tuple[Mapping[str, object], ...]:
    """Return the different settings of a condition's results; fusions have those of their members."""
    each: list[Mapping[str, object]] = []
    for results in found:  # type: ignore[attr-defined]
        result = results.conditions.get(name)
        if result is not None and "members" not in result.settings and result.settings not in each:
            each.append(result.settings)
    return tuple(each)
