"""Lengths of clips: the shortest one that a model takes with a front-end, and words for one that is too short."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from models.errors import ModelError

MAX_SAMPLES = 1 << 24
"""Longest clip that is tried: a minute and a half at the highest sample rate."""


def fitting(kind: Any, frontend: nn.Module, clip_shape: Sequence[int]) -> tuple[int, int]:
    """Return F and T of a clip of `clip_shape`, `(S,)` or `(T, F)`, for a model of this kind.

    Args:
        kind: class of the model, with `least_features` and `least_frames`.
        frontend: maps the batch's `x` to features `(B, F, T)`.
        clip_shape: of one clip.

    Raises:
        ModelError: the clip is too short for the model or the front-end, or has too few feature channels.
    """
    shape = tuple(clip_shape)
    if len(shape) == 1 and shape[0] < getattr(frontend, "least_samples", 1):
        raise ModelError(_too_short(kind, frontend, shape[0]))
    features, frames = _size(frontend, shape)
    if features < kind.least_features:
        raise ModelError(
            f"{kind.__name__} needs {kind.least_features} or more feature channels, and {type(frontend).__name__} has "
            f"{features}: choose another front-end"
        )
    if frames < kind.least_frames and len(shape) > 1:
        raise ModelError(f"{kind.__name__} needs {kind.least_frames} or more frames, and a clip has {frames}")
    if frames < kind.least_frames:
        raise ModelError(_too_short(kind, frontend, shape[0]))
    return features, frames


def samples_for(frontend: nn.Module, frames: int) -> int:
    """Return the samples of the shortest waveform that has this number of frames.

    Raises:
        ModelError: no clip has as many.
    """
    low = high = int(getattr(frontend, "least_samples", 1))
    while _size(frontend, (high,))[1] < frames:
        low, high = high, 2 * high
        if high > MAX_SAMPLES:
            raise ModelError(f"{type(frontend).__name__} has fewer than {frames} frames for a clip of any length")
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if _size(frontend, (middle,))[1] >= frames else (middle + 1, high)
    return high


def seconds(frontend: nn.Module, samples: int) -> float | None:
    """Return the length of a clip, where the front-end was given a sample rate."""
    rate = getattr(frontend, "given_arguments", {}).get("sample_rate")
    return samples / rate if rate else None


def _too_short(kind: Any, frontend: nn.Module, samples: int) -> str:
    least = samples_for(frontend, kind.least_frames)
    needed, present = seconds(frontend, least), seconds(frontend, samples)
    if needed is None or present is None:
        return (
            f"{kind.__name__} on {type(frontend).__name__} takes clips of {least} samples or more, and these have "
            f"{samples}: pad them with zeros, or choose another model or front-end"
        )
    enough = -(-least * 100 // round(least / needed)) / 100  # in hundredths of a second, rounded up
    return (
        f"{kind.__name__} on {type(frontend).__name__} takes clips of {needed:.3g} s or more, and these last "
        f"{present:.3g} s: set clip_seconds = {enough:g} for the dataset, which pads shorter clips with zeros, or "
        f"choose another model or front-end"
    )


def _size(frontend: nn.Module, shape: tuple[int, ...]) -> tuple[int, int]:
    """Return F and T of a clip of zeros."""
    with torch.no_grad(), _evaluating(frontend):
        _, features, frames = frontend(torch.zeros(1, *shape)).shape
    return int(features), int(frames)


@contextmanager
def _evaluating(frontend: nn.Module) -> Iterator[None]:
    """Let running statistics be as they are: a single clip of zeros must not change them."""
    modes = {module: module.training for module in frontend.modules()}
    frontend.eval()
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training
