"""`bench embed`: what a trained model computes of sounds before its last layer."""

from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from bench.cli import inputs
from bench.cli.options import App, AsJson, DataDir, Device, RunReference, StoreDir, err, no_stdout, out, print_json
from bench.errors import SuiteError

app = App()


@app.command()
def embed(
    files: Annotated[list[str], typer.Argument(help="Files and folders; - is an audio file on standard input.")],
    run: RunReference,
    target: Annotated[
        Path, typer.Option("--out", help="Folder to write, with the folders of the sounds.", callback=no_stdout)
    ],
    format: Annotated[str, typer.Option("--format", help="npy, parquet or tfrecord.")] = "npy",
    layer: Annotated[
        str | None, typer.Option(help="A layer of the model by name.", show_default="the input of the last layer")
    ] = None,
    windows: Annotated[bool, typer.Option("--windows", help="A row for each window, instead of their mean.")] = False,
    hop: Annotated[
        float | None,
        typer.Option(help="Seconds from one window to the next.", show_default="the length of the model's clips"),
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Windows that the model gets at once.")] = 32,
    store: StoreDir = Path("runs"),
    device: Annotated[Device, typer.Option(help="Where to compute.")] = Device.auto,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Write embeddings that the dataset `embeddings` reads; exit code 1 if a file cannot be used."""
    from bench.inference import embedding_files, load_model
    from bench.inference.embedding import embed as embedded
    from bench.runner.progress import Recordings

    if format not in embedding_files.FORMATS:
        raise SuiteError(f"there is no format {format!r}: choose one of {', '.join(embedding_files.FORMATS)}")
    roots = [Path(place).expanduser() for place in files if place not in ("-", "")]  # `find` tells of ""
    embedding_files.refuse_among_sounds(target, roots)
    model = load_model(run, store, device=device.value, data_dir=data_dir)
    values: int | None = None
    errors: dict[str, str] = {}
    with inputs.sources(files, model) as sources:
        places = embedding_files.places([each.path for each in sources], roots)
        made = embedding_files.origin(model, layer, hop, windows)
        writer = embedding_files.Writer(target, format, made, roots)
        found = embedded(model, sources, layer=layer, hop_seconds=hop, each_window=windows, batch_size=batch_size)
        try:
            with Recordings(err, len(sources)) as progress:
                for each in found:
                    error = each.error
                    if each.values is not None:
                        try:
                            writer.add(places[each.source], each)
                            values = each.values.shape[1]
                        except embedding_files.UnfitNameError as unfit:
                            error = str(unfit)
                    if error:
                        errors[each.file] = error
                        err.print(f"error: {each.file}: {error}", markup=False, highlight=False)
                    progress.report(each.source + 1, each.source + 1, len(sources))
            writer.close(all_used=not errors)
        except BaseException:
            if writer.written:
                with suppress(OSError):
                    writer.note()  # or else a later call would take the files for somebody else's
            raise
    if writer.kept:
        err.print(
            f"warning: {len(writer.kept)} vectors of an earlier call stay, such as {writer.kept[0]}, because not every "
            f"file could be used this time: call again without an error to remove those of sounds that are gone",
            markup=False, highlight=False, soft_wrap=True,
        )  # fmt: skip
    if writer.foreign:
        err.print(
            f"warning: {target} has {len(writer.foreign)} other files of features, which stay, because they are not "
            f"known to be of `bench embed`, such as {writer.foreign[0]}: the dataset `embeddings` reads them, too",
            markup=False, highlight=False, soft_wrap=True,
        )  # fmt: skip
    if as_json:
        print_json(
            {
                "folder": str(target), "files": writer.written, "removed": writer.removed, "values": values,
                "errors": errors,
            }
        )  # fmt: skip
    else:
        shape = f", {values} values" if values is not None else ""
        gone = f"; {writer.removed} files of an earlier call removed" if writer.removed else ""
        out.print(
            f"{target}: {writer.written} files{shape}; {len(errors)} with an error{gone}",
            markup=False, highlight=False,
        )  # fmt: skip
    if errors:
        raise typer.Exit(1)
