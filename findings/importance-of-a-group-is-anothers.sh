#!/usr/bin/env bash
# mlxtend's importance of a group of features shuffles other features, the first ones, and leaves them shuffled in the caller's data.
#
# Guess:    `feature_importance_permutation(..., feature_groups=[0, 1, [2, 3], [4, 5]])` shuffles the columns of a group, measures how much
#           the score falls, and puts the columns back. A group that the model never looks at has an importance of 0.
# Happens:  a model that is always right looks at the columns 0 and 1 alone. The groups [2, 3] and [4, 5] have the importances 0.46 and
#           0.48, more than the two columns themselves (0.34 and 0.35). Afterwards the columns 0 and 1 of the caller's array are in another
#           order than before, and the model's accuracy on it is 0.52. Without groups the columns 2 to 5 have 0. Nothing is said.
# Cause:    for a group of k columns, the loop shuffles the columns with the numbers 0 to k - 1 instead of those of the group. Only the
#           group's own columns are restored.
# Matters:  groups are used for features that belong together, such as the bands or statistics of one descriptor. Every group gets the
#           importance of the first columns, later groups are measured on data that are damaged already, and everything that is computed
#           from the array after the call is wrong, too. Shuffle the rows of a group's columns yourself, in a copy.
# Versions: mlxtend 0.25.0, numpy 2.4.6, Python 3.11.7.
# Date:     2026-11
# Output:
#   mlxtend 0.25.0
#   columns 0 to 5: 0.34 0.35 0.00 0.00 0.00 0.00 - the data are as before
#   0, 1, [2, 3], [4, 5]: 0.34 0.35 0.46 0.48 - columns that are changed: 0 1
#   accuracy of the model, which was 1: 0.52
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check numpy==2.4.6 mlxtend==0.25.0

cat > check.py <<'PYTHON'
import sys
from importlib.metadata import version

import numpy as np
from mlxtend.evaluate import feature_importance_permutation


def model(clips):
    return (clips[:, 0] + clips[:, 1] > 0).astype(int)


clips = np.random.default_rng(0).normal(size=(500, 6))
labels = model(clips)
original = clips.copy()
print("mlxtend", version("mlxtend"))

columns, _ = feature_importance_permutation(clips, labels, model, "accuracy", seed=0)
untouched = np.array_equal(clips, original)
print("columns 0 to 5:", *(f"{value:.2f}" for value in columns), "- the data are", "as before" if untouched else "changed")

groups, _ = feature_importance_permutation(clips, labels, model, "accuracy", feature_groups=[0, 1, [2, 3], [4, 5]], seed=0)
changed = [column for column in range(6) if not np.array_equal(clips[:, column], original[:, column])]
accuracy = np.mean(model(clips) == labels)
print("0, 1, [2, 3], [4, 5]:", *(f"{value:.2f}" for value in groups), "- columns that are changed:", *changed)
print(f"accuracy of the model, which was 1: {accuracy:.2f}")
ok = untouched and not columns[2:].any() and groups[2:].min() > 0.4 and changed == [0, 1] and accuracy < 0.6
sys.exit(0 if ok else "the behaviour has changed")
PYTHON
venv/bin/python check.py
