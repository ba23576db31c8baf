"""`bench predict`, `bench pack`, `bench unpack` and `bench list runs`; the data of the trained models are gone."""

import csv
import importlib.util
import json
import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from fakes.calls import bench

import bench as library
from bench.errors import ArgumentError
from bench.inference.predict import find, predict
from bench.records import Store

SUITE = """
models = ["swishnet", "cnn", "fusion-ds"]
datasets = ["folder"]
fusion_members = ["swishnet", "cnn"]

[dataset.folder]
root = "{root}"
clip_seconds = 0.5
sample_rate = 16000
{more}

[recipe]
epochs = 1
"""


@pytest.fixture(scope="module")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tone of 1 s and noise of 2.5 s."""
    folder = tmp_path_factory.mktemp("sounds")
    time = np.arange(16_000) / 16_000
    soundfile.write(folder / "tone.wav", 0.2 * np.sin(2 * np.pi * 3_000 * time), 16_000)
    soundfile.write(folder / "noise.flac", 0.2 * np.random.default_rng(0).standard_normal(40_000), 16_000)
    return folder


def own_clips(root: Path) -> Path:
    """Write clips of 0.5 s of two classes."""
    rng = np.random.default_rng(0)
    time = np.arange(8_000) / 16_000
    for label, pitch in (("high", 3_000), ("low", 300)):
        (root / label).mkdir(parents=True)
        for i in range(6):
            sound = 0.2 * np.sin(2 * np.pi * pitch * rng.uniform(0.8, 1.2) * time) + 0.01 * rng.standard_normal(8_000)
            soundfile.write(root / label / f"{label}{i}.wav", sound, 16_000, subtype="PCM_16")
    return root


@pytest.mark.slow
@pytest.mark.parametrize("name", ["swishnet", "fusion-ds"])
def test_the_logits_of_a_run_whose_data_are_gone(tmp_path: Path, name: str) -> None:
    clips = own_clips(tmp_path / "clips")
    suite = tmp_path / "small.toml"
    suite.write_text(SUITE.format(root=clips.as_posix(), more=""))
    store = tmp_path / "runs"
    code, _, error = bench(
        "run", "--suite", suite, "--store", store, "--executor", "serial", "--wandb", "disabled", "--device", "cpu"
    )
    assert code == 0, error
    elsewhere = tmp_path / "a" / "copy"
    shutil.copytree(clips, elsewhere)
    shutil.rmtree(clips)
    shutil.rmtree(store / "cache")
    code, output, _ = bench("list", "runs", "--store", store, "--json")
    key = next(key for key, about in json.loads(output)["runs"].items() if about["model"] == name)
    with np.load(store / "artifacts" / key / "logits.npz") as saved:
        ids, logits = saved["test_ids"].tolist(), saved["logits"]
    packed = tmp_path / "model.zip"
    assert bench("pack", key, "--store", store, "--out", packed)[0] == 0
    suite.unlink()
    shutil.rmtree(store / "logs", ignore_errors=True)
    assert bench("unpack", packed, "--store", tmp_path / "fresh")[0] == 0
    for reference, place in ((key, store), (packed, tmp_path / "none"), (key, tmp_path / "fresh")):
        model = library.load_model(reference, place)
        found = list(predict(model, find([elsewhere / each for each in ids])))
        np.testing.assert_allclose([each.logits for each in found], logits, atol=1e-5)
        code, output, _ = bench(
            "predict", *(elsewhere / each for each in ids), "--run", reference, "--store", place, "--json"
        )
        assert code == 0
        shown = [json.loads(line) for line in output.splitlines()]
        assert [each["prediction"] for each in shown] == [("high", "low")[i] for i in logits.argmax(1)]
    rows = list(csv.DictReader((store / "artifacts" / key / "predictions.csv").read_text().splitlines()))
    assert [row["clip"] for row in rows] == ids
    assert [row["target"] for row in rows] == [each.partition("/")[0] for each in ids]
    assert [row["prediction"] for row in rows] == [("high", "low")[i] for i in logits.argmax(1)]
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    table = [[float(row["probability_high"]), float(row["probability_low"])] for row in rows]
    np.testing.assert_allclose(table, shares, rtol=1e-3)


def test_a_table_on_the_terminal(kept, sounds: Path) -> None:
    arguments = ("predict", sounds, "--run", kept.run("cnn").key, "--store", kept.store.root)
    code, output, error = bench(*arguments, "--top", 2)
    assert (code, error) == (0, "")
    first, second = output.splitlines()
    assert first.startswith(f"{sounds}/noise.flac  ")
    assert second.startswith(f"{sounds}/tone.wav  ")
    assert first.count(" %") == second.count(" %") == 2
    code, output, _ = bench(*arguments, "--windows", "--hop", 0.5)
    lines = output.splitlines()
    assert [line.partition("  ")[2].partition("  ")[0] for line in lines] == [
        "0.00-1.00 s", "0.50-1.50 s", "1.00-2.00 s", "1.50-2.50 s", "0.00-1.00 s",
    ]  # fmt: skip


def test_json_lines(kept, sounds: Path) -> None:
    reference = f"{kept.suite}:swishnet@all"
    code, output, _ = bench(
        "predict", sounds, sounds / "none.wav", "--run", reference, "--store", kept.store.root, "--json", "--top", 1
    )
    assert code == 1
    first, second, last = map(json.loads, output.splitlines())
    assert (first["file"], first["start"], first["end"], first["windows"]) == (f"{sounds}/noise.flac", 0.0, 2.5, 3)
    assert second["prediction"] == second["top"][0]["class"]
    assert len(second["top"]) == 1
    assert set(last) == {"file", "error"}


def test_csv_with_a_bad_file_among_good_ones(kept, sounds: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.wav").write_text("no sound")
    target = tmp_path / "found.csv"
    code, output, error = bench(
        "predict", tmp_path / "bad.wav", sounds, "--run", kept.run("fusion-ds").key, "--store", kept.store.root,
        "--csv", target, "--combine", "max",
    )  # fmt: skip
    assert code == 1
    assert error.startswith(f"error: {tmp_path}/bad.wav: 'bad.wav' cannot be decoded")
    assert output == f"{target}: 3 files, 1 with an error\n"
    bad, noise, tone = csv.DictReader(target.read_text().splitlines())
    assert list(tone) == [
        "file", "start", "end", "windows", "prediction", "probability_high", "probability_low", "probability_noise",
        "error",
    ]  # fmt: skip
    assert (noise["windows"], noise["end"], noise["error"]) == ("3", "2.5", "")
    assert bad["error"]
    assert not bad["prediction"]
    assert sum(float(tone[f"probability_{name}"]) for name in ("high", "low", "noise")) == pytest.approx(1, abs=1e-3)
    code, _, error = bench("predict", target, "--run", kept.run("cnn").key, "--store", kept.store.root, "--csv", target)
    assert code == 2
    assert "--csv would take the place of" in error
    before = target.read_bytes()
    wrong = ("--run", kept.run("cnn").key, "--store", kept.store.root, "--csv", target, "--hop", 0)
    assert bench("predict", sounds, *wrong)[0] == 2
    assert target.read_bytes() == before  # a call that is wrong takes nothing away


def test_standard_input(kept, sounds: Path) -> None:
    arguments = ("predict", "-", "--run", kept.run("cnn").key, "--store", kept.store.root, "--json")
    code, output, _ = bench(*arguments, stdin=(sounds / "noise.flac").read_bytes())
    assert code == 0
    assert json.loads(output)["file"] == "stdin"
    assert json.loads(output)["windows"] == 3
    code, output, _ = bench(*arguments, stdin=b"")
    assert code == 1
    assert "no sound came in" in json.loads(output)["error"]
    code, _, error = bench(*arguments, "-")
    assert code == 2
    assert "can be read once" in error


def test_a_run_that_is_not_there(kept, sounds: Path, tmp_path: Path) -> None:
    for reference in ("esc11", ""):
        code, output, error = bench("predict", sounds, "--run", reference, "--store", tmp_path)
        assert (code, output) == (2, "")
        assert error.startswith(f"error: '{reference}' is no run of the 0 in")
    code, _, error = bench("predict", sounds, "--run", "folder", "--store", kept.store.root)
    assert code == 2
    assert "8 runs in" in error


def test_pack_and_unpack(kept, tmp_path: Path) -> None:
    key = kept.run("cnn").key
    code, output, _ = bench("pack", "--run", key, "--store", kept.store.root, "--out", tmp_path / "a.zip")
    assert code == 0
    assert output.startswith(f"{tmp_path}/a.zip: ")
    code, output, _ = bench("pack", key, "--store", kept.store.root, "--out", tmp_path / "b.zip", "--json")
    assert json.loads(output) == {"file": f"{tmp_path}/b.zip", "bytes": (tmp_path / "b.zip").stat().st_size}
    (tmp_path / "b.zip").unlink()
    code, output, _ = bench("unpack", tmp_path / "a.zip", "--store", tmp_path / "fresh")
    assert (code, output) == (0, f"{key}: unpacked\n")
    code, output, _ = bench("unpack", tmp_path / "a.zip", "--store", tmp_path / "fresh", "--json")
    assert json.loads(output) == {"keys": [key], "written": [], "kept": [key]}
    assert (
        (tmp_path / "fresh" / "artifacts" / key / "card.md").read_text().startswith("# cnn on logmel-20ms on folder\n")
    )
    assert bench("pack", key, "--store", kept.store.root)[0] == 2
    assert bench("pack", "--out", tmp_path / "b.zip")[0] == 2
    code, _, error = bench("pack", key, "--store", kept.store.root, "--out", tmp_path)
    assert (code, error) == (2, f"error: --out '{tmp_path}' is a folder: name a file to write\n")
    assert bench("pack", key, "--run", key, "--out", tmp_path / "b.zip")[0] == 2


def test_list_runs(kept, tmp_path: Path) -> None:
    code, output, _ = bench("list", "runs", "--store", kept.store.root, "--json")
    assert code == 0
    found = json.loads(output)["runs"]
    assert set(found) == set(kept.store.keys())
    run = kept.run("swishnet", 1)
    record = kept.store.get(run.key)
    assert found[run.key] == {
        "system": "swishnet", "suites": [], "model": "swishnet", "frontend": "mfcc", "dataset": "folder", "fold": 1,
        "seed": 0,
        "status": "ok", "metric": "accuracy", "score": record.scores["accuracy"], "usable": True,
    }  # fmt: skip
    code, output, _ = bench("list", "runs", "--store", kept.store.root)
    assert output.splitlines()[0] == "runs"
    line = next(line for line in output.splitlines() if run.key in line)
    assert f"swishnet, fold 1, accuracy {100 * record.scores['accuracy']:.1f} %" in " ".join(line.split())
    store = Store(tmp_path)
    store.write(record)
    code, output, _ = bench("list", "runs", "--store", tmp_path)
    assert "no weights" in output
    code, output, error = bench("list", "runs", "--store", tmp_path / "none")
    assert (code, output) == (1, "")
    assert "error: there are no runs in" in error
    assert "a folder that does not exist" in error
    assert bench("list", "runs", "--store", tmp_path / "none", "--json")[:2] == (1, "")


@pytest.mark.parametrize("as_json", [False, True])
def test_list_runs_names_what_is_damaged(kept, tmp_path: Path, as_json: bool) -> None:
    store = Store(tmp_path)
    whole, damaged = (kept.store.get(kept.run("swishnet", fold).key) for fold in (0, 1))
    for record in (whole, damaged):
        store.write(record)
    path = store.path(damaged.key)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    code, output, error = bench("list", "runs", "--store", tmp_path, *["--json"] * as_json)
    assert code == 1
    assert whole.key in output
    assert damaged.key not in output
    assert error.startswith("damaged: ")
    assert damaged.key in error
    store.path(whole.key).unlink()
    code, output, error = bench("list", "runs", "--store", tmp_path, *["--json"] * as_json)
    assert (code, json.loads(output) if as_json else output) == (1, {"runs": {}} if as_json else "")
    assert damaged.key in error


@pytest.mark.process
@pytest.mark.slow
def test_rows_go_to_a_pipe_while_the_terminal_shows_a_bar(kept, sounds: Path) -> None:
    terminal, theirs = pty.openpty()
    command = [
        "-m",
        "bench",
        "predict",
        sounds,
        "--run",
        kept.run("swishnet").key,
        "--store",
        kept.store.root,
        "--json",
    ]
    try:
        done = subprocess.run([sys.executable, *map(str, command)], stdout=subprocess.PIPE, stderr=theirs, check=True)
        os.close(theirs)
        shown = os.read(terminal, 1 << 16).decode()
    finally:
        os.close(terminal)
    assert len([json.loads(line) for line in done.stdout.splitlines()]) == 2
    assert "of 2 files" in shown


@pytest.mark.parametrize("command", ["predict", "segment", "stream"])
@pytest.mark.parametrize("content", [b"", b"no sound", None])
def test_a_file_that_is_no_sound_is_one_line(kept, tmp_path: Path, command: str, content: bytes | None) -> None:
    bad = tmp_path / "bad.wav"
    if content is None:
        bad.mkdir()
    else:
        bad.write_bytes(content)
    code, _, error = bench(command, bad, "--run", kept.run("swishnet").key, "--store", kept.store.root)
    assert code == (2 if content is None and command != "predict" else 1)  # a folder in a file's place is misuse
    assert error.startswith("error: ")
    assert len(error.splitlines()) == 1


@pytest.mark.parametrize("hop", ["0", "-1", "nan", "inf"])
def test_hops_that_are_no_number_above_0(kept, sounds: Path, hop: str) -> None:
    code, _, error = bench("predict", sounds, "--run", kept.run("cnn").key, "--store", kept.store.root, "--hop", hop)
    assert code == 2  # the call is wrong
    assert "is no number above 0" in error
    model = library.load_model(kept.run("cnn").key, kept.store.root, device="cpu")
    with pytest.raises(ArgumentError, match="is no number above 0"):
        model.windows(np.zeros(40_000, np.float32), float(hop))


def test_a_table_has_the_probabilities_as_they_are(kept, sounds: Path, tmp_path: Path) -> None:
    arguments = ("predict", sounds / "tone.wav", "--run", kept.run("cnn").key, "--store", kept.store.root)
    code, output, _ = bench(*arguments, "--csv", tmp_path / "found.csv", "--json", "--top", 3)
    assert code == 0
    model = library.load_model(kept.run("cnn").key, kept.store.root)
    (found,) = predict(model, find([sounds / "tone.wav"]))
    exact = found.probabilities.tolist()
    (row,) = csv.DictReader((tmp_path / "found.csv").read_text().splitlines())
    assert [np.float32(row[f"probability_{name}"]) for name in model.classes] == exact
    top = {each["class"]: np.float32(each["probability"]) for each in json.loads(output)["top"]}
    assert [top[name] for name in model.classes] == exact


@pytest.mark.parametrize(
    ("command", "options", "words"),
    [
        ("segment", ["--hop", "0"], "a hop of 0 s is not above 0"),
        ("segment", ["--median", "-1"], "the median takes a number of seconds"),
        ("segment", ["--hysteresis", "1"], "hysteresis is at least 0 and below 1"),
        ("stream", ["--min-duration", "nan"], "the shortest segment takes a number"),
        ("stream", ["--threshold", "2"], "the threshold lies between 0 and 1"),
        ("embed", ["--out", "OUT", "--hop", "-1"], "is no number above 0"),
        ("predict", ["--hop", "60"], "a hop of 60 s would leave out sound between windows of 1 s: give at most 1"),
        ("embed", ["--out", "OUT", "--hop", "1.5"], "would leave out sound"),
        ("embed", ["--out", "-"], "--out - would be standard output"),
        ("export", ["--out", "-"], "--out - would be standard output"),
        ("segment", ["--posteriors", "-"], "--posteriors - would be standard output"),
        ("segment", ["--out", "-", "--format", "png"], "a picture goes to a file"),
        ("segment", ["--csv", "-", "--json"], "--json and - both write to standard output"),
        ("predict", ["--csv", "-", "--json"], "--json and --csv - both write to standard output"),
        ("stream", ["--csv", "-", "--json"], "--json and --csv - both write to standard output"),
        ("embed", ["--out", "OUT", "--layer", "none"], "has no layer 'none'"),
        ("export", ["--out", "OUT/x.bin"], "ends in .onnx: name it x.onnx"),
        ("export", ["--out", "TONE/x.onnx"], "is a file: name another file"),
        ("export", ["--out", "OUT/x.onnx", "--clips", "OUT"], "is no folder: name one with sounds"),
    ],
)
def test_values_that_an_option_never_takes(
    kept, sounds: Path, tmp_path: Path, command: str, options: list[str], words: str
) -> None:
    places = {"OUT": str(tmp_path / "new"), "TONE": str(sounds / "tone.wav")}
    given = [
        "/".join(places.get(part, part) for part in each.split("/")) if each[0].isupper() else each for each in options
    ]
    files = [] if command == "export" else [sounds / "tone.wav"]
    code, _, error = bench(command, *files, "--run", kept.run("cnn").key, "--store", kept.store.root, *given)
    assert (code, words in error) == (2, True), error
    assert not (tmp_path / "new").exists()


def test_tables_in_new_folders_and_in_the_place_of_folders(kept, sounds: Path, tmp_path: Path) -> None:
    arguments = ("predict", sounds, "--run", kept.run("cnn").key, "--store", kept.store.root, "--csv")
    assert bench(*arguments, tmp_path / "new" / "found.csv")[0] == 0
    assert len((tmp_path / "new" / "found.csv").read_text().splitlines()) == 3
    code, _, error = bench(*arguments, tmp_path)
    assert code == 1
    assert "cannot be written (Is a directory): name another file" in error


def test_a_fold_that_the_suite_does_not_have(kept, sounds: Path) -> None:
    code, _, error = bench("predict", sounds, "--run", f"{kept.suite}:cnn@f7", "--store", kept.store.root)
    assert code == 2
    assert "has no cnn@f7; it has @f0-s0, @f1-s0" in error


def test_chunks_that_are_no_length(kept, sounds: Path) -> None:
    for chunk in ("inf", "nan", "0"):
        code, _, error = bench(
            "stream", sounds / "tone.wav", "--run", kept.run("cnn").key, "--store", kept.store.root, "--chunk", chunk
        )
        assert code == 2
        assert "is not between a sample and a minute" in error


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("onnxscript") is None, reason='onnxscript is not installed: pip install -e ".[export]"'
)
@pytest.mark.parametrize("name", ["fusion-ds", "swishnet"])
def test_exports_of_systems_of_a_suite(kept, tmp_path: Path, name: str) -> None:
    out = tmp_path / "model.onnx"
    code, _, error = bench("export", "--run", f"{kept.suite}:{name}@f0", "--store", kept.store.root, "--out", out)
    assert (code, error) == (0, "")
    assert out.is_file()


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("openvino") is None,
    reason='OpenVINO is not installed: pip install -e ".[export,openvino]"',
)
def test_an_export_for_openvino_names_its_precision(kept, tmp_path: Path) -> None:
    given = ("--run", kept.run("swishnet").key, "--store", kept.store.root, "--out", tmp_path / "model.xml")
    code, output, _ = bench("export", "--format", "openvino", *given)
    assert code == 0
    assert '{"INFERENCE_PRECISION_HINT": "f32"}' in output


def test_embed_as_json_names_the_files_that_cannot_be_used(kept, tmp_path: Path) -> None:
    sounds = tmp_path / "sounds"
    sounds.mkdir()
    shutil.copy(next(kept.sounds.rglob("*.wav")), sounds / "good.wav")
    (sounds / "bad.wav").write_text("no sound")
    given = ("--run", kept.run("swishnet").key, "--store", kept.store.root, "--out", tmp_path / "found", "--json")
    code, output, _ = bench("embed", sounds, *given)
    found = json.loads(output)
    assert code == 1
    assert (found["folder"], found["files"], found["values"]) == (str(tmp_path / "found"), 1, 16)
    assert list(found["errors"]) == [str(sounds / "bad.wav")]
    assert "cannot be decoded" in found["errors"][str(sounds / "bad.wav")]


def test_a_table_goes_to_standard_output(kept, sounds: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    where = (sounds / "tone.wav", "--run", kept.run("swishnet").key, "--store", kept.store.root)
    for command, name in (("predict", "--csv"), ("segment", "--csv"), ("stream", "--csv")):
        assert bench(command, *where, name, "found.csv").code == 0
        code, output, _ = bench(command, *where, name, "-")
        assert (code, output) == (0, Path("found.csv").read_text()), command
        assert len(output.splitlines()) > 1
    assert bench("segment", *where, "--out", "-", "--format", "csv").out == bench("segment", *where, "--csv", "-").out
    assert not Path("-").exists()


def test_runs_are_listed_by_the_names_of_their_suite(kept, tmp_path: Path) -> None:
    run = kept.run("fusion-ds")
    store = Store(tmp_path)
    store.write(kept.store.get(run.key))
    (tmp_path / "my.json").write_text(
        json.dumps({"leaderboards": [{"rows": [{"model": "fusion-pair", "records": [run.key]}]}]})
    )
    (tmp_path / "damaged.json").write_text('{"leaderboards": 1}')
    assert f"{run.key}  fusion-pair of my, fold 0" in bench("list", "runs", "--store", tmp_path).out


def test_an_error_of_standard_input_names_it_once(kept) -> None:
    error = bench("predict", "-", "--run", kept.run("cnn").key, "--store", kept.store.root).err
    assert error == "error: stdin: no sound came in: pipe an audio file into the command\n"


def test_python_names_a_path_that_is_not_there(kept, sounds: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.wav").write_text("no sound")
    model = library.load_model(kept.run("swishnet").key, kept.store.root, device="cpu")
    with pytest.raises(ArgumentError, match="there is no file or folder 'nofolder'"):
        library.predict(["nofolder", sounds], model)
    assert library.predict([tmp_path, sounds], model).error.astype(bool).tolist() == [True, False, False]


@pytest.mark.parametrize("command", ["predict", "segment", "stream"])
@pytest.mark.parametrize("inside", ["artifacts/KEY/weights.safetensors", "records/KEY.json"])
def test_no_output_takes_the_place_of_the_model_that_a_key_names(
    kept, tmp_path: Path, command: str, inside: str
) -> None:
    key = kept.run("swishnet").key
    shutil.copytree(kept.store.root, tmp_path / "s")
    output = tmp_path / "s" / inside.replace("KEY", key)
    before = output.read_bytes()
    sound = kept.sounds / "high" / "0.wav"
    code, _, error = bench(command, sound, "--run", key, "--store", tmp_path / "s", "--csv", output)
    assert code == 2
    assert "--csv would take the place of" in error
    assert output.read_bytes() == before
