"""A store with trained models of sounds in files, whose data are gone. The models are small; each is trained once."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile

from bench.records import Run, Store
from bench.runner import worker
from bench.runner.settings import RunSettings
from bench.suites import Suite, read

SUITE = """
models = ["cnn", "swishnet", "lstm-skip", "fusion-ds"]
datasets = ["sounds"]
folds = [0, 1]
fusion_members = ["cnn", "swishnet"]

[dataset.sounds]
dataset = "folder"
root = "{root}"
clip_seconds = 1.0
sample_rate = 16000

[recipe]
epochs = 2
"""


@dataclass(frozen=True)
class Kept:
    """Models that were trained on sounds which are no longer where they were.

    Attributes:
        store: records and artifacts.
        suite: path of the suite.
        grid: the suite.
        sounds: where the sounds have been moved, in `<class>/<number>.wav`.
    """

    store: Store
    suite: Path
    grid: Suite
    sounds: Path

    def run(self, name: str, fold: int = 0) -> Run:
        """Return the run of a system on a fold."""
        names = self.grid.names()
        return next(run for run in self.grid.runs() if names[run.key] == name and run.fold == fold)


def write_sounds(root: Path, each: int = 10, rate: int = 16_000) -> None:
    """Write clips of 1 s: tones above and below 1 kHz, and noise."""
    rng = np.random.default_rng(0)
    time = np.arange(rate) / rate
    for number in range(each):
        for name, low, high in (("high", 2000, 5000), ("low", 200, 700), ("noise", 0, 0)):
            tone = np.sin(2 * np.pi * rng.uniform(low, high) * time) if high else rng.standard_normal(rate)
            (root / name).mkdir(parents=True, exist_ok=True)
            sound = 0.2 * tone + 0.01 * rng.standard_normal(rate)
            soundfile.write(root / name / f"{number}.wav", sound, rate, subtype="PCM_16")


@pytest.fixture(scope="session")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    """Train every system of `SUITE`, then move its sounds away."""
    folder = tmp_path_factory.mktemp("kept")
    write_sounds(folder / "sounds")
    suite = folder / "kept.toml"
    suite.write_text(SUITE.format(root=(folder / "sounds").as_posix()))
    grid = read(str(suite))
    settings = RunSettings(store=folder / "runs", data_dir=folder, device="cpu", hardest_clips=0)
    for run in grid.runs():
        if run.members:
            worker.fuse((run,), settings, frozenset(), lambda news: None)
        else:
            worker.execute(run, settings, False, lambda news: None)
    store = Store(settings.store)
    for run in grid.runs():
        record = store.get(run.key)
        assert record is not None
        assert record.status == "ok", record.error
    moved = tmp_path_factory.mktemp("moved") / "elsewhere"
    shutil.move(folder / "sounds", moved)
    shutil.rmtree(settings.store / "cache", ignore_errors=True)
    return Kept(store, suite, grid, moved)
