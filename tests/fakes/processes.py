"""What a child process says of itself, or how it ends: functions that it can import, without torch."""

import ctypes
import os
import signal
import time
import zlib
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from bench.profiling.children import Child
from bench.records import scratch


def about() -> dict[str, object]:
    import torch

    return {
        "process": os.getpid(),
        "pinned": os.sched_getaffinity(0),
        "threads": torch.get_num_threads(),
        "variable": os.environ["OMP_NUM_THREADS"],
    }


def hold_a_scratch_folder(connection: Connection) -> None:
    with scratch.folder("test") as folder:
        connection.send(folder)
        hangs()


def note_call(module: Any, *_: object) -> None:
    """Write the time of a call of a module to the file that its attribute `noted` names."""
    with module.noted.open("a") as file:
        file.write(f"{time.monotonic()}\n")


def fails() -> None:
    raise KeyError("cause")


def dies() -> None:
    os._exit(7)


def hangs() -> None:
    while True:
        time.sleep(0.01)


def count(connection: Connection, last: int) -> None:
    """Send 1, 2, ... to `last`, then end with exit code 3."""
    for number in range(1, last + 1):
        connection.send(number)
    connection.close()
    os._exit(3)


def hang_in_c(connection: Connection, generations: int) -> None:
    """Hang where no other thread can run; the youngest generation sends its process before, the others pass it on."""
    if generations > 1:
        child = Child(hang_in_c, generations - 1, preload=[], shares_stack=True)
        connection.send([os.getpid(), *child.receive()])
    else:
        connection.send([os.getpid()])
    ctypes.PyDLL(None).sleep(300)


def drive_what_hangs(generations: int) -> None:
    """Be the main program: say which processes hang, and wait."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests may run under nohup
    child = Child(hang_in_c, generations, preload=[])
    print(*child.receive(), flush=True)  # noqa: T201 - the test reads it
    child.receive()


def wait(connection: Connection) -> None:
    """Send a word and stay until the parent closes its end."""
    connection.send("here")
    connection.recv()


def name_parents(connection: Connection, generations: int) -> None:
    """Send the process that this one, its child, its child's child, ... was forked from, as a list."""
    parents = [os.getppid()]
    if generations > 1:
        child = Child(name_parents, generations - 1, preload=[])
        parents += child.receive()
        child.end()
    connection.send(parents)


def write_features(folder: Path, driver: Connection) -> None:
    """Compute the features of a dataset 20 times, each time without the entries of the others; send what came of it.

    Args:
        folder: of the cache.
        driver: is told when the data are there, says when to begin, and gets the checksums.
    """
    from bench.training.feature_cache import Cache
    from datamodules.synthetic import Synthetic
    from models.frontends.logmel import LogMel

    data = Synthetic(clips_per_class=10, clip_seconds=0.5)
    data.setup()
    driver.send("ready")
    driver.recv()
    sums = set()
    for _ in range(20):
        found = Cache(folder).features(LogMel(data.sample_rate), data, data.splits.train, "cpu")
        sums.add(zlib.crc32(found.numpy().data))
        for path in folder.glob("features-*.json"):
            path.unlink(missing_ok=True)
    driver.send(sums)


def drive_while_ignoring() -> None:
    """Be a main program that ignores SIGTERM, and say how a child ends that is asked to as soon as it is started."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    child = Child(wait, preload=[])
    try:
        child.ask_to_end()
        child._process.join(3)
        print(child._process.exitcode)  # noqa: T201 - the test reads it
    finally:
        child.end()
