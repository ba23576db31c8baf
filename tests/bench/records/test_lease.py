"""Claims between machines whose locks do not reach each other."""

import os
from pathlib import Path

import pytest

from bench.records import Store, lease
from bench.records.lease import EXPIRY, Lease


def test_a_lease_of_another_machine_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = Lease(tmp_path / "key.owner")
    assert other.take()
    monkeypatch.setattr(lease, "machine", lambda: "another")
    assert not Lease(tmp_path / "key.owner").take()
    other.release()
    assert Lease(tmp_path / "key.owner").take()
    assert [path.name for path in tmp_path.iterdir()] == ["key.owner"]


def test_a_lease_that_nobody_touches_is_taken_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = Lease(tmp_path / "key.owner")
    assert other.take()
    monkeypatch.setattr(lease, "machine", lambda: "another")
    status = other.path.stat()
    os.utime(other.path, (status.st_atime, status.st_mtime - EXPIRY - 1))
    mine = Lease(tmp_path / "key.owner")
    assert mine.take()
    assert not other.is_mine()
    other.release()
    assert mine.is_mine()


def test_what_a_process_of_this_machine_has_left_counts_for_nothing(tmp_path: Path) -> None:
    assert Lease(tmp_path / "key.owner").take()
    mine = Lease(tmp_path / "key.owner")
    assert mine.take()
    mine.release()
    assert not list(tmp_path.iterdir())


def test_a_disk_without_hard_links_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError("no links")

    monkeypatch.setattr("os.link", refuse)
    first = Lease(tmp_path / "key.owner")
    assert first.take()
    monkeypatch.setattr(lease, "machine", lambda: "another")
    assert not Lease(tmp_path / "key.owner").take()


def test_a_run_that_another_machine_does_is_not_claimed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "locks").mkdir()
    monkeypatch.setattr(lease, "machine", lambda: "another")
    assert Lease(tmp_path / "locks" / "key.owner").take()
    monkeypatch.undo()
    with Store(tmp_path).claim("key") as mine:
        assert not mine
