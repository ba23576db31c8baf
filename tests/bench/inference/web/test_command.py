"""`bench serve` as a process: it prints its address, answers, and ends when it is told to."""

import json
import os
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import httpx
import pytest

from bench.cli import serve as command

from .conftest import sound

pytestmark = [pytest.mark.process, pytest.mark.slow]


def call(*arguments: object) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "bench", "serve", *map(str, arguments)]
    return subprocess.run(words, capture_output=True, text=True, timeout=120)


def test_it_serves_until_it_is_interrupted(kept, start):
    system = f"{kept.suite}:cnn@f0"
    process = start(
        [sys.executable, "-m", "bench", "serve", "--run", system, "--store", str(kept.store.root), "--port", "0"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert "3 classes" in process.stdout.readline()
    address = process.stdout.readline().split()[0]
    assert address.startswith("http://127.0.0.1:")
    with httpx.Client(base_url=address, trust_env=False, timeout=60) as client:
        answer = client.post("/predict", files={"file": ("a.wav", sound())}).json()
        assert answer["run"] == system
        with client.stream("POST", "/predict", files={"file": ("a.wav", sound(3000, 8000))}, headers={
            "Accept": "application/x-ndjson"}) as reply:  # fmt: skip
            next(reply.iter_lines())
            process.send_signal(signal.SIGINT)  # in the middle of its work
            assert process.wait(60) == 0
    out, err = process.communicate()
    assert out == "ended\n"
    assert err == ""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the memory of a process is read from /proc")
def test_cancelled_sounds_leave_no_memory(kept, start):
    process = start(
        [sys.executable, "-m", "bench", "serve", "--run", kept.run("cnn").key, "--store", str(kept.store.root),
         "--port", "0"], stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    process.stdout.readline()
    address = process.stdout.readline().split()[0]
    content = sound(600)

    def megabytes() -> float:
        words = Path(f"/proc/{process.pid}/status").read_text()
        return int(words.partition("RssAnon:")[2].split()[0]) / 1024

    def cancel(times: int) -> None:
        for _ in range(times):
            with httpx.Client(base_url=address, trust_env=False, timeout=60) as client, client.stream(
                "POST", "/predict", files={"file": ("a.wav", content)}, headers={"Accept": "application/x-ndjson"}
            ) as reply:  # fmt: skip
                lines = map(json.loads, reply.iter_lines())
                assert any(line["progress"]["seconds"] > 0 for line in lines)

    cancel(5)
    before = megabytes()
    cancel(30)
    assert megabytes() - before < 25  # it would be 2 for each, if none were freed


def test_another_address_needs_a_token(kept):
    done = call("--run", kept.run("cnn").key, "--store", kept.store.root, "--host", "0.0.0.0")
    assert done.returncode == 2
    assert "--token" in done.stderr


def test_a_run_that_is_missing_gets_words(kept):
    done = call("--run", "nothing", "--store", kept.store.root)
    assert done.returncode == 2
    assert "'nothing' is no run" in done.stderr
    assert "Traceback" not in done.stderr


def test_without_the_extra_the_message_names_it(monkeypatch):
    monkeypatch.setattr(command, "find_spec", lambda name: None if name == "uvicorn" else find_spec(name))
    with pytest.raises(command.RunError, match=r"uvicorn, of the extra \[web\]"):
        command.serve(["a"])


def test_help_imports_no_torch():
    program = "import sys; from bench.cli import main; sys.exit('torch' in sys.modules or 'fastapi' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], env=os.environ).returncode == 0
