"""`bench show`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench import records
from bench.cli.options import App, AsJson, err, line_width, no_stdout, out, print_json, say

if TYPE_CHECKING:
    from bench.leaderboard.report import RunReport

app = App()


@app.command()
def show(
    key: Annotated[str, typer.Argument(help="Key of a run, or a part of it that no other run of the store has.")],
    store: Annotated[
        Path,
        typer.Option("--store", help="Folder of records; without the run in `runs`, `leaderboards` is looked into."),
    ] = Path("runs"),
    html: Annotated[
        Path | None,
        typer.Option("--html", help="Write the run's page to this file.", show_default=False, callback=no_stdout),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show a run: settings, scores, confused classes, learning curves, hardest clips, and how to repeat it."""
    from bench.leaderboard.render import run_page
    from bench.leaderboard.report import find_record, run_report

    report = run_report(*find_record(records.Store(store.expanduser()), key))
    if html is not None:
        records.write_whole(html.expanduser(), run_page.run_html(report).encode())
    if as_json:
        print_json(run_page.run_json(report) | ({"html": str(html)} if html else {}))
    elif html is not None:
        say(out, f"written: {html}")
    else:
        _print(report)
    if report.damage:
        say(err, f"error: the hardest clips are not read: {report.damage}")
        raise typer.Exit(1)


def _print(report: "RunReport") -> None:
    from bench.leaderboard.render import run_page
    from bench.leaderboard.render.terminal import fitted

    for line in run_page.lines(report):
        say(out, line)
    width = line_width(out)
    for table in run_page.tables(report, page=False):
        out.print()
        for part in fitted(table, width, run_page.LEAST_IMPORTANT, "`bench show --html FILE`"):
            out.print(part, soft_wrap=True)
    out.print()
    for head, command in report.commands:
        out.print(f"{head}: {command}", markup=False, highlight=False)
