import multiprocessing
import os
import threading
import time

import pytest

from bench.errors import RecordError
from bench.records import Failure, Record, Run
from bench.store import Store, write_whole

RUN = Run(model="cnn", frontend="logmel", dataset="esc10")


def test_a_run_is_done_when_its_record_is_there_whole(tmp_path):
    store = Store(tmp_path)
    assert RUN not in store
    assert store.get(RUN.key) is None
    store.write(Record(run=RUN, status="ok", scores={"accuracy": 0.5}))
    assert RUN in store
    assert store.get(RUN.key).scores == {"accuracy": 0.5}


def test_a_failed_run_is_not_done(tmp_path):
    store = Store(tmp_path)
    store.write(Record(run=RUN, status="failed", error=Failure(kind="X", message="y")))
    assert RUN not in store


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff\xfe", b'{"schema": 1}'])
def test_a_damaged_record_is_not_done_and_is_named(tmp_path, content):
    store = Store(tmp_path)
    write_whole(store.path(RUN.key), content)
    assert RUN not in store
    found, damaged = store.records((RUN,))
    assert found == {}
    assert RUN.key in str(damaged[0])
    with pytest.raises(RecordError):
        store.get(RUN.key)


def test_the_old_file_stays_when_writing_fails(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_whole(path, b"old")
    monkeypatch.setattr(os, "fsync", lambda descriptor: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space"):
        write_whole(path, b"new")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def _write_for_ever(root):
    store = Store(root)
    for i in range(1_000_000):
        store.write(Record(run=RUN, status="ok", scores={"accuracy": i / 1e6}, classes=("x" * 20_000,)))


@pytest.mark.process
def test_a_killed_writer_never_leaves_half_a_record(tmp_path):
    context = multiprocessing.get_context("fork")
    store = Store(tmp_path)
    store.write(Record(run=RUN, status="ok"))
    for _ in range(10):
        writer = context.Process(target=_write_for_ever, args=(tmp_path,))
        writer.start()
        time.sleep(0.05)
        writer.kill()
        writer.join()
        assert RUN in store


def test_sweeping_removes_old_leftovers_only(tmp_path):
    store = Store(tmp_path)
    store.write(Record(run=RUN, status="ok"))
    old, fresh = tmp_path / "records" / ".tmp-old", tmp_path / "records" / ".tmp-fresh"
    old.write_text("")
    fresh.write_text("")
    os.utime(old, (0, 0))
    store.sweep()
    assert not old.exists()
    assert fresh.exists()
    assert RUN in store


def _hold(root, held, release):
    with Store(root).claim("key") as mine:
        held.send(mine)
        release.recv()


@pytest.mark.process
def test_one_process_has_a_claim_and_death_frees_it(tmp_path):
    context = multiprocessing.get_context("fork")
    held, child_held = context.Pipe()
    _, child_release = context.Pipe()
    process = context.Process(target=_hold, args=(tmp_path, child_held, child_release))
    process.start()
    assert held.recv() is True
    with Store(tmp_path).claim("key") as mine:
        assert mine is False
    process.kill()
    process.join()
    with Store(tmp_path).claim("key") as mine:
        assert mine is True


def _use_machine(root, using, release):
    with Store(root).machine(alone=False):
        using.send(True)
        release.recv()


@pytest.mark.process
def test_a_timing_waits_for_the_trainings_of_other_processes(tmp_path):
    context = multiprocessing.get_context("fork")
    pipes = [(*context.Pipe(), *context.Pipe()) for _ in range(2)]
    trainings = [context.Process(target=_use_machine, args=(tmp_path, use, go)) for _, use, go, _ in pipes]
    for training in trainings:
        training.start()
    assert [pipe[0].recv() for pipe in pipes] == [True, True]  # they share it
    had = threading.Event()

    def alone():
        with Store(tmp_path).machine(alone=True):
            had.set()

    timing = threading.Thread(target=alone)
    timing.start()
    assert not had.wait(0.2)
    for pipe in pipes:
        pipe[3].send(True)
    assert had.wait(60)
    timing.join()
