"""Packed models: what is in the file, its card, and unpacking into other stores."""

import json
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import bench
from bench.errors import ArgumentError, RunError
from bench.inference import exchange, packing
from bench.records import Store, artifacts
from bench.training import stored


def packed(kept, name: str, tmp_path: Path, fold: int = 0) -> Path:
    return exchange.pack(kept.run(name, fold).key, kept.store.root, tmp_path / f"{name}.zip")


@pytest.fixture
def clips() -> torch.Tensor:
    return torch.rand(2, 16_000) - 0.5


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cnn", "swishnet", "lstm-skip", "fusion-ds"])
def test_a_packed_model_in_a_fresh_store(kept, name: str, tmp_path: Path, clips: torch.Tensor) -> None:
    run = kept.run(name)
    file = packed(kept, name, tmp_path)
    here = bench.load_model(run.key, kept.store.root)
    assert torch.equal(bench.load_model(file).logits(clips), here.logits(clips))
    found = exchange.unpack(file, tmp_path / "fresh")
    assert found.keys == (run.key,)
    assert set(found.written) == {run.key, *run.members}
    there = bench.load_model(run.key, tmp_path / "fresh")
    assert torch.equal(there.logits(clips), here.logits(clips))
    assert Store(tmp_path / "fresh").get(run.key) == kept.store.get(run.key)
    again = exchange.pack(run.key, tmp_path / "fresh", tmp_path / name / file.name)
    assert again.read_bytes() == file.read_bytes()


@pytest.mark.slow
def test_all_folds_in_one_file(kept, tmp_path: Path, clips: torch.Tensor) -> None:
    reference = f"{kept.suite}:cnn@all"
    file = exchange.pack(reference, kept.store.root, tmp_path / "all.zip")
    here, there = bench.load_model(reference, kept.store.root), bench.load_model(file)
    assert torch.equal(there.logits(clips), here.logits(clips))
    assert there.keys == here.keys
    keys = exchange.unpack(file, tmp_path / "fresh").keys
    assert bench.load_model(keys[1], tmp_path / "fresh").keys == (keys[1],)
    with zipfile.ZipFile(file) as archive:
        card = archive.read("card.md").decode()
    assert "It is the mean of 2 trainings" in card
    assert "every clip is a training clip of some fold" in card
    assert exchange.pack(file, tmp_path, tmp_path / "copy" / "all.zip").read_bytes() == file.read_bytes()


def test_the_card(kept, tmp_path: Path) -> None:
    run = kept.run("swishnet")
    record = kept.store.get(run.key)
    with zipfile.ZipFile(packed(kept, "swishnet", tmp_path)) as archive:
        names, card = archive.namelist(), archive.read("card.md").decode()
    assert set(names) == {
        "pack.json", "card.md",
        *(f"artifacts/{run.key}/{name}" for name in ("model.json", "weights.safetensors", "record.json")),
    }  # fmt: skip
    low, high = record.intervals["accuracy"]
    for words in (
        "# swishnet on mfcc on folder",
        "| sample rate | 16,000 Hz, mono",
        "| clip length | 1 s; longer",
        f"| parameters | {record.complexity.parameters:,} (",
        f"| MACs per clip | {record.complexity.macs:,} (",
        "- **Licence**: not known: the clips are of the one who trained it",
        f"{100 * record.scores['accuracy']:.1f} [{100 * low:.1f}, {100 * high:.1f}]",
        "    bench predict sound.wav --run swishnet.zip\n",
        "high, low, noise",
        f"`{run.key}`: swishnet, fold 0, seed 0",
    ):
        assert words in card
    assert str(kept.sounds) not in card


def test_the_card_of_a_model_for_streams_has_their_scores(kept, tmp_path: Path) -> None:
    key = kept.run("swishnet").key
    shutil.copytree(kept.store.artifacts(key), tmp_path / key)
    record = kept.store.get(key)
    record = replace(
        record, scores=record.scores | {"frame_accuracy": 0.75, "event_f1": 0.5},
        intervals=record.intervals | {"frame_accuracy": (0.625, 0.875)},
    )  # fmt: skip
    (tmp_path / key / "record.json").write_text(record.to_json())
    with zipfile.ZipFile(exchange.pack(tmp_path / key, tmp_path, tmp_path / "a.zip")) as archive:
        card = archive.read("card.md").decode()
    assert "| test fold | seed | frame_accuracy, % | event_f1, % | accuracy, % |" in card
    assert "| 0 | 0 | 75.0 [62.5, 87.5] | 50.0 |" in card


def test_a_dataset_of_the_catalogue_has_its_licence(kept, tmp_path: Path) -> None:
    key = kept.run("cnn").key
    shutil.copytree(kept.store.artifacts(key), tmp_path / key)
    (tmp_path / key / "record.json").unlink()
    about = json.loads((tmp_path / key / "model.json").read_text())
    (tmp_path / key / "model.json").write_text(json.dumps(about | {"dataset": "esc50"}))
    with zipfile.ZipFile(exchange.pack(tmp_path / key, tmp_path, tmp_path / "a.zip")) as archive:
        card = archive.read("card.md").decode()
    assert "- **Licence**: CC BY-NC 3.0: not for commercial use" in card
    assert "Piczak, ESC" in card
    assert "excludes commercial use" in card
    assert "No record is packed" in card


def test_an_early_run_is_packed_in_the_form_of_this_version(kept, tmp_path: Path, clips: torch.Tensor) -> None:
    run, store = kept.run("cnn"), Store(tmp_path / "runs")
    store.artifacts(run.key).mkdir(parents=True)
    torch.save(stored.read_weights(kept.store.artifacts(run.key), run.key), store.artifacts(run.key) / "model.pt")
    store.write(kept.store.get(run.key))
    with pytest.raises(RunError, match=f"repeat the suite's `bench run --suite ...` with --key {run.key} and --force"):
        exchange.pack(run.key, store.root, tmp_path / "a.zip")
    clip_names = kept.store.artifacts(run.key) / "training_clips.json"
    shutil.copy(clip_names, store.artifacts(run.key))
    file = exchange.pack(run.key, store.root, tmp_path / "a.zip")
    here = bench.load_model(run.key, kept.store.root)
    assert torch.equal(bench.load_model(file).logits(clips), here.logits(clips))
    exchange.unpack(file, tmp_path / "fresh")
    assert torch.equal(bench.load_model(run.key, tmp_path / "fresh").logits(clips), here.logits(clips))


def test_another_training_is_not_overwritten(kept, tmp_path: Path) -> None:
    file = packed(kept, "fusion-ds", tmp_path)
    run, fresh = kept.run("fusion-ds"), tmp_path / "fresh"
    exchange.unpack(file, fresh)
    kept_again = exchange.unpack(file, fresh)
    assert not kept_again.written
    assert set(kept_again.kept) == {run.key, *run.members}
    weights = fresh / "artifacts" / run.members[0] / "weights.safetensors"
    state = stored.read_weights(weights.parent, run.members[0])
    weights.write_bytes(stored.weights_file({name: tensor + 1 for name, tensor in state.items()}))
    place = Store(fresh)
    other = place.get(run.members[0])
    place.write(replace(other, artifacts=other.artifacts | artifacts.digests(weights.parent)))
    before = {path: path.read_bytes() for path in fresh.rglob("*") if path.is_file()}
    shutil.rmtree(fresh / "artifacts" / run.key)
    (fresh / "records" / f"{run.key}.json").unlink()
    with pytest.raises(RunError, match=r"another training of .*, which is not overwritten: name another --store"):
        exchange.unpack(file, fresh)
    after = {path: path.read_bytes() for path in fresh.rglob("*") if path.is_file()}
    assert after.items() < before.items()
    assert not (fresh / "artifacts" / run.key).exists()  # nothing was written


def test_damaged_weights_in_the_store_are_called_damaged(kept, tmp_path: Path) -> None:
    run, fresh = kept.run("cnn"), tmp_path / "fresh"
    file = packed(kept, "cnn", tmp_path)
    exchange.unpack(file, fresh)
    weights = fresh / "artifacts" / run.key / "weights.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-4] + bytes(4))
    with pytest.raises(RunError, match=r"its weights\.safetensors is damaged or missing: .* then unpack again"):
        exchange.unpack(file, fresh)
    weights.unlink()
    with pytest.raises(RunError, match=r"its weights\.safetensors is damaged or missing"):
        exchange.unpack(file, fresh)
    shutil.rmtree(weights.parent)
    (fresh / "records" / f"{run.key}.json").unlink()
    exchange.unpack(file, fresh)
    assert weights.read_bytes() == whole


def test_a_store_of_records_gets_the_weights(kept, tmp_path: Path) -> None:
    run = kept.run("cnn")
    store = Store(tmp_path / "published")
    store.write(kept.store.get(run.key))
    file = packed(kept, "cnn", tmp_path)
    assert exchange.unpack(file, store.root).written == (run.key,)
    other = Store(tmp_path / "other")
    other.write(replace(kept.store.get(run.key), started="2026-11-28T00:00:00+00:00"))
    with pytest.raises(RunError, match="has another training of"):
        exchange.unpack(file, other.root)
    assert not other.artifacts(run.key).exists()


def rewritten(file: Path, target: Path, **changes: bytes | None) -> Path:
    """Write a packed file with other contents, by the ends of names."""
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            for ending, change in changes.items():
                content = change if name.endswith(ending.replace("_", ".")) else content
            if content is not None:
                new.writestr(name, content)
    return target


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"pack_json": b"{}"}, "no file of `bench pack`"),
        ({"pack_json": None}, "no file of `bench pack`"),
        ({"pack_json": b'{"format": 9, "keys": []}'}, "has format 9, but this version reads 1"),
        ({"pack_json": b'{"format": 1, "keys": []}'}, "names no run"),
        ({"pack_json": b'{"format": 1, "keys": ["../../etc"]}'}, "does not hold it"),
        ({"model_json": b"{"}, "is damaged"),
        ({"model_json": None}, "does not hold it"),
        ({"weights_safetensors": b"abc"}, r"is damaged: weights\.safetensors of .* is missing, or is not the one"),
        ({"weights_safetensors": None}, r"is damaged: weights\.safetensors of .* is missing, or is not the one"),
        ({"record_json": b"{}"}, "cannot be used"),
    ],
)
def test_damage_is_named_and_nothing_is_written(kept, tmp_path: Path, changes: dict, words: str) -> None:
    file = rewritten(packed(kept, "cnn", tmp_path), tmp_path / "damaged.zip", **changes)
    with pytest.raises(RunError, match=words):
        exchange.unpack(file, tmp_path / "fresh")
    assert not (tmp_path / "fresh").exists()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model_json": b"{"}, r"model\.json is damaged \(.*\): fetch the file again, or pack it again"),
        ({"model_json": b"{}"}, r"model\.json is damaged \(its format is None\): fetch the file again"),
        ({"model_json": b'{"format": 99}'}, r"model\.json has format 99.*: install that version"),
        ({"weights_safetensors": b"abc"}, r"weights\.safetensors is not the file.*: fetch the file again"),
        ({"weights_safetensors": None}, r"has no weights in .*: fetch the file again"),
        ({"record_json": b"{}"}, r"record\.json is damaged.*: fetch the file again"),
    ],
)
def test_damage_is_named_in_the_file_that_the_user_knows(kept, tmp_path: Path, changes: dict, words: str) -> None:
    file = rewritten(packed(kept, "cnn", tmp_path), tmp_path / "damaged.zip", **changes)
    calls = [lambda: bench.load_model(file), lambda: exchange.unpack(file, tmp_path / "fresh")]
    for call in calls[: 2 if "model_json" in changes else 1]:
        with pytest.raises(RunError, match=words) as found:
            call()
        assert str(found.value).startswith(str(file))
        assert "bench-scratch" not in str(found.value)


def test_other_weights_than_the_record_names_are_refused(kept, tmp_path: Path) -> None:
    one, other = kept.run("cnn", 0), kept.run("cnn", 1)
    weights = (kept.store.artifacts(other.key) / "weights.safetensors").read_bytes()
    file = rewritten(packed(kept, "cnn", tmp_path), tmp_path / "other.zip", weights_safetensors=weights)
    with pytest.raises(RunError, match="is not the one that its record names"):
        exchange.unpack(file, tmp_path / "fresh")
    shutil.copytree(kept.store.root, tmp_path / "runs")
    (tmp_path / "runs" / "artifacts" / one.key / "weights.safetensors").write_bytes(weights)
    with pytest.raises(RunError, match="is not the file that the record of"):
        exchange.pack(one.key, tmp_path / "runs", tmp_path / "no.zip")
    assert not (tmp_path / "no.zip").exists()


def test_a_member_that_is_missing_is_named(kept, tmp_path: Path) -> None:
    run = kept.run("fusion-ds")
    folder = kept.store.artifacts(run.key)
    packing.write([(run.key, folder)], {}, tmp_path / "a.zip")
    with pytest.raises(RunError, match=f"lacks {run.members[0]}, {run.members[1]}"):
        exchange.unpack(tmp_path / "a.zip", tmp_path / "fresh")
    about = json.loads((folder / "model.json").read_text()) | {"members": ["../x"]}
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "model.json").write_text(json.dumps(about))
    with pytest.raises(RunError, match="which is no key of a run"):
        bench.load_model(tmp_path / "run")


def test_another_file_is_no_packed_model(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"text")
    with pytest.raises(RunError, match="is no file of `bench pack`"):
        exchange.unpack(tmp_path / "a.zip", tmp_path / "fresh")
    with pytest.raises(RunError, match="there is no file"):
        exchange.unpack(tmp_path / "b.zip", tmp_path / "fresh")
    np.savez(tmp_path / "c.npz", x=np.zeros(3))
    with pytest.raises(RunError, match=r"c\.npz is an archive, but no file of `bench pack`"):
        exchange.unpack(tmp_path / "c.npz", tmp_path / "fresh")
    with pytest.raises(RunError, match=r"fetch it again, or pack it again$") as found:
        bench.load_model(tmp_path / "a.zip")
    assert str(found.value).count("a.zip") == str(found.value).count("damaged") == 1


def test_only_a_packed_file_is_replaced(kept, tmp_path: Path) -> None:
    key, target = kept.run("swishnet").key, tmp_path / "precious.flac"
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("pack.txt", "the user's")
    (tmp_path / "link").symlink_to(tmp_path / "not there")
    target.write_bytes(b"a recording")
    for path in (target, tmp_path / "other.zip", tmp_path / "link"):
        with pytest.raises(ArgumentError, match=r"is no file of `bench pack`, so it stays: name another --out"):
            exchange.pack(key, kept.store.root, path)
    assert target.read_bytes() == b"a recording"
    assert zipfile.ZipFile(tmp_path / "other.zip").namelist() == ["pack.txt"]
    again = packed(kept, "cnn", tmp_path)
    exchange.pack(key, kept.store.root, again)
    assert exchange.unpack(again, tmp_path / "fresh").keys == (key,)
