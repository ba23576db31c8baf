"""Decoding in a child process that has limits, for files of strangers; see `datamodules.audio.decode_child`.

The decoder of this process is guarded, too, but libsndfile is C, and a file that is damaged on purpose may make it
crash, hang or fill the memory. A child that dies takes its file with it and is replaced.
"""

import json
import math
import struct
import threading
import time
from collections.abc import Callable, Generator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from datamodules.audio.containers import Read
from datamodules.audio.decoder import MAX_SECONDS, AudioError
from datamodules.children.pool import Child, Pool, ended

CPU_SECONDS = 20.0
"""Processor time of a file, in seconds, in addition to a twentieth of the longest time that it may sound."""
SILENCE_SECONDS = 60.0
"""Longest time without a message, after which a child is ended."""
POLL_SECONDS = 0.02

pool = Pool(Path(__file__).with_name("decode_child.py"))


class Stopped(Exception):  # noqa: N818 - it is a wish
    """Decoding was stopped because the caller wished so."""


def decode_in_child(
    read: Read,
    size: int,
    name: str,
    sample_rate: int,
    max_seconds: float = MAX_SECONDS,
    stop: Callable[[], bool] = lambda: False,
    stated: Callable[[float], object] = lambda seconds: None,
) -> Generator[NDArray[np.float32], None, None]:
    """Decode a file to mono block by block, as `datamodules.audio.decode_blocks` does, in a child process.

    A caller that does not want all blocks closes the generator, which ends the child.

    Args:
        read: returns up to so many bytes (second argument) from a place (first argument).
        size: size of the file, in bytes.
        name: name of the file in messages.
        sample_rate: of the result, in hertz.
        max_seconds: longest file that is accepted.
        stop: asked many times a second, from another thread; when it says True, the child is ended.
        stated: receives the length in seconds that the file's header states, if it states one.

    Yields:
        Samples `(s,)`.

    Raises:
        AudioError: as from `datamodules.audio.decode`, and where the child came to its limits.
        Stopped: `stop` said so.
    """
    child = pool.take()
    over = False
    watch = _Watch(child, stop)
    watch.start()
    request = {
        "size": size, "name": name, "sample_rate": sample_rate, "max_seconds": max_seconds,
        "cpu_seconds": CPU_SECONDS + max_seconds / 20,
    }  # fmt: skip
    try:
        child.send(json.dumps(request).encode())
        while True:
            letter, content = child.receive()
            if letter == b"R":
                child.send(read(*struct.unpack("<QI", content)))
            elif letter == b"B":
                child.heard = math.inf  # the caller may take its time
                yield np.frombuffer(content, np.float32).copy()  # as any array, it can be written
                child.heard = time.monotonic()
            elif letter == b"H":
                stated(json.loads(content))
            elif letter == b"":
                if stop():
                    raise Stopped
                raise AudioError(f"{name!r} is damaged (its decoder {ended(child.end())}): fetch it again")
            else:
                over = True
                break
    finally:
        watch.done.set()
        watch.join()  # before another file meets a child that this one's watch may still end
        if over and not watch.ended:
            pool.give(child)
        else:
            child.end()
    if letter == b"X":
        raise AudioError(*json.loads(content))


class _Watch(threading.Thread):
    """Ends a child that is to stop, or that says nothing for too long.

    Attributes:
        done: to be set when the child's file is done.
        ended: whether the child was ended.
    """

    def __init__(self, child: Child, stop: Callable[[], bool]) -> None:
        super().__init__(daemon=True)
        self._child, self._stop_asked = child, stop
        self.done = threading.Event()
        self.ended = False

    def run(self) -> None:
        while not self.done.wait(POLL_SECONDS):
            if self._stop_asked() or time.monotonic() - self._child.heard > SILENCE_SECONDS:
                self.ended = True
                self._child.process.kill()
                return
