#!/usr/bin/env bash
# dvclive's logger for Lightning, asked to log the model, deletes every other file in the folder of the checkpoints.
#
# Guess:    DVCLiveLogger(log_model=True) records the checkpoints of its own run, and leaves alone what else is in their folder: the model
#           of last month, a list of classes, an exported file.
# Happens:  after a training of two epochs, the folder holds the best checkpoint of this training and nothing else. Without log_model, all
#           files are still there. Lightning warns that the folder is not empty, with the same words in both cases. Nothing is said of
#           deleting.
# Cause:    before the logger hands the folder to DVC, it unlinks every file that is not among the checkpoints which it has seen itself.
#           The documentation of log_model says when checkpoints are logged, and does not say that files are removed.
# Matters:  trainings that share a folder delete each other's checkpoints, also those that no other place holds. Give each training a folder
#           of its own, or pass resume=True, with which nothing is deleted.
# Versions: dvclive 3.49.1, lightning 2.6.6, torch 2.13.0, numpy 2.4.6, Python 3.11.7; with git.
# Date:     2026-11
# Output:
#   dvclive 3.49.1
#   log_model=False: the folder holds baseline.ckpt best.ckpt classes.txt exported.onnx
#   log_model=True: the folder holds best.ckpt
#   log_model=True, resume=True: the folder holds baseline.ckpt best.ckpt classes.txt exported.onnx
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check numpy==2.4.6 torch==2.13.0 lightning==2.6.6 dvclive==3.49.1 dvc==3.67.1

cat > check.py <<'PYTHON'
import logging
import os
import subprocess
import sys
import warnings
from importlib.metadata import version
from pathlib import Path

import lightning
import torch
from dvclive.lightning import DVCLiveLogger
from lightning.pytorch.callbacks import ModelCheckpoint
from torch.utils.data import DataLoader, TensorDataset

logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
warnings.simplefilter("ignore")
start = Path.cwd()


class Net(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(4, 2)

    def loss(self, batch):
        return torch.nn.functional.cross_entropy(self.layer(batch[0]), batch[1])

    def training_step(self, batch, index):
        return self.loss(batch)

    def validation_step(self, batch, index):
        self.log("val_loss", self.loss(batch))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)


def left(name, **options):
    Path(name, "models").mkdir(parents=True)
    os.chdir(name)
    try:
        subprocess.run(["git", "init", "--quiet"], check=True)
        subprocess.run([sys.executable, "-m", "dvc", "init", "--quiet"], check=True)
        author = ["-c", "user.name=nobody", "-c", "user.email=nobody@example.org"]
        subprocess.run(["git", *author, "commit", "--quiet", "--message", "start"], check=True)
        for file in ("baseline.ckpt", "classes.txt", "exported.onnx"):
            Path("models", file).write_text("not of this training")
        torch.manual_seed(0)
        clips = DataLoader(TensorDataset(torch.randn(24, 4), torch.arange(24) % 2), 8)
        lightning.Trainer(
            max_epochs=2, accelerator="cpu", enable_progress_bar=False, enable_model_summary=False,
            callbacks=[ModelCheckpoint("models", "best", monitor="val_loss")],
            logger=DVCLiveLogger(report=None, save_dvc_exp=False, **options),
        ).fit(Net(), clips, clips)
        return sorted(file.name for file in Path("models").iterdir() if not file.name.startswith("."))
    finally:
        os.chdir(start)


print("dvclive", version("dvclive"))
seen = []
for name, options in (("false", {}), ("true", {"log_model": True}), ("resume", {"log_model": True, "resume": True})):
    seen.append(left(name, **options))
    words = ", ".join(f"{key}={value}" for key, value in options.items()) or "log_model=False"
    print(f"{words}: the folder holds {' '.join(seen[-1])}")
everything = ["baseline.ckpt", "best.ckpt", "classes.txt", "exported.onnx"]
sys.exit(0 if seen == [everything, ["best.ckpt"], everything] else "the behaviour has changed")
PYTHON
DVC_NO_ANALYTICS=1 venv/bin/python check.py
