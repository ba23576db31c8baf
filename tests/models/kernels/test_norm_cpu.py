"""Batch norm with activation, and maximum pooling, of a training step, against torch."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import prune

from models.kernels import norm_cpu, norm_pool_cpu
from models.layers import norm

LAST = torch.channels_last
ACTIVATIONS = {
    (0.0, math.inf): F.relu,
    (0.0, 6.0): F.relu6,
    (0.01, math.inf): F.leaky_relu,
    (1.0, math.inf): lambda x: x,
}


def maps(*shape: int, kind: torch.dtype = torch.float32, offset: float = 5.0) -> Tensor:
    return (3 * torch.randn(shape) + offset).to(kind).contiguous(memory_format=LAST).requires_grad_()


def layer(channels: int) -> nn.BatchNorm2d:
    made = nn.BatchNorm2d(channels)
    nn.init.uniform_(made.weight, 0.5, 2)
    nn.init.normal_(made.bias)
    return made


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("channels", [8, 24, 64, 128])
@pytest.mark.parametrize("limits", list(ACTIVATIONS))
def test_norm_and_activation_are_torchs(kind: torch.dtype, channels: int, limits: tuple[float, float]) -> None:
    torch.manual_seed(0)
    x, ours = maps(4, channels, 6, 9 if channels != 24 else 8, kind=kind), layer(channels)
    exact = layer(channels).double()
    exact.load_state_dict(ours.state_dict())
    means, variances = ours.running_mean.clone(), ours.running_var.clone()
    y = norm_cpu.NormActivation.apply(x, ours.weight, ours.bias, means, variances, 0.1, ours.eps, *limits)
    same = x.detach().double().requires_grad_()
    expected = ACTIVATIONS[limits](exact(same))
    gradient = torch.randn_like(y)
    found = torch.autograd.grad(y, (x, ours.weight, ours.bias), gradient)
    wanted = torch.autograd.grad(expected, (same, exact.weight, exact.bias), gradient.double())
    loose = {"atol": 0.06, "rtol": 0.02} if kind == torch.bfloat16 else {"atol": 2e-4, "rtol": 1e-4}
    torch.testing.assert_close(y.double(), expected, **loose)
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one.double(), other, **loose)
    torch.testing.assert_close(means.double(), exact.running_mean, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(variances.double(), exact.running_var, atol=1e-5, rtol=1e-5)


def test_variance_of_values_far_from_zero() -> None:
    torch.manual_seed(0)
    x, ours = maps(8, 64, 8, 8, offset=3000.0), layer(64)
    means, variances = torch.zeros(64), torch.zeros(64)
    norm_cpu.NormActivation.apply(x, ours.weight, ours.bias, means, variances, 1.0, ours.eps, 1.0, math.inf)
    torch.testing.assert_close(variances, x.detach().double().var((0, 2, 3)).float(), atol=0, rtol=1e-4)


@pytest.mark.parametrize("places", [(8, 8), (256, 256)])
def test_variance_of_values_whose_first_one_lies_far_away(places: tuple[int, int]) -> None:
    x, ours = torch.zeros(4, 64, *places).contiguous(memory_format=LAST), layer(64)
    x[0, :, 0, 0] = 1000.3
    means, variances = torch.zeros(64), torch.zeros(64)
    norm_cpu.NormActivation.apply(x, ours.weight, ours.bias, means, variances, 1.0, ours.eps, 1.0, math.inf)
    torch.testing.assert_close(means, x.double().mean((0, 2, 3)).float(), atol=0, rtol=1e-5)
    torch.testing.assert_close(variances, x.double().var((0, 2, 3)).float(), atol=0, rtol=1e-5)


def test_nan_stays_nan_in_bfloat16() -> None:
    x, ours = maps(2, 64, 4, 4, kind=torch.bfloat16), layer(64)
    with torch.no_grad():
        x[0, 3, 0, 0] = math.nan
    y = norm_cpu.NormActivation.apply(
        x, ours.weight, ours.bias, torch.zeros(64), torch.zeros(64), 0.1, ours.eps, 0.0, math.inf
    )
    assert y[:, 3].isnan().all()
    assert not y[:, :3].isnan().any()


def test_maps_that_do_not_fit() -> None:
    assert norm_cpu.fits(maps(4, 64, 5, 7))
    assert not norm_cpu.fits(maps(4, 3, 5, 7))  # rows of three channels make no whole vectors
    assert not norm_cpu.fits(maps(1, 64, 1, 1))  # a single value has no variance
    assert not norm_cpu.fits(maps(4, 64, 5, 7).detach().half())
    assert not norm_cpu.fits(maps(4, 64, 5, 7).detach().contiguous())


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    "shape", [(2, 16, 6, 8), (3, 24, 8, 5), (2, 48, 7, 6), (1, 64, 2, 3), (2, 8, 1, 140), (4, 96, 4, 1)]
)
@pytest.mark.parametrize("limits", [(0.0, math.inf), (0.0, 1.0), (0.01, math.inf), (1.0, math.inf)])
def test_norm_activation_and_pooling_are_torchs(
    kind: torch.dtype, shape: tuple[int, ...], limits: tuple[float, float]
) -> None:
    torch.manual_seed(0)
    x, ours = maps(*shape, kind=kind), layer(shape[1])
    with torch.no_grad():
        x[..., : shape[3] // 2] = x[..., :1]  # neighbours are equal
        ours.weight[::2] *= -1
    assert norm_pool_cpu.fits(x)
    exact = layer(shape[1]).double()
    exact.load_state_dict(ours.state_dict())
    means, variances = ours.running_mean.clone(), ours.running_var.clone()
    y = norm_pool_cpu.NormActivationPool.apply(
        x, ours.weight, ours.bias, means, variances, 0.1, ours.eps, *limits
    )  # fmt: skip
    same = x.detach().double().requires_grad_()
    slope, cap = limits
    activated = exact(same)
    activated = torch.where(activated > 0, activated, slope * activated).clamp(max=cap)
    expected = F.max_pool2d(activated, 2, ceil_mode=True)
    gradient = torch.randn_like(y)
    found = torch.autograd.grad(y, (x, ours.weight, ours.bias), gradient)
    wanted = torch.autograd.grad(expected, (same, exact.weight, exact.bias), gradient.double())
    loose = {"atol": 0.06, "rtol": 0.02} if kind == torch.bfloat16 else {"atol": 2e-4, "rtol": 1e-4}
    torch.testing.assert_close(y.double(), expected, **loose)
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one.double(), other, **loose)
    torch.testing.assert_close(means.double(), exact.running_mean, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(variances.double(), exact.running_var, atol=1e-5, rtol=1e-5)


def test_pooling_passes_nan_on() -> None:
    x, ours = maps(2, 16, 4, 4), layer(16)
    with torch.no_grad():
        x[0, 3, 1, 1] = math.nan
    y = norm_pool_cpu.NormActivationPool.apply(
        x, ours.weight, ours.bias, torch.zeros(16), torch.zeros(16), 0.1, ours.eps, 0.0, math.inf
    )
    assert y[:, 3].isnan().all()
    assert y.isnan().sum() == y[:, 3].numel()


@pytest.mark.parametrize("activation", [nn.ReLU(), nn.LeakyReLU(-0.5), None, nn.Tanh()])
def test_pooling_after_a_marked_norm_is_that_of_the_unmarked(
    activation: nn.Module | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    model = norm.FusedSequential(layer(16), *([activation] if activation else []))
    x = maps(2, 16, 5, 6)
    plain = norm.pooled(nn.Sequential.forward(model, x))
    norm.fuse(model, True)
    torch.testing.assert_close(model(x, pools=True), plain)
    model.eval()
    torch.testing.assert_close(model(x, pools=True), norm.pooled(model(x)))
    assert torch.equal(norm.pooled(x), F.max_pool2d(x, 2, ceil_mode=True))


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", [(2, 16, 6, 8), (3, 24, 7, 5), (2, 8, 2, 3), (1, 64, 2, 141)])
def test_maxima_are_torchs_bit_for_bit(
    kind: torch.dtype, shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    x = torch.randn(shape).relu().to(kind).contiguous(memory_format=LAST).requires_grad_()  # zeros are equal
    model = norm.FusedSequential(nn.MaxPool2d(2))
    expected = model(x)
    norm.fuse(model, True)
    y = model(x)
    assert "MaxPoolBackward" in str(y.grad_fn)
    gradient = torch.randn_like(expected)
    assert torch.equal(y, expected)
    (found,), (wanted,) = torch.autograd.grad(y, x, gradient), torch.autograd.grad(expected, x, gradient)
    assert torch.equal(found, wanted)


@pytest.mark.parametrize(
    "pool", [nn.MaxPool2d(3), nn.MaxPool2d(2, 1), nn.MaxPool2d(2, ceil_mode=True), nn.MaxPool2d((2, 1))]
)
def test_other_maxima_stay_torchs(pool: nn.MaxPool2d, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    x = maps(2, 16, 7, 9)
    model = norm.FusedSequential(pool)
    norm.fuse(model, True)
    assert torch.equal(model(x), F.max_pool2d(x, pool.kernel_size, pool.stride, ceil_mode=pool.ceil_mode))


def test_a_marked_norm_is_fused_in_training_only(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    model = norm.FusedSequential(nn.BatchNorm2d(64), nn.ReLU())
    x = maps(2, 64, 4, 4)
    plain = model(x)
    apply = norm_cpu.NormActivation.apply
    monkeypatch.setattr(norm_cpu.NormActivation, "apply", lambda *given: calls.append(given) or apply(*given))
    model(x)
    assert not calls
    norm.fuse(model, True)
    torch.testing.assert_close(model(x), plain)
    assert len(calls) == 1
    model.eval()
    model(x)
    norm.fuse(model, False)
    model.train()
    model(x)
    assert len(calls) == 1
    assert model[0].num_batches_tracked == 4


def test_a_marked_layer_that_does_more_than_its_class_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    class Ghost(nn.BatchNorm2d):
        def forward(self, x: Tensor) -> Tensor:
            return 2 * super().forward(x)

    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    x = maps(2, 16, 8, 8)
    ghost = Ghost(16)
    norm.fuse(ghost, True)
    torch.testing.assert_close(norm.normalised(ghost, x, F.relu), 2 * F.relu(nn.BatchNorm2d(16)(x)))
    model = norm.FusedSequential(nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2), nn.BatchNorm2d(16), nn.ReLU())
    norm.fuse(model, True)
    calls: list[int] = []
    for place, module in enumerate(model):
        module.register_forward_hook(lambda *_, place=place: calls.append(place))
    model(x)
    assert calls == [0, 1, 2, 3, 4]


def test_a_marked_norm_is_pruned_as_torchs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    module, x = layer(16), maps(2, 16, 8, 8)
    prune.l1_unstructured(module, "weight", 0.5)
    norm.fuse(module, True)
    for _ in range(2):  # its weight is computed again before each step
        norm.normalised(module, x, F.relu).sum().backward()
    assert module.weight_orig.grad.count_nonzero() <= 8


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("channels", "rows", "columns"), [(8, 1, 3), (40, 8, 5), (64, 7, 31)])
def test_mean_and_maximum_over_rows_are_torchs(
    kind: torch.dtype, channels: int, rows: int, columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    x = maps(2, channels, rows, columns, kind=kind, offset=0.0)
    x.data.relu_()  # equal maxima share their gradient
    same = x.detach().double().requires_grad_()
    module = norm.MeanMax()
    expected = module(same)
    assert torch.equal(module(x), x.mean(2) + x.amax(2))
    norm.fuse(module, True)
    y = module(x)
    assert y.grad_fn.name() == "MeanMaxBackward"
    gradient = torch.randn_like(y)
    (found,), (wanted,) = torch.autograd.grad(y, x, gradient), torch.autograd.grad(expected, same, gradient.double())
    loose = {"atol": 0.04, "rtol": 0.01} if kind == torch.bfloat16 else {"atol": 1e-5, "rtol": 1e-5}
    torch.testing.assert_close(y.double(), expected, **loose)
    torch.testing.assert_close(found.double(), wanted, **loose)
    for lesson in (Tensor.sum, lambda y: torch.cat((y, 2 * y), 2).transpose(1, 2).square().sum()):
        (found,), (wanted,) = torch.autograd.grad(lesson(module(x)), x), torch.autograd.grad(lesson(module(same)), same)
        scale = 1 if kind == torch.float32 else 40
        torch.testing.assert_close(found.double(), wanted, atol=scale * 1e-3, rtol=scale * 1e-3)
    assert torch.equal(module(x).relu_(), module(x).relu())
    assert module.eval()(x).grad_fn.name() == "AddBackward0"
    assert norm.MeanMax()(x.detach()).grad_fn is None


@pytest.mark.parametrize("channels", [32, 128])
@pytest.mark.parametrize("pools", [False, True])
def test_another_number_of_channels_is_torchs_error(
    channels: int, pools: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    module = layer(64)
    norm.fuse(module, True)
    with pytest.raises(RuntimeError, match="should contain"):
        norm.normalised(module, maps(2, channels, 8, 8), F.relu, pools)
