"""ESC-50 and ESC-10: environmental sounds in five official folds.

Piczak, "ESC: Dataset for Environmental Sound Classification", ACM Multimedia 2015, https://doi.org/10.1145/2733373.2806390.
Layout: `meta/esc50.csv` and `audio/`. ESC-10 is the rows with `esc10` True, in a folder of its own or inside ESC-50's.
"""

from pathlib import Path
from typing import ClassVar

import torch

from datamodules.base import AudioDataModule, DataError, DatasetMissing, Splits
from datamodules.clips import WaveformClips, decode_all, silent
from datamodules.folds import rotated
from datamodules.tables import inside, rows

COLUMNS = ("filename", "fold", "target", "category", "esc10", "src_file", "take")
SOURCE = "https://github.com/karolpiczak/ESC-50"


class ESC50(AudioDataModule):
    """ESC-50: 2,000 clips of 5 s, 50 classes, 5 folds; group = the freesound recording.

    Args:
        root: folder with `meta/` and `audio/`.
        cache: as in `AudioDataModule`.
        fold: as in `AudioDataModule`.
        seed: as in `AudioDataModule`.
        batch_size: as in `AudioDataModule`.
        sample_rate: to resample to, in hertz.
        clip_seconds: clips are padded with zeros or cropped at the end to this length.
    """

    folds = 5
    split = "official folds: test = k, validation = k + 1, training = the rest"
    clips_official = 2000
    only_esc10: ClassVar[bool] = False

    def __init__(
        self,
        root: Path | None = None,
        cache: Path | None = None,
        fold: int = 0,
        seed: int = 0,
        batch_size: int = 32,
        *,
        sample_rate: int = 32_000,
        clip_seconds: float = 5.0,
    ) -> None:
        super().__init__(root, cache, fold, seed, batch_size)
        self.sample_rate: int = sample_rate
        self.clip_seconds = clip_seconds

    @classmethod
    def find(cls, root: Path) -> str | None:
        """Look for the table and the audio folder."""
        wanted = (root / "meta" / "esc50.csv", root / "audio")
        missing = [str(path) for path in wanted if not path.exists()]
        return f"missing {' and '.join(missing)}: unpack {SOURCE} there" if missing else None

    def read(self) -> Splits:
        """Decode the clips and rotate the official folds."""
        if self.root is None:
            raise DatasetMissing(f"{type(self).__name__} needs a folder: give `root`")
        if problem := self.find(self.root):
            raise DatasetMissing(problem)
        table = self.root / "meta" / "esc50.csv"
        audio = self.root / "audio"

        paths: list[Path] = []
        fold_of: list[int] = []
        official: list[int] = []
        groups: list[str] = []
        names: dict[int, str] = {}
        for line, row in rows(table, COLUMNS):
            where = f"{table.name!r} line {line}"
            if row["esc10"] not in ("True", "False"):
                raise DataError(f"{where}: esc10 is {row['esc10']!r}, not True or False")
            if self.only_esc10 and row["esc10"] == "False":
                continue
            try:
                fold, target = int(row["fold"]), int(row["target"])
            except ValueError as error:
                raise DataError(f"{where}: fold and target must be whole numbers ({error})") from error
            if not 1 <= fold <= self.folds:
                raise DataError(f"{where}: fold {fold} is not one of 1 to {self.folds}")
            if names.setdefault(target, row["category"]) != row["category"]:
                raise DataError(f"{where}: target {target} is {row['category']!r} here and {names[target]!r} above")
            paths.append(inside(audio, row["filename"], where))
            fold_of.append(fold)
            official.append(target)
            groups.append(row["src_file"])
        if len(set(paths)) != len(paths):
            twice = sorted({path.name for path in paths if paths.count(path) > 1})
            raise DataError(f"{table.name!r} names files twice: {', '.join(twice[:10])}: remove the second rows")
        if absent := [path.name for path in paths if not path.exists()]:
            some = ", ".join(absent[:10])
            raise DatasetMissing(
                f"{len(absent)} of {len(paths)} files are not in {str(audio)!r} ({some}): see {SOURCE}"
            )

        numbers = sorted(names)  # ESC-10's targets have gaps
        self.classes = tuple(names[number] for number in numbers)
        samples, hashes = decode_all(
            paths, self.sample_rate, self.clip_seconds, self.cache, type(self).__name__.lower()
        )
        self.clip_shape = (samples.shape[1],)
        if quiet := silent(hashes, samples.shape[1]):
            self.note = f"{quiet} clips are silent"
        targets = torch.tensor([numbers.index(target) for target in official])
        clips = WaveformClips(samples, [path.name for path in paths], groups, hashes, targets)
        return rotated(clips, fold_of, self.fold)


class ESC10(ESC50):
    """ESC-10: the 400 clips, 10 classes of ESC-50 that are its easy part; arguments as for ESC-50."""

    clips_official = 400
    only_esc10 = True
