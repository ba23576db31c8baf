"""What models print goes to the run's log, and to the standard error of commands that use a model."""

import json
import signal
import sys
from pathlib import Path

import pytest
from fakes import calls
from typer.testing import CliRunner

from bench.cli.options import App, print_json
from bench.profiling import output
from bench.runner.executors import Failed, Job, Limits, executor
from bench.runner.settings import RunSettings


@pytest.mark.process
def test_a_run_prints_to_its_log(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    settings = RunSettings(store=tmp_path, data_dir=tmp_path)
    jobs = [Job("a run, fold 0", "fakes.jobs:prints", (settings,)), Job("quiet", "fakes.jobs:add", (1, 2))]
    assert not [event for event in executor("processes")(jobs, 1) if isinstance(event, Failed)]
    assert sorted(path.name for path in (tmp_path / "logs").iterdir()) == ["a-run-fold-0.log"]
    lines = (tmp_path / "logs" / "a-run-fold-0.log").read_text().split("\n")
    assert sorted(lines) == ["", "printed by a model", "warned by a model", "written by a library"]
    said = capfd.readouterr()
    assert "a model" not in said.out + said.err


@pytest.mark.process
def test_a_process_that_dies_without_a_word_leaves_no_log(tmp_path: Path) -> None:
    settings = RunSettings(store=tmp_path, data_dir=tmp_path)
    jobs = [
        Job("killed", "fakes.jobs:dies_silently", (settings, signal.SIGKILL)),
        Job("stalled", "fakes.jobs:dies_silently", (settings, 0), Limits(run_seconds=2)),
        Job("spoken", "fakes.jobs:prints_and_dies", (settings,)),
    ]
    assert len([event for event in executor("processes")(jobs, 3) if isinstance(event, Failed)]) == 3
    assert [path.name for path in (tmp_path / "logs").iterdir()] == ["spoken.log"]


def test_a_log_has_a_name_that_every_system_takes(tmp_path: Path) -> None:
    path = output.path_of(tmp_path, 'fusions on esc10, fold 0 {"root": "../../x"}' + 300 * "y")
    assert path.parent == tmp_path / "logs"
    assert path.name.startswith("fusions-on-esc10-fold-0-root-..-..-x-yyy")
    assert len(path.name) == 204


def test_only_the_command_prints_to_the_standard_output() -> None:
    app = App()

    @app.command()
    def _use(name: str = "x") -> None:
        sys.stdout.write("printed by a model\n")
        print_json({"name": name})

    found = CliRunner().invoke(app, ["--name", "y"])
    assert json.loads(found.stdout) == {"name": "y"}
    assert found.stderr == "printed by a model\n"
    assert (
        "fc" in json.loads(calls.bench("list", "models", "--json").out)["models"]
    )  # the next command prints as before
