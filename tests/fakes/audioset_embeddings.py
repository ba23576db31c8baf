"""AudioSet's feature files in the real layout, written by its own writer: protocol buffers, framing, checksums."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

CLASSES = ("Speech", '"Male speech, man speaking"', "Music", "Silence")


@dataclass(frozen=True)
class Segment:
    video: str
    frames: Sequence[bytes]
    labels: Sequence[int]
    start: float = 30.0


def crc32c(data: bytes) -> int:
    """Bit by bit, as RFC 3720 defines it."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def masked(data: bytes) -> bytes:
    crc = crc32c(data)
    return struct.pack("<I", (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF)


def record(data: bytes) -> bytes:
    length = struct.pack("<Q", len(data))
    return length + masked(length) + data + masked(data)


def varint(value: int) -> bytes:
    out = b""
    while value >= 0x80:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def field(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def entry(key: str, value: bytes) -> bytes:
    return field(1, field(1, key.encode()) + field(2, value))


def example(segment: Segment) -> bytes:
    context = (
        entry("end_time_seconds", field(2, field(1, struct.pack("<f", segment.start + 10))))
        + entry("video_id", field(1, field(1, segment.video.encode())))
        + entry("start_time_seconds", field(2, field(1, struct.pack("<f", segment.start))))
        + entry("labels", field(3, field(1, b"".join(map(varint, segment.labels)))))
    )
    frames = b"".join(field(1, field(1, field(1, frame))) for frame in segment.frames)
    return field(1, context) + field(2, entry("audio_embedding", frames))


def write(root: Path, parts: dict[str, Sequence[Sequence[Segment]]]) -> Path:
    """Write `{part: [segments of each file]}` and the label table."""
    root.mkdir(parents=True, exist_ok=True)
    rows = [f"{i},/m/{i},{name}" for i, name in enumerate(CLASSES)]
    (root / "class_labels_indices.csv").write_text("\n".join(["index,mid,display_name", *rows]) + "\n")
    for part, files in parts.items():
        folder = root / "audioset_v1_embeddings" / part
        folder.mkdir(parents=True)
        for i, segments in enumerate(files):
            (folder / f"{i}.tfrecord").write_bytes(b"".join(record(example(segment)) for segment in segments))
    return root
