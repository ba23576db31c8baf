"""Constant-Q transform, chroma and tempogram against librosa; learned front-ends against PANNs' model."""

import warnings
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bench import catalog
from models.base import Frontend, ModelError
from models.frontends.chroma import Chroma, chroma_filters
from models.frontends.cqt import C1, CQT
from models.frontends.logmel import PooledLogMel
from models.frontends.tempogram import Tempogram
from models.frontends.wavegram import StridedWavegram, Wavegram
from models.panns import WavegramCNN

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # librosa's own dependencies warn when they are imported
    import librosa

FIXED = ["cqt", "chroma", "tempogram"]
LEARNED = ["wavegram", "wavegram-rann"]
TOLERANCE = {"cqt": 1e-2}
"""In dB: a bin 90 dB below its neighbours holds their rounding in float32. The others are ratios and near 1."""
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:librosa", "ignore:n_fft=.* is too large")


def build(name: str, sample_rate: int = 16000, **arguments: Any) -> Frontend:
    """The front-end of the catalogue, in eval mode."""
    entry = catalog.frontend(name)
    torch.manual_seed(0)
    frontend: Frontend = catalog.load(entry.target)(sample_rate, **entry.arguments, **arguments)
    return frontend.eval()


def notes(sample_rate: int, seconds: float, clips: int = 2) -> Tensor:
    """Struck notes on noise: four a second, each with overtones and its own decay."""
    torch.manual_seed(0)
    time = torch.arange(round(sample_rate * seconds)) / sample_rate
    sound = 0.01 * torch.randn(clips, len(time))
    for clip in range(clips):
        for note in range(int(4 * seconds)):
            since = time - note / 4
            pitch = 110 * 2 ** (((5 + 2 * clip) * note % 24) / 12)
            tone = sum(torch.sin(2 * torch.pi * pitch * k * since) / k for k in (1, 2, 3))
            sound[clip] += 0.2 * tone * torch.exp(-8 * since) * (since >= 0)
    return sound


def correlation(a: Tensor, b: np.ndarray) -> float:
    return float(np.corrcoef(a.double().numpy().ravel(), b.ravel())[0, 1])


def defined_cqt(clip: np.ndarray, sample_rate: int, frames: list[int], bins: int = 84) -> np.ndarray:
    """|Σ g[q] x[512 t + q]| in float64 with librosa's filters, which its product of spectra turns round in time."""
    frequencies = librosa.cqt_frequencies(n_bins=bins, fmin=librosa.note_to_hz("C1"))
    filters, lengths = librosa.filters.wavelet(freqs=frequencies, sr=sample_rate, dtype=np.complex128)
    half = filters.shape[1] // 2
    padded = np.pad(clip, half + 1)
    turned = np.stack([padded[512 * t + 2 : 512 * t + 2 + 2 * half][::-1] for t in frames], 1)  # x[512 t + half - p]
    return np.abs(filters @ turned) * np.sqrt(lengths)[:, None]


@pytest.mark.slow
@pytest.mark.parametrize("sample_rate", [16000, 22050])
def test_cqt_is_the_sum_over_librosas_filters(sample_rate: int) -> None:
    x = notes(sample_rate, 3.5, clips=1)  # more than one block
    ours = CQT(sample_rate, decibels=False)(x)[0]
    frames = [*range(0, ours.shape[1] - 1, 7), ours.shape[1] - 1]
    exact = defined_cqt(x[0].double().numpy(), sample_rate, frames)
    error = np.abs(ours[:, frames].double().numpy() - exact)
    assert error.max() < 1e-3 * exact.max()  # a millionth of a filter's energy is left out
    assert correlation(ours[:, frames], exact) > 0.999999


@pytest.mark.slow
@pytest.mark.parametrize("sample_rate", [16000, 22050])
def test_cqt_agrees_with_librosa(sample_rate: int) -> None:
    """As far as librosa's halvings of the clip and its thinned filters go."""
    x = notes(sample_rate, 2)
    ours = CQT(sample_rate, decibels=False)(x)
    theirs = np.abs(librosa.cqt(x.numpy(), sr=sample_rate, tuning=0.0))
    assert ours.shape == theirs.shape
    assert correlation(ours, theirs) > 0.999
    decibels = CQT(sample_rate)(x)
    torch.testing.assert_close(decibels, 20 * ours.clamp(min=1e-5).log10(), atol=1e-3, rtol=0)


@pytest.mark.slow
def test_cqt_with_other_bins_agrees_with_librosa() -> None:
    x = notes(16000, 2)
    ours = CQT(16000, 70, bins_per_octave=24, f_min=110.0, hop=256, decibels=False)(x)
    theirs = np.abs(
        librosa.cqt(x.numpy(), sr=16000, n_bins=70, bins_per_octave=24, fmin=110.0, hop_length=256, tuning=0.0)
    )
    assert ours.shape == theirs.shape
    assert correlation(ours, theirs) > 0.999


def test_cqt_of_a_low_rate_has_the_bins_that_fit() -> None:
    assert CQT(8000)(torch.zeros(1, 8000)).shape == (1, 83, 16)
    with pytest.raises(ModelError, match="room for 83 bins"):
        CQT(8000, 84)
    librosa.cqt(np.zeros(8000), sr=8000, n_bins=83, tuning=0.0)
    with pytest.raises(librosa.ParameterError, match="Nyquist"):
        librosa.cqt(np.zeros(8000), sr=8000, n_bins=84, tuning=0.0)
    assert librosa.note_to_hz("C1") == pytest.approx(C1)


@pytest.mark.parametrize(("classes", "n_fft", "sample_rate"), [(12, 2048, 32000), (24, 4096, 22050)])
def test_chroma_filters_are_those_of_librosa(classes: int, n_fft: int, sample_rate: int) -> None:
    theirs = librosa.filters.chroma(sr=sample_rate, n_fft=n_fft, n_chroma=classes, dtype=np.float64)
    np.testing.assert_allclose(chroma_filters(sample_rate, classes, n_fft).numpy(), theirs, atol=1e-12)


@pytest.mark.parametrize("sample_rate", [8000, 32000])
def test_chroma_is_that_of_librosa(sample_rate: int) -> None:
    x = notes(sample_rate, 1.7)
    ours = Chroma(sample_rate)(x)
    theirs = librosa.feature.chroma_stft(y=x.double().numpy(), sr=sample_rate, tuning=0.0)
    torch.testing.assert_close(ours.double(), torch.from_numpy(theirs), atol=1e-5, rtol=0)


@pytest.mark.parametrize("sample_rate", [8000, 32000])
def test_tempogram_is_that_of_librosa(sample_rate: int) -> None:
    x = notes(sample_rate, 1.7) * torch.tensor([[1.0], [1e-3]])  # 80 dB are counted from each clip's own greatest
    ours = Tempogram(sample_rate)(x)
    for clip, row in zip(x.double().numpy(), ours.double(), strict=True):
        theirs = librosa.feature.tempogram(y=clip, sr=sample_rate)
        torch.testing.assert_close(row, torch.from_numpy(theirs), atol=1e-4, rtol=0)


def test_onset_strength_is_that_of_librosa() -> None:
    x = notes(16000, 2)
    for clip, ours in zip(x.double().numpy(), Tempogram(16000).onset_strength(x), strict=True):
        theirs = librosa.onset.onset_strength(y=clip, sr=16000)
        np.testing.assert_allclose(ours.numpy(), theirs, atol=1e-4)


@pytest.mark.parametrize("lags", [64, 101])
def test_tempogram_of_other_lags_is_that_of_librosa(lags: int) -> None:
    x = notes(16000, 3, clips=1)
    envelope = librosa.onset.onset_strength(y=x[0].double().numpy(), sr=16000, hop_length=256)
    theirs = librosa.feature.tempogram(onset_envelope=envelope, sr=16000, hop_length=256, win_length=lags)
    ours = Tempogram(16000, lags, hop=256)(x)[0]
    torch.testing.assert_close(ours.double(), torch.from_numpy(theirs), atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", FIXED)
def test_silence_is_finite_and_so_are_its_gradients(name: str) -> None:
    x = torch.zeros(2, 16000, requires_grad=True)
    features = build(name)(x)
    assert torch.equal(features, torch.full_like(features, -100.0 if name == "cqt" else 0.0))
    features.sum().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()


@pytest.mark.parametrize("name", FIXED)
@pytest.mark.parametrize("samples", [1, 511, 512, 8000])
def test_clips_of_any_length_have_features(name: str, samples: int) -> None:
    features = build(name)(notes(16000, 1)[:, :samples])
    assert features.shape[2] == 1 + samples // 512
    assert features.isfinite().all()


@pytest.mark.slow
@pytest.mark.parametrize("name", FIXED + LEARNED)
@pytest.mark.parametrize("sample_rate", [8000, 44100])
def test_shapes_on_the_meta_device_and_frame_rates(name: str, sample_rate: int) -> None:
    frontend = build(name, sample_rate)
    hop = 320 if name in LEARNED else 512
    assert frontend.frame_rate == sample_rate / hop
    features = frontend.to("meta")(torch.empty(2, 2 * sample_rate, device="meta"))
    assert abs(features.shape[2] - 2 * sample_rate / hop) <= 1
    assert frontend.macs(2 * sample_rate) > 0
    assert frontend.fixed == (name in FIXED)
    assert bool(frontend.state_dict()) == (name in LEARNED)


@pytest.mark.parametrize("name", FIXED + LEARNED)
def test_a_clip_alone_equals_the_clip_in_a_batch(name: str) -> None:
    x = notes(16000, 1, clips=3)
    frontend = build(name)
    with torch.inference_mode():
        alone = torch.cat([frontend(clip[None]) for clip in x])
        torch.testing.assert_close(frontend(x), alone, atol=TOLERANCE.get(name, 1e-5), rtol=1e-5)


@pytest.mark.parametrize("name", FIXED + LEARNED)
def test_gradients_pass_to_the_waveform_and_leave_the_numbers(name: str) -> None:
    x = notes(16000, 1)
    frontend = build(name)
    with torch.inference_mode():
        expected = frontend(x)
    features = frontend(x.requires_grad_())
    torch.testing.assert_close(features.detach(), expected, atol=TOLERANCE.get(name, 1e-5), rtol=1e-5)
    features.square().sum().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()
    assert x.grad.any()
    assert all(p.grad is not None and p.grad.any() for p in frontend.parameters())


@pytest.mark.parametrize("name", FIXED)
def test_mixed_precision_leaves_the_features_alone(name: str) -> None:
    x = notes(16000, 1)
    frontend = build(name)
    expected = frontend(x)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(frontend(x), expected)


@pytest.mark.slow
@pytest.mark.parametrize("name", FIXED + LEARNED)
def test_the_exported_program_gives_the_same(name: str) -> None:
    """For other clips than it was exported with."""
    frontend = build(name)
    program = torch.export.export(frontend, (notes(16000, 0.5),))
    other = notes(16000, 0.5).flip(0)
    with torch.inference_mode():
        expected = frontend(other)
        torch.testing.assert_close(program.module()(other), expected, atol=TOLERANCE.get(name, 1e-5), rtol=1e-5)


@pytest.mark.slow
def test_wavegram_is_that_of_panns() -> None:
    torch.manual_seed(0)
    model = WavegramCNN(nn.Identity(), 1, 32000, 3).eval()
    frontend = Wavegram(32000).eval()
    layers = {"conv": "pre_conv0", "bn": "pre_bn0", "blocks.0": "pre_block1", "blocks.1": "pre_block2"}
    layers["blocks.2"] = "pre_block3"
    for name, theirs in layers.items():
        frontend.get_submodule(name).load_state_dict(model.get_submodule(theirs).state_dict())
    x = notes(32000, 0.3)
    bands = frontend(x)  # (B, 128, T)
    with torch.inference_mode():
        maps = model.get_submodule("pre_block4")(bands.unflatten(1, (-1, 32)).transpose(2, 3), (2, 1))
        torch.testing.assert_close(maps, model.wavegram(x[:, None]))


def test_multiply_adds_are_those_of_the_formulas() -> None:
    frame = 2048 + 4 * 1024 * 11 + 2 * 1025
    assert Chroma(16000).macs(16000) == 32 * (frame + 12 * 1025)
    correlated = 384 + 2 * 4 * round(768 / 2 * np.log2(768)) + 2 * 385
    assert Tempogram(16000).macs(16000) == pytest.approx(32 * (frame + 128 * 1025 + correlated), rel=1e-3)
    cqt = CQT(16000)
    n = 80 * 512  # samples of a block, of which 62 frames are whole
    products = sum(part.numel() // 2 for part in cqt.buffers())
    transforms = n / 2 * np.log2(n) + 84 * 40 * np.log2(80)
    assert cqt.macs(16000) == pytest.approx(4 * (transforms + products) + 2 * 84 * 32, rel=1e-6)
    assert Wavegram(32000).macs(3200) == 640 * 64 * 11 + 640 * 2 * 64**2 * 3 + 160 * (64 + 128) * 128 * 3 + (
        40 * 2 * 128**2 * 3
    )
    small = StridedWavegram(16000, (2, 3), (5, 4))
    assert small.macs(400) == 80 * 2 * 11 + 20 * 3 * 2 * 9
    assert small(torch.zeros(2, 400)).shape == (2, 3, 20)


def test_vggish_like_is_the_pooled_logmel() -> None:
    frontend = build("vggish-like")
    assert type(frontend) is PooledLogMel
    x = notes(16000, 2)
    assert torch.equal(frontend(x), build("logmel-1s")(x))
    assert catalog.MODELS["fc"].frontend == "logmel-1s"  # its name is part of a run's key


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: CQT(16000, f_min=9000.0), "room for 0 bins .* a lower f_min"),
        (lambda: CQT(16000, bins=0), "use 1 to 9[0-9] bins"),
        (lambda: CQT(16000, hop=0), "hop ≥ 1"),
        (lambda: Chroma(16000, classes=7), "a multiple of 12.*use 12, 24 or 36"),
        (lambda: Chroma(16000, n_fft=1000), "a power of two ≥ 4, got 1000"),
        (lambda: Chroma(16000, hop=0), "hop must be ≥ 1"),
        (lambda: Tempogram(16000, lags=1), "lags ≥ 2"),
        (lambda: Wavegram(16000, kernel=10), "an odd kernel"),
        (lambda: Wavegram(16000)(torch.zeros(1, 319)), "shorter than one frame of 320: pad it"),
        (lambda: StridedWavegram(16000, (4, 4), (5,)), "a stride ≥ 1 for each"),
    ],
)
def test_impossible_settings_are_refused(build: Any, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        build()
