"""`bench predict`."""

from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

import typer

from bench.cli import inputs
from bench.cli.options import (
    STDOUT,
    App,
    CsvFile,
    DataDir,
    Device,
    RunReference,
    StoreDir,
    err,
    out,
)
from bench.errors import RunError, SuiteError

app = App()
Combine = StrEnum("Combine", ["mean", "max"])


@app.command()
def predict(
    files: Annotated[list[str], typer.Argument(help="Files and folders; - is an audio file on standard input.")],
    run: RunReference,
    store: StoreDir = Path("runs"),
    top: Annotated[int, typer.Option(min=1, help="Classes to show.")] = 5,
    hop: Annotated[
        float | None,
        typer.Option(help="Seconds from one window to the next.", show_default="the length of the model's clips"),
    ] = None,
    combine: Annotated[Combine, typer.Option(help="How the windows of a file are combined.")] = Combine.mean,
    windows: Annotated[bool, typer.Option("--windows", help="Show each window instead of the file.")] = False,
    batch_size: Annotated[int, typer.Option(min=1, help="Clips that the model gets at once.")] = 32,
    device: Annotated[Device, typer.Option(help="Where to compute.")] = Device.auto,
    data_dir: DataDir = None,
    csv_file: CsvFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, one object per line.")] = False,
) -> None:
    """Classify audio files with a trained model; exit code 1 if a file cannot be used, after all other files."""
    from bench.inference import formats, load_model
    from bench.inference import predict as predicting
    from bench.runner.progress import Recordings

    if as_json and csv_file == STDOUT:
        raise SuiteError("--json and --csv - both write to standard output: use one of them")
    model = load_model(run, store, device=device.value, data_dir=data_dir)
    failed = 0
    with ExitStack() as stack:
        sources = stack.enter_context(inputs.sources(files, model))
        inputs.refuse_replacing([("--csv", csv_file)], [source.path for source in sources], run, model)
        progress = stack.enter_context(Recordings(err, len(sources)))
        how: Literal["mean", "max"] = "max" if combine is Combine.max else "mean"
        found = predicting.predict(
            model, sources, hop_seconds=hop, combine=how, each_window=windows, batch_size=batch_size,
            report=progress.report,
        )  # fmt: skip
        table = None
        if csv_file == STDOUT:
            table = formats.CsvWriter(out.file, model)
        elif csv_file is not None:
            try:
                csv_file.parent.mkdir(parents=True, exist_ok=True)
                opened = stack.enter_context(csv_file.open("w", newline="", encoding="utf-8"))
            except OSError as error:
                raise RunError(f"{str(csv_file)!r} cannot be written ({error.strerror}): name another file") from error
            table = formats.CsvWriter(opened, model)
        for each in found:
            failed += bool(each.error)
            if table is not None:
                table.write(each)
            if as_json:
                out.print(formats.json_line(each, model, top), markup=False, highlight=False)
            elif each.error:
                err.print(f"error: {formats.line(each, model.classes)}", markup=False, highlight=False)
            elif table is None:
                out.print(formats.line(each, model.classes, top, windows), markup=False, highlight=False)
    if csv_file not in (None, STDOUT) and not as_json:
        out.print(f"{csv_file}: {len(sources)} files, {failed} with an error", markup=False, highlight=False)
    if failed:
        raise typer.Exit(1)
