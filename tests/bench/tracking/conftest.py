"""Mirrors that do not outlive a test, and a server that never answers."""

import socket
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from bench.tracking import Mirror


@pytest.fixture
def mirrored() -> Iterator[Callable[..., Mirror]]:
    """Open mirrors whose processes do not outlive the test, whether it passes or fails."""
    children: list[subprocess.Popen[bytes]] = []

    def opened(*arguments: Any) -> Mirror:
        mirror = Mirror(*arguments)
        assert mirror._child is not None
        children.append(mirror._child)
        return mirror

    yield opened
    for child in children:
        child.kill()
        child.wait()


@pytest.fixture
def black_hole() -> Iterator[str]:
    """A server that accepts and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=8) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
