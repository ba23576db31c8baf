#!/usr/bin/env bash
# deepsig's paired bootstrap test takes the pairs apart: a model that is better on every one of 40 classes has p = 0.34.
#
# Guess:    `bootstrap_test` is a "paired bootstrap test", as its documentation says: it draws pairs of scores with replacement.
# Happens:  model a is better than b on all of 40 classes, by 0.009 on average. The permutation test of the same package says p = 0.001, and
#           the paired bootstrap p = 0.34. If the scores of one model are shuffled, so that no pair is left, it says p = 0.33.
# Cause:    the scores of a and of b are drawn independently, and so is each mean. The test compares two unrelated samples.
# Matters:  scores by class, clip or fold differ much more between classes than between models, and pairs are there to take that out. The
#           test calls nearly every improvement chance. Use `permutation_test` of the package, or draw pairs yourself.
# Versions: deepsig 1.2.8, numpy 2.4.6, Python 3.11.7.
# Date:     2026-11
# Output:
#   deepsig 1.2.8
#   a is better than b on 40 of 40 classes, by 0.009
#   permutation test: p = 0.001; bootstrap of pairs: p = 0.000
#   deepsig's paired bootstrap: p = 0.34; after one model's scores were shuffled: p = 0.33
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
from deepsig import bootstrap_test, permutation_test

random = np.random.default_rng(1)
b = random.normal(0.7, 0.1, 40)  # average precisions of 40 classes
a = b + random.normal(0.01, 0.005, 40)
print("deepsig", version("deepsig"))
print(f"a is better than b on {np.sum(a > b)} of {len(a)} classes, by {np.mean(a - b):.3f}")

pairs = random.integers(0, 40, (1000, 40))
differences = (a - b)[pairs].mean(axis=1)
p_pairs = np.mean(differences >= 2 * np.mean(a - b))  # the formula of the package, with pairs
p_bootstrap, p_permutation = bootstrap_test(a, b, seed=0), permutation_test(a, b, seed=0)
p_shuffled = bootstrap_test(a, random.permutation(b), seed=0)
print(f"permutation test: p = {p_permutation:.3f}; bootstrap of pairs: p = {p_pairs:.3f}")
print(f"deepsig's paired bootstrap: p = {p_bootstrap:.2f}; after one model's scores were shuffled: p = {p_shuffled:.2f}")
ok = p_permutation < 0.01 and p_pairs < 0.01 and p_bootstrap > 0.2 and abs(p_bootstrap - p_shuffled) < 0.05
sys.exit(0 if ok else "the behaviour has changed")
PYTHON
venv/bin/python check.py
