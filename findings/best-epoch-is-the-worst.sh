#!/usr/bin/env bash
# torchmetrics' MetricTracker applies a list of directions to other metrics than it was written for, and takes an epoch of NaN for the best.
#
# Guess:    the list maximize=[False, True] belongs to the metrics in the order in which the collection was given: a loss, then an accuracy.
#           An epoch whose score is NaN is not the best one.
# Happens:  the tracker of {"loss": ..., "accuracy": ...} with [False, True] names the epoch with the highest loss and the epoch with the
#           lowest accuracy as best. The same metrics as {"accuracy": ..., "loss": ...} with [True, False] have the right epochs. A loss
#           that became NaN in one epoch is the best loss, for maximize=True and for maximize=False. Nothing is said.
# Cause:    a MetricCollection sorts the names of a dictionary, and the tracker counts along the sorted names. The collection's
#           documentation says that the keys of its result are sorted; the tracker's does not say that the list has to be. Of numbers with
#           NaN among them, torch.max and torch.min both return NaN.
# Matters:  the wrong epoch is restored, and its score is reported as the best. A list that happens to be in alphabetical order is right, so
#           a test with other names passes. Leave out maximize, which takes the direction from each metric, or sort the names yourself.
# Versions: torchmetrics 1.9.0, torch 2.13.0, numpy 2.4.6, Python 3.11.7.
# Date:     2026-11
# Output:
#   torchmetrics 1.9.0
#   epochs 0 to 3: loss 0.25 0.09 0.04 0.31, accuracy 0.50 0.75 1.00 0.25
#   loss, accuracy with [False, True]: best loss 0.31 in epoch 3, best accuracy 0.25 in epoch 3
#   accuracy, loss with [True, False]: best loss 0.04 in epoch 2, best accuracy 1.00 in epoch 2
#   loss, accuracy without directions: best loss 0.04 in epoch 2, best accuracy 1.00 in epoch 2
#   losses 0.25 0.09 nan 0.04: best nan in epoch 2 with maximize=False, nan in epoch 2 with maximize=True
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check numpy==2.4.6 torch==2.13.0 torchmetrics==1.9.0

cat > check.py <<'PYTHON'
import sys
import warnings

import torch
import torchmetrics
from torchmetrics import MetricCollection
from torchmetrics.classification import BinaryAccuracy
from torchmetrics.regression import MeanSquaredError
from torchmetrics.wrappers import MetricTracker

warnings.simplefilter("error")  # nothing below warns
truth = torch.tensor([0, 0, 1, 1])
epochs = [  # the probabilities of four clips, of which 2, 3, 4 and 1 are on the right side
    torch.tensor([0.5, 0.5, 0.5, 0.5]),
    torch.tensor([0.1, 0.1, 0.9, 0.4255]),
    torch.tensor([0.2, 0.2, 0.8, 0.8]),
    torch.tensor([0.6, 0.6, 0.4, 0.6]),
]


def tracked(names, directions):
    kinds = {"loss": MeanSquaredError, "accuracy": BinaryAccuracy}
    tracker = MetricTracker(MetricCollection({name: kinds[name]() for name in names}), maximize=directions)
    for guess in epochs:
        tracker.increment()
        tracker.update(guess, truth)
    return tracker


print("torchmetrics", torchmetrics.__version__)
scores = tracked(("loss", "accuracy"), None).compute_all()
loss, accuracy = (" ".join(f"{x:.2f}" for x in scores[name].tolist()) for name in ("loss", "accuracy"))
print(f"epochs 0 to 3: loss {loss}, accuracy {accuracy}")
found = []
for names, directions in ((("loss", "accuracy"), [False, True]), (("accuracy", "loss"), [True, False]), (("loss", "accuracy"), None)):
    best, epoch = tracked(names, directions).best_metric(return_step=True)
    print(
        f"{', '.join(names)} {'without directions' if directions is None else f'with {directions}'}: "
        f"best loss {best['loss']:.2f} in epoch {epoch['loss']}, best accuracy {best['accuracy']:.2f} in epoch {epoch['accuracy']}"
    )
    found.append((epoch["loss"], epoch["accuracy"]))

losses = [0.25, 0.09, float("nan"), 0.04]
for direction in (False, True):
    tracker = MetricTracker(MeanSquaredError(), maximize=direction)
    for loss in losses:
        tracker.increment()
        tracker.update(torch.tensor([loss]) ** 0.5, torch.zeros(1))
    found.append(tracker.best_metric(return_step=True))
(low, low_epoch), (high, high_epoch) = found[3:]
print(
    f"losses {' '.join(f'{x:.2f}' for x in losses)}: "
    f"best {low} in epoch {low_epoch} with maximize=False, {high} in epoch {high_epoch} with maximize=True"
)
same = found[:3] == [(3, 3), (2, 2), (2, 2)] and low != low and high != high and low_epoch == high_epoch == 2
sys.exit(0 if same else "the behaviour has changed")
PYTHON
venv/bin/python check.py
