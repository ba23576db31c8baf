"""The worst mistakes among the test clips, kept in `worst.npz` with what is needed to look and listen: a few MB."""

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

MOST_SECONDS = 10.0
"""Of a longer clip, the beginning is kept."""

COLUMNS = 500
"""Columns of a spectrogram: of a longer one, each is the loudest of several frames."""

TOP = 3
"""Classes that are named with their probability."""


def keep(logits: NDArray[np.float32], data: AudioDataModule, folder: Path, clips: int) -> None:
    """Write `folder/worst.npz` of the test clips with the highest loss, worst first; of single labels, the wrong ones.

    It holds, for n clips: `ids`, `truth` and `predicted` (n,) text, `loss` (n,), `spectrograms` (n, F, T) uint8 from
    the clip's quietest to its loudest, `audio` (n, S) int16 (S = 0 for embeddings) and `sample_rate`.

    Args:
        logits: of the test clips, `(N, C)`.
        data: set up.
        folder: of the run's artifacts.
        clips: n, fewer where there are fewer mistakes; 0 writes nothing.
    """
    path = folder / "worst.npz"
    path.unlink(missing_ok=True)
    x, targets = torch.from_numpy(logits), data.splits.test.targets
    losses = loss(x, targets)
    chosen = [i for i in losses.argsort(descending=True, stable=True).tolist() if _mistaken(x[i], targets[i])][:clips]
    if not chosen:
        return
    heard = data.splits.test.load(chosen).float().numpy()
    if data.sample_rate is None:
        pictures, audio = [_levels(clip.T) for clip in heard], np.zeros((len(chosen), 0), np.int16)
    else:
        heard = heard[:, : round(MOST_SECONDS * data.sample_rate)]
        pictures = [_spectrogram(clip, data.sample_rate) for clip in heard]
        audio = (heard.clip(-1, 1) * 32767).round().astype(np.int16)
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
    """Of several labels, some are always given too much or too little."""
    return target.ndim > 0 or int(logits.argmax()) != int(target)


def _truth(target: Tensor, classes: Sequence[str]) -> str:
    if target.ndim == 0:
        return classes[int(target)]
    return ", ".join(classes[i] for i in target.nonzero().flatten().tolist()) or "nothing"


def _predicted(logits: Tensor, target: Tensor, classes: Sequence[str]) -> str:
    """Return "rain 93 %, sea 5 %, wind 1 %"."""
    shares = logits.softmax(0) if target.ndim == 0 else logits.sigmoid()
    top = shares.topk(min(TOP, len(classes)))
    pairs = zip(top.indices.tolist(), top.values.tolist(), strict=True)
    return ", ".join(f"{classes[i]} {100 * share:.0f} %" for i, share in pairs)


def _spectrogram(waveform: NDArray[np.float32], sample_rate: int) -> NDArray[np.uint8]:
    """Return the log-mel spectrogram `(F, T)`; of a clip too short for one, one dark pixel."""
    try:
        (panel,), _ = feature_plots.listen(waveform, sample_rate, ("logmel",))
    except SuiteError:
        return np.zeros((1, 1), np.uint8)
    return _levels(panel.features)


def _levels(picture: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return `(F, T)` as levels from 0 to 255, at most `COLUMNS` wide."""
    step = -(-picture.shape[1] // COLUMNS)
    padded = np.pad(picture, ((0, 0), (0, -picture.shape[1] % step)), "edge")
    picture = padded.reshape(len(picture), -1, step).max(2)
    low, high = float(picture.min()), float(picture.max())
    return np.asarray(255 * (picture - low) / max(high - low, 1e-12)).round().astype(np.uint8)
