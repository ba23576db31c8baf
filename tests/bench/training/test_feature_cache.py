"""The cache of features: the same bits, never another setting's, and whole whatever happens to it."""

import errno
import json
import multiprocessing
import os
import zlib
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from fakes import processes
from fakes.closeness import assert_close_at_scale
from torch import nn

from bench import catalog
from bench.evaluation import evaluate
from bench.records import Recipe, Run
from bench.training import build, feature_cache, fit
from bench.training.feature_cache import Cache
from datamodules.clips.array_clips import WaveformClips
from datamodules.synthetic import Synthetic
from models.frontends.logmel import LogMel, PooledLogMel
from models.frontends.mfcc import MFCC, MFCCDeltas
from models.frontends.waveform import Waveform


@pytest.fixture(scope="module")
def data():
    return dataset()


def dataset(**arguments):
    data = Synthetic(clips_per_class=10, clip_seconds=0.5, **arguments)
    data.setup()
    return data


@pytest.fixture
def calls(monkeypatch):
    """Count the batches that log-mel front-ends compute."""
    seen = []
    original = LogMel.forward
    monkeypatch.setattr(LogMel, "forward", lambda self, x: (seen.append(len(x)), original(self, x))[1])
    return seen


def whole(frontend, clips):
    """Return the features as they were computed before there was a cache."""
    with torch.inference_mode():
        parts = [frontend(clips.load(range(i, min(i + 64, len(clips))))) for i in range(0, len(clips), 64)]
        return torch.cat(parts).clone()


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["logmel", "logmel-panns", "logmel-torchlibrosa", "logmel-1s", "mfcc", "mfcc-deltas", "waveform"]
)
def test_features_are_the_same_bits_with_and_without_the_cache(tmp_path, data, name):
    entry = catalog.frontend(name)
    frontend = catalog.load(entry.target)(data.sample_rate, **entry.arguments)
    clips = data.splits.train
    expected = whole(frontend, clips)
    for folder in (None, tmp_path, tmp_path):  # without, written, read
        found = Cache(folder).features(frontend, data, clips, "cpu")
        assert found.dtype == torch.float32
        assert torch.equal(found, expected)
        assert torch.equal(found[[3, 1]], expected[[3, 1]])


def test_the_second_reader_computes_nothing(tmp_path, data, calls):
    first = Cache(tmp_path).features(LogMel(data.sample_rate), data, data.splits.train, "cpu")
    assert sum(calls) == len(data.splits.train)
    second = Cache(tmp_path).features(LogMel(data.sample_rate), data, data.splits.train, "cpu")
    assert sum(calls) == len(data.splits.train)
    assert torch.equal(first, second)
    assert len(list(tmp_path.iterdir())) == 2
    Cache(tmp_path).features(LogMel(data.sample_rate), data, data.splits.val, "cpu")
    assert sum(calls) == len(data.splits.train) + len(data.splits.val)


def test_what_computes_nothing_is_not_written(tmp_path, data):
    Cache(tmp_path).features(Waveform(data.sample_rate), data, data.splits.train, "cpu")
    assert not any(tmp_path.iterdir())


@pytest.mark.slow
def test_training_reads_what_another_training_wrote(tmp_path, calls):
    curves, computed = [], []
    for cache in (None, tmp_path / "cache", tmp_path / "cache"):
        calls.clear()
        run = Run(model="fc", frontend="logmel-1s", dataset="synthetic", recipe=Recipe(epochs=2, batch_size=16))
        data = dataset(cache=cache, batch_size=16)
        torch.manual_seed(0)
        model = build.model(run, data)
        calls.clear()
        curves.append(fit.train(model, data, run.recipe, tmp_path, "cpu", lambda *_: None).curves)
        computed.append(sum(calls))
    clips = len(data.splits.train) + len(data.splits.val)
    assert computed == [clips, clips, 0]
    assert curves[0] == curves[1] == curves[2]


@pytest.mark.slow
@pytest.mark.parametrize(("model", "frontend"), [("fc", "logmel-1s"), ("swishnet", "mfcc"), ("cnn", "cqt")])
@pytest.mark.parametrize("cached", [False, True])
def test_prediction_takes_the_validation_features_of_training_and_gives_the_same_logits(
    tmp_path, model, frontend, cached
):
    run = Run(model=model, frontend=frontend, dataset="synthetic", recipe=Recipe(epochs=1, batch_size=16))
    data = dataset(cache=tmp_path / "cache" if cached else None, batch_size=16)
    torch.manual_seed(0)
    built = build.model(run, data)
    trained = fit.train(built, data, run.recipe, tmp_path, "cpu", lambda *_: None)
    assert trained.val_features.shape[0] == len(data.splits.val) == 20
    expected = evaluate.predict(built, data, "cpu")
    seen = []
    built.frontend.register_forward_pre_hook(lambda _, x: seen.append(len(x[0])))
    found = evaluate.predict(built, data, "cpu", trained.val_features)
    assert sum(seen) == len(data.splits.test)
    close = 1e-4  # batches of other sizes are rounded otherwise by some kernels
    assert_close_at_scale(torch.from_numpy(found.val), torch.from_numpy(expected.val), close)
    assert np.array_equal(found.test, expected.test)


def test_features_that_are_not_computed_once_are_not_kept_for_prediction(tmp_path):
    recipe = Recipe(epochs=1, batch_size=16, gain_db=3)
    run = Run(model="fc", frontend="logmel-1s", dataset="synthetic", recipe=recipe)
    data = dataset(batch_size=16)
    trained = fit.train(build.model(run, data), data, recipe, tmp_path, "cpu", lambda *_: None)
    assert trained.val_features is None


MEL = "models.frontends.mel"


class Scaled(LogMel):
    """A front-end with state of every kind, each changed by one of SETTINGS."""

    def __init__(self, sample_rate, scale=1.0, label="a", names=("x", "y"), table=0.0, weight=1.0, where=None):
        super().__init__(sample_rate)
        self.scale = scale
        self._label = label
        self.names = {"names": list(names)}
        self.inner = nn.Module()
        self.inner.register_buffer("table", torch.full((3,), table), persistent=False)
        self.weight = nn.Parameter(torch.tensor(weight), requires_grad=False)
        self.plain = np.full(2, where)


SETTINGS = [
    {}, {"scale": 2.0}, {"scale": 1}, {"label": "b"}, {"names": ("xy",)}, {"names": ("y", "x")}, {"table": 1e-30},
    {"weight": 2.0}, {"where": 1.0},
]  # fmt: skip


def test_two_settings_never_share(data):
    clips, rate = data.splits.train, data.sample_rate
    fronts = [Scaled(rate, **{"where": 0.0} | setting) for setting in SETTINGS]
    fronts += [
        LogMel(rate), LogMel(rate, 32), LogMel(rate, f_min=51), LogMel(rate, frames_per_second=50),
        LogMel(rate, closing_frame=True), LogMel(rate // 2), PooledLogMel(rate), PooledLogMel(rate, 64), MFCC(rate),
        MFCC(rate, lifter=0), MFCC(rate, preemphasis=0.9), MFCC(rate, append_energy=True), MFCCDeltas(rate),
        MFCCDeltas(rate, reach=3),
    ]  # fmt: skip
    keys = [feature_cache.key(front, data, clips, "cpu") for front in fronts]
    assert None not in keys
    assert len(set(keys)) == len(keys)
    again = Scaled(rate, where=0.0)
    assert feature_cache.key(again, data, clips, "cpu") == keys[0]
    again.eval().requires_grad_(False)
    assert feature_cache.key(again, data, clips, "cpu") == keys[0]


@pytest.mark.slow
def test_other_data_code_and_arithmetic_are_other_entries(data, monkeypatch):
    front, clips = LogMel(data.sample_rate), data.splits.train

    def key(data=data, clips=clips):
        return feature_cache.key(front, data, clips, "cpu")

    keys = [key()]
    keys.append(key(clips=data.splits.val))
    keys.append(key(clips=clips.select([1, 0, *range(2, len(clips))])))  # another order
    keys.append(key(clips=clips.select(range(1, len(clips)))))
    for other in (dataset(fold=1), dataset(data_seed=7)):
        keys.append(key(other, other.splits.train))
    hashes = ("0" * 64, *clips.hashes[1:])
    changed = WaveformClips(clips.array, clips.ids, clips.groups, hashes, clips.targets, clips.rows)
    keys.append(key(clips=changed))  # a changed sample
    relabelled = dataset()
    relabelled.classes = relabelled.classes[::-1]
    keys.append(key(relabelled))
    with monkeypatch.context() as patch:
        patch.setattr(feature_cache, "CODE_VERSION", feature_cache.CODE_VERSION + 1)
        keys.append(key())
    with monkeypatch.context() as patch:
        source = feature_cache.inspect.getsource
        patch.setattr(
            feature_cache.inspect, "getsource", lambda module: source(module) + "#" * (module.__name__ == MEL)
        )
        keys.append(key())
    with monkeypatch.context() as patch:
        patch.setattr(torch, "__version__", "9.9")
        keys.append(key())
    assert len(set(keys)) == len(keys)
    assert key() == keys[0]


def test_a_front_end_that_holds_what_has_no_digest_is_not_kept(tmp_path, data, calls):
    front = LogMel(data.sample_rate)
    front.window_of = lambda: None
    for _ in range(2):
        Cache(tmp_path).features(front, data, data.splits.val, "cpu")
    assert sum(calls) == 2 * len(data.splits.val)
    assert not any(tmp_path.iterdir())


def damage(array, index, how):
    content = bytearray(array.read_bytes())
    if how == "no index":
        index.unlink()
    elif how == "no array":
        array.unlink()
    elif how == "empty":
        array.write_bytes(b"")
    elif how == "cut off":
        array.write_bytes(content[:-1])
    elif how == "another dtype":
        array.write_bytes(content.replace(b"<f4", b"<i4"))
    elif how == "a flipped bit":
        content[-1000] ^= 1
        array.write_bytes(content)
    elif how == "a bad header":
        content[120] = ord("[")
        array.write_bytes(content)
    elif how == "another shape":
        content = json.loads(index.read_text())
        content["array"]["shape"] = [1, 2, 3]
        content["crc32"] = zlib.crc32(json.dumps([content["array"], content["facts"]]).encode())
        index.write_text(json.dumps(content))
    else:
        index.write_text(how)


@pytest.mark.parametrize(
    "how",
    [
        "no index", "no array", "empty", "cut off", "another dtype", "a flipped bit", "a bad header", "another shape",
        "", "[]", "{}", "null", "\0", '{"dtype": "?", "shape": null, "crc32": 0}',
    ],
)  # fmt: skip
def test_a_damaged_entry_is_computed_again(tmp_path, data, calls, how):
    front, clips = LogMel(data.sample_rate), data.splits.val
    expected = Cache(tmp_path).features(front, data, clips, "cpu").clone()
    array, index = sorted(tmp_path.iterdir(), key=lambda path: path.suffix, reverse=True)
    damage(array, index, how)
    calls.clear()
    assert torch.equal(Cache(tmp_path).features(front, data, clips, "cpu"), expected)
    assert sum(calls) == len(clips)
    assert torch.equal(Cache(tmp_path).features(front, data, clips, "cpu"), expected)
    assert sum(calls) == len(clips)  # mended


def test_nothing_that_is_done_to_features_reaches_the_disk(tmp_path, data):
    front, clips = LogMel(data.sample_rate), data.splits.val
    first = Cache(tmp_path).features(front, data, clips, "cpu")
    expected = first.clone()
    first.zero_()
    assert torch.equal(Cache(tmp_path).features(front, data, clips, "cpu"), expected)


@pytest.mark.parametrize("how", ["no space before", "no space while writing", "no folder"])
def test_a_disk_that_takes_nothing_is_one_warning(tmp_path, data, monkeypatch, how):
    front = LogMel(data.sample_rate)
    folder = tmp_path / "cache"
    if how == "no space before":
        monkeypatch.setattr(feature_cache.shutil, "disk_usage", lambda path: SimpleNamespace(free=0))
    elif how == "no space while writing":
        error = OSError(errno.ENOSPC, "No space left on device")
        monkeypatch.setattr(os, "fsync", lambda descriptor: (_ for _ in ()).throw(error))
    else:
        folder.write_text("a file stands here")
    cache = Cache(folder)
    with pytest.warns(RuntimeWarning, match="free space or choose another folder with --store") as caught:
        found = [cache.features(front, data, clips, "cpu") for clips in (data.splits.train, data.splits.val)]
    assert len(caught) == 1
    assert torch.equal(found[0], whole(front, data.splits.train))
    assert torch.equal(found[1], whole(front, data.splits.val))
    assert how == "no folder" or not any(folder.iterdir())


@pytest.mark.process
def test_several_writers_do_not_harm_each_other(tmp_path, data):
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["bench.features"])
    pipes = [context.Pipe() for _ in range(2)]
    writers = [context.Process(target=processes.write_features, args=(tmp_path, there)) for _, there in pipes]
    for writer in writers:
        writer.start()
    assert [here.recv() for here, _ in pipes] == ["ready"] * 2
    for here, _ in pipes:
        here.send("go")
    sums = [here.recv() for here, _ in pipes]
    for writer in writers:
        writer.join()
    expected = zlib.crc32(whole(LogMel(data.sample_rate), data.splits.train).numpy().data)
    assert sums == [{expected}] * 2
    assert [writer.exitcode for writer in writers] == [0] * 2
    assert not list(tmp_path.glob(".tmp-*"))
