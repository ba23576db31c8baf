"""The command line. Commands import what they need themselves, so that `bench list` answers at once."""

import errno
import gc
import signal
import sys
import warnings
from typing import Annotated, Any, NoReturn

import typer

from bench import catalog
from bench.cli import (
    calibration,
    cluster,
    data,
    embed,
    export,
    latency,
    listing,
    models,
    packing,
    predict,
    publishing,
    results,
    robustness,
    run,
    segment,
    serve,
    show,
    stream,
    table,
    tune,
)
from bench.cli.options import App, err, out, say
from bench.errors import ArgumentError, BenchError, BenchWarning, SuiteError
from datamodules.errors import DataError
from models.errors import ModelError

app = App(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for part in (
    run,
    listing,
    models,
    latency,
    publishing,
    results,
    show,
    table,
    predict,
    packing,
    segment,
    serve,
    stream,
    export,
    embed,
    robustness,
    calibration,
    tune,
):
    app.add_typer(part.app)
app.add_typer(data.app, name="data")
app.add_typer(cluster.app, name="cluster")


def _print_version(wanted: bool) -> None:
    if wanted:
        out.print(f"bench {catalog.load('bench:__version__')}", highlight=False)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", "-V", callback=_print_version, is_eager=True, help="Print the version and exit."),
    ] = False,
) -> None:
    """Train, evaluate and time audio classifiers, and draw leaderboards of them."""


def main() -> None:
    """Run the command line; a known error is one line and exit code 1, or 2 where the call itself is wrong."""
    signal.signal(signal.SIGTERM, _terminate)
    gc.set_threshold(300_000, 20, 100)  # records make many objects and little garbage
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _warn
            app()
    except (SuiteError, ArgumentError) as error:
        _stop(error, 2)
    except (BenchError, DataError, ModelError) as error:
        _stop(error, 1)
    except OSError as error:
        _stop("; ".join(filter(None, (_in_words(error), _remedy(error)))), 1)
    except KeyboardInterrupt:
        _stop("interrupted", 130)


_show = warnings.showwarning


def _warn(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
    """Print a warning of this project in one line, and any other one as Python does."""
    if issubclass(category, BenchWarning):
        say(err, f"warning: {message}")
    else:
        _show(message, category, *where, **more)


def _in_words(error: OSError) -> str:
    """Return what the operating system refused, without its number."""
    if error.filename is None or error.strerror is None:
        return str(error)
    return f"{str(error.filename)!r}: {error.strerror}"


def _remedy(error: OSError) -> str:
    """Return what a user can do about an error of the operating system; empty where the error itself says it."""
    if error.errno == errno.EFBIG:
        return "raise the limit that `ulimit -f` shows, or write to a disk that takes larger files (--store or --out)"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "free space, or write to another disk (--store or --out, where the command has it)"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR):
        return "choose a folder that can be written (--store or --out, where the command has it)"
    if error.errno == errno.ENOENT:
        return "look at the name: the file, or the folder that it would be written to, is not there"
    return ""


def _terminate(number: int, frame: object) -> NoReturn:
    raise SystemExit(128 + number)


def _stop(error: object, code: int) -> NoReturn:
    say(err, f"error: {error}")
    sys.exit(code)
