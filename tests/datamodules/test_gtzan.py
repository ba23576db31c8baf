"""GTZAN's music and speech, on a fake tree in the layout of its archive."""

from collections import Counter

import numpy as np
import pytest
import soundfile
import soxr
from fakes import gtzan as fake_gtzan

from datamodules.audio.preparation import cut_silence, equalise_loudness, log_mmse
from datamodules.base import DataError, DatasetMissing
from datamodules.gtzan import GTZANMusicSpeech


def setup(root, **arguments):
    data = GTZANMusicSpeech(root, **arguments)
    data.setup()
    return data


def parts(data):
    return data.splits.train, data.splits.val, data.splits.test


def files(clips):
    return {name.split("[")[0] for name in clips.ids}


@pytest.mark.slow
def test_the_tree_is_read(tmp_path):
    root = fake_gtzan.write(tmp_path)
    data = setup(root, cache=tmp_path / "cache")
    assert data.classes == ("music", "speech")
    assert (data.sample_rate, data.clip_shape, data.folds) == (16_000, (16_000,), 1)
    assert (data.clips_available, data.clips_official) == (16, 128)
    assert "8 of 64 music files, 8 of 64 speech files" in data.note
    found = [files(part) for part in parts(data)]
    assert set().union(*found) == {
        f"{folder}/{name}.wav" for folder, names in fake_gtzan.NAMES.items() for name in names
    }
    assert sum(map(len, found)) == 16
    for part in parts(data):
        assert {0, 1} == set(part.targets.tolist())
        for name, target in zip(part.ids, part.targets.tolist(), strict=True):
            assert name.startswith(("music_wav", "speech_wav")[target])


@pytest.mark.slow
def test_tracks_numbered_after_another_are_of_its_source(tmp_path):
    data = setup(fake_gtzan.write(tmp_path))
    found = Counter(group for part in parts(data) for group in set(part.groups))
    assert max(found.values()) == 1
    assert "speech/acomic" in found
    assert "speech/acomic2" not in found
    assert "music/gravity2" not in found
    assert {"music/u2", "speech/news1", "speech/news2"} < found.keys()  # no "u", no "news"


@pytest.mark.slow
def test_a_quarter_of_the_files_trains_and_validates(tmp_path):
    """64 tracks of a class make 12, 4 and 48."""
    here = tmp_path / "music_speech"
    rng = np.random.default_rng(0)
    for folder in ("music_wav", "speech_wav"):
        (here / folder).mkdir(parents=True)
        for i in range(64):
            soundfile.write(here / folder / f"{i:02}.wav", 0.1 * rng.standard_normal(4_410), 22_050)
    data = setup(tmp_path, clip_seconds=0.1)
    for part, count in zip(parts(data), (12, 4, 48), strict=True):
        assert Counter(file.split("/")[0] for file in files(part)) == {"music_wav": count, "speech_wav": count}
    assert "24/8/96, 18.8/6.2/75.0 % for 18.75/6.25/75 %, in no class further off than 0.0 points" in data.note
    assert " of 64" not in data.note


@pytest.mark.slow
def test_tracks_are_freed_of_noise_before_the_chain(tmp_path):
    root = fake_gtzan.write(tmp_path)
    data = setup(root)
    part = data.splits.test
    name = part.ids[0].split("[")[0]
    x, rate = soundfile.read(root / "music_speech" / name, dtype="float32")
    x = log_mmse(soxr.resample(x, rate, 16_000, "HQ"), 16_000, noise_from="quietest")
    x = equalise_loudness(cut_silence(x, 16_000), 16_000)
    np.testing.assert_allclose(part.load([0])[0].numpy(), x[:16_000], atol=2e-4)


@pytest.mark.slow
def test_both_roots_are_taken_and_missing_folders_are_named(tmp_path):
    assert "music_speech.tar.gz" in (GTZANMusicSpeech.find(tmp_path) or "")
    with pytest.raises(DatasetMissing, match="speech_wav"):
        setup(tmp_path)
    fake_gtzan.write(tmp_path)
    assert GTZANMusicSpeech.find(tmp_path) is None
    assert GTZANMusicSpeech.find(tmp_path / "music_speech") is None
    assert setup(tmp_path).manifest() == setup(tmp_path / "music_speech").manifest()


@pytest.mark.slow
def test_a_track_far_longer_than_the_collections_is_refused(tmp_path):
    root = fake_gtzan.write(tmp_path)
    soundfile.write(root / "music_speech/music_wav/u2.wav", np.zeros(121 * 22_050), 22_050)
    with pytest.raises(DataError, match=r"1 of 16 files(?s:.*)'u2\.wav' says it lasts 121 s"):
        setup(root)
