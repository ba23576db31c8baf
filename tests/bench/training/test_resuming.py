"""Trainings that are interrupted go on after their last saved epoch, and end as if nothing had happened."""

import os
import random
import signal
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from fakes import audioset as fake
from torch import Tensor, nn

from bench import catalog
from bench.evaluation import pulse
from bench.records import Recipe, Run
from bench.training import build, fit, stopping
from bench.training.checkpoints import BEFORE, NEWEST, Checkpoints
from bench.training.fit import Trained
from datamodules.audioset import AudioSet
from datamodules.base import AudioDataModule
from datamodules.synthetic import Synthetic
from models.base import AudioModel
from models.foreign import ForeignModel

IDENTITY = {"the recipe": "1"}
QUICK: dict[str, Any] = {"epochs": 5, "batch_size": 8, "learning_rate": 1e-2}


class Killed(BaseException):
    """Ends a training where a signal would."""


class Own(pl.LightningModule):
    """A step, a momentum and a schedule by epochs of its own, and chance in every step."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(40, 10)

    def forward(self, waveform: Tensor) -> Tensor:
        logits: Tensor = self.head(waveform[:, :1600].unflatten(1, (40, -1)).square().mean(2))
        return logits

    def training_step(self, batch: Any, index: int) -> Tensor:
        return nn.functional.cross_entropy(self(batch[0] + 0.1 * torch.randn_like(batch[0])), batch[1])

    def configure_optimizers(self) -> Any:
        optimiser = torch.optim.SGD(self.parameters(), lr=0.5, momentum=0.5)
        return {"optimizer": optimiser, "lr_scheduler": torch.optim.lr_scheduler.StepLR(optimiser, 2, 0.5)}


class Counting(Own):
    """Each loss is divided by the number of steps so far."""

    def steps(self) -> Tensor:
        """Count one more."""
        raise NotImplementedError

    def training_step(self, batch: Any, index: int) -> Tensor:
        return super().training_step(batch, index) / (1 + 0.1 * self.steps())


class OfBuffer(Counting):
    """Counts in a buffer."""

    persistent = True

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("count", torch.zeros(()), persistent=self.persistent)

    def steps(self) -> Tensor:
        self.count += 1
        return self.count


class OfLostBuffer(OfBuffer):
    """Its state dict does not have the count."""

    persistent = False

    def on_train_start(self) -> None:
        self.count.zero_()  # as it was before the first step of a whole training


class OfLateBuffer(Counting):
    """Creates the buffer of its state dict in its first step."""

    persistent = True

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("count", None, persistent=self.persistent)

    def steps(self) -> Tensor:
        self.count = torch.ones(()) if self.count is None else self.count + 1
        return self.count


class OfLostLateBuffer(OfLateBuffer):
    """Its state dict does not have the count."""

    persistent = False


class OfAttribute(Counting):
    """Counts in an attribute, which Lightning's hooks save."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def steps(self) -> Tensor:
        self.count += 1
        return torch.tensor(self.count)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["count"] = self.count

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.count = checkpoint["count"]


class Extra(nn.Module):
    """Gives the state dict a plain value."""

    count = 0

    def get_extra_state(self) -> dict[str, int]:
        return {"count": self.count}

    def set_extra_state(self, state: dict[str, int]) -> None:
        self.count = state["count"]


class OfExtraState(Counting):
    """Counts in a module with torch's hooks."""

    def __init__(self) -> None:
        super().__init__()
        self.extra = Extra()

    def steps(self) -> Tensor:
        self.extra.count += 1
        return torch.tensor(self.extra.count)


class OfGenerators(Counting):
    """Draws from generators of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.own = torch.Generator().manual_seed(1)
        self.others = [np.random.default_rng(2), random.Random(3)]

    def on_fit_start(self) -> None:
        self.own.manual_seed(1)

    def steps(self) -> Tensor:
        numpys, pythons = self.others
        return torch.rand((), generator=self.own) + float(numpys.random()) + pythons.random()


class OfLateGenerator(Counting):
    """Creates its generator in its first step."""

    own: torch.Generator | None = None

    def steps(self) -> Tensor:
        self.own = self.own or torch.Generator().manual_seed(1)
        return torch.rand((), generator=self.own)


Made = tuple[AudioModel, AudioDataModule]


def of_synthetic(model: str, frontend: str | None = None, loaders: int = 0, **recipe: Any) -> Callable[[Path], Made]:
    def make(folder: Path) -> Made:
        run = Run(model=model, frontend=frontend, dataset="synthetic", recipe=Recipe(**QUICK | recipe))
        data = Synthetic(clips_per_class=10, clip_seconds=0.5, batch_size=8)
        data.workers = loaders
        data.setup()
        return with_recipe(build.model(run, data), run.recipe), data

    return make


def of_shards(folder: Path) -> Made:
    run = Run(model="fc", frontend="logmel-1s", dataset="audioset", recipe=Recipe(**QUICK, time_shift=0.5))
    data = AudioSet(folder / "audioset", seed=run.seed, batch_size=8, sample_rate=16_000, clip_seconds=1.0)
    data.setup()
    return with_recipe(build.model(run, data), run.recipe), data


def of_module(kind: Callable[[], nn.Module], epochs: int = 5) -> Callable[[Path], Made]:
    def make(folder: Path) -> Made:
        data = Synthetic(clips_per_class=10, clip_seconds=0.5, batch_size=16)
        data.setup()
        return ForeignModel.around(kind(), data, recipe=Recipe(epochs=epochs)), data

    return make


def with_recipe(model: AudioModel, recipe: Recipe) -> AudioModel:
    model.recipe = recipe
    return model


CASES: dict[str, Callable[[Path], Made]] = {
    "averaged and augmented": of_synthetic(
        "cnn", epochs=4, ema_decay=0.9, mixup=0.3, speed=0.1, noise_snr_db=(5.0, 20.0)
    ),
    "liquid": of_synthetic("ltc", epochs=3),
    "stops early, drawn by rarity": of_synthetic(
        "lstm-skip", "logmel-1s", balanced=True, patience=1, schedule="cosine", epochs=9
    ),
    "half precision, restarts": of_synthetic("fc", "logmel-1s", precision="bf16-mixed", schedule="sgdr"),
    "a stream from shards": of_shards,
    "own steps": of_module(Own),
}


class Training:
    """A training that a test interrupts.

    Attributes:
        notes: lines for the user.
        reports: epochs and scores of the last attempt.
    """

    def __init__(self, folder: Path, make: Callable[[Path], Made], seconds: float = 0.0, identity: Any = None) -> None:
        self.folder = folder
        self.make = make
        self.seconds = seconds
        self.identity = identity or IDENTITY
        self.notes: list[str] = []
        self.reports: list[tuple[int, float]] = []

    @property
    def checkpoints(self) -> Checkpoints:
        return Checkpoints(self.folder / "checkpoints", lambda: self.identity, self.seconds)

    def go(self, at: int | None = None, how: Callable[[], None] | None = None) -> tuple[Trained, dict[str, Tensor]]:
        """Train; in epoch `at`, counted from 0, something happens as soon as the one before is reported."""
        pl.seed_everything(0, workers=True, verbose=False)
        model, data = self.make(self.folder)
        self.reports.clear()

        def report(done: int, epochs: int, score: float | None, values: Mapping[str, float]) -> None:
            if score is not None:
                self.reports.append((done, score))
                if done == at and how is not None:
                    how()

        run = self.folder / "run"
        run.mkdir(exist_ok=True)
        found = fit.train(
            model, data, model.recipe, run, "cpu", report, None, Path(), self.checkpoints, self.notes.append
        )
        return found, {name: value.clone() for name, value in model.state_dict().items() if isinstance(value, Tensor)}


def kill() -> None:
    raise Killed


def same(one: tuple[Trained, dict[str, Tensor]], other: tuple[Trained, dict[str, Tensor]]) -> bool:
    return (one[0].curves, one[0].best_epoch) == (other[0].curves, other[0].best_epoch) and all(
        torch.equal(value, other[1][name]) for name, value in one[1].items()
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_a_training_that_was_killed_twice_ends_bit_for_bit_as_one_that_was_not(name: str, tmp_path: Path) -> None:
    fake.write(tmp_path / "audioset", shards=3)
    whole = Training(tmp_path, CASES[name], seconds=1e9)
    reference = whole.go()
    expected = list(whole.reports)
    assert not (tmp_path / "checkpoints").exists()
    training = Training(tmp_path, CASES[name])
    for epoch in (2, 3) if len(expected) > 3 else (2,):
        with pytest.raises(Killed):
            training.go(at=epoch, how=kill)
    found = training.go()
    assert same(found, reference)
    assert training.reports == expected  # loggers of a resumed run get all epochs
    assert found[0].resumed == (2 if len(expected) > 3 else 1)
    assert found[0].seconds_before > 0
    assert reference[0].resumed == 0


@pytest.mark.process
@pytest.mark.slow
def test_processes_that_read_ahead_change_no_bit_of_it(tmp_path: Path) -> None:
    make = of_synthetic("cnn", loaders=2, epochs=3, waveform_shift=0.5)
    reference = Training(tmp_path, make, seconds=1e9).go()
    training = Training(tmp_path, make)
    with pytest.raises(Killed):
        training.go(at=2, how=kill)
    assert same(training.go(), reference)


SMALL: dict[str, dict[str, Any]] = {"gmm": {"components": 8}, "rann": {"t_c": 1, "t_m": 1, "width": 1}}
"""Arguments of models that are quicker so."""

LARGE = frozenset({
    "cnn10", "cnn14", "resnet22", "resnet38", "resnet54", "mobilenet-v1", "mobilenet-v2", "wavegram-cnn",
    "wavegram-logmel-cnn",
})  # fmt: skip
"""Models that take long, and have no steps of their own: cnn6 stands for them."""


@pytest.mark.parametrize("name", sorted(LARGE))
def test_a_large_model_trains_by_the_steps_of_all(name: str) -> None:
    """So that what was shown of others holds for it."""
    kinds = catalog.load(catalog.MODELS[name].target).__mro__
    own = {hook for kind in kinds[: kinds.index(AudioModel)] for hook in vars(kind)}
    assert not {hook for hook in own & set(dir(pl.LightningModule)) if hook.startswith(("on_", "configure_"))}
    assert "training_step" not in own


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in catalog.MODELS if name not in LARGE])
def test_every_model_ends_bit_for_bit_as_one_that_was_not_interrupted(name: str, tmp_path: Path) -> None:
    """Nothing that a model keeps from one epoch to the next is outside its checkpoint."""

    def make(folder: Path) -> Made:
        recipe = Recipe(epochs=2, batch_size=4, learning_rate=1e-3)
        run = Run(model=name, arguments=SMALL.get(name, {}), frontend=None, dataset="synthetic", recipe=recipe)
        data = Synthetic(clips_per_class=10, clip_seconds=0.5, batch_size=4)
        data.setup()
        model = with_recipe(build.model(run, data), recipe)
        train, val = data.splits.train.select([0, 20, 40, 50]), data.splits.val.select([0, 10])
        data.splits = replace(data.splits, train=train, val=val)
        return model, data

    reference = Training(tmp_path, make, seconds=1e9).go()
    training = Training(tmp_path, make)
    with pytest.raises(Killed):
        training.go(at=2, how=kill)
    found = training.go()
    assert same(found, reference)
    assert found[0].resumed == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind", [OfBuffer, OfLostBuffer, OfLateBuffer, OfLostLateBuffer, OfAttribute, OfExtraState, OfGenerators]
)
def test_a_module_keeps_its_own_state_over_an_interruption(kind: type[Counting], tmp_path: Path) -> None:
    reference = Training(tmp_path, of_module(kind, 3), seconds=1e9).go()
    training = Training(tmp_path, of_module(kind, 3))
    with pytest.raises(Killed):
        training.go(at=3, how=kill)
    found = training.go()
    assert same(found, reference)
    assert training.notes == ["goes on after epoch 2, the last one that was saved"]


class Moody(nn.Module):
    """Creates a buffer in one step, or drops it, and then answers wrongly, so that the best epoch is one before.

    Args:
        at: the step.
        persistent: whether the state dict has the buffer.
        comes: whether it is created or dropped.
    """

    def __init__(self, at: int, persistent: bool, comes: bool) -> None:
        super().__init__()
        self.at, self.comes = at, comes
        self.net, self.classifier = nn.Linear(64, 16), nn.Linear(16, 10)
        self.register_buffer("mean", None if comes else torch.zeros(1), persistent=persistent)
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))

    def forward(self, waveform: Tensor) -> Tensor:
        if self.training:
            self.steps += 1
            if self.steps == self.at:
                self.mean = torch.ones(1) if self.comes else None
        logits: Tensor = self.classifier(self.net(waveform[:, :64]).tanh())
        return logits if (self.mean is None) == self.comes else -logits


@pytest.mark.slow
@pytest.mark.parametrize("comes", [True, False])
@pytest.mark.parametrize("persistent", [True, False])
@pytest.mark.parametrize("ema_decay", [None, 0.5])
def test_buffers_may_come_and_go_in_training(
    ema_decay: float | None, persistent: bool, comes: bool, tmp_path: Path
) -> None:
    def make(folder: Path) -> Made:
        data = Synthetic(clips_per_class=10, clip_seconds=0.5, batch_size=16)
        data.setup()
        steps = -(-len(data.splits.train) // 16)
        recipe = Recipe(epochs=4, batch_size=16, learning_rate=1e-2, ema_decay=ema_decay)
        return ForeignModel.around(Moody(2 * steps + 1, persistent, comes), data, recipe=recipe), data

    reference = Training(tmp_path, make, seconds=1e9).go()
    for epoch in (2, 4):
        training = Training(tmp_path, make)
        with pytest.raises(Killed):
            training.go(at=epoch, how=kill)
        assert same(training.go(), reference)


@pytest.mark.slow
def test_a_generator_that_comes_too_late_for_its_state_is_named(tmp_path: Path) -> None:
    training = Training(tmp_path, of_module(OfLateGenerator, 3))
    with pytest.raises(Killed):
        training.go(at=3, how=kill)
    training.go()
    assert training.notes[1:] == [
        "OfLateGenerator has no 'own' before its first step, which was saved: this training may end otherwise than one "
        "that was not interrupted; create such attributes in __init__"
    ]


FC = of_synthetic("fc", "logmel-1s", epochs=4, mixup=0.3)


@pytest.mark.slow
def test_of_a_damaged_checkpoint_the_one_before_takes_the_place(tmp_path: Path) -> None:
    reference = Training(tmp_path, FC, seconds=1e9).go()
    training = Training(tmp_path, FC)
    with pytest.raises(Killed):
        training.go(at=4, how=kill)
    newest = training.checkpoints.folder / NEWEST
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1
    newest.write_bytes(content)
    found = training.go()
    assert same(found, reference)
    assert f"the checkpoint {newest} is not used: it is damaged" in training.notes
    assert "goes on after epoch 2, the last one that was saved" in training.notes


def test_a_damaged_checkpoint_does_not_replace_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def checkpoints() -> Checkpoints:
        return Checkpoints(tmp_path, lambda: IDENTITY, 0)

    for epoch in (1, 2):
        checkpoints().save({"epochs": epoch})
    (tmp_path / NEWEST).write_bytes((tmp_path / NEWEST).read_bytes()[:-1])
    going_on = checkpoints()
    assert (going_on.load() or {})["epochs"] == 1
    with monkeypatch.context() as patch:
        patch.setattr("bench.training.checkpoints.write_whole", mock.Mock(side_effect=OSError("no space")))
        assert not going_on.save({"epochs": 2})
    assert (checkpoints().load() or {})["epochs"] == 1


def test_a_checkpoint_that_cannot_be_read_for_the_moment_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def checkpoints() -> Checkpoints:
        return Checkpoints(tmp_path, lambda: IDENTITY, 0)

    checkpoints().save({"epochs": 1})
    with monkeypatch.context() as patch:
        patch.setattr(torch, "load", mock.Mock(side_effect=MemoryError))
        without = checkpoints()
        assert without.load() is None
    assert without.notes == [f"the checkpoint {tmp_path / NEWEST} is not used: MemoryError"]
    assert (checkpoints().load() or {})["epochs"] == 1


@pytest.mark.slow
def test_without_any_whole_checkpoint_the_training_starts_again(tmp_path: Path) -> None:
    reference = Training(tmp_path, FC, seconds=1e9).go()
    training = Training(tmp_path, FC)
    with pytest.raises(Killed):
        training.go(at=4, how=kill)
    for name in (NEWEST, BEFORE):
        path = training.checkpoints.folder / name
        path.write_bytes(path.read_bytes()[:-1])
    found = training.go()
    assert same(found, reference)
    assert found[0].resumed == 0
    assert len(training.notes) == 2


@pytest.mark.slow
def test_a_checkpoint_of_other_data_or_source_is_not_used(tmp_path: Path) -> None:
    training = Training(tmp_path, FC)
    with pytest.raises(Killed):
        training.go(at=3, how=kill)
    changed = Training(tmp_path, FC, identity={"the recipe": "2"})
    assert changed.go()[0].resumed == 0
    assert changed.notes == ["the training starts from the beginning: the recipe changed"]


@pytest.mark.slow
def test_a_short_training_writes_nothing(tmp_path: Path) -> None:
    training = Training(tmp_path, FC, seconds=1000.0)
    assert training.go()[0].resumed == 0
    assert not training.checkpoints.folder.exists()


@pytest.mark.slow
def test_a_folder_that_cannot_be_written_costs_a_line_and_no_training(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").write_text("in the way")
    training = Training(tmp_path, FC)
    assert training.go()[0].resumed == 0
    (note,) = training.notes
    assert note.startswith("no checkpoint can be written (")


@pytest.mark.slow
@pytest.mark.parametrize("how", [lambda: os.kill(os.getpid(), signal.SIGTERM), stopping.ask])
def test_a_training_that_is_asked_to_stop_saves_first(
    how: Callable[[], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As SLURM's warning, and as the executor that works in a thread of the driver."""
    monkeypatch.setattr(stopping, "SOON_SECONDS", 1e9)  # an epoch on a busy machine takes long
    reference = Training(tmp_path, FC, seconds=1e9).go()
    before = signal.getsignal(signal.SIGTERM)
    training = Training(tmp_path, FC, seconds=1e9)  # so long that no epoch would be saved otherwise
    with pytest.raises(stopping.Stopped):
        training.go(at=3, how=how)
    assert signal.getsignal(signal.SIGTERM) is before
    assert not stopping.training()
    found = training.go()
    assert same(found, reference)
    assert found[0].resumed == 1
    assert "goes on after epoch 3, the last one that was saved" in training.notes


@pytest.mark.slow
def test_a_training_that_is_asked_to_stop_far_from_the_end_of_its_epoch_stops_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be killed before the end, and the epochs since its last save would be lost all the same."""
    monkeypatch.setattr(stopping, "SOON_SECONDS", -1e9)
    training = Training(tmp_path, FC, seconds=1e9)
    # a batch of the third epoch ends
    monkeypatch.setattr(pulse, "beat", lambda: stopping.ask() if len(training.reports) == 2 else None)
    with pytest.raises(stopping.Stopped):
        training.go()
    assert training.checkpoints.load() is None


def test_a_thread_other_than_the_main_one_leaves_signals_alone() -> None:
    before = signal.getsignal(signal.SIGTERM)
    seen = []

    def inside() -> None:
        with stopping.catching():
            seen.append((signal.getsignal(signal.SIGTERM) is before, stopping.training(), stopping.asked()))
            stopping.ask()
            seen.append((True, True, not stopping.asked()))

    thread = threading.Thread(target=inside)
    thread.start()
    thread.join()
    assert seen == [(True, True, False), (True, True, False)]
    with stopping.catching():
        assert not stopping.asked()  # an old wish is of an old training


def test_the_pulse_is_heard_within_its_block_once_a_second() -> None:
    heard: list[bool] = []
    pulse.beat()
    with pulse.calling(heard.append):
        for _ in range(1000):
            pulse.beat()
        with pulse.waiting():
            pass
    pulse.beat()
    assert heard == [False, True, False]
