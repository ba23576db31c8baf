#!/usr/bin/env bash
# ema-pytorch's forward_eval does not evaluate: dropout is on, the batch decides, and the average of the weights is changed by it.
#
# Guess:    `forward_eval` calls the averaged model in evaluation mode and without gradients: "no grad + eval", as its comment says.
# Happens:  the scores of a second call differ by 2.94, and those of the same clips in a smaller batch by 1.58. Three calls move the running
#           mean of the averaged model by 0.05. Gradients are off, as promised. Nothing is said.
# Cause:    the method notes the mode, calls the model, and puts the mode back; the line that calls `eval()` between is not there. The
#           averaged model is a copy of a model in training, so it is in training mode until someone calls `ema_model.eval()`.
# Matters:  a validation by this method has dropout in it and depends on the batch size. Its clips leak into the statistics of the model
#           that is saved. Scores look like those of a worse model, and no two calls agree. Call `ema.ema_model.eval()` once at the start.
# Versions: ema-pytorch 0.8.3, torch 2.13.0, numpy 2.4.6, Python 3.11.7.
# Date:     2026-11
# Output:
#   ema-pytorch 0.8.3
#   forward_eval: gradients off, scores of a second call differ by 2.94
#   forward_eval: clips in a batch of 4 instead of 64 differ by 1.58
#   forward_eval: three calls moved the averaged model's running mean by 0.05
#   after ema_model.eval(): 0.00
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check numpy==2.4.6 torch==2.13.0 ema-pytorch==0.8.3

cat > check.py <<'PYTHON'
import sys
from importlib.metadata import version

import torch
from ema_pytorch import EMA

torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.BatchNorm1d(16), torch.nn.Dropout(0.5), torch.nn.Linear(16, 2))
average = EMA(model, update_after_step=0, update_every=1)
clips = torch.randn(64, 8)
for _ in range(20):
    model(clips)
    average.update()
norm = average.ema_model[1]


def difference(a, b):
    return (a - b).abs().max().item()


print("ema-pytorch", version("ema-pytorch"))
before = norm.running_mean.clone()
one, two = average.forward_eval(clips), average.forward_eval(clips)
part = average.forward_eval(clips[:4])
moved = difference(norm.running_mean, before)
print(f"forward_eval: gradients {'on' if one.requires_grad else 'off'}, scores of a second call differ by {difference(one, two):.2f}")
print(f"forward_eval: clips in a batch of 4 instead of 64 differ by {difference(one[:4], part):.2f}")
print(f"forward_eval: three calls moved the averaged model's running mean by {moved:.2f}")
average.ema_model.eval()
right = [average.forward_eval(batch)[:4] for batch in (clips, clips, clips[:4])]
print(f"after ema_model.eval(): {max(difference(right[0], other) for other in right):.2f}")
wrong = difference(one, two) > 0.1 and difference(one[:4], part) > 0.1 and moved > 0.01
sys.exit(0 if wrong and max(difference(right[0], other) for other in right) < 1e-5 else "the behaviour has changed")
PYTHON
venv/bin/python check.py
