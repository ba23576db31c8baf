#!/usr/bin/env bash
# audpsychometric says that raters who all give 1.5 do not agree at all; classes that have numbers get labels that no rater gave.
#
# Guess:    the agreement of raters who all give the same rating is 1. Two against two is 0.5, and classes by number score as by name.
# Happens:  three ratings of 1.5 have the mode 2 and an agreement of 0. The ratings 0, 0, 2, 2 have the mode 1 and an agreement of 0, but
#           a, a, c, c have the mode a and an agreement of 0.5. Of 1,000 clips with four raters and five classes, 62 get a class that none
#           of their raters chose, if the classes are numbers. Their agreement is 0, the lowest that there is; by name it is 0.46.
# Cause:    the mode of numbers is the mean of the values that were given most often, rounded to a whole number, even if there is only one
#           such value. The agreement counts the raters that gave this number. The documentation names the mean for ties, but not the
#           rounding of a single value, and calls the agreement the share of raters whose rating equals the mode.
# Matters:  gold standards of emotions or sound classes are made by this. A filter for clips with a high agreement throws clips out on
#           which all raters agree by half points. Encode classes as text, and double the ratings that have halves.
# Versions: audpsychometric 0.1.1, audmetric 1.4.2, pandas 3.1.1, numpy 2.0.2, Python 3.11.7.
# Date:     2026-11
# Output:
#   audpsychometric 0.1.1
#   [2, 2, 2]: mode 2, agreement 1.0
#   [1.5, 1.5, 1.5]: mode 2, agreement 0.0
#   [0, 0, 2, 2]: mode 1, agreement 0.0
#   ['a', 'a', 'c', 'c']: mode a, agreement 0.5
#   1,000 clips of five classes: 62 get a class that no rater gave, 0 if the classes are names
#   mean agreement of those clips: 0.00 by number, 0.46 by name
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check numpy==2.0.2 pandas==3.1.1 audmetric==1.4.2 audpsychometric==0.1.1

cat > check.py <<'PYTHON'
import sys
from importlib.metadata import version

import numpy as np
from audpsychometric import agreement_categorical, mode

NAMES = np.array(["anger", "calm", "fear", "joy", "sadness"])

print("audpsychometric", version("audpsychometric"))
seen = []
for ratings in ([2, 2, 2], [1.5, 1.5, 1.5], [0, 0, 2, 2], ["a", "a", "c", "c"]):
    print(f"{ratings}: mode {mode(ratings)}, agreement {agreement_categorical(ratings)}")
    seen.append(agreement_categorical(ratings))

random = np.random.default_rng(0)
truth = random.integers(5, size=(1000, 1))
ratings = np.where(random.random((1000, 4)) < 0.5, truth, random.integers(5, size=(1000, 4)))
strange = (ratings != mode(ratings)[:, None]).all(axis=1)
strange_names = (NAMES[ratings] != mode(NAMES[ratings])[:, None]).all(axis=1)
print(f"1,000 clips of five classes: {strange.sum()} get a class that no rater gave, {strange_names.sum()} if the classes are names")
by_number, by_name = (agreement_categorical(values)[strange].mean() for values in (ratings, NAMES[ratings]))
print(f"mean agreement of those clips: {by_number:.2f} by number, {by_name:.2f} by name")
changed = seen != [1, 0, 0, 0.5] or strange.sum() == 0 or strange_names.any() or by_number > 0
sys.exit("the behaviour has changed" if changed else 0)
PYTHON
venv/bin/python check.py
