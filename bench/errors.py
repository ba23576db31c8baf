"""Errors of the harness. Each message says what is missing, where the harness looked, and what to change."""

import os
import re
import shlex


class BenchError(Exception):
    """Base of every error that a user of `bench` can fix; the command line prints it without a traceback.

    Attributes:
        code: kind of the error, for programs; errors of `datamodules` also have one.
    """

    code = "error"


class BenchWarning(UserWarning):
    """What was done is perhaps not what was meant; the command line prints it as one line."""


class SuiteError(BenchError):
    """A suite file, a name in it, or a command-line selection is wrong."""

    code = "suite"


class UnnamedError(SuiteError):
    """A class of another package is named by a record or a file alone, and so is not imported."""


class PluginError(BenchError):
    """A class of another package cannot be imported."""

    code = "plugin"


class RecordError(BenchError):
    """A record on disk is damaged, was edited by hand, or is of an unknown schema."""

    code = "record"


class RunError(BenchError):
    """A run cannot continue: a non-finite loss, a fusion member without a result, ..."""

    code = "run"


class ArgumentError(RunError):
    """An argument of a function, or an option of a command, has a value that it never takes: the call is wrong."""


class ProfileError(BenchError):
    """A model's multiply-adds or latency cannot be measured correctly."""

    code = "profile"


AGAIN = "repeat the suite's `bench run --suite ...` with --key {} and --force"
"""Remedy for a run of this key whose files are not what they should be."""


def command_for(suite: str, store: os.PathLike[str] | str) -> str:
    """Return the command that does the runs of a suite in a store.

    Args:
        suite: its name or file, as it was given.
        store: as it was given.
    """
    where = "" if os.fspath(store) == "runs" else f" --store {shlex.quote(os.fspath(store))}"
    return f"bench run --suite {shlex.quote(suite)}{where}"


def refuse_url(path: os.PathLike[str] | str, what: str, instead: str) -> None:
    """Refuse a URL in a folder's place; as a path it would name a folder such as "s3:" below the current one.

    Args:
        path: as it was given.
        what: the folder, such as "a store".
        instead: what to do.

    Raises:
        ArgumentError: it is a URL.
    """
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", os.fspath(path)):  # pathlib keeps one of several slashes
        raise ArgumentError(f"{os.fspath(path)!r} is a URL, and {what} is a folder of this machine: {instead}")


def code_of(error: BaseException) -> str:
    """Return the code of an error; "unexpected" for an exception that has none."""
    code = getattr(error, "code", None)
    return code if isinstance(code, str) else "unexpected"
