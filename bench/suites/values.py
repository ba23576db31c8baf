"""Checks of a suite's values that its types alone do not make."""

import math
from collections.abc import Mapping
from typing import Any

from bench.errors import SuiteError

LONGEST = 100
"""Bytes of a name that a suite gives. Names of files have 255 at most, and some contain the names of a suite, a dataset
and the kind of the file."""


def check_length(name: str, what: str) -> None:
    """Check that the files that are named after a suite, a system or a dataset can be written.

    Raises:
        SuiteError: the name is too long for that.
    """
    if (size := len(name.encode())) > LONGEST:
        raise SuiteError(
            f"the name of the {what} {name[:20]}... has {size} bytes, and names of files have room for {LONGEST} of "
            f"it: choose a shorter one"
        )


def check_arguments(tables: Mapping[str, Any], where: str) -> None:
    """Check that every value of these tables is one that a run's record, which is JSON, can hold.

    Args:
        tables: arguments by the name of their model or dataset.
        where: name of the table of these tables.

    Raises:
        SuiteError: a value is NaN, infinite, or of another kind, such as a date; its key is named.
    """
    for name, value in tables.items():
        path = f"{where}.{name}"
        if isinstance(value, Mapping):
            check_arguments(value, path)
        elif isinstance(value, list | tuple):
            check_arguments({str(place): each for place, each in enumerate(value)}, path)
        elif isinstance(value, float) and not math.isfinite(value):
            raise SuiteError(f"{path} is {value}: give a finite number, or leave it out for the default")
        elif value is not None and not isinstance(value, str | bool | int | float):
            raise SuiteError(f"{path} is {value}, which a record cannot hold: give a number, text, list or table")
