"""Simulated benchmarks whose truth is known: how often intervals hold it, and equal systems are told apart.

Every trial draws fresh clips for folds of groups whose clips are alike (a group has its own probability of being
right), and seeds that differ.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.evaluation.metrics import bootstrap
from bench.statistics import RunScore, difference, nested_interval

DRAWS = 1000


@dataclass(frozen=True)
class World:
    """Folds, groups in a fold, seeds, true accuracy, how alike a group's clips are, deviation of seeds."""

    folds: int
    groups: int
    seeds: int
    truth: float
    alike: float
    seed_deviation: float = 0.0


Cells = dict[tuple[int, int], RunScore]


def trial(world: World, counts: Sequence[np.ndarray], rng: np.random.Generator) -> tuple[Cells, Cells]:
    """Return the cells of two systems of the same true accuracy, tested on the same clips."""
    systems: tuple[Cells, Cells] = ({}, {})
    concentration = 1 / world.alike - 1
    for fold in range(world.folds):
        clips = np.minimum(rng.geometric(0.7, world.groups), 6)  # (G,)
        share = rng.beta(world.truth * concentration, (1 - world.truth) * concentration, world.groups)
        for cells in systems:
            for seed in range(world.seeds):
                moved = np.clip(share + rng.normal(0, world.seed_deviation), 0, 1) if world.seed_deviation else share
                right = rng.binomial(clips, moved)  # (G,)
                draws = (counts[fold] @ right) / (counts[fold] @ clips)
                cells[fold, seed] = RunScore(float(right.sum() / clips.sum()), draws, world.groups)
    return systems


def rates(world: World, trials: int, seed: int = 0) -> tuple[float, float]:
    """Return the share of intervals that hold the truth, and of comparisons that find a difference."""
    rng = np.random.default_rng(seed)
    counts = [bootstrap.group_counts(world.groups, DRAWS, fold).astype(float) for fold in range(world.folds)]  # (D, G)
    held = found = 0
    for _ in range(trials):
        one, other = trial(world, counts, rng)
        low, high = nested_interval(one, proportion=True)
        held += low <= world.truth <= high
        found += difference(one, other).significant
    return held / trials, found / trials
