"""The hardest test clips of a run, kept in `worst.npz` with their spectrograms and audio: a few MB."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from bench.errors import SuiteError
from bench.evaluation import feature_plots
from bench.records import write_whole
from datamodules.base import AudioDataModule

MAX_SECONDS = 10.0
"""Length up to which a clip is kept; only the beginning of a longer clip is kept."""

COLUMNS = 500
"""Largest number of columns of a spectrogram; in a longer one, each column is the maximum of several frames."""

TOP = 3
"""Number of classes that are named with their probability."""


def keep(logits: NDArray[np.float32], data: AudioDataModule, folder: Path, clips: int) -> None:
    """Write `folder/worst.npz` with the test clips of the highest loss, highest first.

    With single labels, only misclassified clips are kept. The file contains, for n clips: `ids`, `truth` and
    `predicted` (n,) text, `loss` (n,), `spectrograms` (n, F, T) uint8 from the clip's lowest to its highest level,
    `audio` (n, S) int16 (S = 0 for embeddings) and `sample_rate`.

    Args:
        logits: logits of the test clips, `(N, C)`.
        data: the dataset, set up.
        folder: the run's artifacts.
        clips: largest n; 0 writes no file.
    """
    path = folder / "worst.npz"
    path.unlink(missing_ok=True)
    x, targets = torch.from_numpy(logits), data.splits.test.targets
    losses = loss(x, targets)
    chosen = [i for i in losses.argsort(descending=True, stable=True).tolist() if _mistaken(x[i], targets[i])][:clips]
    if not chosen:
        return
    kept = data.splits.test.load(chosen).float().numpy()
    if data.sample_rate is None:
        pictures, audio = [_levels(clip.T) for clip in kept], np.zeros((len(chosen), 0), np.int16)
    else:
        kept = kept[:, : round(MAX_SECONDS * data.sample_rate)]
        pictures = [_spectrogram(clip, data.sample_rate) for clip in kept]
        audio = (kept.clip(-1, 1) * 32767).round().astype(np.int16)
    content = io.BytesIO()
    np.savez_compressed(
        content,
        ids=np.array([data.splits.test.ids[i] for i in chosen]),
        truth=np.array([_truth(targets[i], data.classes) for i in chosen]),
        predicted=np.array([_predicted(x[i], targets[i], data.classes) for i in chosen]),
        loss=losses[chosen].numpy(),
        spectrograms=np.stack(pictures),
        audio=audio,
        sample_rate=np.array(data.sample_rate or 0),
    )
    write_whole(path, content.getvalue())


def loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Return each clip's loss `(N,)`: cross-entropy, or the mean binary cross-entropy of its labels.

    Args:
        logits: `(N, C)`.
        targets: `(N,)` class indices, or `(N, C)` zeros and ones.
    """
    if targets.ndim == 1:
        return F.cross_entropy(logits, targets, reduction="none")
    return F.binary_cross_entropy_with_logits(logits, targets.float(), reduction="none").mean(1)


def _mistaken(logits: Tensor, target: Tensor) -> bool:
    """Return whether a clip is misclassified; with several labels per clip, every clip counts."""
    return target.ndim > 0 or int(logits.argmax()) != int(target)


def _truth(target: Tensor, classes: Sequence[str]) -> str:
    if target.ndim == 0:
        return classes[int(target)]
    return ", ".join(classes[i] for i in target.nonzero().flatten().tolist()) or "nothing"


def _predicted(logits: Tensor, target: Tensor, classes: Sequence[str]) -> str:
    """Return the most probable classes, such as "rain 93 %, sea 5 %, wind 1 %"."""
    shares = logits.softmax(0) if target.ndim == 0 else logits.sigmoid()
    top = shares.topk(min(TOP, len(classes)))
    pairs = zip(top.indices.tolist(), top.values.tolist(), strict=True)
    return ", ".join(f"{classes[i]} {100 * share:.0f} %" for i, share in pairs)


def _spectrogram(waveform: NDArray[np.float32], sample_rate: int) -> NDArray[np.uint8]:
    """Return the log-mel spectrogram `(F, T)`; one dark pixel if the clip is too short for a frame."""
    try:
        (panel,), _ = feature_plots.panels_of(waveform, sample_rate, ("logmel",))
    except SuiteError:
        return np.zeros((1, 1), np.uint8)
    return _levels(panel.features)


def _levels(picture: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Scale `(F, T)` to levels from 0 to 255, with at most `COLUMNS` columns."""
    step = -(-picture.shape[1] // COLUMNS)
    padded = np.pad(picture, ((0, 0), (0, -picture.shape[1] % step)), "edge")
    picture = padded.reshape(len(picture), -1, step).max(2)
    low, high = float(picture.min()), float(picture.max())
    return np.asarray(255 * (picture - low) / max(high - low, 1e-12)).round().astype(np.uint8)
