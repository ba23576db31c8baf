#!/usr/bin/env bash
# CatBoost writes a tagger as an ONNX file in which the tags compete: the probabilities sum to 1, and its F1 score falls from 0.82 to 0.54.
#
# Guess:    the ONNX file of a model with loss_function="MultiLogloss" gives the probabilities of the model: one for each tag, independent
#           of the others. A loss that cannot be written is refused, as trees that are not symmetric are.
# Happens:  the file returns a softmax over the tags and one label a clip. A clip with three tags has hardly one above 0.5. Probabilities
#           of MultiCrossEntropy and MultiClassOneVsAll are wrong as well. Nothing is said. MultiClass is right.
# Cause:    to the exporter, each model with more than one dimension is a TreeEnsembleClassifier with the transformation SOFTMAX; it does
#           not look at the loss. The trees are those of the model, and LOGISTIC in its place gives the model's probabilities.
# Matters:  files of one-vs-all have the right labels, so accuracy shows nothing, and a threshold for "none of these" does not hold. Change
#           the attribute `post_transform` of the file, as below, and compare probabilities after each export.
# Versions: catboost 1.2.10, onnxruntime 1.32.0, onnx 1.23.2, scikit-learn 1.9.1, numpy 2.4.6, Python 3.11.7.
# Date:     2026-11
# Output:
#   catboost 1.2.10 onnxruntime 1.32.0
#   MultiLogloss: SOFTMAX; a probability differs by 0.75, with LOGISTIC by 0.00; sum in the first clip 1.58 in CatBoost, 1.00 in ONNX
#     F1 0.82 in CatBoost, 0.54 in ONNX; at most 4 tags of a clip in CatBoost, 1 in ONNX
#   MultiCrossEntropy: SOFTMAX; a probability differs by 0.75, with LOGISTIC by 0.00; sum in the first clip 1.58 in CatBoost, 1.00 in ONNX
#     F1 0.82 in CatBoost, 0.54 in ONNX; at most 4 tags of a clip in CatBoost, 1 in ONNX
#   MultiClassOneVsAll: SOFTMAX; a probability differs by 0.17, with LOGISTIC by 0.00; sum in the first clip 1.22 in CatBoost, 1.00 in ONNX
#     accuracy 0.77 in CatBoost, 0.77 in ONNX
#   MultiClass: SOFTMAX; a probability differs by 0.00, with LOGISTIC by 0.88; sum in the first clip 1.00 in CatBoost, 1.00 in ONNX
#     accuracy 0.81 in CatBoost, 0.81 in ONNX
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check numpy==2.4.6 scikit-learn==1.9.1 catboost==1.2.10 onnx==1.23.2 \
    onnxruntime==1.32.0

cat > check.py <<'PYTHON'
import sys

import catboost
import numpy as np
import onnx
import onnxruntime
from sklearn.metrics import f1_score

onnxruntime.set_default_logger_severity(3)
numbers = np.random.default_rng(0)
clips = numbers.standard_normal((2000, 10)).astype(np.float32)
scores = clips @ numbers.standard_normal((10, 4)) + 0.5 * numbers.standard_normal((2000, 4))
tags, classes = (scores > 1).astype(int), scores.argmax(1)
train, test = slice(0, 1000), slice(1000, 2000)


def in_onnx(model, transform=None):
    model.save_model("model.onnx", format="onnx")
    file = onnx.load("model.onnx")
    for node in file.graph.node:
        for attribute in node.attribute:
            if attribute.name == "post_transform":
                was = attribute.s.decode()
                attribute.s = (transform or was).encode()
    label, given = onnxruntime.InferenceSession(file.SerializeToString()).run(None, {"features": clips[test]})
    if isinstance(given, list):
        given = np.array([[row[name] for name in sorted(row)] for row in given])
    return np.asarray(label), given, was


print("catboost", catboost.__version__, "onnxruntime", onnxruntime.__version__)
ok = True
for loss in ("MultiLogloss", "MultiCrossEntropy", "MultiClassOneVsAll", "MultiClass"):
    labels = classes if loss.startswith("MultiClass") else tags
    model = catboost.CatBoostClassifier(loss_function=loss, iterations=100, verbose=0, thread_count=1, random_seed=0)
    model.fit(clips[train], labels[train] if loss != "MultiCrossEntropy" else labels[train].astype(float))
    wanted = model.predict_proba(clips[test])
    label, found, was = in_onnx(model)
    apart = float(np.abs(found - wanted).max())
    repaired = float(np.abs(in_onnx(model, "LOGISTIC")[1] - wanted).max())
    print(f"{loss}: {was}; a probability differs by {apart:.2f}, with LOGISTIC by {repaired:.2f};",
          f"sum in the first clip {wanted[0].sum():.2f} in CatBoost, {found[0].sum():.2f} in ONNX")
    if labels is tags:
        f1 = [f1_score(tags[test], given > 0.5, average="macro") for given in (wanted, found)]
        count = [(given > 0.5).sum(1).max() for given in (wanted, found)]
        print(f"  F1 {f1[0]:.2f} in CatBoost, {f1[1]:.2f} in ONNX; at most {count[0]} tags of a clip in CatBoost, {count[1]} in ONNX")
        ok &= f1[1] < f1[0] - 0.05 and count[1] == 1 and label.shape == (1000,)
    else:
        right = [np.mean(given == classes[test]) for given in (wanted.argmax(1), label)]
        print(f"  accuracy {right[0]:.2f} in CatBoost, {right[1]:.2f} in ONNX")
        ok &= right[0] == right[1]
    ok &= was == "SOFTMAX" and abs(float(found.sum(1).mean()) - 1) < 1e-4
    ok &= apart < 1e-4 if loss == "MultiClass" else (apart > 0.1 and repaired < 1e-4)
sys.exit(0 if ok else "the behaviour has changed")
PYTHON
venv/bin/python check.py
