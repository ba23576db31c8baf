"""`bench run`."""

import shutil
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from bench import suites
from bench.cli.options import (
    AsJson,
    DataDir,
    Device,
    SuiteName,
    data_folder,
    err,
    line_width,
    out,
    print_json,
)
from bench.errors import SuiteError
from bench.profiling.environment import usable_cores
from bench.records import Snapshot, Store
from bench.runner.settings import RunSettings

app = typer.Typer()
Wandb = StrEnum("Wandb", ["offline", "online", "disabled"])


@app.command()
def run(
    suite: SuiteName,
    model: Annotated[
        list[str] | None, typer.Option(help="Only this model, or this name of the suite's (repeatable).")
    ] = None,
    dataset: Annotated[list[str] | None, typer.Option(help="Only this dataset (repeatable).")] = None,
    fold: Annotated[list[int] | None, typer.Option(help="Only this fold (repeatable).")] = None,
    seed: Annotated[list[int] | None, typer.Option(help="Only this seed (repeatable).")] = None,
    store: Annotated[Path, typer.Option(help="Folder of records and tables.")] = Path("runs"),
    data_dir: DataDir = None,
    executor: Annotated[str, typer.Option(help="processes, serial or ray.")] = "processes",
    workers: Annotated[
        int | None, typer.Option(min=1, help="Runs trained at the same time. [default: one per core; 1 with a GPU]")
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="Threads of each run.")] = 1,
    loaders: Annotated[int, typer.Option(min=0, help="Processes of each run that read clips ahead.")] = 0,
    device: Annotated[Device, typer.Option(help="Where to train.")] = Device.auto,
    wandb: Annotated[Wandb | None, typer.Option(help="Weights & Biases. [default: WANDB_MODE, or offline]")] = None,
    force: Annotated[bool, typer.Option("--force", help="Do runs again that are done.")] = False,
    time_again: Annotated[
        bool, typer.Option("--time-again", help="Train nothing; time anew the runs that are done.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the runs and stop.")] = False,
    as_json: AsJson = False,
) -> None:
    """Do the runs of a suite that are not in the store yet, then redraw its tables."""
    from bench.leaderboard import pareto
    from bench.leaderboard.board import summary
    from bench.runner.driver import Runner
    from bench.runner.progress import Progress
    from bench.tracking import Mirror, choose_mode

    if force and time_again:
        raise SuiteError("--force trains again and --time-again trains nothing: choose one")
    grid = suites.read(suite)
    narrow = {
        "model": tuple(model or ()),
        "dataset": tuple(dataset or ()),
        "fold": tuple(fold or ()),
        "seed": tuple(seed or ()),
    }
    here = suites.at_hand(grid, grid.runs(), data_folder(data_dir), dataset or ())
    runs = suites.select(here, grid.names(), **narrow)
    settings = RunSettings(
        store=store.resolve(),
        data_dir=data_folder(data_dir),
        device=device.value,
        threads=threads,
        workers=workers or _workers(device, threads),
        loaders=loaders,
    )
    if dry_run:
        _dry_run(grid, runs, Snapshot(Store(settings.store), grid.runs()), force, as_json)
        return
    console = err if as_json else out
    mode, warning = choose_mode(wandb.value if wandb else None)
    settings = replace(settings, hardest_clips=0 if mode == "disabled" else 8)
    mirror = None if mode == "disabled" else Mirror(mode, grid.name, settings.store / "wandb")
    progress = Progress(console)
    if warning:
        progress.note(warning)
    try:
        runner = Runner(grid, settings, progress, executor, mirror)
        outcome = runner.time(runs, again=True) if time_again else runner.run(runs, force)
        if mirror and (outcome.done or outcome.failed):
            plots = [plot for board in outcome.boards for plot in pareto.plots(board)]
            mirror.summary([table.columns_and_rows() for table in summary(outcome.boards)], plots)
    finally:
        closing = mirror.close() if mirror else None
    if closing:
        outcome.warnings.append(closing)
    _report(outcome, grid, settings, console)
    if as_json:
        print_json({
            "done": outcome.done,
            "kept": outcome.kept,
            "failed": {key: failure.message for key, failure in outcome.failed.items()},
            "elsewhere": outcome.elsewhere,
            "missing": outcome.missing,
            "warnings": outcome.warnings,
        })  # fmt: skip
    if outcome.interrupted:
        raise typer.Exit(130)
    if outcome.failed or outcome.missing:
        raise typer.Exit(1)


def _workers(device: Device, threads: int) -> int:
    """Return how many runs to train at the same time: one per core, or one where there is a GPU to share."""
    if device is not Device.cpu and shutil.which("nvidia-smi"):
        return 1
    return max(1, usable_cores() // threads)


def _dry_run(grid: suites.Suite, runs: tuple[Any, ...], snapshot: Snapshot, force: bool, as_json: bool) -> None:
    """Show every run with its state, and what its key does not tell: its name in the suite, or what it combines."""
    from bench.runner.driver import plan

    todo, every = plan(grid, snapshot, runs, force)
    states = {run.key: "to do" if run.key in todo else "done" for run in every}
    if as_json:
        print_json([{"key": key, "state": state} for key, state in states.items()])
        return
    names = grid.names()
    for run in every:
        name = names.get(run.key, run.model)
        about = [name] if name != run.model else []
        about += ["of " + " + ".join(names.get(key, key) for key in run.members)] if run.members else []
        words = f"  ({', '.join(about)})" if about else ""
        out.print(f"{states[run.key]:6} {run.key}{words}", markup=False, highlight=False, soft_wrap=True)


def _report(outcome: Any, grid: suites.Suite, settings: RunSettings, console: Console) -> None:
    """Print the summary tables, then everything that went wrong."""
    from bench.leaderboard.render import terminal

    for part in terminal(outcome.boards, line_width(console), f"{settings.store / grid.name}.md"):
        console.print(part)
    console.print(
        f"{len(outcome.done)} run now, {len(outcome.kept)} done before, {len(outcome.failed)} failed. "
        f"Tables: {settings.store / grid.name}.md, .csv, .html",
        markup=False, highlight=False,
    )  # fmt: skip
    groups: dict[str, list[str]] = {}
    for key, failure in outcome.failed.items():
        groups.setdefault(f"{failure.kind}: {failure.message}", []).append(key)
    for words, keys in groups.items():
        more = f" and {len(keys) - 1} more runs" if len(keys) > 1 else ""
        err.print(f"failed: {keys[0]}{more}: {words}", markup=False, highlight=False)
    if outcome.elsewhere:
        err.print(f"{len(outcome.elsewhere)} runs are being done by another process: repeat the command later")
    for words in outcome.missing.values():
        err.print(f"missing: {words}", markup=False, highlight=False)
    for words in outcome.warnings:
        err.print(f"warning: {words}", markup=False, highlight=False)
