#!/usr/bin/env bash
# deepsig's corrected p-values belong to other comparisons than the p-values that were given, and the largest is not corrected.
#
# Guess:    `bonferroni_correction` returns each p-value times the number of comparisons, at most 1, in the order of its input.
# Happens:  of three comparisons with p = 0.5, 0.001 and 0.04, the corrected values are 0.08, 0.5 and 0.003: the only clear difference is
#           lost, and the third comparison is called significant in its place. The same three in another order are right. Of p = 0.02, 0.03
#           and 0.04 the largest stays as it is, and is the only one below 0.05 after the correction.
# Cause:    the values are sorted, and "unsorted" by the order that sorted them instead of by its inverse. The two are the same if values
#           only changed places in pairs. The k-th smallest value is multiplied by N - k + 1, as in Holm's method, but without the running
#           maximum of that method, so the values need not rise.
# Matters:  the function is made to say on which datasets a model is better: "this makes it easier to check which null hypotheses can be
#           rejected". The table names the wrong ones. Use `multipletests` of statsmodels.
# Versions: deepsig 1.2.8, numpy 2.4.6, Python 3.11.7.
# Date:     2026-11
# Output:
#   deepsig 1.2.8
#   rain: 0.001 -> 0.003, siren: 0.04 -> 0.08, dog: 0.5 -> 0.5
#   dog: 0.5 -> 0.08, rain: 0.001 -> 0.5, siren: 0.04 -> 0.003
#   rain: 0.02 -> 0.06, siren: 0.03 -> 0.06, dog: 0.04 -> 0.04
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check numpy==2.4.6 deepsig==1.2.8

cat > check.py <<'PYTHON'
import sys
from importlib.metadata import version

from deepsig import bonferroni_correction

EXPECTED = (
    ({"rain": 0.001, "siren": 0.04, "dog": 0.5}, [0.003, 0.08, 0.5]),
    ({"dog": 0.5, "rain": 0.001, "siren": 0.04}, [0.08, 0.5, 0.003]),
    ({"rain": 0.02, "siren": 0.03, "dog": 0.04}, [0.06, 0.06, 0.04]),
)

print("deepsig", version("deepsig"))
ok = True
for values, expected in EXPECTED:
    corrected = bonferroni_correction(list(values.values()))
    print(", ".join(f"{name}: {before:g} -> {after:.3g}" for (name, before), after in zip(values.items(), corrected)))
    ok &= all(abs(after - value) < 1e-9 for after, value in zip(corrected, expected))
sys.exit(0 if ok else "the behaviour has changed")
PYTHON
venv/bin/python check.py
