import math

import numpy as np
import pytest
from fakes.worlds import World, rates
from scipy import stats

from bench import statistics
from bench.statistics import (
    RunScore,
    difference,
    difference_of_folds,
    mean_interval,
    nested,
    nested_interval,
    wilson_interval,
)


def test_mean_interval_hand_worked():
    # mean 0.8, s = 0.1 / sqrt(…): deviations ±0.05 ×2, 0 → s² = 0.01/4, t(4) = 2.776
    mean, low, high = mean_interval([0.75, 0.75, 0.8, 0.85, 0.85])
    assert mean == pytest.approx(0.8)
    assert (low, high) == pytest.approx((0.8 - 2.776445 * 0.05 / 5**0.5, 0.8 + 2.776445 * 0.05 / 5**0.5))


@pytest.mark.parametrize("values", [[0.1, 0.9], [0.5, 0.6, 0.61], [0.3] * 3 + [0.4] * 30])
def test_mean_interval_against_scipy(values):
    truth = stats.ttest_1samp(values, 0).confidence_interval(0.9)
    assert mean_interval(values, 0.9)[1:] == pytest.approx((truth.low, truth.high))


def test_equal_values_have_no_width_and_one_value_has_no_interval():
    assert mean_interval([0.5, 0.5]) == (0.5, 0.5, 0.5)
    with pytest.raises(ValueError, match="at least two"):
        mean_interval([0.5])


@pytest.mark.parametrize(("successes", "trials"), [(0, 7), (7, 7), (1, 400), (399, 400), (13, 30)])
def test_wilson_against_scipy(successes, trials):
    truth = stats.binomtest(successes, trials).proportion_ci(method="wilson")
    assert wilson_interval(successes, trials) == pytest.approx((truth.low, truth.high), abs=1e-12)


def cells(*folds, groups=10):
    """One seed: each fold a (score, draws)."""
    return {(fold, 0): RunScore(score, np.array(draws), groups) for fold, (score, draws) in enumerate(folds)}


def test_nested_draws_hand_worked():
    # 10 groups a fold: deviations grow by the root of 10/9, and by t(18)/z = 2.100922/1.959964
    score, values = nested(cells((0.8, [0.7, 0.8, 0.9]), (0.6, [0.6, 0.5, 0.7])))
    assert score == pytest.approx(0.7)
    wider = (10 / 9) ** 0.5 * 2.100922 / 1.959964
    assert values == pytest.approx([0.7 + wider * x for x in (-0.05, -0.05, 0.1)], abs=1e-6)


def test_seeds_widen_an_interval_and_a_single_seed_does_not():
    draws = 0.8 + 0.01 * np.random.default_rng(0).standard_normal(2000)
    one = {(0, 0): RunScore(0.8, draws, 50)}
    three = {(0, s): RunScore(score, draws - 0.8 + score, 50) for s, score in enumerate((0.7, 0.8, 0.9))}
    narrow, wide = (np.ptp(nested(x)[1]) for x in (one, three))
    assert nested(three)[0] == pytest.approx(0.8)
    # Three seeds' mean has a standard error of 0.1 / sqrt(3); the groups' deviation is 0.01.
    expected = (0.01**2 + 0.1**2 / 3) ** 0.5 * stats.t.ppf(0.975, 49) / 1.959964
    assert nested(three)[1].std() == pytest.approx(expected, rel=0.05)
    assert wide > 3 * narrow


def test_a_proportion_near_1_has_wilsons_interval_on_its_groups():
    perfect = cells(*[(1.0, [1.0] * 100)] * 5, groups=20)
    truth = stats.binomtest(100, 100).proportion_ci(method="wilson")
    assert nested_interval(perfect, proportion=True) == pytest.approx((truth.low, truth.high))
    assert nested_interval(perfect, proportion=False) == (1.0, 1.0)


def test_a_difference_is_paired():
    rng = np.random.default_rng(0)
    shared = 0.05 * rng.standard_normal(1000)
    a = {(0, 0): RunScore(0.82, 0.82 + shared, 60)}
    b = {(0, 0): RunScore(0.80, 0.80 + shared + 0.004 * rng.standard_normal(1000), 60)}
    found = difference(a, b)
    assert found.mean == pytest.approx(0.02)
    assert found.deviation == pytest.approx(0.004 * (60 / 59) ** 0.5 * stats.t.ppf(0.975, 59) / 1.959964, rel=0.1)
    assert found.significant
    assert found.p < 0.01
    unpaired = {(0, 0): RunScore(0.80, 0.80 + 0.05 * rng.standard_normal(1000), 60)}
    assert not difference(a, unpaired).significant
    same = difference(a, a)
    assert (same.mean, same.low, same.high, same.p) == (0, 0, 0, 1)


def test_cells_that_cannot_be_compared_are_refused():
    with pytest.raises(ValueError, match="two groups"):
        nested({(0, 0): RunScore(0.5, np.ones(3), 1)})
    with pytest.raises(ValueError, match="different folds"):
        difference(cells((0.5, [0.5])), cells((0.5, [0.5]), (0.5, [0.5])))


@pytest.mark.parametrize(
    "world",
    [
        World(folds=5, groups=58, seeds=1, truth=0.88, alike=0.4),  # as ESC-10
        World(folds=1, groups=300, seeds=1, truth=0.7, alike=0.3),
        World(folds=12, groups=2, seeds=1, truth=0.6, alike=0.3),  # speakers two by two
    ],
)
@pytest.mark.slow
def test_intervals_hold_the_truth_and_equal_systems_are_rarely_told_apart(world):
    held, found = rates(world, trials=1000)
    assert 0.93 <= held <= 0.97
    assert found <= 0.06


def test_folds_are_compared_over_their_seeds_and_need_two():
    one = {(fold, seed): score + 0.02 * seed for fold, score in enumerate((0.9, 0.8, 0.7)) for seed in (0, 1)}
    other = {(fold, 0): score for fold, score in enumerate((0.8, 0.75, 0.7))}
    truth = stats.ttest_rel([0.91, 0.81, 0.71], [0.8, 0.75, 0.7])
    assert difference_of_folds(one, other).p == pytest.approx(truth.pvalue)
    with pytest.raises(ValueError, match="at least two"):
        difference_of_folds({(0, 0): 0.5}, {(0, 0): 0.4})
    with pytest.raises(ValueError, match="different folds"):
        difference_of_folds(one, {(0, 0): 0.4})


def test_rank_intervals_hand_worked():
    # 40 draws: the first system is best in all but two, which the second one wins; the third always equals the fourth
    first, second, third = np.full(40, 3.0), np.full(40, 2.0), np.full(40, 1.0)
    second[:2] = 4.0
    draws = np.stack([first, second, third, third])
    assert statistics.rank_intervals(draws) == [(1, 2), (1, 2), (3, 4), (3, 4)]
    assert statistics.rank_intervals(-draws, higher_is_better=False) == [(1, 2), (1, 2), (3, 4), (3, 4)]
    second[1:2] = 2.0  # one draw of 40 is the share that the interval leaves out
    assert statistics.rank_intervals(np.stack([first, second, third]))[0] == (1, 1)


def test_win_probabilities_hand_worked():
    draws = np.array([[1.0, 2.0, 3.0, 4.0], [1.0, 1.0, 4.0, 1.0]])
    found = statistics.win_probabilities(draws)
    assert found.tolist() == [[0.5, 0.625], [0.375, 0.5]]
    assert statistics.win_probabilities(draws, higher_is_better=False)[0, 1] == 0.375


def test_draws_for_ranks_resample_the_folds_alike_for_all_systems():
    rng = np.random.default_rng(0)
    runs = {(f, 0): RunScore(0.5 + f / 10, 0.5 + f / 10 + rng.normal(0, 1e-9, 1000), 50) for f in range(5)}
    found = statistics.redrawn(runs)
    assert found.mean() == pytest.approx(0.7, abs=0.01)
    assert found.std() == pytest.approx(np.std([0.5, 0.6, 0.7, 0.8, 0.9]) / math.sqrt(5), rel=0.1)
    better = {key: RunScore(run.score + 0.01, run.draws + 0.01, 50) for key, run in runs.items()}
    assert (statistics.redrawn(better) - found) == pytest.approx(np.full(1000, 0.01))
    single = {(0, 0): runs[0, 0]}
    assert (statistics.redrawn(single) == statistics.nested(single)[1]).all()


def test_draws_of_whole_folds_resample_folds_and_seeds():
    found = statistics.redrawn_folds({(0, 0): 0.4, (0, 1): 0.4, (1, 0): 0.8})
    assert sorted(set(found.round(6).tolist())) == [0.4, 0.6, 0.8]
    assert statistics.redrawn_folds({(0, 0): 0.2, (0, 1): 0.6}).std() == pytest.approx(0.2 / math.sqrt(2), rel=0.1)


def test_all_differences_are_those_of_single_pairs():
    rng = np.random.default_rng(1)
    systems = [
        {(f, s): RunScore(float(rng.uniform()), rng.uniform(size=200), 20) for f in (0, 1) for s in (0, 1)}
        for _ in range(4)
    ]
    table = statistics.differences(systems)
    assert table == [[statistics.difference(a, b) for b in systems] for a in systems]


@pytest.mark.parametrize("freedom", [1, 2, 5, 39, 40, 395, 20_000])
def test_students_t_against_scipy(freedom):
    for probability in (0.6, 0.9, 0.975, 0.9999):
        truth = stats.t.ppf(probability, freedom)
        assert statistics._t_quantile(freedom, probability) == pytest.approx(truth, rel=1e-11)
    for t in (-3.0, 0.0, 1e-3, 0.5, 2.0, 30.0):
        assert statistics._t_p(t, freedom) == pytest.approx(2 * stats.t.sf(abs(t), freedom), rel=1e-11)


@pytest.mark.parametrize(("a", "b"), [(0, 0), (0, 1), (3, 3), (2, 9), (40, 60), (1000, 1100)])
def test_the_sign_test_against_scipy(a, b):
    truth = stats.binomtest(a, a + b).pvalue if a + b else 1.0
    assert statistics.sign_test(a, b) == statistics.sign_test(b, a) == pytest.approx(truth, rel=1e-9)


@pytest.mark.parametrize("draws", [1, 2, 40, 41, 999, 1000])
def test_both_ends_are_numpys_quantiles_to_the_bit(draws):
    values = np.random.default_rng(0).normal(size=(3, draws)).round(2)
    assert np.array_equal(np.array(statistics._ends(values)), np.quantile(values, (0.025, 0.975), axis=1))


def test_what_the_resamplings_of_a_systems_runs_share_changes_no_bit():
    rng = np.random.default_rng(0)
    runs = {(fold, seed): RunScore(0.5 + 0.1 * seed, rng.random(100), 20) for fold in range(3) for seed in range(3)}
    kept = statistics.RunScores(runs)
    for stream in (0, 1, 7):
        for of in (nested, statistics.redrawn):
            assert np.array_equal(np.hstack(of(kept, stream)), np.hstack(of(runs, stream)))
