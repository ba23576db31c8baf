"""Lightning's command line: names, sizes from the data, a file of options, and every subcommand."""

import csv
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from fakes import esc50, forkservers
from fakes.paths import PROJECT

from bench.errors import SuiteError
from bench.lightning import translated

Call = Callable[[str], subprocess.CompletedProcess[str]]

EXAMPLE = PROJECT / "examples" / "swishnet_esc50.yaml"
QUIET = " --trainer.enable_progress_bar=false --trainer.enable_model_summary=false"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cli")
    esc50.write(folder / "esc50")
    return folder


@pytest.fixture
def call(place: Path) -> Call:
    def call(line: str) -> subprocess.CompletedProcess[str]:
        environment = os.environ | {"PYTHONPATH": str(PROJECT), "BENCH_DATA": str(place), "COLUMNS": "200"}
        return forkservers.run(["-m", "bench.lightning", *shlex.split(line)], place, environment)

    return call


@pytest.mark.slow
def test_the_help_names_the_command(call: Call) -> None:
    done = call("--help")
    assert done.returncode == 0
    assert done.stdout.startswith("usage: python -m bench.lightning ")


def test_names_of_the_catalogue_are_classes_with_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_DATA", "/data")
    assert list(translated(["fit", "--model", "swishnet-wide", "--model.dropout=0.1", "--data=esc50"])) == [
        "fit", "--model", "models.swishnet.SwishNet", "--model.width=2", "--model.dropout=0.1",
        "--data", "datamodules.esc50.ESC50", "--data.root=/data/esc50",
    ]  # fmt: skip
    assert list(translated(["--model", "SwishNet", "--data", "ESC50"])) == [
        "--model", "models.swishnet.SwishNet", "--data", "datamodules.esc50.ESC50",
    ]  # fmt: skip
    assert list(translated(["--model=my_package.net:Net"])) == ["--model", "my_package.net.Net"]
    with pytest.raises(SuiteError, match="Did you mean 'swishnet'"):
        list(translated(["--model", "swshnet"]))
    with pytest.raises(SuiteError, match="combines the results"):
        list(translated(["--model", "fusion-ds"]))


@pytest.mark.process
@pytest.mark.slow
def test_a_file_of_options_trains_and_its_checkpoint_is_tested(call: Call, place: Path) -> None:
    options = f"--config {EXAMPLE} --data.root esc50{QUIET}"
    done = call(f"fit {options} --trainer.max_epochs 2 --recipe.learning_rate 2e-2")
    assert done.returncode == 0, done.stdout + done.stderr
    folder = place / "runs" / "lightning_logs" / "version_0"
    assert {"config.yaml", "metrics.csv", "hparams.yaml"} <= {path.name for path in folder.iterdir()}
    (path,) = folder.rglob("*.ckpt")
    content = torch.load(path, weights_only=True)
    assert content["hyper_parameters"]["width"] == 2
    assert content["audio_model"]["recipe"]["learning_rate"] == 2e-2
    assert content["audio_model"]["recipe"]["ema_decay"] == 0.99
    assert set(content["audio_model"]["labels"]) == {"dog", "rooster", "rain", "chainsaw", "birds"}

    path = path.rename(place / "trained.ckpt")
    again = call(f"test {options} --ckpt_path {path}")
    assert again.returncode == 0, again.stdout + again.stderr
    assert "test_accuracy" in again.stdout
    wrong = call(f"test --model SwishNet --data esc10 --data.root esc50 --ckpt_path {path}{QUIET}")
    assert wrong.returncode == 1
    assert "error: the checkpoint's classes are" in wrong.stderr


@pytest.mark.process
@pytest.mark.slow
def test_a_name_of_the_catalogue_trains_validates_and_predicts(call: Call, place: Path) -> None:
    done = call(
        f"fit --model swishnet-wide --data esc50 --frontend logmel --checkpoint.filename best "
        f"--trainer.max_epochs 1 --trainer.default_root_dir named{QUIET}"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = (place / "named").rglob("best.ckpt")
    content = torch.load(path, weights_only=True)["hyper_parameters"]
    assert (content["width"], content["frontend"]["class"]) == (2, "models.frontends.logmel:LogMel")
    given = f"--model SwishNet --data esc50 --ckpt_path {path} --trainer.default_root_dir named{QUIET}"
    assert "val_accuracy" in call(f"validate {given}").stdout
    predicted = call(f"predict {given}")
    assert predicted.returncode == 0, predicted.stdout + predicted.stderr
    with (place / predicted.stdout.splitlines()[-1].removeprefix("predictions: ")).open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 10
    assert all(sum(float(row[name]) for name in ("dog", "rain", "birds")) <= 1 + 1e-6 for row in rows)
    assert rows[0]["clip"].endswith(".wav")


@pytest.mark.process
@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("test --model SwishNet --data esc50", 1, "error: test needs the checkpoint of a training: give --ckpt_path"),
        ("test --model SwishNet --data esc50 --ckpt_path no.ckpt", 1, "error: test finds no checkpoint no.ckpt"),
        ("fit --model SwishNet --data ESC50 --data.root nowhere", 1, "error: missing nowhere/meta/esc50.csv"),
        ("fit --model SwishNet --data esc50 --model.widht 3", 2, "widht"),
        ("fit --model SwishNet --data esc50 --recipe.epochs 3", 2, "epochs"),
        ("fit --model swshnet --data esc50", 2, "Did you mean 'swishnet'"),
    ],
)
def test_mistakes_are_errors_that_say_so(call: Call, line: str, code: int, said: str) -> None:
    done = call(line)
    assert done.returncode == code
    assert said in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("option", "name", "said"),
    [
        ("--model", "torch.nn.Linear", "torch.nn.Linear is a class, but no models.base.AudioModel"),
        ("--model", "lightning.pytorch.demos.boring_classes:BoringModel", "is a LightningModule, but no models.base"),
        ("--model", "lightning.pytorch.demos.boring_classes.BoringModel", 'boring_classes:BoringModel"` in a suite'),
        ("--data", "torch.nn.Linear", "torch.nn.Linear is no LightningDataModule"),
    ],
)
def test_classes_of_another_kind_are_refused_in_words(option: str, name: str, said: str) -> None:
    with pytest.raises(SuiteError) as refused:
        list(translated([option, name]))
    assert said in str(refused.value)


@pytest.mark.process
@pytest.mark.slow
def test_without_jsonargparse_the_extra_is_named() -> None:
    done = subprocess.run(
        [sys.executable, "-c", ABSENT],
        env=os.environ | {"PYTHONPATH": str(PROJECT)}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 1
    assert "error: Lightning's command line needs the package jsonargparse: pip install" in done.stderr
    assert "[cli]" in done.stderr


ABSENT = """
import importlib.metadata, runpy, sys
known = importlib.metadata.version
def version(name):
    if name == "jsonargparse":
        raise importlib.metadata.PackageNotFoundError(name)
    return known(name)
importlib.metadata.version = version
sys.modules["jsonargparse"] = None
sys.argv = ["lightning", "fit"]
runpy.run_module("bench.lightning", run_name="__main__")
"""
"""Runs the command as where the package is not installed."""
