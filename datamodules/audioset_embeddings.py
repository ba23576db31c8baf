"""AudioSet's VGGish features: ten frames of 128 values a clip, 527 labels.

Gemmeke et al., "Audio Set: An ontology and human-labeled dataset for audio events", ICASSP 2017,
https://research.google.com/audioset/download.html. Layout: `audioset_v1_embeddings/{bal_train,eval}/*.tfrecord`, any
number of files, and `class_labels_indices.csv`. AudioSet has no official validation part: one is taken from bal_train.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from datamodules import layouts
from datamodules.base import AudioDataModule, DataError, Splits
from datamodules.clips.array_cache import ArrayCache, Facts
from datamodules.clips.array_clips import EmbeddingClips, state
from datamodules.clips.audioset_lists import LABELS, class_names
from datamodules.clips.folds import drop_leaks
from datamodules.clips.youtube import VALIDATION_PERCENT, is_validation
from datamodules.listing import refuse
from datamodules.tables.tfrecord import WIDTH, records, segment

FRAMES = 10
OFFICIAL = dict(zip(layouts.AUDIOSET_EMBEDDINGS, (22_160, 20_371), strict=True))
_CODE_VERSION = 1


class AudioSetEmbeddings(AudioDataModule):
    """AudioSet's embeddings: trains on the balanced part, tests on the evaluation part; group = the video.

    The content hash is of the embedding. Training clips that share a video or an embedding (mostly silence) with
    validation or test are left out, and so are validation clips that share one with test; `note` counts them.

    Args:
        root: as in `AudioDataModule`.
        cache: as in `AudioDataModule`.
        fold: as in `AudioDataModule`.
        seed: as in `AudioDataModule`.
        batch_size: as in `AudioDataModule`.
        validation_percent: share of bal_train's videos that are validation, 1 to 50.
        download: as in `AudioDataModule`.
    """

    source = "audioset-embeddings"
    task = "multi"
    kind = "embedding"
    clips_official = sum(OFFICIAL.values())
    sample_rate = None
    clip_seconds = float(FRAMES)
    clip_shape = (FRAMES, WIDTH)

    def __init__(
        self,
        root: str | Path | None = None,
        cache: str | Path | None = None,
        fold: int | None = 0,
        seed: int = 0,
        batch_size: int = 32,
        *,
        validation_percent: int = VALIDATION_PERCENT,
        download: bool = False,
    ) -> None:
        super().__init__(root, cache, fold, seed, batch_size, download=download)
        if not 1 <= validation_percent <= 50:
            raise DataError(f"validation_percent must be from 1 to 50, not {validation_percent}")
        self.validation_percent = validation_percent
        self.split = (
            f"official: train = bal_train less the {validation_percent} % of its videos that are validation, "
            f"test = eval"
        )

    @classmethod
    def find(cls, root: Path) -> str | None:
        """Look for the label table and for records of both parts."""
        return layouts.audioset_embeddings(root)

    def read(self) -> Splits:
        """Read both parts, take validation from training, and leave out clips that a later part also has."""
        self.classes = tuple(class_names(self.checked_root() / LABELS).values())
        balanced, test = (self._clips(part) for part in OFFICIAL)
        chosen = np.array([is_validation(video, self.validation_percent) for video in balanced.groups])
        train, val = balanced.select(np.flatnonzero(~chosen)), balanced.select(np.flatnonzero(chosen))
        splits, from_train, from_val = drop_leaks(train, val, test)
        self.note = (
            f"eval coverage {len(test):,} of {OFFICIAL['eval']:,} segments, "
            f"bal_train {len(balanced):,} of {OFFICIAL['bal_train']:,}; left out because the same embedding or video "
            f"stands in a later split: {len(from_train)} training and {len(from_val)} validation clips"
        )
        return splits

    def _clips(self, part: str) -> EmbeddingClips:
        paths = sorted((self.checked_root() / "audioset_v1_embeddings" / part).glob("*.tfrecord"))
        parsed = _load(paths, self.cache, part)
        if parsed.label.max(initial=0) >= len(self.classes):
            raise DataError(
                f"{part} has label {parsed.label.max()}, class_labels_indices.csv only {len(self.classes)} classes"
            )
        targets = torch.zeros(len(parsed.frames), len(self.classes))
        targets[torch.from_numpy(parsed.labelled), torch.from_numpy(parsed.label)] = 1
        ids = [f"{video}_{start:g}" for video, start in zip(parsed.videos, parsed.starts, strict=True)]
        if len(set(ids)) != len(ids):
            raise DataError(f"{part} holds segments twice ({len(ids) - len(set(ids))}): remove the duplicate files")
        hashes = [hashlib.sha256(frames.tobytes()).hexdigest() for frames in parsed.frames]
        return EmbeddingClips(parsed.frames, ids, parsed.videos, hashes, targets)


@dataclass(frozen=True)
class Parsed:
    """All segments of some files.

    Attributes:
        frames: `(N, 10, 128)`, zeros after the end of a shorter clip.
        videos: `(N,)` video ids.
        starts: `(N,)` seconds.
        labelled: row of each positive label.
        label: class of each positive label.
    """

    frames: NDArray[np.uint8]
    videos: list[str]
    starts: list[float]
    labelled: NDArray[np.int64]
    label: NDArray[np.int64]


def parse(paths: Sequence[Path]) -> Parsed:
    """Read all records of these files.

    Raises:
        DataError: records are damaged or are not segments of AudioSet; the message names file and offset of each.
    """
    frames: list[NDArray[np.uint8]] = []
    videos: list[str] = []
    starts: list[float] = []
    labelled: list[int] = []
    label: list[int] = []
    problems: list[str] = []
    for path, offset, data in records(paths, problems):
        try:
            found = segment(data)
            if not 1 <= len(found.frames) <= FRAMES:
                raise ValueError(f"it has {len(found.frames)} frames, not 1 to {FRAMES}")
        except ValueError as error:
            problems.append(
                f"{str(path)!r}: the record at byte {offset} is not an AudioSet segment ({error}): fetch the file again"
            )
            continue
        clip = np.zeros((FRAMES, WIDTH), np.uint8)
        clip[: len(found.frames)] = found.frames
        labelled.extend([len(frames)] * len(found.labels))
        label.extend(found.labels)
        frames.append(clip)
        videos.append(found.video_id)
        starts.append(found.start_seconds)
    refuse(problems)
    if not frames:
        raise DataError(f"{len(paths)} files contain no records: fetch them again")
    return Parsed(np.stack(frames), videos, starts, np.array(labelled, np.int64), np.array(label, np.int64))


def _load(paths: Sequence[Path], cache: Path | None, part: str) -> Parsed:
    """Return the segments of these files, from the cache where they have been read before."""

    def build(facts: Facts) -> Iterator[NDArray[np.uint8]]:
        parsed = parse(paths)
        facts["videos"], facts["starts"] = parsed.videos, parsed.starts
        facts["labelled"], facts["label"] = parsed.labelled.tolist(), parsed.label.tolist()
        yield parsed.frames

    name, key = f"audioset-embeddings-{part}", f"{state(paths)} {_CODE_VERSION}"
    frames, facts = ArrayCache(cache).array(name, key, build)
    labelled, label = (np.array(facts[each], np.int64) for each in ("labelled", "label"))
    return Parsed(frames, facts["videos"], facts["starts"], labelled, label)
