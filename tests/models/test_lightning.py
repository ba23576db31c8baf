"""Every architecture as a LightningModule under a plain Trainer, without the harness."""

import pickle
import sys
from enum import Enum
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, EMAWeightAveraging, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.tuner import Tuner
from torch import nn
from torch.utils.data import DataLoader
from torch.utils.data.distributed import DistributedSampler

from bench import catalog
from datamodules.base import whole
from datamodules.synthetic import Synthetic, SyntheticTags
from models.base import AudioModel, ModelError
from models.errors import TrainingError
from models.fc import FC
from models.recipe import Recipe
from models.swishnet import SwishNet
from models.training.ema import EMA
from models.training.ranks import each_once

SMALL: dict[str, dict[str, Any]] = {  # widths at which a step takes milliseconds
    "cnn6": {"scale": 0.125},
    "cnn10": {"scale": 0.125},
    "cnn14": {"scale": 0.125},
    "resnet22": {"scale": 0.125},
    "resnet38": {"scale": 0.125},
    "resnet54": {"scale": 0.125},
    "mobilenet-v1": {"scale": 0.125},
    "mobilenet-v2": {"scale": 0.125},
    "wavegram-cnn": {"scale": 0.125},
    "wavegram-logmel-cnn": {"scale": 0.125},
    "rann": {"t_c": 1, "t_m": 8, "width": 1},
}

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty"),
    pytest.mark.filterwarnings("ignore:.*number of training batches.*logging interval"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*isinstance.treespec, LeafSpec.*"),
]


@pytest.fixture(scope="module")
def data() -> Synthetic:
    made = Synthetic(clips_per_class=10, clip_seconds=0.5, batch_size=16)
    made.setup()
    return made


@pytest.fixture(scope="module")
def longer() -> Synthetic:
    made = Synthetic(clips_per_class=10, clip_seconds=1.0, batch_size=16)
    made.setup()
    return made


def trainer(folder: Path, **options: Any) -> pl.Trainer:
    best = ModelCheckpoint(folder, "best", monitor="val_score", mode="max")
    standard: dict[str, Any] = {
        "max_epochs": 1, "accelerator": "cpu", "logger": False, "enable_progress_bar": False,
        "enable_model_summary": False, "callbacks": [best], "default_root_dir": folder,
    }  # fmt: skip
    return pl.Trainer(**standard | options)


def kind(name: str) -> type[AudioModel]:
    found: type[AudioModel] = catalog.load(catalog.model(name).target)
    return found


def model_for(name: str, data: Any, **options: Any) -> AudioModel:
    arguments = {**catalog.model(name).arguments, **SMALL.get(name, {})}
    torch.manual_seed(0)
    return kind(name).for_data(data, **options, **arguments)


@pytest.mark.parametrize("name", catalog.MODELS)
def test_the_catalogue_and_for_data_take_the_same_frontend(name: str) -> None:
    entry = catalog.frontend(catalog.model(name).frontend)
    own = kind(name).default_frontend(16_000)
    named = catalog.load(entry.target)(16_000, **entry.arguments)
    assert type(own) is type(named)
    given = dict(named.given_arguments)
    assert own.given_arguments == given


@pytest.mark.parametrize("name", catalog.MODELS)
@pytest.mark.slow
def test_fit_test_predict_and_checkpoint_under_a_plain_trainer(
    name: str, data: Synthetic, longer: Synthetic, tmp_path: Path
) -> None:
    data = longer if name.startswith("wavegram") else data  # which needs more frames
    averaged = None if name in ("knn", "gmm") else 0.5  # which have no weights to average
    model = model_for(name, data, recipe=Recipe(learning_rate=1e-3, ema_decay=averaged))
    assert isinstance(model, pl.LightningModule)
    runner = trainer(tmp_path, limit_train_batches=2)
    runner.fit(model, data)
    assert set(model.curves) == {"train_loss", "val_loss", "val_accuracy"}
    (scores,) = runner.test(model, data, verbose=False, ckpt_path="best")
    predicted = torch.cat(runner.predict(model, data.test_dataloader()))  # type: ignore[arg-type]
    assert predicted.shape == (len(data.splits.test), 10)
    assert torch.allclose(predicted.sum(1), torch.ones(len(predicted)), atol=1e-5)
    right = (predicted.argmax(1) == data.splits.test.targets).float().mean().item()
    assert scores["test_accuracy"] == pytest.approx(right)

    loaded = kind(name).load_from_checkpoint(runner.checkpoint_callback.best_model_path)  # type: ignore[union-attr]
    assert (loaded.labels, loaded.task, loaded.sample_rate) == (data.classes, "single", data.sample_rate)
    assert loaded.recipe == model.recipe
    again = torch.cat(trainer(tmp_path).predict(loaded, data.test_dataloader()))  # type: ignore[arg-type]
    assert torch.equal(again, predicted)


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["bf16-mixed", "bf16-true", "64-true"])
@pytest.mark.parametrize("name", ["cnn", "swishnet", "lstm-skip", "wavegram-cnn"])
def test_every_precision(name: str, precision: str, data: Synthetic, longer: Synthetic, tmp_path: Path) -> None:
    data = longer if name.startswith("wavegram") else data
    model = model_for(name, data)
    runner = trainer(tmp_path, precision=precision, limit_train_batches=1)
    runner.fit(model, data)
    assert torch.isfinite(torch.tensor(model.curves["train_loss"])).all()


def test_a_fixed_frontend_computes_in_single_precision_within_autocast(data: Synthetic) -> None:
    model = model_for("swishnet", data).eval()
    x = data.splits.test.load([0, 1])
    features = model.extract(x)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(model.extract(x), features)
    halved = model_for("swishnet", data).eval().to(torch.bfloat16)
    assert torch.equal(halved.frontend(x), features)  # its filters have not been rounded


@pytest.mark.slow
def test_two_batches_accumulated_are_one_of_twice_the_size(tmp_path: Path) -> None:
    weights = []
    for batch, accumulated in ((16, 1), (8, 2)):
        data = Synthetic(clips_per_class=16, clip_seconds=0.5, batch_size=batch)
        recipe = Recipe(learning_rate=1e-2, schedule="constant", frozen=FIXED)
        model = model_for("fc", data, recipe=recipe)
        runner = trainer(tmp_path, accumulate_grad_batches=accumulated)
        runner.fit(model, data)
        weights.append(model.logits.weight.detach())  # type: ignore[union-attr,operator]
    assert torch.allclose(weights[0], weights[1], atol=1e-5)  # type: ignore[arg-type]


@pytest.mark.process
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_two_processes_have_the_loss_of_one_with_twice_the_batch(tmp_path: Path) -> None:
    found = []
    for batch, processes in ((16, 1), (8, 2)):
        data = Synthetic(clips_per_class=20, clip_seconds=0.5, batch_size=batch)
        recipe = Recipe(learning_rate=1e-2, schedule="constant", frozen=FIXED)
        best = ModelCheckpoint(tmp_path / str(processes), "last")
        options = {"devices": 2, "strategy": "ddp_spawn"} if processes == 2 else {"devices": 1}
        runner = trainer(tmp_path, callbacks=[best], max_epochs=2, **options)
        runner.fit(model_for("fc", data, recipe=recipe), data)
        weights = torch.load(tmp_path / str(processes) / "last.ckpt", weights_only=True)["state_dict"]
        found.append((runner.callback_metrics, weights))
    (one, weights), (two, others) = found
    for name in ("train_loss", "val_loss", "val_accuracy"):
        assert two[name].item() == pytest.approx(one[name].item(), rel=1e-4), name
    assert all(torch.allclose(value, others[name], atol=1e-4) for name, value in weights.items())


@pytest.mark.parametrize("ranks", [2, 3, 4])
@pytest.mark.parametrize("clips", [7, 8])
def test_clips_that_fill_up_the_last_round_count_once(ranks: int, clips: int) -> None:
    values = torch.arange(clips)
    for shuffle in (False, True):
        samplers = [DistributedSampler(range(clips), ranks, rank, shuffle=shuffle) for rank in range(ranks)]  # type: ignore[arg-type]
        gathered = torch.stack([values[list(sampler)] for sampler in samplers])
        loader = DataLoader(range(clips), sampler=samplers[0])  # type: ignore[arg-type]
        assert each_once(gathered, loader).sort().values.tolist() == values.tolist()
    assert each_once(gathered, DataLoader(range(clips))).numel() == gathered.numel()  # type: ignore[arg-type]
    assert each_once(gathered[:, :1], loader).numel() == ranks  # a Trainer with limit_val_batches


@pytest.mark.process
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_two_processes_score_an_odd_number_of_clips_as_one_does(tmp_path: Path) -> None:
    data = Synthetic(clips_per_class=10, clip_seconds=0.5, batch_size=4)
    data.setup()
    model = model_for("fc", data)
    loader = DataLoader(data.splits.test, batch_size=4, sampler=range(7), collate_fn=whole)  # type: ignore[arg-type]
    (one,) = trainer(tmp_path).test(model, loader, verbose=False)
    two = trainer(tmp_path, devices=2, strategy="ddp_spawn")
    two.test(model, loader, verbose=False)
    assert {name: value.item() for name, value in two.callback_metrics.items()} == pytest.approx(one, rel=1e-4)


def test_an_average_of_the_weights_shares_the_teacher(data: Synthetic, tmp_path: Path) -> None:
    teacher, copies = model_for("fc", data), []

    class Look(Callback):
        def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            (average,) = (one for one in trainer.callbacks if isinstance(one, EMA))  # type: ignore[attr-defined]
            copies.append(average._average_model.module._teacher[0])  # type: ignore[union-attr,index]

    model = model_for("swishnet", data, recipe=Recipe(ema_decay=0.5, teacher_temperature=2.0, teacher_weight=0.5))
    model.distil(teacher)
    trainer(tmp_path, callbacks=[Look()], limit_train_batches=1).fit(model, data)
    assert copies == [teacher]


FIXED = ("standardise", "level", "input_dropout", "dropout")
"""Modules of FC without which a clip's loss does not depend on its batch, nor on chance."""


@pytest.mark.slow
def test_checkpoints_of_weights_only_hold_the_average_too(data: Synthetic, tmp_path: Path) -> None:
    found = {}
    for only in (False, True):
        model = model_for("swishnet", data, recipe=Recipe(learning_rate=1e-2, ema_decay=0.9))
        best = ModelCheckpoint(tmp_path / str(only), monitor="val_score", mode="max", save_weights_only=only)
        trainer(tmp_path, callbacks=[best], max_epochs=2).fit(model, data)
        found[only] = torch.load(best.best_model_path, weights_only=True)["state_dict"]
    assert all(torch.equal(value, found[True][name]) for name, value in found[False].items())


@pytest.mark.slow
def test_a_test_of_the_best_checkpoint_tests_the_average_that_was_validated(data: Synthetic, tmp_path: Path) -> None:
    model = model_for("swishnet", data, recipe=Recipe(learning_rate=1e-2, ema_decay=0.5))
    runner = trainer(tmp_path, max_epochs=3)
    runner.fit(model, data)
    (found,) = runner.validate(model, data, ckpt_path="best", verbose=False)
    assert found["val_loss"] == pytest.approx(model.curves["val_loss"][_best(model)], rel=1e-5)
    loaded = SwishNet.load_from_checkpoint(runner.checkpoint_callback.best_model_path)  # type: ignore[union-attr]
    runner.test(model, data, ckpt_path="best", verbose=False)
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in loaded.state_dict().items())


def _best(model: AudioModel) -> int:
    score, loss = model.curves["val_accuracy"], model.curves["val_loss"]
    return max(range(len(score)), key=lambda epoch: (score[epoch], -loss[epoch]))


@pytest.mark.slow
def test_a_training_goes_on_from_a_checkpoint(data: Synthetic, tmp_path: Path) -> None:
    recipe = Recipe(learning_rate=1e-2, ema_decay=0.5, schedule="constant")
    last = ModelCheckpoint(tmp_path, "last-{epoch}", save_top_k=-1)
    model = model_for("fc", data, recipe=recipe)
    trainer(tmp_path, max_epochs=2, callbacks=[last]).fit(model, data)
    continued = model_for("fc", data, recipe=recipe)
    runner = trainer(tmp_path, max_epochs=2, callbacks=[last])
    runner.fit(continued, data, ckpt_path=str(tmp_path / "last-epoch=0.ckpt"))
    assert runner.current_epoch == 2
    assert len(continued.curves["val_loss"]) == 1


@pytest.mark.slow
def test_what_is_logged(data: Synthetic, tmp_path: Path) -> None:
    model = model_for("swishnet", data)
    runner = trainer(tmp_path, logger=CSVLogger(tmp_path), max_epochs=2, log_every_n_steps=1)
    runner.fit(model, data)
    runner.test(model, data, verbose=False)
    table = (Path(runner.log_dir) / "metrics.csv").read_text()  # type: ignore[arg-type]
    names = set(table.splitlines()[0].split(","))
    assert names >= {
        "train_loss", "train_loss_step", "learning_rate", "gradient_norm", "clips_per_second", "val_loss",
        "val_accuracy", "val_score", "test_loss", "test_accuracy", "test_macro_f1", "test_mAP",
    }  # fmt: skip
    assert (Path(runner.log_dir) / "hparams.yaml").read_text().strip()  # type: ignore[arg-type]


@pytest.mark.slow
def test_multi_label_data(tmp_path: Path) -> None:
    data = SyntheticTags(clips_per_class=10, clip_seconds=0.5)
    model = model_for("swishnet", data)
    runner = trainer(tmp_path)
    runner.fit(model, data)
    (scores,) = runner.test(model, data, verbose=False)
    assert {"test_mAP", "test_mAUC"} <= set(scores)
    predicted = torch.cat(runner.predict(model, data.test_dataloader()))  # type: ignore[arg-type]
    assert not torch.allclose(predicted.sum(1), torch.ones(len(predicted)))


@pytest.mark.slow
def test_a_recipes_augmentation_distillation_and_freezing_work_without_the_harness(
    data: Synthetic, tmp_path: Path
) -> None:
    teacher = model_for("fc", data)
    recipe = Recipe(
        mixup=0.3, time_masks=1, speed=0.1, gain_db=6.0, between_class=True, teacher_weight=0.5, frozen=("block1",),
        patience=1,
    )  # fmt: skip
    model = model_for("swishnet", data, recipe=recipe)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.distil(teacher)
    trainer(tmp_path, max_epochs=2).fit(model, data)
    after = model.state_dict()
    assert not any(name.startswith("_teacher") for name in after)
    assert all(torch.equal(after[n], before[n]) for n in after if n.startswith("block1."))
    assert any(not torch.equal(after[n], before[n]) for n in after)


def test_a_schedule_without_an_end_is_an_error_that_says_so(data: Synthetic, tmp_path: Path) -> None:
    runner, model = trainer(tmp_path, max_epochs=-1), model_for("fc", data)
    with pytest.raises(TrainingError, match="max_epochs"):
        runner.fit(model, data)


def test_a_checkpoint_never_leads_to_an_import(data: Synthetic, tmp_path: Path) -> None:
    runner = trainer(tmp_path)
    runner.fit(model_for("fc", data), data)
    path = runner.checkpoint_callback.best_model_path  # type: ignore[union-attr]
    content = torch.load(path, weights_only=True)
    content["hyper_parameters"]["frontend"]["class"] = "antigravity:Frontend"
    torch.save(content, tmp_path / "other.ckpt")
    with pytest.raises(ModelError, match="import its module before"):
        FC.load_from_checkpoint(tmp_path / "other.ckpt")
    loaded = FC.load_from_checkpoint(tmp_path / "other.ckpt", frontend=model_for("fc", data).frontend)
    assert loaded.labels == data.classes


@pytest.mark.slow
def test_a_checkpoint_names_no_class_to_import_and_runs_no_code(
    data: Synthetic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = trainer(tmp_path)
    runner.fit(model_for("fc", data), data)
    path = runner.checkpoint_callback.best_model_path  # type: ignore[union-attr]
    (tmp_path / "from_a_checkpoint.py").write_text("raise SystemExit(17)\n")
    monkeypatch.syspath_prepend(tmp_path)
    content = torch.load(path, weights_only=True)
    content["hyper_parameters"] |= {
        "_instantiator": "lightning.pytorch.cli.instantiate_module", "_class_path": "from_a_checkpoint.Net",
    }  # fmt: skip
    torch.save(content, tmp_path / "named.ckpt")
    assert FC.load_from_checkpoint(tmp_path / "named.ckpt").labels == data.classes  # these two names are not used
    assert "from_a_checkpoint" not in sys.modules

    class Code:
        def __reduce__(self) -> Any:
            return print, ("code",)

    torch.save(content | {"more": Code()}, tmp_path / "code.ckpt")
    with pytest.raises(pickle.UnpicklingError, match="Weights only load failed"):
        FC.load_from_checkpoint(tmp_path / "code.ckpt")


def test_a_test_that_was_broken_off_leaves_nothing_to_the_next(data: Synthetic, tmp_path: Path) -> None:
    class Broken(Callback):
        def on_test_batch_end(self, *arguments: Any) -> None:
            raise RuntimeError("broken off")

    model = model_for("fc", data)
    (whole,) = trainer(tmp_path).test(model, data, verbose=False)
    with pytest.raises(RuntimeError, match="broken off"):
        trainer(tmp_path, callbacks=[Broken()]).test(model, data, verbose=False)
    (again,) = trainer(tmp_path).test(model, data, verbose=False)
    assert again == whole


@pytest.mark.slow
def test_each_of_several_loaders_is_scored(data: Synthetic, tmp_path: Path) -> None:
    model = model_for("fc", data)
    loaders = [data.val_dataloader(), data.test_dataloader()]
    runner = trainer(tmp_path)
    runner.fit(model, data.train_dataloader(), loaders)
    assert {"val_score", "val_score/dataloader_idx_1"} <= set(runner.callback_metrics)
    assert len(model.curves["val_loss"]) == 1
    alone = [trainer(tmp_path).test(model, one, verbose=False)[0] for one in loaders]
    trainer(tmp_path).test(model, loaders, verbose=False)
    runner = trainer(tmp_path)
    runner.test(model, loaders, verbose=False)
    found = {name: value.item() for name, value in runner.callback_metrics.items()}
    assert found == pytest.approx(alone[0] | {f"{name}/dataloader_idx_1": value for name, value in alone[1].items()})
    parts: Any = runner.predict(model, loaders)
    assert [sum(map(len, part)) for part in parts] == [len(data.splits.val), len(data.splits.test)]


def test_a_second_fit_may_train_what_the_first_has_frozen(data: Synthetic, tmp_path: Path) -> None:
    model = model_for("swishnet", data, recipe=Recipe(frozen=("block1",)))
    trainer(tmp_path, limit_train_batches=1).fit(model, data)
    before = {name: value.clone() for name, value in model.named_parameters()}
    model.recipe = Recipe()
    trainer(tmp_path, limit_train_batches=1).fit(model, data)
    same = {name for name, value in model.named_parameters() if torch.equal(value, before[name])}
    assert not any(name.startswith("block1.") for name in same)


def test_a_trainers_early_stopping_stays_beside_the_recipes_patience(data: Synthetic, tmp_path: Path) -> None:
    runner = trainer(tmp_path, limit_train_batches=1, callbacks=[EarlyStopping("val_loss")])
    runner.fit(model_for("fc", data, recipe=Recipe(patience=3)), data)
    stops = [one.monitor for one in runner.callbacks if isinstance(one, EarlyStopping)]  # type: ignore[attr-defined]
    assert sorted(stops) == ["val_loss", "val_score"]


def test_two_averages_of_the_weights_are_an_error(data: Synthetic, tmp_path: Path) -> None:
    runner = trainer(tmp_path, callbacks=[EMAWeightAveraging(decay=0.9)])
    with pytest.raises(TrainingError, match="both average the weights"):
        runner.fit(model_for("fc", data, recipe=Recipe(ema_decay=0.9)), data)


@pytest.mark.slow
@pytest.mark.parametrize("schedule", ["one-cycle", "cosine"])
def test_a_schedule_of_another_length_is_not_continued(data: Synthetic, schedule: Any, tmp_path: Path) -> None:
    recipe = Recipe(schedule=schedule)
    trainer(tmp_path).fit(model_for("fc", data, recipe=recipe), data)
    with pytest.raises(TrainingError, match=f"{schedule!r} of the checkpoint is over 4 steps, and this training has 8"):
        trainer(tmp_path, max_epochs=2).fit(
            model_for("fc", data, recipe=recipe), data, ckpt_path=tmp_path / "best.ckpt"
        )


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
def test_lightnings_tuner_finds_a_learning_rate(data: Synthetic, tmp_path: Path) -> None:
    model = model_for("fc", data)
    runner = trainer(tmp_path, max_epochs=30)
    found: Any = Tuner(runner).lr_find(model, data, num_training=50)
    assert model.recipe.learning_rate == found.suggestion() != Recipe().learning_rate


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
def test_a_compiled_model_is_trained(data: Synthetic, tmp_path: Path) -> None:
    model = model_for("fc", data)
    compiled: Any = torch.compile(model, backend="eager")
    trainer(tmp_path, limit_train_batches=1).fit(compiled, data)
    assert len(model.curves["val_loss"]) == 1


class Pooling(Enum):
    MEAN = "mean"
    MAXIMUM = "maximum"


class OfArguments(FC):
    """A model with arguments of several kinds, which calls Lightning's `save_hyperparameters` itself."""

    def __init__(
        self,
        frontend: Any,
        features: int,
        frames: int,
        classes: int,
        widths: tuple[int, ...] = (1, 2),
        pooling: Pooling = Pooling.MEAN,
        head: nn.Module | None = None,
    ) -> None:
        super().__init__(frontend, features, frames, classes)
        self.save_hyperparameters()
        self.widths = (features, *widths)
        self.shape = widths + (features,)  # noqa: RUF005 - a list cannot do this
        self.pooling = pooling
        self.head = head


def saved(model: AudioModel, data: Synthetic, folder: Path) -> Path:
    runner = trainer(folder, limit_train_batches=1, limit_val_batches=1)
    runner.fit(model, data)
    return Path(runner.checkpoint_callback.best_model_path)  # type: ignore[union-attr]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*Attribute 'frontend' is an instance of `nn.Module`")
def test_a_subclasss_arguments_are_in_the_checkpoint_as_they_were(data: Synthetic, tmp_path: Path) -> None:
    model = OfArguments.for_data(data, widths=(3,))
    loaded = OfArguments.load_from_checkpoint(saved(model, data, tmp_path), weights_only=True)
    assert loaded.widths == model.widths
    assert all(torch.equal(value, loaded.state_dict()[name]) for name, value in model.state_dict().items())


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*is an instance of `nn.Module`")
@pytest.mark.parametrize(("name", "value"), [("pooling", Pooling.MAXIMUM), ("head", nn.Linear(2, 2))])
def test_an_argument_that_a_checkpoint_cannot_hold_is_asked_for(
    name: str, value: Any, data: Synthetic, tmp_path: Path
) -> None:
    path = saved(OfArguments.for_data(data, **{name: value}), data, tmp_path)
    with pytest.raises(ModelError, match=rf"the argument '{name}'.*load_from_checkpoint\(path, {name}=\.\.\.\)"):
        OfArguments.load_from_checkpoint(path)
    loaded = OfArguments.load_from_checkpoint(path, **{name: value})
    assert getattr(loaded, name) is value


@pytest.mark.slow
def test_a_model_that_was_trained_with_augmentation_can_be_pickled(data: Synthetic, tmp_path: Path) -> None:
    model = model_for("fc", data, recipe=Recipe(speed=0.1, noise_snr_db=(5.0, 10.0)))
    trainer(tmp_path, limit_train_batches=1).fit(model, data)
    again = pickle.loads(pickle.dumps(model))
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in model.state_dict().items())
