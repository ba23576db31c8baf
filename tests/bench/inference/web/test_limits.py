"""Clients that send too much, too slowly, too often, or go away: each gets an answer, and nothing is left of it."""

import json
import socket
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from bench.inference import load_model
from bench.inference.web import Limits
from bench.inference.web.engine import Engine
from datamodules.audio import in_child

from .conftest import sound

pytestmark = pytest.mark.process
HEAD = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'


@pytest.fixture
def open_files(tmp_path, monkeypatch) -> Callable[[], int]:
    """Return what counts the temporary files of this process, which have no name and are gone when they are closed."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def count() -> int:
        assert not list(tmp_path.iterdir())
        found = 0
        for entry in Path("/proc/self/fd").iterdir():
            with suppress(OSError):
                found += str(entry.readlink()).startswith(f"{tmp_path}/")
        return found

    return count


def children() -> set[str]:
    """Return the ids of the processes that this one has started and not yet seen end."""
    return {pid for task in Path("/proc/self/task").iterdir() for pid in (task / "children").read_text().split()}


def settled(condition) -> bool:
    """Wait until a condition holds; say whether it came to hold within a long time."""
    until = time.monotonic() + 20
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.01)
    return True


def connected(port: int, head: bytes = b"") -> socket.socket:
    client = socket.create_connection(("127.0.0.1", port), timeout=30)
    client.sendall(head)
    return client


def post(length: int | None) -> bytes:
    size = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
    return (
        "POST /predict HTTP/1.1\r\nHost: localhost\r\nAccept: application/x-ndjson\r\n"
        f"Content-Type: multipart/form-data; boundary=x\r\n{size}\r\n\r\n"
    ).encode()


def answer(client: socket.socket) -> tuple[int, dict]:
    """Return status and content of an answer with a length."""
    received = b""
    while b"\r\n\r\n" not in received:
        part = client.recv(1 << 16)
        assert part, f"the server closed after {received!r}"
        received += part
    head, _, content = received.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].split()[0])
    while len(content) < length:
        content += client.recv(1 << 16)
    return int(head.split()[1]), json.loads(content)


def test_a_body_that_is_too_long_is_refused_before_it_is_read(serve):
    server = serve(limits=Limits(max_bytes=1 << 20))
    with connected(server.port, post(1 << 40)) as client:
        status, content = answer(client)
    assert (status, content["error"]["code"]) == (413, "too-large")
    assert "1 MiB" in content["error"]["message"]


def test_an_endless_body_is_refused_at_the_limit(serve, open_files):
    server = serve(limits=Limits(max_bytes=1 << 20))
    with connected(server.port, post(None)) as client:
        client.sendall(b"%x\r\n%b\r\n" % (len(HEAD), HEAD))
        for _ in range(24):  # 1.5 MiB, after which the server is not done with the request
            client.sendall(b"10000\r\n" + bytes(1 << 16) + b"\r\n")
        status, content = answer(client)
    assert (status, content["error"]["code"]) == (413, "too-large")
    assert settled(lambda: not open_files())


def test_a_file_at_the_limit_is_taken(serve):
    content = sound(2)
    assert serve(limits=Limits(max_bytes=len(content))).predict(content).status_code == 200
    assert serve(limits=Limits(max_bytes=len(content) - 1)).predict(content).status_code == 413


def test_a_body_that_stops_to_arrive_is_refused(serve, open_files):
    server = serve(limits=Limits(patience=0.3))
    with connected(server.port, post(10_000) + HEAD) as client:
        status, content = answer(client)
    assert (status, content["error"]["code"]) == (408, "slow")
    assert settled(lambda: not open_files())


@pytest.mark.parametrize(
    "head", [b"", b"GET / HTTP/1.1\r\nHost: loc", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\nGET / HT"]
)
def test_a_connection_without_a_whole_request_is_closed(serve, head):
    server = serve(limits=Limits(patience=0.3))
    with connected(server.port, head) as client:
        while client.recv(1 << 16):
            pass


def test_connections_are_limited(serve):
    server = serve(limits=Limits(connections=4))
    clients = [connected(server.port) for _ in range(12)]
    try:
        assert settled(lambda: sum(is_closed(client) for client in clients) >= 8)
    finally:
        for client in clients:
            client.close()
    assert settled(lambda: server.client.get("/runs").status_code == 200)


def is_closed(client: socket.socket) -> bool:
    client.settimeout(0.01)
    try:
        return client.recv(1) == b""
    except TimeoutError:
        return False
    except ConnectionError:
        return True


@pytest.mark.parametrize("request_line", [
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", b"GET /%ff%fe HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET / HTTP/9.9\r\n\r\n", b"GET http://example.org/ HTTP/1.1\r\nHost: example.org\r\n\r\n",
    b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n",
    b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"POST /predict HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n",
    b"GET /" + 70_000 * b"a" + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", b"GET / HTTP/1.1\r\n" + 3000 * b"A: b\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    b"GET /..%2f..%2fetc%2fpasswd HTTP/1.1\r\nHost: localhost\r\n\r\n", b"HEAD / HTTP/1.0\r\n\r\n",
])  # fmt: skip
def test_requests_that_are_none_get_no_5xx(server, request_line):
    with connected(server.port) as client, suppress(ConnectionError):
        client.sendall(request_line)
        client.shutdown(socket.SHUT_WR)
        received = b""
        with suppress(ConnectionError):
            while part := client.recv(1 << 16):
                received += part
        assert not received or received.startswith((b"HTTP/1.1 4", b"HTTP/1.1 2")), received
    assert server.client.get("/runs").status_code == 200


@pytest.fixture
def slow(monkeypatch):
    """Let every batch wait until it is stopped or the event is set."""
    release = threading.Event()
    entered = threading.Event()
    plain = Engine.probabilities

    def waiting(self, clips, stop=lambda: False):
        entered.set()
        while not release.wait(0.005):
            if stop():
                break
        return plain(self, clips, stop)

    monkeypatch.setattr(Engine, "probabilities", waiting)
    yield release, entered
    release.set()


def test_a_full_queue_refuses_for_now_and_recovers(serve, slow, open_files):
    release, _ = slow
    server = serve(limits=Limits(workers=1, waiting=2, retry_after=7))
    content = sound()
    with ThreadPoolExecutor(10) as clients:
        replies = [clients.submit(server.predict, content) for _ in range(10)]
        assert settled(lambda: sum(reply.done() for reply in replies) == 7)
        release.set()
        found = [reply.result() for reply in replies]
    assert Counter(reply.status_code for reply in found) == {200: 3, 503: 7}
    for reply in found:
        if reply.status_code == 503:
            assert reply.headers["retry-after"] == "7"
            assert reply.json()["error"]["code"] == "busy"
    assert server.predict(content).status_code == 200
    assert settled(lambda: not open_files())


@pytest.mark.parametrize("lines", [True, False])
def test_a_client_that_goes_away_stops_the_work(serve, slow, lines, open_files):
    release, entered = slow
    server = serve(limits=Limits(workers=1, waiting=0))
    body = HEAD + sound(60) + b"\r\n--x--\r\n"
    head = post(len(body)) if lines else post(len(body)).replace(b"Accept: application/x-ndjson\r\n", b"")
    with connected(server.port, head + body):
        assert entered.wait(20)
        assert server.predict(sound()).status_code == 503
    release.set()  # whoever comes now is served, because the first one has gone
    assert settled(lambda: server.predict(sound()).status_code == 200)
    assert settled(lambda: not open_files())


def test_a_client_that_goes_away_gives_its_place_in_the_queue_back(serve, slow, open_files):
    release, entered = slow
    server = serve(limits=Limits(workers=1, waiting=1))
    body = HEAD + sound() + b"\r\n--x--\r\n"
    with connected(server.port, post(len(body)) + body):
        assert entered.wait(20)
        with connected(server.port, post(len(body)) + body):
            assert settled(lambda: open_files() == 2)
        assert settled(lambda: open_files() == 1)
    assert settled(lambda: not open_files())
    release.set()


def test_a_client_that_goes_away_while_it_sends_leaves_nothing(serve, open_files):
    server = serve()
    for _ in range(20):
        with connected(server.port, post(1 << 20) + HEAD + bytes(1 << 16)):
            pass
    assert settled(lambda: not open_files())
    assert server.predict(sound()).status_code == 200


def slowly(blocks):
    for block in blocks:
        time.sleep(0.1)
        yield block


def test_stopping_ends_the_child_that_decodes():
    content = sound(300)
    stop = threading.Event()
    blocks = in_child.decode_in_child(
        lambda place, length: content[place : place + length], len(content), "a", 8000, stop=stop.is_set
    )
    next(blocks)
    before = children()
    stop.set()
    with pytest.raises(in_child.Stopped):
        list(slowly(blocks))
    assert len(children()) == len(before) - 1


def test_a_sound_that_is_refused_before_its_end_leaves_no_process(serve):
    server = serve(limits=Limits(max_windows=2, workers=1))
    known = children()
    for _ in range(3):
        assert server.predict(sound(300)).json()["error"]["code"] == "windows"
        assert len(children() - known) <= 1


def test_a_stopped_computation_ends_between_layers(kept):
    engine = Engine(load_model(kept.run("cnn").key, kept.store.root))
    seen = []

    def stop():
        seen.append(1)
        return len(seen) == 4

    with pytest.raises(in_child.Stopped):
        engine.probabilities(torch.zeros(1, engine.model.samples), stop)
    assert len(seen) == 4
    assert engine.probabilities(torch.zeros(1, engine.model.samples)).shape == (1, 3)


def test_batches_grow_while_no_layer_takes_long_and_shrink_where_one_does(kept, monkeypatch):
    now, taken = [0.0], [0.001]

    def clock():
        now[0] += taken[0]
        return now[0]

    monkeypatch.setattr("bench.inference.web.engine.time", SimpleNamespace(perf_counter=clock))
    made = Engine(load_model(kept.run("cnn").key, kept.store.root, device="cpu"))
    sizes = []
    for gap in (0.001, 0.001, 0.001, 0.05, 0.2, 0.2, 0.2, 0.001):
        sizes.append(made.batch)
        taken[0] = gap
        made.probabilities(torch.zeros(made.batch, made.model.samples))
    assert sizes == [1, 2, 4, 4, 4, 2, 1, 1]
    assert made.batch == 2


def test_many_clients_get_their_own_answers(server):
    sounds = {seed: sound(1 + seed % 3, seed=seed) for seed in range(6)}
    wanted = {seed: server.predict(content).json()["top"] for seed, content in sounds.items()}
    with ThreadPoolExecutor(8) as clients:
        replies = {(seed, turn): clients.submit(server.predict, sounds[seed]) for seed in sounds for turn in range(4)}
        for (seed, _), reply in replies.items():
            assert reply.result().status_code == 200
            assert [each["class"] for each in reply.result().json()["top"]] == [each["class"] for each in wanted[seed]]
            for found, known in zip(reply.result().json()["top"], wanted[seed], strict=True):
                assert found["probability"] == pytest.approx(known["probability"], abs=1e-5)
