"""The steps of a training under Lightning's Trainer, the same for the harness and for a script of your own.

With a teacher, the loss is a weighted mean of a distillation loss, with weight `teacher_weight`, and the plain loss.
The teacher classifies the clips without augmentation (as in the SwishNet paper). The student is trained on augmented
clips. Mixup mixes the teacher's distributions in the same way.
"""

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar, Literal, Self

import lightning.pytorch as pl
import torch
import torch.nn.functional as F
from lightning.pytorch.callbacks import Callback, EarlyStopping, WeightAveraging
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from models import metrics
from models.errors import ModelError, TrainingError
from models.layers import memory_format
from models.metrics import PRIMARY
from models.recipe import Recipe
from models.training.arguments import is_plain, plain
from models.training.augment import augment, between_class, mixup
from models.training.augment.noise import Background
from models.training.augment.waveform_augmentation import WaveformAugmentation
from models.training.ema import EMA
from models.training.freezing import freeze
from models.training.losses import classification_loss, distillation_loss, finite, softened
from models.training.optimisation import optimizer_and_schedule
from models.training.ranks import each_once

Batch = tuple[Tensor, ...] | list[Tensor]
"""`x` and targets; a third part, if there is one, are a teacher's logits of the clips."""

LOG_SECONDS = 2.0
"""Time after which learning rate and gradient norm are logged again, although few steps were done."""

FUSED_ADAM = ("32-true", "bf16-mixed")
"""The Trainer's precisions in which torch's fused Adam is used."""

TIE_BREAK = 1e-4
"""Weight of the validation loss in the choice between epochs with equal scores. (Metrics are float32.)"""


class Shared(tuple[nn.Module, ...]):
    """Modules that a copy of the model shares: an average of the weights is such a copy."""

    __slots__ = ()

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self


class TrainingSteps(pl.LightningModule, ABC):
    """Loss, optimiser, schedule, augmentation and scores of a classifier.

    What is logged, by the names that the harness's loggers use: `train_loss_step`; `learning_rate`, `gradient_norm` and
    `clips_per_second` every `log_every_n_steps` steps and every two seconds; after each epoch `train_loss`, which is
    the mean of its steps, `val_loss`, `val_accuracy` (or `val_mAP`) and `val_score`, which is the one to monitor: the
    score, and of equal scores the lower loss; in a test `test_loss` and every metric of the task. The scores of a
    second loader end in `/dataloader_idx_1`, as Lightning's own names do.

    Attributes:
        recipe: how the model is trained.
        task: "single" or "multi" label.
        labels: names of the classes; may be empty.
        sample_rate: of the waveforms, in hertz; None where it is not known or the data are embeddings.
        background: the noises of the recipe's `background`; None asks the Trainer's datamodule for them.
        from_features: whether the batches of `fit` hold features `(B, F, T)` that the front-end has computed already.
        curves: learning curves of the last `fit`, one value per epoch; those of the validation have one per validation.
    """

    classes: int
    frontend: nn.Module
    read_once: ClassVar[frozenset[str]] = frozenset({"weights"})
    given_arguments: dict[str, Any]
    left_out_arguments: tuple[str, ...]
    recipe: Recipe = Recipe()
    task: metrics.Task = "single"
    labels: tuple[str, ...] = ()
    sample_rate: int | None = None
    background: Background | None = None
    from_features: bool = False

    def __init__(self) -> None:
        super().__init__()
        self.curves: dict[str, list[float]] = {}
        self._augmentation: WaveformAugmentation | None = None
        self._classify_in_training: Callable[[Tensor], Tensor] | None = None
        self._frozen: tuple[nn.Module, ...] = ()  # a tuple, so nn.Module does not register them twice
        self._stopped: tuple[nn.Parameter, ...] = ()  # whose gradients `freeze` has turned off
        self._teacher = Shared()
        self._planned = 0.0  # steps of the schedule
        self._zeroed = False  # whether this step has forgotten the gradients of the one before
        self._logged = 0.0
        self._logs_more = False
        self._losses: list[Tensor] = []
        self._clips = 0  # of this epoch, so far
        self._since = 0.0  # when it began
        self._seen: dict[int, list[tuple[Tensor, Tensor]]] = {}  # by the number of the loader

    @abstractmethod
    def classify(self, features: Tensor) -> Tensor:
        """Map features `(B, F, T)` to logits `(B, C)`."""

    @abstractmethod
    def extract(self, x: Tensor) -> Tensor:
        """Map the batch's `x` to features `(B, F, T)`."""

    def distil(self, teacher: nn.Module) -> None:
        """Train on the logits of a trained teacher, too, by the recipe's temperature and weight.

        Args:
            teacher: maps the batch's `x` to logits `(B, C)`; it is neither trained nor saved with this model.
        """
        self._teacher = Shared((teacher.eval().requires_grad_(False),))

    # -- before a training ------------------------------------------------------------------------------------------

    def configure_callbacks(self) -> list[Callback]:
        """Return the callbacks of the recipe: the average of the weights, and the end of a training that stagnates.

        Raises:
            TrainingError: the Trainer has an average of the weights, too.
        """
        callbacks: list[Callback] = []
        if self.trainer.state.fn != "fit":
            return callbacks
        given: list[Callback] = self.trainer.callbacks  # type: ignore[attr-defined]
        if self.recipe.ema_decay is not None:
            if other := next((one for one in given if isinstance(one, WeightAveraging) and type(one) is not EMA), None):
                raise TrainingError(
                    f"the recipe's ema_decay and the Trainer's {type(other).__name__} both average the weights: leave "
                    f"one of them out"
                )
            callbacks.append(EMA(self.recipe.ema_decay))
        if self.recipe.patience is not None:
            callbacks.append(EarlyStopping("val_score", mode="max", patience=self.recipe.patience))
            # Lightning takes the model's callbacks in the place of all of the same class.
            callbacks += [one for one in given if type(one) is EarlyStopping and one.monitor != "val_score"]
        return callbacks

    def setup(self, stage: str) -> None:
        """Freeze the recipe's modules, and start new learning curves.

        Raises:
            TrainingError: the model has no module of that name, or the recipe does not fit the data.
        """
        if stage != "fit":
            return
        for module in self._frozen:  # by the fit before, whose recipe may have been another
            module.train(self.training)
        for parameter in self._stopped:
            parameter.requires_grad_(True)
        learning = [parameter for parameter in self.parameters() if parameter.requires_grad]
        self._frozen = freeze(self, self.recipe.frozen)
        self._stopped = tuple(parameter for parameter in learning if not parameter.requires_grad)
        self.curves = {"train_loss": [], "val_loss": [], f"val_{PRIMARY[self.task]}": []}
        self._check_parts()
        if self.recipe.changes_waveforms and self.sample_rate is None:
            raise TrainingError(
                "the sample rate is not known: build the model with `for_data`, or set its `sample_rate`; embeddings "
                "need a recipe without waveform augmentation"
            )

    def _check_parts(self) -> None:
        """Refuse a batch in parts where no step computes them."""
        if self.recipe.accumulate == 1:
            return
        if type(self).training_step is not TrainingSteps.training_step:
            raise TrainingError(
                f"{type(self).__name__} has a training step of its own, which takes each batch as a whole: leave "
                f"accumulate out"
            )
        if self.recipe.compile and any(p.requires_grad for p in self.frontend.parameters()):
            raise TrainingError(
                "compiled code frees what a second part of a batch needs of a front-end that learns: leave compile or "
                "accumulate out"
            )

    def configure_optimizers(self) -> Any:
        """Return the recipe's optimiser and its schedule, which changes the rate at every step."""
        trainer = self.trainer
        epochs = trainer.max_epochs or 0
        self._planned = trainer.estimated_stepping_batches
        return optimizer_and_schedule(
            self.parameters(),
            self.recipe,
            self._planned,
            epochs if epochs > 0 else self.recipe.epochs,
            fused=trainer.precision in FUSED_ADAM,
        )

    @property
    def learning_rate(self) -> float:
        """The recipe's learning rate, which Lightning's Tuner sets."""
        return self.recipe.learning_rate

    @learning_rate.setter
    def learning_rate(self, rate: float) -> None:
        self.recipe = replace(self.recipe, learning_rate=rate)

    def on_train_start(self) -> None:
        """Compare the schedule's length with that of a checkpoint's training that is continued.

        Raises:
            TrainingError: they differ, so that the schedule would end too early or never.
        """
        for config in self.trainer.lr_scheduler_configs:
            length = getattr(config.scheduler, "total_steps", None) or getattr(config.scheduler, "T_max", None)
            if self._planned and length and length != max(int(self._planned), 1):
                raise TrainingError(
                    f"the schedule {self.recipe.schedule!r} of the checkpoint is over {length} steps, and this "
                    f"training has {int(self._planned)}: continue with the same max_epochs, data and accumulation, or "
                    f"load the model with load_from_checkpoint and start a new training"
                )

    def on_fit_start(self) -> None:
        """Prepare augmentation, teacher and compiled code on the device."""
        self._losses.clear()
        recipe = self.recipe
        self._augmentation = None
        if recipe.changes_waveforms:
            noises = self._background() if recipe.background is not None else None
            self._augmentation = WaveformAugmentation(recipe, noises)
        self._classify_in_training = torch.compile(self.classify) if recipe.compile else None
        if recipe.memory_format == "channels-last":
            memory_format.enter(self)
        for teacher in self._teacher:
            teacher.to(self.device)

    def on_fit_end(self) -> None:
        """Forget augmentation, compiled code and memory format, which a copy of the model or a file cannot hold."""
        self._augmentation = None
        self._classify_in_training = None
        memory_format.leave(self)

    def _background(self) -> Background:
        if self.background is not None:
            return self.background
        data: Any = getattr(self.trainer, "datamodule", None)
        if not hasattr(data, "background"):
            raise TrainingError(
                "the recipe adds background noise: train with trainer.fit(model, datamodule) of a datamodule of this "
                "project, or set the model's `background`"
            )
        noises: Background = data.background(self.recipe.background)
        return noises

    # -- training ---------------------------------------------------------------------------------------------------

    def on_train_epoch_start(self) -> None:
        """Set frozen modules to eval mode, so that their batch statistics do not change; start the epoch's clock."""
        for module in self._frozen:
            module.eval()
        self._clips, self._since = 0, time.monotonic()

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss of a batch of waveforms `(B, S)`, embeddings `(B, T, F)` or computed features `(B, F, T)`."""
        x, target, *teacher_logits = batch
        recipe = self.recipe
        if not teacher_logits:
            teacher_logits = [self._taught(teacher, x) for teacher in self._teacher]
        soft = [softened(logits, self.task, recipe.teacher_temperature) for logits in teacher_logits]  # (B, C)
        if self.task == "single" and (recipe.between_class or recipe.mixup > 0):
            target = F.one_hot(target, self.classes).float()  # (B, C)
        if self._augmentation is not None:
            x = self._augmentation(x)
        if recipe.between_class:
            assert self.sample_rate is not None  # `setup` has looked
            x, target, *soft = between_class(x, self.sample_rate, target, *soft)
        features = augment(x if self.from_features else self.extract(x), recipe)
        if recipe.mixup > 0:
            features, mixed = mixup(features, torch.cat([target, *soft], 1), recipe.mixup)
            target, *soft = torch.split(mixed, self.classes, 1)
        loss = self._loss_in_parts(batch_idx, features, target, *soft)
        if self._trainer is not None:
            self._losses.append(loss.detach())
            self._log_step(loss, len(target))
        return loss

    def _loss(self, features: Tensor, target: Tensor, *soft: Tensor) -> Tensor:
        logits = (self._classify_in_training or self.classify)(features)
        loss = classification_loss(logits, target, self.task, self.recipe.label_smoothing)
        for goal in soft:
            taught = distillation_loss(logits, goal, self.task, self.recipe.teacher_temperature)
            loss = torch.lerp(loss, taught, self.recipe.teacher_weight)
        return loss

    def _loss_in_parts(self, batch_idx: int, features: Tensor, target: Tensor, *soft: Tensor) -> Tensor:
        """Return the mean loss of a batch, of which all parts but the last have gone backwards here."""
        recipe = self.recipe
        size = math.ceil(recipe.batch_size / recipe.accumulate)
        # A smaller last batch has fewer parts, none of which has a single clip, because batch norms need several.
        count = min(recipe.accumulate, math.ceil(len(target) / size), len(target) // 2)
        if count <= 1 or self._trainer is None:
            return self._loss(features, target, *soft)
        batches = self.trainer.accumulate_grad_batches
        if batch_idx % batches == 0:
            self.trainer.optimizers[0].zero_grad()  # Lightning does so after this step, which would lose the parts
            self._zeroed = True
        *parts, last = zip(*(each.tensor_split(count) for each in (features, target, *soft)), strict=True)
        before = torch.zeros((), device=target.device)
        for part in parts:
            loss = self._loss(*part) * (len(part[1]) / len(target))
            before += loss.detach()
            self.trainer.strategy.backward(loss / batches, None, retain_graph=features.requires_grad)
        return self._loss(*last) * (len(last[1]) / len(target)) + before

    def optimizer_zero_grad(self, epoch: int, batch_idx: int, optimizer: torch.optim.Optimizer) -> None:
        """Forget the gradients of the step before, unless this step has done so."""
        if not self._zeroed:
            optimizer.zero_grad()
        self._zeroed = False

    @torch.no_grad()
    def _taught(self, teacher: nn.Module, x: Tensor) -> Tensor:
        if self.from_features:
            raise TrainingError("the batches hold features, which the teacher may not understand: add its logits")
        logits: Tensor = teacher(x).float()
        return logits

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def _log_step(self, loss: Tensor, clips: int) -> None:
        self._clips += clips
        every = max(self.trainer.log_every_n_steps, 1)  # type: ignore[attr-defined]
        now = time.monotonic()
        self._logs_more = self.trainer.global_step % every == 0 or now - self._logged >= LOG_SECONDS
        if self._logs_more or self.trainer.loggers or self.trainer.progress_bar_callback is not None:
            self.log("train_loss_step", loss, prog_bar=True, batch_size=clips)  # which takes time in a short step
        if self._logs_more:
            self._logged = now
            self.log("learning_rate", self.trainer.optimizers[0].param_groups[0]["lr"], batch_size=clips)
            speed = self._clips * self._processes() / max(now - self._since, 1e-9)
            self.log("clips_per_second", speed, batch_size=clips)

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip gradients as the Trainer says, or else as the recipe says; log their norm before that."""
        if self._logs_more:
            gradients = [p.grad for p in self.parameters() if p.grad is not None]
            self.log("gradient_norm", torch.nn.utils.get_total_norm(gradients))
        limit = self.recipe.gradient_clip if gradient_clip_val is None else gradient_clip_val
        algorithm = gradient_clip_algorithm or "norm"
        if self.trainer.precision == "bf16-mixed" and limit and limit > 0:
            self._clip(float(limit), algorithm)
        else:
            self.clip_gradients(optimizer, limit, algorithm)

    def _clip(self, limit: float, algorithm: str) -> None:
        """Clip gradients that no scaler has scaled; Lightning refuses that for a fused optimiser."""
        if algorithm == "value":
            torch.nn.utils.clip_grad_value_(self.parameters(), limit)
        else:
            gradients = [p.grad for p in self.parameters() if p.grad is not None]
            norm = torch.nn.utils.get_total_norm(gradients)
            if not norm <= limit:  # also of NaN, as torch's function does
                torch.nn.utils.clip_grads_with_norm_(self.parameters(), limit, norm)

    def on_train_epoch_end(self) -> None:
        """Record the epoch's loss.

        Raises:
            TrainingError: it is not finite.
        """
        if not self._losses:
            return
        loss = self._gathered(torch.stack(self._losses).mean()).mean().item()
        self._losses.clear()
        self.curves["train_loss"].append(finite(loss, "training loss", self.current_epoch))
        self.log("train_loss", loss, sync_dist=self._processes() > 1)

    # -- validation, test and prediction ----------------------------------------------------------------------------

    def on_validation_epoch_start(self) -> None:
        """Forget the clips of a validation or test that was broken off."""
        self._seen.clear()

    def on_test_epoch_start(self) -> None:
        """Forget the clips of a validation or test that was broken off."""
        self._seen.clear()

    def validation_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Keep the logits of a batch, because the score needs all clips."""
        x, target = batch[:2]
        logits = self.classify(x) if self.from_features else self(x)
        self._keep(logits, target, dataloader_idx)

    def on_validation_epoch_end(self) -> None:
        """Score the whole validation split; of several loaders each, the first for the learning curves.

        Raises:
            TrainingError: the loss is not finite, or the score is undefined.
        """
        name = f"val_{PRIMARY[self.task]}"
        for loader, (logits, targets) in self._all_seen().items():
            loss = finite(classification_loss(logits, targets, self.task).item(), "validation loss", self.current_epoch)
            if self.trainer.sanity_checking:
                continue
            score = metrics.primary(logits, targets, self.task)
            if self.trainer.state.fn == "fit" and loader == 0:
                self.curves["val_loss"].append(loss)
                self.curves[name].append(score)
            self._log_score("val_loss", loss, loader)
            self._log_score(name, score, loader, prog_bar=True)
            self._log_score("val_score", score - TIE_BREAK * loss / (1 + loss), loader)

    def test_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Keep the logits of a batch, because the metrics need all clips."""
        x, target = batch[:2]
        self._keep(self(x), target, dataloader_idx)

    def on_test_epoch_end(self) -> None:
        """Log the loss and every metric of the task; metrics that are undefined are left out."""
        for loader, (logits, targets) in self._all_seen().items():
            self._log_score("test_loss", classification_loss(logits, targets, self.task).item(), loader)
            for name, value in metrics.score(logits, targets, self.task, self.labels).values.items():
                if value is not None:
                    self._log_score(f"test_{name}", value, loader)

    def predict_step(self, batch: Tensor | Batch, batch_idx: int, dataloader_idx: int = 0) -> Tensor:
        """Return the probabilities `(B, C)` of a batch, with or without targets: of classes, or of each label."""
        logits: Tensor = self(batch if isinstance(batch, Tensor) else batch[0]).float()
        return logits.softmax(1) if self.task == "single" else logits.sigmoid()

    def _log_score(self, name: str, value: float, loader: int, *, prog_bar: bool = False) -> None:
        whole = f"{name}/dataloader_idx_{loader}" if loader else name
        self.log(whole, value, prog_bar=prog_bar, sync_dist=self._processes() > 1, add_dataloader_idx=False)

    def _keep(self, logits: Tensor, target: Tensor, loader: int) -> None:
        self._seen.setdefault(loader, []).append((logits.float().cpu(), target.cpu()))

    def _all_seen(self) -> dict[int, tuple[Tensor, Tensor]]:
        """Return logits `(N, C)` and targets of all clips of all processes by loader, each once, and forget them."""
        found = {}
        for number, batches in sorted(self._seen.items()):
            logits, targets = (torch.cat(part) for part in zip(*batches, strict=True))
            if self._processes() > 1:
                loader = self._loaders()[number]
                logits, targets = (each_once(self._gathered(part), loader) for part in (logits, targets))
            found[number] = logits, targets
        self._seen.clear()
        return found

    def _loaders(self) -> list[Any]:
        """Return the loaders of the validation or test that is under way, in the order of their numbers."""
        trainer = self.trainer
        given = trainer.test_dataloaders if trainer.testing else trainer.val_dataloaders
        return tree_leaves(given)

    def _gathered(self, values: Tensor) -> Tensor:
        """Return the values of all processes on the CPU, `(W, ...)`; unchanged where there is one process."""
        if self._processes() == 1:
            return values
        everyone: Any = self.all_gather(values.to(self.device))
        return everyone.cpu()  # type: ignore[no-any-return]

    def _processes(self) -> int:
        return self.trainer.world_size

    # -- checkpoints ------------------------------------------------------------------------------------------------

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what the model was trained for; a checkpoint of weights only gets the average of the weights.

        Of a subclass's own `save_hyperparameters`, what a file can hold without pickles is kept.
        """
        checkpoint["audio_model"] = self.trained_for()
        saved = checkpoint.get(self.CHECKPOINT_HYPER_PARAMS_KEY, {})
        kept = {name: value for name, value in saved.items() if is_plain(value)}
        checkpoint[self.CHECKPOINT_HYPER_PARAMS_KEY] = kept | self._constructor()
        for callback in self.trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(callback, EMA) and "averaging_state" not in checkpoint and (average := callback.averaged()):
                checkpoint["state_dict"] = average

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take over what the checkpoint's model was trained for, unless a Trainer continues a training.

        Raises:
            ModelError: the model was built with an argument that no file can hold, and is built without it now.
        """
        if self._trainer is None and "audio_model" in checkpoint:
            content = checkpoint["audio_model"]
            given = {*self.given_arguments, *self.left_out_arguments}
            if lost := sorted(set(content.get("left_out", ())) - given):
                raise ModelError(
                    f"the checkpoint cannot hold the argument {lost[0]!r}, which is no plain content: give it, as in "
                    f"{type(self).__name__}.load_from_checkpoint(path, {lost[0]}=...)"
                )
            self._take(content)

    @abstractmethod
    def _constructor(self) -> dict[str, Any]:
        """Return the arguments of the constructor as plain content; what a file cannot hold is left out."""

    def trained_for(self) -> dict[str, Any]:
        """Return class, task, names of the classes, sample rate, recipe and lost arguments, as plain content."""
        return {
            "class": f"{type(self).__module__}:{type(self).__qualname__}",
            "task": self.task,
            "labels": list(self.labels),
            "sample_rate": self.sample_rate,
            "recipe": plain(self.recipe.differences),
            "left_out": [name for name in self.left_out_arguments if name not in self.read_once],
        }

    def _take(self, content: dict[str, Any]) -> None:
        task: Literal["single", "multi"] = content["task"]
        self.task = task
        self.labels = tuple(content["labels"])
        self.sample_rate = content["sample_rate"]
        self.recipe = Recipe.of(content["recipe"])
