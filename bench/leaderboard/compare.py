"""Comparison of two systems on the clips that both were tested on."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from bench import statistics
from bench.errors import BenchError, SuiteError
from bench.leaderboard.board import Leaderboard
from bench.leaderboard.rows import Row, difference
from bench.records import Store, artifacts


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The difference between system A and system B on one dataset.

    Attributes:
        dataset: its name.
        metric: the primary metric.
        a: label of A.
        b: label of B.
        score_a: A's score.
        score_b: B's.
        difference: of the scores, with its interval and p-value.
        test: "bootstrap": paired, over the test clips' sources (and over seeds); "folds": Student's paired t over the
            folds, where the test clips of some fold come from one source.
        only_a: number of clips that only A classifies correctly, over all folds and seeds; None without logits or where
            clips have several labels.
        only_b: number of clips that only B classifies correctly.
        mcnemar_p: p-value of the exact two-sided McNemar test on them; it treats the clips as independent.
    """

    dataset: str
    metric: str
    a: str
    b: str
    score_a: float
    score_b: float
    difference: statistics.Difference
    test: Literal["bootstrap", "folds"] = "bootstrap"
    only_a: int | None = None
    only_b: int | None = None
    mcnemar_p: float | None = None


def points(found: statistics.Difference) -> tuple[str, str, str]:
    """Return a difference and the ends of its interval in points, as they are printed everywhere."""
    mean, low, high = (f"{100 * value:+.1f}" for value in (found.mean, found.low, found.high))
    return mean, low, high


def p_value(p: float) -> str:
    """Return a p-value in words, to three decimals; a smaller one is not zero."""
    return f"p = {p:.3f}" if p >= 0.001 else "p < 0.001"


def compare(board: Leaderboard, a: str, b: str, store: Store) -> Comparison:
    """Compare two rows of a leaderboard.

    Args:
        board: of one dataset.
        a: a row's label, or its beginning; with " on FRONTEND" where two rows have the same label.
        b: likewise.
        store: has the runs' logits for the McNemar test.

    Raises:
        SuiteError: no row, or more than one row, has that name.
        BenchError: a row has runs that are not finished, that used other clips, or that have nothing to test with.
    """
    one, other = _find(board, a), _find(board, b)
    for row in (one, other):
        tested = row.run_scores or row.fold_scores
        if not tested and row.done == row.expected and any(data.test_groups < 2 for data in board.data):
            raise BenchError(
                f"{row.full} cannot be compared: all test clips come from one source, and the test needs two sources "
                "or two folds; run all folds, divide the clips into fewer folds, or add sources"
            )
        if not tested:
            raise BenchError(
                f"{row.full} has runs that are missing in {store.root} or have no bootstrap draws: `bench run` and "
                "`bench rescore` make them; the published records are in --store leaderboards"
            )
        if row.rank is None:
            raise BenchError(
                f"{row.full} cannot be compared: {'; '.join(row.flags) or 'not all of its runs are finished'}"
            )
    found = difference(one, other)
    if found is None:
        raise BenchError(
            f"{one.full} and {other.full} cannot be compared: only one of them has bootstrap draws of all runs; "
            "`bench rescore` makes them"
        )
    only_a, only_b = _discordant(one, other, store) if board.task == "single" else (None, None)
    p = None
    if only_a is not None and only_b is not None:
        p = statistics.sign_test(only_a, only_b)
    score_a, score_b = one.scores[board.primary], other.scores[board.primary]
    assert score_a is not None  # it has a rank
    assert score_b is not None
    return Comparison(
        dataset=board.name,
        metric=board.primary,
        a=one.full,
        b=other.full,
        score_a=score_a,
        score_b=score_b,
        difference=found,
        test="bootstrap" if one.run_scores and other.run_scores else "folds",
        only_a=only_a,
        only_b=only_b,
        mcnemar_p=p,
    )


def _find(board: Leaderboard, wanted: str) -> Row:
    """Return the row of that name, or else the only row whose name begins with it."""
    names = {row.full: row for row in board.rows}
    exact = [row for name, row in names.items() if wanted in (name, row.label)]
    alike = exact or [row for name, row in names.items() if name.startswith(wanted)]
    if len(alike) != 1:
        choices = " | ".join(row.full for row in alike) if alike else " | ".join(names)
        problem = "several rows are" if alike else "no row is"
        raise SuiteError(f"{problem} called {wanted!r} in the table of {board.name}. Name one of: {choices}")
    return alike[0]


def _discordant(one: Row, other: Row, store: Store) -> tuple[int, int] | tuple[None, None]:
    """Return how many clips only one and only the other classifies correctly, over runs that both have logits of.

    Raises:
        RunError: logits are damaged, or are not those of their record.
    """
    only = [0, 0]
    for fold_seed in one.keys.keys() & other.keys.keys():
        right = []
        for row in (one, other):
            record = store.get(row.keys[fold_seed])
            if record is None or not (store.artifacts(record.key) / artifacts.LOGITS).exists():
                return None, None
            saved = artifacts.logits(store, record)
            order = np.argsort(saved["test_ids"])
            right.append((saved["logits"].argmax(1) == saved["targets"])[order])
        only[0] += int((right[0] & ~right[1]).sum())
        only[1] += int((right[1] & ~right[0]).sum())
    return only[0], only[1]
