#!/usr/bin/env bash
# torcheval's MulticlassBinnedAUROC has one value per clip instead of one per class: a model that ignores the sound scores 0.87.
#
# Guess:    with `average=None` a metric of three classes returns three values, close to MulticlassAUROC's, and "macro" is their mean.
# Happens:  for 500 clips it returns 500 values. A model that gives every clip the same probabilities has 0.50 for each class in
#           MulticlassAUROC, and 0.87 in MulticlassBinnedAUROC. A model that orders the clips of every class without an error, but
#           prefers one class, has 1.00 and 0.55. Nothing is said. BinaryBinnedAUROC and MulticlassBinnedAUPRC are right.
# Cause:    hits and false alarms are summed over the classes of a clip, where those of BinaryBinnedAUROC are summed over the clips. The
#           code is the same, and the last axis is another.
# Matters:  "calculate metrics for each class separately, and return their unweighted mean" is what the documentation says. The number asks
#           whether the right class is above the others within a clip, so it rewards frequent classes, and "macro" does not protect rare
#           ones. The binned metric is the one for large sets of clips. Use BinaryBinnedAUROC with num_tasks, or MulticlassAUROC.
# Versions: torcheval 0.0.7, torch 2.13.0, numpy 2.4.6, Python 3.11.7.
# Date:     2026-11
# Output:
#   torcheval 0.0.7
#   average=None, 3 classes, 500 clips: 500 values
#   the same for every clip: exact 0.50, binned 0.87, binned by class 0.50
#   every class in order: exact 1.00, binned 0.55, binned by class 1.00
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check numpy==2.4.6 torch==2.13.0 torcheval==0.0.7

cat > check.py <<'PYTHON'
import sys
from importlib.metadata import version

import torch
from torcheval.metrics import BinaryBinnedAUROC, MulticlassAUROC, MulticlassBinnedAUROC

BINS = 1000
torch.manual_seed(0)
labels = torch.multinomial(torch.tensor([0.8, 0.1, 0.1]), 500, replacement=True)
truth = torch.nn.functional.one_hot(labels, 3).float()
models = {
    "the same for every clip": torch.tensor([0.8, 0.1, 0.1]).expand(500, 3) + 0,
    "every class in order": 0.2 * truth + torch.tensor([0.0, 0.1, 0.5]) + 0.1 * torch.rand(500, 3),
}


def value(metric, *batch):
    result = metric.update(*batch).compute()
    return result[0] if isinstance(result, tuple) else result


print("torcheval", version("torcheval"))
values = value(MulticlassBinnedAUROC(num_classes=3, threshold=BINS, average=None), models["every class in order"], labels)
print(f"average=None, 3 classes, 500 clips: {len(values)} values")
seen = []
for name, scores in models.items():
    exact = value(MulticlassAUROC(num_classes=3), scores, labels).item()
    binned = value(MulticlassBinnedAUROC(num_classes=3, threshold=BINS), scores, labels).item()
    tasks = value(BinaryBinnedAUROC(num_tasks=3, threshold=BINS), scores.T, truth.T).mean().item()
    print(f"{name}: exact {exact:.2f}, binned {binned:.2f}, binned by class {tasks:.2f}")
    seen.append((exact, binned, tasks))
(a, b, c), (d, e, f) = seen
ok = len(values) == 500 and b > 0.8 and e < 0.8 and max(abs(a - 0.5), abs(c - 0.5), abs(d - 1), abs(f - 1)) < 0.01
sys.exit(0 if ok else "the behaviour has changed")
PYTHON
venv/bin/python check.py
