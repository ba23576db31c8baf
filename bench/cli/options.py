"""Parts that several commands share: the consoles, how options are parsed, options, and where the data is."""

import json
import sys
import textwrap
from collections import Counter
from collections.abc import Callable
from contextlib import redirect_stdout
from enum import StrEnum
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, TypeVar, cast

import typer
import typer.core
from rich.console import Console

from bench import lookup, suites
from bench.errors import SuiteError

Function = TypeVar("Function", bound=Callable[..., Any])
out = Console(soft_wrap=True)
err = Console(stderr=True, soft_wrap=True)

_INDENT = 25
"""Where the descriptions of a list begin."""


class OnceCommand(typer.core.TyperCommand):
    """A command that refuses an option which takes one value and is given twice, instead of using the last value."""

    def make_parser(self, ctx: Any) -> Any:
        """Return the command's parser, which counts how often each option occurs.

        Raises:
            BadParameter: an option that takes one value occurs more than once; raised while arguments are parsed.
        """
        parser: Any = super().make_parser(ctx)
        parse_all = parser.parse_args

        def parse(args: list[str]) -> Any:
            values, rest, order = parse_all(args=args)
            for param, count in Counter(order).items():
                if count > 1 and _takes_one_value(param):
                    raise typer.BadParameter(f"is given {count} times, and takes one value", ctx=ctx, param=param)
            return values, rest, order

        parser.parse_args = parse
        return parser


def _takes_one_value(param: Any) -> bool:
    return param.param_type_name == "option" and not (param.multiple or param.is_flag or param.count)


class App(typer.Typer):
    """A group of commands, each of which is a `OnceCommand`. Help is Markdown: brackets, as in [data], stay in it."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{"rich_markup_mode": "markdown"} | settings)

    def command(self, name: str | None = None, **settings: Any) -> Callable[[Function], Function]:
        """Return the decorator that registers a command; arguments as for `typer.Typer.command`."""
        register = super().command(name, **{"cls": OnceCommand} | settings)

        def enter(function: Function) -> Function:
            register(_alone_on_stdout(function))
            return function

        return enter


def _alone_on_stdout(function: Function) -> Function:
    """Return a command during which only `out` prints to the standard output; models print to the standard error."""

    @wraps(function)
    def call(*given: Any, **named: Any) -> Any:
        console: Any = out
        console.file = sys.stdout
        try:
            with redirect_stdout(sys.stderr):
                return function(*given, **named)
        finally:
            console.file = None  # whatever is the standard output then

    return cast("Function", call)


MOST_THREADS = 512
"""More threads than this, or processes that read ahead, stop a machine instead of using it."""

SuiteName = Annotated[str, typer.Option("--suite", help="Name of a suite, or a TOML file.")]
NamesCode = Annotated[
    str | None,
    typer.Option(
        "--suite",
        help="The suite of the run. It is needed where the run's model, front-end or dataset is named as "
        "package.module:Class: a name in a record is never imported.",
        show_default=False,
    ),
]
DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", envvar="BENCH_DATA", help="Folder with one folder per dataset.", show_default=False),
]
MODEL = typer.Argument(help="A model of `bench list models`, rann-{t_c}x{t_m}-{W}, or package.module:Class.")
Classes = Annotated[int, typer.Option(min=1, help="Number of classes.")]
Seconds = Annotated[
    float | None, typer.Option(min=0.1, help="Length of the clip in seconds.", show_default="as in the model's paper")
]
SampleRate = Annotated[int, typer.Option(min=4000, help="Sample rate in hertz.")]
FrontendName = Annotated[
    str | None,
    typer.Option("--frontend", help="A front-end of `bench list frontends`.", show_default="the model's own"),
]
Embedding = Annotated[
    str | None,
    typer.Option(help="Use an embedding of FRAMESxFEATURES, for example 10x128, instead of a waveform."),
]
Device = StrEnum("Device", ["auto", "cpu", "cuda"])
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
RunReference = Annotated[
    str,
    typer.Option(
        "--run", help="A run's key, SUITE:SYSTEM (@f0 behind it for a fold, @all for all), a packed file or a folder."
    ),
]
StoreDir = Annotated[Path, typer.Option("--store", help="Folder of records and artifacts.")]
OnlyModels = Annotated[
    list[str] | None,
    typer.Option(help="Only this model, or only the system that the suite calls by this name (repeatable)."),
]
OnlyDatasets = Annotated[list[str] | None, typer.Option(help="Only this dataset (repeatable).")]
OnlyFolds = Annotated[list[int] | None, typer.Option(help="Only this fold (repeatable).")]
OnlySeeds = Annotated[list[int] | None, typer.Option(help="Only this seed (repeatable).")]
STDOUT = Path("-")
"""In the place of a file of text, standard output."""


def no_stdout(param: typer.CallbackParam, value: Any) -> Any:
    """Return the value of an option for a file or a folder, which is never standard output.

    Raises:
        SuiteError: it is `-`.
    """
    if value == STDOUT:
        raise SuiteError(f"{param.opts[0]} - would be standard output, which this does not go to: give another name")
    return value


OutPath = Annotated[Path | None, typer.Option("--out", help="File to write.", show_default=False, callback=no_stdout)]
CsvFile = Annotated[
    Path | None, typer.Option("--csv", help="Write a CSV file; - is standard output.", show_default=False)
]


def permit(*names: str | None) -> None:
    """Permit to import the classes of other packages among names that the user has typed; this folder comes first."""
    lookup.permit({name: Path.cwd() for name in names if name and lookup.is_target(name)})


def permit_suite(name: str | None) -> None:
    """Permit to import the classes that a suite names; None does nothing."""
    if name is not None:
        suites.read(name).permit()


def line_width(console: Console) -> int | None:
    """Return the characters of a line of a terminal; None for a file or a pipe, where a line has no end."""
    return console.width if console.is_terminal else None


def described(name: str, words: str, width: int | None = None, margin: int = 2) -> str:
    """Return a line of a list: a name and its description, which goes on below itself where it is longer than a line.

    Args:
        name: on the left.
        words: the description.
        width: characters of a line; None for no limit.
        margin: number of spaces before the name.
    """
    indent = _INDENT - 2 + margin
    return wrapped(f"{' ' * margin}{name:{_INDENT - 3}} {words}", width, indent)


def wrapped(line: str, width: int | None, indent: int = 4) -> str:
    """Return a line broken between words, and the following lines indented.

    Args:
        line: the line.
        width: characters of a line; None, or a width that leaves no room next to the indent, for no limit.
        indent: number of spaces before the following lines.
    """
    if width is None or width < 2 * indent:
        return line
    return textwrap.fill(line, width, subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False)


def say(console: Console, text: str, indent: int = 4) -> None:
    """Print text as it is, its lines broken between words where they are longer than a line of the terminal.

    Args:
        console: where to print.
        text: one or more lines.
        indent: number of spaces before the following lines.
    """
    for line in text.splitlines():
        console.print(wrapped(line, line_width(console), indent), markup=False, highlight=False)


def print_json(content: Any) -> None:
    """Print JSON to standard output; NaN is an error."""
    out.print(json.dumps(content, indent=1, allow_nan=False), markup=False, highlight=False)
