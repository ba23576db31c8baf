"""The front-end of torchlibrosa's own modules against `logmel-panns` and its formulas."""

import warnings

import numpy as np
import pytest
import torch
from torch import Tensor

from bench import catalog
from bench.profiling import complexity
from bench.training import build
from models.base import Frontend, ModelError

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # librosa's own dependencies warn when they are imported
    import librosa

RATE = 32_000


def frontend(name: str = "logmel-torchlibrosa", rate: int = RATE) -> Frontend:
    entry = catalog.frontend(name)
    built: Frontend = catalog.load(entry.target)(rate, **entry.arguments)
    return built


def sounds(rate: int, clips: int = 3) -> Tensor:
    """A second of noise with a tone that fades: loud and quiet frames in every band."""
    torch.manual_seed(0)
    time = torch.arange(rate) / rate
    tone = 0.1 * torch.sin(2 * torch.pi * 440 * time * torch.arange(1, clips + 1)[:, None])
    return (tone + 0.1 * torch.randn(clips, rate)) * torch.exp(-time)


@pytest.mark.slow
@pytest.mark.parametrize("rate", [16_000, 32_000])
def test_the_numbers_are_those_of_logmel_panns(rate: int) -> None:
    x = sounds(rate)
    theirs = frontend(rate=rate)(x)
    assert theirs.shape == (3, 64, 101)
    torch.testing.assert_close(theirs, frontend("logmel-panns", rate)(x), atol=1e-3, rtol=0)  # dB


@pytest.mark.slow
def test_the_settings_at_32_khz_are_those_of_panns() -> None:
    """1,024 points, hop 320, 64 bands from 50 to 14,000 Hz; the tensors have the names of the published checkpoints."""
    built = frontend()
    shapes = {name: tuple(tensor.shape) for name, tensor in built.state_dict().items()}
    assert shapes == {
        "spectrogram_extractor.stft.conv_real.weight": (513, 1, 1024),
        "spectrogram_extractor.stft.conv_imag.weight": (513, 1, 1024),
        "logmel_extractor.melW": (513, 64),
    }
    assert built.frame_rate == 100
    centres = built.band_centres()
    assert centres is not None
    edges = librosa.mel_frequencies(66, fmin=50, fmax=14_000)  # of 64 bands, the centres in the middle
    np.testing.assert_array_less(np.abs(centres.numpy() - edges[1:-1]), (edges[2:] - edges[:-2]) / 4)


@pytest.mark.slow
def test_the_features_are_fixed_and_a_clip_alone_has_those_of_a_batch() -> None:
    x, built = sounds(RATE), frontend()
    assert built.fixed
    expected = built(x)
    torch.testing.assert_close(torch.cat([built(clip[None]) for clip in x]), expected, atol=1e-3, rtol=0)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(built(x), expected)


@pytest.mark.slow
def test_silence_is_at_the_floor_and_short_clips_are_refused() -> None:
    built = frontend()
    assert torch.equal(built(torch.zeros(1, 640)), torch.full((1, 64, 3), -100.0))
    with pytest.raises(ModelError, match="more than 512 samples, not 512"):
        built(torch.zeros(1, 512))


@pytest.mark.slow
def test_multiply_adds_are_those_of_the_convolutions() -> None:
    """A second has 101 frames of 513 points: 1,024 products each for cosine and sine, two squares, 64 bands."""
    expected = 101 * 513 * (1024 + 1024 + 2 + 64)
    built = frontend()
    assert built.macs(RATE) == expected
    model = build.sized("cnn6", "logmel-torchlibrosa", {"scale": 0.125}, (RATE,), RATE, 5)
    assert complexity.measure(model, (RATE,), 1.0).frontend_macs == expected


@pytest.mark.slow
def test_the_convention_of_panns_counts_the_same_with_both_front_ends() -> None:
    """PANNs' tables count the transform as two convolutions."""
    models = [
        build.sized("cnn6", name, {"scale": 0.125}, (RATE,), RATE, 5)
        for name in ("logmel-torchlibrosa", "logmel-panns")
    ]
    theirs, ours = (complexity.panns_multiply_adds(model, RATE) for model in models)
    assert theirs == ours
