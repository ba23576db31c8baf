"""Containers that libsndfile cannot read and PyAV can: recognising them by content, and checking that they are whole.

FFmpeg reads what is there of a file that was cut off, and returns it as a shorter sound. So the sizes that the
container states are compared with the file first.

MP4 and QuickTime: ISO/IEC 14496-12. Matroska and WebM: RFC 9559, RFC 8794. ASF (wma): Microsoft, Advanced Systems
Format Specification. AMR: RFC 4867, section 5. AAC with ADTS headers: ISO/IEC 14496-3, 1.A.3.2.
"""

import struct
from dataclasses import dataclass

from datamodules.audio.containers import TAGS, Damaged, Read, after_tags

ENDINGS = (
    ".3g2", ".3gp", ".aac", ".amr", ".awb", ".m4a", ".m4b", ".m4v", ".mka", ".mkv", ".mov", ".mp4", ".weba", ".webm",
    ".wma", ".wmv",
)  # fmt: skip
"""Endings of the names of such files, in lower case."""

MAX_PARTS = 1 << 20  # elements or frames


@dataclass(frozen=True)
class Kind:
    """A container: its name in messages, and FFmpeg's name of what reads it."""

    name: str
    demuxer: str


@dataclass(frozen=True)
class Counted:
    """How long a sound is: samples, or ticks, and the rate in hertz at which they are counted."""

    samples: int
    sample_rate: int


MP4, MATROSKA, ASF = Kind("MP4", "mov"), Kind("MATROSKA", "matroska"), Kind("ASF", "asf")
AMR, ADTS = Kind("AMR", "amr"), Kind("ADTS", "aac")

_ASF_HEADER = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_ASF_DATA = bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c")
_ASF_FILE = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_EBML, _SEGMENT, _CLUSTER = 0x1A45DFA3, 0x18538067, 0x1F43B675


def recognised(read: Read) -> Kind | None:
    """Return the kind of a file by its first bytes; None for all others."""
    head = read(0, 16)
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"styp"):
        return MP4
    if head[:4] == _EBML.to_bytes(4):
        return MATROSKA
    if head == _ASF_HEADER:
        return ASF
    if head.startswith((b"#!AMR\n", b"#!AMR-WB\n")):
        return AMR
    at = after_tags(read)
    first = _adts(read(at, 7))
    if first and (_adts(read(at + first[0], 7)) or at):
        return ADTS
    return None


def examine(kind: Kind, read: Read, size: int) -> Counted | None:
    """Check a container.

    Args:
        kind: as from `recognised`.
        read: reads from the file.
        size: size of the file, in bytes.

    Returns:
        The length, where the container's frames tell it or FFmpeg would tell it wrongly.

    Raises:
        Damaged: it is cut off, or states something false.
    """
    if kind is MP4:
        _boxes(read, size)
    elif kind is MATROSKA:
        _elements(read, size)
    elif kind is ASF:
        return _objects(read, size)
    elif kind is AMR:
        return _amr(read, size)
    elif kind is ADTS:
        return _adts_frames(read, size)
    return None


def opus_rate(head: bytes) -> int | None:
    """Return the rate of the sound before it was encoded, which an `OpusHead` states; None where it does not."""
    return int.from_bytes(head[12:16], "little") or None if head[:8] == b"OpusHead" and len(head) >= 19 else None


def _boxes(read: Read, size: int) -> None:
    """Check that every part of an MP4 file is whole, and that the index of its samples is among them."""
    at, names = 0, set()
    for _ in range(MAX_PARTS):
        head = read(at, 16)
        if len(head) < 8 or not head.strip(b"\0"):
            break
        name = head[4:8]
        length = int.from_bytes(head[:4])
        if length == 1:
            length = int.from_bytes(head[8:16])
        elif length == 0:  # to the end of the file
            length = size - at
        if length < 8 or (not (name.isascii() and name.isalnum()) and name[:1] != b"\xa9"):
            raise Damaged(f"is damaged (no part of an MP4 file begins at byte {at:,})")
        if at + length > size:
            raise Damaged(
                f"is cut off (its part {name.decode('latin-1')!r} would end at byte {at + length:,} of {size:,})"
            )
        names.add(name)
        at += length
    if b"moov" not in names:
        raise Damaged("is cut off (it has no 'moov', which a recorder writes last)")
    if not names & {b"mdat", b"moof"}:
        raise Damaged("has no sound (it has no 'mdat')")


def _elements(read: Read, size: int) -> None:
    """Check that every element of a Matroska or WebM file is whole; those of unknown size end with their last child."""
    at = clusters = 0
    for _ in range(MAX_PARTS):
        head = read(at, 12)
        if not head:
            break
        width = 9 - head[0].bit_length()  # of the id
        if width > 4 or len(head) <= width:
            raise Damaged(f"is cut off or damaged (no element begins at byte {at:,} of {size:,})")
        number = int.from_bytes(head[:width])
        more = 9 - head[width].bit_length()
        if more > 8 or len(head) < width + more:
            raise Damaged(f"is cut off or damaged (no element begins at byte {at:,} of {size:,})")
        length = int.from_bytes(head[width : width + more]) & ((1 << 7 * more) - 1)
        unknown = length == (1 << 7 * more) - 1
        clusters += number == _CLUSTER
        at += width + more
        if unknown and number not in (_SEGMENT, _CLUSTER):
            raise Damaged(f"is damaged (an element at byte {at:,} does not say where it ends)")
        if not unknown and at + length > size:
            raise Damaged(f"is cut off (an element would end at byte {at + length:,} of {size:,})")
        if not unknown and number != _SEGMENT:
            at += length
    if not clusters:
        raise Damaged("has no sound (it has no clusters)")


def _objects(read: Read, size: int) -> Counted | None:
    """Check the sizes that an ASF file states, and return its length; None where a broadcast states none."""
    header = int.from_bytes(read(16, 8), "little")
    at, packets, width = 30, 0, 0
    lasts = None
    while at + 24 <= min(header, size):
        length = int.from_bytes(read(at + 16, 8), "little")
        if length < 24 or at + length > header:
            raise Damaged(f"is damaged (an object at byte {at:,} says it has {length:,} bytes)")
        if read(at, 16) == _ASF_FILE:
            about = read(at, 104)
            if len(about) == 104 and not about[88] & 1:  # no broadcast, whose sizes mean nothing
                whole, _, packets, time = struct.unpack("<QQQQ", about[40:72])
                preroll, _, width = struct.unpack("<QII", about[80:96])
                lasts = Counted(max(0, time - 10_000 * preroll), 10_000_000)
                if whole > size:
                    raise Damaged(f"is cut off ({size:,} of {whole:,} bytes)")
        at += length
    if header < 30 or header > size:
        raise Damaged(f"is cut off (its header would end at byte {header:,} of {size:,})")
    if read(header, 16) != _ASF_DATA:
        raise Damaged("is damaged (no packets follow its header)")
    length = int.from_bytes(read(header + 16, 8), "little")
    if length and header + length > size:
        raise Damaged(f"is cut off (its packets would end at byte {header + length:,} of {size:,})")
    if packets and header + 50 + packets * width > size:
        raise Damaged(f"is cut off (it has not all of its {packets:,} packets)")
    return lasts


_AMR_BYTES = {  # of a frame with its first byte, by type; reserved types have none
    6: (13, 14, 16, 18, 20, 21, 27, 32, 6, 0, 0, 0, 0, 0, 1, 1),
    9: (18, 24, 33, 37, 41, 47, 51, 59, 61, 6, 0, 0, 0, 0, 1, 1),
}


def _amr(read: Read, size: int) -> Counted:
    """Count the frames of an AMR file, all of which have to be whole."""
    at = start = 6 if read(0, 6) == b"#!AMR\n" else 9
    frames = 0
    while first := read(at, 1):
        kind = first[0] >> 3 & 15
        length = _AMR_BYTES[start][kind]
        if first[0] & 0x83 or not length or (kind < 9 and not first[0] & 4):  # the bit says that the frame is sound
            raise Damaged(f"is damaged (no frame begins at byte {at:,} of {size:,})")
        if at + length > size:
            raise Damaged(f"is cut off (its last frame has {size - at} of {length} bytes)")
        at, frames = at + length, frames + 1
    return Counted(160 * frames, 8_000) if start == 6 else Counted(320 * frames, 16_000)


_AAC_RATES = (96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350)


def _adts(head: bytes) -> tuple[int, int, int] | None:
    """Return bytes, samples and rate of the AAC frame with this header; None where it is none."""
    if len(head) < 7 or head[0] != 0xFF or head[1] & 0xF6 != 0xF0 or (rate := head[2] >> 2 & 15) >= len(_AAC_RATES):
        return None
    length = (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5
    return (length, 1024 * ((head[6] & 3) + 1), _AAC_RATES[rate]) if length >= 7 else None


def _adts_frames(read: Read, size: int) -> Counted:
    """Count the samples of an AAC file, all frames of which have to be whole."""
    at = after_tags(read)
    samples = rate = 0
    while frame := _adts(read(at, 7)):
        length, count, hertz = frame
        if at + length > size:
            raise Damaged(f"is cut off (its last frame has {size - at} of {length} bytes)")
        if rate not in (0, hertz):
            raise Damaged(f"is damaged (its rate changes at byte {at:,})")
        at, samples, rate = at + length, samples + count, hertz
    rest = read(at, min(size - at, 1 << 16))
    if rest.strip(b"\0") and not rest.startswith(TAGS):
        raise Damaged(f"is cut off or damaged (at byte {at:,} of {size:,} its frames stop)")
    return Counted(samples, rate)
