"""LightningModules with a training step of their own keep it, their optimisers and their callbacks in the harness."""

import math
import sys
from pathlib import Path
from typing import Any, ClassVar

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor, nn

import bench
from bench import lookup
from bench.errors import RunError
from bench.profiling import complexity
from bench.records import Recipe
from bench.training import fit, own_training
from bench.training.fit import Trained
from datamodules.synthetic import Synthetic
from models.foreign import ForeignModel
from models.frontends.logmel import LogMel

Told = list[tuple[int, int, float | None, dict[str, float]]]


OWN = 100
"""A constant in the modules' own loss, which shows whose loss it is."""


class Counting(Callback):
    """A callback of the module's own."""

    epochs = 0

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.epochs += 1


class Own(pl.LightningModule):
    """A linear layer on the energies of 40 pieces of a clip, with a loss and an optimiser of its own."""

    rate: ClassVar[float] = 0.5

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.head = nn.Linear(40, classes)
        self.steps = 0
        self.counting = Counting()
        self.optimisers: list[torch.optim.Optimizer] = []

    def forward(self, waveform: Tensor) -> Tensor:
        pieces = waveform[:, : waveform.shape[1] // 40 * 40].unflatten(1, (40, -1))
        logits: Tensor = self.head(pieces.square().mean(2).add(1e-6).log() / 10)
        return logits

    def loss(self, batch: Any) -> Tensor:
        return nn.functional.cross_entropy(self(batch[0]), batch[1]) + OWN

    def training_step(self, batch: Any, index: int) -> Any:
        self.steps += 1
        loss = self.loss(batch)
        self.log("my_loss", loss)
        return loss

    def configure_optimizers(self) -> Any:
        optimiser = torch.optim.SGD(self.parameters(), lr=self.rate, momentum=0.5)
        self.optimisers.append(optimiser)
        return {"optimizer": optimiser, "lr_scheduler": torch.optim.lr_scheduler.ExponentialLR(optimiser, 0.5)}

    def configure_callbacks(self) -> list[Callback]:
        return [self.counting]


class Validating(Own):
    """It has a validation step, too, and stops early by what that logs."""

    def __init__(self) -> None:
        super().__init__()
        self.validated = 0

    def validation_step(self, batch: Any, index: int) -> None:
        self.validated += len(batch[1])
        self.log("my_val_loss", self.loss(batch))

    def configure_callbacks(self) -> list[Callback]:
        return [pl.callbacks.EarlyStopping("my_val_loss", patience=0, min_delta=1e9)]


class Manual(Own):
    """It steps its optimisers itself, and returns no loss."""

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False

    def training_step(self, batch: Any, index: int) -> None:
        self.steps += 1
        optimiser: Any = self.optimizers()
        optimiser.zero_grad()
        self.manual_backward(self.loss(batch))
        optimiser.step()

    def configure_optimizers(self) -> Any:
        return torch.optim.Adam(self.parameters(), lr=0.01)


class Dictionary(Own):
    """Its step returns a dictionary."""

    def training_step(self, batch: Any, index: int) -> Any:
        return {"loss": self.loss(batch), "more": 1}


@pytest.fixture(scope="module")
def data() -> Synthetic:
    made = Synthetic(clips_per_class=10, clip_seconds=0.5, batch_size=16)
    made.setup()
    return made


def trained(module: Own, data: Synthetic, folder: Path, **recipe: Any) -> tuple[ForeignModel, Trained, Told]:
    model = ForeignModel.around(module, data, recipe=Recipe(**{"epochs": 3} | recipe))
    told: Told = []
    found = fit.train(
        model, data, model.recipe, folder, "cpu", lambda epoch, epochs, score, values: told.append(
            (epoch, epochs, score, dict(values))
        ),
    )  # fmt: skip
    assert not any(folder.iterdir())
    return model, found, told


def test_step_loss_optimiser_schedule_and_callbacks_are_its_own(data: Synthetic, tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = Own()
    model, found, told = trained(module, data, tmp_path)
    batches = len(data.train_dataloader())
    assert module.steps == 3 * batches
    (optimiser,) = module.optimisers
    assert type(optimiser) is torch.optim.SGD
    assert optimiser.param_groups[0]["lr"] == pytest.approx(0.5 * 0.5**3)
    assert module.counting.epochs == 3
    assert set(found.curves) == {"train_loss", "val_loss", "val_accuracy"}
    assert all(len(curve) == 3 for curve in found.curves.values())
    assert found.curves["train_loss"][0] > OWN > found.curves["val_loss"][0]
    assert [(epoch, epochs, score) for epoch, epochs, score, _ in told] == [
        (i + 1, 3, score) for i, score in enumerate(found.curves["val_accuracy"])
    ]
    assert {"clips_per_second", "step", "train_loss"} <= set(told[0][3])
    assert not model.training
    assert module._trainer is None


def test_the_weights_of_the_best_epoch_by_validation_are_kept(data: Synthetic, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model, found, _ = trained(Own(), data, tmp_path, epochs=6)
    score, loss = found.curves["val_accuracy"], found.curves["val_loss"]
    assert found.best_epoch == max(range(6), key=lambda epoch: (score[epoch], -loss[epoch]))
    clips = data.splits.val
    with torch.inference_mode():
        right = (model(clips.load(range(len(clips)))).argmax(1) == clips.targets).float().mean().item()
    assert right == pytest.approx(score[found.best_epoch])


def test_a_validation_step_and_an_early_stop_of_its_own_work(data: Synthetic, tmp_path: Path) -> None:
    module = Validating()
    _, found, _ = trained(module, data, tmp_path, epochs=9)
    epochs = len(found.curves["val_accuracy"])
    assert epochs == 2
    assert module.validated == epochs * len(data.splits.val)


def test_manual_optimisation_learns_without_a_loss_to_show(data: Synthetic, tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = Manual()
    before = module.head.weight.detach().clone()
    _, found, _ = trained(module, data, tmp_path, epochs=4)
    assert module.steps == 4 * len(data.train_dataloader())
    assert not torch.equal(module.head.weight, before)
    assert found.curves["val_loss"][-1] < found.curves["val_loss"][0]


def test_a_step_may_return_a_dictionary(data: Synthetic, tmp_path: Path) -> None:
    _, found, _ = trained(Dictionary(), data, tmp_path, epochs=1)
    assert found.curves["train_loss"][0] > OWN


def test_balanced_draws_and_precision_of_the_recipe_hold(data: Synthetic, tmp_path: Path) -> None:
    seen = []

    class Looking(Own):
        def training_step(self, batch: Any, index: int) -> Any:
            seen.append((self.trainer.precision, self(batch[0]).dtype))
            return super().training_step(batch, index)

    trained(Looking(), data, tmp_path, epochs=1, precision="bf16-mixed", balanced=True)
    assert set(seen) == {("bf16-mixed", torch.bfloat16)}


@pytest.mark.filterwarnings("ignore:Found 1 module.* in eval mode at the start of training")
def test_modules_that_are_frozen_in_eval_mode_stay_so(data: Synthetic, tmp_path: Path) -> None:
    class Frozen(Own):
        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.BatchNorm1d(40).eval()

        def training_step(self, batch: Any, index: int) -> Any:
            assert (self.training, self.norm.training) == (True, False)
            return super().training_step(batch, index)

    module = Frozen()
    trained(module, data, tmp_path, epochs=2)
    assert module.steps == 2 * len(data.train_dataloader())


def test_a_checkpoint_callback_of_its_own_leaves_nothing_behind(data: Synthetic, tmp_path: Path) -> None:
    class Keeping(Validating):
        def configure_callbacks(self) -> list[Callback]:
            return [pl.callbacks.ModelCheckpoint(monitor="my_val_loss"), self.counting]

    module = Keeping()
    trained(module, data, tmp_path, epochs=2)
    assert module.counting.epochs == 2


def test_a_front_end_is_refused_because_its_step_gets_the_datas_batches(data: Synthetic, tmp_path: Path) -> None:
    class OnFeatures(Own):
        def forward(self, features: Tensor) -> Tensor:
            logits: Tensor = self.head(features.mean(2)[:, :40])
            return logits

    model = ForeignModel.around(OnFeatures(), data, LogMel(data.sample_rate), Recipe(epochs=1))
    with pytest.raises(RunError, match="name no front-end"):
        fit.train(model, data, model.recipe, tmp_path, "cpu", lambda *told: None)


def test_its_multiply_adds_are_counted(data: Synthetic) -> None:
    size = complexity.measure(ForeignModel.around(Own(), data), data.clip_shape, data.clip_seconds)
    assert (size.macs, size.parameters) == (40 * 10, 40 * 10 + 10)


SUITE = """
models = ["own"]
datasets = ["synthetic"]
[recipe]
epochs = 2
[dataset.synthetic]
clips_per_class = 10
clip_seconds = 0.5
[model.own]
model = "their_net:Net"
"""
NET = """
import lightning.pytorch as pl
import torch
from torch import nn


class Net(pl.LightningModule):
    def __init__(self, classes):
        super().__init__()
        self.head = nn.Linear(4000, classes)

    def forward(self, x):
        return self.head(x[:, :4000])

    def training_step(self, batch, index):
        return nn.functional.cross_entropy(self(batch[0]), batch[1])

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)
"""


@pytest.mark.process
@pytest.mark.slow
def test_its_record_has_scores_size_and_latency(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "their_net.py").write_text(NET)
    (tmp_path / "own.toml").write_text(SUITE)
    results = bench.run(
        tmp_path / "own.toml", store=tmp_path / "runs", executor="serial", device="cpu", workers=1, quiet=True
    )
    lookup.forget()
    assert not results.failed
    (record,) = results.records.values()
    assert record.scores["accuracy"] is not None
    assert "accuracy" in record.intervals
    assert record.complexity is not None
    assert record.complexity.macs == 4000 * 10
    assert record.latencies
    assert set(record.curves) == {"train_loss", "val_loss", "val_accuracy"}


class Averaged(Own):
    """It keeps an average of the weights that stays where the first step took them."""

    def configure_callbacks(self) -> list[Callback]:
        return [pl.callbacks.EMAWeightAveraging(decay=1.0)]


def test_the_average_of_the_modules_own_callback_is_scored_and_kept(data: Synthetic, tmp_path: Path) -> None:
    module = Averaged()
    _, found, _ = trained(module, data, tmp_path)
    assert found.curves["val_loss"] == pytest.approx([found.curves["val_loss"][0]] * 3, rel=1e-4)
    assert found.curves["train_loss"][0] != found.curves["train_loss"][1]
    with torch.no_grad():
        logits = module(data.splits.val.load(range(len(data.splits.val))))
    kept = nn.functional.cross_entropy(logits, data.splits.val.targets)
    assert kept.item() == pytest.approx(found.curves["val_loss"][0], rel=1e-4)


class Replaced(Own):
    """A callback of its own puts better weights in the place of those of the last step, as SWA does at the end."""

    rate = 1e-6
    good: ClassVar[bool] = True

    def configure_callbacks(self) -> list[Callback]:
        module = self

        class AtTheEnd(Callback):
            def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
                with torch.no_grad():
                    module.head.weight.mul_(0.0)
                    module.head.bias.fill_(0.0 if module.good else 1e3).mul_(torch.arange(10))

        return [AtTheEnd()]


@pytest.mark.parametrize("good", [True, False])
def test_weights_that_a_callback_sets_at_the_end_are_one_more_choice(
    data: Synthetic, tmp_path: Path, good: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Logits of zero have the loss log(10); the others are wrong by hundreds of nats, or as before the end."""
    monkeypatch.setattr(Replaced, "good", good)
    torch.manual_seed(0)
    module = Replaced()
    with torch.no_grad():
        module.head.weight.fill_(0.0)
        module.head.bias.copy_(5.0 * (torch.arange(10) == 9))
    model, found, _ = trained(module, data, tmp_path)
    assert all(len(curve) == 3 for curve in found.curves.values())
    if good:
        assert found.best_epoch == 2
        assert found.curves["val_loss"][-1] == pytest.approx(math.log(10))
    with torch.no_grad():
        assert model(torch.zeros(1, 8000)).abs().max().item() == pytest.approx(0.0 if good else 5.0, abs=0.1)


def test_stochastic_weight_averaging_is_scored(data: Synthetic, tmp_path: Path) -> None:
    class Swa(Own):
        rate = 1.0

        def configure_callbacks(self) -> list[Callback]:
            return [pl.callbacks.StochasticWeightAveraging(swa_lrs=1.0, swa_epoch_start=1)]

    scored: list[bool] = []
    whole = own_training.ValidationScores.score_replaced

    def counted(scores: own_training.ValidationScores) -> None:
        before = scores._trained
        whole(scores)
        scored.append(not torch.equal(before["module.head.weight"], scores.model.module.head.weight))  # type: ignore[union-attr,arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(own_training.ValidationScores, "score_replaced", counted)
        trained(Swa(), data, tmp_path)
    assert scored == [True]


class Logging(Own):
    """It logs to the logger, and has a callback that needs one."""

    def on_fit_start(self) -> None:
        assert self.logger is not None
        self.logger.experiment.add_text("a", "b")
        self.logger.log_metrics({"a": 1.0})

    def configure_callbacks(self) -> list[Callback]:
        return [pl.callbacks.LearningRateMonitor(), pl.callbacks.ModelCheckpoint()]


def test_a_module_that_needs_a_logger_is_trained(data: Synthetic, tmp_path: Path) -> None:
    _, found, _ = trained(Logging(), data, tmp_path)
    assert len(found.curves["val_loss"]) == 3


class Exploding(Own):
    """Its loss is not a number."""

    def loss(self, batch: Any) -> Tensor:
        return super().loss(batch) * float("nan")


def test_logits_that_are_not_finite_are_an_error_of_the_run(data: Synthetic, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="not finite"):
        trained(Exploding(), data, tmp_path)


class Later(Own):
    """Its layers are made in Lightning's `configure_model`."""

    def __init__(self) -> None:
        super().__init__()
        del self.head

    def configure_model(self) -> None:
        if not hasattr(self, "head"):
            self.head = nn.Linear(40, 10)


def test_a_module_whose_layers_are_made_later_is_trained(data: Synthetic, tmp_path: Path) -> None:
    _, found, _ = trained(Later(), data, tmp_path)
    assert len(found.curves["val_loss"]) == 3
