#!/usr/bin/env bash
# With accumulated gradients, Lightning's last step of an epoch is made as much smaller as its batches are fewer.
#
# Guess:    accumulate_grad_batches=4 with batches of 8 trains as batches of 32 do: a step has the mean gradient of its clips,
#           also the last one, which has what is left.
# Happens:  36 clips whose gradient is 1 each: batches of 32 give the gradients 1.0 and 1.0. Batches of 8, four at a time,
#           give 1.0 and 0.25. A last step of two whole batches and one of a single clip gives 0.75, in which that clip
#           weighs as much as eight others.
# Cause:    each batch's loss is divided by four before it is known how many batches the step will have.
# Matters:  small datasets have few steps in an epoch: with 36 clips each second one is a quarter of a step, and its Adam
#           moments, norm and clipping are those of a quarter. Studies of batch sizes by accumulation compare other trainings.
# Versions: lightning 2.6.6, torch 2.13.0, Python 3.11.7.
# Date:     2026-11
# Output:
#   lightning 2.6.6
#   36 clips, batches of 32: gradients 1.000, 1.000
#   36 clips, batches of 8, 4 at a time: gradients 1.000, 0.250
#   49 clips, batches of 32: gradients 1.000, 1.000
#   49 clips, batches of 8, 4 at a time: gradients 1.000, 0.750
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
import torch
from torch.utils.data import DataLoader, TensorDataset

warnings.filterwarnings("ignore")
logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)


class Model(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.gradients = []

    def training_step(self, batch, index):
        return (self.weight * batch[0]).mean()

    def on_before_optimizer_step(self, optimizer):
        self.gradients.append(self.weight.grad.item())

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)


def gradients(clips, size, at_a_time):
    model = Model()
    trainer = lightning.Trainer(
        max_epochs=1, accumulate_grad_batches=at_a_time, accelerator="cpu", logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False,
    )
    trainer.fit(model, DataLoader(TensorDataset(torch.ones(clips)), batch_size=size))
    return model.gradients


print(f"lightning {lightning.__version__}")
found = {}
for clips in (36, 49):
    for size, at_a_time in ((32, 1), (8, 4)):
        found[clips, size] = gradients(clips, size, at_a_time)
        words = f"batches of {size}" + (f", {at_a_time} at a time" if at_a_time > 1 else "")
        print(f"{clips} clips, {words}: gradients", ", ".join(f"{value:.3f}" for value in found[clips, size]))
assert found[36, 32] == found[49, 32] == [1, 1]
assert found[36, 8] == [1, 0.25]
assert found[49, 8] == [1, 0.75]
PYTHON
venv/bin/python check.py 2> errors || { cat errors >&2; exit 1; }
