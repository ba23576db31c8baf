#!/usr/bin/env bash
# MLstatkit's DeLong test finds that a model is significantly better than itself: p = 0.
#
# Guess:    a model that is compared with itself, or with its calibrated probabilities, which have the same order, gives p = 1.
# Happens:  the p-value is 0 and z is 0. A copy with one clip moved a little gives 0.48. Nothing is said, unless verbose is set.
# Cause:    where the variance of the difference is 0, the test falls back to a bootstrap. Its p-value is twice the smaller of the shares of
#           differences that are at most 0 and that are above 0. All differences are 0, so the second share is 0.
# Matters:  calibration by temperature, logits for probabilities, and a file in another format keep the order of the scores. All of them are
#           "significantly different" models with equal areas. A table that is sorted by p-values starts with them. Compare the areas first.
# Versions: MLstatkit 0.1.91, numpy 2.4.6, scipy 1.17.1, scikit-learn 1.9.1, Python 3.11.7.
# Date:     2026-11
# Output:
#   MLstatkit 0.1.91
#   itself: areas 0.8523 and 0.8523, z 0.00, p 0.000
#   calibrated: areas 0.8523 and 0.8523, z 0.00, p 0.000
#   one clip moved: areas 0.8523 and 0.8524, z 0.71, p 0.480
#   another model: areas 0.8523 and 0.7424, z -2.45, p 0.014
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check numpy==2.4.6 scipy==1.17.1 scikit-learn==1.9.1 MLstatkit==0.1.91

cat > check.py <<'PYTHON'
import sys
from importlib.metadata import version

import numpy as np
from MLstatkit import Delong_test

generator = np.random.default_rng(0)
truth = generator.integers(0, 2, 200)
scores = np.clip(0.3 * truth + 0.7 * generator.random(200), 0.001, 0.999)
other = np.clip(0.2 * truth + 0.8 * generator.random(200), 0.001, 0.999)
odds = scores / (1 - scores)
moved = scores.copy()
moved[0] += 0.01

print("MLstatkit", version("MLstatkit"))
found = {}
for name, second in (
    ("itself", scores),
    ("calibrated", odds**0.5 / (1 + odds**0.5)),  # a temperature of 2
    ("one clip moved", moved),
    ("another model", other),
):
    z, p, _, _, area, area_of_second, _ = Delong_test(truth, scores, second, random_state=0)
    print(f"{name}: areas {area:.4f} and {area_of_second:.4f}, z {z:.2f}, p {p:.3f}")
    found[name] = p
ok = found["itself"] == found["calibrated"] == 0 and found["one clip moved"] > 0.4 and found["another model"] < 0.05
sys.exit(0 if ok else "the behaviour has changed")
PYTHON
venv/bin/python check.py
