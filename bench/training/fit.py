"""Training of one model by its recipe with Lightning's Trainer; the best epoch is chosen on the validation split.

The steps are the model's own (`models.training.steps`), the same as in a script without this harness. The harness adds
what is quick: features that are computed once, and a teacher's logits that are computed once.
"""

import logging
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.fabric.plugins.environments import LightningEnvironment  # type: ignore[attr-defined]
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.strategies import DDPStrategy
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from bench.errors import RunError
from bench.records import Recipe
from bench.training import module_state, own_training, stopping
from bench.training.allocator import kept_memory
from bench.training.checkpoints import Checkpoints
from bench.training.feature_cache import Cache
from bench.training.resuming import Resuming
from datamodules.base import AudioDataModule, whole
from datamodules.clips.array_cache import recheck
from datamodules.clips.draws import place_among_ranks, rarity, training_loader
from models.base import AudioModel
from models.errors import TrainingError
from models.foreign import ForeignModel
from models.layers import closed_form, memory_format
from models.metrics import PRIMARY
from models.training.arithmetic import resolved
from models.training.synced_norm import SyncedStatistics

logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
Batch = tuple[Tensor, ...]
"""`x`, targets, and the teacher's logits if there is a teacher."""

Report = Callable[[int, int, float | None, Mapping[str, float]], None]
"""Receives the number of epochs done, the number of epochs, the validation score and other values by name.

It is called after each epoch, and within an epoch every `REPORT_SECONDS` without a score.
"""

REPORT_SECONDS = 2.0

FEATURE_BYTES = 4 * 2**30
"""Largest size of the features, in memory or on disk, up to which a fixed front-end computes them only once."""


@dataclass(frozen=True)
class Trained:
    """Result of a training.

    Attributes:
        curves: learning curves, one value per epoch.
        best_epoch: from 0, the epoch whose weights the model now has.
        arithmetic: what "auto" was, precision and memory format; empty for a recipe that names them.
        val_features: features of the validation clips `(N, F, T)` if they were computed once; they may be on disk.
        resumed: how often the training was interrupted and continued.
        seconds_before: time that the interrupted processes have spent on epochs that count.
    """

    curves: dict[str, tuple[float, ...]]
    best_epoch: int
    val_features: Tensor | None = None
    arithmetic: dict[str, str] = field(default_factory=dict)
    resumed: int = 0
    seconds_before: float = 0.0


def train(
    model: AudioModel,
    data: AudioDataModule,
    recipe: Recipe,
    folder: Path,
    device: str,
    report: Report,
    teacher_logits: Tensor | None = None,
    data_dir: Path = Path(),
    checkpoints: Checkpoints | None = None,
    note: Callable[[str], None] | None = None,
    devices: int = 1,
) -> Trained:
    """Train the model in place and load the weights of its best validation epoch.

    A training that was interrupted goes on after the last epoch that its checkpoints have, and ends as if it had not
    been. SIGTERM saves and ends it (`bench.training.stopping`).

    Args:
        model: of `for_data`, untrained or with the initial weights of the recipe's `init`.
        data: the dataset, set up.
        recipe: the training recipe.
        folder: keeps the best weights during the training.
        device: "cpu" or "cuda".
        report: is called after every epoch, and during long ones.
        teacher_logits: the teacher's logits of the training clips `(N, C)`, in their order; None without a teacher.
        data_dir: folder that contains the recipe's background noises.
        checkpoints: of this run; None saves nothing.
        note: receives lines that a user should read.
        devices: processes of `torch.distributed` that train the model together and share each batch; this one is one of
            them. All but the first return no curves, and keep the weights of the last epoch.

    Raises:
        Stopped: it was asked to.
        RunError: the loss or the logits became NaN or infinite, or the recipe does not fit the data.
    """
    fuses = recipe.precision == "auto" and closed_form.enter(model)
    recipe, arithmetic = _resolved(recipe, model, device)
    if fuses:
        arithmetic |= {"closed_form_cells": "fused"}
    model.recipe = recipe
    data.balanced = recipe.balanced
    if recipe.background is not None:
        model.background = data.background(data_dir / recipe.background)
    if devices > 1 and recipe.accumulate > 1:
        raise RunError(
            f"accumulate = {recipe.accumulate} is for one device, and {devices} compute a part of each batch already: "
            f"leave accumulate out, or --devices"
        )
    whole_batch, data.batch_size = data.batch_size, data.batch_size // devices
    clips, validation, precomputed = _loaders(model, data, recipe, device, teacher_logits)
    model.from_features = precomputed
    own_draws = isinstance(model, ForeignModel) or _augments(recipe)
    trainer_devices, plugins = _together(devices, data.seed, own_draws=own_draws)
    make_trainer = partial(
        pl.Trainer,
        accelerator="gpu" if device == "cuda" else "cpu",
        **trainer_devices,
        precision=recipe.precision,  # type: ignore[arg-type]
        max_epochs=recipe.epochs,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    with tempfile.TemporaryDirectory(prefix=".tmp-fit-", dir=folder) as scratch, _quiet(), stopping.catching():
        resuming = Resuming(checkpoints, clips, validation, Path(scratch), report, note)
        if isinstance(model, ForeignModel) and model.trains_itself:
            if devices > 1:
                raise RunError(f"{type(model.module).__name__} trains itself, which several devices cannot share")
            return replace(_own_training(model, clips, validation, make_trainer, resuming), arithmetic=arithmetic)
        best = ModelCheckpoint(scratch, "best", monitor="val_score", mode="max", save_weights_only=True)
        callbacks = [
            _Reporting(resuming.report, resuming.epochs),
            resuming,
            best,
            *([_Draws(device == "cuda")] if devices > 1 else []),
        ]
        trainer = make_trainer(callbacks=callbacks, default_root_dir=scratch, plugins=[*plugins, resuming.io])
        model.train()  # the front-end computed its features in eval mode
        try:
            with kept_memory(device):
                trainer.fit(model, clips, validation, ckpt_path=resuming.path)
        except TrainingError as error:
            raise RunError(str(error)) from error
        finally:
            model.from_features = False
            memory_format.leave(model)
            closed_form.leave(model)
            model.trainer = None  # the model outlives it
            data.batch_size = whole_batch
        if stopping.asked():
            raise stopping.Stopped
        if place_among_ranks()[0]:
            return Trained({}, -1)  # the first process has the file
        chosen = torch.load(best.best_model_path, map_location="cpu", weights_only=True)
    module_state.fit_buffers(model, chosen["state_dict"], of_same_training=True)
    model.load_state_dict(chosen["state_dict"])
    model.eval()
    curves = {name: tuple(values) for name, values in model.curves.items()}
    kept = validation.dataset
    features = kept.features if isinstance(kept, Features) else None
    return Trained(
        curves=curves,
        best_epoch=int(chosen["epoch"]),
        val_features=features,
        arithmetic=arithmetic,
        resumed=resuming.resumed,
        seconds_before=resuming.seconds,
    )


def _resolved(recipe: Recipe, model: AudioModel, device: str) -> tuple[Recipe, dict[str, str]]:
    """Return the recipe without "auto", and what "auto" was."""
    if recipe.precision != "auto":
        return recipe, {}
    found = resolved(recipe, model, device)
    return found, {"precision": found.precision, "memory_format": found.memory_format}


def _own_training(
    model: ForeignModel,
    clips: DataLoader[Any],
    validation: DataLoader[Any],
    trainer: Callable[..., pl.Trainer],
    resuming: Resuming,
) -> Trained:
    """Let a LightningModule train itself, on waveforms or embeddings."""
    if model.recipe.accumulate > 1:
        raise RunError(
            f"{type(model.module).__name__} has a training step of its own, which takes each batch as a whole: leave "
            f"accumulate out of its recipe"
        )
    if not model.takes_batches:
        raise RunError(
            f"{type(model.module).__name__} has a training step of its own, which receives the data's batches: name no "
            f"front-end for it"
        )
    model.from_features = False
    if model.recipe.memory_format == "channels-last":
        memory_format.enter(model)
    try:
        curves, best = own_training.train(
            model, clips, validation, partial(trainer, enable_checkpointing=False), resuming
        )
    finally:
        memory_format.leave(model)
    model.eval()
    found = {name: tuple(curve) for name, curve in curves.items()}
    return Trained(found, best, resumed=resuming.resumed, seconds_before=resuming.seconds)


AUGMENTATION = (
    "mixup", "time_shift", "time_crop", "time_stretch", "channel_noise", "style_mix", "time_masks", "frequency_masks",
    "between_class",
)  # fmt: skip
"""Fields of a recipe that change features at random; `Recipe.changes_waveforms` covers those that change waveforms."""


def _augments(recipe: Recipe) -> bool:
    """Whether a training draws anything but dropout, whose draws its processes share."""
    usual = Recipe()
    return recipe.changes_waveforms or any(getattr(recipe, name) != getattr(usual, name) for name in AUGMENTATION)


def _together(devices: int, seed: int, *, own_draws: bool) -> tuple[dict[str, Any], list[Any]]:
    """Return what a Trainer needs to train on several devices, and its plugins; this process has met the others.

    Args:
        devices: number of processes.
        seed: of the run.
        own_draws: whether each process draws augmentation of its own; otherwise all draw the same dropout for the
            clips of all.
    """
    if devices == 1:
        return {"devices": 1}, [LightningEnvironment()]  # not SLURM's, which would submit the job again by itself
    rank = place_among_ranks()[0]
    if rank and own_draws:
        pl.seed_everything(seed + 1_000_003 * rank, verbose=False)
    return {"devices": devices, "strategy": DDPStrategy(static_graph=True)}, [
        LightningEnvironment(),
        SyncedStatistics(),
    ]


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide Lightning's advice that does not fit this training."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*does not have many workers.*")  # clips are in memory
        warnings.filterwarnings("ignore", ".*IterableDataset.* has .__len__. defined.*")  # ours is correct with workers
        warnings.filterwarnings("ignore", ".*GPU available but not used.*")  # the user chose the device
        warnings.filterwarnings("ignore", ".*number of training batches.*logging interval.*")  # no step logger
        warnings.filterwarnings("ignore", ".*all_gather is deprecated.*")  # Lightning's own
        warnings.filterwarnings("ignore", ".*LeafSpec.*", FutureWarning)  # Lightning's own use of torch's pytree
        yield


def _loaders(
    model: AudioModel, data: AudioDataModule, recipe: Recipe, device: str, teacher_logits: Tensor | None
) -> tuple[DataLoader[Any], DataLoader[Any], bool]:
    """Return loaders of training and validation batches, and whether they hold features."""
    streamed = _streamed(data, recipe, teacher_logits)
    itself = isinstance(model, ForeignModel) and model.trains_itself
    changing = recipe.changes_waveforms or data.own_training_loader or itself
    features = None if changing or streamed is not None else Features.of(model, data, device)
    clips, validation = features or (streamed or data.train_dataloader(), data.val_dataloader())
    if streamed is None and teacher_logits is not None:
        workers = 0 if features is not None else data.workers
        clips = training_loader(DistillationDataset(clips.dataset, teacher_logits), data, workers)
    return clips, validation, features is not None


class _Draws(Callback):
    """Lets the draws go on where they are: Lightning seeds each of several processes again before the first epoch."""

    def __init__(self, trains_on_gpu: bool) -> None:
        self.state = torch.get_rng_state()
        self.on_gpu = torch.cuda.get_rng_state() if trains_on_gpu else None

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Set the states of torch's generators to those before the training."""
        torch.set_rng_state(self.state)
        if self.on_gpu is not None:
            torch.cuda.set_rng_state(self.on_gpu)


class _Reporting(Callback):
    """Reports epochs, and long epochs while they last."""

    def __init__(self, report: Report, epochs_done: int = 0) -> None:
        self.report = report
        self.epochs_done = epochs_done
        self.clips = 0
        self.since = self.reported = time.perf_counter()

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Report the epoch before, whose loss is known only now."""
        self._epoch_ended(trainer, pl_module)
        self.clips = 0
        self.since = time.perf_counter()

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Report the last epoch."""
        self._epoch_ended(trainer, pl_module)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        """Let the epoch's last step log its learning rate and norm, which the epoch's report takes."""
        self.every = trainer.log_every_n_steps  # type: ignore[attr-defined]
        if trainer.is_last_batch:
            trainer.log_every_n_steps = 1  # type: ignore[attr-defined]

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        """Count the clips; report where the last report is long ago."""
        trainer.log_every_n_steps = self.every  # type: ignore[attr-defined]
        self.clips += len(batch[1]) * trainer.world_size
        now = time.perf_counter()
        if now - self.reported >= REPORT_SECONDS:
            self.reported = now
            values = self._values(trainer, ("train_loss_step", "learning_rate", "gradient_norm"))
            values["train_loss"] = values.pop("train_loss_step")
            values["clips_per_second"] = self.clips / (now - self.since)
            self.report(self.epochs_done, trainer.max_epochs or 0, None, values)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Take the time of the epoch's steps."""
        self.clips_per_second = self.clips / max(time.perf_counter() - self.since, 1e-9)

    def _epoch_ended(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        curves: dict[str, list[float]] = module.curves  # type: ignore[assignment]
        if len(curves["train_loss"]) <= self.epochs_done:
            return
        self.epochs_done += 1
        self.reported = time.perf_counter()
        values = self._values(trainer, ("learning_rate", "gradient_norm"))
        values |= {name: curve[-1] for name, curve in curves.items()} | {"clips_per_second": self.clips_per_second}
        score = curves[f"val_{PRIMARY[module.task]}"][-1]  # type: ignore[index]
        self.report(self.epochs_done, trainer.max_epochs or 0, score, values)

    def _values(self, trainer: pl.Trainer, names: tuple[str, ...]) -> dict[str, float]:
        found = {name: trainer.callback_metrics[name].item() for name in names if name in trainer.callback_metrics}
        return found | {"step": float(trainer.global_step)}


class Features(Dataset[Batch]):
    """A split's features `(N, F, T)`, computed once and kept in memory or mapped from the cache, and its targets."""

    def __init__(self, features: Tensor, targets: Tensor) -> None:
        self.features = features
        self.targets = targets

    def __len__(self) -> int:
        return len(self.targets)

    def __getitems__(self, indices: list[int]) -> Batch:
        recheck()
        return self.features[indices], self.targets[indices]

    @staticmethod
    def of(model: AudioModel, data: AudioDataModule, device: str) -> tuple[DataLoader[Batch], DataLoader[Batch]] | None:
        """Return loaders of training and validation features; None if the front-end learns or they are too large."""
        clips = len(data.splits.train) + len(data.splits.val)
        learns = any(p.requires_grad for p in model.frontend.parameters())
        if learns or clips * model.features * model.frames * 4 > FEATURE_BYTES:
            return None
        cache = Cache(data.cache)
        train, val = (
            Features(cache.features(model.frontend, data, part, device), part.targets)
            for part in (data.splits.train, data.splits.val)
        )
        return training_loader(train, data, workers=0), DataLoader(val, max(data.batch_size, 64), collate_fn=whole)


class DistillationDataset(Dataset[Batch]):
    """A split's clips or features, and the teacher's logits `(N, C)` of the clips."""

    def __init__(self, clips: Any, logits: Tensor) -> None:
        self.clips = clips
        self.logits = logits

    def __len__(self) -> int:
        return len(self.logits)

    def __getitems__(self, indices: list[int]) -> Batch:
        return *self.clips.__getitems__(indices), self.logits[indices]


def _streamed(data: AudioDataModule, recipe: Recipe, teacher_logits: Tensor | None) -> DataLoader[Batch] | None:
    """Return a loader that reads training clips as a stream; None if the dataset does not support it."""
    train = data.splits.train
    weights = rarity(train.targets, data.task, len(data.classes)) if recipe.balanced else None
    return train.stream(data.batch_size, data.seed, data.workers, weights, teacher_logits)
