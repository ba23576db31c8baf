"""Selecting some of a suite's runs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench import catalog
from bench.errors import SuiteError
from bench.records import Run
from bench.suites.suite import Suite


def select(
    runs: tuple[Run, ...],
    names: Mapping[str, str] | None = None,
    datasets: Mapping[str, str] | None = None,
    **wanted: tuple[Any, ...],
) -> tuple[Run, ...]:
    """Keep the runs whose fields have one of the wanted values, and the runs that these need (members, teachers).

    Args:
        runs: runs of a suite, each after the runs that it needs.
        names: the suite's `names()`; `model` may then also be a name in the suite.
        datasets: the suite's `dataset_names()`; `dataset` may then also be a name in the suite.
        wanted: field of a run to its wanted values; an empty tuple selects every value.

    Raises:
        SuiteError: no run of the suite matches.
    """
    called = {"model": names or {}, "dataset": datasets or {}}

    def fits(run: Run, field: str, values: tuple[Any, ...]) -> bool:
        return getattr(run, field) in values or called.get(field, {}).get(run.key) in values

    chosen = [run for run in runs if all(not v or fits(run, k, v) for k, v in wanted.items())]
    if not chosen:
        asked = ", ".join(f"{k} {' or '.join(map(str, v))}" for k, v in wanted.items() if v)
        raise SuiteError(f"no run of the suite has {asked}.{_hints(runs, called, wanted)}")
    needed = {run.key for run in chosen}
    for run in reversed(runs):
        if run.key in needed:
            needed.update(run.needs)
    return tuple(run for run in runs if run.key in needed)


def _hints(runs: Sequence[Run], called: Mapping[str, Mapping[str, str]], wanted: Mapping[str, tuple[Any, ...]]) -> str:
    """Return, for each wanted value that no run has, the nearest known value, and all known values of its field.

    Args:
        runs: all runs.
        called: field to the suite's names of its values, by key.
        wanted: field to wanted values.
    """
    hints = ""
    for field, values in wanted.items():
        known = list(dict.fromkeys(str(getattr(run, field)) for run in runs))
        names = called.get(field, {})
        known = list(dict.fromkeys([*known, *(names[run.key] for run in runs if run.key in names)]))
        unknown = [str(value) for value in values if str(value) not in known]
        near = [found for value in unknown if (found := catalog.nearest(value, known))]
        if near:
            hints += f" Did you mean {' or '.join(map(repr, dict.fromkeys(near)))}?"
        if unknown:
            hints += f" {field.capitalize()}s of its runs: {', '.join(known)}."
    return hints or " Each of these has runs, but no run has all of them."


def at_hand(suite: Suite, runs: tuple[Run, ...], data_dir: Path, required: Sequence[str] = ()) -> tuple[Run, ...]:
    """Drop the runs on optional datasets (`datasets_if_here`) that are not on disk.

    Args:
        suite: the suite.
        runs: some of its runs.
        data_dir: the folder with one folder per dataset.
        required: datasets whose runs stay in any case, because the user named them.
    """
    optional = set(suite.datasets_if_here) - set(suite.datasets) - set(required)
    absent = {name for name in optional if not catalog.on_disk(suite.catalogued_dataset(name), data_dir)}
    names = suite.dataset_names() if absent else {}
    return tuple(run for run in runs if names.get(run.key) not in absent)
