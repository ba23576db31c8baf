"""`bench robustness`."""

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
    OnlySeeds,
    SuiteName,
    err,
    out,
    print_json,
    say,
)
from bench.errors import BenchError
from bench.runner.settings import RunSettings, data_folder

app = App()


@app.command()
def robustness(
    suite: SuiteName,
    condition: Annotated[
        list[str] | None,
        typer.Option(
            help="Only this condition, such as noise-10, or only conditions of this kind, such as noise (repeatable)."
        ),
    ] = None,
    model: OnlyModels = None,
    dataset: OnlyDatasets = None,
    fold: OnlyFolds = None,
    seed: OnlySeeds = None,
    musan: Annotated[
        Path | None,
        typer.Option(
            help="Folder with the recordings `noise` and `speech`.",
            show_default="musan, or speech_music_noise/musan, in the data folder",
        ),
    ] = None,
    disturbance_seed: Annotated[int, typer.Option(min=0, help="Seed of the disturbances.")] = 0,
    draw_only: Annotated[
        bool, typer.Option("--draw-only", help="Evaluate nothing; draw the page from the results in the store.")
    ] = False,
    publish_to: Annotated[
        Path | None,
        typer.Option(help="Copy the results to this store, too, and draw their page there.", show_default=False),
    ] = None,
    store: Annotated[Path, typer.Option(help="Folder of records and artifacts.")] = Path("runs"),
    data_dir: DataDir = None,
    threads: Annotated[int, typer.Option(min=1, max=MOST_THREADS, help="Threads of this process.")] = 1,
    device: Annotated[Device, typer.Option(help="Where to classify.")] = Device.auto,
    force: Annotated[bool, typer.Option("--force", help="Evaluate again what was evaluated before.")] = False,
    as_json: AsJson = False,
) -> None:
    """Evaluate a suite's kept weights on disturbed test clips, without training, and draw the page of robustness."""
    from bench.evaluation.robustness import page

    here = records.Store(store)
    grid = suites.read(suite, here)
    left: dict[str, str] = {}
    done = kept = 0
    if not draw_only:
        from bench.evaluation.robustness.conditions import find_musan
        from bench.runner.robustness import evaluate_runs

        runs = suites.select(
            grid.runs(), grid.names(), grid.dataset_names(), model=tuple(model or ()), dataset=tuple(dataset or ()),
            fold=tuple(fold or ()), seed=tuple(seed or ()),
        )  # fmt: skip
        place = data_folder(data_dir)
        settings = RunSettings(store=store.resolve(), data_dir=place, device=device.value, threads=threads)
        outcome = evaluate_runs(
            runs, settings, condition or (), musan or find_musan(place), disturbance_seed, force=force,
            report=lambda line: say(err, line),
        )  # fmt: skip
        left, done, kept = outcome.left, outcome.done, outcome.kept
    pages = page.draw(grid, here)
    if publish_to is not None:
        page.publish(grid, here, records.Store(publish_to))
        pages += page.draw(grid, records.Store(publish_to))
    reasons: dict[str, list[str]] = {}
    for what, why in left.items():
        reasons.setdefault(why, []).append(what)
    if as_json:
        print_json({"done": done, "kept": kept, "left": left, "pages": [str(path) for path in pages]})
    for why, keys in reasons.items():
        more = f" and {len(keys) - 1} more" if len(keys) > 1 else ""
        say(err, f"warning: {keys[0]}{more}: {why}")
    if not pages:
        raise BenchError(f"{store} has no results of {grid.name} under any condition")
    if not as_json:
        verdict = "drawn" if draw_only else f"{done} evaluations done, {kept} were there"
        say(out, f"{verdict}: {', '.join(str(path) for path in pages if path.suffix == '.md')}")
    if left:
        raise typer.Exit(1)
