"""Datasets on disk: where they are, and what of them is missing."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bench.catalog.datasets import dataset
from bench.catalog.names import load, plain
from bench.errors import PluginError


def place(name: str, data_dir: Path) -> Path | None:
    """Return a dataset's folder under the data directory; None for one without a folder of its own.

    It has the entry's name. Where there is none of that name, one is taken that is called the same but for case,
    hyphens and underscores, or by an alias.
    """
    entry = dataset(name)
    if entry.folder is None:
        return None
    usual = data_dir / entry.folder
    if not usual.exists() and data_dir.is_dir():
        names = {plain(each) for each in (entry.folder, *entry.aliases)}
        for here in sorted(data_dir.iterdir()):
            if plain(here.name) in names and here.is_dir():
                return here
    return usual


def missing(name: str, data_dir: Path) -> str | None:
    """Say in one line what of a dataset is missing under the data directory; None where nothing is.

    Everything that wants to know whether a dataset is on disk asks this function. Nothing is missing of a dataset
    without a folder of its own.
    """
    entry, folder = dataset(name), place(name, data_dir)
    if folder is None:
        return None
    try:
        look: Callable[[Path], str | None] = load(entry.find) if entry.find else load(entry.target).find
    except PluginError as error:
        return str(error)
    return look(folder)


def why_absent(name: str, data_dir: Path, arguments: Mapping[str, Any]) -> str | None:
    """Say why a run cannot read its dataset and what to do, as far as that is known without reading it; else None.

    Args:
        name: of the dataset.
        data_dir: the folder with one folder per dataset.
        arguments: the dataset's own, in which a user's clips have their place.
    """
    folder = dataset(name).folder
    if folder is None:
        there = load("datamodules.clips.own.labels:there")
        given = [there(Path(arguments[key])) for key in ("root", "csv") if arguments.get(key)]
        absent = [str(path) for path in given if not path.exists()]
        return f"dataset {name}: missing {' and '.join(absent)}: correct [dataset.{name}]" if absent else None
    problem = missing(name, data_dir)
    return problem and (
        f"dataset {name} is not in {place(name, data_dir)}: {problem}. Put it there, or name the folder that holds "
        f"{folder}/ with --data-dir or BENCH_DATA"
    )


def on_disk(name: str, data_dir: Path) -> bool:
    """Whether nothing of a dataset is missing; quick also for a dataset without `find` whose folder does not exist."""
    folder = place(name, data_dir)
    return folder is None or (folder.is_dir() and missing(name, data_dir) is None)
