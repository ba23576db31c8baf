"""The command that installs an extra works from every folder."""

import json
import re
import tomllib
from importlib import metadata
from pathlib import Path
from unittest import mock

import pytest

from bench import extras


@pytest.mark.parametrize(
    ("origin", "command"),
    [
        ({"url": "file:///a%20b", "dir_info": {"editable": True}}, 'pip install -e "/a b[export,openvino]"'),
        ({"url": "file:///a/b", "dir_info": {}}, 'pip install "/a/b[export,openvino]"'),
        (
            {"url": "https://host/x.git", "vcs_info": {"vcs": "git", "commit_id": "0"}},
            'pip install "audio-classification-bench[export,openvino] @ git+https://host/x.git"',
        ),
        (None, 'pip install "audio-classification-bench[export,openvino]"'),
    ],
)
def test_where_it_was_installed_from(monkeypatch, origin: object, command: str) -> None:
    text = None if origin is None else json.dumps(origin)
    monkeypatch.setattr(metadata, "distribution", lambda name: mock.Mock(read_text=lambda file: text))
    assert extras.install("export", "openvino") == command


def test_a_clone_on_the_path(monkeypatch) -> None:
    monkeypatch.setattr(metadata, "distribution", mock.Mock(side_effect=metadata.PackageNotFoundError))
    clone = Path(__file__).parents[2]
    assert extras.install("web") == f'pip install -c "{clone}/constraints.txt" -e "{clone}[web]"'
    assert (Path(__file__).parents[2] / "pyproject.toml").is_file()


def test_the_documentation_lists_every_extra() -> None:
    root = Path(__file__).parents[2]
    known = tomllib.loads((root / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    text = (root / "docs" / "running.md").read_text().partition("| extra |")[2].partition("\n\n")[0]
    assert [line.split("`")[1] for line in text.splitlines()[2:]] == sorted(set(known) - {"dev"})


def test_messages_of_missing_extras_use_it() -> None:
    """A path in such a message is right only where the clone lies."""
    bench = Path(__file__).parents[2] / "bench"
    own = [path for path in bench.rglob("*.py") if path.name != "extras.py"]
    assert not [path for path in own if re.search(r"pip install (-e|'audio-)", path.read_text(encoding="utf-8"))]
