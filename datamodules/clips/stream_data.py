"""Base class of datasets of streams: clips that are cut inside segments to train, and streams to segment."""

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from datamodules.base import DataError, Splits
from datamodules.clips.array_cache import ArrayCache, Facts
from datamodules.clips.array_clips import content_hash
from datamodules.clips.segments import SegmentClips
from datamodules.clips.timeline import Segment, Streams, StreamSplits
from datamodules.clips.waveform_data import WaveformDataModule

PARTS = ("train", "val", "test")
CLIP_OVERLAP = 0.5
"""Share of a clip that the next one of the same segment repeats."""

Made = tuple[NDArray[np.int16], tuple[Segment, ...], tuple[str, ...]]
"""A stream's samples `(S,)`, its segments, and the source of each segment."""


class StreamDataModule(WaveformDataModule):
    """Streams of three parts; training, validation and test clips are cut inside the segments of their part's streams.

    A clip never crosses a boundary or a cross-fade, so it has one class, and a segment that is shorter than a clip has
    none. Clips of one segment overlap by half.

    Attributes:
        fade_seconds: length of a cross-fade between two segments.
    """

    folds = 1
    default_sample_rate = 16_000
    default_clip_seconds = 2.0
    fade_seconds: ClassVar[float] = 0.1

    def assemble(self, name: str, key: str, made: Iterator[tuple[str, str, Made]]) -> Splits:
        """Make the streams, through the cache, and cut the clips.

        Args:
            name: of the dataset, for the cache file.
            key: everything that the streams follow from.
            made: part, name and content of each stream.
        """

        def build(facts: Facts) -> Iterator[NDArray[np.int16]]:
            facts["streams"] = []
            for part, stream, (samples, segments, sources) in made:
                rows = [[each.start, each.end, each.label] for each in segments]
                facts["streams"].append([part, stream, len(samples), content_hash(samples), rows, list(sources)])
                yield samples

        audio, facts = ArrayCache(self.cache).array(name, key, build)
        self.clip_shape = (round(self.clip_seconds * self.sample_rate),)
        rows = facts["streams"]
        first = np.cumsum([0, *(row[2] for row in rows)]).tolist()
        streams: dict[str, Streams] = {}
        clips: dict[str, SegmentClips] = {}
        for part in PARTS:
            chosen = [place for place, row in enumerate(rows) if row[0] == part]
            streams[part] = Streams(
                audio=audio,
                places=tuple((first[place], rows[place][2]) for place in chosen),
                ids=tuple(rows[place][1] for place in chosen),
                groups=tuple(rows[place][1] for place in chosen),
                hashes=tuple(rows[place][3] for place in chosen),
                segments=tuple(tuple(Segment(*segment) for segment in rows[place][4]) for place in chosen),
                sample_rate=self.sample_rate,
            )
            clips[part] = clips_inside(
                streams[part], [rows[place][5] for place in chosen], self.classes, self.clip_seconds,
                margin_seconds=self.fade_seconds / 2, part=part,
            )  # fmt: skip
        self.streams = StreamSplits(streams["val"], streams["test"])
        self.clips_available = len(rows)
        self.note = "; ".join(filter(None, (self.note, self._lengths(streams))))
        return Splits(clips["train"], clips["val"], clips["test"])

    @staticmethod
    def _lengths(streams: dict[str, Streams]) -> str:
        minutes = [sum(map(part.seconds, range(len(part)))) / 60 for part in streams.values()]
        counts = "/".join(str(len(part)) for part in streams.values())
        return (
            f"streams to train, validate and test: {counts}, {'/'.join(f'{each:.1f}' for each in minutes)} minutes; "
            f"clips are cut inside segments"
        )


def clips_inside(
    streams: Streams,
    sources: Sequence[Sequence[str]],
    classes: Sequence[str],
    clip_seconds: float,
    *,
    hop_seconds: float | None = None,
    margin_seconds: float = 0.0,
    part: str = "",
) -> SegmentClips:
    """Cut clips inside the segments of streams; each has the class of its segment.

    Args:
        streams: to cut.
        sources: source of each segment of each stream.
        classes: names of all classes.
        clip_seconds: length of a clip; a shorter segment has none.
        hop_seconds: time from a clip to the next one; None is half a clip.
        margin_seconds: time next to a boundary that no clip has.
        part: name of the split, for messages.

    Raises:
        DataError: a class has no clip.
    """
    rate = streams.sample_rate
    samples, margin = round(clip_seconds * rate), round(margin_seconds * rate)
    hop = max(1, round((clip_seconds * (1 - CLIP_OVERLAP) if hop_seconds is None else hop_seconds) * rate))
    ids, groups, hashes, labels, places = [], [], [], [], []
    for stream, (first, length) in enumerate(streams.places):
        for segment, source in zip(streams.segments[stream], sources[stream], strict=True):
            for start in starts(segment, length, samples, margin, rate)[::hop]:
                ids.append(f"{streams.ids[stream]}[{start}:{start + samples}]")
                groups.append(source)
                hashes.append(hashlib.sha256(f"{streams.hashes[stream]} {start}".encode()).hexdigest())
                labels.append(segment.label)
                places.append((first, length, start))
    if absent := sorted(set(range(len(classes))) - set(labels)):
        raise DataError(
            f"the {part} streams have no segment of {classes[absent[0]]!r} that holds a clip of {clip_seconds:g} s: "
            f"set a smaller clip_seconds, or add streams"
        )
    targets = torch.tensor(labels, dtype=torch.int64)
    return SegmentClips(streams.audio, np.array(places, np.int64), samples, ids, groups, hashes, targets)


def starts(segment: Segment, length: int, samples: int, margin: int, sample_rate: int) -> range:
    """Return the samples at which a clip inside a segment may start.

    Args:
        segment: of a stream.
        length: of the stream, in samples.
        samples: of a clip.
        margin: samples next to a boundary that no clip has; the stream's own ends need none.
        sample_rate: in hertz.
    """
    first = round(segment.start * sample_rate) + (margin if segment.start > 0 else 0)
    last = round(segment.end * sample_rate)
    last = min(last, length) if last >= length else last - margin
    return range(first, last - samples + 1)


def as_samples(sound: NDArray[Any], peak: float) -> NDArray[np.int16]:
    """Return a sound `(S,)` as int16, scaled so that its largest sample is `peak` of full scale."""
    scaled: NDArray[np.int16] = np.rint(sound / max(np.abs(sound).max(), 1e-9) * peak * 32767).astype(np.int16)
    return scaled
