"""Names of a suite that an uninstalled package had added to the catalogue, as the records of a store know them."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from bench import catalog, lookup
from bench.errors import RecordError, SuiteError
from bench.lookup import Package
from bench.records import Record, Store
from bench.suites.suite import Suite

_LOOKS = {
    "models": catalog.system, "frontends": catalog.frontend, "datasets": catalog.dataset, "metrics": catalog.metric,
    "backends": catalog.backend,
}  # fmt: skip


def remember(suite: Suite, store: Store) -> None:
    """Let the catalogue know names of the suite that no installed package has, and that records of the store have.

    Their rows then stay in the tables, and say what to install. Records are read only if there is such a name.
    """
    unknown = {(kind, name) for kind, name in _named(suite) if _is_unknown(kind, name)}
    if not unknown:
        return
    found: dict[tuple[str, str], tuple[Package | None, dict[str, Any]]] = {}
    for key in store.keys():  # noqa: SIM118 - a store is no mapping
        with suppress(RecordError):
            if record := store.get(key):
                for kind, name, package in _components(record):
                    if (kind, name) in unknown:
                        before = found.get((kind, name), (None, {}))[1]
                        found[kind, name] = package, _facts(record, before) if kind == "datasets" else {}
    for (kind, name), (package, facts) in found.items():
        lookup.remember(kind, name, package, facts)


def _named(suite: Suite) -> Iterator[tuple[str, str]]:
    """Yield kind and name of everything that a suite takes from the catalogue."""
    yield from (("models", suite.catalogued(name)) for name in (*suite.models, *suite.model))
    yield from (("frontends", name) for name in suite.frontends)
    yield from (("frontends", str(table["frontend"])) for table in suite.model.values() if "frontend" in table)
    names = (*suite.datasets, *suite.datasets_if_here, *suite.dataset)
    yield from (("datasets", suite.catalogued_dataset(name)) for name in names)
    yield from (("metrics", name) for name in suite.metrics)
    yield from (("backends", name) for name in suite.backends)


def _is_unknown(kind: str, name: str) -> bool:
    if ":" in name:
        return False
    try:
        _LOOKS[kind](name)
    except SuiteError:
        return True
    return False


def _components(record: Record) -> Iterator[tuple[str, str, Package | None]]:
    """Yield kind, name and package of what a record has from other packages; None for a package that it does not name.

    Records name no package of metrics and backends.
    """
    for field, kind in (("model", "models"), ("frontend", "frontends"), ("dataset", "datasets")):
        if source := record.run.sources.get(field):
            yield kind, getattr(record.run, field), Package(source["package"], source.get("version"))
    yield from (("metrics", name, None) for name in (*record.scores, *record.not_scored))
    yield from (("backends", name, None) for name in {timing.backend for timing in record.latencies})


def _facts(record: Record, before: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a record shows of its dataset, together with what earlier records have shown."""
    return {
        "folds": max(record.run.fold + 1, before.get("folds", 1)),
        "task": record.task or before.get("task", "single"),
        "kind": "embedding" if record.run.frontend == "none" else "waveform",
    }
