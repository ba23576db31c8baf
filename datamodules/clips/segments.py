"""Datasets of long recordings, cut to overlapping clips.

Every recording is decoded and prepared once. All recordings are concatenated in one int16 array, memory-mapped where
there is a cache. A clip is a range of it, so overlaps take no space, and clips of all lengths share one cache.
"""

import os
from abc import abstractmethod
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from datamodules.audio import AudioError, Own, decode
from datamodules.audio.preparation import Samples, piece, segments
from datamodules.base import ClipSet, DataError, DatasetMissing, Splits
from datamodules.clips.array_cache import ArrayCache, Facts, recheck
from datamodules.clips.array_clips import content_hash, state, unusable
from datamodules.clips.folds import grouped_shares, merged
from datamodules.clips.waveform_data import WaveformDataModule
from datamodules.listing import AudioFile, Listing, Report, silently
from datamodules.tables.csv_table import inside, safe

Prepare = Callable[[Samples, int], Samples]
Result = TypeVar("Result")

CODE_VERSION = 2
"""Increase it when `decode` or a preparation step changes its samples; older caches are then not read."""

OVERLAP = 0.5
FACTS = ("lengths", "hashes", "clipped", "silent", "rates", "contents")
SPLIT_SEED = 0  # the division belongs to the dataset and does not depend on the run's seed
PARTS = ("training", "validation", "test")
WORKERS = min(4, os.cpu_count() or 1)  # each holds a recording: about 0.7 GB an hour
FULL_SCALE = 32768


class SegmentClips(ClipSet):
    """Pieces of recordings that are concatenated in an int16 array; `x` is `(B, S)` in [-1, 1).

    Args:
        audio: `(N,)`, the recordings of this and other splits.
        places: `(n, 3)` for each piece: start of its recording in `audio`, length of the recording, and start of the
            piece in the recording, as from `segments`.
        samples: S, length of a piece.
        ids: name of each piece.
        groups: source of each piece.
        hashes: content hash of each piece's recording.
        targets: `(n,)` int64, or `(n, C)` float32.
        files: name of each piece's recording, for scores per recording; None where there are none.
        silence: content hashes of the recordings that are digital silence.
        padded: whether a recording that is shorter than a piece is padded with zeros; it is repeated otherwise.
    """

    def __init__(
        self,
        audio: NDArray[np.int16],
        places: NDArray[np.int64],
        samples: int,
        ids: Sequence[str],
        groups: Sequence[str],
        hashes: Sequence[str],
        targets: Tensor,
        *,
        files: Sequence[str] | None = None,
        silence: frozenset[str] = frozenset(),
        padded: bool = False,
    ) -> None:
        super().__init__(ids, groups, hashes, targets)
        self.files = None if files is None else tuple(files)
        self.silence = silence
        self.padded = padded
        if places.shape != (len(self.ids), 3):
            raise DataError(f"{len(places)} places for {len(self.ids)} pieces")
        self.audio = audio
        self.places = places
        self.samples = samples

    @property
    def silent_hashes(self) -> frozenset[str]:
        """Content hashes of digital silence."""
        return self.silence

    def load(self, indices: Sequence[int]) -> Tensor:
        """Return `x` of these pieces, `(B, S)` float32.

        Raises:
            DataError: the cache was damaged while it was in use.
        """
        recheck()
        pieces = np.zeros((len(indices), self.samples), np.int16)
        for row, (first, length, start) in zip(pieces, self.places[indices].tolist(), strict=True):
            if self.padded and length < self.samples:
                row[:length] = self.audio[first : first + length]
                continue
            row[:] = piece(self.audio[first : first + length], start, self.samples)
        return torch.from_numpy(pieces.astype(np.float32)) / FULL_SCALE


@dataclass(frozen=True)
class Recording:
    """A file: its name in the dataset, its path, its class and its source."""

    name: str
    path: Path
    label: str
    group: str


@dataclass(frozen=True)
class Prepared:
    """Concatenated recordings.

    Attributes:
        audio: `(N,)` int16.
        lengths: samples of each recording.
        hashes: SHA-256 of each recording's samples.
        clipped: number of samples of each beyond full scale.
        silent: whether each is digital silence.
        rates: own sample rate of each file, in hertz.
        contents: digest of each file's samples at its own rate; empty for digital silence.
        unreadable: place of each file that was left out in the list of all files, and the reason.
    """

    audio: NDArray[np.int16]
    lengths: list[int]
    hashes: list[str]
    clipped: list[int]
    silent: list[bool]
    rates: list[int]
    contents: list[str]
    unreadable: dict[int, str] = field(default_factory=dict)


class SegmentedRecordings(WaveformDataModule):
    """Recordings of any length, prepared, divided by source, and cut to overlapping pieces of one length.

    Pieces overlap by half and never cross recordings. A remainder shorter than half a piece gives one more piece, which
    ends with the recording. A prepared recording shorter than a piece is repeated to its length.

    Arguments as for `WaveformDataModule`; `clip_seconds` is the length of a piece, and `seed` does not change the
    division.

    Attributes:
        shares: shares of the recordings for training, validation and test.
        official: number of recordings of each class in the complete dataset.
    """

    shares: ClassVar[tuple[float, float, float]]
    official: ClassVar[dict[str, int]]
    default_sample_rate = 16_000
    default_clip_seconds = 1.0

    @abstractmethod
    def recordings(self, root: Path) -> tuple[list[Recording], list[str]]:
        """Return the recordings on disk, in a fixed order, and remarks for `note`."""

    @staticmethod
    @abstractmethod
    def prepare(waveform: Samples, sample_rate: int) -> Samples:
        """Return a recording ready to be cut to pieces."""

    def listing(self) -> Listing:
        """Return the recordings; their division depends on their audio, because copies stay together."""
        files, _ = self.recordings(self.checked_root())
        return Listing([AudioFile(file.name, file.path, (file.label,), file.group, "") for file in files])

    def read(self) -> Splits:
        """Prepare the recordings, divide them and cut them."""
        root = self.checked_root()
        self.classes = tuple(self.official)
        files, remarks = self.recordings(root)
        self.clips_available = len(files)
        if not files:
            raise DatasetMissing(f"there are no wav files in {str(root)!r}: unpack the dataset there")
        labels = [self.classes.index(file.label) for file in files]
        prepared = prepare_all(
            [file.path for file in files],
            self.prepare,
            self.sample_rate,
            self.longest_seconds,
            self.cache,
            type(self).__name__.lower(),
        )
        self.own_rates = prepared.rates
        groups = merged([file.group for file in files], prepared.hashes)
        parts = grouped_shares(groups, labels, self.shares, SPLIT_SEED)
        division = self._division(labels, parts)
        pieces = segments(prepared.lengths, self.sample_rate, self.clip_seconds, OVERLAP)
        samples = round(self.clip_seconds * self.sample_rate)
        self.clip_shape = (samples,)
        self.note = "; ".join([*self._coverage(labels), division, *remarks, *_remarks(prepared, samples)])

        first = np.cumsum([0, *prepared.lengths])
        part_of = np.asarray(parts)[pieces[:, 0]]

        def part(number: int) -> SegmentClips:
            chosen = pieces[part_of == number]  # (n, 2)
            of, start = chosen[:, 0], chosen[:, 1]
            places = np.stack([first[of], np.asarray(prepared.lengths)[of], start], axis=1)
            return SegmentClips(
                prepared.audio,
                places,
                samples,
                [f"{files[i].name}[{begin}:{begin + samples}]" for i, begin in chosen.tolist()],
                [groups[i] for i in of],
                [prepared.hashes[i] for i in of],
                torch.tensor([labels[i] for i in of], dtype=torch.int64),
            )

        return Splits(part(0), part(1), part(2))

    def _coverage(self, labels: Sequence[int]) -> list[str]:
        """Return a remark with the number of recordings of each class, where some are missing."""
        there = Counter(self.classes[label] for label in labels)
        if there == Counter(self.official):
            return []
        return [", ".join(f"{there[label]} of {count} {label} files" for label, count in self.official.items())]

    def _division(self, labels: Sequence[int], parts: Sequence[int]) -> str:
        """Describe the division of the recordings; raise `DataError` if a part lacks a class."""
        counts = np.zeros((len(self.classes), len(PARTS)), np.int64)
        np.add.at(counts, (np.asarray(labels), np.asarray(parts)), 1)
        if (counts == 0).any():
            lines = [f"  {'files':12}" + "".join(f"{part:>12}" for part in PARTS)]
            for label, row in zip(self.classes, counts, strict=True):
                lines.append(f"  {label:12}" + "".join(f"{count:>12}" for count in row))
            raise DataError(
                "too few sources: each class needs at least three, one to train, one to validate and one to test; "
                "add files\n" + "\n".join(lines)
            )
        wanted = 100 * np.asarray(self.shares)
        found = 100 * counts.sum(0) / counts.sum()
        off = np.abs(100 * counts / counts.sum(1, keepdims=True) - wanted).max()
        return (
            f"files to train, validate and test: {'/'.join(map(str, counts.sum(0)))}, "
            f"{'/'.join(f'{share:.1f}' for share in found)} % for {'/'.join(f'{share:g}' for share in wanted)} %, "
            f"in no class further off than {off:.1f} points"
        )


def files_of(root: Path, folder: Path, ignored: Sequence[str]) -> tuple[list[tuple[str, Path]], int]:
    """Return name (relative to the root) and path of each wav file in a folder and below, and the number of others.

    Names that start with a dot, such as macOS' `._*`, and names in `ignored` count as neither.
    """
    found: list[tuple[str, Path]] = []
    others = 0
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(root))
        if (
            (path.is_dir() and not path.is_symlink())
            or any(part.startswith(".") for part in path.relative_to(root).parts)
            or path.name in ignored
        ):
            continue
        if path.suffix.lower() == ".wav":
            found.append((safe(name), inside(root, name, f"{folder.name!r}")))
        else:
            others += 1
    return found, others


def prepare_all(
    paths: Sequence[Path],
    prepare: Prepare,
    sample_rate: int,
    longest_seconds: float,
    cache: Path | None,
    name: str,
    *,
    names: Sequence[str] = (),
    skip: bool = False,
    report: Report = silently,
) -> Prepared:
    """Decode and prepare every file once.

    Args:
        paths: audio files.
        prepare: takes samples `(S,)` float32 and the sample rate, returns samples; peaks beyond full scale are clipped.
        sample_rate: to resample to, in hertz.
        longest_seconds: longest file that is accepted.
        cache: folder for the samples, shared by any number of processes; None keeps them in memory.
        name: of the dataset, for the cache file.
        names: the files' names in messages, where their last parts are not enough.
        skip: leave files out that cannot be used.
        report: called with the number of files decoded so far and of all files.

    Raises:
        DataError: some files cannot be used and `skip` is not set, or none can.
    """

    def build(facts: Facts) -> Iterator[NDArray[np.int16]]:
        bad: dict[int, str] = {}
        facts.update({fact: [] for fact in FACTS})
        if skip:
            facts["unreadable"] = bad
        left = bad if skip else None
        for recording, about in _prepare_each(paths, prepare, sample_rate, longest_seconds, names, report, left):
            for fact, value in zip(FACTS, about, strict=True):
                facts[fact].append(value)
            yield recording
        if not facts["lengths"]:
            raise DataError(unusable(bad, paths, names))

    step = f"{prepare.__module__}.{prepare.__qualname__}"
    key = f"recordings {state(paths)} {sample_rate} {step} {CODE_VERSION}{' skip' if skip else ''}"
    audio, facts = ArrayCache(cache).array(name, key, build)
    unreadable = {int(place): reason for place, reason in facts.get("unreadable", {}).items()}
    return Prepared(audio, **{**facts, "unreadable": unreadable})


def _prepare_each(
    paths: Sequence[Path],
    prepare: Prepare,
    sample_rate: int,
    longest_seconds: float,
    names: Sequence[str],
    report: Report,
    skipped: dict[int, str] | None,
) -> Iterator[tuple[NDArray[np.int16], tuple[int, str, int, bool, int, str]]]:
    """Yield each file's samples and its `FACTS`, in order; at most a few files wait in memory.

    Raises:
        DataError: as for `prepare_all`, after all files were tried.
    """

    def one(path: Path) -> tuple[NDArray[np.int16], tuple[int, str, int, bool, int, str]] | AudioError:
        own: list[Own] = []
        try:
            x = prepare(decode(path, sample_rate, longest_seconds, own=own.append), sample_rate)
        except AudioError as error:
            return error
        np.rint(np.multiply(x, FULL_SCALE, out=x), out=x)  # in place: nothing else holds these samples
        clipped = int(np.count_nonzero(x > FULL_SCALE - 1) + np.count_nonzero(x < -FULL_SCALE))
        samples = np.clip(x, -FULL_SCALE, FULL_SCALE - 1, out=x).astype(np.int16)
        return samples, (
            len(samples),
            content_hash(samples),
            clipped,
            not samples.any(),
            own[0].sample_rate,
            own[0].content,
        )

    bad: dict[int, str] = {}
    for place, result in enumerate(_in_order(one, paths)):
        report(place + 1, len(paths))
        if isinstance(result, AudioError):
            bad[place] = str(result)
        elif not bad or skipped is not None:
            yield result
    if skipped is not None:
        skipped.update(bad)
    elif bad:
        raise DataError(unusable(bad, paths, names))


def _in_order(function: Callable[[Path], Result], paths: Sequence[Path]) -> Iterator[Result]:
    """Yield the function's result for each path, computing only a few ahead; a pool's own `map` would start all."""
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(WORKERS) as pool:  # decoding and numpy release the interpreter lock
        for path in paths:
            waiting.append(pool.submit(function, path))
            if len(waiting) > WORKERS:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _remarks(prepared: Prepared, samples: int) -> Iterator[str]:
    """Yield remarks on the prepared recordings, for `note`."""
    if short := sum(length < samples for length in prepared.lengths):
        yield f"{short} files shorter than a clip once silence is cut, repeated to its length"
    if silent := sum(prepared.silent):
        yield f"{silent} silent files"
    if copies := len(prepared.hashes) - len(set(prepared.hashes)):
        yield f"{copies} files that sound as another does, of one source with it"
    if clipped := sum(prepared.clipped):
        yield f"{100 * clipped / len(prepared.audio):.2g} % of the samples clipped"
