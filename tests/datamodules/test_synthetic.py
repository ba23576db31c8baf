"""Sounds made by code: the same each time, grouped, and neither trivial nor impossible."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from datamodules.base import DataError
from datamodules.synthetic import SOUNDS, Synthetic, SyntheticTags


@pytest.fixture(scope="module")
def full() -> Synthetic:
    data = Synthetic()
    data.setup()
    return data


def small(cls: type[Synthetic | SyntheticTags], **arguments: int | float) -> Synthetic | SyntheticTags:
    data = cls(**{"clips_per_class": 10, "clip_seconds": 0.5, "sample_rate": 8_000} | arguments)
    data.setup()
    return data


def test_shape_and_balance(full: Synthetic) -> None:
    parts = (full.splits.train, full.splits.val, full.splits.test)
    assert [torch.bincount(part.targets).tolist() for part in parts] == [[30] * 10, [10] * 10, [10] * 10]
    x, target = next(iter(full.train_dataloader()))
    assert (x.shape, x.dtype, target.dtype) == ((32, 24_000), torch.float32, torch.int64)
    assert full.clip_seconds * full.sample_rate == 24_000
    peaks = torch.cat([part.load(range(len(part))).abs().amax(1) for part in parts])
    assert peaks.min() > 0.09  # levels from −20 to −1 dB of full scale
    assert peaks.max() < 0.9
    assert full.classes == tuple(SOUNDS)


def test_takes_of_a_source_differ_and_share_a_fold(full: Synthetic) -> None:
    for part in (full.splits.train, full.splits.val, full.splits.test):
        assert {part.groups.count(group) for group in part.groups} == {2}
        assert len(set(part.hashes)) == len(part)
        assert [name.rsplit("-", 1)[0] for name in part.ids] == list(part.groups)


@pytest.mark.slow
@pytest.mark.parametrize("cls", [Synthetic, SyntheticTags])
def test_the_clips_depend_on_the_data_seed_alone(cls: type[Synthetic | SyntheticTags]) -> None:
    first = small(cls)
    torch.manual_seed(99)
    np.random.seed(99)
    assert small(cls, seed=5, fold=2, batch_size=3).manifest() == first.manifest()
    assert small(cls, data_seed=1).manifest() != first.manifest()


@pytest.mark.slow
def test_each_clip_is_made_for_itself() -> None:
    """More clips per class leave the others' sounds alone."""
    few, many = small(Synthetic), small(Synthetic, clips_per_class=20)
    known = sounding(many)
    assert all(known[name] == digest for name, digest in sounding(few).items())


def sounding(data: Synthetic | SyntheticTags) -> dict[str, str]:
    parts = (data.splits.train, data.splits.val, data.splits.test)
    return {name: digest for part in parts for name, digest in zip(part.ids, part.hashes, strict=True)}


@pytest.mark.slow
def test_tags_overlap() -> None:
    data = small(SyntheticTags, clips_per_class=30)
    targets = torch.cat([part.targets for part in (data.splits.train, data.splits.val, data.splits.test)])
    assert targets.shape == (300, 10)
    assert targets.dtype == torch.float32
    assert torch.bincount(targets.sum(1).long()).tolist() == [0, 100, 100, 100]
    assert (data.splits.test.targets.sum(0) > 0).all()
    assert data.prior().sum().item() == pytest.approx(2, abs=0.2)  # two of ten sound on average
    assert data.task == "multi"


def test_sounds_are_what_their_names_say() -> None:
    """The pitch of a plucked string is its period's, and a rotor's noise thumps at its rate."""
    time = np.arange(16_000) / 16_000
    voice = np.random.default_rng(3)
    period = round(16_000 / np.random.default_rng(3).uniform(120, 500))
    spectrum = np.abs(np.fft.rfft(SOUNDS["pluck"](voice, np.random.default_rng(0), time)))
    # The averaging in the loop delays by half a sample (Karplus and Strong): f = rate / (period + 1/2).
    harmonic = 16_000 / (period + 0.5)
    peak = np.argmax(spectrum[: round(1.5 * harmonic)])
    assert peak == pytest.approx(harmonic, abs=2)
    assert harmonic > 100

    rate = np.random.default_rng(4).uniform(9, 22)
    rotor = SOUNDS["helicopter"](np.random.default_rng(4), np.random.default_rng(0), time)
    envelope = np.abs(np.fft.rfft(rotor**2))[1:40]
    assert 1 + np.argmax(envelope) == pytest.approx(rate, abs=1)


@pytest.mark.slow
def test_a_linear_model_on_the_mean_spectrum_is_not_enough(full: Synthetic) -> None:
    def mean_log_spectrum(part: str) -> np.ndarray:
        clips = getattr(full.splits, part)
        power = torch.stft(clips.load(range(len(clips))), 512, 160, window=torch.hann_window(512), return_complex=True)
        bands = torch.stack([band.mean(1) for band in power.abs().square()[:, 1:].split(4, dim=1)], 1)  # (N, 64, T)
        return (bands + 1e-6).log().mean(-1).numpy()

    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    model.fit(mean_log_spectrum("train"), full.splits.train.targets)
    assert 0.5 < model.score(mean_log_spectrum("test"), full.splits.test.targets) < 0.95


@pytest.mark.parametrize("arguments", [{"clips_per_class": 9}, {"clip_seconds": 0.1}, {"sample_rate": 4_000}])
def test_impossible_sizes_are_refused(arguments: dict[str, float]) -> None:
    with pytest.raises(DataError, match="need clips_per_class"):
        Synthetic(**arguments)


@pytest.mark.slow
def test_the_cache_gives_the_same_clips_and_a_damaged_one_is_made_again(tmp_path):
    def manifest(cache):
        data = Synthetic(cache=cache, clips_per_class=10, clip_seconds=0.5)
        data.setup()
        return data.manifest()

    expected = manifest(None)
    assert manifest(tmp_path) == expected
    (kept,) = tmp_path.glob("synthetic-*.npy")
    assert manifest(tmp_path) == expected
    kept.write_bytes(kept.read_bytes()[:1000])
    assert manifest(tmp_path) == expected
    assert kept.stat().st_size > 1000
    kept.write_bytes(b"")
    assert manifest(tmp_path) == expected
