"""Layouts and tables that people bring, through `bench data init` and `bench run`."""

import json
import shutil
import tomllib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
from fakes import own


def init(bench: own.Bench, place: Path, *lines: str) -> tuple[int, str, dict[str, Any]]:
    """Return the exit code and the words of `bench data init`, and the arguments that it writes."""
    target = bench.folder / "s.toml"
    given = [part for line in lines for part in ("--set", line)]
    code, said = bench("data", "init", place, "--suite", target, "--model", "fc", *given)
    return code, said, {} if code else tomllib.loads(target.read_text())["dataset"]["folder"]


def classes(root: Path, names: Iterable[str] = ("cat", "dog"), count: int = 3) -> None:
    """Write a folder of clips for each class."""
    own.tree(root, [f"{name}/{name}_{i}.wav" for name in names for i in range(count)])


def table(path: Path, header: str, row: Callable[[int], str], names: Sequence[str]) -> Path:
    """Write a table, with a row for each clip, and the clips, next to the table or where their names say."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([header, *(row(i) for i in range(len(names)))]) + "\n", "utf-8")
    for name in names:
        own.clip(path.parent / name)
    return path


@pytest.mark.parametrize(
    ("folders", "said"),
    [
        (("train_set", "valid_set", "test_set"), "parts train, val, test"),
        (("trainset", "testset"), "parts train, test"),
        (("audio_train", "audio_test"), "parts train, test"),
        (("Training data", "Evaluation data"), "parts train, test"),
        (("development", "evaluation"), "parts train, test"),
        (("foldA", "foldB", "foldC"), "folds A, B, C"),
        (("split_1", "split_2", "split_10"), "folds 1, 2, 10"),
        (("cv01", "cv02", "cv03"), "folds 1, 2, 3"),
    ],
)
def test_parts_and_folds_as_folders(bench: own.Bench, tmp_path: Path, folders: tuple[str, ...], said: str) -> None:
    for folder in folders:
        classes(tmp_path / "s" / folder)
    (tmp_path / "s" / "docs").mkdir()
    code, words, _ = init(bench, tmp_path / "s")
    assert code == 0
    assert f"split: the given {said}" in words
    assert "2 classes: cat" in words


def test_what_stands_next_to_parts_is_named(bench: own.Bench, tmp_path: Path) -> None:
    for folder in ("train", "test"):
        classes(tmp_path / "s" / folder)
    own.clip(tmp_path / "s" / "noise" / "n.wav")
    code, words, _ = init(bench, tmp_path / "s")
    assert code == 1
    assert "'noise/n.wav': it is in none of the parts of the split" in words
    assert init(bench, tmp_path / "s", "skip_unreadable = true")[0] == 0


def test_classes_that_are_called_like_parts_stay_classes(bench: own.Bench, tmp_path: Path) -> None:
    classes(tmp_path / "s", ("train", "test", "tram"))
    code, words, _ = init(bench, tmp_path / "s")
    assert code == 0
    assert "3 classes: test 3, train 3, tram 3" in words


def test_the_inner_folders_can_be_the_classes(bench: own.Bench, tmp_path: Path) -> None:
    for speaker in ("anna", "bob", "carla"):
        classes(tmp_path / "s" / speaker, ("yes", "no"), 2)
    code, words, found = init(bench, tmp_path / "s")
    assert code == 0
    assert "--set 'class_level = 2' takes those inside as classes" in words
    (tmp_path / "s.toml").unlink()
    code, words, found = init(bench, tmp_path / "s", "class_level = 2")
    assert code == 0
    assert found["class_level"] == 2
    assert "2 classes: no 6, yes 6" in words
    assert "3 folds" in words
    own.clip(tmp_path / "s" / "anna" / "loose.wav")
    (tmp_path / "s.toml").unlink()
    assert "it is in no folder of a class (class_level = 2)" in init(bench, tmp_path / "s", "class_level = 2")[1]
    assert "class_level is 3" in init(bench, tmp_path / "s", "class_level = 3")[1]


def test_lists_of_testing_and_validation_clips_are_parts(bench: own.Bench, tmp_path: Path) -> None:
    classes(tmp_path / "s", ("no", "yes"), 4)
    for part, i in (("testing", 0), ("validation", 1)):
        lines = "".join(f"{name}/{name}_{i}.wav\n" for name in ("no", "yes"))
        (tmp_path / "s" / f"{part}_list.txt").write_text(lines + "no/gone.wav\n")
    code, words, _ = init(bench, tmp_path / "s")
    assert code == 0
    assert "the given parts train, val, test" in words
    assert "'testing_list.txt' says which clips are in that part; 1 of its lines name no file" in words


def test_audio_whose_name_does_not_say_so_is_named(bench: own.Bench, tmp_path: Path) -> None:
    classes(tmp_path / "s", count=5)
    own.clip(tmp_path / "s" / "cat" / "x.wav").rename(tmp_path / "s" / "cat" / "x")
    own.clip(tmp_path / "s" / "cat" / "y.wav").rename(tmp_path / "s" / "cat" / "y.avi")
    (tmp_path / "s" / "cat" / "notes").write_text("RIFF is a format")
    code, words, _ = init(bench, tmp_path / "s")
    assert code == 1
    assert "'cat/x': it is audio, and its name does not say so: rename it" in words
    assert "'cat/y.avi': .avi cannot be read by this installation: convert it" in words
    assert "'cat/notes'" not in words


@pytest.mark.parametrize("kind", ["names", "folders"])
def test_tables_of_parts_are_read_together(bench: own.Bench, tmp_path: Path, kind: str) -> None:
    for part, count in (("train", 6), ("dev", 4), ("test", 4)):
        path = tmp_path / "s" / (f"{part}.tsv" if kind == "names" else f"{part}/metadata.csv")
        tab = "\t" if kind == "names" else ","
        names = [f"{part}{i}.wav" if kind == "names" else f"{i}.wav" for i in range(count)]
        rows = [tab.join((each, f"text {i}", "female" if i % 2 else "male")) for i, each in enumerate(names)]
        table(path, tab.join(("file_name", "text", "gender")), rows.__getitem__, names)
    code, words, found = init(bench, tmp_path / "s")
    assert code == 0, words
    assert "the given parts train, val, test" in words
    assert len(found["csv"]) == 3
    suite = own.suite(tmp_path, f"csv = {json.dumps(found['csv'])}\n{_columns(found)}")
    assert bench.run(suite, "--no-timing")[0] == 0
    (record,) = bench.records()
    assert record["data"]["clips"] == {"train": 6, "val": 4, "test": 4}


def _columns(found: dict[str, Any]) -> str:
    return "columns = {" + ", ".join(f'{role} = "{name}"' for role, name in found["columns"].items()) + "}"


def test_a_table_that_says_no_part_is_refused_among_several(bench: own.Bench, tmp_path: Path) -> None:
    for name in ("train", "more"):
        table(tmp_path / f"{name}.csv", "path,label", [f"{name}0.wav,cat"].__getitem__, [f"{name}0.wav"])
    suite = own.suite(tmp_path, 'csv = ["train.csv", "more.csv"]')
    assert "'more.csv' is one of several tables, and does not say which part it is" in bench.run(suite)[1]
    suite = own.suite(tmp_path, "csv = []")
    assert 'csv = ["train.csv", "test.csv"]' in bench.run(suite)[1]


def test_files_are_found_by_names_without_ending_or_folder(bench: own.Bench, tmp_path: Path) -> None:
    names = [f"audio/fold{i % 3}/{100 + i}.wav" for i in range(9)]
    path = table(
        tmp_path / "s" / "own.csv", "fname,label,fold", lambda i: f"{100 + i},{'ab'[i // 3 % 2]},{i % 3}", names
    )
    (tmp_path / "s" / "meta").mkdir()
    shutil.move(path, tmp_path / "s" / "meta" / "own.csv")
    code, words, found = init(bench, tmp_path / "s")
    assert code == 0, words
    assert "9 clips of 2 classes" in words
    assert "9 files were found below" in words
    assert found["audio_root"] == str(tmp_path / "s")
    own.clip(tmp_path / "s" / "copy" / "103.wav")
    (tmp_path / "s.toml").unlink()
    code, words, _ = init(bench, tmp_path / "s" / "meta" / "own.csv")
    assert code == 1
    assert "'103' can be 'audio/fold0/103.wav' and 'copy/103.wav': write the folder, too" in words


def test_paths_may_start_from_a_folder_above_the_table(bench: own.Bench, tmp_path: Path) -> None:
    names = [f"../wavs/{i}.wav" for i in range(6)]
    path = table(tmp_path / "p" / "meta" / "t.csv", "path,label", lambda i: f"wavs/{i}.wav,{'ab'[i % 2]}", names)
    code, _, found = init(bench, path)
    assert code == 0
    assert found["audio_root"] == str(tmp_path / "p")


@pytest.mark.parametrize("kind", ["json", "jsonl", "names.json"])
def test_tables_in_json(bench: own.Bench, tmp_path: Path, kind: str) -> None:
    rows = [{"file_name": f"{i}.wav", "instrument": "ab"[i % 2], "pitch": 60 + i, "note": None} for i in range(6)]
    for row in rows:
        own.clip(tmp_path / "s" / str(row["file_name"]))
    content: Any = rows if kind == "json" else {row.pop("file_name")[:-4]: row for row in rows}  # type: ignore[index]
    path = tmp_path / "s" / f"t.{kind}"
    path.write_text(
        "\n".join(json.dumps({"file_name": name, **row}) for name, row in content.items())
        if kind == "jsonl"
        else json.dumps(content)
    )
    code, words, found = init(bench, path)
    assert code == 0
    assert "6 clips of 2 classes: a 3, b 3" in words
    assert found["columns"]["label"] == "instrument"


@pytest.mark.parametrize("cell", ["\"['cat', 'rain']\"", '"[""cat"", ""rain""]"', '"cat,rain"'])
def test_lists_in_cells_are_several_labels(bench: own.Bench, tmp_path: Path, cell: str) -> None:
    alone = cell.replace(", 'rain'", "").replace(', ""rain""', "").replace(",rain", "")
    names = [f"{i}.wav" for i in range(8)]
    path = table(tmp_path / "t.csv", "path,labels", lambda i: f"{i}.wav,{(cell, alone)[i % 2]}", names)
    code, words, _ = init(bench, path)
    assert code == 1
    assert 'set label_separator = "," if a clip has several classes' in words
    code, words, _ = init(bench, path, 'label_separator = ","')
    assert code == 0
    assert "8 clips of 2 classes: cat 8, rain 4" in words


def test_an_empty_list_is_a_clip_with_no_class(bench: own.Bench, tmp_path: Path) -> None:
    names = [f"{i}.wav" for i in range(9)]
    cells = ("\"['cat']\"", "\"['rain']\"", "[]")
    path = table(tmp_path / "t.csv", "path,labels", lambda i: f"{i}.wav,{cells[i % 3]}", names)
    code, words, _ = init(bench, path, 'label_separator = ","')
    assert code == 0
    assert "3 clips have none of the classes" in words


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sep=;\npath;label\n{rows}", ""),
        ("path|label\n{rows}", ""),
        ("path,label,,\n{rows}\n,,,\n,,,\n", ""),
        ("Datei;Klasse;Länge\n{rows}", ""),
        (",file,species_name\n{rows}", ""),
        ("{rows}", "line 1 is a clip and no header: add a line above it with names of columns, such as path,label"),
    ],
)
def test_tables_as_spreadsheets_and_programs_write_them(bench: own.Bench, tmp_path: Path, text: str, said: str) -> None:
    separator = next(each for each in ";|," if each in text.partition("\n")[0] or each == ",")
    separator = ";" if text.startswith("sep") else separator
    rows = []
    for i in range(6):
        own.clip(tmp_path / f"{i}.wav")
        cells = [f"{i}.wav", ("Kuh", "Häher")[i % 2]]
        cells += ["0,1"] if "Länge" in text else ["", ""] if ",,\n" in text else []
        rows.append(separator.join([str(i), *cells] if text.startswith(",") else cells))
    (tmp_path / "t.csv").write_text(text.replace("{rows}", "\n".join(rows)), "utf-8")
    code, words, _ = init(bench, tmp_path / "t.csv")
    assert (code, "6 clips of 2 classes: Häher 3, Kuh 3" in words) == ((1, False) if said else (0, True)), words
    assert said in words


def test_the_column_of_labels_is_asked_for_by_name(bench: own.Bench, tmp_path: Path) -> None:
    names = [f"{i}.wav" for i in range(8)]
    path = table(
        tmp_path / "t.csv", "ファイル,ラベル,場所", lambda i: f"{i}.wav,{'猫犬'[i % 2]},{'家外'[i // 4]}", names
    )
    code, words, _ = init(bench, path)
    assert code == 1
    assert 'set columns = {label = "ラベル"}' in words
    code, words, found = init(bench, path, 'columns = {label = "場所"}')
    assert code == 0
    assert found["columns"] == {"path": "ファイル", "label": "場所"}


def test_numbers_are_no_columns_of_classes_where_words_are(bench: own.Bench, tmp_path: Path) -> None:
    names = [f"{i}.wav" for i in range(8)]
    path = table(
        tmp_path / "t.csv", "filename,bird,night,checked", lambda i: f"{i}.wav,{'ab'[i % 2]},{i % 2},{i // 4}", names
    )
    code, _, found = init(bench, path)
    assert code == 0
    assert found["columns"] == {"path": "filename", "label": "bird"}
    assert "label_columns" not in found


def test_a_split_can_be_left_unused(bench: own.Bench, tmp_path: Path) -> None:
    names = [f"{i}.wav" for i in range(8)]
    path = table(
        tmp_path / "t.csv", "path,label,split", lambda i: f"{i}.wav,{'ab'[i % 2]},{'train' if i > 3 else 'val'}", names
    )
    code, words, _ = init(bench, path)
    assert code == 1
    assert 'columns = {fold = "", split = ""} in [dataset.folder] does not use the split' in words
    code, words, _ = init(bench, path, 'columns = {fold = "", split = ""}')
    assert code == 0
    assert "folds, grouped by source" in words


def test_rows_that_repeat_count_once(bench: own.Bench, tmp_path: Path) -> None:
    names = [f"{i % 6}.wav" for i in range(8)]
    path = table(tmp_path / "t.csv", "path,label", lambda i: f"{i % 6}.wav,{'ab'[i % 2]}", names)
    code, words, _ = init(bench, path)
    assert code == 0
    assert "2 rows of the table repeat an earlier row and count once" in words


def test_a_folder_whose_table_says_other_classes_is_read_by_the_table(bench: own.Bench, tmp_path: Path) -> None:
    for place in ("audio_a", "audio_b"):
        classes(tmp_path / "s", (place,), 4)
    names = [f"audio_{place}/audio_{place}_{i}.wav" for place in "ab" for i in range(4)]
    table(tmp_path / "s" / "t.csv", "path,label,speaker", lambda i: f"{names[i]},{'xy'[i % 2]},{i // 2}", names)
    code, words, found = init(bench, tmp_path / "s")
    assert code == 0
    assert found["csv"] == str(tmp_path / "s" / "t.csv")
    assert "2 classes: x 4, y 4" in words
    (tmp_path / "s.toml").unlink()
    table(tmp_path / "s" / "t.csv", "path,label,speaker", lambda i: f"{names[i]},{names[i][:7]},{i // 2}", names)
    code, words, found = init(bench, tmp_path / "s")
    assert code == 0
    assert "'t.csv' names these clips, too: `bench data init " in words
    assert "root" in found


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("a.wav", "is audio: name its folder"),
        ("a.zip", "is an archive: unpack it"),
        ("a.xlsx", "is a spreadsheet: save it as CSV"),
        ("a.json", "cannot be read as a UTF-8 JSON"),
    ],
)
def test_what_is_no_table_says_what_to_do(bench: own.Bench, tmp_path: Path, name: str, said: str) -> None:
    (tmp_path / name).write_bytes(b"PK\3\4")
    assert said in init(bench, tmp_path / name)[1]


def test_a_folder_of_archives_says_to_unpack_them(bench: own.Bench, tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "a.zip").write_bytes(b"PK")
    assert "but archives (.zip): unpack them" in init(bench, tmp_path / "s")[1]


def test_copies_under_two_classes_are_a_warning(bench: own.Bench, tmp_path: Path) -> None:
    classes(tmp_path / "s", count=4)
    shutil.copytree(tmp_path / "s", tmp_path / "s" / "again")  # an archive that was unpacked twice
    code, words = bench.run(own.suite(tmp_path, f'root = "{tmp_path / "s"}"', "folds = [0]"), "--no-timing")
    assert code == 0
    assert "8 clips are copies of clips of another class, such as" in words
