"""`POST /predict`: the numbers of `Classifier`, and words for each way a file or a request can be wrong."""

import base64

import numpy as np
import pytest
import torch

from bench.errors import RunError
from bench.inference import load_model
from bench.inference.web import Limits, create_app
from bench.inference.web.engine import Engine
from datamodules.audio import decode_bytes

from .conftest import RATE, sound

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def model(kept):
    return load_model(kept.run("cnn").key, kept.store.root)


def test_a_clip_gets_the_classifiers_probabilities(server, model, kept):
    path = kept.sounds / "low" / "0.wav"
    answer = server.predict(path.read_bytes(), "0.wav").json()
    wanted = model.probabilities(model.logits(model.windows(model.load(path)).clips))[0]
    found = {each["class"]: each["probability"] for each in answer["top"]}
    assert found == pytest.approx(dict(zip(model.classes, wanted.tolist(), strict=True)), abs=1e-5)
    assert answer["file"] == "0.wav"
    assert answer["windows"]["starts"] == [0]
    assert answer["seconds"] == 1
    assert [each["probability"] for each in answer["top"]] == sorted(found.values(), reverse=True)


@pytest.mark.parametrize("seconds", [0.3, 1.0, 1.2, 7.77, 30])
@pytest.mark.parametrize("hop", [None, 0.4, 0.9])
def test_windows_are_those_of_the_classifier(server, model, seconds, hop):
    content = sound(seconds, 22_050)
    answer = server.predict(content, **({} if hop is None else {"hop": hop})).json()
    windows = model.windows(model.prepared(decode_bytes(content, "a", RATE)), hop)
    wanted = torch.cat([model.probabilities(model.logits(part[None])) for part in windows.clips])
    at = [answer["windows"]["classes"].index(name) for name in model.classes]
    np.testing.assert_allclose(np.array(answer["windows"]["probabilities"])[:, at], wanted, atol=2e-5)
    np.testing.assert_allclose(answer["windows"]["starts"], windows.starts, atol=1e-6)
    np.testing.assert_allclose(answer["windows"]["ends"], windows.ends, atol=1e-6)
    mean = {each["class"]: each["probability"] for each in answer["top"]}
    assert [mean[name] for name in model.classes] == pytest.approx(wanted.mean(0).tolist(), abs=2e-5)


@pytest.mark.parametrize("kind", ["WAV", "MP3", "FLAC", "OGG", "AIFF"])
def test_containers(server, kind):
    answer = server.predict(sound(2, kind=kind), f"a.{kind.lower()}").json()
    assert answer["seconds"] == pytest.approx(2, abs=0.1)


def test_a_run_is_chosen_by_name(server, kept):
    names = [each["run"] for each in server.client.get("/runs").json()["runs"]]
    assert names == [kept.run("cnn").key, kept.run("fusion-ds").key]
    content = sound()
    first, second, plain = (server.predict(content, **options).json() for options in (
        {"run": names[0]}, {"run": names[1]}, {}))  # fmt: skip
    assert first == plain
    assert second["run"] == names[1]
    assert second["top"] != first["top"]
    refused = server.predict(content, run="another")
    assert refused.status_code == 422
    assert names[1] in refused.json()["error"]["message"]


def test_pictures_show_the_whole_sound(server):
    rising = sound(9.5)
    answer = server.predict(rising, pictures=True).json()
    wave, mel = answer["waveform"], answer["spectrogram"]
    assert len(wave["high"]) * wave["seconds_per_column"] == pytest.approx(9.5, abs=2 * wave["seconds_per_column"])
    assert max(wave["high"]) == pytest.approx(0.33, abs=0.03)
    assert min(wave["low"]) == pytest.approx(-0.33, abs=0.03)
    assert mel["columns"] * mel["seconds_per_column"] == pytest.approx(9.5, abs=2 * mel["seconds_per_column"])
    values = np.frombuffer(base64.b64decode(mel["values"]), np.uint8).reshape(mel["bands"], mel["columns"])
    loudest = np.array(mel["hertz"])[values.argmax(0)]
    seconds = (np.arange(mel["columns"]) + 0.5) * mel["seconds_per_column"]
    tone = 300 + 400 * seconds  # the frequency of the chirp
    assert np.median(np.abs(loudest / tone - 1)) < 0.05
    assert np.percentile(np.abs(loudest / tone - 1), 97) < 0.12  # no seams


def test_pictures_of_a_short_and_of_a_long_sound(server):
    for seconds in (0.002, 0.05, 130):
        answer = server.predict(sound(seconds), pictures=True).json()
        for picture, count in (
            ("waveform", len(answer["waveform"]["high"])),
            ("spectrogram", answer["spectrogram"]["columns"]),
        ):
            assert 1 <= count <= 4000, picture
            covered = count * answer[picture]["seconds_per_column"]
            assert covered == pytest.approx(seconds, abs=max(0.011, 2 * answer[picture]["seconds_per_column"]))


def test_progress_comes_before_the_answer(server):
    lines = server.lines(sound(120), hop=0.25)
    shares = [line["progress"] for line in lines[:-1]]
    assert {each["state"] for each in shares} <= {"waiting", "working"}
    assert [each["seconds"] for each in shares] == sorted(each["seconds"] for each in shares)
    assert shares[-1]["of_seconds"] == 120
    assert lines[-1]["answer"]["seconds"] == 120


BAD = {
    "empty": (b"", 422, "is empty"),
    "text": (b"no sound at all, just words. " * 40, 422, "cannot be decoded"),
    "page": (b"<!doctype html><title>404</title>" + b"<p>not found</p>" * 40, 422, "cannot be decoded"),
    "cut": (sound(2)[:-4000], 422, "is cut off"),
    "cut-flac": (sound(2, kind="FLAC")[:-4000], 422, "'a.wav' "),
    "slow-rate": (sound(2, 2000), 422, "has 2000 Hz"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_gets_words(server, name):
    content, status, words = BAD[name]
    reply = server.predict(content)
    assert reply.status_code == status
    assert reply.json()["error"]["code"] == "audio"
    assert words in reply.json()["error"]["message"]
    (*_, last) = server.lines(content)
    assert last["status"] == status
    assert last["error"] == reply.json()["error"]


def test_a_sound_that_is_too_long_is_refused(serve):
    server = serve(limits=Limits(max_seconds=5, max_windows=8))
    reply = server.predict(sound(6))
    assert (reply.status_code, reply.json()["error"]["code"]) == (422, "audio")
    assert "cut it to at most 5 s" in reply.json()["error"]["message"]
    reply = server.predict(sound(4), hop=0.05)
    assert (reply.status_code, reply.json()["error"]["code"]) == (422, "windows")


FORM = {"content-type": "multipart/form-data; boundary=x"}
FORMS = {
    "json": ({"json": {"file": "a.wav"}}, 415, "application/json"),
    "raw": ({"content": b"RIFF", "headers": {"content-type": "audio/wav"}}, 415, "audio/wav"),
    "nothing": ({}, 415, "no type"),
    "urlencoded": ({"data": {"file": "/etc/passwd"}}, 415, "x-www-form-urlencoded"),
    "no-boundary": ({"content": b"--x", "headers": {"content-type": "multipart/form-data"}}, 400, "no boundary"),
    "long-boundary": (
        {"content": b"--x", "headers": {"content-type": "multipart/form-data; boundary=" + 2000 * "x"}},
        400,
        "boundary",
    ),
    "not-the-boundary": (
        {"content": b"--y\r\n\r\n", "headers": FORM}, 400, "damaged",
    ),
    "no-end": (
        {
            "content": b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nabc',
            "headers": FORM,
        },
        400, "ends before its end",
    ),
    "long-header": (
        {
            "content": b'--x\r\nContent-Disposition: form-data; name="file"; filename="' + 100_000 * b"a",
            "headers": FORM,
        },
        400, "damaged",
    ),
    "other-field": ({"files": {"sound": ("a.wav", b"RIFF")}}, 422, "'sound'"),
    "text-field": ({"files": {"file": (None, b"/etc/passwd")}}, 422, "holds text"),
    "two-files": ({"files": [("file", ("a.wav", b"RIFF")), ("file", ("b.wav", b"RIFF"))]}, 422, "several files"),
    "empty-form": ({"content": b"--x--\r\n", "headers": FORM}, 422, "no file"),
}  # fmt: skip


@pytest.mark.parametrize("name", FORMS)
def test_a_bad_form_gets_words(server, name):
    sent, status, words = FORMS[name]
    reply = server.client.post("/predict", **sent)
    assert reply.status_code == status, reply.text
    assert words in reply.json()["error"]["message"]


def test_a_parameter_in_the_form_is_sent_to_the_address(server):
    reply = server.client.post("/predict", data={"top": "3"}, files={"file": ("a.wav", sound())})
    assert reply.status_code == 422
    assert "has the field 'top'" in reply.json()["error"]["message"]
    assert reply.json()["error"]["message"].endswith("parameters stand behind the address, as in ?top=3")


@pytest.mark.parametrize("options", [
    {"top": 0}, {"top": "many"}, {"hop": 0}, {"hop": "nan"}, {"hop": "inf"}, {"hop": -1}, {"hop": 1e-9}, {"hop": 1.3},
    {"pictures": "?"},
])  # fmt: skip
def test_a_bad_parameter_gets_words(server, options):
    reply = server.predict(sound(), **options)
    assert reply.status_code == 422
    assert next(iter(options)) in reply.json()["error"]["message"]


@pytest.mark.parametrize(("query", "words"), [
    ("model=nope", "there is no parameter 'model'; there are run, top, hop, pictures"),
    ("top=1&top=2", "top is given 2 times, and takes one value"),
])  # fmt: skip
def test_a_parameter_that_is_not_there_is_refused(server, query, words):
    reply = server.client.post(f"/predict?{query}", files={"file": ("a.wav", sound())})
    assert (reply.status_code, words in reply.json()["error"]["message"]) == (400, True), reply.text
    reply = server.client.get("/runs?model=nope")
    assert reply.status_code == 400
    assert "this address has none" in reply.json()["error"]["message"]


def test_names_are_shown_and_never_opened(server):
    for name, shown in {
        "../../etc/passwd": "passwd",
        "C:\\sounds\\a.wav": "a.wav",
        "<img src=x onerror=alert(1)>.wav": "<img src=x onerror=alert(1)>.wav",
        "a\u202eb.wav": "a\N{REPLACEMENT CHARACTER}b.wav",
        'a"b\n.wav': 'a"b\N{REPLACEMENT CHARACTER}.wav',
        300 * "é": 119 * "é" + "…",
        "/": "sound",
    }.items():
        assert server.predict(sound(), name).json()["file"] == shown


def test_other_addresses_get_words(server):
    assert server.client.get("/nothing").status_code == 404
    assert server.client.get("/predict").status_code == 405
    assert server.client.put("/").json()["error"]["code"] == "http"


def test_runs_that_cannot_be_served(kept, model):
    with pytest.raises(RunError, match="each run once"):
        create_app([model, model])
    with pytest.raises(RunError, match="at least one"):
        create_app([])


def test_mixed_precision_changes_little(serve):
    content = sound(3)
    exact, mixed = (serve(amp=amp).predict(content).json() for amp in (False, True))
    shares = [{each["class"]: each["probability"] for each in answer["top"]} for answer in (exact, mixed)]
    assert shares[0] != shares[1]
    assert shares[0] == pytest.approx(shares[1], abs=0.05)


def test_a_fault_of_the_server_gets_words(serve, monkeypatch):
    def broken(*arguments):
        raise ZeroDivisionError("a secret")

    monkeypatch.setattr(Engine, "probabilities", broken)
    server = serve()
    reply = server.predict(sound())
    assert (reply.status_code, reply.json()["error"]["code"]) == (500, "unexpected")
    assert "secret" not in reply.text
    (*_, last) = server.lines(sound())
    assert last["error"]["code"] == "unexpected"


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")])
def test_too_little_memory_is_a_refusal_for_now(serve, monkeypatch, error):
    def full(*arguments):
        raise error

    monkeypatch.setattr(Engine, "probabilities", full)
    reply = serve().predict(sound())
    assert (reply.status_code, reply.json()["error"]["code"]) == (503, "busy")
    assert reply.headers["retry-after"] == "2"
