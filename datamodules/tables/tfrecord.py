"""Reading of TFRecord files of tf.train.SequenceExample, without TensorFlow and with all checksums verified.

Framing, https://www.tensorflow.org/tutorials/load_data/tfrecord: length (uint64), masked CRC-32C of the length, data,
masked CRC-32C of the data, little-endian. The data are a protocol-buffer message,
https://protobuf.dev/programming-guides/encoding.
"""

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datamodules.errors import DataError

MAX_RECORD_BYTES = 1 << 20  # bytes; a record of ten frames has 1,600
_CHUNK = 8192  # records whose checksums are computed together


def records(paths: Sequence[Path], problems: list[str] | None = None) -> Iterator[tuple[Path, int, bytes]]:
    """Yield file, offset and data of each record of these files.

    Args:
        paths: the files.
        problems: list to which problems are appended. Reading continues with the next record after a wrong checksum,
            and with the next file after a wrong length. None raises the first problem.

    Raises:
        DataError: a file is empty or cut off, or a record does not match its checksum; the message names file and
            offset.
    """
    found: list[str] = []
    lost: set[Path] = set()
    pending: list[tuple[Path, int, bytes, bytes]] = []

    def done() -> Iterator[tuple[Path, int, bytes]]:
        yield from _verified(pending, found, lost)
        pending.clear()

    for path in paths:
        try:
            content = path.read_bytes()
        except OSError as error:
            found.append(f"{str(path)!r} cannot be read ({error.strerror})")
            content = b""
        else:
            if not content:
                found.append(f"{str(path)!r} is empty: fetch it again")
        offset = 0
        while offset < len(content):
            header, start = content[offset : offset + 12], offset + 12
            length = int.from_bytes(header[:8], "little")
            end = start + length
            if len(header) < 12 or length > MAX_RECORD_BYTES or end + 4 > len(content):
                yield from done()  # the cause may be a wrong length of an earlier record
                if path not in lost:
                    found.append(_damaged(path, offset, "is cut off or has a wrong length"))
                break
            pending.append((path, offset, header, content[start : end + 4]))
            offset = end + 4
            if len(pending) == _CHUNK:
                yield from done()
        if found:
            if problems is None:
                raise DataError(found[0])
            problems += found
            found.clear()
    yield from done()
    if found and problems is None:
        raise DataError(found[0])
    if problems is not None:
        problems += found


def _verified(
    pending: list[tuple[Path, int, bytes, bytes]], problems: list[str], lost: set[Path]
) -> Iterator[tuple[Path, int, bytes]]:
    """Yield the records that match both checksums, and note the other ones; `lost` are files with a wrong length."""
    if not pending:
        return
    wrong_length, wrong = (
        masked_crc32c([each[:-4] for each in checked])
        != np.array([int.from_bytes(each[-4:], "little") for each in checked], np.uint32)
        for checked in ([header for _, _, header, _ in pending], [body for _, _, _, body in pending])
    )
    for i, (path, offset, _, body) in enumerate(pending):
        if path in lost:
            continue
        if wrong_length[i] or wrong[i]:
            problems.append(_damaged(path, offset, "does not match its checksum"))
            if wrong_length[i]:
                lost.add(path)
        else:
            yield path, offset, body[:-4]


def _damaged(path: Path, offset: int, problem: str) -> str:
    return f"{str(path)!r}: the record at byte {offset} {problem}: fetch the file again"


def _crc_table() -> NDArray[np.uint32]:
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, (table >> 1) ^ np.uint32(0x82F63B78), table >> 1)  # Castagnoli, reflected
    return table


_TABLE = _crc_table()


def masked_crc32c(messages: Sequence[bytes]) -> NDArray[np.uint32]:
    """Return TFRecord's masked CRC-32C of each message.

    Each step processes one byte of all messages, so the number of steps is the length of the longest message.
    """
    lengths = np.array([len(message) for message in messages])
    order = np.argsort(-lengths, kind="stable")
    longest = int(lengths.max())
    padded = b"".join(messages[i].ljust(longest, b"\0") for i in order)
    columns = np.ascontiguousarray(
        np.frombuffer(padded, np.uint8).reshape(len(messages), longest).T
    )  # (bytes, messages)
    going = len(messages) - np.searchsorted(lengths[order[::-1]], np.arange(longest), side="right")
    crc = np.full(len(messages), 0xFFFFFFFF, np.uint32)
    for column, n in zip(columns, going, strict=True):
        part = crc[:n]
        part[:] = _TABLE[(part ^ column[:n]) & np.uint32(0xFF)] ^ (part >> np.uint32(8))
    unsorted = np.empty_like(crc)
    unsorted[order] = ~crc
    return ((unsorted >> np.uint32(15)) | (unsorted << np.uint32(17))) + np.uint32(0xA282EAD8)


@dataclass(frozen=True)
class EmbeddedSegment:
    """One SequenceExample of the AudioSet features, with `frames (T, 128)` uint8."""

    video_id: str
    start_seconds: float
    labels: tuple[int, ...]
    frames: NDArray[np.uint8]


WIDTH = 128
_FRAME = b"\x0a\x86\x01\x0a\x83\x01\x0a\x80\x01"
"""Bytes before the 128 values of each frame: feature (134 bytes) { bytes_list (131) { value (128) } }."""


def segment(data: bytes) -> EmbeddedSegment:
    """Parse one record.

    Raises:
        ValueError: not a SequenceExample with a video id, a start, labels and an embedding of 128 values a frame.
    """
    try:
        message = dict(fields(data))
        context = {entry[1]: entry[2] for entry in _entries(message[1])}
        sequence = {entry[1]: entry[2] for entry in _entries(message[2])}
        (start,) = struct.unpack("<f", _packed(context[b"start_time_seconds"], kind=2))
        labels = tuple(_varints(_packed(context[b"labels"], kind=3)))
        video_id = _packed(context[b"video_id"], kind=1).decode()
        embedding = sequence[b"audio_embedding"]
    except (KeyError, TypeError, IndexError, struct.error) as error:
        raise ValueError(f"it lacks {error}" if isinstance(error, KeyError) else "it is malformed") from error
    stride = len(_FRAME) + WIDTH
    if len(embedding) % stride:
        raise ValueError(f"its frames do not have {WIDTH} values each")
    frames = np.frombuffer(embedding, np.uint8).reshape(-1, stride)  # (T, 9 + 128)
    if not (frames[:, : len(_FRAME)] == np.frombuffer(_FRAME, np.uint8)).all():
        raise ValueError(f"its frames are not {WIDTH} bytes each")
    return EmbeddedSegment(video_id, start, labels, frames[:, len(_FRAME) :])


NAMES = (b"video_id", b"clip_id", b"id", b"name", b"key", b"file", b"filename")
"""Features of a record that may have its name, likeliest first."""
EMBEDDINGS = (b"audio_embedding", b"embedding", b"embeddings", b"features", b"feature", b"vggish", b"yamnet", b"x")
"""Features of a record that may have its embedding, likeliest first."""


@dataclass(frozen=True)
class Example:
    """One record: its name, empty where it has none, and its `frames (T, F)`, float32 or uint8."""

    name: str
    frames: NDArray[Any]


def example(data: bytes) -> Example:
    """Parse a record of embeddings of any width: a SequenceExample with a frame each, or an Example of one array.

    An Example has the values in one feature, row by row, and optionally `shape`, their T and F.

    Raises:
        ValueError: it is neither, or its embedding cannot be found.
    """
    try:
        message: dict[int, bytes] = dict(fields(data))
        context = {entry[1]: entry[2] for entry in _entries(message.get(1, b""))}
        name = next((_packed(context[key], kind=1).decode() for key in NAMES if key in context), "")
        if 2 in message:
            sequence = {entry[1]: entry[2] for entry in _entries(message[2])}
            rows = [_values(feature) for _, feature in fields(sequence[_embedding(sequence)])]
            if len({len(row) for row in rows}) != 1:
                raise ValueError("its frames differ in width")
            return Example(name, np.stack(rows))
        shape = tuple(_varints(_packed(context[b"shape"], kind=3))) if b"shape" in context else (1, -1)
        numbers = {key: feature for key, feature in context.items() if key in EMBEDDINGS or 2 in dict(fields(feature))}
        return Example(name, _values(context[_embedding(numbers)]).reshape(shape))
    except (KeyError, TypeError, IndexError, UnicodeDecodeError) as error:
        raise ValueError("it is malformed") from error


def _embedding(found: Mapping[bytes, bytes]) -> bytes:
    """Return the name of the feature that is the embedding."""
    for name in EMBEDDINGS:
        if name in found:
            return name
    if len(found) != 1:
        raise ValueError(f"none of its features is called {EMBEDDINGS[1].decode()!r}")
    return next(iter(found))


def _values(feature: bytes) -> NDArray[Any]:
    """Return the numbers of a feature: bytes as uint8, floats, or integers."""
    kinds: dict[int, bytes] = dict(fields(feature))
    if 1 in kinds:
        return np.frombuffer(dict(fields(kinds[1]))[1], np.uint8)
    if 2 in kinds:
        return np.frombuffer(_packed(feature, kind=2), "<f4")
    return np.array(list(_varints(_packed(feature, kind=3))), np.float32)


def fields(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield number and content of the length-delimited fields of a message, the only kind in AudioSet's.

    Raises:
        ValueError: a field is of another kind or ends outside the message.
    """
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        length, at = _varint(data, at)
        if tag & 7 != 2 or at + length > len(data):
            raise ValueError("it is not the expected protocol-buffer message")
        yield tag >> 3, data[at : at + length]
        at += length


def _entries(message: bytes) -> Iterator[dict[int, bytes]]:
    """Yield the entries, key 1 and value 2, of a Features or FeatureLists message."""
    return (dict(fields(entry)) for _, entry in fields(message))


def _packed(feature: bytes, kind: int) -> bytes:
    """Return what a Feature holds as bytes (kind 1), floats (2) or integers (3)."""
    return dict(fields(dict(fields(feature))[kind]))[1]


def _varints(data: bytes) -> Iterator[int]:
    at = 0
    while at < len(data):
        value, at = _varint(data, at)
        yield value


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("a number in it has no end")


def written(examples: Sequence[Example]) -> bytes:
    """Return a file of records that `example` reads: the features `id`, `embedding` and `shape` of each.

    Raises:
        ValueError: a record is larger than what is read.
    """
    records: list[bytes] = []
    for each in examples:
        frames = np.ascontiguousarray(each.frames, "<f4")
        features = (
            (b"id", _field(1, _field(1, each.name.encode()))),
            (b"embedding", _field(2, _field(1, frames.tobytes()))),
            (b"shape", _field(3, _field(1, b"".join(map(_as_varint, frames.shape))))),
        )
        entries = b"".join(_field(1, _field(1, key) + _field(2, value)) for key, value in features)
        records.append(_field(1, entries))
        if len(records[-1]) > MAX_RECORD_BYTES:
            raise ValueError(f"{each.name!r} has {frames.nbytes:,} bytes, and a record at most {MAX_RECORD_BYTES:,}")
    if not records:
        return b""
    headers = [struct.pack("<Q", len(record)) for record in records]
    sums = zip(masked_crc32c(headers).tolist(), masked_crc32c(records).tolist(), strict=True)
    return b"".join(
        header + struct.pack("<I", of_header) + record + struct.pack("<I", of_record)
        for header, record, (of_header, of_record) in zip(headers, records, sums, strict=True)
    )


def _field(number: int, content: bytes) -> bytes:
    """Return a length-delimited field of a message."""
    return _as_varint(number << 3 | 2) + _as_varint(len(content)) + content


def _as_varint(number: int) -> bytes:
    out = b""
    while number > 0x7F:
        out += bytes((number & 0x7F | 0x80,))
        number >>= 7
    return out + bytes((number,))
