"""Kernels of the front-ends against the front-ends' own arithmetic in float64, and where they must not be used."""

import copy
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from models.base import Frontend, use_kernels
from models.frontends import cqt, filterbank, tempogram
from models.frontends.chroma import Chroma
from models.frontends.cqt import CQT
from models.frontends.gfcc import GFCC
from models.frontends.logmel import LogMel, PooledLogMel
from models.frontends.mfcc import MFCC, LibrosaMFCC, MFCCDeltas
from models.frontends.tempogram import Tempogram
from models.kernels import spectrum_cpu

Build = Callable[[int], Frontend]

FRONTENDS: dict[str, Build] = {
    "logmel": LogMel,
    "whisper": lambda rate: LogMel(rate, 40, n_fft=400, f_min=0),
    "panns": lambda rate: LogMel(rate, closing_frame=True),
    "seconds": PooledLogMel,
    "mfcc": MFCC,
    "mfcc-plain": lambda rate: MFCC(rate, 13, 26, preemphasis=0, lifter=0, window_seconds=0.03),
    "mfcc-energy": lambda rate: MFCC(rate, append_energy=True),
    "mfcc-librosa": LibrosaMFCC,
    "deltas": MFCCDeltas,
    "gfcc": GFCC,
    "chroma": Chroma,
    "tempogram": Tempogram,
    "tempogram-odd": lambda rate: Tempogram(rate, lags=25, n_fft=512, hop=100),
    "cqt": CQT,
}
TORCH_ONLY = {"mfcc-energy"}


def clips(rate: int, samples: int, number: int = 2) -> Tensor:
    """A sum of decaying tones and noise, each clip of its own level."""
    generator = torch.Generator().manual_seed(samples)
    t = torch.arange(samples) / rate
    tones = sum(torch.sin(2 * math.pi * f * t) * torch.exp(-t * d) for f, d in ((220, 1), (1250, 3), (3300, 0.3)))
    noise = torch.randn(number, samples, generator=generator)
    return (0.2 * tones + 0.02 * noise) * torch.tensor([1.0, 0.03, 0.3])[:number, None]


def hastened(frontend: nn.Module) -> nn.Module:
    made = copy.deepcopy(frontend).eval()
    use_kernels(made)
    return made


def used(module: nn.Module) -> bool:
    return any(getattr(part, "kernels_used", False) for part in module.modules())


@torch.inference_mode()
def compared(name: str, rate: int, x: Tensor) -> tuple[Tensor, Tensor]:
    """The kernel's features and those of float64."""
    frontend = FRONTENDS[name](rate)
    kernel = hastened(frontend)
    found = kernel(x)
    assert used(kernel) == (name not in TORCH_ONLY)
    exact = found if name == "cqt" else copy.deepcopy(frontend).double()(x.double())
    if name == "cqt":
        exact = frontend.eval()(x).double()  # its tables are complex numbers of single precision
    assert found.dtype == torch.float32
    assert found.is_contiguous()
    return found.double(), exact


@pytest.mark.parametrize("rate", [8000, 16000, 44100])
@pytest.mark.parametrize("name", list(FRONTENDS))
def test_kernels_compute_what_the_frontends_are(name: str, rate: int) -> None:
    x = clips(rate, int(1.03 * rate) + 7)
    found, exact = compared(name, rate, x)
    assert found.shape == exact.shape
    if name == "cqt":
        found, exact = (10 ** (level / 20) for level in (found, exact))
        assert (found - exact).abs().max() < 3e-5 * exact.max()
    else:
        assert (found - exact).abs().max() < 1e-3


@pytest.mark.parametrize("samples", [1, 2, 159, 160, 161, 255, 400, 2560, 2561])
@pytest.mark.parametrize("name", ["logmel", "panns", "mfcc", "mfcc-librosa", "gfcc", "chroma", "tempogram", "cqt"])
def test_short_clips(name: str, samples: int) -> None:
    found, exact = compared(name, 16000, clips(16000, samples))
    assert found.shape == exact.shape
    assert (found - exact).abs().max() < (0.1 if name == "cqt" else 2e-3)


@pytest.mark.parametrize("name", list(FRONTENDS))
@torch.inference_mode()
def test_a_clips_features_do_not_depend_on_its_batch_or_place(name: str) -> None:
    kernel, x = hastened(FRONTENDS[name](8000)), clips(8000, 9001, 3)
    together = kernel(x)
    for one, clip in zip(together, x, strict=True):
        assert torch.equal(kernel(clip[None])[0], one)
        assert torch.equal(kernel(torch.stack([clip, clip], 1).t())[1], one)  # samples of a clip are not neighbours


@pytest.mark.parametrize("name", ["logmel", "mfcc", "gfcc", "chroma", "tempogram", "cqt"])
@torch.inference_mode()
def test_silence_and_values_that_are_no_numbers(name: str) -> None:
    frontend = FRONTENDS[name](16000).eval()
    kernel = hastened(frontend)
    silence = torch.zeros(1, 16000)
    torch.testing.assert_close(kernel(silence), frontend(silence), atol=1e-4, rtol=0)
    if name in ("tempogram", "cqt"):
        return
    for value in (math.nan, math.inf):
        x = clips(16000, 16000, 1)
        x[0, 8000] = value
        found, wanted = kernel(x), frontend(x)
        assert torch.equal(found.isfinite(), wanted.isfinite())
        fine = wanted.isfinite()
        assert fine.any()
        assert not fine.all()
        assert (found - wanted)[fine].abs().max() < 1e-3


def test_only_who_asks_gets_kernels() -> None:
    x = clips(16000, 8000)
    for build in FRONTENDS.values():
        frontend = build(16000)
        with torch.inference_mode():
            frontend(x)
        assert not used(frontend)
        kernel = hastened(frontend)
        use_kernels(kernel, False)
        with torch.inference_mode():
            assert torch.equal(kernel(x), frontend(x))
        assert not used(kernel)


def test_gradients_flow() -> None:
    kernel, x = hastened(MFCC(16000)), clips(16000, 4000).requires_grad_()
    kernel(x).sum().backward()
    assert x.grad is not None
    assert x.grad.abs().sum() > 0
    assert not used(kernel)


def test_double_precision_is_torchs() -> None:
    kernel, x = hastened(LogMel(16000)), clips(16000, 4000)
    assert kernel.double()(x.double()).dtype == torch.float64
    assert not used(kernel)


@pytest.mark.slow
def test_exports_and_compilers_see_no_kernel() -> None:
    class Whole(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.frontend = LogMel(16000)

        def forward(self, x: Tensor) -> Any:
            return self.frontend(x)

    model = Whole().eval()
    wanted = model(clips(16000, 4000))
    use_kernels(model)
    program = torch.export.export(model, (clips(16000, 4000),))
    torch.testing.assert_close(program.module()(clips(16000, 4000)), wanted, atol=1e-3, rtol=0)
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        assert model(mode.from_tensor(clips(16000, 4000))).shape == wanted.shape
    assert not used(model)


def test_without_numba_torch_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    x = clips(16000, 4000)
    for module in (filterbank, tempogram, cqt):
        monkeypatch.setattr(module, "available", lambda name: None)
    for build in FRONTENDS.values():
        frontend = build(16000)
        with torch.inference_mode():
            assert torch.equal(hastened(frontend)(x), frontend(x))


def test_many_threads_are_torchs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    kernel = hastened(LogMel(16000))
    with torch.inference_mode():
        kernel(clips(16000, 4000))
    assert not used(kernel)


@pytest.mark.parametrize("n_fft", [60, 100, 128, 240, 486, 640, 1024, 1536])
@pytest.mark.parametrize("hop", [1, 8, 13, 100])
def test_transforms_of_many_sizes(n_fft: int, hop: int) -> None:
    generator = np.random.default_rng(n_fft)
    window, wave = np.hanning(n_fft).astype(np.float32), generator.standard_normal((1, 3 * n_fft), np.float32)
    points = n_fft // 2 + 1
    filters = np.zeros((points, points), np.float32)
    np.fill_diagonal(filters, 1)
    tables = spectrum_cpu.plan(window, n_fft, hop, filters, "power", 1e-30, 1.0, None)
    assert tables is not None
    frames = 1 + 2 * n_fft // hop
    length = (frames - 1) * hop + n_fft
    found = spectrum_cpu.bands_of(wave, *tables, frames, (length, 0, 0), False, 0.0)[0]
    framed = np.lib.stride_tricks.sliding_window_view(wave[0].astype(float), n_fft)[::hop][:frames]
    wanted = np.abs(np.fft.rfft(framed * window, axis=1)).T ** 2
    np.testing.assert_allclose(found, wanted, atol=2e-6 * wanted.max())


@pytest.mark.parametrize(("n_fft", "hop"), [(1000, 3), (14, 10), (1023, 100), (28, 10), (4, 10)])
def test_sizes_that_are_left_to_torch(n_fft: int, hop: int) -> None:
    filters = np.ones((1, n_fft // 2 + 1), np.float32)
    assert spectrum_cpu.plan(np.ones(n_fft, np.float32), n_fft, hop, filters, "power", 1e-30, 1.0, None) is None


@torch.inference_mode()
def test_copies_and_conversions_have_tables_of_their_own() -> None:
    x = clips(16000, 4000)
    kernel = hastened(MFCC(16000))
    first = kernel(x)
    twin = copy.deepcopy(kernel)
    twin.power.filters *= 100  # type: ignore[operator, union-attr]
    assert not torch.equal(twin(x), first)
    assert torch.equal(kernel.double().float()(x), first)


@torch.inference_mode()
def test_cqt_of_quiet_notes_next_to_a_loud_one() -> None:
    t = torch.arange(16_000) / 8000
    tones = torch.stack([torch.sin(2 * math.pi * f * t) for f in (60, 220, 1000)])
    x = tones + 1e-4 * torch.randn(tones.shape, generator=torch.Generator().manual_seed(0))
    frontend = CQT(8000).eval()
    torch.testing.assert_close(hastened(frontend)(x), frontend(x), atol=0.5, rtol=0)  # decibels, of which 100 are left
