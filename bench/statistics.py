"""Intervals and paired comparisons of systems, from bootstrap draws of their runs. Never imports torch.

A run's draws are its primary score over resampled groups of its test clips. Draw i draws the same groups for every
system that was tested on the same clips, so that the difference of two systems' draws is a paired bootstrap.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean, stdev

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Cell:
    """One run's score, its bootstrap draws `(D,)`, and the number of groups they were drawn from."""

    score: float
    draws: Floats
    groups: int


@dataclass(frozen=True)
class Difference:
    """How far system A's score is above B's.

    Attributes:
        mean: A's score less B's, over the folds and seeds of both.
        low: lower end of its 95 % interval.
        high: upper end.
        p: two-sided p-value of no difference.
        deviation: standard error.
    """

    mean: float
    low: float
    high: float
    p: float
    deviation: float

    @property
    def significant(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.low > 0 or self.high < 0


def nested(cells: Mapping[tuple[int, int], Cell], stream: int = 0) -> tuple[float, Floats]:
    """Return a system's score and what it is over draws of groups and seeds: the mean over folds `(D,)`.

    Folds are the benchmark's own and stay. Within a fold, groups are drawn (that is what a cell's draws are) and seeds,
    independently for each fold. A resampled deviation has (n - 1) / n of the variance of a fresh one, which counts
    where there are few groups or seeds: deviations are stretched by the root of n / (n - 1), and all by Student's t
    over the normal quantile for as many degrees of freedom as there are groups less folds.

    Args:
        cells: (fold, seed) to what the run gave; draws of one length.
        stream: which sequence of random seeds to draw; two systems' seeds are independent of each other.

    Raises:
        ValueError: no cells, or draws from fewer than two groups.
    """
    if not cells or any(cell.groups < 2 for cell in cells.values()):
        raise ValueError("draws need cells, each with two groups or more")
    folds: dict[int, list[Cell]] = {}
    for (fold, _), cell in sorted(cells.items(), key=lambda item: item[0]):
        folds.setdefault(fold, []).append(cell)
    scores, deviations, freedom = [], [], 0
    for fold, runs in folds.items():
        score = fmean(cell.score for cell in runs)
        own = np.array([cell.score - score for cell in runs])  # (S,)
        around = np.stack([_stretch(cell.groups) * (cell.draws - cell.draws.mean()) for cell in runs])  # (S, D)
        deviation = around.mean(0)
        if len(runs) > 1:
            drawn = np.random.default_rng((stream, fold)).integers(len(runs), size=around.shape)
            deviation = deviation + _stretch(len(runs)) * own[drawn].mean(0)
        scores.append(score)
        deviations.append(deviation)
        freedom += runs[0].groups - 1
    wider = _t_quantile(freedom, 0.975) / NormalDist().inv_cdf(0.975)
    return fmean(scores), fmean(scores) + wider * np.mean(deviations, axis=0)


def _stretch(n: int) -> float:
    return math.sqrt(n / (n - 1))


def nested_interval(cells: Mapping[tuple[int, int], Cell], *, proportion: bool) -> tuple[float, float]:
    """Return the 95 % interval of a system's score, within [0, 1].

    Args:
        cells: as for `nested`.
        proportion: whether the score is a share of clips. Where fewer than five groups' worth of clips are right (or
            wrong) the draws hardly vary, and Wilson's interval on the number of groups takes their place.
    """
    score, values = nested(cells)
    groups = sum({fold: cell.groups for (fold, _), cell in cells.items()}.values())
    if proportion and min(score, 1 - score) * groups < 5:
        return wilson_interval(score * groups, groups)
    low, high = np.quantile(values, (0.025, 0.975))
    return max(float(low), 0.0), min(float(high), 1.0)


def difference(a: Mapping[tuple[int, int], Cell], b: Mapping[tuple[int, int], Cell]) -> Difference:
    """Compare two systems that were tested on the same clips of the same folds.

    Raises:
        ValueError: the folds differ, or as for `nested`.
    """
    if {fold for fold, _ in a} != {fold for fold, _ in b}:
        raise ValueError("the systems were tested on other folds: compare them on those they share")
    (score_a, values_a), (score_b, values_b) = nested(a), nested(b, stream=1)
    values = values_a - values_b
    low, high = np.quantile(values, (0.025, 0.975))
    one_sided = min((values <= 0).sum(), (values >= 0).sum()) + 1
    p = min(1.0, 2 * float(one_sided) / (len(values) + 1))
    return Difference(score_a - score_b, float(low), float(high), p, float(values.std()))


DETECTABLE = NormalDist().inv_cdf(0.975) + NormalDist().inv_cdf(0.8)
"""Standard errors that a difference must be away from 0 to be found at the 5 % level four times out of five: 2.8."""


def mean_interval(values: Sequence[float], confidence: float = 0.95) -> tuple[float, float, float]:
    """Return (mean, low, high) by Student's t over n ≥ 2 values, here one per fold and seed.

    Folds share training clips, so the interval tells how steady the score is from cell to cell; it is no paired test of
    two systems.

    Raises:
        ValueError: fewer than two values.
    """
    if len(values) < 2:
        raise ValueError(f"an interval over {len(values)} value needs at least two")
    mean = fmean(values)
    half = _t_quantile(len(values) - 1, (1 + confidence) / 2) * stdev(values) / math.sqrt(len(values))
    return mean, mean - half, mean + half


def wilson_interval(successes: float, trials: float, confidence: float = 0.95) -> tuple[float, float]:
    """Return Wilson's score interval of a proportion, which stays honest near 0 and 1.

    Args:
        successes: number of successes; a fraction where a mean is spread over `trials` independent groups.
        trials: number of trials, > 0.
        confidence: of the interval.
    """
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share = successes / trials
    centre = share + z**2 / (2 * trials)
    half = z * math.sqrt(share * (1 - share) / trials + z**2 / (4 * trials**2))
    scale = 1 + z**2 / trials
    return max((centre - half) / scale, 0.0), min((centre + half) / scale, 1.0)


def _t_quantile(freedom: float, probability: float) -> float:
    """Return a quantile of Student's t distribution."""
    from scipy.special import stdtrit  # takes longer to import than all of the tables take to draw

    return float(stdtrit(freedom, probability))
