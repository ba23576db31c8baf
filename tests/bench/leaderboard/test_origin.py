"""Tests of when the page and the plots of a suite are left alone."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
from fakes.boards import record

from bench import suites
from bench.leaderboard import clips, files, origin, render
from bench.records import Record, Snapshot, Store, artifacts

SUITE = 'models = ["cnn", "fc"]\ndatasets = ["esc10"]\nfolds = [0, 1]\n'


@pytest.fixture
def store(tmp_path):
    """A store with the records of a suite, drawn as `bench run` draws it."""
    (tmp_path / "few.toml").write_text(SUITE)
    store = Store(tmp_path)
    for run in suites.read(str(tmp_path / "few.toml")).runs():
        store.write(record(run, 0.5))
    draw(store)
    return store


def draw(store: Store, passed_over: list[str] | None = None) -> None:
    grid = suites.read(str(store.root / "few.toml"))
    files.draw(Snapshot(store, grid.runs()), grid, passed_over=passed_over, keep_page=True)


@pytest.fixture
def pages(monkeypatch):
    """The titles of the pages that are drawn."""
    drawn = []
    html = render.html

    def noted(title, *others):
        drawn.append(title)
        return html(title, *others)

    monkeypatch.setattr(render, "html", noted)
    return drawn


def first(store: Store) -> Record:
    return next(record for key in store.keys() if (record := store.get(key)))  # noqa: SIM118 - a store is no mapping


def edit_page(store: Store) -> None:
    (store.root / "few.html").write_text("edited")


def remove_plot(store: Store) -> None:
    next((store.root / "plots").iterdir()).unlink()


def change_curve(store: Store) -> None:
    """Change what only the page shows."""
    store.write(replace(first(store), curves={"train_loss": (2.0, 1.0)}))


def add_logits(store: Store) -> None:
    path = store.artifacts(first(store).key) / artifacts.LOGITS
    path.parent.mkdir(parents=True)
    path.write_bytes(b"")


def add_clips(store: Store) -> None:
    (store.root / clips.FOLDER).mkdir()
    (store.root / clips.FOLDER / "few.json").write_text("{}")


def change_note(store: Store) -> None:
    path = store.root / "few.toml"
    path.write_text('note = "new"\n' + path.read_text())


def damage_logits(store: Store) -> None:
    """Change a file and not its size and time."""
    path = store.artifacts(first(store).key) / artifacts.LOGITS
    before = path.stat()
    path.write_bytes(b"1")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def forget(store: Store) -> None:
    (store.root / origin.FOLDER / "few.json").write_text("{")


def nest(store: Store) -> None:
    (store.root / origin.FOLDER / "few.json").write_text("[" * 100_000)


def test_a_page_of_the_same_records_is_not_drawn_again(store, pages):
    before = (store.root / "few.html").read_bytes()
    draw(store, [])
    assert pages == []
    assert (store.root / "few.html").read_bytes() == before


@pytest.mark.parametrize(
    "change", [edit_page, remove_plot, change_curve, add_logits, add_clips, change_note, forget, nest]
)
def test_a_page_is_drawn_again_after_any_change(store, pages, change):
    change(store)
    draw(store, [])
    assert pages == ["few"]
    grid = suites.read(str(store.root / "few.toml"))
    found = Snapshot(store, grid.runs())
    for path, text in files.texts(grid, files.boards(found, grid), store, passed_over=[]).items():
        assert path.read_text() == text


def test_a_page_that_another_command_has_written_meanwhile_is_drawn_again(store, pages, monkeypatch):
    edit_page(store)
    keep = origin.keep

    def after_another(*given):
        edit_page(store)
        keep(*given)

    with monkeypatch.context() as changed:
        changed.setattr(origin, "keep", after_another)
        draw(store)
    draw(store)
    draw(store)
    assert pages == ["few", "few"]


def test_logits_with_another_content_and_the_same_time_are_looked_at(store):
    add_logits(store)
    record = first(store)
    (store.artifacts(record.key) / artifacts.LOGITS).write_bytes(b"2")
    before = list(clips.states(store, "few", [record]))
    damage_logits(store)
    assert list(clips.states(store, "few", [record])) != before


def test_a_page_of_other_code_is_drawn_again(store, pages, monkeypatch):
    monkeypatch.setattr(origin, "CODE", "newer")
    draw(store)
    assert pages == ["few"]


def test_a_damaged_file_is_named_by_every_call(store, pages):
    add_logits(store)
    for _ in range(2):
        lines: list[str] = []
        draw(store, lines)
        assert "restore it" in lines[0]
    assert len(pages) == 2


def test_only_a_call_that_asks_for_it_leaves_the_page_alone(store, pages):
    grid = suites.read(str(store.root / "few.toml"))
    files.draw(Snapshot(store, grid.runs()), grid)
    assert pages == ["few"]


def test_a_store_that_cannot_hold_the_origin_is_drawn_each_time(store, pages):
    (store.root / origin.FOLDER / "few.json").unlink()
    (store.root / origin.FOLDER).rmdir()
    (store.root / origin.FOLDER).write_text("a file in the folder's place")
    draw(store)
    assert pages == ["few"]


def test_files_of_the_code_are_looked_at(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b.js").write_text("12")
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "c.pyc.1234").write_text("12")
    ((name, size, _),) = origin._files(tmp_path)
    assert (name, size) == (str(tmp_path / "a" / "b.js"), 2)
