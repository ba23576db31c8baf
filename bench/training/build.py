"""Building objects from names: the dataset, the model sized by the data, and the fusion of trained members."""

import inspect
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor, nn

from bench import catalog
from bench.errors import AGAIN, RunError, SuiteError
from bench.evaluation.fusion import Fused, fusion_rule
from bench.records import Json, Recipe, Run, Store, artifacts, canonical
from bench.suites import is_fusion
from bench.training import lineage, module_state, stored
from datamodules.base import AudioDataModule, DataError, DatasetMissing
from datamodules.foreign import ForeignData
from models.base import AudioModel, Frontend, ModelError
from models.foreign import ForeignModel, accepted
from models.layers import lengths
from models.recipe import is_weights_file

_OF_THE_DATA = frozenset({"self", "frontend", "features", "frames", "classes", "sample_rate"})
"""Constructor arguments of a model that the data determine, so that no suite names them."""
_OF_THE_RUN = frozenset({"self", "cache", "fold", "seed", "batch_size", "download"})
"""Constructor arguments of a dataset that the run determines."""


@dataclass(frozen=True)
class Sizes:
    """The facts about data that a model is sized by, where there are no data."""

    clip_shape: tuple[int, ...]
    classes: tuple[str, ...]
    task: Literal["single", "multi"]
    sample_rate: int | None

    def setup(self, stage: str) -> None:
        """Do nothing."""

    def prior(self) -> Tensor:
        """Return equal shares."""
        return torch.full((len(self.classes),), 1 / len(self.classes))


def check(run: Run) -> None:
    """Check that the constructors of the run's model and dataset accept its arguments.

    Raises:
        SuiteError: a constructor does not have one of the arguments.
    """
    if not is_fusion(run.model):
        target = catalog.load(catalog.model(run.model).target)
        _bind(target, _OF_THE_DATA, run.arguments, f"model {run.model}", "model")
    check_data(run.dataset, run.data)


def check_data(dataset: str, arguments: Json) -> None:
    """Check that the constructor of a dataset accepts the arguments that a suite gives it.

    Raises:
        SuiteError: the constructor does not have one of the arguments.
    """
    entry = catalog.dataset(dataset)
    if entry.folder is not None and "root" in arguments:
        raise SuiteError(
            f"[dataset.{dataset}] takes no root: the folder is {entry.folder}/ under --data-dir or BENCH_DATA"
        )
    if entry.kind == "embedding" and "sample_rate" in arguments:
        raise SuiteError(
            f"[dataset.{dataset}] takes no sample_rate: its clips are features that were computed before, without "
            f"a waveform to resample; remove the line"
        )
    _bind(catalog.load(entry.target), _OF_THE_RUN, arguments, f"dataset {dataset}", "dataset")


def _bind(target: Any, given: frozenset[str], arguments: Json, what: str, table: str) -> None:
    parameters = inspect.signature(target).parameters
    known = [name for name, each in parameters.items() if name not in given and each.kind is not each.VAR_KEYWORD]
    if len(known) + len(given & parameters.keys()) < len(parameters):
        return  # the constructor takes any argument
    for name in arguments:
        if name not in known:
            near = catalog.nearest(name, known)
            hint = f"did you mean {near!r}?" if near else f"it has {', '.join(known)}"
            raise SuiteError(f"{what} has no argument {name!r} (in [{table}.{what.split()[1]}]); {hint}")


def dataset(
    run: Run, data_dir: Path, cache: Path | None, loaders: int = 0, skip_unreadable: bool = False
) -> AudioDataModule:
    """Return the run's dataset, not yet set up.

    Args:
        run: the run.
        data_dir: folder with one folder per dataset.
        cache: folder for decoded clips.
        loaders: number of processes that read its clips ahead.
        skip_unreadable: leave out a user's own audio that cannot be read.

    Raises:
        DatasetMissing: the dataset is not under `data_dir`.
    """
    entry = catalog.dataset(run.dataset)
    target = catalog.load(entry.target)
    given: Json = {"cache": cache, "fold": run.fold, "seed": run.seed, "batch_size": run.recipe.batch_size}
    if not issubclass(target, AudioDataModule):
        return _foreign(target, run, given, loaders)
    if entry.folder is not None:
        given["root"] = catalog.place(run.dataset, data_dir)
    built: AudioDataModule = target(**given, **run.data)
    built.workers = loaders
    built.skip_unreadable = built.skip_unreadable or skip_unreadable
    if entry.folder is not None:
        try:
            built.checked_root()  # `setup` does not look again
        except DatasetMissing as error:
            raise DatasetMissing(catalog.why_absent(run.dataset, data_dir, run.data) or str(error)) from error
    return built


def refused(runs: Iterable[Run], data_dir: Path, skip_unreadable: bool = False) -> dict[str, str]:
    """Return why the data of runs cannot be read, by their keys, as far as names and tables show it.

    Nothing is decoded. Arguments as for `dataset`.

    Raises:
        SuiteError: a dataset does not have one of its arguments.
    """
    found: dict[str, str] = {}
    known: dict[tuple[str, str, int], str] = {}
    for run in runs:
        place = (run.dataset, canonical(run.data), run.fold)
        if place not in known:
            check_data(run.dataset, run.data)
            try:
                dataset(run, data_dir, None, skip_unreadable=skip_unreadable).check()
                known[place] = ""
            except DataError as error:
                known[place] = str(error)
        if known[place]:
            found[run.key] = known[place]
    return found


def _foreign(target: type[LightningDataModule], run: Run, given: Json, loaders: int) -> AudioDataModule:
    """Return a LightningDataModule of somebody else, wrapped; it receives what its constructor has by name."""
    if run.fold and "fold" not in inspect.signature(target).parameters:
        raise SuiteError(f"{run.dataset} has no argument 'fold', so it has one fold: ask for fold 0")
    wrapped = ForeignData(
        target(**{**accepted(target, given), **run.data}),
        given["cache"], seed=run.seed, batch_size=run.recipe.batch_size,
    )  # fmt: skip
    wrapped.workers = loaders
    wrapped.prepare_data()
    return wrapped


def model(run: Run, data: AudioDataModule) -> AudioModel:
    """Return the run's model, sized by the data, with weights drawn from torch's global generator."""
    return for_data(run.model, data, run.frontend, run.recipe, run.arguments)


def check_lengths(run: Run, data: AudioDataModule) -> str | None:
    """Check before a training that the run's model takes clips as short as these.

    Args:
        run: a training, no fusion.
        data: the run's dataset, set up.

    Returns:
        A line if the model pads these clips, or None.

    Raises:
        ModelError: the clips are too short for the model or its front-end, or have too few feature channels.
    """
    known = catalog.model(run.model)
    kind = catalog.load(known.target)
    if not (isinstance(kind, type) and issubclass(kind, AudioModel)):
        kind = ForeignModel
    own = "none" if data.sample_rate is None else known.frontend
    front = _frontend(catalog.frontend(run.frontend or own), data.sample_rate)
    _, frames = kind.fitting(front, data.clip_shape)
    if frames >= kind.padded_frames or len(data.clip_shape) > 1:
        return None
    needed = lengths.seconds(front, lengths.samples_for(front, kind.padded_frames))
    longer = f"{kind.padded_frames} frames" if needed is None else f"{needed:.3g} s"
    return f"{run.model} pads clips of {data.clip_seconds:.3g} s with silence to {longer}"


def for_data(
    name: str, data: AudioDataModule, frontend: str | None, recipe: Recipe | None, arguments: Json
) -> AudioModel:
    """Return a model by name, sized by the data.

    Args:
        name: of the catalogue, or "package.module:Class".
        data: the dataset.
        frontend: of the catalogue, or "package.module:Class"; None takes the model's own, "none" for embeddings.
        recipe: how the model is trained.
        arguments: constructor arguments of the model.
    """
    data.setup("fit")
    known = catalog.model(name)
    kind = catalog.load(known.target)
    own = "none" if data.sample_rate is None else known.frontend
    front = _frontend(catalog.frontend(frontend or own), data.sample_rate)
    given = {**known.arguments, **arguments}
    if not (isinstance(kind, type) and issubclass(kind, AudioModel)):
        return ForeignModel.of(kind, data, front, recipe, given)
    built: AudioModel = kind.for_data(data, frontend=front, recipe=recipe, **given)
    return built


def _frontend(entry: catalog.Frontend, sample_rate: int | None) -> nn.Module:
    """Return a front-end; one of another package receives the sample rate if its constructor has it by name."""
    kind = catalog.load(entry.target)
    if isinstance(kind, type) and issubclass(kind, Frontend):
        own: nn.Module = kind(sample_rate, **entry.arguments)
        return own
    built: nn.Module = kind(**accepted(kind, {"sample_rate": sample_rate}), **entry.arguments)
    return built


def sized(
    name: str, frontend: str, arguments: Json, clip_shape: Sequence[int], sample_rate: int | None, classes: int
) -> AudioModel:
    """Return a model for clips of `clip_shape`, `(S,)` at `sample_rate` hertz or `(T, F)`."""
    known, entry = catalog.model(name), catalog.frontend(frontend)
    kind = catalog.load(known.target)
    front = _frontend(entry, sample_rate)
    if not (isinstance(kind, type) and issubclass(kind, AudioModel)):
        sizes = Sizes(tuple(clip_shape), tuple(map(str, range(classes))), "single", sample_rate)
        return ForeignModel.of(kind, sizes, front, Recipe(prior_bias=False), {**known.arguments, **arguments})
    built: AudioModel = kind.for_clips(front, clip_shape, classes, **{**known.arguments, **arguments})
    return built


def untrained(
    name: str,
    classes: int,
    seconds: float | None,
    sample_rate: int,
    frontend: str | None,
    embedding: str | None,
    arguments: Json | None = None,
) -> tuple[AudioModel, tuple[int, ...], float]:
    """Return an untrained model by name, the shape of its clip, and the clip's length in seconds.

    Args:
        name: model of the catalogue, not a fusion.
        classes: C.
        seconds: length of the clip; None takes the length of the model's published figures.
        sample_rate: in hertz.
        frontend: front-end of the catalogue; None takes the model's own.
        embedding: "10x128" for an embedding sequence of 10 frames, one per second, instead of a waveform.
        arguments: constructor arguments of the model.

    Raises:
        SuiteError: the model is unknown, or cannot be built with these settings.
    """
    if is_fusion(name):
        raise SuiteError(f"{name} combines trained models: its size is their sum, and `bench run` records it")
    known = catalog.model(name)
    if embedding is None:
        own: float = getattr(catalog.load(known.target), "clip_seconds", AudioModel.clip_seconds)
        length = seconds or own
        shape: tuple[int, ...] = (round(length * sample_rate),)
    elif not known.embeddings:
        raise SuiteError(f"{name} takes only waveforms: leave --embedding out")
    else:
        frames, _, features = embedding.partition("x")
        if not (frames.isdigit() and features.isdigit()):
            raise SuiteError(f"--embedding is FRAMESxFEATURES, such as 10x128, not {embedding!r}")
        shape, length = (int(frames), int(features)), seconds or float(frames)
    chosen = frontend or ("none" if embedding else known.frontend)
    try:
        return sized(name, chosen, arguments or {}, shape, sample_rate, classes), shape, length
    except ModelError as error:
        raise SuiteError(str(error)) from error


def load(run: Run, store: Store, data: AudioDataModule) -> nn.Module:
    """Return the trained model of a finished run, from the store's artifacts.

    Raises:
        RunError: its weights are missing, or a fusion's member has no result.
    """
    if run.members:
        members = [load(store.finished_record(key, "the fusion's member").run, store, data) for key in run.members]
        weights = artifacts.logits(store, store.finished_record(run.key, "the fusion"))["weights"]
        return Fused(members, fusion_rule(run.model, weights), data.task)
    tensors = stored.read_weights(store.artifacts(run.key), run.key, store.get(run.key))
    built = model(run, data)
    module_state.fit_buffers(built, tensors)
    built.load_state_dict(tensors)
    return built.eval()


def teacher(run: Run, store: Store, data: AudioDataModule) -> nn.Module:
    """Return the trained teacher of a run; it may be a fusion.

    Raises:
        RunError: the teacher has no result, no weights or other classes, was trained on clips of this run's data, or on
            clips of another form.
    """
    assert run.recipe.teacher
    record = store.finished_record(run.recipe.teacher, "the teacher")
    other = record.run
    for each in [store.finished_record(key, "the teacher's member").run for key in other.members] or [other]:
        lineage.check(each, run, store, data, "teacher")
    same = (other.dataset, other.data) == (run.dataset, run.data)
    if record.classes != data.classes:
        remedy = AGAIN.format(other.key) if same else "name a teacher with the same classes in the same order"
        raise RunError(f"the teacher {other.key} has other classes than the data now: {remedy}")
    if not same and (form := lineage.form(store, (*other.members, other.key)[0])) not in (
        None,
        (data.sample_rate, data.clip_shape),
    ):
        assert form is not None
        raise RunError(
            f"the teacher {other.key} was trained on clips of shape {form[1]} at {form[0]} Hz, and these have the "
            f"shape {data.clip_shape} at {data.sample_rate} Hz: give both datasets the same sample_rate and "
            f"clip_seconds"
        )
    return load(other, store, data)


def start_from(model: AudioModel, run: Run, store: Store, data: AudioDataModule) -> str | None:
    """Load the weights that the recipe's `init` names, a run's or a file's, into a new model.

    If the number of classes differs, the last layer keeps its random initial weights.

    Returns:
        A line on where the weights come from, also where an argument of the model names a file; None without any.

    Raises:
        ModelError: the file cannot be read, or belongs to another architecture.
        RunError: that run has no result or no weights, has another shape, or was trained on clips of this run's data;
            likewise the run whose weights a file has.
    """
    if run.recipe.init and is_weights_file(run.recipe.init):
        model.load_weights(run.recipe.init)
    if not run.recipe.init or is_weights_file(run.recipe.init):
        loaded = model.loaded
        return None if loaded is None else f"{loaded}; {lineage.check_file(loaded.path, run, store, data)}"
    other = store.finished_record(run.recipe.init, "the run to start from").run
    note = lineage.check(other, run, store, data, "init")
    weights = stored.read_weights(store.artifacts(other.key), other.key, store.get(other.key))
    own = model.state_dict()
    head = next(name for name, module in model.named_modules() if module is model.output)
    wrong = [
        name
        for name in own.keys() | weights.keys()
        if name not in own or name not in weights or own[name].shape != weights[name].shape
    ]
    if beyond := [name for name in sorted(wrong) if not name.startswith(f"{head}.")]:
        raise RunError(
            f"{run.model} cannot start from {other.key}, because {len(beyond)} of its weights differ in name or shape "
            f"({beyond[0]}): use the same model, arguments and front-end, and clips of the same length and rate"
        )
    model.load_state_dict({name: value for name, value in weights.items() if name not in wrong}, strict=False)
    start = f"starts from {other.key}" + (f", except for the last layer ({head})" if wrong else "")
    return f"{start}; {note}" if note else start
