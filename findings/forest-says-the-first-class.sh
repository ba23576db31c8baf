#!/usr/bin/env bash
# onnxmltools turns a random forest of LightGBM into a file that says the first class of every clip: its accuracy falls from 0.73 to 0.20.
#
# Guess:    the ONNX file of LGBMClassifier(boosting_type="rf") gives the probabilities of the model, because the converter has a branch for
#           this boosting type. A model that is given as its booster, which the converter accepts too, gives the same file.
# Happens:  the file says class 0 of all clips, with a probability of 0.99 or more. With four classes it has two columns of probabilities.
#           Nothing is said. The file of the booster has right labels, and probabilities of 0 or 1. Boosted trees are right.
# Cause:    a forest of LightGBM takes the mean of its trees, and the logistic function or softmax of it. The file takes the logistic
#           function or softmax of the sum, and divides the second column by 100, however many trees there are: no clip has more than
#           0.01. The first column is 1 minus that. The branch for a booster looks for a mark that no booster has, and does not divide.
# Matters:  the file loads and sums to 1. A tagger with one file per tag hears nothing at all, and has the accuracy of silence, which may be
#           0.95. Save the model in LightGBM's own text format, and compare the probabilities of some clips after each export.
# Versions: onnxmltools 1.16.0, lightgbm 4.7.0, onnxruntime 1.32.0, onnx 1.23.2, skl2onnx 1.20.0, scikit-learn 1.9.1, numpy 2.4.6,
#           Python 3.11.7.
# Date:     2026-11
# Output:
#   onnxmltools 1.16.0 lightgbm 4.7.0
#   boosted trees, 2 classes: accuracy 0.89 in LightGBM, 0.89 in ONNX, 0.89 in ONNX of the booster
#     first clip: [0.66, 0.34] in LightGBM, [0.66, 0.34] in ONNX, [0.66, 0.34] in ONNX of the booster
#   boosted trees, 4 classes: accuracy 0.82 in LightGBM, 0.82 in ONNX, 0.82 in ONNX of the booster
#     first clip: [0.0, 0.95, 0.0, 0.04] in LightGBM, [0.0, 0.95, 0.0, 0.04] in ONNX, [0.0, 0.95, 0.0, 0.04] in ONNX of the booster
#   forest of 100 trees, 2 classes: accuracy 0.82 in LightGBM, 0.53 in ONNX, 0.82 in ONNX of the booster
#     first clip: [0.42, 0.58] in LightGBM, [0.99, 0.01] in ONNX, [0.0, 1.0] in ONNX of the booster
#     first class: 49% of the clips in LightGBM, 100% in ONNX
#   forest of 30 trees, 2 classes: accuracy 0.81 in LightGBM, 0.53 in ONNX, 0.81 in ONNX of the booster
#     first clip: [0.45, 0.55] in LightGBM, [0.99, 0.01] in ONNX, [0.0, 1.0] in ONNX of the booster
#     first class: 49% of the clips in LightGBM, 100% in ONNX
#   forest of 100 trees, 4 classes: accuracy 0.73 in LightGBM, 0.20 in ONNX, 0.73 in ONNX of the booster
#     first clip: [0.05, 0.63, 0.06, 0.27] in LightGBM, [0.99, 0.01] in ONNX, [0.0, 1.0, 0.0, 0.0] in ONNX of the booster
#     first class: 16% of the clips in LightGBM, 100% in ONNX
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check numpy==2.4.6 scikit-learn==1.9.1 lightgbm==4.7.0 onnx==1.23.2 \
    onnxruntime==1.32.0 skl2onnx==1.20.0 onnxmltools==1.16.0

cat > check.py <<'PYTHON'
import sys

import lightgbm
import numpy as np
import onnxmltools
import onnxruntime
from onnxmltools.convert.common.data_types import FloatTensorType

onnxruntime.set_default_logger_severity(3)  # the file states a wrong shape of the labels, which onnxruntime remarks on at each run
numbers = np.random.default_rng(0)
clips = numbers.standard_normal((2000, 10)).astype(np.float32)
four = (clips @ numbers.standard_normal((10, 4)) + 0.5 * numbers.standard_normal((2000, 4))).argmax(1)
two = (four > 1).astype(int)
train, test = slice(0, 1000), slice(1000, 2000)


def in_onnx(given):
    file = onnxmltools.convert_lightgbm(given, initial_types=[("x", FloatTensorType([None, 10]))], zipmap=False)
    return onnxruntime.InferenceSession(file.SerializeToString()).run(None, {"x": clips[test]})


def shown(chances):
    return np.round(chances[0].astype(float), 2).tolist()


print("onnxmltools", onnxmltools.__version__, "lightgbm", lightgbm.__version__)
ok = True
for words, labels, kind, trees in (
    ("boosted trees, 2 classes", two, "gbdt", 100),
    ("boosted trees, 4 classes", four, "gbdt", 100),
    ("forest of 100 trees, 2 classes", two, "rf", 100),
    ("forest of 30 trees, 2 classes", two, "rf", 30),
    ("forest of 100 trees, 4 classes", four, "rf", 100),
):
    model = lightgbm.LGBMClassifier(
        boosting_type=kind, bagging_freq=1, bagging_fraction=0.6, n_estimators=trees, n_jobs=1, verbose=-1, random_state=0
    ).fit(clips[train], labels[train])
    wanted, chances = model.predict(clips[test]), model.predict_proba(clips[test])
    found, others = in_onnx(model)
    of_booster, of_booster_chances = in_onnx(model.booster_)
    scores = [float(np.mean(given == labels[test])) for given in (wanted, found, of_booster)]
    print(f"{words}: accuracy {scores[0]:.2f} in LightGBM, {scores[1]:.2f} in ONNX, {scores[2]:.2f} in ONNX of the booster")
    print(f"  first clip: {shown(chances)} in LightGBM, {shown(others)} in ONNX, {shown(of_booster_chances)} in ONNX of the booster")
    if kind == "gbdt":
        ok &= bool(np.array_equal(found, wanted)) and float(np.abs(chances - others).max()) < 1e-4
        continue
    print(f"  first class: {np.mean(wanted == 0):.0%} of the clips in LightGBM, {np.mean(found == 0):.0%} in ONNX")
    ok &= bool((found == 0).all()) and others.shape == (1000, 2) and float(others[:, 1].max()) <= 0.0101 and scores[1] < scores[0] - 0.2
    ok &= bool(np.array_equal(of_booster, wanted)) and float(np.abs(of_booster_chances - chances).max()) > 0.4
sys.exit(0 if ok else "the behaviour has changed")
PYTHON
venv/bin/python check.py
