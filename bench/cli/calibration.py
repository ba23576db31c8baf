"""`bench calibration`."""

from pathlib import Path
from typing import Annotated

import typer

from bench import records, suites
from bench.cli.options import App, AsJson, SuiteName, err, out, print_json, say
from bench.errors import BenchError

app = App()


@app.command()
def calibration(
    suite: SuiteName,
    store: Annotated[Path, typer.Option("--store", help="Folder of records and logits.")] = Path("runs"),
    as_json: AsJson = False,
) -> None:
    """Fit temperatures on validation logits, and draw the page of Brier score, log-loss and calibration error."""
    from bench.evaluation.calibration import page

    here = records.Store(store)
    grid = suites.read(suite, here)
    pages, left = page.draw(grid, here)
    if as_json:
        print_json({"pages": [str(path) for path in pages], "left": left})
    for key, why in left.items():
        say(err, f"warning: {key}: {why}")
    if not pages:
        raise BenchError(f"{store} has no finished run of {grid.name} with kept logits: `bench run` keeps them")
    if not as_json:
        say(out, f"drawn: {', '.join(str(path) for path in pages if path.suffix in ('.md', '.html'))}")
