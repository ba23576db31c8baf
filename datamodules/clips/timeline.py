"""Streams: long recordings whose class changes at known times. Never imports torch."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from datamodules.clips.array_cache import recheck
from datamodules.errors import DataError

UNLABELLED = -1
"""Class of a frame that no segment covers; no metric counts it."""

FULL_SCALE = 32768.0


@dataclass(frozen=True, order=True)
class Segment:
    """A stretch of a stream with one class.

    Attributes:
        start: in seconds from the stream's beginning.
        end: in seconds; the segment does not include it.
        label: number of the class.
    """

    start: float
    end: float
    label: int


@dataclass(frozen=True)
class Streams:
    """Long recordings, each with its segments in order of time; segments do not overlap.

    Neighbours of one class that touch become one segment, because no frame tells where one ends.

    Attributes:
        audio: `(N,)` int16, recordings of this and other splits.
        places: start and length of each stream in `audio`, in samples.
        ids: name of each stream.
        groups: source of each stream; intervals are drawn over sources.
        hashes: content hash of each stream.
        segments: of each stream.
        sample_rate: in hertz.
    """

    audio: NDArray[np.int16]
    places: tuple[tuple[int, int], ...]
    ids: tuple[str, ...]
    groups: tuple[str, ...]
    hashes: tuple[str, ...]
    segments: tuple[tuple[Segment, ...], ...]
    sample_rate: int

    def __post_init__(self) -> None:
        if not len(self.places) == len(self.ids) == len(self.groups) == len(self.hashes) == len(self.segments):
            raise DataError("places, ids, groups, hashes and segments of streams differ in length")
        for name, segments in zip(self.ids, self.segments, strict=True):
            check(segments, name)
        object.__setattr__(self, "segments", tuple(merged(segments) for segments in self.segments))

    def __len__(self) -> int:
        return len(self.ids)

    def seconds(self, stream: int) -> float:
        """Return the length of a stream."""
        return self.places[stream][1] / self.sample_rate

    def load(self, stream: int) -> NDArray[np.float32]:
        """Return the samples of a stream, `(S,)` float32 in [-1, 1).

        Raises:
            DataError: the cache was damaged while it was in use.
        """
        recheck()
        first, length = self.places[stream]
        return self.audio[first : first + length].astype(np.float32) / np.float32(FULL_SCALE)

    def frames(self, stream: int, frame_rate: float) -> NDArray[np.int64]:
        """Return the class at the centre of each frame, `(T,)` at `frame_rate` frames a second."""
        return frames_of(self.segments[stream], self.seconds(stream), frame_rate)

    def digest(self) -> str:
        """Return a digest of names, audio and segments."""
        rows = [
            [name, digest, [[segment.start, segment.end, segment.label] for segment in segments]]
            for name, digest, segments in zip(self.ids, self.hashes, self.segments, strict=True)
        ]
        return hashlib.sha256(json.dumps(sorted(rows)).encode()).hexdigest()


@dataclass(frozen=True)
class StreamSplits:
    """Streams of the validation part, on which post-processing is chosen, and of the test part."""

    val: Streams
    test: Streams


def check(segments: Sequence[Segment], name: str) -> None:
    """Check that segments follow one another.

    Raises:
        DataError: one ends before it starts, or two overlap.
    """
    for segment in segments:
        if not 0 <= segment.start < segment.end:
            raise DataError(f"{name!r}: a segment from {segment.start:g} to {segment.end:g} s has no length")
    for before, after in pairwise(segments):
        if after.start < before.end - 1e-6:
            raise DataError(
                f"{name!r}: the segments from {before.start:g} to {before.end:g} s and from {after.start:g} to "
                f"{after.end:g} s overlap: a stream has one class at a time"
            )


def merged(segments: Sequence[Segment]) -> tuple[Segment, ...]:
    """Return segments in which neighbours of one class that touch are one.

    Args:
        segments: in order of time, without overlaps.
    """
    found: list[Segment] = []
    for segment in segments:
        if found and found[-1].label == segment.label and segment.start <= found[-1].end + 1e-6:
            segment = Segment(found.pop().start, segment.end, segment.label)
        found.append(segment)
    return tuple(found)


def segments_within(segments: Sequence[Segment], seconds: float, name: str) -> tuple[Segment, ...]:
    """Return segments in order of time; one that ends later than its recording ends with it.

    Args:
        segments: of one recording, in any order.
        seconds: length of the recording.
        name: of the recording, for messages.

    Raises:
        DataError: a segment begins after the recording's end.
    """
    for segment in segments:
        if segment.start >= seconds:
            raise DataError(
                f"{name!r} lasts {seconds:.2f} s, and a segment is from {segment.start:g} to {segment.end:g} s: "
                f"correct its times, which are seconds from the file's beginning"
            )
    return tuple(sorted(Segment(each.start, min(each.end, seconds), each.label) for each in segments))


def frames_of(segments: Sequence[Segment], seconds: float, frame_rate: float) -> NDArray[np.int64]:
    """Return the class at the centre of each frame `(T,)`, `UNLABELLED` outside all segments.

    Args:
        segments: in order of time.
        seconds: length of the stream; a last frame whose centre lies beyond it is left out.
        frame_rate: frames a second.
    """
    labels = np.full(int(np.floor(seconds * frame_rate + 0.5)), UNLABELLED, np.int64)
    for segment in segments:
        # frame k is centred on (k + 0.5) / rate
        first, last = (int(np.ceil(round(time * frame_rate - 0.5, 6))) for time in (segment.start, segment.end))
        labels[max(first, 0) : max(last, 0)] = segment.label
    return labels


def segments_of(labels: NDArray[np.int64], frame_rate: float) -> tuple[Segment, ...]:
    """Return the runs of equal classes in frames `(T,)`; frames that are `UNLABELLED` are in none."""
    edges = np.flatnonzero(np.diff(labels)) + 1
    starts, ends = np.concatenate([[0], edges]), np.concatenate([edges, [len(labels)]])
    return tuple(
        Segment(start / frame_rate, end / frame_rate, int(labels[start]))
        for start, end in zip(starts.tolist(), ends.tolist(), strict=True)
        if end > start and labels[start] != UNLABELLED
    )


def joined(
    pieces: Sequence[NDArray[np.float64]], labels: Sequence[int], fade: int, sample_rate: int
) -> tuple[NDArray[np.float64], tuple[Segment, ...]]:
    """Concatenate sounds with cross-fades of constant power.

    Neighbours overlap by `fade` samples, and the boundary is in the middle of the overlap.

    Args:
        pieces: sounds `(S,)`, each at least two cross-fades long.
        labels: class of each piece.
        fade: length of a cross-fade in samples; 0 for hard cuts.
        sample_rate: in hertz.

    Returns:
        The sound, and its segments; neighbours of one class are one segment.

    Raises:
        DataError: a piece is too short.
    """
    if any(len(piece) < max(2 * fade, 1) for piece in pieces):
        raise DataError(f"a piece is shorter than two cross-fades of {fade / sample_rate:g} s")
    total = sum(map(len, pieces)) - fade * (len(pieces) - 1)
    sound = np.zeros(total)
    rise = np.sin(np.pi / 2 * (np.arange(fade) + 0.5) / fade) if fade else np.zeros(0)
    segments: list[Segment] = []
    place = 0
    for number, (piece, label) in enumerate(zip(pieces, labels, strict=True)):
        faded = piece.astype(np.float64)
        if fade and number:
            faded[:fade] *= rise
        if fade and number < len(pieces) - 1:
            faded[-fade:] *= rise[::-1]
        sound[place : place + len(piece)] += faded
        start = 0.0 if not number else (place + fade / 2) / sample_rate
        place += len(piece) - fade
        end = total / sample_rate if number == len(pieces) - 1 else (place + fade / 2) / sample_rate
        if segments and segments[-1].label == label:
            segments[-1] = Segment(segments[-1].start, end, label)
        else:
            segments.append(Segment(start, end, label))
    return sound, tuple(segments)
