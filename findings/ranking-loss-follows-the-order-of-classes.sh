#!/usr/bin/env bash
# torchmetrics' MultilabelRankingLoss of scores with ties depends on the order of the classes: the same int8 scores have 0.12 or 0.18.
#
# Guess:    the loss is the share of pairs of a right and a wrong class that are in the wrong order. Equal scores count as scikit-learn
#           counts them, as wrong, and the order of the columns changes nothing.
# Happens:  the scores of 200 classes in steps of 1/127, as an int8 model has them, have a loss of 0.12 if the frequent classes come first
#           and of 0.18 if they come last; scikit-learn's loss is 0.30. A model that gives 0 to everything has 0.40 and 0.60 instead of 1.
#           With the scores in full precision all three agree. Nothing is said.
# Cause:    ranks come from a double `argsort`, which gives equal scores different ranks by their place. MultilabelCoverageError and
#           MultilabelRankingAveragePrecision, in the same file, compare scores and are right.
# Matters:  label lists are often in order of frequency, and scores have ties after quantisation, in half precision and where a sigmoid
#           saturates. A model that returns nothing can beat one that tries. Use `label_ranking_loss` of scikit-learn.
# Versions: torchmetrics 1.9.0, scikit-learn 1.9.1, torch 2.13.0, numpy 2.4.6, Python 3.11.7.
# Date:     2026-11
# Output:
#   torchmetrics 1.9.0
#   full precision: frequent first 0.02, last 0.02, scikit-learn 0.02; coverage error equal
#   steps of 1/127: frequent first 0.12, last 0.18, scikit-learn 0.30; coverage error equal
#   zero for all: frequent first 0.40, last 0.60, scikit-learn 1.00; coverage error equal
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check \
    numpy==2.4.6 torch==2.13.0 torchmetrics==1.9.0 scikit-learn==1.9.1

cat > check.py <<'PYTHON'
import sys

import torch
import torchmetrics
from sklearn.metrics import label_ranking_loss
from torchmetrics.classification import MultilabelCoverageError, MultilabelRankingLoss

CLIPS, CLASSES = 2000, 200
torch.manual_seed(0)
truth = (torch.rand(CLIPS, CLASSES) < torch.linspace(0.1, 0.001, CLASSES)).long()  # the frequent classes first
exact = (torch.randn(CLIPS, CLASSES) - 8 + 3 * truth).sigmoid()
rows = {"full precision": exact, "steps of 1/127": (exact * 127).round() / 127, "zero for all": torch.zeros(CLIPS, CLASSES)}

print("torchmetrics", torchmetrics.__version__)
seen = []
for name, scores in rows.items():
    loss, coverage = [], []
    for flip in (False, True):
        columns = torch.arange(CLASSES).flip(0) if flip else torch.arange(CLASSES)
        batch = scores[:, columns], truth[:, columns]
        loss.append(MultilabelRankingLoss(num_labels=CLASSES)(*batch).item())
        coverage.append(MultilabelCoverageError(num_labels=CLASSES)(*batch).item())
    right = label_ranking_loss(truth, scores)
    same = "equal" if abs(coverage[0] - coverage[1]) < 1e-3 else "other"
    print(f"{name}: frequent first {loss[0]:.2f}, last {loss[1]:.2f}, scikit-learn {right:.2f}; coverage error {same}")
    seen.append((*loss, right, same))
first, steps, zero = seen
ok = max(first[:3]) - min(first[:3]) < 1e-3 and steps[1] - steps[0] > 0.03 and steps[2] > 0.25 and zero[1] - zero[0] > 0.1
sys.exit(0 if ok and all(row[3] == "equal" for row in seen) else "the behaviour has changed")
PYTHON
venv/bin/python check.py
