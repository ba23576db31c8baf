"""Commands on a model or a front-end, without training: its size, the papers' sizes, a clip's features."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from bench import catalog, records
from bench.cli.options import (
    MODEL,
    App,
    AsJson,
    Classes,
    Embedding,
    FrontendName,
    SampleRate,
    Seconds,
    no_stdout,
    out,
    permit,
    print_json,
)
from bench.errors import SuiteError

app = App()
Convention = StrEnum("Convention", ["macs", "panns"])


@app.command()
def complexity(
    model: Annotated[str, MODEL],
    classes: Classes = 10,
    seconds: Seconds = None,
    sample_rate: SampleRate = 32000,
    frontend: FrontendName = None,
    embedding: Embedding = None,
    convention: Annotated[
        Convention, typer.Option(help="macs: multiply-adds. panns: as PANNs' tables count, about twice as many.")
    ] = Convention.macs,
    as_json: AsJson = False,
) -> None:
    """Count a model's parameters and multiply-adds (MACs; FLOPs are twice as many) for one clip."""
    from dataclasses import asdict

    from bench.profiling import complexity as counting
    from bench.runner.progress import rounded
    from bench.training import build

    permit(model, frontend)
    built, shape, length = build.untrained(model, classes, seconds, sample_rate, frontend, embedding)
    if convention is Convention.panns:
        if embedding:
            raise SuiteError("the convention panns is for waveforms; leave --embedding out")
        parameters, multi_adds = counting.trainable(built), counting.panns_multiply_adds(built, shape[0])
        if as_json:
            print_json({"model": model, "classes": classes, "parameters": parameters, "multi_adds": multi_adds})
            return
        out.print(f"{model}, {classes} classes, a clip of {length:g} s, as PANNs count", highlight=False)
        out.print(f"  parameters       {parameters:,}", highlight=False)
        out.print(f"  multi-adds       {multi_adds:,}  ({rounded(multi_adds / 1e9, 3)}e9)", highlight=False)
        return
    size = counting.measure(built, shape, length)
    shortest = None if embedding else built.shortest_clip(built.frontend) / sample_rate
    if as_json:
        print_json({"model": model, "classes": classes, **asdict(size), "shortest_clip_seconds": shortest})
        return
    out.print(f"{model}, {classes} classes, a clip of {length:g} s", highlight=False)
    out.print(f"  parameters       {size.parameters:,}", highlight=False)
    out.print(f"  MACs             {size.macs:,}  ({rounded(size.macs / 1e9, 3)}e9)", highlight=False)
    out.print(f"  front-end MACs   {size.frontend_macs:,}", highlight=False)
    if size.elementwise:
        out.print(f"  sigmoids         {size.elementwise:,}", highlight=False)
    out.print(f"  size             {size.bytes:,} bytes, the front-end's tables included", highlight=False)
    if shortest is not None:
        out.print(f"  shortest clip    {shortest:.3g} s", highlight=False)


@app.command()
def features(
    file: Annotated[Path, typer.Argument(help="An audio file: wav, flac, ogg, opus, mp3 or aiff.")],
    frontend: Annotated[
        list[str] | None,
        typer.Option(
            help="A front-end of `bench list frontends` (repeatable).", show_default="all without trainable parameters"
        ),
    ] = None,
    picture: Annotated[
        Path | None,
        typer.Option(
            "--out",
            help="The PNG to write.",
            show_default="FILE's name with -features.png, in this folder",
            callback=no_stdout,
        ),
    ] = None,
    sample_rate: SampleRate = 32000,
) -> None:
    """Draw a clip and what each front-end computes from it."""
    from bench.evaluation import feature_plots

    target = picture or Path(f"{file.stem}-features.png")
    if target.suffix.lower() != ".png":
        raise SuiteError(f"--out is a PNG, so its name ends in .png, not {target.name!r}")
    if target.resolve() == file.resolve():
        raise SuiteError(f"--out would take the place of {str(file)!r}: name another file")
    for name in frontend or ():
        catalog.frontend(name)  # before the file is read
    waveform = feature_plots.read(file, sample_rate)
    panels, left_out = feature_plots.panels_of(waveform, sample_rate, tuple(frontend or ()))
    feature_plots.save(feature_plots.figure(waveform, sample_rate, panels, file.name), target)
    for name, reason in left_out.items():
        out.print(f"left out {name}: {reason}", markup=False, highlight=False)
    names = ", ".join(panel.name for panel in panels)
    out.print(f"{target}: {names} at {sample_rate} Hz", markup=False, highlight=False)


@app.command("complexity-page")
def complexity_page(store: Annotated[Path, typer.Option(help="Folder of the page.")] = Path("leaderboards")) -> None:
    """Count the models of the papers' complexity tables again and draw `complexity.md` next to the tables."""
    from bench.cli import sizes
    from bench.leaderboard import files

    records.write_whole(store / files.COMPLEXITY, sizes.page(_PAGE_COMMAND).encode())
    out.print(f"{store / files.COMPLEXITY} redrawn", markup=False, highlight=False)


_PAGE_COMMAND = "bench complexity-page"


def stale_complexity(store: Path) -> list[Path]:
    """Return the complexity page of a store if it is there and differs from what is counted now."""
    from bench.leaderboard import files

    path = store / files.COMPLEXITY
    if not path.exists():
        return []
    from bench.cli import sizes  # imports torch, which only a store with the page needs

    return [] if path.read_bytes() == sizes.page(_PAGE_COMMAND).encode() else [path]
