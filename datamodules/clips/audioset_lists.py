"""AudioSet's own tables: its labels and its lists of segments.

Gemmeke et al., "Audio Set: An ontology and human-labeled dataset for audio events", ICASSP 2017,
https://research.google.com/audioset/download.html. `class_labels_indices.csv` has a header; the lists are Google's:
comment lines, then `video, start second, end second, "label,label"`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from datamodules import layouts
from datamodules.base import DataError
from datamodules.clips.youtube import Excerpt
from datamodules.tables.csv_table import headless, rows

SOURCE = layouts.AUDIOSET_SOURCE
LABELS = layouts.AUDIOSET_LABELS
OFFICIAL = {"balanced_train": 22_160, "unbalanced_train": 2_041_789, "eval": 20_371}
"""Segments of each official list, `<name>_segments.csv`."""


@dataclass(frozen=True)
class ListedSegment:
    """A row of a list: the clip, and its classes' numbers."""

    excerpt: Excerpt
    labels: tuple[int, ...]


def class_names(table: Path) -> dict[str, str]:
    """Return each class's name by its machine id, in the order of their numbers.

    Raises:
        DataError: a number is missing or out of order, or a machine id stands twice; the message names the line.
    """
    names: dict[str, str] = {}
    for line, row in rows(table, ("index", "mid", "display_name")):
        if row["index"] != str(len(names)) or row["mid"] in names:
            raise DataError(f"{table.name!r} line {line} has index {row['index']}, not {len(names)}: restore the file")
        names[row["mid"]] = row["display_name"]
    return names


def segments(table: Path, classes: Mapping[str, str]) -> list[ListedSegment]:
    """Return a list's rows.

    Args:
        table: the list.
        classes: as from `class_names`.

    Raises:
        DataError: times that are none, an unknown label, or a video twice; the message names the line.
    """
    number = {mid: i for i, mid in enumerate(classes)}
    found: dict[str, ListedSegment] = {}
    for line, row in headless(table, ("YTID", "start_seconds", "end_seconds", "positive_labels")):
        where = f"{table.name!r} line {line}"
        try:
            start, end = float(row["start_seconds"]), float(row["end_seconds"])
        except ValueError as error:
            raise DataError(
                f"{where}: {row['start_seconds']!r} and {row['end_seconds']!r} are not numbers of seconds"
            ) from error
        if not 0 <= start < end < float("inf"):
            raise DataError(f"{where}: no clip lasts from {start:g} to {end:g} s: correct the row")
        mids = row["positive_labels"].split(",")
        if unknown := [mid for mid in mids if mid not in number]:
            raise DataError(f"{where}: label {unknown[0]!r} is not in {LABELS}: fetch both files again from {SOURCE}")
        if row["YTID"] in found:
            raise DataError(f"{where}: video {row['YTID']!r} is listed above already: remove one of the rows")
        found[row["YTID"]] = ListedSegment(Excerpt(row["YTID"], start), tuple(number[mid] for mid in mids))
    return list(found.values())
