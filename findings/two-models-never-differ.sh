#!/usr/bin/env bash
# deepsig's multi_aso never finds a difference between two models, and its Bonferroni correction is weaker the more comparisons there are.
#
# Guess:    `multi_aso` of two models says what `aso` says of them. With N comparisons the confidence level of 0.95 becomes 1 - 0.05 / N.
# Happens:  model a is better by 0.03 in ten trainings, and `aso` returns 0.224, where below 0.5 means that a is better. `multi_aso` of
#           the same scores returns 1.0 in both directions, so neither is better, and so it does for any two models that overlap. `aso`
#           returns 0.264 with num_comparisons=2, but 0.248 with 3 and 0.225 with 100, where the level 1 - 0.05 / N gives 0.286 and 0.433.
# Cause:    both functions compute `confidence_level += (1 - confidence_level) / num_comparisons`. For two models, so for one comparison,
#           this is 1.0, whose quantile is infinite. For 2 it is 0.975, for 3 it is 0.967 instead of 0.983, and for 100 it is 0.9505.
# Matters:  the threshold is divided by the number of comparisons, says the description of the package; it goes the other way from the
#           third on. A table of many models has hardly any correction. Give `aso` the level 1 - 0.05 / N, and call it for each pair.
# Versions: deepsig 1.2.8, numpy 2.4.6, Python 3.11.7.
# Date:     2026-11
# Output:
#   deepsig 1.2.8
#   means: 0.727 and 0.695
#   aso: 0.224; multi_aso: 1.000 and 1.000; without its correction: 0.224
#   aso of N comparisons: 1: 0.224, 2: 0.264, 3: 0.248, 10: 0.231, 100: 0.225
#   with the level 1 - 0.05 / N: 1: 0.224, 2: 0.264, 3: 0.286, 10: 0.342, 100: 0.433
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check numpy==2.4.6 deepsig==1.2.8

cat > check.py <<'PYTHON'
import sys
from importlib.metadata import version

import numpy as np
from deepsig import aso, multi_aso

OPTIONS = {"seed": 0, "show_progress": False, "num_bootstrap_iterations": 300}
random = np.random.default_rng(3)
a, b = random.normal(0.73, 0.03, 10), random.normal(0.70, 0.03, 10)  # accuracies of ten trainings each
print("deepsig", version("deepsig"))
print(f"means: {a.mean():.3f} and {b.mean():.3f}")

single = aso(a, b, **OPTIONS)
both = multi_aso(np.array([a, b]), **OPTIONS)
plain = multi_aso(np.array([a, b]), use_bonferroni=False, **OPTIONS)
print(f"aso: {single:.3f}; multi_aso: {both[0, 1]:.3f} and {both[1, 0]:.3f}; without its correction: {plain[0, 1]:.3f}")

corrected = {number: aso(a, b, num_comparisons=number, **OPTIONS) for number in (1, 2, 3, 10, 100)}
print("aso of N comparisons:", ", ".join(f"{number}: {value:.3f}" for number, value in corrected.items()))
print("with the level 1 - 0.05 / N:", ", ".join(f"{n}: {aso(a, b, confidence_level=1 - 0.05 / n, **OPTIONS):.3f}" for n in corrected))
falls = corrected[2] > corrected[3] > corrected[10] > corrected[100] > corrected[1]
ok = single < 0.4 and both.min() == 1 and abs(plain[0, 1] - single) < 0.05 and falls
sys.exit(0 if ok else "the behaviour has changed")
PYTHON
venv/bin/python check.py
