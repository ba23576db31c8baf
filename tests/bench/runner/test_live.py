"""Live values of trainings, from the worker's reports to the loggers."""

import io
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from bench import suites
from bench.errors import BenchError
from bench.records import Failure, Record, Run, Store
from bench.runner import worker
from bench.runner.driver import Runner
from bench.runner.executors import Event, Failed, Finished, Job, Reported, Started
from bench.runner.news import EpochEnded, News, RunEnded, StepsDone, TrainingStarted
from bench.runner.outcome import Outcome
from bench.runner.progress import Progress
from bench.runner.settings import RunSettings

SUITE = """
models = ["fc", "cnn"]
datasets = ["synthetic"]
[recipe]
epochs = 2
[dataset.synthetic]
clips_per_class = 10
clip_seconds = 0.5
"""


class Told:
    """A logger that keeps what it is told, in order."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def started(self, run: Run) -> None:
        self.calls.append(("started", run.key))

    def point(self, key: str, values: Mapping[str, float]) -> None:
        self.calls.append(("point", key, dict(values)))

    def record(self, record: Record, artifacts: Path | None = None) -> None:
        self.calls.append(("record", record.key, record.status, bool(record.latencies)))

    def summary(self, tables: Sequence[Any], plots: Sequence[Any] = ()) -> None:
        self.calls.append(("summary",))

    def close(self) -> str | None:
        return None

    def of(self, key: str) -> list[tuple[Any, ...]]:
        return [(name, *rest) for name, about, *rest in self.calls if about == key]


def play(folder: Path, events: Mapping[str, Sequence[Event | BaseException]]) -> tuple[Told, Outcome]:
    """Let a driver see these events of the trainings, by the run's model; no other job does anything."""
    path = folder / "live.toml"
    path.write_text(SUITE)
    suite = suites.read(str(path))
    told = Told()
    settings = RunSettings(store=folder / "runs", data_dir=Path("nowhere"), device="cpu", workers=2)
    runner = Runner(suite, settings, Progress(Console(file=io.StringIO())), "serial", [told])

    def execute(jobs: Sequence[Job], workers: int, places: Sequence[str]) -> Iterator[Event]:
        for job in jobs:
            yield Started(job.key)
            if job.target == "bench.runner.worker:execute":
                for event in events[job.arguments[0].model]:
                    if isinstance(event, BaseException):
                        raise event
                    if isinstance(event, Reported) and isinstance(event.news, RunEnded):
                        Store(settings.store).write(Record(run=job.arguments[0], status="ok", seconds={"train": 1.0}))
                    yield event
            yield Finished(job.key, None)

    runner.execute = execute
    return told, runner.run(suite.runs())


@pytest.fixture
def keys(tmp_path: Path) -> list[str]:
    (tmp_path / "keys.toml").write_text(SUITE)
    return [run.key for run in suites.read(str(tmp_path / "keys.toml")).runs()]


def test_loggers_are_told_of_a_training_as_it_goes(tmp_path: Path, keys: list[str]) -> None:
    fc, cnn = keys
    told, outcome = play(tmp_path, {
        "fc": [
            Reported(fc, TrainingStarted(fc)),
            Reported(fc, StepsDone(0, 2, {"train_loss": 3.0, "step": 4.0})),
            Reported(fc, EpochEnded(1, 2, 0.5, {"val_loss": 2.0, "step": 8.0})),
            Reported(fc, RunEnded(fc, "done")),
        ],
        "cnn": [
            Reported(cnn, TrainingStarted(cnn)),
            Reported(cnn, EpochEnded(1, 2, 0.25)),
            Failed(cnn, Failure(kind="killed", message="no memory"), "killed"),
        ],
    })  # fmt: skip
    assert told.of(fc) == [
        ("started",),
        ("point", {"epoch": 0, "train_loss_step": 3.0, "step": 4.0}),
        ("point", {"epoch": 0, "val_accuracy": 0.5, "val_loss": 2.0, "step": 8.0}),
        ("record", "ok", False),
    ]
    assert told.of(cnn) == [("started",), ("point", {"epoch": 0, "val_accuracy": 0.25}), ("record", "failed", False)]
    assert (outcome.done, list(outcome.failed)) == ([fc], [cnn])


def test_an_interruption_sends_the_finished_records_and_leaves_the_rest_to_closing(
    tmp_path: Path, keys: list[str]
) -> None:
    fc, cnn = keys
    told, outcome = play(tmp_path, {
        "fc": [Reported(fc, TrainingStarted(fc)), Reported(fc, RunEnded(fc, "done"))],
        "cnn": [Reported(cnn, TrainingStarted(cnn)), KeyboardInterrupt()],
    })  # fmt: skip
    assert outcome.interrupted
    assert told.of(fc) == [("started",), ("record", "ok", False)]
    assert told.of(cnn) == [("started",)]


def test_a_run_that_another_process_does_is_not_logged(tmp_path: Path, keys: list[str]) -> None:
    fc, cnn = keys
    told, _ = play(tmp_path, {key: [] for key in ("fc", "cnn")} | {
        "fc": [Reported(fc, RunEnded(fc, "elsewhere"))], "cnn": [Reported(cnn, RunEnded(cnn, "elsewhere"))],
    })  # fmt: skip
    assert told.calls == []


def test_a_worker_reports_epochs_and_steps() -> None:
    said: list[News] = []
    worker._report_training(said.append, 1, 3, 0.5, {})
    worker._report_training(said.append, 2, 3, None, {"train_loss": 1, "step": 7})
    worker._report_training(said.append, 2, 3, 0.6, {"val_loss": 2.0})
    assert said == [
        EpochEnded(1, 3, 0.5),
        StepsDone(2, 3, {"train_loss": 1.0, "step": 7.0}),
        EpochEnded(2, 3, 0.6, {"val_loss": 2.0}),
    ]


@pytest.mark.process
def test_the_library_logs_a_suite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import bench

    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    (tmp_path / "live.toml").write_text(SUITE)
    store = tmp_path / "runs"
    with pytest.raises(BenchError, match="logger 'mlflow' is unknown"):
        bench.run(tmp_path / "live.toml", store=store, logger="mlflow")
    found = bench.run(
        tmp_path / "live.toml", store=store, models="fc", logger=["csv", "tensorboard"], executor="serial",
        device="cpu", quiet=True,
    )  # fmt: skip
    assert found.warnings == ()
    (key,) = found.records
    names = sorted(path.name.split(".")[0] for path in (store / "logs" / key).iterdir())
    assert names == ["events", "metrics"]
    text = (store / "logs" / key / "metrics.csv").read_text()
    assert {"epoch", "step", "train_loss", "val_loss", "val_accuracy"} <= set(text.splitlines()[0].split(","))
    assert not (store / "wandb").exists()
