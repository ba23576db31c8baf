"""Scratch is removed when its process is gone, and not before."""

import os
import re
import subprocess
import sys
import tempfile
from multiprocessing import current_process, util
from pathlib import Path

import numpy as np
import pytest
from fakes import processes
from fakes.paths import PROJECT

from bench.profiling.children import Child
from bench.records import Store, scratch
from bench.records import store as store_module
from datamodules.clips.array_cache import ArrayCache

HOLDER = """
import sys
from bench.records import scratch
with scratch.folder("test") as folder:
    print(folder, flush=True)
    sys.stdin.read()
"""


def old(path: Path) -> Path:
    """Let a file look as if it were made a minute ago."""
    os.utime(path, (path.stat().st_atime, path.stat().st_mtime - 60))
    return path


@pytest.mark.process
def test_a_folder_is_swept_when_its_process_was_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    given = [sys.executable, "-c", HOLDER]
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    with subprocess.Popen(given, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment) as holder:
        assert holder.stdout is not None
        made = old(Path(holder.stdout.readline().strip()))
        assert made.parent == tmp_path
        scratch.sweep()
        assert made.is_dir()  # it is held
        holder.kill()
        holder.wait()
    scratch.sweep()
    assert list(tmp_path.iterdir()) == []


def test_young_scratch_stays_and_that_of_others_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setitem(current_process()._config, "tempdir", None)  # a test before may have started a child
    (tmp_path / f"{scratch.PREFIX}young").mkdir()
    (tmp_path / "another-program").mkdir()
    old(tmp_path / "another-program")
    scratch.sweep()
    assert len(list(tmp_path.iterdir())) == 2
    old(tmp_path / f"{scratch.PREFIX}young")
    scratch.sweep()
    assert [path.name for path in tmp_path.iterdir()] == ["another-program"]
    left = tmp_path / f"{scratch.PREFIX}left"
    left.mkdir()
    old(left)
    with scratch.folder("x") as made:
        assert made.parent == tmp_path
        assert not left.exists()
    assert not made.exists()


def test_no_other_code_makes_folders_that_are_not_swept() -> None:
    made = re.compile(r"(TemporaryDirectory|mkdtemp)\((?!.*dir=)")
    found = {path.name for path in (PROJECT / "bench").rglob("*.py") if made.search(path.read_text())}
    assert not found


def test_a_file_that_is_being_written_is_not_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, seen = Store(tmp_path), []
    sync = os.fsync

    def meanwhile(descriptor: int) -> None:
        for leftover in (tmp_path / "records").glob(".tmp-*"):
            old(leftover)
            store.sweep()
            seen.append(leftover.exists())
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", meanwhile)
    store_module.write_whole(tmp_path / "records" / "x.json", b"x")
    assert seen == [True]
    left = tmp_path / "records" / ".tmp-left"
    left.touch()
    old(left)
    store.sweep()
    assert [path.name for path in (tmp_path / "records").iterdir()] == ["x.json"]


def test_a_cache_that_another_process_writes_slowly_is_not_swept(tmp_path):
    store = Store(tmp_path)
    left = []

    def slowly(facts):
        yield np.zeros((1, 2), np.float32)
        for path in store.cache.glob(".tmp-*"):
            os.utime(path, (0, 0))
        store.sweep()
        left.extend(store.cache.glob(".tmp-*"))
        yield np.ones((1, 2), np.float32)

    assert ArrayCache(store.cache).array("x", "k", slowly)[0].tolist() == [[0, 0], [1, 1]]
    assert len(left) == 1
    killed = store.cache / ".tmp-killed"
    killed.touch()
    os.utime(killed, (0, 0))
    store.sweep()
    assert not killed.exists()


@pytest.mark.process
def test_the_folder_of_a_child_that_is_killed_goes_with_the_process_that_started_it() -> None:
    child = Child(processes.hold_a_scratch_folder, preload=[])
    try:
        folder = child.receive()
        assert folder.is_dir()
    finally:
        child.end()
    assert folder.parent == Path(util.get_temp_dir())
    assert folder.parent.name.startswith(f"{scratch.PREFIX}processes-")  # which is removed at the end of this process
