"""Messages that say what is wrong with a suite."""

from dataclasses import fields
from typing import Any

from pydantic import ValidationError

from bench import catalog
from bench.records import Recipe

_ALTERNATIVES = ("tuple[union[int,str], ...]", "literal['all','first']", "int", "str")
"""Kinds of values for one key, which pydantic names like keys."""


def explain(error: ValidationError, table: type[Any]) -> str:
    """Return a message for a validation error; it names the nearest known key for an unknown key.

    Args:
        error: pydantic's error.
        table: the dataclass of the table; nested tables are recipes.
    """
    lines = []
    for problem in error.errors():
        where = [str(part) for part in problem["loc"] if part not in _ALTERNATIVES]
        if problem["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
            known = [f.name for f in fields(Recipe if len(where) > 1 else table)]
            lines.append(f"unknown key {'.'.join(where)!r}{near(where[-1], known)}")
        elif problem["type"] in ("missing", "missing_argument"):
            lines.append(f"the key {'.'.join(where)!r} is missing")
        elif problem["type"] == "value_error":
            lines.append(f"{'.'.join(where)}{': ' if where else ''}{problem['ctx']['error']}")
        else:
            lines.append(f"{'.'.join(where) or 'the file'}: {problem['msg']}, found {problem['input']!r}")
    return "; ".join(dict.fromkeys(lines))


def near(name: str, known: list[str]) -> str:
    """Return "; did you mean ...?", or the list of known names if none is similar."""
    found = catalog.nearest(name, known)
    return f"; did you mean {found!r}?" if found else f"; known are {', '.join(known)}"
