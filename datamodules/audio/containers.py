"""Checks of containers for missing or wrong data, which libsndfile silently accepts.

libsndfile ignores the stated sizes, so it reads half a wav file as a shorter clip. It skips Ogg pages that do not match
their checksum. Without a Xing header it guesses the number of an MP3's samples from the first frame, and may read a
third of them.

RIFF: Multimedia Programming Interface and Data Specifications 1.0, 1991. AIFF-C: Apple, 1991. CAF: Apple, Core Audio
Format Specification. Ogg: RFC 3533. MPEG audio frames: ISO/IEC 11172-3 and 13818-3.
"""

import re
import struct
import zlib
from collections.abc import Callable
from functools import partial
from typing import Literal

Read = Callable[[int, int], bytes]
"""Function of a place and a length that returns these bytes of a file, or fewer where the file ends."""

READ = {"WAV", "WAVEX", "RF64", "W64", "AU", "NIST", "AIFF", "CAF", "FLAC", "OGG", "MP3"}
"""libsndfile's names of the containers that are accepted. Other containers cannot be checked."""

LEFT_OVER = 1024  # bytes; longer data after the samples that are not a chunk are samples that the header omits
MAX_PAGES = 1 << 20
MAX_FRAME_SAMPLES = 1152  # samples of an MPEG frame
TAGS = (b"TAG", b"APETAGEX", b"LYRICSBEGIN", b"ID3", b"3DI")  # what may follow the last MPEG frame


class Damaged(Exception):  # noqa: N818 - it is a state of the file
    """A container that contradicts itself; the message continues "the file ...".

    Args:
        words: the message.
        remedy: what to do; empty where that depends on the container.
    """

    def __init__(self, words: str, remedy: str = "") -> None:
        super().__init__(words)
        self.remedy = remedy


def examine(read: Read, size: int, container: str, most_samples: float) -> int | None:
    """Check a container.

    Args:
        read: reads from the file without moving the position of libsndfile, which reads the same file.
        size: size of the file, in bytes.
        container: libsndfile's name of the container.
        most_samples: largest accepted number of samples; only an MP3 is compared with it here.

    Returns:
        The number of samples, where the container states it more exactly than libsndfile.

    Raises:
        Damaged: it is cut off, or states something false.
    """
    if container in ("WAV", "WAVEX"):
        _riff(read, size)
    elif container == "RF64":
        _rf64(read, size)
    elif container == "W64":
        _w64(read, size)
    elif container == "AU":
        _au(read, size)
    elif container == "NIST":
        return _nist(read, size)
    elif container == "CAF":
        _caf(read, size)
    elif container == "OGG":
        _ogg(read)
    elif container == "AIFF":
        return _aiff(read, size)
    elif container == "MP3":
        return _mpeg(read, size, most_samples)
    return None


MPEG_IN_WAV = 0x55
"""Code of MP3 frames in a wav file's format."""


def _riff(read: Read, size: int) -> tuple[int, int] | None:
    """Check that all samples of a wav file are there, and that they are as wide as the header says.

    Returns:
        Start and length in bytes of the MP3 frames, where the samples are in such; else None.
    """
    head = read(0, 12)
    order: Literal["big", "little"] = "big" if head[:4] == b"RIFX" else "little"
    whole = int.from_bytes(head[4:8], order) + 8
    streamed = whole in (8, (1 << 32) + 7)  # the length was not known when the header was written
    if not streamed and whole > size + 8:  # + 8: some writers count the first eight bytes
        raise Damaged(f"is cut off ({size:,} of {whole:,} bytes)")
    at, coding = 12, 0
    while len(chunk := read(at, 8)) == 8:
        length = int.from_bytes(chunk[4:], order)
        if chunk[:4] == b"fmt ":
            _linear(read, at + 8, order)
            coding = int.from_bytes(read(at + 8, 2), order)
        if chunk[:4] == b"data":
            end = at + 8 + length
            if length == 0xFFFFFFFF and streamed:  # `pipes` mends what ends with a sample
                raise Damaged("is cut off (it ends within a sample)")
            if end > size:
                raise Damaged(f"is cut off (its samples would end at byte {end:,} of {size:,})")
            _nothing_left(read, end, min(whole, size) if not streamed else size)
            return (at + 8, length) if coding == MPEG_IN_WAV else None
        at += 8 + length + length % 2
    return None


def mpeg_in_wav(read: Read, size: int, most_samples: float) -> tuple[Read, int] | None:
    """Return the MP3 in a wav file, with the Xing header that it lacks; None for other files.

    libsndfile guesses the length of such a file from its first frames. It then reads a part of what has a variable bit
    rate, and states more samples than there are of what has a constant one.

    Args:
        read: reads from the file.
        size: size of the file, in bytes.
        most_samples: largest accepted number of samples.

    Returns:
        What reads from the MP3, and its size in bytes.

    Raises:
        Damaged: the file is cut off, or states something false.
    """
    head = read(0, 12)
    if head[:4] != b"RIFF" or head[8:] != b"WAVE" or not _is_mpeg(read) or (place := _riff(read, size)) is None:
        return None
    start, length = place
    tags = after_tags(partial(_part, read, start, length))
    start, length = start + tags, max(0, length - tags)
    frames = partial(_part, read, start, length)
    samples, first = _mpeg(frames, length, most_samples), frames(0, 4)
    if samples is None or first[1] >> 1 & 3 != 1:  # it has such a header, or is of another layer
        return frames, length
    front = _xing_frame(first, samples)

    def whole(place: int, wanted: int) -> bytes:
        before = front[place : place + wanted]
        return before + frames(max(0, place - len(front)), wanted - len(before))

    return whole, len(front) + length


def _is_mpeg(read: Read) -> bool:
    """Say whether the format of a wav file is MP3."""
    at = 12
    while len(chunk := read(at, 8)) == 8 and chunk[:4] != b"data":
        if chunk[:4] == b"fmt ":
            return int.from_bytes(read(at + 8, 2), "little") == MPEG_IN_WAV
        length = int.from_bytes(chunk[4:], "little")
        at += 8 + length + length % 2
    return False


def _part(read: Read, start: int, size: int, place: int, length: int) -> bytes:
    """Read from a part of a file that has this start and size."""
    return read(start + place, max(0, min(length, size - place)))


def _rf64(read: Read, size: int) -> None:
    """Check the 64-bit sizes of an RF64 file (EBU Tech 3306); other chunks are as in a wav file."""
    whole, stated = struct.unpack("<QQ", read(20, 16).ljust(16, b"\0"))
    if read(12, 4) != b"ds64" or whole + 8 > size + 8:
        raise Damaged(f"is cut off ({size:,} of {whole + 8:,} bytes)")
    at = 12
    while len(chunk := read(at, 8)) == 8:
        length = int.from_bytes(chunk[4:], "little")
        if chunk[:4] == b"fmt ":
            _linear(read, at + 8, "little")
        if chunk[:4] == b"data":
            length = stated if length == 0xFFFFFFFF else length
            if at + 8 + length > size:
                raise Damaged(f"is cut off (its samples would end at byte {at + 8 + length:,} of {size:,})")
            _nothing_left(read, at + 8 + length, size)
            return
        at += 8 + length + length % 2


_W64_DATA = bytes.fromhex("64617461f3acd3118cd100c04f8edb8a")
_W64_FMT = bytes.fromhex("666d7420f3acd3118cd100c04f8edb8a")
_W64_UNKNOWN = 1 << 62  # and above: ffmpeg writes such sizes into a pipe


def _w64(read: Read, size: int) -> None:
    """Check the chunks of a Wave64 file, whose sizes have 64 bits, count their own heads and are padded to 8 bytes."""
    whole = int.from_bytes(read(16, 8), "little")
    if whole < _W64_UNKNOWN and whole > size + 8:
        raise Damaged(f"is cut off ({size:,} of {whole:,} bytes)")
    at = 40
    while len(chunk := read(at, 24)) == 24:
        length = int.from_bytes(chunk[16:], "little")
        if chunk[:16] == _W64_FMT:
            _linear(read, at + 24, "little")
        if chunk[:16] == _W64_DATA:
            if length >= _W64_UNKNOWN:
                return
            if length < 24 or at + length > size:
                raise Damaged(f"is cut off (its samples would end at byte {at + length:,} of {size:,})")
            _nothing_left(read, at + length, size)
            return
        if length < 24:
            raise Damaged(f"is damaged (a chunk at byte {at:,} says it has {length} bytes)")
        at += length + -length % 8
    raise Damaged("has no samples, or their size was never written")


_AU_BYTES = {1: 1, 2: 1, 3: 2, 4: 3, 5: 4, 6: 4, 7: 8, 27: 1}  # of a sample: µ-law, integers, floats, A-law


def _au(read: Read, size: int) -> None:
    """Check that the samples of an AU file are all there; the size may be unknown."""
    order: Literal["big", "little"] = "little" if read(0, 4) == b"dns." else "big"
    start, length, coding = (int.from_bytes(read(at, 4), order) for at in (4, 8, 12))
    width = _AU_BYTES.get(coding, 1) * max(1, int.from_bytes(read(20, 4), order))
    if length == 0xFFFFFFFF:
        if (size - start) % width:
            raise Damaged("is cut off (it ends within a sample)")
        return
    if start + length > size:
        raise Damaged(f"is cut off (its samples would end at byte {start + length:,} of {size:,})")
    if size - start - length > LEFT_OVER:
        raise Damaged(f"is damaged (its samples end {size - start - length:,} bytes before the file)")


def _nist(read: Read, size: int) -> int:
    """Check that the samples of a SPHERE file are all there, and return their number."""
    head = read(0, 1 << 14).split(b"end_head", 1)[0]
    fields = dict(re.findall(rb"^(\w+) -i (\d+)$", head, re.MULTILINE))
    try:
        start = int(head.split(b"\n", 2)[1])
        samples, channels = int(fields[b"sample_count"]), int(fields.get(b"channel_count", b"1"))
        width = int(fields.get(b"sample_n_bytes", b"2"))
    except (IndexError, KeyError, ValueError) as error:
        raise Damaged("is damaged (its header does not say how many samples it has)") from error
    end = start + samples * channels * width
    if end > size:
        raise Damaged(f"is cut off (its samples would end at byte {end:,} of {size:,})")
    if size - end > LEFT_OVER:
        raise Damaged(f"is damaged (its samples end {size - end:,} bytes before the file)")
    return samples


def _linear(read: Read, at: int, order: Literal["big", "little"]) -> None:
    """Check that linear samples are as wide as the format of a wav file says.

    libsndfile reads samples in larger containers as noise, but for 24 bits in 4 bytes of plain PCM.
    """
    kind, channels, _, _, align, bits = struct.unpack(
        ">HHIIHH" if order == "big" else "<HHIIHH", read(at, 16).ljust(16, b"\0")
    )
    linear = kind in (0x0001, 0x0003, 0xFFFE)  # PCM, float, extensible; others have their own blocks
    if linear and (bits < 8 or not channels or align < channels * -(-bits // 8) or align % channels):
        raise Damaged(f"is damaged (its header says {bits} bits in {align} bytes for {channels} channels)")
    padded = linear and align != channels * -(-bits // 8)
    if padded and (kind, bits, align) != (0x0001, 24, 4 * channels):
        raise Damaged(
            f"has padded samples ({bits} bits in {align // channels} bytes), which decoders read as noise",
            "write it again with packed samples of 16, 24 or 32 bits",
        )


def _nothing_left(read: Read, end: int, whole: int) -> None:
    """Check that only chunks, padding or few bytes follow the samples: a too short data chunk would hide samples."""
    rest = read(end, min(whole - end, 1 << 16)) if whole > end else b""
    chunk = rest[end % 2 :][:4].isascii() and rest[end % 2 :][:4].decode().isprintable()
    unpadded = rest[:4].isascii() and rest[:4].decode().isprintable()
    if whole - end > LEFT_OVER and not (chunk or unpadded) and rest.strip(b"\0"):
        raise Damaged(f"is damaged (its data chunk ends {whole - end:,} bytes before the file, and no chunk follows)")


def _aiff(read: Read, size: int) -> int | None:
    """Check an AIFF file's size, and return its stated number of samples, where it counts samples and not blocks."""
    head = read(0, 12)
    whole = int.from_bytes(head[4:8]) + 8
    if whole > size + 8:
        raise Damaged(f"is cut off ({size:,} of {whole:,} bytes)")
    at, samples = 12, None
    while len(chunk := read(at, 8)) == 8:
        length = int.from_bytes(chunk[4:])
        if chunk[:4] == b"COMM":
            about = read(at + 8, min(length, 22))
            counted = len(about) < 22 or about[18:22] != b"ima4"  # which counts blocks
            samples = int.from_bytes(about[2:6]) if counted else None
        if chunk[:4] == b"SSND" and at + 8 + length > size:
            raise Damaged(f"is cut off (its samples would end at byte {at + 8 + length:,} of {size:,})")
        at += 8 + length + length % 2
    return samples


def _caf(read: Read, size: int) -> None:
    """Check that every chunk of a CAF file is complete."""
    at = 8
    while len(chunk := read(at, 12)) == 12:
        length = int.from_bytes(chunk[4:], signed=True)
        if chunk[:4] == b"data" and length == -1:  # to the end of the file
            return
        if length < 0 or at + 12 + length > size:
            raise Damaged(f"is cut off (its chunk {chunk[:4]!r} would end at byte {at + 12 + length:,} of {size:,})")
        at += 12 + length


_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def ogg_crc(page: bytes) -> int:
    """Return the checksum of an Ogg page whose checksum field is zero: zlib's polynomial with reversed bits."""
    crc = zlib.crc32(page.translate(_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int.from_bytes(crc.to_bytes(4, "little").translate(_REVERSED))


def _ogg(read: Read) -> None:
    """Check that all pages of one stream are there, up to the one that is marked as the last."""
    at = 0
    serial = b""
    for number in range(MAX_PAGES):
        head = read(at, 27)
        lengths = read(at + 27, head[26]) if len(head) == 27 else b""
        body = read(at + 27 + len(lengths), sum(lengths))
        if head[:4] != b"OggS" or len(lengths) < head[26] or len(body) < sum(lengths):
            raise Damaged(f"is cut off or damaged (page {number + 1} at byte {at:,} is not whole)")
        if ogg_crc(head[:22] + bytes(4) + head[26:] + lengths + body) != int.from_bytes(head[22:26], "little"):
            raise Damaged(f"is damaged (page {number + 1} at byte {at:,} does not match its checksum)")
        serial = serial or head[14:18]
        if head[14:18] != serial:
            raise Damaged("holds several streams")
        if int.from_bytes(head[18:22], "little") != number:
            raise Damaged(f"is damaged (a page is missing before byte {at:,})")
        at += 27 + len(lengths) + len(body)
        if head[5] & 4:  # the end of the stream
            if read(at, 4) == b"OggS":
                raise Damaged("holds several streams")
            return
    raise Damaged(f"has more than {MAX_PAGES:,} pages")


_BITRATES = {  # kbit/s, by version (3 is MPEG 1) and layer (3 is layer I)
    (1, 3): (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (1, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (1, 1): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 3): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (2, 1): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_RATES = (44_100, 48_000, 32_000)


def _mpeg(read: Read, size: int, most_samples: float) -> int | None:
    """Check all frames of an MP3, and return the number of their samples where there is no Xing header."""
    first = at = after_tags(read)
    stated: int | None = None
    frames = samples = 0
    while frame := _frame(read(at, 4)):
        length, per_frame = frame
        if samples > most_samples:
            raise Damaged("lasts longer than it states and than is accepted")
        if at + length > size:
            raise Damaged(f"is cut off (its last frame has {size - at} of {length} bytes)")
        if at == first:
            stated = _xing(read(at, min(length, 200)))
        frames, samples, at = frames + 1, samples + per_frame, at + length
    if not frames:  # perhaps free format, which is left to libsndfile
        return None
    if stated is not None:
        if stated not in (0, frames - 1, frames):  # some writers count the header, which is a frame, too
            raise Damaged(f"is cut off or damaged (its header says {stated:,} frames, {frames - 1:,} are whole)")
        return None
    rest = read(at, min(size - at, 1 << 16))
    if rest.strip(b"\0") and not rest.startswith(TAGS):
        raise Damaged(f"is damaged (at byte {at:,} of {size:,} its frames stop)")
    return samples


def _frame(header: bytes) -> tuple[int, int] | None:
    """Return the bytes and samples of the MPEG frame with this header; None without a valid fixed bit rate."""
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE0 != 0xE0:
        return None
    version, layer = header[1] >> 3 & 3, header[1] >> 1 & 3
    bitrate, rate = header[2] >> 4, header[2] >> 2 & 3
    if version == 1 or layer == 0 or bitrate in (0, 15) or rate == 3:
        return None
    generation = 1 if version == 3 else 2
    bits = 1000 * _BITRATES[generation, layer][bitrate]
    hertz = _RATES[rate] // (1 if version == 3 else 2 if version == 2 else 4)
    padding = header[2] >> 1 & 1
    if layer == 3:
        return (12 * bits // hertz + padding) * 4, 384
    samples = 576 if generation == 2 and layer == 1 else 1152
    return samples // 8 * bits // hertz + padding, samples


def _xing(frame: bytes) -> int | None:
    """Return the number of frames in a Xing, Info or VBRI header, 0 where it states none; None without a header."""
    for name in (b"Xing", b"Info"):
        if (at := frame.find(name, 4, 48)) > 0:
            return int.from_bytes(frame[at + 8 : at + 12]) if frame[at + 7] & 1 else 0
    return int.from_bytes(frame[50:54]) if frame[36:40] == b"VBRI" else None


def _xing_frame(first: bytes, samples: int) -> bytes:
    """Return a frame without sound that says how many samples follow, for an MP3 that begins with this header."""
    header = bytes([0xFF, first[1] | 1, 0xE0 | first[2] & 0x0C, first[3]])  # the largest bit rate, without a checksum
    length, per_frame = _frame(header) or (0, 1)
    mono = first[3] >> 6 == 3
    side = (17 if mono else 32) if per_frame == 1152 else (9 if mono else 17)  # bytes of what describes the frame
    return (header + bytes(side) + b"Xing" + struct.pack(">II", 1, samples // per_frame)).ljust(length, b"\0")


def flac_digest(read: Read) -> tuple[int, bytes] | None:
    """Return a FLAC file's bits per sample and MD5 of all samples; None where it states no MD5."""
    info = read(after_tags(read), 42)
    if info[:4] != b"fLaC" or len(info) < 42 or not any(info[26:]):
        return None
    return (int.from_bytes(info[20:22]) >> 4 & 31) + 1, info[26:]


def after_tags(read: Read) -> int:
    """Return the end of the ID3 tags at a file's start; their sizes have seven bits a byte."""
    at = 0
    while len(tag := read(at, 10)) == 10 and tag[:3] == b"ID3":
        at += 10 + (tag[6] << 21 | tag[7] << 14 | tag[8] << 7 | tag[9]) + (10 if tag[5] & 0x10 else 0)
    return at
