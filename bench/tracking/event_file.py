"""TensorBoard's event files, written without TensorBoard: TFRecord framing of `Event` messages of scalars.

An `Event` (tensorboard/compat/proto/event.proto) has the fields 1 `wall_time` (double), 2 `step` (int64),
3 `file_version` (text) and 5 `summary`; a summary has values as field 1, each with 1 `tag` and 2 `simple_value`
(float).
A framed message is its length (8 bytes), the masked CRC-32C of these, the message, and the masked CRC-32C of it.
"""

import math
import struct
import time
from collections.abc import Callable, Mapping
from pathlib import Path

_VARINT, _DOUBLE, _BYTES, _FLOAT = 0, 1, 2, 5


class EventFile:
    """A new event file; every point is on the disk when `scalars` returns.

    Args:
        folder: folder of the file, which exists.
        clock: returns seconds since 1970.

    Raises:
        OSError: the file cannot be written; by every method.
    """

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self.path = folder / f"events.out.tfevents.{int(clock())}.bench"
        self._write(_field(3, _BYTES, b"brain.Event:2"))

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Append numbers by name.

        Args:
            values: by name; TensorBoard groups names by what is before a slash.
            step: place on the horizontal axis, not negative.
        """
        summary = b"".join(
            _field(1, _BYTES, _field(1, _BYTES, name.encode()) + _field(2, _FLOAT, _float(value)))
            for name, value in values.items()
        )
        self._write(_field(2, _VARINT, _varint(step)) + _field(5, _BYTES, summary))

    def _write(self, fields: bytes) -> None:
        message = _field(1, _DOUBLE, struct.pack("<d", self._clock())) + fields
        length = struct.pack("<Q", len(message))
        with self.path.open("ab") as file:
            file.write(length + _checksum(length) + message + _checksum(message))


def _float(value: float) -> bytes:
    try:
        return struct.pack("<f", value)
    except OverflowError:  # beyond float32
        return struct.pack("<f", math.copysign(math.inf, value))


def _field(number: int, kind: int, content: bytes) -> bytes:
    size = _varint(len(content)) if kind == _BYTES else b""
    return _varint(number << 3 | kind) + size + content


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def _checksum(content: bytes) -> bytes:
    """Return the CRC-32C (Castagnoli), rotated and shifted as TFRecord does, so that it can stand inside of data."""
    crc = 0xFFFFFFFF
    for byte in content:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def _entry(value: int) -> int:
    for _ in range(8):
        value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
    return value


_TABLE = tuple(map(_entry, range(256)))
