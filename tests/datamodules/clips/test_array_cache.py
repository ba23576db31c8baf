"""The cache of arrays: an entry is whole or absent, whoever writes it, and a damaged one is built again."""

import json
import os
import signal
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from datamodules.clips import array_cache
from datamodules.clips.array_cache import ArrayCache, Facts, recheck, write_whole
from datamodules.errors import DataError


def count_to(rows: int, built: list[int] | None = None):
    """Return a build function for `(rows, 3)`, in blocks of two rows, that notes its calls in `built`."""

    def build(facts: Facts) -> Iterator[NDArray[np.int32]]:
        if built is not None:
            built.append(rows)
        facts["rows"] = []
        for first in range(0, rows, 2):
            block = np.arange(3 * first, 3 * min(first + 2, rows), dtype=np.int32).reshape(-1, 3)
            facts["rows"].append(len(block))
            yield block

    return build


@pytest.mark.parametrize("rows", [1, 2, 5, 1001])  # the number of digits changes, the header's length does not
def test_an_array_is_the_same_in_memory_on_disk_and_read_by_numpy(tmp_path: Path, rows: int) -> None:
    wanted, facts = ArrayCache(None).array("x", "k", count_to(rows))
    assert wanted.tolist() == np.arange(3 * rows).reshape(rows, 3).tolist()
    built: list[int] = []
    for _ in range(2):
        found, found_facts = ArrayCache(tmp_path).array("x", "k", count_to(rows, built))
        assert isinstance(found, np.memmap)
        assert (found.tolist(), found.dtype, found_facts) == (wanted.tolist(), wanted.dtype, facts)
    assert built == [rows]
    (stored,) = tmp_path.glob("x-*.npy")
    assert np.load(stored).tolist() == wanted.tolist()


def test_names_and_keys_keep_entries_apart(tmp_path: Path) -> None:
    cache = ArrayCache(tmp_path)
    for i, (name, key) in enumerate([("x", "k"), ("y", "k"), ("x", "l")], start=1):
        assert len(cache.array(name, key, count_to(i))[0]) == i
    assert len(cache.array("x", "k", count_to(9))[0]) == 1
    assert len(list(tmp_path.iterdir())) == 6


@pytest.mark.parametrize("place", ["header", "samples", "index"])
def test_one_flipped_bit_is_noticed_wherever_it_is(tmp_path: Path, place: str) -> None:
    cache, built = ArrayCache(tmp_path), []
    wanted = cache.array("x", "k", count_to(5, built))[0].tolist()
    (path,) = tmp_path.glob("*.json" if place == "index" else "*.npy")
    content = bytearray(path.read_bytes())
    at = {"header": 20, "samples": 140, "index": content.find(b'"rows": [2') + 9}[place]
    content[at] ^= 1
    path.write_bytes(content)
    found, facts = cache.array("x", "k", count_to(5, built))
    assert (found.tolist(), facts) == (wanted, {"rows": [2, 2, 1]})
    assert built == [5, 5]


def test_a_file_is_compared_with_its_checksum_once_unless_it_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache, built, read = ArrayCache(tmp_path), [], []
    cache.array("x", "k", count_to(5, built))
    (path,) = tmp_path.glob("*.npy")
    os.utime(path, (1_000, 1_000))  # long ago: a later change shows in the time
    checksum = array_cache._checksum

    def noted(file, size, buffer) -> int:
        read.append(size)
        return checksum(file, size, buffer)

    monkeypatch.setattr(array_cache, "_checksum", noted)
    for _ in range(3):
        cache.array("x", "k", count_to(5, built))
    assert read == [24, 24, 12]  # two rows, two rows, one row of three numbers of four bytes
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert cache.array("x", "k", count_to(5, built))[0][-1].tolist() == [12, 13, 14]
    assert (len(read), built) == (6, [5, 5])


def test_a_repair_says_how_many_parts_were_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(array_cache, "REPAIRED", [])
    cache = ArrayCache(tmp_path)
    cache.array("x", "k", count_to(5))
    (path,) = tmp_path.glob("*.npy")
    damage(path, -13, -1)  # the last row, and the last number of the row before it
    cache.array("x", "k", count_to(5))
    (line,) = array_cache.REPAIRED
    assert line == f"{path} was damaged in 2 of 3 parts and was made again"


@pytest.mark.parametrize("flipped", [False, True])
def test_entries_of_earlier_versions_have_one_checksum_which_is_compared(tmp_path: Path, flipped: bool) -> None:
    cache, built = ArrayCache(tmp_path), []
    cache.array("x", "k", count_to(5, built))
    (path,), (index,) = tmp_path.glob("*.npy"), tmp_path.glob("*.json")
    about = {"dtype": "<i4", "shape": [5, 3], "crc32": zlib.crc32(path.read_bytes()[-60:])}
    array_cache._write_index(index, about, {"rows": "of an earlier version"})
    if flipped:
        damage(path, -1)
    facts = cache.array("x", "k", count_to(5, built))[1]
    assert (len(built), facts["rows"]) == ((2, [2, 2, 1]) if flipped else (1, "of an earlier version"))


def test_damage_while_an_array_is_in_use_is_found_and_the_entry_is_removed(tmp_path: Path) -> None:
    cache, built = ArrayCache(tmp_path), []
    found = cache.array("x", "k", count_to(5, built))[0]
    recheck()
    (path,) = tmp_path.glob("*.npy")
    os.utime(path)
    recheck()  # only its time has changed
    damage(path, -1)
    with pytest.raises(DataError, match=f"{path} was changed while it was in use, and is damaged"):
        recheck()
    del found
    recheck()  # nobody uses it any more
    assert cache.array("x", "k", count_to(5, built))[0][-1].tolist() == [12, 13, 14]
    assert built == [5, 5]


def test_an_entry_in_the_place_of_another_is_made_again(tmp_path: Path) -> None:
    cache = ArrayCache(tmp_path)
    zeros, ones = (lambda facts, value=value: [np.full((3, 2), value)] for value in (0.0, 1.0))
    cache.array("x", "zeros", zeros)
    first = {path.suffix: path for path in tmp_path.iterdir()}
    cache.array("x", "ones", ones)
    for path in set(tmp_path.iterdir()) - set(first.values()):
        (aside := path.with_name("aside")).hardlink_to(path)
        first[path.suffix].replace(path)
        aside.replace(first[path.suffix])
    assert cache.array("x", "zeros", zeros)[0].max() == 0
    assert cache.array("x", "ones", ones)[0].min() == 1
    index = first[".json"]
    content = json.loads(index.read_text())
    del content["entry"]  # as in earlier versions
    index.write_text(json.dumps(content))
    assert cache.array("x", "zeros", lambda facts: pytest.fail("made again"))[0].max() == 0


def test_what_follows_from_an_array_that_was_damaged_is_not_kept(tmp_path: Path) -> None:
    cache = ArrayCache(tmp_path)
    used = [cache.array("x", "k", count_to(5))[0]]

    def derived(facts: Facts) -> Iterator[NDArray[np.int32]]:
        yield used[0][:2] * 2
        damage(next(tmp_path.glob("x-*.npy")), -1)
        yield used[0][2:] * 2

    with pytest.raises(DataError, match="was changed while it was in use"):
        cache.array("y", "k", derived)
    used.clear()
    assert cache.array("y", "k", count_to(1))[0].tolist() == [[0, 1, 2]]  # made again


def damage(path: Path, *places: int) -> None:
    """Flip a bit of these bytes of a file, in place and visibly later than before."""
    with path.open("r+b") as file:
        for place in places:
            file.seek(place, os.SEEK_END)
            byte = file.read(1)[0]
            file.seek(place, os.SEEK_END)
            file.write(bytes([byte ^ 1]))
    os.utime(path, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns + 1))


def test_facts_alone_are_kept_and_a_damaged_index_is_made_again(tmp_path: Path) -> None:
    cache, built = ArrayCache(tmp_path), []

    def build() -> Facts:
        built.append(1)
        return {"clips": [["a", 1, {"n": 0.1}]]}

    assert cache.facts("x", "k", build) == cache.facts("x", "k", build) == build()
    assert len(built) == 2
    (index,) = tmp_path.iterdir()
    index.write_text(index.read_text().replace("0.1", "0.2"))
    assert cache.facts("x", "k", build) == {"clips": [["a", 1, {"n": 0.1}]]}
    assert len(built) == 3
    assert ArrayCache(None).facts("x", "k", build) == build()


def test_a_map_to_write_to_never_reaches_the_disk(tmp_path: Path) -> None:
    cache = ArrayCache(tmp_path)
    for _ in range(2):
        found, _facts = cache.array("x", "k", count_to(5), copy_on_write=True)
        found[:] = -1
    assert cache.array("x", "k", count_to(5))[0][0].tolist() == [0, 1, 2]
    with pytest.raises(ValueError, match="read-only"):
        cache.array("x", "k", count_to(5))[0][:] = -1


def test_a_build_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def other_width(facts: Facts) -> Iterator[NDArray[np.int32]]:
        yield np.zeros((1, 3), np.int32)
        yield np.zeros((1, 4), np.int32)

    with pytest.raises(ValueError, match=r"a block of int32 \(4,\) follows int32 \(3,\)"):
        ArrayCache(tmp_path).array("x", "k", other_width)
    with pytest.raises(ValueError, match="at least one row"):
        ArrayCache(tmp_path).array("x", "k", lambda facts: [])
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_replaced_whole_or_stays(tmp_path: Path) -> None:
    path = tmp_path / "x"
    write_whole(path, lambda file: file.write(b"one"))

    def fails(file) -> None:
        file.write(b"half of tw")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_whole(path, fails)
    assert {each.name: each.read_bytes() for each in tmp_path.iterdir()} == {"x": b"one"}


WRITER = """
import sys, time
from pathlib import Path
import numpy as np
from datamodules.clips import array_cache
from datamodules.clips.array_cache import ArrayCache

def build(facts):
    for i in range(1000):
        yield np.full((1, 50_000), i, np.int32)
        if i == 500:
            print("half", flush=True)
            time.sleep(600)

ArrayCache(Path(sys.argv[1])).array("x", "k", build)
"""


@pytest.mark.process
def test_a_killed_writer_leaves_no_entry_and_its_file_is_removed_a_day_later(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"half\n"
        writer.send_signal(signal.SIGKILL)
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(".tmp-")
    assert ArrayCache(tmp_path).array("x", "k", count_to(5))[0].shape == (5, 3)
    assert left.exists()  # it might belong to a writer that is at work
    os.utime(left, (left.stat().st_atime, left.stat().st_mtime - 90_000))
    ArrayCache(tmp_path).array("x", "another", count_to(5))
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".json", ".json", ".npy", ".npy"]


READER = """
import json, resource, sys
from pathlib import Path
import numpy as np
from datamodules.clips import array_cache
from datamodules.clips.array_cache import ArrayCache

def build(facts):
    for i in range(64):
        yield np.full((1, 2**18), i, np.int32)  # 1 MiB

before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
found, _ = ArrayCache(Path(sys.argv[1])).array("x", "k", build)
print(json.dumps([found[63, 0].item(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before]))
"""


@pytest.mark.process
def test_writing_and_reading_need_the_memory_of_one_block(tmp_path: Path) -> None:
    for _ in range(2):
        done = subprocess.run([sys.executable, "-c", READER, str(tmp_path)], capture_output=True, check=True)
        last, kilobytes = json.loads(done.stdout)
        assert last == 63
        assert kilobytes < 16_384  # of 64 MiB
