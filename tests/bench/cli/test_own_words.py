"""What `bench data init` and `bench data verify` say about clips of one's own, and that it is true."""

import shutil
import tomllib
from pathlib import Path

import numpy as np
import pytest
import soundfile
from fakes import own, tracks

from datamodules.folder import Folder

pytestmark = pytest.mark.process
CLASSES = ("cat", "cow")


def proposed(path: Path) -> dict[str, object]:
    """Return what a suite gives the dataset."""
    found: dict[str, object] = tomllib.loads(path.read_text())["dataset"]["folder"]
    return found


def test_init_says_and_proposes_the_rate_of_the_data(bench: own.Bench, tmp_path: Path) -> None:
    own.tree(tmp_path / "s", [f"{label}/{i}.wav" for label in CLASSES for i in range(5)], seconds=0.05)
    code, said = bench("data", "init", "s", "--model", "fc")
    assert code == 0, said
    assert "lengths: 0.05 s\n" in said
    assert "sample rates: 8,000 Hz; clips have 8,000 Hz, because nothing is above that" in said
    assert proposed(tmp_path / "s.toml") == {"root": "s", "sample_rate": 8000}
    code, said = bench("data", "init", "s", "--force", "--set", "sample_rate = 32000")
    assert "sample rates: 8,000 Hz; clips have 32000 Hz" in said
    assert proposed(tmp_path / "s.toml")["sample_rate"] == 32000


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("clip_secnds = 3", "no argument 'clip_secnds' (in [dataset.folder]); did you mean 'clip_seconds'?"),
        ('sample_rate = "high"', "sample_rate is 'high': give the hertz"),
        ("hop_seconds = 1.0", "hop_seconds needs clip_seconds"),
        ("fold = 1", "no argument 'fold'"),
    ],
)
def test_init_and_verify_refuse_what_a_run_refuses(bench: own.Bench, tmp_path: Path, line: str, said: str) -> None:
    root = own.tree(tmp_path / "s", [f"{label}/{i}.wav" for label in CLASSES for i in range(5)])
    code, words = bench("data", "init", "s", "--set", line)
    assert code != 0
    assert said in words
    assert not (tmp_path / "s.toml").exists()
    text = f'models = ["fc"]\ndatasets = ["folder"]\n[dataset.folder]\nroot = "{root}"\n{line}\n'
    (tmp_path / "own.toml").write_text(text)
    code, words = bench("data", "verify", "folder", "--suite", "own.toml")
    assert code != 0
    assert said in " ".join(words.split())


def test_init_finds_the_classes_below_any_number_of_single_folders(bench: own.Bench, tmp_path: Path) -> None:
    own.tree(tmp_path / "s", [f"archive/data/{label}/{i}.wav" for label in CLASSES for i in range(5)])
    code, said = bench("data", "init", "s", "--model", "fc")
    assert code == 0, said
    assert proposed(tmp_path / "s.toml")["root"] == "s/archive/data"
    assert bench("data", "verify", "folder", "--suite", "s.toml")[0] == 0


def test_init_writes_no_suite_that_cannot_run(bench: own.Bench, tmp_path: Path) -> None:
    own.tree(tmp_path / "s", [f"cat/{i}.wav" for i in range(9)])
    code, said = bench("data", "init", "s")
    assert code == 1
    assert "there is one class, 'cat', and at least two are needed" in said
    assert not (tmp_path / "s.toml").exists()


def test_init_says_that_one_clip_is_one_class_and_not_how_to_group_it(bench: own.Bench, tmp_path: Path) -> None:
    own.tree(tmp_path / "s", ["cat/1.wav"])
    code, said = bench("data", "init", "s")
    assert code == 1
    assert "there is one class, 'cat', and at least two are needed" in said
    assert "group_by" not in said


@pytest.mark.parametrize(
    ("each", "recipe"), [(5, {"epochs": 100, "batch_size": 8}), (60, {"epochs": 60, "batch_size": 16}), (400, {})]
)
def test_init_gives_few_clips_more_and_smaller_steps(
    bench: own.Bench, tmp_path: Path, each: int, recipe: dict[str, int]
) -> None:
    own.tree(tmp_path / "s", [f"{label}/{i}.wav" for label in CLASSES for i in range(each)], seconds=0.02)
    code, said = bench("data", "init", "s", "--model", "fc")
    assert code == 0, said
    assert tomllib.loads((tmp_path / "s.toml").read_text()).get("recipe", {}) == recipe
    assert ("recipe: epochs" in said) == bool(recipe)


def test_the_recipe_counts_pieces_of_files_and_clips_inside_segments(bench: own.Bench, tmp_path: Path) -> None:
    names = [f"{label}/{label}{i}.wav" for label in CLASSES for i in range(6)]
    root = own.tree(tmp_path / "s", names, seconds=1.25)
    rows = [f"{name},{start},{start + 0.5},{name[:3]}" for name in names for start in (0.0, 0.7)]
    (root / "t.csv").write_text("\n".join(["filename,onset,offset,event_label", *rows]) + "\n")
    for given, more in (("s", ("--set", "clip_seconds = 0.5", "--set", "hop_seconds = 0.25")), ("s/t.csv", ())):
        suite = tmp_path / "own.toml"
        code, said = bench("data", "init", given, "--model", "fc", "--force", "--suite", suite, *more)
        assert code == 0, said
        content = tomllib.loads(suite.read_text())
        assert content["recipe"]["epochs"] > 30
        data = Folder(**content["dataset"]["folder"])
        data.setup()
        assert f"because there are about {len(data.splits.train)} clips to train on" in said


def test_init_names_copies_that_a_run_would_refuse(bench: own.Bench, tmp_path: Path) -> None:
    root = own.tree(tmp_path / "s", [f"{label}/{i}.wav" for label in CLASSES for i in range(10)])
    for i in range(10):  # copies of silence are no leak
        soundfile.write(root / "cow" / f"silent{i}.wav", np.zeros(400), 8_000)
    code, said = bench("data", "init", "s", "--model", "fc")
    assert code == 0, said
    for i in range(3):
        shutil.copy(root / "cat" / f"{i}.wav", root / "cat" / f"again {i}.wav")
    code, said = bench("data", "init", "s", "--model", "fc", "--force")
    assert code == 1
    assert "of the files are copies, and would be both trained on and tested on: " in said
    assert "of 'cat/" in said
    for i in range(3):  # the remedy
        (root / "cat" / f"pair{i}").mkdir()
        shutil.move(root / "cat" / f"{i}.wav", root / "cat" / f"pair{i}" / "1.wav")
        shutil.move(root / "cat" / f"again {i}.wav", root / "cat" / f"pair{i}" / "2.wav")
    code, said = bench("data", "init", "s", "--model", "fc", "--force")
    assert code == 0, said


def test_init_says_which_folders_are_classes(bench: own.Bench, tmp_path: Path) -> None:
    own.tree(tmp_path / "s", [f"{who}/{label}/{i}.wav" for who in "abcd" for label in ("yes", "no") for i in range(3)])
    code, said = bench("data", "init", "s", "--set", 'group_by = "file"')
    assert code == 0, said
    assert "classes are the outer folders (a, b, c and 1 more), and folders inside them are no, yes" in said


def test_verify_says_how_long_recordings_are_cut(bench: own.Bench, tmp_path: Path) -> None:
    root = own.tree(tmp_path / "s", [f"{label}/{i}.wav" for label in CLASSES for i in range(3)])
    own.clip(root / "cat" / "long.wav", seconds=700)
    code, said = bench("data", "verify", "folder", "--clips", "s")
    assert code == 1
    assert "'cat/long.wav' says it lasts 700 s" in said
    assert "to cut long files to pieces, set clip_seconds and hop_seconds in [dataset.folder]" in said


def test_a_remedy_that_changes_nothing_is_not_offered(bench: own.Bench, tmp_path: Path) -> None:
    own.tree(tmp_path / "s", [f"{label}/{i}.wav" for label in CLASSES for i in range(2)])
    code, said = bench("data", "init", "s")
    assert code == 1
    assert 'set group_by = "file" in [dataset.folder]' in said
    assert 'group_by = "folder"' not in said  # there are no folders inside the classes


def test_features_are_not_asked_for_audio(bench: own.Bench, tmp_path: Path) -> None:
    (tmp_path / "s" / "cat").mkdir(parents=True)
    np.save(tmp_path / "s" / "cat" / "1.npy", np.zeros((2, 3)))
    code, said = bench("data", "init", "s")
    assert code != 0
    assert 'they are the dataset "embeddings", with root in [dataset.embeddings]' in " ".join(said.split())
    suite = tmp_path / "features.toml"
    suite.write_text('models = ["fc"]\ndatasets = ["mine"]\n[dataset.mine]\ndataset = "embeddings"\nroot = "s"\n')
    code, said = bench("data", "verify", "mine", "--suite", suite)
    assert code != 0
    assert "embeddings are no audio to decode: `bench run` reads all of them" in " ".join(said.split())


@pytest.mark.slow
def test_recordings_of_phones_go_from_a_folder_to_a_leaderboard(bench: own.Bench, tmp_path: Path) -> None:
    """Stereo at 44.1 kHz in .m4a, one folder per speaker in each class, through the two commands of the README."""
    for label, hertz in (("yes", 300.0), ("no", 500.0)):
        for place, who in enumerate(("anna", "bob", "eve")):
            for take in range(2):
                path = tmp_path / "words" / label / who / f"Recording {take}.m4a"
                path.parent.mkdir(parents=True, exist_ok=True)
                sound = tracks.tones(44_100, 0.3 + 0.1 * take, (hertz + 40 * place, hertz + 7 * take))
                path.write_bytes(tracks.encoded("ipod", "aac", sound, 44_100))
    code, said = bench("data", "init", "words", "--model", "fc")
    assert code == 0, said
    assert "12 clips of 2 classes: no 6, yes 6" in said
    assert "sample rates: 44,100 Hz; clips have 32,000 Hz" in said
    code, said = bench.run(Path("words.toml"))
    assert code == 0, said
    assert [record["status"] for record in bench.records()] == ["ok"] * 3
    assert {record["data"]["test_groups"] for record in bench.records()} == {1}
    assert "3 of 3 folds" in bench.page("words")
    assert "own clips: 3 folds grouped by source; test = k" in bench.page("words")
