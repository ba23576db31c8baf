"""The data model: what is trained (`Recipe`, `Run`), its result (`Record`), and where results are kept (`Store`).

Importing this package is quick: a module is imported when one of its names is first used.
"""

import importlib
from typing import TYPE_CHECKING, Any

from bench.records.canonical import Json, canonical

if TYPE_CHECKING:
    from bench.records.latency import Grade, Latency, Scope, aggregate, graded
    from bench.records.recipe import Recipe, is_weights_file
    from bench.records.record import (
        SCHEMA,
        Complexity,
        Data,
        Environment,
        Failure,
        Record,
        Segmentation,
        graded_records,
    )
    from bench.records.run import PROTOCOL, Run
    from bench.records.snapshot import Snapshot, latest_like
    from bench.records.store import Store, write_whole

__all__ = [
    "PROTOCOL",
    "SCHEMA",
    "Complexity",
    "Data",
    "Environment",
    "Failure",
    "Grade",
    "Json",
    "Latency",
    "Recipe",
    "Record",
    "Run",
    "Scope",
    "Segmentation",
    "Snapshot",
    "Store",
    "aggregate",
    "canonical",
    "graded",
    "graded_records",
    "is_weights_file",
    "latest_like",
    "write_whole",
]

_MODULES = {
    "Grade": "bench.records.latency",
    "Latency": "bench.records.latency",
    "Scope": "bench.records.latency",
    "aggregate": "bench.records.latency",
    "graded": "bench.records.latency",
    "Recipe": "bench.records.recipe",
    "is_weights_file": "bench.records.recipe",
    "SCHEMA": "bench.records.record",
    "Complexity": "bench.records.record",
    "Data": "bench.records.record",
    "Environment": "bench.records.record",
    "Failure": "bench.records.record",
    "Record": "bench.records.record",
    "Segmentation": "bench.records.record",
    "graded_records": "bench.records.record",
    "PROTOCOL": "bench.records.run",
    "Run": "bench.records.run",
    "Snapshot": "bench.records.snapshot",
    "latest_like": "bench.records.snapshot",
    "Store": "bench.records.store",
    "write_whole": "bench.records.store",
}


def __getattr__(name: str) -> Any:
    """Import the module of a public name."""
    if name not in _MODULES:
        raise AttributeError(f"module 'bench.records' has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(_MODULES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
