#!/usr/bin/env bash
# skl2onnx exports a one-vs-rest tagger of support-vector machines so that it tags the absent sounds: its F1 score falls from 0.82 to 0.02.
#
# Guess:    the ONNX file of a OneVsRestClassifier that was trained on several tags a clip gives the tags of the model, whatever classifier
#           is inside. One that cannot be written is refused.
# Happens:  with SVC inside, the model sets 1,185 tags and the file 6,196, nearly all of them absent. With LinearSVC inside, the file sets
#           1,014 tags instead of 1,371. Nothing is said. Logistic regression is right, and so is SVC in a MultiOutputClassifier.
# Cause:    scikit-learn sets a tag where the margin is above 0. The converter takes the second score of each classifier for a probability
#           and sets a tag where it is above 0.5. The second score of a two-class SVC in the file is the margin with the other sign:
#           skl2onnx turns it round with `raw_scores=True` alone, which is not set here. A remark in the converter's source says that only
#           probabilities are used; its documentation has none.
# Matters:  a fall to chance is noticed, that of LinearSVC from 0.87 to 0.80 may be put down to float32. Put SVC into a
#           MultiOutputClassifier. With LinearSVC, take the second output of the file, the margins, and set a tag where it is above 0.
# Versions: skl2onnx 1.20.0, scikit-learn 1.9.1, onnx 1.23.2, onnxruntime 1.32.0, numpy 2.4.6, scipy 1.17.1, Python 3.11.7.
# Date:     2026-11
# Output:
#   skl2onnx 1.20.0
#   1,416 of 8,000 tags are present
#   one-vs-rest, logistic regression: model 1,351 tags, F1 0.87; file 1,351 tags, F1 0.87
#   one-vs-rest, LinearSVC: model 1,371 tags, F1 0.87; file 1,014 tags, F1 0.80
#     the rule of the file is margin > 0.5: 1.0000 of the tags
#   one-vs-rest, SVC: model 1,185 tags, F1 0.82; file 6,196 tags, F1 0.02
#     the rule of the file is -margin > 0.5: 1.0000 of the tags
#   multi-output, SVC: model 1,185 tags, F1 0.82; file 1,185 tags, F1 0.82
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check numpy==2.4.6 scipy==1.17.1 scikit-learn==1.9.1 onnx==1.23.2 \
    onnxruntime==1.32.0 skl2onnx==1.20.0

cat > check.py <<'PYTHON'
import sys
import warnings

import numpy as np
import onnxruntime
import skl2onnx
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import MultiOutputClassifier
from sklearn.svm import SVC, LinearSVC

warnings.filterwarnings("ignore", message="Attribute `prob[AB]_` was deprecated", category=FutureWarning)  # about another matter
RANDOM = np.random.default_rng(0)
DIRECTIONS = RANDOM.normal(size=(20, 8))  # of 8 sounds, in 20 features


def clips(number):
    features = RANDOM.normal(size=(number, 20)).astype("float32")
    return features, (features @ DIRECTIONS + RANDOM.normal(size=(number, 8)) > 4).astype(int)


def labels_of_file(model, features):
    file = skl2onnx.to_onnx(model, features[:1], options={id(model): {"zipmap": False}})
    session = onnxruntime.InferenceSession(file.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: features})[0]


train, (features, present) = clips(2000), clips(1000)
print("skl2onnx", skl2onnx.__version__)
print(f"{present.sum():,} of {present.size:,} tags are present")
scores, equal = {}, {}
for name, model in (
    ("one-vs-rest, logistic regression", OneVsRestClassifier(LogisticRegression())),
    ("one-vs-rest, LinearSVC", OneVsRestClassifier(LinearSVC(random_state=0))),
    ("one-vs-rest, SVC", OneVsRestClassifier(SVC())),
    ("multi-output, SVC", MultiOutputClassifier(SVC())),
):
    model.fit(*train)
    tags, exported = model.predict(features), labels_of_file(model, features)
    scores[name] = [f1_score(present, guess, average="macro") for guess in (tags, exported)]
    print(f"{name}: model {tags.sum():,} tags, F1 {scores[name][0]:.2f}; file {exported.sum():,} tags, F1 {scores[name][1]:.2f}")
    if name.startswith("one-vs-rest") and "SVC" in name:
        margins = model.decision_function(features)
        rule = margins > 0.5 if "Linear" in name else -margins > 0.5
        equal[name] = (rule == exported).mean()
        rule = "margin > 0.5" if "Linear" in name else "-margin > 0.5"
        print(f"  the rule of the file is {rule}: {equal[name]:.4f} of the tags")
right = all(model == file for name, (model, file) in scores.items() if name not in equal)
wrong = scores["one-vs-rest, SVC"][1] < 0.2 and scores["one-vs-rest, LinearSVC"][1] < scores["one-vs-rest, LinearSVC"][0] - 0.03
sys.exit(0 if right and wrong and min(equal.values()) > 0.999 else "the behaviour has changed")
PYTHON
ORT_DISABLE_TELEMETRY=1 venv/bin/python check.py
