"""W&B gets everything that it should, and no secret."""

import os
import pickle
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from fakes.mirrored import (
    ARGV_CANARY,
    CANARIES,
    FAILED,
    LOGITS,
    OK,
    SOON,
    TARGETS,
    TELLING,
    plots_of_four,
    published_plots,
)
from fakes.paths import PROJECT
from fakes.wandb_file import WandbRun, frames, read_runs
from PIL import Image

from bench.records import Record
from bench.tracking import charts

pytestmark = pytest.mark.process

NETRC_CANARY = "canary2b" * 5

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
