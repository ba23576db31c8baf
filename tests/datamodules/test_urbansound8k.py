"""UrbanSound8K: folds by their official numbers, whatever is on disk, and what the official folds tear."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from fakes import urbansound8k as fake
from fakes.paths import DATA

from datamodules.base import DataError, DatasetMissing, Splits, check_disjoint
from datamodules.clips.array_clips import WaveformClips
from datamodules.clips.folds import drop_leaks
from datamodules.urbansound8k import CLASSES, UrbanSound8K

REAL = DATA / "urbansound8k"
BRIEF: dict[str, Any] = {"sample_rate": 8_000, "clip_seconds": 0.2}

needs_sample = pytest.mark.skipif(
    not REAL.is_dir(), reason=f"no sample of UrbanSound8K in {DATA}: set BENCH_DATA to the folder that holds it"
)

TORN = "; 1 recordings (2 clips) stand in several official folds, 1 of them under several labels: 77751"


def read(root: Path, fold: int = 0, **arguments: Any) -> UrbanSound8K:
    data = UrbanSound8K(root, fold=fold, **(BRIEF | arguments))
    data.setup()
    return data


def sizes(splits: Splits) -> tuple[int, int, int]:
    return len(splits.train), len(splits.val), len(splits.test)


@pytest.mark.slow
def test_the_complete_layout(tmp_path: Path) -> None:
    data = read(fake.write(tmp_path), fold=9, cache=tmp_path / "cache")
    assert data.classes == fake.CLASSES  # by classID
    assert sizes(data.splits) == (88, 11, 11)
    assert sorted(data.splits.test.groups) == sorted([f"{1000 + t}" for t in range(10)] + ["1003"])  # fold 10
    assert {group[0] for group in data.splits.val.groups} == {"1"}  # wraps to fold 1
    assert torch.bincount(data.splits.test.targets).tolist() == [1, 1, 1, 2, 1, 1, 1, 1, 1, 1]
    assert [int(name.split("-")[1]) for name in data.splits.test.ids] == data.splits.test.targets.tolist()
    assert data.clips_official == 8732
    assert data.note == "official fold 10 tested, 1 validates" + TORN  # both torn clips are in training


@pytest.mark.slow
def test_every_official_encoding_is_heard_and_padded(tmp_path: Path) -> None:
    """8 to 192 kHz, 4 to 32 bits, mono and stereo; noise of 0.1, in stereo averaged."""
    data = read(fake.write(tmp_path), clip_seconds=0.4)
    x = torch.cat([part.load(range(len(part))) for part in (data.splits.train, data.splits.val, data.splits.test)])
    assert x.shape[1] == data.clip_shape[0] == 3_200
    heard = x[:, :800].std(1)
    assert 0.01 < heard.min() < heard.max() < 0.12
    assert not x[:, 1_600:].any()  # an ADPCM file is filled to its last block


@pytest.mark.slow
def test_adpcm_sounds_right(tmp_path: Path) -> None:
    """A sine through the four bits of ADPCM; one sample late, it would be 0.17 off."""
    audio = fake.write(tmp_path) / "audio" / "fold1"
    sine = 0.5 * np.sin(2 * np.pi * 440 * np.arange(8_000) / 8_000)
    for target, encoding in ((0, "IMA_ADPCM"), (1, "MS_ADPCM")):
        soundfile.write(audio / f"{100 + target}-{target}-0-0.wav", sine, 8_000, encoding)
    test = read(tmp_path, clip_seconds=1.0).splits.test
    for i in range(2):
        assert np.abs(test.load([i])[0].numpy() - sine)[100:7_900].max() < 0.05


@pytest.mark.slow
@pytest.mark.parametrize(
    ("official", "counts", "gone"),
    [
        (1, (87, 11, 11), "77751-7-0-0.wav"),  # fold 2 validates, fold 7 trains
        (2, (87, 11, 11), "77751-7-0-0.wav"),  # fold 2 tests
        (6, (87, 11, 11), "77751-4-0-0.wav"),  # fold 7 validates
        (7, (87, 11, 11), "77751-4-0-0.wav"),
        (4, (88, 11, 11), None),  # both train
    ],
)
def test_the_recording_that_the_folds_tear(
    tmp_path: Path, official: int, counts: tuple[int, int, int], gone: str | None
) -> None:
    data = read(fake.write(tmp_path), fold=official - 1)
    assert sizes(data.splits) == counts
    left = {*data.splits.train.ids, *data.splits.val.ids, *data.splits.test.ids}
    assert (gone in left) is False
    assert ("1 training and 0 validation clips" in data.note) == (gone is not None)
    assert "copies" not in data.note


@pytest.mark.slow
def test_copies_across_folds_are_left_out_and_named(tmp_path: Path) -> None:
    audio = fake.write(tmp_path) / "audio"
    (audio / "fold5" / "500-0-0-0.wav").write_bytes((audio / "fold1" / "100-0-0-0.wav").read_bytes())
    data = read(tmp_path)
    assert "500-0-0-0.wav" not in data.splits.train.ids
    assert data.note.endswith(
        "2 training and 0 validation clips; of these, copies of another recording's audio: 500-0-0-0.wav"
    )
    assert sizes(read(tmp_path, fold=2).splits) == (88, 11, 11)  # both train: nothing leaks
    data = read(tmp_path, fold=4)
    assert "100-0-0-0.wav" not in data.splits.train.ids
    assert "500-0-0-0.wav" in data.splits.test.ids  # the test fold stays as it is


def test_apart() -> None:
    """By hand: c shares its group with the test clip, b its audio with validation, e its audio with the test clip."""
    rows = np.zeros((6, 4), np.int16)
    groups, hashes = ["1", "2", "9", "4", "5", "9"], ["p", "q", "r", "q", "t", "t"]
    clips = WaveformClips(rows, list("abcdef"), groups, hashes, torch.zeros(6, dtype=torch.int64))
    parts = clips.select([0, 1, 2]), clips.select([3, 4]), clips.select([5])
    with pytest.raises(DataError, match="leak"):
        check_disjoint(Splits(*parts))
    splits, from_train, from_val = drop_leaks(*parts)
    check_disjoint(splits)
    assert (splits.train.ids, splits.val.ids, splits.test.ids) == (("a",), ("d",), ("f",))
    assert (from_train, from_val) == (["b", "c"], ["e"])


# What is not there


@pytest.mark.parametrize(("official", "validates", "trains"), [(1, "2", {"1"}), (2, "10", {"1"}), (10, "1", {"2"})])
def test_folds_keep_their_numbers_where_others_are_missing(
    tmp_path: Path, official: int, validates: str, trains: set[str]
) -> None:
    data = read(fake.write(tmp_path, folds=(1, 2, 10)), fold=official - 1)
    assert {group[:-1] for group in (data.splits.test.groups)} - {"7775"} <= {f"{official}0", f"{official}"}
    assert data.note.startswith(
        f"official fold {official} tested, {validates} validates; "
        "33 of the table's 110 clips have audio, in folds 1, 2, 10"
    )
    assert sizes(data.splits) == (11, 11, 11)
    assert data.folds == 10


def test_a_fold_without_audio_is_missing(tmp_path: Path) -> None:
    fake.write(tmp_path, folds=(1, 2, 10))
    with pytest.raises(
        DatasetMissing, match=r"official fold 5 \(`fold` 4\).*folds with audio are 1, 2, 10; ask.*among 0, 1, 9.*zenodo"
    ):
        read(tmp_path, fold=4)
    with pytest.raises(DataError, match="folds 0 to 9"):
        read(tmp_path, fold=10)


def test_two_folds_are_too_few(tmp_path: Path) -> None:
    with pytest.raises(DatasetMissing, match=r"folds with audio are 3, 4; three are needed: fetch"):
        read(fake.write(tmp_path, folds=(3, 4)), fold=2)


def test_absent_files_and_classes_are_told(tmp_path: Path) -> None:
    audio = fake.write(tmp_path, folds=(3, 4, 5)) / "audio"
    (audio / "fold5" / "506-6-0-0.wav").unlink()
    (audio / "fold4" / "notes.txt").touch()
    data = read(tmp_path, fold=2)
    assert data.note == (
        "official fold 3 tested, 4 validates; 32 of the table's 110 clips have audio, in folds 3, 4, 5"
        + TORN
        + "; no training clips of gun_shot; 1 files that the table does not name left out"
    )
    assert data.classes[6] == "gun_shot"
    assert data.prior()[6] == 0


@pytest.mark.slow
def test_missing_data_says_where_and_how(tmp_path: Path) -> None:
    assert "UrbanSound8K.csv" in (UrbanSound8K.find(tmp_path) or "")
    for root in (tmp_path, None):
        with pytest.raises(DatasetMissing):
            UrbanSound8K(root).setup()
    assert UrbanSound8K.find(fake.write(tmp_path / "here")) is None


# What is wrong


@pytest.mark.slow
@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("\n100-0-0-0.wav,", "\n../../100-0-0-0.wav,", r"line 2: .*not named after"),
        ("\n100-0-0-0.wav,", "\n100-1-0-0.wav,", "line 2: .*not named after fsID 100 and classID 0"),
        ("\n100-0-0-0.wav,100,", "\n100-0-0-0.wav,101,", "line 2: .*not named after fsID 101"),
        (",1,0,air_conditioner", ",1,0,air conditioner", "line 2: class 0 is not called 'air conditioner'"),
        ("100-0-0-0.wav,100,0.0,0.1,1,1,0,", "100-12-0-0.wav,100,0.0,0.1,1,1,12,", "line 2: class 12"),
        (",1,1,0,air_conditioner", ",1,11,0,air_conditioner", "line 2: fold '11'"),
        (",1,1,0,air_conditioner", ",1,one,0,air_conditioner", "line 2: fold 'one'"),
        ("\n101-1-0-0.wav,101,", "\n103-3-0-0.wav,103,0.0,0.1,1,1,3,dog_bark\n101-1-0-0.wav,101,", "line 6: .*line 3"),
        (",1,1,0,air_conditioner", ",1,2,0,air_conditioner", r"fold1/100-0-0-0\.wav \(fold 2\)\. Move"),
        (",1,1,0,air_conditioner", ",1,1,0", "line 2 has 7 cells"),
        ("salience", "loudness", "line 1"),
    ],
)
def test_a_bad_table_is_refused_with_the_line(tmp_path: Path, old: str, new: str, said: str) -> None:
    table = fake.write(tmp_path) / "metadata" / "UrbanSound8K.csv"
    text = table.read_text()
    assert old in text
    table.write_text(text.replace(old, new, 1))
    with pytest.raises(DataError, match=said):
        read(tmp_path)


@pytest.mark.slow
def test_all_bad_files_are_named_at_once(tmp_path: Path) -> None:
    audio = fake.write(tmp_path) / "audio"
    (audio / "fold3" / "300-0-0-0.wav").write_bytes(b"")
    (audio / "fold8" / "801-1-0-0.wav").write_bytes(b"<html>404</html>")
    with pytest.raises(DataError, match=r"2 of 110 files(?s:.*)300-0-0-0(?s:.*)801-1-0-0"):
        read(tmp_path)


@pytest.mark.slow
def test_no_link_leads_outside(tmp_path: Path) -> None:
    victim = fake.write(tmp_path / "data") / "audio" / "fold3" / "300-0-0-0.wav"
    victim.rename(tmp_path / "secret.wav")
    victim.symlink_to(tmp_path / "secret.wav")
    with pytest.raises(DataError, match="outside"):
        read(tmp_path / "data")


# The real one


@pytest.mark.slow
@needs_sample
@pytest.mark.parametrize(("official", "validates"), [(1, 2), (2, 10), (10, 1)])
def test_the_real_sample(official: int, validates: int) -> None:
    """60 clips in the folds 1, 2 and 10, two of each class in each; the folds as the table has them."""
    table = (REAL / "metadata" / "UrbanSound8K.csv").read_text().splitlines()
    fold_of = {line.split(",")[0]: int(line.split(",")[5]) for line in table[1:]}
    data = read(REAL, fold=official - 1, clip_seconds=4.0)
    assert len(table) - 1 == data.clips_official == 8732
    assert sizes(data.splits) == (20, 20, 20)
    for part in (data.splits.train, data.splits.val, data.splits.test):
        assert torch.bincount(part.targets).tolist() == [2] * 10
    assert {fold_of[name] for name in data.splits.test.ids} == {official}
    assert {fold_of[name] for name in data.splits.val.ids} == {validates}
    assert all(
        name.split("-")[1] == str(t)
        for name, t in zip(data.splits.test.ids, data.splits.test.targets.tolist(), strict=True)
    )
    assert f"official fold {official} tested, {validates} validates; 60 of the table's 8,732 clips" in data.note


@needs_sample
def test_the_real_table_has_these_classes() -> None:
    lines = (REAL / "metadata" / "UrbanSound8K.csv").read_text().splitlines()[1:]
    assert {tuple(line.split(",")[-2:]) for line in lines} == {(str(i), name) for i, name in enumerate(CLASSES)}
