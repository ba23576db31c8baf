"""Shift, crop and gain of waveforms `(B, S)` in [-1, 1], with random parameters per clip."""

import torch
from torch import Tensor

from models.training.augment import features
from models.training.augment.chance import uniform


def shift(waveform: Tensor, share: float) -> Tensor:
    """Roll each clip in time by up to ± `share` of its length: `(B, S)` to `(B, S)`."""
    return features.shift(waveform[:, None], share)[:, 0]


def crop(waveform: Tensor, share: float, *, keep_length: bool = False) -> Tensor:
    """Crop `share` of each clip's length at a random position.

    Args:
        waveform: `(B, S)`.
        share: in (0, 1].
        keep_length: pad the crop with silence to the clip's length, as datasets pad short clips.

    Returns:
        `(B, round(share · S))`, or `(B, S)` where the length is kept.

    Raises:
        ValueError: the share is not in (0, 1].
    """
    if not 0 < share <= 1:
        raise ValueError(f"share must be in (0, 1], not {share}")
    clips, samples = waveform.shape
    length = max(1, round(share * samples))
    start = torch.randint(samples - length + 1, (clips, 1), device=waveform.device)
    piece = waveform.gather(1, start + torch.arange(length, device=waveform.device))
    return torch.nn.functional.pad(piece, (0, samples - length)) if keep_length else piece


def gain(waveform: Tensor, max_db: float) -> Tensor:
    """Make each clip louder or quieter by up to ± `max_db`, uniform in decibels: `(B, S)` to `(B, S)`.

    Nothing is clipped: the gain is limited so that the clip's peak does not exceed full scale.
    """
    factor = 10 ** (uniform(waveform, -max_db, max_db) / 20)
    room = (1 / waveform.abs().amax(1, keepdim=True)).clamp(min=1)  # infinite for silence, which no gain changes
    return waveform * torch.minimum(factor, room)
