#!/usr/bin/env bash
# audmetric's mean errors of small integers overflow: an error of 1 counts 255, and large errors count little.
#
# Guess:    the metrics convert what they get: a list and an array of uint8 with the same numbers have the same error.
# Happens:  four labels, of which two are wrong by 1, have a mean absolute error of 0.5 as a list and of 64 as uint8. Four valences of
#           -100 and 100 that are all on the wrong side have a mean squared error of 40,000 as a list, and of 64 as int8. Nothing is said.
#           The concordance is right for either type.
# Cause:    the difference is taken in the type of the input, where 0 - 1 is 255 and 200 squared is 64.
# Matters:  labels and ratings are often stored as small integers to save space, and both errors look like numbers that could be true. A
#           model can win by being further off. Convert to float before the metric.
# Versions: audmetric 1.4.2, numpy 2.4.6, Python 3.11.7.
# Date:     2026-11
# Output:
#   audmetric 1.4.2
#   counts: absolute error 0.5 as a list, 64 as uint8; squared error 0.5 and 0.5; concordance equal
#   valences: absolute error 200 as a list, 56 as int8; squared error 40000 and 64; concordance equal
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check numpy==2.4.6 audmetric==1.4.2

cat > check.py <<'PYTHON'
import sys

import audmetric
import numpy as np


def errors(truth, prediction):
    return audmetric.mean_absolute_error(truth, prediction), audmetric.mean_squared_error(truth, prediction)


print("audmetric", audmetric.__version__)
seen = []
for name, kind, truth, prediction in (
    ("counts", "uint8", [0, 1, 2, 3], [1, 0, 2, 3]),
    ("valences", "int8", [-100, 100, -100, 100], [100, -100, 100, -100]),
):
    arrays = np.array(truth, kind), np.array(prediction, kind)
    plain, small = errors(truth, prediction), errors(*arrays)
    same = abs(audmetric.concordance_cc(truth, prediction) - audmetric.concordance_cc(*arrays)) < 1e-9
    print(
        f"{name}: absolute error {plain[0]:g} as a list, {small[0]:g} as {kind}; "
        f"squared error {plain[1]:g} and {small[1]:g}; concordance {'equal' if same else 'other'}"
    )
    seen.append((*plain, *small, same))
sys.exit(0 if seen == [(0.5, 0.5, 64, 0.5, True), (200, 40_000, 56, 64, True)] else "the behaviour has changed")
PYTHON
venv/bin/python check.py
