"""W&B gets everything it should and no secret, and its failures cost a suite neither records nor time."""

import hashlib
import json
import os
import pickle
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from fakes.boards import SIZE, boards, timing
from fakes.boards import record as scored
from fakes.boards import run as of
from fakes.paths import PROJECT
from fakes.wandb_file import WandbRun, frames, read_runs
from PIL import Image
from sklearn.metrics import precision_recall_curve, roc_curve
from torchmetrics.functional.classification import multiclass_calibration_error

from bench import suites
from bench.leaderboard import files, pareto
from bench.leaderboard.pareto import AXES, Plot, Point
from bench.records import Complexity, Failure, Latency, Recipe, Record, Run, Snapshot, Store
from bench.tracking import Mirror, charts, choose_mode, limits
from bench.tracking.charts import precision_recall, precision_recall_rows, roc, roc_rows
from bench.tracking.limits import fitted
from bench.tracking.mirror import _child_variables

pytestmark = pytest.mark.process

CANARIES = {
    "WANDB_API_KEY": "canary0a" * 5,
    "MY_SECRET_TOKEN": "canary-token-in-environment",
    "HTTPS_PROXY": "http://user:canary-proxy@127.0.0.1:9",
}
SECRET_ARGUMENTS = {"width": 8, "hub_token": "canary-token-in-arguments", "weights": "https://me:canary-url@host/w.pt"}
ARGV_CANARY = "canary-password-in-argv"
NETRC_CANARY = "canary2b" * 5

OK = Record(
    run=Run(model="cnn", frontend="logmel", dataset="esc10", fold=1, recipe=Recipe(epochs=3), arguments={"width": 8}),
    status="ok",
    scores={"accuracy": 0.75, "mAUC": None},
    classes=("dog", "rain", "sea"),
    confusion=((2, 0, 0), (0, 1, 1), (0, 0, 0)),
    curves={"train_loss": (2.0, 1.0, 0.5), "val_accuracy": (0.25, 0.5, 0.75)},
    per_class={"mAP": (1.0, 0.75, None), "mAUC": (1.0, 0.5, None), "macro_f1": (1.0, 0.5, None)},
    best_epoch=2,
    complexity=Complexity(parameters=10, macs=20, frontend_macs=30, bytes=40, clip_seconds=5.0),
    latencies=(
        Latency(
            device="some processor",
            device_type="cpu",
            threads=1,
            clip_seconds=5.0,
            p50_ms=1.5,
            p90_ms=2.0,
            iqr_share=0.05,
            samples=100,
            throughput=600.0,
            real_time_factor=0.0003,
            load=0.1,
            sentinel_drift=0.01,
            grade="A",
        ),
    ),
)
FAILED = Record(
    run=Run(model="ltc", frontend="logmel", dataset="esc10"),
    status="failed",
    error=Failure(kind="RunError", message="the loss is not finite in epoch 3"),
)
TELLING = Record(run=Run(model="cnn", frontend="logmel", dataset="esc10", arguments=SECRET_ARGUMENTS), status="ok")
LOGITS = np.array([[3.0, 1.0, 0.0], [2.0, 0.0, 1.0], [0.0, 2.0, 1.0], [0.0, 1.0, 2.0]])
TARGETS = np.array([0, 0, 1, 1])

DRIVER = """
import pathlib, pickle, sys
from bench.records import Record
from bench.tracking import Mirror
folder = pathlib.Path(sys.argv[1])
OK, FAILED, TELLING = (
    Record.from_json((folder / f"{key}.json").read_text(), key) for key in (folder / "keys").read_text().split()
)
mirror = Mirror("offline", "quick", folder / "wandb")
mirror.record(OK, folder)
mirror.record(FAILED)
mirror.record(TELLING, folder / "nothing")
columns = ("rank", "model", "frontend", "accuracy", "low", "high", "parameters", "macs", "cpu_p50_ms", "runs")
rows = [
    (1, "cnn", "logmel", 0.75, 0.7, 0.8, 1000, 20000, 4.0, "5/5"),
    (2, "fc", "logmel", 0.6, 0.5, 0.7, 100, 3000, 0.5, "5/5"),
    (3, "ltc", "logmel", 0.5, None, None, 100, 40000, 9.0, "5/5"),
    (None, "rann", "logmel", 0.9, None, None, 10, 10, 0.1, "4/5"),
]
mirror.summary([("esc10", columns, rows)], pickle.loads((folder / "plots").read_bytes()))
sys.exit(mirror.close(60))
"""


def plots_of_four() -> list[Plot]:
    """The plots of three ranked systems and of rann, which lacks a run."""
    systems = (("cnn", 0.75, 1000, 20000, 4.0), ("fc", 0.6, 100, 3000, 0.5), ("ltc", 0.5, 100, 40000, 9.0))
    records = [
        scored(
            of(model),
            score,
            complexity=replace(SIZE, parameters=parameters, macs=macs),
            latencies=(timing(milliseconds),),
        )
        for model, score, parameters, macs, milliseconds in (*systems, ("rann", 0.9, 10, 10, 0.1))
    ]
    (board,) = boards(*records, missing=[of("rann", seed=1)])
    return [*pareto.plots(board)]


@cache
def published_plots() -> list[Plot]:
    """The plots of two published leaderboards, as their pages show them."""
    store = Store(PROJECT / "leaderboards")
    grids = [suites.read(name) for name in ("esc10", "all")]
    found = [board for grid in grids for board in files.boards(Snapshot(store, grid.runs()), grid)]
    return [replace(plot, dataset=f"published {plot.dataset}") for board in found for plot in pareto.plots(board)]


@pytest.fixture(scope="module")
def offline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that a whole process with secrets in its environment, netrc and arguments has mirrored to."""
    folder = tmp_path_factory.mktemp("mirrored")
    np.savez(folder / "logits.npz", logits=LOGITS, targets=TARGETS)
    np.savez(
        folder / "worst.npz",
        ids=np.array(["1-2-A-3.wav", "4-5-B-6.wav"]),
        truth=np.array(["dog", "sea"]),
        predicted=np.array(["rain 93 %, sea 5 %", "dog 60 %, sea 30 %"]),
        loss=np.array([2.5, 1.2]),
        spectrograms=np.stack([np.zeros((64, 50), np.uint8), np.full((64, 50), 255, np.uint8)]),
        audio=np.stack([np.arange(-800, 800, dtype=np.int16), np.zeros(1600, np.int16)]),
        sample_rate=np.array(16000),
    )
    (folder / "model.pt").write_bytes(b"weights")
    for record in (OK, FAILED, TELLING):
        (folder / f"{record.key}.json").write_text(record.to_json())
    (folder / "plots").write_bytes(pickle.dumps([*plots_of_four(), *published_plots()]))
    (folder / "keys").write_text(f"{OK.key} {FAILED.key} {TELLING.key}")
    home = folder / "home"
    home.mkdir()
    (home / ".netrc").write_text(f"machine api.wandb.ai login user password {NETRC_CANARY}\n")
    (home / ".netrc").chmod(0o600)
    environment = os.environ | CANARIES | {"HOME": str(home)}
    command = [sys.executable, "-c", DRIVER, str(folder), f"--password={ARGV_CANARY}"]
    done = subprocess.run(command, env=environment, cwd=PROJECT, capture_output=True, text=True, timeout=SOON)
    assert done.returncode == 0, done.stderr + (folder / "wandb" / "mirror.log").read_text()
    return folder / "wandb"


@pytest.fixture(scope="module")
def runs(offline: Path) -> dict[str, WandbRun]:
    return read_runs(offline)


def test_one_wandb_run_per_record_and_one_summary(runs: dict[str, WandbRun]) -> None:
    assert set(runs) == {OK.key, FAILED.key, TELLING.key, "quick-summary"}
    run = runs[OK.key]
    assert (run.name, run.group, run.job_type) == (OK.key, "quick", "cnn")
    assert set(run.tags) == {"esc10", "cnn", "logmel"}
    assert run.project == "audio-classification-bench"


def test_files_are_whole(runs: dict[str, WandbRun]) -> None:
    assert {run.exit_code is not None for run in runs.values()} == {True}


def test_config_is_the_run_and_nothing_else(runs: dict[str, WandbRun]) -> None:
    config = {name: value for name, value in runs[OK.key].config.items() if not name.startswith("_wandb")}
    assert config.pop("recipe")["epochs"] == 3
    assert config == {
        "model": "cnn",
        "frontend": "logmel",
        "dataset": "esc10",
        "fold": 1,
        "seed": 0,
        "arguments": {"width": 8},
        "data": {},
        "protocol": 1,
    }


def test_curves_have_a_value_per_epoch(runs: dict[str, WandbRun]) -> None:
    run = runs[OK.key]
    assert run.curve("train_loss") == [2.0, 1.0, 0.5]
    assert run.curve("val_accuracy") == [0.25, 0.5, 0.75]
    assert run.curve("epoch")[:3] == [0, 1, 2]


def test_summary_has_the_final_numbers(runs: dict[str, WandbRun]) -> None:
    summary = runs[OK.key].summary
    expected = {"test_accuracy": 0.75, "complexity/macs": 20, "latency/cpu-1-end-to-end/p50_ms": 1.5, "status": "ok"}
    assert {name: summary.get(name) for name in expected} == expected
    assert "test_mAUC" not in summary


def test_confusion_matrix_has_every_cell(runs: dict[str, WandbRun]) -> None:
    table = runs[OK.key].tables["confusion_table"]
    assert table["columns"] == ["Actual", "Predicted", "nPredictions"]
    cells = {(actual, predicted): clips for actual, predicted, clips in table["data"]}
    assert len(cells) == 9
    assert {cell: clips for cell, clips in cells.items() if clips} == {
        ("dog", "dog"): 2,
        ("rain", "rain"): 1,
        ("rain", "sea"): 1,
    }


def test_precision_recall_curves_are_logged(runs: dict[str, WandbRun]) -> None:
    table = runs[OK.key].tables["precision-recall_table"]
    assert table["columns"] == ["class", "recall", "precision"]
    curves = {name: [(r, p) for n, r, p in table["data"] if n == name] for name, _, _ in table["data"]}
    assert set(curves) == {"micro-average", "dog", "rain"}  # nothing of "sea", which has no clip
    assert curves["dog"] == [(0.5, 1.0), (1.0, 1.0), (1.0, 0.5)]  # the last two clips are tied


def test_roc_curves_are_logged(runs: dict[str, WandbRun]) -> None:
    table = runs[OK.key].tables["roc_table"]
    assert table["columns"] == ["class", "fpr", "tpr"]
    curves = {name: [(x, y) for n, x, y in table["data"] if n == name] for name, _, _ in table["data"]}
    assert set(curves) == {"micro-average", "dog", "rain"}  # nothing of "sea", which has no clip
    assert curves["dog"] == [(0.0, 0.0), (0.0, 0.5), (0.0, 1.0), (1.0, 1.0)]


def test_classes_are_a_table_and_bars(runs: dict[str, WandbRun]) -> None:
    table = runs[OK.key].tables["per-class"]
    assert table["columns"] == ["class", "F1", "AP", "AUC"]
    assert table["data"] == [["dog", 1.0, 1.0, 1.0], ["rain", 0.5, 0.75, 0.5], ["sea", None, None, None]]
    bars = runs[OK.key].tables["average-precision_table"]
    assert (bars["columns"], bars["data"]) == (["class", "AP"], [["rain", 0.75], ["dog", 1.0]])


def test_calibration_is_logged(runs: dict[str, WandbRun]) -> None:
    rows = runs[OK.key].tables["calibration_table"]["data"]
    assert [row for row in rows if row[1] == "perfect"] == [[0.0, "perfect", 0.0, 0], [1.0, "perfect", 1.0, 0]]
    measured = [row for row in rows if row[1] == "measured"]
    assert sum(row[3] for row in measured) == 4
    # exp(2) / (exp(2) + exp(0) + exp(1)) = 0.665 twice right and once wrong, exp(3) / (...) = 0.844 right
    assert measured == [[pytest.approx(0.6652, abs=1e-4), "measured", pytest.approx(2 / 3), 3],
                        [pytest.approx(0.8438, abs=1e-4), "measured", 1.0, 1]]  # fmt: skip


def test_every_chart_says_how_it_is_drawn(runs: dict[str, WandbRun]) -> None:
    drawn = runs[OK.key].config
    for name, chart in charts.CHARTS.items():
        settings = drawn[f"_wandb.visualize.{name}"]["panel_config"]
        assert settings["panelDefId"] == chart.spec
        assert set(settings["fieldSettings"].values()) <= set(runs[OK.key].tables[f"{name}_table"]["columns"])


def test_worst_mistakes_are_seen_and_heard(runs: dict[str, WandbRun]) -> None:
    run = runs[OK.key]
    assert run.tables["worst/clips"]["columns"] == ["clip", "truth", "predicted", "loss"]
    assert run.tables["worst/clips"]["data"] == [
        ["1-2-A-3.wav", "dog", "rain 93 %, sea 5 %", 2.5],
        ["4-5-B-6.wav", "sea", "dog 60 %, sea 30 %", 1.2],
    ]
    captions = [
        "dog, taken for rain 93 %, sea 5 % (loss 2.50): 1-2-A-3.wav",
        "sea, taken for dog 60 %, sea 30 % (loss 1.20): 4-5-B-6.wav",
    ]
    pictures, sounds = run.media["worst/spectrograms"], run.media["worst/audio"]
    assert [caption for _, caption in pictures] == captions
    assert [caption for _, caption in sounds] == captions
    with Image.open(pictures[0][0]) as dark, Image.open(pictures[1][0]) as bright:
        assert dark.size == bright.size == (50, 256)
        assert dark.convert("L").getextrema()[1] < 20
        assert bright.convert("L").getextrema()[0] > 200
    heard, sample_rate = soundfile.read(sounds[0][0], dtype="int16")
    assert sample_rate == 16000
    assert heard.tolist() == list(range(-800, 800))


def test_record_and_checkpoint_are_linked(runs: dict[str, WandbRun]) -> None:
    linked = {name: about for name, about in runs[OK.key].artifacts.items() if about[0] != "run_table"}
    assert {name: kind for name, (kind, _) in linked.items()} == {
        f"record-{OK.key}": "record",
        f"model-{OK.key}": "model",
    }
    record = linked[f"record-{OK.key}"][1][f"{OK.key}.json"]
    assert Record.from_json(record.read_text(), OK.key) == OK
    weights = linked[f"model-{OK.key}"][1]["model.pt"]
    assert weights.read_bytes() == b"weights"
    assert "staging" not in weights.parts  # a checkpoint is not copied
    assert f"record-{FAILED.key}" in runs[FAILED.key].artifacts
    assert f"model-{FAILED.key}" not in runs[FAILED.key].artifacts


def test_leaderboard_is_a_table(runs: dict[str, WandbRun]) -> None:
    table = runs["quick-summary"].tables["leaderboard/esc10"]
    assert table["columns"][:4] == ["rank", "model", "frontend", "accuracy"]
    assert [row[1] for row in table["data"]] == ["cnn", "fc", "ltc", "rann"]
    assert table["data"][0] == [1, "cnn", "logmel", 0.75, 0.7, 0.8, 1000, 20000, 4.0, "5/5"]


def test_scores_are_set_against_costs(runs: dict[str, WandbRun]) -> None:
    run = runs["quick-summary"]
    scatter = {cost: run.tables[f"pareto/esc10/{cost}_table"] for cost in ("macs", "parameters", "cpu_p50_ms")}
    assert scatter["macs"]["columns"] == ["system", "frontend", "macs", "log10 macs", "accuracy", "best at its cost"]
    assert scatter["macs"]["data"] == [  # nothing of rann, which has no rank
        ["fc", "logmel", 3000, 3.4771, 0.6, "yes"],
        ["cnn", "logmel", 20000, 4.301, 0.75, "yes"],
        ["ltc", "logmel", 40000, 4.6021, 0.5, "no"],
    ]
    assert [row[0] for row in scatter["parameters"]["data"]] == ["fc", "ltc", "cnn"]
    assert [row[-1] for row in scatter["parameters"]["data"]] == ["yes", "no", "yes"]
    assert run.config["_wandb.visualize.pareto/esc10/macs"]["panel_config"]["panelDefId"] == "wandb/scatter/v0"


def test_the_fronts_are_those_of_the_pages(runs: dict[str, WandbRun]) -> None:
    fronts = {}
    for plot in published_plots():
        column = {"latency": "cpu_p50_ms"}.get(plot.axis.name, plot.axis.name)
        logged = runs["quick-summary"].tables[f"pareto/{plot.dataset}/{column}_table"]["data"]
        expected = {(p.system, p.frontend, "yes" if p.front else "no") for p in plot.points}
        assert {(row[0], row[1], row[-1]) for row in logged} == expected
        fronts[plot.dataset, column] = [row[0] for row in logged if row[-1] == "yes"]
    # two systems with the same cost and the same score are both on the front: no other one is better
    assert fronts["published esc10", "macs"][-2:] == ["frontends-ds", "frontends-ids"]
    page = (PROJECT / "leaderboards" / "esc10.md").read_text()
    named = re.search(r"MACs per clip, front-end included; on the Pareto front: ([^\"]*)", page)
    assert named
    assert {*fronts["published esc10", "macs"]} == {*named[1].split(", ")}
    # a timing of grade C has no place in either
    timed = runs["quick-summary"].tables["pareto/published synthetic-tags/cpu_p50_ms_table"]["data"]
    assert len(timed) == 6


def test_failed_record_is_a_failed_wandb_run(runs: dict[str, WandbRun]) -> None:
    run = runs[FAILED.key]
    assert run.exit_code == 1
    assert runs[OK.key].exit_code == 0
    assert run.summary["error/kind"] == "RunError"
    assert run.summary["error/message"] == "the loss is not finite in epoch 3"


def test_no_secret_and_nothing_of_the_machine_is_kept(offline: Path, runs: dict[str, WandbRun]) -> None:
    needles = [*CANARIES.values(), ARGV_CANARY, NETRC_CANARY, "canary"]
    assert hits(offline, needles) == []
    config = runs[TELLING.key].config["arguments"]
    assert config == {"width": 8, "hub_token": "[redacted]", "weights": "https://[redacted]@host/w.pt"}
    assert f"record-{TELLING.key}" not in runs[TELLING.key].artifacts
    assert "secret" in runs[TELLING.key].summary["left out"]
    assert {run.host for run in runs.values()} == {""}
    assert not [path for path in offline.rglob("*") if path.name in ("wandb-metadata.json", "requirements.txt")]


def test_plain_wandb_keeps_what_the_mirror_does_not(tmp_path: Path) -> None:
    code = "import wandb; wandb.init(mode='offline', project='p').finish()"
    command = [sys.executable, "-c", code, f"--password={ARGV_CANARY}"]
    environment = {**os.environ, "WANDB_SILENT": "true", "WANDB_DIR": str(tmp_path), "WANDB_ERROR_REPORTING": "false"}
    subprocess.run(command, env=environment, cwd=tmp_path, check=True, capture_output=True, timeout=SOON)
    assert hits(tmp_path, [ARGV_CANARY])


def hits(folder: Path, needles: list[str]) -> list[tuple[str, str]]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files
    return [(path.name, needle) for path in files for needle in needles if needle.encode() in path.read_bytes()]


def test_a_damaged_wandb_file_is_noticed(offline: Path) -> None:
    content = bytearray(next(offline.rglob("*.wandb")).read_bytes())
    content[100] ^= 1
    with pytest.raises(ValueError, match="damaged"):
        list(frames(bytes(content)))


@pytest.fixture(scope="module")
def long_names(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Record], list[WandbRun]]:
    """Return two records whose names are too long for W&B and differ at the end only, and all W&B runs."""
    folder = tmp_path_factory.mktemp("long")
    np.savez(folder / "logits.npz", logits=LOGITS, targets=TARGETS)
    (folder / "model.pt").write_bytes(b"weights")
    records = [
        replace(OK, run=replace(OK.run, model=f"package.module:{'Wide' * 20}{end}", dataset="e" * 65)) for end in "ab"
    ]
    with Mirror("offline", "s" * 150, folder / "wandb") as mirror:
        for record in records:
            mirror.record(record, folder)
        row = (1, "cnn", "logmel", 0.75, 0.7, 0.8, 1000, 20000, 4.0, "5/5")
        columns = ("rank", "model", "frontend", "accuracy", "low", "high", "parameters", "macs", "cpu_p50_ms", "runs")
        point = Point(label="cnn", system="cnn", frontend="logmel", cost=4.0, score=0.75, interval=None, front=True)
        plots = [
            Plot(dataset=name, metric="accuracy", axis=axis, points=(point,), left_out="")
            for name in ("e" * 65, "e" * 66)
            for axis in AXES
        ]
        mirror.summary([("e" * 65, columns, [row]), ("e" * 66, columns, [row])], plots)
        assert mirror.close(120) is None, (folder / "wandb" / "mirror.log").read_text()
    return records, list(read_runs(folder / "wandb").values())


def test_names_that_are_too_long_for_wandb_lose_nothing(long_names: tuple[list[Record], list[WandbRun]]) -> None:
    records, runs = long_names
    summary = next(run for run in runs if run.job_type == "summary")
    mirrored = [run for run in runs if run is not summary]
    assert len({run.run_id for run in mirrored}) == len({run.name for run in mirrored}) == 2
    assert {len(run.group) for run in runs} == {128}
    assert len({run.group for run in runs}) == 1
    for run in mirrored:
        assert {len(tag) for tag in run.tags} == {6, 64}
        assert run.summary["test_accuracy"] == 0.75
        assert run.tables["average-precision_table"]["data"]
        kinds = [kind for kind, _ in run.artifacts.values() if kind != "run_table"]
        assert sorted(kinds) == ["model", "record"]
        assert all(len(name) <= 128 for name in run.artifacts)
        assert run.config["model"] in {record.run.model for record in records}  # the whole name is in the settings
    assert len({tag for run in mirrored for tag in run.tags}) == 4  # two models, one dataset, one front-end
    boards = [name for name in summary.tables if name.startswith("leaderboard/")]
    assert len(boards) == 2
    assert len([name for name in summary.tables if name.startswith("pareto/")]) == 6


def test_a_name_that_fits_stays_and_one_that_does_not_stays_unique() -> None:
    assert fitted("cnn", limits.TAG) == "cnn"
    assert fitted("m" * 64, 64) == "m" * 64
    digest = hashlib.sha256(b"m" * 65).hexdigest()[:8]
    assert fitted("m" * 65, 64) == f"{'m' * 55}-{digest}"
    assert fitted("m" * 65, 64) != fitted("m" * 66, 64)
    assert fitted("a:b", 64, limits.RESERVED) != fitted("a;b", 64, limits.RESERVED) != fitted("a-b", 64)
    assert fitted("a:b", 64, limits.RESERVED).startswith("a-b-")


def test_published_names_are_not_shortened() -> None:
    keys = [path.stem for path in (PROJECT / "leaderboards" / "records").glob("*.json")]
    assert len(keys) > 100
    assert [fitted(key, limits.RUN_ID, limits.RESERVED) for key in keys] == keys


def test_precision_recall_equals_scikit_learn() -> None:
    random = np.random.default_rng(0)
    scores, positive = random.integers(0, 20, 150) / 20, random.random(150) < 0.3  # many ties
    recall, precision = precision_recall(scores, positive)
    expected_precision, expected_recall, _ = precision_recall_curve(positive, scores)
    np.testing.assert_allclose(precision, expected_precision[-2::-1])  # without its made-up last point
    np.testing.assert_allclose(recall, expected_recall[-2::-1])


def test_roc_equals_scikit_learn() -> None:
    random = np.random.default_rng(0)
    scores, positive = random.integers(0, 20, 150) / 20, random.random(150) < 0.3  # many ties
    expected = roc_curve(positive, scores, drop_intermediate=False)
    np.testing.assert_allclose(roc(scores, positive), expected[:2])


@pytest.mark.parametrize("classes", [2, 7])
def test_calibration_sums_up_to_the_calibration_error(classes: int) -> None:
    random = np.random.default_rng(classes)
    logits, targets = 2 * random.normal(size=(300, classes)), random.integers(0, classes, 300)
    rows = [row for row in charts.calibration_rows(logits, targets) if row[1] == "measured"]
    error = sum(clips * abs(right - confidence) for confidence, _, right, clips in rows) / 300
    shares = torch.from_numpy(logits).softmax(1)
    expected = multiclass_calibration_error(shares, torch.from_numpy(targets), num_classes=classes, n_bins=15)
    assert error == pytest.approx(float(expected), abs=1e-6)


def test_calibration_of_several_labels_is_over_every_label_of_every_clip() -> None:
    logits = np.log(np.array([[0.9, 0.1], [0.9, 0.1]]) / np.array([[0.1, 0.9], [0.1, 0.9]]))
    rows = charts.calibration_rows(logits, np.array([[1.0, 0.0], [0.0, 0.0]]))
    assert rows[0] == (pytest.approx(0.1), "measured", 0.0, 2)
    assert rows[1] == (pytest.approx(0.9), "measured", 0.5, 2)


def test_a_leaderboard_without_a_cost_or_a_score_has_no_scatter() -> None:
    (without_a_cost,) = boards(scored(of("cnn"), 0.5, complexity=None, latencies=()))
    assert pareto.plots(without_a_cost) == ()
    (without_a_score,) = boards(scored(of("cnn"), scores={"macro_f1": 0.5}))
    assert pareto.plots(without_a_score) == ()


def test_precision_recall_is_thinned_to_200_points_and_keeps_the_ends() -> None:
    random = np.random.default_rng(0)
    scores, positive = random.random(5000), random.random(5000) < 0.3
    recall, precision = precision_recall(scores, positive)
    assert len(recall) == len(precision) == 200
    assert recall[-1] == 1.0
    assert precision[-1] == pytest.approx(positive.mean())


def test_many_classes_give_the_ten_most_frequent_and_the_micro_average() -> None:
    random = np.random.default_rng(0)
    targets = np.repeat(np.arange(12), np.arange(1, 13))  # class c has c + 1 clips
    rows = list(precision_recall_rows(random.normal(size=(len(targets), 12)), targets, [f"c{i}" for i in range(12)]))
    assert {row[0] for row in rows} == {"micro-average"} | {f"c{i}" for i in range(2, 12)}
    multi = list(precision_recall_rows(random.normal(size=(30, 3)), random.integers(0, 2, (30, 3)), ["a", "b", "c"]))
    assert {row[0] for row in multi} == {"micro-average", "a", "b", "c"}
    one = np.array([[1.0, 0.0], [1.0, 0.0]])  # a label that all clips have, one that none has
    assert {row[0] for row in roc_rows(random.normal(size=(2, 2)), one, ["a", "b"])} == {"micro-average"}


def test_micro_average_does_not_depend_on_a_clips_offset() -> None:
    offsets = np.array([[100.0], [-7.0], [0.0], [1000.0]])  # softmax does not see them
    plain = list(precision_recall_rows(LOGITS, TARGETS, OK.classes))
    assert list(precision_recall_rows(LOGITS + offsets, TARGETS, OK.classes)) == plain


def test_large_confusion_matrices_leave_out_empty_cells() -> None:
    names = tuple(f"c{i}" for i in range(120))
    confusion = tuple(tuple(int(i == j) for j in range(120)) for i in range(120))
    record = Record(run=OK.run, status="ok", classes=names, confusion=confusion)
    assert charts.confusion_rows(record) == [(name, name, 1) for name in names]


# Failures

HOUR = 3600
"""Seconds that a hanging W&B takes; a call that returns within `SOON` has not waited for it, on any machine."""
SOON = 300


@pytest.fixture
def mirrored() -> Iterator[Callable[..., Mirror]]:
    """Open mirrors whose processes do not outlive the test, whether it passes or fails."""
    children: list[subprocess.Popen[bytes]] = []

    def opened(*arguments: Any) -> Mirror:
        mirror = Mirror(*arguments)
        assert mirror._child is not None
        children.append(mirror._child)
        return mirror

    yield opened
    for child in children:
        child.kill()
        child.wait()


@pytest.fixture
def fake_wandb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Put a module named wandb with this body of `init` before the real one, for child processes."""

    def install(body: str) -> Path:
        code = (
            "import os, pathlib, time\nfrom unittest.mock import MagicMock\nSettings = dict\nArtifact = MagicMock()\n"
            f"teardown = lambda: None\ndef init(**arguments):\n    {body}\n"
        )
        (tmp_path / "wandb.py").write_text(code)
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        return tmp_path

    return install


def test_hanging_wandb_neither_slows_sending_nor_outlives_closing(
    fake_wandb: Callable[[str], Path], mirrored: Callable[..., Mirror]
) -> None:
    folder = fake_wandb(f"time.sleep({HOUR})")
    mirror = mirrored("offline", "quick", folder)
    child = mirror._child
    assert child is not None
    start = time.monotonic()
    for _ in range(2000):  # far more than a pipe holds
        mirror.record(OK)
    assert time.monotonic() - start < SOON
    warning = mirror.close(2.0)
    assert time.monotonic() - start < SOON
    assert warning is not None
    assert "did not finish within 2 s" in warning
    assert child.returncode == -signal.SIGKILL
    mirror.record(OK)  # nothing more happens
    assert mirror.close() is None


def test_a_long_queue_is_waited_for_offline_as_long_as_it_moves(
    fake_wandb: Callable[[str], Path], mirrored: Callable[..., Mirror]
) -> None:
    folder = fake_wandb("(pathlib.Path(__file__).parent / 'started').touch(); time.sleep(0.5); return MagicMock()")
    warnings = {}
    for mode in ("offline", "online"):
        mirror = mirrored(mode, "quick", folder / mode)
        for _ in range(8):
            mirror.record(FAILED)
        until(lambda: (folder / "started").exists(), seconds=SOON)
        (folder / "started").unlink()
        warnings[mode] = mirror.close(3.0)
    assert warnings["offline"] is None
    assert "did not finish within 3 s" in (warnings["online"] or "")


def test_dying_wandb_is_a_warning(fake_wandb: Callable[[str], Path], mirrored: Callable[..., Mirror]) -> None:
    mirror = mirrored("offline", "quick", fake_wandb("os._exit(9)"))
    mirror.record(OK)
    mirror.record(FAILED)
    warning = mirror.close(SOON)
    assert warning is not None
    assert "did not mirror everything" in warning


def test_one_failed_wandb_call_does_not_stop_the_next(
    fake_wandb: Callable[[str], Path], mirrored: Callable[..., Mirror]
) -> None:
    folder = fake_wandb("(pathlib.Path(__file__).parent / arguments['id']).touch(); raise OSError('quota exceeded')")
    mirror = mirrored("offline", "quick", folder)
    mirror.record(OK)
    mirror.record(FAILED)
    assert "did not mirror everything" in (mirror.close(SOON) or "")
    assert (folder / OK.key).exists()
    assert (folder / FAILED.key).exists()
    assert (folder / "mirror.log").read_text().count("OSError: quota exceeded") == 2


def test_a_record_that_is_not_json_is_a_warning(
    fake_wandb: Callable[[str], Path], mirrored: Callable[..., Mirror]
) -> None:
    mirror = mirrored("offline", "quick", fake_wandb("pass"))
    mirror.record(Record(run=OK.run, status="ok", scores={"accuracy": float("nan")}))
    assert "did not mirror everything" in (mirror.close(SOON) or "")


def test_child_ends_soon_after_its_parent_is_killed(
    fake_wandb: Callable[[str], Path], start: Callable[..., "subprocess.Popen[str]"]
) -> None:
    folder = fake_wandb(f"time.sleep({HOUR})")
    code = (
        "import pathlib, sys, time; from bench.records import Record, Run; from bench.tracking import Mirror\n"
        "mirror = Mirror('offline', 'quick', pathlib.Path(sys.argv[1]))\n"
        "mirror.record(Record(run=Run(model='cnn', frontend='logmel', dataset='esc10'), status='ok'))\n"
        f"print(mirror._child.pid, flush=True); time.sleep({HOUR})"
    )
    parent = start([sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE, text=True, cwd=PROJECT)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    assert running(pid)
    parent.kill()
    until(lambda: not running(pid), seconds=SOON)


def test_dead_server_is_left_and_leaves_no_process(
    tmp_path: Path, black_hole: str, monkeypatch: pytest.MonkeyPatch, mirrored: Callable[..., Mirror]
) -> None:
    monkeypatch.setenv("WANDB_BASE_URL", black_hole)
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    mirror = mirrored("online", "quick", tmp_path)
    child = mirror._child
    assert child is not None
    mirror.record(OK)
    until(lambda: service_of(child.pid) is not None, seconds=SOON)
    service = service_of(child.pid)
    assert service is not None
    assert mirror.close(1.0) is not None  # does not wait for the server, which never answers
    until(lambda: not running(service), seconds=SOON)


def test_disabled_does_nothing(tmp_path: Path) -> None:
    with Mirror("disabled", "quick", tmp_path / "wandb") as mirror:
        mirror.record(OK)
        mirror.summary([("esc10", ["a"], [[1]])])
    assert not (tmp_path / "wandb").exists()


def running(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def service_of(pid: int) -> int | None:
    """Return W&B's own service process of a child."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            arguments = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if arguments[0].endswith(b"wandb-core") and str(pid).encode() in arguments:
            return int(path.parent.name)
    return None


def until(condition: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.05)


# The mode


@pytest.fixture
def nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user without any W&B settings; returns the home folder."""
    for name in ("WANDB_MODE", "WANDB_API_KEY", "WANDB_BASE_URL", "NETRC", "http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def black_hole() -> Iterator[str]:
    """A server that accepts and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=8) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def answering() -> Iterator[Callable[[int], str]]:
    """Start a server that answers everything with one status."""
    servers: list[HTTPServer] = []

    def start(status: int) -> str:
        class Answer(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(status)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        server = HTTPServer(("127.0.0.1", 0), Answer)
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.05,)).start()
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.usefixtures("nobody")
def test_offline_unless_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose_mode(None) == ("offline", None)
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert choose_mode(None) == ("disabled", None)
    assert choose_mode("offline") == ("offline", None)
    monkeypatch.setenv("WANDB_MODE", "dryrun")
    assert choose_mode(None) == ("offline", None)
    monkeypatch.setenv("WANDB_MODE", "onlien")
    mode, warning = choose_mode(None)
    assert mode == "offline"
    assert "onlien" in (warning or "")


@pytest.mark.usefixtures("nobody")
def test_online_without_a_key_is_offline() -> None:
    mode, warning = choose_mode("online")
    assert mode == "offline"
    assert "no key for api.wandb.ai" in (warning or "")


def test_key_from_netrc(nobody: Path, answering: Callable[[int], str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_BASE_URL", answering(200))
    netrc = nobody / ".netrc"
    netrc.write_text("machine api.wandb.ai login user password secret\n")
    netrc.chmod(0o600)
    assert choose_mode("online")[0] == "offline"  # the key of another server
    netrc.write_text("machine 127.0.0.1 login user password secret\n")
    assert choose_mode("online") == ("online", None)


@pytest.mark.usefixtures("nobody")
@pytest.mark.parametrize(("status", "mode"), [(200, "online"), (404, "online"), (500, "offline"), (503, "offline")])
def test_answers_of_the_server(
    status: int, mode: str, answering: Callable[[int], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    monkeypatch.setenv("WANDB_BASE_URL", answering(status))
    found, warning = choose_mode("online")
    assert found == mode
    assert (warning is None) == (mode == "online")


@pytest.mark.usefixtures("nobody")
def test_refused_and_silent_servers_mean_offline(black_hole: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    for url in (f"http://user:canary-url@127.0.0.1:{port}", black_hole):
        monkeypatch.setenv("WANDB_BASE_URL", url)
        mode, warning = choose_mode("online")  # does not wait for the second one, which never answers
        assert mode == "offline"
        assert warning is not None
        assert "127.0.0.1" in warning
        assert "\n" not in warning
        assert "canary" not in warning


def test_child_environment_is_an_allow_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in CANARIES.items():
        monkeypatch.setenv(name, value)
    assert "canary" not in json.dumps(_child_variables("offline", tmp_path))
    online = _child_variables("online", tmp_path)
    assert online["WANDB_API_KEY"] == CANARIES["WANDB_API_KEY"]
    assert "MY_SECRET_TOKEN" not in online
