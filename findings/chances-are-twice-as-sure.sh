#!/usr/bin/env bash
# skl2onnx exports linear discriminant analysis of two classes with log-odds that are doubled: 0.90 becomes 0.99.
#
# Guess:    the ONNX file of a LinearDiscriminantAnalysis gives the probabilities of the model, as it does with three classes and more.
# Happens:  with two classes a probability p becomes p^2 / (p^2 + (1-p)^2). Labels and the order of clips are right. The calibration error
#           grows, and so does the log loss. Nothing is said.
# Cause:    the converter of linear classifiers writes two rows of coefficients for two classes, minus w and w. For each model that it does
#           not know by name it takes the softmax of the two scores, which is the logistic function of 2s; the model's is that of s.
# Matters:  accuracy and ROC area are those of the model, so a test of the export by its scores passes. A threshold of 0.9 that was set on
#           the model lets through what has 0.75. Compare probabilities, or take half the difference of the log-probabilities.
# Versions: skl2onnx 1.20.0, scikit-learn 1.9.1, onnx 1.23.2, onnxruntime 1.32.0, numpy 2.4.6, Python 3.11.7.
# Date:     2026-11
# Output:
#   skl2onnx 1.20.0
#   logistic regression, 2 classes: a probability differs by 0.00, 100.0% of the labels are the same
#   discriminant analysis, 3 classes: a probability differs by 0.00, 100.0% of the labels are the same
#   discriminant analysis, 2 classes: a probability differs by 0.15, 100.0% of the labels are the same
#     model: 0.90, ROC area 0.897, log loss 0.40, calibration error 0.024
#     file:  0.99, ROC area 0.897, log loss 0.45, calibration error 0.075
#   discriminant analysis, 2 classes, shrunk: a probability differs by 0.15, 100.0% of the labels are the same
#     model: 0.90, ROC area 0.897, log loss 0.41, calibration error 0.041
#     file:  0.99, ROC area 0.897, log loss 0.42, calibration error 0.057
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check numpy==2.4.6 scikit-learn==1.9.1 onnx==1.23.2 onnxruntime==1.32.0 \
    skl2onnx==1.20.0

cat > check.py <<'PYTHON'
import sys

import numpy as np
import onnxruntime
import skl2onnx
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score

onnxruntime.set_default_logger_severity(3)
numbers = np.random.default_rng(0)
clips = numbers.standard_normal((4000, 8)).astype(np.float32)
scores = clips @ numbers.standard_normal((8, 3)) + 2 * numbers.standard_normal((4000, 3))
two, three = (scores[:, 0] > 0).astype(int), scores.argmax(1)
train, test = slice(0, 2000), slice(2000, 4000)


def in_onnx(model):
    file = skl2onnx.to_onnx(model, clips[:1], options={"zipmap": False})
    return onnxruntime.InferenceSession(file.SerializeToString()).run(None, {"X": clips[test]})


def error(chances, labels):  # expected calibration error of the second class, ten bins
    bins = np.minimum((chances * 10).astype(int), 9)
    return sum(abs((chances[bins == one] - labels[bins == one]).sum()) for one in np.unique(bins)) / len(labels)


print("skl2onnx", skl2onnx.__version__)
ok = True
for words, model, labels in (
    ("logistic regression, 2 classes", LogisticRegression(), two),
    ("discriminant analysis, 3 classes", LinearDiscriminantAnalysis(), three),
    ("discriminant analysis, 2 classes", LinearDiscriminantAnalysis(), two),
    ("discriminant analysis, 2 classes, shrunk", LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto"), two),
):
    model.fit(clips[train], labels[train])
    wanted = model.predict_proba(clips[test])
    label, found = in_onnx(model)
    apart = float(np.abs(found - wanted).max())
    same = np.mean(label == model.predict(clips[test]))
    print(f"{words}: a probability differs by {apart:.2f}, {same:.1%} of the labels are the same")
    ok &= same > 0.999
    if words.startswith("logistic") or labels is three:
        ok &= apart < 1e-4
        continue
    squared = wanted[:, 1] ** 2 / (wanted**2).sum(1)
    nearest = np.abs(wanted[:, 1] - 0.9).argmin()
    losses = [log_loss(labels[test], given) for given in (wanted, found)]
    errors = [error(given[:, 1], labels[test]) for given in (wanted, found)]
    areas = [roc_auc_score(labels[test], given[:, 1]) for given in (wanted, found)]
    print(f"  model: {wanted[nearest, 1]:.2f}, ROC area {areas[0]:.3f}, log loss {losses[0]:.2f}, calibration error {errors[0]:.3f}")
    print(f"  file:  {found[nearest, 1]:.2f}, ROC area {areas[1]:.3f}, log loss {losses[1]:.2f}, calibration error {errors[1]:.3f}")
    ok &= apart > 0.1 and float(np.abs(found[:, 1] - squared).max()) < 1e-5
    ok &= losses[1] > losses[0] + 0.005 and errors[1] > errors[0] + 0.01 and abs(areas[0] - areas[1]) < 1e-3
sys.exit(0 if ok else "the behaviour has changed")
PYTHON
venv/bin/python check.py
