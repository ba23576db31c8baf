"""SwishNet on ESC-10, fold 0, under Lightning's Trainer: python train_swishnet.py [data folder] [epochs] [wav]."""

import sys

import lightning.pytorch as pl

from datamodules.audio.clip import load_clip
from datamodules.esc50 import ESC10
from models.recipe import Recipe
from models.swishnet import SwishNet

root, epochs, wav = sys.argv[1:] + ["data/esc10", "150", "dog.wav"][len(sys.argv) - 1 :]
pl.seed_everything(0, workers=True)
data = ESC10(root, fold=0, batch_size=16)
recipe = Recipe(learning_rate=1e-2, ema_decay=0.99, mixup=0.2, time_shift=0.5, time_crop=0.7, channel_noise=0.2)
model = SwishNet.for_data(data, recipe=recipe)
stop = pl.callbacks.EarlyStopping("val_score", mode="max", patience=30)
best = pl.callbacks.ModelCheckpoint(monitor="val_score", mode="max")
trainer = pl.Trainer(max_epochs=int(epochs), logger=pl.loggers.CSVLogger("runs"), callbacks=[stop, best])
trainer.fit(model, data)  # with a progress bar
trainer.test(model, data, ckpt_path="best")
trainer.save_checkpoint("swishnet.ckpt")
loaded = SwishNet.load_from_checkpoint("swishnet.ckpt", map_location="cpu", weights_only=True).eval()
probabilities = loaded.predict_step(load_clip(wav, loaded.sample_rate, data.clip_seconds), 0)[0]
print(f"{wav}: {loaded.labels[probabilities.argmax()]} ({probabilities.max():.0%})")
