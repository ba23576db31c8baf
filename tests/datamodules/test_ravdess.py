"""RAVDESS: folds of whole actors, a man and a woman together, and names read strictly."""

from pathlib import Path
from typing import Any

import pytest
import soundfile
import torch
from fakes import ravdess as fake
from fakes.paths import DATA

from datamodules.base import DataError, DatasetMissing, Splits
from datamodules.ravdess import RAVDESS

REAL = DATA / "ravdess"
BRIEF: dict[str, Any] = {"sample_rate": 48_000, "clip_seconds": 0.03}


def read(root: Path, fold: int = 0, **arguments: Any) -> RAVDESS:
    data = RAVDESS(root, fold=fold, **(BRIEF | arguments))
    data.setup()
    return data


def actors(splits: Splits) -> list[list[int]]:
    """Return the actors of training, validation and test, from the names of the clips."""
    parts = (splits.train, splits.val, splits.test)
    return [sorted({int(name.split("-")[6][:2]) for name in part.ids}) for part in parts]


@pytest.mark.slow
def test_the_complete_layout(tmp_path: Path) -> None:
    """Each actor has four neutral clips and eight of each other emotion (Livingstone & Russo, table 1)."""
    data = read(fake.write(tmp_path), cache=tmp_path / "cache")
    splits = data.splits
    assert data.classes == ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")
    assert [len(part) for part in (splits.train, splits.val, splits.test)] == [720, 360, 360]
    assert data.clips_official == 1440
    assert torch.bincount(splits.test.targets).tolist() == [24, *[48] * 7]
    assert [int(name.split("-")[2]) - 1 for name in splits.test.ids] == splits.test.targets.tolist()
    assert set(splits.test.groups) == {"Actor_01", "Actor_02", "Actor_09", "Actor_10", "Actor_17", "Actor_18"}
    assert data.note == "tested on actors 01, 02, 09, 10, 17, 18, validated on 03, 04, 11, 12, 19, 20"
    x, _ = next(iter(data.test_dataloader()))
    assert x.shape == (32, 1440)
    assert 0.05 < x[:, :960].std() < 0.15
    assert not x[:, 960:].any()


@pytest.mark.slow
def test_every_actor_is_tested_once_with_the_partner(tmp_path: Path) -> None:
    fake.write(tmp_path)
    tested = [actors(read(tmp_path, fold, cache=tmp_path / "cache").splits)[2] for fold in range(4)]
    assert sorted(actor for fold in tested for actor in fold) == list(range(1, 25))
    assert all(actor + actor % 2 in fold for fold in tested for actor in fold)  # an odd one has its even partner
    assert [sum(actor % 2 for actor in fold) for fold in tested] == [3, 3, 3, 3]  # men


@pytest.mark.parametrize("suffix", ["wav", "flac"])
@pytest.mark.parametrize("here", [(1, 2, 3, 4, 5, 6), (13, 14, 15, 16, 23, 24)])
@pytest.mark.slow
def test_three_pairs_are_three_folds(tmp_path: Path, here: tuple[int, ...], suffix: str) -> None:
    fake.write(tmp_path, here, suffix)
    pairs = [list(here[:2]), list(here[2:4]), list(here[4:])]
    for fold in range(3):
        data = read(tmp_path, fold)
        assert actors(data.splits) == [pairs[(fold + 2) % 3], pairs[(fold + 1) % 3], pairs[fold]]
        assert data.folds == 3
        assert [len(part) for part in (data.splits.train, data.splits.val, data.splits.test)] == [120, 120, 120]
    assert f"6 of 24 actors are here ({', '.join(f'{actor:02}' for actor in here)})" in data.note
    with pytest.raises(DatasetMissing, match=r"no `fold` 3 with 3 pairs of actors: 4 pairs.*zenodo.*fold 0 to 2"):
        read(tmp_path, fold=3)


@pytest.mark.slow
def test_an_actor_without_partner_and_clips_that_are_missing(tmp_path: Path) -> None:
    fake.write(tmp_path, (1, 4, 5, 6))
    (tmp_path / "Actor_04" / "03-01-08-02-02-02-04.wav").unlink()
    data = read(tmp_path, fold=1)
    assert actors(data.splits) == [[1], [5, 6], [4]]
    assert data.note == (
        "tested on actors 04, validated on 05, 06; 4 of 24 actors are here (01, 04, 05, 06); "
        "actor 04 has 59 of 60 clips"
    )


@pytest.mark.parametrize(("here", "said"), [((1, 2, 3, 4), "with 2 pairs.*3 pairs.*01, 02, 03, 04"), ((), "missing")])
def test_fewer_pairs_are_too_few(tmp_path: Path, here: tuple[int, ...], said: str) -> None:
    with pytest.raises(DatasetMissing, match=said):
        read(fake.write(tmp_path, here))


@pytest.mark.slow
def test_songs_and_videos_are_left_out_and_counted(tmp_path: Path) -> None:
    """The archives of song and of video unpack into the same folders."""
    fake.write(tmp_path, range(1, 7))
    folder = tmp_path / "Actor_03"
    songs = fake.names(3, channel=2, emotions=range(1, 7))
    for name in songs:
        soundfile.write(folder / f"{name}.wav", [0.1] * 100, 48_000)
    for name in (*fake.names(3, modality=1), *fake.names(3, modality=2)):
        (folder / f"{name}.mp4").touch()
    soundfile.write(folder / f"{fake.names(3, modality=1)[0]}.wav", [0.1] * 100, 48_000)  # a video's sound
    data = read(tmp_path)
    assert len(songs) == 44  # as many as an actor sings
    assert sum(map(len, (data.splits.train, data.splits.val, data.splits.test))) == 360
    assert data.note.endswith("44 songs left out; 121 videos left out")


@pytest.mark.slow
def test_only_the_actors_folders_are_read(tmp_path: Path) -> None:
    fake.write(tmp_path, range(1, 7))
    for other in ("originals_48k", "audio_speech_actors_01-24/Actor_01"):
        (tmp_path / other).mkdir(parents=True)
        name = "03-01-02-01-01-02-01.wav"
        (tmp_path / other / name).write_bytes((tmp_path / "Actor_01" / name).read_bytes())
    (tmp_path / "README.md").touch()
    (tmp_path / "Actor_01" / ".DS_Store").touch()
    assert len(read(tmp_path).splits.test) == 120


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("03-01-09-01-01-01-03.wav", "has 09 in place 3, not 01 to 08"),
        ("03-01-00-01-01-01-03.wav", "has 00 in place 3"),
        ("04-01-02-01-01-01-03.wav", "has 04 in place 1"),
        ("03-03-02-01-01-01-03.wav", "has 03 in place 2"),
        ("03-01-02-03-01-01-03.wav", "has 03 in place 4"),
        ("03-01-02-01-03-01-03.wav", "has 03 in place 5"),
        ("03-01-02-01-01-03-03.wav", "has 03 in place 6"),
        ("03-01-02-01-01-01-25.wav", "has 25 in place 7, not 01 to 24"),
        ("03-01-02-01-01-01-04.wav", "is of actor 04"),
        ("03-01-01-02-01-01-03.wav", "neutral with strong"),
        ("03-01-02-01-01-01-03.flac", r"exists as 03-01-02-01-01-01-03\.\w+, too"),
        ("03-01-02-01-01-01-03.mp4", "extract its audio"),
        ("03-01-02-01-01-01-03 (1).wav", "seven numbers"),
        ("03-01-02-01-01-01.wav", "seven numbers"),
        ("3-1-2-1-1-1-3.wav", "seven numbers"),
        ("٠٣-01-02-01-01-01-03.wav", "seven numbers"),
        ("notes.txt", "seven numbers"),
        ("03-01-02-01-01-01-03.mp3", "seven numbers"),
    ],
)
def test_a_name_that_does_not_fit_is_named(tmp_path: Path, name: str, said: str) -> None:
    fake.write(tmp_path, [3])
    path = tmp_path / "Actor_03" / name
    assert not path.exists()
    soundfile.write(path, [0.1] * 100, 48_000, format="WAV")
    with pytest.raises(DataError, match=f"1 entries(?s:.*)Actor_03/.* {said}"):
        read(tmp_path)


def test_all_wrong_names_at_once(tmp_path: Path) -> None:
    fake.write(tmp_path, [2])
    (tmp_path / "Actor_25").mkdir()
    (tmp_path / "Actor_7").mkdir()
    (tmp_path / "actor_08").mkdir()
    (tmp_path / "Actor_02" / "copy.wav").touch()
    with pytest.raises(
        DataError,
        match=r"4 entries.*Actor_02/copy\.wav.*Actor_25 is not one of.*Actor_7 is not one of.*actor_08 is not one",
    ):
        read(tmp_path)


def test_no_link_leads_outside(tmp_path: Path) -> None:
    victim = fake.write(tmp_path / "data", [3]) / "Actor_03" / "03-01-02-01-01-01-03.wav"
    victim.rename(tmp_path / "secret.wav")
    victim.symlink_to(tmp_path / "secret.wav")
    with pytest.raises(DataError, match="outside"):
        read(tmp_path / "data")


@pytest.mark.slow
@pytest.mark.skipif(not REAL.is_dir(), reason=f"no sample of RAVDESS in {DATA}: set BENCH_DATA to the folder with it")
@pytest.mark.parametrize("fold", range(3))
def test_the_real_sample(fold: int) -> None:
    """360 clips of six actors: four neutral and eight of each other emotion per actor; the originals are no clips."""
    data = read(REAL, fold, sample_rate=8_000, clip_seconds=5.3)
    pairs = [[1, 2], [3, 4], [5, 6]]
    assert actors(data.splits) == [pairs[(fold + 2) % 3], pairs[(fold + 1) % 3], pairs[fold]]
    for part in (data.splits.train, data.splits.val, data.splits.test):
        for actor in set(part.groups):
            own = torch.tensor([group == actor for group in part.groups])
            assert torch.bincount(part.targets[own]).tolist() == [4, *[8] * 7]
    assert data.clip_shape == (42_400,)
