"""`bench segment` and `bench stream` with trained models whose data are gone."""

import io
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile
from fakes import calls
from typer.testing import CliRunner

import bench
from bench.cli.main import app
from bench.errors import SuiteError
from bench.inference import exchange, sources
from bench.inference.sources import PCM


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recordings") / "long.wav"
    time = np.arange(3 * 16_000) / 16_000
    sound = [0.2 * np.sin(2 * np.pi * 3_000 * time), 0.2 * np.random.default_rng(0).standard_normal(len(time))]
    soundfile.write(path, np.concatenate(sound), 16_000, subtype="PCM_16")
    return path


def call(kept: Any, command: str, *arguments: object, name: str = "swishnet", ok: bool = True) -> Any:
    where = ["--run", f"{kept.suite}:{name}@f0", "--store", str(kept.store.root)]
    found = CliRunner().invoke(app, [command, *map(str, arguments), *where])
    assert (found.exit_code == 0) == ok, found.output
    return found


@pytest.mark.parametrize("name", ["cnn", "swishnet", "lstm-skip", "fusion-ds"])
def test_every_run_has_a_time_line(kept: Any, recording: Path, name: str) -> None:
    content = json.loads(call(kept, "segment", recording, "--json", name=name).stdout)
    assert content["seconds"] == 6
    assert content["classes"] == ["high", "low", "noise"]
    assert content["way"] == {"swishnet": "states", "lstm-skip": "clips"}.get(name, "windows")
    assert (content["segments"][0]["start"], content["segments"][-1]["end"]) == (0, 6)


def test_a_recording_on_standard_input(kept: Any, recording: Path) -> None:
    where = ["--run", f"{kept.suite}:swishnet@f0", "--store", kept.store.root, "--json"]
    piped = calls.bench("segment", "-", *where, stdin=recording.read_bytes())
    assert not piped.code, piped.words
    content = json.loads(piped.out)
    assert content.pop("file") == "stdin"
    named = json.loads(call(kept, "segment", recording, "--json").stdout)
    assert content == {name: value for name, value in named.items() if name != "file"}
    empty = calls.bench("segment", "-", *where)
    assert (empty.code, empty.words) == (1, "error: stdin: no sound came in: pipe an audio file into the command")


@pytest.mark.slow
def test_files_are_written(kept: Any, recording: Path, tmp_path: Path) -> None:
    outputs = [tmp_path / name for name in ("a.csv", "a.json", "a.txt", "a.rttm", "a.png", "a.svg")]
    options = [word for path in outputs for word in ("--out", path)]
    table, frames = tmp_path / "table.csv", tmp_path / "new" / "frames.csv"
    said = call(kept, "segment", recording, *options, "--csv", table, "--posteriors", frames).stdout
    assert "segments in 6.0 s" in said
    assert all(path.stat().st_size for path in outputs)
    assert table.read_text() == outputs[0].read_text()
    rows = np.loadtxt(frames, delimiter=",", skiprows=1)
    assert rows.shape == (600, 4)
    np.testing.assert_allclose(rows[:, 1:].sum(1), 1, atol=1e-5)
    model = bench.load_model(f"{kept.suite}:swishnet@f0", kept.store.root)
    assert frames.read_text().splitlines()[0] == "time," + ",".join(model.classes)


@pytest.mark.slow
def test_formats_on_standard_output(kept: Any, recording: Path) -> None:
    assert call(kept, "segment", recording, "--format", "rttm").stdout.startswith("SPEAKER long 1 0.000")
    assert call(kept, "segment", recording, "--format", "csv").stdout.startswith("start,end,class")
    assert float(call(kept, "segment", recording).stdout.split()[0]) == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--out", "x.doc"], "says no format"),
        (["--format", "png"], "a picture goes to a file"),
        (["--format", "csv", "--out", "a.csv", "--out", "b.csv"], "--format is for one --out"),
        (["--format", "csv", "--json"], "both write to standard output"),
        (["--out", "RECORDING", "--format", "csv"], "--out would take the place of"),
        (["--posteriors", "RECORDING"], "--posteriors would take the place of"),
        (["--csv", "a.csv", "--posteriors", "a.csv"], "'a.csv' is named twice"),
    ],
)
def test_calls_that_are_wrong(kept: Any, recording: Path, arguments: list[str], words: str) -> None:
    given = [str(recording) if word == "RECORDING" else word for word in arguments]
    found = call(kept, "segment", recording, *given, ok=False)
    assert isinstance(found.exception, SuiteError)
    assert words in str(found.exception)


@pytest.mark.parametrize("command", ["segment", "stream"])
def test_a_folder_is_no_recording(kept: Any, recording: Path, command: str) -> None:
    found = call(kept, command, recording.parent, ok=False)
    assert isinstance(found.exception, SuiteError)
    assert "is a folder: name one recording" in str(found.exception)


@pytest.mark.parametrize("command", ["segment", "stream"])
def test_an_empty_name_is_not_the_current_folder(kept: Any, command: str) -> None:
    found = call(kept, command, "", ok=False)
    assert isinstance(found.exception, SuiteError)
    assert "the name of the recording is empty" in str(found.exception)


def test_a_wrong_call_leaves_earlier_posteriors(kept: Any, recording: Path, tmp_path: Path) -> None:
    earlier = tmp_path / "frames.csv"
    earlier.write_text("of yesterday")
    call(kept, "segment", recording, "--hop", 0, "--posteriors", earlier, ok=False)
    assert earlier.read_text() == "of yesterday"


def lines(found: Any) -> list[dict[str, Any]]:
    return [json.loads(line) for line in found.stdout.splitlines() if line.startswith("{")]


@pytest.mark.slow
def test_a_stream_says_what_a_time_line_says(kept: Any, recording: Path, tmp_path: Path) -> None:
    smoothing = ["--hysteresis", 0, "--min-duration", 0]
    segments = json.loads(call(kept, "segment", recording, "--json", *smoothing).stdout)["segments"]
    *changes, report = lines(call(kept, "stream", recording, "--json", *smoothing, "--csv", tmp_path / "c.csv"))
    assert [(each["time"], each["class"]) for each in changes] == [(each["start"], each["class"]) for each in segments]
    assert report["report"]["seconds"] == 6
    assert report["report"]["real_time_factor"] > 0
    assert len((tmp_path / "c.csv").read_text().splitlines()) == len(changes) + 1


@pytest.mark.slow
def test_standard_input(kept: Any, recording: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from_file = lines(call(kept, "stream", recording, "--json"))
    content = recording.read_bytes()
    for data, options in ((content, []), (content[44:], ["--rate", 16_000])):
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(data)))
        where = ["--run", f"{kept.suite}:swishnet@f0", "--store", str(kept.store.root)]
        found = CliRunner().invoke(app, ["stream", "-", "--json", *map(str, options), *where], input=data)
        assert found.exit_code == 0, found.output
        assert lines(found)[:-1] == from_file[:-1]


def test_a_microphone_until_ctrl_c(kept: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def listened(rate: int, chunk: int, device: object, lost: Any, ready: Any) -> Any:
        assert (rate, chunk, device) == (16_000, 1_600, 3)
        ready()
        lost()
        for _ in range(20):
            yield np.zeros(chunk, np.float32)
        raise KeyboardInterrupt

    monkeypatch.setattr(sources, "from_microphone", listened)
    found = call(kept, "stream", "--microphone", "--input-device", 3)
    assert "2.0 s of sound in chunks of 0.1 s, real-time factor" in found.stderr
    assert "sound was lost 1 times" in found.stderr
    assert "listening; Ctrl-C ends" in found.stderr
    assert found.stdout.split()[0] == "0.00"


def test_no_microphone_is_not_listened_to(kept: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    where = ["--run", f"{kept.suite}:swishnet@f0", "--store", str(kept.store.root)]
    found = CliRunner().invoke(app, ["stream", "--microphone", *where])
    assert "the microphone needs sounddevice: pip install" in str(found.exception)
    assert "listening" not in found.output + found.stderr


def test_a_pipe_until_ctrl_c(kept: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def endless(stream: object, rate: int, chunk: int, raw: PCM | None = None) -> Any:
        for _ in range(20):
            yield np.zeros(chunk, np.float32)
        raise KeyboardInterrupt

    monkeypatch.setattr(sources, "from_pipe", endless)
    found = call(kept, "stream", "-", "--csv", tmp_path / "changes.csv")
    assert "2.0 s of sound in chunks of 0.1 s, real-time factor" in found.stderr
    assert len((tmp_path / "changes.csv").read_text().splitlines()) == 1 + len(found.stdout.splitlines())


def test_a_stream_never_takes_the_place_of_its_file(kept: Any, tmp_path: Path) -> None:
    sound = tmp_path / "sound.wav"
    soundfile.write(sound, np.zeros(16_000), 16_000)
    before = sound.read_bytes()
    found = call(kept, "stream", sound, "--csv", sound, ok=False)
    assert "--csv would take the place of" in str(found.exception)
    assert sound.read_bytes() == before


@pytest.mark.parametrize(
    ("command", "option"),
    [
        ("predict", "--csv"),
        ("segment", "--csv"),
        ("segment", "--out"),
        ("segment", "--posteriors"),
        ("stream", "--csv"),
    ],
)
def test_no_output_takes_the_place_of_what_is_read(kept: Any, tmp_path: Path, command: str, option: str) -> None:
    sound, other, packed = (tmp_path / f"{name}.csv" for name in ("sound", "other", "model"))
    soundfile.write(sound, np.zeros(16_000), 16_000, format="WAV")
    other.hardlink_to(sound)
    exchange.pack(kept.run("swishnet").key, kept.store.root, packed)
    (tmp_path / "link.csv").symlink_to(packed)
    before = sound.read_bytes(), packed.read_bytes()
    for target in (sound, other, packed, tmp_path / "link.csv"):
        found = CliRunner().invoke(app, [command, str(sound), "--run", str(packed), option, str(target)])
        assert isinstance(found.exception, SuiteError)
        assert f"{option} would take the place of" in str(found.exception)
    assert (sound.read_bytes(), packed.read_bytes()) == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "name a file, - for standard input, or --microphone"),
        (["x.wav", "--microphone"], "'x.wav' and --microphone cannot both be listened to: give only one"),
        (["x.wav", "--rate", "16000"], "--rate and --channels are for raw PCM"),
        (["-", "--channels", "2"], "whose --rate must be given"),
        (["-", "--input-device", "2"], "--input-device is for --microphone"),
        (["-", "--chunk", "0"], "a chunk of 0 s is not between a sample and a minute"),
    ],
)
def test_streams_that_are_wrong(kept: Any, arguments: list[str], words: str) -> None:
    found = call(kept, "stream", *arguments, ok=False)
    assert isinstance(found.exception, SuiteError)
    assert words in str(found.exception)
