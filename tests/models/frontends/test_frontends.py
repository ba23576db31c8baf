"""Front-ends against torchlibrosa, librosa and scipy."""

import builtins
import importlib
import importlib.util
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import scipy.fft
import torch
from torch import Tensor

from bench import catalog
from models.base import Frontend, ModelError
from models.frontends import _torchaudio
from models.frontends.logmel import LogMel, PooledLogMel
from models.frontends.mel import MelPower
from models.frontends.mfcc import MFCC, MFCCDeltas
from models.frontends.none import NoFrontend

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # librosa's own dependencies warn when they are imported
    import librosa
    from torchlibrosa.stft import LogmelFilterBank, Spectrogram


def sounds(sample_rate: int, seconds: float, clips: int = 2) -> Tensor:
    """Noise with a tone that fades: loud and quiet frames in every band."""
    torch.manual_seed(0)
    samples = round(sample_rate * seconds)
    time = torch.arange(samples) / sample_rate
    tone = 0.1 * torch.sin(2 * torch.pi * 440 * time * torch.arange(1, clips + 1)[:, None])
    return (tone + 0.1 * torch.randn(clips, samples)) * torch.exp(-time)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sample_rate", "bands", "n_fft", "frames_per_second", "f_max"),
    [(32000, 64, 1024, 100, 14000), (16000, 128, 512, 128, 8000)],
)
def test_logmel_equals_torchlibrosa_and_librosa(
    sample_rate: int, bands: int, n_fft: int, frames_per_second: int, f_max: int
) -> None:
    x = sounds(sample_rate, 2)
    ours = LogMel(sample_rate, bands, frames_per_second=frames_per_second)(x)
    assert ours.shape == (2, bands, 2 * frames_per_second)
    hop = sample_rate // frames_per_second
    bank = LogmelFilterBank(
        sr=sample_rate, n_fft=n_fft, n_mels=bands, fmin=50, fmax=f_max, ref=1.0, amin=1e-10, top_db=None
    )
    theirs = bank(Spectrogram(n_fft=n_fft, hop_length=hop)(x))[:, 0].transpose(1, 2)  # (B, F, T + 1)
    # Of 128 bands one is so narrow at 16 kHz that its float32 filter shows; the sums' rounding comes on top of it.
    tolerance = 1e-3 if bands == 64 else 4e-3
    torch.testing.assert_close(ours, theirs[..., : ours.shape[2]], atol=tolerance, rtol=0)
    power = librosa.feature.melspectrogram(
        y=x.double().numpy(), sr=sample_rate, n_fft=n_fft, hop_length=hop, n_mels=bands, fmin=50, fmax=f_max,
        pad_mode="reflect",
    )  # fmt: skip
    reference = torch.from_numpy(librosa.power_to_db(power, top_db=None))
    torch.testing.assert_close(ours.double(), reference[..., : ours.shape[2]], atol=tolerance, rtol=0)


@pytest.mark.parametrize("sample_rate", [8000, 16000, 22050, 32000, 44100, 48000])
@pytest.mark.parametrize("name", ["logmel", "logmel-128", "mfcc", "mfcc-deltas"])
@pytest.mark.parametrize("seconds", [1, 8])
def test_a_second_has_exactly_its_frames(sample_rate: int, name: str, seconds: int) -> None:
    entry = catalog.FRONTENDS[name]
    frontend = catalog.load(entry.target)(sample_rate, **entry.arguments)
    features = frontend.to("meta")(torch.empty(2, seconds * sample_rate, device="meta"))
    rate = 128 if name == "logmel-128" else 100
    assert features.shape[2] == seconds * rate
    assert frontend.frame_rate == rate


@pytest.mark.parametrize("samples", [1, 100, 255, 256, 257, 8000, 16001])
def test_clips_of_any_length_have_finite_features(samples: int) -> None:
    x = sounds(16000, 2)[:, :samples]
    for frontend in (LogMel(16000), LogMel(16000, 128, frames_per_second=128), PooledLogMel(16000), MFCCDeltas(16000)):
        features = frontend(x)
        assert features.shape[2] >= 1
        assert features.isfinite().all()


def test_silence_is_at_the_floor() -> None:
    assert torch.equal(LogMel(16000)(torch.zeros(1, 16000)), torch.full((1, 64, 100), -100.0))
    assert torch.equal(PooledLogMel(16000)(torch.zeros(1, 16000)), torch.zeros(1, 128, 1))
    assert MFCC(16000)(torch.zeros(1, 16000)).isfinite().all()


@pytest.mark.parametrize(("seconds", "expected"), [(0.3, 1), (1, 1), (1.0001, 2), (2.5, 3), (10, 10)])
def test_pooled_logmel_is_the_mean_of_each_second(seconds: float, expected: int) -> None:
    x = sounds(16000, seconds)
    pooled = PooledLogMel(16000)(x)
    decibels = LogMel(16000, 128)(x)
    assert pooled.shape == (2, 128, expected)
    for second in range(expected):
        frames = decibels[..., 100 * second : 100 * (second + 1)]
        frames = frames if frames.shape[2] else decibels[..., -1:]  # a rest too short for a frame repeats the last
        torch.testing.assert_close(pooled[..., second], 1 + frames.mean(2) / 100, atol=1e-5, rtol=0)


@pytest.mark.parametrize("sample_rate", [16000, 44100])
def test_pooled_logmel_lies_in_about_the_range_of_embeddings(sample_rate: int) -> None:
    loudest = torch.sin(2 * torch.pi * 440 * torch.arange(sample_rate) / sample_rate)[None]
    pooled = PooledLogMel(sample_rate)(torch.cat([loudest, sounds(sample_rate, 1, clips=1)]))
    assert 0 < pooled.min() < 1 < pooled[0].max() < 1.4
    assert pooled[1].max() < 1.2


@pytest.mark.slow
def test_mfcc_is_the_cosine_transform_of_librosas_bands() -> None:
    x = sounds(16000, 1)
    ours = MFCC(16000, preemphasis=0, lifter=0)(x)
    power = librosa.feature.melspectrogram(
        y=x.double().numpy(), sr=16000, n_fft=512, win_length=400, hop_length=160, n_mels=32, htk=True, norm=None,
        pad_mode="reflect",
    )  # fmt: skip
    bands = np.log(power / 512)
    reference = torch.from_numpy(scipy.fft.dct(bands, type=2, axis=1, norm="ortho")[:, :20, :100])
    torch.testing.assert_close(ours.double(), reference, atol=1e-3, rtol=0)
    theirs = librosa.feature.mfcc(S=bands, n_mfcc=20)
    torch.testing.assert_close(ours.double(), torch.from_numpy(theirs[..., :100]), atol=1e-3, rtol=0)


def test_preemphasis_and_lifter_are_those_of_librosa() -> None:
    x = sounds(16000, 1)
    emphasised = torch.from_numpy(librosa.effects.preemphasis(x.numpy(), coef=0.97, zi=np.zeros((2, 1))))
    plain = MFCC(16000, preemphasis=0, lifter=0)(emphasised)
    # librosa lifts coefficient n by 1 + L/2 sin(pi (n + 1) / L), the others (HTK, python_speech_features) by n.
    lift = 1 + 11 * np.sin(np.pi * np.arange(20) / 22)
    reference = plain * torch.from_numpy(lift).float()[:, None]
    torch.testing.assert_close(MFCC(16000)(x), reference, atol=2e-3, rtol=1e-4)


@pytest.mark.parametrize("seconds", [0.01, 0.03, 1])
def test_deltas_are_those_of_librosa_taken_twice(seconds: float) -> None:
    x = sounds(16000, seconds)
    ours = MFCCDeltas(16000)(x)
    cepstrum = MFCC(16000)(x)
    assert ours.shape == (2, 60, cepstrum.shape[2])
    padded = np.pad(cepstrum.double().numpy(), ((0, 0), (0, 0), (9, 9)), "edge")  # librosa wants five frames

    def delta(x: np.ndarray) -> np.ndarray:
        slopes = librosa.feature.delta(x, width=5, mode="nearest")
        return np.pad(slopes[..., 9:-9], ((0, 0), (0, 0), (9, 9)), "edge")

    first = delta(padded)
    reference = np.concatenate([padded, first, delta(first)], 1)[..., 9:-9]
    torch.testing.assert_close(ours.double(), torch.from_numpy(reference), atol=1e-4, rtol=0)


def test_a_steady_rise_has_its_slope_and_no_bend() -> None:
    frontend = MFCCDeltas(16000)
    rise = 3 * torch.arange(20.0).expand(1, 60, -1)
    slope = frontend.slope(rise)
    torch.testing.assert_close(slope[..., 2:-2], torch.full((1, 60, 16), 3.0))
    torch.testing.assert_close(slope[..., 0], torch.full((1, 60), 3 * (1 * 1 + 2 * 2) / 10))  # the first one repeated
    torch.testing.assert_close(frontend.slope(slope)[..., 4:-4], torch.zeros(1, 60, 12))


def test_append_energy_replaces_the_first_coefficient() -> None:
    x = sounds(16000, 1)
    without, with_energy = MFCC(16000)(x), MFCC(16000, append_energy=True)(x)
    assert torch.equal(without[:, 1:], with_energy[:, 1:])
    louder = MFCC(16000, append_energy=True)(2 * x)
    torch.testing.assert_close(louder[:, 0] - with_energy[:, 0], torch.full((2, 100), np.log(4.0)), check_dtype=False)


def test_embeddings_pass_as_they_are() -> None:
    x = torch.rand(2, 10, 128)
    assert torch.equal(NoFrontend()(x), x.permute(0, 2, 1))
    with pytest.raises(ModelError, match="takes embeddings"):
        NoFrontend()(torch.rand(2, 16000))


@pytest.mark.parametrize(
    "frontend", [LogMel(16000), PooledLogMel(16000), MFCC(16000), MFCCDeltas(16000)], ids=lambda f: type(f).__name__
)
def test_a_clip_alone_equals_the_clip_in_a_batch(frontend: Frontend) -> None:
    x = sounds(16000, 1, clips=3)
    alone = torch.cat([frontend(clip[None]) for clip in x])
    torch.testing.assert_close(frontend(x), alone, atol=1e-4, rtol=1e-5)
    assert frontend.fixed
    assert not frontend.state_dict()


def test_mixed_precision_leaves_the_features_alone() -> None:
    x = sounds(16000, 1)
    for frontend in (LogMel(16000), MFCC(16000), MFCCDeltas(16000)):
        expected = frontend(x)
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(frontend(x), expected)


def test_gradients_pass_to_the_waveform() -> None:
    x = sounds(16000, 1).requires_grad_()
    LogMel(16000)(x).sum().backward()
    assert x.grad is not None
    assert x.grad.any()


def test_multiply_adds_are_those_of_the_formula() -> None:
    """512 points: 512 for the window, 4 · 256 · 9 for the transform, 2 · 257 for the power, then the filters."""
    frame = 512 + 4 * 256 * 9 + 2 * 257
    assert LogMel(16000).macs(16000) == 100 * (frame + 64 * 257)
    assert LogMel(16000, 128, frames_per_second=128).macs(16000) == 128 * (frame + 128 * 257)
    assert MFCC(16000).macs(16000) == 16000 + 100 * (frame - 512 + 400 + 32 * 257 + 20 * 32)
    assert MFCCDeltas(16000).macs(16000) == MFCC(16000).macs(16000) + 100 * 2 * 20 * 5
    assert NoFrontend().macs(16000) == 0


def test_the_centres_of_mel_bands_are_near_those_of_librosa() -> None:
    edges = librosa.mel_frequencies(66, fmin=50, fmax=8000)  # of 64 bands, the centres in the middle
    centres = LogMel(16000, n_fft=4096).band_centres().numpy()
    assert centres.shape == (64,)
    half = (edges[2:] - edges[:-2]) / 2  # a triangle's mean is less than a tenth of its half width from its peak
    np.testing.assert_array_less(np.abs(centres - edges[1:-1]), half / 5)
    assert LogMel(16000).axis == "Hz"
    assert MFCC(16000).band_centres() is None
    assert [MFCC(16000).axis, NoFrontend().axis] == ["coefficient", "channel"]


def test_the_transform_as_convolutions_is_counted_with_a_cosine_and_a_sine_for_each_point() -> None:
    """A second at 16 kHz has 100 frames of 512 samples, and 257 points."""
    assert LogMel(16000).power.dft_macs(16000) == 100 * 2 * 257 * 512


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: LogMel(16000, f_max=9000), "f_max ≤ sample_rate / 2"),
        (lambda: LogMel(16000, 512, n_fft=512), "mel bands contain no point of a 512-point transform"),
        (lambda: MFCC(16000, coefficients=33), "32 mel bands have 1 to 32 coefficients, not 33"),
        (lambda: MFCCDeltas(16000, reach=0), "reach must be ≥ 1 frame"),
        (lambda: MelPower(16000, 64, 600, 512, 100, 0, 8000, "htk"), "the window .600 samples. must fit"),
    ],
)
def test_impossible_settings_are_refused(build: object, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        build()  # type: ignore[operator]


@pytest.fixture
def fresh_torchaudio() -> Iterator[None]:
    """Forget torchaudio for one test, and put everything back afterwards."""
    kept = {name: module for name, module in sys.modules.items() if name.partition(".")[0] == "torchaudio"}
    for name in kept:
        del sys.modules[name]
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchaudio"]:
        del sys.modules[name]
    sys.modules.update(kept)


def import_again() -> ModuleType:
    """Run `_torchaudio.py` as another module."""
    spec = importlib.util.spec_from_file_location("torchaudio_again", _torchaudio.__file__)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def check_filters(module: ModuleType) -> None:
    filters = module.functional.melscale_fbanks(257, 50.0, 8000.0, 64, 16000, "slaney", "slaney")
    reference = librosa.filters.mel(sr=16000, n_fft=512, n_mels=64, fmin=50, fmax=8000).T
    np.testing.assert_allclose(filters.numpy(), reference, atol=1e-6)
    assert module.transforms.Resample(16000, 8000)(torch.randn(1, 1600)).shape == (1, 800)


@contextmanager
def native_operators(cuda: int | None) -> Iterator[None]:
    """Define what torchaudio asks its native library for when it is loaded, unless this process has loaded it."""
    if hasattr(torch.ops._torchaudio, "cuda_version"):  # the library itself, with the torch that it was built for
        yield
        return
    library = torch.library.Library("_torchaudio", "FRAGMENT")
    library.define("cuda_version() -> int?")
    library.impl("cuda_version", lambda: cuda, "CompositeExplicitAutograd")
    library.define("is_align_available() -> bool")
    library.impl("is_align_available", lambda: True, "CompositeExplicitAutograd")
    operators = torch.library.Library("torchaudio", "FRAGMENT")
    for name in ("_lfilter_core_loop", "_overdrive_core_loop"):
        operators.define(f"{name}() -> ()")
    yield
    operators._destroy()
    library._destroy()


@pytest.mark.usefixtures("fresh_torchaudio")
def test_torchaudio_without_its_native_library(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: object) -> None:
        raise OSError(f"{path}: libcudart.so.13: cannot open shared object file")

    monkeypatch.setattr(torch.ops, "load_library", refuse)
    module = import_again()
    assert not module.NATIVE
    check_filters(module)
    with pytest.raises(RuntimeError, match="forced_align needs torchaudio's native library"):
        module.functional.forced_align(torch.zeros(1, 2, 3), torch.ones(1, 1))


@pytest.mark.usefixtures("fresh_torchaudio")
def test_torchaudio_with_its_native_library(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[str] = []
    monkeypatch.setattr(torch.ops, "load_library", lambda path: loaded.append(Path(path).name))
    with native_operators(cuda=None):
        module = import_again()
    assert module.NATIVE
    assert len(loaded) == 2
    check_filters(module)


@pytest.mark.usefixtures("fresh_torchaudio")
def test_torchaudio_built_for_another_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.ops, "load_library", lambda path: None)
    monkeypatch.setattr(torch.version, "cuda", "13.2")
    with native_operators(cuda=13000):
        module = import_again()
    assert not module.NATIVE
    check_filters(module)


@pytest.mark.usefixtures("fresh_torchaudio")
def test_torchaudio_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    original = builtins.__import__

    def without(name: str, *rest: object) -> ModuleType:
        if name == "torchaudio":
            raise ModuleNotFoundError("No module named 'torchaudio'", name="torchaudio")
        return original(name, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ModuleNotFoundError, match=r"torchaudio is not installed.*pip install"):
        import_again()


@pytest.mark.usefixtures("fresh_torchaudio")
@pytest.mark.parametrize("error", [OSError("disk"), RuntimeError("other"), ModuleNotFoundError("no x", name="x")])
def test_any_other_failure_of_torchaudio_is_passed_on(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    original = builtins.__import__

    def broken(name: str, *rest: object) -> ModuleType:
        if name == "torchaudio":
            raise error
        return original(name, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", broken)
    with pytest.raises(type(error)) as raised:
        import_again()
    assert raised.value is error


DENSE = ("logmel-torchlibrosa", "cqt")
"""Front-ends whose transforms are dense matrices: at high rates, these take seconds to make."""


@pytest.mark.parametrize(
    ("name", "sample_rate"),
    [
        pytest.param(name, rate, marks=[pytest.mark.slow] if name in DENSE and rate == 44_100 else [])
        for name in catalog.FRONTENDS
        if name != "none"
        for rate in (4_000, 8_000, 11_025, 16_000, 44_100, 96_000, 192_000)
        if rate <= 44_100 or name not in DENSE
    ],
)
def test_every_frontend_follows_the_sample_rate(name: str, sample_rate: int) -> None:
    entry = catalog.frontend(name)
    frontend: Frontend = catalog.load(entry.target)(sample_rate, **entry.arguments).eval()
    with torch.no_grad():
        x = frontend(sounds(sample_rate, 1))
    assert x.isfinite().all()
    assert abs(x.shape[2] - frontend.frame_rate) <= 2


def test_a_transform_is_lengthened_where_bands_are_narrow_and_power_keeps_its_scale() -> None:
    x = 0.1 * torch.randn(1, 40_000, generator=torch.Generator().manual_seed(0))
    short = LogMel(4_000, 128)
    assert len(short.power.window) == 128
    assert short.power.n_fft > 128
    wide = LogMel(4_000, 64)
    assert (len(wide.power.window), wide.power.n_fft) == (128, 128)
    # White noise has one level in all bands, however long the transform is.
    assert abs(float(short(x).mean() - wide(x).mean())) < 1
