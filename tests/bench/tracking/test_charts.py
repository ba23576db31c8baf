"""Curves and tables of the charts that W&B draws."""

import numpy as np
import pytest
import torch
from fakes.boards import boards
from fakes.boards import record as scored
from fakes.boards import run as of
from fakes.mirrored import LOGITS, OK, TARGETS
from sklearn.metrics import precision_recall_curve, roc_curve
from torchmetrics.functional.classification import multiclass_calibration_error

from bench.leaderboard import pareto
from bench.records import Record
from bench.tracking import charts
from bench.tracking.charts import precision_recall, precision_recall_rows, roc, roc_rows


def test_precision_recall_equals_scikit_learn() -> None:
    random = np.random.default_rng(0)
    scores, positive = random.integers(0, 20, 150) / 20, random.random(150) < 0.3  # many ties
    recall, precision = precision_recall(scores, positive)
    expected_precision, expected_recall, _ = precision_recall_curve(positive, scores)
    np.testing.assert_allclose(precision, expected_precision[-2::-1])  # without its made-up last point
    np.testing.assert_allclose(recall, expected_recall[-2::-1])


def test_roc_equals_scikit_learn() -> None:
    random = np.random.default_rng(0)
    scores, positive = random.integers(0, 20, 150) / 20, random.random(150) < 0.3  # many ties
    expected = roc_curve(positive, scores, drop_intermediate=False)
    np.testing.assert_allclose(roc(scores, positive), expected[:2])


@pytest.mark.parametrize("classes", [2, 7])
def test_calibration_sums_up_to_the_calibration_error(classes: int) -> None:
    random = np.random.default_rng(classes)
    logits, targets = 2 * random.normal(size=(300, classes)), random.integers(0, classes, 300)
    rows = [row for row in charts.calibration_rows(logits, targets) if row[1] == "measured"]
    error = sum(clips * abs(right - confidence) for confidence, _, right, clips in rows) / 300
    shares = torch.from_numpy(logits).softmax(1)
    expected = multiclass_calibration_error(shares, torch.from_numpy(targets), num_classes=classes, n_bins=15)
    assert error == pytest.approx(float(expected), abs=1e-6)


def test_calibration_of_several_labels_is_over_every_label_of_every_clip() -> None:
    logits = np.log(np.array([[0.9, 0.1], [0.9, 0.1]]) / np.array([[0.1, 0.9], [0.1, 0.9]]))
    rows = charts.calibration_rows(logits, np.array([[1.0, 0.0], [0.0, 0.0]]))
    assert rows[0] == (pytest.approx(0.1), "measured", 0.0, 2)
    assert rows[1] == (pytest.approx(0.9), "measured", 0.5, 2)


def test_a_leaderboard_without_a_cost_or_a_score_has_no_scatter() -> None:
    (without_a_cost,) = boards(scored(of("cnn"), 0.5, complexity=None, latencies=()))
    assert pareto.plots(without_a_cost) == ()
    (without_a_score,) = boards(scored(of("cnn"), scores={"macro_f1": 0.5}))
    assert pareto.plots(without_a_score) == ()


def test_precision_recall_is_thinned_to_200_points_and_keeps_the_ends() -> None:
    random = np.random.default_rng(0)
    scores, positive = random.random(5000), random.random(5000) < 0.3
    recall, precision = precision_recall(scores, positive)
    assert len(recall) == len(precision) == 200
    assert recall[-1] == 1.0
    assert precision[-1] == pytest.approx(positive.mean())


def test_many_classes_give_the_ten_most_frequent_and_the_micro_average() -> None:
    random = np.random.default_rng(0)
    targets = np.repeat(np.arange(12), np.arange(1, 13))  # class c has c + 1 clips
    rows = list(precision_recall_rows(random.normal(size=(len(targets), 12)), targets, [f"c{i}" for i in range(12)]))
    assert {row[0] for row in rows} == {"micro-average"} | {f"c{i}" for i in range(2, 12)}
    multi = list(precision_recall_rows(random.normal(size=(30, 3)), random.integers(0, 2, (30, 3)), ["a", "b", "c"]))
    assert {row[0] for row in multi} == {"micro-average", "a", "b", "c"}
    one = np.array([[1.0, 0.0], [1.0, 0.0]])  # a label that all clips have, one that none has
    assert {row[0] for row in roc_rows(random.normal(size=(2, 2)), one, ["a", "b"])} == {"micro-average"}


def test_micro_average_does_not_depend_on_a_clips_offset() -> None:
    offsets = np.array([[100.0], [-7.0], [0.0], [1000.0]])  # softmax does not see them
    plain = list(precision_recall_rows(LOGITS, TARGETS, OK.classes))
    assert list(precision_recall_rows(LOGITS + offsets, TARGETS, OK.classes)) == plain


def test_large_confusion_matrices_leave_out_empty_cells() -> None:
    names = tuple(f"c{i}" for i in range(120))
    confusion = tuple(tuple(int(i == j) for j in range(120)) for i in range(120))
    record = Record(run=OK.run, status="ok", classes=names, confusion=confusion)
    assert charts.confusion_rows(record) == [(name, name, 1) for name in names]
