"""SwishNet under Lightning's Trainer with Weights & Biases: python wandb_trainer.py [epochs] [folder of the logs].

The logged names are those of `bench run --logger wandb`, so both kinds of runs stand in one chart. W&B stays offline;
`wandb sync` uploads the run later. `trainer/global_step` is WandbLogger's own name of what the harness calls `step`.
"""

import sys

import lightning.pytorch as pl
from lightning.pytorch.loggers import WandbLogger

from datamodules.synthetic import Synthetic
from models.recipe import Recipe
from models.swishnet import SwishNet

epochs, folder = sys.argv[1:] + ["20", "runs"][len(sys.argv) - 1 :]
pl.seed_everything(0, workers=True)
data = Synthetic(clips_per_class=40, batch_size=16)
model = SwishNet.for_data(data, recipe=Recipe(learning_rate=1e-2, mixup=0.2))

logger = WandbLogger(project="audio-classification-bench", save_dir=folder, offline=True)
best = pl.callbacks.ModelCheckpoint(monitor="val_score", mode="max")
trainer = pl.Trainer(max_epochs=int(epochs), logger=logger, callbacks=[best], log_every_n_steps=5)
trainer.fit(model, data)
trainer.test(model, data, ckpt_path="best")
