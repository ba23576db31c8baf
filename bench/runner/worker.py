"""The work on one run, in any process: prepare its data, train the model and score it."""

import hashlib
import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Literal

import lightning.pytorch as pl
import torch
from torch import Tensor

from bench.errors import BenchError, PluginError
from bench.evaluation import evaluate, mistakes, pulse
from bench.evaluation.metrics.added import with_added
from bench.evaluation.predictions import keep as keep_predictions
from bench.evaluation.second_labels import with_second_labels
from bench.evaluation.segmentation import streams
from bench.profiling import complexity
from bench.profiling.children import not_from_forks, not_in_forks, write_stack_on_signal
from bench.profiling.environment import chosen_device, environment, set_threads
from bench.records import (
    Complexity,
    Data,
    Failure,
    Record,
    Run,
    Segmentation,
    Store,
    artifacts,
    combined,
    data_files,
    is_weights_file,
    sources,
)
from bench.runner import ranks, shortage
from bench.runner.news import (
    ClipsRead,
    DataRead,
    EpochEnded,
    News,
    Noted,
    RunEnded,
    StepsDone,
    TrainingStarted,
    Working,
)
from bench.runner.settings import RunSettings
from bench.training import build, fit, lineage, stored
from bench.training.checkpoints import Checkpoints
from datamodules.audio.background import BackgroundNoise
from datamodules.base import AudioDataModule
from datamodules.clips.array_cache import REPAIRED, recheck
from datamodules.clips.draws import place_among_ranks
from models.base import AudioModel, ModelError

Report = Callable[[News], None]
Work = Callable[[Store, Path], Record]
"""Does a run: receives the store, and a new folder for the run's artifacts."""

READING_SECONDS = 0.5  # between two reports on the files that were read


def check(runs: tuple[Run, ...], settings: RunSettings, report: Report) -> dict[str, Failure]:
    """Check that the constructors accept every run's arguments.

    Returns:
        Key to failure, of the runs whose class of another package cannot be imported.
    """
    failures = {}
    for run in runs:
        try:
            build.check(run)
        except PluginError as error:
            failures[run.key] = Failure.of(error)
    return failures


def prepare(runs: tuple[Run, ...], settings: RunSettings, report: Report) -> DataRead:
    """Set up the dataset of these runs once, and check that their models take its clips.

    That fills the dataset's cache and finds errors before the training.
    """
    set_threads(settings.threads)
    cache = Store(settings.store).cache
    data = build.dataset(runs[0], settings.data_dir, cache, skip_unreadable=settings.skip_unreadable)
    data.report = _throttled(report)
    data.setup()
    failures: dict[str, Failure] = {}
    notes: list[str] = []
    for run in runs:
        if run.members:
            continue
        try:
            note = build.check_lengths(run, data)
        except (ModelError, PluginError) as error:
            failures[run.key] = Failure.of(error)
        else:
            notes += [note] if note and note not in notes else []
    return DataRead((*data.remarks, *notes), data.warnings, failures)


def _throttled(report: Report, clock: Callable[[], float] = time.monotonic) -> Callable[[int, int], None]:
    """Return a function that reports files that were read, a few times a second at most."""
    latest = clock()

    def tell(done: int, of: int) -> None:
        nonlocal latest
        if (now := clock()) - latest >= READING_SECONDS:
            latest = now
            report(ClipsRead(done, of))

    return tell


def execute(run: Run, settings: RunSettings, force: bool, report: Report) -> str | Record:
    """Train and score a run, write its record, and report every epoch and the end.

    Args:
        run: the run.
        settings: folders, device and threads.
        force: do the run even if it is finished.
        report: receives `Noted`, `TrainingStarted`, `StepsDone`, `EpochEnded`, `Working` and `RunEnded`.

    Returns:
        The result, as in `RunEnded`.
    """
    train = _train if settings.devices == 1 else partial(ranks.together, _train)
    report = not_from_forks(report)
    with pulse.calling(lambda waits: report(Working(waits))):
        return _do(run, settings, force, report, partial(train, run, settings, report))


def fuse(runs: tuple[Run, ...], settings: RunSettings, force: frozenset[str], report: Report) -> None:
    """Do fusions on one dataset, fold and seed, whose data are read once; report a `RunEnded` for each.

    Fusions whose keys are in `force` are done even if they are finished.
    """
    set_threads(settings.threads)
    cache, skip = Store(settings.store).cache, settings.skip_unreadable
    data = build.dataset(runs[0], settings.data_dir, cache, skip_unreadable=skip)
    data.setup()
    about = describe(data)
    for run in runs:
        _do(run, settings, run.key in force, report, partial(_fuse, run, data, about, settings))


def _do(
    run: Run, settings: RunSettings, force: bool, report: Report, work: Work
) -> Literal["done", "kept", "elsewhere"] | Record:
    result = _claimed(run, settings, force, work)
    report(RunEnded(run.key, result))
    return result


def _claimed(run: Run, settings: RunSettings, force: bool, work: Work) -> Literal["done", "kept", "elsewhere"] | Record:
    """Do the work if no other process does it; return the record of a failure, and let the driver write it.

    Artifacts are written to a new folder, and take the place of earlier ones together with the record.
    """
    store = Store(settings.store)
    with store.claim(run.key) as mine:
        if not mine:
            return "elsewhere"
        if run in store and not force:
            return "kept"
        started = datetime.now(UTC).isoformat(timespec="seconds")
        on_gpu = settings.device != "cpu" and torch.cuda.is_available()
        # Now, because the code may have changed when the run ends.
        where = replace(
            environment(settings.threads, "cuda" if on_gpu else "cpu"),
            workers=settings.workers,
            devices=settings.devices,
        )
        code = sources.digests(run)
        failed = Record(run=run, status="failed", started=started, environment=where)
        folder = store.artifacts(run.key)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            return replace(failed, error=shortage.failure(error, run))
        with tempfile.TemporaryDirectory(prefix=".tmp-run-", dir=folder) as new:
            with _shared_machine(store):
                try:
                    with not_in_forks():
                        record = work(store, Path(new))
                    recheck()  # a record says on which data its run was done
                except Exception as error:
                    if isinstance(error, BenchError) and settings.devices == 1:  # which would come again
                        shutil.rmtree(store.checkpoints(run.key), ignore_errors=True)
                    return replace(failed, error=shortage.failure(error, run))
            named = artifacts.digests(Path(new))
            record = replace(record, started=started, environment=where, sources=code, artifacts=named)
            store.write_with_artifacts(record, Path(new))
        shutil.rmtree(store.checkpoints(run.key), ignore_errors=True)
        return "done"


@contextmanager
def _shared_machine(store: Store) -> Iterator[None]:
    """Wait for the machine, as trainings share it."""
    with ExitStack() as stack:
        with pulse.waiting():
            stack.enter_context(store.machine(alone=False))
        yield


def _train(run: Run, settings: RunSettings, report: Report, store: Store, folder: Path) -> Record:
    device = chosen_device(settings.device)
    set_threads(settings.threads)
    pl.seed_everything(run.seed, workers=True, verbose=False)
    data = build.dataset(run, settings.data_dir, store.cache, settings.loaders, settings.skip_unreadable)
    data.report = lambda done, of: pulse.beat()
    files = _files(run, settings, store, data)
    data.setup()
    repaired = len(REPAIRED)
    model = build.model(run, data)
    start = build.start_from(model, run, store, data)
    if start is not None:
        report(Noted(start))
    clock = time.perf_counter()
    teacher_logits = _teacher_logits(run, store, data, device) if run.recipe.teacher else None
    report(TrainingStarted(run.key))
    checkpoints = _checkpoints(run, settings, store, model, data, teacher_logits)
    trained = fit.train(
        model, data, run.recipe, folder, device, partial(_report_training, report), teacher_logits,
        settings.data_dir, checkpoints, lambda line: report(Noted(line)), settings.devices,
    )  # fmt: skip
    write_stack_on_signal()
    if place_among_ranks()[0]:
        raise ranks.Followed
    train_seconds = time.perf_counter() - clock
    predictions = evaluate.predict(model, data, device, trained.val_features)
    for line in REPAIRED[repaired:]:  # features; what the data themselves keep is named where they are read
        report(Noted(line))
    lines = streams.predict(model, data, device) if data.streams is not None else None
    stored.keep(model, run, data, folder)
    size = complexity.measure(model, data.clip_shape, data.clip_seconds)
    about = describe(data)
    if start is not None:
        about = replace(about, note="; ".join(filter(None, (about.note, start))))
    lineage.keep(run, store, data, folder)
    data_files.keep(store, folder, files)
    record = _scored(run, predictions, data, about, folder, size, settings.metrics)
    if lines is not None:
        assert data.sample_rate is not None  # streams are waveforms
        cost = complexity.per_second(model, data.sample_rate, data.clip_shape)
        record = _with_time_lines(record, lines, cost, data, folder)
    mistakes.keep(predictions.test, data, folder, settings.hardest_clips)
    seconds = {
        "train": trained.seconds_before + train_seconds,
        "evaluate": time.perf_counter() - clock - train_seconds,
    }
    return replace(
        record,
        curves=trained.curves,
        best_epoch=trained.best_epoch,
        seconds=seconds,
        arithmetic=trained.arithmetic,
        resumed=trained.resumed,
    )


def _checkpoints(
    run: Run, settings: RunSettings, store: Store, model: AudioModel, data: AudioDataModule, taught: Tensor | None
) -> Checkpoints:
    """Return the run's checkpoints, with everything that its training follows from."""
    arrays = {name: value for name, value in model.state_dict().items() if isinstance(value, Tensor)}
    early = {  # before anything changes
        "the recipe or the arguments": run.key,
        "the source": json.dumps(sources.digests(run), sort_keys=True),
        "the initial weights": _digest(arrays),
        "the teacher": "" if taught is None else _digest({"logits": taught}),
    }

    def identity() -> dict[str, str]:
        here = environment(settings.threads, chosen_device(settings.device))
        noises = model.background  # which the training has read by now
        mixed = {"the background noises": noises.digest()} if isinstance(noises, BackgroundNoise) else {}
        return early | {
            **mixed,
            "the data": data.manifest(),
            "the packages": json.dumps([here.python, here.packages], sort_keys=True),
            "the machine": json.dumps([here.platform, here.processor, here.gpu]),
            "the number of threads": str(here.threads),
            "the loaders": str(settings.loaders > 0),
            "the number of devices": str(settings.devices),
        }

    checkpoints = Checkpoints(store.checkpoints(run.key), identity, settings.checkpoint_seconds)
    if not settings.resume:
        checkpoints.clear()
    return checkpoints


def _digest(arrays: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of tensors by name."""
    digest = hashlib.sha256()
    for name, value in sorted(arrays.items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)} ".encode())
        digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _files(run: Run, settings: RunSettings, store: Store, data: AudioDataModule) -> data_files.DataFiles | None:
    """Return the state of the files that the run is done on: data, background noises, weights that it starts from."""
    folder, files = data.watched()
    named = (run.arguments.get("weights"), run.recipe.init)
    weights = [Path(name).expanduser() for name in named if isinstance(name, str) and is_weights_file(name)]
    noises = run.recipe.background
    more = [] if noises is None else [data.background_folder(settings.data_dir / noises)]
    return data_files.take(store, folder, [*files, *weights], more)


def _report_training(report: Report, epoch: int, epochs: int, score: float | None, values: Mapping[str, float]) -> None:
    """Report what a training says: with a score at the end of every epoch, without one within an epoch."""
    numbers = {name: float(value) for name, value in values.items()}
    report(StepsDone(epoch, epochs, numbers) if score is None else EpochEnded(epoch, epochs, score, numbers))


def _teacher_logits(run: Run, store: Store, data: AudioDataModule, device: str) -> Tensor:
    """Return the teacher's logits of the training clips `(N, C)`.

    The function leaves the RNG state untouched, so the student's draws do not depend on the teacher.
    """
    with torch.random.fork_rng(devices=[]):
        teacher = build.teacher(run, store, data).to(device).eval()
    return evaluate.logits(teacher, data.splits.train, data.batch_size, device)


def _fuse(run: Run, data: AudioDataModule, about: Data, settings: RunSettings, store: Store, folder: Path) -> Record:
    clock = time.perf_counter()
    predictions = evaluate.fuse(run, store, data)
    members = [store.finished_record(key, "the fusion's member") for key in run.members]
    size = combined.fusion_complexity(members)
    assert predictions.weights is not None  # as every fusion has
    stored.keep_fusion(run, predictions.weights.tolist(), data, folder)
    record = _scored(run, predictions, data, about, folder, size, settings.metrics)
    if data.streams is not None:
        lines = streams.fuse(run, store, predictions.weights, data.task)
        costs = [member.segmentation for member in members if member.segmentation is not None]
        record = _with_time_lines(record, lines, combined.fusion_segmentation(costs), data, folder)
    mistakes.keep(predictions.test, data, folder, settings.hardest_clips)
    train_seconds = sum(member.seconds.get("train", 0.0) for member in members)
    return replace(
        record, conflict=predictions.conflict, seconds={"train": train_seconds, "evaluate": time.perf_counter() - clock}
    )


def _scored(
    run: Run,
    predictions: evaluate.Predictions,
    data: AudioDataModule,
    about: Data,
    folder: Path,
    size: Complexity,
    further: Sequence[str],
) -> Record:
    evaluate.keep(predictions, data, folder)
    keep_predictions(predictions.test, data, folder)
    test = data.splits.test
    targets = test.targets.numpy()
    scored = evaluate.scores(predictions.test, targets, test.groups, data.classes, data.task, run.fold, test.files)
    record = scored.into(Record(run=run, status="ok", classes=data.classes, complexity=size, data=about))
    record = with_second_labels(record, predictions.test, test.ids)
    return with_added(record, further, predictions.test, targets)


def _with_time_lines(
    record: Record, lines: streams.TimeLines, cost: Segmentation, data: AudioDataModule, folder: Path
) -> Record:
    """Keep a run's time lines, and return its record with their scores."""
    streams.keep(lines, folder)
    seconds = lines.test_truth.seconds
    about = replace(cost, streams=len(seconds), stream_seconds=round(sum(seconds), 3))
    return streams.scored(record, lines, about, data.clip_seconds)


def describe(data: AudioDataModule) -> Data:
    """Return the record's description of a dataset that is set up."""
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
        folds=data.folds if data.own_folds else None,
        left_out=dict(data.left_out),
    )
