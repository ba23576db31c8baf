"""F19, F20: caches of decoded clips, features and indexes; data that change under their names."""

import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from fakes import calls, own
from faults.damage import WAYS, damage
from faults.tally import Fault, Tally

from datamodules.clips import array_cache, array_clips
from datamodules.clips.array_cache import ArrayCache
from datamodules.errors import DataError

# --- F20a: damaged caches


def damage_caches(count: int, folder: Path) -> Tally:
    """Damage entries of caches between two uses, or during one; what is read is right, or there is an error."""
    tally, rng = Tally(), random.Random(20)
    folder.mkdir(parents=True)
    readers = _readers(folder)
    right = {name: np.array(read()) for name, read in readers.items()}  # copies: nothing stays mapped
    for number in range(count):
        name = [*readers][number % len(readers)]
        files = sorted(path for path in (folder / name).iterdir() if path.stat().st_size)
        if len(files) < (1 if name == "index" else 2):
            tally.note("wrong", f"{name} is empty: {[*(folder / name).iterdir()]}")
            continue
        path, way = files[rng.randrange(len(files))], [*WAYS][number // len(readers) % len(WAYS)]
        damage(path, way, rng)
        tally.injected += 1
        for _ in range(2):  # repaired, and then in order
            try:
                found = np.array(readers[name]())
            except Exception as error:
                tally.note("crashed", f"{name}: {path.name} with {way}: {error!r}")
                break
            if not np.array_equal(found, right[name]):
                tally.note("wrong", f"{name}: {path.name} with {way} was used")
                break
        tally.note("lost", "an entry is gone", count=len(sorted((folder / name).glob("*"))) != len(files))
    return tally


def _readers(folder: Path) -> dict[str, Callable[[], "np.ndarray[Any, Any]"]]:
    """Return what reads each kind of cache, in a folder of its own."""
    import torch

    from bench.training.feature_cache import Cache
    from datamodules.clips.array_clips import WaveformClips
    from datamodules.embeddings import Embeddings
    from datamodules.synthetic import Synthetic
    from models.frontends.logmel import LogMel

    sounds = [own.clip(folder / "sounds" / f"{i}.wav", seed=i) for i in range(6)]
    rows = folder / "rows"
    for number in range(8):
        path = rows / ("a", "b")[number % 2] / f"{number}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, np.random.default_rng(number).random((3, 4)).astype(np.float32))
    data = Synthetic(clips_per_class=10, clip_seconds=0.5, cache=None)
    data.setup()
    frontend = LogMel(sample_rate=data.sample_rate)

    def clips() -> "np.ndarray[Any, Any]":
        array, hashes = array_clips.decode_all(sounds, 8_000, 0.1, folder / "clips", "x")
        names = [str(i) for i in range(len(array))]
        return WaveformClips(array, names, names, hashes, torch.zeros(len(array))).load(range(len(array))).numpy()

    def features() -> "np.ndarray[Any, Any]":
        return Cache(folder / "features").features(frontend, data, data.splits.test, "cpu").numpy()

    def synthetic() -> "np.ndarray[Any, Any]":
        made = Synthetic(clips_per_class=10, clip_seconds=0.5, cache=folder / "synthetic")
        made.setup()
        return made.splits.train.load(range(len(made.splits.train))).numpy()

    def embeddings() -> "np.ndarray[Any, Any]":
        read = Embeddings(rows, cache=folder / "embeddings")
        read.setup()
        return read.splits.train.load(range(len(read.splits.train))).numpy()

    def index() -> "np.ndarray[Any, Any]":
        return np.array(ArrayCache(folder / "index").facts("x", "k", lambda: {"places": [*range(100)]})["places"])

    for name in ("clips", "features", "synthetic", "embeddings", "index"):
        (folder / name).mkdir()
    return {
        "clips": clips, "features": features, "synthetic": synthetic, "embeddings": embeddings, "index": index,
    }  # fmt: skip


def damage_during_use(count: int, folder: Path) -> Tally:
    """Damage a cache of clips after it was opened; no clip of it is read, and nothing that follows from it is kept."""
    import torch

    from datamodules.clips.array_clips import WaveformClips

    tally, rng = Tally(), random.Random(21)
    sounds = [own.clip(folder / "sounds" / f"{i}.wav", seed=i) for i in range(6)]
    for number in range(count):
        cache = folder / str(number)
        array, hashes = array_clips.decode_all(sounds, 8_000, 0.1, cache, "x")
        right = np.array(array)
        names = [str(i) for i in range(len(array))]
        clips = WaveformClips(array, names, names, hashes, torch.zeros(len(array)))
        path = next(cache.glob("*.npy"))
        # in place and of the same length: a file that becomes shorter ends the process that has mapped it
        damage(path, [way for way in WAYS if way in SAME_LENGTH][number % len(SAME_LENGTH)], rng)
        tally.injected += 1
        try:
            derived = ArrayCache(cache).array(
                "y",
                "k",
                lambda facts, clips=clips: [clips.load(range(6)).numpy()],  # type: ignore[misc]
            )[0]
        except DataError:
            pass
        else:
            if not np.array_equal(derived, right.astype(np.float32) / 32768):
                tally.note("wrong", "features of damaged clips were kept")
        del array, clips
        if not np.array_equal(array_clips.decode_all(sounds, 8_000, 0.1, cache, "x")[0], right):
            tally.note("wrong", "the cache was not repaired")
        shutil.rmtree(cache)
    return tally


SAME_LENGTH = ("a flipped bit", "twenty flipped bits", "zeros in it", "two parts exchanged", "noise")


@contextmanager
def checksums_unread() -> Iterator[None]:
    """Use what a cache has, without a look at its checksums."""
    with (
        mock.patch.object(array_cache, "_damaged", return_value=[]),
        mock.patch.object(array_cache.zlib, "crc32", return_value=0),
    ):
        yield


# --- F19: a cache's key covers what its content follows from


def change_what_follows(count: int, folder: Path) -> Tally:
    """Change one thing that cached clips follow from; they are decoded again, and not where nothing has changed."""
    tally = Tally()
    for number in range(count):
        place = folder / str(number)
        sounds = [own.clip(place / "sounds" / f"{i}.wav", seed=i) for i in range(3)]
        settings: dict[str, Any] = {"sample_rate": 8_000, "clip_seconds": 0.1, "name": "x"}

        def read(
            files: list[Path] = sounds, place: Path = place, settings: dict[str, Any] = settings
        ) -> "np.ndarray[Any, Any]":
            return np.array(array_clips.decode_all(files, cache=place / "cache", **settings)[0])

        first = read()
        entries = len(list((place / "cache").glob("*.npy")))
        read()
        if len(list((place / "cache").glob("*.npy"))) != entries:
            tally.note("wrong", "decoded again though nothing has changed")
        version, what = array_clips.CODE_VERSION, number % 6
        if what == 0:
            own.clip(sounds[1], seed=100 + number)
        elif what == 1:
            sounds.reverse()
        elif what == 2:
            settings["sample_rate"] = 16_000
        elif what == 3:
            settings["clip_seconds"] = 0.05
        elif what == 4:
            sounds.pop()
        elif what == 5:
            version += 1
        tally.injected += 1
        with mock.patch.object(array_clips, "CODE_VERSION", version):
            again = read(sounds)
        fresh = np.array(array_clips.decode_all(sounds, cache=None, **settings)[0])
        if not np.array_equal(again, fresh):
            tally.note("wrong", f"change {what}: the clips of before were used")
        if what == 5 and len(list((place / "cache").glob("*.npy"))) == entries:
            tally.note("wrong", "the clips of an earlier version were used")
        assert first.size
        shutil.rmtree(place)
    return tally


@contextmanager
def one_key() -> Iterator[None]:
    """Give every entry the same key."""
    with mock.patch.object(array_clips, "state", return_value="same"):
        yield


# --- F20c: data on disk


def change_data(count: int, folder: Path) -> Tally:
    """Change one clip of a dataset that has a manifest: flip a bit, remove it, exchange two; verification names it."""
    tally, rng = Tally(), random.Random(22)
    root = folder / "clips"
    names = [f"{label}/{i}.wav" for label in ("cat", "dog") for i in range(10)]
    for i, name in enumerate(names):
        own.clip(root / name, seed=i)
    verify = (
        "data",
        "verify",
        "folder",
        "--clips",
        root,
        "--store",
        folder / "runs",
        "--manifest",
        folder / "manifest",
    )
    first = calls.bench(*verify, "--accept")
    assert first.code == 0, first.words
    for number in range(count):
        one, other = rng.sample(names, 2)
        whole = {name: (root / name).read_bytes() for name in (one, other)}
        what = number % 3
        if what == 0:
            damage(root / one, "a flipped bit", rng)
        elif what == 1:
            (root / one).unlink()
        else:
            (root / one).write_bytes(whole[other])
            (root / other).write_bytes(whole[one])
        tally.injected += 1
        found = calls.bench(*verify)
        if found.code == 0 or one not in found.words:
            tally.note("wrong", f"change {what} of {one}: {found.words[:200]}")
        for name, content in whole.items():
            (root / name).write_bytes(content)
    return tally


@contextmanager
def manifest_unread() -> Iterator[None]:
    """Compare the data with no manifest."""
    from datamodules.fetch import verify

    with mock.patch.object(verify, "compare", return_value=[]):
        yield


FAULTS = (
    Fault("F19", "one thing changed that cached clips follow from", 30, 240, change_what_follows,
          "a cache's key has the state of the files", one_key, 12),
    Fault("F20a", "caches of clips, features, sounds, embeddings and indexes, damaged in 9 ways", 180, 900,
          damage_caches, "a cache has a checksum of each clip", checksums_unread, 45),
    Fault("F20c", "clips on disk changed, removed or exchanged", 12, 60, change_data,
          "clips are compared with a manifest", manifest_unread, 3),
    Fault("F20b", "caches damaged while they are in use", 20, 200, damage_during_use,
          "a cache has a checksum of each clip", checksums_unread, 10),
)  # fmt: skip
