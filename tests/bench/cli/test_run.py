"""`bench run`: what a dry run says of absent data, and what an interruption leaves behind."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from fakes import esc50, forkservers
from fakes.calls import bench
from fakes.wandb_file import read_runs

from bench.cli import run
from bench.cli.options import out
from bench.records import Failure
from bench.runner.driver import Runner
from bench.runner.outcome import Outcome
from bench.runner.settings import RunSettings
from bench.suites import Suite, read

pytestmark = pytest.mark.process

TWO = """
models = ["fc", "fusion-average", "lstm-skip"]
datasets = ["synthetic", "esc10"]
[recipe]
epochs = 1
"""
LONG = """
models = ["fc", "cnn"]
datasets = ["synthetic"]
[recipe]
epochs = 1
[model.cnn.recipe]
epochs = 2000
patience = 2000
[dataset.synthetic]
clips_per_class = 10
clip_seconds = 0.5
"""


@pytest.mark.parametrize(("untimed", "expected"), [(False, 0), (True, 1)])
def test_a_run_that_could_not_be_timed_is_exit_code_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, untimed: bool, expected: int
) -> None:
    def run(self: Runner, runs: object, force: bool) -> Outcome:
        self.outcome.done = ["a"]
        if untimed:
            self.outcome.not_timed["a"] = Failure(kind="killed", message="it died")
            self.outcome.warnings = ["a was not timed: it died"]
        return self.outcome

    monkeypatch.setattr(Runner, "run", run)
    code, output, error = bench(
        "run", "--suite", "smoke", "--store", tmp_path, "--wandb", "disabled", "--device", "cpu", "--json"
    )
    assert code == expected
    assert json.loads(output)["not_timed"] == ({"a": "it died"} if untimed else {})
    assert ("warning: a was not timed: it died" in error) == untimed


def test_a_dry_run_says_which_data_is_missing_as_the_run_would(tmp_path: Path) -> None:
    suite = tmp_path / "two.toml"
    suite.write_text(TWO)
    arguments = ("run", "--suite", suite, "--store", tmp_path / "runs", "--data-dir", tmp_path, "--dry-run")
    code, output, error = bench(*arguments)
    assert code == 1
    states = [line.split()[:2] for line in output.splitlines()]
    assert [state for state, key in states if key.startswith("esc10")] == 3 * ["missing"]
    assert "to" in {state for state, key in states}
    (line,) = error.splitlines()
    assert line.startswith(f"missing: dataset esc10 is not in {tmp_path / 'esc10'}")
    assert "--data-dir" in line
    code, output, _ = bench(*arguments, "--json")
    assert code == 1
    found = json.loads(output)
    assert {entry["state"] for entry in found if entry["key"].startswith("synthetic")} == {"to do"}
    assert all("esc50.csv" in entry["problem"] for entry in found if entry["state"] == "missing")
    (tmp_path / "esc10").mkdir()
    assert bench(*arguments)[0] == 1
    (tmp_path / "esc10").rmdir()
    esc50.write(tmp_path / "esc10")
    code, output, error = bench(*arguments)
    assert (code, error) == (0, "")
    assert "missing" not in output


def test_a_dry_run_misses_clips_of_ones_own(tmp_path: Path) -> None:
    suite = tmp_path / "own.toml"
    suite.write_text(f'models = ["fc"]\ndatasets = ["folder"]\n[dataset.folder]\nroot = "{tmp_path / "mine"}"\n')
    code, output, error = bench("run", "--suite", suite, "--store", tmp_path / "runs", "--dry-run")
    assert code == 1
    assert output.startswith("missing ")
    assert str(tmp_path / "mine") in error


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--logger", "mlflow"), "'mlflow' is not one of"),
        (("--logger", "wandb", "--wandb", "disabled"), "leave one of them out"),
        (("--logger", "csv", "--entity", "team"), "entity = 'team' is W&B's, which is off"),
        (("--project", "a/b"), "W&B allows no project 'a/b'"),
    ],
)
def test_loggers_that_contradict_each_other_start_nothing(tmp_path: Path, options: tuple[str, ...], words: str) -> None:
    code, _, error = bench("run", "--suite", "smoke", "--store", tmp_path / "runs", *options)
    assert code == 2
    assert words in " ".join(error.replace("│", " ").split())
    assert not (tmp_path / "runs").exists()


def test_loggers_are_options_and_the_flags_win(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    suite = tmp_path / "one.toml"
    suite.write_text(LONG.replace('"fc", "cnn"', '"fc"').split("[model.cnn")[0] + LONG[LONG.index("[dataset") :])
    monkeypatch.setenv("WANDB_PROJECT", "theirs")
    monkeypatch.setenv("WANDB_ENTITY", "team")
    monkeypatch.setenv("WANDB_MODE", "offline")
    store = tmp_path / "runs"
    arguments = ("--executor", "serial", "--device", "cpu", "--project", "mine")
    code, output, _ = bench(
        "run", "--suite", suite, "--store", store, *arguments, "--logger", "csv", "--logger", "wandb"
    )
    assert code == 0
    assert ": epoch 1/1, validation " in output
    (run,) = [each for each in read_runs(store / "wandb").values() if each.job_type != "summary"]
    assert (run.project, run.entity, run.exit_code) == ("mine", "team", 0)
    assert len(run.curve("val_accuracy")) == len(run.curve("train_loss")) == 1  # live, and not again at the end
    assert (store / "logs" / run.run_id / "metrics.csv").is_file()


@pytest.fixture
def running(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Start a suite whose second run trains for minutes, and wait until it does."""
    suite = tmp_path / "long.toml"
    suite.write_text(LONG)
    command = [sys.executable, "-c", forkservers.BENCH, "run", "--suite", str(suite), "--workers", "1"]
    command += ["--store", str(tmp_path / "runs"), "--wandb", "disabled", "--device", "cpu"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        until = time.monotonic() + 300
        while not list((tmp_path / "runs").glob("artifacts/*cnn*/.tmp-run-*/.tmp-fit-*")):
            assert process.poll() is None
            assert time.monotonic() < until
            time.sleep(0.05)
        yield process
        process.kill()


@pytest.mark.parametrize(("how", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_run_leaves_nothing_half_done_and_says_how_to_go_on(
    running: subprocess.Popen[str], tmp_path: Path, how: signal.Signals, code: int
) -> None:
    running.send_signal(how)
    _, error = running.communicate(timeout=300)
    assert running.returncode == code
    assert "interrupted; repeat the command to go on: 1 of 2 runs are done, 2 timings are left" in error
    assert "Traceback" not in error
    time.sleep(0.5)  # a process that was not gone would write again
    assert not list((tmp_path / "runs").rglob(".tmp-*"))
    assert len(list((tmp_path / "runs" / "records").glob("*.json"))) == 1
    assert "fc" in (tmp_path / "runs" / "long.md").read_text()


def test_a_failure_of_several_runs_is_said_once_and_its_further_lines_are_indented(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    failure = Failure(kind="ValueError", message="first\nsecond")
    session = SimpleNamespace(
        settings=RunSettings(store=tmp_path, data_dir=tmp_path), executor="processes",
        suite=Suite(name="two", models=("fc",), datasets=("synthetic",)),
    )  # fmt: skip
    for count, words in ((1, "a"), (2, "a and 1 more run"), (3, "a and 2 more runs")):
        run._report(Outcome(failed=dict.fromkeys("abc"[:count], failure)), session, out)
        assert f"failed: {words}: ValueError: first\n    second\n" in capsys.readouterr().err


def test_the_command_of_a_remedy_finds_the_suites_file_and_the_store(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a b.toml").write_text('models = ["fc"]\ndatasets = ["synthetic"]\n')
    own, known = read("sub/a b.toml"), read("smoke")
    monkeypatch.setenv("BENCH_DATA", str(tmp_path / "data"))
    for suite, store, data, executor, command in (
        (own, "runs", "data", "processes", "bench run --suite 'sub/a b.toml'"),
        (own, "else/where", "data", "processes", "bench run --suite 'sub/a b.toml' --store else/where"),
        (known, "runs", "my data", "processes", "bench run --suite smoke --data-dir 'my data'"),
        (known, "else", "data", "ray", "bench run --suite smoke --store else --executor ray"),
    ):
        settings = RunSettings(store=tmp_path / store, data_dir=tmp_path / data)
        assert run._command_here(SimpleNamespace(settings=settings, suite=suite, executor=executor)) == command
    settings = replace(settings, devices=2, data_url="s3://a/b", skip_unreadable=True)
    assert run._command_here(SimpleNamespace(settings=settings, suite=suite, executor=executor)) == (
        f"{command} --data-url s3://a/b --devices 2 --strategy ddp --skip-unreadable"
    )
