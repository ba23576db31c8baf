"""The guarded decoder of all audio: `decode` reads files, `decode_bytes` reads streamed content.

libsndfile recognises wav, rf64, w64, flac, ogg, opus, mp3, aiff, caf, au and sphere by content, whatever the file is
called. It also accepts a wrong header, half a file, 1,024 channels or a rate of 1 Hz, and it waits for ever on a FIFO.
The decoder refuses all of these, the first two through `datamodules.audio.containers`. What a program wrote into a pipe
is read with the sizes that its header should have, see `datamodules.audio.pipes`. No decoder notices a flipped bit in
plain samples; `bench data verify` finds it by its manifest.

Sound tracks of mp4 (m4a, mov, 3gp), matroska (webm), asf (wma), amr and aac files are decoded by PyAV, where the extra
[av] is installed, in processes of their own: see `datamodules.audio.av_file`.
"""

import hashlib
import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from io import FileIO, RawIOBase
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from datamodules.audio import av_containers, containers, pipes
from datamodules.audio.av_file import Absent, AvFile
from datamodules.errors import DataError
from datamodules.tables.csv_table import safe

ENDINGS = tuple(sorted((
    ".aif", ".aifc", ".aiff", ".au", ".bwf", ".caf", ".flac", ".mp2", ".mp3", ".oga", ".ogg", ".opus", ".rf64", ".snd",
    ".sph", ".w64", ".wav", ".wave", *av_containers.ENDINGS,
)))  # fmt: skip
"""Endings of the names of audio files, in lower case. Some need the extra [av], and say so when they are decoded."""


def is_track(name: str) -> bool:
    """Say whether a file is named as a sound track, which may be of a video that lies next to its sound."""
    return name.lower().endswith(av_containers.ENDINGS)


MIN_RATE, MAX_RATE = 4_000, 192_000
MAX_CHANNELS = 8
MAX_SECONDS = 600.0
MAX_VALUES_PER_SECOND = 4 * 48_000  # samples times channels; above this, only shorter files are accepted
MAX_BYTES = 1 << 31
MAX_MEMBER_BYTES = 64 * 2**20  # ten seconds at the highest rate, with all channels and 32 bits, are 61 MB
MAX_SAMPLE = 8.0  # lossy codecs exceed 1 slightly; integers stored as floats exceed it by far
BLOCK = 1 << 16
_UNKNOWN = 1 << 62  # libsndfile's frame count where the container does not say


class AudioError(DataError):
    """An audio file that cannot be used; the message names it and the remedy."""


@dataclass(frozen=True)
class ShardMember:
    """An audio file inside a larger file, such as a shard.

    Attributes:
        file: the larger file.
        start: its position there, in bytes.
        size: its length in bytes.
        name: its own name there.
    """

    file: Path
    start: int
    size: int
    name: str

    def __str__(self) -> str:
        return f"{safe(self.file.name)}: {safe(self.name)}"


AudioSource = Path | ShardMember
"""Place of an encoded clip: a file, or a member of a shard."""


def renamed(words: str, source: AudioSource, name: str) -> str:
    """Return the message of an `AudioError` with a longer name of the file: many folders may have one of that name.

    Args:
        words: the message.
        source: the file that was to be decoded.
        name: takes the place of the last part of its path, where that is its end; a shard's member keeps its own.
    """
    if isinstance(source, ShardMember) or not name.endswith(f"/{safe(source.name)}"):
        return words
    short = repr(source.name)
    return f"{name!r}{words.removeprefix(short)}" if words.startswith(short) else words


@dataclass(frozen=True)
class Sound:
    """Content of an audio file, from decoding it completely.

    Attributes:
        sha256: digest of the file's bytes (hex).
        content: SHA-256 of the samples, mixed to mono, float32 (hex): the same for copies in other containers.
        samples: number of samples per channel, at the file's own rate.
        sample_rate: in hertz; of an Opus stream the rate of the sound that was encoded, which its header states.
        channels: number of channels.
        container: "WAV", "FLAC", "OGG", "MP3", ...
        subtype: how samples are coded, "PCM_16", "VORBIS", ...
        silent: whether every sample is 0 once mixed to mono.
    """

    sha256: str
    content: str
    samples: int
    sample_rate: int
    channels: int
    container: str
    subtype: str
    silent: bool


@dataclass(frozen=True)
class Own:
    """Facts on the sound in a file, before it is resampled.

    Attributes:
        sample_rate: in hertz.
        content: SHA-256 of the samples, mixed to mono, float32 (hex), as in `Sound`; empty for digital silence.
    """

    sample_rate: int
    content: str


def decode(
    path: AudioSource,
    sample_rate: int,
    max_seconds: float = MAX_SECONDS,
    root: Path | None = None,
    own: Callable[[Own], object] | None = None,
) -> NDArray[np.float32]:
    """Decode a whole file to mono.

    Channels are averaged. The file is read and resampled (soxr HQ) in blocks, so memory depends on the
    decoded samples and not on the header's claims.

    Args:
        path: a regular file, or a member of one.
        sample_rate: of the result, in hertz.
        max_seconds: longest file that is accepted.
        root: folder that has to contain the file after links are followed; None leaves that check to the caller, see
            `datamodules.tables.csv_table.inside`.
        own: receives facts on the sound in the file, before it is resampled.

    Returns:
        Samples `(S,)`, about in [-1, 1].

    Raises:
        AudioError: not a regular file, not audio, out of bounds, cut off, damaged, empty, not finite, or silent once
            mixed to mono.
    """
    with _opened(path, max_seconds, root) as sound:
        if own is None:
            return _resampled(sound, sample_rate, max_seconds)
        content = _Content()
        samples = _resampled(sound, sample_rate, max_seconds, content)
        own(Own(_own_rate(sound), content.digest))
        return samples


def decode_blocks(path: Path, sample_rate: int, max_seconds: float = MAX_SECONDS) -> Iterator[NDArray[np.float32]]:
    """Decode a file to mono block by block, so that memory does not grow with its length.

    An error that only the end of the file shows, such as a file that is cut off, is raised after the last block.

    Args:
        path: a regular file.
        sample_rate: of the result, in hertz.
        max_seconds: longest file that is accepted.

    Yields:
        Samples `(s,)`; all blocks together are what `decode` returns.

    Raises:
        AudioError: as from `decode`.
    """
    with _opened(path, max_seconds) as sound:
        yield from _resampled_blocks(sound, sample_rate, max_seconds)


def decode_bytes(content: bytes, name: str, sample_rate: int, max_seconds: float = MAX_SECONDS) -> NDArray[np.float32]:
    """Decode the content of a file to mono, as `decode` does.

    Args:
        content: the whole file.
        name: name of the file in messages.
        sample_rate: of the result, in hertz.
        max_seconds: longest file that is accepted.

    Returns:
        Samples `(S,)`, about in [-1, 1].

    Raises:
        AudioError: as from `decode`.
    """
    return np.concatenate(list(decode_bytes_blocks(content, name, sample_rate, max_seconds)))


def decode_bytes_blocks(
    content: bytes, name: str, sample_rate: int, max_seconds: float = MAX_SECONDS
) -> Iterator[NDArray[np.float32]]:
    """Yield the blocks of which `decode_bytes` returns all; arguments and errors are as there."""
    with _unnamed(content) as binary, _sound(binary, name, max_seconds) as sound:
        yield from _resampled_blocks(sound, sample_rate, max_seconds)


def decode_read(
    read: containers.Read,
    size: int,
    name: str,
    sample_rate: int,
    max_seconds: float = MAX_SECONDS,
    stated: Callable[[float], object] | None = None,
) -> Iterator[NDArray[np.float32]]:
    """Decode a file to mono block by block, as `decode_blocks` does, through a function that reads from it.

    Args:
        read: returns up to so many bytes (second argument) from a place (first argument).
        size: size of the file, in bytes.
        name: name of the file in messages.
        sample_rate: of the result, in hertz.
        max_seconds: longest file that is accepted.
        stated: receives the length in seconds that the file's header states, if it states one.

    Yields:
        Samples `(s,)`.

    Raises:
        AudioError: as from `decode`.
    """
    with _read_sound(read, size, name, max_seconds) as sound:
        if stated is not None and sound.file.frames < _UNKNOWN and sound.file.samplerate > 0:
            stated(sound.file.frames / sound.file.samplerate)
        yield from _resampled_blocks(sound, sample_rate, max_seconds)


def encoded(member: ShardMember, root: Path | None = None) -> bytes:
    """Return the content of a member; `root` as for `decode`.

    Raises:
        AudioError: its file is not regular or is too short, or the member is larger than any clip.
    """
    if member.size > MAX_MEMBER_BYTES:
        raise AudioError(
            f"{str(member)!r} has {member.size:,} bytes, no clip has more than {MAX_MEMBER_BYTES:,}: cut it"
        )
    with _regular(member.file, root) as binary:
        binary.seek(member.start)
        content = binary.read(member.size)
    if len(content) != member.size:
        raise AudioError(f"{str(member)!r} is cut off ({len(content)} of {member.size} bytes): fetch the file again")
    return content


def inspect(path: AudioSource, max_seconds: float = MAX_SECONDS, root: Path | None = None) -> Sound:
    """Decode a whole file and describe its content, without keeping samples; arguments and errors as for `decode`."""
    with _opened(path, max_seconds, root) as sound:
        samples, silent, content = 0, True, hashlib.sha256()
        for mono in _mono(sound, max_seconds):
            samples += len(mono)
            silent = silent and not mono.any()
            content.update(mono.astype("<f4", copy=False).tobytes())
        encoded = hashlib.sha256()
        for at in range(0, sound.size, 1 << 20):
            encoded.update(sound.read(at, 1 << 20))
        file = sound.file
        rate = _own_rate(sound)
        return Sound(
            sha256=encoded.hexdigest(),
            content=content.hexdigest(),
            samples=samples if rate == file.samplerate else int(samples * rate / file.samplerate + 0.5),
            sample_rate=rate,
            channels=file.channels,
            container=file.format,
            subtype=file.subtype,
            silent=silent,
        )


def length(path: AudioSource, max_seconds: float = MAX_SECONDS) -> float:
    """Return a file's length in seconds; arguments and errors as for `length_and_rate`."""
    return length_and_rate(path, max_seconds)[0]


def length_and_rate(path: AudioSource, max_seconds: float = MAX_SECONDS) -> tuple[float, int]:
    """Return a file's length in seconds and its own sample rate in hertz, by its header.

    Args:
        path: the file.
        max_seconds: the longest that is accepted.

    Raises:
        AudioError: not a regular file, not audio, out of bounds, or cut off.
    """
    with _opened(path, max_seconds, facts_only=True) as sound:
        samples, rate = _examined(sound, max_seconds), _own_rate(sound)
        if samples is not None or sound.file.frames < _UNKNOWN:
            return int(sound.file.frames if samples is None else samples) / int(sound.file.samplerate), rate
    with _opened(path, max_seconds) as sound:  # a stream whose header does not say it
        return sum(map(len, _mono(sound, max_seconds))) / int(sound.file.samplerate), rate


@dataclass(frozen=True)
class _Opened:
    """A file that libsndfile or PyAV has opened.

    Attributes:
        file: a `soundfile.SoundFile` or an `AvFile`.
        name: its name in messages.
        size: its size in bytes.
        read: reads from it.
        view: reads from it as libsndfile does, with the header that it should have.
    """

    file: Any
    name: str
    size: int
    read: containers.Read
    view: containers.Read


@contextmanager
def _opened(
    path: AudioSource, max_seconds: float, root: Path | None = None, facts_only: bool = False
) -> Iterator[_Opened]:
    if isinstance(path, ShardMember):
        with _unnamed(encoded(path, root)) as binary, _sound(binary, str(path), max_seconds, facts_only) as sound:
            yield sound
    else:
        with _regular(path, root) as binary, _sound(binary, path.name, max_seconds, facts_only) as sound:
            yield sound


@contextmanager
def _regular(path: Path, root: Path | None = None) -> Iterator[FileIO]:
    name, folder = path.name, str(path.parent)
    try:
        if root is not None and not path.resolve().is_relative_to(root.resolve()):
            raise AudioError(f"{name!r} is a link to a file outside {str(root)!r}: put the file itself there")
        if not stat.S_ISREG(path.stat().st_mode):  # before opening: a FIFO would block
            raise AudioError(f"{name!r} is not a regular file: remove it from {folder!r}")
        with path.open("rb", buffering=0) as binary:
            yield binary
    except (OSError, RuntimeError) as error:  # a loop of links is a RuntimeError
        words = getattr(error, "strerror", None) or str(error)
        raise AudioError(f"{name!r} cannot be opened ({words}): looked in {folder!r}") from error


@contextmanager
def _unnamed(content: bytes) -> Iterator[FileIO]:
    """Write content to a file without a name, which is read by descriptor like any file; in memory on Linux."""
    memory = FileIO(os.memfd_create("clip"), "r+b") if hasattr(os, "memfd_create") else None
    with memory or tempfile.TemporaryFile(buffering=0) as binary:
        binary.write(content)
        binary.seek(0)
        yield binary


@contextmanager
def _sound(binary: FileIO, name: str, max_seconds: float, facts_only: bool = False) -> Iterator[_Opened]:
    descriptor = binary.fileno()
    size = os.fstat(descriptor).st_size
    with _read_sound(partial(_read_at, descriptor), size, name, max_seconds, facts_only, descriptor) as sound:
        yield sound


@contextmanager
def _read_sound(
    read: containers.Read,
    size: int,
    name: str,
    max_seconds: float,
    facts_only: bool = False,
    descriptor: int | None = None,
) -> Iterator[_Opened]:
    if size == 0:
        raise AudioError(f"{name!r} is empty: fetch it again or remove it")
    if (kind := av_containers.recognised(read)) is not None:
        if size > MAX_BYTES:
            raise _too_large(name, size)
        try:
            with closing(AvFile(read, size, kind, max_seconds, facts_only)) as track:
                yield _Opened(track, name, size, read, read)
        except Absent as absence:
            raise AudioError(
                f"{name!r} is {_AN.get(kind.name, 'a')} {kind.name} file: reading it {absence}"
            ) from absence
        except containers.Damaged as damage:
            raise AudioError(f"{name!r} {damage}: {damage.remedy or 'fetch it again'}") from damage
        return
    patches = pipes.mended(read, size)
    view = pipes.patched(read, patches)
    try:
        mpeg = containers.mpeg_in_wav(view, size, max_seconds * 48_000)
    except containers.Damaged as damage:
        raise AudioError(f"{name!r} {damage}: {damage.remedy or _again('WAV')}") from damage
    if mpeg is not None:
        (view, size), descriptor = mpeg, None
    try:
        # By descriptor, so that neither the file's extension nor the encoding of its name matters.
        place = _View(view, size) if patches or descriptor is None else descriptor
        with soundfile.SoundFile(place, closefd=False) as file:
            yield _Opened(file, name, size, read, view)
    except soundfile.SoundFileError as error:
        problem = str(error).split(": ", 1)[-1] or "damaged"
        raise AudioError(
            f"{name!r} cannot be decoded ({problem.rstrip('.')}): replace it; if it is sound of another kind, "
            f"convert it by `ffmpeg -i OLD NEW.wav`"
        ) from error


_AN = {"MP4": "an", "ASF": "an", "AMR": "an", "ADTS": "an"}


class _View(RawIOBase):
    """A file as libsndfile shall see it."""

    def __init__(self, read: containers.Read, size: int) -> None:
        self._read, self._size, self._place = read, size, 0

    def readinto(self, buffer: Any) -> int:
        content = self._read(self._place, len(buffer))
        buffer[: len(content)] = content
        self._place += len(content)
        return len(content)

    def seek(self, place: int, whence: int = os.SEEK_SET) -> int:
        self._place = place + (0, self._place, self._size)[whence]
        return self._place

    def tell(self) -> int:
        return self._place


def _read_at(descriptor: int, place: int, length: int) -> bytes:
    """Read from a place in a file without moving the position from which libsndfile reads on."""
    if hasattr(os, "pread"):
        return os.pread(descriptor, length, place)
    position = os.lseek(descriptor, 0, os.SEEK_CUR)  # Windows has no pread
    try:
        os.lseek(descriptor, place, os.SEEK_SET)
        return os.read(descriptor, length)
    finally:
        os.lseek(descriptor, position, os.SEEK_SET)


def _examined(sound: _Opened, max_seconds: float) -> int | None:
    """Refuse a file that is out of bounds or inconsistent, before decoding; return the number of samples to expect."""
    file, name = sound.file, sound.name
    if sound.size > MAX_BYTES:
        raise _too_large(name, sound.size)
    if file.format not in containers.READ and not isinstance(file, AvFile):
        raise AudioError(f"{name!r} is a {file.format} file: convert it by `ffmpeg -i OLD NEW.wav`")
    if not MIN_RATE <= file.samplerate <= MAX_RATE:
        raise AudioError(f"{name!r} has {file.samplerate} Hz: resample it to {MIN_RATE} to {MAX_RATE} Hz")
    if file.channels > MAX_CHANNELS:
        raise AudioError(f"{name!r} has {file.channels} channels: mix it down to at most {MAX_CHANNELS}")
    most = _most(file, max_seconds)
    if _UNKNOWN > file.frames > most:
        seconds = file.frames / file.samplerate
        raise AudioError(
            f"{name!r} says it lasts {seconds:,.0f} s: cut it to at most {most / file.samplerate:g} s, "
            f"for it has {file.channels} channels at {file.samplerate} Hz"
        )
    if isinstance(file, AvFile):  # which has examined it, and compares the length itself
        return None
    try:
        counted = containers.examine(sound.view, sound.size, file.format, most)
    except containers.Damaged as damage:
        raise AudioError(f"{name!r} {damage}: {damage.remedy or _again(file.format)}") from damage
    return counted if counted is not None or file.frames >= _UNKNOWN else int(file.frames)


def _again(container: str) -> str:
    """Return what to do with a file whose header contradicts its length."""
    if container in ("FLAC", "OGG", "MP3"):
        return "fetch it again"
    ignoring = "-ignore_length 1 " if container in ("WAV", "WAVEX") else ""
    return f"fetch it again; if nothing is missing, mend its header by `ffmpeg {ignoring}-i OLD NEW.wav`"


def _too_large(name: str, size: int) -> AudioError:
    return AudioError(f"{name!r} has {size / 2**30:.1f} GiB: cut it to at most {MAX_BYTES >> 30} GiB")


def _own_rate(sound: _Opened) -> int:
    """Return the rate in hertz of the sound before it was encoded; it is the rate of the samples, but for Opus."""
    head = b""
    if isinstance(sound.file, AvFile):
        head = sound.file.opus_head
    elif sound.file.subtype == "OPUS" and (lengths := sound.read(26, 1)):
        head = sound.read(27 + lengths[0], 19)  # after the first page's table of lengths
    stated = av_containers.opus_rate(head) or 0
    return stated if MIN_RATE <= stated <= MAX_RATE else int(sound.file.samplerate)


def _most(file: Any, max_seconds: float) -> float:
    """Return the largest accepted number of samples per channel."""
    return max_seconds * min(float(file.samplerate), MAX_VALUES_PER_SECOND / int(file.channels))


def _mono(sound: _Opened, max_seconds: float) -> Iterator[NDArray[np.float32]]:
    """Yield a file's samples in blocks, mixed to mono; raise `AudioError` where they are missing or invalid."""
    expected = _examined(sound, max_seconds)
    file, name = sound.file, sound.name
    most, decoded = _most(file, max_seconds), 0
    channel_energy = mono_energy = 0.0
    blocks: _Checksummed | Iterator[NDArray[np.float32]]
    if isinstance(file, AvFile):
        blocks = file.blocks()
    else:
        blocks = _Checksummed(sound) if file.format == "FLAC" else _blocks(file)
    for block in blocks:  # (S, C)
        decoded += len(block)
        if decoded > most:
            raise AudioError(f"{name!r} lasts longer than {most / file.samplerate:g} s: cut it")
        if not max(block.max(), -block.min()) <= MAX_SAMPLE:  # NaN compares false
            if not np.isfinite(block).all():
                raise AudioError(f"{name!r} has samples that are NaN or infinite: export the sound again, or remove it")
            raise AudioError(
                f"{name!r} has samples far outside [-1, 1]: divide them by full scale, or save them as integers"
            )
        if file.channels == 1:
            yield block[:, 0]
            continue
        mono = block.mean(axis=1, dtype=np.float32)  # (S,)
        channel_energy += float(np.vdot(block, block)) / file.channels
        mono_energy += float(np.vdot(mono, mono))
        yield mono
    if decoded == 0:
        raise AudioError(f"{name!r} has no samples: fetch it again or remove it")
    if isinstance(blocks, _Checksummed) and not blocks.matches():
        raise AudioError(f"{name!r} is damaged (its samples do not match their MD5): fetch it again")
    # For MP3 frames without a Xing header libsndfile guesses the length, wrong by up to a frame or two.
    guessed = file.subtype == "MPEG_LAYER_III" and expected != file.frames
    if expected is not None and abs(decoded - expected) > (2 * containers.MAX_FRAME_SAMPLES if guessed else 0):
        if guessed:
            raise AudioError(
                f"{name!r} cannot be read to its end (it has {expected} samples, {decoded} can be decoded, for no "
                "header says how many): write that header by `ffmpeg -i OLD.mp3 -c copy NEW.mp3`"
            )
        raise AudioError(f"{name!r} is cut off (has {expected} samples, {decoded} can be decoded): fetch it again")
    if mono_energy < 1e-4 * channel_energy:
        raise AudioError(f"{name!r} has channels in opposite phase, which cancel when mixed: keep one of its channels")


class _Content:
    """Digest of samples, taken block by block."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self._silent = True

    def add(self, mono: NDArray[np.float32]) -> None:
        """Take the next block."""
        self._silent = self._silent and not mono.any()
        self._digest.update(mono.astype("<f4", copy=False).tobytes())

    @property
    def digest(self) -> str:
        """The digest (hex); empty for digital silence, which no two recordings can have in common."""
        return "" if self._silent else self._digest.hexdigest()


def _resampled(
    sound: _Opened, sample_rate: int, max_seconds: float, content: _Content | None = None
) -> NDArray[np.float32]:
    return np.concatenate(list(_resampled_blocks(sound, sample_rate, max_seconds, content)))


def _resampled_blocks(
    sound: _Opened, sample_rate: int, max_seconds: float, content: _Content | None = None
) -> Iterator[NDArray[np.float32]]:
    rate = sound.file.samplerate
    resampler = None
    for mono in _mono(sound, max_seconds):
        if content is not None:
            content.add(mono)
        if rate == sample_rate:
            yield mono
            continue
        if resampler is None:  # after the first block, whose reading has checked the rate
            resampler = soxr.ResampleStream(rate, sample_rate, 1, dtype="float32", quality="HQ")
        yield resampler.resample_chunk(mono)
    if resampler is not None:
        yield resampler.resample_chunk(np.empty(0, np.float32), last=True)


def _blocks(file: Any) -> Iterator[NDArray[np.float32]]:
    while len(block := file.read(BLOCK, dtype="float32", always_2d=True)):
        yield block


class _Checksummed:
    """The blocks of a FLAC file, and a check of their samples against the file's MD5."""

    def __init__(self, sound: _Opened) -> None:
        self.file = sound.file
        self.stated = containers.flac_digest(sound.read)
        self.found = hashlib.md5(usedforsecurity=False)

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        if self.stated is None:
            yield from _blocks(self.file)
            return
        bits = self.stated[0]
        while len(block := self.file.read(BLOCK, dtype="int32", always_2d=True)):
            samples = (block >> (32 - bits)).astype(
                "<i4", copy=False
            )  # libsndfile shifts them to the most significant bits
            self.found.update(samples.view(np.uint8).reshape(-1, 4)[:, : -(-bits // 8)].tobytes())
            yield block.astype(np.float32) / np.float32(2**31)

    def matches(self) -> bool:
        """Return whether the samples that were read match the MD5; True where the file states none."""
        return self.stated is None or self.found.digest() == self.stated[1]
