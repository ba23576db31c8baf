"""Commands that publish results: put them into a published store, and check what others send in."""

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from bench import records
from bench.cli.options import MOST_THREADS, App, AsJson, DataDir, SuiteName, err, out, print_json, say
from bench.cli.results import Readme
from bench.records import scratch
from bench.runner.settings import RunSettings, data_folder

app = App()


@app.command()
def publish(
    suite: SuiteName,
    store: Annotated[Path, typer.Option(help="Where the records are.")] = Path("runs"),
    to: Annotated[Path, typer.Option(help="The published store.")] = Path("leaderboards"),
    into: Annotated[
        str, typer.Option(help="A suite of the published store whose tables get these rows.", show_default=False)
    ] = "",
    readme: Readme = None,
) -> None:
    """Copy a suite's finished records and logits to the published store, and redraw its tables."""
    from bench.runner.publishing import publish as published

    found = published(suite, records.Store(store), records.Store(to), into, readme)
    for warning in found.warnings:
        say(err, f"warning: {warning}")
    if found.no_logits:
        key, why = next(iter(found.no_logits.items()))
        say(err, f"note: {len(found.no_logits)} records have no logits in {to}, as {key}: {why}")
    if found.code:
        say(out, f"Code of the rows: {', '.join(str(path) for path in found.code)}")
    where = f"{to}, in the tables of {found.suite.name}" if into else f"{to}"
    name = suite if into else found.suite.name
    say(out, f"{len(found.keys)} of {found.runs} records of {name} are in {where}")


@app.command("check-submission")
def check_submission(
    suite: Annotated[str, typer.Option("--suite", help="The suite whose tables have new rows.")],
    base: Annotated[
        str, typer.Option(help="Commit or branch since which the rows are new.", show_default="all rows are checked")
    ] = "",
    runs: Annotated[int, typer.Option(min=0, help="Runs to repeat, which executes the code of the rows.")] = 1,
    store: Annotated[Path, typer.Option("--store", help="The published store.")] = Path("leaderboards"),
    data_dir: DataDir = None,
    threads: Annotated[int, typer.Option(min=1, max=MOST_THREADS, help="Threads of a repeated run.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Check rows that somebody sends in, and repeat a run of them; exit 1 if something is refused."""
    from bench.runner.submission import check

    found = []
    with scratch.folder("submission") as store_of_repeats:
        settings = RunSettings(store=store_of_repeats, data_dir=data_folder(data_dir), threads=threads)
        for each in check(records.Store(store), suite, settings, base, runs):
            found.append(each)
            if not as_json:
                say(out, f"{each.outcome:<12}{each.name}: {each.words}")
    if as_json:
        print_json([dataclasses.asdict(each) for each in found])
    if any(each.outcome == "refused" for each in found):
        raise typer.Exit(1)


@app.command("changes")
def changes_since(
    since: Annotated[str, typer.Option("--since", help="Tag, branch or commit of the release.")],
    name: Annotated[str, typer.Option(help="What the page calls it.", show_default="as --since")] = "",
    store: Annotated[Path, typer.Option("--store", help="The published store.")] = Path("leaderboards"),
    as_json: AsJson = False,
) -> None:
    """Draw the page of what changed in the tables since a release, and keep it current from then on."""
    from bench.runner.releases import keep_release

    written = keep_release(records.Store(store), since, name)
    if as_json:
        print_json({"written": written})
    else:
        say(out, f"Written: {', '.join(written)}")
