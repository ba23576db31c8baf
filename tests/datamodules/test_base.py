"""Every dataset under a user's own Trainer: loaders, hooks, downloads, worker processes, copies."""

import copy
import io
import pickle
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import lightning.pytorch as pl
import pytest
import torch
from fakes import audioset as fake_audioset
from fakes import esc50 as fake_esc50
from fakes.numbered import Numbers, number, numbers
from fakes.server import Server, serving
from fakes.trees import TREES
from lightning.pytorch.tuner.tuning import Tuner
from torch import Tensor, nn

from bench import catalog
from datamodules import base
from datamodules.audioset import AudioSet
from datamodules.base import AudioDataModule, DataError, DatasetMissing
from datamodules.esc50 import ESC50
from datamodules.fetch import download as downloading
from datamodules.fetch.sources import SOURCES, RemoteFile
from datamodules.folder import Folder

QUIET: dict[str, Any] = {
    "accelerator": "cpu",
    "logger": False,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
}
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers.*"),
    pytest.mark.filterwarnings("ignore:.*GPU available but not used.*"),
    pytest.mark.filterwarnings("ignore:.*number of training batches.*logging interval.*"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning"),
]


class Linear(pl.LightningModule):
    """Notes the clips of each stage."""

    def __init__(self, batch_size: int = 4) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3)
        self.batch_size = batch_size
        self.seen: dict[str, list[list[int]]] = {}

    def step(self, stage: str, batch: tuple[Tensor, Tensor]) -> Tensor:
        x, target = batch
        self.seen.setdefault(stage, []).append(number(x))
        return nn.functional.cross_entropy(self.layer(x), target)

    def training_step(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        return self.step("train", batch)

    def validation_step(self, batch: tuple[Tensor, Tensor]) -> None:
        self.step("val", batch)

    def test_step(self, batch: tuple[Tensor, Tensor]) -> None:
        self.step("test", batch)

    def predict_step(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        x, target = batch
        assert len(x) == len(target)
        return self.layer(x)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.1)


# Every dataset


@pytest.mark.slow
@pytest.mark.parametrize("name", list(catalog.DATASETS))
def test_every_dataset_gives_its_batches(tmp_path: Path, name: str) -> None:
    entry, tree = catalog.DATASETS[name], TREES[name]
    root = None if tree.write is None else str(tmp_path / name)
    if tree.write is not None:
        tree.write(tmp_path / name)
    data: AudioDataModule = catalog.load(entry.target)(root, str(tmp_path / "cache"), batch_size=5, **tree.arguments)
    data.prepare_data()
    data.setup("fit")
    splits = data.splits
    loaders = {
        "train": (data.train_dataloader(), splits.train),
        "val": (data.val_dataloader(), splits.val),
        "test": (data.test_dataloader(), splits.test),
        "predict": (data.predict_dataloader(), splits.test),
    }
    for stage, (loader, clips) in loaders.items():
        batches = list(loader)
        x, target = batches[0]
        size = min(5, len(clips))
        assert x.shape == (size, *tree.shape) == (size, *data.clip_shape)
        assert (x.dtype, target.dtype) == (torch.float32, torch.int64 if data.task == "single" else torch.float32)
        assert target.shape == ((size,) if data.task == "single" else (size, len(data.classes)))
        if stage != "train":
            assert torch.equal(torch.cat([target for _, target in batches]), clips.targets)
    data.teardown("fit")
    for stage in ("validate", "test", "predict"):
        data.setup(stage)
        data.teardown(stage)
    assert data.splits is splits  # nothing is read again


def test_home_is_understood(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    data = ESC50("~/data/esc50", "~/cache")
    assert (data.root, data.cache) == (tmp_path / "data" / "esc50", tmp_path / "cache")


@pytest.mark.parametrize("ready", [False, True])
def test_copies_are_whole(tmp_path: Path, ready: bool) -> None:
    data = ESC50(fake_esc50.write(tmp_path / "esc50"), tmp_path / "cache", **TREES["esc50"].arguments)
    if ready:
        data.setup()
    for same in (copy.deepcopy(data), pickle.loads(pickle.dumps(data))):
        same.setup()
        data.setup()
        assert same.manifest() == data.manifest()
        assert torch.equal(same.splits.val.load([1]), data.splits.val.load([1]))


# Under a Trainer


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=[pytest.mark.process, pytest.mark.slow])])
def test_a_trainer_sees_the_same_clips_with_any_number_of_workers(workers: int) -> None:
    data, model = Numbers(10), Linear()
    data.workers = workers
    trainer = pl.Trainer(max_epochs=2, num_sanity_val_steps=0, **QUIET)
    trainer.fit(model, datamodule=data)
    trainer.test(model, datamodule=data, verbose=False)
    predicted = trainer.predict(model, datamodule=data)
    wanted = [[3, 7, 5, 2], [0, 8, 1, 6], [9, 4], [1, 3, 2, 7], [5, 9, 0, 6], [4, 8]]
    in_order = [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert model.seen == {"train": wanted, "val": 2 * in_order, "test": in_order}
    assert predicted is not None
    torch.testing.assert_close(torch.cat(predicted), model.layer(data.splits.test.load(range(10))))


def test_the_batch_size_is_read_when_a_loader_is_made(tmp_path: Path) -> None:
    data = Numbers(16)
    trainer = pl.Trainer(default_root_dir=tmp_path, max_epochs=1, **QUIET)
    found = Tuner(trainer).scale_batch_size(Linear(), datamodule=data, init_val=2, max_trials=2, steps_per_trial=1)
    assert data.batch_size == found == 4
    assert [len(batch) for batch in numbers(data.train_dataloader())] == [4, 4, 4, 4]


def test_memory_is_pinned_for_cuda_alone() -> None:
    data = Numbers(4)
    data.setup()
    assert not data.val_dataloader().pin_memory
    for device, pinned in (("cuda", True), ("cpu", False), ("mps", False)):
        data.trainer = mock.Mock()
        data.trainer.strategy.root_device = torch.device(device)
        loaders = (data.train_dataloader(), data.val_dataloader(), data.predict_dataloader())
        assert [loader.pin_memory for loader in loaders] == [pinned] * 3


# Downloads


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Server]:
    """Has ESC-50, fake but in its real archive's layout."""
    made = fake_esc50.write(tmp_path / "made")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for path in (path for path in made.rglob("*") if path.is_file()):
            archive.write(path, Path("ESC-50-x") / path.relative_to(made))
    monkeypatch.setattr(downloading, "BACKOFF", 0.0)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving() as state:
        state.files["set.zip"] = packed.getvalue()
        file = RemoteFile(url=state.url("set.zip"), name="set.zip", size=len(packed.getvalue()), inner="ESC-50-x")
        offered = replace(SOURCES["esc50"], files=(file,), contents={"meta/esc50.csv": 1, "audio/*.wav": 50})
        monkeypatch.setattr(base, "SOURCES", {**SOURCES, "esc50": offered})
        yield state


def test_a_dataset_is_downloaded_once(server: Server, tmp_path: Path) -> None:
    data = ESC50(str(tmp_path / "data" / "esc50"), download=True, **TREES["esc50"].arguments)
    data.prepare_data()
    assert not hasattr(data, "splits")
    data.prepare_data()
    data.setup("fit")
    assert len(data.splits.test) == 10
    assert len(server.requests) == 1


def test_nothing_is_downloaded_unasked(server: Server, tmp_path: Path) -> None:
    with pytest.raises(
        DatasetMissing, match=r"missing .*esc50\.csv.*ESC50\(\.\.\., download=True\) fetches its [0-9,]+ MB .*CC BY-NC"
    ):
        ESC50(tmp_path / "esc50").prepare_data()
    ESC50(tmp_path / "made", download=True).prepare_data()
    assert server.requests == []


def test_a_folder_of_other_things_is_left_alone(server: Server, tmp_path: Path) -> None:
    (tmp_path / "esc50").mkdir()
    (tmp_path / "esc50" / "mine.txt").write_text("mine")
    with pytest.raises(DataError, match="neither used nor overwritten"):
        ESC50(tmp_path / "esc50", download=True).prepare_data()
    assert [path.name for path in (tmp_path / "esc50").iterdir()] == ["mine.txt"]


def test_what_has_no_direct_source_says_how_to_get_it(tmp_path: Path) -> None:
    for download in (False, True):
        with pytest.raises(DatasetMissing, match=r"missing (?s:.*) its audio has no direct source\.\n1\. Fetch"):
            AudioSet(tmp_path / "audioset", download=download).prepare_data()


def test_own_clips_are_asked_for(tmp_path: Path) -> None:
    with pytest.raises(DatasetMissing, match="put your clips in one folder per class"):
        Folder(str(tmp_path / "absent"))


@pytest.mark.parametrize("source", list(SOURCES))
def test_every_source_has_its_dataset(source: str) -> None:
    assert catalog.load(catalog.DATASETS[source].target).source == source


@pytest.mark.parametrize(("ranks", "filled"), [(1, False), (2, True)])
def test_the_cache_is_filled_once_for_all_ranks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ranks: int, filled: bool
) -> None:
    monkeypatch.setattr(base, "place_among_ranks", lambda: (0, ranks))
    root = fake_audioset.write(tmp_path / "audioset")
    AudioSet(root, tmp_path / "cache", **TREES["audioset"].arguments).prepare_data()
    assert bool(list(tmp_path.glob("cache/*.npy"))) == filled
