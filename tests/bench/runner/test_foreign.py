"""Classes of other packages: a suite that names them runs, and what changes or is missing is said."""

import json
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from fakes import calls, foreign

import bench
from bench import lookup, suites
from bench.records import Record, Store

pytestmark = pytest.mark.slow

LISTS = """
models = ["my_package.net:Net"]
datasets = ["my_package.data:Mine"]
frontends = ["logmel"]
[recipe]
epochs = 1
[dataset."my_package.data:Mine"]
clips = 24
"""


@pytest.fixture(autouse=True)
def _path(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setenv("COLUMNS", "300")
    yield
    lookup.forget()


def do(suite: Path, *arguments: object, executor: str = "serial") -> tuple[int, str, str]:
    store = suite.parent / "runs"
    return calls.bench(
        "run", "--suite", suite, "--store", store, "--executor", executor, "--wandb", "disabled", "--device", "cpu",
        "--workers", 1, *arguments,
    )  # fmt: skip


def records(suite: Path) -> dict[str, Record]:
    store = Store(suite.parent / "runs")
    keys = store.keys()
    return {key: record for key in keys if (record := store.get(key))}


@pytest.mark.process
def test_a_suite_runs_the_classes_next_to_it(tmp_path: Path) -> None:
    suite = foreign.write(tmp_path / "a")
    code, output, error = do(suite)
    assert code == 0, output + error
    assert "2 run now, 0 done before, 0 failed" in output
    (mine,) = [record for record in records(suite).values() if record.run.model == "my_package.net:Net"]
    assert mine.key.startswith("my_package.data.Mine-logmel-my_package.net.Net-f0-s0-")
    assert mine.run.sources["model"] == {
        "package": "my_package", "version": None, "digest": mine.sources["model"],
    }  # fmt: skip
    assert set(mine.run.sources) == {"model", "dataset"}
    assert set(mine.sources) == {"model", "frontend", "dataset"}
    assert mine.latencies
    assert mine.scores["accuracy"] is not None
    assert mine.data is not None
    assert mine.scores["my_package.scores:clips"] == mine.data.clips["test"]
    assert "1 run now" not in do(suite, "--model", "mine", "--dataset", "tones", "--dry-run")[1]

    # another source is another run, a comment is not
    net = suite.parent / "my_package" / "net.py"
    net.write_text(net.read_text().replace("# a comment", "# another"))
    assert "0 run now, 2 done before" in do(suite)[1]
    parts = suite.parent / "my_package" / "parts.py"
    parts.write_text(
        parts.read_text().replace("return nn.Linear(inputs, outputs)", "return nn.Linear(inputs, outputs, False)")
    )
    code, output, _ = do(suite)
    assert code == 0
    assert "1 run now, 1 done before, 0 failed" in output
    new, old = sorted(
        (r for r in records(suite).values() if r.run.model.endswith("Net")), key=lambda r: r.key == mine.key
    )
    assert old == mine
    assert new.run.is_like(old.run)
    assert new.complexity.parameters == old.complexity.parameters - 4  # type: ignore[union-attr]

    # without the package the suite is still read, and the rows stay
    shutil.move(suite.parent / "my_package", tmp_path / "gone")
    lookup.forget()
    code, output, error = do(suite)
    assert code == 1
    assert "missing: my_package.net:Net: not installed: pip install my_package, or put it next to the suite" in error
    board = json.loads((suite.parent / "runs" / "mine.json").read_text())["leaderboards"][0]
    row = next(row for row in board["rows"] if row["model"] == "mine")
    assert row["records"] == [max((new, old), key=lambda r: (r.started, r.key)).key]
    assert "my_package.net:Net: not installed" in row["flags"]
    assert row["accuracy"] is not None
    code, output, error = calls.bench("compare", "mine", "fc", "--suite", suite, "--store", suite.parent / "runs")
    assert code == 0, error
    kept = Store(suite.parent / "runs")
    shown = kept.get(row["records"][0])
    assert shown is not None
    kept.write(replace(shown, scores=shown.scores | {"accuracy": 0.25, "macro_f1": 0.75}))  # as by an older version
    code, output, error = calls.bench("rescore", "--suite", suite, "--store", kept.root)
    again = kept.get(shown.key)
    assert again is not None
    assert again.scores["macro_f1"] == shown.scores["macro_f1"]
    code, output, error = calls.bench("publish", "--suite", suite, "--store", kept.root, "--to", tmp_path / "published")
    assert code == 0, error
    assert "2 of 2 records of mine are in" in output
    board = json.loads((tmp_path / "published" / "mine.json").read_text())["leaderboards"][0]
    published = next(each for each in board["rows"] if each["model"] == "mine")
    assert published["records"] == [shown.key]
    assert "my_package.net:Net: not installed" in published["flags"]


@pytest.mark.process
def test_child_processes_find_the_folder(tmp_path: Path) -> None:
    suite = foreign.write(tmp_path / "a")
    code, output, error = do(suite, "--model", "mine", executor="processes")
    assert code == 0, output + error
    assert "my_package" not in {
        name.partition(".")[0] for name in sys.modules if tmp_path.name in str(sys.modules[name])
    }
    (mine,) = records(suite).values()
    assert mine.latencies


@pytest.mark.process
def test_names_stand_directly_in_the_lists(tmp_path: Path) -> None:
    suite = foreign.write(tmp_path / "b", LISTS)
    code, output, error = do(suite, "--model", "my_package.net:Net")
    assert code == 0, output + error
    (record,) = records(suite).values()
    assert record.data is not None
    assert sum(record.data.clips.values()) == 24


@pytest.mark.process
def test_a_class_that_cannot_be_imported_fails_its_own_runs_only(tmp_path: Path) -> None:
    models = foreign.SUITE.replace('["mine", "fc"]', '["broken", "mine", "fc"]')
    suite = foreign.write(tmp_path / "c", models + '[model.broken]\nmodel = "my_package.broken:Net"\n')
    (suite.parent / "my_package" / "broken.py").write_text("import no_such_package\n")
    code, output, _ = do(suite)
    assert code == 1
    assert "2 run now, 0 done before, 1 failed" in output
    (failed,) = [record for record in records(suite).values() if record.status == "failed"]
    assert failed.error is not None
    assert failed.error.message == (
        "my_package.broken:Net cannot be imported: ModuleNotFoundError: No module named 'no_such_package'"
    )


@pytest.mark.process
def test_the_python_interface_takes_the_names(tmp_path: Path) -> None:
    suite = foreign.write(tmp_path / "d")
    results = bench.run(
        suite, store=tmp_path / "runs", models="mine", datasets="tones", executor="serial", quiet=True, device="cpu"
    )
    (row,) = results.to_dataframe().to_dict("records")
    assert row["name"] == "mine"
    assert row["status"] == "ok"


def test_the_python_interface_creates_the_classes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    foreign.write(tmp_path / "f")
    monkeypatch.syspath_prepend(tmp_path / "f")
    lookup.forget()
    model = bench.create_model("my_package.net:Net", classes=3, sample_rate=8000, clip_seconds=0.5, frontend="logmel")
    assert type(model).__name__ == "Net"
    data = bench.create_datamodule("my_package.data:Mine", clips=24)
    data.setup()
    assert len(data.classes) == 2


@pytest.mark.process
def test_commands_take_the_names_from_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    foreign.write(tmp_path / "g")
    monkeypatch.chdir(tmp_path / "g")
    size = ("my_package.net:Net", "--frontend", "logmel", "--seconds", 0.5, "--sample-rate", 8000, "--json")
    code, output, error = calls.bench("complexity", *size)
    assert code == 0, error
    assert json.loads(output)["parameters"] == 2 * 64 * 4 + 4 + 4 * 10 + 10
    code, output, error = calls.bench("latency", *size, "--device", "cpu", "--tier", "quick", "--scope", "model")
    assert code == 0, error


def test_results_are_read_without_an_import(tmp_path: Path) -> None:
    suite = foreign.write(tmp_path / "e")
    run = suites.read(str(suite)).runs()[0]
    store = Store(tmp_path / "runs")
    store.write(Record(run=run, status="ok", scores={"accuracy": 0.5}, intervals={"accuracy": (0.4, 0.6)}))
    for text in ("net", "data"):
        (suite.parent / "my_package" / f"{text}.py").write_text("raise SystemExit(17)\n")
    lookup.forget()
    for name in [name for name in sys.modules if name.startswith("my_package")]:
        del sys.modules[name]
    results = bench.load_results(tmp_path / "runs")
    (board,) = results.leaderboards()
    assert board.rows[0].scores["accuracy"] == 0.5
    assert not results.to_dataframe().empty
    code, _, error = calls.bench("reproduce", run.key, "--store", tmp_path / "runs")
    assert code == 1
    assert "is not imported, because only a record names it" in error
    suite.write_text(foreign.SUITE.replace('models = ["mine", "fc"]', 'models = ["mine"]'))
    assert (
        calls.bench("leaderboard", "--suite", suite, "--store", tmp_path / "runs")[0] == 1
    )  # its source is another now
    assert not any(name.startswith("my_package") for name in sys.modules)


HIDDEN = """
from torch import nn


class Net(nn.Module):
    def __init__(self, features, classes):
        super().__init__()
        self.head = nn.Linear(features, classes)

    def forward(self, x):
        return self.head(x.mean(2))
"""


def test_suites_in_two_folders_with_one_module_name_are_apart(tmp_path: Path) -> None:
    loaded = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "net.py").write_text(HIDDEN.replace("mean(2)", "mean(2) * 2") if name == "two" else HIDDEN)
        (tmp_path / name / f"{name}.toml").write_text(
            'models = ["n"]\ndatasets = ["synthetic"]\n[model.n]\nmodel = "net:Net"\nfrontend = "logmel"\n'
            "[dataset.synthetic]\nclips_per_class = 10\nclip_seconds = 0.5\n[recipe]\nepochs = 1\n"
        )
        loaded.append(bench.load_suite(tmp_path / name / f"{name}.toml"))
    done = [bench.run(s, store=tmp_path / "runs", device="cpu", executor="serial", quiet=True) for s in loaded]
    assert not any(each.failed for each in done)
    for each in done:
        (row,) = each.leaderboards()[0].rows
        assert not any("another version of the source" in flag for flag in row.flags)
    (first,) = done[0].records
    (tmp_path / "one" / "net.py").write_text(HIDDEN.replace("mean(2)", "amax(2)"))
    (changed,) = bench.run(loaded[0], store=tmp_path / "runs", device="cpu", executor="serial", quiet=True).records
    assert changed != first  # a suite in memory has the keys of the source as it is now
