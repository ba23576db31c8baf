"""Tar shards: what is in them, the stream that training reads, and the rest of a stream that was cut off."""

import gzip
import io
import json
import os
import tarfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import webdataset
from fakes import malformed, mutants
from fakes.shards import RATE, pack, sound

from datamodules.audio import AudioError, ShardMember, decode, decode_bytes
from datamodules.audio.clip import quantised
from datamodules.base import DataError
from datamodules.clips import ring, shards
from datamodules.clips.array_clips import decode_all
from datamodules.clips.shards import ShardClips, Stream, StreamLoader, index

SECONDS = 0.1


def clips(folder: Path, count: int = 37, parts: int = 5) -> ShardClips:
    """Clip i has target i, so that a batch's targets say which clips it has."""
    found = index(pack(folder, {f"clip{i}.flac": sound(i) for i in range(count)}, parts), None)
    keys = [clip.key for clip in found]
    targets = torch.tensor([int(key[4:]) for key in keys])
    digests = [clip.digest for clip in found]
    return ShardClips([clip.member for clip in found], keys, keys, digests, targets, RATE, round(RATE * SECONDS))


def given(batches: Any) -> list[list[int]]:
    return [target.tolist() for _, target, *_ in batches]


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """A buffer that is small against the clips of a test, as the real one is against a dataset."""
    monkeypatch.setattr(shards, "BUFFER", 6)


# The stream


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("ranks", [1, 2, 3])
@pytest.mark.parametrize("workers", [0, 1, 2])
@pytest.mark.process
@pytest.mark.slow
def test_every_clip_is_given_once_an_epoch(tmp_path: Path, workers: int, ranks: int) -> None:
    made = clips(tmp_path)
    loaders = [StreamLoader(Stream(made, 8, 3, rank=rank, ranks=ranks), workers) for rank in range(ranks)]
    for _ in range(2):
        parts = [given(loader) for loader in loaders]
        assert [len(part) for part in parts] == [len(loaders[0])] * ranks  # no rank waits for another
        sizes = [len(batch) for part in parts for batch in part]
        assert max(sizes) <= 8
        assert max(sizes) - min(sizes) <= 1
        assert sorted(clip for part in parts for batch in part for clip in batch) == list(range(37))


@pytest.mark.process
@pytest.mark.slow
def test_batches_that_are_kept_do_not_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ring, "SPARE", 1)
    made = clips(tmp_path)
    alone, loader = made.stream(4, 3), made.stream(4, 3, 2)
    kept = []
    for _ in range(2):
        kept += list(zip(alone, loader, strict=True))
    assert len(kept) == 20
    assert all(torch.equal(a, b) and torch.equal(i, j) for (a, i), (b, j) in kept)


@pytest.mark.slow
@pytest.mark.usefixtures("few")
def test_the_order_follows_from_seed_and_epoch_alone(tmp_path: Path) -> None:
    made = clips(tmp_path)

    def epochs(seed: int, workers: int) -> list[list[list[int]]]:
        loader = made.stream(8, seed, workers)
        return [given(loader) for _ in range(2)]

    first = epochs(3, 0)
    assert epochs(3, 1) == epochs(3, 2) == first
    assert first[0] != first[1]
    assert epochs(4, 0)[0] != first[0]
    flat = [clip for batch in first[0] for clip in batch]
    assert flat != sorted(flat)
    assert [len(batch) for batch in first[0]] == [8, 8, 7, 7, 7]  # 37 clips, none left over


def test_clips_are_those_of_the_files(tmp_path: Path) -> None:
    """The stream, reading by place, and the folder form give the same bits."""
    made = clips(tmp_path / "shards")
    paths = [tmp_path / f"{i}.flac" for i in range(37)]
    for i, path in enumerate(paths):
        path.write_bytes(sound(i))
    wanted = torch.from_numpy(decode_all(paths, RATE, SECONDS, None, "x")[0].astype(np.float32)) / 32768
    x, targets = (torch.cat(part) for part in zip(*made.stream(8, 0), strict=True))
    assert x.dtype == torch.float32
    assert torch.equal(x, wanted[targets])
    assert torch.equal(made.load([5, 0, 5]), wanted[made.targets[[5, 0, 5]]])
    held = made.select([7, 3]).decoded(tmp_path / "cache", "x")
    assert torch.equal(held.load([0, 1]), wanted[made.targets[[7, 3]]])
    assert held.hashes == (made.hashes[7], made.hashes[3])


def test_clips_are_cropped_and_padded(tmp_path: Path) -> None:
    found = index(pack(tmp_path, {"short.wav": sound(1, 0.05, "wav"), "long.wav": sound(2, 0.2, "wav")}), None)
    made = ShardClips([c.member for c in found], "ab", "ab", "ab", torch.arange(2), RATE, 1600)
    (x, targets), *rest = made.stream(2, 0)
    assert (x.shape, rest) == ((2, 1600), [])
    assert not x[targets == 0][0, 800:].any()
    assert x[targets == 1][0, -10:].any()


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize(("before", "after"), [(0, 0), (2, 2), (0, 2), (2, 1)])
@pytest.mark.process
@pytest.mark.slow
def test_a_stream_that_is_taken_up_gives_exactly_the_rest(tmp_path: Path, before: int, after: int) -> None:
    made = clips(tmp_path)
    whole = made.stream(8, 3)
    wanted = [[(x.tolist(), target.tolist()) for x, target in whole] for _ in range(3)]
    for cut in range(6) if before == after == 0 else (2, 3):
        loader = made.stream(8, 3, before)
        list(loader)
        stopped = iter(loader)
        for _ in range(cut):
            next(stopped)
        state = json.loads(json.dumps(loader.state_dict()))
        del stopped
        again = made.stream(8, 3, after)
        again.load_state_dict(state)
        rest = [(x.tolist(), target.tolist()) for x, target in again]
        if cut == 5:  # nothing was left of that epoch
            assert rest == wanted[2]
        else:
            assert rest == wanted[1][cut:]
            assert [(x.tolist(), target.tolist()) for x, target in again] == wanted[2]


def test_a_state_of_another_stream_is_refused(tmp_path: Path) -> None:
    made = clips(tmp_path)
    state = made.stream(8, 3).state_dict()
    for other in (
        made.stream(8, 4),
        made.stream(7, 3),
        made.select(range(36)).stream(8, 3),
        made.stream(8, 3, weights=torch.ones(37)),
        StreamLoader(Stream(made, 8, 3, ranks=2)),
    ):
        with pytest.raises(DataError, match=r"another (seed|batch_size|list of clips|ranks)"):
            other.load_state_dict(state)


@pytest.mark.usefixtures("few")
def test_no_more_than_the_buffer_is_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made, pulled = clips(tmp_path), [0]
    read = Stream._read

    def counted(self: Stream, wanted: set[int]) -> Iterator[tuple[int, bytes]]:
        for each in read(self, wanted):
            pulled[0] += 1
            yield each

    monkeypatch.setattr(Stream, "_read", counted)
    seen = 0
    for x, _ in made.stream(4, 0):
        assert pulled[0] - seen <= 6 + 4  # buffer and batch
        seen += len(x)
    assert pulled[0] == 37


def test_extra_values_stay_with_their_clips(tmp_path: Path) -> None:
    made = clips(tmp_path)
    extra = torch.stack([made.targets * 2.0, made.targets + 0.5], 1)
    for _, target, logits in made.stream(8, 0, extra=extra):
        assert torch.equal(logits, torch.stack([target * 2.0, target + 0.5], 1))


@pytest.mark.slow
@pytest.mark.usefixtures("few")
def test_a_balanced_draw(tmp_path: Path) -> None:
    """Clips 0 to 9 weigh nothing, 36 as much as the other 26 together; sizes as without weights."""
    made = clips(tmp_path)
    weights = torch.where(made.targets < 10, 0.0, 1.0)
    weights[made.targets == 36] = 26.0
    loader = made.stream(8, 0, 0, weights)
    assert given(loader) == given(made.stream(8, 0, 2, weights))
    seen: Counter[int] = Counter()
    for _ in range(20):
        batches = given(loader)
        assert [len(batch) for batch in batches] == [8, 8, 7, 7, 7]
        seen.update(clip for batch in batches for clip in batch)
    assert not any(seen[i] for i in range(10))
    draws = 20 * 37
    assert abs(seen[36] - draws / 2) < 4 * (draws / 4) ** 0.5  # four standard deviations of a fair coin
    assert all(seen[i] for i in range(10, 36))  # each is expected 14 times


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 1])
def test_a_bad_clip_stops_the_stream_and_is_named(tmp_path: Path, workers: int) -> None:
    files = {f"clip{i}.flac": sound(i) for i in range(12)}
    files["clip5.flac"] = files["clip5.flac"][:-200]
    files["clip9.flac"] = b"<html>404</html>"
    found = index(pack(tmp_path, files, 2), None)
    keys = [c.key for c in found]
    made = ShardClips([c.member for c in found], keys, keys, keys, torch.arange(12), RATE, 1600)
    with pytest.raises(DataError, match=r"00000[01]\.tar: clip[59]\.flac"):
        list(made.stream(4, 0, workers))
    with pytest.raises(DataError, match=r"2 clips(?s:.*)000000\.tar: clip5\.flac(?s:.*)000001\.tar: clip9\.flac"):
        made.load(range(12))
    with pytest.raises(DataError, match=r"2 of 12 files(?s:.*)000000\.tar: clip5\.flac(?s:.*)000001\.tar: clip9\.flac"):
        made.decoded(None, "x")
    good = torch.ones(12)
    good[[5, 9]] = 0
    list(made.stream(4, 0, workers, good))  # what is not drawn is not decoded


@pytest.mark.parametrize("change", ["gone", "cut", "other"])
def test_shards_that_change_while_they_are_read(tmp_path: Path, change: str) -> None:
    made = clips(tmp_path)
    victim = tmp_path / "000002.tar"
    if change == "gone":
        victim.unlink()
    elif change == "cut":
        victim.write_bytes(victim.read_bytes()[:3000])
    else:
        pack(tmp_path / "other", {"clip99.flac": sound(99)})
        victim.write_bytes((tmp_path / "other" / "000000.tar").read_bytes())
    with pytest.raises(DataError, match=r"start the run again"):
        list(made.stream(8, 0))


def test_too_many_ranks_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="3 clips cannot be divided among 4"):
        Stream(clips(tmp_path, 3, 1), 8, 0, ranks=4)


# The index


def test_the_index(tmp_path: Path) -> None:
    """Shards by webdataset's own writer: JSON next to audio, folders in keys, endings in capitals, what is no clip."""
    path = tmp_path / "a.tar"
    with webdataset.TarWriter(str(path)) as writer:
        writer.write({"__key__": "x/one", "flac": sound(1), "json": {"id": "anything", "n": 3}})
        writer.write({"__key__": "x/two", "WAV": sound(2, suffix="wav"), "txt": "words"})
    with tarfile.open(path, "a") as tar:
        for name in ("__meta__", "._one.flac", "x/.DS_Store"):
            tar.addfile(tarfile.TarInfo(name), io.BytesIO())
        folder = tarfile.TarInfo("x")
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
    one, two = index([path], tmp_path / "cache")
    assert (one.key, one.about, two.key, two.about) == ("x/one", {"id": "anything", "n": 3}, "x/two", {})
    content = path.read_bytes()
    assert content[one.member.start : one.member.start + one.member.size] == sound(1)
    np.testing.assert_array_equal(decode(two.member, RATE), decode_bytes(sound(2, suffix="wav"), "two", RATE))
    made = ShardClips([one.member, two.member], "ab", "ab", "ab", torch.arange(2), RATE, 1600)
    assert sorted(target for batch in given(made.stream(2, 0)) for target in batch) == [0, 1]


def test_the_index_is_kept_by_shard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths, cache = pack(tmp_path, {f"clip{i}.flac": sound(i) for i in range(6)}, 3), tmp_path / "cache"
    wanted = index(paths, cache)
    scanned: list[Path] = []
    scan = shards._scanned
    monkeypatch.setattr(shards, "_scanned", lambda path: scanned.append(path) or scan(path))
    assert index(paths, cache) == wanted
    assert scanned == []
    os.utime(paths[1], ns=(7, 7))
    assert index(paths, cache) == wanted
    assert scanned == [paths[1]]
    for stored in cache.iterdir():
        stored.write_bytes(stored.read_bytes()[:-3])
    assert index(paths, cache) == wanted
    assert len(scanned) == 4


def linked(kind: bytes) -> Callable[[tarfile.TarFile], None]:
    def add(tar: tarfile.TarFile) -> None:
        info = tarfile.TarInfo("link.flac")
        info.type, info.linkname = kind, "clip0.flac"
        tar.addfile(info)

    return add


def member(name: str, content: bytes) -> Callable[[tarfile.TarFile], None]:
    def add(tar: tarfile.TarFile) -> None:
        info = tarfile.TarInfo(name)
        info.size = len(content)
        tar.addfile(info, io.BytesIO(content))

    return add


@pytest.mark.parametrize(
    ("add", "said"),
    [
        (linked(tarfile.SYMTYPE), "link.flac' is not a regular file"),
        (linked(tarfile.LNKTYPE), "link.flac' is not a regular file"),
        (linked(b"V"), "link.flac' is not a regular file"),
        (member("clip0.wav", b"x"), "clip0.wav' has the same key as 'clip0.flac'"),
        (member("lonely.json", b"{}"), r"1 keys without audio \(lonely\)"),
        (member("lonely.txt", b"x"), r"1 keys without audio \(lonely\)"),
        (
            member("clip.1.wav", b"x"),
            "ends at the first dot, so this is '1.wav' of clip 'clip'; pack it as 'clip-1.wav'",
        ),
        (member("a/clip_30.000_40.000.ogg", b"x"), "pack it as 'clip_30-000_40-000.ogg'"),
        (member("clip0.json", b"[1"), "clip0.json' is not a JSON object"),
        (member("clip0.json", b"3"), "clip0.json' is not a JSON object"),
        (member("README", b"x"), "README' has no extension"),
    ],
)
def test_what_is_no_clip_is_refused(tmp_path: Path, add: Callable[[tarfile.TarFile], None], said: str) -> None:
    (path,) = pack(tmp_path, {"clip0.flac": sound(0)})
    with tarfile.open(path, "a") as tar:
        add(tar)
    with pytest.raises(DataError, match=said):
        index([path], None)


def test_folders_in_a_shard_keep_equal_names_apart(tmp_path: Path) -> None:
    files = {"a/1.flac": sound(1), "b/1.flac": sound(2), "./c/1.flac": sound(3), "1.flac": sound(4)}
    found = index(pack(tmp_path, files, 2), None)
    assert [clip.key for clip in found] == ["a/1", "b/1", "c/1", "1"]
    keys = [clip.key for clip in found]
    digests = [clip.digest for clip in found]
    made = ShardClips([clip.member for clip in found], keys, keys, digests, torch.arange(4), RATE, 1600)
    assert sorted(clip for batch in given(made.stream(2, 0)) for clip in batch) == [0, 1, 2, 3]
    x, targets = (torch.cat(part) for part in zip(*made.stream(2, 0), strict=True))
    assert torch.equal(x, made.load(targets.tolist()))
    with pytest.raises(DataError, match=r"000001\.tar: a/1\.flac' has the same key as '000000\.tar: a/1\.flac'"):
        index(pack(tmp_path / "twice", [("a/1.flac", sound(1)), ("a/1.flac", sound(2))], 2), None)


def test_a_video_next_to_its_sound_is_left_alone(tmp_path: Path) -> None:
    for order in (("1.mp4", "1.flac"), ("1.flac", "1.mp4")):
        found = index(pack(tmp_path / order[0], {name: sound(1) for name in order}), None)
        assert [clip.member.name for clip in found] == ["1.flac"]


def test_every_damaged_shard_is_listed(tmp_path: Path) -> None:
    good = pack(tmp_path / "good", {"clip0.flac": sound(0)})
    empty, text, packed, socket = (tmp_path / f"{name}.tar" for name in ("empty", "text", "packed", "socket"))
    empty.touch()
    text.write_text("version https://git-lfs.github.com/spec/v1\n" * 40)
    packed.write_bytes(gzip.compress(good[0].read_bytes()))
    malformed.socket(socket)
    with pytest.raises(DataError) as caught:
        index([*good, empty, text, packed, socket, tmp_path / "absent.tar"], None)
    assert str(caught.value).startswith("5 faults in 6 shards")
    for name in ("empty.tar", "text.tar", "packed.tar", "socket.tar", "absent.tar"):
        assert f"'{name}'" in str(caught.value)
    assert "'socket.tar' is not a regular file" in str(caught.value)


def test_a_shard_that_is_cut_anywhere_is_refused(tmp_path: Path) -> None:
    (path,) = pack(tmp_path, {f"clip{i}.flac": sound(i, 0.02) for i in range(4)})
    content = path.read_bytes()
    with tarfile.open(path) as tar:
        end = max(info.offset_data + -(-info.size // 512) * 512 for info in tar)
    for cut in range(0, end + 512, 128):
        path.write_bytes(content[:cut])
        with pytest.raises(DataError, match=r"000000\.tar"):
            index([path], None)


def test_damage_that_hides_clips_is_refused(tmp_path: Path) -> None:
    """Python's reader takes a bad header for the end, and so does what follows an end."""
    (path,) = pack(tmp_path, {f"clip{i}.flac": sound(i, 0.02) for i in range(4)})
    content = bytearray(path.read_bytes())
    with tarfile.open(path) as tar:
        header = tar.getmember("clip2.flac").offset
    content[header + 150] ^= 1  # in the checksum
    path.write_bytes(content)
    with tarfile.open(path) as tar:
        assert len(tar.getmembers()) == 2
    with pytest.raises(DataError, match=f"damaged near byte {header:,}"):
        index([path], None)
    content[header + 150] ^= 1
    path.write_bytes(content * 2)
    with pytest.raises(DataError, match="damaged near byte"):
        index([path], None)


def test_a_member_is_decoded_under_the_same_guards(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"front" + sound(3) + b"back")
    size = len(sound(3))
    whole = ShardMember(path, 5, size, "three.flac")
    np.testing.assert_array_equal(decode(whole, RATE), decode_bytes(sound(3), "three", RATE))
    assert len(decode(whole, 8_000)) == 800
    for bad, said in (
        (ShardMember(path, 5, size - 100, "three.flac"), "a.bin: three.flac"),
        (ShardMember(path, 0, size, "three.flac"), "a.bin: three.flac' cannot be decoded"),
        (ShardMember(path, 5, size + 100, "three.flac"), "a.bin: three.flac' is cut off"),
        (ShardMember(path, 0, 2**30, "three.flac"), "no clip has more"),
        (ShardMember(tmp_path, 0, 1, "three.flac"), "not a regular file"),
        (ShardMember(tmp_path / "b.bin", 0, 1, "three.flac"), "cannot be opened"),
    ):
        with pytest.raises(AudioError, match=said):
            decode(bad, RATE)


@pytest.mark.parametrize("container", ["wav", "flac", "ogg", "mp3", "aiff"])
def test_damaged_content_gets_the_verdict_of_a_damaged_file(
    tmp_path: Path, container: str, capfd: pytest.CaptureFixture[str]
) -> None:
    whole, rng = sound(1, 0.3, container), np.random.default_rng(0)
    path = tmp_path / "a.bin"

    def verdict(read: Callable[[], np.ndarray]) -> Any:
        try:
            return read().tolist()
        except AudioError as error:
            return str(error)

    verdicts = 0
    while verdicts < 60:
        content = bytearray(whole)
        for _ in range(rng.integers(1, 6)):
            content[rng.integers(0, 300)] = rng.integers(0, 256)
        content = content[: rng.integers(1, len(content))] if rng.random() < 0.3 else content
        if not mutants.harmless(bytes(content)):
            continue
        verdicts += 1
        path.write_bytes(content)
        assert verdict(lambda: decode(path, RATE)) == verdict(lambda c=content: decode_bytes(bytes(c), "a.bin", RATE))
    assert "Traceback" not in capfd.readouterr().err


def test_a_row_has_the_bits_of_the_clip_in_a_file():
    loud = (np.random.default_rng(0).standard_normal(1000) * 0.6).astype(np.float32)
    loud[:5] = [0.0, -0.0, -1e-6, 1.0, -1.5]
    for samples in (1000, 1100, 600):
        row = np.full(samples, np.nan, np.float32)
        shards._fill(row, [loud[:300], loud[300:700], loud[700:]])
        wanted = quantised(loud, samples).astype(np.float32) / 32768
        assert (row.view(np.int32) == wanted.view(np.int32)).all()
