"""`bench table`."""

from pathlib import Path
from typing import Annotated

import typer

from bench import records, suites
from bench.cli.options import STDOUT, App, AsJson, err, out, print_json
from bench.errors import SuiteError

app = App()


@app.command()
def table(
    suite: Annotated[str, typer.Argument(help="Name of a suite with tables in the form of a paper's, or a TOML file.")],
    latex: Annotated[bool, typer.Option("--latex", help="LaTeX, for the package booktabs.")] = False,
    html: Annotated[bool, typer.Option("--html", help="A piece of HTML.")] = False,
    tier: Annotated[str, typer.Option(help="The tier of the suite, such as quick.", show_default=False)] = "",
    store: Annotated[Path, typer.Option("--store", help="Folder of records.")] = Path("runs"),
    target: Annotated[
        Path | None, typer.Option("--out", help="File to write; - is standard output.", show_default=False)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Print a suite's results as the paper's table: measured next to published, in Markdown or LaTeX.

    Cells without a record show the published figure alone.
    """
    from bench.leaderboard import files
    from bench.leaderboard.papers import paper_tables
    from bench.leaderboard.render import papers

    if latex + html + as_json > 1:
        raise SuiteError("--latex, --html and --json are different formats: choose one")
    here = records.Store(store)
    grid = suites.read(suite, here, tier)
    if not grid.layout:
        raise SuiteError(f"{grid.name} has no tables in the form of a paper's: add [[layout]] to its file")
    snapshot = records.Snapshot(here, grid.runs())
    found = paper_tables(grid, files.boards(snapshot, grid))
    for error in snapshot.damaged:
        err.print(f"warning: {error}", markup=False, highlight=False)
    if as_json:
        print_json(papers.json_value(found))
        return
    text = (papers.latex if latex else papers.html if html else papers.markdown)(found)
    if target in (None, STDOUT):
        out.print(text.strip("\n"), markup=False, highlight=False)
    else:
        records.write_whole(target, text.encode())
        out.print(f"{target}: {len(found)} table(s) of {grid.name}", markup=False, highlight=False)
