"""The shortest training under Lightning's Trainer, run as a script on a few very short clips."""

import os
from pathlib import Path

import pytest
import torch
from fakes import esc50, forkservers
from fakes.paths import PROJECT

SCRIPT = PROJECT / "examples" / "train_swishnet.py"


def test_the_script_is_short() -> None:
    assert len(SCRIPT.read_text().splitlines()) <= 25


@pytest.mark.process
@pytest.mark.slow
def test_the_script_trains_tests_saves_loads_and_predicts(tmp_path: Path) -> None:
    root = esc50.write(tmp_path / "esc10")
    wav = next((root / "audio").glob("*.wav"))
    environment = os.environ | {"PYTHONPATH": str(PROJECT), "COLUMNS": "200"}
    done = forkservers.run([SCRIPT, root, 2, wav], tmp_path, environment)
    assert done.returncode == 0, done.stdout + done.stderr
    last = done.stdout.splitlines()[-1]
    assert last.startswith(f"{wav}: ")
    assert last.removeprefix(f"{wav}: ").partition(" ")[0] in {"dog", "rooster", "rain", "chainsaw"}
    assert "test_accuracy" in done.stdout
    header = (tmp_path / "runs" / "lightning_logs" / "version_0" / "metrics.csv").read_text().splitlines()[0]
    assert {"train_loss", "val_accuracy", "test_accuracy"} <= set(header.split(","))
    (best,) = (tmp_path / "runs").rglob("*.ckpt")
    saved = torch.load(tmp_path / "swishnet.ckpt", weights_only=True)["state_dict"]
    weights = torch.load(best, weights_only=True)["state_dict"]
    assert all(torch.equal(value, weights[name]) for name, value in saved.items())
