"""Your own clips: one folder per class, or a table of files."""

import math
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import torch

from datamodules.audio import ENDINGS, AudioError, AudioSource, length
from datamodules.base import DataError, DatasetMissing, Splits
from datamodules.clips.array_clips import silent
from datamodules.clips.folds import grouped_folds, rotate, rotated
from datamodules.clips.waveform_data import WaveformDataModule
from datamodules.listing import AudioFile, Listing
from datamodules.tables.csv_table import inside, rows, safe

MAX_DEFAULT_SECONDS = 10.0
DEFAULT_FOLDS = 5
FOLD_SEED = 0  # the division belongs to the dataset and does not depend on the run's seed


class Folder(WaveformDataModule):
    """Clips in `root/<class>/`, or named by a CSV with the columns `path,label` and, optionally, `fold` and `group`.

    Without folds, the clips are divided into five folds that keep every group together. A group is a source (a
    recording, a speaker). Without that column, files of the same name are a group, whatever their ending or class; give
    groups where several files were cut from one recording.

    Args:
        root: folder with one folder per class.
        cache: as in `AudioDataModule`.
        fold: as in `AudioDataModule`.
        seed: as in `AudioDataModule`.
        batch_size: as in `AudioDataModule`.
        csv: table instead of `root`; its paths are relative to its own folder and stay inside it.
        sample_rate: to resample to, in hertz.
        clip_seconds: clips are padded with zeros or cropped at the end to this length; by default the length of the
            longest clip, at most 10 s.
    """

    folds = DEFAULT_FOLDS
    split = "own clips: the table's folds, or else 5 folds grouped by source; test = k, validation = k + 1"

    def __init__(
        self,
        root: str | Path | None = None,
        cache: str | Path | None = None,
        fold: int = 0,
        seed: int = 0,
        batch_size: int = 32,
        *,
        csv: str | Path | None = None,
        sample_rate: int = 32_000,
        clip_seconds: float | None = None,
    ) -> None:
        if (root is None) == (csv is None):
            raise DataError(
                'name the place of your clips: either root = "folder" or csv = "table.csv" in [dataset.folder]'
            )
        self._left_out = 0
        if csv is not None:
            folder = Path(csv).expanduser().parent
            self._listing = _from_table(Path(csv).expanduser())
        else:
            folder = Path(root or "").expanduser()
            self._listing, self._left_out = _from_folders(folder)
        if given := {file.fold for file in self._listing.files if file.fold}:
            self.folds = len(given)
        super().__init__(
            folder, cache, fold, seed, batch_size, sample_rate=sample_rate, clip_seconds=clip_seconds or 0.0
        )

    @classmethod
    def find(cls, root: Path) -> str | None:
        """Look for the folder."""
        return None if root.is_dir() else f"missing {root}: make one folder per class there"

    def listing(self) -> Listing:
        """Return the files; those without a fold of their own are divided by source."""
        files = self._listing.files
        self.classes = tuple(sorted({file.labels[0] for file in files}))
        if any(file.fold for file in files):
            return self._listing
        targets = [self.classes.index(file.labels[0]) for file in files]
        folds = grouped_folds([file.group for file in files], targets, self.folds, FOLD_SEED)
        dealt = [replace(file, fold=str(fold)) for file, fold in zip(files, folds, strict=True)]
        return Listing(dealt, self._listing.problems)

    def read(self) -> Splits:
        """Decode the clips and rotate the folds."""
        self._listing.whole()  # problems of single rows come before problems of their division
        files = self.listing().files
        targets = [self.classes.index(file.labels[0]) for file in files]
        folds = [int(file.fold) for file in files]
        absent = self._check(targets, folds, official=any(file.fold for file in self._listing.files))

        paths = [file.source for file in files]
        self.clip_seconds = self.clip_seconds or _default_seconds(paths)
        ids, groups = [file.id for file in files], [file.group for file in files]
        clips = self.decode(paths, ids, groups, torch.tensor(targets))
        counts = {
            "silent clips": silent(clips.hashes, self.clip_shape[0]),
            "entries that are no audio left out": self._left_out,
            "times a fold lacks a class": absent,
        }
        self.note = "; ".join(f"{count} {what}" for what, count in counts.items() if count)
        return rotated(clips, folds, self.fold)

    def _check(self, targets: Sequence[int], folds: Sequence[int], *, official: bool) -> int:
        """Return how often a fold lacks a class; raise `DataError`, with a table, where training is impossible."""
        names = sorted(set(folds))
        counts = Counter(zip(targets, folds, strict=True))
        train = {targets[i] for i in rotate(folds, self.fold)[0]}
        absent = sum(counts[target, fold] == 0 for target in range(len(self.classes)) for fold in names)
        if len(self.classes) < 2 or len(train) < len(self.classes) or (absent and not official):
            lines = [f"  {'clips per fold':24}" + "".join(f"{fold:>6}" for fold in names)]
            for target, label in enumerate(self.classes):
                lines.append(f"  {label[:24]:24}" + "".join(f"{counts[target, fold]:>6}" for fold in names))
            raise DataError(
                f"too few clips for {len(names)} folds: at least two classes are needed, each with clips of "
                f"{'the training folds' if official else f'{len(names)} sources'}\n" + "\n".join(lines)
            )
        return absent


def _from_folders(root: Path) -> tuple[Listing, int]:
    """Return the audio files of `root/<class>/` and how many other entries there are."""
    if not root.is_dir():
        raise DatasetMissing(f"{str(root)!r} is not a folder: put your clips in one folder per class there")
    found = Listing()
    left_out = 0
    for folder in sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith(".")):
        for path in sorted(path for path in folder.iterdir() if not path.name.startswith(".")):
            if path.suffix.lower() in ENDINGS:
                name = str(path.relative_to(root))
                with found.noting():
                    path = inside(root, name, f"{folder.name!r}")
                    found.files.append(AudioFile(safe(name), path, (safe(folder.name),), safe(path.stem), ""))
            else:
                left_out += 1
    if not found.files and not found.problems:
        raise DatasetMissing(f"no audio in {str(root)!r}: put your clips ({' '.join(ENDINGS)}) in one folder per class")
    return found, left_out


def _from_table(table: Path) -> Listing:
    if not table.is_file():
        raise DatasetMissing(f"{str(table)!r} does not exist: write a table with the columns path,label[,fold,group]")
    found = Listing()
    first: dict[Path, int] = {}
    for line, row in rows(table, ("path", "label"), ("fold", "group"), found.problems):
        where = f"{table.name!r} line {line}"
        with found.noting():
            path = inside(table.parent, row["path"], where)
            if (earlier := first.setdefault(path.resolve(), line)) != line:
                raise DataError(f"{where}: {row['path']!r} is in line {earlier} already: remove one of them")
            if "fold" in row and not row["fold"].removeprefix("-").isdecimal():
                raise DataError(f"{where}: fold {row['fold']!r} is not a whole number")
            fold = str(int(row["fold"])) if "fold" in row else ""
            found.files.append(AudioFile(row["path"], path, (row["label"],), row.get("group", path.stem), fold, where))
    if not found.files and not found.problems:
        raise DatasetMissing(f"{str(table)!r} has no rows: write one row per clip, path,label[,fold,group]")
    return found


def _default_seconds(paths: Sequence[AudioSource]) -> float:
    """Return the longest clip's length, rounded up to a tenth, 10 s at most."""
    longest = 0.1
    for path in paths:
        with suppress(AudioError):  # `decode_all` lists all files that cannot be used
            longest = max(longest, length(path))
    return min(math.ceil(10 * longest - 1e-6) / 10, MAX_DEFAULT_SECONDS)
