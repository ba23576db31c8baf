import multiprocessing
import os
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from filelock import FileLock, Timeout

from bench.errors import ArgumentError, RecordError, RunError
from bench.records import Failure, Record, Run, Snapshot, Store, lease, write_whole
from bench.records.store import _machine_lock

MACHINE = _machine_lock()
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


def test_a_failure_is_kept_whatever_its_words_are(tmp_path):
    store = Store(tmp_path)
    try:
        raise ValueError(os.fsdecode(b"caf\xe9") + "x" * 10_000_000)
    except ValueError as error:
        store.write(Record(run=RUN, status="failed", error=Failure.of(error)))
    kept = store.get(RUN.key).error
    assert kept.message.startswith("caf\\udce9xxx")
    assert kept.message.endswith("xxx ... (cut off)")
    assert len(kept.message) < 2100
    assert len(kept.traceback) <= 4000


def test_an_exception_that_cannot_say_what_it_is_is_kept():
    class MuteError(Exception):
        def __str__(self):
            raise ZeroDivisionError

    assert Failure.of(MuteError()).message == "its message cannot be read (ZeroDivisionError)"
    assert Failure.of(MuteError()).kind == "MuteError"


def test_a_record_is_amended_only_while_it_is_of_the_same_result(tmp_path, monkeypatch):
    store = Store(tmp_path)
    seen = Record(run=RUN, status="ok", scores={"accuracy": 0.5}, started="1", artifacts={"logits.npz": "a" * 64})
    store.write(seen)
    store.write(replace(seen, scores={"accuracy": 0.5, "mAP": 0.6}))  # as `bench rescore` does meanwhile
    changed = store.amend(seen, lambda now: replace(now, best_epoch=3))
    assert (changed.best_epoch, changed.scores) == (3, {"accuracy": 0.5, "mAP": 0.6})
    assert store.get(RUN.key) == changed
    again = replace(seen, started="2", artifacts={"logits.npz": "b" * 64})
    store.write(again)
    with pytest.raises(RunError, match="is done again by another process: repeat the command"):
        store.amend(seen, lambda now: replace(now, best_epoch=4))
    looking = threading.Timer(0.3, (held := Store(tmp_path).claim(RUN.key)).__exit__, (None, None, None))
    assert held.__enter__()
    looking.start()
    assert store.amend(again, lambda now: now) == again  # a process that only looks is waited for
    monkeypatch.setattr("bench.records.store.CLAIM_SECONDS", 0.2)
    with Store(tmp_path).claim(RUN.key), pytest.raises(RunError, match="is done again"):
        store.amend(again, lambda now: replace(now, best_epoch=4))
    assert store.get(RUN.key) == again


@pytest.mark.parametrize("url", ["s3://bucket/runs", "file:///there", "https://x/runs"])
def test_a_url_is_no_store(url):
    with pytest.raises(ArgumentError, match="is a URL, and a store is a folder of this machine"):
        Store(Path(url))
    Store(Path("C:/runs"))


NESTED = b'{"schema": 1, "run": ' + 100_000 * b"[" + 100_000 * b"]" + b"}"
HUGE = b'{"schema": ' + 5_000 * b"1" + b"}"


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff\xfe", b'{"schema": 1}', NESTED, HUGE])
def test_a_damaged_record_is_not_done_and_is_named(tmp_path, content):
    store = Store(tmp_path)
    write_whole(store.path(RUN.key), content)
    assert RUN not in store
    snapshot = Snapshot(store, (RUN,))
    found, damaged = snapshot.records, snapshot.damaged
    assert found == {}
    assert RUN.key in str(damaged[0])
    with pytest.raises(RecordError):
        store.get(RUN.key)


def test_a_folder_in_the_place_of_a_record_is_named(tmp_path):
    store = Store(tmp_path)
    store.path(RUN.key).mkdir(parents=True)
    assert RUN not in store
    with pytest.raises(RecordError, match=r"cannot be read \(Is a directory\): remove"):
        store.get(RUN.key)


def test_the_permissions_of_a_file_follow_the_umask(tmp_path):
    write_whole(tmp_path / "a", b"a")
    (tmp_path / "b").touch()
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode


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


@pytest.mark.process
def test_a_waiting_timing_comes_before_later_trainings(tmp_path):
    """Trainings that follow one another without a gap let a timing in as soon as the present one has ended."""
    context = multiprocessing.get_context("fork")
    using, child_using = context.Pipe()
    child_release, release = context.Pipe()
    training = context.Process(target=_use_machine, args=(tmp_path, child_using, child_release))
    training.start()
    assert using.recv() is True
    order = []

    def enter(alone):
        with Store(tmp_path).machine(alone=alone):
            order.append("timing" if alone else "training")

    timing = threading.Thread(target=enter, args=(True,))
    timing.start()
    while _is_free(tmp_path, MACHINE):
        time.sleep(0.01)
    later = threading.Thread(target=enter, args=(False,))
    later.start()
    later.join(0.6)  # more than two looks at the lock
    assert order == []
    release.send(True)
    timing.join(60)
    later.join(60)
    training.join(60)
    assert order == ["timing", "training"]


def _is_free(root, name):
    lock = FileLock(root / "locks" / name)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return False
    lock.release()
    return True


@pytest.mark.parametrize("alone", [False, True])
def test_a_killed_process_frees_the_machine(tmp_path, alone):
    """Its forked children, such as those that load clips, do not keep it."""
    context = multiprocessing.get_context("fork")
    held, child_held = context.Pipe()
    process = context.Process(target=_hold_with_a_child, args=(tmp_path, child_held, alone))
    process.start()
    grandchild = held.recv()
    try:
        assert not _is_free(tmp_path, MACHINE if alone else f"{MACHINE}-0")
        process.kill()
        process.join()
        os.kill(grandchild, 0)  # lives
        had = threading.Event()

        def take():
            with Store(tmp_path).machine(alone=True):
                had.set()

        timing = threading.Thread(target=take)
        timing.start()
        assert had.wait(60)
        timing.join()
    finally:
        os.kill(grandchild, signal.SIGKILL)


def _hold_with_a_child(root, held, alone):
    with Store(root).machine(alone=alone):
        child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
        child.start()
        held.send(child.pid)
        time.sleep(60)


def test_places_of_trainings_are_used_again(tmp_path):
    store = Store(tmp_path)
    for _ in range(3):
        with store.machine(alone=False), store.machine(alone=False):
            pass
    with store.machine(alone=True):
        pass
    assert sorted(path.name for path in (tmp_path / "locks").iterdir()) == [MACHINE, f"{MACHINE}-0", f"{MACHINE}-1"]


def test_a_timing_does_not_wait_for_trainings_of_another_machine(tmp_path, monkeypatch):
    store, entered = Store(tmp_path), []
    with store.machine(alone=False), monkeypatch.context() as there:
        there.setattr(lease, "machine", lambda: "another machine that sees this disk's locks")
        timing = threading.Thread(target=lambda: entered.extend(store.machine(alone=True).gen))
        timing.start()
        timing.join(60)
        assert entered == [None]


def test_a_claim_ends_with_its_block_and_with_an_error_in_it(tmp_path):
    store = Store(tmp_path)
    with pytest.raises(KeyError), store.claim("key"):
        raise KeyError("inside")
    with store.claim("key") as mine, store.claim("key") as again, store.claim("other") as other:
        assert (mine, again, other) == (True, False, True)


def test_where_folders_cannot_be_opened_files_are_written_whole(tmp_path, monkeypatch):
    real = os.open

    def refuses_folders(path, *others, **named):
        if os.path.isdir(path):  # noqa: PTH112
            raise PermissionError(13, "Permission denied", str(path))  # as on Windows
        return real(path, *others, **named)

    monkeypatch.setattr(os, "open", refuses_folders)
    monkeypatch.delattr(os, "O_DIRECTORY")
    write_whole(tmp_path / "file", b"whole")
    assert (tmp_path / "file").read_bytes() == b"whole"


def test_a_store_that_cannot_be_written_is_named_before_any_work(tmp_path, monkeypatch):
    Store(tmp_path / "new" / "runs").check()
    assert not (tmp_path / "new").exists()
    file = tmp_path / "x.wav"
    file.touch()
    for root in (file, file / "runs"):
        with pytest.raises(RecordError, match=r"cannot be a folder, because .*x\.wav is a file: give another --store"):
            Store(root).check()
    (tmp_path / "runs" / "records").mkdir(parents=True)
    asked = []
    monkeypatch.setattr(os, "access", lambda path, mode: asked.append(path))  # nothing is read-only for root
    for root, place in (("runs", "runs/records"), ("other", "")):
        with pytest.raises(RecordError, match="is read-only for you: give another --store, or change"):
            Store(tmp_path / root).check()
        assert asked.pop() == tmp_path / place
