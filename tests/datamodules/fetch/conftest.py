"""A web server on this machine."""

from collections.abc import Iterator

import pytest
from fakes.server import Server, serving

from datamodules.fetch import download as downloading


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(downloading, "BACKOFF", 0.0)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving() as state:
        yield state
