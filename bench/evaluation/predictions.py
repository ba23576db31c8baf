"""Predictions as a table: `predictions.csv` among a run's artifacts, and what `bench predict --csv` writes."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.records import write_whole
from bench.text import csv_cell
from datamodules.base import AudioDataModule

FILE = "predictions.csv"
THRESHOLD = 0.5
"""Probability from which a label counts as predicted, where a clip may have several."""

SEPARATOR = ";"
"""Stands between the labels of a clip."""


def heads(classes: Sequence[str]) -> list[str]:
    """Return the heads of the columns with the probabilities."""
    return [csv_cell(f"probability_{name}") for name in classes]


def cells(probabilities: NDArray[np.float32]) -> list[str]:
    """Return the cells of these columns for one clip `(C,)`, with the nine digits that a 32-bit float needs."""
    return [f"{value:.9g}" for value in probabilities.tolist()]


def labels(probabilities: NDArray[np.float32], classes: Sequence[str], task: str) -> list[str]:
    """Return the predicted label, or those of at least `THRESHOLD` where a clip may have several.

    Args:
        probabilities: of one clip, `(C,)`.
        classes: their names.
        task: "single" or "multi" label.
    """
    if task == "single":
        return [classes[int(probabilities.argmax())]]
    return [classes[i] for i in np.flatnonzero(probabilities >= THRESHOLD).tolist()]


def keep(logits: NDArray[np.float32], data: AudioDataModule, folder: Path) -> None:
    """Write `folder/predictions.csv`: clip, target, prediction and the probability of each class, of the test clips.

    Args:
        logits: of the test clips, `(N, C)`.
        data: the dataset, set up.
        folder: the run's artifacts.
    """
    test = data.splits.test
    write_whole(folder / FILE, table(logits, test.targets, test.ids, data.classes, data.task).encode())


def table(logits: NDArray[np.float32], targets: Tensor, ids: Sequence[str], classes: Sequence[str], task: str) -> str:
    """Return the predictions of clips as CSV.

    Args:
        logits: `(N, C)`.
        targets: `(N,)` class numbers, or `(N, C)` with 1 for each label of a clip.
        ids: names of the clips.
        classes: names of the classes.
        task: "single" or "multi" label.
    """
    x = torch.from_numpy(logits)
    found: NDArray[np.float32] = (torch.softmax(x, -1) if task == "single" else torch.sigmoid(x)).numpy()
    content = io.StringIO()
    writer = csv.writer(content, lineterminator="\n")
    writer.writerow(["clip", "target", "prediction", *heads(classes)])
    for name, target, row in zip(ids, targets, found, strict=True):
        true = [classes[int(target)]] if task == "single" else [classes[i] for i in torch.nonzero(target).flatten()]
        words = (name, SEPARATOR.join(true), SEPARATOR.join(labels(row, classes, task)))
        writer.writerow([*map(csv_cell, words), *cells(row)])
    return content.getvalue()
