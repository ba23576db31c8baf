"""VGGSound: 10 s of YouTube videos, 309 classes, one label a clip.

Chen, Xie, Vedaldi, Zisserman, "VGGSound: A Large-scale Audio-Visual Dataset", ICASSP 2020,
https://arxiv.org/abs/2004.14368. Layout: the official `vggsound.csv` (video, start second, label, split; no header), in
the root or in `data/` as in the authors' repository, `data/stat.csv` (class, count, super-class) and the audio as
`clips/youtube.py` describes.

The official split has a training and a test part. A hash of the video names selects 5 % of the training part's videos
for validation. All clips of a video stay in one part.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from datamodules import layouts
from datamodules.audio import AudioSource
from datamodules.base import DataError, Splits
from datamodules.clips import youtube
from datamodules.clips.waveform_data import WaveformDataModule
from datamodules.listing import AudioFile, Listing
from datamodules.tables import vggsounder
from datamodules.tables.csv_table import headless

LIST = layouts.VGGSOUND_LIST
COLUMNS = ("video", "start", "label", "split")
ONE_INSTRUMENT = ("playing timpani", "playing tympani")
SOURCE = layouts.VGGSOUND_SOURCE


class VGGSound(WaveformDataModule):
    """VGGSound: 199,176 clips of 10 s listed, 309 classes; group = the video.

    Arguments as for `WaveformDataModule`; the root holds the list and the audio.
    """

    source = "vggsound"
    split = "official: train = train less the 5 % of its videos that are validation, test = test"
    clips_official = 199_176
    default_clip_seconds = 10.0

    @classmethod
    def find(cls, root: Path) -> str | None:
        """Look for the list and for audio."""
        return layouts.vggsound(root)

    def listing(self) -> Listing:
        """Find the clips on disk."""
        root = self.checked_root()
        excerpts, labels, parts = _read(layouts.vggsound_list(root))
        found = youtube.find(root, excerpts, self.cache)
        sources: Sequence[AudioSource] = found.sources
        listing = Listing()
        for row, source in zip(found.rows, sources, strict=True):
            excerpt = excerpts[row]
            listing.files.append(AudioFile(excerpt.name, source, (labels[row],), excerpt.video, parts[row]))
        return listing

    def read(self) -> Splits:
        """Find the clips on disk and divide them as the list does."""
        root = self.checked_root()
        excerpts, labels, parts = _read(layouts.vggsound_list(root))
        self.classes = _classes(root / "data" / "stat.csv", labels)
        found = youtube.find(root, excerpts, self.cache)
        number = {label: i for i, label in enumerate(self.classes)}
        targets = torch.tensor([number[labels[row]] for row in found.rows])
        self.own_rates = rates = list[int]()
        clips = youtube.clip_set(
            found, excerpts, targets, self.sample_rate, self.clip_seconds, self.cache, "vggsound", rates
        )
        self.clip_shape = (round(self.sample_rate * self.clip_seconds),)

        part_of = [parts[row] for row in found.rows]
        trains = [i for i, part in enumerate(part_of) if part == "train"]
        test = [i for i, part in enumerate(part_of) if part == "test"]
        held_out = youtube.validation(clips.groups[i] for i in trains)
        val = [i for i in trains if clips.groups[i] in held_out]
        train = [i for i in trains if clips.groups[i] not in held_out]
        splits, notes = youtube.splits(clips, train, val, test, self.cache, "vggsound", rates)
        here = f"{len(trains):,} of {parts.count('train'):,} listed training clips are here, {len(test):,} of "
        unlisted = [f"{found.unlisted} audio files that the list does not name left out"] if found.unlisted else []
        about = [
            *_twins([clips.groups[i] for i in test]),
            *_alike(self.classes),
            *_second([clips.ids[i] for i in test]),
        ]
        self.note = "; ".join([f"{here}{parts.count('test'):,} test clips", *notes, *unlisted, *about])
        return splits


def _twins(videos: Sequence[str]) -> Iterator[str]:
    """Say how many test videos have several clips; these are no independent tests."""
    clips = Counter(videos)
    if several := [count for count in clips.values() if count > 1]:
        yield (
            f"{len(several):,} of the {len(clips):,} test videos have several clips, {sum(several):,} of the "
            f"{len(videos):,} test clips: intervals are drawn over videos"
        )


def _alike(classes: Sequence[str]) -> Iterator[str]:
    """Name the two classes of one instrument."""
    if set(ONE_INSTRUMENT) <= set(classes):
        yield f"{' and '.join(map(repr, ONE_INSTRUMENT))} are two classes and one instrument"


def _second(clips: Sequence[str]) -> Iterator[str]:
    """Say how many test clips have labels by VGGSounder; nothing where its package is not installed."""
    if (second := vggsounder.installed()) is not None:
        there = sum(clip in second.audible for clip in clips)
        yield f"VGGSounder {second.release} has audible labels of {there:,} of the {len(clips):,} test clips"


def _read(table: Path) -> tuple[list[youtube.Excerpt], list[str], list[str]]:
    """Return each listed clip, its label and its part.

    Raises:
        DataError: a start is not a number, a part is neither train nor test, or a clip is listed twice; the message
            names the line.
    """
    first: dict[youtube.Excerpt, int] = {}
    labels: list[str] = []
    parts: list[str] = []
    for line, row in headless(table, COLUMNS):
        where = f"{table.name!r} line {line}"
        if not row["start"].isdecimal():
            raise DataError(f"{where}: start {row['start']!r} is not a whole number of seconds")
        if row["split"] not in ("train", "test"):
            raise DataError(f"{where}: split {row['split']!r} is neither train nor test")
        excerpt = youtube.Excerpt(row["video"], int(row["start"]))
        if (earlier := first.setdefault(excerpt, line)) != line:
            raise DataError(f"{where}: the clip {excerpt.name} is in line {earlier} already: remove one of the rows")
        labels.append(row["label"])
        parts.append(row["split"])
    if not labels:
        raise DataError(f"{table.name!r} has no rows: fetch it again from {SOURCE}")
    return list(first), labels, parts


def _classes(stat: Path, labels: list[str]) -> tuple[str, ...]:
    """Return the classes of `stat.csv`, or without it of the list, in alphabetical order as in the authors' code."""
    if not stat.is_file():
        return tuple(sorted(set(labels)))
    classes = {row["class"] for _, row in headless(stat, ("class", "clips", "kind"))}
    if unknown := sorted(set(labels) - classes):
        raise DataError(f"the label {unknown[0]!r} of {LIST} is not a class of {stat.name!r}: fetch both from {SOURCE}")
    return tuple(sorted(classes))
