import torch

from bench.records import Recipe
from models.training.augment import augment, mixup
from models.training.augment.features import channel_shift, freq_mixstyle, random_resized_crop, shift, spec_augment


def test_shift_rolls_each_clip_by_its_own_amount():
    torch.manual_seed(0)
    clips = torch.arange(12.0).expand(64, 3, 12)
    moved = shift(clips, 0.5)
    by = (clips[:, 0, 0] - moved[:, 0, 0]) % 12  # value 0 stands at position `by`
    for clip, original, steps in zip(moved, clips, by, strict=True):
        assert torch.equal(clip, original.roll(int(steps), -1))
    assert len(by.unique()) > 6
    assert ((by <= 6) | (by >= 6)).all()
    assert set(by.int().tolist()) <= set(range(13))


def test_a_random_resized_crop_reads_each_clip_from_its_own_position_at_its_own_speed():
    torch.manual_seed(0)
    clips = torch.arange(100.0).expand(64, 3, 100)
    assert torch.equal(random_resized_crop(clips, 1.0, 0.0), clips)
    pieces = random_resized_crop(clips, 0.4, 0.25)
    assert pieces.shape == (64, 3, 40)
    assert torch.equal(pieces[:, 0], pieces[:, 2])
    steps = pieces[:, 0].diff()
    even = (steps - steps[:, :1]).abs().amax(1) < 1e-3  # all but those that end in the last frame's way to the first
    assert even.float().mean() > 0.9
    speed = steps[even, 0]
    assert 0.75 <= speed.min() < 0.85
    assert 1.15 < speed.max() <= 1.25
    assert pieces[:, 0, 0].min() < 5
    assert pieces[even, 0, -1].max() > 95


def test_a_random_resized_crop_that_is_longer_than_its_clip_wraps_around():
    torch.manual_seed(1)
    clips = torch.arange(100.0).expand(64, 1, 100)
    looped = random_resized_crop(clips, 1.0, 0.5)
    assert looped.shape == clips.shape
    fast = looped.diff().median(-1).values[:, 0] > 1.2
    assert (looped[fast, 0].diff() < 0).any(1).all()
    assert looped.max() <= 99


def test_a_channel_shift_adds_a_constant_to_each_channel_of_a_clip():
    torch.manual_seed(0)
    clips = torch.randn(500, 2, 30) * torch.tensor([1.0, 10.0])[:, None]
    added = channel_shift(clips, 0.5) - clips
    assert torch.allclose(added, added[..., :1].expand_as(added), atol=1e-5)
    assert torch.allclose(added[..., 0].std(0), torch.tensor([0.5, 5.0]), rtol=0.1)
    assert abs(torch.corrcoef(added[..., 0].T)[0, 1]) < 0.15


def test_freq_mixstyle_moves_each_channels_mean_and_deviation_towards_another_clips():
    torch.manual_seed(0)
    shape = torch.randn(1, 3, 200, dtype=torch.float64)
    shape = (shape - shape.mean(2, keepdim=True)) / shape.std(2, keepdim=True)
    mean, deviation = 10 * torch.randn(64, 3, 1, dtype=torch.float64), torch.rand(64, 3, 1, dtype=torch.float64) + 0.5
    clips = mean + deviation * shape
    moved = freq_mixstyle(clips, 0.5)
    changed = (moved - clips).abs().amax((1, 2)) > 1e-3
    assert 0.2 < changed.float().mean() < 0.8
    torch.testing.assert_close(freq_mixstyle(clips, 0.0), clips)
    new_mean, new_deviation = moved.mean(2), moved.std(2)  # (B, F)
    torch.testing.assert_close((moved - new_mean[..., None]) / new_deviation[..., None], shape.expand_as(moved))
    for clip in changed.nonzero()[:, 0].tolist():  # one weight and one other clip explain all six numbers
        own, new = (
            torch.cat([x[clip], y[clip]]) for x, y in ((mean[..., 0], deviation[..., 0]), (new_mean, new_deviation))
        )
        others = torch.cat([mean[..., 0], deviation[..., 0]], 1) - own  # (B, 6)
        weight = ((new - own) * others).sum(1) / others.square().sum(1).clamp(min=1e-9)
        left = (weight[:, None] * others - (new - own)).abs().amax(1)
        best = int(left.argmin())
        assert left[best] < 1e-3
        assert 0 <= weight[best] <= 1


def test_masks_hide_at_most_an_eighth_each_and_put_the_mean():
    torch.manual_seed(0)
    clips = torch.randn(200, 16, 80)
    hidden = spec_augment(clips, time_masks=1, frequency_masks=0)
    changed = (hidden != clips).any(1)  # (B, T)
    assert changed.sum(1).max() <= 11
    assert changed.any(1).float().mean() > 0.8
    where = changed[0].nonzero()[:, 0]
    assert torch.equal(where, torch.arange(where[0], where[-1] + 1))
    assert torch.allclose(hidden[0, :, where[0]], clips[0].mean(1), atol=1e-6)
    hidden = spec_augment(clips, 0, 2)
    bands = (hidden != clips).any(2)
    assert torch.allclose(hidden[bands], clips.mean((1, 2))[bands.nonzero()[:, 0]][:, None].expand(-1, 80), atol=1e-6)
    assert bands.sum(1).max() <= 2 * 3


def test_mixup_mixes_features_and_shares_alike():
    torch.manual_seed(0)
    features = torch.eye(4)[:, :, None].repeat(1, 1, 5)  # clip i is 1 in channel i
    shares = torch.eye(4)
    mixed, targets = mixup(features, shares, 0.5)
    assert torch.allclose(mixed[:, :, 0], targets)
    assert torch.allclose(targets.sum(1), torch.ones(4))
    assert (targets.diagonal() >= 0.5).all()


def test_a_recipe_without_augmentation_changes_nothing():
    clips = torch.randn(2, 3, 10)
    assert augment(clips, Recipe()) is clips


def test_the_same_seed_gives_the_same_batch():
    recipe = Recipe(time_shift=0.5, time_crop=0.5, time_stretch=0.2, channel_noise=0.1, time_masks=2, frequency_masks=2)
    clips = torch.randn(8, 16, 50)
    torch.manual_seed(3)
    first = augment(clips, recipe)
    torch.manual_seed(3)
    assert torch.equal(augment(clips, recipe), first)
