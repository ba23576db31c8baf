"""Tests of what is kept about source files from one command to the next."""

import json
from pathlib import Path

import pytest

from bench import lookup
from bench.records import parsed, sources

TARGET = "models.cnn:CNN"


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> parsed.Kept:
    found = parsed.Kept(tmp_path / "cache" / "sources.json")
    another_process(monkeypatch, found)
    return found


def another_process(patch: pytest.MonkeyPatch, kept: parsed.Kept) -> None:
    """Forget what this process knows, and use this file."""
    sources.refresh()
    patch.setattr(sources, "_known", {})
    patch.setattr(sources, "kept", lambda: kept)


def test_a_later_command_parses_nothing_and_finds_the_same_digest(
    kept: parsed.Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    files, digest = sources.files(TARGET), sources.digest(TARGET)
    another_process(monkeypatch, parsed.Kept(kept.path))
    monkeypatch.setattr(lookup, "parsed", lambda path: pytest.fail(f"parsed {path}"))
    assert (sources.files(TARGET), sources.digest(TARGET)) == (files, digest)


def test_other_content_is_parsed(tmp_path: Path, kept: parsed.Kept) -> None:
    kept.add("a", Path("a.py"), b"x = 1", (("b",), "0"))
    assert kept.get("a", Path("a.py"), b"x = 1") == (("b",), "0")
    assert kept.get("a", Path("a.py"), b"x = 2") is None
    assert kept.get("a", Path("a/__init__.py"), b"x = 1") is None  # its relative imports mean other modules
    assert kept.get("b", Path("a.py"), b"x = 1") is None


@pytest.mark.parametrize("content", ["", "[1]", '{"a": 1}', '{"a": [1, 2]}', "\udcff"])
def test_a_damaged_file_is_passed_over(tmp_path: Path, content: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "sources.json"
    path.write_bytes(content.encode(errors="surrogateescape"))
    another_process(monkeypatch, parsed.Kept(path))
    assert len(sources.digest(TARGET) or "") == 16
    assert len(json.loads(path.read_text())) >= 1


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    another_process(monkeypatch, parsed.Kept(tmp_path / "file" / "sources.json"))
    assert sources.digest(TARGET) is not None


def test_the_oldest_make_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parsed, "MOST", 2)
    kept = parsed.Kept(tmp_path / "sources.json")
    for number in range(3):
        kept.add("a", Path("a.py"), str(number).encode(), ((), str(number)))
        kept.save()
    assert [parsed.Kept(kept.path).get("a", Path("a.py"), str(n).encode()) for n in range(3)] == [
        None, ((), "1"), ((), "2"),
    ]  # fmt: skip
