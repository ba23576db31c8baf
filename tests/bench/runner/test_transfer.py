"""Transfer between own datasets: allowed where no clip is shared, refused naming the clips where there are."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
from fakes.calls import Call, records, run

SUITE = """models = ["{model}"]
datasets = ["{name}"]
[recipe]
epochs = 1
[dataset.{name}]
dataset = "folder"
root = "{root}"
sample_rate = {rate}
clip_seconds = 0.2
{more}
"""
CLASSES = ("cat", "cow")


def write(root: Path, seed: int, classes: tuple[str, ...] = CLASSES) -> Path:
    rng = np.random.default_rng(seed)
    for label in classes:
        (root / label).mkdir(parents=True)
        for i in range(10):
            soundfile.write(root / label / f"{seed}-{label}{i}.wav", 0.1 * rng.standard_normal(1_600), 8_000)
    return root


def train(folder: Path, name: str, more: str = "", model: str = "fc", rate: int = 8_000, root: str = "") -> Call:
    root = root or str(folder / name)
    return run(SUITE.format(model=model, name=name, root=root, rate=rate, more=more), folder)


@pytest.fixture
def first(tmp_path: Path) -> str:
    """Key of a finished run on a dataset "a"."""
    write(tmp_path / "a", 1)
    assert train(tmp_path, "a").code == 0
    (record,) = records(tmp_path)
    return record.key


pytestmark = [pytest.mark.slow, pytest.mark.process]


@pytest.mark.parametrize("role", ["init", "teacher"])
def test_a_run_on_other_own_data_may_be_the_start(tmp_path: Path, first: str, role: str) -> None:
    write(tmp_path / "b", 2)
    call = train(tmp_path, "b", f'recipe = {{{role} = "{first}"}}')
    assert call.code == 0, call.words
    if role == "init":
        assert f"starts from {first}" in call.words
        (tuned,) = (record for record in records(tmp_path) if record.key != first)
        assert tuned.data is not None
        assert f"starts from {first}" in tuned.data.note


@pytest.mark.parametrize("role", ["init", "teacher"])
@pytest.mark.parametrize("how", ["copies", "flac", "another rate"])
def test_shared_clips_are_named(tmp_path: Path, first: str, role: str, how: str) -> None:
    write(tmp_path / "b", 2)
    for label in CLASSES:
        for path in sorted((tmp_path / "a" / label).iterdir()):
            samples, rate = soundfile.read(path, dtype="int16")
            target = tmp_path / "b" / label / f"copy-{path.stem}.{'flac' if how == 'flac' else 'wav'}"
            soundfile.write(target, samples, rate)
    call = train(tmp_path, "b", f'recipe = {{{role} = "{first}"}}', rate=16_000 if how == "another rate" else 8_000)
    assert call.code == 1
    assert "clips that this run's data have, too: " in call.words
    assert "copy-1-c" in call.words
    assert "Remove them from one of the two datasets" in call.words


def test_another_number_of_classes_and_another_rate_are_said(tmp_path: Path, first: str) -> None:
    write(tmp_path / "b", 2, ("cat", "cow", "dog"))
    call = train(tmp_path, "b", f'recipe = {{init = "{first}"}}', rate=16_000)
    assert call.code == 0, call.words
    assert "except for the last layer" in call.words
    assert "was trained at 8000 Hz, and these clips are at 16000 Hz" in call.words


def test_the_same_data_in_another_form_may_be_the_start_on_the_same_fold(tmp_path: Path, first: str) -> None:
    call = train(tmp_path, "a", f'recipe = {{init = "{first}"}}', rate=16_000)
    assert call.code == 0, call.words


def test_clips_of_the_run_before_count_too(tmp_path: Path, first: str) -> None:
    write(tmp_path / "b", 2)
    assert train(tmp_path, "b", f'recipe = {{init = "{first}"}}').code == 0
    (second,) = (record.key for record in records(tmp_path) if record.key != first)
    write(tmp_path / "c", 3)
    for path in (tmp_path / "a" / "cat").iterdir():
        shutil.copy(path, tmp_path / "c" / "cat" / f"again-{path.name}")
    call = train(tmp_path, "c", f'recipe = {{init = "{second}"}}')
    assert call.code == 1
    assert "again-1-cat" in call.words


def test_a_run_without_kept_clips_is_refused_with_a_remedy(tmp_path: Path, first: str) -> None:
    (tmp_path / "runs" / "artifacts" / first / "training_clips.json").unlink()
    write(tmp_path / "b", 2)
    call = train(tmp_path, "b", f'recipe = {{init = "{first}"}}')
    assert call.code == 1
    assert f"repeat the suite's `bench run --suite ...` with --key {first} and --force" in call.words
    again = SUITE.format(model="fc", name="a", root=tmp_path / "a", rate=8_000, more="")
    assert run(again, tmp_path, "--force").code == 0
    assert train(tmp_path, "b", f'recipe = {{init = "{first}"}}').code == 0
