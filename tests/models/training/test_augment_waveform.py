"""Augmentation of waveforms, by its effect on tones, clicks and levels, and against librosa."""

import math
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from scipy.signal import resample_poly
from torch import Tensor

from datamodules.audio.background import BackgroundNoise
from models.training.augment.chance import replace_at_random
from models.training.augment.mixing import a_weighting, between_class, blended, levels, mixup
from models.training.augment.noise import Background, added, background, noise
from models.training.augment.speed import (
    pitch_shift,
    random_pitch_shift,
    random_speed,
    random_time_stretch,
    resample,
    time_stretch,
)
from models.training.augment.waveform import crop, gain, shift

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # librosa's own dependencies warn when they are imported
    import librosa

RATE = 16_000


@pytest.fixture(scope="module")
def noises(tmp_path_factory: pytest.TempPathFactory) -> Background:
    folder = tmp_path_factory.mktemp("noises")
    soundfile.write(folder / "a.wav", 0.3 * np.random.default_rng(0).normal(size=RATE // 4), RATE)
    return BackgroundNoise(folder, RATE)


FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "crop": lambda x: crop(x, 0.5),
    "crop in place": lambda x: crop(x, 0.5, keep_length=True),
    "shift": lambda x: shift(x, 0.5),
    "gain": lambda x: gain(x, 6.0),
    "speed": lambda x: random_speed(x, 0.2),
    "time_stretch": lambda x: random_time_stretch(x, 0.2),
    "pitch_shift": lambda x: random_pitch_shift(x, 3.0),
    "noise": lambda x: noise(x, 5.0, 20.0),
    "some": lambda x: replace_at_random(x, -x, 0.5),
    "between_class": lambda x: between_class(x, RATE, torch.eye(len(x), device=x.device))[0],
    "mixup": lambda x: mixup(x, torch.eye(len(x), device=x.device), 0.4)[0],
}


@pytest.fixture(params=[*FUNCTIONS, "background"])
def function(request: pytest.FixtureRequest, noises: Background) -> Callable[[Tensor], Tensor]:
    if request.param == "background":
        return lambda x: background(x, noises, 5.0, 20.0)
    return FUNCTIONS[request.param]


@pytest.fixture(params=["cpu", "cuda"])
def device(request: pytest.FixtureRequest) -> str:
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("torch sees no GPU here; on the CPU the same test is run")
    return request.param


def tone(hertz: float | Tensor, seconds: float = 1.0, clips: int = 1) -> Tensor:
    time = torch.arange(round(seconds * RATE), dtype=torch.float64) / RATE
    tones = 0.5 * torch.sin(2 * math.pi * torch.as_tensor(hertz).reshape(-1, 1) * time)
    return tones.float().expand(max(clips, len(tones)), -1)


def pitch(waveform: Tensor) -> Tensor:
    """Return the frequency of each clip's peak `(B,)`, to 0.1 Hz."""
    window = torch.hann_window(waveform.shape[1])
    spectrum = torch.fft.rfft(waveform * window, 10 * RATE).abs()
    return spectrum.argmax(1) / 10


def centre(waveform: Tensor) -> float:
    """Return the place of the centre of a clip's energy, in samples, of `(S,)`."""
    energy = waveform.square()
    return float((energy * torch.arange(len(energy))).sum() / energy.sum())


def snr_db(clean: Tensor, noisy: Tensor) -> Tensor:
    signal, disturbance = (x.double().square().mean(1) for x in (clean, noisy.double() - clean.double()))
    return 10 * (signal / disturbance).log10()


def column(*values: float) -> Tensor:
    return torch.tensor(values)[:, None]


def test_every_function_has_one_draw_per_clip_and_gives_finite_floats(
    function: Callable[[Tensor], Tensor], device: str
) -> None:
    torch.manual_seed(0)
    clips = torch.rand(1, 8000, device=device).repeat(6, 1) * 0.8 - 0.4
    before = clips.clone()
    changed = function(clips)
    assert changed.shape[0] == 6
    assert (changed.dtype, changed.device) == (clips.dtype, clips.device)
    assert changed.isfinite().all()
    assert torch.equal(clips, before)
    if function not in (FUNCTIONS["mixup"], FUNCTIONS["between_class"]):  # the clips are the same
        assert len(changed.unique(dim=0)) > (1 if function is FUNCTIONS["some"] else 5)


def test_the_same_seed_gives_the_same_bits(function: Callable[[Tensor], Tensor]) -> None:
    clips = torch.rand(4, 8000) * 2 - 1
    torch.manual_seed(3)
    first = function(clips)
    second = function(clips)
    torch.manual_seed(3)
    assert torch.equal(function(clips), first)
    assert not torch.equal(second, first)


@pytest.mark.parametrize("samples", [8000, 7919, 37])  # a prime, and less than any window
def test_one_clip_silent_clips_and_odd_lengths(function: Callable[[Tensor], Tensor], samples: int) -> None:
    torch.manual_seed(0)
    assert function(torch.rand(1, samples)).isfinite().all()
    silence = function(torch.zeros(3, samples))
    assert torch.equal(silence, torch.zeros_like(silence))


def test_a_crop_is_a_piece_of_its_clip() -> None:
    torch.manual_seed(0)
    ramp = torch.arange(100.0).expand(64, 100)
    pieces = crop(ramp, 0.25)
    assert pieces.shape == (64, 25)
    assert (pieces.diff() == 1).all()
    assert pieces[:, 0].min() <= 5
    assert 70 <= pieces[:, 0].max() <= 75
    kept = crop(ramp + 1, 0.25, keep_length=True)
    assert kept.shape == (64, 100)
    assert ((kept[:, :25].diff() == 1).all(), kept[:, 25:].any().item()) == (True, False)
    assert torch.equal(crop(ramp, 1.0), ramp)
    with pytest.raises(ValueError, match="share"):
        crop(ramp, 0.0)


def test_a_shift_rolls_each_clip() -> None:
    torch.manual_seed(0)
    ramp = torch.arange(100.0).expand(64, 100)
    for clip in (moved := shift(ramp, 0.1)):
        assert torch.equal(clip, ramp[0].roll(int((-clip[0]) % 100)))
    assert set(moved[:, 0].int().tolist()) <= {*range(11), *range(90, 100)}


def test_gain_is_within_its_bounds_and_never_clips() -> None:
    torch.manual_seed(0)
    quiet = tone(440, clips=500) / 10
    db = 20 * (gain(quiet, 6.0).abs().amax(1) / quiet.abs().amax(1)).log10()
    assert -6.001 <= db.min() < -5.5
    assert 5.5 < db.max() <= 6.001
    loud = gain(quiet * 18, 6.0)  # a peak of 0.9
    assert loud.abs().max() <= 1 + 1e-6
    beyond = gain(quiet * 40, 6.0)  # a peak of 2 may fall but does not rise
    assert 1.9 < beyond.abs().max() <= 2 + 1e-6


@pytest.mark.slow
def test_speed_multiplies_the_frequency_of_a_tone() -> None:
    factors = column(0.5, 0.8, 1.0, 1.25, 2.0)
    changed = resample(tone(1000, clips=5), factors, torch.zeros(5, 1))
    assert torch.allclose(pitch(changed), 1000 * factors[:, 0], atol=0.5)
    torch.manual_seed(0)
    random = pitch(random_speed(tone(1000, clips=64), 0.2))
    assert 799 < random.min() < 830
    assert 1170 < random.max() < 1201


def test_speed_reads_between_the_samples_as_a_resampler_does() -> None:
    torch.manual_seed(0)
    clip = tone(torch.tensor([300.0]), 0.5) + tone(torch.tensor([3100.0]), 0.5)
    changed = resample(clip, column(1.25), torch.zeros(1, 1))[0, :6400]
    reference = torch.from_numpy(resample_poly(clip[0].double().numpy(), 4, 5)).float()
    assert torch.allclose(changed[200:-200], reference[200:-200], atol=0.01)
    assert torch.allclose(resample(clip, column(1.0), torch.zeros(1, 1)), clip, atol=1e-5)
    later = resample(clip, column(1.0), column(1000.0))
    assert torch.allclose(later, clip.roll(-1000, 1), atol=1e-5)


def test_what_a_faster_clip_cannot_hold_does_not_fold_back() -> None:
    changed = resample(tone(6000), column(1.6), torch.zeros(1, 1))  # 9,600 Hz of 8,000 Hz
    assert changed.square().mean() < 1e-4 * tone(6000).square().mean()


def test_a_slowed_clip_does_not_reach_its_end_and_a_fast_one_starts_again() -> None:
    torch.manual_seed(0)
    clip = torch.zeros(1, 4000)
    clip[0, 1000] = 1.0
    twice = resample(clip, column(2.0), torch.zeros(1, 1))[0]
    assert [int(i) for i in (twice > 0.4).nonzero()[:, 0]] == [500, 2500]
    turn = torch.arange(4000) * 2 * math.pi / 4000
    parts = []
    for part in (turn.sin(), turn.cos()):  # their angle gives the position in the clip
        torch.manual_seed(1)
        parts.append(random_speed(part.expand(64, -1), 0.5))
    place = torch.atan2(*parts) % (2 * math.pi) * 4000 / (2 * math.pi)
    slow = place.diff().median(1).values < 1
    assert 20 < slow.sum() < 44
    assert (place[slow, 2:-2].diff() > 0).all()
    assert place[slow, 2].max() > 500
    assert ((place[~slow, 2:-2].diff() < 0).sum(1) == 1).all()


def test_a_stretched_tone_keeps_its_pitch_and_its_level() -> None:
    rates = column(0.6, 0.8, 1.0, 1.25, 1.8)
    changed = time_stretch(tone(1000, clips=5), rates, torch.zeros(5, 1))
    # within a clip: where it starts again its tone breaks off
    assert torch.allclose(pitch(changed[:, :8000]), torch.tensor(1000.0), atol=1.0)
    assert torch.allclose(changed[:, 2000:8000].square().mean(1), torch.tensor(0.125), rtol=0.01)
    assert torch.allclose(changed[2], tone(1000)[0], atol=1e-4)


def test_a_stretch_moves_events_apart() -> None:
    clip = 1e-4 * torch.randn(1, RATE, generator=torch.Generator().manual_seed(0))
    for place in (4000, 8000):
        clip[0, place - 128 : place + 128] += torch.hann_window(256) * torch.sin(torch.arange(256.0))
    for rate in (0.8, 1.0, 1.25):
        changed = time_stretch(clip, column(rate), torch.zeros(1, 1))[0]
        early, late, end = (round(place / rate) for place in (2000, 6000, 10_000))
        assert early + centre(changed[early:late]) == pytest.approx(4000 / rate, abs=512)  # within a hop
        assert late + centre(changed[late:end]) == pytest.approx(8000 / rate, abs=512)


@pytest.mark.parametrize("rate", [0.7, 1.3])
def test_a_stretch_sounds_like_librosas(rate: float) -> None:
    torch.manual_seed(0)
    clips = torch.randn(2, RATE) * torch.exp(-torch.arange(RATE) / 4000)
    reference = librosa.effects.time_stretch(clips.numpy(), rate=rate)
    ours = time_stretch(clips, column(rate, rate), torch.zeros(2, 1), reference.shape[1]).numpy()
    inside = slice(0, int(ours.shape[1] * 0.9))  # ours starts again, librosa's ends
    features = (librosa.feature.spectral_centroid, librosa.feature.rms)
    for feature in features:
        here, there = (feature(y=y[:, inside])[:, 0, :20].mean() for y in (ours, reference))
        assert here == pytest.approx(there, rel=0.06), feature.__name__  # librosa's unlocked phases lose some level


def test_a_clip_is_the_same_in_any_batch() -> None:
    torch.manual_seed(0)
    clips, factors, starts = torch.randn(7, 3000), torch.rand(7, 1) + 0.5, torch.rand(7, 1) * 100
    for function in (resample, time_stretch):
        together = function(clips, factors, starts)
        for i in range(7):
            alone = function(clips[i : i + 1], factors[i : i + 1], starts[i : i + 1])
            assert torch.allclose(together[i], alone[0], atol=1e-4)


@pytest.mark.slow
def test_a_pitch_shift_moves_a_tone_by_semitones_and_nothing_in_time() -> None:
    semitones = column(-4.0, -1.0, 0.0, 2.0, 7.0)
    changed = pitch_shift(tone(1000, clips=5), semitones, 7.0)
    assert changed.shape == (5, RATE)
    assert torch.allclose(pitch(changed[:, 1000:-1000]), 1000 * 2 ** (semitones[:, 0] / 12), atol=1.0)
    burst = tone(1000).clone()
    burst[:, :6000] = 0
    burst[:, 10_000:] = 0
    for clip in pitch_shift(burst.expand(5, -1), semitones, 7.0):
        loud = clip.abs().unfold(0, 256, 64).amax(1) > 0.2
        begin, end = (int(loud.nonzero()[i, 0]) * 64 + 128 for i in (0, -1))
        assert (begin, end) == (pytest.approx(6000, abs=900), pytest.approx(10_000, abs=900))
    torch.manual_seed(0)
    random = pitch(random_pitch_shift(tone(1000, clips=64), 2.0))
    assert 1000 * 2 ** (-2 / 12) - 1 < random.min() < 910
    assert 1100 < random.max() < 1000 * 2 ** (2 / 12) + 1


def test_a_pitch_shift_is_as_bright_as_librosas() -> None:
    torch.manual_seed(0)
    clip = torch.from_numpy(resample_poly(np.random.default_rng(0).normal(size=4000) * 0.1, 4, 1)).float()[None]
    reference = librosa.effects.pitch_shift(clip.numpy(), sr=RATE, n_steps=3.0)
    ours, theirs = (
        librosa.feature.spectral_centroid(y=y, sr=RATE).mean()
        for y in (pitch_shift(clip, column(3.0), 3.0).numpy(), reference)
    )
    assert ours == pytest.approx(theirs, rel=0.02)


def test_noise_is_at_its_ratio() -> None:
    torch.manual_seed(0)
    clips = tone(440, clips=3) * column(1.0, 0.01, 0.0)
    ratios = column(0.0, 12.5, 30.0)
    noisy = added(clips, torch.randn(3, RATE), ratios)
    assert torch.allclose(snr_db(clips, noisy)[:2], ratios[:2, 0].double(), atol=0.01)
    assert torch.equal(noisy[2], clips[2])
    many = tone(440, 0.1, clips=200)
    drawn = snr_db(many, noise(many, 10.0, 20.0))
    assert 9.99 <= drawn.min() < 10.5
    assert 19.5 < drawn.max() <= 20.01
    assert torch.equal(added(many, torch.zeros_like(many), torch.zeros(200, 1)), many)
    with pytest.raises(ValueError, match="above the highest"):
        noise(many, 20.0, 10.0)


@pytest.mark.slow
def test_background_takes_any_part_of_any_file_at_the_ratio(tmp_path: Path) -> None:
    torch.manual_seed(0)
    (tmp_path / "deep" / "er").mkdir(parents=True)
    soundfile.write(tmp_path / "long.wav", tone(500, 2.0)[0].numpy(), RATE, subtype="FLOAT")
    soundfile.write(tmp_path / "deep" / "er" / "short.FLAC", tone(2000, 0.1)[0].numpy(), RATE, format="FLAC")
    soundfile.write(tmp_path / "deep" / "other.wav", tone(1000, 1.0)[0].numpy()[::2], RATE // 2, subtype="FLOAT")
    (tmp_path / "README").write_text("not audio")
    noises = BackgroundNoise(tmp_path, RATE)
    assert noises.files == 3
    clips = tone(100, 0.5, clips=300)
    noisy = background(clips, noises, 5.0, 15.0)
    ratios = snr_db(clips, noisy)
    assert 4.99 <= ratios.min() < 5.5
    assert 14.5 < ratios.max() <= 15.01
    tones, counts = pitch(noisy - clips).round().unique(return_counts=True)
    assert set(tones.tolist()) == {500, 1000, 2000}
    assert counts.min() > 60
    starts = (noisy - clips)[:, 0] / (noisy - clips).abs().amax(1)
    assert starts.std() > 0.5  # offsets differ: of a sine's phases, 0.71


def test_background_reads_each_noise_as_it_is_and_starts_short_ones_again(tmp_path: Path) -> None:
    ramp = np.arange(1, 101, dtype=np.float32) / 128  # exact in half precision
    soundfile.write(tmp_path / "ramp.wav", ramp, RATE, subtype="FLOAT")
    clips = torch.ones(20, 250)
    torch.manual_seed(0)
    piece = background(clips, BackgroundNoise(tmp_path, RATE), 0.0, 0.0) - clips
    piece = piece / piece.amax(1, keepdim=True) * 100
    steps = piece.diff()
    assert (torch.isclose(steps, torch.tensor(1.0), atol=1e-2) | torch.isclose(steps, torch.tensor(-99.0))).all()
    assert len(piece[:, 0].round().unique()) > 10


def test_between_class_by_hand() -> None:
    one, other = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    # r = 0.25 and G₁ - G₂ = 20 dB: p = 1 / (1 + 10 · 3) = 1 / 31; √(p² + (1 - p)²) = √901 / 31
    mixed = blended(one, other, column(0.25), column(20.0))
    assert torch.allclose(mixed, torch.tensor([[1.0, 30.0]]) / math.sqrt(901))
    assert torch.equal(blended(one, other, column(0.0), column(60.0)), other)
    assert torch.equal(blended(one, other, column(1.0), column(60.0)), one)


def test_between_class_makes_a_quiet_clip_as_loud_as_its_share() -> None:
    loud, quiet = tone(1000), tone(3000) / 100
    mixed = blended(loud, quiet, column(0.5), levels(loud, RATE) - levels(quiet, RATE))
    parts = [(mixed @ x.T).squeeze() / x.square().sum() * x for x in (loud, quiet)]
    assert torch.allclose(levels(parts[0], RATE), levels(parts[1], RATE), atol=0.1)


def test_between_class_mixes_only_clips_of_different_classes() -> None:
    torch.manual_seed(0)
    labels = torch.tensor([0, 0, 0, 0, 0, 1])
    shares = torch.nn.functional.one_hot(labels, 3).float()
    taught = torch.rand(6, 3).softmax(1)
    clips = torch.eye(6).repeat_interleave(400, 1) * 0.5  # each sounds where no other does
    clips[:] *= torch.sin(torch.arange(2400.0))
    mixed, targets, soft = between_class(clips, RATE, shares, taught)
    assert torch.allclose(targets.sum(1), torch.ones(6))
    assert torch.allclose(soft.sum(1), torch.ones(6))
    assert targets.min() >= 0
    assert not targets[:, 2].any()
    for i in range(5):
        parts = {j for j in range(6) if mixed[i, j * 400 : (j + 1) * 400].any()}
        assert parts == {i, 5}
        r = targets[i, 0]
        assert torch.allclose(soft[i], r * taught[i] + (1 - r) * taught[5])
    assert targets[:, 0].unique().numel() == 6
    same, unchanged = between_class(clips, RATE, torch.ones(6, 3))
    assert torch.equal(same, clips)
    assert torch.equal(unchanged, torch.ones(6, 3))


def test_levels_are_a_weighted() -> None:
    hertz = torch.tensor([10.0, 31.5, 100.0, 1000.0, 2500.0, 8000.0, 16000.0])
    assert torch.allclose(a_weighting(hertz).double(), torch.from_numpy(librosa.A_weighting(hertz.numpy())), atol=0.01)
    assert a_weighting(torch.zeros(1)) == -80
    tones = tone(torch.tensor([1000.0, 125.0, 4000.0]))
    level = levels(tones, RATE)[:, 0]
    expected = torch.from_numpy(librosa.A_weighting(np.array([1000.0, 125.0, 4000.0]))).float()
    assert torch.allclose(level - level[0], expected - expected[0], atol=0.1)
    assert levels(tones / 10, RATE)[0] - level[0] == pytest.approx(-20, abs=1e-3)
    ending = tones.clone()
    ending[:, 4000:] = 0  # the loudest window counts
    assert torch.allclose(levels(ending, RATE)[:, 0], level, atol=0.01)


def test_mixup_of_waveforms_mixes_targets_alike() -> None:
    torch.manual_seed(0)
    clips = torch.eye(4).repeat_interleave(100, 1)
    mixed, targets = mixup(clips, torch.eye(4), 0.5)
    assert torch.allclose(mixed[:, ::100], targets)
    assert torch.allclose(targets.sum(1), torch.ones(4))


def test_some_clips_are_left_alone() -> None:
    torch.manual_seed(0)
    clips = torch.ones(1000, 5)
    changed = replace_at_random(clips, -clips, 0.3)
    assert torch.equal(changed, changed[:, :1].expand_as(changed))
    assert (changed[:, 0] < 0).float().mean().item() == pytest.approx(0.3, abs=0.05)
    assert torch.equal(replace_at_random(clips, -clips, 0.0), clips)
    assert torch.equal(replace_at_random(clips, -clips, 1.0), -clips)
