"""VGGSound on small trees in the real layout, as a folder and as shards, and on the authors' lists."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from fakes import vggsound as fake
from fakes.paths import DATA
from fakes.shards import RATE, pack, sound
from typer.testing import CliRunner

from bench.cli import app
from datamodules.base import DataError, DatasetMissing
from datamodules.clips import youtube
from datamodules.clips.shards import StreamLoader
from datamodules.clips.youtube import Excerpt
from datamodules.tables.csv_table import headless
from datamodules.vggsound import COLUMNS, VGGSound

BRIEF: dict[str, Any] = {"sample_rate": RATE, "clip_seconds": 0.1}

TWINS = "; 5 of the 6 test videos have several clips, 10 of the 11 test clips: intervals are drawn over videos"


@pytest.mark.parametrize("shards", [0, 3])
def test_the_official_split(tmp_path: Path, shards: int) -> None:
    data = VGGSound(fake.write(tmp_path / "vggsound", shards=shards), tmp_path / "cache", **BRIEF)
    data.setup()
    train, val, test = data.splits.train, data.splits.val, data.splits.test
    assert data.classes == ("ambulance siren", "pigeon, dove cooing", "playing sitar")
    assert (len(train) + len(val), len(test)) == (59, 11)
    assert {name[:3] for name in test.ids} == {"-w_"}
    assert test.ids[:3] == ("-w_00000000_000030", "-w_00000000_000070", "-w_00000001_000030")
    assert test.targets.tolist() == [0, 0, 1, 1, 2, 2, 0, 0, 1, 1, 2]
    assert len(val) in (2, 4)  # one or two of the 30 videos, whole
    assert not {*train.groups} & {*val.groups}
    assert data.note == "59 of 60 listed training clips are here, 11 of 12 test clips" + TWINS
    assert data.clips_official == 199_176
    assert isinstance(data.train_dataloader(), StreamLoader) == bool(shards)
    x, target = next(iter(data.train_dataloader()))
    assert (x.shape, x.dtype, target.dtype) == ((len(x), 1600), torch.float32, torch.int64)
    assert len(data.manifest()) == 64


def test_both_forms_hold_the_same_clips(tmp_path: Path) -> None:
    made = []
    for shards in (0, 4):
        data = VGGSound(fake.write(tmp_path / str(shards), shards=shards), **BRIEF)
        data.setup()
        made.append(data)
    for part in ("train", "val", "test"):
        folder, tar = (getattr(data.splits, part) for data in made)
        assert folder.ids == tar.ids
        assert torch.equal(folder.targets, tar.targets)
        assert torch.equal(folder.load(range(len(folder))), tar.load(range(len(tar))))


def test_validation_is_drawn_by_video(tmp_path: Path) -> None:
    """5 % of many, none torn, the same for those that are left when others vanish, and at least one of a few."""
    videos = [fake.video(i) for i in range(20_000)]
    held_out = youtube.validation(videos)
    assert abs(len(held_out) - 1000) < 4 * (20_000 * 0.05 * 0.95) ** 0.5
    assert youtube.validation(videos[::2]) == held_out & set(videos[::2])
    assert len(youtube.validation(sorted(set(videos[:40]) - held_out))) == 1


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("FwVYUHKoLtQ_000034", 0),  # the authors' own example
        ("FwVYUHKoLtQ_34", 0),
        ("FwVYUHKoLtQ_34000_44000", 0),  # audiosetdl
        ("FwVYUHKoLtQ_000120", 1),
        ("FwVYUHKoLtQ_120000_130000", 1),
        ("FwVYUHKoLtQ", None),  # which of its two?
        ("FwVYUHKoLtQ_000035", None),
        ("--0PQM4-hqg", 2),
        ("Y--0PQM4-hqg", 2),
        ("Y--0PQM4-hqg_000030", 2),
        ("Yabcdefgh_1", 3),  # an id that starts with Y
        ("YYabcdefgh_1", 3),
        ("Yabcdefgh_1_0", 3),
        ("abcdefgh_1_", None),
        ("FwVYUHKoLtQ_34.000", 0),
        ("FwVYUHKoLtQ_34.0-44.0", 0),
        ("FwVYUHKoLtQ_34.000_44.000", 0),
        ("FwVYUHKoLtQ_34-44", 0),
        ("YFwVYUHKoLtQ_120.000_130.000", 1),
        ("FwVYUHKoLtQ_34.5", None),
        ("Some title, of a video [--0PQM4-hqg]", 2),  # yt-dlp
        ("AE5oZzfu2-E_239.800", 4),  # one of AudioSet's seven
        ("AE5oZzfu2-E_239.8-249.8", 4),
        ("AE5oZzfu2-E_239.800_249.800", 4),
        ("YAE5oZzfu2-E_239800_249800", 4),
        ("AE5oZzfu2-E_239", 4),
        ("AE5oZzfu2-E_000239", 4),
        ("AE5oZzfu2-E_000240", 4),
        ("AE5oZzfu2-E_239.000", 4),
        ("AE5oZzfu2-E_238.800", None),
        ("AE5oZzfu2-E_241", None),
        ("unlisted_id", None),
        ("x" * 300, None),
        ("", None),
    ],
)
def test_names_of_files(name: str, row: int | None) -> None:
    excerpts = [
        Excerpt("FwVYUHKoLtQ", 34),
        Excerpt("FwVYUHKoLtQ", 120),
        Excerpt("--0PQM4-hqg", 30),
        Excerpt("Yabcdefgh_1", 0),
        Excerpt("AE5oZzfu2-E", 239.8),
    ]
    assert youtube._lookup(excerpts)(name) == row


def test_a_video_next_to_its_sound_is_no_second_clip(tmp_path: Path) -> None:
    root = fake.write(tmp_path / "vggsound")
    for path in list((root / "audio").iterdir())[:5]:
        path.with_suffix(".mp4").write_bytes(b"a video")
    data = VGGSound(root, **BRIEF)
    data.setup()
    assert len(data.splits.train) + len(data.splits.val) + len(data.splits.test) == 70


def test_shards_under_any_key(tmp_path: Path) -> None:
    root = fake.write(tmp_path / "vggsound")
    files: list[tuple[str, bytes]] = []
    for i, path in enumerate(sorted((root / "audio").iterdir())):
        files += [(f"{i:05d}.wav", path.read_bytes()), (f"{i:05d}.json", f'{{"id": "{path.stem}"}}'.encode())]
        path.unlink()
    (root / "audio").rmdir()
    pack(root / "shards" / "all", files, 2)
    data = VGGSound(root, **BRIEF)
    data.setup()
    assert len(data.splits.train) + len(data.splits.val) + len(data.splits.test) == 70


@pytest.mark.slow
def test_files_at_any_depth_and_what_is_not_listed(tmp_path: Path) -> None:
    root = fake.write(tmp_path / "vggsound", suffix="ogg")
    (root / "audio" / "test").mkdir()
    for path in (root / "audio").glob("-w*"):
        path.rename(root / "audio" / "test" / path.name)
    (root / "audio" / "other.wav").touch()
    (root / "audio" / "notes.txt").touch()
    data = VGGSound(root, **BRIEF)
    data.setup()
    assert len(data.splits.test) == 11
    assert data.note.endswith("; 1 audio files that the list does not name left out" + TWINS)


@pytest.mark.parametrize("shards", [0, 2])
def test_leaks_are_refused(tmp_path: Path, shards: int) -> None:
    root = fake.write(tmp_path / "a")
    copied = (root / "audio" / f"{fake.video(3)}_000030.wav").read_bytes()
    (root / "audio" / f"{fake.video(2, 'w')}_000070.wav").write_bytes(copied)
    if shards:
        files = {path.name: path.read_bytes() for path in (root / "audio").iterdir()}
        (root / "audio").rename(tmp_path / "away")
        pack(root / "shards", files, shards)
    with pytest.raises(DataError, match=r"same audio.*-v_00000003_000030.*-w_00000002_000070 \(test\)"):
        VGGSound(root, **BRIEF).setup()

    root = fake.write(tmp_path / "b", shards=shards)
    table = root / "vggsound.csv"
    lines = table.read_text().splitlines()
    torn = next(i for i, line in enumerate(lines) if line.startswith("-v_00000007,70"))
    lines[torn] = lines[torn].replace(",train", ",test")
    table.write_text("\n".join(lines) + "\n")
    with pytest.raises(DataError, match=r"same source group.*-v_00000007_000030.*-v_00000007_000070 \(test\)"):
        VGGSound(root, **BRIEF).setup()


@pytest.mark.parametrize("shards", [0, 2])
def test_silence_is_no_leak(tmp_path: Path, shards: int) -> None:
    quiet = io.BytesIO()
    soundfile.write(quiet, np.zeros(1600), RATE, format="WAV")
    root = fake.write(tmp_path / "a")
    files = {path.name: path.read_bytes() for path in (root / "audio").iterdir()}
    for name in (f"{fake.video(3)}_000030.wav", f"{fake.video(4)}_000030.wav", f"{fake.video(2, 'w')}_000070.wav"):
        files[name] = quiet.getvalue()
        (root / "audio" / name).write_bytes(quiet.getvalue())
    if shards:
        (root / "audio").rename(tmp_path / "away")
        pack(root / "shards", files, shards)
    data = VGGSound(root, **BRIEF)
    data.setup()
    assert (len(data.splits.train) + len(data.splits.val), len(data.splits.test)) == (57, 11)
    assert "2 silent training clips left out" in data.note
    assert data.note.endswith("1 validation and test clips are silent" + TWINS)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("-v_00000000,30,", "-v_00000000,soon,", "line 1: start 'soon'"),
        ("-v_00000000,30,", "-v_00000000,-30,", "line 1: start '-30'"),
        ("siren,train", "siren,val", "line 1: split 'val'"),
        ("-v_00000000,70,", "-v_00000000,30,", r"line 2: the clip -v_00000000_000030 is in line 1"),
        ("-v_00000000,30,ambulance siren", "-v_00000000,30,siren", "label 'siren' of vggsound.csv is not a class"),
        (",train", "", "line 1 has 3 cells"),
        (',"pigeon', ",pigeon", "has 5 cells"),
    ],
)
def test_a_bad_list_is_refused(tmp_path: Path, old: str, new: str, said: str) -> None:
    table = fake.write(tmp_path / "vggsound") / "vggsound.csv"
    table.write_text(table.read_text().replace(old, new, 1))
    with pytest.raises(DataError, match=said):
        VGGSound(tmp_path / "vggsound", **BRIEF).setup()


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    root = fake.write(tmp_path / "a")
    (root / "audio" / f"{fake.video(0)}_30.flac").write_bytes(sound(0))
    with pytest.raises(
        DataError, match=r"1 clips are on disk twice: audio/-v_00000000_000030.wav and .*_30.flac: remove"
    ):
        VGGSound(root, **BRIEF).setup()
    root = fake.write(tmp_path / "b")
    pack(root / "shards", {"a.flac": sound(0)})
    with pytest.raises(DataError, match="read twice"):
        VGGSound(root, **BRIEF).setup()
    root = fake.write(tmp_path / "c", test=1)
    with pytest.raises(DataError, match="no test clips among the 59"):
        VGGSound(root, **BRIEF).setup()
    root = fake.write(tmp_path / "d")
    for path in (root / "audio").iterdir():
        path.rename(path.with_name(path.name[:5] + path.name[9:]))
    with pytest.raises(DatasetMissing, match=r"none of 70 audio files .* is a clip of the list.*six digits"):
        VGGSound(root, **BRIEF).setup()


def test_a_bad_file_is_named_in_both_forms(tmp_path: Path) -> None:
    root = fake.write(tmp_path / "a")
    victim = root / "audio" / f"{fake.video(2, 'w')}_000030.wav"
    victim.write_bytes(victim.read_bytes()[:-300])
    files = {path.name: path.read_bytes() for path in (root / "audio").iterdir()}
    with pytest.raises(DataError, match=r"1 of 70 files(?s:.*)'-w_00000002_000030.wav' is cut off"):
        VGGSound(root, **BRIEF).setup()
    (root / "audio").rename(tmp_path / "away")
    pack(root / "shards", files)
    with pytest.raises(DataError, match=r"1 of 11 files(?s:.*)'000000.tar: -w_00000002_000030.wav' is cut off"):
        VGGSound(root, **BRIEF).setup()


def test_lists_without_audio_say_what_to_do(tmp_path: Path) -> None:
    root = fake.write(tmp_path / "vggsound", shards=1)
    for path in (root / "shards").iterdir():
        path.unlink()
    (root / "shards").rmdir()
    (root / "vggsound.csv").rename(root / "data" / "vggsound.csv")
    said = VGGSound.find(root)
    assert said is not None
    assert "vggsound.csv" not in said
    assert "cannot be downloaded" in said
    (root / "data" / "vggsound.csv").unlink()
    result = CliRunner().invoke(app, ["data", "status", "vggsound", "--data-dir", str(tmp_path)])
    assert result.exit_code == 1
    for words in ("missing", "vggsound.csv", "robots.ox.ac.uk", "audio/<video>_<start", "shards/*.tar"):
        assert words in result.output.replace("\n", " ")
    with pytest.raises(DatasetMissing, match=r"robots\.ox\.ac\.uk"):
        VGGSound(root).setup()


@pytest.mark.slow
@pytest.mark.skipif(not (DATA / "vggsound").is_dir(), reason=f"the real lists are not in {DATA}: set BENCH_DATA")
def test_the_real_lists() -> None:
    """15,446 test clips of 309 classes, 199,176 clips in all; the file names are ours and understood."""
    folder = DATA / "vggsound" / "data"
    rows = [row for _, row in headless(folder / "vggsound_test_only.csv", COLUMNS)]
    excerpts = [Excerpt(row["video"], int(row["start"])) for row in rows]
    assert len(rows) == 15_446
    stat = list(headless(folder / "stat.csv", ("class", "clips", "kind")))
    assert len(stat) == 309
    assert {row["class"] for _, row in stat} == {row["label"] for row in rows}
    assert sum(int(row["clips"]) for _, row in stat) == VGGSound.clips_official
    names = [row["file"][:-4] for _, row in headless(folder / "test.csv", ("file", "label"))]
    lookup = youtube._lookup(excerpts)
    assert [lookup(name) for name in names] == list(range(15_446))
    assert [excerpt.name for excerpt in excerpts] == names
    assert "missing" in (VGGSound.find(DATA / "vggsound") or "")
