"""The one guarded decoder: all audio of every dataset is read by `decode`, or by `decode_bytes` where it streams.

libsndfile opens by content, so wav, flac, ogg, opus and mp3 are read whatever the file is called. It also accepts a
header that lies, half a file, 1,024 channels or a rate of 1 Hz, and a FIFO makes it wait for ever: all refused here.
"""

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from datamodules.base import DataError
from datamodules.tables import safe

LOWEST_RATE, HIGHEST_RATE = 4_000, 192_000
MOST_CHANNELS = 8
LARGEST_SAMPLE = 8.0  # lossy codecs overshoot 1 a little; floats that hold integers overshoot it a lot
BLOCK = 1 << 16
LARGEST_OGG_PAGE = 65_307  # bytes
LARGEST_MEMBER = 64 * 2**20  # bytes; ten seconds of the highest rate, most channels and 32 bits are 61 MB
_UNKNOWN = 1 << 62  # libsndfile's frame count where the container does not say


class AudioError(DataError):
    """An audio file cannot be used; the message names it and says what to do."""


@dataclass(frozen=True)
class Member:
    """An audio file inside a file that holds many, such as a shard.

    Attributes:
        file: the file that holds it.
        start: where it starts there, in bytes.
        size: its length in bytes.
        name: its own name there.
    """

    file: Path
    start: int
    size: int
    name: str

    def __str__(self) -> str:
        return f"{safe(self.file.name)}: {safe(self.name)}"


Source = Path | Member
"""Where an encoded clip is."""


def decode(path: Source, sample_rate: int, max_seconds: float = 600.0) -> NDArray[np.float32]:
    """Decode a whole file to mono.

    Channels are averaged. The file is read and resampled (soxr HQ) in blocks, so memory grows with what was decoded and
    never with what a header claims.

    Args:
        path: a regular file, or a member of one.
        sample_rate: of the result, in hertz.
        max_seconds: longest file that is accepted.

    Returns:
        Samples `(S,)`, about in [-1, 1].

    Raises:
        AudioError: not a regular file, not audio, out of bounds, cut off, empty, not finite, or silent once
            mixed to mono.
    """
    if isinstance(path, Member):
        return decode_bytes(encoded(path), str(path), sample_rate, max_seconds)
    with _opened(path) as file:
        return _mono(file, path.name, sample_rate, max_seconds)


def decode_bytes(content: bytes, name: str, sample_rate: int, max_seconds: float = 600.0) -> NDArray[np.float32]:
    """Decode the content of a file to mono, as `decode` does.

    Args:
        content: the whole file.
        name: what messages call it.
        sample_rate: of the result, in hertz.
        max_seconds: longest file that is accepted.

    Returns:
        Samples `(S,)`, about in [-1, 1].

    Raises:
        AudioError: as from `decode`.
    """
    with _unnamed(content) as binary, _sound(binary, name) as file:
        return _mono(file, name, sample_rate, max_seconds)


def encoded(member: Member) -> bytes:
    """Return the content of a member.

    Raises:
        AudioError: its file is no regular file or too short, or it is larger than any clip.
    """
    if member.size > LARGEST_MEMBER:
        raise AudioError(f"{str(member)!r} has {member.size:,} bytes, no clip has more than {LARGEST_MEMBER:,}: cut it")
    with _regular(member.file) as binary:
        binary.seek(member.start)
        content = binary.read(member.size)
    if len(content) != member.size:
        raise AudioError(f"{str(member)!r} is cut off ({len(content)} of {member.size} bytes): fetch the file again")
    return content


def length(path: Path) -> float:
    """Return how many seconds a file says it lasts.

    Raises:
        AudioError: not a regular file, not audio, or cut off.
    """
    with _opened(path) as file:
        return float(file.frames / file.samplerate)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    with _regular(path) as binary, _sound(binary, path.name) as file:
        yield file


@contextmanager
def _regular(path: Path) -> Iterator[FileIO]:
    name, folder = path.name, str(path.parent)
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # before opening: a FIFO would block
            raise AudioError(f"{name!r} is not a regular file: remove it from {folder!r}")
        with path.open("rb", buffering=0) as binary:
            yield binary
    except OSError as error:
        raise AudioError(f"{name!r} cannot be opened ({error.strerror}): looked in {folder!r}") from error


@contextmanager
def _unnamed(content: bytes) -> Iterator[FileIO]:
    """Put content into a file without a name, so that it is read by descriptor as any other; in memory on Linux."""
    memory = FileIO(os.memfd_create("clip"), "r+b") if hasattr(os, "memfd_create") else None
    with memory or tempfile.TemporaryFile(buffering=0) as binary:
        binary.write(content)
        binary.seek(0)
        yield binary


@contextmanager
def _sound(binary: FileIO, name: str) -> Iterator[Any]:
    if cut := _cut_short(binary, os.fstat(binary.fileno()).st_size):
        raise AudioError(f"{name!r} is cut off ({cut}): fetch or export it again")
    try:
        # By descriptor: libsndfile then sees no name, so neither the extension nor its encoding matters.
        with soundfile.SoundFile(binary.fileno(), closefd=False) as file:
            yield file
    except soundfile.SoundFileError as error:
        problem = str(error).split(": ", 1)[-1]
        raise AudioError(f"{name!r} cannot be decoded ({problem}): replace it by a wav, flac, ogg or mp3") from error


def _mono(file: Any, name: str, sample_rate: int, max_seconds: float) -> NDArray[np.float32]:
    if not LOWEST_RATE <= file.samplerate <= HIGHEST_RATE:
        raise AudioError(f"{name!r} has {file.samplerate} Hz: resample it to {LOWEST_RATE} to {HIGHEST_RATE} Hz")
    if file.channels > MOST_CHANNELS:
        raise AudioError(f"{name!r} has {file.channels} channels: mix it down to at most {MOST_CHANNELS}")
    declared = file.frames
    if _UNKNOWN > declared > max_seconds * file.samplerate:
        seconds = declared / file.samplerate
        raise AudioError(f"{name!r} says it lasts {seconds:,.0f} s: cut it to at most {max_seconds:g} s")

    resampler = None
    if file.samplerate != sample_rate:
        resampler = soxr.ResampleStream(file.samplerate, sample_rate, 1, dtype="float32", quality="HQ")
    parts: list[NDArray[np.float32]] = []
    decoded = 0
    channel_energy = mono_energy = 0.0
    for block in _blocks(file):
        decoded += len(block)
        if decoded > max_seconds * file.samplerate:
            raise AudioError(f"{name!r} lasts longer than {max_seconds:g} s: cut it")
        peak = np.abs(block).max()
        if not peak <= LARGEST_SAMPLE:  # NaN compares false
            raise AudioError(f"{name!r} has samples that are not finite or far outside [-1, 1]: export it again")
        mono = block.mean(axis=1, dtype=np.float32)  # (S,)
        channel_energy += float(np.square(block).mean(axis=1).sum(dtype=np.float64))
        mono_energy += float(np.square(mono).sum(dtype=np.float64))
        parts.append(mono if resampler is None else resampler.resample_chunk(mono))
    if decoded == 0:
        raise AudioError(f"{name!r} has no samples: fetch it again or remove it")
    if declared < _UNKNOWN and decoded != declared:
        raise AudioError(f"{name!r} is cut off (says {declared} samples, has {decoded}): fetch it again")
    if mono_energy < 1e-4 * channel_energy:
        raise AudioError(f"{name!r} has channels in opposite phase, mixed they cancel: keep one of its channels")
    if resampler is not None:
        parts.append(resampler.resample_chunk(np.empty(0, np.float32), last=True))
    return np.concatenate(parts)


def _blocks(file: Any) -> Iterator[NDArray[np.float32]]:
    while len(block := file.read(BLOCK, dtype="float32", always_2d=True)):
        yield block


def _cut_short(binary: FileIO, size: int) -> str | None:
    """Say what a container itself shows to be missing, where libsndfile quietly makes do with the rest."""
    head = binary.read(12)
    verdict = None
    if head[:4] in (b"RIFF", b"FORM") and len(head) == 12:
        whole = int.from_bytes(head[4:8], "little" if head[:4] == b"RIFF" else "big") + 8
        streamed = whole in (8, 0xFFFFFFFF + 8)  # length not known when the header was written
        if not streamed and whole > size + 1:  # + 1: a pad byte many leave out
            verdict = f"{size} of {whole} bytes"
    elif head[:4] == b"OggS":
        binary.seek(max(0, size - LARGEST_OGG_PAGE))
        tail = binary.read(LARGEST_OGG_PAGE)
        page = tail[tail.rfind(b"OggS") :]
        lengths = page[27 : 27 + page[26]] if len(page) > 26 else b""
        if not lengths or len(page) < 27 + page[26] + sum(lengths) or not page[5] & 4:  # 4: end of stream
            verdict = "its last page is not whole"
    binary.seek(0)
    return verdict
