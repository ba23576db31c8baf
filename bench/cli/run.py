"""`bench run`."""

import os
import shlex
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench import catalog, records
from bench.cli import slurm
from bench.cli.options import (
    MOST_THREADS,
    App,
    AsJson,
    DataDir,
    Device,
    OnlyDatasets,
    OnlyFolds,
    OnlyModels,
    OnlySeeds,
    SuiteName,
    err,
    line_width,
    out,
    print_json,
    say,
)
from bench.runner.settings import RunSettings

if TYPE_CHECKING:
    from rich.console import Console

    from bench.records import Run
    from bench.runner.outcome import Outcome
    from bench.runner.session import Session

app = App()
Wandb = StrEnum("Wandb", ["offline", "online", "disabled"])
Strategy = StrEnum("Strategy", ["ddp"])
Logger = StrEnum("Logger", ["wandb", "csv", "tensorboard"])


@app.command()
def run(
    context: typer.Context,
    suite: SuiteName,
    tier: Annotated[
        str, typer.Option(help="A smaller form of the suite that its file has, such as quick.", show_default=False)
    ] = "",
    model: OnlyModels = None,
    dataset: OnlyDatasets = None,
    fold: OnlyFolds = None,
    seed: OnlySeeds = None,
    key: Annotated[list[str] | None, typer.Option(help="Only the run of this key (repeatable).")] = None,
    store: Annotated[Path, typer.Option(help="Folder of records and tables.")] = Path("runs"),
    data_dir: DataDir = None,
    executor: Annotated[str, typer.Option(help="How runs are started: processes, serial or ray.")] = "processes",
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Runs trained at the same time.", show_default="one per core; 1 with a GPU"),
    ] = None,
    threads: Annotated[int, typer.Option(min=1, max=MOST_THREADS, help="Threads of each run.")] = 1,
    loaders: Annotated[
        int, typer.Option(min=0, max=MOST_THREADS, help="Processes of each run that read clips ahead.")
    ] = 0,
    device: Annotated[Device, typer.Option(help="Where to train.")] = Device.auto,
    gpus: Annotated[
        str | None,
        typer.Option(help="GPUs that train one run each: all, or numbers such as 0,2.", show_default="the first"),
    ] = None,
    per_gpu: Annotated[
        int | None, typer.Option("--per-gpu", min=1, help="Runs that share a GPU.", show_default="1")
    ] = None,
    devices: Annotated[int, typer.Option(min=1, help="Devices that train one run together.")] = 1,
    attempts: Annotated[
        int | None,
        typer.Option(
            min=1, help="With --executor ray: how often a run begins whose machine is lost.", show_default="3"
        ),
    ] = None,
    data_url: Annotated[
        str, typer.Option("--data-url", help="With --executor ray: where the machines read the data folder.")
    ] = "",
    strategy: Annotated[
        Strategy | None, typer.Option(help="How several devices train a run.", show_default="ddp")
    ] = None,
    logger: Annotated[
        list[Logger] | None,
        typer.Option(help="Where trainings are logged while they run (repeatable).", show_default="wandb"),
    ] = None,
    wandb: Annotated[
        Wandb | None,
        typer.Option(
            help="Mode of Weights & Biases; online and offline add it to other loggers.",
            show_default="WANDB_MODE, or else offline",
        ),
    ] = None,
    project: Annotated[
        str | None, typer.Option(help="W&B project.", show_default="WANDB_PROJECT, or else audio-classification-bench")
    ] = None,
    entity: Annotated[
        str | None, typer.Option(help="W&B user or team.", show_default="WANDB_ENTITY, or else the account's")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Repeat runs that are done.")] = False,
    time_again: Annotated[
        bool, typer.Option("--time-again", help="Train nothing; time the finished runs again.")
    ] = False,
    timing: Annotated[
        bool, typer.Option("--timing/--no-timing", help="Time the trained runs; a later call times what is left.")
    ] = True,
    skip_unreadable: Annotated[
        bool,
        typer.Option("--skip-unreadable", help="Leave out audio of your own that cannot be read; results name it."),
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume/--no-resume", help="Go on with interrupted trainings, or start them again.")
    ] = True,
    stall_minutes: Annotated[
        float, typer.Option(min=0, help="End a run in which no batch ends for this time; 0 never ends it.")
    ] = 30.0,
    run_hours: Annotated[
        float | None, typer.Option(min=0, help="End a run that takes longer.", show_default="no limit")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the runs and stop.")] = False,
    print_slurm: Annotated[
        bool, typer.Option("--print-slurm", help="Print a script that does the runs as an array of SLURM jobs.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Do the runs of a suite that are not in the store yet, then draw its tables."""
    from bench.runner.progress import Progress
    from bench.runner.session import prepare
    from bench.tracking import loggers

    if print_slurm:
        slurm.check(context)
    session = prepare(
        suite,
        tier=tier,
        models=model or (),
        datasets=dataset or (),
        folds=fold or (),
        seeds=seed or (),
        keys=key or (),
        store=store,
        data_dir=data_dir,
        executor=executor,
        workers=workers,
        threads=threads,
        loaders=loaders,
        device=device.value,
        gpus=gpus,
        per_gpu=per_gpu,
        devices=devices,
        strategy=strategy.value if strategy else None,
        attempts=attempts,
        data_url=data_url,
        force=force,
        time_again=time_again,
        timing=timing,
        skip_unreadable=skip_unreadable,
        resume=resume,
        stall_minutes=stall_minutes,
        run_hours=run_hours,
    )
    if print_slurm:
        slurm.print_script(context, suite, session)
        return
    if dry_run:
        if not _dry_run(session, as_json):
            raise typer.Exit(1)
        return
    chosen = loggers.choose([each.value for each in logger or ()], wandb.value if wandb else None, project, entity)
    console = err if as_json else out
    try:
        outcome = session.run(chosen, Progress(console))
    except SystemExit:  # a signal asks this process to end
        err.print(_how_to_go_on(session.outcome, force or time_again), highlight=False)
        raise
    _report(outcome, session, console)
    if as_json:
        print_json({
            "done": outcome.done,
            "kept": outcome.kept,
            "failed": {key: failure.message for key, failure in outcome.failed.items()},
            "not_timed": {key: failure.message for key, failure in outcome.not_timed.items()},
            "elsewhere": outcome.elsewhere,
            "missing": outcome.missing,
            "not_drawn": outcome.not_drawn and outcome.not_drawn.message,
            "warnings": outcome.warnings,
        })  # fmt: skip
    if outcome.interrupted:
        err.print(_how_to_go_on(outcome, force or time_again), highlight=False)
        raise typer.Exit(130)
    if outcome.failed or outcome.missing or outcome.not_timed or outcome.not_drawn:
        raise typer.Exit(1)


def _dry_run(session: "Session", as_json: bool) -> bool:
    """Show every run with its state, and what its key does not show: its name in the suite, or what it combines.

    Returns:
        Whether the data of all runs that are to be done is there, and can be read as far as names and tables show.
    """
    from bench.runner.outcome import Outcome
    from bench.runner.plan import plan

    grid, settings = session.suite, session.settings
    found = records.Snapshot(records.Store(settings.store), grid.runs())
    planned = plan(grid, found, session.runs, session.force)
    todo, every, changed = planned.todo, planned.every, planned.changed
    problems = {
        key: problem
        for key, run in todo.items()
        if (problem := _lacking(run) or catalog.why_absent(run.dataset, settings.data_dir, run.data))
    }
    states = {run.key: "missing" if run.key in problems else "to do" if run.key in todo else "done" for run in every}
    refused = _refused([run for key, run in todo.items() if key not in problems], settings)
    states |= dict.fromkeys(refused, "refused")
    problems |= refused
    if as_json:
        print_json([
            {"key": key, "state": state}
            | ({"problem": problems[key]} if key in problems else {})
            | ({"changed": changed[key]} if key in changed else {})
            | ({"changed_data": planned.new_data[key]} if key in planned.new_data else {})
            for key, state in states.items()
        ])  # fmt: skip
        return not problems
    names = grid.names()
    for run in every:
        name = names.get(run.key, run.model)
        about = [name] if name != run.model else []
        about += ["of " + " + ".join(names.get(key, key) for key in run.members)] if run.members else []
        words = f"  ({', '.join(about)})" if about else ""
        out.print(f"{states[run.key]:7} {run.key}{words}", markup=False, highlight=False, soft_wrap=True)
    for line in Outcome(changed=changed, new_data=planned.new_data).changed_words():
        say(out, line)
    for line in planned.warnings:
        say(err, f"warning: {line}")
    for words in dict.fromkeys(f"{states[key]}: {problem}" for key, problem in problems.items()):
        say(err, words)
    return not problems


def _refused(runs: "list[Run]", settings: RunSettings) -> dict[str, str]:
    """Return why the data of runs cannot be read, by their keys."""
    files = [run for run in runs if catalog.has_files(run.dataset, run.data)]
    if not files:
        return {}
    from bench.training import build  # imports torch

    return build.refused(files, settings.data_dir, settings.skip_unreadable)


def _lacking(run: "Run") -> str | None:
    """Say which class of another package is not there, and what to do; None where all are."""
    from bench.records import sources

    return "; ".join(f"{target}: {problem}" for target, problem in sources.missing(run).items()) or None


def _how_to_go_on(outcome: "Outcome", again: bool) -> str:
    """Say after an interruption what is done, and what repeating the command does.

    Args:
        outcome: what was done until then.
        again: whether the command does things that were done before, and so starts from the beginning.
    """
    words = []
    if outcome.done or not again:
        words.append(f"{len(outcome.done) + len(outcome.kept)} of {outcome.total} runs are done")
    if outcome.untimed:
        words.append(f"{outcome.untimed} timing{' is' if outcome.untimed == 1 else 's are'} left")
    advice = "the same command starts from the beginning" if again else "repeat the command to go on"
    return f"interrupted; {advice}: {', '.join(words)}"


def _command_here(session: "Session") -> str:
    """Return the command that does the suite's runs from this folder, in this store, on these data."""
    from bench.leaderboard.files import command_of
    from bench.runner.settings import data_folder

    suite, settings = session.suite, session.settings
    words = [command_of(suite, os.path.relpath(suite.folder / suite.file) if suite.folder and suite.file else "")]
    if (store := _shorter(settings.store)) != "runs":
        words.append(f"--store {shlex.quote(store)}")
    if settings.data_dir != data_folder(None):
        words.append(f"--data-dir {shlex.quote(_shorter(settings.data_dir))}")
    if session.executor != "processes":
        words.append(f"--executor {session.executor}")
    if settings.data_url:
        words.append(f"--data-url {shlex.quote(settings.data_url)}")
    if settings.devices > 1:
        words.append(f"--devices {settings.devices} --strategy ddp")
    if settings.skip_unreadable:
        words.append("--skip-unreadable")
    return " ".join(words)


def _shorter(path: Path) -> str:
    """Return the shorter one of a path and of the way to it from this folder."""
    return min(os.path.relpath(path), str(path), key=len)


def _report(outcome: "Outcome", session: "Session", console: "Console") -> None:
    """Print the summary tables, then everything that went wrong."""
    from bench.leaderboard.render import terminal
    from bench.runner.progress import indented

    tables = session.settings.store / session.suite.name
    for part in terminal(outcome.boards, line_width(console), f"{tables}.md", _command_here(session)):
        console.print(part, highlight=False)
    where = f"Tables: {tables}.md, .csv, .json, .html"
    if outcome.not_drawn:
        where = f"No tables were written: {outcome.not_drawn.message}"
    say(console, f"{outcome.counts_words()}. {where}", indent=0)
    groups: dict[str, list[str]] = {}
    for key, failure in outcome.failed.items():
        groups.setdefault(f"{failure.kind}: {failure.message}", []).append(key)
    for words, keys in groups.items():
        others = len(keys) - 1
        more = f" and {others} more {'run' if others == 1 else 'runs'}" if others else ""
        say(err, indented(f"failed: {keys[0]}{more}: {words}"))
    if outcome.elsewhere:
        err.print(f"{outcome.elsewhere_words()}: repeat the command later", highlight=False)
    for words in outcome.missing.values():
        say(err, indented(f"missing: {words}"))
    for words in outcome.warnings:
        say(err, indented(f"warning: {words}"))
