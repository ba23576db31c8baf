"""The command line, called in this process."""

import io
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import NamedTuple
from unittest import mock

from bench.cli import main
from bench.records import Record, Store


class Call(NamedTuple):
    """The outcome of a command: exit code, standard output and standard error."""

    code: int
    out: str
    err: str

    @property
    def words(self) -> str:
        """Everything that it printed, on one line."""
        return " ".join((self.out + " " + self.err).split())


def bench(*arguments: object, stdin: bytes = b"") -> Call:
    """Call a command, with this standard input."""
    out, err = io.StringIO(), io.StringIO()
    code: object = 0
    given = {"argv": ["bench", *map(str, arguments)], "stdin": io.TextIOWrapper(io.BytesIO(stdin))}
    with mock.patch.multiple(sys, **given), redirect_stdout(out), redirect_stderr(err):
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
    assert isinstance(code, int)
    return Call(code, out.getvalue(), err.getvalue())


def run(suite: str, folder: Path, *arguments: object) -> Call:
    """Write a suite to `folder/own.toml` and run it in this process, with its store in `folder/runs`."""
    path = folder / "own.toml"
    path.write_text(suite)
    quiet = ("--executor", "serial", "--device", "cpu", "--wandb", "disabled", "--workers", "1")
    return bench("run", "--suite", path, "--store", folder / "runs", "--data-dir", folder, *quiet, *arguments)


def records(folder: Path) -> list[Record]:
    """Return the records in `folder/runs`, by key."""
    store = Store(folder / "runs")
    return [record for record in map(store.get, store.keys()) if record]
