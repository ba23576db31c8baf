"""A store with three small trained models and a fusion, made once per process."""

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from bench.records import Record, Run, Store

SUITE = """
models = ["fc", "cnn", "fusion-ds"]
datasets = ["synthetic"]
folds = [0]
[recipe]
epochs = 2
[dataset.synthetic]
clips_per_class = 10
clip_seconds = 0.5
"""


@cache
def store() -> Store:
    """Return the store; take a copy of what is to be damaged."""
    folder = Path(tempfile.mkdtemp(prefix="faults-trained-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    train(folder)
    return Store(folder / "runs")


def train(folder: Path) -> None:
    """Do the runs of the suite in this process, with the store in `folder/runs`."""
    from bench.runner import worker
    from bench.runner.settings import RunSettings

    for run in runs(folder):
        settings = RunSettings(store=folder / "runs", data_dir=folder, device="cpu")
        if run.members:
            worker.fuse((run,), settings, frozenset(), lambda news: None)
            continue
        result = worker.execute(run, settings, False, lambda news: None)
        assert result == "done", result


def runs(folder: Path) -> tuple[Run, ...]:
    """Return the runs of the suite, in the order in which they are done."""
    from bench import suites

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "small.toml").write_text(SUITE)
    return suites.read(str(folder / "small.toml")).runs()


def copy(folder: Path) -> Store:
    """Return a copy of the store in a new folder."""
    shutil.copytree(store().root, folder / "runs", ignore=shutil.ignore_patterns("cache"))
    return Store(folder / "runs")


def records(where: Store) -> list[Record]:
    """Return the records of the store."""
    return [record for record in map(where.get, where.keys()) if record]


def one(where: Store, model: str) -> Any:
    """Return the record of a model."""
    return next(record for record in records(where) if record.run.model == model)
