"""`bench export`: a trained model as a file of another runtime."""

from pathlib import Path
from typing import Annotated

import typer

from bench.cli.options import App, AsJson, DataDir, OutPath, RunReference, StoreDir, err, out, print_json
from bench.errors import SuiteError

app = App()


@app.command()
def export(
    run: RunReference,
    format: Annotated[
        str, typer.Option("--format", help="onnx, onnx-int8, pt2, openvino or executorch.", show_default=True)
    ] = "onnx",
    target: OutPath = None,
    features: Annotated[
        bool, typer.Option("--features", help="Start at the features: leave the front-end out.")
    ] = False,
    clips: Annotated[
        Path | None,
        typer.Option(
            help="Folder of sounds for the check, best with a folder for each class; test signals without it.",
            show_default=False,
        ),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Most sounds of --clips that are used.")] = 100,
    store: StoreDir = Path("runs"),
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Write a trained model to a file of another runtime, after a check that it gives the model's own numbers."""
    from bench.inference import exporting, load_model
    from bench.inference.exporting import sounds
    from bench.inference.exporting.files import as_json as content

    if format not in exporting.FORMATS:
        raise SuiteError(f"there is no format {format!r}: choose one of {', '.join(exporting.FORMATS)}")
    model = load_model(run, store, device="cpu", data_dir=data_dir)
    path = target or Path(f"{model.keys[0]}{exporting.FORMATS[format]}")
    given = sounds.labelled(model, clips, limit, _left_out) if clips else []
    found = exporting.export(model, path, format, features=features, clips=given)
    if as_json:
        print_json(content(found))
        return
    shape = " by ".join("any" if n is None else str(n) for n in found.shape)
    small, light = found.small
    lines = [
        f"{found.path}: {found.format}, {found.bytes:,} bytes in {len(found.files)} file(s)",
        f"  input            {found.input}: {shape}, shortest {found.shortest}",
        f"  check            {found.clips} clips of {found.lengths} lengths through the file",
        f"  difference       {found.difference:.1e} of the greatest logit",
        f"  same top class   {found.agreement:.1%}",
    ]
    if found.score:
        lines.append(f"  accuracy         {found.score[0]:.1%}, the model {found.score[1]:.1%}, on the clips given")
    if found.opset:
        lines.append(f"  operators        ONNX opset {found.opset}")
    if found.macs is not None:
        lines.append(f"  MACs             {found.macs:,} for one clip")
    if found.format == "openvino":
        lines.append(
            '  precision        compile it with {"INFERENCE_PRECISION_HINT": "f32"}: the default may be bfloat16'
        )
    lines.append(f"  ≤ 128 kB {_mark(small)}   ≤ 30 million MACs {_mark(light)}")
    out.print("\n".join(lines), markup=False, highlight=False)


def _left_out(error: str) -> None:
    err.print(f"left out of the check: {error}", markup=False, highlight=False)


def _mark(holds: bool | None) -> str:
    return "not counted" if holds is None else "yes" if holds else "no"
