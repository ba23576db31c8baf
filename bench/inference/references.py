"""References to trained models: a run's key, a system of a suite, a packed file, or a folder of artifacts.

| reference | model |
|---|---|
| `esc10-logmel-cnn-f0-s0-0123abcd` | the run of this key in the store; a part that no other key has is enough |
| `esc10:cnn-wide@f0` | the run of this name in a suite, on fold 0 (`@f0-s1` for another seed) |
| `esc10:cnn-wide` | of its runs that are done, the one with the best score on the validation clips |
| `esc10:cnn-wide@all` | all its folds and seeds, which must be done; their probabilities are averaged |
| `model.zip` | a file of `bench pack`; it may hold all folds of a system |
| `runs/artifacts/KEY` | a folder with `model.json` and weights |

A suite may be a TOML file: `my_sounds.toml:cnn`. Only a suite permits to import a class of another package, so a model
of such a class is named by its suite.
"""

import re
import shlex
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from bench import catalog, suites
from bench.catalog import PRIMARY
from bench.errors import ArgumentError, BenchWarning, RecordError, RunError, SuiteError, UnnamedError, command_for
from bench.evaluation import metrics
from bench.evaluation.fusion import Fused, fusion_rule
from bench.inference import packing
from bench.inference.classifier import Classifier
from bench.inference.parts import Part
from bench.profiling.environment import chosen_device
from bench.records import Record, Run, Snapshot, Store, artifacts
from bench.records.store import OLD_WEIGHTS, RECORD
from bench.training import build, module_state, stored
from bench.training.stored import Description
from datamodules.errors import DataError
from models.base import AudioModel, ModelError

_CHOICE = re.compile(r"(?P<system>.+?)(?:@(?:(?P<all>all)|f(?P<fold>\d+)(?:-?s(?P<seed>\d+))?))?")
SHOWN = 10
"""Most keys or folds that an error lists."""

AVERAGE = "fusion-average"
"""Rule that combines the folds of one system, with equal weights."""


def load_model(
    run: str | Path, store: str | Path = "runs", *, device: str = "auto", data_dir: str | Path | None = None
) -> Classifier:
    """Return a trained model, ready to be used; the data that it was trained on are not needed.

    >>> model = bench.load_model("esc10:cnn-wide@f0")
    >>> model.probabilities(model.logits(model.windows(model.load("dog.wav")).clips))

    Args:
        run: a key, `SUITE:SYSTEM` with `@f0` or `@all` behind it where one wants that, a packed file, or a folder.
        store: folder of records and artifacts.
        device: "auto", "cpu" or "cuda".
        data_dir: folder of the datasets, for runs of early versions, which have no description of their model.

    Raises:
        ArgumentError: there is no such run, or there are several.
        RunError: the run has no result, its files are damaged, or some of the runs of `@all` are missing.
        SuiteError: there is no such suite or system.

    Warns:
        BenchWarning: the best run was chosen while others are missing.
    """
    if not isinstance(run, str | Path):
        raise ArgumentError(
            f"a run is a key, a name such as 'esc10:cnn@f0', a file or a folder, not {type(run).__name__}"
        )
    chosen = chosen_device(device)
    place = Store(Path(store).expanduser())
    data_dir = None if data_dir is None else Path(data_dir).expanduser()
    with packing.opened(run) as unpacked:
        parts = _parts(str(run), unpacked, place)
        loaded = [_loaded(part, unpacked or place, data_dir) for part in parts]
        everything = with_members(parts, unpacked or place)
    modules = [module for module, _ in loaded]
    about = loaded[0][1]
    if wrong := [part.key for part, (_, each) in zip(parts, loaded, strict=True) if each.classes != about.classes]:
        raise RunError(f"{wrong[0]} has other classes than {parts[0].key}: their folds cannot be combined")
    module = modules[0] if len(modules) == 1 else averaged(modules, about.task)
    return Classifier(
        name=str(run), module=module.to(chosen).eval(), classes=about.classes, task=about.task,
        sample_rate=about.sample_rate, clip_shape=about.clip_shape, clip_seconds=about.clip_seconds,
        short_clips=about.short_clips, keys=tuple(part.key for part in parts),
        records=tuple(part.record for part in parts if part.record is not None), parts=everything,
        prepare=_preparation(about.dataset), device=chosen,
    )  # fmt: skip


def averaged(modules: Sequence[nn.Module], task: str) -> nn.Module:
    """Return the module that averages the probabilities of modules."""
    return Fused(modules, fusion_rule(AVERAGE, np.full(len(modules), 1 / len(modules))), task)


def find(run: str | Path, store: Store, unpacked: Store | None = None) -> tuple[Part, ...]:
    """Return the runs that a reference leads to.

    Args:
        run: the reference.
        store: where runs are looked for.
        unpacked: what `packing.opened` has made of the reference; None where it is no packed file.

    Raises:
        ArgumentError: there is no such run, or there are several.
        RunError: the run has no result.
        SuiteError: there is no such suite or system.
    """
    return _parts(str(run), unpacked, store)


def member(key: str, fusion: Part, store: Store) -> Part:
    """Return a member of a fusion, which lies next to it or in the store.

    Raises:
        RunError: there is no such run, or no record that says which weights are its own.
    """
    if not re.fullmatch(packing.KEY, key):
        raise RunError(f"{fusion.key} combines {key[:100]!r}, which is no key of a run: do the run again")
    beside = fusion.folder.parent / key
    whole = all((beside / name).is_file() for name in (stored.DESCRIPTION, RECORD))
    return _in_folder(beside) if whole else _stored(key, store)


def with_members(parts: Sequence[Part], store: Store) -> dict[str, Part]:
    """Return runs and the members of those that are fusions, by key.

    Raises:
        RunError: a member is missing.
    """
    found: dict[str, Part] = {}
    for part in parts:
        found[part.key] = part
        members = () if part.description is None else part.description.members
        found |= {key: member(key, part, store) for key in members}
    return found


def _parts(name: str, unpacked: Store | None, store: Store) -> tuple[Part, ...]:
    if unpacked is not None:
        return tuple(_in_folder(unpacked.artifacts(key)) for key in packing.main_keys(unpacked))
    folder = Path(name).expanduser()
    if folder.is_dir() and (folder / stored.DESCRIPTION).is_file():
        return (_in_folder(folder),)
    if folder.is_dir() and (folder / OLD_WEIGHTS).is_file():  # of an earlier version: the record lies in its store
        whole = folder.resolve()
        return (_stored(whole.name, Store(whole.parent.parent)),)
    if _is_key(name, store):
        return (_stored(name, store),)
    _refuse_choice(name, store)
    suite, colon, rest = name.partition(":")
    if colon and rest:
        return _of_suite(suite, rest, store)
    if Path(f"{suite}.toml").is_file() and suite not in suites.suites():
        suite += ".toml"
    if suite.endswith(".toml") or suite in suites.suites():
        first = next(iter(suites.read(suite).names().values()))
        raise SuiteError(f"{suite} is a suite: name one of its systems, such as {suite}:{first}")
    found = store.matching(name)
    if len(found) == 1:
        return (_stored(found[0], store),)
    if found:
        some = ", ".join(found[:SHOWN]) + (f" and {len(found) - SHOWN} more" if len(found) > SHOWN else "")
        raise ArgumentError(f"{len(found)} runs in {store.root} are called {name!r}: name one of {some}")
    _refuse_unfinished(name, store)
    place = f"in {store.root}" if store.root.is_dir() else f"in {store.root}, a folder that does not exist"
    raise ArgumentError(
        f"{name!r} is no run of the {len(store.keys())} {place}, no file of `bench pack` and no folder of artifacts: "
        f"give a key of `bench list runs`, SUITE:SYSTEM such as esc10:cnn-wide@f0, or another --store"
    )


def _refuse_unfinished(name: str, store: Store) -> None:
    """Raise a RunError where a key or a folder is of a run that was begun, and has no record yet."""
    folder = Path(name).expanduser()
    if folder.is_dir() and (whole := folder.resolve()).parent.name in ("artifacts", "checkpoints"):
        name, store = whole.name, Store(folder.parent.parent if folder.name == whole.name else whole.parent.parent)
    if not re.fullmatch(packing.KEY, name) or _is_key(name, store):
        return
    if store.artifacts(name).is_dir() or store.checkpoints(name).is_dir():
        raise RunError(
            f"{name} in {store.root} is unfinished, for it has no record: the same `bench run` again goes on with it "
            f"and ends it"
        )


def _is_key(name: str, store: Store) -> bool:
    return re.fullmatch(r"[\w.-]+", name) is not None and store.path(name).exists()


def _refuse_choice(name: str, store: Store) -> None:
    """Raise a SuiteError where a fold or a system is chosen of a file, a folder or a key, which is of one model."""
    one = re.split("[:@]", name)[0]
    path = Path(one).expanduser()
    if (
        one != name
        and one
        and (
            (path.is_file() and path.suffix != ".toml") or (path / stored.DESCRIPTION).is_file() or _is_key(one, store)
        )
    ):
        raise SuiteError(f"{one} is used as it is, and takes no {name[len(one) :]!r} behind it: give {one}")


def _of_suite(suite: str, rest: str, store: Store) -> tuple[Part, ...]:
    grid = suites.read(suite)
    chosen = _CHOICE.fullmatch(rest)
    assert chosen is not None  # any text matches
    names = grid.names()
    runs = [run for run in grid.runs() if names[run.key] == chosen["system"]]
    if not runs:
        raise SuiteError(f"{suite} has no system {chosen['system']!r}; {_hint(chosen['system'], grid)}")
    every = runs
    if chosen["fold"] is not None:
        runs = [
            run
            for run in runs
            if run.fold == int(chosen["fold"]) and (chosen["seed"] is None or run.seed == int(chosen["seed"]))
        ]
        if not runs:
            raise SuiteError(f"{suite} has no {rest}; it has {_listed(every)}")
    snapshot = Snapshot(store, runs)
    done = [run for run in runs if run in snapshot]
    damaged = f" ({'; '.join(map(str, snapshot.damaged))})" if snapshot.damaged else ""
    remedy = f"`{command_for(suite, store.root)}`"
    if not done:
        there = "" if store.root.is_dir() else ", a folder that does not exist"
        raise RunError(
            f"{suite}:{rest} has no finished run in {store.root}{there}{damaged}: {remedy} does it; or give "
            f"another --store"
        )
    datasets = grid.dataset_names()
    if len(places := {datasets[run.key] for run in done}) > 1:
        raise SuiteError(f"{rest} of {suite} is on {', '.join(sorted(places))}: give the key of one run instead")
    missing = [run for run in runs if run not in done and datasets[run.key] in places]
    count = len(done) + len(missing)
    if missing and chosen["all"]:
        raise RunError(
            f"{suite}:{rest} combines {count} runs, of which the store {store.root} lacks {_listed(missing)}: "
            f"{remedy} does them; or name one that is done, such as "
            f"{suite}:{chosen['system']}@f{done[0].fold}-s{done[0].seed}"
        )
    if missing:
        warnings.warn(
            f"{suite}:{rest} is the best of {len(done)} of {count} runs that are done{damaged}: {remedy} does the "
            f"others",
            BenchWarning, stacklevel=4,
        )  # fmt: skip
    if chosen["all"]:
        return tuple(_stored(run.key, store, suite) for run in done)
    return (_stored(max(done, key=lambda run: _validation_score(run, store)).key, store, suite),)


def _hint(system: str, grid: suites.Suite) -> str:
    """Return what a suite calls its systems, where it has none of this name: those of this model, or the nearest."""
    names = grid.names()
    own = dict.fromkeys(names[run.key] for run in grid.runs() if run.model == system)
    near = [*own] or list(filter(None, [catalog.nearest(system, set(names.values()))]))
    return (
        f"did you mean {' or '.join(map(repr, near))}?"
        if near
        else f"it has {', '.join(dict.fromkeys(names.values()))}"
    )


def _listed(runs: Sequence[Run]) -> str:
    """Return the folds and seeds of runs, as a reference names them."""
    found = sorted({(run.fold, run.seed) for run in runs})
    more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    return ", ".join(f"@f{fold}-s{seed}" for fold, seed in found[:SHOWN]) + more


def _validation_score(run: Run, store: Store) -> float:
    """Return the primary score on the validation clips, from the learning curves or from the kept logits."""
    record = store.finished_record(run.key, "the run")
    assert record.task is not None  # it has scores
    curve = record.curves.get(f"val_{PRIMARY[record.task]}", ())
    if record.best_epoch is not None and record.best_epoch < len(curve):
        return curve[record.best_epoch]
    try:
        saved = artifacts.logits(store, record)
    except RunError:
        return 0.0
    values = metrics.score(saved["val_logits"], saved["val_targets"], record.task, record.classes).values
    return values[PRIMARY[record.task]] or 0.0


def _stored(key: str, store: Store, suite: str = "SUITE") -> Part:
    record = store.finished_record(key, "the run")
    _refuse_without_weights(record, store, suite)
    folder = store.artifacts(key)
    about = stored.read_description(folder, record) or stored.described_by(record, store)
    return Part(key, folder, about, record)


def _refuse_without_weights(record: Record, store: Store, suite: str) -> None:
    """Raise a RunError where a run, or a member of a fusion, has a result only, as in a published store."""
    missing = next((key for key in record.run.members or (record.key,) if store.weights(key) is None), None)
    if missing is not None:
        train = f"bench run --suite {shlex.quote(suite)} --key {record.key}"
        where = " (`bench list runs` names the suite)" if suite == "SUITE" else ""
        raise RunError(
            f"{missing} has no weights in {store.root}: `{train}` trains it into the store `runs`{where}; with --force "
            f"and --store {shlex.quote(str(store.root))} it is trained again there"
        )


def _in_folder(folder: Path) -> Part:
    description = stored.read_description(folder)
    assert description is not None  # it was looked for
    path, record = folder / RECORD, None
    if path.is_file():
        try:
            record = Record.from_json(path.read_text(encoding="utf-8"), description.key)
        except (UnicodeDecodeError, RecordError) as error:
            raise RunError(f"{path} is damaged ({error}): delete it, or unpack the run again") from error
        stored.read_description(folder, record)  # again, now that its digest is known
    return Part(description.key, folder, description, record)


def _loaded(part: Part, store: Store, data_dir: Path | None) -> tuple[nn.Module, Description]:
    """Return the trained model of a run, and its description."""
    about = part.description
    if about is None:
        return _from_data(part, store, data_dir)
    if about.members:
        members = [_member(key, part, store, data_dir) for key in about.members]
        weights = about.weights or fusion_weights(part)
        return Fused(members, fusion_rule(about.model, np.asarray(weights)), about.task), about
    try:
        return _built(about, part), about
    except UnnamedError as error:
        raise _unnamed(about.model, about.frontend) from error


def _unnamed(model: str, frontend: str) -> SuiteError:
    names = " or ".join(name for name in (model, frontend) if ":" in name)
    return SuiteError(
        f"{names} is not imported, because only a record or a file names it: give the run by its suite, as "
        f"FILE.toml:SYSTEM, which is FILE.toml:{model} unless the suite has another name for it"
    )


def _member(key: str, fusion: Part, store: Store, data_dir: Path | None) -> nn.Module:
    return _loaded(member(key, fusion, store), store, data_dir)[0]


def fusion_weights(part: Part) -> Any:
    """Return the weights `(N,)` of a fusion's members, as a run of an earlier version has kept them.

    Raises:
        RunError: they are missing or damaged.
    """
    assert part.record is not None  # only a record of an earlier version leads here
    return artifacts.logits(Store(part.folder.parent.parent), part.record)["weights"]


def _built(about: Description, part: Part) -> AudioModel:
    try:
        model = build.sized(
            about.model, about.frontend, about.arguments, about.clip_shape, about.sample_rate, len(about.classes)
        )
        weights = stored.read_weights(part.folder, about.key, part.record)
        module_state.fit_buffers(model, weights)
        model.load_state_dict(weights)
    except (ModelError, TypeError, RuntimeError) as error:
        raise RunError(
            f"the weights of {about.key} do not fit the model {about.model} of this version ({error}): do the run again"
        ) from error
    model.task, model.labels, model.sample_rate = about.task, about.classes, about.sample_rate
    return model.eval()


def _from_data(part: Part, store: Store, data_dir: Path | None) -> tuple[nn.Module, Description]:
    """Return the model of a run that has no description, with the help of its data."""
    assert part.record is not None  # it is in a store
    run = part.record.run
    if data_dir is None:
        raise RunError(f"{part.key} was done before models were described: give --data-dir, or run it again")
    try:
        data = build.dataset(run, data_dir, store.cache)
        data.setup()
        return build.load(run, store, data), stored.describe(run, data)
    except DataError as error:
        raise RunError(f"{part.key} was done before models were described, and needs its data: {error}") from error
    except UnnamedError as error:
        raise _unnamed(run.model, run.frontend) from error


def _preparation(dataset: str) -> Any:
    """Return how a dataset prepares recordings without changing their times; None where it does nothing."""
    try:
        return getattr(catalog.load(catalog.dataset(dataset).target), "prepare_in_time", None)
    except SuiteError:
        return None  # a class that only this file names
