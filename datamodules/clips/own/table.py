"""Tables of a user's own clips: any columns, any of three separators, and paths as other programs write them."""

import csv
import json
import os
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from datamodules.audio import ENDINGS
from datamodules.clips.own.labels import composed
from datamodules.errors import DataError, DatasetMissing

TIMES = ("start", "end")
"""Roles of the columns that place a row in its file, in seconds, where rows are segments."""

ROLES = ("path", "label", "fold", "split", "group", *TIMES)
USUAL = {
    "path": ("path", "file_name", "filename", "file", "filepath", "file_path", "audio", "audio_path", "audio_file",
             "audio_filename", "wav", "wav_path", "clip", "clip_path", "fname", "slice_file_name", "sample_key",
             "audio_name", "begin_file", "sound", "name", "file_id", "audio_id", "recording_path", "id", "datei",
             "dateiname", "pfad"),
    "label": ("label", "labels", "class", "category", "target", "class_name", "classname", "tag", "tags", "species",
              "class_label", "event_label", "scene_label", "primary_label", "species_name", "species_code", "emotion",
              "genre", "instrument", "instrument_family_str", "keyword", "word", "command", "event", "scene", "y",
              "klasse", "kategorie", "art"),
    "fold": ("fold", "folds", "kfold", "fold_id"),
    "split": ("split", "subset", "partition", "part", "set"),
    "group": ("group", "groups", "speaker", "speaker_id", "client_id", "recording", "recording_id", "source",
              "source_file", "src_file", "session", "subject", "subject_id", "participant", "patient_id", "sprecher"),
    "start": ("start", "onset", "begin", "start_seconds", "start_time", "begin_time_(s)", "from"),
    "end": ("end", "offset", "stop", "end_seconds", "end_time", "end_time_(s)", "to"),
}  # fmt: skip
"""Column names that are proposed for each role, likeliest first; only the role's own name is taken without asking."""

SEPARATORS = (",", ";", "\t", "|")
JSON = (".json", ".jsonl", ".ndjson")
NO_TABLES = {
    **dict.fromkeys(ENDINGS, "is audio: name its folder, or a table of clips"),
    **dict.fromkeys((".zip", ".tar", ".gz", ".tgz", ".7z", ".rar"), "is an archive: unpack it, and name the folder"),
    **dict.fromkeys((".xlsx", ".xls", ".ods", ".numbers"), "is a spreadsheet: save it as CSV with the encoding UTF-8"),
}
"""What else people name instead of a table, and what to do."""


@dataclass(frozen=True)
class TableRow:
    """A row: its line, the cells of its roles, its label columns that are 1, and its table if there are several."""

    line: int
    cells: dict[str, str]
    positives: tuple[str, ...] | None = None
    table: str = ""


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
    refuse_without_header(path, header)
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


def refuse_without_header(path: Path, header: Sequence[str]) -> None:
    """Raise `DataError` where the first line of a table is a clip."""
    if any(os.path.splitext(cell)[1].lower() in ENDINGS for cell in header):  # noqa: PTH122
        named = ",".join(("path", "label", "group", "fold")[: len(header)])
        raise DataError(
            f"{path.name!r} line 1 is a clip and no header: add a line above it with names of columns, such as {named}"
        )


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
    """Return the columns that hold both 0 and 1 and nothing else, in order, without those in `besides`.

    None are returned where another column may have the label.
    """
    lines = _cells(path)[1]
    if candidates(header, lines, besides):
        return []
    left = {name: place for place, name in enumerate(header) if name not in besides}
    rows = [cells for _, cells in lines if len(cells) == len(header)]
    for cells in rows:
        left = {name: place for name, place in left.items() if _switch(cells[place]) is not None}
    return [name for name, place in left.items() if len({_switch(cells[place]) for cells in rows}) == 2]


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


def candidates(header: Sequence[str], lines: Sequence[tuple[int, list[str]]], taken: Collection[str] = ()) -> list[str]:
    """Return the columns that may have the label: with few different words, several rows for each.

    Args:
        header: names of the columns.
        lines: the other rows.
        taken: columns that have another role.
    """
    rows = [cells for _, cells in lines if len(cells) == len(header)]
    found = []
    for place, name in enumerate(header):
        values = {cells[place].strip() for cells in rows} - {""}
        words = [each for each in values if not _number(each) and _switch(each) is None]
        if name and name not in taken and 2 <= len(values) <= max(2, len(rows) // 2) and len(words) == len(values):
            found.append(name)
    return found


def _number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _switch(cell: str) -> bool | None:
    """Return what a cell of a label column says; None where it is neither 0 nor 1."""
    return {"0": False, "1": True, "0.0": False, "1.0": True, "false": False, "true": True}.get(cell.strip().casefold())


def _cells(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Return the header and the other rows with their line numbers; rows whose cells are all blank do not count."""
    if (words := NO_TABLES.get(path.suffix.lower())) is not None:
        raise DataError(f"{str(path)!r} {words}")
    try:
        if path.suffix.lower() in JSON:
            return _json_cells(path)
        with path.open(encoding="utf-8-sig", newline="") as file:  # -sig: spreadsheets write a byte-order mark
            first = file.readline()
            said = re.fullmatch(r"\"?sep=(.)\"?", first.strip("\r\n"))  # which spreadsheets put above the header
            if said:
                separator = said[1]
            else:
                file.seek(0)
                separator = max(SEPARATORS, key=lambda each: len(next(csv.reader([first], delimiter=each), [])))
            reader = csv.reader(file, delimiter=separator, strict=True)
            header = [composed(name.strip()) for name in next(reader, [])]
            before = 1 if said else 0
            return header, [
                (before + reader.line_num, cells) for cells in reader if any(cell.strip() for cell in cells)
            ]
    except (OSError, ValueError, RecursionError, csv.Error) as error:
        kind = "JSON" if path.suffix.lower() in JSON else "table"
        remedy = "write a list of objects, or CSV" if kind == "JSON" else "save it as CSV with the encoding UTF-8"
        raise DataError(f"{str(path)!r} cannot be read as a UTF-8 {kind} ({error}): {remedy}") from error


def _json_cells(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Return the keys and the values of a list of objects, of an object for each line, or of objects by their names."""
    text = path.read_text("utf-8-sig")
    if path.suffix.lower() == ".json":
        found = json.loads(text)
        rows = (
            [{"name": name, **each} for name, each in found.items() if isinstance(each, dict)]
            if isinstance(found, dict)
            else found
        )
    else:
        rows = [json.loads(line) for line in text.splitlines() if line.strip()]
    if not isinstance(rows, list) or not rows or not all(isinstance(each, dict) for each in rows):
        raise ValueError("it is no list of objects")
    header = list(dict.fromkeys(name for each in rows for name in each))
    cells = [[_json_cell(each.get(name)) for name in header] for each in rows]
    return [composed(name.strip()) for name in header], list(enumerate(cells, 1))


def _json_cell(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


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
    none = [role for role, name in columns.items() if not name]
    columns = {role: name for role, name in columns.items() if name}
    if absent := [name for name in (*columns.values(), *label_columns) if name not in header]:
        raise DataError(f"{path.name!r} has no column {absent[0]!r}: it has {', '.join(header)}")
    usual = [role for role in ROLES if segments or role not in TIMES]
    roles = dict(columns) | {role: role for role in usual if role in header and role not in (*columns, *none)}
    if label_columns:
        roles.pop("label", None)
    needed = ["path", *([] if label_columns else ["label"]), *(TIMES if segments else ())]
    if missing := [role for role in needed if role not in roles]:
        guess = proposed(header, roles)
        likely = candidates(header, lines, guess.values())
        guess = {"label": likely[0]} | guess if likely else guess
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


def whole_number(cell: str) -> int | None:
    """Return the whole number that a cell has, "3" or "3.0"; None for anything else."""
    head, point, tail = cell.strip().partition(".")
    digits = head.removeprefix("-").removeprefix("+")
    if not (digits.isascii() and digits.isdecimal() and len(digits) < 10) or (point and tail.strip("0")):
        return None
    return int(head)


def some_cells(path: Path, column: str, count: int = 10) -> list[str]:
    """Return cells of a column, spread over the table."""
    header, rows = _cells(path)
    place = header.index(column)
    return [cells[place] for _, cells in rows[:: max(1, len(rows) // count)] if len(cells) == len(header)]


def rows_of(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Return a table's header, and its rows with their line numbers.

    Raises:
        DataError: it cannot be read.
    """
    return _cells(path)
