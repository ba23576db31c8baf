import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn import metrics as sk

from bench.catalog import METRICS
from bench.evaluation.metrics import bootstrap, bootstrap_draws, primary, score
from models.errors import TrainingError
from models.metrics import d_prime, ranking, single_label


def toy(clips, classes, seed=0):
    draw = np.random.default_rng(seed)
    targets = np.arange(clips) % classes
    return draw.normal(size=(clips, classes)) + 1.5 * np.eye(classes)[targets], targets


def tags(clips, classes, share=0.2, seed=0):
    draw = np.random.default_rng(seed)
    targets = draw.random((clips, classes)) < share
    return draw.normal(size=(clips, classes)) + targets, targets.astype(np.float32)


def test_hand_worked_single_label():
    # Three clips of class 0, one of class 1; class 2 is absent and predicted once. Probabilities are 0.7, 0.2, 0.1.
    logits = np.log([[0.7, 0.2, 0.1], [0.7, 0.2, 0.1], [0.1, 0.2, 0.7], [0.2, 0.7, 0.1]])
    scores = score(logits, np.array([0, 0, 0, 1]), "single")
    assert scores.confusion == ((2, 0, 1), (0, 1, 0), (0, 0, 0))
    assert scores.values["accuracy"] == 0.75
    assert scores.per_class["macro_precision"] == (1.0, 1.0, None)
    assert scores.per_class["macro_recall"] == pytest.approx((2 / 3, 1.0, None))
    assert scores.values["macro_recall"] == pytest.approx(5 / 6)
    assert scores.values["macro_f1"] == pytest.approx((0.8 + 1) / 2)
    assert scores.defined["macro_f1"] == scores.defined["mAP"] == scores.defined["mAUC"] == (2, 3)
    # class 0 ranks 0.7 0.7 (both right), 0.2 (wrong), 0.1 (right): AP = (1 + 1 + 3/4) / 3, AUC = 2 of 3 pairs
    assert scores.per_class["mAP"] == pytest.approx(((1 + 1 + 0.75) / 3, 1.0, None))
    assert scores.per_class["mAUC"] == pytest.approx((2 / 3, 1.0, None))
    assert scores.values["nll"] == pytest.approx(-(3 * math.log(0.7) + math.log(0.1)) / 4)
    assert scores.values["ece"] == pytest.approx(0.75 - 0.7, abs=1e-6)  # one bin: 3 of 4 right at confidence 0.7
    assert "top5_accuracy" not in scores.values


def test_speech_or_not():
    # Predicted are music, noise, music, speech, speech; so two of five are right, and in four of five speech or not is.
    logits = np.eye(3)[[0, 2, 0, 1, 1]]
    targets = np.array([0, 0, 2, 1, 2])
    scores = score(logits, targets, "single", ("music", "speech", "noise"))
    assert scores.values["accuracy"] == 0.4
    assert scores.values["sns"] == 0.8
    assert "sns" not in score(logits, targets, "single", ("music", "song", "noise")).values
    assert "sns" not in score(logits[:, :2], targets.clip(max=1), "single", ("music", "speech")).values


def test_hand_worked_multi_label():
    logits = np.array([[3.0, 0.0, 1.0], [2.0, 0.0, 1.0], [1.0, 0.0, 1.0], [0.0, 0.0, 1.0]])
    targets = np.array([[1, 1, 0], [0, 0, 0], [1, 0, 0], [0, 0, 0]])
    scores = score(logits, targets, "multi")
    # class 0: hits at ranks 1 and 3; class 1: four-way tie with one hit; class 2: no positive
    assert scores.per_class["mAP"] == pytest.approx(((1 + 2 / 3) / 2, 0.25, None))
    assert scores.per_class["mAUC"] == pytest.approx((0.75, 0.5, None))
    assert scores.values["mAP"] == pytest.approx((5 / 6 + 1 / 4) / 2)
    assert scores.values["mAUC"] == 0.625
    assert scores.values["d_prime"] == pytest.approx(math.sqrt(2) * 0.3186394, abs=1e-6)  # 0.625 quantile, from tables
    assert scores.defined == {"mAP": (2, 3), "mAUC": (2, 3)}
    assert scores.confusion is None


def test_class_whose_clips_are_all_positive_has_an_ap_and_no_auc():
    scores = score(np.array([[1.0, 2.0], [0.0, 1.0]]), np.array([[1, 1], [1, 0]]), "multi")
    assert scores.per_class == {"mAP": (1.0, 1.0), "mAUC": (None, 1.0)}
    assert scores.defined == {"mAP": (2, 2), "mAUC": (1, 2)}


def test_no_positive_at_all_is_undefined_not_zero():
    scores = score(np.ones((3, 2)), np.zeros((3, 2)), "multi")
    assert scores.values == {"mAP": None, "mAUC": None, "d_prime": None}
    with pytest.raises(TrainingError, match="undefined"):
        primary(np.ones((3, 2)), np.zeros((3, 2)), "multi")


def test_perfect_ranking_has_no_finite_d_prime():
    assert d_prime(1.0) is None
    assert d_prime(0.5) == 0
    assert d_prime(0.9) == pytest.approx(1.8124, abs=1e-4)  # sqrt(2) × 1.28155


@pytest.mark.parametrize("task", ["single", "multi"])
def test_every_metric_of_the_catalogue_and_no_other(task):
    logits, targets = toy(60, 12) if task == "single" else tags(60, 12)
    classes = ["speech", *(f"class{i}" for i in range(11))]
    assert set(score(logits, targets, task, classes).values) == {name for name, m in METRICS.items() if task in m.tasks}


def test_against_scikit_learn():
    logits, targets = toy(400, 12)
    scores = score(torch.from_numpy(logits), torch.from_numpy(targets), "single")
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    predicted = logits.argmax(1)
    truth = {
        "accuracy": sk.accuracy_score(targets, predicted),
        "macro_f1": sk.f1_score(targets, predicted, average="macro"),
        "macro_precision": sk.precision_score(targets, predicted, average="macro"),
        "macro_recall": sk.recall_score(targets, predicted, average="macro"),
        "top5_accuracy": sk.top_k_accuracy_score(targets, probabilities, k=5),
        "mAUC": sk.roc_auc_score(targets, probabilities, multi_class="ovr"),
        "mAP": sk.average_precision_score(np.eye(12)[targets], probabilities),
        "nll": sk.log_loss(targets, probabilities),
    }
    for name, value in truth.items():
        assert scores.values[name] == pytest.approx(value, abs=1e-6), name
    assert np.array_equal(scores.confusion, sk.confusion_matrix(targets, predicted))


def test_calibration_error_against_its_definition():
    logits, targets = toy(500, 4)
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    confidence, right = probabilities.max(1), probabilities.argmax(1) == targets
    bins = np.ceil(confidence * 15)
    truth = sum(
        abs(right[bins == b].mean() - confidence[bins == b].mean()) * (bins == b).mean() for b in np.unique(bins)
    )
    assert score(logits, targets, "single").values["ece"] == pytest.approx(truth, abs=1e-6)


def test_the_last_bin_of_the_calibration_error_contains_1():
    """All clips lie in [14/15, 1]: 19 of 20 are right, the mean confidence is (19 × 0.95 + 1) / 20 = 0.9525."""
    logits = np.zeros((20, 2))
    logits[:19, 0], logits[19, 0] = math.log(19), 50.0  # probabilities 0.95 and 1
    targets = np.array([0] * 19 + [1])
    assert score(logits, targets, "single").values["ece"] == pytest.approx(0.0025, abs=1e-6)


@pytest.mark.parametrize("scale", [1, 4, 40])
def test_calibration_error_has_the_bins_of_numpys_histogram(scale):
    """`np.histogram`'s bins contain their lower edge, and the last one both; large logits give many ones."""
    random = np.random.default_rng(3)
    logits = scale * random.normal(size=(300, 5))
    targets = random.integers(0, 5, 300)
    probabilities = np.exp(logits - logits.max(1, keepdims=True))
    confidence = (probabilities / probabilities.sum(1, keepdims=True)).max(1)
    right = logits.argmax(1) == targets
    difference, _ = np.histogram(confidence, bins=15, range=(0, 1), weights=right - confidence)
    truth = np.abs(difference).sum() / 300
    assert score(logits, targets, "single").values["ece"] == pytest.approx(truth, abs=1e-6)


def test_logits_between_0_and_1_are_not_taken_for_probabilities():
    logits = np.array([[1.0, 0.0], [1.0, 0.0]])
    confidence = math.e / (math.e + 1)
    assert score(logits, np.array([0, 0]), "single").values["ece"] == pytest.approx(1 - confidence, abs=1e-6)


@pytest.mark.slow
@settings(max_examples=60)
@given(st.data())
def test_ranking_equals_scikit_learn_with_ties(data):
    clips = data.draw(st.integers(2, 40))
    scores = data.draw(hnp.arrays(np.float64, (clips, 2), elements=st.integers(-3, 3).map(lambda v: v / 2)))
    positive = data.draw(hnp.arrays(bool, (clips, 2)))
    precision, area = ranking.average_precision_and_auc(scores, positive)
    for c in range(2):
        hits = positive[:, c].sum()
        assert math.isnan(precision[c]) == (hits == 0)
        assert math.isnan(area[c]) == (hits in (0, clips))
        if hits:
            assert precision[c] == pytest.approx(sk.average_precision_score(positive[:, c], scores[:, c]), abs=1e-9)
        if 0 < hits < clips:
            assert area[c] == pytest.approx(sk.roc_auc_score(positive[:, c], scores[:, c]), abs=1e-9)


def test_ranking_does_not_change_its_input_and_takes_float32():
    logits, targets = tags(300, 5)
    single = logits.astype(np.float32)
    before = single.copy()
    precision, area = ranking.average_precision_and_auc(single, targets.astype(bool))
    assert np.array_equal(single, before)
    assert precision == pytest.approx(
        [sk.average_precision_score(targets[:, c], single[:, c]) for c in range(5)], abs=1e-9
    )
    assert area == pytest.approx([sk.roc_auc_score(targets[:, c], single[:, c]) for c in range(5)], abs=1e-9)


def test_log_odds_of_the_softmax():
    logits = toy(50, 4)[0]
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    assert single_label.log_odds(logits) == pytest.approx(np.log(p / (1 - p)))


def test_confident_clips_do_not_tie():
    # the softmax is 0 and 1 in double precision in all three, yet the first clip is the least sure
    logits = np.array([[0.0, 800.0], [0.0, 900.0], [0.0, 850.0]])
    assert score(logits, np.array([0, 1, 1]), "single").per_class["mAUC"] == (1.0, 1.0)


@pytest.mark.parametrize("task", ["single", "multi"])
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_non_finite_logits_are_no_score(task, bad):
    logits, targets = toy(30, 3) if task == "single" else tags(30, 3)
    logits[7, 1] = bad
    for function in (score, primary):
        with pytest.raises(TrainingError, match="1 of 30 clips are not finite"):
            function(logits, targets, task)


@pytest.mark.parametrize(
    ("logits", "targets", "task", "error"),
    [
        (np.ones((0, 3)), np.ones(0, int), "single", TrainingError),
        (np.ones((2, 3)), np.array([0, 3]), "single", ValueError),
        (np.ones((2, 3)), np.array([0, -1]), "single", ValueError),
        (np.ones((2, 3)), np.array([0, 0.5]), "single", ValueError),
        (np.ones((2, 3)), np.zeros((2, 3)), "single", ValueError),
        (np.ones((2, 3)), np.array([0, 1]), "multi", ValueError),
        (np.ones((2, 3)), np.full((2, 3), 0.5), "multi", ValueError),
        (np.ones((2, 1)), np.array([0, 0]), "single", ValueError),
        (np.ones((2, 3)), np.array([0, 1]), "many", ValueError),
    ],
)
def test_what_does_not_fit_is_refused(logits, targets, task, error):
    with pytest.raises(error):
        score(logits, targets, task)


def test_one_clip_and_one_class_present():
    scores = score(np.array([[2.0, 1.0]]), np.array([0]), "single")
    assert scores.values["accuracy"] == scores.values["macro_f1"] == scores.values["mAP"] == 1.0
    assert scores.values["mAUC"] is None
    assert scores.defined["mAUC"] == (0, 2)


def test_bfloat16_logits():
    logits, targets = toy(40, 3)
    half = torch.from_numpy(logits).bfloat16()
    assert score(half, targets, "single") == score(half.float(), targets, "single")


@pytest.mark.parametrize("task", ["single", "multi"])
def test_primary_is_the_same_number(task):
    logits, targets = toy(90, 6) if task == "single" else tags(90, 6)
    assert (
        primary(logits, targets, task)
        == score(logits, targets, task).values[{"single": "accuracy", "multi": "mAP"}[task]]
    )


def test_bootstrap_draws_equal_scores_of_repeated_clips():
    logits, targets = tags(80, 4, share=0.1)
    logits = np.round(logits)  # ties
    group = np.arange(80) // 2
    counts = bootstrap.group_counts(40, 70, 3)  # more draws than are done at once
    draws = bootstrap.mean_average_precisions(logits, targets.astype(bool), group, counts)
    for draw in (0, 1, 2, 62, 63, 64, 65, 69):
        repeated = np.repeat(np.arange(80), counts[draw, group])
        per_class = [
            sk.average_precision_score(targets[repeated, c], logits[repeated, c])
            for c in range(4)
            if targets[repeated, c].any()
        ]
        assert draws[draw] == pytest.approx(np.mean(per_class), abs=1e-6)
    right = logits.argmax(1) == 0
    accuracies = bootstrap.accuracies(right, group, counts)
    assert accuracies[5] == pytest.approx(right[np.repeat(np.arange(80), counts[5, group])].mean())


def test_a_draw_without_any_positive_is_left_out():
    counts = np.array([[2, 0], [1, 1]])
    draws = bootstrap.mean_average_precisions(
        np.array([[0.0], [1.0]]), np.array([[False], [True]]), np.arange(2), counts
    )
    assert math.isnan(draws[0])
    assert draws[1] == 1
    none = bootstrap.mean_average_precisions(np.zeros((2, 1)), np.zeros((2, 1), bool), np.arange(2), counts)
    assert np.isnan(none).all()


def test_accuracy_draws_are_binomial_and_wider_with_fewer_groups():
    targets = np.zeros(1000, int)
    logits = np.where(np.arange(1000)[:, None] % 10 < 3, [[0.0, 1.0]], [[1.0, 0.0]])  # 70 % right
    draws = bootstrap_draws(logits, targets, [str(i) for i in range(1000)], "single")
    deviation = math.sqrt(0.7 * 0.3 / 1000)
    assert (draws.mean(), draws.std()) == pytest.approx((0.7, deviation), rel=0.05)
    order = np.argsort(np.arange(1000) % 10 < 3, kind="stable")  # each group all right or all wrong
    draws = bootstrap_draws(logits[order], targets, [str(i // 10) for i in range(1000)], "single")
    assert draws.std() == pytest.approx(deviation * math.sqrt(10), rel=0.1)


@pytest.mark.slow
def test_draws_of_map_lie_about_the_score():
    logits, targets = tags(5000, 200, share=0.002)
    logits += targets  # ten positives a class: all draws' mAP lies above the score
    groups = [f"{i:04}" for i in range(5000)]  # in order
    draws = bootstrap_draws(logits, targets, groups, "multi", draws=100)
    point = primary(logits, targets, "multi")
    assert draws.mean() == pytest.approx(point)
    plain = bootstrap.mean_average_precisions(
        logits, targets.astype(bool), np.arange(5000), bootstrap.group_counts(5000, 100, 0)
    )
    assert np.quantile(plain, 0.025) > point  # so the shift is needed
    assert np.ptp(draws) == pytest.approx(np.ptp(plain))


def test_draws_are_paired_and_repeatable_and_refuse():
    logits, targets = toy(60, 3)
    groups = [str(i // 2) for i in range(60)]
    one, other = (bootstrap_draws(x, targets, groups, "single", seed=4) for x in (logits, -logits))
    assert (one == bootstrap_draws(logits, targets, groups, "single", seed=4)).all()
    always = bootstrap_draws(np.eye(3)[targets], targets, groups, "single", seed=4)
    assert (always == 1).all()
    wrong = np.where(np.arange(60)[:, None] < 30, np.eye(3)[targets], -np.eye(3)[targets])
    right = bootstrap_draws(-wrong, targets, groups, "single", seed=4)
    half = bootstrap_draws(wrong, targets, groups, "single", seed=4)
    np.testing.assert_allclose(half + right, 1)  # each draw has the same clips for both
    assert len(one) == len(other) == 1000
    assert bootstrap_draws(logits, targets, ["one"] * 60, "single") is None
    assert bootstrap_draws(np.ones((3, 2)), np.zeros((3, 2)), ["a", "b", "c"], "multi") is None
    with pytest.raises(ValueError, match="3 groups for 60"):
        bootstrap_draws(logits, targets, ["a", "b", "c"], "single")


@pytest.mark.slow
def test_audioset_sized_data_have_a_score_and_draws():
    """How fast, `benchmarks/metrics.py` measures."""
    logits, targets = tags(5197, 527, share=0.003)
    logits = logits.astype(np.float32)
    found = score(logits, targets, "multi").values["mAP"]
    draws = bootstrap_draws(logits, targets, [str(i) for i in range(5197)], "multi", draws=100)
    assert 0 < found < 1
    assert draws.shape == (100,)
    assert ((draws > 0) & (draws < 1)).all()
