"""Models that were trained without the harness, evaluated by it."""

from pathlib import Path

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import bench
from bench.errors import RunError
from bench.runner import outside
from datamodules.foreign import ForeignData
from datamodules.synthetic import Synthetic
from models.base import AudioModel, ModelError
from models.fc import FC
from models.foreign import ForeignModel
from models.recipe import Recipe


@pytest.fixture(scope="module")
def data() -> Synthetic:
    made = Synthetic(clips_per_class=10, clip_seconds=0.5)
    made.setup()
    return made


class Mean(nn.Module):
    """Logits of mean and deviation, of a module that knows nothing of this project."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(2, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(torch.stack([x.mean(1), x.std(1)], 1))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*does not have many workers", "ignore:.*number of training batches")
@pytest.mark.filterwarnings("ignore:.*isinstance.treespec, LeafSpec.*")
def test_a_checkpoint_is_enough(data: Synthetic, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = FC.for_data(data, recipe=Recipe(learning_rate=1e-2))
    best = ModelCheckpoint(tmp_path, "best", monitor="val_score", mode="max")
    trainer = pl.Trainer(
        max_epochs=2, accelerator="cpu", logger=False, callbacks=[best], enable_progress_bar=False,
        enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(model, data)
    (tested,) = trainer.test(model, data, ckpt_path="best", verbose=False)
    row = bench.evaluate(best.best_model_path, data, latency=False)
    assert row["accuracy"] == pytest.approx(tested["test_accuracy"])
    assert row["interval_low"] <= row["accuracy"] <= row["interval_high"]
    assert (row["model"], row["dataset"], row["parameters"]) == (
        "fc",
        "Synthetic",
        sum(p.numel() for p in model.parameters()),
    )
    assert row["macs"] > 0
    assert row["cpu_p50_ms"] is None


@pytest.mark.process
@pytest.mark.slow
def test_a_module_of_somebody_else_is_scored_counted_and_timed() -> None:
    row = bench.evaluate(
        nn.Sequential(nn.Flatten(), nn.LazyLinear(10)), "synthetic", fold=1, device="cpu", clips_per_class=10,
        clip_seconds=0.5,
    )  # fmt: skip
    assert (row["model"], row["fold"]) == ("Sequential", 1)
    assert row["macs"] == 8000 * 10
    assert row["cpu_p50_ms"] > 0
    assert 0 <= row["accuracy"] <= 1


def test_a_model_that_does_not_fit_the_data_is_refused(data: Synthetic) -> None:
    with pytest.raises(ModelError, match=r"returns \(2, 3\) for 2 clips, and must return logits \(2, 10\)"):
        bench.evaluate(Mean(3), data, latency=False)
    other = Synthetic(clips_per_class=10, clip_seconds=0.5, sample_rate=8_000)
    with pytest.raises(RunError, match="give sample_rate=16000"):
        bench.evaluate(FC.for_data(data), other, latency=False)
    model = FC.for_data(data)
    model.labels = data.classes[::-1]
    with pytest.raises(RunError, match="other classes than the data: 'helicopter' where the data have 'pluck'"):
        bench.evaluate(model, data, latency=False)


def test_a_file_that_is_no_checkpoint_is_refused_without_an_import(data: Synthetic, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="there is no checkpoint"):
        bench.evaluate(tmp_path / "absent.ckpt", data)
    torch.save({"weights": torch.zeros(1)}, tmp_path / "other.ckpt")
    with pytest.raises(RunError, match="no checkpoint of a model of this project"):
        bench.evaluate(tmp_path / "other.ckpt", data)
    torch.save({"audio_model": {"class": "antigravity:Model"}}, tmp_path / "foreign.ckpt")
    with pytest.raises(RunError, match="antigravity:Model, which is not imported"):
        outside.loaded(tmp_path / "foreign.ckpt")


def test_create_model_takes_its_sizes_from_the_data(data: Synthetic) -> None:
    model = bench.create_model("swishnet", data=data, recipe=Recipe(learning_rate=0.1), width=2)
    assert isinstance(model, AudioModel)
    assert (model.classes, model.labels, model.sample_rate, model.recipe.learning_rate) == (
        10,
        data.classes,
        16_000,
        0.1,
    )
    with pytest.raises(TypeError, match="needs data, or the number of classes"):
        bench.create_model("swishnet")


def test_a_module_that_is_frozen_in_eval_mode_stays_so(data: Synthetic) -> None:
    module = nn.Sequential(Mean(10), nn.BatchNorm1d(10).eval())
    bench.evaluate(module, data, latency=False)
    assert [each.training for each in module] == [True, False]
    assert module.training


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*does not have many workers", "ignore:.*number of training batches")
@pytest.mark.filterwarnings("ignore:.*isinstance.treespec, LeafSpec.*")
def test_a_checkpoint_that_is_not_enough_is_refused(data: Synthetic, tmp_path: Path) -> None:
    trainer = pl.Trainer(
        max_epochs=1, limit_train_batches=1, accelerator="cpu", logger=False, enable_progress_bar=False,
        enable_model_summary=False, callbacks=[ModelCheckpoint(tmp_path, "last")],
    )  # fmt: skip
    trainer.fit(ForeignModel.around(Mean(10), data), data)
    with pytest.raises(RunError, match=r"cannot be loaded by itself \(.*'module'.*give the module"):
        outside.loaded(tmp_path / "last.ckpt")


class Noise(pl.LightningDataModule):
    """Data that know nothing of this project."""

    sample_rate = 8_000

    def setup(self, stage: str) -> None:
        self.x = torch.randn(60, 4000, generator=torch.Generator().manual_seed(0)) / 10

    def _part(self, first: int) -> DataLoader[tuple[Tensor, ...]]:
        return DataLoader(TensorDataset(self.x[first : first + 20], torch.arange(20) % 3), 8)

    def train_dataloader(self) -> DataLoader[tuple[Tensor, ...]]:
        return self._part(0)

    def val_dataloader(self) -> DataLoader[tuple[Tensor, ...]]:
        return self._part(20)

    def test_dataloader(self) -> DataLoader[tuple[Tensor, ...]]:
        return self._part(40)


@pytest.mark.slow
def test_data_of_somebody_else_size_a_model_and_score_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = bench.create_model("fc", data=Noise())
    assert (model.classes, model.sample_rate) == (3, 8_000)
    row = bench.evaluate(model, Noise(), latency=False)
    assert (row["dataset"], 0 <= row["accuracy"] <= 1) == ("Noise", True)
    (tmp_path / "noise_of_mine.py").write_text("import lightning\n\nclass Noise(lightning.LightningDataModule): ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert isinstance(bench.create_datamodule("noise_of_mine:Noise"), ForeignData)
