"""The command line in a folder of its own."""

from pathlib import Path

import pytest
from fakes import own


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> own.Bench:
    return own.Bench(tmp_path, monkeypatch)
