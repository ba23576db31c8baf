#!/usr/bin/env bash
# onnxmltools turns a random forest of XGBoost with more than two classes into one that guesses: its accuracy falls from 0.83 to 0.20.
#
# Guess:    the ONNX file of an XGBRFClassifier, which the converter accepts by its name, gives the probabilities of the model.
# Happens:  with five classes the accuracy is 0.83 in XGBoost and 0.20 in the file, which is chance. Boosted forests (`num_parallel_tree=3`)
#           fall from 0.86 to 0.23. Nothing is said. Forests of two classes, and boosted trees of five, are right.
# Cause:    the converter takes tree number i for a tree of class i modulo 5. XGBoost writes the trees of a round class by class: with 30
#           parallel trees the first 30 belong to class 0. The converter does not read `num_parallel_tree`.
# Matters:  the file loads, has the right shape and sums to 1. Only a comparison of its scores with the model's shows it. Compare the
#           probabilities of some clips after each export, with all classes among them.
# Versions: onnxmltools 1.16.0, xgboost-cpu 3.2.0, onnxruntime 1.32.0, onnx 1.23.2, scikit-learn 1.9.1, numpy 2.4.6, Python 3.11.7.
# Date:     2026-11
# Output:
#   onnxmltools 1.16.0
#   random forest, 2 classes: accuracy 0.95 in XGBoost, 0.95 in ONNX; a probability differs by 0.00
#   random forest, 5 classes: accuracy 0.83 in XGBoost, 0.20 in ONNX; a probability differs by 0.69
#   boosted trees, 5 classes: accuracy 0.85 in XGBoost, 0.85 in ONNX; a probability differs by 0.00
#   boosted forests of 3 trees, 5 classes: accuracy 0.86 in XGBoost, 0.23 in ONNX; a probability differs by 0.99
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check numpy==2.4.6 scikit-learn==1.9.1 xgboost-cpu==3.2.0 onnx==1.23.2 \
    onnxruntime==1.32.0 skl2onnx==1.20.0 onnxmltools==1.16.0

cat > check.py <<'PYTHON'
import sys
from importlib.metadata import version

import numpy as np
import onnxruntime
import xgboost
from onnxmltools import convert_xgboost
from onnxmltools.convert.common.data_types import FloatTensorType

RANDOM = np.random.default_rng(0)


def clips(number, classes):
    labels = RANDOM.integers(0, classes, number)
    return (RANDOM.normal(size=(number, 8)) + 2.5 * np.eye(8)[labels]).astype("float32"), labels


print("onnxmltools", version("onnxmltools"))
seen = {}
for name, model, classes in (
    ("random forest, 2 classes", xgboost.XGBRFClassifier(n_estimators=30), 2),
    ("random forest, 5 classes", xgboost.XGBRFClassifier(n_estimators=30), 5),
    ("boosted trees, 5 classes", xgboost.XGBClassifier(n_estimators=30), 5),
    ("boosted forests of 3 trees, 5 classes", xgboost.XGBClassifier(n_estimators=30, num_parallel_tree=3, subsample=0.8), 5),
):
    model.set_params(n_jobs=1, random_state=0, max_depth=4)
    model.fit(*clips(500, classes))
    features, labels = clips(1000, classes)
    file = convert_xgboost(model, initial_types=[("features", FloatTensorType([None, 8]))]).SerializeToString()
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    guesses, scores = session.run(None, {"features": features})
    right, exported = (model.predict(features) == labels).mean(), (guesses == labels).mean()
    difference = np.abs(np.asarray(scores) - model.predict_proba(features)).max()
    print(f"{name}: accuracy {right:.2f} in XGBoost, {exported:.2f} in ONNX; a probability differs by {difference:.2f}")
    seen[name] = right - exported
wrong = [loss for name, loss in seen.items() if "forest" in name and "5" in name]
sound = [loss for name, loss in seen.items() if "2 classes" in name or "boosted trees" in name]
sys.exit(0 if min(wrong) > 0.3 and max(sound) < 0.01 else "the behaviour has changed")
PYTHON
ORT_DISABLE_TELEMETRY=1 venv/bin/python check.py
