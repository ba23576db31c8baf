"""The harness as a library. `bench` offers these names itself and imports this module when one is first used."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from rich.console import Console

from bench import catalog, lookup, suites
from bench.errors import ArgumentError, BenchError, SuiteError
from bench.leaderboard import files
from bench.leaderboard.board import Leaderboard, leaderboards
from bench.records import Failure, Latency, Recipe, Record, Snapshot, Store, graded_records
from bench.runner.progress import Progress
from bench.runner.session import prepare
from bench.runner.settings import data_folder
from bench.suites import Suite
from bench.tracking import loggers

if TYPE_CHECKING:
    import pandas
    from lightning.pytorch import LightningDataModule
    from torch import nn

    from bench.inference import Classifier
    from datamodules.base import AudioDataModule
    from models.base import AudioModel


Device = Literal["auto", "cpu", "cuda"]
WandbMode = Literal["disabled", "offline", "online"]


@dataclass(frozen=True, kw_only=True, repr=False)
class Results:
    """The results of runs, from a store.

    Attributes:
        records: one record per run, by key, in the order of the suite; failed runs are among them. Timings have the
            grades that they get next to each other.
        suite: the suite that the runs are of; None for all records of a store.
        failed: key to failure, of runs that failed in this call of `run`.
        not_timed: key to failure, of runs whose timing failed in this call.
        missing: dataset to what is missing of it and how to get it, of runs that could not be done in this call.
        warnings: one line each.
    """

    records: Mapping[str, Record]
    suite: Suite | None = None
    failed: Mapping[str, Failure] = field(default_factory=dict)
    not_timed: Mapping[str, Failure] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """Return one line, because the records have many thousand."""
        runs = f"{len(self.records)} runs{f' of {self.suite.name}' if self.suite else ''}"
        return f"<Results: {runs}, {len(self.failed)} failed, {len(self.missing)} datasets missing>"

    def leaderboards(self) -> tuple[Leaderboard, ...]:
        """Return one leaderboard per dataset: every system ranked over its folds and seeds."""
        if self.suite is None:
            return leaderboards([record.run for record in self.records.values()], self.records)
        self.suite.permit()  # another suite may have named a module of the same name
        return files.boards(self.records, self.suite)

    def to_dataframe(self) -> pandas.DataFrame:
        """Return one row per run: what was run, its scores with intervals, its size, its speed and where it ran.

        `interval_low` and `interval_high` are of the dataset's primary metric. Latencies are of a single clip, end to
        end, in milliseconds.
        """
        import pandas

        names = self.suite.names() if self.suite else {}
        return pandas.DataFrame([_run_row(record, names) for record in self.records.values()])

    def leaderboard_dataframe(self) -> pandas.DataFrame:
        """Return one row per row of the leaderboards, in their order: scores are means over folds and seeds."""
        import pandas

        return pandas.DataFrame([row for board in self.leaderboards() for row in _board_rows(board)])


def run(
    suite: str | Path | Suite,
    *,
    tier: str = "",
    models: str | Sequence[str] = (),
    datasets: str | Sequence[str] = (),
    folds: int | Sequence[int] = (),
    seeds: int | Sequence[int] = (),
    keys: str | Sequence[str] = (),
    store: str | Path = "runs",
    data_dir: str | Path | None = None,
    executor: str = "processes",
    workers: int | None = None,
    threads: int = 1,
    loaders: int = 0,
    device: Device = "auto",
    gpus: str | Sequence[int] | None = None,
    per_gpu: int | None = None,
    devices: int = 1,
    strategy: Literal["ddp"] | None = None,
    attempts: int | None = None,
    data_url: str = "",
    logger: str | Sequence[str] = (),
    wandb: WandbMode | None = None,
    project: str | None = None,
    entity: str | None = None,
    force: bool = False,
    time_again: bool = False,
    timing: bool = True,
    skip_unreadable: bool = False,
    resume: bool = True,
    stall_minutes: float = 30.0,
    run_hours: float | None = None,
    quiet: bool = False,
) -> Results:
    """Do the runs of a suite that are not in the store yet, time them, and draw the suite's tables in the store.

    A run that fails is recorded and the other runs go on; the result names it in `failed`. The arguments are the
    options of `bench run`.

    Args:
        suite: name of a suite, path of a TOML file, or a suite.
        tier: a smaller form of the suite that its file has, such as "quick".
        models: only these models, by their names in the catalogue or in the suite; one name or several.
        datasets: only these datasets; one name or several.
        folds: only these folds, counted from 0; one or several.
        seeds: only these seeds; one or several.
        keys: only the runs of these keys; one key or several.
        store: folder of records and tables.
        data_dir: folder with one folder per dataset; None takes BENCH_DATA, or the user's data folder.
        executor: "processes", "serial" or "ray".
        workers: runs that are trained at the same time; None takes one per core, or one where there is a GPU, or as
            many as the cluster takes.
        threads: threads of each run.
        loaders: processes of each run that read clips ahead.
        device: where to train; "auto" takes the GPU where there is one.
        gpus: GPUs that train one run each: "all", or their numbers; None takes the first.
        per_gpu: runs that share a GPU; None is one.
        devices: devices that train one run together.
        strategy: how several devices train a run; None is "ddp".
        attempts: with "ray", how often a run begins at most whose machine is lost; None is 3.
        data_url: with "ray", where the machines read the data folder.
        logger: "wandb", "csv" or "tensorboard", or several of them; no logger by default.
        wandb: whether runs are logged to Weights & Biases, on disk ("offline") or at once ("online"); None leaves it to
            `logger`, and the mode to WANDB_MODE.
        project: W&B project; None takes WANDB_PROJECT, or "audio-classification-bench".
        entity: W&B user or team; None takes WANDB_ENTITY, or the account's default.
        force: also do the runs that are done.
        time_again: train nothing, and time the finished runs again.
        timing: whether the trained runs are timed; a later call times what is left.
        skip_unreadable: leave out audio of the user's own that cannot be read; records name it.
        resume: go on with interrupted trainings after their last saved epoch; otherwise they start again.
        stall_minutes: a run in which no batch ends for this time is ended as a failure; 0 never ends it.
        run_hours: a run that takes longer is ended as a failure; None never ends it.
        quiet: print no progress on standard error.

    Returns:
        The records of all chosen runs that have one, also of those that were done before.

    Raises:
        SuiteError: the suite or a name is unknown, an argument fits no constructor, or one of this function's arguments
            has no meaning; nothing was started.
        KeyboardInterrupt: the call was interrupted. Finished runs are in the store; the same call goes on.
    """
    for name, value, known in (
        ("device", device, get_args(Device)), ("wandb", wandb, get_args(WandbMode)), ("strategy", strategy, ("ddp",))
    ):  # fmt: skip
        if value not in known and (value is not None or name == "device"):
            raise SuiteError(f"{name} = {value!r} is not one of {', '.join(known)}")
    for name, count, least in (
        ("workers", workers, 1), ("threads", threads, 1), ("loaders", loaders, 0), ("per_gpu", per_gpu, 1),
        ("devices", devices, 1), ("attempts", attempts, 1), ("stall_minutes", stall_minutes, 0),
        ("run_hours", run_hours, 0),
    ):  # fmt: skip
        if count is not None and not count >= least:
            raise SuiteError(f"{name} = {count} is less than {least}")
    models, datasets, keys, names = (_several(each) for each in (models, datasets, keys, logger))
    folds, seeds = ((each,) if isinstance(each, int) else each for each in (folds, seeds))
    session = prepare(
        suite, tier=tier, models=models, datasets=datasets, folds=folds, seeds=seeds, keys=keys, store=Path(store),
        data_dir=None if data_dir is None else Path(data_dir), executor=executor, workers=workers, threads=threads,
        loaders=loaders, device=device, gpus=gpus if isinstance(gpus, str | None) else ",".join(map(str, gpus)),
        per_gpu=per_gpu, devices=devices, strategy=strategy, attempts=attempts, data_url=data_url, force=force,
        time_again=time_again, timing=timing, skip_unreadable=skip_unreadable, resume=resume,
        stall_minutes=stall_minutes, run_hours=run_hours,
    )  # fmt: skip
    chosen = loggers.choose(names, wandb if names or wandb else "disabled", project, entity)
    outcome = session.run(chosen, Progress(Console(stderr=True, soft_wrap=True, quiet=quiet)))
    if outcome.interrupted:
        raise KeyboardInterrupt
    warnings = [*catalog.clashes(), *filter(None, [chosen.warning]), *outcome.warnings]
    if outcome.elsewhere:
        warnings.append(f"{outcome.elsewhere_words()}: call again later")
    grid, asked = session.suite, {one.key for one in session.runs}
    snapshot = Snapshot(Store(session.settings.store), grid.runs())
    return Results(
        records={key: record for key, record in snapshot.graded().items() if key in asked}, suite=grid,
        failed=outcome.failed, not_timed=outcome.not_timed, missing=outcome.missing, warnings=tuple(warnings),
    )  # fmt: skip


def _several(given: str | Sequence[str]) -> tuple[str, ...]:
    """Return one name, or several, as a tuple."""
    return (given,) if isinstance(given, str) else tuple(given)


def load_suite(name: str | Path, tier: str = "") -> Suite:
    """Return a suite by name, or from a TOML file.

    Args:
        name: name of a suite, or path of a TOML file.
        tier: a smaller form of the suite that its file has, such as "quick"; empty for the whole suite.

    Raises:
        SuiteError: there is no such suite or tier, or something in it is unknown.
    """
    return suites.read(str(name), tier=tier)


def load_results(store: str | Path, suite: str | Path | Suite | None = None) -> Results:
    """Return the results in a store; nothing is trained.

    Args:
        store: a folder that `run` or `bench publish` has written.
        suite: the results of this suite only, named as in its tables; None takes all records.

    Raises:
        BenchError: the folder holds no records.
        SuiteError: there is no such suite.
    """
    place = Store(Path(store).expanduser())
    grid = suite if isinstance(suite, Suite) or suite is None else suites.read(str(suite), place)
    snapshot = Snapshot(place, grid.runs() if grid else ())
    for key in place.keys() if grid is None else ():
        snapshot.read(key)
    if grid is not None:
        files.boards(snapshot, grid)  # reads the records of runs whose package is not installed, too
    if not snapshot.records and not snapshot.damaged:
        raise BenchError(f"{place.root} has no records{f' of {grid.name}' if grid else ''}")
    return Results(
        records=graded_records(snapshot.records), suite=grid, warnings=tuple(str(error) for error in snapshot.damaged)
    )


def create_model(
    name: str,
    *,
    data: LightningDataModule | None = None,
    classes: int | None = None,
    sample_rate: int = 32_000,
    clip_seconds: float | None = None,
    frontend: str | None = None,
    embedding: str | tuple[int, int] | None = None,
    recipe: Recipe | None = None,
    **arguments: Any,
) -> AudioModel:
    """Return an untrained model with its front-end, whose weights are drawn from torch's global generator.

    The model maps clips `(B, S)` float32 in [-1, 1], or embeddings `(B, T, F)`, to logits `(B, C)`. It is a
    LightningModule.

    >>> bench.create_model("swishnet", classes=10, sample_rate=16_000)(torch.zeros(1, 16_000)).shape
    torch.Size([1, 10])

    Args:
        name: of `bench list models`, `rann-{t_c}x{t_m}-{W}`, or "package.module:Class"; not a fusion.
        data: a datamodule, of this project or any that yields (x, target), which sizes the model; classes, sample
            rate, clip length and embedding are then its own.
        classes: C, where there are no data.
        sample_rate: in hertz.
        clip_seconds: length of the clips; None takes the length that the model's published figures are for.
        frontend: of `bench list frontends`, or "package.module:Class"; None takes the model's own.
        embedding: (T, F), or "TxF", for a model of embeddings instead of waveforms.
        recipe: how the model is trained.
        **arguments: constructor arguments of the model.

    Raises:
        SuiteError: the model or the front-end is unknown, or cannot be built so.
        PluginError: a class of another package cannot be imported.
        TypeError: the model has no such argument, or there are neither data nor classes.
    """
    from bench.training import build

    lookup.permit({given: None for given in (name, frontend or "") if lookup.is_target(given)})
    if data is not None:
        return build.for_data(name, _ours(data), frontend, recipe, arguments)
    if classes is None:
        raise TypeError("create_model needs data, or the number of classes")
    shape = embedding if embedding is None or isinstance(embedding, str) else "x".join(map(str, embedding))
    model, _, _ = build.untrained(name, classes, clip_seconds, sample_rate, frontend, shape, arguments)
    model.recipe = recipe or model.recipe
    return model


def create_datamodule(name: str, root: str | Path | None = None, **arguments: Any) -> AudioDataModule:
    """Return a dataset under its official split, as a Lightning data module; nothing is read yet.

    Args:
        name: of `bench list datasets`, or "package.module:Class".
        root: the dataset's folder; None takes its folder under BENCH_DATA, or under the user's data folder.
        **arguments: constructor arguments of the dataset, such as `fold`, `seed`, `batch_size` and `cache`.

    Raises:
        SuiteError: the dataset is unknown.
        DataError: the dataset has no such fold.
        TypeError: the dataset has no such argument.
    """
    if lookup.is_target(name):
        lookup.permit({name: None})
    entry = catalog.dataset(name)
    if root is None and entry.folder is not None:
        root = catalog.place(name, data_folder(None))
    given = {} if root is None else {"root": Path(root).expanduser()}
    return _ours(catalog.load(entry.target)(**given, **arguments))


def _ours(data: Any) -> AudioDataModule:
    """Return a datamodule of this project; any other LightningDataModule is wrapped."""
    from lightning.pytorch import LightningDataModule

    from datamodules.base import AudioDataModule
    from datamodules.foreign import ForeignData

    foreign = isinstance(data, LightningDataModule) and not isinstance(data, AudioDataModule)
    own: AudioDataModule = ForeignData(data) if foreign else data
    return own


def evaluate(
    model: nn.Module | str | Path,
    dataset: str | LightningDataModule,
    *,
    fold: int | None = None,
    root: str | Path | None = None,
    device: Device = "auto",
    threads: int = 1,
    latency: bool = True,
    **arguments: Any,
) -> pandas.Series:
    """Return the row of a trained model in the table of runs: scores with intervals, size, speed. Nothing is stored.

    The model was trained elsewhere, so nobody checks that it has not seen the test clips.

    Args:
        model: a module that maps clips to logits `(B, C)` in the order of the dataset's classes, or the path of a
            Lightning checkpoint that a model of this project has written.
        dataset: of `bench list datasets`, or a datamodule, of this project or any that yields (x, target).
        fold: the test fold, from 0; None is the first.
        root: the dataset's folder, as in `create_datamodule`.
        device: where to classify and, besides the CPU, to time.
        threads: of the timing.
        latency: whether the model is timed, which takes a few seconds.
        **arguments: constructor arguments of the dataset, such as `sample_rate`.

    Raises:
        RunError: the model does not fit the dataset, or the file is no such checkpoint.
        SuiteError: the dataset is unknown.
    """
    import pandas

    from bench.profiling.isolated import SCOPES
    from bench.runner import outside

    module = outside.loaded(Path(model)) if isinstance(model, (str, Path)) else model
    if isinstance(dataset, str):
        chosen = {} if fold is None else {"fold": fold}
        data, name = create_datamodule(dataset, root, **chosen, **arguments), dataset
    else:
        data, name = _ours(dataset), type(dataset).__name__
    record = outside.record_of(module, data, name, device=device, threads=threads, scopes=SCOPES if latency else ())
    return pandas.Series(_run_row(graded_records({record.key: record})[record.key], {}))


def predict(
    files: str | Path | Iterable[str | Path],
    run: str | Path | Classifier,
    *,
    store: str | Path = "runs",
    hop_seconds: float | None = None,
    combine: Literal["mean", "max"] = "mean",
    each_window: bool = False,
    batch_size: int = 32,
    device: Device = "auto",
    data_dir: str | Path | None = None,
) -> pandas.DataFrame:
    """Classify files with a trained model, whose training data are not needed.

    >>> found = bench.predict("recordings", "esc10:cnn-wide")  # doctest: +SKIP
    >>> found[found.probability_dog > 0.5]  # doctest: +SKIP

    Args:
        files: a file, a folder, or several; of a folder, all files of sound at any depth.
        run: as in `load_model`, or a model that it has returned.
        store: folder of records and artifacts.
        hop_seconds: from the start of one window of a long file to the next; None takes the length of a window.
        combine: whether probabilities are averaged over the windows of a file, or the highest one of each class counts.
        each_window: whether each window gets a row instead of each file.
        batch_size: clips that the model gets at once.
        device: "auto", "cpu" or "cuda".
        data_dir: folder of the datasets, for runs of early versions, which have no description of their model.

    Returns:
        A row per file or window: `file`, `start` and `end` in seconds, `windows`, `prediction`, `probability_CLASS` for
        each class, and `error`, which says why a file cannot be used and is else empty: look at it first. Where a clip
        may have several labels, `prediction` names those of at least 50 %, separated by ";".

    Raises:
        RunError: there is no such run, its files are damaged, some of the runs of `@all` are missing, a named file or
            folder does not exist, or an argument is out of range.
        SuiteError: there is no such suite or system.
    """
    import pandas

    from bench.inference import Classifier, formats, load_model
    from bench.inference import predict as predicting
    from bench.profiling.environment import check_device

    check_device(device)  # which nothing looks at where the model is loaded already
    if isinstance(files, Iterator):  # such as Path.glob
        files = list(files)
    if not isinstance(files, (str, Path)) and not (
        isinstance(files, Collection) and all(isinstance(each, (str, Path)) for each in files)
    ):
        raise ArgumentError(
            f"predict takes paths of files, not {type(files).__name__}: give samples to a model of load_model, as in "
            f"model.logits(model.windows(samples).clips)"
        )
    if not isinstance(run, (str, Path, Classifier)):
        raise ArgumentError(f"predict takes a run's name or a model of load_model, not {type(run).__name__}")
    places: list[str | Path] = [files] if isinstance(files, (str, Path)) else list(files)
    if gone := [str(place) for place in places if place == "" or not Path(place).expanduser().exists()]:
        raise ArgumentError(f"there is no file or folder {gone[0]!r}: look at the name")
    model = (
        run
        if isinstance(run, Classifier)
        else load_model(run, store, device=device, data_dir=None if data_dir is None else Path(data_dir))
    )
    found = predicting.predict(
        model, predicting.find(places, model.takes_sound), hop_seconds=hop_seconds, combine=combine,
        each_window=each_window, batch_size=batch_size,
    )  # fmt: skip
    columns = [*formats.row(predicting.Prediction(file=""), model)]  # also where there are no files
    return pandas.DataFrame([formats.row(each, model) for each in found], columns=columns)


def leaderboard(results: Results) -> tuple[Leaderboard, ...]:
    """Return one leaderboard per dataset: every system ranked over its folds and seeds."""
    return results.leaderboards()


def _run_row(record: Record, names: Mapping[str, str]) -> dict[str, Any]:
    """Return what a table of runs says of one run."""
    run = record.run
    low, high = record.intervals.get(record.primary or "", (None, None))
    return {
        "key": record.key,
        "name": names.get(record.key, run.model),
        "model": run.model,
        "frontend": run.frontend,
        "dataset": run.dataset,
        "fold": run.fold,
        "seed": run.seed,
        "members": len(run.members),
        "status": record.status,
        "error": record.error.message if record.error else None,
        **record.scores,
        "interval_low": low,
        "interval_high": high,
        "best_epoch": record.best_epoch,
        "parameters": record.complexity.parameters if record.complexity else None,
        "macs": record.complexity.macs if record.complexity else None,
        "frontend_macs": record.complexity.frontend_macs if record.complexity else None,
        **_speeds({kind: _latency(record, kind) for kind in ("cpu", "cuda")}),
        "train_seconds": record.seconds.get("train"),
        "started": record.started,
        "commit": record.environment.commit if record.environment else None,
        "processor": record.environment.processor if record.environment else None,
    }


def _latency(record: Record, kind: str) -> Latency | None:
    """Return the eager end-to-end timing of a single clip on a kind of device, at the fewest threads."""
    found = [
        timing
        for timing in record.latencies
        if (timing.device_type, timing.scope, timing.batch, timing.backend) == (kind, "end-to-end", 1, "eager")
        and timing.combined != "parallel"
    ]
    return min(found, key=lambda timing: timing.threads, default=None)


def _speeds(timings: Mapping[str, Latency | None]) -> dict[str, Any]:
    return {
        f"{kind}_{name}": value
        for kind, timing in timings.items()
        for name, value in (
            ("p50_ms", timing.p50_ms if timing else None),
            ("grade", timing.grade if timing else None),
        )
    }


def _board_rows(board: Leaderboard) -> list[dict[str, Any]]:
    """Return what a table of leaderboards says of one leaderboard's rows."""
    return [
        {
            "dataset": board.name,
            "rank": row.rank,
            "label": row.label,
            "model": row.model,
            "frontend": row.frontend,
            "members": ", ".join(row.members),
            "done": row.done,
            "expected": row.expected,
            **row.scores,
            "interval_low": row.interval[0] if row.interval else None,
            "interval_high": row.interval[1] if row.interval else None,
            "parameters": row.complexity.parameters if row.complexity else None,
            "macs": row.complexity.macs if row.complexity else None,
            "frontend_macs": row.complexity.frontend_macs if row.complexity else None,
            **_speeds({"cpu": row.cpu, "cuda": row.gpu}),
            "train_seconds": row.train_seconds,
            "flags": "; ".join(row.flags),
        }
        for row in board.rows
    ]
