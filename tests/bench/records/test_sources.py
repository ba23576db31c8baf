"""Digests of source code, and what follows from a difference."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes import foreign

from bench import lookup, suites
from bench.leaderboard.board import leaderboards
from bench.records import Recipe, Record, Run, parsed, sources

NET = "my_package.net:Net"


@pytest.fixture
def package(tmp_path: Path) -> Iterator[Path]:
    foreign.write(tmp_path)
    lookup.forget()
    lookup.permit({NET: tmp_path, "my_package.data:Mine": tmp_path})
    yield tmp_path / "my_package"
    lookup.forget()


def now(target: str = NET) -> str | None:
    sources.refresh()
    return sources.digest(target)


def test_comments_docstrings_and_layout_do_not_count(package: Path) -> None:
    before = now()
    net = package / "net.py"
    net.write_text(
        net.read_text().replace('"""A model."""', '"""Another\ndocstring."""\n\n\n').replace("  # a comment", "")
    )
    parts = package / "parts.py"
    parts.write_text(
        parts.read_text().replace('    """A linear layer."""\n', "").replace("inputs, outputs)", "inputs,\n  outputs)")
    )
    assert now() == before


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("net.py", "hidden=4", "hidden=5"),
        ("net.py", ".relu()", ".tanh()"),
        ("parts.py", "nn.Linear(inputs", "nn.Bilinear(inputs"),
    ],
)
def test_code_counts_in_the_module_and_in_what_it_imports(package: Path, file: str, old: str, new: str) -> None:
    before = now()
    path = package / file
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    assert now() != before


def test_other_modules_do_not_count(package: Path) -> None:
    before = now(), now("my_package.data:Mine")
    (package / "data.py").write_text((package / "data.py").read_text().replace("18", "20"))
    assert now() == before[0]
    assert now("my_package.data:Mine") != before[1]


def test_relative_imports_and_packages_are_followed(package: Path) -> None:
    sub = package / "sub"
    sub.mkdir()
    (sub / "__init__.py").write_text("from .deep import value\n")
    (sub / "deep.py").write_text("value = 1\n")
    (package / "parts.py").write_text("from . import sub\n\nhead = sub.value\n")
    before = now()
    (sub / "deep.py").write_text("value = 2\n")
    assert now() != before


def test_a_module_next_to_the_suite_counts(package: Path) -> None:
    (package / "parts.py").write_text("import beside\n\nhead = beside.value\n")
    (package.parent / "beside.py").write_text("value = 1\n")
    before = now()
    (package.parent / "beside.py").write_text("value = 2\n")
    assert now() != before


def test_the_digest_of_a_text_is_the_same_everywhere(tmp_path: Path) -> None:
    (tmp_path / "alone.py").write_text(
        '"""Doc."""\nfrom typing import Any\n\n\ndef f(x: int = 1, *y: Any) -> str:\n    return f"{x!r:>4} {y}"\n'
    )
    lookup.permit({"alone:f": tmp_path})
    assert now("alone:f") == now("alone:f")
    assert len(now("alone:f") or "") == 16


def test_another_source_gives_another_key_and_built_in_runs_keep_theirs(package: Path) -> None:
    suite = package.parent / "mine.toml"
    mine, fc = suites.read(str(suite)).runs()
    assert mine.sources["dataset"]["digest"] == fc.sources["dataset"]["digest"]
    assert set(fc.sources) == {"dataset"}
    path = package / "net.py"
    path.write_text(path.read_text().replace("hidden=4", "hidden=5"))
    new, same = suites.read(str(suite)).runs()
    assert new.key != mine.key
    assert new.is_like(mine)
    assert same.key == fc.key
    built_in = Run(model="cnn", frontend="logmel-20ms", dataset="esc10", recipe=Recipe(epochs=3))
    assert built_in.key == "esc10-logmel-20ms-cnn-f0-s0-" + built_in.key[-8:]
    text = Record(run=built_in, status="ok").to_json()
    assert "sources" not in json.loads(text)
    assert "sources" not in json.loads(text)["run"]


def test_keys_are_names_of_files_everywhere() -> None:
    long = Run(model=f"{'a' * 300}.b:Naïve", frontend="x:Y", dataset="d.e:F")
    assert suites.suite.KEY.fullmatch(long.key)
    assert long.key.isascii()
    assert len(long.key) < 240
    assert ":" not in long.key
    assert long.key != Run(model=f"{'b' * 300}.b:Naïve", frontend="x:Y", dataset="d.e:F").key


def test_a_row_of_another_source_is_marked() -> None:
    run = Run(model="cnn", frontend="logmel-20ms", dataset="synthetic")
    current = sources.digests(run)
    assert set(current) == {"model", "frontend", "dataset"}

    def flags(**given: str) -> tuple[str, ...]:
        (board,) = leaderboards([run], {run.key: Record(run=run, status="ok", scores={"accuracy": 0.5}, sources=given)})
        return board.rows[0].flags

    assert flags() == ()
    assert flags(**current) == ()
    assert flags(**current | {"model": "0"}) == ("measured with another version of the source of the model",)
    assert flags(**current | {"frontend": "0", "dataset": "0"}) == (
        "measured with another version of the source of the front-end and the dataset",
    )


@pytest.mark.slow
def test_every_built_in_component_has_a_digest() -> None:
    for run in suites.read("all").runs():
        assert "model" in sources.digests(run)
        assert "dataset" in sources.digests(run)


def test_a_child_does_not_parse_again_what_its_parent_knows(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = now()
    told = sources.known()
    monkeypatch.setattr(sources, "kept", lambda: parsed.Kept(package / "none" / "sources.json"))
    monkeypatch.setattr(sources, "_known", {})  # as in a child
    monkeypatch.setattr(lookup, "_trees", {})
    sources.trust(told)
    read: list[Path] = []
    parse = lookup.parsed
    monkeypatch.setattr(lookup, "parsed", lambda path: (read.append(path), parse(path))[1])
    assert now() == before
    assert not read
    parts = package / "parts.py"
    parts.write_text(parts.read_text().replace("nn.Linear(inputs", "nn.Bilinear(inputs"))
    assert now() != before
    assert set(read) == {parts}
