"""Tables of a user's own clips: any columns, any of three separators, and paths as other programs write them."""

import csv
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from datamodules.clips.own.labels import composed
from datamodules.errors import DataError, DatasetMissing

TIMES = ("start", "end")
"""Roles of the columns that place a row in its file, in seconds, where rows are segments."""

ROLES = ("path", "label", "fold", "split", "group", *TIMES)
USUAL = {
    "path": ("path", "file_name", "filename", "file", "filepath", "file_path", "audio", "audio_path", "audio_file",
             "audio_filename", "wav", "clip", "fname", "slice_file_name", "name"),
    "label": ("label", "labels", "class", "category", "target", "class_name", "classname", "tag", "tags", "species",
              "class_label", "event_label", "y"),
    "fold": ("fold", "folds", "kfold", "fold_id"),
    "split": ("split", "subset", "partition", "part", "set"),
    "group": ("group", "groups", "speaker", "speaker_id", "recording", "recording_id", "source", "session", "subject"),
    "start": ("start", "onset", "begin", "start_seconds", "start_time", "from"),
    "end": ("end", "offset", "stop", "end_seconds", "end_time", "to"),
}  # fmt: skip
"""Column names that are proposed for each role, likeliest first; only the role's own name is taken without asking."""

SEPARATORS = {",": "a comma", ";": "a semicolon", "\t": "a tab"}


@dataclass(frozen=True)
class TableRow:
    """A row of the table: its line, the cells of its roles, and those of label columns by name."""

    line: int
    cells: dict[str, str]
    positives: tuple[str, ...] | None = None


@dataclass
class Table:
    """A table's rows, with the columns that nothing uses.

    Attributes:
        roles: role to the column that has it.
        rows: the rows that can be used.
        unused: names of the columns that have no role.
        problems: one line for each row that cannot be used.
    """

    roles: dict[str, str]
    rows: list[TableRow] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def read_table(
    path: Path, columns: Mapping[str, str], label_columns: Sequence[str], *, segments: bool = False
) -> Table:
    """Read a table of clips.

    Args:
        path: a UTF-8 file with a header, separated by commas, semicolons or tabs.
        columns: role to column, for columns that are not called like their role.
        label_columns: columns of zeros and ones, one for each class; empty where a column has the label.
        segments: whether each row is a segment of its file; otherwise columns `start` and `end` are not used.

    Raises:
        DatasetMissing: there is no such file, or it has no rows.
        DataError: it cannot be read, or a column is missing.
    """
    if not path.is_file():
        raise DatasetMissing(f"{str(path)!r} does not exist: write a table with the columns path,label[,fold,group]")
    header, lines = _cells(path)
    columns = {role: composed(name) for role, name in columns.items()}
    label_columns = [composed(name) for name in label_columns]
    if not header:
        raise DatasetMissing(f"{str(path)!r} is empty: write a table with the columns path,label[,fold,group]")
    roles = _roles(path, header, columns, label_columns, lines, segments)
    if twice := sorted({name for name in (*roles.values(), *label_columns) if header.count(name) > 1}):
        raise DataError(f"{path.name!r} has the column {twice[0]!r} more than once: remove or rename one of them")
    table = Table(roles)
    table.unused = [name for name in header if name not in roles.values() and name not in label_columns]
    places = {role: header.index(name) for role, name in roles.items()}
    switches = {name: header.index(name) for name in label_columns}
    for line, cells in lines:
        where = f"{path.name!r} line {line}"
        if len(cells) != len(header):
            table.problems.append(f"{where} has {len(cells)} cells, the header {len(header)}: correct the row")
            continue
        found = {role: cells[place] if role == "path" else composed(cells[place]) for role, place in places.items()}
        if blank := [roles[role] for role, cell in found.items() if not cell.strip()]:
            table.problems.append(
                f"{where} has no {' and no '.join(map(repr, blank))}: fill the cell or remove the row"
            )
            continue
        switched = {name: _switch(cells[place]) for name, place in switches.items()}
        if wrong := [name for name, value in switched.items() if value is None]:
            cell = cells[switches[wrong[0]]]
            table.problems.append(f"{where} has {cell!r} under {wrong[0]!r}: a label column holds 0 and 1")
            continue
        positives = tuple(name for name, value in switched.items() if value) if switches else None
        table.rows.append(TableRow(line, found, positives))
    if not table.rows and not table.problems:
        raise DatasetMissing(f"{str(path)!r} has no rows: write one row per clip, path,label[,fold,group]")
    return table


def header_of(path: Path) -> list[str]:
    """Return the names of a table's columns.

    Raises:
        DataError: it cannot be read.
    """
    return _cells(path)[0]


def proposed(header: Sequence[str], known: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return for each role the column that most likely has it.

    Args:
        header: names of the columns.
        known: roles that are known.
    """
    found = dict(known or {})
    plain = {name.strip().casefold().replace(" ", "_"): name for name in reversed(header)}
    for role, usual in USUAL.items():
        taken = set(found.values())
        for name in usual:
            if role not in found and name in plain and plain[name] not in taken:
                found[role] = plain[name]
    return found


def switches(path: Path, header: Sequence[str], besides: Sequence[str]) -> list[str]:
    """Return the columns of a table that hold only 0 and 1, in order, without those in `besides`."""
    left = {name: place for place, name in enumerate(header) if name not in besides}
    rows = 0
    for _, cells in _cells(path)[1]:
        if len(cells) == len(header):
            rows += 1
            left = {name: place for name, place in left.items() if _switch(cells[place]) is not None}
    return list(left) if rows else []


def rows_are_segments(path: Path, header: Sequence[str], roles: Mapping[str, str]) -> bool:
    """Return whether some file has several rows, each with a start and an end in seconds, and none overlap in a file.

    Args:
        path: of the table.
        header: its columns.
        roles: role to column, with the path and the times.
    """
    places = [header.index(roles[role]) for role in ("path", *TIMES)]
    found: dict[str, list[tuple[float, float]]] = {}
    for _, cells in _cells(path)[1]:
        if len(cells) != len(header):
            continue
        name, *times = (cells[place] for place in places)
        try:
            start, end = map(float, times)
        except ValueError:
            return False
        found.setdefault(name, []).append((start, end))
    rows = [sorted(each) for each in found.values()]
    return any(len(each) > 1 for each in rows) and all(
        earlier[1] <= later[0] for each in rows for earlier, later in pairwise(each)
    )


def _switch(cell: str) -> bool | None:
    """Return what a cell of a label column says; None where it is neither 0 nor 1."""
    return {"0": False, "1": True, "0.0": False, "1.0": True, "false": False, "true": True}.get(cell.strip().casefold())


def _cells(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Return the header and all other rows with their line numbers; blank lines do not count."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:  # -sig: spreadsheets write a byte-order mark
            first = file.readline()
            file.seek(0)
            separator = max(SEPARATORS, key=lambda each: len(next(csv.reader([first], delimiter=each), [])))
            reader = csv.reader(file, delimiter=separator, strict=True)
            header = [composed(name.strip()) for name in next(reader, [])]
            return header, [(reader.line_num, cells) for cells in reader if cells]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(
            f"{str(path)!r} cannot be read as a UTF-8 table ({error}): save it as CSV with the encoding UTF-8"
        ) from error


def _roles(
    path: Path,
    header: Sequence[str],
    columns: Mapping[str, str],
    label_columns: Sequence[str],
    lines: Sequence[tuple[int, list[str]]],
    segments: bool,
) -> dict[str, str]:
    if unknown := [role for role in columns if role not in ROLES]:
        raise DataError(f"columns has no role {unknown[0]!r}: it has {', '.join(ROLES)}")
    if absent := [name for name in (*columns.values(), *label_columns) if name not in header]:
        raise DataError(f"{path.name!r} has no column {absent[0]!r}: it has {', '.join(header)}")
    usual = [role for role in ROLES if segments or role not in TIMES]
    roles = dict(columns) | {role: role for role in usual if role in header and role not in columns}
    if label_columns:
        roles.pop("label", None)
    needed = ["path", *([] if label_columns else ["label"]), *(TIMES if segments else ())]
    if missing := [role for role in needed if role not in roles]:
        guess = proposed(header, roles)
        inline = ", ".join(f'{role} = "{guess.get(role, "…")}"' for role in missing)
        if len(header) == 1 and len(needed) > 1:
            raise DataError(
                f"{path.name!r} line 1 has one column, {header[0]!r}: separate columns with commas, semicolons or tabs"
            )
        words = f"{path.name!r} line 1 has no column for the {' and the '.join(missing)}, but {', '.join(header)}"
        remedy = f"set columns = {{{inline}}} in [dataset.folder]"
        if "label" in missing and "label" not in guess and len(ones := _ones(header, guess, lines)) >= 2:
            remedy += f" and, for a column of 0 and 1 for each class, label_columns = {ones}"
            remedy = remedy if missing != ["label"] else f"set label_columns = {ones} in [dataset.folder]"
        raise DataError(f"{words}: {remedy}")
    return roles


def _ones(header: Sequence[str], guess: Mapping[str, str], lines: Sequence[tuple[int, list[str]]]) -> list[str]:
    places = [place for place, name in enumerate(header) if name not in guess.values()]
    whole = [cells for _, cells in lines if len(cells) == len(header)]
    return [header[place] for place in places if whole and all(_switch(cells[place]) is not None for cells in whole)]


class Places:
    """Finds the files that a table names, and refuses those outside its folder.

    Args:
        root: the folder from which paths start.
        follow_links: whether links may lead outside it.
        allow_outside: whether absolute paths and ".." may lead outside it.
    """

    def __init__(self, root: Path, *, follow_links: bool, allow_outside: bool) -> None:
        self.root = root
        self.top = os.path.abspath(root)  # noqa: PTH100 - links stay as they are
        self.real = os.path.realpath(root)
        self.follow_links = follow_links
        self.allow_outside = allow_outside
        self.folders: dict[str, tuple[str, dict[str, str] | None]] = {}
        self.plain: dict[str, dict[str, str]] = {}

    def find(self, name: str, where: str) -> tuple[Path, str]:
        """Return the file that a row names, and its path without links.

        The file may not exist. Names that differ only in the Unicode form of their accents are the same.

        Args:
            name: as in the table.
            where: the row.

        Raises:
            DataError: the file is outside the folder, or the name cannot be one.
        """
        if "\0" in name:
            raise DataError(f"{where}: the path has a NUL character: correct the row")
        try:
            path = os.path.normpath(os.path.join(self.top, name))  # noqa: PTH118
            if not self.allow_outside and not _within(path, self.top) and not _within(path, self.real):
                words = f"{where}: {name!r} is outside {str(self.root)!r}"
                if not os.path.lexists(path):
                    raise DataError(f"{words}, and there is no such file: {self.absent(name).partition(': ')[2]}")
                raise DataError(
                    f"{words}: set allow_outside = true in [dataset.folder] to read it, or audio_root to the folder "
                    f"from which paths start"
                )
            path = self._existing(path, name, where)
            folder = os.path.dirname(path)  # noqa: PTH120
            real = os.path.join(self._folder(folder)[0], os.path.basename(path))  # noqa: PTH118, PTH119
            if os.path.islink(real):  # noqa: PTH114
                real = os.path.realpath(real)
        except OSError as error:
            raise DataError(f"{where}: {name!r} cannot be followed ({error.strerror}): correct the path") from error
        if not self.follow_links and _within(path, self.top) and not _within(real, self.real):
            raise DataError(
                f"{where}: {name!r} is a link to a place outside {str(self.root)!r}: set follow_links = true in "
                f"[dataset.folder] to read it, or put the file itself there"
            )
        return Path(path), real

    def absent(self, name: str) -> str:
        """Return why a row's file is not found, and what to do: the likeliest file, if there is one.

        Args:
            name: as in the table; there is no such file.
        """
        words = f"there is no such file in {str(self.root)!r}"
        near = self._near(name)
        if near is not None:
            return f"{words}, but {near!r} is there: write the name as it is on the disk"
        if os.path.isabs(name):  # noqa: PTH117
            return (
                "there is no such file on this machine: correct the path, or write paths that start from audio_root in "
                "[dataset.folder]"
            )
        return f"{words}: correct the path, or set audio_root in [dataset.folder] to the folder from which paths start"

    def _near(self, name: str) -> str | None:
        """Return a file whose name differs in capitals, in blanks at its ends, or has an ending besides."""
        head, tail = os.path.split(os.path.normpath(os.path.join(self.top, name.strip())))  # noqa: PTH118
        wanted = composed(tail).casefold()
        if head not in self.plain:
            self.plain[head] = {}
            for form, each in sorted(self._names(head).items(), reverse=True):
                stem = os.path.splitext(form)[0]  # noqa: PTH122
                self.plain[head].setdefault(stem.casefold(), each)
                self.plain[head][form.casefold()] = each
        found = self.plain[head].get(wanted)
        return None if found is None else os.path.join(os.path.dirname(name.strip()), found)  # noqa: PTH118, PTH120

    def _existing(self, path: str, name: str, where: str) -> str:
        """Return a path in the Unicode form that the disk has; the path itself where no file has it."""
        if os.path.lexists(path):
            return path
        if (other := self._in_any_form(path)) is not None:
            return other
        if "\\" in name:
            slashes = name.replace("\\", "/")
            raise DataError(f"{where}: {name!r} has backslashes: separate folders with slashes, {slashes!r}")
        return path

    def _in_any_form(self, path: str) -> str | None:
        head, tail = os.path.split(path)
        if not tail or head == path:
            return None
        if not os.path.isdir(head):  # noqa: PTH112
            found = self._in_any_form(head)
            if found is None or not os.path.isdir(found):  # noqa: PTH112
                return None
            head = found
        names = self._names(head)
        match = names.get(composed(tail))
        return None if match is None else os.path.join(head, match)  # noqa: PTH118

    def _names(self, folder: str) -> dict[str, str]:
        real, names = self._folder(folder)
        if names is None:
            try:
                names = {composed(each): each for each in os.listdir(folder)}  # noqa: PTH208
            except OSError:
                names = {}
            self.folders[folder] = real, names
        return names

    def _folder(self, folder: str) -> tuple[str, dict[str, str] | None]:
        """Return a folder's path without links, and the names in it by their composed form once they are known."""
        if folder not in self.folders:
            self.folders[folder] = os.path.realpath(folder), None
        return self.folders[folder]


def _within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)


def whole_number(cell: str) -> int | None:
    """Return the whole number that a cell has, "3" or "3.0"; None for anything else."""
    head, point, tail = cell.strip().partition(".")
    digits = head.removeprefix("-").removeprefix("+")
    if not (digits.isascii() and digits.isdecimal() and len(digits) < 10) or (point and tail.strip("0")):
        return None
    return int(head)


def first_cells(path: Path, column: str, count: int = 5) -> list[str]:
    """Return the first cells of a column."""
    header, rows = _cells(path)
    place = header.index(column)
    return [cells[place] for _, cells in rows[:count] if len(cells) == len(header)]
