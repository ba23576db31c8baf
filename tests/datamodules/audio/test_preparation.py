"""Preparation against librosa, hand-worked values and plain loops."""

import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expn

from datamodules.audio import preparation
from datamodules.audio.preparation import (
    cut_silence,
    equalise_loudness,
    log_mmse,
    log_mmse_gain,
    piece,
    segments,
    sound_intervals,
)
from datamodules.base import DataError
from datamodules.synthetic import Synthetic

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # librosa's own dependencies warn when they are imported
    import librosa

RATE = 16000


def phrases(seconds=3.0, sample_rate=RATE, seed=0):
    """Return a voice-like sound: harmonics of a gliding pitch in bursts of 0.4 s, with pauses and a quiet start."""
    time = np.arange(int(seconds * sample_rate)) / sample_rate
    phase = 2 * np.pi * np.cumsum(140 + 30 * np.sin(2 * np.pi * 0.7 * time + seed)) / sample_rate
    voice = sum(np.sin(k * phase) / k for k in range(1, 15))
    bursts = (np.sin(2 * np.pi * 1.25 * (time - 0.3)) > 0) & (time > 0.3)
    smooth = np.convolve(bursts, np.hanning(400) / np.hanning(400).sum(), "same")
    return (0.2 * voice * smooth).astype(np.float32)


def noise(samples, level, seed=0):
    return (level * np.random.default_rng(seed).standard_normal(samples)).astype(np.float32)


def librosas(x, sample_rate, top_db=40.0):
    return librosa.effects.split(
        x, top_db=top_db, frame_length=round(0.025 * sample_rate), hop_length=round(0.010 * sample_rate)
    )


@pytest.mark.parametrize("sample_rate", [8000, 16000, 22050, 44100])
@pytest.mark.parametrize("top_db", [20.0, 40.0, 60.0])
def test_silence_is_where_librosa_finds_it(sample_rate, top_db):
    x = phrases(2.0, sample_rate) + noise(2 * sample_rate, 1e-4)
    found = sound_intervals(x, sample_rate, top_db)
    np.testing.assert_array_equal(found, librosas(x, sample_rate, top_db))
    assert top_db == 60 or len(found) > 1


@pytest.mark.slow
def test_silence_in_the_clips_of_a_dataset_is_where_librosa_finds_it():
    data = Synthetic(clips_per_class=10, clip_seconds=1.0)
    data.setup()
    clips = data.splits.train
    for x in clips.load(range(len(clips))).numpy():
        for top_db in (10.0, 40.0):
            np.testing.assert_array_equal(
                sound_intervals(x, data.sample_rate, top_db), librosas(x, data.sample_rate, top_db)
            )


@pytest.mark.parametrize("samples", [1, 100, 159, 160, 161, 399, 400, 401])
def test_short_and_silent_recordings_are_kept_as_librosa_keeps_them(samples):
    for x in (np.zeros(samples, np.float32), noise(samples, 0.1)):
        np.testing.assert_array_equal(sound_intervals(x, RATE), librosas(x, RATE))
        np.testing.assert_array_equal(cut_silence(x, RATE), x)


def test_cutting_joins_the_intervals_and_leaves_the_input():
    x = np.concatenate([np.zeros(RATE), np.ones(RATE), np.zeros(RATE), -np.ones(RATE)]).astype(np.float32)
    before = x.copy()
    cut = cut_silence(x, RATE)
    assert cut.dtype == np.float32
    assert 2 * RATE <= len(cut) <= 2 * RATE + 3 * 400  # three edges, each within a frame
    np.testing.assert_array_equal(x, before)
    np.testing.assert_array_equal(cut, np.concatenate([x[a:b] for a, b in librosas(x, RATE)]))


@pytest.mark.parametrize("by", ["rms", "deviation"])
def test_equal_loudness_is_the_mean_over_windows_each_divided_by_its_own(by):
    sample_rate, window, hop = 1000, 200, 10
    x = phrases(1.0, sample_rate) + noise(sample_rate, 0.05) + np.float32(0.02)
    total, windows = np.zeros(len(x)), np.zeros(len(x))
    for centre in range(0, len(x) + window, hop):
        part = slice(max(0, centre - window // 2), max(0, centre + window // 2))
        if len(y := x[part].astype(np.float64)):
            total[part] += y / (y.std() if by == "deviation" else np.sqrt(np.mean(y**2)))
            windows[part] += 1
    ours = equalise_loudness(x, sample_rate, 0.2, 0.01, by=by, level=1.0, floor=1e-9)
    np.testing.assert_allclose(ours, total / windows, rtol=1e-5, atol=1e-6)


def test_a_sine_gets_the_level_and_silence_stays():
    time = np.arange(2 * RATE) / RATE
    x = (np.where(time < 1, 0.01, 0.8) * np.sin(2 * np.pi * 100 * time)).astype(np.float32)
    even = equalise_loudness(x, RATE)
    for part in (slice(0, RATE // 2), slice(3 * RATE // 2, None)):
        assert np.sqrt(np.mean(even[part] ** 2)) == pytest.approx(0.1, rel=1e-2)
    np.testing.assert_allclose(equalise_loudness(x / 4, RATE), even, rtol=1e-4, atol=1e-6)
    assert not equalise_loudness(np.zeros(100, np.float32), RATE).any()
    assert np.abs(equalise_loudness(noise(RATE, 1e-6), RATE)).max() < 1e-3  # 100 times at most


@pytest.mark.slow
@pytest.mark.parametrize("block", [100, 777, 5000])
@pytest.mark.parametrize("samples", [5, 401, 48123])
def test_long_recordings_are_prepared_in_blocks_that_leave_no_seam(monkeypatch, block, samples):
    x = phrases(4.0)[:samples] + noise(samples, 1e-3)
    whole = [sound_intervals(x, RATE), equalise_loudness(x, RATE), equalise_loudness(x, RATE, by="deviation")]
    monkeypatch.setattr(preparation, "BLOCK", block)
    np.testing.assert_array_equal(sound_intervals(x, RATE), whole[0])
    np.testing.assert_allclose(equalise_loudness(x, RATE), whole[1], rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(equalise_loudness(x, RATE, by="deviation"), whole[2], rtol=1e-5, atol=1e-7)


def test_pieces_by_hand():
    assert segments([10, 3, 8], 4, 1.0).tolist() == [
        [0, 0], [0, 2], [0, 4], [0, 6], [1, -1], [2, 0], [2, 2], [2, 4],
    ]  # fmt: skip
    assert segments([11, 3], 4, 1.0).tolist() == [[0, 0], [0, 2], [0, 4], [0, 6], [0, 7], [1, -1]]
    assert segments([11, 3], 4, 1.0, remainder="drop").tolist() == [[0, 0], [0, 2], [0, 4], [0, 6]]
    assert segments([3], 4, 1.0, remainder="drop").shape == (0, 2)
    x = np.arange(3, dtype=np.float32)
    assert piece(x, -1, 4).tolist() == [2, 0, 1, 2]  # wrapped in front
    assert piece(x, -5, 8).tolist() == [1, 2, 0, 1, 2, 0, 1, 2]
    assert piece(x, 1, 2).tolist() == [1, 2]
    # 30 s in pieces of 2 s, one a second: 29; of 1 s: 59; of 0.5 s: 119
    assert [len(segments([30 * RATE], RATE, seconds)) for seconds in (2.0, 1.0, 0.5)] == [29, 59, 119]


@pytest.mark.slow
@settings(max_examples=200)
@given(
    lengths=st.lists(st.integers(1, 5000), max_size=6),
    seconds=st.sampled_from([0.5, 1.0, 2.0]),
    overlap=st.floats(0, 0.9),
    remainder=st.sampled_from(["keep", "drop"]),
)
def test_pieces_cover_each_recording_and_never_leave_it(lengths, seconds, overlap, remainder):
    rate = 200
    size = round(seconds * rate)
    found = segments(lengths, rate, seconds, overlap, remainder)
    assert found.tolist() == sorted(found.tolist())
    assert len({tuple(row) for row in found.tolist()}) == len(found)
    for recording, length in enumerate(lengths):
        starts = found[found[:, 0] == recording, 1]
        x = np.full(length, recording, np.float32)
        for start in starts:
            assert start + size <= length
            assert start >= 0 or length < size
            assert (piece(x, start, size) == recording).all()
            assert len(piece(x, start, size)) == size
        if remainder == "keep":
            heard = np.zeros(length, bool)
            for start in starts:
                heard[max(0, start) : start + size] = True
            assert heard.all()
        else:
            assert (len(starts) > 0) == (length >= size)
            assert (starts >= 0).all()


def test_the_gain_is_that_of_the_paper():
    # By hand: xi = 1, gamma = 2 give v = 1; E1(1) = 0.2193839 (tables), 0.5 exp(0.1096920) = 0.5579671.
    assert log_mmse_gain(np.array([1.0]), np.array([2.0]))[0] == pytest.approx(0.5579671, abs=1e-7)
    xi, gamma = np.meshgrid(np.logspace(-2.5, 3, 20), np.logspace(-6, 3, 20))
    wiener = xi / (1 + xi)
    np.testing.assert_allclose(log_mmse_gain(xi, gamma), wiener * np.exp(expn(1, wiener * gamma) / 2), rtol=1e-12)
    assert log_mmse_gain(np.array([1e6]), np.array([1e6]))[0] == pytest.approx(1.0, abs=1e-5)
    assert np.isfinite(log_mmse_gain(np.array([1.0]), np.array([0.0]))).all()


def snr(clean, other):
    return 10 * math.log10(np.sum(clean.astype(float) ** 2) / np.sum((other.astype(float) - clean) ** 2))


@pytest.mark.parametrize("sample_rate", [8000, 16000])
@pytest.mark.parametrize("noisy_db", [0, 5, 10])
def test_noise_is_taken_out_of_a_voice(sample_rate, noisy_db):
    clean = phrases(4.0, sample_rate)
    hiss = noise(len(clean), 1.0)
    noisy = clean + hiss * np.float32(np.sqrt(np.mean(clean**2) / np.mean(hiss**2)) * 10 ** (-noisy_db / 20))
    assert snr(clean, noisy) == pytest.approx(noisy_db, abs=0.1)
    assert snr(clean, log_mmse(noisy, sample_rate)) > noisy_db + 3
    assert snr(clean, log_mmse(noisy, sample_rate, noise_from="quietest")) > noisy_db + 3


def test_noise_that_grows_is_followed():
    hiss = noise(6 * RATE, 0.01) * np.linspace(1, 2, 6 * RATE).astype(np.float32)
    left = log_mmse(hiss, RATE)
    assert np.mean(left[-RATE:] ** 2) < 0.05 * np.mean(hiss[-RATE:] ** 2)


def test_a_clean_voice_is_hardly_changed():
    clean = phrases(4.0)
    assert snr(clean, log_mmse(clean, RATE)) > 30
    assert snr(clean, log_mmse(clean, RATE, noise_from="quietest")) > 30
    assert not log_mmse(np.zeros(RATE, np.float32), RATE).any()


@pytest.mark.parametrize("samples", [1, 7, 159, 160, 161, 319, 320, 321, 5000])
def test_cleaned_recordings_keep_their_length(samples):
    x = noise(samples, 0.1)
    cleaned = log_mmse(x, RATE)
    assert cleaned.shape == x.shape
    assert cleaned.dtype == np.float32
    assert np.isfinite(cleaned).all()


@pytest.mark.parametrize("step", [cut_silence, equalise_loudness, log_mmse])
def test_what_is_no_recording_is_an_error(step):
    with pytest.raises(DataError, match="average its channels"):
        step(np.zeros((2, 100), np.float32), RATE)
    with pytest.raises(DataError, match="leave the recording out"):
        step(np.zeros(0, np.float32), RATE)
    with pytest.raises(DataError, match="decode the recording again"):
        step(np.array([0, np.nan], np.float32), RATE)


def test_arguments_out_of_range_are_errors():
    x = noise(1000, 0.1)
    with pytest.raises(DataError, match="above 0"):
        sound_intervals(x, RATE, top_db=0)
    with pytest.raises(DataError, match="make the hop shorter"):
        equalise_loudness(x, RATE, 0.01, 0.02)
    with pytest.raises(DataError, match="level and floor"):
        equalise_loudness(x, RATE, level=0)
    with pytest.raises(DataError, match="make it longer"):
        segments([100], RATE, 0)
    with pytest.raises(DataError, match="overlap is 1"):
        segments([100], RATE, 1, overlap=1.0)
    with pytest.raises(DataError, match="recording 1 has no samples"):
        segments([100, 0], RATE, 1)
    with pytest.raises(DataError, match="beyond a recording"):
        piece(x, 500, 501)
    with pytest.raises(DataError, match="memory"):
        log_mmse(x, RATE, memory=1.0)
