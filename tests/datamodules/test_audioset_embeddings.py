"""TFRecords against the tests' own writer and published check values; the split against what it must leave out."""

import gc
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from fakes import audioset_embeddings as fake
from fakes.audioset_embeddings import Segment
from fakes.paths import DATA

from datamodules.audioset_embeddings import AudioSetEmbeddings, parse
from datamodules.base import DataError, DatasetMissing
from datamodules.tables.tfrecord import fields, masked_crc32c, records, segment


def sounds(rng: np.random.Generator, prefix: str, n: int) -> list[Segment]:
    return [
        Segment(
            f"{prefix}{i:03}", [rng.bytes(128) for _ in range(1 + i % 10)], [i % 4] if i % 3 else [i % 4, (i + 1) % 4]
        )
        for i in range(n)
    ]


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_crc32c_has_the_published_values() -> None:
    """RFC 3720, B.4, and "123456789" of the catalogue of parametrised CRCs, masked as TFRecord does."""
    messages = [bytes(32), b"\xff" * 32, bytes(range(32)), bytes(range(31, -1, -1)), b"123456789", b""]
    crcs = [0x8A9136AA, 0x62A8AB43, 0x46DD794E, 0x113FDB5C, 0xE3069283, 0]
    wanted = [(((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF for crc in crcs]
    assert masked_crc32c(messages).tolist() == wanted
    assert masked_crc32c([messages[4]]).tolist() == wanted[4:5]


def test_crc32c_of_many_lengths_at_once(rng: np.random.Generator) -> None:
    messages = [rng.bytes(int(length)) for length in rng.integers(0, 300, 50)]
    assert [int(crc).to_bytes(4, "little") for crc in masked_crc32c(messages)] == [fake.masked(m) for m in messages]


def test_records_are_parsed(tmp_path: Path, rng: np.random.Generator) -> None:
    written = [sounds(rng, "a", 12), sounds(rng, "b", 3)]
    fake.write(tmp_path, {"eval": written})
    paths = sorted((tmp_path / "audioset_v1_embeddings" / "eval").iterdir())
    parsed = parse(paths)
    everything = [each for part in written for each in part]
    assert parsed.videos == [each.video for each in everything]
    assert parsed.starts == [30.0] * 15
    for i, each in enumerate(everything):
        assert parsed.frames[i].tobytes() == b"".join(each.frames).ljust(1280, b"\0")
        assert parsed.label[parsed.labelled == i].tolist() == each.labels
    assert [offset for _, offset, _ in records(paths)][:2] == [0, len(fake.record(fake.example(written[0][0])))]


@pytest.mark.slow
def test_every_flipped_byte_is_found(tmp_path: Path, rng: np.random.Generator) -> None:
    """Whichever byte of three records is flipped, reading names the file and the start of that very record."""
    parts = [fake.record(fake.example(each)) for each in sounds(rng, "a", 3)]
    whole = b"".join(parts)
    starts = [0, len(parts[0]), len(parts[0]) + len(parts[1])]
    path = tmp_path / "x.tfrecord"
    for at in range(0, len(whole), 7):
        damaged = bytearray(whole)
        damaged[at] ^= 1 << at % 8
        path.write_bytes(damaged)
        start = max(s for s in starts if s <= at)
        with pytest.raises(DataError, match=rf"x\.tfrecord'.* byte {start} "):
            list(records([path]))


@pytest.mark.parametrize("missing", [1, 3, 4, 5, 200])
def test_a_cut_file_is_refused(tmp_path: Path, rng: np.random.Generator, missing: int) -> None:
    path = tmp_path / "x.tfrecord"
    path.write_bytes(b"".join(fake.record(fake.example(each)) for each in sounds(rng, "a", 3))[:-missing])
    with pytest.raises(DataError, match="cut off"):
        list(records([path]))


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.tfrecord").write_bytes(b"")
    with pytest.raises(DataError, match=r"'.*x.tfrecord' is empty: fetch it again"):
        list(records([tmp_path / "x.tfrecord"]))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff" * 20,
        b"\x08\x01",
        fake.field(1, b""),
        fake.example(Segment("v", [b"x" * 127], [0])),
        fake.example(Segment("v", [], [0])),
        fake.example(Segment("v", [b"x" * 128] * 11, [0])),
        fake.example(Segment("v", [b"x" * 128], [0])).replace(b"video_id", b"video_ix"),
        fake.example(Segment("v", [b"x" * 128], [0])).replace(b"audio_embedding", b"video_embedding"),
    ],
)
def test_a_whole_record_of_something_else_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x.tfrecord").write_bytes(fake.record(data))
    with pytest.raises(DataError, match=r"x\.tfrecord'.* byte 0 is not an AudioSet segment"):
        parse([tmp_path / "x.tfrecord"])


def test_fields_never_read_past_the_end() -> None:
    message = fake.example(Segment("v", [b"x" * 128], [0, 300]))
    assert segment(message).labels == (0, 300)
    for length in range(len(message)):
        with pytest.raises(ValueError, match="it "):
            segment(message[:length])
    assert list(fields(fake.field(3, b"ab") + fake.field(4, b""))) == [(3, b"ab"), (4, b"")]


@pytest.mark.slow
def test_splits(tmp_path: Path, rng: np.random.Generator) -> None:
    silence = [b"\x80" * 128] * 10
    balanced = sounds(rng, "t", 200)
    test = sounds(rng, "e", 30)
    balanced += [
        Segment("silent", silence, [3]),  # its embedding stands in eval
        Segment(test[0].video, [rng.bytes(128)], [0]),  # its video does
    ]
    test += [Segment("silent-too", silence, [3]), Segment("silent-three", silence, [3])]
    root = fake.write(
        tmp_path / "data", {"bal_train": [balanced[:100], balanced[100:]], "eval": [test[:16], test[16:]]}
    )
    assert AudioSetEmbeddings.find(root) is None
    data = AudioSetEmbeddings(root, cache=tmp_path / "cache", batch_size=8)
    data.setup()
    splits = data.splits
    assert len(splits.test) == 32
    assert len(splits.train) + len(splits.val) == 200
    assert 2 <= len(splits.val) <= 20  # 5 % of 200, give or take
    assert not {"silent", test[0].video} & {*splits.train.groups, *splits.val.groups}
    assert "eval coverage 32 of 20,371" in data.note
    left_out = [int(word) for word in data.note.replace(",", "").split() if word.isdigit()][-2:]
    assert sum(left_out) == 2

    assert data.classes[1] == "Male speech, man speaking"
    x, target = next(iter(data.test_dataloader()))
    assert (x.shape, x.dtype, target.shape, target.dtype) == ((8, 10, 128), torch.float32, (8, 4), torch.float32)
    first = test[0]
    np.testing.assert_allclose(x[0, 0].numpy(), np.frombuffer(first.frames[0], np.uint8) / 255, rtol=1e-6)
    assert not x[0, 1:].any()  # one frame, then zeros
    assert target[0].nonzero().flatten().tolist() == sorted(first.labels)
    assert data.prior().shape == (4,)

    again = AudioSetEmbeddings(root, cache=tmp_path / "cache")
    again.setup()
    assert again.manifest() == data.manifest()
    assert again.splits.val.ids == splits.val.ids


@pytest.mark.slow
def test_validation_stays_when_videos_vanish(tmp_path: Path, rng: np.random.Generator) -> None:
    balanced, test = sounds(rng, "t", 200), sounds(rng, "e", 5)
    held_out = []
    for i, kept in enumerate((balanced, balanced[::2])):
        data = AudioSetEmbeddings(fake.write(tmp_path / str(i), {"bal_train": [kept], "eval": [test]}))
        data.setup()
        held_out.append(set(data.splits.val.groups))
    assert held_out[1] == held_out[0] & {each.video for each in balanced[::2]}
    assert held_out[1]


def test_the_cache_is_used_and_made_anew_when_damaged(tmp_path: Path, rng: np.random.Generator) -> None:
    root = fake.write(tmp_path / "data", {"bal_train": [sounds(rng, "t", 60)], "eval": [sounds(rng, "e", 5)]})
    cache = tmp_path / "cache"
    original = AudioSetEmbeddings(root, cache)
    original.setup()
    manifest = original.manifest()
    del original
    gc.collect()  # nothing uses the file any more
    (stored,) = cache.glob("*eval*.npy")
    shard = root / "audioset_v1_embeddings" / "eval" / "0.tfrecord"
    state = shard.stat()
    content = shard.read_bytes()
    shard.write_bytes(bytes(len(content)))
    os.utime(shard, ns=(state.st_atime_ns, state.st_mtime_ns))
    AudioSetEmbeddings(root, cache).setup()  # not parsed: name, size and time are the same

    stored.write_bytes(stored.read_bytes()[:-100])
    with pytest.raises(DataError, match="checksum"):
        AudioSetEmbeddings(root, cache).setup()
    shard.write_bytes(content)
    again = AudioSetEmbeddings(root, cache)
    again.setup()
    assert again.manifest() == manifest


def test_what_does_not_fit_is_refused(tmp_path: Path, rng: np.random.Generator) -> None:
    with pytest.raises(DatasetMissing, match=r"class_labels_indices.csv.*research.google.com"):
        AudioSetEmbeddings(tmp_path).setup()
    root = fake.write(tmp_path / "a", {"bal_train": [sounds(rng, "t", 60)]})
    with pytest.raises(DatasetMissing, match=r"eval/\*\.tfrecord"):
        AudioSetEmbeddings(root).setup()
    root = fake.write(tmp_path / "b", {"bal_train": [[Segment("v", [bytes(128)], [4])]], "eval": [sounds(rng, "e", 5)]})
    with pytest.raises(DataError, match=r"has label 4.* only 4 classes"):
        AudioSetEmbeddings(root).setup()
    twice = sounds(rng, "t", 5)
    root = fake.write(tmp_path / "c", {"bal_train": [twice, twice], "eval": [sounds(rng, "e", 5)]})
    with pytest.raises(DataError, match=r"twice \(5\)"):
        AudioSetEmbeddings(root).setup()


@pytest.mark.skipif(
    not (DATA / "audioset_vggish").is_dir(), reason=f"the real embeddings are not in {DATA}: set BENCH_DATA"
)
@pytest.mark.slow
def test_the_real_embeddings() -> None:
    """Counts of the data's own README; the classes of eval all have positives."""
    folder = DATA / "audioset_vggish" / "audioset_v1_embeddings"
    train = parse(sorted((folder / "bal_train").iterdir()))
    held_out = parse(sorted((folder / "eval").iterdir()))
    assert (len(train.frames), len(train.label)) == (22_160, 52_882)
    assert (len(held_out.frames), len(held_out.label)) == (5_197, 13_273)
    assert np.bincount(train.label, minlength=527).min() == 59
    assert np.bincount(held_out.label, minlength=527).min() == 4
    assert (train.frames.any(axis=(1, 2))).all()


def test_all_damaged_files_are_named_at_once(tmp_path: Path, rng: np.random.Generator) -> None:
    """A flipped byte, a file cut off, a wrong length: each named once, and what is whole beside them is read."""
    fake.write(tmp_path, {"eval": [sounds(rng, prefix, 5) for prefix in "abcd"]})
    paths = sorted((tmp_path / "audioset_v1_embeddings" / "eval").iterdir())
    flipped = bytearray(paths[0].read_bytes())
    flipped[100] ^= 1
    paths[0].write_bytes(flipped)
    paths[1].write_bytes(paths[1].read_bytes()[:-10])
    longer = bytearray(paths[2].read_bytes())
    longer[0] ^= 1
    paths[2].write_bytes(longer)
    problems: list[str] = []
    whole = [path for path, _, _ in records(paths, problems)]
    assert [whole.count(path) for path in paths] == [4, 4, 0, 5]
    assert [f"{i}.tfrecord" in problem for i, problem in enumerate(problems)] == [True] * 3
    with pytest.raises(DataError, match=r"3 problems:(?s:.*)0\.tfrecord(?s:.*)1\.tfrecord(?s:.*)2\.tfrecord"):
        parse(paths)
