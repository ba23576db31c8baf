"""Sound that arrives while it is classified: files, standard input, and the microphone, in chunks of one length."""

import itertools
import queue
import re
import struct
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import soxr
from numpy.typing import NDArray

from bench.errors import BenchWarning, RunError
from bench.extras import install
from bench.inference.classifier import Samples
from bench.inference.recordings import MAX_SECONDS
from datamodules.audio.decoder import MAX_CHANNELS, MAX_RATE, MAX_SAMPLE, MIN_RATE, decode_blocks

_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_TAGS = re.compile(rb"LIST.{4}(?:INFO|adtl)|id3 .{4}ID3", re.DOTALL)
"""Beginning of the chunks that programs write behind the samples."""
_MAX_HEADER = 1 << 20
"""Bytes before the samples, such as tags, that are accepted."""


@dataclass(frozen=True)
class PCM:
    """How samples lie in a stream of bytes.

    Attributes:
        rate: in hertz.
        channels: number of channels, which are averaged.
        bits: of one sample.
        floats: whether samples are floating-point numbers.
    """

    rate: int
    channels: int = 1
    bits: int = 16
    floats: bool = False

    def __post_init__(self) -> None:
        if not MIN_RATE <= self.rate <= MAX_RATE or not 1 <= self.channels <= MAX_CHANNELS:
            raise RunError(
                f"{self.rate} Hz and {self.channels} channels are out of bounds: {MIN_RATE} to {MAX_RATE} Hz and 1 to "
                f"{MAX_CHANNELS} channels are accepted"
            )
        if (self.bits, self.floats) not in ((8, False), (16, False), (24, False), (32, False), (32, True), (64, True)):
            raise RunError(f"samples of {self.bits} bits are not accepted: send 16 bits (ffmpeg -c:a pcm_s16le)")

    @property
    def frame_bytes(self) -> int:
        """Bytes of one sample of all channels."""
        return self.channels * self.bits // 8

    def mono(self, content: bytes) -> Samples:
        """Return the samples `(s,)` of whole frames of bytes.

        Raises:
            RunError: they are not finite, or far outside [-1, 1].
        """
        values: NDArray[Any]
        if self.floats:
            values = np.frombuffer(content, f"<f{self.bits // 8}").astype(np.float32)
            if not np.abs(values).max(initial=0.0) <= MAX_SAMPLE:  # NaN compares false
                raise RunError("the stream has samples that are not finite or far outside [-1, 1]")
        elif self.bits == 8:
            values = (np.frombuffer(content, np.uint8).astype(np.float32) - 128) / np.float32(128)
        elif self.bits == 24:
            parts = np.frombuffer(content, np.uint8).reshape(-1, 3)
            padded = np.concatenate([np.zeros((len(parts), 1), np.uint8), parts], 1)
            values = padded.view("<i4")[:, 0].astype(np.float32) / np.float32(2**31)
        else:
            values = np.frombuffer(content, f"<i{self.bits // 8}").astype(np.float32)
            values /= np.float32(2 ** (self.bits - 1))
        mono: Samples = values.reshape(-1, self.channels).mean(1, dtype=np.float32)
        return mono


def from_file(path: Path, rate: int, chunk: int, max_seconds: float = MAX_SECONDS) -> Iterator[Samples]:
    """Yield a file's samples at `rate` in chunks of `chunk` samples; errors as from the decoder."""
    yield from cut(decode_blocks(path, rate, max_seconds), chunk)


def from_pipe(stream: IO[bytes], rate: int, chunk: int, raw: PCM | None = None) -> Iterator[Samples]:
    """Yield the samples of a stream of bytes, WAV or raw PCM, at `rate` in chunks of `chunk` samples.

    Args:
        stream: such as standard input; it may go on for ever, and a WAV header's sizes may be those of a pipe.
        rate: in hertz, of the chunks.
        chunk: samples of a chunk at `rate`.
        raw: how the samples lie; None expects a WAV file.

    Raises:
        RunError: the stream is neither, or its samples cannot be used.

    Warns:
        BenchWarning: the stream ended before the samples that its header counts.
    """
    head = _read(stream, 12)
    if head[:4] in (b"RIFF", b"RF64") and head[8:] == b"WAVE":
        if raw is not None:
            raise RunError("standard input is a WAV file, whose header says how its samples lie: leave --rate out")
        form, left, head = _wav_header(stream)
    elif raw is None:
        what = "has no sound" if not head else "is no WAV file"
        raise RunError(f"standard input {what}: send WAV, or raw PCM of 16 bits (s16le) with --rate")
    else:
        form, left = raw, None
    yield from cut(resampled(_samples(stream, form, left, head, chunk * form.rate // rate + 1), form.rate, rate), chunk)


def _samples(stream: IO[bytes], form: PCM, left: int | None, head: bytes, count: int) -> Iterator[Samples]:
    """Yield the samples of a stream from its first one on; `left` is the number of bytes, None until it ends."""
    rest = head
    while left is None or left > 0:
        size = count * form.frame_bytes
        content = _read(stream, size if left is None else min(size, left))
        if not content:
            if left is not None:
                warnings.warn(
                    f"the WAV stream is cut off: {left:,} bytes of the samples that its header counts did not come; "
                    f"look at the program that sends it",
                    BenchWarning, stacklevel=2,
                )  # fmt: skip
            break
        left = None if left is None else left - len(content)
        content = rest + content
        whole = len(content) // form.frame_bytes * form.frame_bytes
        rest = content[whole:]
        if whole:
            yield form.mono(content[:whole])
    else:
        return
    if whole := len(rest) // form.frame_bytes * form.frame_bytes:
        yield form.mono(rest[:whole])


def _wav_header(stream: IO[bytes]) -> tuple[PCM, int | None, bytes]:
    """Return the form of the samples, their number of bytes, and what has been read of them.

    The number is None where the header was written into a pipe.
    """
    form, seen = None, 0
    while len(head := _read(stream, 8)) == 8:
        name, size = head[:4], struct.unpack("<I", head[4:])[0]
        if name == b"data":
            if form is None:
                break
            endless = size == 0 or size >= 0x7FFFF000  # what programs write that cannot go back, see `pipes`
            first = _read(stream, 12) if size == 0 else b""
            if _TAGS.match(first):  # the samples are none, and not uncounted
                break
            return form, None if endless else size, first
        seen += size
        if seen > _MAX_HEADER:
            break
        content = _read(stream, size + size % 2)
        if name == b"fmt " and len(content) >= 16:
            kind, channels, rate, _, align, bits = struct.unpack("<HHIIHH", content[:16])
            if kind == _EXTENSIBLE and len(content) >= 26:
                kind = struct.unpack("<H", content[24:26])[0]
            if kind not in (_PCM, _FLOAT):
                raise RunError(f"the WAV stream has format {kind}: send plain PCM (ffmpeg -c:a pcm_s16le -f wav -)")
            form = PCM(rate, channels, bits, kind == _FLOAT)
            if align != form.frame_bytes:  # libsndfile and FFmpeg read two different things then
                raise RunError(
                    f"the WAV stream has frames of {align} bytes for {channels} x {bits} bits, which programs read "
                    f"differently: let the program that sends it write 16 bits (s16le)"
                )
    raise RunError("the WAV stream has no samples, or a damaged header: send it again, or raw PCM with --rate")


def _read(stream: IO[bytes], size: int) -> bytes:
    """Read so many bytes, or fewer at the end; a pipe may give them in parts."""
    parts = []
    while size > 0 and (part := stream.read(size)):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def from_microphone(
    rate: int,
    chunk: int,
    device: int | str | None = None,
    lost: Callable[[], object] | None = None,
    ready: Callable[[], object] | None = None,
) -> Iterator[Samples]:
    """Yield the sound of a microphone at `rate` in chunks of `chunk` samples, without end.

    Args:
        rate: in hertz; where the device does not have it, its own rate is used and resampled.
        chunk: samples of a chunk.
        device: number or name of `python -m sounddevice`; None is the default.
        lost: is called when sound was lost because the model was too slow.
        ready: is called when the microphone is open.

    Raises:
        RunError: sounddevice or PortAudio is not installed, or there is no such device.
    """
    try:
        import sounddevice
    except ImportError as error:
        raise RunError(f"the microphone needs sounddevice: {install('microphone')}") from error
    except OSError as error:
        raise RunError(f"sounddevice has no PortAudio ({error}): install libportaudio2") from error
    waiting: queue.SimpleQueue[Samples] = queue.SimpleQueue()

    def take(block: NDArray[np.float32], frames: int, time: object, status: Any) -> None:
        if status.input_overflow and lost is not None:
            lost()
        waiting.put(block[:, 0].copy())

    own = rate
    try:
        try:
            sounddevice.check_input_settings(device=device, channels=1, dtype="float32", samplerate=rate)
        except sounddevice.PortAudioError:
            own = round(sounddevice.query_devices(device, "input")["default_samplerate"])
        size = max(1, chunk * own // rate)
        stream = sounddevice.InputStream(
            samplerate=own, channels=1, dtype="float32", blocksize=size, device=device, callback=take
        )
    except (sounddevice.PortAudioError, ValueError) as error:
        raise RunError(
            f"the microphone cannot be opened ({error}): `python -m sounddevice` lists the devices"
        ) from error
    with stream:
        if ready is not None:
            ready()
        yield from cut(resampled((waiting.get() for _ in itertools.count()), own, rate), chunk)


def resampled(blocks: Iterable[Samples], own: int, rate: int) -> Iterator[Samples]:
    """Yield blocks `(s,)` of one rate at another, as the decoder resamples files."""
    if own == rate:
        yield from blocks
        return
    stream = soxr.ResampleStream(own, rate, 1, dtype="float32", quality="HQ")
    for block in blocks:
        yield stream.resample_chunk(block)
    yield stream.resample_chunk(np.empty(0, np.float32), last=True)


def cut(blocks: Iterable[Samples], size: int) -> Iterator[Samples]:
    """Yield blocks `(s,)` anew, each of `size` samples but for the last one."""
    held: list[Samples] = []
    count = 0
    for block in blocks:
        held.append(block)
        count += len(block)
        if count >= size:
            joined = np.concatenate(held)
            whole = count // size * size
            for start in range(0, whole, size):
                yield joined[start : start + size]
            held, count = [joined[whole:]], count - whole
    if count:
        yield np.concatenate(held)
