#!/usr/bin/env bash
# psds_eval's macro F score leaves out classes of which nothing was found: a detector that misses nine of ten classes scores 1.0.
#
# Guess:    a class whose events were all missed has an F score of 0, so a detector that finds one class of ten has a macro F score of 0.1.
# Happens:  such a detector scores 1.0, also if it raises 90 false alarms for the other nine classes. If it finds one event of one more
#           class, which is right, its score falls to 0.59. A detector that finds half of the events of all classes scores 0.67, and looks
#           worse than the one that has learned one class.
# Cause:    the number of events of a class is computed back as its hits over its ratio of hits. Without a hit this is 0/0, so the score of
#           the class is NaN, and the mean is taken by numpy.nanmean. The documentation says that the scores of the classes are averaged.
#           The only sign is numpy's warning of an invalid division, once in a process.
# Matters:  a checkpoint that is chosen by this score can be one that has not learned most classes, early in training above all. Average
#           the dictionary of the classes yourself, with 0 for NaN.
# Versions: psds_eval 0.5.3, pandas 3.1.1, numpy 2.4.6, Python 3.11.7.
# Date:     2026-11
# Output:
#   psds_eval 0.5.3
#   found all of class 0: 1.00, with 0 for a missed class 0.10
#   found all of class 0, 90 false alarms for the others: 1.00, with 0 for a missed class 0.10
#   found all of class 0, one event of class 1: 0.59, with 0 for a missed class 0.12
#   found half of all classes: 0.67, with 0 for a missed class 0.67
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check numpy==2.4.6 pandas==3.1.1 psds_eval==0.5.3

cat > check.py <<'PYTHON'
import sys
import warnings
from importlib.metadata import version

import numpy as np
import pandas as pd
from psds_eval import PSDSEval

warnings.simplefilter("ignore")  # pandas' of arguments that will go, and numpy's of an invalid division
FILES, CLASSES = range(10), range(10)


def events(files, classes, late=0.0):
    """Return an event of 1 s for each class in each file."""
    rows = [(f"{file}.wav", 10 * label + late, 10 * label + late + 1, f"class {label}") for file in files for label in classes]
    return pd.DataFrame(rows, columns=["filename", "onset", "offset", "event_label"])


clips = pd.DataFrame({"filename": [f"{file}.wav" for file in FILES], "duration": 100.0})
scorer = PSDSEval(ground_truth=events(FILES, CLASSES), metadata=clips)
first, others = events(FILES, [0]), range(1, 10)
detections = {
    "all of class 0": first,
    "all of class 0, 90 false alarms for the others": pd.concat([first, events(FILES, others, late=5.0)]),
    "all of class 0, one event of class 1": pd.concat([first, events([0], [1])]),
    "half of all classes": events(range(5), CLASSES),
}
print("psds_eval", version("psds_eval"))
seen = []
for name, found in detections.items():
    score, classes = scorer.compute_macro_f_score(found)
    mean = np.nan_to_num(list(classes.values())).mean()
    print(f"found {name}: {score:.2f}, with 0 for a missed class {mean:.2f}")
    seen.append((round(score, 2), round(mean, 2)))
sys.exit(0 if seen == [(1, 0.1), (1, 0.1), (0.59, 0.12), (0.67, 0.67)] else "the behaviour has changed")
PYTHON
venv/bin/python check.py
