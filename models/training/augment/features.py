"""Augmentation of a batch of features `(B, F, T)`, on its device, with torch's global random generator."""

import torch
from torch import Tensor

from models.recipe import Recipe

MIXSTYLE_ALPHA = 0.3
"""Parameter of the Beta distribution of the other clip's weight in `freq_mixstyle`."""


def augment(features: Tensor, recipe: Recipe) -> Tensor:
    """Apply the recipe's augmentations of features in a fixed order: `(B, F, T)` to `(B, F, T')`."""
    if recipe.time_shift > 0:
        features = shift(features, recipe.time_shift)
    if recipe.time_crop < 1 or recipe.time_stretch > 0:
        features = random_resized_crop(features, recipe.time_crop, recipe.time_stretch)
    if recipe.channel_noise > 0:
        features = channel_shift(features, recipe.channel_noise)
    if recipe.style_mix > 0:
        features = freq_mixstyle(features, recipe.style_mix)
    if recipe.time_masks or recipe.frequency_masks:
        features = spec_augment(features, recipe.time_masks, recipe.frequency_masks)
    return features


def shift(features: Tensor, share: float) -> Tensor:
    """Roll each clip in time by up to ± `share` of its length."""
    clips, _, frames = features.shape
    most = int(share * frames)
    by = torch.randint(-most, most + 1, (clips, 1), device=features.device)
    source = (torch.arange(frames, device=features.device) - by) % frames  # (B, T)
    return features.gather(2, source[:, None, :].expand_as(features))


def random_resized_crop(features: Tensor, share: float, stretch: float) -> Tensor:
    """Crop `share` of each clip's length at a random position, resampled in time by a random factor.

    The factor is uniform from 1 - `stretch` to 1 + `stretch`. Clips wrap around at their end.
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


def channel_shift(features: Tensor, share: float) -> Tensor:
    """Add a random constant to each channel of a clip, which imitates another microphone or room.

    The constant is normal; its standard deviation is `share` times the channel's standard deviation over the batch.
    """
    deviation = features.std((0, 2), keepdim=True)  # (1, F, 1)
    return features + share * deviation * torch.randn(features.shape[:2], device=features.device)[..., None]


def freq_mixstyle(features: Tensor, share: float) -> Tensor:
    """Mix each channel's mean and standard deviation with those of another clip, which imitates another recording.

    MixStyle (Zhou et al. 2021, arXiv 2104.02008) on frequencies (Kim et al. 2022, arXiv 2206.12513). The weight of the
    other clip has the distribution Beta(0.3, 0.3). The papers decide once per batch whether to mix, this function once
    per clip.

    Args:
        features: `(B, F, T)`.
        share: probability that a clip is changed.
    """
    mean, deviation = features.mean(2, keepdim=True), features.std(2, keepdim=True).clamp(min=1e-5)  # (B, F, 1)
    other = torch.randperm(len(features), device=features.device)
    weight = torch.distributions.Beta(MIXSTYLE_ALPHA, MIXSTYLE_ALPHA).sample((len(features), 1, 1)).to(features)
    weight = weight * (torch.rand_like(weight) < share)
    new_mean, new_deviation = (torch.lerp(own, own[other], weight) for own in (mean, deviation))
    return (features - mean) / deviation * new_deviation + new_mean


def spec_augment(features: Tensor, time_masks: int, frequency_masks: int) -> Tensor:
    """Mask stripes of up to an eighth of the axis (SpecAugment, arXiv 1904.08779, without time warping).

    A time mask is filled with each channel's mean over the clip, a frequency mask with the mean of the whole clip.
    """
    clips, bands, frames = features.shape
    channel = features.mean(2, keepdim=True)  # (B, F, 1)
    hidden = torch.where(_stripes(clips, time_masks, frames, features)[:, None, :], channel, features)
    return torch.where(_stripes(clips, frequency_masks, bands, features)[:, :, None], channel.mean(1, True), hidden)


def _stripes(clips: int, count: int, length: int, like: Tensor) -> Tensor:
    """Return `(B, length)`, true inside `count` stripes of random position and width."""
    width = torch.rand(clips, count, 1, device=like.device) * (length / 8)
    start = torch.rand(clips, count, 1, device=like.device) * (length - width)
    place = torch.arange(length, device=like.device)
    return ((place >= start) & (place < start + width)).any(1)
