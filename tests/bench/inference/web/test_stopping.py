"""A server that ends while it works: clients get the status 503 with words, and the log stays empty."""

import threading
import time

import httpx
import pytest

from bench.inference import load_model
from bench.inference.web import jobs

from .conftest import serving, sound


@pytest.fixture
def endless(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Let the work on each sound last until it is stopped; the event says that it has begun."""
    begun = threading.Event()

    def analyse(engine, blocks, options, max_windows, stop, report):
        begun.set()
        while not stop():
            time.sleep(0.01)
        raise jobs.Stopped

    monkeypatch.setattr(jobs, "analyse", analyse)
    return begun


@pytest.mark.parametrize("lines", [False, True])
def test_a_request_that_the_end_interrupts_gets_words(kept, endless, capfd, lines: bool) -> None:
    model = load_model(kept.run("cnn").key, kept.store.root)
    replies = []

    def ask(port: int) -> None:
        headers = {"Accept": "application/x-ndjson"} if lines else {}
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False) as client:
            replies.append(client.post("/predict", files={"file": ("a.wav", sound())}, headers=headers))

    with serving([model]) as server:
        asking = threading.Thread(target=ask, args=(server.port,))
        asking.start()
        assert endless.wait(30)
    asking.join(30)
    (reply,) = replies
    error = {"code": "busy", "message": "the server is stopping: try again in a moment"}
    if lines:
        assert reply.status_code == 200
        assert httpx.Response(200, text=reply.text.splitlines()[-1]).json() == {"error": error, "status": 503}
    else:
        assert (reply.status_code, reply.json()) == (503, {"error": error})
        assert int(reply.headers["Retry-After"]) > 0
    assert capfd.readouterr().err == ""
