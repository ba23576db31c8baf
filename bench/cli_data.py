"""`bench data`: where the datasets are. Commands import what they need themselves."""

from typing import Annotated, Any

import typer

from bench import catalog
from bench.console import AsJson, DataDir, data_folder, out, print_json

app = typer.Typer(no_args_is_help=True, help="Where the datasets are.")


@app.command("status")
def data_status(
    name: Annotated[str | None, typer.Argument(help="A dataset; all without.")] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Say where each dataset is looked for, and what is missing of it."""
    from datamodules.base import AudioDataModule

    base = data_folder(data_dir)
    names = [name] if name else [n for n, entry in catalog.DATASETS.items() if entry.folder is not None]
    status: dict[str, dict[str, Any]] = {}
    for each in names:
        entry = catalog.dataset(each)
        target: type[AudioDataModule] = catalog.load(entry.target)
        problem = target.find(base / entry.folder) if entry.folder else None
        where = str(base / entry.folder) if entry.folder else "made by code, or named in the suite"
        status[each] = {"where": where, "problem": problem}
    if as_json:
        print_json(status)
    else:
        for each, about in status.items():
            out.print(f"{each:22} {about['where']}: {about['problem'] or 'here'}", markup=False, highlight=False)
    if name and status[name]["problem"]:
        raise typer.Exit(1)
