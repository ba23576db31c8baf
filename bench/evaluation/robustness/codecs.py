"""Clips that were encoded with a lossy codec and decoded again, at the same place and length as before.

soundfile encodes and decodes, in memory. An MP3 of a low bit rate has no room for the tag that says how many samples
the encoder added, and is then decoded too late (`docs/libraries.md`); the lag is measured once for each setting.
"""

import io
from functools import cache
from typing import Literal

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

Samples = npt.NDArray[np.float32]
Codec = Literal["mp3", "opus"]

RATES: dict[str, tuple[int, ...]] = {
    "mp3": (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000),
    "opus": (8_000, 12_000, 16_000, 24_000, 48_000),
}
"""Sample rates that each codec takes, in hertz."""

_LAG_SECONDS = 0.5
"""Longest lag that is looked for."""


def round_trip(clip: Samples, rate: int, codec: Codec, kbps: float, at: int | None = None) -> Samples:
    """Return a clip after encoding and decoding `(S,)`.

    Args:
        clip: `(S,)` float32; what lies beyond [-1, 1] is clipped.
        rate: of the clip in hertz.
        codec: of `RATES`.
        kbps: constant (mp3) or mean (opus) bit rate.
        at: sample rate at which the clip is encoded; None takes the lowest one of the codec that is no lower than the
            clip's, or else the codec's highest.

    Raises:
        ValueError: the codec has no such sample rate or bit rate.
    """
    coded = at or min((r for r in RATES[codec] if r >= rate), default=RATES[codec][-1])
    lag = _lag(codec, kbps, coded)
    x = clip if coded == rate else soxr.resample(clip, rate, coded)
    y = _coded(np.clip(x, -1, 1).astype(np.float32), coded, codec, kbps)[lag:]
    y = np.pad(y, (0, max(0, len(x) - len(y))))[: len(x)]
    y = y if coded == rate else soxr.resample(y, coded, rate)
    return np.pad(y, (0, max(0, len(clip) - len(y))))[: len(clip)].astype(np.float32)


def _level(codec: Codec, kbps: float, rate: int) -> float:
    """Return libsndfile's level of compression for a bit rate: it is linear between the highest and the lowest one."""
    if codec == "opus":
        low, high = 6.0, 256.0
    else:
        low, high = (32.0, 320.0) if rate >= 32_000 else (8.0, 160.0) if rate >= 16_000 else (8.0, 64.0)
    if rate not in RATES[codec] or not low <= kbps <= high:
        raise ValueError(f"{codec} at {rate} Hz has no bit rate of {kbps:g} kbit/s: give {low:g} to {high:g}")
    return min((high - kbps) / (high - low), 0.999)  # libsndfile refuses exactly 1 for MP3


def _coded(clip: Samples, rate: int, codec: Codec, kbps: float) -> Samples:
    buffer = io.BytesIO()
    how = {"format": "MP3", "subtype": "MPEG_LAYER_III", "bitrate_mode": "CONSTANT"}
    if codec == "opus":
        how = {"format": "OGG", "subtype": "OPUS"}
    soundfile.write(buffer, clip, rate, compression_level=_level(codec, kbps, rate), **how)
    buffer.seek(0)
    decoded, found = soundfile.read(buffer, dtype="float32")
    assert found == rate
    return np.asarray(decoded, np.float32)


@cache
def _lag(codec: Codec, kbps: float, rate: int) -> int:
    """Return by how many samples a decoded clip is late, measured with noise."""
    white = np.random.default_rng(0).standard_normal(2 * rate)
    probe: Samples = (0.2 * np.convolve(white, np.ones(8) / 8, "same")).astype(np.float32)
    found = _coded(probe, rate, codec, kbps)
    size = 1 << (len(probe) + len(found)).bit_length()
    alike = np.fft.irfft(np.fft.rfft(found, size) * np.conj(np.fft.rfft(probe, size)), size)
    lag = int(alike[: round(_LAG_SECONDS * rate)].argmax())
    return lag if lag > 16 else 0  # a codec's own smear is no lag
