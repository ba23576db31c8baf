"""Decoding of audio files to samples: the guarded decoder, checks of containers, and preparation of recordings."""

from datamodules.audio.decoder import (
    ENDINGS,
    MAX_MEMBER_BYTES,
    MAX_SECONDS,
    AudioError,
    AudioSource,
    Own,
    ShardMember,
    Sound,
    decode,
    decode_bytes,
    encoded,
    inspect,
    is_track,
    length,
    length_and_rate,
    renamed,
)

__all__ = [
    "ENDINGS",
    "MAX_MEMBER_BYTES",
    "MAX_SECONDS",
    "AudioError",
    "AudioSource",
    "Own",
    "ShardMember",
    "Sound",
    "decode",
    "decode_bytes",
    "encoded",
    "inspect",
    "is_track",
    "length",
    "length_and_rate",
    "renamed",
]
