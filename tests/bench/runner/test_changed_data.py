"""Runs whose data have changed are not shown as done without a word."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
from fakes import esc50, folder
from fakes.calls import Call, bench, records, run

from bench.records import Recipe, Run, Store, data_files
from bench.runner import worker
from bench.runner.news import EpochEnded, Noted
from bench.runner.settings import RunSettings

SUITE = """models = ["fc"]
datasets = ["{dataset}"]
[recipe]
epochs = 1
[dataset.{dataset}]
{place}
sample_rate = 8000
clip_seconds = 0.2
"""


def add(path: Path) -> None:
    soundfile.write(path, 0.1 * np.random.default_rng(7).standard_normal(1_600), 8_000)


@pytest.mark.slow
@pytest.mark.process
def test_a_run_is_done_again_when_clips_are_added_removed_or_changed(tmp_path: Path) -> None:
    root = folder.write(tmp_path / "mine")
    suite = SUITE.format(dataset="folder", place=f'root = "{root}"')
    assert "changed" not in run(suite, tmp_path).words
    (first,) = records(tmp_path)
    call = run(suite, tmp_path)
    assert "0 run now, 1 done before" in call.words
    assert "changed" not in call.words

    add(root / "cat" / "new.wav")
    line = "1 run is done again because its data changed: 1 file added (cat/new.wav)"
    dry = run(suite, tmp_path, "--dry-run")
    assert dry.out.startswith("to do")
    assert line in dry.words
    told = json.loads(run(suite, tmp_path, "--dry-run", "--json").out)
    assert told[0]["changed_data"] == "1 file added (cat/new.wav)"
    call = run(suite, tmp_path)
    assert line in call.words
    assert "1 run now, 0 done before" in call.words
    (second,) = records(tmp_path)
    assert first.data is not None
    assert second.data is not None
    assert first.data.manifest != second.data.manifest
    assert "0 run now, 1 done before" in run(suite, tmp_path).words

    (root / "cat" / "new.wav").unlink()
    soundfile.write(root / "cow" / "cow0.wav", np.ones(4_000) * 0.1, 8_000)
    call = run(suite, tmp_path)
    assert "its data changed: 1 file removed (cat/new.wav), 1 file changed (cow/cow0.wav)" in call.words


@pytest.mark.slow
@pytest.mark.process
def test_files_with_other_times_alone_are_a_warning(tmp_path: Path) -> None:
    root = folder.write(tmp_path / "mine")
    suite = SUITE.format(dataset="folder", place=f'root = "{root}"')
    run(suite, tmp_path)
    os.utime(root / "cat" / "cat1.wav", (1, 1))
    call = run(suite, tmp_path)
    assert "0 run now, 1 done before" in call.words
    assert "folder has 1 file with the same size and another time (cat/cat1.wav) since 1 run was done" in call.words
    assert "add --force" in call.words
    assert "changed" not in run(suite, tmp_path, "--force").words
    assert "another time" not in run(suite, tmp_path).words


@pytest.mark.slow
@pytest.mark.process
def test_a_tables_folds_are_data_too(tmp_path: Path) -> None:
    root = folder.write(tmp_path / "mine")
    rows = [
        f"{path.relative_to(root)},{path.parent.name},{i % 5}" for i, path in enumerate(sorted(root.rglob("*.wav")))
    ]
    table = root / "clips.csv"
    table.write_text("\n".join(["path,label,fold", *rows]) + "\n")
    suite = SUITE.format(dataset="folder", place=f'csv = "{table}"')
    assert run(suite, tmp_path).code == 0
    assert "0 run now, 1 done before" in run(suite, tmp_path).words
    table.write_text("\n".join(["path,label,fold", *rows[:-1]]) + "\n")
    assert "its data changed: 1 file changed" in run(suite, tmp_path).words


@pytest.mark.slow
@pytest.mark.process
def test_datasets_of_the_catalogue_are_looked_at_and_the_store_in_them_is_not(tmp_path: Path) -> None:
    esc50.write(tmp_path / "esc10")
    path = tmp_path / "own.toml"
    path.write_text(SUITE.format(dataset="esc10", place=""))

    def run_there() -> Call:
        quiet = ("--executor", "serial", "--device", "cpu", "--wandb", "disabled")
        return bench("run", "--suite", path, "--store", tmp_path / "esc10" / "runs", "--data-dir", tmp_path, *quiet)

    assert run_there().code == 0
    call = run_there()
    assert "0 run now, 1 done before" in call.words
    assert "changed" not in call.words
    name = sorted((tmp_path / "esc10" / "audio").iterdir())[0]
    soundfile.write(name, 0.1 * np.random.default_rng(1).standard_normal(9_000), 44_100)
    assert f"1 file changed (audio/{name.name})" in run_there().words


def noises(root: Path, seed: int, samples: int = 16_000) -> None:
    root.mkdir(exist_ok=True)
    for i in range(2):
        sound = 0.1 * np.random.default_rng(seed + i).standard_normal(samples)
        soundfile.write(root / f"n{i}.wav", sound, 16_000)


WITH_NOISE = """models = ["fc"]
datasets = ["synthetic"]
[recipe]
epochs = 1
background = "noise"
[dataset.synthetic]
clips_per_class = 10
clip_seconds = 0.5
"""


@pytest.mark.slow
@pytest.mark.process
def test_background_noises_are_data_of_the_runs_that_mix_them_in(tmp_path: Path) -> None:
    noises(tmp_path / "noise", 0)
    assert run(WITH_NOISE, tmp_path).code == 0
    without = WITH_NOISE.replace('background = "noise"', "")
    assert run(without, tmp_path).code == 0
    assert "0 run now, 1 done before" in run(WITH_NOISE, tmp_path).words
    soundfile.write(tmp_path / "noise" / "n2.wav", np.ones(4_000) * 0.1, 16_000)
    line = f"1 run is done again because its data changed: 1 file added ({tmp_path / 'noise' / 'n2.wav'})"
    call = run(WITH_NOISE, tmp_path)
    assert line in call.words
    assert "1 run now, 0 done before" in call.words
    call = run(without, tmp_path)
    assert "0 run now, 1 done before" in call.words
    assert "changed" not in call.words


class Killed(BaseException):
    """Ends a training where a signal would."""


@pytest.mark.slow
@pytest.mark.parametrize("changed", [True, False])
def test_an_interrupted_training_mixes_no_two_sets_of_noises(changed: bool, tmp_path: Path) -> None:
    noises(tmp_path / "noise", 0)
    given = Run(
        model="fc", frontend="logmel-1s", dataset="synthetic", recipe=Recipe(epochs=3, background="noise"),
        data={"clips_per_class": 10, "clip_seconds": 0.5},
    )  # fmt: skip
    settings = RunSettings(store=tmp_path / "runs", data_dir=tmp_path, device="cpu", checkpoint_seconds=0.0)

    def report(news: object) -> None:
        if isinstance(news, EpochEnded) and news.epoch == 3:
            raise Killed

    with pytest.raises(Killed):
        worker.execute(given, settings, force=False, report=report)
    if changed:
        noises(tmp_path / "noise", 9)  # of the same names and sizes
    heard: list[object] = []
    assert worker.execute(given, settings, force=False, report=heard.append) == "done"
    (note,) = [news.line for news in heard if isinstance(news, Noted)]
    assert note == (
        "the training starts from the beginning: the background noises changed"
        if changed
        else "goes on after epoch 2, the last one that was saved"
    )


def test_a_state_without_further_folders_is_written_as_it_always_was(tmp_path: Path) -> None:
    """So that runs of before and of now share it."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "0.wav").write_bytes(b"x")
    store = Store(tmp_path / "runs")
    (tmp_path / "runs" / "a").mkdir(parents=True)
    data_files.keep(store, tmp_path / "runs" / "a", data_files.take(store, tmp_path / "mine", ()))
    (path,) = (tmp_path / "runs" / "data-files").iterdir()
    assert set(json.loads(path.read_bytes())) == {"folder", "files", "state"}


def test_a_further_folder_that_is_not_there_says_nothing_of_the_others(tmp_path: Path) -> None:
    for name in ("mine/0.wav", "noise/1.wav"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(b"x")
    store = Store(tmp_path / "runs")
    store.artifacts("a").mkdir(parents=True)
    found = data_files.take(store, tmp_path / "mine", (), [tmp_path / "noise"])
    assert found is not None
    assert set(found.state) == {"0.wav", str(tmp_path / "noise" / "1.wav")}
    data_files.keep(store, store.artifacts("a"), found)
    (tmp_path / "noise").rename(tmp_path / "elsewhere")
    assert data_files.change(store, "a") is None
    (tmp_path / "mine" / "2.wav").write_bytes(b"x")
    data_files.forget()
    assert data_files.change(store, "a") == data_files.Change("1 file added (2.wav)", True)
    (tmp_path / "elsewhere").rename(tmp_path / "noise")
    (tmp_path / "noise" / "1.wav").write_bytes(b"xy")
    data_files.forget()
    found_change = data_files.change(store, "a")
    assert found_change is not None
    assert found_change.words == f"1 file added (2.wav), 1 file changed ({tmp_path / 'noise' / '1.wav'})"


def test_differences_in_words() -> None:
    before = {f"{i}.wav": (1, 1) for i in range(9)}
    assert data_files.difference(before, dict(before)) is None
    found = data_files.difference(before, {"0.wav": (2, 1), "new.wav": (1, 1)})
    assert found == data_files.Change(
        "1 file added (new.wav), 8 files removed (1.wav, 2.wav, 3.wav and 5 more), 1 file changed (0.wav)", True
    )
    found = data_files.difference(before, before | {"0.wav": (1, 2)})
    assert found == data_files.Change("1 file with the same size and another time (0.wav)", False)


def test_what_is_no_data_is_not_looked_at(tmp_path: Path) -> None:
    for name in ("a.wav", ".hidden.wav", "b.py", "sub/c.FLAC", ".git/d.wav", "runs/e.wav"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    found = data_files.look(tmp_path, (), tmp_path / "runs")
    assert found is not None
    assert set(found) == {"a.wav", str(Path("sub", "c.FLAC"))}


def test_runs_on_the_same_files_share_their_state(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    for i in range(3):
        (tmp_path / "mine" / f"{i}.wav").write_bytes(b"x")
    store = Store(tmp_path / "runs")
    found = data_files.take(store, tmp_path / "mine", ())
    for key in ("a", "b"):
        data_files.keep(store, store.artifacts(key), found)
        assert data_files.change(store, key) is None
    assert len(list((tmp_path / "runs" / "data-files").iterdir())) == 1
    (tmp_path / "mine" / "0.wav").unlink()
    data_files.forget()
    assert {data_files.change(store, key) for key in ("a", "b")} == {data_files.Change("1 file removed (0.wav)", True)}
    (tmp_path / "runs" / "artifacts" / "a" / data_files.NAME).write_text("damaged")
    assert data_files.change(store, "a") is None
    assert data_files.take(store, None, ()) is None
