"""Headers of sound files that a program wrote into a pipe, where it could not go back to fill in the sizes.

What such a program leaves in the header depends on the program (seen in November 2026):

* WAV: the largest numbers (ffmpeg: FFFFFFFF), about 2 GiB (SoX: 7FFFF024 and 7FFFF000, the latter less a part of a
  sample; lame: 80000023 and 7FFFFFFF), the sizes of no sound (mpg123: 36 and 0), or an estimate (SoX, of an MP3);
* RF64: sizes of 0 (ffmpeg);
* AIFF: sizes of 0 (ffmpeg), or about 7F000000 with as many frames (SoX);
* CAF: -1, which libsndfile does not read (ffmpeg);
* FLAC: 0 samples, "unknown" (ffmpeg, SoX from a generator).

`mended` returns what the header has to say instead. It does so only where the header tells of a pipe and the sound ends
with the file at the end of a sample, of a FLAC frame, or of an MP3 frame that SoX decoded. Everything else stays as it
is, for `datamodules.audio.containers` to judge: a size that is merely too large is that of a file that was cut off.
"""

from collections.abc import Iterator
from typing import Literal

from datamodules.audio.containers import LEFT_OVER, MAX_FRAME_SAMPLES, MPEG_IN_WAV, Read, after_tags, ogg_crc

Patches = dict[int, bytes]
"""New bytes by their place in the file."""

_LAST_FRAME = 1 << 22  # bytes: a FLAC frame of 65,535 samples of 8 channels and 32 bits has at most 2 MiB
_CANDIDATES = 64  # places that look like the last FLAC frame and are tried
_AIFF_UNKNOWN = 0x7F000000  # and above; SoX's size minus the header is a little below
_HALF_MPEG_FRAME = 576


def mended(read: Read, size: int) -> Patches:
    """Return what the header of a file that was written into a pipe should say; nothing for other files.

    Args:
        read: reads from the file.
        size: size of the file, in bytes.
    """
    head = read(0, 12)
    if head[:4] in (b"RIFF", b"RIFX") and head[8:12] == b"WAVE":
        return _wav(read, size)
    if head[:4] in (b"RF64", b"BW64") and head[8:12] == b"WAVE":
        return _rf64(read, size)
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return _aiff(read, size)
    if head[:4] == b"caff":
        return _caf(read, size)
    if head[:4] == b"OggS":
        return _opus(read)
    if read(start := after_tags(read), 4) == b"fLaC":
        return _flac(read, size, start)
    return {}


def patched(read: Read, patches: Patches) -> Read:
    """Return a function that reads the file as if it had these bytes."""
    if not patches:
        return read

    def mixed(place: int, length: int) -> bytes:
        content = bytearray(read(place, length))
        for at, new in patches.items():
            first, last = max(at, place), min(at + len(new), place + len(content))
            if first < last:
                content[first - place : last - place] = new[first - at : last - at]
        return bytes(content)

    return mixed


def _unknown(size: int) -> bool:
    """Say whether a size of 32 bits is what programs write into a pipe; no file of less than 2 GiB has it."""
    return size == 0 or 0x7FFF0000 <= size <= 0x80010000 or size >= 0xFFFF0000


def _samples(read: Read, start: int, size: int, width: int) -> int | None:
    """Return the bytes of the samples that follow; None where the file ends within one. An odd number is padded."""
    there = (size - start) // width * width
    rest = size - start - there
    return there if not rest or (rest == there % 2 == 1 and read(size - 1, 1) == b"\0") else None


def _wav(read: Read, size: int) -> Patches:
    order: Literal["big", "little"] = "big" if read(0, 4) == b"RIFX" else "little"
    whole = int.from_bytes(read(4, 4), order) + 8
    align = 0
    at, coding = 12, 0
    while len(chunk := read(at, 8)) == 8:
        length = int.from_bytes(chunk[4:], order)
        if chunk[:4] == b"fmt ":
            coding = int.from_bytes(read(at + 8, 2), order)
            align = int.from_bytes(read(at + 20, 2), order)
        if chunk[:4] == b"data":
            break
        at += 8 + length + length % 2
    start = at + 8
    if len(chunk) < 8 or not align or size <= start:
        return {}
    mpeg = coding == MPEG_IN_WAV  # whose frames have any number of bytes; `containers` counts them
    if (there := _samples(read, start, size, 1 if mpeg else align)) is None:
        return {}
    untold = _unknown(whole - 8) and _unknown(length)
    nothing = length == 0 and whole == start
    if untold or nothing or (not mpeg and _estimated(read, size, whole, start, length, align)):
        return {4: (size - 8).to_bytes(4, order), at + 4: there.to_bytes(4, order)}
    return {}


def _estimated(read: Read, size: int, whole: int, start: int, length: int, align: int) -> bool:
    """Say whether the sizes of a WAV are SoX's estimate: they agree with each other, and not with the file.

    A file that goes on has all of its sound. Of one that ends too early this is known only where it has whole MP3
    frames and lacks one or two, for SoX decodes all frames but counts those that tell of others, too.
    """
    if whole not in (start + length, start + length + length % 2):
        return False
    rest = size - start - length
    if rest > LEFT_OVER:
        places = range(start + length, size, 1 << 20)  # a part at a time, for a file may be large
        return not any(_chunk(read, start + length + pad, size) for pad in (0, 1)) and any(
            any(read(place, 1 << 20)) for place in places
        )
    frames = (size - start) // align
    return (
        (size - start) % (align * _HALF_MPEG_FRAME) == 0
        and 0 < length // align - frames <= 2 * MAX_FRAME_SAMPLES
        and length % align == 0
    )


def _chunk(read: Read, at: int, size: int) -> bool:
    """Say whether a whole chunk is there."""
    head = read(at, 8)
    name = head[:4]
    return name.isascii() and name.decode("ascii").isprintable() and at + int.from_bytes(head[4:], "little") <= size


def _rf64(read: Read, size: int) -> Patches:
    """Mend the sizes of the ds64 chunk; BW64 is the same under another name, which libsndfile does not know."""
    patches: Patches = {0: b"RF64"} if read(0, 4) == b"BW64" else {}
    if read(12, 4) != b"ds64":
        return patches
    at = 20 + int.from_bytes(read(16, 4), "little")
    while len(chunk := read(at, 8)) == 8 and chunk[:4] != b"data":
        length = int.from_bytes(chunk[4:], "little")
        at += 8 + length + length % 2
    stated = int.from_bytes(read(28, 8), "little")
    if len(chunk) == 8 and stated == 0 and chunk[4:] == b"\xff" * 4:
        patches |= {20: (size - 8).to_bytes(8, "little"), 28: (size - at - 8).to_bytes(8, "little")}
    return patches


_AIFF_BYTES = {b"ulaw": 1, b"ULAW": 1, b"alaw": 1, b"ALAW": 1}


def _aiff(read: Read, size: int) -> Patches:
    form = int.from_bytes(read(4, 4))
    if form != 0 and form < _AIFF_UNKNOWN:
        return {}
    counted = width = 0
    at = 12
    while len(chunk := read(at, 8)) == 8:
        length = int.from_bytes(chunk[4:])
        if chunk[:4] == b"COMM":
            about = read(at + 8, min(length, 22))
            if about[18:22] == b"ima4":  # which counts blocks, and is written by no program into a pipe
                return {}
            counted = at + 10
            bits = int.from_bytes(about[6:8])
            width = int.from_bytes(about[:2]) * _AIFF_BYTES.get(about[18:22], -(-bits // 8))
        if chunk[:4] == b"SSND":
            break
        at += 8 + length + length % 2
    start = at + 16  # after offset and block size
    if len(chunk) < 8 or not width or size <= start or 8 < length < _AIFF_UNKNOWN:
        return {}
    if (there := _samples(read, start, size, width)) is None:
        return {}
    return {
        4: (size - 8).to_bytes(4),
        counted: (there // width).to_bytes(4),
        at + 4: (8 + there).to_bytes(4),
    }


def _caf(read: Read, size: int) -> Patches:
    at = 8
    while len(chunk := read(at, 12)) == 12:
        length = int.from_bytes(chunk[4:], signed=True)
        if chunk[:4] == b"data" and length == -1:
            return {at + 4: (size - at - 12).to_bytes(8)}
        if length < 0:
            break
        at += 12 + length
    return {}


def _opus(read: Read) -> Patches:
    """Fill in a rate of 48 kHz where the header states none, which RFC 7845 allows and libsndfile takes for 8 kHz."""
    head = read(0, 27)
    lengths = read(27, head[26]) if len(head) == 27 else b""
    at = 27 + len(lengths)
    body = read(at, sum(lengths))
    if body[:8] != b"OpusHead" or len(body) < 19 or any(body[12:16]):
        return {}
    page = head[:22] + bytes(4) + head[26:] + lengths
    if ogg_crc(page + body) != int.from_bytes(head[22:26], "little"):
        return {}
    rate = (48_000).to_bytes(4, "little")
    return {22: ogg_crc(page + body[:12] + rate + body[16:]).to_bytes(4, "little"), at + 12: rate}


def _flac(read: Read, size: int, start: int) -> Patches:
    """Fill in the number of samples, from the number of the last frame, which has to be whole by its checksum."""
    info = read(start, 42)
    if len(info) < 42 or info[4] & 0x7F != 0 or int.from_bytes(info[21:26]) & ((1 << 36) - 1):
        return {}
    end = size - 128 if read(max(0, size - 128), 3) == b"TAG" else size
    tail = read(max(start + 42, end - _LAST_FRAME), min(_LAST_FRAME, max(0, end - start - 42)))
    block = int.from_bytes(info[8:10])
    for samples in _last_frames(tail, block):
        new = int.from_bytes(info[21:26]) | samples
        return {start + 21: new.to_bytes(5)}
    return {}


def _last_frames(tail: bytes, block: int) -> Iterator[int]:
    """Yield the number of all samples up to the end of each FLAC frame that ends where these bytes end."""
    at, tried = len(tail), 0
    while tried < _CANDIDATES and (at := tail.rfind(b"\xff", 0, at)) >= 0:
        if (samples := _upto(tail[at : at + 16], block)) is None:
            continue
        tried += 1
        if flac_crc16(tail[at:]) == 0:  # over a frame with its checksum
            yield samples


def _upto(header: bytes, block: int) -> int | None:
    """Return the number of samples up to the end of the FLAC frame with this header; None where it is none."""
    if len(header) < 6 or header[1] & 0xFE != 0xF8 or header[3] & 1:
        return None
    lead = header[4]
    more = 0 if lead < 0x80 else 7 - (lead ^ 0xFF).bit_length()  # bytes that follow in FLAC's UTF-8
    if more > 6 or 0x80 <= lead < 0xC0 or len(header) < 6 + more:
        return None
    number = lead if lead < 0x80 else lead & ((1 << max(0, 6 - more)) - 1)
    for byte in header[5 : 5 + more]:
        if byte & 0xC0 != 0x80:
            return None
        number = number << 6 | byte & 0x3F
    at = 5 + more
    code = header[2] >> 4
    if code == 0:
        return None
    if code in (6, 7):
        length = int.from_bytes(header[at : at + code - 5]) + 1
        at += code - 5
    else:
        length = 192 if code == 1 else 576 << code - 2 if code < 6 else 256 << code - 8
    at += {12: 1, 13: 2, 14: 2}.get(header[2] & 15, 0)
    if len(header) <= at or flac_crc8(header[:at]) != header[at]:
        return None
    return (number if header[1] & 1 else number * block) + length


def _table(polynomial: int, bits: int) -> tuple[int, ...]:
    top, mask = 1 << bits - 1, (1 << bits) - 1
    entries = []
    for byte in range(256):
        crc = byte << bits - 8
        for _ in range(8):
            crc = (crc << 1 ^ polynomial if crc & top else crc << 1) & mask
        entries.append(crc)
    return tuple(entries)


_CRC8, _CRC16 = _table(0x07, 8), _table(0x8005, 16)


def flac_crc8(content: bytes) -> int:
    """Return the checksum of a FLAC frame's header."""
    crc = 0
    for byte in content:
        crc = _CRC8[crc ^ byte]
    return crc


def flac_crc16(content: bytes) -> int:
    """Return the checksum of a FLAC frame; 0 for a frame with its checksum."""
    crc = 0
    for byte in content:
        crc = (crc << 8 & 0xFF00) ^ _CRC16[crc >> 8 ^ byte]
    return crc
