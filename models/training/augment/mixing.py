"""Mixing of two clips of a batch and of their targets."""

import math

import torch
from torch import Tensor

from models.training.augment.chance import uniform

MIN_DB = -80.0
"""Lowest value of the A-weighting and of a level, as in the authors' code."""


def mixup(clips: Tensor, targets: Tensor, alpha: float) -> tuple[Tensor, Tensor]:
    """Mix each clip with another clip of the batch (arXiv 1710.09412), with one Beta(α, α) weight per clip.

    The authors' code draws one weight per batch. Here the clip itself has the greater weight, because the order of a
    pair has no meaning.

    Args:
        clips: features `(B, F, T)` or waveforms `(B, S)`.
        targets: `(B, C)` shares of the classes.
        alpha: of the Beta distribution.
    """
    beta = torch.distributions.Beta(alpha, alpha)
    weight = beta.sample((len(clips),)).to(clips)
    weight = torch.maximum(weight, 1 - weight)[:, None]
    other = torch.randperm(len(clips), device=clips.device)
    share = weight.reshape(-1, *[1] * (clips.ndim - 1))
    mixed = clips * share + clips[other] * (1 - share)
    return mixed, targets * weight + targets[other] * (1 - weight)


def between_class(waveform: Tensor, sample_rate: int, *targets: Tensor) -> tuple[Tensor, ...]:
    """Mix each clip with one of another class, so that the loudness of both matches the targets (arXiv 1711.10282).

    The ratio r is uniform in [0, 1] for each clip. In the paper both clips come from the whole training set and are
    shifted to mean zero. Here the other clip comes from the batch, and the mean is not changed. A clip stays unchanged
    if all clips of its batch have the same targets.

    Args:
        waveform: `(B, S)`.
        sample_rate: in hertz.
        targets: tensors `(B, C)` of shares of the classes; the first one decides what another class is; all are mixed.

    Returns:
        The mixed waveform `(B, S)`, which may leave [-1, 1], and the mixed targets.
    """
    differs = (targets[0][:, None] != targets[0]).any(2)  # (B, B)
    other = (torch.rand(differs.shape, device=differs.device) * differs).argmax(1)
    paired = differs.any(1, keepdim=True)  # (B, 1)
    ratio = torch.where(paired, uniform(waveform, 0, 1), 1)
    level = levels(waveform, sample_rate)
    mixed = blended(waveform, waveform[other], ratio, level - level[other])
    return mixed, *(torch.lerp(target[other], target, ratio.to(target)) for target in targets)


def blended(one: Tensor, other: Tensor, ratio: Tensor, louder_db: Tensor) -> Tensor:
    """Mix clips at a ratio of loudness; uncorrelated clips of equal power keep their power.

    p = 1 / (1 + 10^((G₁ - G₂) / 20) · (1 - r) / r), and the mixture is (p x₁ + (1 - p) x₂) / √(p² + (1 - p)²).

    Args:
        one: x₁, `(B, S)`.
        other: x₂, `(B, S)`.
        ratio: r, `(B, 1)`.
        louder_db: G₁ - G₂, `(B, 1)`.
    """
    p = ratio / (ratio + (1 - ratio) * 10 ** (louder_db / 20))  # as above, without a division by r = 0
    return (p * one + (1 - p) * other) / (p.square() + (1 - p).square()).sqrt()


def levels(waveform: Tensor, sample_rate: int) -> Tensor:
    """Return each clip's greatest A-weighted level over windows of about 0.1 s: `(B, S)` to `(B, 1)`, in decibels.

    The computation follows the authors' code: Hann windows that overlap by half, with a power of two of samples. The
    levels have an arbitrary offset. A clip shorter than a window is padded with zeros.
    """
    size = 2 ** round(math.log2(0.1 * sample_rate))
    samples = waveform.shape[1]
    whole = torch.nn.functional.pad(waveform, (0, max(0, size - samples)))
    window = torch.hann_window(size, device=waveform.device)
    spectrum = torch.stft(whole, size, size // 2, window=window, center=False, return_complex=True)  # (B, F, N)
    hertz = torch.fft.rfftfreq(size, 1 / sample_rate, device=waveform.device)
    power = 10 ** (a_weighting(hertz) / 10) @ spectrum.abs().square()  # (B, N)
    return 10 * power.amax(1, keepdim=True).clamp(min=10 ** (MIN_DB / 10)).log10()


def a_weighting(hertz: Tensor) -> Tensor:
    """Return the gain in decibels of IEC 61672's A-weighting, 0 dB at 1 kHz, at least -80 dB."""
    f = hertz.square()
    ratio = 12194.217**2 * f**2 / (f + 20.598997**2) / (f + 12194.217**2)
    ratio = ratio / ((f + 107.65265**2) * (f + 737.86223**2)).sqrt()
    return (20 * ratio.log10() + 2.0).clamp(min=MIN_DB)
