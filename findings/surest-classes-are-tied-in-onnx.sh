#!/usr/bin/env bash
# skl2onnx takes the first of the classes that SGDClassifier is sure of, where the model takes the one it is surest of.
#
# Guess:    the label output of the ONNX file of SGDClassifier(loss="modified_huber") is `predict` of the model, its second output
#           `predict_proba`.
# Happens:  the probabilities are right, and the labels are not: accuracy falls with three classes and more. Where several classes are
#           surely present, the file says the one with the smallest number, so clips move to the first classes. Nothing is said.
# Cause:    the probabilities of this loss are margins that are cut at -1 and 1, so ties are common, also among zeros. The converter takes
#           the label from the probabilities; scikit-learn takes it from the margins. With `raw_scores=True` the converter does, too.
# Matters:  modified_huber is the one loss of SGDClassifier besides log_loss that has probabilities, and scikit-learn's documentation calls
#           it tolerant of outliers. A test of the export by its probabilities passes. Export with `raw_scores=True` for the labels.
# Versions: skl2onnx 1.20.0, scikit-learn 1.9.1, onnx 1.23.2, onnxruntime 1.32.0, numpy 2.4.6, Python 3.11.7.
# Date:     2026-11
# Output:
#   skl2onnx 1.20.0
#   log_loss, 10 classes: accuracy 0.78 in scikit-learn, 0.78 in ONNX, 0.78 with raw_scores
#     a probability differs by 0.00; 0% of the clips have a tie at the top; first class: 9% in scikit-learn, 9% in ONNX
#   modified_huber, 2 classes: accuracy 0.92 in scikit-learn, 0.92 in ONNX, 0.92 with raw_scores
#     a probability differs by 0.00; 0% of the clips have a tie at the top; first class: 50% in scikit-learn, 50% in ONNX
#   modified_huber, 5 classes: accuracy 0.85 in scikit-learn, 0.70 in ONNX, 0.85 with raw_scores
#     a probability differs by 0.00; 39% of the clips have a tie at the top; first class: 22% in scikit-learn, 44% in ONNX
#   modified_huber, 10 classes: accuracy 0.77 in scikit-learn, 0.57 in ONNX, 0.77 with raw_scores
#     a probability differs by 0.00; 48% of the clips have a tie at the top; first class: 8% in scikit-learn, 41% in ONNX
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
from sklearn.linear_model import SGDClassifier

onnxruntime.set_default_logger_severity(3)
numbers = np.random.default_rng(0)


def in_onnx(model, clips, **options):
    file = skl2onnx.to_onnx(model, clips[:1], options={"zipmap": False, **options})
    return onnxruntime.InferenceSession(file.SerializeToString()).run(None, {"X": clips})


print("skl2onnx", skl2onnx.__version__)
ok = True
for loss, count in (("log_loss", 10), ("modified_huber", 2), ("modified_huber", 5), ("modified_huber", 10)):
    clips = numbers.standard_normal((4000, 20)).astype(np.float32)
    labels = (clips @ numbers.standard_normal((20, count)) + numbers.standard_normal((4000, count))).argmax(1)
    model = SGDClassifier(loss=loss, random_state=0, average=True).fit(clips[:2000], labels[:2000])
    clips, labels = clips[2000:], labels[2000:]
    wanted, chances = model.predict(clips), model.predict_proba(clips)
    found, others = in_onnx(model, clips)
    raw, _ = in_onnx(model, clips, raw_scores=True)
    apart = float(np.abs(others - chances).max())
    right = [np.mean(given == labels) for given in (wanted, found, raw)]
    ties = np.mean((chances == chances.max(1, keepdims=True)).sum(1) > 1)
    first = [np.mean(given == 0) for given in (wanted, found)]
    print(f"{loss}, {count} classes: accuracy {right[0]:.2f} in scikit-learn, {right[1]:.2f} in ONNX, {right[2]:.2f} with raw_scores")
    print(f"  a probability differs by {apart:.2f}; {ties:.0%} of the clips have a tie at the top;",
          f"first class: {first[0]:.0%} in scikit-learn, {first[1]:.0%} in ONNX")
    ok &= apart < 1e-3 and abs(right[2] - right[0]) < 0.002
    if loss == "log_loss" or count == 2:
        ok &= abs(right[1] - right[0]) < 0.002
    else:
        ok &= right[1] < right[0] - 0.03 and first[1] > first[0]
sys.exit(0 if ok else "the behaviour has changed")
PYTHON
venv/bin/python check.py
