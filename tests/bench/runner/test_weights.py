"""Weights from a file, through a suite: what was taken is printed, and stands in the record."""

import shutil
from pathlib import Path

import pytest
import torch
from fakes import folder
from fakes.calls import records, run

from bench.training import build

SUITE = """models = ["{model}"]
datasets = ["folder"]
[recipe]
epochs = 1
{recipe}
[model.{model}]
{arguments}
[dataset.folder]
root = "{root}"
sample_rate = 8000
clip_seconds = 0.5
"""


@pytest.mark.slow
@pytest.mark.process
@pytest.mark.parametrize("model", ["cnn", "swishnet", "cnn6"])
def test_a_training_starts_from_a_file(model: str, tmp_path: Path) -> None:
    own = {"scale": 0.05} if model == "cnn6" else {}
    other = build.sized(model, "logmel-panns" if model == "cnn6" else {"cnn": "logmel-20ms"}.get(model, "mfcc"),
                        own, (4_000,), 8_000, 7)  # fmt: skip
    path = tmp_path / "last.ckpt"
    torch.save({"state_dict": {f"model.{name}": tensor for name, tensor in other.state_dict().items()}}, path)
    text = SUITE.format(
        model=model,
        root=folder.write(tmp_path / "mine"),
        recipe=f'init = "{path}"',
        arguments="scale = 0.05" * bool(own),
    )
    call = run(text, tmp_path)
    assert call.code == 0, call.words
    assert "tensors taken from last.ckpt (entry 'state_dict', without the prefix 'model.')" in call.words
    assert "random weights stay in" in call.words
    (record,) = records(tmp_path)
    assert record.data is not None
    assert "tensors taken from last.ckpt" in record.data.note
    assert "on which clips they were trained is not known" in record.data.note
    page = (tmp_path / "runs" / "own.html").read_text()
    assert "tensors taken from last.ckpt" in page
    assert "0 run now, 1 done before" in run(text, tmp_path).words
    torch.save({"state_dict": other.state_dict(), "epoch": torch.zeros(99)}, path)
    assert "its data changed: 1 file changed (" in run(text, tmp_path).words


@pytest.mark.process
def test_a_file_of_another_model_is_refused_with_words(tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    torch.save(torch.nn.Linear(2, 2).state_dict(), path)
    text = SUITE.format(
        model="cnn6", root=folder.write(tmp_path / "mine"), recipe="", arguments=f'scale = 0.05\nweights = "{path}"'
    )
    call = run(text, tmp_path)
    assert call.code == 1
    assert "does not belong to a CNN6 with these arguments" in call.words
    assert "fetch" not in call.words


@pytest.mark.slow
@pytest.mark.process
def test_weights_of_a_run_are_checked_like_the_run(tmp_path: Path) -> None:
    root = folder.write(tmp_path / "mine")

    def text(fold: int, init: Path | None) -> str:
        recipe = "" if init is None else f'init = "{init}"'
        return f"folds = [{fold}]\n" + SUITE.format(model="fc", root=root, recipe=recipe, arguments="")

    assert run(text(0, None), tmp_path).code == 0
    (first,) = records(tmp_path)
    weights = tmp_path / "runs" / "artifacts" / first.key / "weights.safetensors"
    copy = shutil.copy(weights, tmp_path / "copy.safetensors")
    elsewhere = shutil.copytree(tmp_path / "runs", tmp_path / "other" / "runs")
    for path in (weights, copy):
        call = run(text(1, path), tmp_path)
        assert call.code == 1
        assert f"{first.key} was trained on another split of folder" in call.words
    call = run(text(0, copy), tmp_path)
    assert call.code == 0, call.words
    assert f"these are the weights of {first.key}" in call.words
    assert "is not known" not in call.words
    shutil.rmtree(tmp_path / "runs")
    call = run(text(1, elsewhere / "artifacts" / first.key / "weights.safetensors"), tmp_path)
    assert call.code == 1
    assert f"{first.key} was trained on another split of folder" in call.words
