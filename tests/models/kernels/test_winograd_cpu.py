"""Winograd's 3×3 convolution against torch's in float64."""

import itertools

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.kernels import winograd_cpu
from models.layers import memory_format

LAST = torch.channels_last
SIZES = [(1, 16, 32, 1, 1), (2, 32, 16, 4, 8), (3, 48, 48, 7, 9), (2, 16, 16, 3, 22), (1, 64, 32, 30, 5)]


def maps(*shape: int, kind: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(shape).to(kind).contiguous(memory_format=LAST)


@pytest.mark.parametrize("block", [1, 2**19])
@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("size", SIZES)
def test_the_maps_and_both_gradients_are_torchs(
    size: tuple[int, ...], kind: torch.dtype, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A block of one value has the least number of tiles, here five, of which the last one is not full."""
    torch.manual_seed(0)
    monkeypatch.setattr(winograd_cpu, "BLOCK", block)
    monkeypatch.setattr(winograd_cpu, "LEAST", 5)
    monkeypatch.setattr(winograd_cpu, "pays", lambda *_: (True, True))
    clips, channels, outputs, height, width = size
    x = maps(clips, channels, height, width, kind=kind).requires_grad_()
    kernels = torch.randn(outputs, channels, 3, 3, requires_grad=True)
    y = winograd_cpu.Winograd.apply(x, kernels)
    exact = x.detach().double().requires_grad_(), kernels.detach().double().requires_grad_()
    expected = F.conv2d(*exact, padding=1)
    gradient = torch.randn_like(y)
    found = torch.autograd.grad(y, (x, kernels), gradient)
    wanted = torch.autograd.grad(expected, exact, gradient.double())
    assert [one.dtype for one in (y, *found)] == [kind, kind, torch.float32]
    assert y.is_contiguous(memory_format=LAST)
    assert found[0].is_contiguous(memory_format=LAST)
    assert found[1].is_contiguous()
    for one, other in zip((y, *found), (expected, *wanted), strict=True):
        error = (one.double() - other).norm() / other.norm()
        assert error < (1e-5 if kind == torch.float32 or one is found[1] else 4e-3)


@pytest.mark.parametrize("needs", [(True, True), (True, False), (False, True)])
@pytest.mark.parametrize("pays", [*itertools.product((True, False), repeat=2)])
def test_what_does_not_pay_is_left_to_torch(
    pays: tuple[bool, bool], needs: tuple[bool, bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    monkeypatch.setattr(winograd_cpu, "pays", lambda *_: pays)
    inputs = maps(2, 16, 9, 7), torch.randn(32, 16, 3, 3)
    for each, need in zip(inputs, needs, strict=True):
        each.requires_grad_(need)
    asked = [each for each in inputs if each.requires_grad]
    y = winograd_cpu.Winograd.apply(*inputs)
    expected = F.conv2d(*inputs, padding=1)
    gradient = torch.randn_like(y)
    torch.testing.assert_close(y, expected, atol=1e-4, rtol=1e-4)
    for one, other in zip(
        torch.autograd.grad(y, asked, gradient), torch.autograd.grad(expected, asked, gradient), strict=True
    ):
        torch.testing.assert_close(one, other, atol=1e-3, rtol=1e-4)


def test_it_pays_for_many_tiles_of_some_channels(monkeypatch: pytest.MonkeyPatch) -> None:
    amx = False
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    pays, half = winograd_cpu.pays, torch.bfloat16
    assert pays(maps(4, 64, 64, 64), 64) == (True, True)  # 1,024 tiles
    assert pays(maps(4, 64, 64, 64, kind=half), 64) == (True, True)
    assert pays(maps(4, 64, 16, 16, kind=half), 64) == (False, True)  # 64 tiles
    assert pays(maps(1, 512, 8, 8), 512) == (False, False)  # four tiles: the kernels' transform costs more
    assert pays(maps(4, 64, 64, 64).contiguous(), 64) == (False, False)
    assert pays(maps(4, 60, 64, 64), 64) == pays(maps(4, 64, 64, 64), 60) == (False, False)
    assert pays(maps(4, 16, 64, 64), 16) == pays(maps(4, 64, 64, 64).double(), 64) == (False, False)
    assert pays(maps(0, 64, 64, 64), 64) == (False, False)
    amx = True
    assert pays(maps(4, 64, 64, 64), 64) == (True, True)
    assert pays(maps(4, 64, 64, 64, kind=half), 64) == (False, False)


def name(y: Tensor) -> str:
    assert y.grad_fn is not None
    return y.grad_fn.name()


def test_a_training_with_maps_channels_last_takes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    threads = 1
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    model = nn.Sequential(nn.Conv2d(64, 64, 3, padding=1, bias=False))
    x = torch.randn(4, 64, 64, 64)
    assert name(model(x)) == "ConvolutionBackward0"
    memory_format.enter(model)
    assert name(model(x)) == "WinogradBackward"
    with torch.autocast("cpu", torch.bfloat16):
        y = model(x)
    assert (name(y), y.dtype) == ("WinogradBackward", torch.bfloat16)
    y.float().square().sum().backward()
    assert model[0].weight.grad is not None
    assert model[0].weight.grad.dtype == torch.float32
    with torch.no_grad():
        assert torch.equal(model(x), F.conv2d(x.contiguous(memory_format=LAST), model[0].weight, padding=1))
    threads = 2
    assert name(model(x)) == "ConvolutionBackward0"


@pytest.mark.parametrize(
    "changed", [{"stride": 2}, {"dilation": 2, "padding": 2}, {"padding": 0}, {"groups": 2}, {"bias": True},
                {"kernel_size": 5, "padding": 2}, {"padding_mode": "reflect"}],
)  # fmt: skip
def test_another_convolution_stays_torchs(changed: dict[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    about = {"kernel_size": 3, "padding": 1, "bias": False} | changed
    model = nn.Sequential(nn.Conv2d(64, 64, **about))  # type: ignore[arg-type]
    memory_format.enter(model)
    assert name(model(maps(4, 64, 64, 64))) == "ConvolutionBackward0"
