"""Predictions of files: windows, batches over files, bad files, embeddings, and bounded memory."""

import csv
import io
import os
import shutil
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

import bench
from bench.errors import ArgumentError, RunError
from bench.inference import Classifier, formats, recordings
from bench.inference.predict import Prediction, find, from_stream, predict
from datamodules.audio.preparation import equalise_loudness


@pytest.fixture
def model(kept) -> Classifier:
    return bench.load_model(kept.run("cnn").key, kept.store.root)


class Levels(torch.nn.Module):
    """Logits of a clip: its mean, and its negative."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mean = x.flatten(1).mean(1)
        return torch.stack([10 * mean, -10 * mean], 1)


def levels(**changes) -> Classifier:
    about = {
        "name": "levels", "module": Levels(), "classes": ("up", "down"), "task": "single", "sample_rate": 8_000,
        "clip_shape": (800,), "clip_seconds": 0.1,
    }  # fmt: skip
    return Classifier(**about | changes)


def write(path: Path, samples: np.ndarray, rate: int = 8_000) -> Path:
    soundfile.write(path, samples, rate, subtype="PCM_16")
    return path


@pytest.mark.parametrize("name", ["cnn", "fusion-ds"])
def test_the_logits_are_those_of_the_run(kept, name: str) -> None:
    run = kept.run(name)
    with np.load(kept.store.artifacts(run.key) / "logits.npz") as saved:
        ids, logits = saved["test_ids"].tolist(), saved["logits"]
    model = bench.load_model(run.key, kept.store.root)
    found = list(predict(model, find([kept.sounds / each for each in ids])))
    np.testing.assert_allclose([each.logits for each in found], logits, atol=1e-5)
    assert [each.file for each in found] == [str(kept.sounds / each) for each in ids]
    assert all(each.windows == 1 and each.end == 1.0 and not each.error for each in found)
    np.testing.assert_allclose([each.probabilities.sum() for each in found], 1, atol=1e-5)


def test_windows_are_those_of_the_classifier(model: Classifier, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    path = write(tmp_path / "long.wav", rng.uniform(-0.5, 0.5, 16_000 * 12 + 123), 16_000)
    for hop in (None, 0.37, 0.9):
        whole = model.windows(model.load(path), hop)
        found = list(recordings.windows_of(model, path, "long", hop))
        assert [each.start for each in found] == whole.starts.tolist()
        assert [each.end for each in found] == whole.ends.tolist()
        assert np.array_equal(np.stack([each.clip for each in found]), whole.clips.numpy())


@pytest.mark.parametrize(("over", "windows"), [(0, 1), (0.001, 1), (0.01, 1), (0.011, 2)])
def test_what_an_encoder_adds_to_a_clip_has_no_window(
    model: Classifier, tmp_path: Path, over: float, windows: int
) -> None:
    rate = model.rate()
    x = np.random.default_rng(0).uniform(-0.5, 0.5, round(model.samples * (1 + over)))
    path = write(tmp_path / "clip.wav", x, rate)
    (found,) = predict(model, find([path]))
    assert found.windows == windows == len(model.windows(model.load(path)).clips)


@pytest.mark.parametrize("length", [1, 799, 800, 801, 1600, 5_000])
@pytest.mark.parametrize("hop", [1, 300, 800, 1_000])
@pytest.mark.parametrize("block", [1, 7, 1_000])
def test_cutting_does_not_depend_on_the_blocks(length: int, hop: int, block: int) -> None:
    x = np.arange(length, dtype=np.float32)
    parts = [x[i : i + block] for i in range(0, length, block)]
    found = [(start, part.copy()) for start, part in recordings.cut(parts, 800, hop)]
    starts, last = np.arange(0, max(0, length - 800) + 1, hop).tolist(), length - 800
    assert [start for start, _ in found] == starts + [last] * (last - starts[-1] > 8)
    assert all(np.array_equal(part, x[start : start + 800]) for start, part in found)


@pytest.mark.parametrize("rate", [16_000, 22_050])
def test_prepared_blocks_are_the_prepared_recording(rate: int) -> None:
    model = levels(sample_rate=rate, prepare=equalise_loudness)
    rng = np.random.default_rng(0)
    x = rng.standard_normal(rate * 75).astype(np.float32) * np.linspace(0.01, 1, rate * 75, dtype=np.float32)
    found = list(recordings.prepared(model, (x[i : i + 65_536] for i in range(0, len(x), 65_536))))
    assert len(found) == 3
    np.testing.assert_allclose(np.concatenate(found), equalise_loudness(x, rate), atol=1e-6)
    (short,) = recordings.prepared(model, [x[:100]])
    np.testing.assert_allclose(short, equalise_loudness(x[:100], rate), atol=1e-6)


def test_mean_and_maximum_over_windows(tmp_path: Path) -> None:
    path = write(tmp_path / "steps.wav", np.repeat([0.1, -0.3, 0.2], 800))
    windows = list(predict(levels(), find([path]), each_window=True))
    assert [(each.start, each.end) for each in windows] == [(0.0, 0.1), (0.1, 0.2), (0.2, pytest.approx(0.3))]
    each = np.stack([window.probabilities for window in windows])
    (mean,), (most,) = (list(predict(levels(), find([path]), combine=how)) for how in ("mean", "max"))
    np.testing.assert_allclose(mean.probabilities, each.mean(0), rtol=1e-6)
    np.testing.assert_allclose(most.probabilities, each.max(0), rtol=1e-6)
    assert (mean.windows, mean.end) == (3, pytest.approx(0.3))


def test_batches_go_over_files(tmp_path: Path) -> None:
    sizes = []

    class Counted(Levels):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            sizes.append(len(x))
            return super().forward(x)

    paths = [write(tmp_path / f"{i}.wav", np.full(800 * (1 + i % 3), i / 100 + 0.1)) for i in range(7)]
    found = list(predict(levels(module=Counted()), find(paths), batch_size=4))
    assert sizes == [4, 4, 4, 1]
    np.testing.assert_allclose([each.logits[0] for each in found], [10 * (i / 100 + 0.1) for i in range(7)], atol=1e-3)
    with pytest.raises(RunError, match="a batch of 0 clips"):
        predict(levels(), [], batch_size=0)
    with pytest.raises(RunError, match="a hop of -1 s is no number above 0"):
        predict(levels(), [], hop_seconds=-1)


def test_a_bad_file_is_a_row_and_the_others_go_on(tmp_path: Path) -> None:
    good = write(tmp_path / "good.wav", np.full(8_000, 0.2))
    content = good.read_bytes()
    (tmp_path / "cut.wav").write_bytes(content[:-2_000])
    (tmp_path / "text.wav").write_text("no sound at all")
    (tmp_path / "empty.wav").touch()
    names = ["cut.wav", "good.wav", "text.wav", "none.wav", "empty.wav", "good.wav"]
    found = list(predict(levels(), find([tmp_path / each for each in names])))
    assert [bool(each.error) for each in found] == [True, False, True, True, True, False]
    assert "'cut.wav'" in found[0].error
    assert "cannot be opened" in found[3].error
    assert found[1].windows == found[5].windows == 10
    np.testing.assert_array_equal(found[1].logits, found[5].logits)


def test_an_error_at_the_end_follows_the_windows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(path, rate, seconds):
        yield np.full(900, 0.1, np.float32)
        raise recordings.features.DataError("it ends too early")

    monkeypatch.setattr(recordings, "decode_blocks", broken)
    source = find([write(tmp_path / "a.wav", np.zeros(10))])
    first, last = predict(levels(), source, each_window=True)
    assert (first.start, last.error) == (0.0, "it ends too early")
    (only,) = predict(levels(), source)
    assert only.error == "it ends too early"


def test_folders_give_their_sounds(tmp_path: Path) -> None:
    for name in ("b/2.wav", "b/1.FLAC", "a.wav", ".hidden/x.wav", "b/.x.wav", "notes.txt", "__MACOSX/a.wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "nothing").mkdir()
    names = [source.name.removeprefix(f"{tmp_path}/") for source in find([tmp_path, tmp_path / "b" / "2.wav"])]
    assert names == ["a.wav", "b/1.FLAC", "b/2.wav", "b/2.wav"]
    (none,) = predict(levels(), find([tmp_path / "nothing"]))
    assert none.error == "the folder has no audio files: name another one"


@pytest.mark.slow
def test_links_of_a_folder_that_lead_to_nothing_or_to_a_folder_are_named(tmp_path: Path) -> None:
    for name in ("sounds", "elsewhere"):
        (tmp_path / name).mkdir()
        write(tmp_path / name / "a.wav", np.zeros(800))
    for name, target in (
        ("good.wav", "a.wav"),
        ("gone.wav", "nothing.wav"),
        ("gone.txt", "no"),
        ("more", "../elsewhere"),
    ):
        (tmp_path / "sounds" / name).symlink_to(target)
    found = {Path(each.file).name: each.error for each in predict(levels(), find([tmp_path / "sounds"]))}
    assert sorted(found) == ["a.wav", "gone.wav", "good.wav", "more"]
    assert found["a.wav"] == found["good.wav"] == ""
    assert "link to a file that is not there" in found["gone.wav"]
    assert "name the folder itself" in found["more"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_pipes_of_a_folder_are_named(tmp_path: Path) -> None:
    write(tmp_path / "a.wav", np.zeros(800))
    os.mkfifo(tmp_path / "pipe.wav")
    (tmp_path / "to a pipe.wav").symlink_to("pipe.wav")
    os.mkfifo(tmp_path / "pipe.txt")
    (tmp_path / "folder.wav").mkdir()
    found = {Path(each.file).name: each.error for each in predict(levels(), find([tmp_path]))}
    assert list(found) == ["a.wav", "pipe.wav", "to a pipe.wav"]
    assert found["a.wav"] == ""
    assert "is no regular file" in found["pipe.wav"]
    assert "is no regular file" in found["to a pipe.wav"]


def test_an_empty_name_is_not_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "a.wav", np.zeros(800))
    monkeypatch.chdir(tmp_path)
    (found,) = predict(levels(), find([""]))
    assert found.file == '""'
    assert "the name is empty" in found.error
    assert [each.error for each in predict(levels(), find(["."]))] == [""]


def test_memory_does_not_grow_with_the_length(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def long(path, rate, seconds):
        for _ in range(600):
            yield np.full(65_536, 0.1, np.float32)

    monkeypatch.setattr(recordings, "decode_blocks", long)
    source = find([write(tmp_path / "a.wav", np.zeros(10))])
    tracemalloc.start()
    try:
        (found,) = predict(levels(clip_shape=(8_000,)), source)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found.windows == -(-600 * 65_536 // 8_000)
    assert peak < 16 << 20  # of 157 MB


def test_standard_input(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", np.full(1_600, 0.2))
    (tmp_path / "here").mkdir()
    source = from_stream(io.BytesIO(path.read_bytes()), tmp_path / "here")
    (found,) = predict(levels(), [source])
    assert (found.file, found.windows, found.error) == ("stdin", 2, "")
    (tmp_path / "there").mkdir()
    (empty,) = predict(levels(), [from_stream(io.BytesIO(), tmp_path / "there")])
    assert empty.error == "no sound came in: pipe an audio file into the command"


def test_embeddings(tmp_path: Path) -> None:
    model = levels(sample_rate=None, clip_shape=(10, 4), clip_seconds=5.0)
    np.save(tmp_path / "one.npy", np.full((10, 4), 0.1, np.float32))
    np.save(tmp_path / "long.npy", np.full((25, 4), 0.1, np.float32))
    np.save(tmp_path / "several.npy", np.full((2, 5, 4), 0.1, np.float32))
    np.save(tmp_path / "wide.npy", np.full((10, 5), 0.1, np.float32))
    (tmp_path / "a.wav").touch()
    found = list(predict(model, find([tmp_path], sound=False)))
    rows = {each.file.removeprefix(f"{tmp_path}/"): each for each in found}
    assert list(rows) == ["long.npy", "one.npy", "several.npy[0]", "several.npy[1]", "wide.npy"]
    assert (rows["long.npy"].windows, rows["long.npy"].end) == (3, 12.5)
    assert rows["one.npy"].logits[0] == pytest.approx(1.0)
    assert rows["several.npy[1]"].logits[0] == pytest.approx(0.5)  # padded with zeros
    assert rows["wide.npy"].error == "'wide.npy' has 5 values a frame, and the model takes 4"
    (wrong,) = predict(model, find([tmp_path / "a.wav"], sound=False))
    assert wrong.error == "'a.wav' is no file of features: give .npy, .npz, .parquet, .tfrecord, .tfrecords files"


def test_several_labels(tmp_path: Path) -> None:
    model = levels(task="multi")
    (found,) = predict(model, find([write(tmp_path / "a.wav", np.full(800, 0.2))]))
    np.testing.assert_allclose(found.probabilities, [1 / (1 + np.exp(-2)), 1 / (1 + np.exp(2))], rtol=1e-3)
    assert formats.content(found, model)["prediction"] == ["up"]


def test_progress_counts_files_and_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.inference.predict.LONG_BYTES", 100_000)
    path = write(tmp_path / "long.wav", np.full(400_000, 0.1))
    shutil.copy(path, tmp_path / "again.wav")
    said = []
    list(predict(levels(), find([tmp_path]), report=lambda *news: said.append(news)))
    assert said[-1] == (2, 2 * path.stat().st_size, 2 * path.stat().st_size)
    assert [files for files, _, _ in said] == sorted(files for files, _, _ in said)
    assert [done for _, done, _ in said] == sorted(done for _, done, _ in said)
    assert any(0 < done < path.stat().st_size for _, done, _ in said)


def test_files_that_differ_in_blanks_differ_in_the_table() -> None:
    names = ["\ttab.wav", " tab.wav", "tab.wav", "a  b.wav", "a b.wav", "a\nb.wav", "é.wav"]
    text = io.StringIO()
    writer = formats.CsvWriter(text, levels())
    for name in [*names, "=1+1.wav", " =1+1.wav"]:
        writer.write(Prediction(file=name, error="no sound"))
    found = [row["file"] for row in csv.DictReader(io.StringIO(text.getvalue()))]
    assert found[: len(names)] == [r"\ttab.wav", " tab.wav", "tab.wav", "a  b.wav", "a b.wav", r"a\nb.wav", "é.wav"]
    assert found[len(names) :] == ["'=1+1.wav", "' =1+1.wav"]  # no formulas for a spreadsheet


def test_a_table_from_python(kept, tmp_path: Path) -> None:
    (tmp_path / "bad.wav").write_text("no sound")
    places = [kept.sounds / "high", tmp_path / "bad.wav"]
    none = bench.predict([], kept.run("cnn").key, store=kept.store.root)
    with pytest.raises(ArgumentError, match="no file or folder ''"):
        bench.predict("", kept.run("cnn").key, store=kept.store.root)
    iterated = bench.predict((kept.sounds / "high").iterdir(), kept.run("cnn").key, store=kept.store.root)
    assert sorted(iterated.file) == sorted(map(str, (kept.sounds / "high").iterdir()))
    found = bench.predict(places, kept.run("cnn").key, store=kept.store.root)
    assert (len(none), [*none.columns]) == (0, [*found.columns])
    assert list(found.columns) == [
        "file", "start", "end", "windows", "prediction", "probability_high", "probability_low", "probability_noise",
        "error",
    ]  # fmt: skip
    assert len(found) == 11
    assert (found.error != "").tolist() == [False] * 10 + [True]
    columns = [name for name in found.columns if name.startswith("probability_")]
    np.testing.assert_allclose(found[columns].iloc[:10].sum(axis=1), 1, atol=1e-5)
    again = bench.predict(
        kept.sounds / "high", bench.load_model(kept.run("cnn").key, kept.store.root), each_window=True
    )
    np.testing.assert_allclose(again[columns].to_numpy(), found[columns].iloc[:10].to_numpy(float), atol=1e-6)


def test_kernels_compute_the_features_of_many_files(model: Classifier, tmp_path: Path, monkeypatch) -> None:
    write(tmp_path / "a.wav", np.sin(np.arange(8000) / 5))
    sources = find([tmp_path], True)
    allowed = [part for part in model.module.modules() if hasattr(part, "kernels_allowed")]
    (slow,) = predict(model, sources)
    assert not any(part.kernels_allowed for part in allowed)
    monkeypatch.setattr("bench.inference.predict.MANY", 1)
    (fast,) = predict(model, sources)
    assert any(part.kernels_used for part in allowed)
    np.testing.assert_allclose(fast.probabilities, slow.probabilities, atol=1e-4)


@pytest.mark.parametrize("frontend", ["cqt", "models.frontends.tempogram:Tempogram"])
def test_torch_computes_features_whose_kernel_is_less_exact(
    model: Classifier, tmp_path: Path, monkeypatch, frontend: str
) -> None:
    write(tmp_path / "a.wav", np.sin(np.arange(8000) / 5))
    sources = find([tmp_path], True)
    records = tuple(replace(each, run=replace(each.run, frontend=frontend)) for each in model.records)
    monkeypatch.setattr("bench.inference.predict.MANY", 1)
    list(predict(replace(model, records=records), sources))
    assert not any(getattr(part, "kernels_allowed", False) for part in model.module.modules())
    list(predict(model, sources))
    assert any(getattr(part, "kernels_allowed", False) for part in model.module.modules())


@pytest.mark.parametrize("combine", ["median", "Mean", "", None])
def test_another_word_for_combining_is_refused(kept, model: Classifier, combine: str) -> None:
    with pytest.raises(ArgumentError, match=r"combine = .* is not one of mean, max"):
        bench.predict(kept.sounds, model, combine=combine)


@pytest.mark.parametrize("device", ["gpu", "cud", "cuda:0", "CPU", "", None])
def test_another_word_for_a_device_is_refused(kept, model: Classifier, device: str) -> None:
    for call in (
        lambda: bench.load_model(model.keys[0], kept.store.root, device=device),
        lambda: bench.predict(kept.sounds, model, device=device),
    ):
        with pytest.raises(ArgumentError, match=r"there is no device .*: choose one of auto, cpu, cuda"):
            call()


@pytest.mark.parametrize("files", [np.zeros(800, np.float32), None, 3, [np.zeros(800)]])
def test_samples_are_no_files(model: Classifier, files: object) -> None:
    with pytest.raises(ArgumentError, match=r"predict takes paths of files.*model\.windows"):
        bench.predict(files, model)
