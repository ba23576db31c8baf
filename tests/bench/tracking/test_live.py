"""Live values in the logs: W&B, CSV files and TensorBoard's event files."""

import csv
import math
import os
import struct
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fakes import forkservers
from fakes.paths import PROJECT
from fakes.wandb_file import WandbRun, read_runs

from bench.errors import SuiteError
from bench.records import Failure, Recipe, Record, Run
from bench.tracking import Mirror, epoch_point, loggers, mirror, step_point
from bench.tracking.csv_log import CsvLog
from bench.tracking.event_file import EventFile
from bench.tracking.live import QUANTITIES, WITHIN_EPOCHS, Logged, finite
from bench.tracking.tensorboard_log import TensorBoardLog

ONE = Run(model="cnn", frontend="logmel", dataset="esc10", recipe=Recipe(epochs=3))
OTHER = replace(ONE, seed=1)
STOPPED = replace(ONE, seed=2)
FAILED = replace(ONE, seed=3)
CURVES = {"train_loss": (2.0, 1.0, 0.5), "val_loss": (2.1, 1.1, 0.6), "val_accuracy": (0.25, 0.5, 0.75)}


def within(step: int, loss: float) -> dict[str, float]:
    values = {"train_loss": loss, "learning_rate": 1e-3, "gradient_norm": 4.0, "clips_per_second": 100.0, "step": step}
    return step_point(step // 10, values)


def ended(epoch: int) -> dict[str, float]:
    values = {name: curve[epoch - 1] for name, curve in CURVES.items() if name != "val_accuracy"}
    return epoch_point(epoch, "accuracy", CURVES["val_accuracy"][epoch - 1], values | {"step": 10.0 * epoch})


def record(run: Run) -> Record:
    return Record(run=run, status="ok", scores={"accuracy": 0.7, "mAUC": None}, curves=CURVES, best_epoch=2)


def test_points_have_lightnings_epochs_and_known_names() -> None:
    assert ended(1) == {"epoch": 0, "val_accuracy": 0.25, "train_loss": 2.0, "val_loss": 2.1, "step": 10}
    point = within(5, 3.0)
    assert (point["epoch"], point["train_loss_step"]) == (0, 3.0)
    assert "train_loss" not in point  # which is the mean of a whole epoch
    assert set(point) | set(ended(1)) | {"val_mAP"} == set(QUANTITIES)
    assert set(WITHIN_EPOCHS) < set(QUANTITIES)
    assert finite({"epoch": 1, "train_loss": math.nan, "gradient_norm": math.inf}) == {"epoch": 1}


def test_only_what_a_log_lacks_of_the_curves_is_added() -> None:
    logged = Logged()
    logged.add(ended(1))
    logged.add(within(15, 1.0))
    assert list(logged.missing(CURVES)) == [
        {"epoch": 1, "step": 15} | {name: curve[1] for name, curve in CURVES.items()},
        {"epoch": 2} | {name: curve[2] for name, curve in CURVES.items()},
    ]
    assert list(logged.missing({})) == []


# W&B


@pytest.fixture(scope="module")
def offline(tmp_path_factory: pytest.TempPathFactory) -> dict[str, WandbRun]:
    """The W&B runs of two trainings at once, of one that is interrupted and of one that fails."""
    folder = tmp_path_factory.mktemp("live")
    mirror = Mirror("offline", "quick", folder, "mine", "my-team")
    for run in (ONE, OTHER, STOPPED, FAILED):
        mirror.started(run)
    for epoch in (1, 2, 3):
        for run in (ONE, OTHER):
            mirror.point(run.key, within(10 * epoch - 5, 3.0))
            if (run, epoch) != (OTHER, 2):  # as if it had been dropped
                mirror.point(run.key, ended(epoch))
    mirror.point(STOPPED.key, ended(1))
    mirror.point(FAILED.key, ended(1) | {"gradient_norm": math.nan})
    mirror.record(record(OTHER))
    mirror.record(record(ONE))
    mirror.record(Record(run=FAILED, status="failed", error=Failure(kind="RunError", message="no"), curves={}))
    warning = mirror.close(120)
    assert warning is None, (folder / "mirror.log").read_text()
    return read_runs(folder)


@pytest.mark.process
def test_trainings_at_once_have_a_wandb_run_each(offline: dict[str, WandbRun]) -> None:
    assert set(offline) == {run.key for run in (ONE, OTHER, STOPPED, FAILED)}
    assert {run.project for run in offline.values()} == {"mine"}
    assert {run.entity for run in offline.values()} == {"my-team"}
    assert {key: run.exit_code for key, run in offline.items()} == {
        ONE.key: 0, OTHER.key: 0, STOPPED.key: 1, FAILED.key: 1,
    }  # fmt: skip
    config = offline[OTHER.key].config
    assert (config["seed"], config["recipe"]["epochs"], offline[OTHER.key].job_type) == (1, 3, "cnn")


@pytest.mark.process
def test_no_value_is_written_twice_and_none_is_missing(offline: dict[str, WandbRun]) -> None:
    run = offline[ONE.key]
    for name, curve in CURVES.items():
        assert tuple(run.curve(name)) == curve
    assert run.curve("train_loss_step") == [3.0, 3.0, 3.0]
    for name in ("learning_rate", "gradient_norm", "clips_per_second"):
        assert len(run.curve(name)) == 3
    assert [step["step"] for step in run.history if "step" in step] == [5, 10, 15, 20, 25, 30]
    assert run.summary["test_accuracy"] == 0.7
    dropped = offline[OTHER.key]
    values = [(step["epoch"], step["val_loss"]) for step in dropped.history if "val_loss" in step]
    assert sorted(values) == list(enumerate(CURVES["val_loss"]))


@pytest.mark.process
def test_an_interrupted_and_a_failed_training_are_closed(offline: dict[str, WandbRun]) -> None:
    assert offline[STOPPED.key].summary["status"] == "interrupted"
    assert offline[STOPPED.key].curve("val_accuracy") == [0.25]
    failed = offline[FAILED.key]
    assert failed.summary["error/message"] == "no"
    assert failed.curve("val_accuracy") == [0.25]
    assert failed.curve("gradient_norm") == []


FAKE = """
import pathlib, sys, threading, time
from unittest.mock import MagicMock
Settings, Artifact, teardown = dict, MagicMock(), lambda: None
here = pathlib.Path(__file__).parent
class Run(MagicMock):
    def log(self, values):
        if "epoch" in values:
            {log}
def init(**arguments):
    return Run()
"""


@pytest.fixture
def fake_wandb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Put a module named wandb whose runs log so before the real one, for child processes."""

    def install(log: str) -> Path:
        (tmp_path / "wandb.py").write_text(FAKE.format(log=log))
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        return tmp_path

    return install


@pytest.mark.process
def test_a_hanging_wandb_drops_points_and_says_how_many(
    fake_wandb: Callable[[str], Path], mirrored: Callable[..., Mirror], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mirror, "POINTS", 50)
    made = mirrored("offline", "quick", fake_wandb("time.sleep(3600)"))
    made.started(ONE)
    for step in range(5000):
        made.point(ONE.key, within(step, 1.0))
    assert made._messages.qsize() <= 60  # the others are dropped and not piled up
    assert made.close(1.0) == (
        "W&B did not finish within 1 s and was stopped; 5000 of 5000 live points are lost; the records are complete"
    )


@pytest.mark.process
def test_points_that_wandb_refuses_are_counted_and_make_room(
    fake_wandb: Callable[[str], Path], mirrored: Callable[..., Mirror], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = mirrored("offline", "quick", fake_wandb("raise OSError('no')"))
    made.started(ONE)
    for step in range(20):
        made.point(ONE.key, within(step, 1.0))
    said = made.close(60) or ""
    assert "did not mirror everything" in said
    assert "; 20 of 20 live points are lost; the records are complete" in said
    assert made._points_lost == 20


@pytest.mark.process
def test_a_training_whose_wandb_run_cannot_be_opened_still_gets_its_record(
    fake_wandb: Callable[[str], Path], mirrored: Callable[..., Mirror]
) -> None:
    folder = fake_wandb("pass")
    code = (
        (folder / "wandb.py")
        .read_text()
        .replace("return Run()", "(here / 'tried').open('a').write('x'); raise OSError")
    )
    (folder / "wandb.py").write_text(code)
    made = mirrored("offline", "quick", folder)
    made.started(ONE)
    made.point(ONE.key, ended(1))
    made.record(record(ONE))
    assert "1 of 1 live points are lost" in (made.close(60) or "")
    assert (folder / "tried").read_text() == "xx"


# CSV


def rows(folder: Path, run: Run = ONE) -> list[dict[str, str]]:
    with (folder / run.key / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_csv_is_there_while_the_training_runs(tmp_path: Path) -> None:
    log = CsvLog(tmp_path)
    log.started(ONE)
    log.point(ONE.key, within(5, 3.0))
    assert rows(tmp_path) == [
        {"clips_per_second": "100.0", "epoch": "0", "gradient_norm": "4.0", "learning_rate": "0.001", "step": "5",
         "train_loss_step": "3.0"}
    ]  # fmt: skip
    log.point(ONE.key, ended(1))
    assert [row["train_loss_step"] for row in rows(tmp_path)] == ["3.0", ""]
    log.point(ONE.key, ended(2))
    log.record(record(ONE))
    assert log.close() is None
    table = rows(tmp_path)
    assert [row["val_loss"] for row in table] == ["", "2.1", "1.1", "0.6", ""]
    assert (table[-1]["test_accuracy"], table[-1]["epoch"]) == ("0.7", "2")
    assert list(table[0]) == sorted(table[0])


@pytest.mark.process
def test_csv_is_what_lightnings_logger_writes(tmp_path: Path) -> None:
    code = (
        "import sys; from lightning.pytorch.loggers import CSVLogger; log = CSVLogger(sys.argv[1], '', '')\n"
        f"log.log_metrics({within(5, 3.0)!r}, 5); log.save(); log.log_metrics({ended(1)!r}, 10); log.save()"
    )
    done = forkservers.run(["-c", code, tmp_path / "lightning"], PROJECT, os.environ)
    assert done.returncode == 0, done.stderr
    log = CsvLog(tmp_path)
    log.started(ONE)
    log.point(ONE.key, within(5, 3.0))
    log.point(ONE.key, ended(1))
    (theirs,) = (tmp_path / "lightning").rglob("metrics.csv")
    assert (tmp_path / ONE.key / "metrics.csv").read_bytes() == theirs.read_bytes()


def test_another_training_replaces_the_file_and_a_record_alone_does_not(tmp_path: Path) -> None:
    for value in (1.0, 2.0):
        log = CsvLog(tmp_path)
        log.started(ONE)
        log.point(ONE.key, {"epoch": 0, "train_loss": value})
        log.close()
    assert [row["train_loss"] for row in rows(tmp_path)] == ["2.0"]
    again = CsvLog(tmp_path)
    again.record(record(ONE))  # timed again
    assert [row["train_loss"] for row in rows(tmp_path)] == ["2.0"]
    again.record(record(OTHER))  # trained in an earlier call without this logger
    assert [row["train_loss"] for row in rows(tmp_path, OTHER)] == ["2.0", "1.0", "0.5", ""]
    again.record(Record(run=FAILED, status="failed", error=Failure(kind="RunError", message="no")))
    assert not (tmp_path / FAILED.key).exists()


def test_a_full_disk_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = CsvLog(tmp_path / "logs")

    def full(*arguments: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(log, "write", full)
    log.started(ONE)
    log.point(ONE.key, ended(1))
    log.record(record(ONE))
    said = log.close() or ""
    assert said.startswith(f"csv did not log everything in {tmp_path / 'logs'}")
    assert "No space left" in said


# TensorBoard


def scalars(path: Path) -> list[tuple[str, int, float]]:
    """Return (name, step, value) of an event file, read with tensorboardX's checksum and messages."""
    from tensorboardX.crc32c import crc32c
    from tensorboardX.proto.event_pb2 import Event

    def check(part: bytes, checksum: bytes) -> bytes:
        crc = crc32c(part)
        if struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF) != checksum:
            raise ValueError("a checksum is wrong")
        return part

    content, found, at = path.read_bytes(), [], 0
    while at < len(content):
        (length,) = struct.unpack("<Q", check(content[at : at + 8], content[at + 8 : at + 12]))
        message = content[at + 12 : at + 12 + length]
        event = Event.FromString(check(message, content[at + 12 + length : at + 16 + length]))
        found += [(value.tag, event.step, value.simple_value) for value in event.summary.value]
        at += length + 16
    return found


def test_tensorboard_gets_the_same_names(tmp_path: Path) -> None:
    log = TensorBoardLog(tmp_path)
    log.started(ONE)
    log.started(OTHER)
    for epoch in (1, 2, 3):
        log.point(ONE.key, within(10 * epoch - 5, 3.0))
        log.point(ONE.key, ended(epoch))
    log.record(record(ONE))
    assert log.close() is None
    (path,) = (tmp_path / ONE.key).iterdir()
    found = scalars(path)
    assert [(step, round(value, 3)) for name, step, value in found if name == "val_loss"] == [
        (10, 2.1), (20, 1.1), (30, 0.6),
    ]  # fmt: skip
    assert [step for name, step, _ in found if name == "learning_rate"] == [5, 15, 25]
    assert [(step, round(value, 3)) for name, step, value in found if name == "test_accuracy"] == [(30, 0.7)]


def test_event_files_are_what_tensorboardx_writes(tmp_path: Path) -> None:
    from tensorboardX import SummaryWriter

    (tmp_path / "ours").mkdir()
    ours = EventFile(tmp_path / "ours", clock=lambda: 1.5e9)
    ours.scalars({"train_loss": 0.25}, 0)
    ours.scalars({"test/größe": -1e-7}, 3_000_000_000)
    ours.scalars({"gradient_norm": 1e300}, 1)  # beyond float32
    with SummaryWriter(str(tmp_path / "theirs")) as theirs:
        theirs.add_scalar("train_loss", 0.25, 0, walltime=1.5e9)
        theirs.add_scalar("test/größe", -1e-7, 3_000_000_000, walltime=1.5e9)
        theirs.add_scalar("gradient_norm", math.inf, 1, walltime=1.5e9)
    (path,) = (tmp_path / "theirs").iterdir()
    assert scalars(ours.path) == scalars(path) == [
        ("train_loss", 0, 0.25), ("test/größe", 3_000_000_000, pytest.approx(-1e-7)),
        ("gradient_norm", 1, math.inf),
    ]  # fmt: skip
    with ours.path.open("ab") as file:
        file.write(b"\x01" + 20 * b"\0")
    with pytest.raises(ValueError, match="checksum"):
        scalars(ours.path)


@pytest.mark.process
def test_no_logger_imports_torch(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib; from bench.tracking import loggers\n"
        "loggers.choose(['csv', 'tensorboard']).open('quick', pathlib.Path(sys.argv[1]))\n"
        "print(sorted({'torch', 'lightning', 'wandb'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


# The choice


@pytest.fixture
def unset(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    return monkeypatch


def test_wandb_is_the_logger_unless_others_are_named(unset: pytest.MonkeyPatch) -> None:
    assert loggers.choose([]).mode == "offline"
    assert (loggers.choose(["csv"]).mode, loggers.choose(["csv"]).files) == ("disabled", ("csv",))
    both = loggers.choose(["tensorboard", "wandb", "csv"])
    assert (both.mode, both.files) == ("offline", ("csv", "tensorboard"))
    assert loggers.choose(["csv"], "offline").mode == "offline"  # as the documentation and --help say
    unset.setenv("WANDB_MODE", "offline")
    assert loggers.choose(["csv"]).mode == "disabled"
    unset.delenv("WANDB_MODE")
    assert loggers.choose([], "disabled").mode == "disabled"
    unset.setenv("WANDB_MODE", "disabled")
    assert loggers.choose(["csv"]).mode == "disabled"


def test_options_win_over_variables(unset: pytest.MonkeyPatch) -> None:
    found = loggers.choose([])
    assert (found.project, found.entity) == ("audio-classification-bench", None)
    unset.setenv("WANDB_PROJECT", "theirs")
    unset.setenv("WANDB_ENTITY", "team")
    found = loggers.choose([])
    assert (found.project, found.entity) == ("theirs", "team")
    found = loggers.choose([], None, "mine", "me")
    assert (found.project, found.entity) == ("mine", "me")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((["mlflow"],), "logger 'mlflow' is unknown: choose of wandb, csv, tensorboard"),
        ((["wandb"], "disabled"), "wandb is asked for and W&B is disabled"),
        ((["csv"], None, "mine"), "project = 'mine' is W&B's, which is off: add the logger wandb"),
        (([], None, "a/b"), "W&B allows no project 'a/b'"),
        (([], None, "p" * 129), "at most 128 characters"),
    ],
)
@pytest.mark.usefixtures("unset")
def test_what_contradicts_itself_is_refused(arguments: tuple[Any, ...], words: str) -> None:
    with pytest.raises(SuiteError, match=words):
        loggers.choose(*arguments)


def test_the_documentation_names_every_quantity_with_its_unit() -> None:
    text = (PROJECT / "docs" / "running.md").read_text(encoding="utf-8")
    section = text.split("\n## Logs of a training\n")[1].split("\n## ")[0]
    assert "`--wandb offline` or `--wandb online` adds W&B" in section
    said = {
        cells[0].strip("`"): cells[1:]
        for line in section.splitlines()
        if line.startswith("| `") and (cells := [cell.strip() for cell in line.strip("|").split("|")])
    }
    assert list(said) == list(QUANTITIES)
    for name, quantity in QUANTITIES.items():
        unit, when = said[name]
        assert unit.startswith(quantity.unit or "none"), name
        assert ("within" in when or "every point" in when) == (quantity.when == "step"), name
