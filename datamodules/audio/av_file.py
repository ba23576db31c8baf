"""Sound tracks that PyAV decodes, each in a child process that has limits; see `datamodules.audio.av_child`.

FFmpeg reads some hundred formats in C, and a file that is damaged on purpose may make it crash, hang or fill the
memory. So it never runs in this process. A child serves one file after the other; one that dies takes its file with it
and is replaced. Children wait for the next file until this process ends.
"""

import json
import struct
import threading
from collections.abc import Iterator
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datamodules.audio import av_containers
from datamodules.audio.containers import Damaged, Read
from datamodules.children.pool import Pool, ended

LEAST = 18
"""Oldest release of PyAV that is used."""

PROGRAM = Path(__file__).with_name("av_child.py")
SECONDS = 20.0
"""Processor time of a file, in seconds, in addition to a twentieth of the longest time that it may sound."""
PATIENCE = 10.0  # how much longer a file may take by the clock than by the processor
MAX_SKEW = 0.1  # seconds between what a container states and what is decoded
MAX_SKEW_SAMPLES = 8192  # or as many samples: whole frames of any codec
MAX_SKEW_FRAMES = 2  # of the codec, of which a short sound may lack no more
MAX_DRIFT = 0.01  # share of the stated length by which the clock of a recorder may differ, and seconds of rounding


class Absent(Exception):  # noqa: N818 - it is a state of the installation
    """PyAV is not installed; the message says what to do."""


@cache
def _checked() -> None:
    try:
        found = version("av")
    except PackageNotFoundError:
        raise Absent(f'needs PyAV, the extra [av]: pip install "av>={LEAST}"') from None
    if not found.split(".")[0].isdecimal() or int(found.split(".")[0]) < LEAST:
        raise Absent(f'needs PyAV {LEAST} or newer, the extra [av], and {found} is here: pip install "av>={LEAST}"')


_pool = Pool(PROGRAM)
children = _pool.pids


def _after(stated: float | None, start: float) -> float | None:
    """Return what remains of a stated length after the start of the sound, where that is within it."""
    return stated if stated is None or start >= stated else stated - start


class AvFile:
    """A sound track, with the attributes of `soundfile.SoundFile` that the decoder uses.

    Args:
        read: reads from the file.
        size: size of the file, in bytes.
        kind: its container.
        longest: seconds that it may last.
        facts_only: whether only the attributes are wanted.

    Attributes:
        samplerate: of the decoded samples, in hertz.
        channels: number of channels.
        format: the container's name.
        subtype: the codec's name.
        frames: number of samples per channel that the container states, or 2^63 - 1 where it states none.
        opus_head: the beginning of the header of an Opus stream; else empty.

    Raises:
        Absent: PyAV is not installed.
        Damaged: the file cannot be used.
    """

    def __init__(
        self, read: Read, size: int, kind: av_containers.Kind, longest: float, facts_only: bool = False
    ) -> None:
        _checked()
        counted = av_containers.examine(kind, read, size)
        self._read = read
        self._over = False
        self._child = _pool.take()
        seconds = SECONDS + longest / 20
        self._timer = threading.Timer(PATIENCE * seconds, self._child.process.kill)
        self._timer.daemon = True
        self._timer.start()
        request = {"demuxer": kind.demuxer, "size": size, "seconds": seconds, "facts": facts_only}
        try:
            self._child.send(json.dumps(request).encode())
            letter, content = self._next()
            if letter != b"H":
                raise Damaged("is damaged (its sound track cannot be read)")
            facts: dict[str, Any] = json.loads(content)
            if facts_only:
                self._next()  # the end
        except BaseException:
            self.close()
            raise
        self.samplerate, self.channels = int(facts["rate"]), int(facts["channels"])
        self.format, self.subtype = kind.name, str(facts["codec"]).upper()
        self.opus_head = bytes.fromhex(facts["opus"])
        self._exact = kind is av_containers.MP4 and bool(facts["exact"])
        self._stated: float | None = None
        if counted is not None:
            self._stated = counted.samples * self.samplerate / counted.sample_rate
        elif kind is av_containers.MP4 or kind is av_containers.MATROSKA:  # FFmpeg guesses others from the bit rate
            self._stated = facts["stated"]
        if (
            kind is av_containers.MATROSKA or kind is av_containers.ASF
        ):  # which count from 0, not from the sound's start
            self._stated = _after(self._stated, float(facts["start"]))
        self.frames = (1 << 63) - 1 if self._stated is None else round(self._stated)

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        """Yield the samples `(S, C)`; raise `Damaged` where some are missing.

        An MP4 file states where the sound ends within the last frame, and what is after it is left out.
        """
        end = self.frames if self._exact else None
        given = decoded = 0
        while True:
            letter, content = self._next()
            if letter == b"E":
                break
            block = np.frombuffer(content, np.float32).reshape(-1, self.channels)
            decoded += len(block)
            if end is not None and decoded > end:
                if decoded - end > MAX_SKEW_SAMPLES:
                    break
                block = block[: max(0, end - given)]
            given += len(block)
            if len(block):
                yield block
        if self._stated is not None and decoded < self._stated - self._skew(int(content)):
            raise Damaged(f"is cut off (it states {self._stated:,.0f} samples, {decoded:,} can be decoded)")
        if end is not None and decoded - end > MAX_SKEW_SAMPLES:
            raise Damaged(f"is damaged (it states {end:,} samples and has more)")

    def _skew(self, frame: int) -> float:
        """Return how many of the stated samples may be missing from a sound whose longest frame has `frame` samples."""
        short = MAX_SKEW_FRAMES * frame + MAX_DRIFT * (self.samplerate + (self._stated or 0))
        return min(max(MAX_SKEW * self.samplerate, MAX_SKEW_SAMPLES), short)

    def close(self) -> None:
        """Give the child back, or end it where it has not come to the end of the file."""
        self._timer.cancel()
        if self._child is None:
            return
        child, self._child = self._child, None  # type: ignore[assignment]
        if self._over and child.process.poll() is None:
            _pool.give(child)
        else:
            child.end()

    def _next(self) -> tuple[bytes, bytes]:
        """Return the next message that is none about the file's bytes."""
        while True:
            letter, content = self._child.receive()
            if letter == b"R":
                self._child.send(self._read(*struct.unpack("<QI", content)))
                continue
            if letter == b"X":
                self._over = True
                raise Damaged(*json.loads(content))
            if letter == b"":
                raise Damaged(f"is damaged (its decoder {ended(self._child.end())})")
            self._over = letter == b"E"
            return letter, content
