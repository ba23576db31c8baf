"""Maps channels last: the same numbers, and nothing is left behind."""

import copy
import itertools

import pytest
import torch
from torch import nn

from models.cnn import CNN
from models.frontends.logmel import LogMel
from models.layers import memory_format
from models.layers.memory_format import channels_last, enter, input_gradient, leave


def small() -> CNN:
    torch.manual_seed(0)
    return CNN(LogMel(16000, frames_per_second=50), 64, 30, 3, channels=(8, 16), dropout=0.0)


def gradients(model: CNN, features: torch.Tensor) -> dict[str, torch.Tensor]:
    model.zero_grad()
    torch.manual_seed(1)
    model.classify(features).square().sum().backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def test_a_training_step_has_the_same_gradients_and_contiguous_weights() -> None:
    model, features = small().train(), 10 * torch.randn(4, 64, 30) - 30
    plain = gradients(model, features)
    other = copy.deepcopy(small()).train()
    enter(other)
    found = gradients(other, features)
    assert found.keys() == plain.keys()
    for name, gradient in plain.items():
        torch.testing.assert_close(found[name], gradient, atol=1e-3 * gradient.abs().max().item(), rtol=1e-2)
        assert found[name].is_contiguous()
    torch.testing.assert_close(other.stem[1].running_var, model.stem[1].running_var)


def test_leave_restores_every_bit() -> None:
    model, features = small().eval(), torch.randn(2, 64, 30)
    before = model.classify(features)
    enter(model)
    copied = copy.deepcopy(model)
    leave(model)
    assert all(type(module) is not memory_format._Convolution for module in model.modules())
    assert not any(hasattr(module, "fuses_training") for module in model.modules())
    assert torch.equal(model.classify(features), before)
    torch.testing.assert_close(copied.classify(features), before, atol=1e-4, rtol=1e-4)


def test_strides_of_one_channel_say_channels_last() -> None:
    x = torch.randn(2, 1, 5, 7)
    assert channels_last(x).stride() == (35, 1, 7, 1)
    assert torch.equal(channels_last(x), x)
    assert channels_last(x.transpose(2, 3)).stride() == (35, 1, 5, 1)


STRIDES = [(1, 1), (2, 2), (3, 3), (2, 4), (3, 1)]
CASES = [(4, *sizes) for sizes in itertools.product((1, 3, 5, 6), STRIDES, (0, 1, 2))]
BY_KERNEL = [
    (16, 5, (2, 2), 2), (16, 3, (1, 1), 1), (8, 3, (2, 2), 0), (16, 5, (2, 4), 2), (8, 3, (4, 1), 1),
    (24, 3, (1, 4), 0), (8, 6, (4, 2), 3),
]  # fmt: skip


@pytest.mark.parametrize(("channels", "kernel", "stride", "padding"), CASES + BY_KERNEL)
@pytest.mark.parametrize("columns", [16, 83])
def test_gradient_of_maps_of_one_channel(
    channels: int, kernel: int, stride: tuple[int, int], padding: int, columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    x = torch.randn(2, 1, 9, columns, requires_grad=True)
    weight = torch.randn(channels, 1, kernel, kernel)
    y = nn.functional.conv2d(x, weight, stride=stride, padding=padding)
    gradient = torch.randn_like(y)
    (expected,) = torch.autograd.grad(y, x, gradient)
    torch.testing.assert_close(
        input_gradient(gradient, weight, stride, padding, x.shape), expected, atol=1e-4, rtol=1e-4
    )


def test_depthwise_convolution_with_a_stride_in_bfloat16() -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(16, 16, 3, 2, 1, groups=16, bias=False)
    x = torch.randn(2, 16, 8, 8, requires_grad=True)
    (expected,) = torch.autograd.grad(layer(x).square().sum(), x)
    holder = nn.Sequential(layer)
    enter(holder)
    with torch.autocast("cpu", torch.bfloat16):
        y = holder(x)
    assert y.dtype == torch.bfloat16
    (found,) = torch.autograd.grad(y.float().square().sum(), x)
    torch.testing.assert_close(found, expected, atol=0.05, rtol=0.02)


@pytest.mark.parametrize("stride", [2, (2, 4), (1, 3)])
@pytest.mark.parametrize("bias", [False, True])
def test_pointwise_convolution_of_the_places_that_a_stride_does_not_skip(stride: int, bias: bool) -> None:
    torch.manual_seed(0)
    plain = nn.Conv2d(6, 8, 1, stride, groups=2, bias=bias)
    other = nn.Sequential(copy.deepcopy(plain))
    enter(other)
    x, y = (torch.randn(2, 6, 7, 9).requires_grad_() for _ in range(2))
    y.data.copy_(x)
    expected, found = plain(x), other(y)
    assert found.grad_fn._saved_stride == (1, 1)
    for maps in (expected, found):
        maps.square().sum().backward()
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(y.grad, x.grad)
    torch.testing.assert_close(other[0].weight.grad, plain.weight.grad)
    last = x.detach().contiguous(memory_format=torch.channels_last).requires_grad_()
    (gradient,) = torch.autograd.grad(other(last).square().sum(), last)
    assert torch.equal(gradient, y.grad)
    assert gradient.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("convolution", [nn.Conv2d(8, 4, 1, 2), nn.Conv2d(1, 8, 3, 2, bias=False)])
def test_gradients_of_gradients_are_torchs(convolution: nn.Conv2d, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    x = torch.randn(2, convolution.in_channels, 9, 8, requires_grad=True)

    def penalty(layer: nn.Conv2d) -> torch.Tensor:
        (gradient,) = torch.autograd.grad(layer(x).sigmoid().sum(), x, create_graph=True)
        (found,) = torch.autograd.grad((gradient.norm() - 1).square(), layer.weight)
        return found

    expected = penalty(copy.deepcopy(convolution))
    other = copy.deepcopy(convolution)
    enter(other)
    torch.testing.assert_close(penalty(other), expected, atol=1e-5, rtol=1e-4)


def test_a_depthwise_convolution_of_a_bfloat16_model_has_its_type(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = nn.Conv2d(8, 8, 3, 2, groups=8).bfloat16()
    x = torch.randn(2, 8, 9, 9).bfloat16()
    expected = layer(x)
    enter(layer)
    torch.testing.assert_close(layer(x), expected, atol=0.02, rtol=0.02)


def test_gradients_in_double_precision_are_exact() -> None:
    layer, x = nn.Conv2d(1, 8, 3, bias=False).double(), torch.randn(2, 1, 7, 7, dtype=torch.float64, requires_grad=True)
    enter(layer)
    assert torch.autograd.gradcheck(layer, x)
