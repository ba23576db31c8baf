"""Streams made of MUSAN's files: music, speech and noise one after another, with cross-fades.

Snyder, Chen & Povey, "MUSAN: A Music, Speech, and Noise Corpus", 2015, https://arxiv.org/abs/1510.08484. Files are
divided into training, validation and test as in the dataset `musan`, so that sources are disjoint. A stream is a seeded
sequence of excerpts of 1.5 to 10 s of files of its own part, each of another class than the one before, at a level
within 3 dB of the others, cross-faded over 100 ms. No file has two excerpts in the test streams; in the others it may.
"""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from datamodules import layouts
from datamodules.audio.preparation import Samples, cut_silence, equalise_loudness
from datamodules.base import DataError, DatasetMissing, Splits
from datamodules.clips import stream_data, timeline
from datamodules.clips.array_clips import state
from datamodules.clips.folds import grouped_shares, merged
from datamodules.clips.musan_files import LONGEST_SECONDS, OFFICIAL, SHARES, recordings
from datamodules.clips.segments import SPLIT_SEED, Prepared, prepare_all
from datamodules.clips.stream_data import PARTS, Made, StreamDataModule, as_samples
from datamodules.clips.timeline import joined
from datamodules.listing import AudioFile, Listing

SEGMENT_SECONDS = (1.5, 10.0)
LEVEL_DB = 3.0
PEAK = 0.8
LEAST_STREAMS = 6


class MUSANStreams(StreamDataModule):
    """Streams of MUSAN's files.

    Args:
        root: `musan/` or the folder that holds it.
        cache: folder for prepared files and streams; the complete corpus is 109 hours long, so without one it does not
            fit into memory.
        fold: 0.
        seed: as in `AudioDataModule`; changes neither the division nor the streams.
        batch_size: as in `AudioDataModule`.
        train_streams: number of streams that training clips are cut from.
        val_streams: number of validation streams.
        test_streams: largest number of test streams; there are fewer where the files do not suffice.
        stream_seconds: length of a stream; test streams are shorter, 4.5 s at least, where there are too
            few files for six of them.
        clip_seconds: length of a clip.
        sample_rate: in hertz.
        data_seed: another seed gives other streams.
        download: as in `AudioDataModule`.
    """

    source = "musan"
    split = "one seeded split by file, 65/10/25 % of each class, files of one source together; streams of each part"
    clips_official = 2016
    longest_seconds = LONGEST_SECONDS

    def __init__(
        self,
        root: str | Path | None = None,
        cache: str | Path | None = None,
        fold: int = 0,
        seed: int = 0,
        batch_size: int = 32,
        *,
        train_streams: int = 60,
        val_streams: int = 10,
        test_streams: int = 30,
        stream_seconds: float = 60.0,
        clip_seconds: float = 2.0,
        sample_rate: int = 16_000,
        data_seed: int = 0,
        download: bool = False,
    ) -> None:
        super().__init__(
            root, cache, fold, seed, batch_size, sample_rate=sample_rate, clip_seconds=clip_seconds, download=download
        )
        if min(train_streams, val_streams) < 1 or test_streams < 2:
            raise DataError(
                f"need train_streams and val_streams ≥ 1 and test_streams ≥ 2, got {train_streams}, {val_streams} and "
                f"{test_streams}"
            )
        if not 0.25 <= clip_seconds <= stream_seconds or stream_seconds < 3:
            raise DataError(
                f"need clip_seconds from 0.25 s to a stream's length and stream_seconds ≥ 3, got {clip_seconds:g} and "
                f"{stream_seconds:g}"
            )
        self.counts = dict(zip(PARTS, (train_streams, val_streams, test_streams), strict=True))
        self.stream_seconds = stream_seconds
        self.data_seed = data_seed
        self.classes = tuple(OFFICIAL)

    @classmethod
    def find(cls, root: Path) -> str | None:
        """Look for a folder of each class."""
        return layouts.musan(root)

    @staticmethod
    def prepare(waveform: Samples, sample_rate: int) -> Samples:
        """Cut silence (40 dB below the loudest frame of 25 ms, every 10 ms) and equalise loudness over 250 ms."""
        return equalise_loudness(cut_silence(waveform, sample_rate), sample_rate)

    @staticmethod
    def prepare_in_time(waveform: Samples, sample_rate: int) -> Samples:
        """Equalise loudness, as `prepare` does, without cutting silence, so that times stay."""
        return equalise_loudness(waveform, sample_rate)

    @property
    def shortest_seconds(self) -> float:
        """Length of the shortest file, once silence is cut, that has an excerpt."""
        return min(SEGMENT_SECONDS[0], self.clip_seconds + 2 * self.fade_seconds)

    def listing(self) -> Listing:
        """Return the recordings; their division depends on their audio, because copies stay together."""
        files, _ = recordings(self.checked_root())
        return Listing([AudioFile(file.name, file.path, (file.label,), file.group, "") for file in files])

    def read(self) -> Splits:
        """Prepare the files, divide them, join excerpts to streams, and cut the clips."""
        files, remarks = recordings(self.checked_root())
        if not files:
            raise DatasetMissing(f"there are no wav files in {str(self.root)!r}: unpack the dataset there")
        paths = [file.path for file in files]
        prepared = prepare_all(
            paths, self.prepare, self.sample_rate, self.longest_seconds, self.cache, "musan-streams", report=self.report
        )
        self.own_rates = prepared.rates
        groups = merged([file.group for file in files], prepared.hashes)
        labels = [self.classes.index(file.label) for file in files]
        parts = grouped_shares(groups, labels, SHARES, SPLIT_SEED)
        self.note = "; ".join([f"{len(files)} of {self.clips_official} files", *remarks])
        code = hashlib.sha256(
            b"".join(Path(each).read_bytes() for each in (__file__, timeline.__file__, stream_data.__file__))
        ).hexdigest()
        recipe = [self.counts, self.stream_seconds, self.sample_rate, self.data_seed, groups, state(paths)]
        key = hashlib.sha256(f"{recipe!r} {code} {np.__version__}".encode()).hexdigest()
        return self.assemble("musan-streams", key, self._streams(prepared, labels, parts, groups))

    def _streams(
        self, prepared: Prepared, labels: Sequence[int], parts: Sequence[int], groups: Sequence[str]
    ) -> Iterator[tuple[str, str, Made]]:
        """Yield part, name and content of each stream."""
        first = np.cumsum([0, *prepared.lengths])
        shortest = round(self.shortest_seconds * self.sample_rate)
        for number, part in enumerate(PARTS):
            scene = np.random.default_rng([self.data_seed, number])
            files = [
                [i for i, of in enumerate(parts)
                 if of == number and labels[i] == label and prepared.lengths[i] >= shortest and not prepared.silent[i]]
                for label in range(len(self.classes))
            ]  # fmt: skip
            if min(map(len, files)) == 0:
                raise DataError(
                    f"the {part} part has no file of {self.classes[list(map(len, files)).index(0)]!r} that lasts "
                    f"{self.shortest_seconds:g} s once silence is cut: add files of more sources"
                )
            left = [scene.permutation(each).tolist() for each in files]
            again = None if part == "test" else files
            seconds = self.stream_seconds if again else self._fitting(files, prepared.lengths, self.counts[part])
            made = 0
            for stream in range(self.counts[part]):
                chosen = self._choose(scene, left, again, prepared.lengths, seconds)
                if len(chosen) < 2:
                    break
                pieces = [
                    prepared.audio[first[file] + start : first[file] + start + length].astype(np.float64)
                    for file, start, length in chosen
                ]
                name = f"{part}-{stream + 1}"
                yield part, name, self._join(scene, pieces, [file for file, *_ in chosen], labels, groups)
                made += 1
            if part == "test" and made < 2:
                raise DataError("the test files make up only one stream: add files")

    def _fitting(self, files: Sequence[Sequence[int]], lengths: Sequence[int], count: int) -> float:
        """Return the length of streams of these files: shorter where they would not make up `LEAST_STREAMS`."""
        usual = sum(SEGMENT_SECONDS) / 2
        fewest = min(len(each) for each in files)  # about as many excerpts of each class are used
        seconds = sum(min(lengths[i] / self.sample_rate, usual) for each in files for i in each[:fewest])
        return min(self.stream_seconds, max(seconds / min(count, LEAST_STREAMS), 3 * SEGMENT_SECONDS[0]))

    def _choose(
        self,
        scene: Generator,
        left: list[list[int]],
        again: list[list[int]] | None,
        lengths: Sequence[int],
        seconds: float,
    ) -> list[tuple[int, int, int]]:
        """Return file, first sample and length of each excerpt of a stream; files that are used leave `left`.

        Args:
            scene: draws.
            left: files of each class that no stream has yet.
            again: files of each class, to begin again where none is left; None ends the stream there.
            lengths: samples of each file.
            seconds: length of the stream.
        """
        fade = round(self.fade_seconds * self.sample_rate)
        wanted = round(seconds * self.sample_rate)
        shortest = round(self.shortest_seconds * self.sample_rate)
        chosen: list[tuple[int, int, int]] = []
        before, total = -1, 0
        while total < wanted:
            if again is not None:
                for label, files in enumerate(left):
                    if not files:
                        left[label] = scene.permutation(again[label]).tolist()
            free = [label for label, files in enumerate(left) if files and label != before]
            if not free:
                break
            before = int(scene.choice(free))
            file = left[before].pop()
            length = round(self.sample_rate * float(np.exp(scene.uniform(*np.log(SEGMENT_SECONDS))))) + fade
            length = min(length, lengths[file], max(wanted - total, shortest))
            start = int(scene.integers(lengths[file] - length + 1))
            chosen.append((file, start, length))
            total += length - (fade if len(chosen) > 1 else 0)
        return chosen

    def _join(
        self,
        scene: Generator,
        pieces: Sequence[NDArray[np.float64]],
        files: Sequence[int],
        labels: Sequence[int],
        groups: Sequence[str],
    ) -> Made:
        """Return a stream of excerpts of these files."""
        loud = [
            piece / max(float(np.sqrt(np.mean(piece**2))), 1e-9) * 10 ** (scene.uniform(-LEVEL_DB, LEVEL_DB) / 20)
            for piece in pieces
        ]
        fade = round(self.fade_seconds * self.sample_rate)
        sound, segments = joined(loud, [labels[file] for file in files], fade, self.sample_rate)
        return as_samples(sound, PEAK), segments, tuple(groups[file] for file in files)
