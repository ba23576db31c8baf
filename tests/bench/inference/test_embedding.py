"""Embeddings are what the last layer gets, and the dataset of embeddings reads every format."""

import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from fakes import calls

import bench
from bench.errors import ArgumentError, RunError
from bench.inference import Classifier
from bench.inference.embedding import Embedder, Embedding, embed
from bench.inference.embedding_files import places
from bench.inference.predict import find
from bench.records import scratch
from datamodules.clips.own import features
from datamodules.embeddings import Embeddings

CLIPS = 0.3 * torch.randn(3, 16_000, generator=torch.Generator().manual_seed(0)).clamp(-3, 3)


def model_of(kept, name: str):
    return bench.load_model(kept.run(name).key, kept.store.root, device="cpu")


@pytest.mark.parametrize("name", ["cnn", "swishnet", "lstm-skip"])
def test_the_last_layer_makes_the_logits_of_them(kept, name: str) -> None:
    model = model_of(kept, name)
    found = Embedder(model)(CLIPS)
    with torch.inference_mode():
        torch.testing.assert_close(model.module.output(found), model.logits(CLIPS), atol=1e-5, rtol=1e-5)


def test_members_of_a_fusion_one_after_another(kept) -> None:
    parts = [Embedder(model_of(kept, name))(CLIPS) for name in ("cnn", "swishnet")]
    torch.testing.assert_close(Embedder(model_of(kept, "fusion-ds"))(CLIPS), torch.cat(parts, 1))


def test_a_layer_by_name(kept) -> None:
    model = model_of(kept, "cnn")
    kept_values = []
    hook = model.module.blocks[0].register_forward_hook(lambda _, __, output: kept_values.append(output))
    found = Embedder(model, "blocks.0")(CLIPS)
    hook.remove()
    torch.testing.assert_close(found, kept_values[0].mean((2, 3)))
    with pytest.raises(RunError, match=r"has no layer 'block': it has .*logits"):
        Embedder(model, "block")


def test_windows_and_a_bad_file(kept, tmp_path: Path) -> None:
    model = model_of(kept, "swishnet")
    (tmp_path / "bad.wav").write_text("no sound")
    sources = find([tmp_path / "bad.wav", kept.sounds / "low" / "0.wav"])
    bad, good = embed(model, sources, hop_seconds=0.5, each_window=True)
    assert bad.error
    assert bad.values is None
    assert good.values.shape == (1, 16)
    assert (good.starts.tolist(), good.ends.tolist()) == ([0.0], [1.0])


class Means(torch.nn.Module):
    """A model of embeddings that averages them over their frames."""

    def __init__(self) -> None:
        super().__init__()
        self.last = torch.nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(x.mean(1))


@pytest.fixture
def means(monkeypatch):
    """Embed with a model of embeddings whose vectors are the means of the frames."""
    model = Classifier(
        name="means", module=Means(), classes=tuple("abcd"), task="single", sample_rate=None, clip_shape=(10, 4),
        clip_seconds=5.0, keys=("means",),
    )  # fmt: skip
    monkeypatch.setattr("bench.inference.load_model", lambda *_, **__: model)
    return lambda *given: calls.bench("embed", *given, "--run", "means", "--layer", "last")


def frames(value: float, count: int = 10, width: int = 4) -> np.ndarray:
    return np.full((count, width), value, np.float32)


@pytest.mark.parametrize("format", ["npy", "parquet", "tfrecord"])
def test_each_clip_of_a_file_of_several_has_a_vector(means, tmp_path: Path, format: str) -> None:
    if format == "parquet":
        pytest.importorskip("pyarrow", reason='pyarrow is not installed: pip install -e ".[parquet]"')
    folder, found = tmp_path / "features" / "low", tmp_path / "found"
    folder.mkdir(parents=True)
    np.save(folder / "one.npy", frames(0.5))
    np.save(folder / "many.npy", np.stack([frames(3), frames(4)]))
    inside = {"a": 1, "../../b": 2, "a/0": 5, "a%2F0": 6}
    np.savez(folder / "two.npz", **{name: frames(value, 25) for name, value in inside.items()})
    call = means(tmp_path / "features", "--out", found, "--format", format)
    assert (call.code, call.err) == (0, "")
    assert "7 files, 4 values; 0 with an error" in call.words
    own = {
        "one.npy": 0.5, "many.npy[0]": 3, "many.npy[1]": 4, "two.npz[a]": 1, "two.npz[..%2F..%2Fb]": 2,
        "two.npz[a%2F0]": 5, "two.npz[a%252F0]": 6,
    }  # fmt: skip
    there = {path.relative_to(found).as_posix(): path for path in found.rglob("*") if path.suffix == f".{format}"}
    if format == "npy":
        values = {name.removeprefix("low/").removesuffix(".npy"): np.load(path) for name, path in there.items()}
    else:
        assert list(there) == [f"low/embeddings.{format}"]
        values = dict(features.clips_of(found / "low" / f"embeddings.{format}"))
    assert {name: value.tolist() for name, value in values.items()} == {name: [[x] * 4] for name, x in own.items()}
    np.savez(folder / "two.npz", a=frames(1), b=frames(2))
    call = means(tmp_path / "features", "--out", found, "--format", format, "--windows")
    assert "each_window False, not True" in call.err
    call = means(tmp_path / "features", "--out", found, "--format", format)
    assert ("3 files of an earlier call removed" in call.words) == (format == "npy")
    read = {name for each in found.rglob("*") if each.is_file() and "two" in (name := each.name)}
    assert read == ({"two.npz[a].npy", "two.npz[b].npy"} if format == "npy" else set())


def test_windows_of_each_clip_of_a_file(means, tmp_path: Path) -> None:
    (tmp_path / "features").mkdir()
    np.savez(tmp_path / "features" / "two.npz", a=frames(1, 25), b=frames(2, 10))
    given = (tmp_path / "features" / "two.npz", "--windows", "--batch-size", 2)
    assert means(*given, "--out", tmp_path / "found").code == 0
    shapes = {path.name: np.load(path)[:, 0].tolist() for path in (tmp_path / "found").glob("*.npy")}
    assert shapes == {"two.npz[a].npy": [1, 1, 1], "two.npz[b].npy": [2]}


@pytest.mark.parametrize("format", ["npy", "parquet", "tfrecord"])
def test_hidden_files_of_others_stay(tmp_path: Path, format: str) -> None:
    from bench.inference.embedding_files import Writer

    if format == "parquet":
        pytest.importorskip("pyarrow", reason='pyarrow is not installed: pip install -e ".[parquet]"')
    others = [tmp_path / f".{name}.tmp" for name in ("a.wav.npy", f"embeddings.{format}")]
    for other in others:
        other.write_text("mine")
    writer = Writer(tmp_path, format, {})
    writer.add(Path("a.wav"), Embedding(file="a.wav", values=frames(1), starts=np.zeros(10), ends=np.ones(10)))
    writer.close()
    assert [other.read_text() for other in others] == ["mine", "mine"]


def test_temporary_files_of_killed_calls_are_removed(means, tmp_path: Path) -> None:
    (tmp_path / "features" / "low").mkdir(parents=True)
    np.save(tmp_path / "features" / "low" / "a.npy", frames(1))
    found = tmp_path / "found"
    given = (tmp_path / "features", "--out", found)
    assert means(*given).code == 0
    left, young, held = (Path(tempfile.mkstemp(prefix=".tmp-", dir=found / "low")[1]) for _ in range(3))
    others = [found / "low" / name for name in (".tmp-notes.txt", ".tmp-projects")]
    for other in others:
        other.write_text("mine")
        other.chmod(0o644)
    for path in (left, held, *others):
        os.utime(path, (0, 0))
    with held.open("rb") as file:
        scratch.hold(file.fileno())
        assert means(*given).code == 0
    there = set((found / "low").glob(".tmp-*"))
    assert there == {young, held, *others}


@pytest.mark.parametrize("format", ["npy", "parquet", "tfrecord"])
def test_nothing_is_removed_where_a_file_could_not_be_used(means, tmp_path: Path, format: str) -> None:
    if format == "parquet":
        pytest.importorskip("pyarrow", reason='pyarrow is not installed: pip install -e ".[parquet]"')
    for value, name in enumerate(("c/low/0.npy", "c/low/1.npy", "c/low/2.npy", "d/high/0.npy")):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        np.save(tmp_path / name, frames(value))
    found = tmp_path / "found"
    given = (tmp_path / "c", tmp_path / "d", "--out", found, "--format", format, "--windows")

    def there() -> dict[str, list[list[float]]]:
        vectors = (path for path in sorted(found.rglob("*")) if path.suffix == f".{format}")
        return {
            f"{path.parent.name}/{path.name}[{inside}]": value.tolist()
            for path in vectors
            for inside, value in features.clips_of(path)
        }

    assert means(*given).code == 0
    before = there()
    (tmp_path / "d").rename(tmp_path / "away")  # as a disk that is out of reach
    (tmp_path / "c" / "low" / "1.npy").write_bytes(b"damaged")
    (tmp_path / "c" / "low" / "2.npy").unlink()
    call = means(*given)
    assert call.code == 1
    assert "earlier call" not in call.out
    kept = 3 if format == "npy" else 2 + 1  # two rows, and a file of the other folder
    assert f"warning: {kept} vectors of an earlier call stay, such as " in call.words
    assert there() == before
    (tmp_path / "away").rename(tmp_path / "d")
    np.save(tmp_path / "c" / "low" / "1.npy", frames(5))
    call = means(*given)
    assert (call.code, call.err) == (0, "")
    assert ("1 files of an earlier call removed" in call.words) == (format == "npy")
    assert not any("2.npy" in name for name in there())
    assert [[5.0] * 4] in there().values()
    if format == "parquet":
        import pyarrow.parquet

        rows = pyarrow.parquet.read_table(found / "low" / "embeddings.parquet").to_pylist()
        assert [(row["file"], row["starts"], row["ends"]) for row in rows] == [
            ("0.npy", [0.0], [5.0]), ("1.npy", [0.0], [5.0])
        ]  # fmt: skip


@pytest.mark.parametrize("format", ["npy", "tfrecord"])
def test_what_is_in_the_place_of_a_folder_is_told(means, tmp_path: Path, monkeypatch, format: str) -> None:
    (tmp_path / "features" / "low").mkdir(parents=True)
    np.save(tmp_path / "features" / "low" / "a.npy", frames(1))
    found, elsewhere = tmp_path / "found", tmp_path / "elsewhere"
    found.mkdir()
    given = (tmp_path / "features", "--out", found, "--format", format)
    (found / "low").write_text("mine")
    call = means(*given)
    assert call.code == 1
    assert f"{found / 'low'} cannot be made a folder" in call.words
    assert "move that away, or name another --out" in call.words
    assert (found / "low").read_text() == "mine"
    for target, words in (("elsewhere", "leads out of"), ("found/gone", "cannot be made a folder")):
        (found / "low").unlink()
        (found / "low").symlink_to(tmp_path / target)
        call = means(*given)
        assert (call.code, words in call.words, "away, or name another --out" in call.words) == (1, True, True)
        assert not elsewhere.exists()
    link = tmp_path / "link"
    link.symlink_to(elsewhere)
    call = means(tmp_path / "features", "--out", link)
    assert (call.code, "is a link to a folder that is not there: name a folder" in call.words) == (2, True)


def test_an_empty_name_is_told(means, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "features").mkdir()
    np.save(tmp_path / "features" / "a.npy", frames(1))
    call = means("", "", "features", "--out", "found")
    assert call.code == 1
    assert call.words.count('error: "": the name is empty: name a file or a folder, `.` for this one') == 2
    assert "1 files, 4 values; " in call.words
    assert "among the sounds" not in call.words


@pytest.mark.parametrize("format", ["parquet", "tfrecord"])
def test_a_name_that_is_no_text_stops_no_other_one(means, tmp_path: Path, format: str) -> None:
    if format == "parquet":
        pytest.importorskip("pyarrow", reason='pyarrow is not installed: pip install -e ".[parquet]"')
    (tmp_path / "features").mkdir()
    np.save(tmp_path / "features" / "a.npy", frames(1))
    try:
        np.save(tmp_path / "features" / "\udcff.npy", frames(2))
    except OSError:
        pytest.skip("the disk takes only names that are UTF-8")
    call = means(tmp_path / "features", "--out", tmp_path / "found", "--format", format)
    assert call.code == 1
    assert "1 files, 4 values; 1 with an error" in call.words
    assert f"its name is not UTF-8, as names in --format {format} are: rename the file" in call.words
    ((_, value),) = features.clips_of(tmp_path / "found" / f"embeddings.{format}")
    assert value.tolist() == [[1] * 4]


def test_a_name_that_is_too_long_stops_no_other_one(means, tmp_path: Path) -> None:
    (tmp_path / "features").mkdir()
    np.save(tmp_path / "features" / f"{'a' * 250}.npy", frames(1))
    np.save(tmp_path / "features" / "b.npy", frames(2))
    np.savez(tmp_path / "features" / "c.npz", **{"a": frames(3), "b" * 250: frames(4)})
    call = means(tmp_path / "features", "--out", tmp_path / "found")
    assert call.code == 1
    assert "2 files, 4 values; 2 with an error" in call.words
    assert call.words.count("its name is too long for a file of its vector, ") == 2
    assert "rename the file, or write --format tfrecord" in call.words
    assert ".tmp-" not in call.words
    there = sorted(path.name for path in (tmp_path / "found").iterdir())
    assert there == [".bench-embed.json", "b.npy.npy", "c.npz[a].npy"]


def test_a_file_of_the_wrong_width_stops_no_other_one(means, tmp_path: Path) -> None:
    (tmp_path / "features").mkdir()
    np.save(tmp_path / "features" / "a.npy", frames(1, width=5))
    np.save(tmp_path / "features" / "b.npy", frames(1))
    call = means(tmp_path / "features", "--out", tmp_path / "found", "--json")
    assert call.code == 1
    assert list(json.loads(call.out)["errors"].values()) == ["'a.npy' has 5 values a frame, and the model takes 4"]
    assert [path.name for path in (tmp_path / "found").glob("*.npy")] == ["b.npy.npy"]


def test_a_sound_on_standard_input_next_to_a_file(kept, tmp_path: Path) -> None:
    path = kept.sounds / "low" / "0.wav"
    where = ["--run", kept.run("swishnet").key, "--store", kept.store.root, "--out", tmp_path]
    found = calls.bench("embed", path, "-", *where, stdin=path.read_bytes())
    assert not found.code, found.words
    np.testing.assert_array_equal(np.load(tmp_path / "stdin.npy"), np.load(tmp_path / "0.wav.npy"))
    assert "can be read once" in calls.bench("embed", "-", "-", *where).words


@pytest.mark.slow
@pytest.mark.parametrize("format", ["npy", "parquet", "tfrecord"])
def test_the_dataset_reads_them_back(kept, tmp_path: Path, format: str, monkeypatch, capsys) -> None:
    if format == "parquet":
        pytest.importorskip("pyarrow", reason='pyarrow is not installed: pip install -e ".[parquet]"')
    run = kept.run("swishnet").key
    command = ["bench", "embed", str(kept.sounds), "--run", run, "--store", str(kept.store.root)]
    monkeypatch.setattr(sys, "argv", [*command, "--out", str(tmp_path / "found"), "--format", format])
    from bench.cli.main import main

    with pytest.raises(SystemExit) as end:
        main()
    assert not end.value.code, capsys.readouterr()
    assert "30 files, 16 values; 0 with an error" in capsys.readouterr().out
    data = Embeddings(tmp_path / "found", tmp_path / "cache", fold=0)
    data.setup()
    assert data.classes == ("high", "low", "noise")
    assert data.clip_shape == (1, 16)
    parts = (data.splits.train, data.splits.val, data.splits.test)
    assert sum(len(part) for part in parts) == 30
    split = data.splits.test
    name = split.ids[0]
    values = split.load([0])[0]
    class_, number = data.classes[int(split.targets[0])], name.removesuffix("]").rpartition("[")[2]
    number = Path(number).name.removesuffix(".npy")
    model = model_of(kept, "swishnet")
    expected = Embedder(model)(model.windows(model.load(kept.sounds / class_ / number)).clips)
    np.testing.assert_allclose(values.numpy(), expected.numpy(), atol=1e-6)


def test_sounds_of_one_name_are_refused_before_the_work() -> None:
    files = [Path("cats/1.wav"), Path("dogs/1.wav")]
    with pytest.raises(ArgumentError, match=r"two sounds are called 1\.wav"):
        places(files, files)


def test_wrong_calls(kept, tmp_path: Path) -> None:
    from bench.inference.embedding_files import Writer

    with pytest.raises(RunError, match="no format 'h5'"):
        Writer(tmp_path, "h5", {})
    writer, found = Writer(tmp_path / "new", "npy", {}), Embedding(file="a", values=np.zeros((1, 2), np.float32))
    writer.add(Path("a.wav"), found)
    with pytest.raises(RunError, match=r"two sounds are called a\.wav"):  # of two folders with this name in both
        writer.add(Path("a.wav"), found)
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="is a file: name a folder"):
        Writer(tmp_path / "file", "npy", {})


def test_a_folder_holds_embeddings_of_one_origin(kept, tmp_path: Path) -> None:
    sound = kept.sounds / "low" / "0.wav"

    def made(run: str, *options: object) -> calls.Call:
        given = ("--run", kept.run(run).key, "--store", kept.store.root, "--out", tmp_path / "found")
        return calls.bench("embed", sound, *given, *options)

    assert made("swishnet").code == 0
    before = (tmp_path / "found" / "0.wav.npy").read_bytes()
    assert made("swishnet", "--hop", 1).code == 0  # the same again
    for run, options, words in (
        ("cnn", (), "runs ["),
        ("swishnet", ("--windows",), "each_window False, not True"),
        ("swishnet", ("--hop", 0.5), "hop_seconds 1.0, not 0.5"),
        ("swishnet", ("--format", "tfrecord"), "format npy, not tfrecord"),
    ):
        code, _, error = made(run, *options)
        assert (code, words in error, "name another --out, or remove" in error) == (2, True, True), error
    assert (tmp_path / "found" / "0.wav.npy").read_bytes() == before
    (tmp_path / "found" / "own.wav").write_text("a recording of the user's")
    error = made("cnn").err
    assert "name another --out" in error
    assert "remove" not in error
    (tmp_path / "found" / "own.wav").unlink()
    np.save(tmp_path / "found" / "0.wav.npy", np.ones((1, 2), np.float32))  # no longer what was written
    assert "remove" not in made("cnn").err
    (tmp_path / "found" / ".bench-embed.json").unlink()
    error = made("swishnet").err
    assert "nothing in it says by which run" in error
    assert "remove" not in error


def test_a_folder_in_which_one_works_is_not_to_be_removed(kept, tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "found").mkdir()
    monkeypatch.chdir(tmp_path / "found")
    given = ("embed", kept.sounds / "low" / "0.wav", "--store", kept.store.root, "--out", ".", "--run")
    assert calls.bench(*given, kept.run("swishnet").key).code == 0
    error = calls.bench(*given, kept.run("cnn").key).err
    assert "name another --out" in error
    assert "remove" not in error


@pytest.mark.parametrize("format", ["npy", "tfrecord"])
def test_vectors_of_sounds_that_are_gone_are_removed(kept, tmp_path: Path, format: str) -> None:
    sounds, found = tmp_path / "sounds", tmp_path / "found"
    shutil.copytree(kept.sounds, sounds)
    given = ("embed", sounds, "--run", kept.run("swishnet").key, "--store", kept.store.root, "--out", found)
    given += ("--format", format)
    assert "removed" not in calls.bench(*given).out
    count = len([path for path in found.rglob("*") if path.is_file()])
    (found / "high").mkdir(exist_ok=True)
    np.save(found / "high" / "own.npy", np.ones((1, 2), np.float32))  # nothing that bench wrote
    gone = list((sounds / "low").iterdir())
    for path in gone:
        path.unlink()
    code, output, error = calls.bench(*given)
    removed = len(gone) if format == "npy" else 1
    assert code == 0
    assert f"{removed} files of an earlier call removed" in " ".join(output.split())
    assert "1 other files of features, which stay" in error
    assert "own.npy" in error
    assert not (found / "low").exists()
    assert (found / "high" / "own.npy").is_file()
    assert len([path for path in found.rglob("*") if path.is_file()]) == count - removed + 1
    assert json.loads(calls.bench(*given, "--json").out)["removed"] == 0


def test_what_was_changed_since_and_what_lies_outside_stays(tmp_path: Path) -> None:
    from bench.inference.embedding_files import ORIGIN, Writer

    def written(*names: str) -> Writer:
        writer = Writer(tmp_path / "found", "npy", {})
        for name in names:
            writer.add(Path(name), Embedding(file=name, values=np.zeros((1, 2), np.float32)))
        writer.close()
        return writer

    written("a.wav", "b.wav", "c.wav")
    (tmp_path / "found" / "b.wav.npy").write_bytes(b"mine")
    origin = tmp_path / "found" / ORIGIN
    content = json.loads(origin.read_text())
    for name in ("../out.npy", str(tmp_path / "out.npy")):
        shutil.copy(tmp_path / "found" / "c.wav.npy", tmp_path / "out.npy")
        content["files"][name] = content["files"]["c.wav.npy"]
    origin.write_text(json.dumps(content))
    assert written().removed == 0  # where no sound could be used, perhaps a disk is missing
    assert written("a.wav").removed == 1
    assert sorted(path.name for path in (tmp_path / "found").glob("*.npy")) == ["a.wav.npy", "b.wav.npy"]
    assert (tmp_path / "out.npy").is_file()


def test_files_of_a_call_that_ended_early_are_known(kept, tmp_path: Path, monkeypatch) -> None:
    from bench.inference import embedding_files

    add = embedding_files.Writer.add

    def first(self, place: Path, found: Embedding) -> None:
        if self.written:
            raise KeyboardInterrupt
        add(self, place, found)

    sounds = tmp_path / "sounds"
    shutil.copytree(kept.sounds / "low", sounds)
    given = ("--run", kept.run("swishnet").key, "--store", kept.store.root, "--out", tmp_path / "found")
    with monkeypatch.context() as patched:
        patched.setattr(embedding_files.Writer, "add", first)
        assert calls.bench("embed", sounds, *given).code == 130
    (wrote,) = (tmp_path / "found").glob("*.npy")
    (sounds / wrote.stem).unlink()
    assert "1 files of an earlier call removed" in calls.bench("embed", sounds, *given).words


@pytest.mark.parametrize("format", ["npy", "tfrecord"])
def test_a_file_of_somebody_elses_is_never_replaced(kept, tmp_path: Path, format: str) -> None:
    sounds, found = tmp_path / "sounds", tmp_path / "found"
    shutil.copytree(kept.sounds / "low", sounds / "low")
    given = ("--run", kept.run("swishnet").key, "--store", kept.store.root, "--out", found, "--format", format)
    name = f"{next((sounds / 'low').iterdir()).name}.npy" if format == "npy" else "embeddings.tfrecord"
    (found / "low").mkdir(parents=True)
    own, other = tmp_path / "own.npy", found / "low" / name
    own.write_bytes(b"mine")
    for make in (lambda: other.symlink_to(own), lambda: other.write_bytes(b"mine")):
        make()
        call = calls.bench("embed", sounds, *given)
        assert call.code == 1 or call.code == 2
        assert "is there already" in call.err or "has other embeddings already" in call.err
        assert own.read_bytes() == other.read_bytes() == b"mine"
        other.unlink()
    assert calls.bench("embed", sounds, *given).code == 0
    assert calls.bench("embed", sounds, *given).code == 0
    other.write_bytes(b"mine")  # changed since
    assert calls.bench("embed", sounds, *given).code == 1
    assert other.read_bytes() == b"mine"
    other.unlink()
    assert calls.bench("embed", sounds, *given).code == 0
    shutil.copytree(sounds, tmp_path / "more")
    before = other.read_bytes()
    first = next((tmp_path / "more" / "low").iterdir())
    shutil.copy(next((kept.sounds / "high").iterdir()), first)
    call = calls.bench("embed", tmp_path / "more", *given)
    assert call.code == 1
    assert other.read_bytes() == before


def test_vectors_of_other_folders_stay(kept, tmp_path: Path) -> None:
    given = ("--run", kept.run("swishnet").key, "--store", kept.store.root, "--out", tmp_path / "found")
    assert calls.bench("embed", kept.sounds / "low", *given).code == 0
    low = set((tmp_path / "found").glob("*.npy"))
    shutil.copytree(kept.sounds / "high", tmp_path / "others" / "high")
    other = calls.bench("embed", tmp_path / "others", *given)
    assert (other.code, other.err) == (0, "")
    assert "removed" not in other.out
    assert low < set((tmp_path / "found").rglob("*.npy"))


@pytest.mark.parametrize(
    ("sounds", "out"),
    [
        ("a", "a"),
        ("a", "a/found"),
        ("a", "."),
        (".", "found"),
        ("a/low/0.wav", "a/low"),
        ("a/low/0.wav", "a"),
        ("a/low/0.wav", "a/low/found"),
        ("link.wav", "a/low/found"),
    ],
)
def test_embeddings_among_the_sounds_are_refused(kept, tmp_path: Path, monkeypatch, sounds: str, out: str) -> None:
    shutil.copytree(kept.sounds, tmp_path / "a")
    (tmp_path / "link.wav").symlink_to(tmp_path / "a" / "low" / "0.wav")
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    given = ("--run", kept.run("swishnet").key, "--store", kept.store.root, "--out", out)
    code, _, error = calls.bench("embed", sounds, *given)
    assert code == 2
    assert "among the sounds" in error
    assert "name another --out" in error
    assert sorted(tmp_path.rglob("*")) == before


def test_a_folder_next_to_a_sound_in_the_current_folder_is_taken(kept, tmp_path: Path, monkeypatch) -> None:
    shutil.copy(kept.sounds / "low" / "0.wav", tmp_path / "song.wav")
    monkeypatch.chdir(tmp_path)
    given = ("--run", kept.run("swishnet").key, "--store", kept.store.root, "--out", "vectors")
    assert calls.bench("embed", "song.wav", *given).code == 0
    assert [path.name for path in Path("vectors").glob("*.npy")] == ["song.wav.npy"]


def test_a_vector_that_others_have_written_alike_stays_theirs(means, tmp_path: Path) -> None:
    for root, names in (("A", ("v", "w")), ("B", ("v", "k"))):
        (tmp_path / root / "x").mkdir(parents=True)
        for name in names:
            np.save(tmp_path / root / "x" / f"{name}.npy", frames(ord(name)))
    out = tmp_path / "o"
    assert [means(tmp_path / root, "--out", out).code for root in ("A", "B")] == [0, 0]
    (tmp_path / "B" / "x" / "v.npy").unlink()
    call = means(tmp_path / "B", "--out", out)
    assert call.code == 0
    assert "removed" not in call.words
    assert sorted(path.name for path in out.rglob("*.npy")) == ["k.npy.npy", "v.npy.npy", "w.npy.npy"]
