"""Long recordings of a user, cut to pieces; and from a folder to a leaderboard in two commands."""

from pathlib import Path

import numpy as np
import pytest
from fakes import own

from datamodules.folder import Folder

pytestmark = pytest.mark.process
CLASSES = ("cat", "cow")


def test_recordings_are_cut_to_pieces_and_scored_per_file(bench: own.Bench, tmp_path: Path) -> None:
    root = own.tree(tmp_path / "s", [f"{label}/{label}{i}.wav" for label in CLASSES for i in range(5)], seconds=1.25)
    own.clip(root / "cat" / "short.wav", seconds=0.2)
    lines = f'root = "{root}"\nclip_seconds = 0.5\nhop_seconds = 0.25'
    code, said = bench.run(own.suite(tmp_path, lines, folds=""))
    assert code == 0, said
    assert "not used" not in said
    (record,) = bench.records()
    assert sum(record["data"]["clips"].values()) == 10 * 4 + 1
    assert record["data"]["clips_available"] == 11
    assert {"accuracy", "accuracy_per_file", "macro_f1_per_file"} <= record["scores"].keys()
    assert "accuracy_per_file" in bench.page()
    with np.load(tmp_path / "runs" / "artifacts" / record_key(tmp_path) / "logits.npz") as saved:
        logits, files, targets = saved["logits"], saved["test_files"], saved["targets"]
    right = [logits[files == name].mean(0).argmax() == targets[files == name][0] for name in np.unique(files)]
    assert record["scores"]["accuracy_per_file"] == pytest.approx(np.mean(right))
    assert bench("rescore", "--suite", tmp_path / "own.toml")[0] == 0
    assert bench.records()[0]["scores"] == record["scores"]

    data = Folder(root, sample_rate=8_000, clip_seconds=0.5, hop_seconds=0.25)
    data.setup()
    parts = (data.splits.train, data.splits.val, data.splits.test)
    names = [{name.partition("[")[0] for name in part.ids} for part in parts]
    assert not names[0] & names[1] | names[0] & names[2] | names[1] & names[2]
    assert {float(x[1_600:].abs().max()) for part in parts for x, name in zip(part.load(range(len(part))), part.ids,
            strict=True) if "short" in name} == {0.0}  # fmt: skip


def record_key(folder: Path) -> str:
    (path,) = (folder / "runs" / "records").glob("*.json")
    return path.stem


def test_sound_that_is_not_used_is_said(bench: own.Bench, tmp_path: Path) -> None:
    root = own.tree(tmp_path / "s", [f"{label}/{label}{i}.wav" for label in CLASSES for i in range(5)], seconds=0.5)
    code, said = bench.run(own.suite(tmp_path, f'root = "{root}"\nclip_seconds = 0.2', folds=""))
    assert code == 0, said
    words = "3.0 s of 5.0 s of sound (60 %) are not used, because clips are cropped to 0.2 s: set hop_seconds"
    assert words in said
    assert words in bench.page()


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("hop_seconds = 1.0", "hop_seconds needs clip_seconds"),
        ("clip_seconds = 0.5\nhop_seconds = 1.0", "leave gaps"),
        ("clip_seconds = 0.5\nhop_seconds = 0", "give a number of seconds above 0"),
        ('clip_seconds = "long"', "give a number of seconds above 0"),
        ("n_folds = 2", "need at least 3 folds"),
        ('group_by = "speaker"', "it is one of folder, name, file"),
        ("classes = 3", "write it like classes"),
    ],
)
def test_options_that_make_no_sense(bench: own.Bench, tmp_path: Path, lines: str, said: str) -> None:
    root = own.tree(tmp_path / "s", [f"{label}/{label}{i}.wav" for label in CLASSES for i in range(5)])
    code, output = bench("data", "verify", "folder", "--suite", own.suite(tmp_path, f'root = "{root}"\n{lines}'))
    assert code == 1
    assert said in output


def test_from_a_folder_of_speakers_to_a_leaderboard_with_two_commands(bench: own.Bench, tmp_path: Path) -> None:
    own.tree(tmp_path / "words", [f"{w}/{who}/{i}.wav" for w in ("yes", "no") for who in "abcde" for i in range(2)])
    code, said = bench("data", "init", "words", "--model", "fc")
    assert code == 0, said
    assert "20 clips of 2 classes: no 10, yes 10" in said
    assert "a source is the folder inside the class" in said
    assert "bench run --suite words.toml" in said
    code, said = bench.run(Path("words.toml"))
    assert code == 0, said
    assert len(bench.records()) == 5
    assert {record["data"]["test_groups"] for record in bench.records()} == {1}
    assert "5 of 5 folds" in bench.page("words")
    code, said = bench("data", "init", "words")
    assert code == 2
    assert "replace it with --force" in said


@pytest.mark.filterwarnings("ignore:my sounds.toml:bench.errors.BenchWarning")  # one of five runs is done
def test_commands_that_are_said_work_with_names_that_have_blanks(bench: own.Bench, tmp_path: Path) -> None:
    own.tree(tmp_path / "my sounds", [f"{label}/{i}.wav" for label in ("cat", "cow") for i in range(6)])
    code, said = bench("data", "init", "my sounds", "--model", "fc", "--set", "sample_rate = 8000")
    assert code == 0, said
    assert "`bench run --suite 'my sounds.toml'` trains" in said
    code, said = bench.run(Path("my sounds.toml"), "--fold", "0")
    assert code == 0, said
    page = bench.page("my-sounds")
    assert "    bench run --suite 'my sounds.toml'" in page
    assert "bench predict --run 'my sounds.toml:fc' FILES" in page
    code, said = bench("predict", "--run", "my sounds.toml:fc", "my sounds/cat/0.wav")
    assert code == 0, said


def test_init_finds_out_what_a_table_means(bench: own.Bench, tmp_path: Path) -> None:
    own.tree(tmp_path / "s" / "audio", [f"{i}.wav" for i in range(12)])
    rows = [f"{i}.wav;{('cat', 'cow')[i % 2]};s{i // 2}" for i in range(12)]
    (tmp_path / "s" / "meta.csv").write_text("\n".join(["file_name;category;speaker", *rows]))
    code, said = bench("data", "init", "s", "--suite", "own.toml", "--model", "fc")
    assert code == 0, said
    text = (tmp_path / "own.toml").read_text()
    assert 'columns = {path = "file_name", label = "category", group = "speaker"}' in text
    assert 'audio_root = "s/audio"' in text
    assert bench("data", "verify", "folder", "--suite", "own.toml")[0] == 0
    rows = [row.replace("cow", "cat|cow") for row in rows]
    (tmp_path / "s" / "meta.csv").write_text("\n".join(["file_name;category;speaker", *rows]))
    code, said = bench("data", "init", "s", "--suite", "two.toml")
    assert code == 1
    assert "'cat|cow' one class or several?" in said
    code, said = bench("data", "init", "s", "--suite", "two.toml", "--set", 'label_separator = "|"')
    assert code == 0, said


def test_init_cuts_long_recordings_and_names_what_it_cannot_read(bench: own.Bench, tmp_path: Path) -> None:
    root = own.tree(tmp_path / "s", [f"{label}/{label}{i}.wav" for label in CLASSES for i in range(3)], seconds=25)
    code, said = bench("data", "init", root)
    assert code == 0, said
    assert "hop_seconds = 10.0" in (tmp_path / "s.toml").read_text()
    (root / "cat" / "x.ape").touch()
    code, said = bench("data", "init", root, "--force")
    assert code == 1
    assert "'cat/x.ape': .ape cannot be read" in said
    assert "--skip-unreadable" in said
    assert bench("data", "init", root, "--force", "--skip-unreadable")[0] == 0
    assert "skip_unreadable = true" in (tmp_path / "s.toml").read_text()
