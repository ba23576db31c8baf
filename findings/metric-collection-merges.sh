#!/usr/bin/env bash
# A torchmetrics MetricCollection can return one metric's value under another metric's name.
#
# Guess:    MetricCollection({"top1": ..., "top2": ...}) returns what the metrics return on their own. Its compute
#           groups share the states of metrics that are computed from the same states by definition.
# Happens:  The groups are formed from the numbers that the first batch happened to give. If all clips of the first
#           batch are right at top 1, then top-1 and top-2 accuracy have equal counts, become one group, and top 2 is never
#           updated again: after a second batch it is 0.5 for 1.0. Two F1 scores at thresholds of 0.5 and 0.9 merge in
#           the same way: 0.8 for 0.667. There is no warning, and reset() does not separate them: the next epoch has
#           the wrong value, too.
# Cause:    MetricCollection._merge_compute_groups compares the states by value (_equal_metric_states, allclose) once,
#           after the first update, and then gives the whole group references to the first metric's states.
# Matters:  The better the model and the smaller or easier the first batch, the likelier the error; a test set sorted by
#           class is enough. Top-5 accuracy falls to top-1. `compute_groups=False` gives the right values.
# Versions: torchmetrics 1.9.0, torch 2.13.0, numpy 2.4.6, Python 3.11.7.
# Date:     2026-11
# Output:
#   torchmetrics 1.9.0 torch 2.13.0+cpu
#   accuracy: collection {'top1': 0.5, 'top2': 0.5}, separate {'top1': 0.5, 'top2': 1.0}, without groups {'top1': 0.5, 'top2': 1.0}
#   accuracy: groups {0: ['top1', 'top2']}; after reset(), batches in the other order: {'top1': 0.5, 'top2': 0.5}
#   F1: collection {'at50': 0.8, 'at90': 0.8}, separate {'at50': 0.8, 'at90': 0.667}, without groups {'at50': 0.8, 'at90': 0.667}
#   F1: groups {0: ['at50', 'at90']}; after reset(), batches in the other order: {'at50': 0.8, 'at90': 0.8}
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check numpy==2.4.6 torch==2.13.0 torchmetrics==1.9.0

cat > check.py <<'PYTHON'
import torch
import torchmetrics
from torchmetrics import MetricCollection
from torchmetrics.classification import BinaryF1Score, MulticlassAccuracy


def accuracies():
    return {f"top{k}": MulticlassAccuracy(4, top_k=k, average="macro") for k in (1, 2)}


def f1_scores():
    return {f"at{percent}": BinaryF1Score(threshold=percent / 100) for percent in (50, 90)}


def values(metrics, batches):
    """Return each metric's value after all batches, for a collection or for a dict of separate metrics."""
    for scores, target in batches:
        if isinstance(metrics, MetricCollection):
            metrics.update(scores, target)
        else:
            for metric in metrics.values():
                metric.update(scores, target)
    whole = isinstance(metrics, MetricCollection)
    result = metrics.compute() if whole else {name: metric.compute() for name, metric in metrics.items()}
    return {name: round(float(value), 3) for name, value in result.items()}


# four clips, one of each class: all right at top 1, then all right at top 2 only
right = (torch.eye(4), torch.arange(4))
second = (torch.eye(4).roll(1, 1) + 0.5 * torch.eye(4), torch.arange(4))
# a confident batch, then one with probabilities between the thresholds
confident = (torch.tensor([0.05, 0.95]), torch.tensor([0, 1]))
between = (torch.tensor([0.6, 0.7]), torch.tensor([0, 1]))

print("torchmetrics", torchmetrics.__version__, "torch", torch.__version__)
found = {}
for title, make, batches in (("accuracy", accuracies, (right, second)), ("F1", f1_scores, (confident, between))):
    collection = MetricCollection(make())
    found[title] = (
        values(collection, batches),
        values(make(), batches),
        values(MetricCollection(make(), compute_groups=False), batches),
    )
    groups = collection.compute_groups
    collection.reset()
    after_reset = values(collection, reversed(batches))
    print(f"{title}: collection {found[title][0]}, separate {found[title][1]}, without groups {found[title][2]}")
    print(f"{title}: groups {groups}; after reset(), batches in the other order: {after_reset}")
    assert len(groups) == 1 and after_reset == found[title][0]

# by hand: top-2 accuracy is 8 of 8; at 0.5 two hits, one false alarm: 4/5; at 0.9 one hit, one miss: 2/3
assert found["accuracy"] == ({"top1": 0.5, "top2": 0.5}, {"top1": 0.5, "top2": 1.0}, {"top1": 0.5, "top2": 1.0})
assert found["F1"] == ({"at50": 0.8, "at90": 0.8}, {"at50": 0.8, "at90": 0.667}, {"at50": 0.8, "at90": 0.667})
PYTHON
venv/bin/python check.py
