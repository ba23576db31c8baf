#!/usr/bin/env bash
# torchmetrics' macro accuracy is not balanced accuracy: one wrong guess of an absent class lowers it by a whole class.
#
# Guess:    MulticlassAccuracy(average="macro"), the default average, is the mean of the recalls of the classes that
#           occur: scikit-learn's balanced_accuracy_score. A class without a clip has no recall and no influence.
# Happens:  That holds until some clip is predicted as the absent class. Its recall, 0/0, then counts as 0, and the mean
#           is over one class more. With targets 0, 0, 1 and one error, the value is 0.75 if the error is a guess of
#           class 1, and 0.5 if it is a guess of class 2, which has no clips; balanced accuracy is 0.75 in both cases.
#           With top_k=2 the same predictions give balanced accuracy's rule again: the absent class is left out.
# Cause:    _adjust_weights_safe_divide gives weight 0 to a class if tp + fp + fn == 0 (true positives, false positives,
#           false negatives) for top_k == 1, and if tp + fn == 0 otherwise. fp > 0 makes the absent class count.
# Matters:  Folds and small test sets lack classes. Every absent class that is guessed once adds a recall of 0 to the
#           mean: with 10 of 50 classes present and 90 of 100 clips right, ten errors give 0.9 or 0.45, depending only on which
#           wrong classes were guessed. Values that were computed with different libraries are not comparable.
# Versions: torchmetrics 1.9.0, scikit-learn 1.9.1, torch 2.13.0, numpy 2.4.6, Python 3.11.7.
# Date:     2026-11
# Output:
#   torchmetrics 1.9.0 scikit-learn 1.9.1
#   the error is a guess of class 1, which occurs: macro accuracy 0.75, balanced accuracy 0.75
#   the error is a guess of class 2, which does not: macro accuracy 0.5, balanced accuracy 0.75
#   10 of 50 classes occur, 90 of 100 right; errors among the ten: (0.9, 0.9), the forty: (0.45, 0.9)
#   scores with class 2 first for one clip: top_k=1 0.500, top_k=2 0.750
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check \
    numpy==2.4.6 torch==2.13.0 torchmetrics==1.9.0 scikit-learn==1.9.1

cat > check.py <<'PYTHON'
import warnings

import sklearn
import torch
import torchmetrics
from sklearn.metrics import balanced_accuracy_score
from torchmetrics.functional.classification import multiclass_accuracy

warnings.simplefilter("ignore")  # scikit-learn: "y_pred contains classes not in y_true"


def both(predicted, target, classes):
    ours = multiclass_accuracy(torch.tensor(predicted), torch.tensor(target), classes)
    return round(float(ours), 3), round(float(balanced_accuracy_score(target, predicted)), 3)


print("torchmetrics", torchmetrics.__version__, "scikit-learn", sklearn.__version__)
target = [0, 0, 1]
present, absent = both([0, 1, 1], target, 3), both([0, 2, 1], target, 3)
print(f"the error is a guess of class 1, which occurs: macro accuracy {present[0]}, balanced accuracy {present[1]}")
print(f"the error is a guess of class 2, which does not: macro accuracy {absent[0]}, balanced accuracy {absent[1]}")

# fifty classes, ten of which have ten clips each; ten errors, one per class
target = [clip // 10 for clip in range(100)]
into_present = [(y + 1) % 10 if clip % 10 == 0 else y for clip, y in enumerate(target)]
into_absent = [10 + y if clip % 10 == 0 else y for clip, y in enumerate(target)]
large_present, large_absent = both(into_present, target, 50), both(into_absent, target, 50)
print(f"10 of 50 classes occur, 90 of 100 right; errors among the ten: {large_present}, the forty: {large_absent}")

scores = torch.tensor([[0.9, 0.1, 0.0], [0.1, 0.2, 0.7], [0.1, 0.9, 0.0]])  # clip 1: class 2 before 1 before 0
top1, top2 = (float(multiclass_accuracy(scores, torch.tensor([0, 0, 1]), 3, top_k=k)) for k in (1, 2))
print(f"scores with class 2 first for one clip: top_k=1 {top1:.3f}, top_k=2 {top2:.3f}")

assert present == (0.75, 0.75) and absent == (0.5, 0.75)
assert large_present == (0.9, 0.9) and large_absent == (0.45, 0.9)
assert (round(top1, 3), round(top2, 3)) == (0.5, 0.75)
PYTHON
venv/bin/python check.py
