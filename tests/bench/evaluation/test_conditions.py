"""Disturbances of test clips: ratios, rooms, telephone, codecs, and that they depend on the clip's name alone."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from bench.errors import RunError, SuiteError
from bench.evaluation.robustness import codecs, room
from bench.evaluation.robustness.conditions import CONDITIONS, ROOM, Disturber, choose, find_musan, mu_law
from bench.evaluation.robustness.noises import Recordings

RATE = 16_000


def noise(seconds: float = 1.0, seed: int = 0) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).standard_normal(round(seconds * RATE))).astype(np.float32)


def tone(hertz: float, seconds: float = 1.0) -> np.ndarray:
    return (0.1 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * RATE)) / RATE)).astype(np.float32)


def power(x: np.ndarray) -> float:
    return float(np.mean(x.astype(np.float64) ** 2))


@pytest.fixture(scope="module")
def musan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "musan"
    for kind in ("noise", "speech"):
        (folder / kind / "open").mkdir(parents=True)
        for number in range(3):
            soundfile.write(folder / kind / "open" / f"{kind}-{number}.wav", noise(0.7, number), RATE)
    return folder


@pytest.fixture(scope="module")
def disturber(musan: Path) -> Disturber:
    return Disturber(RATE, 0, {name: Recordings(musan / name, RATE) for name in ("noise", "speech")})


@pytest.mark.parametrize("name", ["noise-20", "noise-0", "babble-10", "babble-5"])
def test_noise_has_exactly_its_ratio_over_the_clip(disturber, name):
    clip = noise(seed=9)
    changed = disturber.clip(CONDITIONS[name], clip, "a")
    wanted = CONDITIONS[name].settings["snr_db"]
    assert 10 * np.log10(power(clip) / power(changed - clip)) == pytest.approx(wanted, abs=0.01)


def test_a_clip_gets_the_same_noise_at_every_ratio_in_any_batch_and_another_one_with_another_seed(disturber):
    clips, loud, soft = np.stack([noise(seed=1), noise(seed=2)]), CONDITIONS["noise-0"], CONDITIONS["noise-20"]
    both = disturber.batch(loud, clips, ["a", "b"])
    np.testing.assert_array_equal(both[1], disturber.clip(loud, clips[1], "b"))
    added = (both - clips) / 10
    np.testing.assert_allclose(disturber.batch(soft, clips, ["a", "b"]) - clips, added, atol=1e-6)
    other = Disturber(RATE, 1, disturber.recordings)
    assert not np.allclose(other.clip(loud, clips[0], "a"), both[0])
    assert other.settings(loud) != disturber.settings(loud)


@pytest.mark.slow
def test_every_condition_keeps_length_type_and_silence_and_is_finite(disturber):
    clip, silent = noise(0.5), np.zeros(RATE // 2, np.float32)
    for condition in (c for c in CONDITIONS.values() if c.settings.get("rt60", 0) < 0.5):  # longer rooms take longer
        changed = disturber.clip(condition, clip, "a")
        assert changed.shape == clip.shape, condition.name
        assert changed.dtype == np.float32, condition.name
        assert np.isfinite(changed).all(), condition.name
        assert not disturber.clip(condition, silent, "a").any(), condition.name


def test_gain_clipping_and_shift_by_hand(disturber):
    clip = np.array([0.0, 0.1, -0.2, 0.4], np.float32)
    np.testing.assert_allclose(disturber.clip(CONDITIONS["gain-20"], clip, "a"), clip / 10, rtol=1e-6)
    np.testing.assert_allclose(disturber.clip(CONDITIONS["clipping-20"], clip, "a"), [0, 0.4, -0.4, 0.4], rtol=1e-6)
    np.testing.assert_array_equal(disturber.clip(CONDITIONS["shift-50"], clip, "a"), clip[[2, 3, 0, 1]])


@pytest.mark.parametrize(("hertz", "passes"), [(100, False), (1000, True), (5000, False)])
def test_a_telephone_passes_300_to_3400_hertz(disturber, hertz, passes):
    clip = tone(hertz)
    ratio = power(disturber.clip(CONDITIONS["telephone"], clip, "a")) / power(clip)
    assert ratio > 0.9 if passes else ratio < 0.01


def test_mu_law_by_hand():
    # log(1 + 255 / 255) / log 256 = 1/8; 127 / 8 = 15.875 becomes 16, and (256 ** (16 / 127) - 1) / 255
    assert mu_law(np.array([1 / 255]))[0] == pytest.approx((256 ** (16 / 127) - 1) / 255)
    np.testing.assert_allclose(mu_law(np.array([-2.0, -1.0, 0.0, 1.0])), [-1, -1, 0, 1])


def test_images_of_the_nearest_walls_are_where_a_mirror_puts_them():
    source, microphone = np.array([1.0, 2.0, 1.5]), np.array([3.0, 2.0, 1.5])
    distances, reflections = room._images(ROOM, source, microphone, 4.1)
    found = {(round(float(d), 6), int(n)) for d, n in zip(distances, reflections, strict=True)}
    # the direct way; by the wall behind the source (1 + 3 m); by floor and ceiling, 1.5 m away: sqrt(2² + 3²)
    assert {(2.0, 0), (4.0, 1), (round(13**0.5, 6), 1)} <= found
    assert min(distances) == 2.0


@pytest.mark.slow
@pytest.mark.parametrize("rt60", [0.3, 0.6])
def test_a_room_decays_about_as_long_as_it_should(rt60):
    source, microphone = room.places(ROOM, np.random.default_rng(3))
    response = room.impulse_response(ROOM, rt60, source, microphone, RATE)
    energy = np.cumsum(response[::-1] ** 2)[::-1]
    decay = 10 * np.log10(energy / energy[0] + 1e-12)
    t20 = 3 * (np.argmax(decay < -25) - np.argmax(decay < -5)) / RATE
    assert t20 == pytest.approx(1.2 * rt60, rel=0.25)  # the method's decay is longer than Eyring's in a flat room
    assert np.abs(response).argmax() == 0


def test_reflection_by_hand():
    # a cube of 6 m: V / S = 1 m; 24 ln 10 / (343 · 0.5) = 0.32224, and exp(-0.32224 / 2) = 0.85119
    assert room.reflection((6.0, 6.0, 6.0), 0.5) == pytest.approx(0.85119, abs=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(("codec", "kbps"), [("mp3", 16), ("mp3", 64), ("opus", 12)])
def test_a_decoded_clip_is_where_it_was(codec, kbps):
    clip = np.convolve(noise(2), np.ones(8) / 8, "same").astype(np.float32)
    decoded = codecs.round_trip(clip, RATE, codec, kbps)
    assert decoded.shape == clip.shape
    assert np.correlate(decoded[1500:-1500], clip, "valid").argmax() == pytest.approx(1500, abs=4)
    assert 0.2 < power(decoded) / power(clip) < 1.5


def test_a_codec_without_the_bit_rate_says_which_there_are():
    with pytest.raises(ValueError, match="32 to 320"):
        codecs.round_trip(noise(), 32_000, "mp3", 16, 32_000)


def test_conditions_are_chosen_by_name_and_by_kind_with_the_clean_clips():
    assert [c.name for c in choose(["noise"])] == ["clean", "noise-20", "noise-10", "noise-5", "noise-0"]
    assert [c.name for c in choose(["telephone"])] == ["clean", "telephone"]
    assert len(choose([])) == len(CONDITIONS)
    with pytest.raises(SuiteError, match="did you mean 'telephone'"):
        choose(["telefone"])


def test_recordings_are_found_and_named_by_their_samples(musan, tmp_path):
    assert find_musan(musan.parent) == musan
    assert find_musan(tmp_path) is None
    assert Recordings(musan / "noise", RATE).digest == Recordings(musan / "speech", RATE).digest  # the same sounds
    assert Recordings(musan / "noise", RATE).digest != Recordings(musan / "noise", 8000).digest
    with pytest.raises(RunError, match="name another folder"):
        Recordings(tmp_path, RATE)
