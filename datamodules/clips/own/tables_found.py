"""Tables in a folder of clips, and the arguments with which they can be read."""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from datamodules.audio import ENDINGS
from datamodules.clips.own.labels import composed, there
from datamodules.clips.own.table import (
    JSON,
    TIMES,
    candidates,
    header_of,
    proposed,
    refuse_without_header,
    rows_are_segments,
    rows_of,
    some_cells,
    switches,
)
from datamodules.clips.own.tree import Tree, part_of
from datamodules.errors import DataError

TABLES = (".csv", ".tsv", *JSON)
MOST_TABLES = 50
MOST_FOLDERS = 500
DEPTH = 3
"""Folders below a table's own, or below the one around it, in which its files are looked for."""


def usable_tables(place: Path, given: Mapping[str, Any]) -> list[Path]:
    """Return the tables in a folder, and in folders up to two below it, that have columns of files and labels."""
    found: list[Path] = []
    for folder in _folders(place, 2):
        paths = (folder / name for name in sorted(_names(folder)) if not name.startswith("."))
        found += [path for path in paths if path.suffix.lower() in TABLES and path.is_file()]
    return [path for path in found[:MOST_TABLES] if _usable(path, given)]


def _usable(path: Path, given: Mapping[str, Any]) -> bool:
    try:
        found = arguments_of([path], given)
        roles = found.get("columns", {}).keys() | set(header_of(path)) & {"path", "label"}
        names = some_cells(path, found.get("columns", {}).get("path", "path")) if "path" in roles else []
    except DataError:
        return False
    labels = "label" in roles or bool(found.get("label_columns") or given.get("label_columns"))
    return labels and bool(names) and _holds_any(_root_of(path, found), names)


def _root_of(path: Path, found: Mapping[str, Any]) -> Path:
    return Path(found["audio_root"]) if "audio_root" in found else path.parent


def one_or_parts(tables: Sequence[Path]) -> list[Path]:
    """Return the tables that are one for each part of a split, by their names or folders; else all tables."""
    parts = {path: part_of(path.stem) or part_of(path.parent.name) for path in tables}
    chosen = [path for path, part in parts.items() if part]
    kinds = [parts[path] for path in chosen]
    return chosen if len(set(kinds)) == len(kinds) >= 2 else list(tables)


def agree(tables: Sequence[Path], tree: Tree) -> bool:
    """Return whether the tables say the classes that the folders say, as far as the first rows show.

    A table whose files are not in the tree says nothing.
    """
    classes = {composed(file.path.name): file.label for file in tree.files}
    classes |= {composed(file.path.stem): file.label for file in tree.files}
    for path in tables:
        header, lines = rows_of(path)
        roles = proposed(header)
        if not {"path", "label"} <= roles.keys():
            continue
        places = [header.index(roles[role]) for role in ("path", "label")]
        for _, cells in [each for each in lines if len(each[1]) == len(header)][:50]:
            name, label = (cells[place].strip() for place in places)
            folder = classes.get(composed(name.rpartition("/")[2]))
            if folder is not None and composed(label) != folder:
                return False
    return True


def arguments_of(tables: Sequence[Path], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of `datamodules.folder.Folder` for a table, or for one for each part.

    Args:
        tables: the tables.
        given: arguments that the user has decided.

    Raises:
        DataError: a table cannot be read.
    """
    path = tables[0]
    header, lines = rows_of(path)
    refuse_without_header(path, header)
    roles = {role: name for role, name in proposed(header, given.get("columns")).items() if name}
    found: dict[str, Any] = {"csv": str(path) if len(tables) == 1 else [str(each) for each in tables]}
    if "path" not in roles and (name := _column_of_files(path, header, lines, list(roles.values()))) is not None:
        roles["path"] = name
    if "label" not in roles and not given.get("label_columns"):
        likely = candidates(header, lines, list(roles.values()))
        columns = switches(path, header, list(roles.values()))
        if len(likely) == 1:
            roles["label"] = likely[0]
        elif len(columns) > 1:
            found["label_columns"] = columns
    if given.get("label_columns"):
        roles.pop("label", None)
    if "segments" not in given and {"path", *TIMES} <= roles.keys() and rows_are_segments(path, header, roles):
        found["segments"] = True
    if not {**found, **given}.get("segments"):
        roles = {role: name for role, name in roles.items() if role not in TIMES}
    if len(tables) > 1 and any(roles.get("split") not in header_of(each) for each in tables):
        roles.pop("split", None)
    none = {role: name for role, name in given.get("columns", {}).items() if not name}
    if other := {role: name for role, name in roles.items() if role != name} | none:
        found["columns"] = other
    if "path" in roles and "audio_root" not in given:
        names = {each: some_cells(each, roles["path"]) for each in tables if roles["path"] in header_of(each)}
        if root := _audio_root(names):
            found["audio_root"] = root
    return found


def _column_of_files(
    path: Path, header: Sequence[str], lines: Sequence[tuple[int, list[str]]], taken: Sequence[str]
) -> str | None:
    """Return the column whose cells are names of audio files, or are files that are there."""
    rows = [cells for _, cells in lines if len(cells) == len(header)][:5]
    for place, name in enumerate(header):
        cells = [row[place] for row in rows]
        named = [os.path.splitext(cell)[1].lower() in ENDINGS for cell in cells]  # noqa: PTH122
        usable = name and name not in taken and cells and not any("://" in cell for cell in cells)
        if usable and (all(named) or _holds_any(path.parent, cells)):
            return name
    return None


def _audio_root(names: Mapping[Path, Sequence[str]]) -> str | None:
    """Return the folder from which the names in tables start; None where it is each table's own, or not found."""
    if not names or all(_share(path.parent, cells, below=False) == 1 for path, cells in names.items()):
        return None
    first = next(iter(names))
    around = [first.parent, *[each for each in list(first.absolute().parents)[1:3] if each.parent != each]]
    for deeper, share in ((False, 1.0), (True, 1.0), (False, 0.0), (True, 0.0)):
        for top in around:
            for folder in (top,) if deeper else _folders(top, DEPTH):
                if all(_share(folder, cells, below=deeper) > share - 1e-9 for cells in names.values()) and all(
                    _share(folder, cells, below=deeper) for cells in names.values()
                ):
                    return str(folder)
    return None


def _holds_any(folder: Path, names: Sequence[str], *, below: bool = True) -> bool:
    return _share(folder, names, below=below) > 0


def _share(folder: Path, names: Sequence[str], *, below: bool) -> float:
    """Return the share of these names whose files are in a folder, or below it where names have no folders."""
    wanted = [name for name in names if name.strip() and len(name) < 1000 and "\0" not in name]
    wanted = [name for name in wanted if not os.path.isabs(name)]  # noqa: PTH117
    if not wanted:
        return 0.0
    if below and not any("/" in name for name in wanted):
        inside_all: set[str] = set()
        for each in _folders(folder, DEPTH):
            for inside in _names(each):
                stem, ending = os.path.splitext(composed(inside))  # noqa: PTH122
                if ending.lower() in ENDINGS:
                    inside_all |= {stem, composed(inside)}
        return sum(composed(name.strip()) in inside_all for name in wanted) / len(wanted)
    return sum(any(_is_file(folder / f"{name}{ending}") for ending in ("", *ENDINGS)) for name in wanted) / len(wanted)


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)  # noqa: PTH208
    except OSError:
        return []


def _is_file(path: Path) -> bool:
    try:
        return there(path).is_file()
    except OSError:  # a name that is too long
        return False


def _folders(top: Path, depth: int) -> Iterator[Path]:
    """Yield a folder and those below it, the nearest first; no links, nothing hidden, and not too many."""
    level, left = [top], MOST_FOLDERS
    for _ in range(depth + 1):
        below: list[Path] = []
        for folder in level:
            left -= 1
            if left < 0:
                return
            yield folder
            try:
                with os.scandir(folder) as entries:
                    names = sorted(
                        entry.name
                        for entry in entries
                        if not entry.name.startswith((".", "__")) and entry.is_dir(follow_symlinks=False)
                    )
            except OSError:
                continue
            below += [folder / name for name in names]
        level = below
