#!/usr/bin/env bash
# skl2onnx exports a nearest-neighbour classifier with distance weights as one without weights: its accuracy falls from 0.89 to 0.78.
#
# Guess:    the ONNX file of KNeighborsClassifier(weights="distance") weights neighbours by their distance: the converter reads `weights`,
#           computes weights from the distances, and refuses a function in their place.
# Happens:  all neighbours have the same weight. Labels and probabilities are those of weights="uniform", with the cosine distance, too. A
#           regression loses its weights as well. Nothing is said.
# Cause:    a function of the converter finds the nearest neighbours, turns the sign of their distances round, and returns negative
#           distances. The caller takes max(distance, 0.000001), against a division by 0, and then 1 / distance. All weights are 1,000,000.
# Matters:  the more neighbours, the larger the loss: weights are chosen for just that. Labels agree in most clips, so a look at a few
#           passes. Compare all probabilities after the export.
# Versions: skl2onnx 1.20.0, scikit-learn 1.9.1, onnx 1.23.2, onnxruntime 1.32.0, numpy 2.4.6, scipy 1.17.1, Python 3.11.7.
# Date:     2026-11
# Output:
#   skl2onnx 1.20.0
#   euclidean, weights=uniform: accuracy 0.78 in scikit-learn, 0.78 in ONNX; a probability differs by 0.00; as uniform: True
#   euclidean, weights=distance: accuracy 0.89 in scikit-learn, 0.78 in ONNX; a probability differs by 0.32; as uniform: True
#   cosine, weights=uniform: accuracy 0.74 in scikit-learn, 0.74 in ONNX; a probability differs by 0.00; as uniform: True
#   cosine, weights=distance: accuracy 0.90 in scikit-learn, 0.74 in ONNX; a probability differs by 0.63; as uniform: True
#   regression, weights=uniform: R2 0.89 in scikit-learn, 0.89 in ONNX
#   regression, weights=distance: R2 0.93 in scikit-learn, 0.89 in ONNX
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check numpy==2.4.6 scipy==1.17.1 scikit-learn==1.9.1 onnx==1.23.2 \
    onnxruntime==1.32.0 skl2onnx==1.20.0

cat > check.py <<'PYTHON'
import sys

import numpy as np
import onnxruntime
import skl2onnx
from sklearn.metrics import accuracy_score, r2_score
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

RANDOM = np.random.default_rng(0)
SOURCES = RANDOM.normal(size=(200, 8))  # 200 sources of sound, 40 of each of five classes


def clips(number):
    source = RANDOM.integers(0, 200, number)
    return (SOURCES[source] + 0.3 * RANDOM.normal(size=(number, 8))).astype("float32"), source % 5, SOURCES[source].sum(1)


def outputs(model, features):
    options = {"zipmap": False} if hasattr(model, "classes_") else None
    file = skl2onnx.to_onnx(model, features[:1], options=options)
    session = onnxruntime.InferenceSession(file.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: features})


train, train_labels, train_values = clips(1000)
features, labels, values = clips(1000)
print("skl2onnx", skl2onnx.__version__)
lost, kept = [], []
for metric in ("euclidean", "cosine"):
    unweighted = KNeighborsClassifier(10, metric=metric).fit(train, train_labels)
    for weights in ("uniform", "distance"):
        model = KNeighborsClassifier(10, weights=weights, metric=metric).fit(train, train_labels)
        guesses, table = outputs(model, features)
        right, exported = accuracy_score(labels, model.predict(features)), accuracy_score(labels, guesses)
        far = np.abs(table - model.predict_proba(features)).max()
        same = bool(np.abs(table - unweighted.predict_proba(features)).max() < 1e-5)
        print(f"{metric}, weights={weights}: accuracy {right:.2f} in scikit-learn, {exported:.2f} in ONNX;", end=" ")
        print(f"a probability differs by {far:.2f}; as uniform: {same}")
        (lost if weights == "distance" else kept).append((right - exported, same))
for weights in ("uniform", "distance"):
    model = KNeighborsRegressor(10, weights=weights).fit(train, train_values)
    right, exported = r2_score(values, model.predict(features)), r2_score(values, outputs(model, features)[0].ravel())
    print(f"regression, weights={weights}: R2 {right:.2f} in scikit-learn, {exported:.2f} in ONNX")
good = all(loss == 0 and same for loss, same in kept) and all(loss > 0.05 and same for loss, same in lost)
sys.exit(0 if good and right > exported + 0.02 else "the behaviour has changed")
PYTHON
ORT_DISABLE_TELEMETRY=1 venv/bin/python check.py
