#!/usr/bin/env bash
# onnxmltools and m2cgen export LightGBM's linear trees without their slopes: an R2 of 0.99 becomes one of 0.73.
#
# Guess:    the export of a model with linear_tree=True computes what the model computes, or is refused, as treelite refuses it.
# Happens:  both exports ignore the linear function in each leaf and return the constant of a tree that is not linear. The R2 of a
#           regression falls, and classifiers change labels and probabilities. Nothing is said. The two exports agree with each other.
# Cause:    LightGBM's dump of a leaf has `leaf_const`, `leaf_features` and `leaf_coeff`, from which it predicts, and next to them
#           `leaf_value`, which is the constant of an ordinary tree and which it uses only if a feature is missing. Both read `leaf_value`.
# Matters:  linear trees are taken because they need few leaves for smooth targets, such as levels or valence. The exported model is roughly
#           right, so plots of it look plausible, and two exports that agree seem to prove each other. Compare with the model itself.
# Versions: lightgbm 4.7.0, onnxmltools 1.16.0, m2cgen 0.10.0, treelite 4.8.1, onnxruntime 1.32.0, onnx 1.23.2, skl2onnx 1.20.0,
#           scikit-learn 1.9.1, numpy 2.4.6, Python 3.11.7.
# Date:     2026-11
# Output:
#   lightgbm 4.7.0 onnxmltools 1.16.0 m2cgen 0.10.0 treelite 4.8.1
#   linear_tree=False: R2 0.96 in LightGBM, 0.96 in ONNX, 0.96 in m2cgen's Python; treelite takes it
#     classifier: accuracy 0.895, 0.895, 0.895; a probability differs by 0.00
#   linear_tree=True: R2 0.99 in LightGBM, 0.73 in ONNX, 0.73 in m2cgen's Python; treelite refuses it
#     classifier: accuracy 0.928, 0.875, 0.875; a probability differs by 0.86
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check numpy==2.4.6 scikit-learn==1.9.1 lightgbm==4.7.0 onnx==1.23.2 \
    onnxruntime==1.32.0 skl2onnx==1.20.0 onnxmltools==1.16.0 m2cgen==0.10.0 treelite==4.8.1

cat > check.py <<'PYTHON'
import sys
from importlib.metadata import version

import lightgbm
import m2cgen
import numpy as np
import onnxmltools
import onnxruntime
import treelite
from onnxmltools.convert.common.data_types import FloatTensorType
from sklearn.metrics import r2_score

onnxruntime.set_default_logger_severity(3)
numbers = np.random.default_rng(0)
clips = numbers.standard_normal((2000, 6)).astype(np.float32)
level = clips @ numbers.standard_normal(6)
classes = (clips @ numbers.standard_normal((6, 3))).argmax(1)
train, test = slice(0, 1000), slice(1000, 2000)


def in_onnx(model):
    file = onnxmltools.convert_lightgbm(model, initial_types=[("x", FloatTensorType([None, 6]))], zipmap=False)
    return onnxruntime.InferenceSession(file.SerializeToString()).run(None, {"x": clips[test]})[-1].squeeze()


def in_python(model):
    names = {}
    exec(m2cgen.export_to_python(model), names)
    return np.array([names["score"]([float(value) for value in clip]) for clip in clips[test]])


def refused(model):
    try:
        treelite.frontend.from_lightgbm(model.booster_)
    except treelite.TreeliteError:
        return True
    return False


print("lightgbm", lightgbm.__version__, "onnxmltools", version("onnxmltools"), "m2cgen", version("m2cgen"), "treelite", version("treelite"))
ok = True
for linear in (False, True):
    settings = dict(linear_tree=linear, n_estimators=100, num_leaves=8, n_jobs=1, verbose=-1, random_state=0)
    regression = lightgbm.LGBMRegressor(**settings).fit(clips[train], level[train])
    found = [regression.predict(clips[test]), in_onnx(regression), in_python(regression)]
    fits = [r2_score(level[test], given) for given in found]
    classifier = lightgbm.LGBMClassifier(**settings).fit(clips[train], classes[train])
    chances = [classifier.predict_proba(clips[test]), in_onnx(classifier), in_python(classifier)]
    right = [np.mean(given.argmax(1) == classes[test]) for given in chances]
    apart = float(np.abs(chances[0] - chances[1]).max())
    no = refused(regression)
    print(f"linear_tree={linear}: R2 {fits[0]:.2f} in LightGBM, {fits[1]:.2f} in ONNX, {fits[2]:.2f} in m2cgen's Python;",
          "treelite refuses it" if no else "treelite takes it")
    print(f"  classifier: accuracy {right[0]:.3f}, {right[1]:.3f}, {right[2]:.3f}; a probability differs by {apart:.2f}")
    ok &= float(np.abs(found[1] - found[2]).max()) < 1e-3 and float(np.abs(chances[1] - chances[2]).max()) < 1e-2 and no == linear
    ok &= (fits[1] < fits[0] - 0.05 and apart > 0.1) if linear else (abs(fits[1] - fits[0]) < 1e-3 and apart < 1e-2)
sys.exit(0 if ok else "the behaviour has changed")
PYTHON
venv/bin/python check.py
