"""Choosing among a suite's runs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench import catalog
from bench.errors import SuiteError
from bench.records import Run
from bench.suites.suite import Suite


def select(runs: tuple[Run, ...], names: Mapping[str, str] | None = None, **wanted: tuple[Any, ...]) -> tuple[Run, ...]:
    """Keep the runs whose fields are among the wanted values, and those they need: fusions' members, teachers.

    Args:
        runs: of a suite, each after those it needs.
        names: its `names()`; a model may be asked for by its name in the suite, too.
        wanted: by field of a run; an empty tuple takes any.

    Raises:
        SuiteError: nothing in the suite fits.
    """

    def fits(run: Run, field: str, values: tuple[Any, ...]) -> bool:
        return getattr(run, field) in values or (field == "model" and (names or {}).get(run.key) in values)

    chosen = [run for run in runs if all(not v or fits(run, k, v) for k, v in wanted.items())]
    if not chosen:
        asked = ", ".join(f"{k} {' or '.join(map(str, v))}" for k, v in wanted.items() if v)
        raise SuiteError(f"no run of the suite has {asked}; `bench run --dry-run` shows its runs")
    needed = {run.key for run in chosen}
    for run in reversed(runs):
        if run.key in needed:
            needed.update(run.needs)
    return tuple(run for run in runs if run.key in needed)


def at_hand(suite: Suite, runs: tuple[Run, ...], data_dir: Path, required: Sequence[str] = ()) -> tuple[Run, ...]:
    """Drop the runs on datasets that the suite takes only where they are on disk, and that are not.

    Args:
        suite: the suite.
        runs: some of its runs.
        data_dir: the folder with one folder per dataset.
        required: datasets that stay even so, as they were asked for by name.
    """
    optional = set(suite.datasets_if_here) - set(suite.datasets) - set(required)
    absent = {name for name in optional if not catalog.on_disk(name, data_dir)}
    return tuple(run for run in runs if run.dataset not in absent)
