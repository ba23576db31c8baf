"""One trial: a training whose record has the validation curves and nothing of the test clips."""

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import lightning.pytorch as pl
from torch import Tensor

from bench.catalog import PRIMARY
from bench.errors import RunError
from bench.profiling.environment import chosen_device, environment, set_threads
from bench.records import Record, Run, Store
from bench.runner.news import News
from bench.runner.settings import RunSettings
from bench.runner.worker import describe
from bench.training import build, fit
from datamodules.base import AudioDataModule, ClipSet


class Sealed(ClipSet):
    """Test clips that nobody can read: their names are there, their samples and targets are not.

    Args:
        clips: the test clips.
    """

    def __init__(self, clips: ClipSet) -> None:
        super().__init__(clips.ids, clips.groups, clips.hashes, clips.targets.new_zeros(clips.targets.shape))

    def load(self, indices: Sequence[int]) -> Tensor:
        """Refuse to load.

        Raises:
            RunError: always.
        """
        raise RunError("a trial reads no test clip")


def seal(data: AudioDataModule) -> None:
    """Replace the test clips of a dataset that is set up by sealed ones."""
    data.splits = replace(data.splits, test=Sealed(data.splits.test))


def execute(run: Run, settings: RunSettings, report: Callable[[News], None]) -> float:
    """Train a run, write its record to the store, and return its best score on the validation clips.

    A record that is there is not made again.

    Raises:
        RunError: another process is training this run, or the training fails.
    """
    store = Store(settings.store)
    with store.claim(run.key) as mine:
        if not mine:
            raise RunError(f"another process is training {run.key}: repeat the call when it has ended")
        if (record := store.get(run.key)) is not None and record.status == "ok":
            return score(record)
        device = chosen_device(settings.device)
        set_threads(settings.threads)
        started, where = datetime.now(UTC).isoformat(timespec="seconds"), environment(settings.threads, device)
        pl.seed_everything(run.seed, workers=True, verbose=False)
        data = build.dataset(run, settings.data_dir, store.cache, settings.loaders, settings.skip_unreadable)
        data.setup()
        about = describe(data)
        seal(data)
        model = build.model(run, data)
        clock = time.perf_counter()
        folder = store.root / "trials"
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".tmp-trial-", dir=folder) as scratch:
            trained = fit.train(
                model, data, run.recipe, Path(scratch), device, _nothing, None, settings.data_dir
            )  # fmt: skip
        record = Record(
            run=run, status="ok", classes=data.classes, curves=trained.curves, best_epoch=trained.best_epoch,
            data=about,
            seconds={"train": time.perf_counter() - clock}, environment=where, started=started,
        )  # fmt: skip
        store.write(record)
        return score(record)


def score(record: Record) -> float:
    """Return a trial's primary score on the validation clips, at its best epoch.

    Raises:
        RunError: the record has no validation curve.
    """
    curve = next((record.curves[f"val_{name}"] for name in PRIMARY.values() if f"val_{name}" in record.curves), ())
    if record.best_epoch is None or record.best_epoch >= len(curve):
        raise RunError(f"the trial {record.key} has no validation score: delete its record")
    return curve[record.best_epoch]


def _nothing(*values: object) -> None:
    """Report nothing: a trial has no progress bar."""
