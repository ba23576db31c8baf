"""Servers in threads of this process, at ports of their own."""

import io
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile
import uvicorn

from bench.inference import load_model
from bench.inference.classifier import Classifier
from bench.inference.web import Limits, configured, create_app
from bench.inference.web.server import listen

RATE = 16_000


@dataclass(frozen=True)
class Server:
    """A server that answers.

    Attributes:
        port: at 127.0.0.1.
        client: sends requests to it.
    """

    port: int
    client: httpx.Client

    def predict(self, content: bytes, name: str = "a.wav", **options: Any) -> httpx.Response:
        """Send a file; `options` are parameters of the address."""
        return self.client.post("/predict", files={"file": (name, content)}, params=options)

    def lines(self, content: bytes, name: str = "a.wav", **options: Any) -> list[dict[str, Any]]:
        """Send a file and return every line of the answer."""
        reply = self.client.post(
            "/predict", files={"file": (name, content)}, params=options, headers={"Accept": "application/x-ndjson"}
        )
        assert reply.status_code == 200
        return [json.loads(line) for line in reply.text.splitlines()]


@contextmanager
def serving(models: list[Classifier], limits: Limits | None = None, **options: Any) -> Iterator[Server]:
    """Serve models while the context lasts."""
    limits = limits or Limits()
    with listen("127.0.0.1", 0) as socket:
        server = uvicorn.Server(configured(create_app(models, limits=limits, **options), limits))
        thread = threading.Thread(target=server.run, args=([socket],))
        thread.start()
        port = socket.getsockname()[1]
        try:
            while not server.started:
                time.sleep(0.01)
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False) as client:
                yield Server(port, client)
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture
def serve(kept: Any) -> Iterator[Callable[..., Server]]:
    """Serve systems of the kept store by name, with other limits and options than the default ones."""
    with ExitStack() as stack:

        def start(*names: str, limits: Limits | None = None, **options: Any) -> Server:
            models = [load_model(kept.run(name).key, kept.store.root) for name in names or ("cnn",)]
            return stack.enter_context(serving(models, limits, **options))

        yield start


@pytest.fixture(scope="module")
def server(kept: Any) -> Iterator[Server]:
    """A server of two runs with the usual limits."""
    models = [load_model(kept.run(name).key, kept.store.root) for name in ("cnn", "fusion-ds")]
    with serving(models) as started:
        yield started


def sound(seconds: float = 1.0, rate: int = RATE, kind: str = "WAV", seed: int = 0) -> bytes:
    """Return a file with a tone that rises, and noise."""
    time = np.arange(round(seconds * rate)) / rate
    samples = 0.3 * np.sin(2 * np.pi * (300 + 200 * time) * time)
    samples += 0.01 * np.random.default_rng(seed).standard_normal(len(time))
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=kind)
    return file.getvalue()
