"""`bench data verify`: everything that is wrong at once, and what has changed since the manifest was written."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from fakes import audioset_embeddings as fake_embeddings
from fakes import esc50 as fake_esc50
from fakes import folder as fake_folder
from fakes import ravdess as fake_ravdess
from fakes.paths import DATA
from typer.testing import CliRunner

from bench.cli import app
from bench.errors import SuiteError
from datamodules.audioset_embeddings import AudioSetEmbeddings
from datamodules.base import AudioDataModule
from datamodules.esc50 import ESC10, ESC50
from datamodules.fetch.verify import Verdict, load, save, verify
from datamodules.folder import Folder
from datamodules.ravdess import RAVDESS


def esc50(root: Path) -> Callable[[int], AudioDataModule]:
    return lambda fold: ESC50(root, root.parent / "cache", fold=fold, sample_rate=8_000, clip_seconds=0.2)


@pytest.mark.slow
def test_a_sound_dataset(tmp_path: Path) -> None:
    root = fake_esc50.write(tmp_path / "esc50")
    verdict = verify(esc50(root))
    assert verdict.sound
    assert verdict.changes is None
    assert verdict.count("fold") == {"1": 10, "2": 10, "3": 10, "4": 10, "5": 10}
    assert verdict.count("labels") == {"birds": 10, "chainsaw": 10, "dog": 10, "rain": 10, "rooster": 10}
    assert verdict.clips_official == 2_000
    data = esc50(root)(0)
    data.setup()
    assert verdict.digest == data.manifest()
    clip = next(clip for clip in verdict.clips if clip.id == "3-3010-B-10.wav")
    assert (clip.samples, clip.sample_rate, clip.channels, clip.container) == (8_820, 44_100, 1, "WAV PCM_16")
    assert (clip.labels, clip.group, clip.fold) == (("rain",), "3010", "3")


@pytest.mark.slow
def test_all_problems_at_once(tmp_path: Path) -> None:
    """Four rows and four files of every kind of fault, in one go, with lines and names."""
    root = fake_esc50.write(tmp_path / "esc50")
    table, audio = root / "meta" / "esc50.csv", root / "audio"
    lines = table.read_text().split("\n")
    lines[1] = lines[1].replace(",1,0,", ",9,0,")  # line 2: fold 9
    lines[4] += ",more"
    lines[9] = "../" + lines[9]
    lines[12] = lines[12].replace("True", "yes")
    table.write_text("\n".join(lines))
    named = [line.split(",")[0] for line in lines]
    (audio / named[20]).unlink()
    (audio / named[21]).write_bytes(b"<html>404</html>")
    (audio / named[22]).write_bytes((audio / named[22]).read_bytes()[:-100])
    (audio / named[23]).unlink()
    (audio / named[23]).symlink_to("/dev/null")
    (audio / named[24]).unlink()
    (audio / named[24]).symlink_to(audio / named[24])
    verdict = verify(esc50(root))
    assert len(verdict.problems) == 9
    for line in (2, 5, 10, 13):
        assert any(problem.startswith(f"'esc50.csv' line {line}") for problem in verdict.problems)
    for number, said in (
        (20, "cannot be opened"),
        (21, "cannot be decoded"),
        (22, "cut off"),
        (23, "outside"),
        (24, "followed"),
    ):
        (problem,) = [problem for problem in verdict.problems if named[number] in problem]
        assert problem.startswith(f"'esc50.csv' line {number + 1}: ")
        assert said in problem
    assert len(verdict.clips) == 41  # of 50, less four rows and five files
    assert not verdict.sound


def test_one_file_under_two_classes_is_a_problem(tmp_path: Path) -> None:
    root = fake_folder.write(tmp_path / "own")
    one, other = (sorted(folder.iterdir())[0] for folder in sorted(root.iterdir())[:2])
    copy = other.with_name(f"copy{one.suffix}")
    copy.write_bytes(one.read_bytes())
    verdict = verify(lambda fold: Folder(root=root, fold=fold, sample_rate=8_000))
    assert any("is the same file as" in p and copy.name in p and one.name in p for p in verdict.problems)


@pytest.mark.slow
def test_what_has_changed_is_named(tmp_path: Path) -> None:
    """One bit in plain samples, one clip gone, two exchanged, one more: each found by name; the rest is as it was."""
    root, manifest = fake_esc50.write(tmp_path / "esc50"), tmp_path / "manifest.json"
    audio = root / "audio"
    save(manifest, "esc50", verify(esc50(root)))
    assert verify(esc50(root), manifest).changes == []

    path = audio / "3-3010-A-10.wav"
    content, state = bytearray(path.read_bytes()), path.stat()
    content[5_001] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))  # no cache that goes by times sees it
    one, other = audio / "1-1000-A-0.wav", audio / "1-1000-B-0.wav"
    first = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(first)
    (audio / "5-5041-A-41.wav").rename(audio / "5-5041-C-41.wav")
    table = root / "meta" / "esc50.csv"
    text = table.read_text().replace("5-5041-A-41.wav", "5-5041-C-41.wav")
    table.write_text(text.replace("2-2001-A-1.wav,2,1,rooster,True,2001", "2-2001-A-1.wav,2,0,dog,True,2001"))
    verdict = verify(esc50(root), manifest)
    assert verdict.problems == []
    assert sorted(verdict.changes or []) == [
        "'1-1000-A-0.wav' has changed: it has the content that '1-1000-B-0.wav' had",
        "'1-1000-B-0.wav' has changed: it has the content that '1-1000-A-0.wav' had",
        "'2-2001-A-1.wav' has changed: labels was ('rooster',), is ('dog',)",
        "'3-3010-A-10.wav' has changed: its content is another",
        "'5-5041-A-41.wav' is missing",
        "'5-5041-C-41.wav' is new, with the content of '5-5041-A-41.wav'",
    ]


@pytest.mark.slow
def test_leaks_are_problems(tmp_path: Path) -> None:
    """A copy of a clip in two training folds of the first fold, which leaks only into the others."""
    root = fake_esc50.write(tmp_path / "esc50")
    (root / "audio" / "4-4001-A-1.wav").write_bytes((root / "audio" / "3-3001-A-1.wav").read_bytes())
    (problem, *others) = verify(esc50(root)).problems
    assert "same audio" in problem
    assert "3-3001-A-1.wav" in problem
    assert len(others) < 4


def test_own_clips(tmp_path: Path) -> None:
    root = fake_folder.write(tmp_path / "clips", suffix="flac")
    (root / "cat" / os.fsdecode(b"\xff.wav")).write_bytes(b"")
    soundfile.write(root / "cow" / "silent.wav", np.zeros(800), 8_000)
    (root / "cow" / "out.wav").symlink_to(tmp_path / "nothing.wav")
    verdict = verify(lambda fold: Folder(root, fold=fold, sample_rate=8_000))
    assert sorted(verdict.problems) == [
        r"'cat/\\xff.wav' is empty: fetch it again or remove it",
        f"'cow/out.wav' is a link to a place outside {str(root)!r}: set follow_links = true in [dataset.folder] to "
        f"read it, or put the files themselves there",
    ]
    assert verdict.silent == 1
    assert len(verdict.clips) == 21
    assert set(verdict.count("fold")) == {"0", "1", "2", "3", "4"}


@pytest.mark.slow
def test_a_part_of_a_dataset(tmp_path: Path) -> None:
    """Three pairs of actors are three folds of the four."""
    root = fake_ravdess.write(tmp_path / "ravdess", range(1, 7))
    verdict = verify(lambda fold: RAVDESS(root, tmp_path / "cache", fold, sample_rate=8_000, clip_seconds=0.1))
    assert verdict.problems == []
    assert verdict.count("fold") == {"0": 120, "1": 120, "2": 120}
    assert len(verdict.notes) == 3
    (root / "Actor_02" / "notes.txt").touch()
    (root / "Actor_03" / "more.txt").touch()
    verdict = verify(lambda fold: RAVDESS(root, tmp_path / "cache", fold, sample_rate=8_000, clip_seconds=0.1))
    assert len(verdict.problems) == 2


def test_clips_that_are_no_files(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    parts = {
        part: [[fake_embeddings.Segment(f"{part}{i:03}", [rng.bytes(128)], [i % 4, 3]) for i in range(60)]]
        for part in ("bal_train", "eval")
    }
    root = fake_embeddings.write(tmp_path / "data", parts)
    manifest = tmp_path / "manifest.json"
    verdict = verify(lambda fold: AudioSetEmbeddings(root, fold=fold))
    save(manifest, "audioset-embeddings", verdict)
    assert verdict.sound
    assert sum(verdict.count("fold").values()) == 120
    assert verdict.count("fold")["test"] == 60
    assert verdict.count("labels")["Silence"] == 120
    shard = root / "audioset_v1_embeddings" / "eval" / "0.tfrecord"
    shard.write_bytes(shard.read_bytes()[:-500])
    (problem,) = verify(lambda fold: AudioSetEmbeddings(root, fold=fold), manifest).problems
    assert "0.tfrecord" in problem


@pytest.mark.slow
def test_a_manifest_that_is_none(tmp_path: Path) -> None:
    root, manifest = fake_esc50.write(tmp_path / "esc50"), tmp_path / "manifest.json"
    for content in (b"", b"[]", b"{}", b'{"version": 1, "clips": [{}]}', b"\xff"):
        manifest.write_bytes(content)
        (problem,) = verify(esc50(root), manifest).problems
        assert "manifest.json' is not a manifest" in problem
    manifest.write_text('{"version": 99, "clips": []}')
    assert "version 99" in verify(esc50(root), manifest).problems[0]


@pytest.mark.slow
def test_a_manifest_is_read_as_it_was_written(tmp_path: Path) -> None:
    verdict = verify(esc50(fake_esc50.write(tmp_path / "esc50", "ogg")))
    save(tmp_path / "deep" / "manifest.json", "esc50", verdict)
    assert list(load(tmp_path / "deep" / "manifest.json").values()) == verdict.clips
    assert Verdict().sound


@pytest.mark.slow
def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "user"))
    root = fake_esc50.write(tmp_path / "data" / "esc10", "ogg")

    def call(*more: str) -> tuple[int, str]:
        arguments = ["--data-dir", str(tmp_path / "data"), "--store", str(tmp_path / "runs"), *more]
        result = CliRunner().invoke(app, ["data", "verify", *arguments])
        return result.exit_code, result.output

    code, said = call("esc10")
    assert code == 0
    assert "40 of 400 clips, 4 classes" in said
    assert "1 8, 2 8, 3 8, 4 8, 5 8" in said
    (manifest,) = (tmp_path / "user").rglob("esc10-*.json")
    kept = manifest.read_bytes()
    assert call("esc10")[0] == 0
    victim = root / "audio" / "1-1001-B-1.ogg"
    soundfile.write(victim, np.zeros(8_820), 44_100)
    code, said = call("esc10", "--json")
    content = json.loads(said)
    assert code == 1
    assert len(content["changes"]) == 1
    assert content["silent"] == 1
    assert manifest.read_bytes() == kept
    assert call("esc10", "--accept")[0] == 0
    assert manifest.read_bytes() != kept
    assert call("esc10")[0] == 0
    victim.write_bytes(b"")
    code, said = call("esc10")
    assert code == 1
    assert "'1-1001-B-1.ogg'" in said
    typo = ["data", "verify", "esc10", "--data-dir", str(tmp_path / "data"), "--manifest", str(tmp_path / "typo.json")]
    with pytest.raises(SuiteError, match=r"typo.json is not there"):
        CliRunner().invoke(app, typo, catch_exceptions=False)
    assert call("folder", "--clips", str(fake_folder.write(tmp_path / "own")))[0] == 0


@pytest.mark.skipif(not (DATA / "esc10").is_dir(), reason=f"the real ESC-10 is not in {DATA}: set BENCH_DATA")
@pytest.mark.slow
def test_the_real_esc10(tmp_path: Path) -> None:
    """Its README: 400 Ogg files, 380 of 220,544 samples, none longer than 319,296 or shorter than 160,704."""
    verdict = verify(lambda fold: ESC10(DATA / "esc10", tmp_path, fold, sample_rate=8_000))
    assert verdict.sound
    assert verdict.count("fold") == dict.fromkeys("12345", 80)
    assert set(verdict.count("labels").values()) == {40}
    lengths = [clip.samples for clip in verdict.clips]
    assert (lengths.count(220_544), min(lengths), max(lengths)) == (380, 160_704, 319_296)
