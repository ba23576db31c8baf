"""Clips, folds, tables, ESC-50 and one's own folder: on small trees in the real layout, and on the real ESC-10."""

import hashlib
import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from fakes import esc50 as fake_esc50
from fakes import folder as fake_folder
from fakes.paths import DATA
from sklearn.model_selection import StratifiedGroupKFold

from datamodules.base import AudioDataModule, DataError, DatasetMissing, Splits, check_disjoint
from datamodules.clips import array_clips
from datamodules.clips.array_clips import EmbeddingClips, WaveformClips, decode_all, silent
from datamodules.clips.folds import grouped_folds, rotate
from datamodules.esc50 import ESC10, ESC50
from datamodules.folder import Folder
from datamodules.tables.csv_table import inside, rows


def waveforms(values: list[list[int]]) -> WaveformClips:
    names = [f"clip{i}" for i in range(len(values))]
    return WaveformClips(np.array(values, np.int16), names, names, names, torch.arange(len(values)))


# Clips


def test_waveforms_are_scaled_and_selected() -> None:
    clips = waveforms([[-32768, 0], [16384, 32767], [1, 2]])
    assert clips.load([1, 0]).tolist() == [[0.5, 32767 / 32768], [-1.0, 0.0]]
    chosen = clips.select([2, 1]).select([1])
    assert (chosen.ids, chosen.targets.tolist()) == (("clip1",), [1])
    assert chosen[0][0].tolist() == [0.5, 32767 / 32768]
    assert chosen.array is clips.array


def test_embeddings_are_scaled() -> None:
    clips = EmbeddingClips(np.array([[[0, 255], [51, 102]]], np.uint8), ["a"], ["a"], ["a"], torch.zeros(1, 3))
    torch.testing.assert_close(clips.load([0]), torch.tensor([[[0.0, 1.0], [0.2, 0.4]]]))


def test_decode_all_pads_crops_and_hashes(tmp_path: Path) -> None:
    ramp = np.arange(-800, 800, dtype=np.int16)
    soundfile.write(tmp_path / "short.wav", ramp[:500], 8_000)
    soundfile.write(tmp_path / "long.wav", ramp, 8_000)
    samples, hashes = decode_all([tmp_path / "short.wav", tmp_path / "long.wav"], 8_000, 0.1, None, "x")
    assert samples.dtype == np.int16
    np.testing.assert_array_equal(samples, [[*ramp[:500], *[0] * 300], ramp[:800]])
    assert hashes[1] == hashlib.sha256(ramp[:800].astype("<i2").tobytes()).hexdigest()


def test_decode_all_clips_overshoot(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", [1.5, -1.5, 1.0, -1.0], 8_000, subtype="FLOAT")
    samples, _ = decode_all([tmp_path / "a.wav"], 8_000, 4 / 8_000, None, "x")
    assert samples.tolist() == [[32767, -32768, 32767, -32768]]


def test_decode_all_lists_every_bad_file(tmp_path: Path) -> None:
    paths = [tmp_path / f"{i}.wav" for i in range(9)]
    for path in paths:
        soundfile.write(path, np.zeros(80), 8_000)
    paths[2].write_bytes(b"")
    paths[5].unlink()
    paths[8].write_bytes(paths[8].read_bytes()[:-40])
    for cache in (None, tmp_path / "cache"):
        with pytest.raises(DataError, match=r"3 of 9 files(?s:.*)'2\.wav'(?s:.*)'5\.wav'(?s:.*)'8\.wav'"):
            decode_all(paths, 8_000, 0.1, cache, "x")
    assert list((tmp_path / "cache").iterdir()) == []


def test_the_cache_is_used_and_its_key_covers_what_matters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, cache = tmp_path / "a.wav", tmp_path / "cache"
    soundfile.write(path, np.full(800, 0.5), 8_000)
    os.utime(path, ns=(10, 10))
    first, hashes = decode_all([path], 8_000, 0.1, cache, "x")
    assert isinstance(first, np.memmap)
    (stored,) = cache.glob("*.npy")
    assert np.load(stored).tolist() == first.tolist()
    with monkeypatch.context() as without_decoder:
        without_decoder.delattr(array_clips, "decode")
        again, hashes_again = decode_all([path], 8_000, 0.1, cache, "x")  # read from the cache, not decoded
    assert (again.tolist(), hashes_again) == (first.tolist(), hashes)

    assert decode_all([path], 4_000, 0.1, cache, "x")[0].shape == (1, 400)
    assert decode_all([path], 8_000, 0.2, cache, "x")[0].shape == (1, 1600)
    os.utime(path, ns=(11, 11))
    again, hashes_again = decode_all([path], 8_000, 0.1, cache, "x")
    assert again[0, 0] == 16384
    assert hashes_again == hashes


@pytest.mark.parametrize(
    "damage", ["npy gone", "npy cut", "npy empty", "npy header", "npy bit", "json gone", "json cut", "json short"]
)
def test_a_damaged_cache_is_made_anew(tmp_path: Path, damage: str) -> None:
    path, cache = tmp_path / "a.wav", tmp_path / "cache"
    soundfile.write(path, np.full(800, 0.5), 8_000)
    wanted = decode_all([path], 8_000, 0.1, cache, "x")
    (victim,) = cache.glob(f"*.{damage.split()[0]}")
    content = victim.read_bytes()
    victim.unlink()
    if damage.endswith("cut"):
        victim.write_bytes(content[:-10])
    if damage.endswith("empty"):
        victim.write_bytes(b"")
    if damage.endswith("header"):
        victim.write_bytes(content[:127] + b"[" + content[128:])
    if damage.endswith("bit"):
        victim.write_bytes(content[:-10] + bytes([content[-10] ^ 1]) + content[-9:])
    if damage.endswith("short"):
        victim.write_text("[]")
    samples, hashes = decode_all([path], 8_000, 0.1, cache, "x")
    assert (samples.tolist(), hashes) == (wanted[0].tolist(), wanted[1])
    assert json.loads(next(cache.glob("*.json")).read_text())["facts"]["hashes"] == hashes


def test_several_writers_share_a_cache(tmp_path: Path) -> None:
    paths = [tmp_path / f"{i}.wav" for i in range(6)]
    for i, path in enumerate(paths):
        soundfile.write(path, np.full(800, i / 10), 8_000)
    wanted = decode_all(paths, 8_000, 0.1, None, "x")
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: decode_all(paths, 8_000, 0.1, tmp_path / "cache", "x"), range(8)))
    assert all(samples.tolist() == wanted[0].tolist() and hashes == wanted[1] for samples, hashes in found)
    assert sorted(path.suffix for path in (tmp_path / "cache").iterdir()) == [".json", ".npy"]


def test_silent_clips_are_counted(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros(10), 8_000)
    soundfile.write(tmp_path / "b.wav", np.full(10, 0.1), 8_000)
    samples, hashes = decode_all([tmp_path / "a.wav", tmp_path / "b.wav"], 8_000, 0.1, None, "x")
    assert silent(hashes, samples.shape[1]) == 1


# Folds


def test_rotate() -> None:
    folds = [1, 1, 2, 10, 10, 4]
    splits = [[part.tolist() for part in rotate(folds, k)] for k in range(4)]
    assert splits[0] == [[3, 4, 5], [2], [0, 1]]
    assert splits[1] == [[0, 1, 3, 4], [5], [2]]
    assert splits[3] == [[2, 5], [0, 1], [3, 4]]  # validation wraps
    for k in (-1, 4):
        with pytest.raises(DataError, match="no test fold"):
            rotate(folds, k)
    with pytest.raises(DataError, match="at least 3"):
        rotate([1, 2], 0)


def test_grouped_folds_tear_no_group_and_balance_classes() -> None:
    rng = np.random.default_rng(0)
    groups = [f"g{g}" for g in range(60) for _ in range(rng.integers(1, 6))]
    labels = [int(g[1:]) % 4 for g in groups]
    folds = grouped_folds(groups, labels, 5, seed=3)
    assert {len({f for f, g in zip(folds, groups, strict=True) if g == name}) for name in groups} == {1}

    def spread(parts: list[np.ndarray]) -> int:
        """Largest difference between folds in any class's number of clips."""
        counts = np.array([np.bincount(np.array(labels)[part], minlength=4) for part in parts])
        return int(np.ptp(counts, axis=0).max())

    theirs = [test for _, test in StratifiedGroupKFold(5).split(labels, labels, groups)]
    assert spread([np.flatnonzero(np.array(folds) == f) for f in range(5)]) <= spread(theirs) + 1
    assert folds == grouped_folds(groups, labels, 5, seed=3) != grouped_folds(groups, labels, 5, seed=4)
    with pytest.raises(DataError, match="2 sources cannot fill 3 folds"):
        grouped_folds(["a", "b"], [0, 0], 3)


def test_leaks_are_refused_by_name() -> None:
    clips = waveforms([[1], [2], [3]])
    check_disjoint(Splits(clips.select([0]), clips.select([1]), clips.select([2])))
    with pytest.raises(DataError, match=r"same source group.*clip0 \(train\) and clip0 \(test\)"):
        check_disjoint(Splits(clips.select([0]), clips.select([1]), clips.select([0, 2])))
    clips.hashes = ("x", "y", "x")
    with pytest.raises(DataError, match=r"same audio.*clip0 \(train\) and clip2 \(test\)"):
        check_disjoint(Splits(clips.select([0]), clips.select([1]), clips.select([2])))


# Tables


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"a,b\n1,2\n1\n", "line 3 has 1 cells"),
        (b"a,b\n1,2,3\n", "line 2 has 3 cells"),
        (b"a,b\n1,\n", r"line 2 has 2 cells \(1 empty\)"),
        (b"a;b\n1;2\n", "line 1 has the columns"),
        (b"a,b,d\n1,2,3\n", "may have c"),
        (b"a,a\n1,2\n", "line 1"),
        (b"a,b,b\n1,2,3\n", "line 1"),
        (b"", "line 1"),
        (b"a,b\n\xff,2\n", "UTF-8"),
        (b'a,b\n"1,2\n', "cannot be read"),
    ],
)
def test_bad_tables_are_refused_with_the_line(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(DataError, match=said):
        list(rows(tmp_path / "t.csv", ("a", "b"), ("c",)))


def test_tables_are_read(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes('\ufeffb,a\r\n"x,y",é\r\n\r\n2,3\r\n'.encode())
    assert list(rows(tmp_path / "t.csv", ("a", "b"), ("c",))) == [
        (2, {"a": "é", "b": "x,y"}),
        (4, {"a": "3", "b": "2"}),
    ]


def test_only_files_inside_are_read(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "sub").mkdir(parents=True)
    (tmp_path / "secret").touch()
    (root / "link").symlink_to(tmp_path / "secret")
    (root / "near").symlink_to(root / "sub")
    for name in ("sub/a.wav", "sub/../a.wav", "near/a.wav", str(root / "a.wav")):
        inside(root, name, "line 2")
    for name in ("../secret", "sub/../../secret", str(tmp_path / "secret"), "link", "a\0b"):
        with pytest.raises(DataError, match=r"line 2: .* outside"):
            inside(root, name, "line 2")


# ESC-50


def test_esc50(tmp_path: Path) -> None:
    data = ESC50(fake_esc50.write(tmp_path), cache=tmp_path / "cache", fold=4, clip_seconds=0.25)
    data.setup()
    assert data.classes == ("dog", "rooster", "rain", "birds", "chainsaw")  # by official number 0, 1, 10, 14, 41
    assert data.clip_shape == (8_000,)
    assert [len(part) for part in (data.splits.train, data.splits.val, data.splits.test)] == [30, 10, 10]
    assert {name[0] for name in data.splits.test.ids} == {"5"}
    assert {name[0] for name in data.splits.val.ids} == {"1"}
    x, target = next(iter(data.test_dataloader()))
    assert (x.shape, x.dtype, target.dtype) == ((10, 8_000), torch.float32, torch.int64)
    wanted = [data.classes.index(fake_esc50.CLASSES[int(name.split("-")[3][:-4])][0]) for name in data.splits.test.ids]
    assert target.tolist() == wanted
    assert 0.05 < x[:, :6_400].std() < 0.15
    assert not x[:, 6_401:].any()  # 0.2 s of sound, then padding
    torch.testing.assert_close(data.prior(), torch.full((5,), 0.2))


@pytest.mark.slow
def test_esc10_is_part_of_esc50(tmp_path: Path) -> None:
    data = ESC10(fake_esc50.write(tmp_path, "ogg"), clip_seconds=0.2)
    data.setup()
    assert data.classes == ("dog", "rooster", "rain", "chainsaw")
    assert len(data.splits.train) == 24
    assert set(data.splits.train.targets.tolist()) == {0, 1, 2, 3}


def manifest(data: AudioDataModule) -> str:
    data.setup()
    return data.manifest()


@pytest.mark.slow
def test_the_manifest_names_the_data(tmp_path: Path) -> None:
    root = fake_esc50.write(tmp_path)
    brief: dict[str, Any] = {"sample_rate": 8_000, "clip_seconds": 0.2}
    original = manifest(ESC50(root, **brief))
    assert manifest(ESC50(root, fold=3, seed=9, batch_size=2, **brief)) == original
    victim = root / "audio" / "3-3010-A-10.wav"
    content = bytearray(victim.read_bytes())
    content[5_001] ^= 0x40
    victim.write_bytes(content)
    assert manifest(ESC50(root, **brief)) != original
    content[5_001] ^= 0x40
    victim.write_bytes(content)
    assert manifest(ESC50(root, **brief)) == original
    table = root / "meta" / "esc50.csv"
    table.write_text(table.read_text().replace("rain", "hail"))
    assert manifest(ESC50(root, **brief)) != original


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("1-1000-A-0.wav,1", "../../1-1000-A-0.wav,1", "line 2: .*outside"),
        ("1-1000-A-0.wav,1", "1-1000-A-0.wav,6", "line 2: fold 6"),
        ("1-1000-A-0.wav,1", "1-1000-A-0.wav,one", "line 2: fold and target"),
        ("1-1000-B-0.wav,1,0,dog", "1-1000-B-0.wav,1,0,cat", "line 3: target 0 is 'cat' here and 'dog'"),
        ("1-1000-B-0.wav,1,0,dog,True", "1-1000-B-0.wav,1,0,dog,yes", "line 3: esc10 is 'yes'"),
        ("1-1000-B-0.wav,1,0,dog,True", "1-1000-A-0.wav,1,0,dog,True", "twice: 1-1000-A-0.wav"),
        ("1-1000-B-0.wav,1,0,dog,True", "1-1000-C-0.wav,1,0,dog,True", "1 of 50 files are not in .*1-1000-C-0.wav"),
        ("1-1000-B-0.wav,1,0,dog,True,", "1-1000-B-0.wav,2,0,dog,True,", "same source group"),
        ("src_file", "source", "line 1"),
    ],
)
def test_esc50_refuses_a_bad_table(tmp_path: Path, old: str, new: str, said: str) -> None:
    table = fake_esc50.write(tmp_path) / "meta" / "esc50.csv"
    table.write_text(table.read_text().replace(old, new, 1))
    with pytest.raises(DataError, match=said):
        ESC50(tmp_path).setup()


@pytest.mark.slow
def test_esc50_refuses_copies_across_folds(tmp_path: Path) -> None:
    audio = fake_esc50.write(tmp_path) / "audio"
    (audio / "4-4001-A-1.wav").write_bytes((audio / "1-1001-A-1.wav").read_bytes())
    with pytest.raises(DataError, match=r"same audio.*4-4001-A-1.wav \(train\) and 1-1001-A-1.wav \(test\)"):
        ESC50(tmp_path).setup()


def test_missing_data_says_where_and_how(tmp_path: Path) -> None:
    assert "esc50.csv" in (ESC50.find(tmp_path) or "")
    with pytest.raises(DatasetMissing, match=r"github\.com"):
        ESC50(tmp_path).setup()
    assert ESC50.find(fake_esc50.write(tmp_path / "here")) is None
    with pytest.raises(DataError, match="folds 0 to 4"):
        ESC50(tmp_path, fold=5)


@pytest.mark.skipif(not (DATA / "esc10").is_dir(), reason=f"the real ESC-10 is not in {DATA}: set BENCH_DATA")
@pytest.mark.slow
def test_the_real_esc10() -> None:
    """400 clips of 304 recordings, 8 per class and fold; read at a low rate to be quick."""
    data = ESC10(DATA / "esc10", sample_rate=8_000, fold=2)
    data.setup()
    splits = data.splits
    assert [len(part) for part in (splits.train, splits.val, splits.test)] == [240, 80, 80]
    assert torch.bincount(splits.test.targets).tolist() == [8] * 10
    assert data.classes[0] == "dog"
    assert data.classes[-1] == "chainsaw"
    assert len({*splits.train.groups, *splits.val.groups, *splits.test.groups}) == 304
    assert data.clip_shape == (40_000,)
    assert {name[0] for name in splits.test.ids} == {"3"}


# Folder


def test_folder_of_folders(tmp_path: Path) -> None:
    root = fake_folder.write(tmp_path / "clips", suffix="flac")
    (root / "cat" / "notes.txt").touch()
    (root / "cat" / ".hidden.wav").touch()
    data = Folder(root=str(root), fold=1, cache=tmp_path / "cache", sample_rate=16_000)
    data.setup()
    assert data.classes == ("cat", "cow")
    assert data.clip_seconds == 0.2  # the longest, 0.19 s, rounded up
    assert data.clip_shape == (3_200,)
    assert [
        torch.bincount(part.targets).tolist() for part in (data.splits.train, data.splits.val, data.splits.test)
    ] == [
        [6, 6],
        [2, 2],
        [2, 2],
    ]
    assert data.note.startswith("1 entries that are no audio left out; 20 of 20 files have a sample rate of 8,000 Hz")
    assert "cat/cat0.flac" in {*data.splits.train.ids, *data.splits.val.ids, *data.splits.test.ids}
    other = Folder(root=root, fold=1, seed=7, sample_rate=16_000)
    other.setup()
    assert other.splits.test.ids == data.splits.test.ids  # the split is the dataset's


def test_folder_from_a_table(tmp_path: Path) -> None:
    fake_folder.write(tmp_path, ("cat", "cow"), files=6)
    lines = [f"{label}/{label}{i}.wav,{label},{i // 2 + 7},rec{i // 2}" for label in ("cat", "cow") for i in range(6)]
    (tmp_path / "t.csv").write_text("\n".join(["path,label,fold,group", *lines]))
    data = Folder(csv=str(tmp_path / "t.csv"), fold=9, clip_seconds=0.05)
    data.setup()
    assert (data.folds, data.fold, data.fold_numbers) == (3, 9, (7, 8, 9))
    assert Folder(csv=tmp_path / "t.csv").fold == 7
    assert data.clip_shape == (1_600,)
    assert data.splits.test.ids == ("cat/cat4.wav", "cat/cat5.wav", "cow/cow4.wav", "cow/cow5.wav")
    assert set(data.splits.val.groups) == {"rec0"}
    with pytest.raises(DataError, match="folds 7 to 9"):
        Folder(csv=tmp_path / "t.csv", fold=3)


def test_folder_without_folds_keeps_groups_whole(tmp_path: Path) -> None:
    fake_folder.write(tmp_path, ("cat", "cow"), files=12)
    lines = [f"{label}/{label}{i}.wav,{label},{label}{i // 2}" for label in ("cat", "cow") for i in range(12)]
    (tmp_path / "t.csv").write_text("\n".join(["path,label,group", *lines]))
    data = Folder(csv=tmp_path / "t.csv")
    data.setup()  # raises if a group is torn
    assert data.folds == 5
    assert set(data.splits.test.targets.tolist()) == {0, 1}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("../a.wav,cat,1", "line 14: .*outside"),
        ("/etc/passwd,cat,1", "line 14: .*outside"),
        ("cat/cat0.wav,cow,1", "line 14: .*is in line 2"),
        ("cat/../cat/cat0.wav,cow,1", "line 14: .*is in line 2"),
        ("cat/new.wav,cat,first", "line 14: fold 'first'"),
        ("cat/new.wav,cat", "line 14 has 2 cells"),
        ("cat/new.wav,cat,1", "1 of 13 audio files(?s:.*)'cat/new.wav'.*no such file"),
        ("spare.wav,dog,0", r"too few clips(?s:.*)dog +1 +0 +0"),
    ],
)
def test_folder_refuses_a_bad_table(tmp_path: Path, line: str, said: str) -> None:
    fake_folder.write(tmp_path, ("cat", "cow"), files=6)
    soundfile.write(tmp_path / "spare.wav", np.full(800, 0.1), 8_000)
    lines = [f"{label}/{label}{i}.wav,{label},{i // 2}" for label in ("cat", "cow") for i in range(6)]
    (tmp_path / "t.csv").write_text("\n".join(["path,label,fold", *lines, line]))
    with pytest.raises(DataError, match=said):
        Folder(csv=tmp_path / "t.csv").setup()


def test_folder_refuses_too_few_clips_with_a_table(tmp_path: Path) -> None:
    fake_folder.write(tmp_path, files=2)
    with pytest.raises(
        DataError, match=r"each with clips of 3 sources; .*'cow' has 2.*\n.*0 +1 +2\n  cat( +[01]){3}\n  cow( +[01]){3}"
    ):
        Folder(root=tmp_path).setup()
    fake_folder.write(tmp_path / "more", files=4)
    data = Folder(root=tmp_path / "more")
    data.setup()
    assert data.folds == 4
    assert "4 folds instead of 5, because 'cat' has clips of 4 sources" in data.note


def test_folder_says_what_to_give(tmp_path: Path) -> None:
    for arguments in ({}, {"root": tmp_path, "csv": tmp_path / "t.csv"}):
        with pytest.raises(DataError, match="either root"):
            Folder(**arguments)
    with pytest.raises(DatasetMissing, match="one folder per class"):
        Folder(root=tmp_path / "absent")
    with pytest.raises(DatasetMissing, match="one folder per class"):
        Folder(root=tmp_path)
    with pytest.raises(DatasetMissing, match=r"path,label\[,fold,group\]"):
        Folder(csv=tmp_path / "t.csv")


def test_folder_follows_no_link_outside(tmp_path: Path) -> None:
    fake_folder.write(tmp_path / "clips")
    soundfile.write(tmp_path / "secret.wav", np.zeros(80), 8_000)
    (tmp_path / "clips" / "cat" / "link.wav").symlink_to(tmp_path / "secret.wav")
    with pytest.raises(DataError, match=r"link.wav.*outside"):
        Folder(root=tmp_path / "clips").setup()


def test_folder_reads_names_that_are_no_utf8(tmp_path: Path) -> None:
    root = fake_folder.write(tmp_path, files=5)
    (root / "cat" / "cat0.wav").rename(root / "cat" / os.fsdecode(b"\xff.wav"))
    data = Folder(root=root, cache=tmp_path / "cache")
    assert len(manifest(data)) == 64
    assert r"cat/\xff.wav" in {*data.splits.train.ids, *data.splits.val.ids, *data.splits.test.ids}
