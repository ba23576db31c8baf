"""Names: the entry of a name, the name nearest to a misspelt one, and what "module:name" names."""

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from bench import lookup
from bench.errors import SuiteError

Entry = TypeVar("Entry")


def find(table: Mapping[str, Entry], name: str, what: str) -> Entry:
    """Return `table[name]`.

    Raises:
        SuiteError: there is no such name; the message proposes the nearest.
    """
    try:
        return table[name]
    except KeyError:
        near = nearest(name, table)
        hint = f"Did you mean {near!r}? " if near else ""
        raise SuiteError(f"no {what} is called {name!r}. {hint}There are: {', '.join(table)}.") from None


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name most like a misspelt one, or None if none is similar.

    Case, hyphens, underscores, dots and spaces do not count: "CNN_14" is nearest to "cnn14".
    """
    by_plain_name = {plain(each): each for each in reversed(list(known))}  # of equal ones, the first
    found = difflib.get_close_matches(plain(name), by_plain_name, n=1)
    return by_plain_name[found[0]] if found else None


def plain(name: str) -> str:
    """Return a name without what does not count when names are compared."""
    return re.sub(r"[-_. ]", "", name).casefold()


def load(target: str) -> Any:
    """Import and return what "module:name" names.

    Targets come from the catalogue, from entry points and from what a user has named; never from data.

    Raises:
        SuiteError: the target is a name that only a record has.
        PluginError: a class of another package cannot be imported.
    """
    return lookup.load(target)
