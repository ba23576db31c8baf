#!/usr/bin/env bash
# A Lightning training that is resumed from its checkpoint draws the batches of its first epochs again.
#
# Guess:    A seeded training of four epochs, stopped after two and resumed with fit(ckpt_path=...), ends with the weights
#           of one that was not stopped: the checkpoint holds "all states". Calling fit a second time on the same Trainer,
#           with max_epochs raised, goes on as well.
# Happens:  The resumed epochs 3 and 4 shuffle exactly as epochs 1 and 2 did, and end with other weights. The second fit
#           on the same Trainer counts its epochs on, but starts with a new optimiser: without any shuffling or dropout
#           the weights differ by 0.07 after two more epochs of Adam.
# Cause:    Checkpoints hold no state of torch's, NumPy's or Python's generators, and a script that is started again seeds
#           them again. fit creates the optimisers anew unless it is given a checkpoint.
# Matters:  Comparisons of runs some of which were resumed, draws that shall cover the data over epochs, dropout masks. Keep
#           the generators' states in a callback (on_save_checkpoint) and set them when an epoch starts, or derive each
#           epoch's generator from seed and epoch. Resume the same Trainer with ckpt_path, too.
# Versions: lightning 2.6.6, torch 2.13.0, Python 3.11.7.
# Date:     2026-11
# Output:
#   lightning 2.6.6 torch 2.13.0+cpu
#   in the checkpoint: callbacks epoch global_step loops lr_schedulers optimizer_states pytorch-lightning_version state_dict
#   batches of the resumed epochs are those of epochs 1 and 2: True, of epochs 3 and 4: False
#   weights of the resumed training are those of the whole one: False
#   without shuffling, from the checkpoint: largest difference 0.00
#   without shuffling, fit called twice: largest difference 0.07
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check torch==2.13.0 lightning==2.6.6

cat > check.py <<'PYTHON'
import logging
import warnings

import lightning
import torch
from lightning import LightningModule, Trainer, seed_everything
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

warnings.simplefilter("ignore")
logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
inputs = torch.randn(64, 8, generator=torch.Generator().manual_seed(0))
CLIPS = TensorDataset(inputs, (inputs[:, 0] > 0).long())


class Net(LightningModule):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 2))
        self.batches = []

    def training_step(self, batch, _):
        self.batches.append(batch[0].sum().item())
        return nn.functional.cross_entropy(self.net(batch[0]), batch[1])

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=0.01)

    def weights(self):
        return torch.cat([weight.detach().flatten() for weight in self.parameters()])


def train(epochs, shuffle, checkpoint=None):
    """Do what a script does from its start: seed, build, train until `epochs` epochs are done."""
    seed_everything(1, verbose=False)
    net, loader = Net(), DataLoader(CLIPS, 16, shuffle=shuffle)
    trainer = Trainer(
        max_epochs=epochs, accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False,
        enable_checkpointing=False,
    )
    trainer.fit(net, loader, ckpt_path=checkpoint)
    return net, trainer, loader


print("lightning", lightning.__version__, "torch", torch.__version__)
whole, _, _ = train(4, shuffle=True)
_, trainer, _ = train(2, shuffle=True)
trainer.save_checkpoint("half.ckpt")
resumed, _, _ = train(4, shuffle=True, checkpoint="half.ckpt")
print("in the checkpoint:", *sorted(torch.load("half.ckpt", weights_only=False)))
first, last = resumed.batches == whole.batches[:8], resumed.batches == whole.batches[8:]
print(f"batches of the resumed epochs are those of epochs 1 and 2: {first}, of epochs 3 and 4: {last}")
same = torch.equal(resumed.weights(), whole.weights())
print("weights of the resumed training are those of the whole one:", same)
assert first and not last and not same

whole, _, _ = train(4, shuffle=False)
half, trainer, loader = train(2, shuffle=False)
trainer.save_checkpoint("half.ckpt")
resumed, _, _ = train(4, shuffle=False, checkpoint="half.ckpt")
kept = (resumed.weights() - whole.weights()).abs().max().item()
print(f"without shuffling, from the checkpoint: largest difference {kept:.2f}")
trainer.fit_loop.max_epochs = 4
trainer.fit(half, loader)
again = (half.weights() - whole.weights()).abs().max().item()
print(f"without shuffling, fit called twice: largest difference {again:.2f}")
assert len(half.batches) == 16 and kept == 0 and again > 0.01
PYTHON
venv/bin/python check.py 2>&1 | grep -v -e "^GPU" -e "^TPU" -e "^Restor" -e "Tip:" -e "weights_only"
