"""`bench data`: where the datasets are, and getting them. Commands import what they need themselves."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from bench import catalog
from bench.console import AsJson, DataDir, data_folder, err, out, print_json
from bench.errors import BenchError, SuiteError

app = typer.Typer(no_args_is_help=True, help="Where the datasets are, and getting them.")


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


@app.command("download")
def data_download(
    name: Annotated[str, typer.Argument(help="A dataset.")],
    data_dir: DataDir = None,
    mirror: Annotated[
        str | None,
        typer.Option(envvar="BENCH_MIRROR", help="Address of a folder that has the files, in the place of their own."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Accept the licence without being asked.")] = False,
    as_json: AsJson = False,
) -> None:
    """Fetch a dataset, verify and unpack it; what has arrived is kept when interrupted, and gone on from."""
    from datamodules.sources import SOURCES

    entry = catalog.DATASETS.get(name)
    if name not in SOURCES:
        entry = catalog.dataset(name)  # an unknown name stops here
        raise SuiteError(f"{name} is not downloaded: {entry.line}")
    source = SOURCES[name]
    target = data_folder(data_dir) / ((entry.folder if entry else None) or name)
    if not source.files:
        _not_downloaded(name, target, source.instructions, as_json)
        return
    size = sum(file.size or 0 for file in source.files)
    about = (
        f"{name}, {size / 1e6:,.0f} MB, to {target}\nhomepage: {source.homepage}\n"
        f"cite:     {source.citation}\nlicence:  {source.licence}"
    )
    err.print("\n".join(filter(None, (about, source.instructions))), markup=False, highlight=False)
    if not yes and not sys.stdin.isatty():
        raise SuiteError("nobody is there to accept the licence: add --yes if you do")
    if not yes and not typer.confirm("Download it under this licence?", err=True):
        raise typer.Exit(1)

    from bench.progress import Bytes
    from datamodules.base import DataError
    from datamodules.download import download

    try:
        with Bytes(err) as bar:
            outcome = download(source, target, mirror, bar.report)
    except DataError as error:
        raise BenchError(str(error)) from error
    if as_json:
        print_json({
            "dataset": name,
            "where": str(outcome.where),
            "state": outcome.state,
            "files": outcome.files,
            "licence": source.licence,
        })  # fmt: skip
    else:
        words = "is there and whole" if outcome.state == "here" else "downloaded, verified and unpacked"
        out.print(f"{name}: {words}: {outcome.where}", markup=False, highlight=False)


def _not_downloaded(name: str, target: Path, instructions: str, as_json: bool) -> None:
    """Say how to get a dataset that has no direct source, and what is missing of it; exit 1 if anything is."""
    problem: str | None = f"{name} is not in this version's catalogue"
    if name in catalog.DATASETS:
        problem = catalog.load(catalog.DATASETS[name].target).find(target)
    if as_json:
        print_json({
            "dataset": name,
            "where": str(target),
            "state": "by hand" if problem else "here",
            "problem": problem,
            "instructions": instructions,
        })  # fmt: skip
    else:
        out.print(instructions, markup=False, highlight=False)
        out.print(f"{target}: {problem or 'here'}", markup=False, highlight=False)
    if problem:
        raise typer.Exit(1)
