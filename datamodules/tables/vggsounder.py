"""VGGSounder: the labels that people gave VGGSound's test clips again, several a clip, each heard, seen or both.

Zverev et al., "VGGSounder: Audio-Visual Evaluations for Foundation Models", ICCV 2025, https://vggsounder.github.io.
The labels come with the package `vggsounder`, of which only the table is read and no code is run. Its release 1.0 has
15,069 of the 15,446 test clips. The package's own reader leaves out the 3,055 with background music unless it is told
otherwise; here they count.
"""

from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from datamodules.errors import DataError
from datamodules.tables.csv_table import rows

PACKAGE = "vggsounder"
TABLE = Path("data") / "vggsounder+background-music.csv"
COLUMNS = ("video_id", "label", "modality", "background_music", "static_image", "voice_over")


@dataclass(frozen=True)
class SecondLabels:
    """The labels of a release.

    Attributes:
        release: version of the package.
        audible: the classes that are heard in each clip, by the clip's name; clips in which none is heard are left out.
    """

    release: str
    audible: dict[str, frozenset[str]]


def installed() -> SecondLabels | None:
    """Return the labels of the installed package; None without it.

    Raises:
        DataError: the package has no table, or another one than release 1.0.
    """
    found = find_spec(PACKAGE)
    if found is None or not found.submodule_search_locations:
        return None
    try:
        release = version(PACKAGE)
    except PackageNotFoundError:  # a folder of that name
        return None
    return _read(Path(next(iter(found.submodule_search_locations))) / TABLE, release)


@cache
def _read(table: Path, release: str) -> SecondLabels:
    if not table.is_file():
        raise DataError(f"the package {PACKAGE} {release} has no {TABLE}: install release 1.0 of it")
    audible: dict[str, set[str]] = {}
    for line, row in rows(table, COLUMNS):
        if row["modality"] not in ("A", "V", "AV"):
            raise DataError(f"{table.name!r} line {line}: modality {row['modality']!r} is none of A, V and AV")
        if "A" in row["modality"]:
            audible.setdefault(row["video_id"], set()).add(row["label"])
    return SecondLabels(release, {clip: frozenset(labels) for clip, labels in audible.items()})
