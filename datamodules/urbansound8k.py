"""UrbanSound8K: city sounds of up to four seconds in ten official folds.

Salamon, Jacoby & Bello, "A Dataset and Taxonomy for Urban Sound Research", ACM Multimedia 2014,
https://doi.org/10.1145/2647868.2655045. CC BY-NC 3.0. Layout: `metadata/UrbanSound8K.csv` and `audio/fold1` to
`audio/fold10`, files as uploaded to Freesound: 8 to 192 kHz, 4 bits (ADPCM) to 32, mono or stereo.

The official folds split five of the 1,297 recordings (fsID 77751, 106905, 132016, 176638, 180937), partly the same
seconds under two labels. The test fold stays as published; clips that share a recording or audio with a later split
are left out of training and validation.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from datamodules import layouts
from datamodules.base import DataError, DatasetMissing, Splits
from datamodules.clips.folds import drop_leaks, rotate
from datamodules.clips.waveform_data import WaveformDataModule
from datamodules.listing import AudioFile, Listing, refuse
from datamodules.tables.csv_table import inside, rows

COLUMNS = ("slice_file_name", "fsID", "start", "end", "salience", "fold", "classID", "class")
CLASSES = (
    "air_conditioner", "car_horn", "children_playing", "dog_bark", "drilling",
    "engine_idling", "gun_shot", "jackhammer", "siren", "street_music",
)  # fmt: skip
SOURCE = layouts.URBANSOUND8K_SOURCE
_NAME = re.compile(r"(\d+)-(\d+)-\d+-\d+\.wav", re.ASCII)  # fsID-classID-occurrence-slice


class UrbanSound8K(WaveformDataModule):
    """UrbanSound8K: 8,732 clips of up to 4 s, 10 classes, 10 folds; group = the Freesound recording (fsID).

    Folds keep their official numbers: `fold` k tests official fold k + 1, whatever else is on disk. Clips without audio
    are left out. Where the next fold has no audio, the next one that has some validates; three folds are needed. `note`
    says which fold is tested and which clips are there.

    Arguments as for `WaveformDataModule`; the root holds `metadata/` and `audio/`.
    """

    source = "urbansound8k"
    folds = 10
    split = (
        "official folds: test = k, validation = k + 1 (or the next that has audio), training = the rest, "
        "each without recordings and audio of a later one"
    )
    clips_official = 8732
    default_clip_seconds = 4.0

    @classmethod
    def find(cls, root: Path) -> str | None:
        """Look for the table and the audio folder."""
        return layouts.urbansound8k(root)

    def listing(self) -> Listing:
        """Read the table, and return the clips whose audio is here."""
        table, audio = self._places()
        found = Listing()
        here = _on_disk(audio)
        listed = list(_listed(table, found.problems))
        with found.noting():
            _unnamed(here, listed)
        for clip in listed:
            if (clip.fold, clip.name) in here:
                where = f"{table.name!r} line {clip.line}"
                with found.noting():
                    path = inside(audio, f"fold{clip.fold}/{clip.name}", where)
                    labels = (CLASSES[clip.target],)
                    found.files.append(AudioFile(clip.name, path, labels, clip.recording, str(clip.fold), where))
        return found

    def _places(self) -> tuple[Path, Path]:
        """Return the table and the folder of audio."""
        return layouts.urbansound8k_places(self.checked_root())

    def read(self) -> Splits:
        """Decode the clips whose audio is here, rotate the official folds, and drop what would leak."""
        table, audio = self._places()
        problems: list[str] = []
        listed = list(_listed(table, problems))
        refuse(problems)
        here = _on_disk(audio)
        unnamed = _unnamed(here, listed)
        clips = [clip for clip in listed if (clip.fold, clip.name) in here]
        test, val = self._folds(sorted({clip.fold for clip in clips}))

        self.classes = CLASSES
        every = self.decode(
            [inside(audio, f"fold{clip.fold}/{clip.name}", "the table") for clip in clips],
            [clip.name for clip in clips],
            [clip.recording for clip in clips],
            torch.tensor([clip.target for clip in clips]),
        )
        official = [clip.fold for clip in clips]
        numbers = sorted(set(official))
        splits, *left_out = drop_leaks(*(every.select(part) for part in rotate(official, numbers.index(test))))

        remarks = [f"official fold {test} tested, {val} validates"]
        if len(clips) < len(listed):
            folds = ", ".join(map(str, numbers))
            remarks.append(f"{len(clips):,} of the table's {len(listed):,} clips have audio, in folds {folds}")
        remarks += _torn(listed)
        remarks += _left_out(listed, *left_out)
        if untaught := sorted(set(range(len(CLASSES))) - set(splits.train.targets.tolist())):
            remarks.append(f"no training clips of {', '.join(CLASSES[target] for target in untaught)}")
        remarks += self.silence(every)
        if unnamed:
            remarks.append(f"{unnamed} files that the table does not name left out")
        self.note = "; ".join(remarks)
        return splits

    def _folds(self, here: list[int]) -> tuple[int, int]:
        """Return the official numbers of the test and the validation fold, of those that have audio."""
        test = self.fold + 1
        if test not in here or len(here) < 3:
            have = ", ".join(map(str, here)) or "none"
            remedy = f"three are needed: fetch the others from {SOURCE}"
            if len(here) >= 3:
                use = ", ".join(str(fold - 1) for fold in here)
                remedy = f"ask for `folds` among {use}, or fetch the others from {SOURCE}"
            raise DatasetMissing(
                f"UrbanSound8K's official fold {test} (`fold` {self.fold}) cannot be tested: in {str(self.root)!r} "
                f"the folds with audio are {have}; {remedy}"
            )
        return test, here[(here.index(test) + 1) % len(here)]


@dataclass(frozen=True)
class _Row:
    name: str
    recording: str
    fold: int
    target: int
    line: int


def _listed(table: Path, problems: list[str]) -> Iterator[_Row]:
    """Yield the table's rows; what contradicts itself, or the official classes, is a problem and passed over."""
    first: dict[str, int] = {}
    for line, row in rows(table, COLUMNS, problems=problems):
        try:
            yield _clip(row, line, f"{table.name!r} line {line}", first)
        except DataError as error:
            problems.append(str(error))


def _clip(row: Mapping[str, str], line: int, where: str, first: dict[str, int]) -> _Row:
    """Return a row's clip; `first` has the line in which each name was met."""
    name = _NAME.fullmatch(row["slice_file_name"])
    if not name or name.groups() != (row["fsID"], row["classID"]):
        raise DataError(
            f"{where}: {row['slice_file_name']!r} is not named after fsID {row['fsID']} and classID "
            f"{row['classID']} (fsID-classID-occurrence-slice.wav): restore the table from {SOURCE}"
        )
    number = int(row["classID"])
    if number >= len(CLASSES) or CLASSES[number] != row["class"]:
        raise DataError(f"{where}: class {number} is not called {row['class']!r}: restore the table from {SOURCE}")
    if row["fold"] not in map(str, range(1, UrbanSound8K.folds + 1)):
        raise DataError(f"{where}: fold {row['fold']!r} is not one of 1 to {UrbanSound8K.folds}")
    if (earlier := first.setdefault(name[0], line)) != line:
        raise DataError(f"{where}: {name[0]!r} is in line {earlier} already: remove one of them")
    return _Row(name[0], row["fsID"], int(row["fold"]), number, line)


def _torn(listed: list[_Row]) -> Iterator[str]:
    """Name the recordings that the table has in several folds."""
    places: dict[str, tuple[set[int], set[int]]] = {}
    for clip in listed:
        folds, labels = places.setdefault(clip.recording, (set(), set()))
        folds.add(clip.fold)
        labels.add(clip.target)
    torn = sorted((name for name, (folds, _) in places.items() if len(folds) > 1), key=int)
    if torn:
        twice = sum(len(places[name][1]) > 1 for name in torn)
        slices = sum(clip.recording in torn for clip in listed)
        yield (
            f"{len(torn)} recordings ({slices} clips) stand in several official folds, {twice} of them under several "
            f"labels: {', '.join(torn)}"
        )


def _left_out(listed: list[_Row], from_train: list[str], from_val: list[str]) -> Iterator[str]:
    """Say how many clips are left out for another split's sake; copies, which no fsID shows, are named."""
    if not from_train and not from_val:
        return
    yield (
        f"left out because the same recording or audio stands in a later split: {len(from_train)} training and "
        f"{len(from_val)} validation clips"
    )
    folds_of: dict[str, set[int]] = {}
    for clip in listed:
        folds_of.setdefault(clip.recording, set()).add(clip.fold)
    copies = [name for name in (*from_train, *from_val) if len(folds_of[name.split("-")[0]]) == 1]
    if copies:
        more = f" and {len(copies) - 10} more" if len(copies) > 10 else ""
        yield f"of these, copies of another recording's audio: {', '.join(copies[:10])}{more}"


def _on_disk(audio: Path) -> set[tuple[int, str]]:
    """Return (fold, name) of what lies in the fold folders."""
    folders = [(fold, audio / f"fold{fold}") for fold in range(1, UrbanSound8K.folds + 1)]
    return {
        (fold, path.name)
        for fold, folder in folders
        if folder.is_dir()
        for path in folder.iterdir()
        if not path.name.startswith(".")  # the archive has a .DS_Store in each
    }


def _unnamed(here: set[tuple[int, str]], listed: list[_Row]) -> int:
    """Return how many files the table does not name; refuse those that it has in another fold."""
    fold_of = {clip.name: clip.fold for clip in listed}
    others = sorted((fold, name) for fold, name in here if fold_of.get(name) != fold)
    if moved := [f"fold{fold}/{name} (fold {fold_of[name]})" for fold, name in others if name in fold_of]:
        raise DataError(
            f"{len(moved)} files are in another fold's folder than the table says: {', '.join(moved[:10])}. "
            f"Move them back, because official folds are never changed"
        )
    return len(others)
