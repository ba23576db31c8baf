"""Evaluation on the test fold: logits of a trained model or a fusion, and everything computed from them."""

import io
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from bench import catalog
from bench.catalog import PRIMARY
from bench.errors import AGAIN, RunError
from bench.evaluation import metrics, pulse
from bench.evaluation.fusion import fuse_logits, fusion_rule
from bench.records import Record, Run, Store, artifacts, write_whole
from bench.statistics import RunScore, nested_interval
from datamodules.base import AudioDataModule, ClipSet
from models import fusion
from models.base import AudioModel


@dataclass(frozen=True)
class Predictions:
    """Logits of the validation and test clips, `(N, C)` float32; for a fusion also its weights and mean conflict."""

    val: NDArray[np.float32]
    test: NDArray[np.float32]
    weights: NDArray[np.float64] | None = None
    conflict: float | None = None


@dataclass(frozen=True)
class Scored:
    """Scores of the test logits, and the interval and bootstrap draws of the primary score.

    `per_file` has scores of whole files, where clips are pieces of files.
    """

    found: metrics.Scores
    per_file: dict[str, float | None] = field(default_factory=dict)
    intervals: dict[str, tuple[float, float]] = field(default_factory=dict)
    draws: tuple[float, ...] = ()

    def into(self, record: Record) -> Record:
        """Return the record with its scores replaced."""
        return replace(
            record,
            scores=self.found.values | self.per_file,
            intervals=self.intervals,
            draws=self.draws,
            defined=self.found.defined,
            per_class=self.found.per_class,
            confusion=self.found.confusion,
        )


def predict(model: AudioModel, data: AudioDataModule, device: str, val_features: Tensor | None = None) -> Predictions:
    """Return a model's logits of the validation and test clips; the model is on the CPU afterwards.

    Args:
        model: trained.
        data: set up.
        device: "cpu" or "cuda".
        val_features: features of the validation clips `(N, F, T)` if training has computed them with this front-end;
            None runs the front-end.
    """
    model.to(device).eval()
    splits, batch = data.splits, data.batch_size
    if val_features is None:
        val = logits(model, splits.val, batch, device)
    else:
        val = classified(model, val_features, batch, device)
    test = logits(model, splits.test, batch, device)
    model.to("cpu")
    return Predictions(val.numpy(), test.numpy())


@torch.no_grad()
def logits(model: nn.Module, clips: ClipSet, batch: int, device: str) -> Tensor:
    """Return the logits `(N, C)` float32 of these clips; the model is in eval mode and on the device."""
    parts = []
    for i in range(0, len(clips), batch):
        parts.append(model(clips.load(range(i, min(i + batch, len(clips)))).to(device)).float().cpu())
        pulse.beat()
    return torch.cat(parts)


@torch.no_grad()
def classified(model: AudioModel, features: Tensor, batch: int, device: str) -> Tensor:
    """Return the logits `(N, C)` float32 of features `(N, F, T)`, from a model in eval mode on the device."""
    parts = []
    for part in torch.split(features, batch):
        parts.append(model.classify(part.to(device)).float().cpu())
        pulse.beat()
    return torch.cat(parts)


def fuse(run: Run, store: Store, data: AudioDataModule) -> Predictions:
    """Combine the stored logits of a fusion's members; weights are fitted on the validation split.

    Raises:
        RunError: a member has no result, is a fusion itself, or has other clips or classes than this dataset.
    """
    val, test = [], []
    for key in run.members:
        member = store.finished_record(key, "the fusion's member")
        if member.run.members:
            raise RunError(f"the fusion's member {key} is a fusion itself: name its members instead")
        saved = artifacts.logits(store, member)
        if saved["test_ids"].tolist() != list(data.splits.test.ids) or member.classes != data.classes:
            raise RunError(
                f"the fusion's member {key} was tested on other clips or classes: {AGAIN.format(key)}, or "
                f"name a run on {run.dataset}, fold {run.fold}"
            )
        val.append(torch.from_numpy(saved["val_logits"]))
        test.append(torch.from_numpy(saved["logits"]))
    weights = np.full(len(val), 1 / len(val))
    if catalog.fusion(run.model).weighted:
        weights = _weights(torch.stack(val), data.splits.val.targets, data.task)
    rule = fusion_rule(run.model, weights)
    fused_val, _ = fuse_logits(torch.stack(val), rule, data.task)
    fused, conflict = fuse_logits(torch.stack(test), rule, data.task)
    return Predictions(fused_val.float().numpy(), fused.float().numpy(), weights, float(conflict.mean()))


def _weights(logits: Tensor, targets: Tensor, task: str) -> NDArray[np.float64]:
    if task == "single":
        return np.asarray(fusion.fit_weights(torch.log_softmax(logits, -1), targets), dtype=np.float64)
    weights = fusion.fit_weights(F.logsigmoid(logits), targets, F.logsigmoid(-logits))
    return np.asarray(weights, dtype=np.float64)


def keep(predictions: Predictions, data: AudioDataModule, folder: Path) -> None:
    """Write the logits to `folder/logits.npz`, so that scores can be computed again without training."""
    content = io.BytesIO()
    test, val = data.splits.test, data.splits.val
    arrays = {
        "logits": predictions.test,
        "targets": test.targets.numpy(),
        "test_ids": np.array(test.ids),
        "test_groups": np.array(test.groups),
        "val_logits": predictions.val,
        "val_targets": val.targets.numpy(),
        "weights": predictions.weights if predictions.weights is not None else np.empty(0),
    }
    if test.files is not None:
        arrays["test_files"] = np.array(test.files)
    np.savez(content, **arrays)  # type: ignore[arg-type]
    write_whole(folder / artifacts.LOGITS, content.getvalue())


def scores(
    logits: metrics.Array,
    targets: metrics.Array,
    groups: Sequence[str],
    classes: Sequence[str],
    task: metrics.Task,
    fold: int,
    files: Sequence[str] | None = None,
) -> Scored:
    """Return every metric that fits the task, and the primary metric's draws over the test groups.

    The fold is the seed of the draws: draws of two folds are independent; two systems on one fold have the same draws.

    Args:
        logits: `(N, C)`.
        targets: `(N,)` or `(N, C)`.
        groups: source of each clip.
        classes: names of the classes.
        task: "single" or "multi" label.
        fold: number of the test fold.
        files: file of each clip, where clips are pieces of files; None where they are whole files.
    """
    found = metrics.score(logits, targets, task, classes)
    per_file = {} if files is None else file_scores(logits, targets, task, classes, files)
    draws = metrics.bootstrap_draws(logits, targets, groups, task, seed=fold)
    if draws is None:
        return Scored(found, per_file)
    primary = found.values[PRIMARY[task]]
    assert primary is not None  # without it there are no draws
    run_score = RunScore(primary, draws, len(set(groups)))
    interval = nested_interval({(fold, 0): run_score}, proportion=task == "single")
    return Scored(found, per_file, {PRIMARY[task]: interval}, tuple(round(value, 5) for value in draws.tolist()))


PER_FILE = ("accuracy", "macro_f1", "mAP")
"""Metrics that are also given for whole files, under their names with "_per_file"."""


def file_scores(
    logits: metrics.Array, targets: metrics.Array, task: metrics.Task, classes: Sequence[str], files: Sequence[str]
) -> dict[str, float | None]:
    """Return scores of whole files: a file's logits are the mean of its pieces' logits.

    Args:
        logits: of the pieces, `(N, C)`.
        targets: of the pieces, `(N,)` or `(N, C)`; all pieces of a file have those of the file.
        task: "single" or "multi" label.
        classes: names of the classes.
        files: file of each piece.
    """
    _, first, of = np.unique(np.asarray(files), return_index=True, return_inverse=True)
    total = np.zeros((len(first), logits.shape[1]))
    np.add.at(total, of, np.asarray(logits, np.float64))
    mean = (total / np.bincount(of)[:, None]).astype(np.float32)
    values = metrics.score(mean, np.asarray(targets)[first], task, classes).values
    return {f"{name}_per_file": values[name] for name in PER_FILE if name in values}
