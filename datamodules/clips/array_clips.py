"""Clips held in one array, in memory or memory-mapped, and decoding to such an array."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from datamodules.audio import AudioError, AudioSource, ShardMember, decode
from datamodules.audio.clip import quantised
from datamodules.base import ClipSet, DataError
from datamodules.clips.array_cache import ArrayCache, Facts

CODE_VERSION = 1
"""Increase it when `decode` or `decode_all` changes its samples; older caches are then not read."""

DECODERS = 2
_AT_ONCE = 1 << 16  # values that are converted at once


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
        """Return `x` of these clips, float32."""
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


class EmbeddingClips(ArrayClips):
    """Clips over a uint8 array `(N, T, F)`; `x` is `(B, T, F)` in [0, 1]."""

    full_scale = 255.0


def decode_all(
    paths: Sequence[AudioSource], sample_rate: int, clip_seconds: float, cache: Path | None, name: str
) -> tuple[NDArray[np.int16], list[str]]:
    """Decode every file once to clips of one length.

    Shorter files are padded with zeros, longer ones cropped at the end.

    Args:
        paths: audio files, or members of shards.
        sample_rate: of the clips, in hertz.
        clip_seconds: length of the clips.
        cache: folder for the decoded clips, shared by any number of processes; None keeps them in memory.
        name: of the dataset, for the cache file.

    Returns:
        Samples `(N, S)`, memory-mapped where there is a cache, and the SHA-256 of each clip's samples.

    Raises:
        DataError: some files cannot be used; the message lists all of them.
    """
    samples = round(sample_rate * clip_seconds)

    def build(facts: Facts) -> Iterator[NDArray[np.int16]]:
        hashes = facts["hashes"] = []
        for row, digest in _decode_each(paths, sample_rate, samples):
            hashes.append(digest)
            yield row[np.newaxis]

    key = f"clips {state(paths)} {sample_rate} {samples} {CODE_VERSION}"
    clips, facts = ArrayCache(cache).array(name, key, build)
    return clips, facts["hashes"]


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
    return hashes.count(hashlib.sha256(bytes(2 * samples)).hexdigest())


def _decode_each(
    paths: Sequence[AudioSource], sample_rate: int, samples: int
) -> Iterator[tuple[NDArray[np.int16], str]]:
    def one(path: AudioSource) -> tuple[NDArray[np.int16], str] | AudioError:
        try:
            row = quantised(decode(path, sample_rate), samples)
        except AudioError as error:
            return error
        return row, content_hash(row)

    bad: list[AudioError] = []
    with ThreadPoolExecutor(DECODERS) as pool:  # decoding and resampling release the interpreter lock
        for result in pool.map(one, paths):
            if isinstance(result, AudioError):
                bad.append(result)
            elif not bad:
                yield result
    if bad:
        raise DataError(
            f"{len(bad)} of {len(paths)} files cannot be used:\n" + "\n".join(f"  {error}" for error in bad)
        )
