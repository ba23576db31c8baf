"""A package of one's own, installed by pip: its names are listed, its suite makes a leaderboard, its tests pass."""

import csv
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from fakes import forkservers
from fakes.paths import PROJECT

SOURCE = PROJECT / "examples" / "my_package"

pytestmark = [pytest.mark.process, pytest.mark.slow]

Call = Callable[..., str]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a copy of the package's project, and the package as it is installed from it, without a download."""
    folder = tmp_path_factory.mktemp("installed")
    shutil.copytree(SOURCE, folder / "project")
    subprocess.run(
        [
            sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-build-isolation",
            "--target", folder / "site", folder / "project",
        ],
        check=True, capture_output=True,
    )  # fmt: skip
    return folder


@pytest.fixture
def call(place: Path) -> Call:
    def call(*arguments: object) -> str:
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join([str(PROJECT), str(place / "site")]), "COLUMNS": "200", "PYTHONSAFEPATH": "1",
        }  # fmt: skip
        done = forkservers.run(["-m", *arguments], place, environment)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return call


def test_its_names_are_listed_with_package_and_version(call: Call) -> None:
    models = json.loads(call("bench", "list", "models", "--json"))["models"]
    assert models["attentive-pool"]["line"] == "AttentivePool of my-package 1.0"
    assert "my-package" in json.dumps(models["attentive-pool"]["package"])
    datasets = call("bench", "list", "datasets")
    assert "Sweeps of my-package 1.0" in datasets


def test_its_suite_makes_a_leaderboard(call: Call, place: Path) -> None:
    suite = place / "brief.toml"  # not in the project's folder, where the package lies uninstalled
    suite.write_text((place / "project" / "sweeps.toml").read_text().replace("= 20", "= 2").replace('"all"', "[0]"))
    call("bench", "run", "--suite", suite, "--executor", "serial", "--device", "cpu", "--wandb", "disabled")
    with (place / "runs" / "brief.csv").open() as file:
        table = {row["model"]: row for row in csv.DictReader(file)}
    assert set(table) == {"attentive-pool", "attentive-pool-wide", "fc"}
    for name in ("attentive-pool", "attentive-pool-wide"):
        row = table[name]
        assert float(row["macs"]) > 10_000
        assert float(row["cpu_p50_ms"]) > 0
        assert float(row["low"]) < float(row["high"])
    records = [json.loads(path.read_text()) for path in (place / "runs" / "records").glob("*attentive*.json")]
    for record in records:
        assert record["run"]["sources"]["model"]["package"] == "my-package"
        assert record["run"]["sources"]["dataset"]["version"] == "1.0"


def test_its_own_tests_pass(call: Call, place: Path) -> None:
    assert "2 passed" in call("pytest", "-q", "-p", "no:cacheprovider", place / "project" / "tests")
