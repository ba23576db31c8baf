"""The closed-form layer against ncps 1.0.1."""

from typing import Any
from unittest import mock

import ncps.torch
import ncps.wirings
import pytest
import torch
from torch import Tensor, nn

from models import wirings
from models.base import ModelError
from models.cfc import CfCLayer
from models.kernels.loading import available
from models.layers.closed_form import PIECE, Sequence, enter, leave

LAYERS: list[tuple[Any, dict[str, Any]]] = [
    (9, {}),
    (9, {"mode": "no_gate", "activation": "silu"}),
    (9, {"mode": "pure", "activation": "gelu"}),
    (9, {"backbone_layers": 0}),
    (9, {"backbone_layers": 3, "backbone_units": 7, "activation": "relu", "proj_size": 4}),
    (9, {"mixed_memory": True, "activation": "tanh"}),
    (("AutoNCP", (16, 5)), {}),
    (("AutoNCP", (16, 5)), {"mode": "pure"}),
    (("AutoNCP", (16, 5)), {"mode": "no_gate", "mixed_memory": True, "proj_size": 3}),
    (("NCP", (7, 5, 4, 4, 3, 4, 3)), {"return_sequences": False}),
    (("FullyConnected", (6, 2)), {"batch_first": False}),
]


def pair(units: Any, options: dict[str, Any], inputs: int = 6) -> tuple[nn.Module, CfCLayer]:
    """Return the same layer of ncps and of ours, drawn from the same seed."""
    made = []
    for library, layer in ((ncps.wirings, ncps.torch.CfC), (wirings, CfCLayer)):
        torch.manual_seed(0)
        wiring = units if isinstance(units, int) else getattr(library, units[0])(*units[1])
        made.append(layer(inputs, wiring, **options))
    return made[0], made[1]


def random(*shape: int, dtype: torch.dtype, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@pytest.mark.parametrize(("units", "options"), LAYERS, ids=str)
@pytest.mark.parametrize("frames", [1, 5])
def test_draws_outputs_and_gradients_are_those_of_ncps(units: Any, options: dict[str, Any], frames: int) -> None:
    theirs, ours = pair(units, options)
    assert list(theirs.state_dict()) == list(ours.state_dict())
    for a, b in zip(theirs.state_dict().values(), ours.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    for dtype, tolerance in ((torch.float32, 1e-5), (torch.float64, 1e-10)):
        theirs, ours = theirs.to(dtype), ours.to(dtype)
        theirs.zero_grad()
        ours.zero_grad()
        x = random(3, frames, 6, dtype=dtype)
        x = x if options.get("batch_first", True) else x.transpose(0, 1)
        h = random(3, ours.state_size, dtype=dtype, seed=2)
        state = (h, 2 * h) if options.get("mixed_memory") else h
        y, last = ours(x, state)
        y_theirs, last_theirs = theirs(x, state)
        torch.testing.assert_close(y, y_theirs, rtol=tolerance, atol=tolerance)
        torch.testing.assert_close(last, last_theirs, rtol=tolerance, atol=tolerance)
        for out in (y, y_theirs):
            (out * random(*y.shape, dtype=dtype, seed=3)).sum().backward()
        for (name, a), (_, b) in zip(theirs.named_parameters(), ours.named_parameters(), strict=True):
            if b.requires_grad:
                assert (a.grad - b.grad).norm() <= 1e-4 * a.grad.norm() + 1e-9, name


@pytest.mark.parametrize("units", [8, ("AutoNCP", (16, 5))])
@pytest.mark.parametrize("mode", ["default", "pure", "no_gate"])
def test_timespans_of_each_clip_act_on_that_clip(units: Any, mode: str) -> None:
    theirs, ours = pair(units, {"mode": mode})
    x = random(3, 4, 6, dtype=torch.float32)
    spans = 0.1 + torch.rand(3, 4, generator=torch.Generator().manual_seed(0))
    y, _ = ours(x, timespans=spans)
    for clip in range(3):
        alone, _ = theirs(x[clip : clip + 1], timespans=spans[clip : clip + 1])
        torch.testing.assert_close(y[clip : clip + 1], alone, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("inputs", "units", "options", "parameters"),
    [
        (20, 32, {}, 23_296),
        (40, 64, {}, 46_464),
        (20, 32, {"mode": "pure"}, 10_976),
        (20, ("AutoNCP", (50, 10)), {}, 8_024),
    ],
)
def test_trainable_parameters(inputs: int, units: Any, options: dict[str, Any], parameters: int) -> None:
    layer = pair(units, options, inputs)[1]
    assert sum(p.numel() for p in layer.parameters() if p.requires_grad) == parameters


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: CfCLayer(3, 4, mode="fast"), "no_gate"),
        (lambda: CfCLayer(3, 4, activation="swish"), "lecun_tanh"),
        (lambda: CfCLayer(3, wirings.AutoNCP(16, 5), backbone_units=3), "no backbone"),
        (lambda: CfCLayer(3, 4)(torch.zeros(2, 5, 4)), r"\(B, T, 3\)"),
        (lambda: CfCLayer(3, 4)(torch.zeros(2, 5, 3), (torch.zeros(2, 4), torch.zeros(2, 4))), "mixed_memory"),
    ],
)
def test_mistakes_are_explained(make: Any, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        make()


FUSED: list[tuple[Any, dict[str, Any], bool]] = [
    (9, {}, True),
    (9, {"mode": "no_gate", "activation": "tanh"}, True),
    (9, {"backbone_layers": 0}, True),
    (("AutoNCP", (16, 5)), {}, True),
    (("AutoNCP", (16, 5)), {"mode": "no_gate"}, True),
    (9, {"mode": "pure"}, False),
    (9, {"activation": "silu"}, False),
    (9, {"backbone_layers": 2}, False),
    (9, {"mixed_memory": True}, False),
]


def calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that grows with each call of the kernel."""
    found: list[int] = []
    apply = Sequence.apply

    def counted(*arguments: Any) -> Any:
        found.append(len(arguments[0]))
        return apply(*arguments)

    monkeypatch.setattr(Sequence, "apply", counted)
    return found


@pytest.mark.parametrize(("units", "options", "fits"), FUSED, ids=str)
def test_the_fused_sequence_has_the_same_states_and_gradients(
    units: Any, options: dict[str, Any], fits: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    layer = pair(units, options)[1].double()
    seen = calls(monkeypatch)
    x = random(3, 2 * PIECE + 3, 6, dtype=torch.float64).requires_grad_()
    h = random(3, layer.state_size, dtype=torch.float64, seed=2).requires_grad_()
    found = []
    for on in (False, True):
        (enter if on else leave)(layer)
        assert not seen
        y, last = layer(x, (h, 2 * h) if layer.lstm is not None else h)
        last = last[0] if isinstance(last, tuple) else last
        wanted = [x, h, *(parameter for parameter in layer.parameters() if parameter.requires_grad)]
        gradients = torch.autograd.grad(y.square().sum() + last.sum(), wanted)
        found.append([y, last, *gradients])
    assert bool(seen) == fits
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)


def test_the_fused_sequence_agrees_in_single_precision_and_within_autocast() -> None:
    layer = pair(9, {})[1]
    x = random(3, 20, 6, dtype=torch.float32)
    expected = layer(x)[0]
    enter(layer)
    torch.testing.assert_close(layer(x)[0], expected, rtol=1e-5, atol=1e-5)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(layer(x.bfloat16())[0], layer(x.bfloat16().float())[0])


@pytest.mark.skipif(available("closed_form_cpu") is None, reason="no numba")
@pytest.mark.parametrize("mode", ["default", "no_gate"])
@pytest.mark.parametrize("whole", [True, False])
def test_the_kernel_of_the_fused_sequence_has_the_same_states_and_gradients(mode: str, whole: bool) -> None:
    layer = pair(32, {"mode": mode})[1]
    exact = pair(32, {"mode": mode})[1].double()
    exact.load_state_dict(layer.state_dict())
    enter(layer)
    batch = 8 if whole else 9  # of which the kernel takes only whole tiles
    x = random(batch, PIECE + 3, 6, dtype=torch.float32)
    h = random(batch, 32, dtype=torch.float32, seed=2)
    kernel = available("closed_form_cpu")
    with mock.patch.object(kernel, "backward", wraps=kernel.backward) as used:
        found = []
        for each in (layer, exact):
            inputs = [part.detach().to(next(each.parameters()).dtype) for part in (x, h)]
            inputs = [part.requires_grad_() for part in inputs]
            y, last = each(*inputs)
            wanted = [*inputs, *(parameter for parameter in each.parameters() if parameter.requires_grad)]
            found.append([y, last, *torch.autograd.grad(y.square().sum() + last.sum(), wanted)])
    assert bool(used.call_count) == whole
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a.double(), b, rtol=1e-4, atol=1e-4)
    with torch.no_grad():
        torch.testing.assert_close(layer(x, h)[0], found[0][0])


@pytest.mark.parametrize("frames", [1, 3])
def test_few_frames_and_time_spans_are_not_fused(frames: int, monkeypatch: pytest.MonkeyPatch) -> None:
    layer = pair(9, {})[1]
    enter(layer)
    seen = calls(monkeypatch)
    layer(random(3, frames, 6, dtype=torch.float32))
    layer(random(3, 9, 6, dtype=torch.float32), timespans=torch.ones(9))
    leave(layer)
    layer(random(3, 9, 6, dtype=torch.float32))
    assert not seen
