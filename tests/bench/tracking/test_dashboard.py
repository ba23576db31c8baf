"""A whole suite with secrets planted everywhere: what its W&B files hold, and the workspace that shows it."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from fakes import forkservers
from fakes.answering import answering
from fakes.paths import PROJECT
from fakes.wandb_file import WandbRun, read_runs
from PIL import Image

from bench import suites
from bench.errors import BenchError
from bench.leaderboard import files
from bench.records import Record, Snapshot, Store
from bench.tracking import dashboard
from bench.tracking.charts import CHARTS
from bench.tracking.live import WITHIN_EPOCHS

pytestmark = pytest.mark.process

BENCH = [sys.executable, "-c", forkservers.BENCH]
SUITE = """
models = ["fc", "cnn"]
datasets = ["synthetic"]
[recipe]
epochs = 2
[dataset.synthetic]
clips_per_class = 10
clip_seconds = 0.5
"""
SECRETS = {
    "WANDB_API_KEY": "canary0a" * 5,
    "HF_TOKEN": "canary-token-of-another-service",
    "DATABASE_PASSWORD": "canary-password-of-a-database",
    "HTTPS_PROXY": "http://user:canary-proxy@127.0.0.1:9",
}
NETRC = "canary2b" * 5
NEEDLES = [*SECRETS.values(), NETRC, "canary"]


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("suite") / "little.toml"
    path.write_text(SUITE)
    return path


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    (folder / ".netrc").write_text(f"machine api.wandb.ai login user password {NETRC}\n")
    (folder / ".netrc").chmod(0o600)
    return folder


@pytest.fixture(scope="module")
def store(suite: Path, home: Path) -> Path:
    """The folder of a suite that ran offline, with secrets in the environment and in netrc."""
    folder = suite.parent / "runs"
    done = bench("run", "--suite", str(suite), "--store", str(folder), "--device", "cpu", home=home, **SECRETS)
    assert done.returncode == 0, done.stderr
    assert "W&B" not in done.stderr
    return folder


@pytest.fixture(scope="module")
def runs(store: Path) -> dict[str, WandbRun]:
    return read_runs(store / "wandb")


def bench(*arguments: str, home: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    environment = kept | {"HOME": str(home), "PYTHONPATH": os.pathsep.join([str(PROJECT), *_paths()])} | variables
    return subprocess.run(
        [*BENCH, *arguments], env=environment, cwd=PROJECT, capture_output=True, text=True, timeout=300
    )


def _paths() -> list[str]:
    return [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]


# What is mirrored


def test_every_run_of_a_suite_has_everything(store: Path, suite: Path, runs: dict[str, WandbRun]) -> None:
    trained = suites.read(str(suite)).runs()
    graded = Snapshot(Store(store), trained).graded()  # next to each other, as on the page
    assert set(runs) == {run.key for run in trained} | {"little-summary"}
    for run in trained:
        mirrored = runs[run.key]
        assert (mirrored.group, mirrored.job_type, mirrored.exit_code) == ("little", run.model, 0)
        for curve in ("train_loss", "val_loss", "val_accuracy"):
            assert len(mirrored.curve(curve)) == 2
        for name in CHARTS:
            assert mirrored.tables[f"{name}_table"]["data"]
        assert [row[0] for row in mirrored.tables["per-class"]["data"]] == list(record(store, run.key).classes)
        assert mirrored.config["dataset"] == "synthetic"
        assert mirrored.summary["test_accuracy"] == record(store, run.key).scores["accuracy"]
        assert "latency/cpu-1-end-to-end/p50_ms" in mirrored.summary
        linked = dict(mirrored.artifacts.values())
        assert Record.from_json(linked["record"][f"{run.key}.json"].read_text(), run.key) == graded[run.key]
        assert linked["model"]["weights.safetensors"] == Store(store).artifacts(run.key) / "weights.safetensors"


def test_the_worst_mistakes_are_those_of_the_logits(store: Path, suite: Path, runs: dict[str, WandbRun]) -> None:
    key = suites.read(str(suite)).runs()[0].key
    with np.load(Store(store).artifacts(key) / "logits.npz") as saved:
        x, y, ids = saved["logits"].astype(float), saved["targets"], saved["test_ids"]
    losses = np.log(np.exp(x).sum(1)) - x[np.arange(len(y)), y]
    wrong = x.argmax(1) != y
    expected = [ids[i] for i in np.argsort(-losses, kind="stable") if wrong[i]][:8]
    rows = runs[key].tables["worst/clips"]["data"]
    assert [row[0] for row in rows] == expected
    assert [row[3] for row in rows] == pytest.approx(sorted(losses[wrong], reverse=True)[:8], abs=1e-3)
    pictures, sounds = runs[key].media["worst/spectrograms"], runs[key].media["worst/audio"]
    assert len(pictures) == len(sounds) == len(expected)
    for (picture, caption), (sound, _), clip in zip(pictures, sounds, expected, strict=True):
        assert caption.endswith(f": {clip}")
        with Image.open(picture) as image:
            assert np.asarray(image.convert("L")).std() > 5  # something is to be seen
        heard, sample_rate = soundfile.read(sound)
        assert len(heard) == 0.5 * sample_rate
        assert heard.any()


def test_the_suite_has_a_leaderboard_and_scores_against_costs(
    store: Path, suite: Path, runs: dict[str, WandbRun]
) -> None:
    board = "synthetic (clip_seconds=0.5, clips_per_class=10)"
    tables_ = runs["little-summary"].tables
    assert {row[1] for row in tables_[f"leaderboard/{board}"]["data"]} == {"fc", "cnn"}
    for cost in ("macs", "parameters"):
        assert {row[0] for row in tables_[f"pareto/{board}/{cost}_table"]["data"]} == {"fc", "cnn"}
    grid = suites.read(str(suite))
    (found,) = files.boards(Snapshot(Store(store), grid.runs()), grid)
    steady = {row.label for row in found.rows if row.cpu and row.cpu.grade != "C"}
    timed = tables_.get(f"pareto/{board}/cpu_p50_ms_table", {"data": []})["data"]
    assert {row[0] for row in timed} == steady  # none where the machine was busy


def test_no_planted_secret_is_in_the_store(store: Path) -> None:
    assert hits(store) == []


def hits(folder: Path) -> list[tuple[str, str]]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files
    return [(path.name, needle) for path in files for needle in NEEDLES if needle.encode() in path.read_bytes()]


@pytest.mark.parametrize(
    "line",
    [
        "[model.fc]\napi_key = 'canary-0123'",
        "[model.fc]\nweights = 'https://me:canary-pw@host/fc.pt'",
        "[dataset.synthetic.auth]\npassword = 'canary-pw'",
        "[model.fc]\nwidth = 'hf_canarycanarycanarycanary'",
        f"[model.fc]\nnote = 'my key is {SECRETS['HF_TOKEN']}'",
    ],
)
def test_a_suite_that_holds_a_secret_is_refused_without_quoting_it(line: str, tmp_path: Path, home: Path) -> None:
    path = tmp_path / "telling.toml"
    path.write_text("models = ['fc']\ndatasets = ['synthetic']\n" + line)
    done = bench("run", "--suite", str(path), "--store", str(tmp_path / "runs"), home=home, **SECRETS)
    assert done.returncode == 2
    assert "looks like a secret" in done.stderr
    assert "canary" not in done.stderr + done.stdout
    assert not (tmp_path / "runs").exists()


def record(store: Path, key: str) -> Record:
    found = Store(store).get(key)
    assert found is not None
    return found


# The workspace


@pytest.fixture
def boards(store: Path, suite: Path) -> tuple[Any, ...]:
    pytest.importorskip("wandb_workspaces", reason="needs the dashboard extra: wandb-workspaces")
    grid = suites.read(str(suite))
    return files.boards(Snapshot(Store(store), grid.runs()), grid)


@pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecatedSince20")  # wandb-workspaces' own
def test_every_panel_shows_something_that_was_logged(
    boards: tuple[Any, ...], runs: dict[str, WandbRun], tmp_path: Path
) -> None:
    made = dashboard.build("little", boards, tmp_path, online=False)
    assert made.url is None
    section = json.loads(made.path.read_text())["spec"]["section"]
    (runset,) = section["runSets"]
    assert [item["value"] for item in runset["filters"]["filters"]] == ["little"]
    assert [key["name"] for key in runset["grouping"]] == ["group", "jobType"]
    panels = {each["name"]: each["panels"] for each in section["panelBankConfig"]["sections"]}
    assert list(panels) == ["Leaderboards", "Score against cost", "Learning curves", "Test clips", "Worst mistakes"]
    logged = {name for run in runs.values() for name in (*run.tables, *run.media, *run.summary)}
    logged |= {name for run in runs.values() for step in run.history for name in step}
    shown = {name for section_panels in panels.values() for panel in section_panels for name in shows(panel)}
    assert shown <= logged | {*WITHIN_EPOCHS, "step"}  # which trainings of a few milliseconds do not log
    board = "synthetic (clip_seconds=0.5, clips_per_class=10)"
    charts = {f"{name}_table" for name in CHARTS}
    costs = {f"pareto/{board}/{cost}_table" for cost in ("macs", "parameters")}
    costs |= {name for name in logged if name.startswith("pareto/") and name.endswith("_table")}
    media = {"worst/spectrograms", "worst/audio", "worst/clips"}
    assert charts | costs | media | {f"leaderboard/{board}", "train_loss", "val_accuracy", "per-class"} <= shown


def shows(panel: dict[str, Any]) -> Iterator[str]:
    """Yield the names of what a panel shows."""
    config = panel["config"]
    kind = panel["viewType"]
    if kind == "Vega2":
        (query,) = config["userQuery"]["queryFields"]
        yield next(f["args"][0]["value"] for f in query["fields"] if f["name"] == "summaryTable")
    elif kind == "Weave":
        yield find(config, "key")
    elif kind == "Scatter Plot":
        yield from (config[axis].removeprefix("summary:") for axis in ("xAxis", "yAxis"))
    elif kind == "Run History Line Plot":
        yield from (config["xAxis"], *config["metrics"])
    else:
        assert kind == "Media Browser"
        yield from config["mediaKeys"]


def find(content: Any, name: str) -> str:
    """Return the value of the constant that a panel's expression picks by."""
    if isinstance(content, dict):
        if name in content and isinstance(content[name], dict) and "val" in content[name]:
            return str(content[name]["val"])
        content = list(content.values())
    if isinstance(content, list):
        return next((found for value in content if (found := find(value, name))), "")
    return ""


@pytest.fixture
def site() -> Iterator[tuple[str, list[dict[str, Any]], Callable[[int], None]]]:
    """A server that takes workspaces as W&B's does: its address, what was asked, and a way to make it refuse."""
    asked: list[dict[str, Any]] = []
    status = [200]

    def answer(path: str, body: bytes) -> tuple[int, dict[str, Any]]:
        if path != "/graphql":
            return 200, {}
        question = json.loads(body)
        asked.append(question)
        if "upsertView" in question["query"]:
            view = {"id": "7", "name": question["variables"]["name"]}
            return status[0], {"data": {"upsertView": {"view": view, "inserted": True}}}
        viewer = {"id": "1", "entity": "somebody", "username": "somebody", "teams": {"edges": []}}
        return 200, {"data": {"viewer": viewer}}

    with answering(answer) as url:
        yield url, asked, lambda code: status.__setitem__(0, code)


@pytest.mark.usefixtures("boards")
def test_online_the_workspace_is_sent_and_sent_again_as_the_same_one(
    site: tuple[str, list[dict[str, Any]], Callable[[int], None]], store: Path, suite: Path, home: Path
) -> None:
    address, asked, refuse = site
    path = store / "wandb" / "little-workspace.json"
    path.unlink(missing_ok=True)
    command = ("dashboard", "--suite", str(suite), "--store", str(store), "--json")
    online = SECRETS | {"WANDB_BASE_URL": address, "HTTPS_PROXY": ""}
    done = bench(*command, home=home, **online)
    assert done.returncode == 0, done.stderr
    url = json.loads(done.stdout)["url"]
    assert url.startswith(f"{address}/somebody/audio-classification-bench?nw=")
    (first,) = [each["variables"] for each in asked if "upsertView" in each["query"]]
    assert (first["entityName"], first["displayName"], "id" in first) == ("somebody", "Suite little", False)
    written = json.loads(path.read_text())
    assert json.loads(first["spec"]) == written["spec"]
    assert (written["url"], written["id"]) == (url, "7")

    assert bench(*command, "--offline", home=home).returncode == 0  # forgets nothing
    done = bench(*command, home=home, **online)
    assert json.loads(done.stdout)["url"] == url
    assert [each["variables"].get("id") for each in asked if "upsertView" in each["query"]] == [None, "7"]

    refuse(400)
    done = bench(*command, home=home, **online)
    assert done.returncode == 1
    assert "W&B refused the workspace" in done.stderr
    assert json.loads(path.read_text())["id"] == "7"
    assert hits(store) == []


@pytest.mark.usefixtures("boards")
def test_without_an_account_the_definition_is_written_and_nothing_is_claimed(
    suite: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    done = bench("dashboard", "--suite", str(suite), "--store", str(tmp_path), home=tmp_path_factory.mktemp("nobody"))
    assert done.returncode == 1
    assert "no dashboard was made: W&B has no key for api.wandb.ai" in done.stderr
    assert "wandb sync" in done.stderr
    assert json.loads((tmp_path / "wandb" / "little-workspace.json").read_text())["spec"]
    assert "Not sent" in done.stdout


def test_without_the_extra_the_error_names_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "wandb_workspaces", None)
    with pytest.raises(BenchError, match=r"wandb-workspaces.*\[dashboard\]"):
        dashboard.build("little", [], tmp_path, online=False)
