#!/usr/bin/env bash
# torchsampler's ImbalancedDatasetSampler balances nothing if the indices that it is given are not sorted, as those of a random split.
#
# Guess:    with `indices` and their `labels`, every class is drawn equally often, in whatever order the indices are.
# Happens:  of 800 training clips 10 % are alarms. With sorted indices 50 % of the drawn clips are alarms; with the same indices as a random
#           split returns them, 12 %. Nothing is said.
# Cause:    the table of labels is sorted by index, and the weights are made from it. The list of indices stays in its order, so the weight
#           at a place belongs to another clip. The weights of 80 rare clips go to 80 clips that are drawn blindly.
# Matters:  training goes on with classes as rare as before, and some clips nine times as often as others. The sampler was added against
#           just that. `train_test_split`, `randperm` and `random_split` return unsorted indices. Sort them, and count what is drawn.
# Versions: torchsampler 0.1.2, torch 2.13.0, pandas 3.1.1, numpy 2.4.6, Python 3.11.7.
# Date:     2026-11
# Output:
#   torchsampler 0.1.2
#   sorted indices: 10% of the clips are alarms, 50% of the drawn ones
#   shuffled indices: 10% of the clips are alarms, 12% of the drawn ones
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check numpy==2.4.6 pandas==3.1.1 torch==2.13.0
venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps torchsampler==0.1.2

cat > check.py <<'PYTHON'
import sys
from importlib.metadata import version
from types import ModuleType

import numpy as np
import torch

sys.modules["torchvision"] = ModuleType("torchvision")  # only used to look at datasets of images, and large
from torchsampler import ImbalancedDatasetSampler

LABELS = (np.arange(1000) % 10 == 0).astype(int)  # every tenth clip is an alarm
SHUFFLED = np.random.default_rng(0).permutation(1000)[:800]


def drawn(indices):
    """Return the share of alarms among 10,000 clips that are drawn from these."""
    torch.manual_seed(0)
    sampler = ImbalancedDatasetSampler(LABELS, labels=LABELS[indices], indices=indices.tolist(), num_samples=10_000)
    return LABELS[list(sampler)].mean()


print("torchsampler", version("torchsampler"))
shares = []
for name, indices in (("sorted", np.sort(SHUFFLED)), ("shuffled", SHUFFLED)):
    shares.append(drawn(indices))
    print(f"{name} indices: {LABELS[indices].mean():.0%} of the clips are alarms, {shares[-1]:.0%} of the drawn ones")
sys.exit(0 if abs(shares[0] - 0.5) < 0.02 and shares[1] < 0.2 else "the behaviour has changed")
PYTHON
venv/bin/python check.py
