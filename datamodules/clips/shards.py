"""Clips in tar shards, in webdataset's convention: `*.tar` that hold `key.flac` (or .wav .ogg .mp3 ...) and `key.json`.

One pass over the shards makes an index: key, position and SHA-256 of every clip. The cache keeps it shard by shard, so
an interrupted pass continues where it stopped. With the index a clip can be read by its position, and training reads
the shards sequentially through webdataset (https://github.com/webdataset/webdataset).

The order of an epoch depends only on the index, the seed and the epoch: shards in a random order, their clips mixed by
webdataset's shuffle buffer, cut to batches. So every rank and every worker knows its own clips, a resumed stream knows
the remaining batches, and the number of workers changes nothing.
"""

import hashlib
import json
import random
import re
import stat
import tarfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
import webdataset
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info
from webdataset.tariterators import base_plus_ext, group_by_keys, tar_file_expander

from datamodules.audio import ENDINGS, MAX_MEMBER_BYTES, AudioError, ShardMember, decode, decode_bytes_blocks, is_track
from datamodules.base import ClipSet, DataError
from datamodules.clips.array_cache import ArrayCache, Facts
from datamodules.clips.array_clips import DECODERS, WaveformClips, decode_all, state
from datamodules.clips.draws import place_among_ranks
from datamodules.clips.ring import Placed, Ring, shared
from datamodules.tables.csv_table import safe

BUFFER = 1000
"""Clips in the shuffle buffer, about 0.5 GB of encoded audio; it determines the order, and so every result."""

_CODE_VERSION = 2
_BLOCK = 512  # of the tar format, in bytes
_META = re.compile(r"__[^/]*__($|/)")  # webdataset passes such members over


@dataclass(frozen=True)
class IndexedClip:
    """A clip in a shard.

    Attributes:
        key: its name without ending, with its folders in the shard: `a/1` and `b/1` are two clips.
        member: its place in the shard.
        digest: SHA-256 of its encoded content.
        about: content of `key.json`; empty without one.
    """

    key: str
    member: ShardMember
    digest: str
    about: Mapping[str, Any]


def index(shards: Sequence[Path], cache: Path | None) -> list[IndexedClip]:
    """Read every shard once and return the clips of all shards, in the order of the files.

    Args:
        shards: tar files, not compressed.
        cache: folder for the index; None reads the shards each time.

    Raises:
        DataError: shards are damaged, contain other things than clips, or a key twice; the message lists all faults.
    """

    def one(shard: Path) -> list[IndexedClip] | DataError:
        try:
            return _indexed(shard, cache)
        except DataError as error:
            return error

    with ThreadPoolExecutor(DECODERS) as pool:  # hashing releases the interpreter lock
        found = list(pool.map(one, shards))
    clips = [clip for part in found if isinstance(part, list) for clip in part]
    bad = [str(part) for part in found if isinstance(part, DataError)]
    first: dict[str, IndexedClip] = {}
    for clip in clips:
        if (earlier := first.setdefault(clip.key, clip)) is not clip:
            bad.append(f"{str(clip.member)!r} has the same key as {str(earlier.member)!r}: remove one of them")
    if bad:
        raise DataError(f"{len(bad)} faults in {len(shards)} shards:\n" + "\n".join(f"  {each}" for each in bad))
    return clips


class ShardClips(ClipSet):
    """Clips in shards; `x` is `(B, S)` in [-1, 1), bit for bit as from `WaveformClips` over the same files.

    Args:
        members: place of each clip.
        ids: as in `ClipSet`.
        groups: as in `ClipSet`.
        hashes: as in `ClipSet`, of the encoded content.
        targets: as in `ClipSet`.
        sample_rate: of the clips, in hertz.
        samples: S; shorter clips are padded with zeros, longer ones cropped at the end.
    """

    def __init__(
        self,
        members: Sequence[ShardMember],
        ids: Sequence[str],
        groups: Sequence[str],
        hashes: Sequence[str],
        targets: Tensor,
        sample_rate: int,
        samples: int,
    ) -> None:
        super().__init__(ids, groups, hashes, targets)
        if len(members) != len(self.ids):
            raise DataError(f"{len(members)} members for {len(self.ids)} clips")
        self.members = tuple(members)
        self.sample_rate = sample_rate
        self.samples = samples

    def load(self, indices: Sequence[int]) -> Tensor:
        """Return `x` of these clips, each read by its position; slow for many clips in random order.

        Raises:
            DataError: some clips cannot be used; the message names shard and key of each.
        """
        return self.batch([partial(decode, self.members[i], self.sample_rate) for i in indices])

    def batch(self, decoders: Sequence[Any], out: Tensor | None = None) -> Tensor:
        """Return `x` `(B, S)` of the waveforms that these functions return, whole or in blocks.

        A clip's samples go straight to their row. In one of a loader's processes, the rows are in memory that the
        training shares, and each process decodes in one thread where there are several.

        Args:
            decoders: functions without arguments.
            out: `(B, S)` to be filled; None takes new memory.
        """
        info = get_worker_info()
        new = shared if info else torch.empty
        x = new(len(decoders), self.samples) if out is None else out

        def one(row: NDArray[np.float32], waveform: Any) -> AudioError | None:
            try:
                blocks = waveform()
                _fill(row, [blocks] if isinstance(blocks, np.ndarray) else blocks)
            except AudioError as error:
                return error
            return None

        with ThreadPoolExecutor(1 if info and info.num_workers > 1 else DECODERS) as pool:
            found = list(pool.map(one, x.numpy(), decoders))
        if bad := [f"  {error}" for error in found if error is not None]:
            raise DataError(f"{len(bad)} clips cannot be used:\n" + "\n".join(bad))
        return x

    def select(self, indices: Sequence[int] | NDArray[np.int64]) -> Self:
        """Return these clips as a set of their own."""
        chosen = np.asarray(indices, dtype=np.int64)
        members, ids, groups, hashes = (
            [values[i] for i in chosen] for values in (self.members, self.ids, self.groups, self.hashes)
        )
        targets = self.targets[torch.from_numpy(chosen)]
        return type(self)(members, ids, groups, hashes, targets, self.sample_rate, self.samples)

    def decoded(self, cache: Path | None, name: str, rates: list[int] | None = None) -> WaveformClips:
        """Decode all clips, through the cache, for splits that are read many times.

        Args:
            cache: as in `decode_all`.
            name: as in `decode_all`.
            rates: as in `decode_all`.
        """
        samples, _ = decode_all(self.members, self.sample_rate, self.samples / self.sample_rate, cache, name, rates)
        return WaveformClips(samples, self.ids, self.groups, self.hashes, self.targets)

    def stream(
        self,
        batch_size: int,
        seed: int,
        workers: int = 0,
        weights: Tensor | None = None,
        extra: Tensor | None = None,
    ) -> "StreamLoader":
        """Return a loader that reads the shards from front to back; arguments as in `ClipSet`.

        In distributed training it is the loader of this rank, whose clips no other rank has.
        """
        rank, ranks = place_among_ranks()
        return StreamLoader(Stream(self, batch_size, seed, weights, extra, rank, ranks), workers)


class Stream(IterableDataset[tuple[Tensor, ...]]):
    """The batches of one epoch and rank, from sequentially read shards.

    All ranks have the same number of batches, and batch sizes differ by at most one clip. So no rank waits for another,
    and no batch has a single clip unless all have.

    Args:
        clips: the clips to read.
        batch_size: clips of the largest batch.
        seed: seed of the order.
        weights: as in `ClipSet.stream`.
        extra: as in `ClipSet.stream`.
        rank: rank of this process in distributed training.
        ranks: number of processes.

    Attributes:
        epoch: epoch whose order is used, from 0.
        start: number of its batches to skip because they were returned before.
        ring: where a loader's processes put the clips of a batch, of which they then return the `Placed`.
    """

    def __init__(
        self,
        clips: ShardClips,
        batch_size: int,
        seed: int,
        weights: Tensor | None = None,
        extra: Tensor | None = None,
        rank: int = 0,
        ranks: int = 1,
    ) -> None:
        super().__init__()
        if len(clips) < ranks:
            raise DataError(f"{len(clips)} clips cannot be divided among {ranks} processes: train with fewer")
        self.clips = clips
        self.batch_size = batch_size
        self.seed = seed
        self.weights = weights
        self.extra = extra
        self.rank = rank
        self.ranks = ranks
        self.epoch = 0
        self.start = 0
        self.ring: Ring | None = None

    @property
    def count(self) -> int:
        """Number of batches of an epoch, the same on each rank, though some ranks have one clip fewer."""
        largest = -(-len(self.clips) // self.ranks)
        return min(-(-largest // self.batch_size), len(self.clips) // self.ranks)

    def batches(self) -> list[NDArray[np.int64]]:
        """Return the clips of each of this rank's batches in this epoch."""
        rng = np.random.default_rng([self.seed, self.epoch])
        shards, shard_of, places = self._layout
        rows = np.lexsort((places, rng.permutation(len(shards))[shard_of]))
        if self.weights is not None:
            shares = self.weights.numpy().astype(np.float64)
            drawn = rng.choice(len(rows), len(rows), p=shares / shares.sum())
            rows = np.repeat(rows, np.bincount(drawn, minlength=len(rows))[rows])
        own = np.array_split(rows, self.ranks)[self.rank]  # contiguous, so that ranks read different shards
        mix = webdataset.shuffle(BUFFER, initial=BUFFER, rng=random.Random(f"{self.seed} {self.epoch} {self.rank}"))
        mixed = np.fromiter(mix(iter(own)), np.int64, len(own))
        return np.array_split(mixed, self.count)

    def __iter__(self) -> Iterator[tuple[Tensor | Placed, ...]]:  # type: ignore[override]
        info = get_worker_info()
        worker, workers = (info.id, info.num_workers) if info else (0, 1)
        mine = self.batches()[self.start + worker :: workers]  # the loader takes batches from its workers in turn
        due = Counter(int(row) for batch in mine for row in batch)
        coming = self._read(set(due))
        waiting: dict[int, bytes] = {}
        for batch in mine:
            rows = [int(row) for row in batch]
            missing = set(rows) - waiting.keys()
            while missing:
                row, content = next(coming, (-1, b""))
                if row < 0:
                    gone = ", ".join(sorted(str(self.clips.members[row]) for row in missing)[:10])
                    raise DataError(
                        f"{len(missing)} clips are no longer at their positions ({gone}): start the run again"
                    )
                waiting[row] = content
                missing.discard(row)
            decoders = {
                row: partial(decode_bytes_blocks, waiting[row], str(self.clips.members[row]), self.clips.sample_rate)
                for row in rows
            }
            several = len(decoders) < len(rows)
            place_in_ring = self.ring.take(worker, len(rows)) if self.ring and info and not several else None
            placed, out = place_in_ring or (None, None)
            x = self.clips.batch(list(decoders.values()), out)  # each clip once, even if it was sampled several times
            place = {row: i for i, row in enumerate(decoders)}
            due.subtract(rows)
            for row in set(rows):
                if not due[row]:
                    del waiting[row]
            parts = (self.clips.targets,) if self.extra is None else (self.clips.targets, self.extra)
            whole = x[[place[row] for row in rows]] if several else x
            yield (placed or whole, *(part[rows] for part in parts))

    def _read(self, wanted: set[int]) -> Iterator[tuple[int, bytes]]:
        """Yield the content of these clips through webdataset, in this epoch's order of shards."""
        shards, shard_of, _ = self._layout
        order = np.random.default_rng([self.seed, self.epoch]).permutation(len(shards))
        needed = {int(shard_of[row]) for row in wanted}
        row_of = {self.clips.members[row].name: row for row in wanted}

        def opened() -> Iterator[dict[str, Any]]:
            for number in np.argsort(order):
                if number in needed:
                    with shards[number].open("rb") as file:
                        yield {"url": str(shards[number]), "stream": file}

        files = partial(tar_file_expander, select_files=row_of.__contains__)
        try:
            for sample in webdataset.DataPipeline(opened, files, partial(group_by_keys, lcase=False)):
                for name, content in sample.items():
                    row = row_of.get(f"{sample['__key__']}.{name}")
                    if row is not None and len(content) == self.clips.members[row].size:
                        yield row, content
        except (tarfile.TarError, OSError, ValueError) as error:
            why = next(iter(error.args), "")  # webdataset adds objects without information
            raise DataError(f"a shard can no longer be read ({why}): start the run again") from error

    @cached_property
    def _layout(self) -> tuple[list[Path], NDArray[np.int64], NDArray[np.int64]]:
        """The shards, the index of each clip's shard, and its position there."""
        shards = sorted({member.file for member in self.clips.members})
        number = {shard: i for i, shard in enumerate(shards)}
        members = self.clips.members
        return (
            shards,
            np.array([number[member.file] for member in members], np.int64),
            np.array([member.start for member in members], np.int64),
        )


class StreamLoader(DataLoader[Any]):
    """Loader of a stream's batches; each iteration is the next epoch.

    Its state is the epoch and the number of batches returned in it on each rank. A loader of the same clips, seed,
    batch size and ranks that loads this state returns exactly the remaining batches, with any number of workers.

    Args:
        stream: the stream to read.
        workers: processes that read and decode; each reads all of its rank's shards and decodes its own batches.
    """

    def __init__(self, stream: Stream, workers: int = 0) -> None:
        super().__init__(stream, batch_size=None, num_workers=workers)
        self.given = 0
        self._begun = False
        self._ring: Ring | None = None

    def __len__(self) -> int:
        assert isinstance(self.dataset, Stream)
        return self.dataset.count

    def __iter__(self) -> Any:
        assert isinstance(self.dataset, Stream)
        if self._begun or self.given == len(self):
            self.dataset.epoch, self.given = self.dataset.epoch + 1, 0
        self._begun = True
        stream = self.dataset
        stream.start = self.given
        ring, self._ring = self._ring, None  # no other iteration has it, for that one may go on
        if ring is None and self.num_workers:
            ring = Ring(self.num_workers, stream.batch_size, stream.clips.samples)
        stream.ring = ring
        try:
            return self._counted(super().__iter__(), ring)  # which starts the processes
        finally:
            stream.ring = None

    def _counted(self, batches: Any, ring: Ring | None) -> Iterator[Any]:
        for batch in batches:
            self.given += 1
            first, *rest = batch
            if ring is not None and isinstance(first, Placed):
                batch = [ring.batch(first), *rest]
            del first  # so that its memory is free when the reader has done with it
            yield batch
            del batch
        self._ring = ring  # its processes have ended

    def state_dict(self) -> dict[str, Any]:
        """Return the position of the loader."""
        assert isinstance(self.dataset, Stream)
        return {"epoch": self.dataset.epoch, "batches": self.given, **self._of()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a saved position at the next iteration.

        Raises:
            DataError: the state belongs to other clips or another order.
        """
        assert isinstance(self.dataset, Stream)
        if differing := [name for name, value in self._of().items() if state.get(name) != value]:
            raise DataError(
                f"the saved state is of another {' and another '.join(differing)}: start the stream from its beginning"
            )
        self.dataset.epoch, self.given = state["epoch"], state["batches"]
        self._begun = False

    def _of(self) -> dict[str, Any]:
        stream = self.dataset
        assert isinstance(stream, Stream)
        digest = hashlib.sha256("\n".join(f"{m.file.name} {m.name}" for m in stream.clips.members).encode())
        if stream.weights is not None:
            digest.update(stream.weights.numpy().tobytes())
        names = ("seed", "batch_size", "ranks")
        return {"list of clips": digest.hexdigest(), **{name: getattr(stream, name) for name in names}}


def _fill(row: NDArray[np.float32], blocks: Iterable[NDArray[np.float32]]) -> None:
    """Write the blocks of a waveform to a row as `quantised` samples over 32,768, without arrays in between.

    All blocks are read, because the decoder checks a clip to its end.
    """
    full, at = np.float32(WaveformClips.full_scale), 0
    for block in blocks:
        part = row[at : at + len(block)]
        np.multiply(block[: len(part)], full, out=part)
        np.rint(part, out=part)
        np.clip(part, -full, full - 1, out=part)
        part += 0.0  # an integer has no -0
        part /= full
        at += len(part)
    row[at:] = 0


def _indexed(shard: Path, cache: Path | None) -> list[IndexedClip]:
    """Return a shard's clips, from the cache where the same file has been read before."""

    def build() -> Facts:
        clips = _scanned(shard)
        return {"clips": [[c.key, c.member.name, c.member.start, c.member.size, c.digest, c.about] for c in clips]}

    facts = ArrayCache(cache).facts("shard", f"{state([shard])} {_CODE_VERSION}", build)
    return [
        IndexedClip(key, ShardMember(shard, start, size, name), digest, about)
        for key, name, start, size, digest, about in facts["clips"]
    ]


def _scanned(shard: Path) -> list[IndexedClip]:
    name = safe(shard.name)
    try:
        if not stat.S_ISREG(shard.stat().st_mode):  # before opening: a FIFO would block
            raise DataError(f"{name!r} is not a regular file: remove it")
        with tarfile.open(shard, "r:") as tar:  # not compressed, so that members can be read by their positions
            clips = list(_members(shard, tar))
            _whole(shard, tar.offset)
    except (tarfile.TarError, OSError) as error:
        raise DataError(f"{name!r} cannot be read as a plain tar file ({error}): fetch or pack it again") from error
    return clips


def _members(shard: Path, tar: tarfile.TarFile) -> Iterator[IndexedClip]:
    audio: dict[str, tuple[str, ShardMember, str]] = {}
    about: dict[str, Mapping[str, Any]] = {}
    for info in tar:
        where = f"{safe(shard.name)}: {safe(info.name)}"
        if info.isdir() or _META.match(info.name) or Path(info.name).name.startswith("."):
            continue
        if not info.isreg() or info.issparse():  # webdataset skips links and trusts a sparse file's size
            raise DataError(f"{where!r} is not a regular file: pack the file itself")
        if info.size > MAX_MEMBER_BYTES:
            raise DataError(f"{where!r} has {info.size:,} bytes, no clip has more than {MAX_MEMBER_BYTES:,}: cut it")
        prefix, ending = base_plus_ext(info.name)
        if prefix is None:
            raise DataError(f"{where!r} has no extension: a clip is key.flac, key.wav, key.ogg or key.mp3")
        file = tar.extractfile(info)
        assert file is not None
        if ending.lower() == "json":
            try:
                about[prefix] = dict(json.loads(file.read()))
            except (ValueError, TypeError, RecursionError) as error:
                raise DataError(f"{where!r} is not a JSON object ({error}): correct it") from error
        elif f".{ending.lower()}" in ENDINGS:
            if prefix in audio and is_track(info.name) != is_track(audio[prefix][0]):
                if is_track(info.name):  # a video next to its sound
                    continue
            elif prefix in audio:
                raise DataError(f"{where!r} has the same key as {audio[prefix][0]!r}: remove one of them")
            digest = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]  # it has readinto
            audio[prefix] = info.name, ShardMember(shard, info.offset_data, info.size, info.name), digest
        elif f".{ending.lower()}".endswith(ENDINGS):
            stem, _, last = info.name.rpartition("/")[2].rpartition(".")
            name = f"{stem.replace('.', '-')}.{last}"
            raise DataError(
                f"{where!r} has a dot in its name: in a shard the name of a clip ends at the first dot, so this is "
                f"{safe(ending)!r} of clip {safe(prefix)!r}; pack it as {safe(name)!r}"
            )
        else:
            about.setdefault(prefix, {})
    if lonely := [safe(prefix) for prefix in about if prefix not in audio]:
        raise DataError(
            f"{safe(shard.name)!r} has {len(lonely)} keys without audio ({', '.join(lonely[:10])}): "
            f"a clip ends in {', '.join(ENDINGS)}"
        )
    for prefix, (_, member, digest) in audio.items():
        yield IndexedClip(safe(prefix.removeprefix("./")), member, digest, about.get(prefix, {}))


def _whole(shard: Path, end: int) -> None:
    """Raise `DataError` unless the archive ends in zeros: Python's reader takes some damage for the end."""
    with shard.open("rb") as file:
        file.seek(end)
        block = file.read(_BLOCK)
        if len(block) < _BLOCK:
            raise DataError(f"{safe(shard.name)!r} is cut off at byte {end:,} (no end mark): fetch or pack it again")
        while block:
            if block.strip(b"\0"):
                raise DataError(f"{safe(shard.name)!r} is damaged near byte {end:,}: fetch or pack it again")
            block = file.read(2**16)
