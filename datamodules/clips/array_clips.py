"""Clips held in one array, in memory or memory-mapped, and decoding to such an array."""

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import ClassVar, Self, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from datamodules.audio import AudioError, AudioSource, Own, ShardMember, decode, renamed
from datamodules.audio.clip import quantised
from datamodules.base import ClipSet, DataError
from datamodules.clips.array_cache import ArrayCache, Facts, recheck
from datamodules.listing import Report, shortened, silently

CODE_VERSION = 3
"""Increase it when `decode` or `decode_all` changes its samples; older caches are then not read."""

DECODERS = 2
_AT_ONCE = 1 << 16  # values that are converted at once
_SHORT = 1 << 16  # bytes of a file up to which threads do not pay
_LOOKED_AT = 50  # files whose sizes decide that

Result = TypeVar("Result")


class ArrayClips(ClipSet):
    """Rows of an array of integers that is shared between splits.

    Args:
        array: `(N, ...)`, one row per clip of this and perhaps other splits.
        ids: name of each clip.
        groups: source of each clip.
        hashes: content hash of each clip.
        targets: `(n,)` int64 or `(n, C)` float32.
        rows: `(n,)` row of each clip in `array`; all of them unless given.
    """

    full_scale: ClassVar[float]

    def __init__(
        self,
        array: NDArray[np.integer],
        ids: Sequence[str],
        groups: Sequence[str],
        hashes: Sequence[str],
        targets: Tensor,
        rows: NDArray[np.int64] | None = None,
    ) -> None:
        super().__init__(ids, groups, hashes, targets)
        self.array = array
        self.rows = np.arange(len(array)) if rows is None else rows
        if len(self.rows) != len(self.ids):
            raise DataError(f"{len(self.rows)} rows of audio for {len(self.ids)} clips")

    def load(self, indices: Sequence[int]) -> Tensor:
        """Return `x` of these clips, float32.

        Raises:
            DataError: the cache was damaged while it was in use.
        """
        recheck()
        rows = self.rows[indices]
        x = np.empty((len(rows), *self.array.shape[1:]), np.float32)
        step = max(1, _AT_ONCE // max(1, x[:1].size))
        for i in range(
            0, len(rows), step
        ):  # a few clips at a time, so that the intermediate result stays in the processor's cache
            part = self.array[rows[i : i + step]]
            np.divide(part, self.full_scale, out=x[i : i + step], dtype=np.float32)
        return torch.from_numpy(x)

    def select(self, indices: Sequence[int] | NDArray[np.int64]) -> Self:
        """Return a set of these clips over the same array."""
        chosen = np.asarray(indices, dtype=np.int64)
        ids, groups, hashes = ([values[i] for i in chosen] for values in (self.ids, self.groups, self.hashes))
        return type(self)(self.array, ids, groups, hashes, self.targets[torch.from_numpy(chosen)], self.rows[chosen])


class WaveformClips(ArrayClips):
    """Clips over an int16 array `(N, S)`; `x` is `(B, S)` in [-1, 1)."""

    full_scale = 32768.0

    @property
    def silent_hashes(self) -> frozenset[str]:
        """The content hash of digital silence."""
        return frozenset((_silence(self.array.shape[1]),))


class EmbeddingClips(ArrayClips):
    """Clips over a uint8 array `(N, T, F)`; `x` is `(B, T, F)` in [0, 1]."""

    full_scale = 255.0


def decode_all(
    paths: Sequence[AudioSource],
    sample_rate: int,
    clip_seconds: float,
    cache: Path | None,
    name: str,
    rates: list[int] | None = None,
) -> tuple[NDArray[np.int16], list[str]]:
    """Decode every file once to clips of one length.

    Shorter files are padded with zeros, longer ones cropped at the end.

    Args:
        paths: audio files, or members of shards.
        sample_rate: of the clips, in hertz.
        clip_seconds: length of the clips.
        cache: folder for the decoded clips, shared by any number of processes; None keeps them in memory.
        name: of the dataset, for the cache file.
        rates: gets the own sample rate of each file, in hertz.

    Returns:
        Samples `(N, S)`, memory-mapped where there is a cache, and the SHA-256 of each clip's samples.

    Raises:
        DataError: some files cannot be used; the message lists all of them.
    """
    found = decode_files(paths, sample_rate, clip_seconds, cache, name)
    if rates is not None:
        rates += found.rates
    return found.clips, found.hashes


@dataclass(frozen=True)
class Decoded:
    """Decoded files.

    Attributes:
        clips: samples `(N, S)` of the files that could be decoded, memory-mapped where there is a cache.
        hashes: SHA-256 of each clip's samples.
        lengths: samples of each of these files before padding or cropping.
        rates: own sample rate of each of these files, in hertz.
        contents: digest of each of these files' samples at their own rate; empty for digital silence.
        unreadable: place of each other file in the list of all files, and the reason.
    """

    clips: NDArray[np.int16]
    hashes: list[str]
    lengths: list[int]
    rates: list[int]
    contents: list[str]
    unreadable: dict[int, str]


def decode_files(
    paths: Sequence[AudioSource],
    sample_rate: int,
    clip_seconds: float,
    cache: Path | None,
    name: str,
    *,
    names: Sequence[str] = (),
    skip: bool = False,
    report: Report = silently,
) -> Decoded:
    """Decode every file once to clips of one length, as `decode_all` does, and keep the files' own lengths.

    Args:
        paths: as for `decode_all`.
        sample_rate: as for `decode_all`.
        clip_seconds: as for `decode_all`.
        cache: as for `decode_all`.
        name: as for `decode_all`.
        names: the files' names in messages, where their last parts are not enough.
        skip: leave files out that cannot be used.
        report: called with the number of files decoded so far and of all files.

    Raises:
        DataError: some files cannot be used and `skip` is not set, or none can.
    """
    samples = round(sample_rate * clip_seconds)

    def build(facts: Facts) -> Iterator[NDArray[np.int16]]:
        hashes: list[str] = []
        lengths: list[int] = []
        rates: list[int] = []
        contents: list[str] = []
        bad: dict[int, str] = {}
        facts.update(hashes=hashes, lengths=lengths, rates=rates, contents=contents, bad=bad)
        each = _decode_each(paths, sample_rate, samples, names, report, bad if skip else None)
        for row, digest, length, own in each:
            hashes.append(digest)
            lengths.append(length)
            rates.append(own.sample_rate)
            contents.append(own.content)
            yield row[np.newaxis]
        if not hashes:
            raise DataError(unusable(bad, paths, names))

    key = f"clips {state(paths)} {sample_rate} {samples} {CODE_VERSION}{' skip' if skip else ''}"
    clips, facts = ArrayCache(cache).array(name, key, build)
    unreadable = {int(place): reason for place, reason in facts["bad"].items()}  # JSON turns numbers into text
    return Decoded(clips, facts["hashes"], facts["lengths"], facts["rates"], facts["contents"], unreadable)


def unusable(bad: Mapping[int, str], paths: Sequence[AudioSource], names: Sequence[str] = ()) -> str:
    """Return the message on files that cannot be used: `bad` has the reason by the file's place."""
    reasons = [renamed(why, paths[place], names[place]) if names else why for place, why in bad.items()]
    lines = "\n".join(f"  {each}" for each in shortened(reasons))
    return f"{len(reasons)} of {len(paths)} files cannot be used:\n{lines}"


def state(paths: Sequence[AudioSource]) -> str:
    """Return a digest of the names, sizes and modification times of files, for a cache's key."""
    digest = hashlib.sha256()
    for source in paths:
        path, part = (
            (source.file, f"{source.start} {source.size}\n") if isinstance(source, ShardMember) else (source, "")
        )
        try:
            found = path.stat()
            seen = f"{found.st_size} {found.st_mtime_ns}"
        except OSError:  # reading the file reports the error
            seen = "unreadable"
        digest.update(os.fsencode(path) + f"\0{seen}\n{part}".encode())
    return digest.hexdigest()


def content_hash(clip: NDArray[np.int16]) -> str:
    """Return the SHA-256 (hex) of a clip's samples, the same on every machine."""
    return hashlib.sha256(clip.astype("<i2", copy=False).tobytes()).hexdigest()


def silent(hashes: Sequence[str], samples: int) -> int:
    """Return the number of clips of `samples` samples that are digital silence."""
    return hashes.count(_silence(samples))


@lru_cache(maxsize=8)
def _silence(samples: int) -> str:
    """Return the content hash of digital silence."""
    return hashlib.sha256(bytes(2 * samples)).hexdigest()


def _decode_each(
    paths: Sequence[AudioSource],
    sample_rate: int,
    samples: int,
    names: Sequence[str],
    report: Report,
    skipped: dict[int, str] | None,
) -> Iterator[tuple[NDArray[np.int16], str, int, Own]]:
    """Yield samples, digest, own length and further facts of each file; `skipped` takes reasons of those left out."""

    def one(path: AudioSource) -> tuple[NDArray[np.int16], str, int, Own] | AudioError:
        own: list[Own] = []
        try:
            waveform = decode(path, sample_rate, own=own.append)
            row = quantised(waveform, samples)
        except AudioError as error:
            return error
        return row, content_hash(row), len(waveform), own[0]

    bad: dict[int, str] = {}
    for place, result in enumerate(each(one, paths)):
        report(place + 1, len(paths))
        if isinstance(result, AudioError):
            bad[place] = str(result)
        elif not bad or skipped is not None:
            yield result
    if skipped is not None:
        skipped.update(bad)
    elif bad:
        raise DataError(unusable(bad, paths, names))


def each(function: Callable[[AudioSource], Result], paths: Sequence[AudioSource]) -> Iterator[Result]:
    """Yield a function's result for each file, in order; several files are worked on at once where that is faster.

    Decoding and resampling release the interpreter's lock, but for short WAV files the threads would wait for the lock
    longer than they decode.
    """
    if _are_short(paths[:: max(1, len(paths) // _LOOKED_AT)]):
        yield from map(function, paths)
        return
    with ThreadPoolExecutor(DECODERS) as pool:
        yield from pool.map(function, paths)


def _are_short(paths: Sequence[AudioSource]) -> bool:
    """Return whether all of these are WAV files of a second or so."""
    try:
        return all(
            isinstance(path, Path) and path.suffix.lower() == ".wav" and path.stat().st_size <= _SHORT for path in paths
        )
    except OSError:
        return False
