"""Trained models are found by every kind of reference, and give the logits of their run, without the run's data."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import bench
from bench.errors import RunError, SuiteError
from bench.inference import Classifier, packing, references
from bench.records import Store
from bench.training import stored


def logits_of_test_clips(model: Classifier, kept, key: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the model's logits of a run's test clips, read from their files, and the kept ones."""
    with np.load(kept.store.artifacts(key) / "logits.npz") as saved:
        ids, logits = saved["test_ids"].tolist(), saved["logits"]
    clips = torch.cat([model.windows(model.load(kept.sounds / name)).clips for name in ids])
    return model.logits(clips).numpy(), logits


@pytest.mark.parametrize("name", ["cnn", "swishnet", "lstm-skip", "fusion-ds"])
def test_the_logits_of_a_run_without_its_data(kept, name: str) -> None:
    run = kept.run(name)
    model = bench.load_model(run.key, kept.store.root)
    now, then = logits_of_test_clips(model, kept, run.key)
    np.testing.assert_allclose(now, then, atol=1e-5)
    assert model.classes == ("high", "low", "noise")
    assert model.sample_rate == 16_000
    assert model.samples == 16_000


def test_a_system_of_a_suite(kept) -> None:
    assert bench.load_model(f"{kept.suite}:cnn@f1", kept.store.root).keys == (kept.run("cnn", 1).key,)
    assert bench.load_model(f"{kept.suite}:cnn@f1-s0", kept.store.root).keys == (kept.run("cnn", 1).key,)
    scores = {}
    for fold in (0, 1):
        record = kept.store.get(kept.run("cnn", fold).key)
        scores[record.key] = record.curves["val_accuracy"][record.best_epoch]
    (best,) = bench.load_model(f"{kept.suite}:cnn", kept.store.root).keys
    assert scores[best] == max(scores.values())


def test_all_folds_average_their_probabilities(kept) -> None:
    clips = torch.rand(2, 16_000) - 0.5
    both = bench.load_model(f"{kept.suite}:cnn@all", kept.store.root)
    each = [bench.load_model(kept.run("cnn", fold).key, kept.store.root) for fold in (0, 1)]
    mean = torch.stack([model.probabilities(model.logits(clips)) for model in each]).mean(0)
    torch.testing.assert_close(both.probabilities(both.logits(clips)), mean, atol=1e-5, rtol=0)
    assert both.keys == tuple(kept.run("cnn", fold).key for fold in (0, 1))


def test_a_folder_of_artifacts(kept) -> None:
    run = kept.run("swishnet")
    model = bench.load_model(kept.store.artifacts(run.key))
    assert model.keys == (run.key,)
    assert model.records[0].key == run.key
    content = json.loads((kept.store.artifacts(run.key) / "model.json").read_text())
    assert content["classes"] == ["high", "low", "noise"]


@pytest.mark.parametrize("name", ["cnn", "fusion-ds"])
def test_a_packed_file_gives_the_same_logits(kept, name: str, tmp_path: Path) -> None:
    run = kept.run(name)
    folders = [(key, kept.store.artifacts(key)) for key in (run.key, *run.members)]
    packing.write(folders, {}, tmp_path / "model.zip")
    clips = torch.rand(2, 16_000) - 0.5
    there, here = (bench.load_model(each, kept.store.root) for each in (tmp_path / "model.zip", run.key))
    assert torch.equal(there.logits(clips), here.logits(clips))
    packing.write(folders, {}, tmp_path / "again.zip")
    assert (tmp_path / "again.zip").read_bytes() == (tmp_path / "model.zip").read_bytes()


def test_a_run_of_an_earlier_version(kept, tmp_path: Path) -> None:
    run = kept.run("cnn")
    store = Store(tmp_path / "runs")
    store.artifacts(run.key).mkdir(parents=True)
    weights = stored.read_weights(kept.store.artifacts(run.key), run.key)
    torch.save(weights, store.artifacts(run.key) / "model.pt")
    store.write(kept.store.get(run.key))
    with pytest.raises(RunError, match="was done before models were described: give --data-dir"):
        bench.load_model(run.key, store.root)
    clips = kept.store.artifacts(run.key) / "training_clips.json"
    (store.artifacts(run.key) / clips.name).write_bytes(clips.read_bytes())
    now, then = logits_of_test_clips(bench.load_model(run.key, store.root), kept, run.key)
    np.testing.assert_allclose(now, then, atol=1e-5)
    assert bench.load_model(store.artifacts(run.key)).keys == (run.key,)  # the folder leads to its store
    alone = tmp_path / "alone" / run.key
    alone.mkdir(parents=True)
    torch.save(weights, alone / "model.pt")
    with pytest.raises(RunError, match=f"{run.key}"):
        bench.load_model(alone)


def test_what_is_not_there_is_named(kept, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"'esc11' is no run of the 8 in .*: give a key"):
        bench.load_model("esc11", kept.store.root)
    with pytest.raises(SuiteError, match="did you mean 'swishnet'"):
        bench.load_model(f"{kept.suite}:swishnett", kept.store.root)
    with pytest.raises(RunError, match="has no finished run in"):
        bench.load_model(f"{kept.suite}:cnn", tmp_path)
    key = kept.run("cnn").key
    (tmp_path / "records").mkdir()
    (tmp_path / "records" / f"{key}.json").write_text("{")
    with pytest.raises(RunError, match=rf"has no finished run in .* \(record {key} is not JSON"):
        bench.load_model(f"{kept.suite}:cnn", tmp_path)
    (tmp_path / "no.zip").write_text("no archive")
    with pytest.raises(RunError, match=r"no\.zip is no file of `bench pack`"):
        bench.load_model(tmp_path / "no.zip")


def test_damage_is_named(kept, tmp_path: Path) -> None:
    run = kept.run("cnn")
    folder = tmp_path / "copy"
    folder.mkdir()
    for name in ("model.json", "weights.safetensors"):
        (folder / name).write_bytes((kept.store.artifacts(run.key) / name).read_bytes())
    content = (folder / "weights.safetensors").read_bytes()
    (folder / "weights.safetensors").write_bytes(content[: len(content) // 2])
    with pytest.raises(RunError, match=r"weights\.safetensors are damaged"):
        bench.load_model(folder)
    (folder / "model.json").write_text('{"format": 99}')
    with pytest.raises(RunError, match="has format 99, but this version reads 1"):
        bench.load_model(folder)


def test_a_class_of_another_package_is_not_imported_for_a_file(kept, tmp_path: Path) -> None:
    content = json.loads((kept.store.artifacts(kept.run("cnn").key) / "model.json").read_text())
    (tmp_path / "model.json").write_text(json.dumps(content | {"model": "elsewhere:Net"}))
    with pytest.raises(
        SuiteError, match=r"elsewhere:Net is not imported, .* as FILE\.toml:SYSTEM, which is FILE\.toml:e"
    ):
        bench.load_model(tmp_path)


def test_windows_cover_a_recording_to_its_end(kept) -> None:
    model = bench.load_model(kept.run("cnn").key, kept.store.root)
    found = model.windows(np.arange(40_000, dtype=np.float32) / 40_000)
    assert found.starts.tolist() == [0.0, 1.0, 1.5]
    assert found.ends.tolist() == [1.0, 2.0, 2.5]
    assert found.clips[2, -1] == pytest.approx(39_999 / 40_000, abs=1 / 32768)
    short = model.windows(np.ones(4_000, np.float32) / 2)
    assert (short.starts.tolist(), short.ends.tolist()) == ([0.0], [0.25])
    assert short.clips[0, 3_999:4_001].tolist() == [0.5, 0.0]
    with pytest.raises(RunError, match=r"a hop of 0 s is no number above 0"):
        model.windows(np.zeros(10, np.float32), 0)


def test_the_fold_of_the_best_validation_score_without_curves(kept) -> None:
    run = kept.run("fusion-ds")
    score = references._validation_score(run, kept.store)
    assert 0 <= score <= 1


@pytest.mark.parametrize("name", ["model.json", "weights.safetensors"])
def test_files_of_another_training_are_refused(kept, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(kept.store.artifacts(kept.run("cnn").key), folder)
    (folder / name).write_bytes((kept.store.artifacts(kept.run("cnn", 1).key) / name).read_bytes())
    if name == "model.json":  # of the same run, with two classes swapped
        content = json.loads((kept.store.artifacts(kept.run("cnn").key) / name).read_text())
        (folder / name).write_text(json.dumps(content | {"classes": ["low", "high", "noise"]}))
    with pytest.raises(RunError, match="is not the file that the record of"):
        bench.load_model(folder)
