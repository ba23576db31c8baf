"""Training of one model by its recipe with Lightning's Trainer; the best epoch is chosen on the validation split.

With a teacher, the loss is a weighted mean of a distillation loss, with weight `teacher_weight`, and the plain loss.
The distillation loss is the cross-entropy of the two models' distributions at temperature T, times T² so that its
gradients keep their size (Hinton et al. 2015, arXiv 1503.02531, section 2); for multi-label data it is the binary
cross-entropy of each label. The teacher's logits are computed once, from the training clips without augmentation (as in
the SwishNet paper). The student is trained on augmented clips. Mixup mixes the teacher's distributions in the same way.
"""

import logging
import math
import tempfile
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
import torch.nn.functional as F
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint
from torch import Tensor, nn
from torch.optim import lr_scheduler
from torch.utils.data import DataLoader, Dataset, RandomSampler, Sampler, WeightedRandomSampler

from bench.catalog import PRIMARY
from bench.errors import RunError
from bench.evaluation import metrics
from bench.records import Recipe
from bench.training.augment import augment, between_class, mixup
from bench.training.augment.waveform_augmentation import WaveformAugmentation
from bench.training.feature_cache import Cache
from datamodules.base import AudioDataModule, whole
from models.base import AudioModel
from models.training.ema import EMA

logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
Batch = tuple[Tensor, ...]
"""`x`, targets, and the teacher's logits if there is a teacher."""

Report = Callable[[int, int, float], None]
"""Receives the epoch, from 1, the number of epochs and the validation score."""

FEATURE_BYTES = 4 * 2**30
"""Largest size of the features, in memory or on disk, up to which a fixed front-end computes them only once."""

TIE_BREAK = 1e-4
"""Weight of the validation loss in the choice between epochs with equal scores. (Metrics are float32.)"""


@dataclass(frozen=True)
class Trained:
    """Result of a training.

    Attributes:
        curves: learning curves, one value per epoch.
        best_epoch: from 0, the epoch whose weights the model now has.
        val_features: features of the validation clips `(N, F, T)` if they were computed once; they may be on disk.
    """

    curves: dict[str, tuple[float, ...]]
    best_epoch: int
    val_features: Tensor | None = None


def train(
    model: AudioModel,
    data: AudioDataModule,
    recipe: Recipe,
    folder: Path,
    device: str,
    report: Report,
    teacher_logits: Tensor | None = None,
    data_dir: Path = Path(),
) -> Trained:
    """Train the model in place and load the weights of its best validation epoch.

    Args:
        model: untrained, or with the initial weights of the recipe's `init`.
        data: the dataset, set up.
        recipe: the training recipe.
        folder: keeps the best weights during the training.
        device: "cpu" or "cuda".
        report: is called after every epoch.
        teacher_logits: the teacher's logits of the training clips `(N, C)`, in their order; None without a teacher.
        data_dir: folder that contains the recipe's background noises.

    Raises:
        RunError: the loss or the logits became NaN or infinite, or the recipe does not fit the data.
    """
    if recipe.prior_bias and recipe.init is None:
        model.start_at_prior(data.prior())
    frozen = freeze(model, recipe.frozen)
    waveform_augmentation = _waveform_augmentation(recipe, data, data_dir)
    streamed = _streamed(data, recipe, teacher_logits)
    features = None if recipe.changes_waveforms or streamed is not None else Features.of(model, data, device)
    clips, validation = features or (streamed or data.train_dataloader(), data.val_dataloader())
    if streamed is None and (teacher_logits is not None or recipe.balanced):
        drawn = clips.dataset if teacher_logits is None else DistillationDataset(clips.dataset, teacher_logits)
        clips = _shuffled(drawn, data, recipe.balanced)
    fit = Fit(
        model, data.task, len(data.classes), recipe,
        from_features=features is not None, report=report, frozen=frozen,
        waveform_augmentation=waveform_augmentation, sample_rate=data.sample_rate,
    )  # fmt: skip
    with tempfile.TemporaryDirectory(prefix=".tmp-fit-", dir=folder) as scratch, warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*does not have many workers.*")  # clips are in memory
        warnings.filterwarnings("ignore", ".*IterableDataset.* has .__len__. defined.*")  # ours is correct with workers
        warnings.filterwarnings("ignore", ".*GPU available but not used.*")  # the user chose the device
        warnings.filterwarnings("ignore", ".*number of training batches.*logging interval.*")  # no step logger
        warnings.filterwarnings("ignore", ".*LeafSpec.*", FutureWarning)  # Lightning's own use of torch's pytree
        warnings.filterwarnings("ignore", ".*callback, but loading a checkpoint outside.*")
        best = ModelCheckpoint(
            scratch, "best", monitor="val_score", mode="max", save_weights_only=recipe.ema_decay is None
        )
        # (a file with only the weights would not contain the average of `ema_decay`)
        trainer = pl.Trainer(
            accelerator="gpu" if device == "cuda" else "cpu",
            devices=1,
            precision=recipe.precision,
            max_epochs=recipe.epochs,
            gradient_clip_val=recipe.gradient_clip,
            callbacks=[best, *_callbacks(recipe)],
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
        )
        model.train()  # the front-end computed its features in eval mode
        trainer.fit(fit, clips, validation)
        chosen = torch.load(best.best_model_path, map_location="cpu", weights_only=True)
    fit.load_state_dict(chosen["state_dict"])
    model.eval()
    curves = {name: tuple(values) for name, values in fit.curves.items()}
    kept = validation.dataset
    return Trained(curves, int(chosen["epoch"]), kept.features if isinstance(kept, Features) else None)


def _waveform_augmentation(recipe: Recipe, data: AudioDataModule, data_dir: Path) -> WaveformAugmentation | None:
    """Return the recipe's waveform augmentation; None if it has none."""
    if not recipe.changes_waveforms:
        return None
    if data.sample_rate is None:
        raise RunError(f"{type(data).__name__} has embeddings: remove waveform augmentation from its recipe")
    return WaveformAugmentation(recipe, data.sample_rate, data_dir)


def _callbacks(recipe: Recipe) -> list[Callback]:
    callbacks: list[Callback] = []
    if recipe.ema_decay is not None:
        callbacks.append(EMA(recipe.ema_decay))
    if recipe.patience is not None:
        callbacks.append(EarlyStopping("val_score", mode="max", patience=recipe.patience))
    return callbacks


class Features(Dataset[Batch]):
    """A split's features `(N, F, T)`, computed once and kept in memory or mapped from the cache, and its targets."""

    def __init__(self, features: Tensor, targets: Tensor) -> None:
        self.features = features
        self.targets = targets

    def __len__(self) -> int:
        return len(self.targets)

    def __getitems__(self, indices: list[int]) -> Batch:
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
        return _shuffled(train, data), DataLoader(val, max(data.batch_size, 64), collate_fn=whole)


class DistillationDataset(Dataset[Batch]):
    """A split's clips or features, and the teacher's logits `(N, C)` of the clips."""

    def __init__(self, clips: Any, logits: Tensor) -> None:
        self.clips = clips
        self.logits = logits

    def __len__(self) -> int:
        return len(self.logits)

    def __getitems__(self, indices: list[int]) -> Batch:
        return *self.clips.__getitems__(indices), self.logits[indices]


def _shuffled(clips: Dataset[Batch], data: AudioDataModule, balanced: bool = False) -> DataLoader[Batch]:
    """Return a loader in the seed's order; a last batch of one clip is dropped, because batch norm needs two."""
    order = torch.Generator().manual_seed(data.seed)
    count = len(data.splits.train)
    drop = count > 1 and count % data.batch_size == 1
    sampler: Sampler[int] = RandomSampler(data.splits.train, generator=order)
    if balanced:
        shares = rarity(data.splits.train.targets, data.task, len(data.classes))
        sampler = WeightedRandomSampler(shares.tolist(), count, generator=order)
    workers = 0 if isinstance(clips, Features) else data.workers
    return DataLoader(
        clips, data.batch_size, sampler=sampler, generator=order, collate_fn=whole, drop_last=drop, num_workers=workers
    )


def _streamed(data: AudioDataModule, recipe: Recipe, teacher_logits: Tensor | None) -> DataLoader[Batch] | None:
    """Return a loader that reads training clips as a stream; None if the dataset does not support it."""
    train = data.splits.train
    weights = rarity(train.targets, data.task, len(data.classes)) if recipe.balanced else None
    return train.stream(data.batch_size, data.seed, data.workers, weights, teacher_logits)


def rarity(targets: Tensor, task: metrics.Task, classes: int) -> Tensor:
    """Return each clip's weight `(N,)` in a balanced draw: 1 divided by the number of clips of its rarest class.

    Args:
        targets: `(N,)` classes or `(N, C)` labels; a clip without a label has the weight of the most frequent class.
        task: "single" or "multi" label.
        classes: C.
    """
    labels = F.one_hot(targets, classes) if task == "single" else targets
    counts = labels.sum(0).clamp(min=1)  # (C,)
    weights = (labels / counts).amax(1)
    return torch.where(weights > 0, weights, 1 / counts.max())


def freeze(model: AudioModel, names: tuple[str, ...]) -> list[nn.Module]:
    """Turn off the gradients of modules of the model, and return the modules.

    Raises:
        RunError: the model has no module of that name, or no trainable parameter remains.
    """
    known = dict(model.named_modules())
    if unknown := [name for name in names if name not in known]:
        children = ", ".join(name for name, _ in model.named_children())
        raise RunError(
            f"{type(model).__name__} has no module {unknown[0]!r} to freeze; its outermost modules are {children}"
        )
    modules = [known[name] for name in names]
    for module in modules:
        module.requires_grad_(False)
    if not any(p.requires_grad for p in model.parameters()):
        raise RunError(f"no trainable parameter remains: `frozen` names all of {type(model).__name__}")
    return modules


class Fit(pl.LightningModule):
    """Loss, optimiser, schedule and validation score of one training."""

    def __init__(
        self,
        model: AudioModel,
        task: metrics.Task,
        classes: int,
        recipe: Recipe,
        *,
        from_features: bool,
        report: Report,
        frozen: Sequence[nn.Module] = (),
        waveform_augmentation: WaveformAugmentation | None = None,
        sample_rate: int | None = None,
    ) -> None:
        super().__init__()
        self.model = model
        self.waveform_augmentation = waveform_augmentation
        self.sample_rate = sample_rate
        self.frozen = tuple(frozen)  # a tuple, so nn.Module does not register them twice
        self.classify = torch.compile(model.classify) if recipe.compile else model.classify
        self.task = task
        self.classes = classes
        self.recipe = recipe
        self.from_features = from_features
        self.report = report
        self.curves: dict[str, list[float]] = {"train_loss": [], "val_loss": [], f"val_{PRIMARY[task]}": []}
        self.losses: list[Tensor] = []
        self.seen: list[Batch] = []

    def training_step(self, batch: Batch, index: int) -> Tensor:
        """Return the loss of a batch of waveforms `(B, S)`, embeddings `(B, T, F)` or computed features `(B, F, T)`."""
        x, target, *teacher_logits = batch
        soft = [self.soft(logits) for logits in teacher_logits]  # (B, C) of the teacher, if there is one
        if self.task == "single" and (self.recipe.between_class or self.recipe.mixup > 0):
            target = F.one_hot(target, self.classes).float()  # (B, C)
        if self.waveform_augmentation is not None:
            x = self.waveform_augmentation(x)
        if self.recipe.between_class:
            assert self.sample_rate is not None
            x, target, *soft = between_class(x, self.sample_rate, target, *soft)
        features = augment(x if self.from_features else self.model.frontend(x), self.recipe)
        if self.recipe.mixup > 0:
            features, mixed = mixup(features, torch.cat([target, *soft], 1), self.recipe.mixup)
            target, *soft = torch.split(mixed, self.classes, 1)
        logits = self.classify(features)
        loss = self.loss(logits, target, self.recipe.label_smoothing)
        for goal in soft:
            loss = torch.lerp(loss, self.soft_loss(logits, goal), self.recipe.teacher_weight)
        self.losses.append(loss.detach())
        return loss

    def on_train_epoch_start(self) -> None:
        """Set frozen modules to eval mode, so that their batch statistics do not change."""
        for module in self.frozen:
            module.eval()

    def loss(self, logits: Tensor, target: Tensor, smoothing: float = 0.0) -> Tensor:
        """Return the cross-entropy over classes, or the binary cross-entropy per label.

        Args:
            logits: `(B, C)`.
            target: `(B,)` class indices or `(B, C)` shares of the classes.
            smoothing: share of the target that is spread over all classes.
        """
        if self.task == "single":
            return F.cross_entropy(logits, target, label_smoothing=smoothing)
        return F.binary_cross_entropy_with_logits(logits, target * (1 - smoothing) + smoothing / 2)

    def soft(self, logits: Tensor) -> Tensor:
        """Return the distribution `(B, C)` at the teacher's temperature: over classes, or of each label."""
        logits = logits / self.recipe.teacher_temperature
        return logits.softmax(1) if self.task == "single" else logits.sigmoid()

    def soft_loss(self, logits: Tensor, goal: Tensor) -> Tensor:
        """Return the cross-entropy against the teacher's distribution at temperature T, times T²."""
        temperature = self.recipe.teacher_temperature
        return temperature**2 * self.loss(logits / temperature, goal)

    def on_train_epoch_end(self) -> None:
        """Record the epoch's loss; raise an error if it is not finite."""
        self.curves["train_loss"].append(self._finite(torch.stack(self.losses).mean().item(), "training loss"))
        self.losses.clear()

    def validation_step(self, batch: Batch, index: int) -> None:
        """Keep the logits of a batch, because the score needs all clips."""
        x, target = batch
        logits = self.model.classify(x if self.from_features else self.model.frontend(x))
        self.seen.append((logits.float().cpu(), target.cpu()))

    def on_validation_epoch_end(self) -> None:
        """Score the whole validation split."""
        logits, targets = (torch.cat(part) for part in zip(*self.seen, strict=True))
        self.seen.clear()
        loss = self._finite(self.loss(logits, targets).item(), "validation loss")
        score = metrics.primary(logits, targets, self.task)
        self.curves["val_loss"].append(loss)
        self.curves[f"val_{PRIMARY[self.task]}"].append(score)
        self.log("val_score", score - TIE_BREAK * loss / (1 + loss))
        self.report(self.current_epoch + 1, self.recipe.epochs, score)

    def _finite(self, value: float, what: str) -> float:
        if not math.isfinite(value):
            raise RunError(
                f"the {what} is {value} in epoch {self.current_epoch + 1}: lower the learning rate or clip gradients"
            )
        return value

    def configure_optimizers(self) -> Any:
        """Return the recipe's optimiser and its per-step schedule."""
        r = self.recipe
        parameters = [p for p in self.parameters() if p.requires_grad]
        rate, decay = r.learning_rate, r.weight_decay
        optimizer: torch.optim.Optimizer
        if r.optimizer == "sgd":
            optimizer = torch.optim.SGD(parameters, rate, momentum=0.9, weight_decay=decay)
        else:
            kind = torch.optim.AdamW if r.optimizer == "adamw" else torch.optim.Adam
            fused = r.precision == "32-true"  # in mixed precision, Lightning clips no gradients of a fused optimiser
            optimizer = kind(parameters, rate, weight_decay=decay, amsgrad=r.amsgrad, fused=fused)
        steps = int(self.trainer.estimated_stepping_batches)
        schedule: lr_scheduler.LRScheduler
        if r.schedule == "constant":
            return optimizer
        if r.schedule == "cosine":
            schedule = lr_scheduler.CosineAnnealingLR(optimizer, steps)
        elif r.schedule == "one-cycle":
            schedule = lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps)
        else:
            period = max(steps // r.epochs, 1)
            schedule = lr_scheduler.CosineAnnealingWarmRestarts(optimizer, period, T_mult=2, eta_min=rate / 50)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
