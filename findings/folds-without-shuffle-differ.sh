#!/usr/bin/env bash
# Multi-label folds of iterative-stratification without shuffling are other folds in each call.
#
# Guess:    as in scikit-learn, a splitter without `shuffle` is deterministic: the same labels give the same folds, today and tomorrow.
# Happens:  MultilabelStratifiedKFold(5) gives other folds in each call. Two calls share a fifth of a fold's clips, as two draws by chance
#           would. They are the same only if NumPy's global generator has the same seed before. The remedy that comes to mind, to pass
#           `random_state`, is refused without `shuffle`; with both, folds are repeatable.
# Cause:    ties between folds are drawn at random, and the first clips meet empty folds, which are all tied. Without `shuffle` the draws
#           come from np.random.
# Matters:  sets with several labels a clip and no official folds (scenes with events, moods, instruments) are split with this package.
#           A score "on fold 0" cannot be compared with the next one, and a model that goes on training after a restart tests on clips
#           that it has learnt.
# Versions: iterative-stratification 0.1.9, scikit-learn 1.9.1, numpy 2.4.6, Python 3.11.7.
# Date:     2026-11
# Output:
#   iterative-stratification 0.1.9
#   without shuffle: 10 calls, 10 different folds; with NumPy's seed before each 1
#   shared with the first call's fold: 20 % of its clips
#   random_state without shuffle: ValueError
#   with shuffle and random_state: 10 calls, 1 fold
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check \
  numpy==2.4.6 scikit-learn==1.9.1 iterative-stratification==0.1.9

cat > check.py <<'PYTHON'
import sys
from importlib.metadata import version

import numpy as np
from iterstrat.ml_stratifiers import MultilabelStratifiedKFold

CALLS = 10
labels = (np.random.default_rng(0).random((500, 10)) < 0.2).astype(int)


def first_fold(seed=None, **how):
    """The clips of fold 0."""
    if seed is not None:
        np.random.seed(seed)
    return frozenset(next(MultilabelStratifiedKFold(n_splits=5, **how).split(labels, labels))[1].tolist())


found = [first_fold() for _ in range(CALLS)]
seeded = {first_fold(seed=1) for _ in range(CALLS)}
shared = np.mean([len(found[0] & fold) / len(found[0]) for fold in found[1:]])
try:
    first_fold(random_state=0)
    refused = "taken"
except ValueError as error:
    refused = type(error).__name__
shuffled = {first_fold(shuffle=True, random_state=0) for _ in range(CALLS)}

print("iterative-stratification", version("iterative-stratification"))
print(f"without shuffle: {CALLS} calls, {len(set(found))} different folds; with NumPy's seed before each {len(seeded)}")
print(f"shared with the first call's fold: {10 * round(10 * shared)} % of its clips")
print("random_state without shuffle:", refused)
print(f"with shuffle and random_state: {CALLS} calls, {len(shuffled)} fold")
ok = len(set(found)) == CALLS and len(seeded) == 1 and shared < 0.3 and refused == "ValueError" and len(shuffled) == 1
sys.exit(0 if ok else "the behaviour has changed")
PYTHON
venv/bin/python check.py
