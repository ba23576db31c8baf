"""Training of a LightningModule that has a training step of its own.

Its loss, optimisers, schedules and callbacks stay as they are. Of the recipe, `epochs`, `batch_size`, `precision` and
`balanced` hold. After each epoch the module classifies the validation clips, and the weights of the best epoch are
kept: the rule by which every model of the benchmark is chosen. Where a callback replaces the weights at the end of the
training, as `StochasticWeightAveraging` does, these are one more choice.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback, WeightAveraging
from lightning.pytorch.loggers.logger import DummyLogger
from lightning.pytorch.utilities.model_helpers import is_overridden
from torch import Tensor
from torch.utils.data import DataLoader

from bench.errors import RunError
from bench.evaluation import pulse
from bench.training import module_state, stopping
from bench.training.resuming import Resuming
from models import metrics
from models.errors import TrainingError
from models.foreign import ForeignModel
from models.metrics import PRIMARY
from models.training.losses import classification_loss
from models.training.steps import TIE_BREAK


class ValidationScores(Callback):
    """Scores each epoch on the validation clips, and keeps the weights of the best one.

    Args:
        model: the wrapped module.
        validation: its validation clips.
        path: file of the best weights.
        report: is called after every epoch, as `bench.training.fit.Report`.

    Attributes:
        curves: one value per epoch.
        best_epoch: from 0.
    """

    def __init__(
        self, model: ForeignModel, validation: DataLoader[Any], path: Path, report: Callable[..., None]
    ) -> None:
        self.model = model
        self.validation = validation
        self.path = path
        self.report = report
        self.curves: dict[str, list[float]] = {"train_loss": [], "val_loss": [], f"val_{PRIMARY[model.task]}": []}
        self.best_epoch = 0
        self._best = float("-inf")
        self._trained: dict[str, Tensor] = {}  # weights after the last step
        self._losses: list[Tensor] = []
        self._clips = 0
        self._since = time.perf_counter()

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the epoch's clock."""
        self._losses.clear()
        self._clips = 0
        self._since = time.perf_counter()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Keep the loss that the module returned; one with manual optimisation may return none."""
        self._clips += len(batch[1])
        loss = outputs.get("loss") if isinstance(outputs, dict) else outputs
        if isinstance(loss, Tensor):
            self._losses.append(loss.detach())

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Score the epoch, with the average of the weights where a callback of the module keeps one."""
        speed = self._clips / max(time.perf_counter() - self._since, 1e-9)
        averages = [one for one in trainer.callbacks if isinstance(one, WeightAveraging)]  # type: ignore[attr-defined]
        for average in averages:
            average.on_validation_epoch_start(trainer, pl_module)
        score = self._score(trainer, pl_module.device)
        for average in reversed(averages):
            average.on_validation_epoch_end(trainer, pl_module)
        values = {curve: found[-1] for curve, found in self.curves.items() if found}
        values |= {"clips_per_second": speed, "step": float(trainer.global_step)}
        self.report(trainer.current_epoch + 1, trainer.max_epochs or 0, score, values)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Keep the weights before the module's own callbacks replace them; this callback is the first."""
        self._trained = {name: value.detach().cpu().clone() for name, value in self._weights().items()}

    def _weights(self) -> dict[str, Tensor]:
        """Return the tensors of the model's state, without other values that `get_extra_state` gives it."""
        return {name: value for name, value in self.model.state_dict().items() if isinstance(value, Tensor)}

    def state_dict(self) -> dict[str, Any]:
        """Return the curves and the best epoch, for a checkpoint; `Resuming` keeps the file of the weights."""
        curves = {name: list(values) for name, values in self.curves.items()}
        return {"curves": curves, "best_epoch": self.best_epoch, "best": self._best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with the curves and the best epoch of a checkpoint."""
        self.curves = {name: list(values) for name, values in state_dict["curves"].items()}
        self.best_epoch, self._best = state_dict["best_epoch"], state_dict["best"]

    def score_replaced(self) -> None:
        """Score the weights that the training has left, if a callback has replaced those of the last step.

        If they are the best, they stand for the last epoch.
        """
        state = self._weights()
        if not self._trained or all(torch.equal(value.cpu(), self._trained[name]) for name, value in state.items()):
            return
        score, loss = self._scored(next(iter(state.values())).device)
        if self._keep(score, loss, len(self.curves["val_loss"]) - 1):
            self.curves["val_loss"][-1] = loss
            self.curves[f"val_{PRIMARY[self.model.task]}"][-1] = score

    def _score(self, trainer: pl.Trainer, device: torch.device) -> float:
        """Add the epoch to the curves, keep the weights if they are the best so far, and return the score."""
        score, loss = self._scored(device)
        if self._losses:
            self.curves["train_loss"].append(torch.stack(self._losses).mean().item())
        self.curves["val_loss"].append(loss)
        self.curves[f"val_{PRIMARY[self.model.task]}"].append(score)
        self._keep(score, loss, trainer.current_epoch)
        return score

    def _scored(self, device: torch.device) -> tuple[float, float]:
        """Return score and loss of the weights as they are."""
        logits, targets = self._classified(device)
        loss = classification_loss(logits, targets, self.model.task).item()
        return metrics.primary(logits, targets, self.model.task), loss

    def _keep(self, score: float, loss: float, epoch: int) -> bool:
        """Write the weights if they are the best so far, and return whether they are."""
        if not (value := score - TIE_BREAK * loss / (1 + loss)) > self._best:
            return False
        self._best, self.best_epoch = value, epoch
        torch.save(self.model.state_dict(), self.path)
        return True

    @torch.no_grad()
    def _classified(self, device: torch.device) -> tuple[Tensor, Tensor]:
        modes = [(module, module.training) for module in self.model.modules()]  # some may be frozen in eval mode
        self.model.eval()
        found = []
        for x, target in self.validation:
            found.append((self.model(x.to(device)).float().cpu(), target))
            pulse.beat()
        for module, training in modes:
            module.training = training
        logits, targets = zip(*found, strict=True)
        return torch.cat(logits), torch.cat(targets)


def train(
    model: ForeignModel,
    clips: DataLoader[Any],
    validation: DataLoader[Any],
    trainer: Callable[..., pl.Trainer],
    resuming: Resuming,
) -> tuple[dict[str, list[float]], int]:
    """Train the wrapped module by its own steps, load the weights of its best epoch, and return curves and epoch.

    Args:
        model: the wrapped module, which receives waveforms: its batches are those of the data.
        clips: training batches `(x, target)`.
        validation: validation batches.
        trainer: makes the Trainer from callbacks.
        resuming: continues the training, has a folder for the best weights, and gets the reports.

    Raises:
        Stopped: it was asked to.
        RunError: no epoch was finished, or logits became NaN or infinite.
    """
    scores = ValidationScores(model, validation, resuming.scratch / "best.pt", resuming.report)
    module: Any = model.module
    # A logger that keeps nothing, so that the module may log to `self.logger`, and its callbacks, too.
    runner = trainer(
        callbacks=[scores, resuming], default_root_dir=resuming.scratch, logger=DummyLogger(), plugins=[resuming.io]
    )
    loader = validation if is_overridden("validation_step", module) else None
    try:
        runner.fit(module, clips, loader, ckpt_path=resuming.path)
    except TrainingError as error:
        raise RunError(str(error)) from error
    finally:
        module.trainer = None
    if stopping.asked():
        raise stopping.Stopped
    if not scores.path.exists():
        raise RunError(f"{type(module).__name__} finished no epoch: give the recipe more epochs")
    scores.score_replaced()
    best = torch.load(scores.path, map_location="cpu", weights_only=True)
    module_state.fit_buffers(model, best, of_same_training=True)
    model.load_state_dict(best)
    return {name: curve for name, curve in scores.curves.items() if curve}, scores.best_epoch
