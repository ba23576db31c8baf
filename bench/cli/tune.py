"""`bench tune`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from bench import records, suites
from bench.cli.options import (
    MOST_THREADS,
    App,
    AsJson,
    DataDir,
    Device,
    OnlyDatasets,
    OnlyFolds,
    OnlyModels,
    err,
    out,
    print_json,
    say,
)
from bench.runner.settings import RunSettings, data_folder

app = App()
SearchMethod = StrEnum("SearchMethod", ["random", "halving"])
SearchScope = StrEnum("SearchScope", ["fold", "all"])


@app.command()
def tune(
    suite: Annotated[str, typer.Argument(help="Name of a suite, or a TOML file.")],
    model: OnlyModels = None,
    dataset: OnlyDatasets = None,
    fold: OnlyFolds = None,
    method: Annotated[
        SearchMethod, typer.Option(help="Random search, or successive halving of the epochs.")
    ] = SearchMethod.random,
    trials: Annotated[int, typer.Option(min=2, help="Candidates of each model; the first is the suite's recipe.")] = 20,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Epochs of a whole training.", show_default="the suite's recipe")
    ] = None,
    space: Annotated[
        Path | None, typer.Option(help="TOML file with a table [space].", show_default="a space of nine values")
    ] = None,
    scope: Annotated[
        SearchScope,
        typer.Option(help="Choose for each test fold by its own validation clips, or one recipe by the mean of all."),
    ] = SearchScope.fold,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the candidates.")] = 0,
    store: Annotated[Path, typer.Option(help="Folder of records; trials are in its folder tuning.")] = Path("runs"),
    data_dir: DataDir = None,
    executor: Annotated[str, typer.Option(help="How trials are started: processes, serial or ray.")] = "processes",
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Trials trained at the same time.", show_default="one per core; 1 with a GPU"),
    ] = None,
    threads: Annotated[int, typer.Option(min=1, max=MOST_THREADS, help="Threads of each trial.")] = 1,
    device: Annotated[Device, typer.Option(help="Where to train.")] = Device.auto,
    as_json: AsJson = False,
) -> None:
    """Search recipes by validation scores alone, and print the chosen ones as tables of a suite."""
    from bench.profiling.environment import default_workers
    from bench.runner.tuning import space as spaces
    from bench.runner.tuning.study import Plan, tune, write

    here = records.Store(store)
    grid = suites.read(suite, here)
    searched = spaces.read(space)
    place = data_folder(data_dir)
    runs = suites.select(
        suites.at_hand(grid, grid.runs(), place, dataset or ()), grid.names(), grid.dataset_names(),
        model=tuple(model or ()), dataset=tuple(dataset or ()), fold=tuple(fold or ()),
    )  # fmt: skip
    wanted = set(model or ())
    names = grid.names()
    runs = tuple(run for run in runs if not wanted or {run.model, names[run.key]} & wanted)
    plan = Plan(
        method="halving" if method is SearchMethod.halving else "random", trials=trials, epochs=epochs, seed=seed,
        scope="all" if scope is SearchScope.all else "fold",
    )  # fmt: skip
    settings = RunSettings(
        store=store.resolve(), data_dir=place, device=device.value, threads=threads,
        workers=workers or default_workers(device.value, threads),
    )  # fmt: skip
    found = tune(grid, runs, plan, searched, settings, executor, lambda line: say(err, line))
    for name, why in found.left.items():
        say(err, f"{name} is not tuned: {why}")
    record, *recipes = write(grid, plan, searched, found, here)
    if as_json:
        print_json({"record": str(record), "recipes": [str(path) for path in recipes]})
        return
    for path in recipes:
        say(out, f"# {path}\n{path.read_text(encoding='utf-8')}")
    say(err, f"record of the study: {record}")
