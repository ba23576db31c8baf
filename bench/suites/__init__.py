"""Suites: grids of runs, written in TOML.

Importing this package is quick: a module is imported when one of its names is first used.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.suites.index import suites, tiers_of, title_of
    from bench.suites.layout import Layout
    from bench.suites.reading import is_own, read
    from bench.suites.selection import at_hand, select
    from bench.suites.suite import Suite, is_fusion

__all__ = ["Layout", "Suite", "at_hand", "is_fusion", "is_own", "read", "select", "suites", "tiers_of", "title_of"]

_MODULES = {
    "Layout": "bench.suites.layout",
    "is_own": "bench.suites.reading",
    "read": "bench.suites.reading",
    "suites": "bench.suites.index",
    "tiers_of": "bench.suites.index",
    "title_of": "bench.suites.index",
    "at_hand": "bench.suites.selection",
    "select": "bench.suites.selection",
    "Suite": "bench.suites.suite",
    "is_fusion": "bench.suites.suite",
}


def __getattr__(name: str) -> Any:
    """Import the module of a public name."""
    if name not in _MODULES:
        raise AttributeError(f"module 'bench.suites' has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(_MODULES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
