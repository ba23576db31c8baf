"""The data model: what is trained (`Recipe`, `Run`), its result (`Record`), and where results are kept (`Store`)."""

from bench.records.canonical import Json, canonical
from bench.records.latency import Grade, Latency, Scope, aggregate, graded
from bench.records.recipe import Recipe, is_weights_file
from bench.records.record import SCHEMA, Complexity, Data, Environment, Failure, Record, Segmentation, graded_records
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
