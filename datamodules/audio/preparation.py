"""Preparation of recordings before features are computed: silence, loudness, noise, and pieces of one length.

The steps are those of SwishNet's corpus (Hussain & Haque 2018, https://arxiv.org/abs/1812.00149): silence is cut,
loudness is equalised over 250 ms, and files are cut to 0.5, 1 or 2 s with 50 % overlap. Noise is first removed from
recordings of another corpus. Each step takes and returns mono samples `(S,)` float32, about in [-1, 1], and changes
nothing in place.
"""

from collections.abc import Sequence
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from datamodules.errors import DataError

Samples = NDArray[np.float32]
Doubles = NDArray[np.float64]
Sample = TypeVar("Sample", bound=np.generic)

QUIETEST = 1e-10
"""Floor of a frame's mean square (-100 dB), as in librosa: frames below it count as equally loud."""

NOISE_FLOOR = 1e-12
"""Floor of the noise power in one point of the transform, which avoids a division by zero for digital silence."""

MAX_POSTERIOR = 40.0
"""Ceiling of a frame's power, in noise powers (16 dB), as in Loizou's book."""

BLOCK = 1 << 20
"""Samples that are processed at once in double precision, so that a recording of an hour takes little more memory than
its samples."""


def sound_intervals(
    waveform: Samples,
    sample_rate: int,
    top_db: float = 40.0,
    frame_seconds: float = 0.025,
    hop_seconds: float = 0.010,
) -> NDArray[np.int64]:
    """Find where a recording is not silent, as `librosa.effects.split` does.

    A frame is silent where its mean square is `top_db` or more below the loudest frame's. Frames are centred on
    multiples of the hop, with zeros beyond the recording's ends. A recording of digital silence has no frame below its
    loudest, so all of it is one interval.

    Args:
        waveform: samples `(S,)`.
        sample_rate: in hertz.
        top_db: decibels below the loudest frame.
        frame_seconds: length of a frame.
        hop_seconds: from one frame to the next.

    Returns:
        First sample and the sample after the last of each interval `(N, 2)`, in order and disjoint.

    Raises:
        DataError: no samples, not mono, not finite, or an argument that is not above 0.
    """
    _check(waveform)
    frame, hop = _length(frame_seconds, sample_rate, "frame_seconds"), _length(hop_seconds, sample_rate, "hop_seconds")
    if not top_db > 0:
        raise DataError(f"top_db is {top_db}: give the decibels below the loudest frame as a number above 0")
    padded = np.pad(waveform, frame // 2)
    step = max(1, BLOCK // hop) * hop
    powers = []
    for start in range(0, len(padded) - frame + 1, step):
        x = padded[start : start + step - hop + frame].astype(np.float64)
        frames = np.lib.stride_tricks.sliding_window_view(x, frame)[::hop]  # (T, frame)
        powers.append(np.einsum("tn,tn->t", frames, frames) / frame)
    power = np.maximum(np.concatenate(powers), QUIETEST)
    sounds = 10 * np.log10(power / power.max()) > -top_db
    edges = np.flatnonzero(np.diff(np.concatenate([[False], sounds, [False]])))  # starts and ends in turn
    return np.minimum(edges.reshape(-1, 2) * hop, len(waveform)).astype(np.int64)


def cut_silence(
    waveform: Samples,
    sample_rate: int,
    top_db: float = 40.0,
    frame_seconds: float = 0.025,
    hop_seconds: float = 0.010,
) -> Samples:
    """Return the intervals of `sound_intervals`, concatenated; arguments and errors as there.

    Returns:
        Samples `(S',)`, at least one.
    """
    intervals = sound_intervals(waveform, sample_rate, top_db, frame_seconds, hop_seconds)
    kept = np.concatenate([waveform[start:end] for start, end in intervals])
    return kept if len(kept) else waveform.copy()  # a click in the last frame, beyond the last sample


def equalise_loudness(
    waveform: Samples,
    sample_rate: int,
    window_seconds: float = 0.25,
    hop_seconds: float = 0.010,
    by: Literal["rms", "deviation"] = "rms",
    level: float = 0.1,
    floor: float = 1e-3,
) -> Samples:
    """Equalise the loudness of a recording over time.

    Each window is divided by its own loudness, and the windows are overlapped and averaged: a sample is multiplied by
    the mean gain of the windows that contain it. Windows are centred on multiples of the hop and cut off at the
    recording's ends. SwishNet's paper has windows of 250 ms and does not say how they are measured; its authors'
    earlier code has `window_seconds=0.2, by="deviation"` and `level=1`.

    Args:
        waveform: samples `(S,)`.
        sample_rate: in hertz.
        window_seconds: length of a window.
        hop_seconds: from one window to the next; at most a window.
        by: a window's loudness is its root mean square, or its standard deviation, which leaves a constant offset out.
        level: loudness of the result, as a share of full scale. Peaks are not limited: at 0.1 those of more than
            20 dB above the loudness leave [-1, 1].
        floor: lowest loudness that is raised to `level`; quieter windows get the same gain, so silence stays silent.

    Returns:
        Samples `(S,)`.

    Raises:
        DataError: no samples, not mono, not finite, or an argument out of range.
    """
    _check(waveform)
    window = _length(window_seconds, sample_rate, "window_seconds")
    hop = _length(hop_seconds, sample_rate, "hop_seconds")
    if hop > window:
        raise DataError(f"windows of {window_seconds} s every {hop_seconds} s leave gaps: make the hop shorter")
    if not (level > 0 and floor > 0):
        raise DataError(f"level and floor are shares of full scale above 0, got {level} and {floor}")
    around = -(-window // hop) * hop  # windows that a block's end cuts off reach no further than this
    step = max(1, BLOCK // hop) * hop
    even = np.empty(len(waveform), np.float32)
    for start in range(0, len(waveform), step):
        before = min(start, around)
        x = waveform[start - before : start + step + around].astype(np.float64)
        part = _equalised(x, window, hop, by, level, floor)[before : before + step]
        even[start : start + step] = part
    return even


def _equalised(
    x: Doubles, window: int, hop: int, by: Literal["rms", "deviation"], level: float, floor: float
) -> Doubles:
    """Return a recording, or a part that starts at a multiple of the hop, with equalised loudness."""
    first = np.arange(-(window // 2), len(x) + window - window // 2, hop)
    start, end = np.clip(first, 0, len(x)), np.clip(first + window, 0, len(x))
    start, end = start[start < end], end[start < end]
    square = _sums(x * x, start, end) / (end - start)
    if by == "deviation":
        square = square - (_sums(x, start, end) / (end - start)) ** 2
    gains = level / np.sqrt(np.maximum(square, floor * floor))
    total, windows = _spread(gains, start, end, len(x)), _spread(np.ones(len(gains)), start, end, len(x))
    even: Doubles = x * total / windows
    return even


def segments(
    lengths: Sequence[int],
    sample_rate: int,
    seconds: float,
    overlap: float = 0.5,
    remainder: Literal["keep", "drop"] = "keep",
) -> NDArray[np.int64]:
    """Cut recordings to pieces of one length, each piece from one recording.

    Pieces start at 0 and follow each other by `(1 - overlap)` of their length. With "keep", as in SwishNet, a shorter
    remainder becomes one more piece, which ends where the recording ends and so overlaps more; a recording shorter than
    a piece becomes one piece with a negative start, and `piece` wraps it. With "drop" both are left out.

    Args:
        lengths: samples of each recording.
        sample_rate: in hertz.
        seconds: length of a piece; the paper has 0.5, 1 and 2.
        overlap: share of a piece that the next one repeats, in [0, 1).
        remainder: whether to keep or drop a remainder.

    Returns:
        Recording and first sample of each piece `(N, 2)`, in order.

    Raises:
        DataError: an empty recording, or an argument out of range.
    """
    size = _length(seconds, sample_rate, "seconds")
    if not 0 <= overlap < 1:
        raise DataError(f"overlap is {overlap}: give the share of a piece that the next one repeats, in [0, 1)")
    step = max(1, round(size * (1 - overlap)))
    rows: list[tuple[int, int]] = []
    for recording, length in enumerate(lengths):
        if length < 1:
            raise DataError(f"recording {recording} has no samples: leave it out")
        starts = list(range(0, length - size + 1, step))
        last = length - size
        if remainder == "keep" and (not starts or starts[-1] < last):
            starts.append(last)
        rows += [(recording, start) for start in starts]
    return np.array(rows, np.int64).reshape(-1, 2)


def piece(waveform: NDArray[Sample], start: int, samples: int) -> NDArray[Sample]:
    """Return `samples` samples from `start` on; a negative start repeats the recording from its end.

    Args:
        waveform: samples `(S,)` of any type; the piece may be a view of them.
        start: as from `segments`.
        samples: length of the piece.

    Raises:
        DataError: the piece ends after the recording.
    """
    if start + samples > len(waveform):
        raise DataError(
            f"a piece of {samples} samples from {start} on is beyond a recording of {len(waveform)}: "
            f"cut it where `segments` says for this length"
        )
    if start >= 0:
        return waveform[start : start + samples]
    return waveform[np.arange(start, start + samples) % len(waveform)]


def log_mmse(
    waveform: Samples,
    sample_rate: int,
    noise_seconds: float = 0.12,
    noise_from: Literal["start", "quietest"] = "start",
    window_seconds: float = 0.020,
    memory: float = 0.98,
    noise_memory: float = 0.98,
    speech_threshold: float = 0.15,
    least_prior_db: float = -25.0,
) -> Samples:
    """Remove steady noise from speech by the log-spectral amplitude estimator of Ephraim and Malah.

    IEEE Trans. ASSP 33(2), 1985, https://doi.org/10.1109/TASSP.1985.1164550. The decision-directed rule gives the
    a-priori signal-to-noise ratio. The noise estimate is updated while a voice activity detector finds no speech, as in
    Loizou, "Speech Enhancement: Theory and Practice", chapter 7: Hann windows of 20 ms with 50 % overlap, transforms of
    twice their length, and no speech where the mean log-likelihood ratio over the points is below 0.15.

    Args:
        waveform: samples `(S,)`.
        sample_rate: in hertz.
        noise_seconds: length of the part of the recording that gives the first noise estimate.
        noise_from: "start" assumes, like the book, that the recording starts with noise only; "quietest" takes the
            quietest frames, for recordings without such a start.
        window_seconds: length of a window.
        memory: smoothing of the a-priori ratio, in [0, 1).
        noise_memory: smoothing of the noise power while there is no speech, in [0, 1).
        speech_threshold: threshold of the detector.
        least_prior_db: floor of the a-priori ratio, and so about of the gain.

    Returns:
        Samples `(S,)`; a recording without noise is returned unchanged up to rounding.

    Raises:
        DataError: no samples, not mono, not finite, or an argument out of range.
    """
    _check(waveform)
    x = waveform.astype(np.float64)
    if not (0 <= memory < 1 and 0 <= noise_memory < 1):
        raise DataError(f"memory and noise_memory are shares in [0, 1), got {memory} and {noise_memory}")
    half = max(1, _length(window_seconds, sample_rate, "window_seconds") // 2)
    size, count = 2 * half, -(-_length(noise_seconds, sample_rate, "noise_seconds") // half)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)  # two that overlap by half add up to 1
    padded = np.pad(x, (half, size))
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[::half]
    frames = frames[: -(-len(x) // half) + 1]  # (T, size)
    spectra = np.fft.rfft(frames * hann, 2 * size)  # (T, size + 1)
    power = np.abs(spectra) ** 2
    whole = power[1 : len(x) // half]  # windows that lie completely in the recording
    known = whole if len(whole) else power
    if noise_from == "quietest":
        known = known[np.argsort(known.sum(1), kind="stable")]
    gains = _gains(power, known[:count].mean(0), memory, noise_memory, speech_threshold, 10 ** (least_prior_db / 10))
    cleaned = np.fft.irfft(spectra * gains, 2 * size)[:, :size]  # (T, size)
    result = np.zeros((len(frames) + 1, half))
    result[:-1] += cleaned[:, :half]
    result[1:] += cleaned[:, half:]
    return result.ravel()[half : half + len(x)].astype(np.float32)


def log_mmse_gain(prior: Doubles, posterior: Doubles) -> Doubles:
    """Return the gain of the estimator, ξ/(1+ξ) exp(E1(v)/2), v = γ ξ/(1+ξ) (Ephraim & Malah 1985, equation 20).

    Args:
        prior: a-priori signal-to-noise ratios ξ, as ratios of powers.
        posterior: a-posteriori ratios γ, as ratios of powers, of the same shape.
    """
    from scipy.special import exp1  # takes as long to import as reading a cached dataset

    wiener = prior / (1 + prior)
    gain: Doubles = wiener * np.exp(exp1(np.maximum(wiener * posterior, 1e-20)) / 2)
    return gain


def _gains(
    power: Doubles, noise: Doubles, memory: float, noise_memory: float, threshold: float, least_prior: float
) -> Doubles:
    """Return the gain of each frame and point `(T, K)` from its power `(T, K)` and the first noise power `(K,)`."""
    gains = np.empty_like(power)
    noise = np.maximum(noise, NOISE_FLOOR)
    before: Any = noise  # power of the previous cleaned frame; at first the prior ratio is about `memory`
    for t, now in enumerate(power):
        posterior = np.minimum(now / noise, MAX_POSTERIOR)
        prior = memory * before / noise + (1 - memory) * np.maximum(posterior - 1, 0)
        prior = np.maximum(prior, least_prior)
        likelihood = posterior * prior / (1 + prior) - np.log1p(prior)
        if likelihood.mean() < threshold:
            noise = np.maximum(noise_memory * noise + (1 - noise_memory) * now, NOISE_FLOOR)
        gains[t] = log_mmse_gain(prior, posterior)
        before = gains[t] ** 2 * now
    return gains


def _check(waveform: Samples) -> None:
    if waveform.ndim != 1:
        raise DataError(f"a waveform has one dimension, not {waveform.ndim}: average its channels first")
    if not len(waveform):
        raise DataError("a waveform has no samples: leave the recording out")
    if not np.isfinite(waveform).all():
        raise DataError("a waveform contains NaN or infinity: decode the recording again or leave it out")


def _length(seconds: float, sample_rate: int, name: str) -> int:
    """Return a length in samples."""
    samples = round(seconds * sample_rate)
    if samples < 1:
        raise DataError(f"{name} is {seconds} s, less than a sample at {sample_rate} Hz: make it longer")
    return samples


def _sums(x: Doubles, start: NDArray[np.int64], end: NDArray[np.int64]) -> Doubles:
    """Return the sum of x over each `[start, end)`."""
    upto: Doubles = np.concatenate([[0.0], np.cumsum(x)])
    return upto[end] - upto[start]


def _spread(values: Doubles, start: NDArray[np.int64], end: NDArray[np.int64], samples: int) -> Doubles:
    """Return at each sample `(S,)` the sum of the values of the windows `[start, end)` that contain it."""
    steps = np.zeros(samples + 1)
    np.add.at(steps, start, values)
    np.subtract.at(steps, end, values)
    total: Doubles = np.cumsum(steps)[:-1]
    return total
