"""Rows that were sent in to the tables of a suite: each is a suite of its own, in a folder of the published store.

The folder is `rows/<suite>/<name>/`. It holds the suite `<name>.toml` and the code of its models, as far as this is not
installed. Its runs have the datasets, folds and seeds of the suite that they were sent to, so one table compares them.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from bench import lookup
from bench.errors import SuiteError
from bench.records import Run, Store

if TYPE_CHECKING:
    from bench.suites.suite import Suite

FOLDER = "rows"
"""Folder of a published store with the rows that were sent in."""


def folder(store: Store, suite: str) -> Path:
    """Return the folder of the rows that were sent in to a suite's tables."""
    return store.root / FOLDER / suite


def files(store: Store, suite: str) -> list[Path]:
    """Return the suite files of these rows, in the order of their names."""
    return sorted(folder(store, suite).glob("*/*.toml"))


def targets(suite: "Suite") -> set[str]:
    """Return the classes of other packages that a suite names for its systems, front-ends and datasets."""
    names = {
        *map(suite.catalogued, suite.models),
        *suite.frontends,
        *(str(table["frontend"]) for table in suite.model.values() if "frontend" in table),
        *map(suite.catalogued_dataset, (*suite.datasets, *suite.datasets_if_here)),
    }
    return {name for name in names if lookup.is_target(name)}


def rows(suite: "Suite", own: Mapping[str, tuple[tuple[Run, str], ...]]) -> list[tuple[str, str, Run]]:
    """Return the dataset's name in the suite, the row's name and the run, for each run of the rows that were sent in.

    Args:
        suite: with the suites of these rows.
        own: the suite's own runs by its name of the dataset, with the names of their systems.

    Raises:
        SuiteError: a row does not fit the suite.
    """
    known = {run.key for runs in own.values() for run, _ in runs}
    taken = {name: suite.name for runs in own.values() for _, name in runs}
    code: dict[str, str] = {}
    found: list[tuple[str, str, Run]] = []
    for other in suite.added:
        for target in targets(other):
            if (before := code.setdefault(target, other.name)) != other.name:
                raise SuiteError(f"{before} and {other.name} both have code named {target}: rename the module of one")
        for dataset, runs in other._by_dataset:
            place = _place(suite, other, dataset)
            new = [(run, name) for run, name in runs if run.key not in known]  # a member or a teacher is known
            for name in {name for _, name in new}:
                if taken.setdefault(name, other.name) != other.name:
                    raise SuiteError(
                        f"{other.name} has a row {name!r}, and so has {taken[name]}: name it otherwise, in a table "
                        f'[model.NEW-NAME] that has model = "{other.catalogued(name)}"'
                    )
            _check_complete(suite, other, dataset, [run for run, _ in new], [run for run, _ in own[place]])
            found += [(place, name, run) for run, name in new]
    return found


def _place(suite: "Suite", other: "Suite", dataset: str) -> str:
    """Return the suite's name of a dataset of a row."""
    wanted = _described(other, dataset)
    for name in (*suite.datasets, *suite.datasets_if_here):
        if _described(suite, name) == wanted:
            return name
    raise SuiteError(
        f"{other.name} has the dataset {dataset!r}, and {suite.name} has none with the same arguments: use "
        f"{', '.join((*suite.datasets, *suite.datasets_if_here))}, as {suite.name} has it"
    )


def _described(suite: "Suite", dataset: str) -> tuple[str, dict[str, object]]:
    table = suite.dataset.get(dataset, {})
    return suite.catalogued_dataset(dataset), {k: v for k, v in table.items() if k not in ("dataset", "recipe")}


def _check_complete(suite: "Suite", other: "Suite", dataset: str, runs: list[Run], expected: list[Run]) -> None:
    """Raise unless a row has the folds and seeds of the suite on a dataset."""
    for word in ("fold", "seed"):
        has, needs = ({getattr(run, word) for run in each} for each in (runs, expected))
        if has and has != needs:
            listed = [", ".join(map(str, sorted(each))) for each in (has, needs)]
            raise SuiteError(
                f"{other.name} has {word} {listed[0]} of {dataset}, and {suite.name} has {listed[1]}: write {word}s = "
                f"[{listed[1]}] into the suite of the row"
            )
