"""`bench serve` under requests that it must refuse, and under many clients.

    .venv/bin/python benchmarks/serve.py [--run REF --store DIR]

Without `--run`, a small model is trained first. The server is a process of its own, on a free port of this machine.

1. 310 hostile requests: bad files, bad forms, names of other files, 100 at once, clients that go away, slow clients,
   bodies that are too long. No answer may be 5xx but 503, no file may stay, and the memory may grow by 50 MB.
2. 20 hours of sound in one request, as WAV and as FLAC: refused in bounded memory.
3. 100 predictions by 20 clients: none wrong, none lost.

It prints a line per part and ends with exit code 1 where a bar is missed.
"""

import argparse
import io
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path

import httpx
import numpy as np
import soundfile

MAX_MIB = 100
MB = 1e6
START = ("-m", "bench")
"""How Python starts the command."""

HOURS = 20
FORM = {"content-type": "multipart/form-data; boundary=x"}
HEAD = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'


def sound(seconds: float, rate: int = 16_000, kind: str = "WAV", seed: int = 0) -> bytes:
    """Return a file with a tone and noise."""
    times = np.arange(round(seconds * rate)) / rate
    samples = 0.3 * np.sin(2 * np.pi * (300 + 100 * seed) * times)
    file = io.BytesIO()
    soundfile.write(file, samples + 0.01 * np.random.default_rng(seed).standard_normal(len(times)), rate, format=kind)
    return file.getvalue()


class Server:
    """A process of `bench serve`.

    Args:
        run: that it serves.
        store: where the run is.
        folder: for its temporary files.
    """

    def __init__(self, run: str, store: Path, folder: Path) -> None:
        self.temporary = folder / "temporary"
        self.temporary.mkdir()
        command = [sys.executable, *START, "serve", "--run", run, "--store", str(store), "--port", "0"]
        self.process = subprocess.Popen(
            [*command, "--max-mib", str(MAX_MIB)], stdout=subprocess.PIPE, text=True,
            env=os.environ | {"TMPDIR": str(self.temporary)},
        )  # fmt: skip
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("http://"):
                self.address = line.split()[0].rstrip("/")
                break
        else:
            raise SystemExit("the server did not start")
        self.port = int(self.address.rpartition(":")[2])
        self.peak = 0.0
        self._before = len(list(self.temporary.rglob("*")))  # torch's own folder
        self._done = threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()

    def memory(self) -> float:
        """Return the memory of the server and of its children, in MB."""
        total = 0
        for pid in [self.process.pid, *self._children(self.process.pid)]:
            with suppress(OSError, IndexError):
                total += int(Path(f"/proc/{pid}/status").read_text().split("VmRSS:")[1].split()[0])
        return total * 1024 / MB

    def files(self) -> int:
        """Return the number of temporary files, with or without a name."""
        open_files = 0
        for entry in Path(f"/proc/{self.process.pid}/fd").iterdir():
            with suppress(OSError):
                open_files += str(entry.readlink()).startswith(f"{self.temporary}/")
        return open_files + len(list(self.temporary.rglob("*"))) - self._before

    def end(self) -> None:
        """End the server."""
        self._done.set()
        self.process.terminate()
        self.process.wait()

    def _children(self, pid: int) -> list[int]:
        found = []
        for task in Path(f"/proc/{pid}/task").iterdir():
            with suppress(OSError):
                found += [int(each) for each in (task / "children").read_text().split()]
        return found + [deeper for each in found for deeper in self._children(each)]

    def _watch(self) -> None:
        while not self._done.wait(0.05):
            with suppress(OSError):
                self.peak = max(self.peak, self.memory())


def settled(condition: Callable[[], bool], seconds: float = 60) -> bool:
    """Wait until a condition holds."""
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.005)
    return True


def post(length: int | None) -> bytes:
    """Return the head of a request; without a length it is chunked."""
    size = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
    kind = f"Content-Type: {FORM['content-type']}"
    return f"POST /predict HTTP/1.1\r\nHost: localhost\r\n{kind}\r\n{size}\r\n\r\n".encode()


@contextmanager
def connected(server: Server) -> Iterator[socket.socket]:
    """Connect to the server."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as client:
        yield client


def status(client: socket.socket) -> int:
    """Return the status of the answer; 0 where the server closed without one."""
    received = b""
    with suppress(OSError):
        while b"\r\n" not in received and (part := client.recv(4096)):
            received += part
    return int(received.split()[1]) if received.startswith(b"HTTP/") else 0


def bad_files() -> Iterator[bytes]:
    """Yield 80 files that are no sound, or half of one, or have other bytes than they should."""
    rng = np.random.default_rng(0)
    kinds = [sound(1, kind=kind) for kind in ("WAV", "FLAC", "OGG", "MP3", "AIFF")]
    yield from (b"", b"RIFF", b"text " * 500, b"<!doctype html>" * 50, b"\x89PNG\r\n\x1a\n" + bytes(500))
    for content in kinds:
        yield from (content[: len(content) * part // 6] for part in range(1, 6))
        for _ in range(10):
            changed = bytearray(content)
            for place in rng.integers(12, len(content), 20):
                changed[place] = rng.integers(256)
            yield bytes(changed)


def bad_forms() -> Iterator[dict[str, object]]:
    """Yield 20 requests without one file in a whole form."""
    yield from ({"json": {"file": "a.wav"}}, {"data": {"file": "a.wav"}}, {}, {"content": b"RIFF"})
    yield from ({"content": b"x", "headers": {"content-type": kind}} for kind in ("audio/wav", "text/plain", "a", ";;"))
    yield from ({"content": b"--y\r\n", "headers": FORM}, {"content": b"--x--\r\n", "headers": FORM})
    yield from ({"content": HEAD + b"half", "headers": FORM}, {"content": b"", "headers": FORM})
    yield from ({"files": {name: ("a.wav", b"RIFF")}} for name in ("sound", "", "file[]", "FILE"))
    yield {"files": {"file": (None, b"/etc/passwd")}}
    yield {"files": [("file", ("a.wav", b"RIFF")), ("file", ("b.wav", b"RIFF"))]}
    yield {"content": b"--x\r\n" + 2000 * b"A: b\r\n" + b"\r\n", "headers": FORM}
    yield {"content": HEAD[:-4] + 20_000 * b"a", "headers": FORM}


NAMES = (
    "../../../etc/passwd", "/etc/passwd", "C:\\Windows\\win.ini", "file:///etc/passwd", "http://127.0.0.1:22/",
    "<script>alert(1)</script>.wav", '"><img src=x>.wav', "a\\..\\b.wav", "%2e%2e%2fpasswd", 5000 * "a",
)  # fmt: skip
ADDRESSES = (
    "/../../etc/passwd", "/..%2f..%2fetc/passwd", "/page.js/../app.py", "/predict?run=../../x", "/predict?run=http://127.0.0.1",
    "/%00", "/runs?x=" + 5000 * "a", "/docs/", "/static/../../x", "/predict?hop=1e-300",
)  # fmt: skip


def hostile(server: Server, count: int = 310) -> tuple[Counter[int], list[float]]:
    """Send 310 hostile requests; return how often each status came, and how long a cancelled work went on.

    Args:
        server: that gets them.
        count: of requests; fewer than 310 are the first of the bad files.
    """
    found: Counter[int] = Counter()
    with httpx.Client(base_url=server.address, timeout=120, trust_env=False) as client:
        for content in islice(bad_files(), count):
            found[client.post("/predict", files={"file": ("a.wav", content)}).status_code] += 1
        if count < 310:
            return found, []
        for sent in bad_forms():
            found[client.post("/predict", **sent).status_code] += 1  # type: ignore[arg-type]
        for name in NAMES:
            found[client.post("/predict", files={"file": (name, b"RIFF")}).status_code] += 1
        for address in ADDRESSES:
            found[client.post(address, files={"file": ("a.wav", b"RIFF")}).status_code] += 1
        content = sound(20)
        with ThreadPoolExecutor(100) as clients:
            replies = [clients.submit(client.post, "/predict", files={"file": ("a", content)}) for _ in range(100)]
        found.update(reply.result().status_code for reply in replies)
    cancelled = cancels(server, found)
    slow = [socket.create_connection(("127.0.0.1", server.port), timeout=60) for _ in range(20)]
    for at, each in enumerate(slow):
        each.sendall((b"GET / HTTP/1.1\r\nHost: lo", post(1000) + HEAD)[at % 2])
    found.update(status(each) for each in slow)
    for each in slow:
        each.close()
    for at in range(20):
        with connected(server) as each, suppress(ConnectionError):
            if at % 2:
                each.sendall(post(1 << 40) + HEAD)
            else:
                each.sendall(post(None) + b"%x\r\n%b\r\n" % (len(HEAD), HEAD))
                for _ in range(MAX_MIB + 2):
                    each.sendall(b"100000\r\n" + bytes(1 << 20) + b"\r\n")
            found[status(each)] += 1
    return found, cancelled


def cancels(server: Server, found: Counter[int]) -> list[float]:
    """Go away 25 times while a file is sent and 25 times while it is worked on."""
    body = HEAD + sound(600) + b"\r\n--x--\r\n"
    taken = []
    for at in range(50):
        assert settled(lambda: server.files() == 0)
        with connected(server) as client:
            client.sendall(post(len(body)) + (body if at % 2 else body[: 1 << 20]))
            assert settled(lambda: server.files() > 0)
            time.sleep(0.3 if at % 2 else 0)
        began = time.perf_counter()
        found[-1] += 1  # gone before an answer
        assert settled(lambda: server.files() == 0)
        if at % 2:
            taken.append(time.perf_counter() - began)
    return taken


def hours(server: Server) -> Iterator[str]:
    """Send 20 hours of sound as WAV and as FLAC; yield a line on each."""
    rate = 16_000
    size = HOURS * 3600 * rate * 2
    header = bytearray(sound(0.1)[:44])
    header[4:8], header[40:44] = (36 + size).to_bytes(4, "little"), size.to_bytes(4, "little")
    before, server.peak = server.memory(), 0.0
    sent = 0
    with connected(server) as client:
        client.sendall(post(None) + b"%x\r\n%b%b\r\n" % (len(HEAD) + 44, HEAD, header))
        client.settimeout(0)
        answer = b""
        while sent < size and not answer:
            with suppress(BlockingIOError):
                answer = client.recv(4096)
            client.settimeout(60)
            client.sendall(b"100000\r\n" + bytes(1 << 20) + b"\r\n")
            sent += 1 << 20
            client.settimeout(0)
        code = int(answer.split()[1])
    growth = max(server.peak, server.memory()) - before
    yield f"{HOURS} h as WAV: {code} after {sent / MB:,.0f} of {size / MB:,.0f} MB, memory +{growth:.0f} MB at most"
    assert code == 413
    assert growth < 50
    with tempfile.TemporaryFile() as file:
        with soundfile.SoundFile(file, "w", 8000, 1, "PCM_16", format="FLAC") as out:
            for _ in range(HOURS * 60):
                out.write(np.zeros(60 * 8000, np.int16))
        file.seek(0)
        content = file.read()
    before, server.peak = server.memory(), 0.0
    began = time.perf_counter()
    reply = httpx.post(f"{server.address}/predict", files={"file": ("a.flac", content)}, timeout=120, trust_env=False)
    taken = time.perf_counter() - began
    growth = max(server.peak, server.memory()) - before
    words = reply.json()["error"]["message"]
    size_mb = len(content) / MB
    yield f"{HOURS} h as FLAC of {size_mb:.1f} MB: {reply.status_code} in {taken:.1f} s, +{growth:.0f} MB: {words}"
    assert reply.status_code == 422
    assert growth < 50


def clients(server: Server) -> str:
    """Let 20 clients send 100 sounds; return a line."""
    sounds = [sound(5, seed=seed) for seed in range(5)]

    def predict(at: int) -> tuple[int, list[float]]:
        while True:
            reply = httpx.post(
                f"{server.address}/predict", files={"file": ("a.wav", sounds[at % 5])}, timeout=120, trust_env=False
            )
            if reply.status_code != 503:
                break
            time.sleep(float(reply.headers["retry-after"]))
        assert reply.status_code == 200, reply.text
        top = sorted(reply.json()["top"], key=lambda each: each["class"])
        return at % 5, [each["probability"] for each in top]

    alone = [predict(at)[1] for at in range(5)]
    began = time.perf_counter()
    with ThreadPoolExecutor(20) as pool:
        found = list(pool.map(predict, range(100)))
    taken = time.perf_counter() - began
    wrong = sum(not np.allclose(shares, alone[at], atol=1e-5) for at, shares in found)
    assert len(found) == 100
    assert not wrong
    return f"100 predictions of 5 s by 20 clients: {wrong} wrong, {100 - len(found)} lost, {taken:.1f} s"


def trained(folder: Path) -> tuple[str, Path]:
    """Train a small model on made sounds; return its suite's name for it and its store."""
    for number in range(12):
        for name in ("low", "high"):
            (folder / "sounds" / name).mkdir(parents=True, exist_ok=True)
            content = sound(1, seed=number + (20 if name == "high" else 0))
            (folder / "sounds" / name / f"{number}.wav").write_bytes(content)
    suite = folder / "small.toml"
    suite.write_text(
        'models = ["cnn"]\ndatasets = ["sounds"]\nfolds = [0]\n[recipe]\nepochs = 2\n[dataset.sounds]\n'
        f'dataset = "folder"\nroot = "{folder / "sounds"}"\nclip_seconds = 1.0\nsample_rate = 16000\n'
    )
    subprocess.run(
        [sys.executable, "-m", "bench", "run", "--suite", str(suite), "--store", str(folder / "runs"),
         "--executor", "serial", "--wandb", "disabled", "--data-dir", str(folder)],
        check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    return f"{suite}:cnn", folder / "runs"


def main() -> None:
    """Print a line per part."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run")
    parser.add_argument("--store", type=Path, default=Path("runs"))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run, store = (arguments.run, arguments.store) if arguments.run else trained(folder)
        server = Server(run, store, folder)
        try:
            print(clients(server))
            before = server.memory()
            found, cancelled = hostile(server)
            assert settled(lambda: server.files() == 0)
            print(clients(server))  # with as many decoders as before: those of cancelled sounds were ended
            growth = server.memory() - before
            print(f"{found.total()} hostile requests: {dict(sorted(found.items()))} (0: closed, -1: the client left)")
            print(f"memory {growth:+.0f} MB, {server.files()} files left")
            print(f"cancelled work ended after {np.median(cancelled):.3f} s, {max(cancelled):.3f} s at most")
            assert found.total() == 310
            assert not [code for code in found if code >= 500 and code != 503]
            assert growth < 50
            assert max(cancelled) < 0.2
            for line in hours(server):
                print(line)
        finally:
            server.end()


if __name__ == "__main__":
    main()
