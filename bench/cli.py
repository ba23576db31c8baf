"""The command line. Commands import what they need themselves, so that `bench list` answers at once."""

import shutil
import signal
import sys
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console

from bench import catalog, cli_data, cli_latency, cli_results, recipes
from bench import suite as suites
from bench.console import (
    MODEL,
    AsJson,
    Classes,
    DataDir,
    Device,
    Embedding,
    FrontendName,
    SampleRate,
    Seconds,
    SuiteName,
    data_folder,
    described,
    err,
    line_width,
    out,
    print_json,
)  # fmt: skip
from bench.environment import usable_cores
from bench.errors import BenchError, SuiteError
from bench.place import Place
from bench.store import Store, write_whole

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(cli_data.app, name="data")
app.add_typer(cli_results.app)
app.add_typer(cli_latency.app)

Convention = StrEnum("Convention", ["macs", "panns"])
Wandb = StrEnum("Wandb", ["offline", "online", "disabled"])
Kind = StrEnum("Kind", ["models", "frontends", "datasets", "recipes", "suites", "metrics", "backends"])


def main() -> None:
    """Run the command line; a known error is one line and exit code 1, or 2 where the call itself is wrong."""
    signal.signal(signal.SIGTERM, _terminate)
    try:
        app()
    except SuiteError as error:
        _stop(error, 2)
    except BenchError as error:
        _stop(error, 1)
    except OSError as error:
        _stop(f"{error}; free space or choose another folder with --store", 1)
    except KeyboardInterrupt:
        _stop("interrupted", 130)


def _terminate(number: int, frame: object) -> NoReturn:
    raise SystemExit(128 + number)


def _stop(error: object, code: int) -> NoReturn:
    err.print(f"error: {error}", markup=False, highlight=False)
    sys.exit(code)


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
    from bench import pareto
    from bench.leaderboard import summary
    from bench.progress import Progress
    from bench.runner import Runner
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
    place = Place(
        store=store.resolve(),
        data_dir=data_folder(data_dir),
        device=device.value,
        threads=threads,
        workers=workers or _workers(device, threads),
        loaders=loaders,
    )
    if dry_run:
        _dry_run(grid, runs, Store(place.store), force, as_json)
        return
    console = err if as_json else out
    mode, warning = choose_mode(wandb.value if wandb else None)
    place = replace(place, worst=0 if mode == "disabled" else 8)
    mirror = None if mode == "disabled" else Mirror(mode, grid.name, place.store / "wandb")
    progress = Progress(console)
    if warning:
        progress.note(warning)
    try:
        runner = Runner(grid, place, progress, executor, mirror)
        outcome = runner.time(runs, again=True) if time_again else runner.run(runs, force)
        if mirror and (outcome.done or outcome.failed):
            plots = [plot for board in outcome.boards for plot in pareto.plots(board)]
            mirror.summary([table.columns_and_rows() for table in summary(outcome.boards)], plots)
    finally:
        closing = mirror.close() if mirror else None
    if closing:
        outcome.warnings.append(closing)
    _report(outcome, grid, place, console)
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


def _dry_run(grid: suites.Suite, runs: tuple[Any, ...], store: Store, force: bool, as_json: bool) -> None:
    """Show every run with its state, and what its key does not tell: its name in the suite, or what it combines."""
    from bench.runner import plan

    todo, every = plan(grid, store, runs, force)
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


def _report(outcome: Any, grid: suites.Suite, place: Place, console: Console) -> None:
    """Print the summary tables, then everything that went wrong."""
    from bench.render import terminal

    for part in terminal(outcome.boards, line_width(console), f"{place.store / grid.name}.md"):
        console.print(part)
    console.print(
        f"{len(outcome.done)} run now, {len(outcome.kept)} done before, {len(outcome.failed)} failed. "
        f"Tables: {place.store / grid.name}.md, .csv, .html",
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


@app.command("list")
def list_(
    kind: Annotated[Kind | None, typer.Argument(help="What to list; all without.")] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """List models, front-ends, datasets (and whether they are here), recipes, suites, metrics and backends."""
    everything: dict[str, dict[str, dict[str, Any]]] = {
        "models": {name: {"line": entry.line, "frontend": entry.frontend} for name, entry in catalog.MODELS.items()},
        "frontends": {name: {"line": entry.line} for name, entry in catalog.FRONTENDS.items()},
        "datasets": {
            name: {
                "line": entry.line,
                "task": entry.task,
                "folds": entry.folds,
                "here": _here(entry, data_folder(data_dir)),
            }
            for name, entry in catalog.DATASETS.items()
        },
        "recipes": {
            name: {"line": paper.title, "paper": paper.paper, "values": paper.values, "sources": paper.sources}
            for name, paper in ((name, recipes.read(name)) for name in recipes.names())
        },
        "suites": {name: {"line": suites.read(name).title} for name in suites.suites()},
        "metrics": {name: {"line": entry.line, "tasks": entry.tasks} for name, entry in catalog.METRICS.items()},
        "backends": {name: {"line": entry.line} for name, entry in catalog.BACKENDS.items()},
    }
    wanted = {kind.value: everything[kind.value]} if kind else everything
    if as_json:
        print_json(wanted)
        return
    for title, entries in wanted.items():
        out.print(title, style="bold")
        for name, about in entries.items():
            here = "" if "here" not in about else " (here)" if about["here"] else " (not here)"
            out.print(described(name, f"{about['line']}{here}", line_width(out)), markup=False, highlight=False)


def _here(entry: catalog.Dataset, data_dir: Path) -> bool:
    return entry.folder is None or (data_dir / entry.folder).is_dir()


@app.command()
def leaderboard(
    suite: Annotated[
        str | None, typer.Option("--suite", help="A suite; all that have tables in the store without.")
    ] = None,
    store: Annotated[Path, typer.Option(help="Folder of records and tables.")] = Path("leaderboards"),
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing; exit 1 if a table differs from its records.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Redraw the pages of a store from its records."""
    from bench import tables
    from bench.render import csv_text

    here = Store(store)
    drawn = [name for name in suites.suites() if (store / f"{name}.md").exists()]
    drawn += [str(path) for path in sorted(store.glob("*.toml"))]
    names = [suite] if suite else drawn
    if not names:
        raise SuiteError(f"{store} has no tables; `bench run --suite NAME` and `bench publish --suite NAME` make them")
    wrong: list[str] = []
    result: dict[str, str] = {}
    for name in names:
        grid = suites.read(name)
        if check:
            wrong += [f"{store}/records/{key}.json is gone: restore it" for key in tables.dropped(here, grid)]
            wrong += [f"{path} differs from its records" for path in tables.stale(here, grid)]
            continue
        boards, damaged = tables.draw(here, grid)
        result[name] = csv_text(boards)
        wrong += [f"damaged: {error}" for error in damaged]
    if check:
        present = [suites.read(name) for name in {*drawn, *names}]
        known = {r.key for grid in present for r in grid.runs()}
        orphans = {p.stem for p in (store / "records").glob("*.json") if p.stem not in known}
        for name in suites.suites():
            if name not in drawn and (its := orphans & {run.key for run in suites.read(name).runs()}):
                wrong.append(f"{store}/{name}.md is gone: `bench leaderboard --suite {name}` draws it")
                orphans -= its
        wrong += [f"{key} is a record of no suite: delete it" for key in sorted(orphans)]
        wrong += [
            f"{path} is drawn by no suite that has tables here; delete it" for path in tables.orphans(here, present)
        ]
        wrong += [f"{path} differs from what is counted" for path in cli_results.stale_complexity(store)]
    if as_json:
        print_json({"suites": names, "wrong": wrong, "csv": result})
    for line in dict.fromkeys(wrong):
        err.print(line, markup=False, highlight=False)
    if wrong:
        raise typer.Exit(1)
    if not as_json:
        out.print(
            f"{', '.join(names)}: {'tables match their records' if check else f'tables redrawn in {store}'}",
            markup=False,
            highlight=False,
        )


@app.command()
def publish(
    suite: SuiteName,
    store: Annotated[Path, typer.Option(help="Where the records are.")] = Path("runs"),
    to: Annotated[Path, typer.Option(help="The published store.")] = Path("leaderboards"),
) -> None:
    """Copy a suite's finished records to the published store and redraw its tables."""
    from bench import tables

    grid = suites.read(suite)
    source, target = Store(store), Store(to)
    records, damaged = source.records(grid.runs())
    finished = [record for record in records.values() if record.status == "ok"]
    if not finished:
        raise BenchError(f"{store} has no finished run of {grid.name}: `bench run --suite {suite}` makes them")
    for record in finished:
        target.write(record)
    if suite.endswith(".toml"):
        write_whole(to / f"{grid.name}.toml", Path(suite).read_bytes())  # the tables cannot be redrawn without it
    tables.draw(target, grid)
    for error in damaged:
        err.print(f"warning: {error}", markup=False, highlight=False)
    out.print(
        f"{len(finished)} of {len(grid.runs())} records of {grid.name} are in {to}", markup=False, highlight=False
    )


@app.command()
def complexity(
    model: Annotated[str, MODEL],
    classes: Classes = 10,
    seconds: Seconds = None,
    sample_rate: SampleRate = 32000,
    frontend: FrontendName = None,
    embedding: Embedding = None,
    convention: Annotated[
        Convention, typer.Option(help="macs: multiply-adds. panns: as PANNs' tables count, about twice as many.")
    ] = Convention.macs,
    as_json: AsJson = False,
) -> None:
    """Count a model's parameters and multiply-adds (MACs; FLOPs are twice as many) for one clip."""
    from dataclasses import asdict

    from bench import build
    from bench import complexity as counting

    built, shape, length = build.untrained(model, classes, seconds, sample_rate, frontend, embedding)
    if convention is Convention.panns:
        if embedding:
            raise SuiteError("the convention panns is for waveforms; leave --embedding out")
        parameters, multi_adds = counting.trainable(built), counting.panns_multiply_adds(built, shape[0])
        if as_json:
            print_json({"model": model, "classes": classes, "parameters": parameters, "multi_adds": multi_adds})
            return
        out.print(f"{model}, {classes} classes, a clip of {length:g} s, as PANNs count", highlight=False)
        out.print(f"  parameters       {parameters:,}", highlight=False)
        out.print(f"  multi-adds       {multi_adds:,}  ({multi_adds / 1e9:.3f}e9)", highlight=False)
        return
    size = counting.measure(built, shape, length)
    if as_json:
        print_json({"model": model, "classes": classes, **asdict(size)})
        return
    out.print(f"{model}, {classes} classes, a clip of {length:g} s", highlight=False)
    out.print(f"  parameters       {size.parameters:,}", highlight=False)
    out.print(f"  MACs             {size.macs:,}  ({size.macs / 1e9:.3f}e9)", highlight=False)
    out.print(f"  front-end MACs   {size.frontend_macs:,}", highlight=False)
    if size.elementwise:
        out.print(f"  sigmoids         {size.elementwise:,}", highlight=False)
    out.print(f"  size             {size.bytes:,} bytes, the front-end's tables included", highlight=False)


@app.command()
def features(
    file: Annotated[Path, typer.Argument(help="An audio file: wav, flac, ogg, opus, mp3 or aiff.")],
    frontend: Annotated[
        list[str] | None,
        typer.Option(help="Only this front-end of `bench list frontends` (repeatable). [default: all that are fixed]"),
    ] = None,
    picture: Annotated[
        Path | None, typer.Option("--out", help="The PNG. [default: FILE's name with -features.png, here]")
    ] = None,
    sample_rate: SampleRate = 32000,
) -> None:
    """Draw a clip and what each front-end makes of it."""
    from bench import plots

    target = picture or Path(f"{file.stem}-features.png")
    if target.suffix.lower() != ".png":
        raise SuiteError(f"--out is a PNG, so its name ends in .png, not {target.name!r}")
    if target.resolve() == file.resolve():
        raise SuiteError(f"--out would take the place of {str(file)!r}: name another file")
    for name in frontend or ():
        catalog.frontend(name)  # before the file is read
    waveform = plots.read(file, sample_rate)
    panels, left_out = plots.listen(waveform, sample_rate, tuple(frontend or ()))
    plots.save(plots.figure(waveform, sample_rate, panels, file.name), target)
    for name, reason in left_out.items():
        out.print(f"left out {name}: {reason}", markup=False, highlight=False)
    names = ", ".join(panel.name for panel in panels)
    out.print(f"{target}: {names} at {sample_rate} Hz", markup=False, highlight=False)
