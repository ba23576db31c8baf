"""AudioSet's audio: 10 s of YouTube videos, 527 labels, several a clip.

Gemmeke et al., "Audio Set: An ontology and human-labeled dataset for audio events", ICASSP 2017,
https://research.google.com/audioset/download.html. Layout: Google's `class_labels_indices.csv`,
`balanced_train_segments.csv`, `eval_segments.csv` and, for the full training part, `unbalanced_train_segments.csv`, in
the root or in `metadata/` as PANNs have it; the audio as `clips/youtube.py` describes. Each video is in
one list only, so its name determines its part, whatever its folder or shard is called.

AudioSet has no official validation part. A hash of the video names selects 5 % of the balanced part's videos, whichever
part trains.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch

from datamodules import layouts
from datamodules.audio import AudioSource
from datamodules.base import DataError, DatasetMissing, Splits
from datamodules.clips import youtube
from datamodules.clips.audioset_lists import LABELS, OFFICIAL, ListedSegment, class_names, segments
from datamodules.clips.waveform_data import WaveformDataModule
from datamodules.listing import AudioFile, Listing

PARTS = {"balanced": layouts.AUDIOSET_BALANCED, "full": ("balanced_train", "unbalanced_train", "eval")}


class AudioSet(WaveformDataModule):
    """AudioSet: trains on the balanced or the full training part, tests on the evaluation part; group = the video.

    Args:
        root: folder with the lists and the audio.
        cache: as in `AudioDataModule`.
        fold: as in `AudioDataModule`.
        seed: as in `AudioDataModule`.
        batch_size: as in `AudioDataModule`.
        train: "balanced" (22,160 segments), or "full" with the 2,041,789 segments of the unbalanced part, for which
            shards and a recipe with `balanced` are advisable.
        sample_rate: to resample to, in hertz.
        clip_seconds: clips are padded with zeros or cropped at the end to this length.
        download: as in `AudioDataModule`; there is no direct source.
    """

    source = "audioset"
    task = "multi"

    def __init__(
        self,
        root: str | Path | None = None,
        cache: str | Path | None = None,
        fold: int = 0,
        seed: int = 0,
        batch_size: int = 32,
        *,
        train: Literal["balanced", "full"] = "balanced",
        sample_rate: int = 32_000,
        clip_seconds: float = 10.0,
        download: bool = False,
    ) -> None:
        super().__init__(
            root,
            cache,
            fold,
            seed,
            batch_size,
            sample_rate=sample_rate,
            clip_seconds=clip_seconds,
            download=download,
        )
        if train not in PARTS:
            raise DataError(f"train is {train!r}: AudioSet's training parts are {' and '.join(PARTS)}")
        self.parts = PARTS[train]
        self.clips_official = sum(OFFICIAL[part] for part in self.parts)
        whole = " + ".join(self.parts[:-1])
        self.split = (
            f"official: train = {whole} less the 5 % of balanced_train's videos that are validation, test = eval"
        )

    @classmethod
    def find(cls, root: Path) -> str | None:
        """Look for the labels, the lists of the balanced and the evaluation part, and for audio."""
        return layouts.audioset(root)

    def listing(self) -> Listing:
        """Find the clips on disk."""
        root, listed = self._listed()
        excerpts = [segment.excerpt for segment, _ in listed]
        found = youtube.find(root, excerpts, self.cache)
        files = Listing()
        sources: Sequence[AudioSource] = found.sources
        for row, source in zip(found.rows, sources, strict=True):
            segment, part = listed[row]
            labels = tuple(self.classes[label] for label in segment.labels)
            files.files.append(AudioFile(segment.excerpt.name, source, labels, segment.excerpt.video, part))
        return files

    def _listed(self) -> tuple[Path, list[tuple[ListedSegment, str]]]:
        """Return the root, and each listed segment with its part; set `classes`."""
        root = self.checked_root()
        names = class_names(layouts.audioset_table(root, LABELS))
        self.classes = tuple(names.values())
        tables = {part: layouts.audioset_table(root, f"{part}_segments.csv") for part in self.parts}
        for table in tables.values():
            if not table.is_file():  # `find` does not know which part trains
                raise DatasetMissing(f"missing {table}: fetch it from {layouts.AUDIOSET_SOURCE}")
        return root, [(segment, part) for part, table in tables.items() for segment in segments(table, names)]

    def read(self) -> Splits:
        """Find the clips on disk and divide them as the lists do."""
        root, listed = self._listed()
        excerpts = [segment.excerpt for segment, _ in listed]
        first: dict[str, str] = {}
        for segment, part in listed:
            if (other := first.setdefault(segment.excerpt.video, part)) != part:
                raise DataError(
                    f"video {segment.excerpt.video!r} is listed in {other} and in {part}, so the test would leak"
                )

        found = youtube.find(root, excerpts, self.cache)
        targets = torch.zeros(len(found.rows), len(self.classes))
        for i, row in enumerate(found.rows):
            targets[i, list(listed[row][0].labels)] = 1
        self.own_rates = rates = list[int]()
        clips = youtube.clip_set(
            found, excerpts, targets, self.sample_rate, self.clip_seconds, self.cache, "audioset", rates
        )
        self.clip_shape = (round(self.sample_rate * self.clip_seconds),)

        rows: dict[str, list[int]] = {part: [] for part in self.parts}
        for i, row in enumerate(found.rows):
            rows[listed[row][1]].append(i)
        held_out = youtube.validation(clips.groups[i] for i in rows["balanced_train"])
        val = [i for i in rows["balanced_train"] if clips.groups[i] in held_out]
        train = [i for part in self.parts[:-1] for i in rows[part] if clips.groups[i] not in held_out]
        splits, notes = youtube.splits(clips, train, val, rows["eval"], self.cache, "audioset", rates)
        here = ", ".join(f"{part} {len(rows[part]):,} of {OFFICIAL[part]:,}" for part in self.parts)
        unlisted = [f"{found.unlisted} audio files that no list names left out"] if found.unlisted else []
        self.note = "; ".join([f"coverage {here} segments", *notes, *unlisted])
        return splits
