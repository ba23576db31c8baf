"""Winograd's 3×3 convolution against torch's in float64."""

import itertools
from collections.abc import Callable

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


def kernels(outputs: int, channels: int) -> Tensor:
    return torch.randn(outputs, channels, 3, 3)


def test_it_pays_for_many_tiles_of_some_channels(monkeypatch: pytest.MonkeyPatch) -> None:
    amx = False
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    pays, half, square = winograd_cpu.pays, torch.bfloat16, kernels(64, 64)
    assert pays(maps(4, 64, 64, 64), square) == (True, True)  # 1,024 tiles
    assert pays(maps(4, 64, 64, 64, kind=half), square) == (True, True)
    assert pays(maps(4, 64, 32, 32, kind=half), square) == (False, False)  # 256 tiles
    assert pays(maps(4, 128, 32, 32, kind=half), kernels(128, 128)) == (False, True)
    assert pays(maps(1, 512, 8, 8), kernels(512, 512)) == (False, False)  # four tiles
    assert pays(maps(64, 64, 5, 5), square) == (False, False)  # most of the tiles are nearly empty
    assert pays(maps(64, 64, 7, 7), square) == (True, True)
    assert pays(maps(64, 64, 7, 7, kind=half), square) == (False, False)
    assert pays(maps(4, 64, 64, 64).contiguous(), square) == (False, False)
    assert pays(maps(4, 60, 64, 64), kernels(64, 60)) == pays(maps(4, 64, 64, 64), kernels(60, 64)) == (False, False)
    assert pays(maps(4, 16, 64, 64), kernels(16, 16)) == pays(maps(4, 64, 64, 64).double(), square) == (False, False)
    assert pays(maps(0, 64, 64, 64), square) == pays(maps(4, 128, 64, 64), square) == (False, False)
    amx = True
    assert pays(maps(4, 64, 64, 64), square) == (True, True)
    assert pays(maps(4, 64, 64, 64, kind=half), square) == (False, False)


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


@pytest.fixture
def layer(monkeypatch: pytest.MonkeyPatch) -> nn.Sequential:
    torch.manual_seed(0)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    model = nn.Sequential(nn.Conv2d(64, 64, 3, padding=1, bias=False))
    memory_format.enter(model)
    return model


@pytest.mark.parametrize("channels", [32, 128])
def test_another_number_of_channels_is_torchs_error(layer: nn.Sequential, channels: int) -> None:
    with pytest.raises(RuntimeError, match=f"have 64 channels, but got {channels}"):
        layer(maps(4, channels, 64, 64))


def test_types_that_torch_does_not_take_together_are_its_error(layer: nn.Sequential) -> None:
    with pytest.raises(RuntimeError, match="type"):
        layer(maps(4, 64, 64, 64, kind=torch.bfloat16))
    with torch.autocast("cpu", torch.bfloat16):
        assert name(layer(maps(4, 64, 64, 64, kind=torch.bfloat16))) == "WinogradBackward"
        assert name(layer.double()(maps(4, 64, 64, 64).double())) == "ConvolutionBackward0"


@pytest.mark.parametrize("half", [False, True])
def test_gradients_within_autocast(layer: nn.Sequential, half: bool) -> None:
    """As a step with its own optimisation takes them."""
    x = maps(4, 64, 64, 64).requires_grad_()
    with torch.autocast("cpu", torch.bfloat16, enabled=half):
        y = layer(x)
    wanted = torch.autograd.grad(y.float().square().sum(), (x, layer[0].weight), retain_graph=True)
    with torch.autocast("cpu", torch.bfloat16):
        found = torch.autograd.grad(y.float().square().sum(), (x, layer[0].weight))
    for one, other in zip(found, wanted, strict=True):
        assert torch.equal(one, other)


def test_gradients_of_gradients_are_torchs(layer: nn.Sequential) -> None:
    """As a penalty of gradients and `torch.func` take them."""
    x = maps(4, 64, 16, 64)
    weight = layer[0].weight

    def penalty(layer: Callable[[Tensor], Tensor]) -> Tensor:
        inputs = x.clone(memory_format=torch.preserve_format).requires_grad_()
        (gradient,) = torch.autograd.grad(layer(inputs).square().sum(), inputs, create_graph=True)
        (found,) = torch.autograd.grad(gradient.square().mean(), weight)
        return found

    assert name(layer(x)) == "WinogradBackward"
    wanted = penalty(lambda inputs: F.conv2d(inputs, weight, padding=1))
    torch.testing.assert_close(penalty(layer), wanted, atol=1e-4 * wanted.abs().max().item(), rtol=1e-3)
    found = torch.func.grad(lambda w: winograd_cpu.Winograd.apply(x, w).square().sum())(weight.detach())
    wanted = torch.func.grad(lambda w: F.conv2d(x, w, padding=1).square().sum())(weight.detach())
    torch.testing.assert_close(found, wanted, atol=1e-4 * wanted.abs().max().item(), rtol=1e-3)


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
