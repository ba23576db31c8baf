"""Measures of calibration against hand-worked values and scikit-learn, and the temperature."""

import numpy as np
import pytest
import torch
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

from bench.evaluation.calibration import measures
from bench.evaluation.calibration.study import auroc
from models.metrics.single_label import calibration_error as recorded_error


def clips(seed: int = 0, n: int = 400, classes: int = 5):
    rng = np.random.default_rng(seed)
    logits = rng.standard_normal((n, classes)) * 2
    p = measures.probabilities(logits, "single")
    return logits, np.array([rng.choice(classes, p=row) for row in p])


def test_losses_of_single_labels_by_hand_and_as_scikit_learn():
    p = np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1]])
    # (0.3² + 0.2² + 0.1²) and (0.9² + 0.8² + 0.1²)
    np.testing.assert_allclose(measures.brier_scores(p, np.array([0, 0]), "single"), [0.14, 1.46])
    logits, y = clips()
    p = measures.probabilities(logits, "single")
    assert measures.log_losses(logits, y, "single").mean() == pytest.approx(log_loss(y, p))
    two = measures.probabilities(logits[:, :2], "single")
    found = measures.brier_scores(two, y % 2, "single").mean()
    assert found == pytest.approx(2 * brier_score_loss(y % 2, two[:, 1]))  # over both classes


def test_losses_of_several_labels_are_means_over_the_labels():
    rng = np.random.default_rng(1)
    logits, y = rng.standard_normal((50, 4)), rng.integers(0, 2, (50, 4))
    p = measures.probabilities(logits, "multi")
    each = [brier_score_loss(y[:, c], p[:, c]) for c in range(4)]
    assert measures.brier_scores(p, y, "multi").mean() == pytest.approx(np.mean(each))
    losses = [log_loss(y[:, c], p[:, c], labels=[0, 1]) for c in range(4)]
    assert measures.log_losses(logits, y, "multi").mean() == pytest.approx(np.mean(losses))


def test_the_calibration_error_by_hand():
    confidence, right = np.array([0.1, 0.3, 0.6, 0.9, 1.0]), np.array([0, 1, 1, 1, 0])
    # bins of a half: (0.2 against 0.5) of 2, (0.8333 against 0.6667) of 3
    assert measures.calibration_error(confidence, right, 2) == pytest.approx((2 * 0.3 + 3 * (2.5 / 3 - 2 / 3)) / 5)
    bins = measures.reliability(confidence, right, 4)
    np.testing.assert_allclose(bins[:, 0], [1, 1, 1, 2])
    np.testing.assert_allclose(bins[3], [2, 0.95, 0.5])


def test_the_calibration_error_is_the_one_of_a_record():
    logits, y = clips(2)
    p = measures.probabilities(logits, "single")
    found = measures.calibration_error(*measures.top(p, y))
    assert found == pytest.approx(recorded_error(torch.from_numpy(p), torch.from_numpy(y)), abs=1e-6)


def test_the_class_wise_error_counts_classes_without_positives():
    p, y = np.array([[0.8, 0.2], [0.6, 0.4]]), np.array([[1, 0], [1, 0]])
    # class 0: 0.2 and 0.4 apart in two bins; class 1: 0.2 and 0.4 too high
    assert measures.class_wise_error(p, y, "multi") == pytest.approx(0.3)
    assert measures.class_wise_error(p, np.array([0, 0]), "single") == pytest.approx(0.3)


@pytest.mark.parametrize("true", [0.5, 1.0, 3.0])
def test_the_temperature_undoes_a_scale(true):
    logits, y = clips(3, 8_000)
    found = measures.fit_temperature(true * logits, y, "single")
    assert found == pytest.approx(true, rel=0.05)
    best = measures.log_losses(true * logits / found, y, "single").mean()
    assert all(measures.log_losses(true * logits / (found * c), y, "single").mean() > best for c in (0.98, 1.02))


def test_the_temperature_of_several_labels_and_of_clips_that_are_all_right():
    rng = np.random.default_rng(4)
    logits = rng.standard_normal((4000, 3))
    y = (rng.random((4000, 3)) < measures.probabilities(logits, "multi")).astype(float)
    assert measures.fit_temperature(2 * logits, y, "multi") == pytest.approx(2, rel=0.06)
    x = np.array([[2.0, 0.0], [0.0, 2.0]])
    low = measures.fit_temperature(x, np.array([0, 1]), "single")  # the loss falls on and on, by less than rounding
    assert 0.05 <= low < 0.06


def test_auroc_is_scikit_learns_with_ties():
    rng = np.random.default_rng(5)
    values, positive = rng.integers(0, 6, 200).astype(float), rng.random(200) < 0.3
    assert auroc(values, positive) == pytest.approx(roc_auc_score(positive, values))
    assert auroc(values, np.zeros(200, bool)) is None
