"""Entries that installed packages add to the catalogue."""

from collections.abc import Mapping
from typing import Any

from bench import lookup
from bench.catalog import backends, datasets, frontends, metrics, models
from bench.catalog.kinds import Kind

KINDS: Mapping[str, Kind[Any]] = {
    kind.group: kind for kind in (models.KIND, frontends.KIND, datasets.KIND, metrics.KIND, backends.KIND)
}
"""Kinds of components that packages can add, by their names in entry points."""


def added(kind: str) -> dict[str, Any]:
    """Return the entries that installed packages add, by name; a name of this project keeps its meaning.

    Args:
        kind: "models", "frontends", "datasets", "metrics" or "backends".
    """
    return KINDS[kind].added()


def clashes() -> list[str]:
    """Return a line for each name that two packages add to the catalogue, or that this project has, too."""
    return [line for kind in KINDS.values() for line in lookup.clashes(kind.group, kind.table)]
