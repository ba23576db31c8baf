"""Components by kind: this project's, and those that other packages add."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from bench import lookup
from bench.catalog.names import find
from bench.lookup import Package

Entry = TypeVar("Entry")


@dataclass(frozen=True)
class Kind(Generic[Entry]):
    """A kind of component: models, front-ends, datasets, metrics or backends.

    Attributes:
        group: its name in entry points, "models".
        word: what messages call one of them, "model".
        table: the entries of this project, by name.
        make: makes the entry of another package's class from its target "module:Class" and the package.
    """

    group: str
    word: str
    table: Mapping[str, Entry]
    make: Callable[[str, Package], Entry]

    def entry(self, name: str) -> Entry:
        """Return the entry of a name of this project, of an entry point, or of "package.module:Class".

        Raises:
            SuiteError: there is no such name; the message proposes the nearest.
        """
        if name in self.table:
            return self.table[name]
        if lookup.is_target(name):
            return self.make(lookup.guarded(name), lookup.package_of(name))
        everything = {**self.added(), **self.table}
        if name not in everything and (gone := lookup.uninstalled(self.group, name)):
            return self.make(*gone)
        return find(everything, name, self.word)

    def added(self) -> dict[str, Entry]:
        """Return the entries that installed packages add, by name; a name of this project keeps its meaning."""
        points = lookup.entry_points(self.group)
        return {name: self.make(one.target, one.package) for name, one in points.items() if name not in self.table}


def line(target: str, package: Package) -> str:
    """Return what lists say of another package's component."""
    return f"{target.rpartition(':')[2]} of {package}"
