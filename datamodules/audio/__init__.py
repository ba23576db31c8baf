"""From the bytes of a file to samples: the guarded decoder, checks of containers, and the preparation of recordings."""

from datamodules.audio.decoder import (
    LARGEST_MEMBER,
    MOST_SECONDS,
    AudioError,
    Member,
    Sound,
    Source,
    decode,
    decode_bytes,
    encoded,
    inspect,
    length,
)

__all__ = [
    "LARGEST_MEMBER",
    "MOST_SECONDS",
    "AudioError",
    "Member",
    "Sound",
    "Source",
    "decode",
    "decode_bytes",
    "encoded",
    "inspect",
    "length",
]
