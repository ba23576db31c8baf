#!/usr/bin/env bash
# skl2onnx exports a classifier with a tuned threshold without the threshold: the file finds half as many rare sounds as the model.
#
# Guess:    the ONNX file of scikit-learn's TunedThresholdClassifierCV gives the labels of the model, because nothing but a threshold makes
#           this class differ from the classifier inside. A class that cannot be written is refused.
# Happens:  a model whose threshold was tuned to 0.09 finds 76 % of the rare clips. Its file has the same probabilities. The labels of the
#           file find 36 %, exactly those of the classifier inside, which was not tuned. Nothing is said. The sister class with a threshold
#           that is given, FixedThresholdClassifier, is refused.
# Cause:    the converter writes the classifier inside, whose labels have the threshold 0.5, and passes them on. It does not read the
#           threshold that was found. The class does not change probabilities, so those are right.
# Matters:  the threshold was tuned because 0.5 is a bad one for a rare class. A comparison of probabilities finds no difference. Compare
#           the labels of the file with those of the model, too, or apply best_threshold_ to the probabilities outside of the file.
# Versions: skl2onnx 1.20.0, scikit-learn 1.9.1, onnx 1.23.2, onnxruntime 1.32.0, numpy 2.4.6, scipy 1.17.1, Python 3.11.7.
# Date:     2026-11
# Output:
#   skl2onnx 1.20.0
#   99 of 2,000 clips are rare; threshold 0.09; same probabilities in the file: True
#   model: recall 0.76, balanced accuracy 0.83, 279 clips called rare
#   file: recall 0.36, balanced accuracy 0.68, 49 clips called rare
#   classifier inside: recall 0.36, balanced accuracy 0.68, 49 clips called rare
#   a fixed threshold, FixedThresholdClassifier, is refused: True
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
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, recall_score
from sklearn.model_selection import FixedThresholdClassifier, TunedThresholdClassifierCV

print("skl2onnx", skl2onnx.__version__)
features, rare = make_classification(6000, 20, n_informative=8, weights=[0.95], class_sep=0.7, flip_y=0.01, random_state=0)
features = features.astype(np.float32)  # 20 features of 6,000 clips, of which one in twenty has a rare sound
train, test, truth = features[:4000], features[4000:], rare[4000:]

model = TunedThresholdClassifierCV(LogisticRegression(), scoring="balanced_accuracy").fit(train, rare[:4000])
file = skl2onnx.to_onnx(model, train[:1], options={"zipmap": False})
session = onnxruntime.InferenceSession(file.SerializeToString(), providers=["CPUExecutionProvider"])
labels, probabilities = session.run(None, {session.get_inputs()[0].name: test})

equal = np.abs(probabilities - model.predict_proba(test)).max() < 1e-5
print(f"{truth.sum()} of {len(truth):,} clips are rare; threshold {model.best_threshold_:.2f}; same probabilities in the file: {equal}")
scores = {}
for name, guess in (("model", model.predict(test)), ("file", labels), ("classifier inside", model.estimator_.predict(test))):
    scores[name] = guess.sum(), recall_score(truth, guess), balanced_accuracy_score(truth, guess)
    print(f"{name}: recall {scores[name][1]:.2f}, balanced accuracy {scores[name][2]:.2f}, {scores[name][0]} clips called rare")
try:
    skl2onnx.to_onnx(FixedThresholdClassifier(LogisticRegression(), threshold=0.2).fit(train, rare[:4000]), train[:1])
    refused = False
except skl2onnx.common.exceptions.MissingShapeCalculator:
    refused = True
print("a fixed threshold, FixedThresholdClassifier, is refused:", refused)
same = scores["file"] == scores["classifier inside"] and scores["file"][1] < 0.6 * scores["model"][1] and equal
sys.exit(0 if same and refused else "the behaviour has changed")
PYTHON
venv/bin/python check.py
