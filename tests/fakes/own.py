"""Small trees of a user's own clips, and calls of the command line on them."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from fakes import calls

RATE = 8_000
SUITE = """
models = ["fc"]
datasets = ["folder"]
{folds}
[recipe]
epochs = 1
[dataset.folder]
sample_rate = 8000
{lines}
"""


def clip(path: Path, seed: int = 0, seconds: float = 0.1, *, silent: bool = False) -> Path:
    """Write noise that differs with the seed and the path's name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng([seed, *path.as_posix().encode()[-40:]]).standard_normal(round(seconds * RATE))
    soundfile.write(path, 0 * noise if silent else 0.1 * noise, RATE)
    return path


def tree(root: Path, names: Iterable[str], seconds: float = 0.1) -> Path:
    """Write a clip for each name below the root."""
    for name in names:
        clip(root / name, seconds=seconds)
    return root


def suite(folder: Path, lines: str, folds: str = 'folds = "all"') -> Path:
    """Write a suite that trains one small model for an epoch on the clips of `[dataset.folder]`."""
    path = folder / "own.toml"
    path.write_text(SUITE.format(folds=folds, lines=lines))
    return path


class Bench:
    """Calls `bench` in this process."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        patch.chdir(folder)
        patch.setenv("XDG_DATA_HOME", str(folder / "home"))

    def __call__(self, *arguments: object) -> tuple[int, str]:
        """Return the exit code and everything that was said."""
        found = calls.bench(*arguments)
        assert "Traceback" not in found.err
        return found.code, found.out + found.err

    def run(self, suite: Path, *options: object) -> tuple[int, str]:
        """Call `bench run` in this process alone."""
        return self("run", "--suite", suite, "--executor", "serial", "--wandb", "disabled", "--device", "cpu", *options)

    def records(self) -> list[dict[str, Any]]:
        """Return the records, by key."""
        return [json.loads(path.read_text()) for path in sorted((self.folder / "runs" / "records").glob("*.json"))]

    def page(self, suite: str = "own") -> str:
        """Return the page of a suite."""
        return (self.folder / "runs" / f"{suite}.md").read_text()
