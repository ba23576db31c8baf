#!/usr/bin/env bash
# onnxruntime ranks clips upside down with a two-class CatBoost file that has a start value: the ROC area falls from 0.977 to 0.023.
#
# Guess:    the ONNX file that CatBoost writes of a two-class model gives the model's probabilities in onnxruntime. CatBoost's guide to the
#           format says that onnxruntime's label is wrong with two classes, and to ignore it. Its example takes the probabilities.
# Happens:  without a start value, label and probabilities are right. A model with `boost_from_average=True`, which starts from the share of
#           the rare class, has wrong probabilities: clips with the sound get the lowest ones. Nothing is said, and the file is valid.
# Cause:    the file is right: the start values are in `base_values`, which the specification says are "added to final class score", and
#           the reference evaluator of onnx gives CatBoost's numbers. With two classes and two base values, onnxruntime takes the score of
#           class 0 plus the base value of class 1 as the score of class 1. The scores of CatBoost's classes differ by their sign.
# Matters:  `boost_from_average` is off by default with two classes, and is switched on for rare sounds. Leave it off before an export, or
#           move the base values into the leaves of the first tree, as below. Compare probabilities after each export.
# Versions: catboost 1.2.10, onnxruntime 1.32.0, onnx 1.23.2, scikit-learn 1.9.1, numpy 2.4.6, Python 3.11.7.
# Date:     2026-11
# Output:
#   catboost 1.2.10 onnxruntime 1.32.0
#   boost_from_average=False: start value 0.00, base_values none
#     CatBoost: ROC area 0.977, accuracy 0.960, mean probability of the rare sound 0.11, that of the first clip 0.024
#     onnxruntime: ROC area 0.977, accuracy 0.960, mean probability of the rare sound 0.11, that of the first clip 0.024
#     reference of onnx: ROC area 0.977, accuracy 0.960, mean probability of the rare sound 0.11, that of the first clip 0.024
#   boost_from_average=True: start value -2.13, base_values [2.13, -2.13]
#     CatBoost: ROC area 0.977, accuracy 0.958, mean probability of the rare sound 0.11, that of the first clip 0.022
#     onnxruntime: ROC area 0.023, accuracy 0.208, mean probability of the rare sound 0.60, that of the first clip 0.380
#     reference of onnx: ROC area 0.977, accuracy 0.958, mean probability of the rare sound 0.11, that of the first clip 0.022
#     onnxruntime, repaired file: ROC area 0.977, accuracy 0.958, mean probability of the rare sound 0.11, that of the first clip 0.022
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
from onnx.reference import ReferenceEvaluator
from sklearn.metrics import accuracy_score, roc_auc_score

RANDOM = np.random.default_rng(0)


def clips(number):
    rare = (RANDOM.random(number) < 0.1).astype(int)  # one clip in ten has a rare sound, which raises two of ten features
    return (RANDOM.normal(size=(number, 10)) + 2 * rare[:, None] * (np.arange(10) < 2)).astype("float32"), rare


def onnxruntime_of(file, features):
    session = onnxruntime.InferenceSession(file.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"features": features})


train, (features, rare) = clips(3000), clips(2000)
print("catboost", catboost.__version__, "onnxruntime", onnxruntime.__version__)
areas = {}
for start in (False, True):
    model = catboost.CatBoostClassifier(
        iterations=40, boost_from_average=start, random_seed=0, thread_count=1, verbose=False, allow_writing_files=False
    ).fit(*train)
    model.save_model("model.onnx", format="onnx")
    file = onnx.load("model.onnx")
    onnx.checker.check_model(file)
    labels, rows = onnxruntime_of(file, features)
    answers = {
        "CatBoost": (model.predict(features), model.predict_proba(features)),
        "onnxruntime": (labels, np.array([[row[0], row[1]] for row in rows])),
    }

    # the same file without its last node, which only makes a dictionary of each row: the reference evaluator does not know that node
    trees = file.graph.node[0]
    del file.graph.node[1:], file.graph.output[1:]
    file.graph.output.append(onnx.helper.make_tensor_value_info(trees.output[1], onnx.TensorProto.FLOAT, [None, 2]))
    answers["reference of onnx"] = ReferenceEvaluator(file).run(None, {"features": features})

    parts = {part.name: part for part in trees.attribute}
    values = [round(value, 2) for value in parts["base_values"].floats] if "base_values" in parts else "none"
    print(f"boost_from_average={start}: start value {model.get_scale_and_bias()[1]:.2f}, base_values {values}")
    if start:  # the repair: the start values go into the leaves of the first tree
        weights, base = parts["class_weights"].floats, parts["base_values"].floats
        for index, (tree, label) in enumerate(zip(parts["class_treeids"].ints, parts["class_ids"].ints)):
            weights[index] += base[label] * (tree == 0)
        trees.attribute.remove(parts["base_values"])
        answers["onnxruntime, repaired file"] = onnxruntime_of(file, features)
    for name, (labels, table) in answers.items():
        areas[name, start] = roc_auc_score(rare, table[:, 1])
        print(f"  {name}: ROC area {areas[name, start]:.3f}, accuracy {accuracy_score(rare, labels):.3f},", end=" ")
        print(f"mean probability of the rare sound {table[:, 1].mean():.2f}, that of the first clip {table[0, 1]:.3f}")
upside_down = areas.pop(("onnxruntime", True))
same = max(areas.values()) - min(areas.values()) < 0.02
sys.exit(0 if same and abs(upside_down - (1 - areas["CatBoost", True])) < 1e-3 else "the behaviour has changed")
PYTHON
ORT_DISABLE_TELEMETRY=1 venv/bin/python check.py
