"""The script for SLURM: what its tasks do, and that it submits itself, here to a program that notes it."""

import os
import subprocess
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from bench import suites
from bench.cli import app
from bench.cli import slurm as cli_slurm
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

    assert call("--partition=gpu", SLURM_JOB_ID="3").startswith("submitted 1 (6 tasks) and 2 ")  # within salloc
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


GIVEN = {
    "stall_minutes": "1.5", "run_hours": "2.0", "strategy": "ddp", "logger": "csv", "tier": "quick",
    "skip_unreadable": "", "wandb": "offline", "project": "mine", "entity": "me", "executor": "serial",
}  # fmt: skip
"""Values of the options that every task and the last job have."""
TASKS = {"force": "--force", "resume": "--no-resume"}
LAST = {"model": "fc", "dataset": "synthetic", "fold": "0", "seed": "1", "timing": "--no-timing"}


def options() -> dict[str, list[str]]:
    """Return the words of every option of `bench run`, by its parameter."""
    command = typer.main.get_command(app).commands["run"]  # type: ignore[attr-defined]
    return {each.name: [*each.opts, *each.secondary_opts] for each in command.params if each.name != "help"}


def test_every_option_is_in_the_script_or_refused_or_the_scripts_own(tmp_path: Path) -> None:
    lists = [set(GIVEN) - {"executor"}, set(TASKS), {*LAST, "key"}, set(cli_slurm.REFUSED), set(cli_slurm.WRITTEN)]
    assert sorted(name for each in lists for name in each) == sorted(options())
    assert set(cli_slurm.TASKS) == set(TASKS)
    assert set(cli_slurm.LAST) == {*LAST, "key"}


def test_the_last_job_has_the_selection_and_does_nothing_again(suite: suites.Suite, tmp_path: Path) -> None:
    with (tmp_path / "small.toml").open("a") as file:
        file.write("[tier.quick]\nseeds = [1]\n")
    names = options()
    shared = [word for name, value in GIVEN.items() for word in (names[name][0], value) if word]
    last = [word for name, value in LAST.items() if name != "timing" for word in (names[name][0], value)]
    last.append("--no-timing")
    text = printed(tmp_path, *shared, *last, *TASKS.values(), "--devices", "2")
    command, end, task = (
        next(line for line in text.splitlines() if line.strip().startswith(start))
        for start in ("command=(", 'exec "${command[@]}"', 'exec "${command[@]}" --force')
    )
    assert all(f" {names[name][0]} {value}".rstrip() in command for name, value in GIVEN.items())
    assert end.strip() == f'exec "${{command[@]}}" {" ".join(last)}'
    assert task == 'exec "${command[@]}" --force --no-resume --no-timing'
    assert not any(word in f"{command} {end}" for word in TASKS.values())
    assert "#SBATCH --array=0-0\n" in text


@pytest.mark.parametrize("words", [["--workers", "2"], ["--gpus", "0"], ["--executor", "ray"], ["--time-again"],
                                   ["--dry-run"], ["--json"], ["--data-url", "s3://a/b"]])  # fmt: skip
def test_an_option_that_a_task_cannot_follow_is_refused(suite: suites.Suite, tmp_path: Path, words: list[str]) -> None:
    arguments = ["run", "--suite", str(tmp_path / "small.toml"), "--store", str(tmp_path / "runs"), "--print-slurm"]
    done = CliRunner().invoke(app, [*arguments, *words])
    assert isinstance(done.exception, SuiteError)
    assert str(done.exception).startswith(f"{words[0]} and --print-slurm exclude each other (")


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
