"""What the commands of several files share: the consoles, options, and where the data is."""

import json
import textwrap
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import platformdirs
import typer
from rich.console import Console

out = Console(soft_wrap=True)
err = Console(stderr=True, soft_wrap=True)

_INDENT = 25
"""Where the descriptions of a list begin."""

SuiteName = Annotated[str, typer.Option("--suite", help="Name of a suite, or a TOML file.")]
DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", envvar="BENCH_DATA", help="Folder with one folder per dataset.", show_default=False),
]
MODEL = typer.Argument(help="A model of `bench list models`, or rann-{t_c}x{t_m}-{W}.")
Classes = Annotated[int, typer.Option(min=1, help="Number of classes.")]
Seconds = Annotated[float | None, typer.Option(min=0.1, help="Length of the clip. [default: the paper's]")]
SampleRate = Annotated[int, typer.Option(min=4000, help="In hertz.")]
FrontendName = Annotated[
    str | None, typer.Option("--frontend", help="A front-end of `bench list frontends`. [default: the model's own]")
]
Embedding = Annotated[
    str | None, typer.Option(help="Frames x features of an embedding instead of a waveform, e.g. 10x128.")
]
Device = StrEnum("Device", ["auto", "cpu", "cuda"])
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def line_width(console: Console) -> int | None:
    """Return the characters of a line of a terminal; None for a file or a pipe, where a line has no end."""
    return console.width if console.is_terminal else None


def described(name: str, words: str, width: int | None = None) -> str:
    """Return a line of a list: a name and its description, which goes on below itself where it is longer than a line.

    Args:
        name: on the left.
        words: the description.
        width: characters of a line; None for no limit.
    """
    line = f"  {name:{_INDENT - 3}} {words}"
    if width is None or width < 2 * _INDENT:
        return line
    indent = " " * _INDENT
    return textwrap.fill(line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def data_folder(given: Path | None) -> Path:
    """Return the folder with one folder per dataset: the given one, or the user's."""
    return (given or Path(platformdirs.user_data_dir("audio-classification-bench"))).expanduser().resolve()


def print_json(content: Any) -> None:
    """Print JSON to standard output; NaN is an error."""
    out.print(json.dumps(content, indent=1, allow_nan=False), markup=False, highlight=False)
