"""Small files that say, or unpack to, far more than any clip: to be refused in seconds and little memory."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile
from fakes import malformed


def silence(path: Path, container: str, seconds: int, rate: int, channels: int = 1, subtype: str | None = None) -> None:
    """Write silence second by second."""
    minute = np.zeros((60 * rate, channels), np.int16)
    with soundfile.SoundFile(path, "w", rate, channels, subtype, format=container) as file:
        for _ in range(seconds // 60):
            file.write(minute)


def endless_flac(path: Path) -> None:
    """Eleven minutes of four channels that do not say how long they are, nor what their samples' digest is."""
    silence(path, "FLAC", 660, 48_000, 4)
    content = path.read_bytes()
    path.write_bytes(malformed.put(content, 21, bytes([content[21] & 0xF0]) + bytes(4 + 16)))


def opus_of_months(path: Path) -> None:
    """A short Opus file whose last page says that months have gone by, and has the right checksum."""
    *others, last = malformed.pages(malformed.encoded("OGG", "OPUS"))
    last = malformed.put(malformed.put(last, 6, (1 << 40).to_bytes(8, "little")), 22, bytes(4))
    path.write_bytes(b"".join(others) + malformed.put(last, 22, ogg_crc(last).to_bytes(4, "little")))


def ogg_crc(page: bytes) -> int:
    """Bit by bit, as RFC 3533 defines it."""
    crc = 0
    for byte in page:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ (0x04C11DB7 if crc >> 31 else 0)) & 0xFFFFFFFF
    return crc


def endless_mp3(path: Path) -> None:
    """Five hours of silence in frames, with no header that counts them."""
    frames = malformed.without_xing(malformed.encoded("MP3", sound=np.zeros((10 * 16_000, 1))))
    path.write_bytes(frames * 1_800)


def long_mp3(path: Path) -> None:
    """Five hours, and a header that says ten seconds."""
    short = malformed.encoded("MP3", sound=np.zeros((10 * 16_000, 1)))
    path.write_bytes(short + malformed.without_xing(short) * 1_800)


def terabytes_wav(path: Path) -> None:
    """An extensible header for terabytes, in 64-bit sizes, and nothing else."""
    header = bytearray(malformed.encoded("RF64", "PCM_16"))
    at = header.index(b"ds64") + 8
    header[at : at + 24] = (4 << 40).to_bytes(8, "little") * 2 + (2 << 40).to_bytes(8, "little")
    path.write_bytes(header)


def sparse_wav(path: Path) -> None:
    """Two gigabytes of zeros that take no room on the disk."""
    wav = malformed.encoded("WAV", "PCM_16", malformed.noise(10, 8), 192_000)
    whole = malformed.put(wav, 4, malformed.le32(2**31 - 9))
    path.write_bytes(malformed.put(whole, 40, malformed.le32(2**31 - 45)))
    with path.open("r+b") as file:
        file.truncate(2**31 - 1)


def flac_of_years(path: Path) -> None:
    """A short FLAC that says it has 2³⁶ - 1 samples."""
    content = malformed.encoded("FLAC", "PCM_16")
    path.write_bytes(malformed.put(content, 21, bytes([content[21] | 0x0F]) + b"\xff" * 4))


def many_channels(path: Path) -> None:
    """A wav of 1,024 channels."""
    path.write_bytes(malformed.encoded("WAV", "PCM_16", malformed.noise(2_000, 1_024)))


BOMBS: dict[str, Callable[[Path], None]] = {
    "flac, half an hour of 8 channels": lambda path: silence(path, "FLAC", 1_800, 4_000, 8),
    "flac of no stated length": endless_flac,
    "flac that says years": flac_of_years,
    "vorbis, a quarter of an hour": lambda path: silence(path, "OGG", 900, 4_000, subtype="VORBIS"),
    "opus that says months": opus_of_months,
    "mp3, 5 hours": endless_mp3,
    "mp3, 5 hours that say ten seconds": long_mp3,
    "wav that says terabytes": terabytes_wav,
    "wav of 2 GiB of nothing": sparse_wav,
    "wav, 1,024 channels": many_channels,
}
