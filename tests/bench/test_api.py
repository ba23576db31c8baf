"""The library: what `import bench` offers, and that each name does what the command does."""

import doctest
import importlib
import inspect
import json
import logging
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pandas
import pytest
import torch
from fakes import esc50, forkservers
from fakes.paths import PROJECT

import bench
import bench.leaderboard.board
from bench.catalog import METRICS
from bench.cli import predict as commands_predict
from bench.cli import run as commands
from bench.leaderboard.board import Leaderboard
from bench.records import Failure, Run, Store
from bench.runner.outcome import Outcome
from bench.runner.session import Session
from bench.runner.settings import RunSettings

pytestmark = pytest.mark.process

SUITE = """
models = ["fc", "lstm-skip", "fusion-average"]
datasets = ["synthetic"]
folds = [0, 1]
[recipe]
epochs = 1
[dataset.synthetic]
clips_per_class = 10
clip_seconds = 0.5
"""


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bench.Results]:
    """A suite of two models and their fusion on two folds, done by a call of the library."""
    folder = tmp_path_factory.mktemp("api")
    (folder / "small.toml").write_text(SUITE)
    return folder, bench.run(folder / "small.toml", store=folder / "runs", device="cpu", executor="serial", quiet=True)


def child(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_the_public_names_are_these() -> None:
    assert bench.__all__ == [
        "BenchError",
        "Results",
        "__version__",
        "create_datamodule",
        "create_model",
        "evaluate",
        "leaderboard",
        "load_model",
        "load_results",
        "load_suite",
        "predict",
        "run",
    ]
    for name in bench.__all__:
        assert getattr(bench, name)
    assert set(bench.__all__) <= set(dir(bench))
    with pytest.raises(AttributeError, match="'bench' has no attribute 'trian'"):
        bench.trian  # noqa: B018


@pytest.mark.parametrize(
    "code",
    [
        "import bench; bench.__version__; dir(bench)",
        "import bench; bench.BenchError",
    ],
)
def test_importing_the_library_imports_nothing_heavy(code: str) -> None:
    heavy = {"torch", "pandas", "pydantic", "numpy", "lightning", "wandb", "typer", "rich"}
    done = child(f"{code}; import sys; print(*sorted({heavy} & set(sys.modules)))")
    assert (done.returncode, done.stdout, done.stderr) == (0, "\n", "")


def test_loading_a_suite_and_results_needs_no_torch(results: tuple[Path, bench.Results]) -> None:
    store = results[0] / "runs"
    done = child(
        f"import bench, sys; bench.load_suite('esc10').runs(); found = bench.load_results({str(store)!r});"
        "bench.leaderboard(found); print('torch' in sys.modules)"
    )
    assert (done.stdout, done.stderr) == ("False\n", "")


def test_all_ways_in_are_the_same_program() -> None:
    done = subprocess.run([sys.executable, "-m", "bench", "-V"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, f"bench {bench.__version__}\n")
    done = subprocess.run([sys.executable, "-m", "audio_bench", "-V"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, f"bench {bench.__version__}\n")
    scripts = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["scripts"]
    assert scripts == {"bench": "audio_bench:main", "audio-bench": "audio_bench:main"}


def test_the_logger_is_silent_until_a_program_asks() -> None:
    handlers = logging.getLogger("bench").handlers
    assert any(isinstance(handler, logging.NullHandler) for handler in handlers)


def test_a_suite_is_done_and_its_results_are_tables(results: tuple[Path, bench.Results]) -> None:
    _, found = results
    assert not found.failed
    assert not found.missing
    frame = found.to_dataframe()
    assert isinstance(frame, pandas.DataFrame)
    assert list(frame["key"]) == [run.key for run in found.suite.runs()]
    assert list(frame["fold"]) == [0, 0, 0, 1, 1, 1]
    assert (frame["status"] == "ok").all()
    for _, row in frame.iterrows():
        record = found.records[row["key"]]
        assert row["accuracy"] == record.scores["accuracy"]
        assert (row["interval_low"], row["interval_high"]) == record.intervals["accuracy"]
        assert row["parameters"] == record.complexity.parameters
        assert row["cpu_p50_ms"] == record.latencies[0].p50_ms
        assert row["cpu_grade"] in ("A", "B", "C")
    assert list(frame.loc[frame["model"] == "fusion-average", "members"]) == [2, 2]
    assert set(METRICS) & set(frame.columns) >= {"accuracy", "macro_f1", "ece"}


def test_a_leaderboard_has_a_row_per_system(results: tuple[Path, bench.Results]) -> None:
    folder, found = results
    (board,) = bench.leaderboard(found)
    assert isinstance(board, Leaderboard)
    assert bench.leaderboard(found) == found.leaderboards()
    frame = found.leaderboard_dataframe()
    assert list(frame["label"]) == [row.label for row in board.rows]
    assert list(frame["rank"]) == [row.rank for row in board.rows]
    runs = found.to_dataframe()
    means = runs.groupby("model")["accuracy"].mean()
    for _, row in frame.iterrows():
        assert row["accuracy"] == pytest.approx(means[row["model"]])
        assert row["done"] == 2
    assert frame.iloc[0]["label"] in (folder / "runs" / "small.md").read_text()


def test_results_are_loaded_whole_or_of_one_suite(results: tuple[Path, bench.Results], tmp_path: Path) -> None:
    folder, found = results
    loaded = bench.load_results(folder / "runs", folder / "small.toml")
    pandas.testing.assert_frame_equal(loaded.to_dataframe(), found.to_dataframe())
    pandas.testing.assert_frame_equal(loaded.leaderboard_dataframe(), found.leaderboard_dataframe())
    everything = bench.load_results(folder / "runs")
    assert everything.records.keys() == found.records.keys()
    assert everything.suite is None
    assert [len(board.rows) for board in everything.leaderboards()] == [3]
    with pytest.raises(bench.BenchError, match="has no records"):
        bench.load_results(tmp_path)
    with pytest.raises(bench.BenchError, match="has no records of smoke"):
        bench.load_results(folder / "runs", "smoke")


def test_what_is_done_is_kept_and_a_selection_is_returned(results: tuple[Path, bench.Results]) -> None:
    folder, found = results
    before = {key: record.started for key, record in found.records.items()}
    again = bench.run(
        bench.load_suite(folder / "small.toml"), store=folder / "runs", models=["fc"], folds=[1], executor="serial",
        device="cpu", quiet=True,
    )  # fmt: skip
    assert [(record.run.model, record.run.fold) for record in again.records.values()] == [("fc", 1)]
    assert all(before[key] == record.started for key, record in again.records.items())


def test_a_missing_dataset_is_named_and_raises_nothing(tmp_path: Path) -> None:
    suite = bench.load_suite("esc10")
    found = bench.run(
        suite, store=tmp_path, data_dir=tmp_path, models=["swishnet"], folds=0, executor="serial", quiet=True
    )
    assert list(found.missing) == ["esc10"]
    assert not found.records
    assert found.to_dataframe().empty


def test_a_damaged_record_is_a_warning(results: tuple[Path, bench.Results], tmp_path: Path) -> None:
    _, found = results
    store = Store(tmp_path)
    key, record = next(iter(found.records.items()))
    store.write(record)
    store.path("broken").write_text("{")
    loaded = bench.load_results(tmp_path)
    assert list(loaded.records) == [key]
    assert len(loaded.warnings) == 1


def test_a_failed_run_is_a_row_with_its_error(tmp_path: Path) -> None:
    run = Run(model="fc", frontend="logmel-1s", dataset="synthetic", fold=0, seed=0)
    content = {"kind": "RunError", "message": "the loss is not finite"}
    record = bench.api.Record(run=run, status="failed", error=bench.api.Failure(**content))
    (row,) = bench.Results(records={run.key: record}).to_dataframe().to_dict("records")
    assert (row["status"], row["error"], row["parameters"]) == ("failed", "the loss is not finite", None)


def test_a_model_is_created_by_name() -> None:
    model = bench.create_model("swishnet", classes=3, clip_seconds=2.0, sample_rate=16_000)
    assert sum(p.numel() for p in model.parameters()) == 5_483  # arXiv 1812.00149
    assert model(torch.zeros(2, 32_000)).shape == (2, 3)
    assert bench.create_model("fc", classes=4, embedding=(10, 128), hidden=7)(torch.zeros(2, 10, 128)).shape == (2, 4)
    with pytest.raises(bench.BenchError, match="Did you mean 'cnn14'"):
        bench.create_model("CNN14", classes=3)
    with pytest.raises(TypeError, match="dropuot"):
        bench.create_model("cnn", classes=3, dropuot=0.1)


def test_a_dataset_is_created_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = bench.create_datamodule("synthetic", fold=1, clips_per_class=10, clip_seconds=0.5, batch_size=4)
    data.setup()
    x, target = next(iter(data.train_dataloader()))
    assert (x.shape, target.shape) == ((4, *data.clip_shape), (4,))
    esc50.write(tmp_path / "esc10")
    data = bench.create_datamodule("esc10", tmp_path / "esc10")
    data.setup()
    monkeypatch.setenv("BENCH_DATA", str(tmp_path))
    other = bench.create_datamodule("esc10")
    other.setup()
    assert other.manifest() == data.manifest()
    with pytest.raises(bench.BenchError, match="no dataset is called"):
        bench.create_datamodule("esc11")


def test_a_script_without_a_guard_runs_a_suite_in_processes_once(tmp_path: Path) -> None:
    (tmp_path / "small.toml").write_text(SUITE.replace("folds = [0, 1]\n", ""))
    script = tmp_path / "script.py"
    script.write_text(
        "import bench\n"
        "with open('started', 'a') as file:\n    file.write('once\\n')\n"
        "found = bench.run('small.toml', workers=2, device='cpu', models=['fc'], quiet=True)\n"
        "print(dict(found.failed), list(found.to_dataframe()['status']), len(found.records))\n"
    )
    done = forkservers.run([script], tmp_path, os.environ)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "{} ['ok'] 1\n"
    assert (tmp_path / "started").read_text() == "once\n"
    (record,) = (json.loads(path.read_text()) for path in (tmp_path / "runs" / "records").iterdir())
    assert record["latencies"]


@pytest.mark.parametrize("package", ["bench", "models", "datamodules"])
def test_the_packages_are_typed(package: str) -> None:
    assert (Path(bench.__file__).parents[1] / package / "py.typed").is_file()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"device": "gpu"}, "device = 'gpu' is not one of auto, cpu, cuda"),
        ({"wandb": "off"}, "wandb = 'off' is not one of disabled, offline, online"),
        ({"workers": 0}, "workers = 0 is less than 1"),
        ({"models": "CNN14"}, "Did you mean 'cnn14'"),
        ({"keys": "esc"}, "esc"),
        ({"tier": "quikc"}, "quikc"),
        ({"strategy": "fsdp"}, "strategy = 'fsdp' is not one of ddp"),
        ({"run_hours": -1}, "run_hours = -1 is less than 0"),
        ({"executor": "slurm"}, "slurm"),
        ({"gpus": [7], "device": "cpu"}, "exclude each other"),
        ({"per_gpu": 2}, "add --gpus all"),
        ({"time_again": True, "timing": False}, "exclude each other"),
        ({"time_again": True, "force": True}, "choose one"),
    ],
)
def test_an_argument_without_meaning_is_refused(tmp_path: Path, arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(bench.BenchError, match=re.escape(words)):
        bench.run("smoke", store=tmp_path / "runs", quiet=True, **arguments)
    assert not (tmp_path / "runs").exists()


ONLY_PYTHON = {"quiet"}
ONLY_COMMAND = {"dry_run", "print_slurm", "as_json", "context"}  # they show something and do no run
PLURAL = {"model": "models", "dataset": "datasets", "fold": "folds", "seed": "seeds", "key": "keys"}


def test_the_function_has_every_option_of_the_command() -> None:
    command = {PLURAL.get(name, name): each for name, each in inspect.signature(commands.run).parameters.items()}
    function = dict(inspect.signature(bench.run).parameters)
    assert command.keys() - ONLY_COMMAND == function.keys() - ONLY_PYTHON
    for name in command.keys() - ONLY_COMMAND:
        ours, theirs = (getattr(each[name].default, "value", each[name].default) for each in (function, command))
        assert (ours or None) == (str(theirs) if isinstance(theirs, Path) else theirs or None), name


def test_prediction_has_the_same_options() -> None:
    names = {"hop": "hop_seconds", "windows": "each_window"}
    command = {names.get(name, name) for name in inspect.signature(commands_predict.predict).parameters}
    assert command - {"top", "csv_file", "as_json"} == set(inspect.signature(bench.predict).parameters)


def test_every_option_reaches_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[RunSettings] = []

    def keep(self: Session, *_: object) -> Outcome:
        given.append(self.settings)
        assert (self.force, self.time_again) == (False, self.settings.stall_seconds == 60)
        return Outcome(not_timed={"some": Failure(kind="ProfileError", message="too slow")})

    monkeypatch.setattr(Session, "run", keep)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-a,GPU-b,GPU-c,GPU-d")
    key = bench.load_suite("smoke").runs()[0].key
    found = bench.run(
        "smoke", keys=key, store=tmp_path, data_dir=tmp_path / "data", threads=2, loaders=3, gpus=[0, 2, 3, 1],
        devices=2, strategy="ddp", skip_unreadable=True, resume=False, stall_minutes=2, run_hours=0.5,
        quiet=True,
    )  # fmt: skip
    assert given == [
        RunSettings(
            store=tmp_path, data_dir=tmp_path / "data", device="cuda", threads=2, workers=2, loaders=3,
            skip_unreadable=True, resume=False, stall_seconds=120.0, run_seconds=1800.0,
            places=("GPU-a,GPU-c", "GPU-d,GPU-b"), devices=2,
        )
    ]  # fmt: skip
    bench.run("smoke", keys=key, store=tmp_path, executor="ray", attempts=4, data_url="file:///a/b", quiet=True)
    assert (given[1].attempts, given[1].data_url) == (4, "file:///a/b")
    assert found.not_timed["some"].message == "too slow"
    bench.run("smoke", keys=key, store=tmp_path, time_again=True, stall_minutes=1, quiet=True)
    assert len(given) == 3


def test_one_model_may_be_given_by_its_name_alone(results: tuple[Path, bench.Results]) -> None:
    folder, _ = results
    found = bench.run(folder / "small.toml", store=folder / "runs", device="cpu", models="fc", quiet=True)
    assert {record.run.model for record in found.records.values()} == {"fc"}


def test_results_are_shown_in_one_line(results: tuple[Path, bench.Results]) -> None:
    assert repr(results[1]) == "<Results: 6 runs of small, 0 failed, 0 datasets missing>"


def test_runs_that_another_process_is_doing_are_named(results: tuple[Path, bench.Results], tmp_path: Path) -> None:
    folder, _ = results
    key = next(run.key for run in bench.load_suite(folder / "small.toml").runs() if run.model == "fc")
    with Store(tmp_path / "runs").claim(key):
        found = bench.run(
            folder / "small.toml", store=tmp_path / "runs", device="cpu", models="fc", folds=(0,), executor="processes",
            quiet=True,
        )  # fmt: skip
    assert not found.records
    assert found.warnings == ("1 run is being done by another process: call again later",)


def test_the_examples_in_docstrings_are_right() -> None:
    found = doctest.testmod(importlib.import_module("bench.api"), extraglobs={"bench": bench, "torch": torch})
    assert found.attempted
    assert not found.failed
