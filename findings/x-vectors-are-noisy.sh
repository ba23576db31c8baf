#!/usr/bin/env bash
# SpeechBrain's x-vectors have noise in them, also in evaluation: the same clip gives another vector in each call.
#
# Guess:    a network in eval() under no_grad() is a function: the same clip gives the same embedding, and dropout is all that was random.
# Happens:  five calls give five vectors. They are the same if torch's seed is set before each call. With features of a single
#           dimension the pooled mean is NaN.
# Cause:    StatisticsPooling adds random numbers between 1e-5 and 9e-5 to the mean of each feature, whatever the mode. They are drawn
#           with torch's global generator, and scaled by their own range, which is 0 where there is one.
# Matters:  embeddings that are cached, hashed or compared between machines never agree, and a test of reproducibility fails for no
#           visible reason. An evaluation moves torch's generator, so how often one evaluates changes the training after it.
# Versions: speechbrain 1.1.2, torch 2.13.0, Python 3.11.7.
# Date:     2026-11
# Output:
#   speechbrain 1.1.2
#   x-vectors of one clip in five calls: 5; with the seed set before each: 1
#   added to the mean of silence: between 1e-05 and 9e-05
#   torch's generator after a call: moved
#   one dimension: nan
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check numpy==2.4.6 torch==2.13.0
venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps torchaudio==2.11.0
venv/bin/python -m pip install --quiet --disable-pip-version-check speechbrain==1.1.2
rm -f venv/lib/python3*/site-packages/torchaudio/lib/_torchaudio*.so # its C++ part is for another torch; nothing here uses it

cat > check.py <<'PYTHON'
import sys

import speechbrain
import torch
from speechbrain.lobes.models.Xvector import Xvector
from speechbrain.nnet.pooling import StatisticsPooling

torch.manual_seed(0)
network = Xvector(in_channels=24, tdnn_channels=[32] * 5, lin_neurons=16).eval()
features = torch.randn(1, 200, 24)


@torch.no_grad()
def vectors(seed):
    found = set()
    for _ in range(5):
        if seed is not None:
            torch.manual_seed(seed)
        found.add(network(features).numpy().tobytes())
    return len(found)


plain, seeded = vectors(None), vectors(1)
before = torch.get_rng_state()
means = StatisticsPooling().eval()(torch.zeros(1, 200, 64))[0, 0, :64]
moved = not torch.equal(before, torch.get_rng_state())
low, high = f"{means.min().item():.0e}", f"{means.max().item():.0e}"
single = StatisticsPooling().eval()(torch.full((1, 200, 1), 0.5))[0, 0, 0].item()

print("speechbrain", speechbrain.__version__)
print(f"x-vectors of one clip in five calls: {plain}; with the seed set before each: {seeded}")
print(f"added to the mean of silence: between {low} and {high}")
print("torch's generator after a call:", "moved" if moved else "as before")
print("one dimension:", single)
ok = (plain, seeded, low, high, moved) == (5, 1, "1e-05", "9e-05", True) and single != single
sys.exit(0 if ok else "the behaviour has changed")
PYTHON
venv/bin/python check.py
