"""ESC-50 and ESC-10: environmental sounds in five official folds.

Piczak, "ESC: Dataset for Environmental Sound Classification", ACM Multimedia 2015, https://doi.org/10.1145/2733373.2806390.
Layout: `meta/esc50.csv` and `audio/`. ESC-10 is the rows with `esc10` True, in a folder of its own or inside ESC-50's.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import torch

from datamodules import layouts
from datamodules.base import DataError, DatasetMissing, Splits
from datamodules.clips.folds import rotated
from datamodules.clips.waveform_data import WaveformDataModule
from datamodules.listing import AudioFile, Listing
from datamodules.tables.csv_table import inside, rows

COLUMNS = ("filename", "fold", "target", "category", "esc10", "src_file", "take")
SOURCE = layouts.ESC50_SOURCE


class ESC50(WaveformDataModule):
    """ESC-50: 2,000 clips of 5 s, 50 classes, 5 folds; group = the freesound recording.

    Arguments as for `WaveformDataModule`; the root holds `meta/` and `audio/`, or what
    `layouts.esc50_places` understands.
    """

    source = "esc50"
    folds = 5
    split = "official folds: test = k, validation = k + 1, training = the rest"
    clips_official = 2000
    default_clip_seconds = 5.0
    only_esc10: ClassVar[bool] = False

    @classmethod
    def find(cls, root: Path) -> str | None:
        """Look for the table and the audio folder."""
        return layouts.esc50(root)

    def listing(self) -> Listing:
        """Read the table."""
        table, audio = layouts.esc50_places(self.checked_root())
        found = Listing()
        names: dict[int, str] = {}
        first: dict[str, str] = {}
        for line, row in rows(table, COLUMNS, problems=found.problems):
            with found.noting():
                file = self._file(row, f"{table.name!r} line {line}", names, audio)
                if file and first.setdefault(file.id, file.where) != file.where:
                    raise DataError(f"{table.name!r} names files twice: {file.id}: remove line {line}")
                if file:
                    found.files.append(file)
        self.classes = tuple(names[number] for number in sorted(names))  # ESC-10's class numbers have gaps
        return found

    def _file(self, row: Mapping[str, str], where: str, names: dict[int, str], audio: Path) -> AudioFile | None:
        """Return a row's file, None where it is not of this dataset; `names` has the classes found so far by number."""
        if row["esc10"] not in ("True", "False"):
            raise DataError(f"{where}: esc10 is {row['esc10']!r}, not True or False")
        if self.only_esc10 and row["esc10"] == "False":
            return None
        try:
            fold, target = int(row["fold"]), int(row["target"])
        except ValueError as error:
            raise DataError(f"{where}: fold and target must be whole numbers ({error})") from error
        if not 1 <= fold <= self.folds:
            raise DataError(f"{where}: fold {fold} is not one of 1 to {self.folds}")
        if names.setdefault(target, row["category"]) != row["category"]:
            raise DataError(f"{where}: target {target} is {row['category']!r} here and {names[target]!r} above")
        if (other := next(number for number, name in names.items() if name == row["category"])) != target:
            raise DataError(f"{where}: {row['category']!r} has target {target} here and {other} above")
        path = inside(audio, row["filename"], where)
        return AudioFile(path.name, path, (row["category"],), row["src_file"], str(fold), where)

    def read(self) -> Splits:
        """Decode the clips and rotate the official folds."""
        files = self.listing().whole()
        if absent := [file.id for file in files if isinstance(file.source, Path) and not file.source.exists()]:
            some = ", ".join(absent[:10])
            folder = str(layouts.esc50_places(self.checked_root())[1])
            raise DatasetMissing(f"{len(absent)} of {len(files)} files are not in {folder!r} ({some}): see {SOURCE}")
        clips = self.decode(
            [file.source for file in files],
            [file.id for file in files],
            [file.group for file in files],
            torch.tensor([self.classes.index(file.labels[0]) for file in files]),
        )
        self.note = "; ".join(self.silence(clips))
        return rotated(clips, [int(file.fold) for file in files], self.fold)


class ESC10(ESC50):
    """ESC-10: the 400 clips, 10 classes of ESC-50's easy part; arguments as for ESC-50."""

    source = "esc10"
    clips_official = 400
    only_esc10 = True
