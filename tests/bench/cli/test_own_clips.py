"""A user's own clips through the command line: nothing is lost in silence, and leaks are real ones."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from fakes import own

from datamodules.folder import Folder

pytestmark = pytest.mark.process
CLASSES = ("cat", "cow")


def verified(bench: own.Bench, *options: object) -> tuple[int, dict[str, object]]:
    """Return the exit code and the report of `bench data verify folder`."""
    code, said = bench("data", "verify", "folder", *options, "--json")
    return code, json.loads(said)


def test_files_in_folders_of_a_class_are_read(bench: own.Bench, tmp_path: Path) -> None:
    """12 of 30 clips are deeper, in one folder or in several."""
    names = [f"{label}/{i}.wav" for label in ("cat", "cow", "dog") for i in range(6)]
    names += [f"{label}/more/{'even' if i % 2 else 'odd'}/{i}.wav" for label in ("cat", "cow", "dog") for i in range(4)]
    root = own.tree(tmp_path / "s", names)
    code, found = verified(bench, "--clips", root)
    assert (code, found["problems"]) == (0, [])
    assert sorted(clip["id"] for clip in found["clips"]) == sorted(names)
    assert found["counts"]["labels"] == {"cat": 10, "cow": 10, "dog": 10}


def test_speakers_folders_stay_together_and_fewer_speakers_are_fewer_folds(bench: own.Bench, tmp_path: Path) -> None:
    speakers = ("anna", "bob", "eve", "joe")
    root = own.tree(
        tmp_path / "s", [f"{label}/{who}/{i}.wav" for label in CLASSES for who in speakers for i in range(3)]
    )
    code, said = bench("data", "verify", "folder", "--clips", root)
    assert code == 0
    assert "4 folds instead of 5, because 'cat' has clips of 4 sources (the folder inside the class)" in said
    for fold in range(4):
        data = Folder(root, fold=fold)
        data.setup()
        assert len(set(data.splits.test.groups)) == 1
    assert Folder(root, group_by="file").folds == 5


def test_too_few_folders_are_no_sources_but_that_is_said(bench: own.Bench, tmp_path: Path) -> None:
    root = own.tree(
        tmp_path / "s", [f"{label}/{day}/{day}{i}.wav" for label in CLASSES for day in "ab" for i in range(5)]
    )
    code, said = bench("data", "verify", "folder", "--clips", root)
    assert code == 0
    assert (
        "'cat' has only 2: each file name is a source; if these folders are speakers or recordings, set group_by"
        in said
    )
    suite = own.suite(tmp_path, f'root = "{root}"\ngroup_by = "folder"')
    code, said = bench("data", "verify", "folder", "--suite", suite)
    assert code == 1
    assert "each source is the folder inside the class" in said
    assert 'set group_by = "name" or group_by = "file" in [dataset.folder]' in said


def test_audio_that_cannot_be_read_is_named_and_left_out_only_when_asked(bench: own.Bench, tmp_path: Path) -> None:
    """Phone recordings in other formats, a damaged file, a file without a class, and what is no audio."""
    root = own.tree(tmp_path / "s", [f"{label}/{i}.wav" for label in CLASSES for i in range(5)])
    for i in range(12):
        (root / "cat" / f"phone{i}.APE").write_bytes(b"no sound")
    (root / "cow" / "broken.wav").write_bytes(b"<html>404</html>")
    own.clip(root / "loose.wav")
    (root / "cow" / "notes.txt").touch()
    (root / "empty").mkdir()
    code, said = bench("data", "verify", "folder", "--clips", root)
    assert code == 1
    assert "nothing is wrong" not in said
    assert "'cat/phone0.APE': .ape cannot be read by this installation" in said
    assert "'loose.wav': it is in no class's folder" in said
    assert "'cow/broken.wav' cannot be decoded" in said
    assert "problem: 14 in all" in said
    assert "--skip-unreadable goes on without the 14 audio files" in said

    suite = own.suite(tmp_path, f'root = "{root}"', folds="")
    code, said = bench.run(suite)
    assert code == 1
    assert "13 of 24 audio files cannot be read: 'loose.wav', 'cat/phone0.APE'" in said
    assert "and 3 more" in said
    assert "add --skip-unreadable" in said

    for ape in (root / "cat").glob("*.APE"):
        ape.rename(tmp_path / ape.name)
    (root / "loose.wav").rename(tmp_path / "loose.wav")
    code, said = bench.run(suite)
    assert code == 1
    assert "'cow/broken.wav' cannot be decoded" in said
    for ape in tmp_path.glob("*.APE"):
        ape.rename(root / "cat" / ape.name)
    (tmp_path / "loose.wav").rename(root / "loose.wav")

    code, said = bench.run(suite, "--skip-unreadable")
    assert code == 0
    assert "warning: 12 audio files left out (.ape cannot be read by this installation" in said
    assert "'cow/broken.wav'" in said
    assert "1 entries that are no audio left out" in said
    assert "1 folders without audio left out ('empty')" in said
    (record,) = [record for record in bench.records() if record["status"] == "ok"]
    ledger = record["data"]["left_out"]
    assert sorted(name for names in ledger.values() for name in names) == sorted(
        ["cow/broken.wav", "loose.wav", *(f"cat/phone{i}.APE" for i in range(12))]
    )
    assert "12 audio files (.ape cannot be read" in bench.page()
    assert "cow/broken.wav" in bench.page()
    assert record["data"]["clips_available"] == 10

    code, found = verified(bench, "--clips", root, "--skip-unreadable")
    assert (code, found["problems"], len(found["clips"])) == (0, [], 10)
    assert found["left_out"] == ledger
    assert bench("data", "verify", "esc50", "--skip-unreadable")[0] == 2


def test_digital_silence_in_several_splits_is_no_leak(bench: own.Bench, tmp_path: Path) -> None:
    root = own.tree(tmp_path / "s", [f"cat/{i}.wav" for i in range(10)])
    for i in range(10):
        own.clip(root / "nothing" / f"n{i}.wav", silent=True)
    code, said = bench("data", "verify", "folder", "--clips", root)
    assert code == 0, said
    assert "10 of them silent" in said
    soundfile.write(root / "cat" / "copy.wav", *soundfile.read(root / "cat" / "0.wav"))
    lines = [
        f"{path.relative_to(root).as_posix()},{path.parent.name},{i % 5}" for i, path in enumerate(root.rglob("*.wav"))
    ]
    lines = [line for line in lines if "cat/0." not in line and "copy" not in line] + [
        "cat/0.wav,cat,0",
        "cat/copy.wav,cat,2",
    ]
    (root / "t.csv").write_text("\n".join(["path,label,fold", *lines]))
    code, said = bench("data", "verify", "folder", "--clips", root / "t.csv")
    assert code == 1
    assert "have the same audio in two splits" in said


def test_equal_names_in_other_folders_are_no_leak_where_folds_are_given(bench: own.Bench, tmp_path: Path) -> None:
    names = [f"{day}/{i}.wav" for day in ("mon", "tue", "wed") for i in range(6)]
    root = own.tree(tmp_path / "s", names)
    lines = [
        f"{name},{CLASSES[int(name[4]) % 2]},{fold + 1}" for fold in range(3) for name in names[6 * fold : 6 * fold + 6]
    ]
    table = root / "t.csv"
    table.write_text("\n".join(["path,label,fold", *lines]))
    code, said = bench("data", "verify", "folder", "--clips", table)
    assert code == 0, said
    suite = own.suite(tmp_path, f'csv = "{table}"\ngroup_by = "name"')
    code, said = bench("data", "verify", "folder", "--suite", suite)
    assert code == 1
    assert "have the same source group in two splits" in said
    assert "The group of a clip is the file name without its ending" in said
    assert 'add a column group to the table, or set group_by = "folder" or group_by = "file"' in said
    table.write_text("\n".join(["path,label,fold,group", *(f"{line},g" for line in lines)]))
    code, said = bench("data", "verify", "folder", "--clips", table)
    assert code == 1
    assert "The group of a clip is the column 'group'" in said


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("cat/0.wav,cat,one\ncat/1.wav,cat,1", "'t.csv' line 2: fold 'one' is not a whole number"),
        ("cat/0.wav,cat,one\ncat/1.wav,cat,one", "all clips are in fold one: give them two or more folds"),
        ("../cat/0.wav,cat,1", "'../cat/0.wav' is outside"),
        ("cat/link.wav,cat,1", "'cat/link.wav' is a link to a place outside"),
    ],
)
def test_verify_shows_the_real_problem(bench: own.Bench, tmp_path: Path, line: str, said: str) -> None:
    """Also where no row is left, and the clips cannot be divided for that reason alone."""
    root = own.tree(tmp_path / "s", [f"{label}/{i}.wav" for label in CLASSES for i in range(3)])
    own.clip(tmp_path / "cat" / "0.wav")
    (root / "cat" / "link.wav").symlink_to(tmp_path / "cat" / "0.wav")
    (root / "t.csv").write_text(f"path,label,fold\n{line}\n")
    code, output = bench("data", "verify", "folder", "--clips", root / "t.csv")
    assert code == 1
    assert said in output
    assert "cannot fill" not in output


def test_a_folder_of_links_alone_says_so(bench: own.Bench, tmp_path: Path) -> None:
    own.tree(tmp_path / "far", [f"{label}/{i}.wav" for label in CLASSES for i in range(5)])
    root = tmp_path / "s"
    for label in CLASSES:
        (root / label).mkdir(parents=True)
        for i in range(5):
            (root / label / f"{i}.wav").symlink_to(tmp_path / "far" / label / f"{i}.wav")
    code, said = bench("data", "verify", "folder", "--clips", root)
    assert code == 1
    assert "'cat/0.wav' is a link to a place outside" in said
    assert "set follow_links = true in [dataset.folder]" in said
    assert "cannot fill" not in said
    suite = own.suite(tmp_path, f'root = "{root}"\nfollow_links = true')
    code, said = bench("data", "verify", "folder", "--suite", suite)
    assert code == 0, said
    for label in CLASSES:  # a link to a whole folder
        (tmp_path / "linked").mkdir(exist_ok=True)
        (tmp_path / "linked" / label).symlink_to(tmp_path / "far" / label)
    assert bench("data", "verify", "folder", "--clips", tmp_path / "linked")[0] == 1
    suite = own.suite(tmp_path, f'root = "{tmp_path / "linked"}"\nfollow_links = true')
    assert bench("data", "verify", "folder", "--suite", suite)[0] == 0
    (root / "cat" / "round").symlink_to(root / "cat")
    code, said = bench("data", "verify", "folder", "--clips", root)
    assert "'cat/round' is a link to a folder that holds it" in said


def test_the_only_folder_of_an_archive_is_no_class(bench: own.Bench, tmp_path: Path) -> None:
    own.tree(tmp_path / "s", [f"s/{label}/{i}.wav" for label in CLASSES for i in range(5)])
    code, said = bench("data", "verify", "folder", "--clips", tmp_path / "s")
    assert code == 1
    assert f"if its folders are the classes, set root = '{tmp_path / 's' / 's'}'" in said


def test_ten_problems_and_a_count(bench: own.Bench, tmp_path: Path) -> None:
    own.tree(tmp_path / "s", ["cat/0.wav"])
    rows = [f"cat/none{i}.wav,cat,x" for i in range(3000)] + ["cat/0.wav,cat,1", "cat/0.wav"]
    (tmp_path / "s" / "t.csv").write_text("\n".join(["path,label,fold", *rows]))
    code, said = bench("data", "verify", "folder", "--clips", tmp_path / "s" / "t.csv")
    assert code == 1
    lines = [line for line in said.splitlines() if line.startswith("problem: ")]
    assert len(lines) == 12
    assert lines[-2:] == ["problem: and 2,991 more", "problem: 3,001 in all; no manifest is written"]
    assert any("line 3003 has 1 cells" in line for line in lines)  # another kind than all others
    code, said = bench.run(own.suite(tmp_path, f'csv = "{tmp_path / "s" / "t.csv"}"', folds=""))
    assert code == 1
    assert len(said.splitlines()) < 30
    assert "and 2,99" in said


def test_the_table_of_thin_classes_is_shown_before_training(bench: own.Bench, tmp_path: Path) -> None:
    root = own.tree(tmp_path / "s", [f"cat/{i}.wav" for i in range(20)] + [f"cow/{i}.wav" for i in range(7)])
    code, said = bench.run(own.suite(tmp_path, f'root = "{root}"', folds=""))
    assert code == 0, said
    table = said.index("clips per fold")
    assert table < said.index("accuracy")
    assert np.array([line.split()[1:] for line in said[table:].splitlines()[1:3]], int).sum(1).tolist() == [20, 7]
