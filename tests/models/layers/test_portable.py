"""Portable forms compute what the modules compute, at any length."""

from fractions import Fraction

import pytest
import torch
from torch import nn

from bench import catalog
from models.cfc import CfCLayer
from models.frontends.filterbank import FilterbankPower
from models.layers.portable import AtMost, PortableBands, PowerSpectrum, least_samples, portable, rounded
from models.ltc import LTCLayer
from models.wirings import AutoNCP

FRONTENDS = ("mfcc", "logmel-20ms", "logmel-128", "logmel-1s", "logmel-panns", "mfcc-librosa", "gfcc", "mfcc-deltas")


@pytest.fixture(autouse=True)
def _fresh_compiler() -> None:
    """Forget what other tests have compiled: torch's scan compiles itself, and fails after other compilations."""
    torch._dynamo.reset()


@pytest.mark.parametrize("rate", [8000, 16_000, 44_100])
@pytest.mark.parametrize("name", FRONTENDS)
def test_front_ends_as_convolutions(name: str, rate: int) -> None:
    entry = catalog.frontend(name)
    frontend = catalog.load(entry.target)(rate, **entry.arguments).eval()
    form = portable(frontend)
    assert not any(isinstance(part, FilterbankPower) for part in form.modules())
    least = least_samples(form)
    generator = torch.Generator().manual_seed(0)
    for samples in (least, least + 1, rate // 2, rate + 80, rate + 81, 2 * rate + 37):
        clips = 0.1 * torch.randn(2, samples, generator=generator)
        with torch.inference_mode():
            expected, found = frontend(clips), form(clips)
        assert found.shape == expected.shape
        torch.testing.assert_close(found, expected, atol=5e-3, rtol=1e-4)  # a quiet band's logarithm


@pytest.mark.parametrize(("n_fft", "window", "hop"), [(400, 400, 160), (512, 400, 160), (512, 512, 125), (30, 30, 7)])
def test_transforms_of_any_number_of_points(n_fft: int, window: int, hop: int) -> None:
    torch.manual_seed(0)
    weights, frames = torch.rand(window), 11
    spectrum = PowerSpectrum(weights, n_fft, hop)
    samples = torch.randn(2, (frames - 1) * hop + spectrum.taps * spectrum.signals)
    framed = samples.unfold(1, window, hop)[:, :frames].double() * weights
    expected = torch.fft.rfft(framed, n_fft).abs().square()  # (B, T, N / 2 + 1)
    found = spectrum(samples, frames)
    points = spectrum.points
    assert sorted(points[points >= 0].tolist()) == list(range(n_fft // 2 + 1))
    greatest = float(expected.max())
    difference = found[:, points >= 0].mT.double() - expected[..., points[points >= 0]]
    assert float(difference.abs().max()) < 2e-6 * greatest


def test_filters_without_most_of_their_zeros() -> None:
    bands = portable(catalog.load(catalog.frontend("mfcc").target)(16_000).eval()).power
    assert isinstance(bands, PortableBands)
    (first, middle, *_), (again, last, *_) = bands.parts
    assert (first, middle, last) == (0, again, 32)
    values = sum(bands.get_buffer(f"filters{part}").numel() for part in range(2))
    assert values < 32 * 257 * 2 / 3
    power = torch.rand(1, len(bands.spectrum.points), 3, generator=torch.Generator().manual_seed(0))
    filters = catalog.load(catalog.frontend("mfcc").target)(16_000).power.filters
    expected = torch.nn.functional.conv1d(power, bands.spectrum.filters(filters))
    torch.testing.assert_close(bands._banded(power), expected)


@pytest.mark.parametrize("filters", [torch.ones(3, 257), torch.zeros(2, 257), torch.ones(1, 257)])
def test_filters_without_zeros_are_one_product(filters: torch.Tensor) -> None:
    bands = PortableBands(torch.ones(512), filters, 512, 160, 0, False, 256, lambda n: n // 160 + 1, False)
    assert len(bands.parts) == 1 or not filters.any()
    clip = torch.randn(1, 4000, generator=torch.Generator().manual_seed(0))
    padded = torch.nn.functional.pad(clip, (256, 512)).unfold(1, 512, 160)[:, :26]
    expected = torch.fft.rfft(padded).abs().square() @ filters.T
    torch.testing.assert_close(bands(clip), expected.mT, atol=0, rtol=1e-4)


def test_no_padding_is_negative() -> None:
    """ExecuTorch refuses it."""
    form = portable(catalog.load(catalog.frontend("mfcc").target)(8000).eval())
    graph = torch.export.export(form, (torch.randn(1, 8000),)).graph
    pads = [node.args[1] for node in graph.nodes if node.target is torch.ops.aten.pad.default]
    assert len(pads) == 2
    assert all(width >= 0 for pad in pads for width in pad)


@pytest.mark.slow
@pytest.mark.parametrize(
    "layer",
    [
        nn.LSTM(5, 7, 2, batch_first=True, bidirectional=True),
        nn.GRU(5, 7, 2),
        nn.RNN(5, 7, nonlinearity="relu", bias=False, batch_first=True),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_recurrent_layers_as_loops(layer: nn.Module) -> None:
    x = torch.randn(3, 6, 5, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(portable(layer)(x)[0], layer(x)[0])


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["default", "pure", "no_gate"])
@pytest.mark.parametrize("wired", [False, True])
def test_closed_form_layers_as_loops(mode: str, wired: bool) -> None:
    torch.manual_seed(0)
    layer = CfCLayer(5, AutoNCP(12, 4, 0.5) if wired else 8, mode=mode).eval()
    x, spans = torch.randn(3, 6, 5), torch.rand(3, 6) + 0.5
    with torch.no_grad():
        for timespans in (None, spans):
            torch.testing.assert_close(portable(layer)(x, None, timespans)[0], layer(x, None, timespans)[0])


@pytest.mark.slow
def test_liquid_layers_as_loops() -> None:
    torch.manual_seed(0)
    layer = LTCLayer(5, AutoNCP(12, 4, 0.5)).eval()
    x = torch.randn(3, 6, 5)
    with torch.no_grad():
        torch.testing.assert_close(portable(layer)(x)[0], layer(x)[0], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("frames", [1, 4, 5, 6, 10, 13])
def test_averages_as_a_product(frames: int) -> None:
    x = torch.randn(2, 3, frames, generator=torch.Generator().manual_seed(0))
    shorten = AtMost(5)
    torch.testing.assert_close(portable(shorten)(x), shorten(x))


@pytest.mark.parametrize("denominator", [1, 3, 160, 441])
def test_rounding_of_integers(denominator: int) -> None:
    for numerator in range(5 * denominator + 3):
        assert rounded(numerator, denominator) == round(Fraction(numerator, denominator))


def test_the_module_is_not_changed() -> None:
    layer = nn.Sequential(AtMost(5), nn.LSTM(5, 7))
    portable(layer)
    assert isinstance(layer[0], AtMost)
    assert isinstance(layer[1], nn.LSTM)
