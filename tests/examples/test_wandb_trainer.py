"""Under a Trainer with WandbLogger, a training logs the names that the harness logs."""

import os
from collections.abc import Iterable
from pathlib import Path

import pytest
from fakes import forkservers
from fakes.paths import PROJECT
from fakes.wandb_file import WandbRun, read_runs

SUITE = """
models = ["swishnet"]
datasets = ["synthetic"]
[recipe]
epochs = 2
[dataset.synthetic]
clips_per_class = 10
"""
LIGHTNINGS = {"trainer/global_step"}
"""WandbLogger's own name of what the harness calls `step`."""


def start(folder: Path, *arguments: object) -> WandbRun:
    environment = os.environ | {"PYTHONPATH": str(PROJECT), "COLUMNS": "200", "WANDB_SILENT": "true"}
    done = forkservers.run(arguments, folder, environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return next(run for run in read_runs(folder).values() if run.job_type != "summary")


def names(run: WandbRun) -> set[str]:
    """Return the names of the numbers of all points of a training, without W&B's own."""
    points = [point for point in run.history if all(isinstance(value, int | float) for value in point.values())]
    return {name for point in points for name in point if not name.startswith("_")}


def of_the_test(names: Iterable[str]) -> set[str]:
    return {name for name in names if name.startswith("test_")}


@pytest.mark.process
@pytest.mark.slow
def test_the_names_are_those_of_the_harness(tmp_path: Path) -> None:
    (tmp_path / "harness").mkdir()
    (tmp_path / "trainer").mkdir()
    (tmp_path / "harness" / "one.toml").write_text(SUITE)
    harness = start(
        tmp_path / "harness", "-m", "bench", "run", "--suite", "one.toml", "--executor", "serial", "--device", "cpu",
        "--logger", "wandb", "--wandb", "offline",
    )  # fmt: skip
    mine = start(tmp_path / "trainer", PROJECT / "examples" / "wandb_trainer.py", 2, "runs")
    training, logged = names(harness), names(mine)
    assert {"train_loss", "val_loss", "val_accuracy", "learning_rate", "gradient_norm", "clips_per_second"} <= training
    assert training - logged == {"step"}
    assert logged - training - of_the_test(logged) - LIGHTNINGS <= {"train_loss_step", "val_score"}
    assert len(mine.curve("val_accuracy")) == len(harness.curve("val_accuracy")) == 2
    assert {"test_accuracy", "test_macro_f1", "test_mAP"} <= of_the_test(harness.summary) <= of_the_test(logged)
