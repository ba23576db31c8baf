"""A program that trains on the CPU in two processes, and writes which clips each of them saw in each step.

Usage: python -m fakes.two_ranks <dataset of the catalogue> <its root> <folder to write to>
"""

import hashlib
import json
import sys
import warnings
from pathlib import Path

import lightning.pytorch as pl
import torch
from fakes.trees import TREES
from torch import Tensor, nn

from bench import catalog


class Notes(pl.LightningModule):
    def __init__(self, samples: int, folder: Path) -> None:
        super().__init__()
        self.layer = nn.Linear(samples, 3)
        self.folder = folder
        self.steps: list[list[str]] = []

    def training_step(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        x, target = batch
        self.steps.append([digest(clip) for clip in x])
        return nn.functional.cross_entropy(self.layer(x), target)

    def on_train_epoch_end(self) -> None:
        (self.folder / f"{self.global_rank}-{self.current_epoch}.json").write_text(json.dumps(self.steps))
        self.steps.clear()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.1)


def digest(clip: Tensor) -> str:
    return hashlib.sha256(clip.numpy().tobytes()).hexdigest()


def main(name: str, root: str, folder: str) -> None:
    warnings.simplefilter("ignore")
    tree = TREES[name]
    data = catalog.load(catalog.DATASETS[name].target)(
        root, str(Path(folder) / "cache"), batch_size=3, **tree.arguments
    )
    trainer = pl.Trainer(
        accelerator="cpu", devices=2, strategy="ddp", max_epochs=2, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(Notes(tree.shape[0], Path(folder)), datamodule=data)


if __name__ == "__main__":
    main(*sys.argv[1:])
