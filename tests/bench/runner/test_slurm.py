"""The script for SLURM: what its tasks do, and that it submits itself, here to a program that notes it."""

import os
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bench import suites
from bench.cli import app
from bench.errors import SuiteError
from bench.records import Store
from bench.runner import slurm

SUITE = """
models = ["fc", "cnn", "swishnet", "student", "fusion-ds"]
datasets = ["synthetic"]
seeds = [0, 1]
[model.student]
model = "swishnet"
recipe = {teacher = "cnn"}
"""
SBATCH = """#!/bin/bash
echo "sbatch $*" >> "$NOTES"
echo "$(grep -c sbatch "$NOTES");cluster"
"""


@pytest.fixture
def suite(tmp_path: Path) -> suites.Suite:
    (tmp_path / "small.toml").write_text(SUITE)
    return suites.read(str(tmp_path / "small.toml"), Store(tmp_path / "runs"))


def printed(tmp_path: Path, *options: str) -> str:
    arguments = ["run", "--suite", str(tmp_path / "small.toml"), "--store", str(tmp_path / "runs"), "--print-slurm"]
    done = CliRunner().invoke(app, [*arguments, *options])
    assert done.exit_code == 0, done.output
    return done.stdout


def test_every_training_is_in_one_task_next_to_what_it_needs(suite: suites.Suite) -> None:
    todo = {run.key: run for run in suite.runs()}
    groups = slurm.tasks(todo)
    assert sorted(key for group in groups for key in group) == sorted(k for k, run in todo.items() if not run.members)
    assert sorted(map(len, groups)) == [1, 1, 1, 1, 2, 2]
    for first, second in (group for group in groups if len(group) == 2):
        assert todo[second].recipe.teacher == first


def test_an_array_is_no_larger_than_slurm_allows(suite: suites.Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slurm, "MAX_TASKS", 4)
    groups = slurm.tasks({run.key: run for run in suite.runs()})
    assert len(groups) == 3
    assert len({key for group in groups for key in group}) == 8


def test_nothing_left_to_train_is_said(suite: suites.Suite, tmp_path: Path) -> None:
    resources = slurm.Resources(cpus=1, gpus=0, logs=tmp_path)
    with pytest.raises(SuiteError, match="every training of the selection is done"):
        slurm.script("small", ["bench", "run"], {}, resources)
    todo = {run.key: run for run in suite.runs()}
    with pytest.raises(SuiteError, match="--store"):
        slurm.script("small", ["bench"], todo, slurm.Resources(cpus=1, gpus=0, logs=Path("/a b")))


@pytest.mark.process
def test_the_script_submits_itself_and_its_tasks_call_the_command(suite: suites.Suite, tmp_path: Path) -> None:
    text = printed(tmp_path, "--threads", "2", "--loaders", "1", "--device", "cuda", "--wandb", "disabled")
    assert "#SBATCH --array=0-5\n" in text
    assert "#SBATCH --cpus-per-task=3\n#SBATCH --gpus-per-task=1\n" in text
    tools = tmp_path / "tools"
    tools.mkdir()
    fake = tmp_path / "tools/sbatch"
    fake.write_text(SBATCH)
    fake.chmod(0o755)
    file = tmp_path / "small.slurm"
    file.write_text(text.replace("command=(", 'command=(echo "called:" ', 1))
    notes = tmp_path / "notes"
    outside = {"PATH": f"{tools}{os.pathsep}{os.environ['PATH']}", "NOTES": str(notes)}

    def call(*arguments: str, **more: str) -> str:
        command = ["bash", str(file), *arguments]
        return subprocess.run(command, env=outside | more, capture_output=True, text=True, check=True).stdout

    assert call("--partition=gpu").startswith("submitted 1 (6 tasks) and 2 ")
    first, last = notes.read_text().splitlines()
    assert first == f"sbatch --parsable --partition=gpu {file}"
    assert last == f"sbatch --parsable --array=0 --dependency=afterany:1 --partition=gpu {file} last"
    called = [call(SLURM_JOB_ID="7", SLURM_ARRAY_TASK_ID=str(i)) for i in range(6)]
    keys = {run.key for run in suite.runs() if not run.members}
    assert {word for line in called for word in line.split() if word in keys} == keys
    assert all("--no-timing" in line and "--wandb disabled" in line for line in called)
    end = call("last", SLURM_JOB_ID="8", SLURM_ARRAY_TASK_ID="0")
    assert "--key" not in end
    assert "--no-timing" not in end


@pytest.mark.process
@pytest.mark.slow
def test_a_task_trains_its_run_alone_and_does_not_time_it(tmp_path: Path) -> None:
    small = SUITE + "[recipe]\nepochs = 1\n[dataset.synthetic]\nclips_per_class = 10\nclip_seconds = 0.5\n"
    (tmp_path / "small.toml").write_text(small)
    key = next(run.key for run in suites.read(str(tmp_path / "small.toml")).runs() if run.model == "fc")
    arguments = ["--suite", str(tmp_path / "small.toml"), "--store", str(tmp_path / "runs"), "--key", key]
    done = CliRunner().invoke(
        app, ["run", *arguments, "--no-timing", "--device", "cpu", "--executor", "serial", "--wandb", "disabled"]
    )
    assert done.exit_code == 0, done.output
    store = Store(tmp_path / "runs")
    assert store.keys() == [key]
    record = store.get(key)
    assert record is not None
    assert not record.latencies
