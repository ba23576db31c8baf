"""One file as a clip is what the dataset has of it."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from fakes import esc50

from datamodules.audio import AudioError
from datamodules.audio.clip import load_clip
from datamodules.esc50 import ESC50


def test_a_clip_is_as_the_dataset_has_it(tmp_path: Path) -> None:
    data = ESC50(esc50.write(tmp_path / "esc50"))
    data.setup()
    test = data.splits.test
    clip = load_clip(tmp_path / "esc50" / "audio" / test.ids[0], data.sample_rate, data.clip_seconds)
    assert clip.shape == (1, *data.clip_shape)
    assert torch.equal(clip, test.load([0]))


def test_the_length_is_padded_cropped_or_the_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    left = np.stack([np.full(800, 0.5), np.zeros(800)], 1)
    soundfile.write(tmp_path / "two.wav", left, 8000)
    assert load_clip("~/two.wav", 8000).shape == (1, 800)
    longer = load_clip(str(tmp_path / "two.wav"), 8000, 0.2)
    assert longer.shape == (1, 1600)
    assert longer.dtype == torch.float32
    assert longer[0, :800].mean() == pytest.approx(0.25, abs=1e-3)
    assert not longer[0, 800:].any()
    assert load_clip(tmp_path / "two.wav", 8000, 0.05).shape == (1, 400)


def test_what_is_no_audio_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "no.wav").write_text("no")
    with pytest.raises(AudioError, match=r"no\.wav"):
        load_clip(tmp_path / "no.wav", 8000)
