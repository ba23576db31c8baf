"""Impulse responses of rectangular rooms by the image-source method (Allen and Berkley 1979, JASA 65(4) 943).

Every wall reflects alike. Its reflection coefficient comes from Eyring's formula for the wanted reverberation time. The
response is truncated where it has fallen by 60 dB in that formula. All reflection coefficients are positive, which
adds up at 0 Hz; a high-pass of second order at 50 Hz removes that, in place of the filter of the paper.
"""

import math

import numpy as np
import numpy.typing as npt
from scipy.signal import butter, fftconvolve, sosfilt

Floats = npt.NDArray[np.float64]

SPEED = 343.0
"""Speed of sound in m/s."""

TAPS = 81
"""Length of the windowed sinc that places an image between two samples."""

_MARGIN = 0.5
"""Shortest distance of source and microphone from a wall, in metres."""

PHASES = 32
"""Parts of a sample to which an image's time is rounded."""


def reflection(size: tuple[float, float, float], rt60: float) -> float:
    """Return the reflection coefficient of the walls by Eyring's formula.

    Args:
        size: length, width and height in metres.
        rt60: reverberation time in seconds.

    Raises:
        ValueError: the time is not above 0.
    """
    if rt60 <= 0:
        raise ValueError(f"a reverberation time of {rt60} s is not above 0")
    x, y, z = size
    volume, surface = x * y * z, 2 * (x * y + y * z + x * z)
    absorbed = 1 - math.exp(-24 * math.log(10) * volume / (SPEED * surface * rt60))
    return math.sqrt(1 - absorbed)


def places(size: tuple[float, float, float], rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Return random places of source and microphone `(3,)`, at least half a metre from walls and a metre apart."""
    low, high = np.full(3, _MARGIN), np.asarray(size) - _MARGIN
    while True:
        source, microphone = rng.uniform(low, high), rng.uniform(low, high)
        if np.linalg.norm(source - microphone) >= 1:
            return source, microphone


def impulse_response(
    size: tuple[float, float, float], rt60: float, source: Floats, microphone: Floats, rate: int
) -> Floats:
    """Return a room's impulse response `(K,)`, which begins with the direct sound at level 1.

    Args:
        size: length, width and height in metres.
        rt60: reverberation time in seconds.
        source: place `(3,)` in metres.
        microphone: likewise.
        rate: in hertz.
    """
    beta = reflection(size, rt60)
    direct = float(np.linalg.norm(source - microphone))
    farthest = direct + SPEED * rt60
    response = np.zeros(round(rt60 * rate) + 2 * TAPS)
    distances, reflections = _images(size, source, microphone, farthest)
    half = TAPS // 2
    late = (distances - direct) / SPEED * rate
    parts = np.round(late * PHASES).astype(np.int64)
    levels = beta**reflections * direct / distances
    for phase in range(PHASES):
        chosen = parts % PHASES == phase
        impulses = np.bincount(parts[chosen] // PHASES, levels[chosen], len(response) - TAPS + 1)
        offset = np.arange(-half, half + 1) - phase / PHASES
        sinc = np.sinc(offset) * (0.5 + 0.5 * np.cos(2 * np.pi * offset / (TAPS + 1)))
        response += fftconvolve(impulses, sinc)
    passed: Floats = sosfilt(butter(2, 50, "highpass", fs=rate, output="sos"), response)
    return passed[half:]


def _images(
    size: tuple[float, float, float], source: Floats, microphone: Floats, farthest: float
) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Return the distances of all image sources up to the farthest, and the reflections on each one's way."""
    along, bounces = [], []
    for axis, length in enumerate(size):
        count = math.ceil(farthest / (2 * length)) + 1
        n = np.arange(-count, count + 1)
        same = 2 * n * length + source[axis] - microphone[axis]
        mirrored = 2 * n * length - source[axis] - microphone[axis]
        along.append(np.concatenate([same, mirrored]))
        bounces.append(np.concatenate([np.abs(2 * n), np.abs(2 * n - 1)]))
    squares = [part**2 for part in along]
    distances, reflections = [], []
    for x, bounced in zip(squares[0], bounces[0], strict=True):
        if x > farthest**2:
            continue
        total = x + squares[1][:, None] + squares[2][None]
        near = total <= farthest**2
        distances.append(np.sqrt(total[near]))
        reflections.append((bounced + bounces[1][:, None] + bounces[2][None])[near])
    return np.concatenate(distances), np.concatenate(reflections)
