import pytest
from scipy import stats

from bench.stats import mean_interval, wilson_interval


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
