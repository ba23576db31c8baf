"""`bench segment`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from bench.cli import inputs
from bench.cli.options import (
    STDOUT,
    App,
    AsJson,
    CsvFile,
    DataDir,
    Device,
    RunReference,
    StoreDir,
    err,
    no_stdout,
    out,
    print_json,
)
from bench.errors import RunError, SuiteError

app = App()
Format = StrEnum("Format", ["csv", "json", "audacity", "rttm", "png", "svg"])

Windows = Annotated[
    bool, typer.Option("--windows", help="Classify windows, even if the model has decisions on single frames.")
]
Hop = Annotated[
    float | None,
    typer.Option(
        help="Seconds from one window to the next; implies --windows.",
        show_default="that of the run's scores of streams, or a tenth of a clip",
    ),
]
MeanLength = Annotated[
    float | None,
    typer.Option(
        "--mean",
        help="Seconds of the moving mean over log-probabilities; 0 for none.",
        show_default="what the run has chosen on streams, or 0",
    ),
]
MedianLength = Annotated[
    float | None,
    typer.Option(
        "--median",
        help="Seconds of the median over probabilities; 0 for none.",
        show_default="0 where the run has chosen on streams, or 0.3",
    ),
]
Hysteresis = Annotated[
    float | None,
    typer.Option(
        help="Probability by which another class must exceed the present one; 0 for none.",
        show_default="0 where the run has chosen on streams, or 0.1",
    ),
]
MinDuration = Annotated[
    float | None,
    typer.Option(
        "--min-duration",
        help="Seconds of the shortest segment; 0 for none.",
        show_default="what the run has chosen on streams, or 0.3",
    ),
]
Threshold = Annotated[
    float | None,
    typer.Option(
        help="Probability from which a class is present. With one label, frames below it have no class.",
        show_default="0.5 with several labels, none with one",
    ),
]
Delay = Annotated[
    float | None,
    typer.Option(
        help="Seconds by which decisions are moved to the past, for a model that decides late.",
        show_default="what the run has chosen on streams, or 0",
    ),
]


def recording(name: str) -> Path:
    """Return the file of a recording.

    Raises:
        SuiteError: the name is empty, or of a folder.
    """
    if not name:  # which Path takes for the current folder, such as where a shell's variable is not set
        raise SuiteError("the name of the recording is empty: name a file, or - for standard input")
    file = Path(name).expanduser()
    if file.is_dir():
        raise SuiteError(f"{name!r} is a folder: name one recording in it, or use `bench predict`")
    return file


@app.command()
def segment(
    name: Annotated[
        str, typer.Argument(metavar="FILE", help="An audio file of any length; - is one on standard input.")
    ],
    run: RunReference,
    store: StoreDir = Path("runs"),
    windows: Windows = False,
    hop: Hop = None,
    mean: MeanLength = None,
    median: MedianLength = None,
    hysteresis: Hysteresis = None,
    min_duration: MinDuration = None,
    threshold: Threshold = None,
    delay: Delay = None,
    outputs: Annotated[
        list[Path] | None,
        typer.Option(
            "--out",
            help="File to write (repeatable). Its ending says the format: .csv, .json, .txt (labels of Audacity), "
            ".rttm, .png or .svg. - is standard output, with --format.",
            show_default=False,
        ),
    ] = None,
    format_: Annotated[
        Format | None, typer.Option("--format", help="Format of the one --out, or of standard output.")
    ] = None,
    posteriors: Annotated[
        Path | None,
        typer.Option(
            help="CSV file for each frame's time and probabilities, before smoothing.",
            show_default=False,
            callback=no_stdout,
        ),
    ] = None,
    csv_file: CsvFile = None,
    device: Annotated[Device, typer.Option(help="Where to compute.")] = Device.auto,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Find out which classes a recording contains, and when."""
    from bench.inference import load_model, segment_files
    from bench.inference.segmentation import segment as find
    from bench.inference.segments import Smoothing

    file = recording(name)
    files: list[tuple[Path, segment_files.Format]] = []
    outputs = outputs or []
    kind: segment_files.Format | None = format_.value if format_ is not None else None  # type: ignore[assignment]
    if kind is not None and len(outputs) > 1:
        raise SuiteError("--format is for one --out: leave it out, and let the endings say the formats")
    if kind in segment_files.PICTURES and not outputs:
        raise SuiteError(f"a picture goes to a file: name it with --out PICTURE.{kind}")
    if kind is not None and not outputs and as_json:
        raise SuiteError("--json and --format both write to standard output: use one of them")
    for path in outputs:
        files.append((path, kind or segment_files.format_of(path)))
    if csv_file is not None:
        files.append((csv_file, "csv"))
    printed = [each for path, each in files if path == STDOUT]
    if any(each in segment_files.PICTURES for each in printed):
        raise SuiteError(f"a picture goes to a file: name it with --out PICTURE.{kind}")
    if printed and as_json:
        raise SuiteError("--json and - both write to standard output: use one of them")
    named = [*(("--out", path) for path in outputs), ("--csv", csv_file), ("--posteriors", posteriors)]
    inputs.refuse_replacing(named, [file], run)
    taken: set[Path] = set()
    for path in [*(path for path, _ in files), *([posteriors] if posteriors is not None else [])]:
        place = path.resolve()
        if place in taken:
            raise SuiteError(f"{str(path)!r} is named twice: give each output a file of its own")
        taken.add(place)
    model = load_model(run, store, device=device.value, data_dir=data_dir)
    inputs.refuse_replacing(named, (), run, model)
    smoothing = Smoothing.of(
        model.records, mean_seconds=mean, median_seconds=median, hysteresis=hysteresis, min_seconds=min_duration,
        threshold=threshold, delay_seconds=delay,
    )  # fmt: skip
    with (
        inputs.sources([name], model) as [source],
        segment_files.posteriors(posteriors, model.classes) as observer,
        err.status("reading") as status,
    ):
        if source.error:
            raise RunError(f"{source.name}: {source.error}")
        found = find(
            model, source.path, smoothing, windows=windows, hop_seconds=hop,
            picture=any(each in segment_files.PICTURES for _, each in files),
            observer=observer, report=lambda seconds: status.update(f"{seconds:,.0f} s"),
        )  # fmt: skip
    for path, each in files:
        if path == STDOUT:
            out.print(segment_files.TEXTS[each](found), markup=False, highlight=False, end="")
            continue
        try:
            segment_files.write(found, path, each)
        except OSError as error:
            raise RunError(f"{str(path)!r} cannot be written ({error.strerror}): name another file") from error
    if as_json:
        print_json(segment_files.content(found))
    elif kind is not None and not outputs:
        out.print(segment_files.TEXTS[kind](found), markup=False, highlight=False, end="")
    elif not files:
        out.print(segment_files.as_table(found), markup=False, highlight=False, end="")
    elif not printed:
        names = ", ".join(str(path) for path, _ in files)
        out.print(f"{names}: {len(found.segments)} segments in {found.seconds:.1f} s", markup=False, highlight=False)
