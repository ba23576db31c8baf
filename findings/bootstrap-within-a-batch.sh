#!/usr/bin/env bash
# The interval of torchmetrics' BootStrapper depends on the batch size; at one clip a batch it has no width.
#
# Guess:    BootStrapper(sampling_strategy="multinomial") is the bootstrap: it draws as many clips as there are, with
#           replacement, from the whole test set. How the clips were divided into batches does not matter.
# Happens:  200 clips with an accuracy of 0.68: the standard error is 0.036 in one batch of 200, 0.033 in batches of 32,
#           0.028 in batches of 8, and 0 in batches of one clip, where the interval is [0.68, 0.68]. With the default
#           strategy, "poisson", it is 0.031 to 0.034 for all of them.
# Cause:    update() draws within the batch that it gets. A batch of one clip gives that clip every time, and a larger one
#           can repeat or lose only its own clips.
# Matters:  Long recordings are tested one by one, and small batches are what fits next to a large model: an interval is
#           then too narrow, or a point, and any difference looks significant. No message says so.
# Versions: torchmetrics 1.9.0, torch 2.13.0, numpy 2.4.6, Python 3.11.7.
# Date:     2026-11
# Output:
#   torchmetrics 1.9.0, accuracy 0.68
#   multinomial, batches of 200: standard error 0.036, 95 % interval 0.610 to 0.750
#   multinomial, batches of 32: standard error 0.033, 95 % interval 0.620 to 0.743
#   multinomial, batches of 8: standard error 0.028, 95 % interval 0.622 to 0.740
#   multinomial, batches of 1: standard error 0.000, 95 % interval 0.680 to 0.680
#   poisson, batches of 200: standard error 0.031, 95 % interval 0.620 to 0.742
#   poisson, batches of 32: standard error 0.034, 95 % interval 0.606 to 0.741
#   poisson, batches of 8: standard error 0.034, 95 % interval 0.614 to 0.749
#   poisson, batches of 1: standard error 0.032, 95 % interval 0.620 to 0.742
#   standard error of a proportion: 0.033
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check numpy==2.4.6 torch==2.13.0 torchmetrics==1.9.0

cat > check.py <<'PYTHON'
import torch
import torchmetrics
from torchmetrics.classification import MulticlassAccuracy
from torchmetrics.wrappers import BootStrapper

torch.manual_seed(0)
targets = torch.randint(0, 5, (200,))
predictions = torch.where(torch.rand(200) < 0.7, targets, (targets + 1) % 5)
print(f"torchmetrics {torchmetrics.__version__}, accuracy {(predictions == targets).float().mean():.2f}")

errors = {}
for strategy in ("multinomial", "poisson"):
    for size in (200, 32, 8, 1):
        torch.manual_seed(1)
        metric = BootStrapper(
            MulticlassAccuracy(5, average="micro"), num_bootstraps=500, sampling_strategy=strategy,
            quantile=torch.tensor([0.025, 0.975]),
        )
        for part, truth in zip(predictions.split(size), targets.split(size), strict=True):
            metric.update(part, truth)
        found = metric.compute()
        low, high = found["quantile"].tolist()
        errors[strategy, size] = found["std"].item()
        print(f"{strategy}, batches of {size}: standard error {found['std']:.3f}, 95 % interval {low:.3f} to {high:.3f}")
usual = (0.68 * 0.32 / 200) ** 0.5  # of a proportion
print(f"standard error of a proportion: {usual:.3f}")
assert errors["multinomial", 1] < 1e-6
assert errors["multinomial", 8] < 0.9 * usual
assert all(abs(errors["poisson", size] / usual - 1) < 0.1 for size in (200, 32, 8, 1))
PYTHON
venv/bin/python check.py
