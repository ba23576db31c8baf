#!/usr/bin/env bash
# sed_scores_eval installs with its dependencies and cannot be imported; with pandas 3 its PSDS cannot be computed either.
#
# Guess:    `pip install sed_scores_eval` into an empty environment gives a package that computes PSDS of a table that
#           its own `create_score_dataframe` made.
# Happens:  The import fails with "No module named 'pkg_resources'". With an empty module of that name in its place the
#           import works, and `intersection_based.psds` then fails with "buffer source array is read-only".
#           The same scores with columns of float32 give a value.
# Cause:    It imports sed_eval for one function that matches events. sed_eval imports dcase_util, which imports
#           pkg_resources; setuptools has had no such module since version 82, and no package here asks for setuptools.
#           Columns of a pandas 3 table are read-only views, and the compiled code takes `double [:]`, which asks for an
#           array that can be written. A conversion from float32 is a copy, which can.
# Matters:  No version of either package is wrong on paper, so a resolver finds nothing, and environments that are a year
#           old work. Whoever meets the second error first may take it for a fault of the own scores.
# Versions: sed_scores_eval 0.0.4, sed_eval 0.2.1, dcase_util 0.2.20, setuptools 84.2.1, pandas 3.1.1, numpy 2.4.6,
#           Python 3.11.7.
# Date:     2026-11
# Output:
#   import: ModuleNotFoundError: No module named 'pkg_resources'
#   float64, as create_score_dataframe makes it: ValueError: buffer source array is read-only
#   float32: PSDS 1.000
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check setuptools==84.2.1 numpy==2.4.6 pandas==3.1.1
venv/bin/python -m pip install --quiet --disable-pip-version-check \
    sed_scores_eval==0.0.4 sed_eval==0.2.1 dcase_util==0.2.20 numpy==2.4.6 pandas==3.1.1

cat > check.py <<'PYTHON'
import sys
import warnings
from types import ModuleType

import numpy as np

warnings.simplefilter("ignore")  # of the packages that are imported


def attempt(what):
    try:
        return what()
    except Exception as error:
        return f"{type(error).__name__}: {error}"


first = attempt(lambda: __import__("sed_scores_eval"))
print("import:", first)
sys.modules["pkg_resources"] = ModuleType("pkg_resources")
for name in [name for name in sys.modules if name.partition(".")[0] in ("sed_scores_eval", "sed_eval", "dcase_util")]:
    del sys.modules[name]
from sed_scores_eval import intersection_based
from sed_scores_eval.base_modules.scores import create_score_dataframe

scores = np.array([[0.9, 0.1], [0.8, 0.2], [0.2, 0.7], [0.1, 0.9]])
table = create_score_dataframe(scores, np.arange(5.0), ["a", "b"])
truth = {"clip": [(0.0, 2.0, "a"), (2.0, 4.0, "b")]}


def psds(table):
    value, *_ = intersection_based.psds(
        {"clip": table}, truth, {"clip": 4.0}, dtc_threshold=0.7, gtc_threshold=0.7, alpha_st=1.0
    )
    return f"PSDS {value:.3f}"


second = attempt(lambda: psds(table))
print("float64, as create_score_dataframe makes it:", second)
third = attempt(lambda: psds(table.astype({"a": np.float32, "b": np.float32})))
print("float32:", third)
assert "No module named 'pkg_resources'" in str(first)
assert "read-only" in second
assert third == "PSDS 1.000"
PYTHON
venv/bin/python check.py
