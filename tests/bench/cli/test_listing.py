"""`bench list` and `bench data status` give one answer, without torch."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest
from fakes import audioset, audioset_embeddings, esc50, gtzan, musan, ravdess, urbansound8k, vggsound
from typer.testing import CliRunner

from bench import catalog, suites
from bench.catalog import FUSIONS, MODELS
from bench.cli import app
from bench.records import Scope

pytestmark = pytest.mark.process

FAKES: dict[str, Callable[[Path], object]] = {
    "esc10": esc50.write,
    "esc50": esc50.write,
    "urbansound8k": urbansound8k.write,
    "ravdess": ravdess.write,
    "musan": musan.write,
    "musan-streams": musan.write,
    "gtzan-music-speech": gtzan.write,
    "vggsound": vggsound.write,
    "audioset": audioset.write,
    "audioset-embeddings": lambda root: audioset_embeddings.write(root, {"bal_train": [[]], "eval": [[]]}),
}
WITH_FOLDER = {name: entry.folder for name, entry in catalog.DATASETS.items() if entry.folder}


def ask(*arguments: str) -> tuple[int, str, list[str]]:
    """Call `bench` in a process of its own; returns its exit code, its output, and the modules that it imported."""
    code = (
        "import sys\nfrom bench.cli import main\ntry:\n    main()\nfinally:\n    print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr.split()


def test_every_dataset_has_a_fake() -> None:
    assert FAKES.keys() == WITH_FOLDER.keys()


def test_an_empty_folder_is_no_dataset(tmp_path: Path) -> None:
    for folder in WITH_FOLDER.values():
        (tmp_path / folder).mkdir(exist_ok=True)  # two datasets are made from one folder
    code, listed, modules = ask("list", "datasets", "--json", "--data-dir", str(tmp_path))
    assert code == 0
    assert "torch" not in modules
    here = {name: entry["here"] for name, entry in json.loads(listed)["datasets"].items()}
    assert [name for name in here if here[name]] == [
        "synthetic", "synthetic-tags", "synthetic-streams", "folder", "embeddings",
    ]  # fmt: skip
    code, status, modules = ask("data", "status", "--json", "--data-dir", str(tmp_path))
    assert code == 0
    assert "torch" not in modules
    assert all(entry["problem"] for entry in json.loads(status).values())


@pytest.mark.parametrize("name", FAKES)
def test_class_list_and_suites_agree_about_a_dataset(name: str, tmp_path: Path) -> None:
    root = tmp_path / WITH_FOLDER[name]
    target = catalog.load(catalog.DATASETS[name].target)
    suite = suites.Suite(name="s", models=("fc",), datasets=("synthetic",), datasets_if_here=(name,))
    planned = [run.dataset for run in suites.at_hand(suite, suite.runs(), tmp_path)]
    assert not catalog.on_disk(name, tmp_path)
    assert catalog.missing(name, tmp_path) == target.find(root) != None  # noqa: E711 - all three are compared
    assert name not in planned
    root.mkdir()
    assert not catalog.on_disk(name, tmp_path)
    assert name not in {run.dataset for run in suites.at_hand(suite, suite.runs(), tmp_path)}
    root.rmdir()
    FAKES[name](root)
    assert catalog.on_disk(name, tmp_path)
    assert catalog.missing(name, tmp_path) is target.find(root) is None
    assert name in {run.dataset for run in suites.at_hand(suite, suite.runs(), tmp_path)}


def test_a_dataset_without_a_quick_answer_is_asked_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = catalog.Dataset(target="datamodules.esc50:ESC50", line="", folder="mine", folds=5)
    monkeypatch.setitem(catalog.DATASETS, "mine", entry)
    (tmp_path / "mine").mkdir()
    assert not catalog.on_disk("mine", tmp_path)
    assert "esc50.csv" in (catalog.missing("mine", tmp_path) or "")
    esc50.write(tmp_path / "mine")
    assert catalog.on_disk("mine", tmp_path)


def listed(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["list", *arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_the_json_has_fusions_of_their_own_and_among_the_models_as_before() -> None:
    everything = json.loads(listed("--json"))
    assert set(everything["fusions"]) == set(FUSIONS)
    assert list(everything["models"]) == [*MODELS, *FUSIONS]
    line = "members combined by Dempster's rule"
    assert everything["fusions"]["fusion-ds"] == {"line": line}
    assert everything["models"]["fusion-ds"] == {"line": line, "frontend": "none"}
    assert json.loads(listed("fusions", "--json")) == {"fusions": everything["fusions"]}


def test_the_text_names_each_fusion_once() -> None:
    text = listed()
    assert [text.count(f"  {name} ") for name in FUSIONS] == [1] * len(FUSIONS)
    assert text.index("fusions\n") > text.index("wavegram-logmel-cnn")
    assert "fusion-ds" in listed("models")


HEAVY = {"numpy", "pandas", "rich.progress", "bench.records.record", "bench.records.store", "bench.suites.suite"}
"""Modules that a list and a help do not need; each takes longer to import than either takes to print."""


@pytest.mark.parametrize(
    ("arguments", "more", "own"),
    [(["--help"], {"pydantic", "importlib.metadata"}, 45), (["list"], {"rich.markdown"}, 45)],
    ids=["help", "list"],
)
def test_help_and_lists_import_little(arguments: list[str], more: set[str], own: int) -> None:
    code, shown, modules = ask(*arguments)
    assert code == 0
    assert shown
    assert not (HEAVY | more).intersection(modules)
    ours = [name for name in modules if name.partition(".")[0] in ("bench", "models", "datamodules")]
    assert sum(not name.startswith("bench.catalog.") for name in ours) <= own  # the catalogue is always read whole


def test_the_scopes_to_choose_are_those_of_the_records() -> None:
    from bench.cli.latency import ScopeName

    assert {each.value for each in ScopeName} == set(get_args(Scope))
