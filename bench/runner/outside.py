"""Evaluation of a model that the harness has not trained: the record that it would have."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from torch import nn

from bench import catalog
from bench.errors import RunError
from bench.evaluation import evaluate
from bench.profiling import complexity, isolated
from bench.profiling.environment import chosen_device, environment, set_threads
from bench.records import Latency, Record, Run
from bench.runner.timings import latency_target
from bench.runner.worker import describe
from datamodules.base import AudioDataModule
from models.base import AudioModel, ModelError
from models.foreign import ForeignModel


def loaded(path: Path) -> AudioModel:
    """Return the model of a Lightning checkpoint that a model of this project has written.

    The class is one of the catalogue's, or is imported already: a name in a file never leads to an import.

    Raises:
        RunError: the file is no such checkpoint, or the class is not imported.
    """
    try:
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        name = str(content["audio_model"]["class"])
    except FileNotFoundError as error:
        raise RunError(f"there is no checkpoint {path}") from error
    except Exception as error:
        raise RunError(
            f"{path} is no checkpoint of a model of this project ({type(error).__name__}): load it yourself, and give "
            f"the module"
        ) from error
    if name in {entry.target for entry in catalog.MODELS.values()}:
        kind = catalog.load(name)
    else:
        kind = next((found for found in _subclasses(AudioModel) if _name(found) == name), None)
    if kind is None:
        raise RunError(f"{path} is of {name}, which is not imported: import its module before, or give the module")
    try:
        model: AudioModel = kind.load_from_checkpoint(path, map_location="cpu", weights_only=True)
    except (ModelError, TypeError) as error:  # an argument is missing
        raise RunError(f"{path} cannot be loaded by itself ({error}): load it yourself, and give the module") from error
    return model


def record_of(
    module: nn.Module,
    data: AudioDataModule,
    dataset: str,
    *,
    device: str = "auto",
    threads: int = 1,
    scopes: Sequence[Any] = isolated.SCOPES,
) -> Record:
    """Return the record of a trained module on the test clips of a dataset; it is in no store.

    Args:
        module: maps the data's clips to logits `(B, C)`, in the order of the data's classes.
        data: the dataset.
        dataset: its name.
        device: where to classify: "auto", "cpu" or "cuda".
        threads: of each timing.
        scopes: what is timed; nothing if empty.

    Raises:
        RunError: the module has other classes, or another sample rate, than the data.
        ModelError: the module does not return logits of the data's classes.
    """
    set_threads(threads)
    data.prepare_data()
    data.setup()
    modes = [(each, each.training) for each in module.modules()]  # some may be frozen in eval mode
    model = module if isinstance(module, AudioModel) else ForeignModel.around(module, data)
    _check(model, data)
    chosen = chosen_device(device)
    started = datetime.now(UTC).isoformat(timespec="seconds")
    predictions = evaluate.predict(model, data, chosen)
    test = data.splits.test
    targets = test.targets.numpy()
    scored = evaluate.scores(predictions.test, targets, test.groups, data.classes, data.task, data.fold, test.files)
    timings: list[Latency] = []
    for place in dict.fromkeys(("cpu", chosen)) if scopes else ():
        with latency_target(model, data, place, threads) as target:
            timings += [target.latency("eager", scope) for scope in scopes]
    for each, training in modes:
        each.training = training
    run = Run(
        model=_catalogued(model), frontend=type(model.frontend).__name__, dataset=dataset, fold=data.fold,
        seed=data.seed, recipe=model.recipe,
    )  # fmt: skip
    record = Record(
        run=run, status="ok", classes=data.classes, data=describe(data), started=started,
        complexity=complexity.measure(model, data.clip_shape, data.clip_seconds), latencies=tuple(timings),
        environment=environment(threads, "cuda" if chosen == "cuda" else "cpu"),
    )  # fmt: skip
    return scored.into(record)


def _check(model: AudioModel, data: AudioDataModule) -> None:
    if model.classes != len(data.classes):
        raise RunError(f"the model has {model.classes} classes, and the data have {len(data.classes)}")
    if model.labels and model.labels != tuple(data.classes):
        wrong = next(pair for pair in zip(model.labels, data.classes, strict=True) if pair[0] != pair[1])
        raise RunError(f"the model has other classes than the data: {wrong[0]!r} where the data have {wrong[1]!r}")
    if model.sample_rate is not None and data.sample_rate is not None and model.sample_rate != data.sample_rate:
        raise RunError(
            f"the model was built for {model.sample_rate} Hz, and the data are at {data.sample_rate} Hz: give "
            f"sample_rate={model.sample_rate}"
        )


def _catalogued(model: AudioModel) -> str:
    """Return the model's name in the catalogue, or the name of its class."""
    if isinstance(model, ForeignModel):
        return type(model.module).__name__
    target = _name(type(model))
    return next((name for name, entry in catalog.MODELS.items() if entry.target == target), type(model).__name__)


def _subclasses(kind: type[Any]) -> Iterator[type[Any]]:
    for own in kind.__subclasses__():
        yield own
        yield from _subclasses(own)


def _name(kind: type) -> str:
    return f"{kind.__module__}:{kind.__qualname__}"
