"""Cepstral front-ends against librosa, spafe and the algorithm of python_speech_features in numpy."""

import warnings
from collections.abc import Callable

import numpy as np
import pytest
import scipy.fft
import torch
from torch import Tensor

from models.base import Frontend, ModelError
from models.frontends.deltas import Deltas
from models.frontends.gfcc import GFCC
from models.frontends.logmel import LogMel
from models.frontends.mfcc import MFCC, LibrosaMFCC, MFCCDeltas

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what these import warns
    import librosa
    import spafe.features.gfcc


def sounds(sample_rate: int, seconds: float = 1.3) -> Tensor:
    """Three clips: noise with a tone that fades, the same quieter and then silent, and silence that ends loud."""
    generator = torch.Generator().manual_seed(0)
    time = torch.arange(round(sample_rate * seconds)) / sample_rate
    tone = 0.1 * torch.sin(2 * torch.pi * 440 * time * torch.arange(1, 4)[:, None])
    x = (tone + 0.1 * torch.randn(tone.shape, generator=generator)) * torch.exp(-time)
    x[1] *= 1e-3
    x[1, len(time) // 2 :] = 0
    x[2, : len(time) // 2] = 0
    return x


@pytest.mark.parametrize("sample_rate", [16000, 22050, 32000])
def test_librosa_mfcc_equals_librosas_clip_by_clip(sample_rate: int) -> None:
    x = sounds(sample_rate)
    expected = [librosa.feature.mfcc(y=clip, sr=sample_rate, n_mfcc=20) for clip in x.double().numpy()]
    ours = LibrosaMFCC(sample_rate)(x)
    torch.testing.assert_close(ours.double(), torch.from_numpy(np.stack(expected)), atol=1e-3, rtol=1e-5)


def mel_points(low: float, high: float, count: int) -> np.ndarray:
    """Frequencies in hertz that lie evenly on HTK's mel scale."""
    mel = np.linspace(2595 * np.log10(1 + low / 700), 2595 * np.log10(1 + high / 700), count)
    return 700 * (10 ** (mel / 2595) - 1)


def speech_features(clip: np.ndarray, sample_rate: int, window: int, n_fft: int) -> np.ndarray:
    """python_speech_features' `mfcc` step by step, with our frames, window and unrounded band edges."""
    emphasised = np.append(clip[0], clip[1:] - 0.97 * clip[:-1])
    padded = np.pad(emphasised, n_fft // 2, mode="reflect")
    hop = sample_rate // 100
    margin = (n_fft - window) // 2
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
    frames = np.stack([
        padded[t * hop + margin : t * hop + margin + window] * hann for t in range(round(100 * len(clip) / sample_rate))
    ])  # fmt: skip
    power = np.abs(np.fft.rfft(frames, n_fft)) ** 2 / n_fft
    edges = mel_points(0, sample_rate / 2, 34)
    frequency = np.arange(n_fft // 2 + 1) * sample_rate / n_fft
    rise = (frequency - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    fall = (edges[2:, None] - frequency) / (edges[2:] - edges[1:-1])[:, None]
    bands = power @ np.clip(np.minimum(rise, fall), 0, None).T
    cepstrum = scipy.fft.dct(np.log(np.maximum(bands, 1e-7)), type=2, axis=1, norm="ortho")[:, :20]
    return (cepstrum * (1 + 11 * np.sin(np.pi * np.arange(20) / 22))).T


@pytest.mark.parametrize(("sample_rate", "window", "n_fft"), [(16000, 400, 512), (32000, 800, 1024)])
def test_mfcc_equals_the_algorithm_of_python_speech_features(sample_rate: int, window: int, n_fft: int) -> None:
    x = sounds(sample_rate)
    expected = np.stack([speech_features(clip, sample_rate, window, n_fft) for clip in x.double().numpy()])
    torch.testing.assert_close(MFCC(sample_rate)(x).double(), torch.from_numpy(expected), atol=3e-3, rtol=0)


@pytest.mark.parametrize(("sample_rate", "n_fft"), [(16000, 512), (22050, 1024), (32000, 1024)])
def test_gfcc_equals_spafes(sample_rate: int, n_fft: int) -> None:
    x = sounds(sample_rate)
    expected = np.stack([spafe.features.gfcc.gfcc(clip, sample_rate, nfft=n_fft).T for clip in x.double().numpy()])
    ours = GFCC(sample_rate)(x).double()
    torch.testing.assert_close(ours, torch.from_numpy(expected), atol=1e-5, rtol=0)


def test_gfcc_takes_the_bands_it_is_told() -> None:
    x = sounds(16000)
    expected = spafe.features.gfcc.gfcc(
        x[0].double().numpy(), 16000, num_ceps=20, nfilts=40, low_freq=100, high_freq=6000, pre_emph=False
    )
    ours = GFCC(16000, 20, 40, f_min=100, f_max=6000, preemphasis=0)(x[:1])[0].double()
    torch.testing.assert_close(ours.T, torch.from_numpy(expected), atol=1e-5, rtol=0)


@pytest.mark.slow
@pytest.mark.parametrize("build", [MFCC, LibrosaMFCC, GFCC, MFCCDeltas, LogMel], ids=lambda c: c.__name__)
def test_pieces_give_what_bulk_gives(build: Callable[[int], Frontend]) -> None:
    """Without gradients alone and in a batch, with them, exported, and in mixed precision."""
    x = sounds(16000, 2.6)  # more frames than a piece
    frontend = build(16000)
    expected = frontend(x)
    assert torch.equal(torch.cat([frontend(clip[None]) for clip in x]), expected)
    wanted = x.clone().requires_grad_()
    with_gradients = frontend(wanted)
    torch.testing.assert_close(with_gradients, expected, atol=2e-3, rtol=1e-5)
    with_gradients.sum().backward()
    assert wanted.grad is not None
    assert wanted.grad.isfinite().all()
    assert all(clip.any() for clip in wanted.grad)
    exported = torch.export.export(frontend, (x,)).module()
    torch.testing.assert_close(exported(x), expected, atol=2e-3, rtol=1e-5)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(frontend(x), expected)


@pytest.mark.parametrize("build", [LibrosaMFCC, GFCC], ids=lambda c: c.__name__)
@pytest.mark.parametrize("samples", [1, 399, 400, 401, 511, 512, 3000])
def test_short_clips_have_finite_features(build: Callable[[int], Frontend], samples: int) -> None:
    features = build(16000)(sounds(16000)[:, :samples])
    frames = samples // 512 + 1 if build is LibrosaMFCC else max(0, samples - 400) // 160 + 1
    assert features.shape[2] == frames
    assert features.isfinite().all()


def test_slopes_of_any_front_end_are_librosas() -> None:
    x = sounds(16000)
    ours = Deltas(LogMel(16000))(x)
    level = LogMel(16000)(x)
    slope = torch.from_numpy(librosa.feature.delta(level.double().numpy(), width=5, mode="nearest"))
    torch.testing.assert_close(ours[:, :64], level)
    torch.testing.assert_close(ours[:, 64:128].double(), slope, atol=1e-4, rtol=0)
    assert Deltas(LogMel(16000)).macs(16000) == LogMel(16000).macs(16000) + 2 * 100 * 64 * 5


def test_multiply_adds_are_those_of_the_formula() -> None:
    frame = 400 + 4 * 256 * 9 + 2 * 257 + 24 * 257
    assert GFCC(16000).macs(16000) == 16000 + 98 * (frame + 13 * 24)
    frame = 2048 + 4 * 1024 * 11 + 2 * 1025 + 128 * 1025
    assert LibrosaMFCC(16000).macs(16000) == 32 * (frame + 20 * 128)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: GFCC(16000, coefficients=25), "24 gammatone bands have 1 to 24 coefficients, not 25"),
        (lambda: GFCC(16000, f_max=9000), "f_max ≤ sample_rate / 2"),
        (lambda: LibrosaMFCC(16000, coefficients=129), "128 mel bands have 1 to 128 coefficients, not 129"),
        (lambda: Deltas(LogMel(16000), reach=0), "reach must be ≥ 1 frame"),
    ],
)
def test_impossible_settings_are_refused(build: Callable[[], object], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        build()
