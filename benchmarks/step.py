"""A step of SwishNet's training through Lightning, progress bar and logger on, against a loop of plain PyTorch.

    .venv/bin/python benchmarks/step.py

Same model, weights, batches, optimiser, schedule and gradient clipping, one thread: clips of 2 s in batches of 128, as
in the paper, and ESC-10's clips of 5 s in batches of 16. The two train in turns, a piece of an epoch each; the ratio is
the median over the turns.
"""

import argparse
import contextlib
import io
import logging
import tempfile
import time
import warnings

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.callbacks import TQDMProgressBar
from lightning.pytorch.loggers import CSVLogger
from torch import nn
from torch.utils.data import DataLoader

from bench.training import build
from bench.training.fit import Batch
from models.base import AudioModel
from models.recipe import Recipe

ROUNDS = 9
CASES = (("2 s, batches of 128", 2.0, 128, 40), ("5 s, batches of 16", 5.0, 16, 150))


def prepared(seconds: float, batch_size: int, steps: int) -> tuple[AudioModel, DataLoader[Batch]]:
    """Return the training of a SwishNet, and batches of random features."""
    torch.manual_seed(0)
    model = build.sized("swishnet", "mfcc", {}, (round(16000 * seconds),), 16000, 10)
    shape = (batch_size, model.features, model.frames)
    batches = [(torch.randn(shape), torch.randint(10, (batch_size,))) for _ in range(steps)]
    model.recipe = Recipe(epochs=1, batch_size=batch_size)
    model.from_features = True
    return model, DataLoader(batches, batch_size=None)  # type: ignore[arg-type]


def bare(model: AudioModel, batches: DataLoader[Batch]) -> float:
    """Return the milliseconds of a step in a plain loop."""
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-3, total_steps=len(batches))
    start = time.perf_counter()
    for x, target in batches:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model.classify(x), target)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    return 1e3 * (time.perf_counter() - start) / len(batches)


class Clock(pl.Callback):
    """Times an epoch's steps from the first one's start to the epoch's end."""

    seconds = 0.0

    def on_train_epoch_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Start."""
        self.seconds = -time.perf_counter()

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Stop."""
        self.seconds += time.perf_counter()


def through_lightning(model: AudioModel, batches: DataLoader[Batch], folder: str) -> float:
    """Return the milliseconds of a step under Lightning's Trainer."""
    clock = Clock()
    with warnings.catch_warnings(action="ignore"), contextlib.redirect_stderr(io.StringIO()):
        trainer = pl.Trainer(
            accelerator="cpu", max_epochs=1, logger=CSVLogger(folder),
            callbacks=[clock, TQDMProgressBar()], enable_model_summary=False, enable_checkpointing=False,
        )  # fmt: skip
        trainer.fit(model, batches)
    return 1e3 * clock.seconds / len(batches)


def main() -> None:
    """Print the ratios."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    for name, seconds, batch_size, steps in CASES:
        model, batches = prepared(seconds, batch_size, steps)
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
            bare(model, batches)
            taken = np.array([(through_lightning(model, batches, folder), bare(model, batches)) for _ in range(ROUNDS)])
        least, median, most = np.quantile(taken[:, 0] / taken[:, 1], (0, 0.5, 1))
        lightning, plain = np.median(taken, 0)
        print(
            f"{name}: a step through Lightning {lightning:.1f} ms, in a plain loop {plain:.1f} ms, "
            f"{median:.2f} times ({least:.2f} to {most:.2f})"
        )


if __name__ == "__main__":
    main()
