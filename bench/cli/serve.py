"""`bench serve`."""

import gc
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from bench.cli.options import App, DataDir, Device, StoreDir, out
from bench.errors import RunError, SuiteError
from bench.extras import install

app = App()

PYTHONS_OWN = (700, 10, 10)
"""Thresholds of the garbage collector. With those of `bench.cli.main`, blocks of sounds that were cancelled, which hang
on a cycle of an exception and its frames, would stay for hours."""


@app.command()
def serve(
    run: Annotated[
        list[str],
        typer.Option(
            "--run",
            help="A run's key, SUITE:SYSTEM (@f0 behind it for a fold, @all for all), a packed file or a folder "
            "(repeatable).",
        ),
    ],
    store: StoreDir = Path("runs"),
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen at; 0 takes a free one.")] = 8000,
    host: Annotated[
        str, typer.Option(help="Address to listen at. One that other machines reach needs --token.")
    ] = "127.0.0.1",
    token: Annotated[
        str | None,
        typer.Option(
            envvar="BENCH_SERVE_TOKEN", help="Secret that clients must send, 16 letters or more.", show_default=False
        ),
    ] = None,
    data_dir: DataDir = None,
    device: Annotated[Device, typer.Option(help="Where to compute.")] = Device.auto,
    max_mib: Annotated[int, typer.Option(min=1, max=2048, help="Size of the largest file, in MiB.")] = 100,
    max_minutes: Annotated[float, typer.Option(min=0.1, max=600, help="Length of the longest sound.")] = 60,
) -> None:
    """Serve a page that classifies sounds with trained models, and an interface for programs."""
    if missing := [name for name in ("fastapi", "uvicorn", "python_multipart") if find_spec(name) is None]:
        raise RunError(f"bench serve needs {', '.join(missing)}, of the extra [web]: {install('web')}")
    from bench.inference import load_model, web

    gc.set_threshold(*PYTHONS_OWN)

    for problem in web.problems(host, token):  # before models are read
        raise SuiteError(problem)
    models = [load_model(each, store, device=device.value, data_dir=data_dir) for each in dict.fromkeys(run)]

    def ready(address: str) -> None:
        for model in models:
            out.print(f"{model.name}: {len(model.classes)} classes, on {model.device}", markup=False, highlight=False)
        out.print(f"{address}  (Ctrl-C ends it)", markup=False, highlight=False)
        if token is not None:
            out.print("The page asks for the token.", markup=False, highlight=False)

    limits = web.Limits(max_bytes=max_mib << 20, max_seconds=60 * max_minutes)
    try:
        web.serve(models, port=port, host=host, token=token, limits=limits, ready=ready)
    except KeyboardInterrupt:
        out.print("ended", markup=False, highlight=False)
