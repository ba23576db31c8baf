#!/usr/bin/env bash
# opensoundscape's precision, recall and F1 of a model with one class per clip are those of the second class alone, however many there are.
#
# Guess:    `single_target_metrics` returns the mean over the classes of precision, recall and F1, as `multi_target_metrics` does.
# Happens:  of 202 clips in three classes, 200 are classified right, and both clips of the rare class are wrong. The F1 is 0 if the rare
#           class is the second one, and 0.99 or 1 if another is. The same predictions thus have three scores, by the order of the columns.
# Cause:    the values per class are computed, and the one at index 1 is returned, as if there were a negative and a positive class. The
#           documentation speaks of "various overall and per-class metrics". Jaccard index and Hamming loss beside them cover all classes.
# Matters:  classes are often in alphabetical order, so a model is chosen, or a result is published, by one class that nobody picked. Take
#           `precision_recall_fscore_support` of scikit-learn with `average="macro"`, or the confusion matrix that is returned, too.
# Versions: opensoundscape 0.13.2, torch 2.14.1, scikit-learn 1.9.1, numpy 2.0.2, Python 3.11.7.
# Date:     2026-11
# Output:
#   opensoundscape 0.13.2
#   columns jay, crow, owl: F1 0.99, of multi_target_metrics 0.66, right 0.99
#   columns crow, jay, owl: F1 0.00, of multi_target_metrics 0.66, right 0.99
#   columns crow, owl, jay: F1 1.00, of multi_target_metrics 0.66, right 0.99
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check numpy==2.0.2 scikit-learn==1.9.1 pandas==3.1.1 torch==2.14.1 \
    torchaudio==2.11.1 torchvision==0.29.1 lightning==2.6.6 opensoundscape==0.13.2

cat > check.py <<'PYTHON'
import sys
import warnings
from importlib.metadata import version
from itertools import permutations

import numpy as np

warnings.simplefilter("ignore")  # of optional packages
from opensoundscape.metrics import multi_target_metrics, single_target_metrics

CLIPS = {"crow": 100, "jay": 2, "owl": 100}

print("opensoundscape", version("opensoundscape"))
labels = np.repeat(list(CLIPS), list(CLIPS.values()))
predicted = np.where(labels == "jay", "crow", labels)  # both jays are taken for crows
scores = set()
for second in CLIPS:
    classes = next(list(order) for order in permutations(CLIPS) if order[1] == second)
    targets, outputs = (np.stack([names == name for name in classes], axis=1).astype(int) for names in (labels, predicted))
    single = single_target_metrics(targets, outputs.astype(float))
    several = multi_target_metrics(targets, outputs.astype(float), classes, 0.5)
    right = (targets.argmax(1) == outputs.argmax(1)).mean()
    print(f"columns {', '.join(classes)}: F1 {single['f1']:.2f}, of multi_target_metrics {several['f1']:.2f}, right {right:.2f}")
    scores.add(round(float(single["f1"]), 2))
sys.exit(0 if scores == {0.0, 0.99, 1.0} else "the behaviour has changed")
PYTHON
venv/bin/python check.py
