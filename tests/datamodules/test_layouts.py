"""Datasets as archives, Kaggle and downloaders lay them out, through the command line."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fakes import audioset, esc50, gtzan, musan, ravdess, urbansound8k, vggsound
from typer.testing import CliRunner

from bench import catalog
from bench.cli import app

pytestmark = pytest.mark.slow

Bench = Callable[..., tuple[int, Any]]


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """Call `bench data ... --json` on a data directory; returns exit code and what was printed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "manifests"))

    def call(*arguments: object) -> tuple[int, Any]:
        result = CliRunner().invoke(app, ["data", *(str(each) for each in arguments), "--json"])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.output
        return result.exit_code, json.loads(result.stdout)

    return call


def moved(folder: Path, target: Path) -> None:
    """Move what a folder holds into another, which is made."""
    target.mkdir(parents=True, exist_ok=True)
    for path in list(folder.iterdir()):
        if path != target and path not in target.parents:
            path.rename(target / path.name)


def kaggle_esc50(root: Path) -> None:
    (root / "meta" / "esc50.csv").rename(root / "esc50.csv")
    (root / "meta").rmdir()
    moved(root / "audio", root / "audio" / "audio" / "44100")
    shutil.copytree(root / "audio" / "audio" / "44100", root / "audio" / "audio" / "16000")


def kaggle_urbansound8k(root: Path) -> None:
    (root / "metadata" / "UrbanSound8K.csv").rename(root / "UrbanSound8K.csv")
    (root / "metadata").rmdir()
    moved(root / "audio", root)
    (root / "audio").rmdir()


def kaggle_ravdess(root: Path) -> None:
    shutil.copytree(root, root / "audio_speech_actors_01-24")


def renamed_gtzan(root: Path) -> None:
    moved(root / "music_speech", root)
    (root / "music_speech").rmdir()
    for label in ("music", "speech"):
        (root / f"{label}_wav").rename(root / label)


def below(*names: str) -> Callable[[Path], None]:
    return lambda root: moved(root, root.joinpath(*names))


def write_musan(root: Path) -> None:
    musan.write(root)


WRITERS: dict[str, Callable[[Path], object]] = {
    "esc50": esc50.write,
    "urbansound8k": urbansound8k.write,
    "ravdess": lambda root: ravdess.write(root, range(1, 9)),
    "musan": write_musan,
    "gtzan-music-speech": gtzan.write,
}
FORMS: list[tuple[str, str, Callable[[Path], None]]] = [
    ("esc50", "kaggle", kaggle_esc50),
    ("esc50", "zip", below("ESC-50-master")),
    ("esc50", "zip of zip", below("archive", "ESC-50-master")),
    ("urbansound8k", "kaggle", kaggle_urbansound8k),
    ("urbansound8k", "tar", below("UrbanSound8K")),
    ("ravdess", "kaggle", kaggle_ravdess),
    ("ravdess", "zip", below("Audio_Speech_Actors_01-24")),
    ("musan", "of itself", below("musan")),
    ("musan", "flat", lambda root: (moved(root / "musan", root), (root / "musan").rmdir())[0]),
    ("musan", "of another", below("archive")),
    ("musan", "three deep", below("archive", "musan-corpus")),
    ("gtzan-music-speech", "of another", below("GTZAN")),
    ("gtzan-music-speech", "three deep", below("archive", "GTZAN")),
    ("gtzan-music-speech", "renamed", renamed_gtzan),
    ("gtzan-music-speech", "flat", lambda root: moved(root / "music_speech", root)),
]


def clips(bench: Bench, name: str, data: Path) -> list[dict[str, Any]]:
    code, found = bench("verify", name, "--data-dir", data)
    assert (code, found["problems"]) == (0, []), found["problems"]
    return [found["digest"], *found["clips"]]


@pytest.mark.parametrize(("name", "form", "change"), FORMS, ids=[f"{name}, {form}" for name, form, _ in FORMS])
def test_other_layouts_hold_the_same_clips(
    bench: Bench, tmp_path: Path, name: str, form: str, change: Callable[[Path], None]
) -> None:
    folder = str(catalog.dataset(name).folder)
    usual, other = tmp_path / "usual", tmp_path / "other"
    WRITERS[name](usual / folder)
    shutil.copytree(usual / folder, other / folder)
    change(other / folder)
    assert bench("status", name, "--data-dir", other)[0] == 0
    assert catalog.missing(name, other) is None
    assert catalog.on_disk(name, other)
    assert clips(bench, name, other) == clips(bench, name, usual)


@pytest.mark.parametrize(
    ("name", "called"),
    [
        ("esc50", "ESC-50-master"), ("esc50", "environmental-sound-classification-50"),
        ("urbansound8k", "UrbanSound8K"), ("ravdess", "ravdess-emotional-speech-audio"), ("ravdess", "RAVDESS"),
        ("musan", "MUSAN"), ("gtzan-music-speech", "gtzan-musicspeech-collection"),
    ],
)  # fmt: skip
def test_a_folder_under_the_name_that_its_archive_gives_is_found(
    bench: Bench, tmp_path: Path, name: str, called: str
) -> None:
    WRITERS[name](tmp_path / "data" / called)
    code, status = bench("status", name, "--data-dir", tmp_path / "data")
    assert (code, status[name]["where"], status[name]["problem"]) == (0, str(tmp_path / "data" / called), None)
    assert bench("verify", name, "--data-dir", tmp_path / "data")[0] == 0


def test_the_usual_folder_comes_first_and_others_are_not_taken(tmp_path: Path) -> None:
    for name in ("ESC-50-master", "esc50"):
        esc50.write(tmp_path / name)
    assert catalog.place("esc50", tmp_path) == tmp_path / "esc50"
    assert catalog.place("esc10", tmp_path) == tmp_path / "esc10"
    assert catalog.missing("esc10", tmp_path) is not None
    assert catalog.missing("urbansound8k", tmp_path) is not None


def test_what_macos_leaves_behind_is_no_dataset(tmp_path: Path) -> None:
    esc50.write(tmp_path / "esc50" / "__MACOSX")
    assert "meta" in str(catalog.missing("esc50", tmp_path))


@pytest.mark.parametrize(
    "shape",
    ["{video}_{start}.000", "{video}_{start}.0-{stop}.0", "{video}_{start}.000_{stop}.000", "Y{video}", "So [{video}]"],
)
def test_names_that_downloaders_write(bench: Bench, tmp_path: Path, shape: str) -> None:
    root = audioset.write(tmp_path / "data" / "audioset")
    wanted = clips(bench, "audioset", tmp_path / "data")
    for part, letter in audioset.PARTS.items():
        for i in range(40):
            path = root / "audio" / f"{part}_segments" / f"Y{audioset.video(i, letter)}.flac"
            start = 10 * (i % 5)
            if path.exists():
                name = shape.format(video=audioset.video(i, letter), start=start, stop=start + 10) + ".flac"
                path.rename(path.with_name(name))
    assert clips(bench, "audioset", tmp_path / "data") == wanted


def test_a_dotted_name_in_a_shard_says_the_rule(bench: Bench, tmp_path: Path) -> None:
    from fakes.shards import pack

    root = vggsound.write(tmp_path / "data" / "vggsound")
    files = {f"{path.stem}.000.wav": path.read_bytes() for path in (root / "audio").iterdir()}
    shutil.rmtree(root / "audio")
    pack(root / "shards", files)
    code, found = bench("verify", "vggsound", "--data-dir", tmp_path / "data")
    assert code == 1
    assert "ends at the first dot" in found["problems"][0]
    fixed = {name.replace(".000.", "-000."): content for name, content in files.items()}
    pack(root / "shards", fixed)
    assert bench("verify", "vggsound", "--data-dir", tmp_path / "data")[0] == 0
