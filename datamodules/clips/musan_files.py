"""MUSAN's files and their sources, for the datasets that are made of them.

Files of one source stay together:

* where an `index.csv` (`file,label,source_group`) lies next to the folder, its `source_group`;
* else the artist of a piece of music: its line in ANNOTATIONS from the fourth word on
  (`music-fma-0026 blues Y Cullah`);
* else the file. ANNOTATIONS state sex and language of speech but no speaker, and no source of noise.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

from datamodules import layouts
from datamodules.base import DataError
from datamodules.clips.segments import Recording, files_of
from datamodules.tables.csv_table import rows

NO_CLIPS = ("ANNOTATIONS", "LICENSE", "README", "README.md")
OFFICIAL = {"music": 660, "speech": 426, "noise": 930}
"""Number of files of each class in the complete corpus."""
LONGEST_SECONDS = 4000.0
SHARES = (0.65, 0.10, 0.25)
"""Shares of the files that SwishNet's authors train, validate and test on."""


def recordings(root: Path) -> tuple[list[Recording], list[str]]:
    """List the wav files of each class, with their sources as far as they are known, and remarks.

    Raises:
        DataError: the index is wrong, or a file is not in it.
    """
    base = layouts.musan_base(root)
    listed = _indexed(base) if (base.parent / "index.csv").is_file() else None
    artists = _artists(base / "music") if listed is None else {}
    found: list[Recording] = []
    left_out = unknown = 0
    for label in OFFICIAL:
        files, others = files_of(base, base / label, NO_CLIPS)
        left_out += others
        for name, path in files:
            if listed is not None:
                group = _group(listed, name, label)
            else:
                group = artists.get(path.stem, name) if label == "music" else name
                unknown += label == "music" and group == name
            found.append(Recording(name, path, label, group))
    remarks = [f"sources: {'index.csv' if listed is not None else 'the artist of music, else the file'}"]
    if listed is not None and (absent := len(listed.keys() - {file.name for file in found})):
        remarks.append(f"{absent} files of index.csv are not there")
    if unknown:
        remarks.append(f"{unknown} pieces of music without an artist in ANNOTATIONS")
    if left_out:
        remarks.append(f"{left_out} entries that are no wav files left out")
    return found, remarks


def _indexed(base: Path) -> dict[str, tuple[int, str, str]]:
    """Return line, label and source group of each file that the index next to the corpus lists."""
    table = base.parent / "index.csv"
    listed: dict[str, tuple[int, str, str]] = {}
    for line, row in rows(table, ("file", "label", "source_group"), ("seconds", "license")):
        if row["file"] in listed:
            raise DataError(
                f"{table.name!r} line {line}: {row['file']!r} is in line {listed[row['file']][0]} already: "
                f"remove one of them"
            )
        listed[row["file"]] = line, row["label"], row["source_group"]
    return listed


def _group(listed: Mapping[str, tuple[int, str, str]], name: str, label: str) -> str:
    """Return the source group of a file; raise `DataError` unless the index lists it under its own class."""
    if name not in listed:
        raise DataError(f"{name!r} is not in index.csv: add its row, or remove index.csv")
    line, listed_label, group = listed[name]
    if listed_label != label:
        raise DataError(f"'index.csv' line {line}: {name!r} is {listed_label!r} but lies in {label!r}: correct the row")
    return group


def _artists(music: Path) -> dict[str, str]:
    """Return the artist of each file for which a source's ANNOTATIONS name one."""
    return {words[0]: " ".join(words[3:]).casefold() for words in _annotations(music) if words[2] in ("Y", "N")}


def _annotations(folder: Path) -> Iterator[list[str]]:
    """Yield the words of each line of four or more in the sources' ANNOTATIONS."""
    for path in sorted(folder.glob("*/ANNOTATIONS")):
        if path.is_file():
            for line in path.read_text(encoding="utf-8", errors="backslashreplace").splitlines():
                if len(words := line.split()) >= 4:
                    yield words
