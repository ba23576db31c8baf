"""One run that two processes train together on the CPU."""

import copy
import json
import multiprocessing
import os
import signal
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fakes import own, ranked
from fakes import vggsound as fake_vggsound
from fakes.trees import TREES
from torch import nn

from bench.errors import RunError
from bench.records import Environment, Recipe, Record, Run, Store, artifacts, scratch
from bench.runner import ranks, worker
from bench.runner.news import EpochEnded, Noted, RunEnded
from bench.runner.settings import RunSettings
from bench.training import stopping
from models.layers.memory_format import enter, leave
from models.panns import BasicBlock, Bottleneck, ConvBlock
from models.rann import Block
from models.training import shared_dropout
from models.training.synced_norm import SyncedStatistics

SYNTHETIC = {"clips_per_class": 11, "clip_seconds": 0.5}
RUN = Run(
    model="fc", frontend="logmel-1s", dataset="synthetic", fold=0, seed=0, data=SYNTHETIC,
    recipe=Recipe(epochs=2, batch_size=8), arguments={"dropout": 0.5, "input_dropout": 0.2},
)  # fmt: skip


def settings(store: Path, **changes: Any) -> RunSettings:
    return RunSettings(store=store, data_dir=store, device="cpu", devices=2, **changes)


@pytest.mark.process
@pytest.mark.slow
@pytest.mark.parametrize(
    "run",
    [
        RUN,
        replace(RUN, data=SYNTHETIC | {"clip_seconds": 2.0}),  # two frames a clip
        replace(RUN, model="snn", frontend="mfcc-deltas", arguments={"dropout": 0.2}),
    ],
    ids=["fc", "fc-two-frames", "snn"],
)
def test_two_devices_give_the_result_of_one(tmp_path: Path, run: Run) -> None:
    records, logits, news = [], [], []
    for devices in (1, 2):
        place = replace(settings(tmp_path / str(devices)), devices=devices)
        assert worker.execute(run, place, force=False, report=news.append) == "done"
        store = Store(place.store)
        records.append(store.finished_record(run.key, "the run"))
        logits.append(artifacts.logits(store, records[-1])["logits"])
    one, two = records
    assert one.environment is not None
    assert two.environment is not None
    assert (one.environment.devices, two.environment.devices) == (1, 2)
    assert one.run == two.run  # the batch is the recipe's
    for name, curve in one.curves.items():
        assert two.curves[name] == pytest.approx(curve, rel=1e-4), name
    assert np.abs(logits[0] - logits[1]).max() < 1e-3
    assert one.scores["accuracy"] == two.scores["accuracy"]
    ended = [each for each in news if isinstance(each, EpochEnded)]
    assert [each.epoch for each in ended] == [1, 2, 1, 2]
    assert isinstance(news[-1], RunEnded)


@pytest.mark.process
@pytest.mark.slow
def test_two_devices_give_the_result_of_one_where_one_has_a_clip_more(tmp_path: Path) -> None:
    names = [f"{kind}/{i}.wav" for kind, count in (("cat", 18), ("cow", 17)) for i in range(count)]
    root = own.tree(tmp_path / "sounds", names, seconds=0.5)
    run = replace(
        RUN, dataset="folder", data={"root": str(root), "sample_rate": 8_000}, recipe=Recipe(epochs=3, batch_size=8)
    )
    logits = []
    for devices in (1, 2):
        place = replace(settings(tmp_path / str(devices)), devices=devices)
        assert worker.execute(run, place, force=False, report=lambda news: None) == "done"
        store = Store(place.store)
        record = store.finished_record(run.key, "the run")
        logits.append(artifacts.logits(store, record)["logits"])
    assert record.data is not None
    assert record.data.clips["train"] % 8 % 2 == 1
    assert np.abs(logits[0] - logits[1]).max() < 1e-3


class Killed(BaseException):
    """Ends the process that the others belong to."""


RESUMED = {
    "augmented": replace(
        RUN, recipe=Recipe(epochs=5, batch_size=8, ema_decay=0.9, patience=4, mixup=0.3, time_masks=1, speed=0.1)
    ),
    "shared dropout": replace(RUN, recipe=Recipe(epochs=5, batch_size=8)),
    "norms": replace(RUN, model="cnn", frontend="logmel", arguments={}, recipe=Recipe(epochs=5, batch_size=8)),
}


@pytest.mark.process
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "asked"), [("augmented", True), *((name, False) for name in RESUMED)], ids=["asked to stop", *RESUMED]
)
def test_a_training_of_two_processes_goes_on_bit_for_bit(
    name: str, asked: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RESUMED[name]
    found = []
    for folder in ("whole", "interrupted"):
        place = settings(tmp_path / folder, checkpoint_seconds=0.0)
        news: list[Any] = []

        def report(each: Any, news: list[Any] = news, stops: bool = folder == "interrupted") -> None:
            news.append(each)
            if stops and isinstance(each, EpochEnded) and each.epoch == 3:
                if asked:
                    os.kill(os.getpid(), signal.SIGTERM)
                else:
                    raise Killed

        if folder == "interrupted":
            with pytest.raises(stopping.Stopped if asked else Killed):
                worker.execute(run, place, force=False, report=report)
            assert not multiprocessing.active_children()
            news.clear()
        assert worker.execute(run, place, force=False, report=lambda each, news=news: news.append(each)) == "done"
        store = Store(place.store)
        found.append(
            (store.finished_record(run.key, "the run"), [each.line for each in news if isinstance(each, Noted)])
        )
    (whole, _), (record, notes) = found
    assert (whole.resumed, record.resumed) == (0, 1)
    assert any(line.startswith("goes on after epoch ") for line in notes), notes
    assert record.artifacts == whole.artifacts  # weights and logits
    assert record.curves == whole.curves
    assert record.scores == whole.scores
    assert not store.checkpoints(run.key).exists()


@pytest.mark.parametrize("shards", [0, 4])
@pytest.mark.process
@pytest.mark.slow
def test_the_processes_share_the_clips(tmp_path: Path, shards: int) -> None:
    fake_vggsound.write(tmp_path / "vggsound", shards=shards)
    run = replace(
        RUN, model="swishnet", frontend="logmel", dataset="vggsound", data=TREES["vggsound"].arguments, arguments={},
        recipe=Recipe(batch_size=6),
    )  # fmt: skip
    news: list[object] = []
    together = ranks.together(ranked.seen, run, settings(tmp_path), news.append, Store(tmp_path), tmp_path)  # type: ignore[arg-type]
    assert together == "done"
    assert news == ["seen"]
    parts = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2)]
    assert len(parts[0]) == len(parts[1]) > 1
    assert max(len(step) for part in parts for step in part) == run.recipe.batch_size // 2
    counted = Counter(clip for part in parts for step in part for clip in step)
    data = worker.build.dataset(run, tmp_path, tmp_path / "cache")
    data.setup()
    assert len(counted) == len(data.splits.train)
    assert counted.total() == len(counted)


@pytest.mark.parametrize(
    ("train", "message"),
    [
        (ranked.die, "process 1 of 2 ended before the training did .exit code 9."),
        (ranked.fail, "ValueError: no such clip"),
    ],
)
@pytest.mark.process
@pytest.mark.slow
def test_a_process_that_fails_ends_the_others(tmp_path: Path, train: Any, message: str) -> None:
    with pytest.raises(RunError, match=message):
        ranks.together(train, RUN, settings(tmp_path), lambda _: None, Store(tmp_path), tmp_path)


def test_the_folder_of_a_process_that_is_killed_is_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("meet", "_end_with_parent"):
        monkeypatch.setattr(ranks, name, lambda *_: None)
    monkeypatch.setattr(os, "_exit", lambda _: None)
    monkeypatch.setattr(scratch, "YOUNG_SECONDS", 0.0)
    held: list[bool] = []

    def train(run: Run, settings: RunSettings, report: object, store: Store, folder: Path) -> str:
        held.append(folder.name.startswith(scratch.PREFIX) and not scratch.abandoned(folder))
        return "done"

    here, there = multiprocessing.Pipe()
    ranks._rank(there, train, RUN, settings(tmp_path), tmp_path, tmp_path, tmp_path, 1)  # type: ignore[arg-type]
    assert here.recv() == ("record", "done")
    assert held == [True]


def test_devices_have_to_divide_the_batch(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"3 devices cannot share batches of 8 clips: set a batch_size .* such as 9"):
        ranks.check(RUN, replace(settings(tmp_path), devices=3))


def test_layers_get_their_classes_back() -> None:
    model = nn.Sequential(nn.BatchNorm1d(3), nn.Sequential(nn.BatchNorm2d(3)), nn.Linear(3, 3))
    kinds = [type(module) for module in model.modules()]
    plugin = SyncedStatistics()
    plugin.apply(plugin.apply(model))
    assert [type(module).__name__ for module in model.modules()][1] == "SyncedBatchNorm1d"
    x = torch.randn(4, 3)
    model.eval()
    assert torch.equal(model[0](x), nn.BatchNorm1d(3).eval()(x))
    plugin.revert(model)
    assert [type(module) for module in model.modules()] == kinds


def test_normalisation_by_all_processes_keeps_double_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    def sum_of_two_equal_processes(values: torch.Tensor) -> None:
        values.mul_(2)

    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    monkeypatch.setattr(torch.distributed, "all_reduce", sum_of_two_equal_processes)
    model = nn.Sequential(nn.BatchNorm1d(3).double())
    x = torch.randn(8, 3, dtype=torch.float64)
    expected = nn.BatchNorm1d(3).double()(x)
    layers = SyncedStatistics()
    y = layers.apply(model)(x)
    layers.revert(model)  # F.dropout, too
    assert y.dtype is torch.float64
    assert (y - expected).abs().max() < 1e-12


@pytest.mark.parametrize(
    "block",
    [ConvBlock(16, 16), BasicBlock(16, 16, 1, None), Bottleneck(64, 16, 1, None), Block(16, 16, (1, 1), first=False)],
    ids=lambda block: type(block).__name__,
)
def test_normalisation_by_all_processes_is_not_fused(block: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    for name in ("apply", "revert"):
        monkeypatch.setattr(shared_dropout, name, lambda model: None)
    monkeypatch.setattr(nn.functional, "dropout", lambda x, *_: x)
    monkeypatch.setattr(torch.distributed, "all_reduce", lambda values: values.mul_(2).add_(1))  # the other one differs
    channels = next(each.in_channels for each in block.modules() if isinstance(each, nn.Conv2d))
    x = 3 * torch.randn(4, channels, 16, 16) + 2
    layers, other = SyncedStatistics(), copy.deepcopy(block)
    try:
        expected = layers.apply(block)(x)
        enter(layers.apply(other))
        found = other(x)
    finally:
        layers.revert(block)
        layers.revert(other)
        leave(other)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
    for one, two in zip(block.buffers(), other.buffers(), strict=True):
        torch.testing.assert_close(one, two, atol=1e-5, rtol=1e-5)


def test_a_record_of_one_device_says_nothing_of_devices() -> None:
    where = Environment(
        commit=None, dirty=False, python="3", packages={}, platform="", processor="", cores=1, gpu=None, threads=1
    )
    record = Record(run=RUN, status="failed", started="2026-01-01T00:00:00+00:00", environment=where)
    assert "devices" not in json.loads(record.to_json())["environment"]
    two = replace(record, environment=replace(where, devices=2))
    assert Record.from_json(two.to_json(), two.key).environment == two.environment
