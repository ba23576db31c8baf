"""A user's own clips before anything is decoded: files, classes, sources, and what has to be said about them."""

import math
import os
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from datamodules.audio import ENDINGS
from datamodules.clips.own import labels as naming
from datamodules.clips.own.labels import there
from datamodules.clips.own.places import Places
from datamodules.clips.own.table import TIMES, Table, TableRow, read_table, whole_number
from datamodules.clips.own.tree import OTHER_AUDIO, UNREADABLE, Tree, fold_number, part_of, scan
from datamodules.errors import DataError, DatasetMissing
from datamodules.listing import AudioFile
from datamodules.tables.csv_table import safe

FEATURES = frozenset((".npy", ".npz", ".parquet", ".tfrecord", ".tfrecords"))
ARCHIVES = frozenset((".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar", ".zst"))
GROUPINGS = ("folder", "name", "file")
LEVELS = (1, 2)
PLURAL = ("labels", "tags", "classes", "categories")
TIME_COLUMNS = frozenset((
    "start", "end", "start_time", "end_time", "onset", "offset", "start_s", "end_s", "start_seconds", "end_seconds",
    "begin", "begin_time", "start_sec", "end_sec", "begin_time_(s)", "end_time_(s)", "t_min", "t_max", "begin_s",
    "start_ms", "end_ms", "start_sample", "end_sample", "starttime", "endtime",
))  # fmt: skip
"""Names of columns that say where in a file a label holds."""
MIN_FOLDS = 3
SHOWN = 10
CUT = "to cut long files to pieces, set clip_seconds and hop_seconds in [dataset.folder]"
TOO_LONG = "cut it to at most"
"""Words of the decoder's message on a file that is longer than it accepts."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """How a user's own clips are read; see `datamodules.folder.Folder`."""

    root: str | Path | None = None
    csv: str | Path | Sequence[str | Path] | None = None
    audio_root: str | Path | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    label_columns: Sequence[str] = ()
    label_separator: str | None = None
    row_per_label: bool = False
    segments: bool = False
    classes: Sequence[str] = ()
    group_by: str | None = None
    class_level: int = 1
    n_folds: int | None = None
    follow_links: bool = False
    allow_outside: bool = False
    endings: Collection[str] = ENDINGS

    @classmethod
    def of(cls, arguments: Mapping[str, Any]) -> "Options":
        """Return the options among a dataset's arguments; others are left out.

        Raises:
            DataError: a value is of the wrong kind, or values contradict each other.
        """
        known = {each.name for each in fields(cls)}
        given = {name: value for name, value in arguments.items() if name in known and value is not None}
        _check(given)
        for name in ("root", "csv", "audio_root"):
            if isinstance(given.get(name), list | tuple):
                given[name] = tuple(there(Path(each)) for each in given[name])
            elif name in given:
                given[name] = there(Path(given[name]))
        return cls(**given)

    @property
    def several(self) -> bool:
        """Whether a file may have several classes."""
        return bool(self.label_columns or self.label_separator or self.row_per_label or self.segments)

    @property
    def tables(self) -> tuple[Path, ...]:
        """The tables: none, one, or one for each part of the split."""
        given = (self.csv,) if isinstance(self.csv, str | Path) else self.csv or ()
        return tuple(Path(each).expanduser() for each in given)

    @property
    def place(self) -> Path:
        """The folder of the clips: the root, or the folder from which the paths of the tables start."""
        if self.csv is None:
            return Path(self.root or "").expanduser()
        if self.audio_root is not None:
            return Path(self.audio_root).expanduser()
        folders = [table.parent for table in self.tables]
        return folders[0] if len(set(folders)) == 1 else Path(os.path.commonpath(map(os.path.abspath, folders)))

    @property
    def confined(self) -> bool:
        """Whether every file has to be inside `place`."""
        return not (self.follow_links or self.allow_outside)


def _check(given: Mapping[str, Any]) -> None:
    kinds: dict[str, tuple[tuple[type, ...], str]] = {
        "columns": ((dict,), 'columns = {path = "filename", label = "category"}'),
        "label_columns": ((list, tuple), 'label_columns = ["cat", "cow"]'),
        "label_separator": ((str,), 'label_separator = ";"'),
        "row_per_label": ((bool,), "row_per_label = true"),
        "segments": ((bool,), "segments = true"),
        "classes": ((list, tuple), 'classes = ["cat", "cow"]'),
        "follow_links": ((bool,), "follow_links = true"),
        "allow_outside": ((bool,), "allow_outside = true"),
        "n_folds": ((int,), "n_folds = 4"),
        "class_level": ((int,), "class_level = 2"),
        "root": ((str, os.PathLike), 'root = "my_sounds"'),
        "csv": ((str, os.PathLike, list, tuple), 'csv = "my_sounds.csv"'),
        "audio_root": ((str, os.PathLike), 'audio_root = "my_sounds"'),
    }
    for name, (kind, example) in kinds.items():
        if name in given and not isinstance(given[name], kind):
            raise DataError(f"{name} is {given[name]!r}: write it like {example}")
    if isinstance(csv := given.get("csv"), list | tuple) and not (
        csv and all(isinstance(each, str | os.PathLike) for each in csv)
    ):
        raise DataError(f'csv is {csv!r}: write it like csv = "my_sounds.csv", or csv = ["train.csv", "test.csv"]')
    if ("root" in given) == ("csv" in given):
        raise DataError('name the place of your clips: either root = "folder" or csv = "table.csv" in [dataset.folder]')
    if (by := given.get("group_by")) is not None and by not in GROUPINGS:
        raise DataError(f"group_by is {by!r}: it is one of {', '.join(GROUPINGS)}")
    if (n := given.get("n_folds")) is not None and (isinstance(n, bool) or n < MIN_FOLDS):
        raise DataError(f"n_folds is {n!r}: to train, to validate and to test need at least {MIN_FOLDS} folds")
    if (level := given.get("class_level")) is not None and (isinstance(level, bool) or level not in LEVELS):
        raise DataError(f"class_level is {level!r}: 1 if the outer folders are the classes, 2 if those inside them are")
    if "csv" in given and given.get("class_level"):
        raise DataError("class_level is for a folder: leave it out, because the table has the labels")
    if "csv" not in given:
        for name in ("audio_root", "columns", "label_columns", "row_per_label", "segments", "allow_outside"):
            if given.get(name):
                raise DataError(f"{name} is for a table: set csv instead of root, or leave it out")
    if sum(bool(given.get(name)) for name in ("label_columns", "label_separator", "row_per_label")) > 1:
        raise DataError("label_columns, label_separator and row_per_label are three ways to say the same: choose one")
    if given.get("segments") and any(given.get(name) for name in ("label_columns", "label_separator", "row_per_label")):
        raise DataError(
            "segments has one class for each row: leave label_columns, label_separator and row_per_label out"
        )


@dataclass
class OwnClips:
    """A user's own clips, not decoded.

    Attributes:
        options: how they were read.
        files: the usable files; `fold` is the user's fold or part, empty without one.
        classes: names of the classes, in order.
        problems: one line for each thing that has to be corrected.
        unreadable: name of each audio file that cannot be read, and the reason.
        notes: facts that the record keeps.
        warnings: facts that the user should look at; the record keeps them, too.
        segments: name of each file to its segments (start and end in seconds, class), where rows are segments.
        given: whether the user says the split: by folds, by parts, or not at all.
        group_rule: what counts as the source of a clip, in words.
        group_remedy: how the user says something else.
    """

    options: Options
    files: list[AudioFile] = field(default_factory=list)
    classes: tuple[str, ...] = ()
    problems: list[str] = field(default_factory=list)
    unreadable: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    segments: dict[str, list[tuple[float, float, str]]] = field(default_factory=dict)
    given: Literal["folds", "parts", ""] = ""
    group_rule: str = ""
    group_remedy: str = ""

    @property
    def task(self) -> Literal["single", "multi"]:
        """Whether a file may have several classes."""
        return "multi" if self.options.several else "single"

    def targets(self) -> NDArray[np.int64]:
        """Return the class of each file `(N,)`, or zeros and ones `(N, C)` where a file may have several."""
        places = {label: place for place, label in enumerate(self.classes)}
        if self.task == "single":
            return np.array([places[file.labels[0]] for file in self.files], np.int64)
        positives = np.zeros((len(self.files), len(self.classes)), np.int64)
        for row, file in zip(positives, self.files, strict=True):
            row[[places[label] for label in file.labels]] = 1
        return positives


def read(options: Options) -> OwnClips:
    """List a user's clips.

    Raises:
        DatasetMissing: the folder or the table does not exist, or has no audio.
        DataError: the table itself cannot be used.
    """
    found = OwnClips(options)
    if options.csv is not None:
        _read_table(found)
    else:
        _read_tree(found)
    _name_classes(found)
    return found


def _read_tree(found: OwnClips) -> None:
    root = found.options.place
    if not root.is_dir():
        raise DatasetMissing(f"{str(root)!r} is not a folder: put your clips in one folder per class there")
    tree = scan(root, follow_links=found.options.follow_links, endings=found.options.endings)
    if not tree.files and not tree.problems and not tree.unreadable:
        if found.options.endings is ENDINGS and (features := sorted(tree.others.keys() & FEATURES)):
            raise DatasetMissing(
                f"no audio in {str(root)!r}, but files of features ({' '.join(features)}): "
                f'they are the dataset "embeddings", with root in [dataset.embeddings]'
            )
        if packed := sorted(tree.others.keys() & ARCHIVES):
            raise DatasetMissing(f"no audio in {str(root)!r}, but archives ({' '.join(packed)}): unpack them")
        endings = " ".join(found.options.endings)
        raise DatasetMissing(f"no audio in {str(root)!r}: put your clips ({endings}) in one folder per class")
    found.problems, found.unreadable = tree.problems, tree.unreadable
    if found.options.class_level == 2:
        _swap(tree)
    for name, absent in tree.lists.items():
        also = f"; {absent} of its lines name no file" if absent else ""
        found.notes.append(f"{name!r} says which clips are in that part{also}")
    tree.files = [
        replace(file, label=naming.composed(file.label), inner=naming.composed(file.inner)) for file in tree.files
    ]
    parts = {file.part for file in tree.files}
    found.given = "" if parts <= {""} else "parts" if parts & {"train", "val", "test"} else "folds"
    found.notes += _left_out(tree)
    groups = _tree_groups(found, tree)
    found.files = [
        AudioFile(file.name, file.path, (file.label,), group, file.part)
        for file, group in zip(tree.files, groups, strict=True)
    ]


def _swap(tree: Tree) -> None:
    """Take the folders inside the outer ones as classes, and the outer ones as sources."""
    for file in tree.files:
        if not file.inner:
            tree.unreadable[file.name] = "it is in no folder of a class (class_level = 2): move it into one"
    tree.files = [replace(file, label=file.inner, inner=file.label) for file in tree.files if file.inner]


def _left_out(tree: Tree) -> Iterator[str]:
    """Yield notes on what a folder has besides audio in classes."""
    if others := sum(tree.others.values()):
        yield f"{others} entries that are no audio left out"
    if tree.empty:
        more = f" and {len(tree.empty) - SHOWN} more" if len(tree.empty) > SHOWN else ""
        yield f"{len(tree.empty)} folders without audio left out ({', '.join(map(repr, tree.empty[:SHOWN]))}{more})"


def _tree_groups(found: OwnClips, tree: Tree) -> list[str]:
    """Return the source of each file: its folder below the class, its name without the ending, or the file itself."""
    by = found.options.group_by
    inner = any(file.inner for file in tree.files)
    stems = [naming.composed(safe(file.path.stem)) for file in tree.files]
    folders = [file.inner or stem for file, stem in zip(tree.files, stems, strict=True)]
    explicit = by is not None
    if by is None and found.given:
        by = "folder" if inner else "file"
        found.warnings += _in_several_parts(tree)
    elif by is None:
        by = "folder" if inner else "name"
        fewest, label = fewest_sources([file.label for file in tree.files], folders)
        if inner and fewest < MIN_FOLDS:
            by = "name"
            found.warnings.append(
                f"the folders inside the classes are not taken as sources, because {label!r} has only {fewest}: each "
                f'file name is a source; if these folders are speakers or recordings, set group_by = "folder" in '
                f"[dataset.folder]"
            )
    words = {"folder": "the folder inside the class", "name": "the file name without its ending", "file": "the file"}
    others = " or ".join(f'group_by = "{each}"' for each in GROUPINGS if each != by and (inner or each != "folder"))
    found.group_rule, found.group_remedy = words[by], f"set {others} in [dataset.folder]"
    if by == "folder" and inner:
        found.notes.append("clips of one folder inside the classes count as one source")
    if by == "file":
        return [file.name for file in tree.files]
    groups = folders if by == "folder" else stems
    if explicit:
        return groups
    # Where the user has said the split and not the sources, equal names in two parts are no leak.
    return [f"{file.part}/{group}" if file.part else group for file, group in zip(tree.files, groups, strict=True)]


def _in_several_parts(tree: Tree) -> Iterator[str]:
    """Yield a warning if folders inside the classes have the same name in several parts of the given split."""
    parts: dict[str, set[str]] = defaultdict(set)
    for file in tree.files:
        if file.inner:
            parts[file.inner].add(file.part)
    if several := sorted(name for name, places in parts.items() if len(places) > 1):
        yield (
            f"the folders {counted(several)} inside the classes are in several parts of the split: if they are "
            f'speakers or recordings, the test is too easy; group_by = "folder" in [dataset.folder] refuses that'
        )


def fewest_sources(labels: Sequence[str], groups: Sequence[str]) -> tuple[int, str]:
    """Return the smallest number of sources that a class has, and that class."""
    sources: dict[str, set[str]] = defaultdict(set)
    for label, group in zip(labels, groups, strict=True):
        sources[label].add(group)
    return min(((len(each), label) for label, each in sources.items()), default=(0, ""))


def _read_table(found: OwnClips) -> None:
    options = found.options
    paths = options.tables
    tables = [read_table(each, options.columns, options.label_columns, segments=options.segments) for each in paths]
    if not options.place.is_dir():
        raise DatasetMissing(f"audio_root = {str(options.place)!r} is not a folder: correct it in [dataset.folder]")
    table = tables[0]
    found.problems = [problem for each in tables for problem in each.problems]
    if unused := list(dict.fromkeys(name for each in tables for name in each.unused)):
        named = ", ".join(map(repr, unused[:SHOWN])) + (" …" if len(unused) > SHOWN else "")
        found.notes.append(f"columns of the table that are not used: {named}")
    if len(tables) > 1:
        table = replace(table, rows=_joined(options, tables), unused=unused)
        table.roles.setdefault("split", "split")
        table.roles.pop("fold", None)
    names = " and ".join(path.name for path in paths)
    column = next((role for role in ("fold", "split") if role in table.roles), None)
    if {"fold", "split"} <= table.roles.keys():
        found.warnings.append(
            f"the column {table.roles['fold']!r} says the split, and {table.roles['split']!r} is not used"
        )
    rows = _with_folds(found, table.rows, column, table.roles, names)
    own_groups = "group" in table.roles
    if own_groups and options.group_by is not None:
        raise DataError(f"group_by and the column {table.roles['group']!r} say the sources: leave out one of them")
    by = options.group_by or ("file" if column else "name")
    words = {"folder": "the file's folder", "name": "the file name without its ending", "file": "the file"}
    if own_groups:
        found.group_rule = f"the column {table.roles['group']!r}"
        found.group_remedy = "correct that column"
    else:
        others = " or ".join(f'group_by = "{each}"' for each in GROUPINGS if each != by)
        found.group_rule = words[by]
        found.group_remedy = f"add a column group to the table, or set {others} in [dataset.folder]"
    times = [name for name in table.unused if name.strip().casefold().replace(" ", "_") in TIME_COLUMNS]
    if times:
        found.warnings.append(
            f"the columns {counted(times)} are not used: a clip is a whole file, not a segment of it; if they say "
            f"where in a file its label holds, set segments = true in [dataset.folder]"
        )
    found.files = list(_files(found, rows, names, None if own_groups else by, times=bool(times)))


def _joined(options: Options, tables: Sequence[Table]) -> list[TableRow]:
    """Return the rows of a table for each part, with their part: their own, or that of the table's name or folder."""
    parts = [part_of(path.stem) or part_of(path.parent.name) for path in options.tables]
    if "train" not in parts:  # "dev" and "eval"
        parts = ["train" if part == "val" else part for part in parts]
    rows = []
    for path, part, table in zip(options.tables, parts, tables, strict=True):
        if part is None and "split" not in table.roles:
            raise DataError(
                f"{path.name!r} is one of several tables, and does not say which part it is: call it train, val or test"
            )
        if table.roles.keys() - {"split", "fold"} != tables[0].roles.keys() - {"split", "fold"}:
            raise DataError(f"{path.name!r} has other columns than {options.tables[0].name!r}: make them the same")
        start = os.path.relpath(os.path.abspath(path.parent), os.path.abspath(options.place))  # noqa: PTH100
        for row in table.rows:
            cells = dict(row.cells)
            if "split" not in table.roles:
                cells["split"] = part or ""
            if options.audio_root is None and start != ".":
                cells["path"] = f"{Path(start).as_posix()}/{cells['path']}"
            rows.append(replace(row, cells=cells, table=path.name))
    return rows


def _with_folds(
    found: OwnClips, rows: Sequence[TableRow], column: str | None, roles: Mapping[str, str], table: str
) -> list[tuple[TableRow, str]]:
    """Return the rows with their fold or part, in the form that the rest of the program uses."""
    if column is None:
        return [(row, "") for row in rows]
    cells = [row.cells[column].strip() for row in rows]
    parts = [part_of(cell) for cell in cells]
    if parts and all(parts):
        found.given = "parts"
        return [(row, part or "") for row, part in zip(rows, parts, strict=True)]
    found.given = "folds"
    numbers = [whole_number(fold_number(cell) or cell) for cell in cells]
    numeric = any(number is not None for number in numbers)
    if not numeric and any(parts):
        for row, cell, part in zip(rows, cells, parts, strict=True):
            if part is None:
                found.problems.append(
                    f"{table!r} line {row.line}: {column} {cell!r} is not train, val or test, as other rows are: "
                    f"correct the cell, remove the row, or rename the column if it is something else"
                )
        found.given = "parts"
        return [(row, part) for row, part in zip(rows, parts, strict=True) if part is not None]
    if not numeric and not any(parts) and column == "fold":
        if (count := len(set(cells))) > max(MIN_FOLDS, len(cells) // 2):
            found.problems.append(
                f"{table!r}: the column {roles[column]!r} has {count} different names in {len(cells)} rows: give the "
                f"clips whole numbers or a few names as folds, or leave the column out"
            )
            return []
        return list(zip(rows, cells, strict=True))
    kept = []
    for row, cell, number in zip(rows, cells, numbers, strict=True):
        if number is None or number < 0:
            what = "a whole number from 0 on" if numeric or column == "fold" else "train, val or test"
            found.problems.append(
                f"{table!r} line {row.line}: {column} {cell!r} is not {what}: correct the cell, or rename the "
                f"column if it is something else"
            )
        else:
            kept.append((row, str(number)))
    return kept


def _files(
    found: OwnClips, rows: Sequence[tuple[TableRow, str]], table: str, by: str | None, *, times: bool
) -> Iterator[AudioFile]:
    """Yield the files of a table; problems of single rows are appended.

    Args:
        found: receives the problems.
        rows: with their folds.
        table: name of the table.
        by: what counts as the source; None where a column says it.
        times: whether columns look like the ends of segments.
    """
    options = found.options
    places = Places(
        options.place, follow_links=options.follow_links, allow_outside=options.allow_outside, endings=options.endings
    )
    first: dict[str, tuple[int, AudioFile]] = {}
    repeated = 0
    for row, fold in rows:
        where = f"{row.table or table!r} line {row.line}"
        name = row.cells["path"]
        try:
            path, real = places.find(name, where)
        except DataError as error:
            found.problems.append(str(error))
            continue
        if not os.path.lexists(path):
            found.unreadable[name] = places.absent(name)
            continue
        ending = path.suffix.lower()
        if ending in OTHER_AUDIO and ending not in options.endings:
            found.unreadable[name] = f"{ending} {UNREADABLE}: convert it to wav or flac"
            continue
        labels = (row.cells["label"],) if row.positives is None else row.positives
        group = row.cells["group"] if by is None else _group(name, path, by)
        file = AudioFile(name, path, labels, group, fold, where)
        if options.segments:
            try:
                segment = (*_times(row, where), labels[0])
            except DataError as error:
                found.problems.append(str(error))
                continue
            found.segments.setdefault(first[real][1].id if real in first else name, []).append(segment)
        if real not in first:
            first[real] = row.line, file
            continue
        line, earlier = first[real]
        if (
            not options.segments
            and not times
            and (earlier.labels, earlier.fold, earlier.group) == (labels, fold, group)
        ):
            repeated += 1
            continue
        if not options.row_per_label and not options.segments:
            question = "" if labels == earlier.labels else ", or set row_per_label = true if a clip has several classes"
            remedy = f"remove one of them{question}"
            if times:
                remedy = "set segments = true if each row is a segment and none overlap"
                remedy += question and ", or row_per_label = true if a clip has several classes"
            found.problems.append(f"{where}: {name!r} is in line {line} already: {remedy}")
        elif (earlier.fold, earlier.group) != (fold, group):
            found.problems.append(f"{where}: {name!r} has another fold or group in line {line}: correct one of them")
        else:
            first[real] = line, replace(earlier, labels=tuple(dict.fromkeys((*earlier.labels, *labels))))
    if repeated:
        found.notes.append(f"{repeated} rows of the table repeat an earlier row and count once")
    if places.found_below:
        found.notes.append(f"{places.found_below} files were found below {str(options.place)!r} by their names alone")
    yield from (file for _, file in first.values())


def _times(row: TableRow, where: str) -> tuple[float, float]:
    """Return a row's start and end in seconds."""
    try:
        start, end = (float(row.cells[role]) for role in TIMES)
    except ValueError:
        start, end = 0.0, math.nan
    if not 0 <= start < end < math.inf:
        raise DataError(
            f"{where}: the segment is from {row.cells['start']!r} to {row.cells['end']!r}: give seconds, start < end"
        )
    return start, end


def _group(name: str, path: Path, by: str) -> str:
    if by == "file":
        return name
    return naming.composed(path.stem if by == "name" else path.parent.name or path.stem)


def _name_classes(found: OwnClips) -> None:
    """Set the classes and each file's labels; a label that looks like several classes is a problem."""
    options = found.options
    if options.label_separator:
        split = {
            label: naming.separated(label, options.label_separator) for file in found.files for label in file.labels
        }
        given = [file.labels[0] for file in found.files]
        found.files = [replace(file, labels=split[file.labels[0]]) for file in found.files]
        empty = {label for label in split if naming.is_list(label)}
        if bare := [file for file, was in zip(found.files, given, strict=True) if not file.labels and was not in empty]:
            found.problems.append(f"{bare[0].where or bare[0].id}: the label has no class: correct it")
    present = sorted({label for file in found.files for label in file.labels})
    if options.label_separator != "" and not options.label_columns:
        plural = options.columns.get("label", "").strip().casefold() in PLURAL
        asked = naming.question(present, certain=bool(options.label_separator), plural=plural)
        found.problems += [asked] if asked else []
    wanted = [naming.composed(str(name)) for name in options.classes or options.label_columns]
    try:
        found.classes = naming.ordered(present, wanted)
        if not options.several and (unseen := [name for name in found.classes if name not in present]) and present:
            found.problems.append(
                f"no clip has {counted(unseen)} of classes: leave out such names, or add clips of them"
            )
    except DataError as error:
        found.problems.append(str(error))
        found.classes = tuple(present)
    found.warnings += naming.alike(found.classes)
    if options.several and not options.segments and (bare_clips := sum(not file.labels for file in found.files)):
        found.notes.append(f"{bare_clips} clips have none of the classes")


def counted(names: Sequence[str]) -> str:
    """Return names in words: the first ten, and how many more there are."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(map(repr, names[:SHOWN])) + more


def by_reason(unreadable: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """Return the names of unreadable files by the reason, the commonest reason first."""
    reasons = Counter(unreadable.values())
    return {
        reason: tuple(name for name, why in unreadable.items() if why == reason) for reason, _ in reasons.most_common()
    }
