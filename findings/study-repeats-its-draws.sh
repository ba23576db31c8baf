#!/usr/bin/env bash
# An Optuna study that is continued with a seeded sampler tries the points again that it has tried already.
#
# Guess:    A study in a database with sampler RandomSampler(seed=0), stopped after four trials and continued by a new
#           process, goes on as one process would have: eight different points.
# Happens:  Trials 4 to 7 are exactly trials 0 to 3, with RandomSampler and with TPESampler (as long as it starts with its
#           ten random trials). Half of the budget is spent on nothing. QMCSampler goes on with new points.
# Cause:    The state of the generator is not part of the study. Each process seeds it anew, and a draw does not depend on
#           the number of the trial. QMCSampler keeps its position in the study.
# Matters:  Searches that resume, and searches with several workers that are all given one seed. A seed made of the study's
#           seed and the number of finished trials (or QMCSampler) repeats nothing and stays reproducible.
# Versions: optuna 5.0.0, Python 3.11.7.
# Date:     2026-11
# Output:
#   optuna 5.0.0
#   RandomSampler: 0.549 0.715 0.603 0.545 | 0.549 0.715 0.603 0.545
#   TPESampler: 0.549 0.715 0.603 0.545 | 0.549 0.715 0.603 0.545
#   QMCSampler: 0.549 0.000 0.500 0.750 | 0.250 0.375 0.875 0.625
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check optuna==5.0.0 scipy==1.17.1

cat > part.py <<'PYTHON'
import sys
import warnings

import optuna

warnings.simplefilter("ignore")  # QMCSampler is marked as experimental
optuna.logging.set_verbosity(optuna.logging.ERROR)
sampler = getattr(optuna.samplers, sys.argv[1])(seed=0)
study = optuna.create_study(
    storage="sqlite:///study.db", study_name=sys.argv[1], sampler=sampler, load_if_exists=True
)
study.optimize(lambda trial: trial.suggest_float("x", 0, 1) ** 2, n_trials=4)
PYTHON
cat > check.py <<'PYTHON'
import optuna

print("optuna", optuna.__version__)
for name in ("RandomSampler", "TPESampler", "QMCSampler"):
    points = [trial.params["x"] for trial in optuna.load_study(storage="sqlite:///study.db", study_name=name).trials]
    first, second = points[:4], points[4:]
    print(f"{name}:", *(f"{x:.3f}" for x in first), "|", *(f"{x:.3f}" for x in second))
    assert len(points) == 8
    assert (first == second) == (name != "QMCSampler")
PYTHON
for sampler in RandomSampler TPESampler QMCSampler; do
  venv/bin/python part.py "$sampler"  # the first process
  venv/bin/python part.py "$sampler"  # a second one goes on
done
venv/bin/python check.py
