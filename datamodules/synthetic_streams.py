"""Synthesised streams: programmes of speech, music and noise with known boundaries, the same on every machine.

A stream is a sequence of segments of one class each, cross-faded over 100 ms, under one background noise and through
one recording channel. Sounds are those of the dataset `synthetic`: speech is one voice, music is one to three plucked
strings or bells, and noise is an engine, rain, a rotor, a siren, a dog, a clock or a bird. Every segment has a source
of its own, so no voice, instrument or engine is in two segments.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import scipy
from numpy.random import Generator
from numpy.typing import NDArray

from datamodules.base import DataError, Splits
from datamodules.clips import sounds, stream_data, timeline
from datamodules.clips.sounds import SOUNDS, channel, coloured, normal
from datamodules.clips.stream_data import PARTS, Made, StreamDataModule, as_samples
from datamodules.clips.timeline import joined

CLASSES = ("music", "speech", "noise")
MUSIC = ("pluck", "bell")
NOISE = ("engine", "rain", "helicopter", "siren", "dog", "clock", "bird")
SEGMENT_SECONDS = (1.5, 10.0)
LEVEL_DB = 5.0
SNR_DB = (10.0, 30.0)
MOST_INSTRUMENTS = 3


class SyntheticStreams(StreamDataModule):
    """Streams of speech, music and noise made by code.

    Args:
        root: not used.
        cache: folder for the streams; None synthesises them.
        fold: 0.
        seed: as in `AudioDataModule`; does not change the streams.
        batch_size: as in `AudioDataModule`.
        train_streams: number of streams that training clips are cut from.
        val_streams: number of validation streams.
        test_streams: number of test streams.
        stream_seconds: length of a stream.
        clip_seconds: length of a clip.
        sample_rate: in hertz.
        data_seed: another seed gives another dataset.
    """

    split = "one division: every stream is made of sources of its own"

    def __init__(
        self,
        root: str | Path | None = None,
        cache: str | Path | None = None,
        fold: int = 0,
        seed: int = 0,
        batch_size: int = 32,
        *,
        train_streams: int = 48,
        val_streams: int = 6,
        test_streams: int = 24,
        stream_seconds: float = 60.0,
        clip_seconds: float = 2.0,
        sample_rate: int = 16_000,
        data_seed: int = 0,
    ) -> None:
        super().__init__(root, cache, fold, seed, batch_size, sample_rate=sample_rate, clip_seconds=clip_seconds)
        self.counts = dict(zip(PARTS, (train_streams, val_streams, test_streams), strict=True))
        if min(train_streams, val_streams) < 1 or test_streams < 2 or self.sample_rate < 8_000:
            raise DataError(
                f"need train_streams and val_streams ≥ 1, test_streams ≥ 2 and sample_rate ≥ 8000, got "
                f"{train_streams}, {val_streams}, {test_streams} and {self.sample_rate}"
            )
        if not 0.25 <= clip_seconds <= SEGMENT_SECONDS[1] / 2 or stream_seconds < 3 * SEGMENT_SECONDS[1]:
            raise DataError(
                f"need clip_seconds of 0.25 to {SEGMENT_SECONDS[1] / 2:g} and stream_seconds ≥ "
                f"{3 * SEGMENT_SECONDS[1]:g}, got {clip_seconds:g} and {stream_seconds:g}"
            )
        self.stream_seconds = stream_seconds
        self.data_seed = data_seed
        self.classes = CLASSES

    @classmethod
    def find(cls, root: Path) -> str | None:
        """Return None: nothing can be missing."""
        return None

    def read(self) -> Splits:
        """Make the streams, and cut the clips."""
        files = (__file__, sounds.__file__, timeline.__file__, stream_data.__file__)
        code = hashlib.sha256(b"".join(Path(file).read_bytes() for file in files)).hexdigest()
        recipe = [self.counts, self.stream_seconds, self.sample_rate, self.data_seed, np.__version__, scipy.__version__]
        return self.assemble("synthetic-streams", f"{recipe!r} {code}", self._streams())

    def _streams(self) -> Iterator[tuple[str, str, Made]]:
        """Yield part, name and content of each stream."""
        done = 0
        for number, part in enumerate(PARTS):
            for stream in range(self.counts[part]):
                yield part, f"{part}-{stream + 1}", self._stream(f"{part}-{stream + 1}", [number, stream])
                done += 1
                self.report(done, sum(self.counts.values()))

    def _stream(self, name: str, where: list[int]) -> Made:
        """Return one stream; its seed is the data's and its place."""
        scene = np.random.default_rng([self.data_seed, *where])
        rate, fade = self.sample_rate, round(self.fade_seconds * self.sample_rate)
        left = round(self.stream_seconds * rate)
        pieces: list[NDArray[np.float64]] = []
        labels: list[int] = []
        shortest, longest = (round(seconds * rate) for seconds in SEGMENT_SECONDS)
        while left:
            length = round(rate * np.exp(scene.uniform(*np.log(SEGMENT_SECONDS))))
            if left - length < shortest:  # the last segment takes what is left, or two share it
                length = left if left <= longest else left // 2
            others = [label for label in range(len(CLASSES)) if not labels or label != labels[-1]]
            labels.append(int(scene.choice(others)))
            source = np.random.default_rng([self.data_seed, *where, len(pieces), 1_000])
            samples = length + (fade if left > length else 0)  # its overlap with the next one
            sound = normal(programme(CLASSES[labels[-1]], source, np.arange(samples) / rate))
            pieces.append(sound * 10 ** (scene.uniform(-LEVEL_DB, LEVEL_DB) / 20))
            left -= length
        sound, segments = joined(pieces, labels, fade, rate)
        sound = normal(channel(sound, scene, rate))
        background = coloured(scene, len(sound), scene.uniform(-0.8, 0.0))
        sound = sound + background * 10 ** (-scene.uniform(*SNR_DB) / 20)
        return as_samples(sound, 10 ** (scene.uniform(-12, -1) / 20)), segments, (name,) * len(segments)


def programme(label: str, source: Generator, time: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a sound of a class, `(S,)` at the times of its samples; `source` draws what sounds and how."""
    if label == "speech":
        kinds = ["speech"]
    elif label == "music":
        kinds = [str(source.choice(MUSIC)) for _ in range(source.integers(1, MOST_INSTRUMENTS + 1))]
    else:
        kinds = [str(source.choice(NOISE))]
    mixed = np.zeros_like(time)
    for kind in kinds:
        sound = SOUNDS[kind](source, source, time)
        mixed += normal(sound) * 10 ** (source.uniform(-3, 3) / 20)
    return mixed
