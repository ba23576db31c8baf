"""`bench pack` and `bench unpack`."""

from pathlib import Path
from typing import Annotated

import typer

from bench.cli.options import App, AsJson, OutPath, StoreDir, out, print_json
from bench.errors import SuiteError

app = App()


@app.command()
def pack(
    reference: Annotated[
        str | None, typer.Argument(metavar="[RUN]", help="The run, in place of --run.", show_default=False)
    ] = None,
    run: Annotated[
        str | None,
        typer.Option(
            "--run",
            help="A run's key, SUITE:SYSTEM (@f0 behind it for a fold, @all for all), a packed file or a folder.",
            show_default=False,
        ),
    ] = None,
    store: StoreDir = Path("runs"),
    out_path: OutPath = None,
    as_json: AsJson = False,
) -> None:
    """Write a trained model to one file, with its card and the members of a fusion."""
    from bench.inference import exchange

    if (chosen := run or reference) is None or (run and reference):
        raise SuiteError("name one run, as in `bench pack KEY --out FILE`")
    if out_path is None:
        raise SuiteError("name the file to write by --out")
    if out_path.is_dir():
        raise SuiteError(f"--out {str(out_path)!r} is a folder: name a file to write")
    written = exchange.pack(chosen, store, out_path)
    if as_json:
        print_json({"file": str(written), "bytes": written.stat().st_size})
        return
    out.print(f"{written}: {written.stat().st_size:,} bytes", markup=False, highlight=False)


@app.command()
def unpack(
    file: Annotated[Path, typer.Argument(help="A file of `bench pack`.")],
    store: StoreDir = Path("runs"),
    as_json: AsJson = False,
) -> None:
    """Unpack a file of `bench pack` into a store; another training of the same run is never overwritten."""
    from bench.inference import exchange

    found = exchange.unpack(file, store)
    if as_json:
        print_json({"keys": found.keys, "written": found.written, "kept": found.kept})
        return
    for key in found.written:
        out.print(f"{key}: unpacked", markup=False, highlight=False)
    for key in found.kept:
        out.print(f"{key}: was there already", markup=False, highlight=False)
