"""Tables of a user's own clips through the command line: columns, separators, paths, folds, classes."""

import json
import re
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from fakes import own

pytestmark = pytest.mark.process
CLASSES = ("cat", "cow")
NAMES = [f"{label}/{i}.wav" for label in CLASSES for i in range(6)]


@pytest.fixture
def bench(bench: own.Bench) -> own.Bench:
    own.tree(bench.folder / "s", NAMES)
    return bench


def verify(bench: own.Bench, lines: str) -> tuple[int, dict[str, Any]]:
    """Return the exit code and the report on a table that `lines` describe."""
    suite = own.suite(bench.folder, lines)
    code, said = bench("data", "verify", "folder", "--suite", suite, "--accept", "--json")
    return code, json.loads(said)


def write(path: Path, head: str, rows: list[str], encoding: str = "utf-8") -> str:
    path.write_text("\n".join([head, *rows]), encoding=encoding)
    return f'csv = "{path}"'


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_separators_names_and_further_columns(bench: own.Bench, tmp_path: Path, separator: str) -> None:
    rows = [separator.join((str(i), name, "x y", name[:3], "")) for i, name in enumerate(NAMES)]
    head = separator.join(("", "filename", "remark", "category", "empty"))
    csv = write(tmp_path / "s" / "t.csv", head, rows)
    code, found = verify(bench, csv)
    assert code == 1
    (problem,) = found["problems"]
    assert 'set columns = {path = "filename", label = "category"} in [dataset.folder]' in problem
    code, found = verify(bench, csv + '\ncolumns = {path = "filename", label = "category"}')
    assert (code, found["problems"], len(found["clips"])) == (0, [], 12)
    assert "columns of the table that are not used: '', 'remark', 'empty'" in "".join(found["notes"])
    code, found = verify(bench, csv + '\ncolumns = {path = "file"}')
    assert "has no column 'file': it has , filename" in found["problems"][0]
    code, found = verify(bench, csv + '\ncolumns = {file = "filename"}')
    assert "no role 'file': it has path, label, fold, split, group" in found["problems"][0]


def test_paths_from_another_folder_and_outside(bench: own.Bench, tmp_path: Path) -> None:
    csv = write(tmp_path / "lists.csv", "path,label", [f"{name},{name[:3]}" for name in NAMES])
    code, found = verify(bench, csv)
    assert code == 1
    assert "'cat/0.wav': there is no such file in" in found["problems"][0]
    assert "audio_root" in found["problems"][0]
    assert verify(bench, csv + f'\naudio_root = "{tmp_path / "s"}"')[0] == 0
    absolute = [f"{tmp_path / 's' / name},{name[:3]}" for name in NAMES]
    (tmp_path / "t").mkdir()
    csv = write(tmp_path / "t" / "t.csv", "path,label", absolute)
    code, found = verify(bench, csv)
    assert code == 1
    assert "set allow_outside = true in [dataset.folder]" in found["problems"][0]
    code, found = verify(bench, csv + "\nallow_outside = true")
    assert (code, found["problems"]) == (0, [])
    assert verify(bench, csv + f'\naudio_root = "{tmp_path / "s"}"')[0] == 0  # absolute, and inside
    (tmp_path / "t" / "here").symlink_to(tmp_path / "s")
    csv = write(tmp_path / "t" / "t.csv", "path,label", [f"here/{name},{name[:3]}" for name in NAMES])
    code, found = verify(bench, csv)
    assert "set follow_links = true in [dataset.folder]" in found["problems"][0]
    assert verify(bench, csv + "\nfollow_links = true")[0] == 0
    assert verify(bench, csv + '\naudio_root = "none"')[1]["problems"] == [
        "audio_root = 'none' is not a folder: correct it in [dataset.folder]"
    ]


def test_backslashes_and_forms_of_accents(bench: own.Bench, tmp_path: Path) -> None:
    rows = [f"{name},{name[:3]}".replace("/", "\\") for name in NAMES]
    code, found = verify(bench, write(tmp_path / "s" / "t.csv", "path,label", rows))
    assert code == 1
    assert "has backslashes: separate folders with slashes, 'cat/0.wav'" in found["problems"][0]
    decomposed = unicodedata.normalize("NFD", "Möwe")
    for i in range(6):
        own.clip(tmp_path / "s" / decomposed / f"é{i}.wav")
    rows = [f"{name},{name[:3]}" for name in NAMES] + [
        f"Möwe/{unicodedata.normalize(form, 'é')}{i}.wav,{unicodedata.normalize(form, 'Möwe')}"
        for i, form in enumerate(["NFC", "NFD"] * 3)
    ]
    code, found = verify(bench, write(tmp_path / "s" / "t.csv", "path,label", rows))
    assert (code, found["problems"]) == (0, [])
    assert found["counts"]["labels"] == {"Möwe": 6, "cat": 6, "cow": 6}


def test_names_that_are_typed_match_in_any_form_of_accents(bench: own.Bench, tmp_path: Path) -> None:
    """Names of classes, columns and folds: the data has one form, and the user's keyboard another."""

    def old(name: str) -> str:
        return unicodedata.normalize("NFD", name)

    names = [f"{old(label)}/{i}.wav" for label in ("Käse", "Bär") for i in range(6)]
    own.tree(tmp_path / "n", names)
    code, found = verify(bench, 'root = "n"\nclasses = ["Käse", "Bär"]')
    assert (code, found["problems"]) == (0, [])
    assert found["counts"]["labels"] == {"Käse": 6, "Bär": 6}
    folds = ["Bad", old("Küche"), "Küche"]
    rows = [f"{name},{name[:-6]},{folds[int(name[-5]) % 3]}" for name in names]
    table = write(tmp_path / "n" / "t.csv", f"path,{old('Güte')},fold", rows)
    lines = f'{table}\ncolumns = {{label = "Güte"}}\nclasses = ["Käse", "Bär"]'
    code, found = verify(bench, lines)
    assert (code, found["problems"]) == (0, [])
    assert found["counts"]["fold"] == {"Bad": 4, "Küche": 8}
    code, said = bench("run", "--suite", own.suite(tmp_path, lines, 'folds = ["Küche"]'), "--dry-run")
    assert (code, "-f1-" in said) == (0, True), said


def test_folds_of_any_number_and_name(bench: own.Bench, tmp_path: Path) -> None:
    """Numbers from spreadsheets and pandas, numbers that are not 0 to 4, names, and two folds."""
    rows = [f"{name},{name[:3]},{1 + int(name[4]) // 2}.0" for name in NAMES]
    csv = write(tmp_path / "s" / "t.csv", "path,label,fold", rows)
    suite = own.suite(tmp_path, csv)
    code, said = bench("run", "--suite", suite, "--dry-run")
    assert code == 0
    assert [f"-f{fold}-" in line for fold, line in zip((1, 2, 3), said.splitlines(), strict=True)] == 3 * [True]
    code, said = bench("run", "--suite", own.suite(tmp_path, csv, folds=""), "--dry-run")
    assert "-f1-" in said  # the first
    code, said = bench("run", "--suite", own.suite(tmp_path, csv, folds="folds = [0]"), "--dry-run")
    assert code == 2
    assert "folder has folds 1 to 3, the suite asks for 0" in said
    code, said = bench.run(own.suite(tmp_path, csv), "--fold", "3")
    assert code == 0, said
    (record,) = bench.records()
    assert (record["run"]["fold"], record["data"]["folds"]) == (3, 3)
    assert "3 folds (1, 2, 3)" in bench.page()
    assert record["data"]["split"] == "own clips: the given folds; test = k, validation = k + 1"

    named = [f"{name},{name[:3]},{('kitchen', 'street', 'yard')[int(name[4]) // 2]}" for name in NAMES]
    csv = write(tmp_path / "s" / "t.csv", "path,label,fold", named)
    code, said = bench("run", "--suite", own.suite(tmp_path, csv, folds='folds = ["street"]'), "--dry-run")
    assert (code, "-f1-" in said) == (0, True)
    code, said = bench("run", "--suite", own.suite(tmp_path, csv, folds='folds = ["roof"]'), "--dry-run")
    assert "folder has the folds 0 (kitchen), 1 (street), 2 (yard), the suite asks for roof" in said
    code, found = verify(bench, csv)
    assert (code, found["counts"]["fold"]) == (0, {"kitchen": 4, "street": 4, "yard": 4})

    two = [f"{name},{name[:3]},fold{1 + int(name[4]) % 2}" for name in NAMES]
    code, found = verify(bench, write(tmp_path / "s" / "t.csv", "path,label,fold", two))
    assert (code, found["problems"], found["counts"]["fold"]) == (0, [], {"1": 6, "2": 6})


def test_parts_in_a_column_and_in_folders(bench: own.Bench, tmp_path: Path) -> None:
    rows = [f"{name},{name[:3]},{'Train' if int(name[4]) < 4 else 'test'}" for name in NAMES]
    csv = write(tmp_path / "s" / "t.csv", "path,label,split", rows)
    code, said = bench.run(own.suite(tmp_path, csv))
    assert code == 0, said
    (record,) = bench.records()
    assert record["data"]["clips"] == {"train": 6, "val": 2, "test": 4}
    assert "the given training and test parts; 20 % of the training clips" in record["data"]["split"]
    with_val = [row.replace("Train", "valid") if "/3." in row else row for row in rows]
    code, found = verify(bench, write(tmp_path / "s" / "t.csv", "path,label,split", with_val))
    assert (code, found["counts"]["fold"]) == (0, {"test": 4, "train": 6, "val": 2})
    no_test = [row.replace("test", "val") for row in rows]
    code, found = verify(bench, write(tmp_path / "s" / "t.csv", "path,label,split", no_test))
    assert code == 1
    assert 'call "val" "test", and clips to validate are taken from the training clips' in found["problems"][0]

    names = [f"{part}/{label}/{i}.wav" for part in ("training", "TEST") for label in CLASSES for i in range(4)]
    root = own.tree(tmp_path / "parts", names)
    code, found = verify(bench, f'root = "{root}"')
    assert (code, found["problems"], found["counts"]["fold"]) == (0, [], {"test": 8, "train": 8})
    assert found["counts"]["labels"] == {"cat": 8, "cow": 8}
    root = own.tree(
        tmp_path / "folds", [f"fold{k}/{label}/{i}.wav" for k in (1, 2, 10) for label in CLASSES for i in "ab"]
    )
    code, said = bench("run", "--suite", own.suite(tmp_path, f'root = "{root}"'), "--dry-run")
    assert [part for part in ("-f1-", "-f2-", "-f10-") if part in said] == ["-f1-", "-f2-", "-f10-"]
    names = [f"{part}/{label}/anna/{part}{i}.wav" for part in ("train", "test") for label in CLASSES for i in range(4)]
    names += [f"train/{label}/bob/{i}.wav" for label in CLASSES for i in range(4)]
    root = own.tree(tmp_path / "speakers", names)
    code, found = verify(bench, f'root = "{root}"')
    assert code == 0
    assert any("the folders 'anna' inside the classes are in several parts" in line for line in found["warnings"])
    code, found = verify(bench, f'root = "{root}"\ngroup_by = "folder"')
    assert code == 1
    assert "have the same source group in two splits" in found["problems"][0]
    vehicles = own.tree(tmp_path / "v", [f"{label}/{i}.wav" for label in ("train", "test", "car") for i in range(5)])
    code, found = verify(bench, f'root = "{vehicles}"')
    assert found["counts"]["labels"] == {"car": 5, "test": 5, "train": 5}


def test_order_and_names_of_classes(bench: own.Bench, tmp_path: Path) -> None:
    root = own.tree(tmp_path / "n", [f"{label}/{label}-{i}.wav" for label in (1, 2, 10) for i in range(3)])
    code, said = bench.run(own.suite(tmp_path, f'root = "{root}"', folds=""))
    assert code == 0, said
    assert bench.records()[0]["classes"] == ["1", "2", "10"]
    code, said = bench.run(own.suite(tmp_path, f'root = "{root}"\nclasses = [10, 2, 1]', folds=""))
    assert code == 0, said
    assert ["10", "2", "1"] in [record["classes"] for record in bench.records()]
    code, found = verify(bench, f'root = "{root}"\nclasses = ["1", "2"]')
    assert found["problems"] == ["classes lacks '10', which clips have: add them, or leave classes out"]
    rows = [f"{name},{(' cat', 'CAT', 'cat ')[int(name[4]) % 3] if name[0:3] == 'cat' else 'cow'}" for name in NAMES]
    rows += [f"more/{i}.wav,{label}" for i, label in enumerate([" cat", "CAT", "cat ", "cow"] * 3)]
    own.tree(tmp_path / "s", [row.split(",")[0] for row in rows[12:]])
    code, found = verify(bench, write(tmp_path / "s" / "t.csv", "path,label", rows))
    warning = "the classes ' cat', 'CAT', 'cat ' differ in blanks or capitals only: rename them if they are one"
    assert (code, warning in found["warnings"]) == (0, True)


def test_labels_that_look_like_several_are_a_question(bench: own.Bench, tmp_path: Path) -> None:
    rows = [f"{name},{('cat', 'rain', 'cat;rain')[int(name[4]) % 3]}" for name in NAMES]
    csv = write(tmp_path / "s" / "t.csv", "path,label", rows)
    code, found = verify(bench, csv)
    assert code == 1
    assert found["problems"] == [
        "is 'cat;rain' one class or several? In [dataset.folder], set label_separator = \";\" if a clip has several "
        'classes, or label_separator = "" if each label is one class'
    ]
    assert verify(bench, csv + '\nlabel_separator = ""')[1]["counts"]["labels"] == {"cat": 4, "cat;rain": 4, "rain": 4}
    code, found = verify(bench, csv + '\nlabel_separator = ";"')
    assert (code, found["counts"]["labels"]) == (0, {"cat": 8, "rain": 8})
    commas = [f'{name},"{("playing timpani, drums", "cow")[int(name[4]) % 2]}"' for name in NAMES]
    assert verify(bench, write(tmp_path / "s" / "t.csv", "path,label", commas))[0] == 0  # one class with a comma


def test_three_ways_of_several_labels_train_alike(bench: own.Bench, tmp_path: Path) -> None:
    labels = {name: [("cat", "rain", "sea")[i % 3], *(["wind"] if i % 2 else [])] for i, name in enumerate(NAMES)}
    every = ("cat", "rain", "sea", "wind")
    tables = {
        "one": (["path,label"] + [f"{n},{'|'.join(of)}" for n, of in labels.items()], 'label_separator = "|"'),
        "hot": (
            ["path," + ",".join(every)]
            + [f"{n}," + ",".join(str(int(each in of)) for each in every) for n, of in labels.items()],
            f"label_columns = {json.dumps(every)}",
        ),
        "rows": (["path,label"] + [f"{n},{each}" for n, of in labels.items() for each in of], "row_per_label = true"),
    }
    digests = set()
    for name, (lines, option) in tables.items():
        csv = write(tmp_path / "s" / f"{name}.csv", lines[0], lines[1:])
        code, found = verify(bench, f"{csv}\n{option}")
        assert (code, found["problems"]) == (0, []), name
        assert found["counts"]["labels"] == {"cat": 4, "rain": 4, "sea": 4, "wind": 6}
        digests.add(found["digest"])
        if name == "rows":
            assert "set row_per_label = true if a clip has several classes" in verify(bench, csv)[1]["problems"][0]
        if name == "hot":
            (problem,) = verify(bench, csv)[1]["problems"]
            assert "set label_columns = ['cat', 'rain', 'sea', 'wind'] in [dataset.folder]" in problem
    assert len(digests) == 1
    code, said = bench.run(
        own.suite(tmp_path, f'csv = "{tmp_path / "s" / "one.csv"}"\nlabel_separator = "|"', folds="")
    )
    assert code == 0, said
    assert ": mAP " in said
    (record,) = bench.records()
    assert "mAP" in record["scores"]
    assert "accuracy" not in record["scores"]
    assert "| mAP, % |" in bench.page()


@pytest.mark.parametrize(
    ("text", "lines", "said"),
    [
        ("", "", "is empty: write a table with the columns path,label"),
        ("path,label\n", "", "has no rows"),
        ("path,label,fold\ncat/0.wav,cat,1\n", "n_folds = 4", "n_folds is for clips without folds or parts"),
        ("path,label,group\ncat/0.wav,cat,1\n", 'group_by = "file"', "say the sources: leave out one of them"),
        ("path,label,split\ncat/0.wav,cat,A\ncat/1.wav,cat,test\n", "", "line 2: split 'A' is not train, val or test"),
        ("path,label,split\ncat/0.wav,cat,train\ncat/1.wav,cat,held\n", "", "line 3: split 'held' is not train, val"),
        ("path,label,fold\ncat/0.wav,cat,train\ncat/1.wav,cat,held\n", "", "line 3: fold 'held' is not train, val"),
        (
            "path,label\ncat/0.wav,cat\ncow/0.wav,cow\n",
            'classes = ["cow", "cat", "dog"]',
            "no clip has 'dog' of classes",
        ),
        ("path label\ncat/0.wav cat\n", "", "has one column, 'path label': separate columns with commas"),
        ("path,label\ncat/0.WAV,cat\n", "", "but 'cat/0.wav' is there: write the name as it is on the disk"),
        ("path,label\ncat/0.mp3,cat\n", "", "but 'cat/0.wav' is there: write the name as it is on the disk"),
        ("path,label\ncat/0.wav ,cat\n", "", "but 'cat/0.wav' is there: write the name as it is on the disk"),
        ("path,label\n/far/0.wav,cat\n", "", "and there is no such file: correct the path, or write paths that start"),
        ("path,label\n/far/0.wav,cat\n", "allow_outside = true", "no such file on this machine: correct the path"),
        ("path,label\ncat/0.wav,a;b\n", 'label_separator = ","', "is 'a;b' one class or several?"),
        ("path,label\ncat/0.wav,cat\ncat/1.wav\n", "", "line 3 has 1 cells, the header 2"),
        ("path,label,path\ncat/0.wav,cat,x\n", "", "has the column 'path' more than once"),
        ("path,label,group\ncat/0.wav,cat,\n", "", "line 2 has no 'group': fill the cell or remove the row"),
    ],
)
def test_tables_that_cannot_be_read(bench: own.Bench, tmp_path: Path, text: str, lines: str, said: str) -> None:
    (tmp_path / "s" / "t.csv").write_text(text)
    code, found = verify(bench, f'csv = "{tmp_path / "s" / "t.csv"}"\n{lines}')
    assert code == 1
    assert said in found["problems"][0]
    refuses(bench, said)


def test_a_class_that_no_training_clip_has_is_named(bench: own.Bench, tmp_path: Path) -> None:
    rows = [f"{n},{'dog' if n == 'cow/5.wav' else n[:3]},{'train' if int(n[4]) < 4 else 'test'}" for n in NAMES]
    code, found = verify(bench, write(tmp_path / "s" / "t.csv", "path,label,split", rows))
    assert code == 1
    assert "no training clip has 'dog'" in found["problems"][0]
    refuses(bench, "no training clip has 'dog'")


def refuses(bench: own.Bench, said: str) -> None:
    """Check that `bench run --dry-run` refuses the suite that was verified last, in the same words."""
    code, words = bench("run", "--suite", bench.folder / "own.toml", "--dry-run")
    assert (code, said in words) == (1, True), words
    code, words = bench("run", "--suite", bench.folder / "own.toml", "--dry-run", "--json")
    runs = json.loads(words[words.index("[") :])
    assert {each["state"] for each in runs} == {"refused"}
    assert all(said in each["problem"] for each in runs)


def test_a_dry_run_of_missing_files(bench: own.Bench, tmp_path: Path) -> None:
    rows = [f"{name},{name[:3]}" for name in (*NAMES, "cat/gone.wav")]
    suite = own.suite(tmp_path, write(tmp_path / "s" / "t.csv", "path,label", rows))
    refuses(bench, "gone.wav")
    assert bench("run", "--suite", suite, "--dry-run", "--skip-unreadable")[0] == 0


def test_times_of_segments_are_not_ignored_in_silence(bench: own.Bench, tmp_path: Path) -> None:
    rows = [f"{n},{n[:3]},0.0,0.5" for n in NAMES]
    code, found = verify(bench, write(tmp_path / "s" / "t.csv", ",path,label,onset,End Time", [f",{r}" for r in rows]))
    assert code == 0
    assert "the columns 'onset', 'End Time' are not used: a clip is a whole file" in found["warnings"][0]
    assert "not used: '', 'onset', 'End Time'" in found["notes"][0]
    rows += [f"{n},{n[:3]},0.5,1.0" for n in NAMES[:2]]
    code, found = verify(bench, write(tmp_path / "s" / "t.csv", "path,label,onset,offset", rows))
    assert code == 1
    assert "is in line 2 already: set segments = true if each row is a segment" in found["problems"][0]


def segments(lengths: dict[str, float], files: int = 6) -> list[str]:
    """Return rows of segments, one of each class after another, in each file."""
    rows = []
    for name in NAMES[:files]:
        start = 0.0
        for label, seconds in lengths.items():
            rows.append(f"{name},{start:g},{start + seconds:g},{label}")
            start += seconds
    return rows


@pytest.mark.slow
def test_init_sees_that_rows_are_segments(bench: own.Bench, tmp_path: Path) -> None:
    own.tree(tmp_path / "s", NAMES[:6], seconds=1.0)
    head = "filename,onset,offset,event_label"
    write(tmp_path / "s" / "t.csv", head, segments({"hum": 0.3, "hiss": 0.7}))
    code, said = bench("data", "init", tmp_path / "s" / "t.csv", "--model", "fc", "--suite", "new/t.toml")
    assert code == 0, said
    assert "12 segments of 2 classes in 6 files" in said
    assert "each row is a segment; training clips of 0.2 s are cut inside segments" in said
    suite = tmp_path / "new" / "t.toml"
    suite.write_text(re.sub(r"epochs = \d+", "epochs = 1", suite.read_text()))
    run = ("run", "--suite", "new/t.toml", "--fold", 0, "--executor", "serial", "--wandb", "disabled")
    code, said = bench(*run)
    assert code == 0, said
    assert "frame_accuracy" in said


@pytest.mark.parametrize(
    ("rows", "options", "words"),
    [
        (
            [row for row in segments({"hum": 0.3, "hiss": 0.7}) if "hum" in row or "cat/0" in row], [],
            "have no segment of 'hiss' that holds a clip of 0.05 s: add",
        ),
        (segments({"hum": 0.3, "hiss": 0.7}), ["--set", "clip_seconds = 0.5"], "--set a smaller clip_seconds"),
        ([f"{name},1,2,{name[:3]}" for name in NAMES], [], "are not used: a clip is a whole file, not a segment"),
    ],
)  # fmt: skip
def test_init_and_times_that_make_no_stream(
    bench: own.Bench, tmp_path: Path, rows: list[str], options: list[str], words: str
) -> None:
    own.tree(tmp_path / "s", NAMES[:6], seconds=1.0)
    write(tmp_path / "s" / "t.csv", "path,start,end,label", rows)
    code, said = bench("data", "init", tmp_path / "s" / "t.csv", "--model", "fc", *options)
    assert words in said
    assert code == (0 if "not used" in words else 1)
    assert "segments = true" not in ((tmp_path / "t.toml").read_text() if not code else "")


@pytest.mark.parametrize(("made", "asked"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_folders_and_tables_in_another_normal_form(bench: own.Bench, tmp_path: Path, made: str, asked: str) -> None:
    name, other = (unicodedata.normalize(form, "Geräusche") for form in (made, asked))  # type: ignore[arg-type]
    place = tmp_path / name
    own.tree(place, NAMES)
    write(place / f"{name}.csv", "path,label", [f"{each},{each[:3]}" for each in NAMES])
    csv = f'csv = "{tmp_path / other / other}.csv"'
    for lines in (f'root = "{tmp_path / other}"', csv, f'{csv}\naudio_root = "{tmp_path / other}"'):
        suite = own.suite(tmp_path, lines)
        assert bench("run", "--suite", suite, "--dry-run")[0] == 0
        code, found = verify(bench, lines)
        assert (code, len(found["clips"])) == (0, 12), found
    code, said = bench("data", "init", tmp_path / other, "--model", "fc", "--suite", "new.toml")
    assert code == 0, said
