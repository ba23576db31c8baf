"""What is done to one run, in whichever process: prepare its data, train and score it, time it."""

import hashlib
import io
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch

from bench import build, complexity, evaluate, latency, training
from bench.environment import environment, set_threads
from bench.errors import RunError
from bench.place import Place
from bench.records import Complexity, Data, Failure, Latency, Record, Run
from bench.store import Store, write_whole
from datamodules.base import AudioDataModule
from models.base import AudioModel

Report = Callable[[Any], None]


def device_of(place: Place) -> str:
    """Return "cpu" or "cuda".

    Raises:
        RunError: cuda was asked for and is not there.
    """
    if place.device == "cuda" and not torch.cuda.is_available():
        raise RunError("torch sees no CUDA device: use --device cpu, or install the CUDA build of torch")
    return place.device if place.device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"


def check(runs: tuple[Run, ...], place: Place, report: Report) -> str:
    """Bind every run's arguments and return the device that will be used."""
    for run in runs:
        build.check(run)
    return device_of(place)


def prepare(run: Run, place: Place, report: Report) -> None:
    """Read the run's dataset once, so that what is wrong with it is known before training, and its cache is made."""
    set_threads(place.threads)
    build.dataset(run, place.data_dir, Store(place.store).cache).setup()


def execute(run: Run, place: Place, force: bool, report: Report) -> str | Failure:
    """Do a run and write its record; returns "done", its failure, or "elsewhere" where another process has it.

    With `force` it is done although its record is there.
    """
    store = Store(place.store)
    with store.claim(run.key) as mine:
        if not mine:
            return "elsewhere"
        if run in store and not force:
            return "done"
        with store.machine(alone=False):
            record = _record(run, store, place, report)
        store.write(record)
        return record.error or "done"


def _record(run: Run, store: Store, place: Place, report: Report) -> Record:
    started = datetime.now(UTC).isoformat(timespec="seconds")
    device = "cpu"
    try:
        device = device_of(place)
        set_threads(place.threads)
        pl.seed_everything(run.seed, workers=True, verbose=False)
        data = build.dataset(run, place.data_dir, store.cache)
        data.setup()
        record = (_fuse if run.members else _train)(run, data, store, place, device, report)
    except Exception as error:
        record = Record(run=run, status="failed", error=Failure.of(error))
    where = replace(environment(place.threads, "cuda" if device == "cuda" else "cpu"), workers=place.workers)
    return replace(record, started=started, environment=where)


def _train(run: Run, data: AudioDataModule, store: Store, place: Place, device: str, report: Report) -> Record:
    folder = store.artifacts(run.key)
    folder.mkdir(parents=True, exist_ok=True)
    model = build.model(run, data)
    clock = time.perf_counter()
    trained = training.train(model, data, run.recipe, folder, device, lambda *news: report(news))
    train_seconds = time.perf_counter() - clock
    predictions = evaluate.predict(model, data, device)
    _save(model, folder / "model.pt")
    size = complexity.measure(model, data.clip_shape, data.clip_seconds)
    record = _scored(run, predictions, data, folder, size)
    seconds = {"train": train_seconds, "evaluate": time.perf_counter() - clock - train_seconds}
    return replace(record, curves=trained.curves, best_epoch=trained.best_epoch, seconds=seconds)


def _fuse(run: Run, data: AudioDataModule, store: Store, place: Place, device: str, report: Report) -> Record:
    clock = time.perf_counter()
    predictions = evaluate.fuse(run, store, data)
    members = [member for key in run.members if (member := store.get(key))]
    sizes = [member.complexity for member in members if member.complexity]
    size = Complexity(
        parameters=sum(s.parameters for s in sizes),
        macs=sum(s.macs for s in sizes),
        frontend_macs=sum(s.frontend_macs for s in sizes),
        elementwise=sum(s.elementwise for s in sizes),
        bytes=sum(s.bytes for s in sizes),
        clip_seconds=data.clip_seconds,
    )
    record = _scored(run, predictions, data, store.artifacts(run.key), size)
    train_seconds = sum(member.seconds.get("train", 0.0) for member in members)
    return replace(
        record, conflict=predictions.conflict, seconds={"train": train_seconds, "evaluate": time.perf_counter() - clock}
    )


def _scored(
    run: Run, predictions: evaluate.Predictions, data: AudioDataModule, folder: Path, size: Complexity
) -> Record:
    found, intervals = evaluate.scores(predictions, data)
    evaluate.keep(predictions, data, folder)
    return Record(
        run=run,
        status="ok",
        scores=found.values,
        intervals=intervals,
        defined=found.defined,
        per_class=found.per_class,
        classes=data.classes,
        confusion=found.confusion,
        complexity=size,
        data=describe(data),
    )


def describe(data: AudioDataModule) -> Data:
    """Return what the record says of a dataset that is set up."""
    parts = {"train": data.splits.train, "val": data.splits.val, "test": data.splits.test}
    clips: Mapping[Any, int] = {name: len(part) for name, part in parts.items()}
    return Data(
        manifest=data.manifest(),
        labels=hashlib.sha256("\n".join(data.classes).encode()).hexdigest(),
        split=data.split,
        clips=dict(clips),
        clips_available=sum(clips.values()),
        clips_official=data.clips_official,
        test_groups=len(set(data.splits.test.groups)),
        note=data.note,
    )


def _save(model: AudioModel, path: Path) -> None:
    content = io.BytesIO()
    torch.save(model.state_dict(), content)
    write_whole(path, content.getvalue())


def time_run(run: Run, place: Place, report: Report) -> None:
    """Time a finished run's model on one clip, on the CPU and on the GPU where there is one, for its record."""
    store = Store(place.store)
    with store.machine(alone=True):
        record = store.get(run.key)
        if record is None:
            raise RunError(f"{run.key} has no record to add timings to")
        if not record.latencies:  # another process may just have added them
            store.write(record.with_latencies(_timings(run, store, place)))


def _timings(run: Run, store: Store, place: Place) -> tuple[Latency, ...]:
    data = build.dataset(run, place.data_dir, store.cache)
    data.setup()
    model = build.load(run, store, data)
    x = next(x for i in range(len(data.splits.test)) if (x := data.splits.test.load([i])).any())  # not a silent clip
    timings: list[Latency] = [latency.measure(model, x, data.clip_seconds, device="cpu", threads=place.threads)]
    if device_of(place) == "cuda":
        timings.append(latency.measure(model, x, data.clip_seconds, device="cuda", threads=place.threads))
    return tuple(timings)
