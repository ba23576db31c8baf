"""Files that say, or unpack to, more than the longest clip that the tests accept: `SECONDS`, where users have minutes.

So all of them are harmless: none has, or says it has, more than some megabytes of samples.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
from fakes import malformed

SECONDS = 2.0
"""Longest clip that is accepted."""

LONG = 20
"""Seconds of those that are too long."""


class Bomb(NamedTuple):
    """A file that is refused.

    Attributes:
        build: writes it.
        said: pattern of what the refusal says.
    """

    build: Callable[[Path], None]
    said: str


def silence(path: Path, container: str, rate: int, channels: int = 1, subtype: str | None = None) -> None:
    """Write `LONG` seconds of silence."""
    soundfile.write(path, np.zeros((LONG * rate, channels), np.int16), rate, subtype, format=container)


def flac_of_no_length(path: Path) -> None:
    """Write a FLAC that does not say how long it is, nor what its samples' digest is."""
    silence(path, "FLAC", 8_000, 4)
    content = path.read_bytes()
    path.write_bytes(malformed.put(content, 21, bytes([content[21] & 0xF0]) + bytes(4 + 16)))


def flac_that_says_more(path: Path) -> None:
    """Write half a second of FLAC that says it has `LONG` seconds."""
    content = malformed.encoded("FLAC", "PCM_16")
    path.write_bytes(malformed.put(content, 22, (LONG * malformed.RATE).to_bytes(4)))


def opus_that_says_more(path: Path) -> None:
    """Write 1.5 s of Opus whose last page says that `LONG` seconds have gone by, and has the right checksum."""
    *others, last = malformed.pages(malformed.encoded("OGG", "OPUS", malformed.noise(24_000)))
    last = malformed.put(malformed.put(last, 6, (LONG * 48_000).to_bytes(8, "little")), 22, bytes(4))
    path.write_bytes(b"".join(others) + malformed.put(last, 22, ogg_crc(last).to_bytes(4, "little")))


def ogg_crc(page: bytes) -> int:
    """Return a page's checksum bit by bit, as RFC 3533 defines it."""
    crc = 0
    for byte in page:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ (0x04C11DB7 if crc >> 31 else 0)) & 0xFFFFFFFF
    return crc


def mp3_of_no_length(path: Path) -> None:
    """Write `LONG` seconds of silence in frames, with no header that counts them."""
    frames = malformed.without_xing(malformed.encoded("MP3", sound=np.zeros((malformed.RATE, 1))))
    path.write_bytes(frames * LONG)


def mp3_that_says_less(path: Path) -> None:
    """Write more than `LONG` seconds behind a header that says one."""
    short = malformed.encoded("MP3", sound=np.zeros((malformed.RATE, 1)))
    path.write_bytes(short + malformed.without_xing(short) * LONG)


def wav_that_says_more(path: Path) -> None:
    """Write half a second behind a header of 64-bit sizes that says a megabyte."""
    header = bytearray(malformed.encoded("RF64", "PCM_16"))
    at = header.index(b"ds64") + 8
    header[at : at + 24] = (1 << 20).to_bytes(8, "little") * 2 + (1 << 19).to_bytes(8, "little")
    path.write_bytes(header)


def sparse_wav(path: Path) -> None:
    """Write a megabyte of zeros, 8 s of eight channels, most of which take no room on the disk."""
    size = 1 << 20
    wav = malformed.encoded("WAV", "PCM_16", malformed.noise(10, 8), 8_000)
    whole = malformed.put(wav, 4, malformed.le32(size - 8))
    path.write_bytes(malformed.put(whole, 40, malformed.le32(size - 44)))
    with path.open("r+b") as file:
        file.truncate(size)


def many_channels(path: Path) -> None:
    """Write a hundred samples of 1,024 channels."""
    path.write_bytes(malformed.encoded("WAV", "PCM_16", malformed.noise(100, 1_024)))


LASTS = f"says it lasts .* s: cut it to at most {SECONDS:g} s"
BOMBS: dict[str, Bomb] = {
    "flac of 8 channels": Bomb(lambda path: silence(path, "FLAC", 8_000, 8), LASTS),
    "flac of no stated length": Bomb(flac_of_no_length, LASTS),
    "flac that says more": Bomb(flac_that_says_more, LASTS),
    "vorbis": Bomb(lambda path: silence(path, "OGG", 8_000, subtype="VORBIS"), LASTS),
    "opus that says more": Bomb(opus_that_says_more, LASTS),
    "mp3 of no stated length": Bomb(mp3_of_no_length, LASTS),
    "mp3 that says less": Bomb(mp3_that_says_less, "lasts longer than it states and than is accepted"),
    "wav of 64-bit sizes": Bomb(wav_that_says_more, "is cut off"),
    "wav of nothing": Bomb(sparse_wav, LASTS),
    "wav of 1,024 channels": Bomb(many_channels, "has 1024 channels"),
}
"""By name."""
