"""Noise added to waveforms `(B, S)` at a random signal-to-noise ratio per clip.

The ratio is the clip's power divided by the noise's power, both over the whole clip, in decibels. The sum may leave
[-1, 1]; it is not clipped. A silent clip has no such ratio and stays silent.
"""

from typing import Protocol

import torch
from torch import Tensor

from models.training.augment.chance import uniform


def noise(waveform: Tensor, lowest_snr_db: float, highest_snr_db: float) -> Tensor:
    """Add white Gaussian noise at a ratio that is uniform in decibels: `(B, S)` to `(B, S)`.

    Raises:
        ValueError: the lowest ratio is above the highest.
    """
    return added(waveform, torch.randn_like(waveform), _ratios(waveform, lowest_snr_db, highest_snr_db))


def added(waveform: Tensor, disturbance: Tensor, snr_db: Tensor) -> Tensor:
    """Add a noise to each clip, scaled to exactly this ratio; nothing changes if the clip or the noise is silent.

    Args:
        waveform: `(B, S)`.
        disturbance: `(B, S)` of any level.
        snr_db: `(B, 1)`.
    """
    signal, power = (x.square().mean(1, keepdim=True) for x in (waveform, disturbance))
    scale = torch.where(power > 0, (signal / power).sqrt() * 10 ** (-snr_db / 20), 0)
    return waveform + scale * disturbance


class Background(Protocol):
    """A source of background noises."""

    def __call__(self, clips: int, samples: int) -> Tensor:
        """Return a piece of a random noise for each clip, `(B, S)`."""


def background(waveform: Tensor, noises: Background, lowest_snr_db: float, highest_snr_db: float) -> Tensor:
    """Add a piece of a random noise to each clip: `(B, S)` to `(B, S)`.

    The ratio is uniform in decibels. A clip stays unchanged if the piece is silent.

    Raises:
        ValueError: the lowest ratio is above the highest.
    """
    piece = noises(*waveform.shape).to(waveform)
    return added(waveform, piece, _ratios(waveform, lowest_snr_db, highest_snr_db))


def _ratios(waveform: Tensor, lowest: float, highest: float) -> Tensor:
    if lowest > highest:
        raise ValueError(f"the lowest signal-to-noise ratio, {lowest} dB, is above the highest, {highest} dB")
    return uniform(waveform, lowest, highest)
