"""What is done to one run, in whichever process: prepare its data, train and score it, time it."""

import hashlib
import io
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from torch import Tensor, nn

from bench import catalog
from bench.profiling import complexity
from bench.profiling import measure
from bench.profiling import isolated
from bench.training import build
from bench.training import fit
from bench.evaluation import evaluate
from bench.evaluation import mistakes
from bench.records import combined
from bench.profiling.environment import environment, set_threads
from bench.errors import ProfileError, RunError
from bench.records.grades import graded
from bench.runner.settings import Place
from bench.records.record import Complexity, Data, Failure, Latency, Record, Run
from bench.records.store import Store, write_whole
from datamodules.base import AudioDataModule, ClipSet
from models.base import AudioModel

Report = Callable[[Any], None]

CLIPS = 32
"""Training clips that show int8 what values to expect, and test clips that backends are compared on."""


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
    return _do(run, place, force, lambda store: _train(run, store, place, report))


def fuse(runs: tuple[Run, ...], place: Place, force: frozenset[str], report: Report) -> None:
    """Do fusions on one dataset, fold and seed, reading it once; reports each one's key and what `execute` returns.

    Those whose keys are in `force` are done although their records are there.
    """
    set_threads(place.threads)
    data = build.dataset(runs[0], place.data_dir, Store(place.store).cache)
    data.setup()
    about = describe(data)
    for run in runs:
        report((run.key, _do(run, place, run.key in force, partial(_fuse, run, data, about, place))))


def _do(run: Run, place: Place, force: bool, work: Callable[[Store], Record]) -> str | Failure:
    store = Store(place.store)
    with store.claim(run.key) as mine:
        if not mine:
            return "elsewhere"
        if run in store and not force:
            return "done"
        started = datetime.now(UTC).isoformat(timespec="seconds")
        on_gpu = place.device != "cpu" and torch.cuda.is_available()
        # Now, as the code may be another when the run ends.
        where = replace(environment(place.threads, "cuda" if on_gpu else "cpu"), workers=place.workers)
        with store.machine(alone=False):
            try:
                record = work(store)
            except Exception as error:
                record = Record(run=run, status="failed", error=Failure.of(error))
        store.write(replace(record, started=started, environment=where))
        return record.error or "done"


def _train(run: Run, store: Store, place: Place, report: Report) -> Record:
    device = device_of(place)
    set_threads(place.threads)
    pl.seed_everything(run.seed, workers=True, verbose=False)
    data = build.dataset(run, place.data_dir, store.cache, place.loaders)
    data.setup()
    folder = store.artifacts(run.key)
    folder.mkdir(parents=True, exist_ok=True)
    model = build.model(run, data)
    if run.recipe.init:
        build.start_from(model, run, store)
    clock = time.perf_counter()
    taught = _lessons(run, store, data, device) if run.recipe.teacher else None
    trained = fit.train(
        model, data, run.recipe, folder, device, lambda *news: report(news), taught, place.data_dir
    )
    train_seconds = time.perf_counter() - clock
    predictions = evaluate.predict(model, data, device)
    _save(model, folder / "model.pt")
    size = complexity.measure(model, data.clip_shape, data.clip_seconds)
    record = _scored(run, predictions, data, describe(data), folder, size)
    mistakes.keep(predictions.test, data, folder, place.worst)
    seconds = {"train": train_seconds, "evaluate": time.perf_counter() - clock - train_seconds}
    return replace(record, curves=trained.curves, best_epoch=trained.best_epoch, seconds=seconds)


def _lessons(run: Run, store: Store, data: AudioDataModule, device: str) -> Tensor:
    """Return the teacher's logits of the training clips `(N, C)`; the student's chance is what it is without one."""
    with torch.random.fork_rng(devices=[]):
        teacher = build.teacher(run, store, data).to(device).eval()
    return evaluate.logits(teacher, data.splits.train, data.batch_size, device)


def _fuse(run: Run, data: AudioDataModule, about: Data, place: Place, store: Store) -> Record:
    clock = time.perf_counter()
    predictions = evaluate.fuse(run, store, data)
    members = store.finished(run.members)
    folder = store.artifacts(run.key)
    record = _scored(run, predictions, data, about, folder, combined.size(members))
    mistakes.keep(predictions.test, data, folder, place.worst)
    train_seconds = sum(member.seconds.get("train", 0.0) for member in members)
    return replace(
        record, conflict=predictions.conflict, seconds={"train": train_seconds, "evaluate": time.perf_counter() - clock}
    )


def _scored(
    run: Run, predictions: evaluate.Predictions, data: AudioDataModule, about: Data, folder: Path, size: Complexity
) -> Record:
    evaluate.keep(predictions, data, folder)
    test = data.splits.test
    targets = test.targets.numpy()
    scored = evaluate.scores(predictions.test, targets, test.groups, data.classes, data.task, run.fold)
    return scored.into(Record(run=run, status="ok", classes=data.classes, complexity=size, data=about))


def describe(data: AudioDataModule) -> Data:
    """Return what the record says of a dataset that is set up."""
    parts = {"train": data.splits.train, "val": data.splits.val, "test": data.splits.test}
    clips: Mapping[Any, int] = {name: len(part) for name, part in parts.items()}
    return Data(
        manifest=data.manifest(),
        labels=hashlib.sha256("\n".join(data.classes).encode()).hexdigest(),
        split=data.split,
        clips=dict(clips),
        clips_available=sum(clips.values()) if data.clips_available is None else data.clips_available,
        clips_official=data.clips_official,
        test_groups=len(set(data.splits.test.groups)),
        note=data.note,
    )


def _save(model: AudioModel, path: Path) -> None:
    content = io.BytesIO()
    torch.save(model.state_dict(), content)
    write_whole(path, content.getvalue())


ATTEMPTS = 4
"""Of a measurement that was asked for, where others disturb it."""


def time_runs(runs: tuple[Run, ...], place: Place, backends: tuple[str, ...], again: bool, report: Report) -> None:
    """Time trained runs' models on one clip, on the CPU and on the GPU where there is one, for their records.

    Reports (key, "timing"), and then (key, None) or (key, failure), for each. What a backend cannot run is no failure:
    its reason goes to the record.

    Args:
        runs: none of them a fusion.
        place: where.
        backends: of the catalogue.
        again: measure also what has been measured, in three processes each, and anew what was disturbed; the new
            timings take the place of all the old ones, but one of grade C never that of a better one.
        report: is told.
    """
    store = Store(place.store)
    set_threads(place.threads)
    seen = [timing for record in store.finished([run.key for run in runs]) for timing in record.latencies]
    left = deque((run, ATTEMPTS if again else 1) for run in runs)
    while left:
        run, attempts = left.popleft()
        report((run.key, "timing"))
        try:
            with store.machine(alone=True):
                latencies = _time(run, store, place, backends, again)
        except Exception as error:
            report((run.key, Failure.of(error)))
            continue
        seen += latencies
        if attempts > 1 and not all(isolated.ranked for timing in graded(seen)[-len(latencies) :]):
            left.append((run, attempts - 1))  # when all others have had their turn: such times pass
        else:
            report((run.key, None))


def _time(run: Run, store: Store, place: Place, backends: tuple[str, ...], again: bool) -> tuple[Latency, ...]:
    """Time a run for its record, and return the timings."""
    record = build.finished(store, run.key, "the run to time")
    # Another process may just have added them.
    wanted = backends if again else tuple(name for name in backends if not record.timed_on(name))
    if not wanted:
        return ()
    latencies, refused = _timings(run, store, place, wanted, measure.TIERS["steady" if again else "quick"])
    if again:
        better = {old.conditions: old for old in record.latencies if old.ranked}
        kept = tuple(new if new.ranked else better.get(new.conditions, new) for new in latencies)
        store.write(record.with_latencies(kept, refused))
    else:
        store.write(record.with_latencies(record.latencies + latencies, record.not_timed | refused))
    return latencies


def _timings(
    run: Run, store: Store, place: Place, backends: tuple[str, ...], tier: measure.Tier
) -> tuple[tuple[Latency, ...], dict[str, str]]:
    """Return the timings, and for each backend that cannot run the model why."""
    data = build.dataset(run, place.data_dir, store.cache, place.loaders)
    data.setup()
    model = build.load(run, store, data)
    timings: list[Latency] = []
    refused: dict[str, str] = {}
    for device in dict.fromkeys(("cpu", device_of(place))):
        with subject(model, data, device, place.threads, tier) as laid_down:
            for name in backends:
                if device not in catalog.load(catalog.BACKENDS[name].target).devices:
                    continue
                try:
                    timings += [laid_down.latency(name, scope) for scope in isolated.SCOPES]
                except ProfileError as error:
                    if name == "eager":
                        raise
                    refused[name] = str(error)
    found = {one.backend for one in timings}
    for name in backends:
        if name not in found:
            refused.setdefault(name, "no device here that it runs on")
    return tuple(timings), refused


def subject(
    model: nn.Module, data: AudioDataModule, device: str, threads: int, tier: measure.Tier | None = None
) -> isolated.Subject:
    """Return a trained model ready to be timed on a test clip that is not silent."""
    splits = data.splits
    x = next(x for i in range(len(splits.test)) if (x := splits.test.load([i])).any())
    return isolated.Subject(
        model, x, data.clip_seconds, calibration=_some(splits.train), clips=_some(splits.test),
        device="cuda" if device == "cuda" else "cpu", threads=threads, tier=tier,
    )  # fmt: skip


def _some(part: ClipSet) -> list[Tensor]:
    """Return up to `CLIPS` clips, evenly spaced, each `(1, ...)`."""
    places = np.linspace(0, len(part) - 1, min(CLIPS, len(part))).round().astype(int)
    return [part.load([int(i)]) for i in places]
