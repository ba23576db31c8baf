"""Trained models are found by every kind of reference, and give the logits of their run, without the run's data."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from fakes import calls

import bench
from bench.cli import latency
from bench.errors import ArgumentError, BenchWarning, RunError, SuiteError
from bench.inference import Classifier, packing, references
from bench.profiling import measure
from bench.records import Store
from bench.runner import timings
from bench.training import build, stored


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


def test_a_system_of_a_suite_is_timed(kept, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(build, "dataset", lambda *_, **__: SimpleNamespace(setup=lambda: None))  # the sounds are away
    monkeypatch.setattr(build, "load", lambda run, *_: seen.append(run.key))
    monkeypatch.setattr(timings, "latency_target", lambda *_: "ready")
    where = kept.store.root, kept.store.root, "cpu", 1, measure.TIERS["quick"]
    key = kept.run("cnn", 1).key
    assert [latency._trained(name, *where) for name in (f"{kept.suite}:cnn@f1", key, key[-8:])] == ["ready"] * 3
    assert seen == [key] * 3
    with pytest.raises(SuiteError, match=r"cnn@all is 2 runs: time one of them, such as --run .*-f0-s0-"):
        latency._trained(f"{kept.suite}:cnn@all", *where)


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
    record = kept.store.get(run.key)
    store.write(record)
    with pytest.raises(RunError, match="has no weights in"):  # the record names other ones, which are gone
        stored.read_weights(store.artifacts(run.key), run.key, record)
    named = {name: digest for name, digest in record.artifacts.items() if name != "weights.safetensors"}
    store.write(replace(record, artifacts=named))
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


def partly(kept, tmp_path: Path, name: str) -> tuple[Store, Path]:
    """Return a store with fold 0 of a system and its members alone, and the suite with two seeds."""
    store = Store(tmp_path / "some runs")
    run = kept.run(name)
    for key in (run.key, *run.members):
        shutil.copytree(kept.store.artifacts(key), store.artifacts(key))
        store.write(kept.store.get(key))
    suite = tmp_path / "my.toml"
    suite.write_text("seeds = [0, 1]\n" + kept.suite.read_text())
    return store, suite


@pytest.mark.parametrize("name", ["cnn", "fusion-ds"])
def test_all_folds_and_seeds_must_be_there(kept, tmp_path: Path, name: str) -> None:
    store, suite = partly(kept, tmp_path, name)
    with pytest.raises(RunError) as error:
        bench.load_model(f"{suite}:{name}@all", store.root)
    assert str(error.value) == (
        f"{suite}:{name}@all combines 4 runs, of which the store {store.root} lacks @f0-s1, @f1-s0, @f1-s1: "
        f"`bench run --suite {suite} --store '{store.root}'` does them; or name one that is done, such as "
        f"{suite}:{name}@f0-s0"
    )
    code, _, words = calls.bench("pack", f"{suite}:{name}@all", "--store", store.root, "--out", tmp_path / "a.zip")
    assert (code, "lacks @f0-s1" in words) == (1, True)
    assert not (tmp_path / "a.zip").exists()


@pytest.mark.filterwarnings("default::bench.errors.BenchWarning")
def test_the_best_of_some_runs_is_said(kept, tmp_path: Path) -> None:
    store, suite = partly(kept, tmp_path, "cnn")
    with pytest.warns(BenchWarning, match="is the best of 1 of 4 runs that are done"):
        assert bench.load_model(f"{suite}:cnn", store.root).keys == (kept.run("cnn").key,)
    code, _, words = calls.bench("pack", f"{suite}:cnn@f0", "--store", store.root, "--out", tmp_path / "a.zip")
    assert code == 0
    assert words.startswith(f"warning: {suite}:cnn@f0 is the best of 1 of 2 runs that are done: `bench run --suite")
    assert len(words.splitlines()) == 1
    calls.bench("pack", f"{suite}:cnn@f0-s0", "--store", store.root, "--out", tmp_path / "a.zip")
    assert not calls.bench("pack", f"{suite}:cnn@f0-s0", "--store", store.root, "--out", tmp_path / "a.zip").err


def test_errors_of_references_name_what_works(kept, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("my.toml").write_text(kept.suite.read_text())
    key = kept.run("cnn").key
    bench.inference.exchange.pack(key, kept.store.root, "cnn.zip")
    for reference, words in {
        "my.toml": "my.toml is a suite: name one of its systems, such as my.toml:cnn",
        "my": "my.toml is a suite: name one of its systems, such as my.toml:cnn",
        "esc10": "esc10 is a suite: name one of its systems, such as esc10:",
        "my.tom:cnn": "no suite is called 'my.tom'. Did you mean the file 'my.toml'?",
        "my:cnn": "no suite is called 'my'. Did you mean the file 'my.toml'?",
        "mi.toml:cnn": "cannot read the suite mi.toml: No such file or directory. Did you mean my.toml?",
        "cnn.zip@f0": "cnn.zip is used as it is, and takes no '@f0' behind it: give cnn.zip",
        f"{key}@all": f"takes no '@all' behind it: give {key}",
        "folder": "8 runs in",
    }.items():
        with pytest.raises((SuiteError, RunError)) as error:
            bench.load_model(reference, kept.store.root)
        assert words in str(error.value)
    part = key.rpartition("-")[2]
    assert bench.load_model(part, kept.store.root).keys == (key,)
    for reference, words in {
        "no-run": "'no-run' is no run of the 0 in nowhere, a folder that does not exist",
        "my.toml:cnn": "in nowhere, a folder that does not exist: `bench run --suite my.toml --store nowhere` does it",
    }.items():
        with pytest.raises(RunError) as error:
            bench.load_model(reference, "nowhere")
        assert words in str(error.value)


@pytest.mark.parametrize("part", ["artifacts", "checkpoints"])
def test_an_unfinished_run_is_called_unfinished(tmp_path: Path, monkeypatch, part: str) -> None:
    key = "folder-mfcc-swishnet-f0-s0-0123abcd"
    (tmp_path / "runs" / part / key).mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "runs")
    for reference, store in ((key, "../runs"), (tmp_path / "runs" / part / key, "other"), (f"{part}/{key}/", ".")):
        with pytest.raises(RunError, match=rf"{key} in .* is unfinished, .*: the same `bench run` again"):
            bench.load_model(reference, store)


def test_the_model_of_a_fusion_leads_to_its_name_in_the_suite(kept, tmp_path: Path) -> None:
    suite = tmp_path / "my.toml"
    text = kept.suite.read_text().replace('"lstm-skip", "fusion-ds"', '"fusion-pair"').replace(
        "fusion_members", "[model.fusion-pair]\nmodel = 'fusion-ds'\nmembers"
    )  # fmt: skip
    head, _, table = text.partition("[model.")
    suite.write_text(head + table[table.index("[dataset") :] + "\n[model." + table[: table.index("[dataset")])
    with pytest.raises(SuiteError, match="has no system 'fusion-ds'; did you mean 'fusion-pair'"):
        bench.load_model(f"{suite}:fusion-ds@f0", kept.store.root)


@pytest.mark.parametrize("run", [None, 3, [1.0]])
def test_a_run_that_is_no_name_is_refused(run, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="a run is a key, a name such as"):
        references.load_model(run, tmp_path)


@pytest.mark.parametrize("name", ["cnn", "fusion-ds"])
def test_a_published_result_without_weights_is_named_before_anything_is_read(kept, tmp_path: Path, name: str) -> None:
    run = kept.run(name)
    shutil.copytree(kept.store.root / "records", tmp_path / "records")
    member = (run.members or (run.key,))[0]
    suite = f"`bench run --suite {kept.suite} --key {run.key}` trains it into the store `runs`"
    for reference, remedy in ((run.key, "bench run --suite SUITE"), (f"{kept.suite}:{name}@f{run.fold}", suite)):
        with pytest.raises(RunError, match=f"^{re.escape(member)} has no weights in ") as found:
            bench.load_model(reference, tmp_path, data_dir=kept.sounds)
        assert remedy in str(found.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["records"]
