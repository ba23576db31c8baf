"""F1, F3, F5, F6, F16: faults around the writing and reading of records, and around the claims of runs."""

import errno
import json
import multiprocessing
import os
import random
import resource
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from fakes import boards
from faults.tally import Fault, Tally

from bench.errors import BenchError
from bench.leaderboard import render
from bench.records import Record, Run, Snapshot, Store
from bench.records import record as record_module
from bench.records import store as store_module
from datamodules.clips import array_cache
from datamodules.clips.array_cache import ArrayCache

FORK = multiprocessing.get_context("fork")
WRITERS = 8
PATIENCE = 900.0


def run(number: int) -> Run:
    return boards.run(fold=number % 5, seed=number)


def record(number: int, version: int = 0) -> Record:
    """Return a record of some kilobytes."""
    draws = np.random.default_rng([number, version]).random(300).round(6).tolist()
    return boards.record(run(number), 0.5, draws=tuple(draws), best_epoch=version)


# --- F1: writers killed at random


def kill_writers(count: int, folder: Path) -> Tally:
    """Kill writers of records; each has acknowledged what it has written."""
    tally, rng = Tally(injected=count), random.Random(1)
    store, acknowledged = Store(folder), folder / "acknowledged"
    acknowledged.mkdir(parents=True)
    began: dict[Any, float] = {}
    number = 0

    def start() -> None:
        nonlocal number
        child = FORK.Process(target=_write_records, args=(store, acknowledged / str(number), number))
        child.start()
        began[child] = time.monotonic()
        number += 1

    for _ in range(WRITERS):
        start()
    for _ in range(count):
        time.sleep(rng.uniform(0.002, 0.02))
        child = rng.choice(list(began))
        child.kill()
        child.join()
        del began[child]
        start()
    for child in began:
        child.kill()
        child.join()
    versions: Counter[int] = Counter()
    for file in acknowledged.iterdir():
        for line in file.read_text().split("\n")[:-1]:
            of, version = map(int, line.split())
            versions[of] = max(versions[of], version)
    for of, version in versions.items():
        try:
            found = store.get(run(of).key)
        except BenchError as error:
            tally.note("lost", str(error))
            continue
        if found is None:
            tally.note("lost", f"record {of} was acknowledged and is gone")
        elif (found.best_epoch or 0) < version:
            tally.note("lost", f"record {of} has version {found.best_epoch}, but {version} was acknowledged")
        elif found.to_json() != record(of, found.best_epoch or 0).to_json():
            tally.note("wrong", f"record {of} is another one")
    tally.note("lost", "nothing was written", count=not versions)
    tally.note("doubled", "two files of one run", count=doubled(store))
    for key in set(store.keys()) - {run(of).key for of in versions}:  # written, but killed before its acknowledgement
        with suppress(BenchError):
            store.get(key)
            continue
        tally.note("lost", f"{key} is half a record")
    return tally


def doubled(store: Store) -> int:
    """Return how many files hold a run that another file holds too, by what is in them and not by their names."""
    runs: Counter[str] = Counter()
    for file in (store.root / "records").glob("*.json"):
        with suppress(ValueError, KeyError, TypeError):  # half a file: of a writer that was killed
            runs[json.dumps(json.loads(file.read_bytes())["run"], sort_keys=True)] += 1
    return runs.total() - len(runs)


def _write_records(store: Store, acknowledged: Path, number: int) -> None:
    """Write records of one's own, again and again, each with a higher version."""
    os.nice(10)  # 8 of them keep each processor busy, and the one that kills them is to go on
    file = os.open(acknowledged, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    for version in range(1_000):
        for of in range(10 * number, 10 * number + 10):
            store.write(record(of, version))
            os.write(file, f"{of} {version}\n".encode())


@contextmanager
def written_in_place() -> Iterator[None]:
    """Write records and caches to their own names, piece by piece, as `json.dump` to an open file does."""

    def whole(path: Path, content: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            for line in content.splitlines(keepends=True):
                file.write(line)
                file.flush()
            os.fsync(file.fileno())

    def filled(path: Path, write: Callable[[Any], object]) -> None:
        with path.open("wb") as file:
            write(file)
            os.fsync(file.fileno())

    with mock.patch.object(store_module, "write_whole", whole), mock.patch.object(array_cache, "write_whole", filled):
        yield


# --- F3: a fault at every place where something is written

STEPS = ("tempfile.mkstemp", "os.fsync", "pathlib.Path.chmod", "pathlib.Path.replace", "write")
KINDS = (errno.ENOSPC, errno.EIO, errno.EACCES, signal.SIGKILL)


def fail_at_each_step(count: int, folder: Path) -> Tally:
    """Let the k-th call of each system call that writes fail in each way, in a record and in a cache."""
    tally = Tally()
    # the first k calls of each step, records and arrays in turn, until there are enough
    plans = (
        (k, step, kind, what) for k in range(1, 100) for what in ("record", "array") for step in STEPS for kind in KINDS
    )
    for place, (k, step, kind, what) in zip(range(count), plans, strict=False):
        tally.add(_fail_once(folder / str(place), 1 + (k - 1) % 4, step, kind, what, k))
        shutil.rmtree(folder / str(place))
    return tally


def _fail_once(folder: Path, k: int, step: str, kind: int, what: str, version: int) -> Tally:
    tally = Tally(injected=1)
    where = f"{what}, call {k} of {step}, {errno.errorcode.get(kind, 'SIGKILL') if kind != signal.SIGKILL else kind!r}"
    store, cache = Store(folder), ArrayCache(folder / "cache")
    old, new = record(1, 0), record(1, version)
    store.write(old)
    answer = FORK.SimpleQueue()

    def write() -> None:
        if what == "record":
            store.write(new)
        else:
            cache.array("x", "k", lambda facts: [_block(version, i) for i in range(3)])

    def child() -> None:
        with ExitStack() as stack:
            _break(stack, k, step, kind)
            try:
                write()
            except OSError as error:
                answer.put("" if error.filename else f"{error!r} names no file")
            except BaseException as error:
                answer.put(f"untyped {error!r}")
            else:
                answer.put("")

    process = FORK.Process(target=child)
    process.start()
    process.join(PATIENCE)
    if process.is_alive():
        process.kill()
        process.join()
        tally.note("hung", where)
    if not answer.empty() and (said := answer.get()):
        tally.note("crashed", f"{where}: {said}")
    try:
        found = store.get(old.key)
        if found is None:
            tally.note("lost", f"{where}: the old record is gone")
        elif found.to_json() not in (old.to_json(), new.to_json()):
            tally.note("wrong", where)
    except BenchError as error:
        tally.note("lost", f"{where}: {error}")
    write()  # again, as the next command would
    array = cache.array("x", "k", lambda facts: [_block(version, i) for i in range(3)])[0]
    if store.get(old.key) is None or not np.array_equal(array, np.concatenate([_block(version, i) for i in range(3)])):
        tally.note("wrong", f"{where}: not repaired by repeating")
    return tally


def _block(version: int, i: int) -> "np.ndarray[Any, Any]":
    return np.full((2, 5_000), 100 * version + i, np.int32)


def _break(stack: ExitStack, k: int, step: str, kind: int) -> None:
    """Let the k-th call of a step fail, in this process."""
    calls = 0

    def broken(real: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == k:
            if kind == signal.SIGKILL:
                os.kill(os.getpid(), signal.SIGKILL)
            raise OSError(kind, os.strerror(kind))
        return real(*arguments, **named)

    if step != "write":
        module, _, name = step.rpartition(".")
        owner: Any = {"tempfile": store_module.tempfile, "os": os, "pathlib.Path": Path}[module]
        real = getattr(owner, name)
        patched = partial(broken, real) if owner is not Path else lambda *given, **named: broken(real, *given, **named)
        stack.enter_context(mock.patch.object(owner, name, patched))
        return
    real_fdopen, real_write = os.fdopen, array_cache._write

    def fdopen(*given: Any, **named: Any) -> Any:
        file = real_fdopen(*given, **named)
        return _File(file, partial(broken, file.write))

    def write(file: Any, blocks: Any) -> Any:
        return real_write(_File(file, partial(broken, file.write)), blocks)

    stack.enter_context(mock.patch.object(store_module.os, "fdopen", fdopen))
    stack.enter_context(mock.patch.object(array_cache, "_write", write))


class _File:
    """A file whose `write` is another function."""

    def __init__(self, file: Any, write: Callable[[bytes], int]) -> None:
        self._file = file
        self.write = write

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __enter__(self) -> "_File":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


# --- F5: no space left


def fill_the_disk(count: int, folder: Path) -> Tally:
    """Allow files of a few bytes only, as a full disk does, while a record, a cache or a page is written again."""
    tally = Tally()
    for place in range(count):
        what = ("record", "array", "page")[place % 3]
        store = Store(folder / str(place))
        old, new = record(1, 0), record(1, place + 1)
        store.write(old)
        page = store.root / "page.md"
        store_module.write_whole(page, b"old " * 500)

        def write(what: str = what, store: Store = store, new: Record = new, page: Path = page) -> None:
            if what == "record":
                store.write(new)
            elif what == "array":
                ArrayCache(store.cache).array("x", "k", lambda facts: [_block(1, 0)])
            else:
                store_module.write_whole(page, b"new " * 500)

        answer = FORK.SimpleQueue()

        def child(
            write: Callable[[], None] = write, limit: int = 64 + 97 * place % 1_500, answer: Any = answer
        ) -> None:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
            try:
                write()
            except OSError as error:
                answer.put("" if error.filename else f"{error!r} names no file")
            else:
                answer.put("written all the same")

        process = FORK.Process(target=child)
        process.start()
        process.join(PATIENCE)
        tally.injected += 1
        if said := answer.get() if not answer.empty() else f"exit code {process.exitcode}":
            tally.note("crashed", f"{what}: {said}")
        try:
            if (found := store.get(old.key)) is None or found.to_json() != old.to_json():
                tally.note("lost", f"{what}: the old record is gone")
        except BenchError as error:
            tally.note("lost", f"{what}: {error}")
        if page.read_bytes() != b"old " * 500:
            tally.note("lost", f"{what}: the old page is gone")
        write()
        if what == "record" and store.get(old.key) != new:
            tally.note("wrong", "not repaired by repeating")
    return tally


# --- F6: claims


def kill_claimants(count: int, folder: Path) -> Tally:
    """Let six processes share runs, and kill some of them at random; each run is to be done once."""
    tally, rng = Tally(injected=count), random.Random(6)
    store, log = Store(folder), folder / "log"
    folder.mkdir(parents=True)
    runs = [run(number) for number in range(max(20, 3 * count))]
    children: list[Any] = []

    def start() -> None:
        children.append(FORK.Process(target=_claim_all, args=(store, runs, log, rng.random())))
        children[-1].start()

    for _ in range(6):
        start()
    for _ in range(count):
        time.sleep(rng.uniform(0.005, 0.02))
        child = children.pop(rng.randrange(len(children)))
        child.kill()
        child.join()
        start()
    for child in children:
        child.join(PATIENCE)
        if child.is_alive():
            child.kill()
            child.join()
            tally.note("hung", "a claimant")
    done = Counter(log.read_text().split())
    for key, times in done.items():
        tally.note("doubled", f"{key} was done {times} times", count=times - 1)
    tally.note("lost", "runs that nobody has done", count=sum(each not in store for each in runs))
    return tally


def _claim_all(store: Store, runs: list[Run], log: Path, seed: float) -> None:
    """Do every run that nobody else does or has done."""
    rng = random.Random(seed)
    file = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    left = list(runs)
    while left:
        rng.shuffle(left)
        for each in list(left):
            with store.claim(each.key) as mine:
                if mine and each not in store:
                    time.sleep(0.002)
                    store.write(Record(run=each, status="ok"))
                    os.write(file, f"{each.key}\n".encode())
            if each in store:
                left.remove(each)


@contextmanager
def claimed_by_all() -> Iterator[None]:
    """Give every claim to whoever asks."""

    @contextmanager
    def claim(self: Store, key: str) -> Iterator[bool]:
        yield True

    with mock.patch.object(Store, "claim", claim):
        yield


# --- F16: records that are not what they seem


def tamper(count: int, folder: Path) -> Tally:
    """Damage one of ten records in each of many ways; it must be named, and the page be that of the nine others."""
    tally = Tally()
    rng = random.Random(16)
    store = Store(folder)
    originals = [record(number) for number in range(10)]
    for each in originals:
        store.write(each)
    runs = [each.run for each in originals]
    ways = [*WAYS.items()]
    for place in range(count):
        name, damage = ways[place % len(ways)]
        number = rng.randrange(10)
        path = store.path(originals[number].key)
        whole = path.read_bytes()
        others = [each for i, each in enumerate(originals) if i != number]
        try:
            damage(path, rng)
            tally.injected += 1
            snapshot = Snapshot(store, runs)
            if originals[number].key in snapshot.records:
                tally.note("wrong", f"a record with {name} was read")
            elif path.exists() and not any(originals[number].key in str(each) for each in snapshot.damaged):
                tally.note("wrong", f"a record with {name} was passed over without a word")
            # the page of those that are left, read in any order
            found = list(snapshot.records.values())
            rng.shuffle(found)
            if _page(found) != _page(others):
                tally.note("wrong", f"the page differs after {name}")
        except Exception as error:
            tally.note("crashed", f"{name}: {error!r}")
        _restore(path, whole)
    return tally


def _page(records: list[Record]) -> tuple[str, ...]:
    order = {each.key: each for each in sorted(records, key=lambda each: each.key)}
    return render.markdown("t", boards.leaderboards([each.run for each in order.values()], order), "bench run"), ""


def _restore(path: Path, content: bytes) -> None:
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.is_dir():
        shutil.rmtree(path)
    path.write_bytes(content)


def _text(change: Callable[[str], str]) -> Callable[[Path, random.Random], None]:
    def damage(path: Path, rng: random.Random) -> None:
        path.write_text(change(path.read_text()))

    return damage


def _flip(path: Path, rng: random.Random) -> None:
    content = bytearray(path.read_bytes())
    content[rng.randrange(len(content) - 1)] ^= 1 << rng.randrange(8)  # the last byte is the end of the last line
    path.write_bytes(content)


def _cut(path: Path, rng: random.Random) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: rng.randrange(len(content) - 2)])


def _folder(path: Path, rng: random.Random) -> None:
    path.unlink()
    path.mkdir()


def _loop(path: Path, rng: random.Random) -> None:
    path.unlink()
    path.symlink_to(path.name)


def _gone(path: Path, rng: random.Random) -> None:
    path.unlink()


def _other(path: Path, rng: random.Random) -> None:
    path.write_bytes(next(each for each in sorted(path.parent.iterdir()) if each != path).read_bytes())


WAYS: dict[str, Callable[[Path, random.Random], None]] = {
    "a flipped bit": _flip,
    "its end cut off": _cut,
    "a better accuracy": _text(lambda text: text.replace('"accuracy": 0.5', '"accuracy": 0.9')),
    "NaN": _text(lambda text: text.replace('"accuracy": 0.5', '"accuracy": NaN')),
    "Infinity": _text(lambda text: text.replace('"accuracy": 0.5', '"accuracy": Infinity')),
    "other data": _text(lambda text: text.replace('"manifest": "m1"', '"manifest": "m2"')),
    "an old schema": _text(lambda text: text.replace('"schema": 1', '"schema": 0')),
    "a schema to come": _text(lambda text: text.replace('"schema": 1', '"schema": 2')),
    "an integer of 5,000 digits": _text(lambda text: text.replace('"schema": 1', '"schema": 1' + "0" * 5_000)),
    "3,000 brackets": _text(lambda text: "[" * 3_000 + "]" * 3_000),
    "no digest": _text(lambda text: text.replace('"digest"', '"diegst"')),
    "bytes that are no text": lambda path, rng: path.write_bytes(b"\xff" + path.read_bytes()) and None,
    "nothing in it": lambda path, rng: path.write_bytes(b"") and None,
    "a list instead": _text(lambda text: "[]"),
    "another run's content": _other,
    "a folder in its place": _folder,
    "a link in a circle": _loop,
    "no file": _gone,
}


@contextmanager
def believed() -> Iterator[None]:
    """Take whatever a record holds."""

    def read(text: str, name: str, run: Run | None = None) -> Record:
        import json

        content = json.loads(text)
        content.pop("digest", None)
        return record_module._adapter().validate_json(json.dumps(content))

    with mock.patch.object(Record, "from_json", staticmethod(read)):
        yield


FAULTS = (
    Fault("F1", "writers of records killed by SIGKILL, 8 at a time", 200, 400, kill_writers,
          "files are written under another name and renamed", written_in_place, 100),
    Fault("F3", "the k-th open, write, fsync, chmod or rename fails (ENOSPC, EIO, EACCES) or is the last (SIGKILL)",
          160, 320, fail_at_each_step, "files are written under another name and renamed", written_in_place, 80),
    Fault("F5", "no space left for a record, a cache or a page", 30, 120, fill_the_disk,
          "files are written under another name and renamed", written_in_place, 12),
    Fault("F6", "processes killed that share 3 runs for each kill, 6 at a time", 60, 120, kill_claimants,
          "a run is claimed by a lock of the system", claimed_by_all, 20),
    Fault("F16", "records edited, damaged, exchanged or of another version, in 18 ways", 180, 1_800, tamper,
          "a record has a digest of itself", believed, 36),
)  # fmt: skip
