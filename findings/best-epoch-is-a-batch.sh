#!/usr/bin/env bash
# MinMaxMetric, called as metrics are called in a Lightning step, keeps the best batch, and its epoch is the last batch.
#
# Guess:    MinMaxMetric(accuracy), called with each validation batch and computed at the end of the epoch, gives the
#           epoch's accuracy as "raw", and the best and worst epoch's as "max" and "min".
# Happens:  Epochs with accuracies of 0.22, 0.86 and 0.49 have "raw" 0.30, 1.00 and 0.60, which are those of their last
#           batches, "max" 1.00 and "min" 0.00, which no epoch had. With update() instead of the call all are as guessed.
# Cause:    The call computes the metric on the batch alone, as calls of metrics do, but the wrapper keeps that batch's
#           state instead of putting the epoch's back, and notes its value as a least or greatest one.
# Matters:  `self.metric(logits, targets)` in a step is the documented way to log a metric. A "best accuracy" so logged is
#           100 % after a lucky batch of ten clips; a checkpoint that monitors "raw" is chosen by the last batch.
# Versions: torchmetrics 1.9.0, torch 2.13.0, numpy 2.4.6, Python 3.11.7.
# Date:     2026-11
# Output:
#   torchmetrics 1.9.0
#   epoch 0: accuracy 0.22, last batch 0.30; called {'raw': 0.3, 'max': 0.3, 'min': 0.0}; updated {'raw': 0.22, 'max': 0.22, 'min': 0.22}
#   epoch 1: accuracy 0.86, last batch 1.00; called {'raw': 1.0, 'max': 1.0, 'min': 0.0}; updated {'raw': 0.86, 'max': 0.86, 'min': 0.22}
#   epoch 2: accuracy 0.49, last batch 0.60; called {'raw': 0.6, 'max': 1.0, 'min': 0.0}; updated {'raw': 0.49, 'max': 0.86, 'min': 0.22}
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check numpy==2.4.6 torch==2.13.0 torchmetrics==1.9.0

cat > check.py <<'PYTHON'
import torch
import torchmetrics
from torchmetrics import MinMaxMetric
from torchmetrics.classification import MulticlassAccuracy


def accuracy():
    return MulticlassAccuracy(5, average="micro")


print("torchmetrics", torchmetrics.__version__)
called, updated = MinMaxMetric(accuracy()), MinMaxMetric(accuracy())
targets = torch.arange(100) % 5
epochs = []
for epoch, chance in enumerate((0.2, 0.8, 0.5)):
    generator = torch.Generator().manual_seed(epoch)
    right = torch.rand(100, generator=generator) < chance
    predictions = torch.where(right, targets, (targets + 1) % 5)
    whole, batches = accuracy(), []
    for part, truth in zip(predictions.split(10), targets.split(10), strict=True):
        called(part, truth)  # as in validation_step
        updated.update(part, truth)
        whole.update(part, truth)
        batches.append((part == truth).float().mean().item())
    values = [{name: round(value.item(), 2) for name, value in each.compute().items()} for each in (called, updated)]
    epochs.append((whole.compute().item(), batches[-1], *values))
    print(f"epoch {epoch}: accuracy {epochs[-1][0]:.2f}, last batch {batches[-1]:.2f}; called {values[0]}; updated {values[1]}")
    called.reset()
    updated.reset()
scores = [each[0] for each in epochs]
for score, last, by_call, by_update in epochs:
    assert abs(by_call["raw"] - last) < 0.005 < abs(by_call["raw"] - score)
    assert abs(by_update["raw"] - score) < 0.006
assert epochs[-1][2]["max"] > max(scores) + 0.1 and epochs[-1][2]["min"] < min(scores) - 0.1
assert abs(epochs[-1][3]["max"] - max(scores)) < 0.006
PYTHON
venv/bin/python check.py
