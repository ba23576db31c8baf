#!/usr/bin/env bash
# onnxmltools and treelite export a LightGBM model to which 0 is "missing" as one to which 0 is a number: accuracy falls from 0.75 to 0.64.
#
# Guess:    a model that was trained with zero_as_missing=True sends a feature of 0 to the branch for missing values, also after an export:
#           the branch is in each node, and both formats know missing values. An exporter that cannot write it refuses, as m2cgen does.
# Happens:  both exports compare 0 with the threshold. Labels and probabilities change, without a word; the two exports agree with each
#           other. NaN in place of 0 repairs the ONNX file, and not that of treelite, where NaN is as good as 0.
# Cause:    LightGBM's dump has `missing_type` in each node: "None", "NaN" or "Zero". onnxmltools asks only whether it is "None", and a node
#           of ONNX takes NaN alone for missing. treelite 4.8.1 behaves as if "Zero" were "None", where NaN counts as 0.
# Matters:  features that are 0 where there is none are usual: a pitch of frames without voice, a count of onsets, a decay that could not be
#           measured. Write NaN for them in training and afterwards, without zero_as_missing; both exports are right then.
# Versions: lightgbm 4.7.0, onnxmltools 1.16.0, treelite 4.8.1, m2cgen 0.10.0, onnxruntime 1.32.0, onnx 1.23.2, skl2onnx 1.20.0,
#           scikit-learn 1.9.1, numpy 2.4.6, Python 3.11.7.
# Date:     2026-11
# Output:
#   lightgbm 4.7.0 onnxmltools 1.16.0 treelite 4.8.1 m2cgen 0.10.0
#   zero_as_missing=False: accuracy 0.728 in LightGBM, 0.728 in ONNX, 0.728 in treelite; m2cgen takes it
#     a probability differs by 0.00 in ONNX, 0.00 in treelite
#   zero_as_missing=True: accuracy 0.752 in LightGBM, 0.640 in ONNX, 0.640 in treelite; m2cgen refuses it
#     a probability differs by 0.95 in ONNX, 0.95 in treelite
#     with NaN in place of 0: 0.00 in ONNX, 0.95 in treelite, 0.00 in LightGBM itself
#   NaN in training, too, and zero_as_missing=False: 0.00 in ONNX, 0.00 in treelite
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

onnxruntime.set_default_logger_severity(3)
numbers = np.random.default_rng(0)
clips = numbers.standard_normal((3000, 8)).astype(np.float32)
classes = (clips @ numbers.standard_normal((8, 3)) + 0.3 * numbers.standard_normal((3000, 3))).argmax(1)
clips = np.where(numbers.random(clips.shape) < 0.2, 0, clips + 5).astype(np.float32)  # 0 where nothing could be measured
train, test = slice(0, 2000), slice(2000, 3000)
missing = clips[test].copy()
missing[missing == 0] = np.nan


def in_onnx(model, given):
    file = onnxmltools.convert_lightgbm(model, initial_types=[("x", FloatTensorType([None, 8]))], zipmap=False)
    return onnxruntime.InferenceSession(file.SerializeToString()).run(None, {"x": given})[1]


def in_treelite(model, given):
    return treelite.gtil.predict(treelite.frontend.from_lightgbm(model.booster_), given).squeeze()


def refused(model):
    try:
        m2cgen.export_to_python(model)
    except ValueError:
        return True
    return False


print("lightgbm", lightgbm.__version__, "onnxmltools", version("onnxmltools"), "treelite", version("treelite"), "m2cgen", version("m2cgen"))
ok = True
for zero in (False, True):
    model = lightgbm.LGBMClassifier(zero_as_missing=zero, n_estimators=50, n_jobs=1, verbose=-1, random_state=0)
    model.fit(clips[train], classes[train])
    wanted = model.predict_proba(clips[test])
    found = {"ONNX": in_onnx(model, clips[test]), "treelite": in_treelite(model, clips[test])}
    right = {name: np.mean(given.argmax(1) == classes[test]) for name, given in {"LightGBM": wanted, **found}.items()}
    apart = {name: float(np.abs(given - wanted).max()) for name, given in found.items()}
    no = refused(model)
    print(f"zero_as_missing={zero}: accuracy", ", ".join(f"{value:.3f} in {name}" for name, value in right.items()) + ";",
          "m2cgen refuses it" if no else "m2cgen takes it")
    print("  a probability differs by", ", ".join(f"{value:.2f} in {name}" for name, value in apart.items()))
    ok &= no == zero and all((value > 0.2) == zero for value in apart.values())
    ok &= float(np.abs(found["ONNX"] - found["treelite"]).max()) < 1e-3
    if zero:
        others = [float(np.abs(given(model, missing) - wanted).max()) for given in (in_onnx, in_treelite)]
        same = float(np.abs(model.predict_proba(missing) - wanted).max())
        print(f"  with NaN in place of 0: {others[0]:.2f} in ONNX, {others[1]:.2f} in treelite, {same:.2f} in LightGBM itself")
        ok &= others[0] < 1e-3 and same < 1e-3 and others[1] > 0.2
        plain = lightgbm.LGBMClassifier(n_estimators=50, n_jobs=1, verbose=-1, random_state=0)
        plain.fit(np.where(clips[train] == 0, np.nan, clips[train]), classes[train])
        wanted = plain.predict_proba(missing)
        others = [float(np.abs(given(plain, missing) - wanted).max()) for given in (in_onnx, in_treelite)]
        print(f"NaN in training, too, and zero_as_missing=False: {others[0]:.2f} in ONNX, {others[1]:.2f} in treelite")
        ok &= max(others) < 1e-3
sys.exit(0 if ok else "the behaviour has changed")
PYTHON
venv/bin/python check.py
