#!/usr/bin/env bash
# A Trainer that averages weights validates the average, and its test(ckpt_path="best") tests other weights.
#
# Guess:    With the callback EMAWeightAveraging and a ModelCheckpoint, `trainer.test(model, ckpt_path="best")` after
#           `fit` tests what was validated and chosen: the average, which the checkpoint has under `state_dict`.
# Happens:  It tests the weights of the training step at which the checkpoint was written, not their average, and warns
#           of nothing. A new Trainer without the callback tests the average from the same file.
# Cause:    The checkpoint holds both. `WeightAveraging.on_load_checkpoint` restores a training: it puts the average
#           into the callback's own copy and loads `current_model_state` into the model. The Trainer calls this hook for
#           `test`, `validate` and `predict`, too, and the copy of `fit` still exists.
# Matters:  The reported test score is of a model that was never validated, and differs from the score that the same
#           checkpoint has in another process. `load_from_checkpoint` and a Trainer without the callback give the average.
# Versions: lightning 2.6.6, torch 2.13.0 on the CPU, numpy 2.4.6, Python 3.11.7.
# Date:     2026-11
# Output:
#   lightning 2.6.6
#   validated, the average: 0.6250
#   tested after fit with ckpt_path="best": 1.0000
#   tested by a new Trainer from the same file: 0.6250
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check numpy==2.4.6 torch==2.13.0 lightning==2.6.6

cat > check.py <<'PYTHON'
import logging
import warnings

import lightning
import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import EMAWeightAveraging, ModelCheckpoint
from torch import nn
from torch.utils.data import DataLoader

warnings.filterwarnings("ignore")
logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
quiet = {"accelerator": "cpu", "logger": False, "enable_progress_bar": False, "enable_model_summary": False}


class Counter(pl.LightningModule):
    """A single weight, to which each step of the optimiser adds one half."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.seen = {}

    def training_step(self, batch, batch_idx):
        return -self.weight.sum()

    def validation_step(self, batch, batch_idx):
        self.seen["validated"] = self.weight.item()
        self.log("score", self.weight.sum())

    def test_step(self, batch, batch_idx):
        self.seen["tested"] = self.weight.item()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.5)


batches = DataLoader(torch.zeros(2, 1))
model = Counter()
best = ModelCheckpoint(".", "best", monitor="score", mode="max")
trainer = pl.Trainer(max_epochs=1, num_sanity_val_steps=0, callbacks=[best, EMAWeightAveraging(decay=0.75)], **quiet)
trainer.fit(model, batches, batches)
validated = model.seen["validated"]
trainer.test(model, batches, ckpt_path="best", verbose=False)
tested = model.seen["tested"]

fresh = Counter()
pl.Trainer(**quiet).test(fresh, batches, ckpt_path="best.ckpt", verbose=False)
elsewhere = fresh.seen["tested"]
print("lightning", lightning.__version__)
print(f"validated, the average: {validated:.4f}")
print(f'tested after fit with ckpt_path="best": {tested:.4f}')
print(f"tested by a new Trainer from the same file: {elsewhere:.4f}")

assert validated == elsewhere
assert tested != validated
PYTHON
venv/bin/python check.py
