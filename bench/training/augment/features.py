"""Augmentation of a batch of features `(B, F, T)`, on its device; chance comes from torch's global generator."""

import torch
from torch import Tensor

from bench.records import Recipe

STYLE = 0.3
"""Of the Beta distribution of another clip's weight in `restyle`."""


def augment(features: Tensor, recipe: Recipe) -> Tensor:
    """Shift, crop, stretch, colour and mask, as the recipe says: `(B, F, T)` to `(B, F, T')`."""
    if recipe.time_shift > 0:
        features = shift(features, recipe.time_shift)
    if recipe.time_crop < 1 or recipe.time_stretch > 0:
        features = excerpt(features, recipe.time_crop, recipe.time_stretch)
    if recipe.channel_noise > 0:
        features = colour(features, recipe.channel_noise)
    if recipe.style_mix > 0:
        features = restyle(features, recipe.style_mix)
    if recipe.time_masks or recipe.frequency_masks:
        features = mask(features, recipe.time_masks, recipe.frequency_masks)
    return features


def shift(features: Tensor, share: float) -> Tensor:
    """Roll each clip in time by up to ± `share` of its length."""
    clips, _, frames = features.shape
    most = int(share * frames)
    by = torch.randint(-most, most + 1, (clips, 1), device=features.device)
    source = (torch.arange(frames, device=features.device) - by) % frames  # (B, T)
    return features.gather(2, source[:, None, :].expand_as(features))


def excerpt(features: Tensor, share: float, stretch: float) -> Tensor:
    """Take from each clip a piece of `share` of its length at a random place, played at a random speed.

    The speed is uniform from 1 - `stretch` to 1 + `stretch`; a clip that is too short for it starts again.
    """
    clips, _, frames = features.shape
    length = max(1, round(share * frames))
    speed = 1 + stretch * (2 * torch.rand(clips, 1, device=features.device) - 1)
    start = (torch.rand(clips, 1, device=features.device) * (frames - speed * (length - 1)).clamp(min=1)).floor()
    place = (start + speed * torch.arange(length, device=features.device)) % frames  # (B, T')
    before = place.floor().long().clamp(max=frames - 1)
    early, late = (
        features.gather(2, index[:, None, :].expand(-1, features.shape[1], -1))
        for index in (before, (before + 1) % frames)
    )
    return torch.lerp(early, late, (place - before)[:, None, :].to(features))


def colour(features: Tensor, share: float) -> Tensor:
    """Add to each channel of a clip a constant, as another microphone or room would: normal, `share` of its deviation.

    The deviation is the channel's over the batch.
    """
    deviation = features.std((0, 2), keepdim=True)  # (1, F, 1)
    return features + share * deviation * torch.randn(features.shape[:2], device=features.device)[..., None]


def restyle(features: Tensor, share: float) -> Tensor:
    """Give some clips each channel's mean and deviation mixed with another clip's, as if recorded elsewhere.

    MixStyle (Zhou et al. 2021, arXiv 2104.02008) on frequencies (Kim et al. 2022, arXiv 2206.12513): the weight of the
    other's is from Beta(0.3, 0.3). There a coin is thrown for the batch, here for each clip.

    Args:
        features: `(B, F, T)`.
        share: probability that a clip is changed.
    """
    mean, deviation = features.mean(2, keepdim=True), features.std(2, keepdim=True).clamp(min=1e-5)  # (B, F, 1)
    other = torch.randperm(len(features), device=features.device)
    weight = torch.distributions.Beta(STYLE, STYLE).sample((len(features), 1, 1)).to(features)
    weight = weight * (torch.rand_like(weight) < share)
    new_mean, new_deviation = (torch.lerp(own, own[other], weight) for own in (mean, deviation))
    return (features - mean) / deviation * new_deviation + new_mean


def mask(features: Tensor, time_masks: int, frequency_masks: int) -> Tensor:
    """Hide stripes of up to an eighth of the axis (SpecAugment, arXiv 1904.08779, without warping).

    A stripe of time takes each channel's mean over the clip, a stripe of frequency the mean of the whole clip.
    """
    clips, bands, frames = features.shape
    channel = features.mean(2, keepdim=True)  # (B, F, 1)
    hidden = torch.where(_stripes(clips, time_masks, frames, features)[:, None, :], channel, features)
    return torch.where(_stripes(clips, frequency_masks, bands, features)[:, :, None], channel.mean(1, True), hidden)


def _stripes(clips: int, count: int, length: int, like: Tensor) -> Tensor:
    """Return `(B, length)`, true inside `count` stripes of random place and width."""
    width = torch.rand(clips, count, 1, device=like.device) * (length / 8)
    start = torch.rand(clips, count, 1, device=like.device) * (length - width)
    place = torch.arange(length, device=like.device)
    return ((place >= start) & (place < start + width)).any(1)
