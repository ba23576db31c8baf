"""Intervals and paired comparisons of systems, from bootstrap draws of their runs. Never imports torch.

A run's draws are its primary score over resampled groups of its test clips. Draw i takes the same groups for every
system that was tested on the same clips, so the difference of two systems' draws is a paired bootstrap.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from statistics import NormalDist, fmean, stdev

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
FoldSeed = tuple[int, int]
"""Fold and seed of a run."""


@dataclass(frozen=True)
class RunScore:
    """One run's score, its bootstrap draws `(D,)`, and the number of groups that the draws resample."""

    score: float
    draws: Floats | Sequence[float]
    groups: int


@dataclass(frozen=True)
class Difference:
    """The difference between system A's score and system B's.

    Attributes:
        mean: A's score minus B's, over the folds and seeds of both.
        low: lower end of its 95 % interval.
        high: upper end of its 95 % interval.
        p: two-sided p-value of the hypothesis that there is no difference.
        deviation: standard error.
    """

    mean: float
    low: float
    high: float
    p: float
    deviation: float

    @property
    def significant(self) -> bool:
        """Whether the interval excludes 0."""
        return self.low > 0 or self.high < 0


class RunScores(dict[FoldSeed, RunScore]):
    """A system's runs; what every resampling of them shares is computed once."""

    @cached_property
    def folds(self) -> tuple["_Fold", ...]:
        """The runs by fold."""
        return tuple(_folds(self))

    @cached_property
    def combined(self) -> dict[int, tuple[float, Floats]]:
        """Results of `nested`, by the stream."""
        return {}

    @cached_property
    def redrawn(self) -> dict[int, Floats]:
        """Results of `redrawn`, by the stream."""
        return {}


@dataclass(frozen=True)
class _Fold:
    """The runs of one fold.

    Attributes:
        number: of the fold.
        score: mean over the runs.
        deviation: of the mean in each draw of groups, `(D,)`.
        own: each run's score minus the mean, `(S,)`.
        groups: number of groups.
    """

    number: int
    score: float
    deviation: Floats
    own: Floats
    groups: int


def nested(run_scores: Mapping[FoldSeed, RunScore], stream: int = 0) -> tuple[float, Floats]:
    """Return a system's score, and its draws `(D,)` over groups and seeds: each is a mean over the folds.

    The benchmark fixes the folds, so they are not resampled. Within a fold, groups are resampled (a run's draws do
    that) and seeds are resampled, independently for each fold. The variance of a resampled mean is (n - 1) / n of the
    true variance, which matters where there are few groups or seeds. Deviations are therefore scaled by the root of
    n / (n - 1), and then by the ratio of Student's t quantile to the normal quantile; the degrees of freedom are the
    number of groups minus the number of folds.

    Args:
        run_scores: (fold, seed) to the run's score; all draws have one length.
        stream: which sequence of random seeds to draw; two systems' seeds are independent of each other.

    Raises:
        ValueError: no runs, or draws from fewer than two groups.
    """
    known = run_scores.combined if isinstance(run_scores, RunScores) else {}
    if stream not in known:
        scores, deviations, wider = _by_fold(run_scores, stream)
        known[stream] = fmean(scores), fmean(scores) + wider * np.mean(deviations, axis=0)
    return known[stream]


def _by_fold(run_scores: Mapping[FoldSeed, RunScore], stream: int) -> tuple[list[float], list[Floats], float]:
    """Return each fold's score, the deviations `(D,)` of its draws, and the factor by which to widen these.

    Raises:
        ValueError: as for `nested`.
    """
    if not run_scores or any(run.groups < 2 for run in run_scores.values()):
        raise ValueError("draws need runs, each with two groups or more")
    scores, deviations, freedom = [], [], 0
    for fold in run_scores.folds if isinstance(run_scores, RunScores) else _folds(run_scores):
        deviation, seeds = fold.deviation, len(fold.own)
        if seeds > 1:
            chosen = _seeds_drawn(stream, fold.number, seeds, len(deviation))
            deviation = deviation + _scale(seeds) * fold.own[chosen].mean(0)
        scores.append(fold.score)
        deviations.append(deviation)
        freedom += fold.groups - 1
    wider = _t_quantile(freedom, 0.975) / NormalDist().inv_cdf(0.975)
    return scores, deviations, wider


def _folds(run_scores: Mapping[FoldSeed, RunScore]) -> Iterator[_Fold]:
    folds: dict[int, list[RunScore]] = {}
    for (fold, _), run in sorted(run_scores.items(), key=lambda item: item[0]):
        folds.setdefault(fold, []).append(run)
    for number, runs in folds.items():
        score = fmean(run.score for run in runs)
        draws = [np.asarray(run.draws, np.float64) for run in runs]
        around = np.stack(
            [_scale(run.groups) * (drawn - drawn.mean()) for run, drawn in zip(runs, draws, strict=True)]
        )  # (S, D)
        yield _Fold(number, score, around.mean(0), np.array([run.score - score for run in runs]), runs[0].groups)


@lru_cache(maxsize=64)
def _seeds_drawn(stream: int, fold: int, seeds: int, draws: int) -> npt.NDArray[np.int64]:
    """Return which seed's run each draw takes `(seeds, draws)`; the systems of a leaderboard share it."""
    return np.random.default_rng((stream, fold)).integers(seeds, size=(seeds, draws))


def _scale(n: int) -> float:
    return math.sqrt(n / (n - 1))


def nested_interval(run_scores: Mapping[FoldSeed, RunScore], *, proportion: bool) -> tuple[float, float]:
    """Return the 95 % interval of a system's score, within [0, 1].

    Args:
        run_scores: as for `nested`.
        proportion: whether the score is a share of clips. Draws hardly vary where fewer than five groups' worth of
            clips are right (or wrong); Wilson's interval on the number of groups then replaces them.
    """
    score, values = nested(run_scores)
    groups = sum({fold: run.groups for (fold, _), run in run_scores.items()}.values())
    if proportion and min(score, 1 - score) * groups < 5:
        return wilson_interval(score * groups, groups)
    low, high = _ends(values)
    return max(float(low), 0.0), min(float(high), 1.0)


def _ends(values: Floats) -> tuple[Floats, Floats]:
    """Return `np.quantile(values, (0.025, 0.975), axis=-1)` in a third of its time.

    Args:
        values: `(..., D)`.
    """
    places = [(values.shape[-1] - 1) * share for share in (0.025, 0.975)]
    below = [math.floor(place) for place in places]
    above = [min(at + 1, values.shape[-1] - 1) for at in below]
    ordered = np.partition(values, sorted({*below, *above}), axis=-1)
    found = []
    for place, a, b in zip(places, below, above, strict=True):
        low, high, part = ordered[..., a], ordered[..., b], place - a
        step = high - low
        found.append(low + step * part if part < 0.5 else high - step * (1 - part))
    return found[0], found[1]


def difference(a: Mapping[FoldSeed, RunScore], b: Mapping[FoldSeed, RunScore]) -> Difference:
    """Compare two systems that were tested on the same clips of the same folds.

    Raises:
        ValueError: the folds differ, or as for `nested`.
    """
    check_folds(a, b)
    return between(nested(a), nested(b, stream=1))


def check_folds(a: Mapping[FoldSeed, object], b: Mapping[FoldSeed, object]) -> None:
    """Check that two systems were tested on the same folds.

    Raises:
        ValueError: they were not.
    """
    if {fold for fold, _ in a} != {fold for fold, _ in b}:
        raise ValueError("the systems were tested on different folds: compare them on the folds that both have")


def between(a: tuple[float, Floats], b: tuple[float, Floats]) -> Difference:
    """Compare two systems whose runs are combined already, so that a system is combined once for many comparisons.

    Args:
        a: what `nested` returns for system A.
        b: what it returns for system B with `stream=1`.
    """
    return _difference(a[0] - b[0], a[1] - b[1])


def differences(systems: Sequence[Mapping[FoldSeed, RunScore]]) -> list[list[Difference]]:
    """Return `difference` of each system (row) to each one (column): the same numbers in less time.

    Raises:
        ValueError: as for `difference`.
    """
    if len({frozenset(fold for fold, _ in system) for system in systems}) > 1:
        raise ValueError("the systems were tested on different folds: compare them on the folds that both have")
    first = [nested(system) for system in systems]
    second = [nested(system, stream=1) for system in systems]
    others = np.stack([values for _, values in second])  # (R, D)
    found = []
    for score, values in first:
        drawn = values - others
        low, high = _ends(drawn)
        one_sided = np.minimum((drawn <= 0).sum(1), (drawn >= 0).sum(1)) + 1
        p = np.minimum(1.0, 2 * one_sided / (drawn.shape[1] + 1))
        deviation = drawn.std(1)
        found.append([
            Difference(score - other, float(low[i]), float(high[i]), float(p[i]), float(deviation[i]))
            for i, (other, _) in enumerate(second)
        ])  # fmt: skip
    return found


def _difference(mean: float, values: Floats) -> Difference:
    low, high = _ends(values)
    one_sided = min((values <= 0).sum(), (values >= 0).sum()) + 1
    p = min(1.0, 2 * float(one_sided) / (len(values) + 1))
    return Difference(mean, float(low), float(high), p, float(values.std()))


def difference_of_runs(a: Mapping[FoldSeed, RunScore], b: Mapping[FoldSeed, RunScore]) -> Difference:
    """Compare the same runs under two conditions: each run is paired with itself, on the same clips.

    Args:
        a: (fold, seed) to the run's score under the one condition.
        b: the same runs under the other one; the draws of both take the same groups.

    Raises:
        ValueError: the runs differ, or as for `nested`.
    """
    if a.keys() != b.keys():
        raise ValueError("the two conditions have different runs: compare the runs that both have")
    each = {
        key: RunScore(run.score - b[key].score, np.asarray(run.draws) - np.asarray(b[key].draws), run.groups)
        for key, run in a.items()
    }
    return change(each)


def change(differences: Mapping[FoldSeed, RunScore]) -> Difference:
    """Return the mean of runs' own differences, with the interval of their draws.

    Args:
        differences: (fold, seed) to the run's difference and its draws.

    Raises:
        ValueError: as for `nested`.
    """
    return _difference(*nested(differences))


def difference_of_folds(a: Mapping[FoldSeed, float], b: Mapping[FoldSeed, float]) -> Difference:
    """Compare two systems by the differences of their scores in each fold, by Student's paired t.

    It is for folds whose test clips come from one source, such as one speaker each: a fold is then what the bootstrap
    would resample. Scores are averaged over seeds first. Where all folds differ equally, their deviation says nothing,
    and the sign test decides.

    Args:
        a: (fold, seed) to the score of system A.
        b: likewise; the folds are the same.

    Raises:
        ValueError: the folds differ, or there are fewer than two.
    """
    check_folds(a, b)
    folds = sorted({fold for fold, _ in a})
    if len(folds) < 2:
        raise ValueError("a comparison of folds needs at least two")
    each = [
        fmean(x for (of, _), x in a.items() if of == k) - fmean(x for (of, _), x in b.items() if of == k) for k in folds
    ]
    mean, n = fmean(each), len(each)
    if max(each) - min(each) < 1e-12:
        p = min(1.0, 2.0 ** (1 - n)) if mean else 1.0
        low, high = (mean, mean) if p < 0.05 else (min(mean, 0.0), max(mean, 0.0))
        return Difference(mean, low, high, p, 0.0)
    error = stdev(each) / math.sqrt(n)
    half = _t_quantile(n - 1, 0.975) * error
    return Difference(mean, mean - half, mean + half, _t_p(mean / error, n - 1), half / NormalDist().inv_cdf(0.975))


def redrawn(run_scores: Mapping[FoldSeed, RunScore], stream: int = 0) -> Floats:
    """Return a system's draws `(D,)` over groups, seeds and folds, for ranks.

    Unlike the draws of `nested`, each of them also resamples the folds, because another benchmark would have others.
    All systems with the same folds have the same draws of them.

    Args:
        run_scores: as for `nested`.
        stream: as for `nested`.

    Raises:
        ValueError: as for `nested`.
    """
    known = run_scores.redrawn if isinstance(run_scores, RunScores) else {}
    if stream not in known:
        scores, deviations, wider = _by_fold(run_scores, stream)
        around = np.stack(deviations)  # (F, D)
        values = np.array(scores)[:, None] + wider * around
        known[stream] = np.take_along_axis(values, _drawn_folds(*around.shape), 0).mean(0)
    return known[stream]


def redrawn_folds(fold_scores: Mapping[FoldSeed, float], draws: int = 1000) -> Floats:
    """Return a system's draws `(D,)` over folds and seeds, where a fold's test clips come from one source.

    Args:
        fold_scores: (fold, seed) to the run's score.
        draws: D.

    Raises:
        ValueError: no runs.
    """
    folds: dict[int, list[float]] = {}
    for (fold, _), score in sorted(fold_scores.items()):
        folds.setdefault(fold, []).append(score)
    if not folds:
        raise ValueError("draws need runs")
    drawn = [
        np.array(runs)[np.random.default_rng((fold, len(runs))).integers(len(runs), size=(len(runs), draws))].mean(0)
        for fold, runs in folds.items()
    ]
    found: Floats = np.take_along_axis(np.stack(drawn), _drawn_folds(len(folds), draws), 0).mean(0)
    return found


@lru_cache(maxsize=8)
def _drawn_folds(folds: int, draws: int) -> npt.NDArray[np.int64]:
    """Return the folds `(F, D)` of each draw; a single fold stays as it is."""
    return np.random.default_rng(folds).integers(folds, size=(folds, draws))


def rank_intervals(draws: Floats, *, higher_is_better: bool = True) -> list[tuple[int, int]]:
    """Return the 95 % interval of each system's rank; 1 is best.

    A system that equals others in a draw has all of their ranks there: the lower end comes from the best of them and
    the upper end from the worst.

    Args:
        draws: the systems' scores in the same draws, `(R, D)`.
        higher_is_better: whether a higher score is better.
    """
    ordered = np.sort(draws if higher_is_better else -draws, axis=0)  # (R, D)
    best, worst = [], []
    for own in draws if higher_is_better else -draws:
        best.append(1 + (ordered > own).sum(0))
        worst.append((ordered >= own).sum(0))
    low = np.quantile(np.array(best), 0.025, axis=1, method="inverted_cdf")
    high = np.quantile(np.array(worst), 0.975, axis=1, method="inverted_cdf")
    return [(int(a), int(b)) for a, b in zip(low, high, strict=True)]


def win_probabilities(draws: Floats, *, higher_is_better: bool = True) -> Floats:
    """Return the share of draws in which one system (row) is better than another (column), `(R, R)`.

    Half of the draws in which both are equal count for each, so that a share and its counterpart add up to 1.

    Args:
        draws: as for `rank_intervals`.
        higher_is_better: whether a higher score is better.
    """
    signed = draws if higher_is_better else -draws
    return np.stack([((own > signed) + 0.5 * (own == signed)).mean(1) for own in signed])


DETECTABLE = NormalDist().inv_cdf(0.975) + NormalDist().inv_cdf(0.8)
"""Minimum detectable difference (5 % level, 80 % power) in standard errors: 2.8."""


def mean_interval(values: Sequence[float], confidence: float = 0.95) -> tuple[float, float, float]:
    """Return (mean, low, high) by Student's t over n ≥ 2 values, one per fold and seed.

    Folds share training clips, so the interval only describes how much the score varies between runs. It is not a
    paired test of two systems.

    Raises:
        ValueError: fewer than two values.
    """
    if len(values) < 2:
        raise ValueError(f"an interval over {len(values)} value needs at least two")
    mean = fmean(values)
    half = _t_quantile(len(values) - 1, (1 + confidence) / 2) * stdev(values) / math.sqrt(len(values))
    return mean, mean - half, mean + half


def wilson_interval(successes: float, trials: float, confidence: float = 0.95) -> tuple[float, float]:
    """Return Wilson's score interval of a proportion; its coverage holds near 0 and 1.

    Args:
        successes: number of successes; not an integer where it is a mean score times the number of groups.
        trials: number of trials, > 0.
        confidence: coverage of the interval.
    """
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share = successes / trials
    centre = share + z**2 / (2 * trials)
    half = z * math.sqrt(share * (1 - share) / trials + z**2 / (4 * trials**2))
    scale = 1 + z**2 / trials
    return max((centre - half) / scale, 0.0), min((centre + half) / scale, 1.0)


def sign_test(a: int, b: int) -> float:
    """Return the exact two-sided p-value of a and b outcomes of two kinds that are equally likely; 1 without any."""
    from scipy.special import bdtr  # this import takes longer than drawing a table, and tables do without it

    return min(1.0, 2 * float(bdtr(min(a, b), a + b, 0.5)))


@cache
def _t_quantile(freedom: float, probability: float) -> float:
    """Return a quantile of Student's t distribution, for a probability above one half."""
    tail = 2 * (1 - probability)
    low, high = 0.0, 1.0
    while _t_p(high, freedom) > tail:
        low, high = high, 2 * high
    for _ in range(200):  # until the two are neighbours
        middle = (low + high) / 2
        if middle in (low, high):
            break
        low, high = (middle, high) if _t_p(middle, freedom) > tail else (low, middle)
    return (low + high) / 2


def _t_p(t: float, freedom: float) -> float:
    """Return the two-sided p-value of Student's t: the incomplete beta function of (freedom / 2, 1 / 2).

    Importing SciPy's takes longer than drawing a table.
    """
    a, b = freedom / 2, 0.5
    x, rest = freedom / (freedom + t * t), t * t / (freedom + t * t)  # 1 - x would lose digits
    if x == 0.0 or rest == 0.0:
        return 1.0 if rest == 0.0 else 0.0
    log_x = math.log(x) if x < 0.5 else math.log1p(-rest)
    factor = math.exp(_log_gamma_ratio(a) - math.lgamma(b) + a * log_x + b * math.log(rest))
    if x < (a + 1) / (a + b + 2):
        return factor * _beta_fraction(a, b, x) / a
    return 1.0 - factor * _beta_fraction(b, a, rest) / b


def _log_gamma_ratio(a: float) -> float:
    """Return log(gamma(a + 1/2) / gamma(a)), by its asymptotic series where the logarithms are large numbers."""
    if a < 20:
        return math.lgamma(a + 0.5) - math.lgamma(a)
    return 0.5 * math.log(a) - 1 / (8 * a) + 1 / (192 * a**3) - 1 / (640 * a**5) + 17 / (14336 * a**7)


def _beta_fraction(a: float, b: float, x: float) -> float:
    """Return the continued fraction of the incomplete beta function, by Lentz's method."""
    c, d = 1.0, 1 / (1 - (a + b) * x / (a + 1))
    value = d
    for m in range(1, 1000):
        for term in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 / (1 + term * d)
            c = 1 + term / c
            value *= c * d
        if abs(c * d - 1) < 1e-16:
            break
    return value
