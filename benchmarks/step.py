"""A step of SwishNet's training through Lightning, progress bar and logger on, against a loop of plain PyTorch.

    .venv/bin/python benchmarks/step.py

Same model, weights, batches, optimiser, schedule and gradient clipping, one thread: clips of 2 s in batches of 128, as
in the paper, and ESC-10's clips of 5 s in batches of 16. The two train in turns, a piece of an epoch each; the ratio is
the median over the turns.
"""

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
from torch import Tensor, nn
from torch.utils.data import DataLoader

from bench.records import Recipe
from bench.training import build
from bench.training.fit import Batch, Fit

ROUNDS = 9
CASES = (("2 s, batches of 128", 2.0, 128, 40), ("5 s, batches of 16", 5.0, 16, 150))


def prepared(seconds: float, batch_size: int, steps: int) -> tuple[Fit, DataLoader[Batch]]:
    """Return the training of a SwishNet, and batches of random features."""
    torch.manual_seed(0)
    model = build.sized("swishnet", "mfcc", {}, (round(16000 * seconds),), 16000, 10)
    shape = (batch_size, model.features, model.frames)
    batches = [(torch.randn(shape), torch.randint(10, (batch_size,))) for _ in range(steps)]
    recipe = Recipe(epochs=1, batch_size=batch_size)
    fit = Fit(model, "single", 10, recipe, from_features=True, report=lambda *news: None)
    return fit, DataLoader(batches, batch_size=None)  # type: ignore[arg-type]


def bare(fit: Fit, batches: DataLoader[Batch]) -> float:
    """Return the milliseconds of a step in a plain loop."""
    optimizer = torch.optim.AdamW(fit.parameters(), 1e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-3, total_steps=len(batches))
    start = time.perf_counter()
    for x, target in batches:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(fit.model.classify(x), target)
        loss.backward()
        nn.utils.clip_grad_norm_(fit.parameters(), 1.0)
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


class Logged(Fit):
    """The training, which logs the loss of each step and shows it in the bar."""

    def training_step(self, batch: Batch, index: int) -> Tensor:
        """As `Fit`."""
        loss = super().training_step(batch, index)
        self.log("train_loss", loss, prog_bar=True)
        return loss


def through_lightning(fit: Fit, batches: DataLoader[Batch], folder: str) -> float:
    """Return the milliseconds of a step under Lightning's Trainer."""
    clock = Clock()
    fit.__class__ = Logged
    with warnings.catch_warnings(action="ignore"), contextlib.redirect_stderr(io.StringIO()):
        trainer = pl.Trainer(
            accelerator="cpu", max_epochs=1, gradient_clip_val=1.0, logger=CSVLogger(folder),
            callbacks=[clock, TQDMProgressBar()], enable_model_summary=False, enable_checkpointing=False,
        )  # fmt: skip
        trainer.fit(fit, batches)
    return 1e3 * clock.seconds / len(batches)


def main() -> None:
    """Print the ratios."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    for name, seconds, batch_size, steps in CASES:
        fit, batches = prepared(seconds, batch_size, steps)
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
            bare(fit, batches)
            taken = np.array([(through_lightning(fit, batches, folder), bare(fit, batches)) for _ in range(ROUNDS)])
        least, median, most = np.quantile(taken[:, 0] / taken[:, 1], (0, 0.5, 1))
        lightning, plain = np.median(taken, 0)
        print(
            f"{name}: a step through Lightning {lightning:.1f} ms, in a plain loop {plain:.1f} ms, "
            f"{median:.2f} times ({least:.2f} to {most:.2f})"
        )


if __name__ == "__main__":
    main()
