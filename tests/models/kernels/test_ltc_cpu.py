"""The compiled liquid layer against ncps and against the definition in PyTorch."""

import sys
import warnings
from typing import Any

import ncps.torch
import ncps.wirings
import numba
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from models import ltc, wirings
from models.kernels import ltc_cpu, simd
from models.ltc import LTCLayer


def configurations(count: int) -> list[tuple[str, tuple[int, ...], int, int, int, int]]:
    """Return wiring, its arguments, inputs, batch, frames and sub-steps, drawn at random."""
    draw = np.random.default_rng(0)
    found: list[tuple[str, tuple[int, ...], int, int, int, int]] = []
    for i in range(count):
        units = int(draw.integers(8, 41))
        arguments = {
            "FullyConnected": (units, int(draw.integers(1, units + 1))),
            "AutoNCP": (units, int(draw.integers(1, units - 3))),
            "NCP": (units // 2, units // 3, int(draw.integers(1, 6)), 3, 2, units // 4, 2),
        }
        name = sorted(arguments)[i % 3]
        inputs, batch, frames, unfolds = (int(draw.integers(*span)) for span in ((1, 25), (1, 71), (1, 13), (1, 9)))
        found.append((name, arguments[name], inputs, batch, frames, unfolds))
    return found


def results(
    layer: torch.nn.Module, x: Tensor, h: Tensor, spans: Tensor | None
) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """Return outputs, last state and every gradient, of the inputs too."""
    layer.zero_grad()
    x, h = x.clone().requires_grad_(), h.clone().requires_grad_()
    y, last = layer(x, h, spans)
    weight = torch.linspace(-1, 2, y.numel(), dtype=y.dtype).view_as(y)
    ((y * weight).sum() + last.square().sum()).backward()
    gradients = {name: p.grad.clone() for name, p in layer.named_parameters() if p.requires_grad and p.grad is not None}
    return y.detach(), last.detach(), gradients | {"x": x.grad, "h": h.grad}


def same(ours: object, theirs: object, tolerance: float, of_gradients: float) -> None:
    y, last, gradients = ours  # type: ignore[misc]
    y_theirs, last_theirs, gradients_theirs = theirs  # type: ignore[misc]
    torch.testing.assert_close(y, y_theirs, rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(last, last_theirs, rtol=tolerance, atol=tolerance)
    for name, gradient in gradients.items():
        wanted = gradients_theirs[name].to(gradient)
        assert (gradient - wanted).norm() <= of_gradients * wanted.norm() + 1e-7, name


@pytest.mark.slow
@pytest.mark.parametrize(("name", "arguments", "inputs", "batch", "frames", "unfolds"), configurations(20))
def test_random_configurations_equal_ncps(
    name: str, arguments: tuple[int, ...], inputs: int, batch: int, frames: int, unfolds: int
) -> None:
    torch.manual_seed(0)
    theirs = ncps.torch.LTC(inputs, getattr(ncps.wirings, name)(*arguments), ode_unfolds=unfolds)
    ours = LTCLayer(inputs, getattr(wirings, name)(*arguments), ode_unfolds=unfolds)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    x, h = torch.randn(batch, frames, inputs), 0.3 * torch.randn(batch, ours.state_size)
    for dtype, tolerance, of_gradients in ((torch.float32, 1e-5, 1e-4), (torch.float64, 1e-10, 1e-10)):
        theirs, ours, x, h = theirs.to(dtype), ours.to(dtype), x.to(dtype), h.to(dtype)
        assert (ltc._kernels(x, 4) is ltc_cpu) == (dtype == torch.float32)
        same(results(ours, x, h, None), results(theirs, x, h, None), tolerance, of_gradients)


@pytest.mark.parametrize("spans", [(5, 7), (7,), (5, 1)])
@pytest.mark.parametrize("mixed_memory", [False, True])
def test_the_kernels_and_the_definition_agree_at_irregular_times(
    monkeypatch: pytest.MonkeyPatch, spans: tuple[int, ...], mixed_memory: bool
) -> None:
    torch.manual_seed(0)
    layer = LTCLayer(4, wirings.AutoNCP(16, 5), mixed_memory=mixed_memory)
    x, spans_ = torch.randn(5, 7, 4), 0.1 + torch.rand(spans)
    state = (torch.randn(5, 16), torch.randn(5, 16)) if mixed_memory else None
    found = []
    for fast in (ltc_cpu, None):
        monkeypatch.setattr(ltc, "_kernels", lambda *_, fast=fast: fast)
        layer.zero_grad()
        given = spans_.clone().requires_grad_()
        y, _ = layer(x, state, given)
        y.square().sum().backward()
        found.append((y.detach(), given.grad, [p.grad.clone() for p in layer.parameters() if p.grad is not None]))
    (y, d_spans, gradients), (y_defined, d_spans_defined, gradients_defined) = found
    torch.testing.assert_close(y, y_defined, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(d_spans, d_spans_defined, rtol=1e-4, atol=1e-5)
    for a, b in zip(gradients, gradients_defined, strict=True):
        assert (a - b).norm() <= 1e-4 * b.norm() + 1e-6


def _shares(y: NDArray[np.float32], into: NDArray[np.float32], wild: bool) -> None:
    for i in range(0, y.shape[1], 32):
        each = simd.load(y, 0, i, 32)
        simd.store(into, 0, i, simd.inverse(simd.divisor(simd.bounded(each) if wild else each)))


shares: Any = numba.njit(_shares)


@pytest.mark.slow
@pytest.mark.parametrize("estimates", [simd._ESTIMATES, False])
def test_the_sigmoid_is_that_of_float64_within_1e_6(estimates: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simd, "_ESTIMATES", estimates)
    y = np.linspace(-64, 64, 2**17, dtype=np.float32)[None]
    found = np.empty_like(y)
    compiled: Any = numba.njit(_shares)
    compiled(y, found, False)
    np.testing.assert_allclose(found, 1 / (1 + np.exp2(y.astype(np.float64))), rtol=6e-6)
    assert np.abs(found - 1 / (1 + np.exp2(y.astype(np.float64)))).max() < 1e-6


def test_beyond_its_bounds_the_sigmoid_is_0_or_1_and_what_is_not_a_number_stays_so() -> None:
    y = np.full((1, 32), np.nan, np.float32)
    y[0, :6] = -1e30, -np.inf, -65, 65, np.inf, 1e30
    found = np.empty_like(y)
    shares(y, found, True)
    np.testing.assert_allclose(found[0, :6], [1, 1, 1, 0, 0, 0], atol=1e-19)
    assert np.isnan(found[0, 6:]).all()


def test_totals_and_halves_of_vectors() -> None:
    @numba.njit
    def sums(x: NDArray[np.float32], into: NDArray[np.float32]) -> None:
        a, b, c, d = (simd.load(x, 0, 0, 32), simd.load(x, 1, 0, 32), simd.load(x, 2, 0, 32), simd.load(x, 3, 0, 32))
        simd.store(into, 0, 0, simd.totals(a, b, c, d))
        simd.store(into, 1, 0, simd.second(simd.first(simd.join(a, b))))

    x = np.arange(128, dtype=np.float32).reshape(4, 32)
    into = np.zeros((2, 16), np.float32)
    sums(x, into)
    assert into[0].reshape(4, 4).sum(0).tolist() == x.sum(1).tolist()
    assert into[1].tolist() == list(range(16, 32))


@pytest.mark.parametrize("units", [wirings.FullyConnected(64), wirings.AutoNCP(64, 10)])
def test_what_a_caller_does_to_inputs_and_outputs_afterwards_does_not_change_gradients(units: wirings.Wiring) -> None:
    gradients = []
    layer = LTCLayer(64, units, batch_first=False, input_mapping=None, output_mapping=None)
    x, h = torch.randn(5, 32, 64), torch.randn(32, 64)
    for careless in (False, True):
        layer.zero_grad()
        inputs, first = x.clone(), h.clone()
        y, last = layer(inputs, first)
        loss = 3 * y.sum() + last.sum()
        if careless:
            for tensor in (inputs, first, y.detach(), last.detach()):
                tensor.fill_(7)
        loss.backward()
        gradients.append([p.grad.clone() for p in layer.parameters() if p.grad is not None])
    for a, b in zip(*gradients, strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("batch", [1, 3, 40, 70])
@pytest.mark.parametrize("wiring", [wirings.FullyConnected(70), wirings.AutoNCP(16, 5)])
@pytest.mark.parametrize("dense", [False, True])
def test_both_layouts_agree_with_the_definition(
    monkeypatch: pytest.MonkeyPatch, wiring: wirings.Wiring, batch: int, dense: bool
) -> None:
    torch.manual_seed(0)
    layer = LTCLayer(5, wiring)
    x, h = torch.randn(batch, 4, 5), 0.3 * torch.randn(batch, layer.state_size)
    best = ltc_cpu.Layout.best
    monkeypatch.setattr(ltc_cpu.Layout, "best", lambda *a: best(*a) if best(*a).dense == dense else other(*a))

    def other(batch: int, heard: wirings.Wires, felt: wirings.Wires) -> ltc_cpu.Layout:
        return ltc_cpu.Layout.of(dense, batch, felt.units)

    found = results(layer, x, h, None)
    monkeypatch.setattr(ltc, "_kernels", lambda *_: None)
    same(found, results(layer, x, h, None), 1e-5, 1e-4)


def test_large_inputs_and_negative_weights_are_kept_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    layer = LTCLayer(3, 6, implicit_param_constraints=False)
    with torch.no_grad():
        layer.rnn_cell.w[0, 1] = -0.5
    x, h = 1e4 * torch.randn(4, 5, 3), torch.zeros(4, 6)
    found = results(layer, x, h, None)
    monkeypatch.setattr(ltc, "_kernels", lambda *_: None)
    same(found, results(layer, x, h, None), 1e-5, 1e-4)


def test_what_is_not_a_number_stays_so() -> None:
    layer = LTCLayer(3, 4)
    x = torch.randn(2, 5, 3)
    x[1, 2, 0] = torch.nan
    y, _ = layer(x)
    assert y[0].isfinite().all()
    assert y[1, 2:].isnan().all()


def test_without_numba_the_definition_is_used_after_one_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    layer, x = LTCLayer(3, 4), torch.randn(2, 5, 3)
    compiled = layer(x)[0]
    monkeypatch.setitem(sys.modules, "models.kernels.ltc_cpu", None)
    monkeypatch.delattr("models.kernels.ltc_cpu", raising=False)
    ltc.kernels.cache_clear()
    try:
        with pytest.warns(UserWarning, match="pip install numba"):
            defined = layer(x)[0]
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            layer(x)
    finally:
        ltc.kernels.cache_clear()
    torch.testing.assert_close(compiled, defined, rtol=1e-5, atol=1e-5)


def test_half_precision_inputs_are_taken_in_float32() -> None:
    layer, x = LTCLayer(3, 4), torch.randn(2, 5, 3).bfloat16()
    torch.testing.assert_close(layer(x)[0], layer(x.float())[0], rtol=0, atol=0)
