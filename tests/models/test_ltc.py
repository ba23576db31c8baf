"""Wirings and liquid layer against ncps 1.0.1, the solver by hand, and the two classifiers."""

import copy
import math
from typing import Any

import ncps.torch
import ncps.wirings
import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from models import ltc, wirings
from models.base import AudioModel, ModelError
from models.liquid import CNNLTC, LTC
from models.ltc import LTCLayer

WIRINGS = [
    ("FullyConnected", (9,)),
    ("FullyConnected", (9, 4, 7, False)),
    ("NCP", (10, 10, 8, 6, 6, 4, 6)),
    ("NCP", (12, 5, 9, 1, 1, 3, 2, 5)),
    ("NCP", (40, 12, 2, 1, 1, 0, 1)),
    ("NCP", (3, 20, 2, 1, 2, 30, 1)),
    ("AutoNCP", (50, 10)),
    ("AutoNCP", (20, 3, 0.9, 4)),
    ("AutoNCP", (32, 20, 1.0)),
]
LAYERS = [
    ("FullyConnected", (8, 3)),
    ("FullyConnected", (5, None, 7, False)),
    ("NCP", (7, 5, 4, 4, 3, 4, 3)),
    ("AutoNCP", (16, 5)),
]


def pair(name: str, arguments: tuple[Any, ...], inputs: int, **options: Any) -> tuple[nn.Module, LTCLayer]:
    """Return the same layer of ncps and of ours, drawn from the same seed."""
    torch.manual_seed(0)
    theirs = ncps.torch.LTC(inputs, getattr(ncps.wirings, name)(*arguments), **options)
    torch.manual_seed(0)
    return theirs, LTCLayer(inputs, getattr(wirings, name)(*arguments), **options)


def random(*shape: int, dtype: torch.dtype = torch.float64, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@pytest.mark.parametrize(("name", "arguments"), WIRINGS)
@pytest.mark.parametrize("inputs", [1, 20])
def test_wirings_equal_ncps(name: str, arguments: tuple[Any, ...], inputs: int) -> None:
    theirs, ours = getattr(ncps.wirings, name)(*arguments), getattr(wirings, name)(*arguments)
    theirs.build(inputs)
    sensory = ours.build(inputs)
    np.testing.assert_array_equal(ours.adjacency_matrix, theirs.adjacency_matrix)
    np.testing.assert_array_equal(sensory, theirs.sensory_adjacency_matrix)
    assert (ours.units, ours.output_dim, ours.input_dim) == (theirs.units, theirs.output_dim, theirs.input_dim)


@pytest.mark.parametrize(("units", "inputs", "internal", "sensory"), [(50, 20, 288, 240), (128, 64, 1910, 2240)])
def test_synapses_of_auto_ncp(units: int, inputs: int, internal: int, sensory: int) -> None:
    wiring = wirings.AutoNCP(units, 10)
    assert np.count_nonzero(wiring.build(inputs)) == sensory
    assert np.count_nonzero(wiring.adjacency_matrix) == internal


def test_a_wiring_is_built_once() -> None:
    wiring = wirings.FullyConnected(4)
    first = wiring.build(3).copy()
    np.testing.assert_array_equal(wiring.build(3), first)
    with pytest.raises(ModelError, match="built for 3 inputs, not 5"):
        wiring.build(5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: wirings.AutoNCP(12, 10), "at most 9 motor"),
        (lambda: wirings.AutoNCP(20, 5, 0.05), "sparsity_level"),
        (lambda: wirings.NCP(5, 5, 5, 6, 1, 1, 1), "sensory_fanout is 6"),
        (lambda: wirings.NCP(5, 5, 5, 1, 6, 1, 1), "inter_fanout is 6"),
        (lambda: wirings.NCP(5, 5, 5, 1, 1, 1, 6), "motor_fanin is 6"),
        (lambda: wirings.FullyConnected(4, 5), "output_dim"),
    ],
)
def test_impossible_wirings_are_refused(make: Any, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        make()


@pytest.mark.parametrize("mixed_memory", [False, True])
@pytest.mark.parametrize(("name", "arguments"), LAYERS)
def test_a_layer_has_the_draws_the_outputs_and_the_gradients_of_ncps(
    name: str, arguments: tuple[Any, ...], mixed_memory: bool
) -> None:
    theirs, ours = pair(name, arguments, 6, mixed_memory=mixed_memory)
    for (key, a), (other, b) in zip(theirs.state_dict().items(), ours.state_dict().items(), strict=True):
        assert key == other
        assert torch.equal(a, b)
    # Gradients of masked synapses are 0 in both; draw the rest off its symmetric start, too.
    with torch.no_grad():
        for seed, parameter in enumerate(theirs.parameters()):
            if parameter.requires_grad:
                parameter += 0.1 * random(*parameter.shape, dtype=torch.float32, seed=seed)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    for dtype, tolerance in ((torch.float32, 1e-5), (torch.float64, 1e-10)):
        theirs, ours = theirs.to(dtype).requires_grad_(True), ours.to(dtype)
        x = random(3, 4, 6, dtype=dtype)
        h = 0.3 * random(3, ours.state_size, dtype=dtype, seed=2)
        state = (h, 2 * h) if mixed_memory else h
        y, last = ours(x, state)
        y_theirs, last_theirs = theirs(x, state)
        torch.testing.assert_close(y, y_theirs, rtol=tolerance, atol=tolerance)
        torch.testing.assert_close(last, last_theirs, rtol=tolerance, atol=tolerance)
        for out in (y, y_theirs):
            (out * random(*y.shape, dtype=dtype, seed=3)).sum().backward()
        for (key, a), (_, b) in zip(theirs.named_parameters(), ours.named_parameters(), strict=True):
            if b.requires_grad:
                assert b.grad is not None
                assert (a.grad - b.grad).norm() <= 1e-4 * a.grad.norm() + 1e-12, key
        theirs.zero_grad()
        ours.zero_grad()


def test_masks_are_frozen_and_stay_in_the_state_dict() -> None:
    layer = LTCLayer(3, wirings.AutoNCP(16, 5))
    frozen = {name for name, parameter in layer.named_parameters() if not parameter.requires_grad}
    assert frozen == {"rnn_cell.sparsity_mask", "rnn_cell.sensory_sparsity_mask"}


@pytest.mark.parametrize(
    "options",
    [
        {"return_sequences": False},
        {"batch_first": False},
        {"input_mapping": None, "output_mapping": None},
        {"input_mapping": "linear", "output_mapping": "linear"},
        {"ode_unfolds": 1, "epsilon": 1e-3},
        {"implicit_param_constraints": False},
    ],
    ids=str,
)
def test_options_are_those_of_ncps(options: dict[str, Any]) -> None:
    theirs, ours = pair("AutoNCP", (16, 5), 6, **options)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    x = random(3, 4, 6, dtype=torch.float32)
    for a, b in zip(theirs(x), ours(x), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("mixed_memory", [False, True])
def test_timespans_of_each_clip_act_on_that_clip(mixed_memory: bool) -> None:
    theirs, ours = pair("NCP", LAYERS[2][1], 6, mixed_memory=mixed_memory)
    x = random(3, 4, 6, dtype=torch.float32)
    timespans = 0.1 + torch.rand(3, 4, generator=torch.Generator().manual_seed(0))
    y, _ = ours(x, timespans=timespans)
    for clip in range(3):  # ncps divides spans into the wrong axis unless the batch is one clip
        alone, _ = theirs(x[clip : clip + 1], timespans=timespans[clip : clip + 1])
        torch.testing.assert_close(y[clip : clip + 1], alone, rtol=1e-5, atol=1e-5)
    same = ours(x, timespans=timespans[0])[0]
    torch.testing.assert_close(same[:1], y[:1])
    torch.testing.assert_close(ours(x, timespans=torch.ones(3, 4))[0], ours(x)[0])


def test_a_neuron_by_hand() -> None:
    """One neuron that hears one input and not itself, one sub-step from v = 0.2 in half a second."""
    layer = LTCLayer(1, wirings.FullyConnected(1, self_connections=False), ode_unfolds=1).double()
    values = {
        "cm": 0.5, "gleak": -0.3, "vleak": 0.1, "sensory_w": 0.7, "sensory_sigma": 4.0, "sensory_mu": 0.6,
        "sensory_erev": -0.9, "input_w": 2.0, "input_b": -0.5, "output_w": 3.0, "output_b": 0.25,
    }  # fmt: skip
    with torch.no_grad():
        for name, value in values.items():
            getattr(layer.rnn_cell, name).fill_(value)
    cm, gleak, w = (math.log1p(math.exp(value)) for value in (0.5, -0.3, 0.7))  # softplus
    s = 1 / (1 + math.exp(-4 * ((2 * 0.8 - 0.5) - 0.6)))
    v = (cm / 0.5 * 0.2 + gleak * 0.1 + w * s * -0.9) / (cm / 0.5 + gleak + w * s + 1e-8)
    y, state = layer(torch.tensor([[[0.8]]]).double(), torch.tensor([[0.2]]).double(), torch.tensor([[0.5]]).double())
    assert isinstance(state, Tensor)
    assert state.item() == pytest.approx(v, rel=1e-6)  # 0.8 and 0.2 came in as float32
    assert y.item() == pytest.approx(3 * v + 0.25, rel=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "arguments"), [("FullyConnected", (3, 2)), ("NCP", (3, 2, 2, 2, 1, 2, 1))])
@pytest.mark.parametrize("spans", [False, True])
def test_gradients_are_those_of_finite_differences(name: str, arguments: tuple[Any, ...], spans: bool) -> None:
    layer = pair(name, arguments, 2, ode_unfolds=2)[1].double()
    x, h = random(2, 2, 2).requires_grad_(), random(2, layer.state_size, seed=2).requires_grad_()
    timespans = (1 + random(2, 2, seed=3).abs()).requires_grad_() if spans else None
    assert torch.autograd.gradcheck(lambda *inputs: layer(*inputs), (x, h, timespans))


def test_work_in_pieces_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = pair("AutoNCP", (16, 5), 6)[1].double()
    x = random(3, 7, 6)

    def outputs_and_gradients() -> list[Tensor]:
        layer.zero_grad()
        y = layer(x)[0]
        y.square().sum().backward()
        return [y.detach(), *(p.grad.clone() for p in layer.parameters() if p.grad is not None)]

    whole = outputs_and_gradients()
    monkeypatch.setitem(ltc._PIECE, "cpu", 500)
    for a, b in zip(whole, outputs_and_gradients(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)


def test_a_loaded_wiring_replaces_the_layers_own() -> None:
    theirs, _ = pair("AutoNCP", (16, 5), 6)
    ours = LTCLayer(6, wirings.FullyConnected(16, 5))
    ours.load_state_dict(theirs.state_dict(), strict=True)
    x = random(2, 3, 6, dtype=torch.float32)
    torch.testing.assert_close(ours(x)[0], theirs(x)[0], rtol=1e-5, atol=1e-5)
    assert ours.sigmoids(1) < 16 * 6 + 6 * 16 * 16


def test_explicit_constraints_clip_what_must_be_positive() -> None:
    for implicit in (True, False):
        layer = LTCLayer(2, 3, implicit_param_constraints=implicit)
        with torch.no_grad():
            for parameter in layer.parameters():
                parameter.fill_(-1)
        layer.apply_weight_constraints()
        zero = {name for name, parameter in layer.rnn_cell.named_parameters() if (parameter == 0).all()}
        assert zero == (set() if implicit else {"w", "sensory_w", "cm", "gleak"})


@pytest.mark.slow
@pytest.mark.parametrize(
    ("inputs", "units", "outputs", "parameters"),
    [
        (20, 32, 32, 6856), (40, 64, 64, 27024), (20, 50, 10, 14210), (64, 128, 10, 98836), (20, 19, 1, 3063),
        (20, 28, 8, 5516),
    ],
)  # fmt: skip
def test_trainable_parameters(inputs: int, units: int, outputs: int, parameters: int) -> None:
    layer = LTCLayer(inputs, wirings.FullyConnected(units, outputs))
    assert sum(p.numel() for p in layer.parameters() if p.requires_grad) == parameters
    assert sum(p.numel() for p in layer.parameters()) == parameters + units**2 + inputs * units


def test_counts_of_a_fully_connected_layer_by_hand() -> None:
    """I = 2, U = 3, L = 6: 2·3 + 6·3·3 = 60 sigmoids a frame; beside them 6·3 updates and 2 + 3 maps."""
    layer = LTCLayer(2, 3)
    assert layer.sigmoids(5) == 5 * 60
    assert layer.uncounted_macs(5) == 5 * (60 + 18 + 5)
    assert operations(layer, torch.zeros(1, 5, 2)) == 2 * 2 * 5 * 60  # two sums, each a multiplication and an addition


@pytest.mark.slow
def test_counts_of_an_ncp_layer_by_hand() -> None:
    """AutoNCP(50, 10) has 24 inter, 16 command and 10 motor neurons, and here 20 inputs.

    A frame has 20·24 sensory sigmoids and in each sub-step 24·16 + 16·16 + 16·10 = 800.
    """
    layer = LTCLayer(20, wirings.AutoNCP(50, 10))
    assert layer.sigmoids(7) == 7 * (480 + 6 * 800)
    assert layer.uncounted_macs(7) == 7 * (480 + 6 * 800 + 6 * 50 + 20 + 10)
    assert operations(layer, torch.zeros(1, 7, 20)) == 2 * 2 * 7 * (480 + 6 * 800)


def operations(module: nn.Module, x: Tensor) -> int:
    """Return what PyTorch counts, on the meta device."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        copy.deepcopy(module).to("meta")(x.to("meta"))
    return counter.get_total_flops()


@pytest.mark.parametrize("shape", [(3, 4), (2, 3, 5), (1, 2, 3, 4)])
def test_a_layer_refuses_other_shapes(shape: tuple[int, ...]) -> None:
    with pytest.raises(ModelError, match=r"\(B, T, 4\)"):
        LTCLayer(4, 3)(torch.zeros(shape))


def build(model: type[LTC] | type[CNNLTC], **arguments: Any) -> AudioModel:
    torch.manual_seed(0)
    return model(nn.Identity(), 16, 40, 7, units=20, **arguments)


@pytest.mark.parametrize("model", [LTC, CNNLTC])
def test_every_parameter_of_a_classifier_learns(model: type[LTC] | type[CNNLTC]) -> None:
    net = build(model, steps=8)
    target = torch.tensor([0, 3, 6, 2])
    logits = net(random(4, 16, 40, dtype=torch.float32))
    assert logits.shape == (4, 7)
    nn.functional.cross_entropy(logits, target).backward()
    for name, parameter in net.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, name
            assert parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize("model", [LTC, CNNLTC])
def test_a_clip_alone_is_scored_as_in_a_batch_and_the_same_each_time(model: type[LTC] | type[CNNLTC]) -> None:
    net, twin = build(model).eval(), build(model).eval()
    x = random(3, 16, 40, dtype=torch.float32)
    together = net(x)
    assert torch.equal(together, twin(x))
    alone = torch.cat([net(clip[None]) for clip in x])
    torch.testing.assert_close(alone, together, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(net.double()(x.double()), together.double(), rtol=1e-4, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "frames", "steps"), [(LTC, 40, 8), (LTC, 5, 5), (CNNLTC, 400, 8), (CNNLTC, 41, 2), (CNNLTC, 13, 1)]
)
def test_work_is_counted_for_the_steps_that_run(model: type[LTC] | type[CNNLTC], frames: int, steps: int) -> None:
    net = model(nn.Identity(), 16, frames, 7, units=20, steps=8)
    net.eval()
    seen: list[Tensor] = []
    net.layer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    net(torch.zeros(2, 16, frames))
    assert seen[0].shape[1] == steps
    assert net.elementwise() == net.layer.sigmoids(steps)
    assert net.uncounted_macs() == net.layer.uncounted_macs(steps)
    assert operations(net, torch.zeros(1, 16, frames)) > 4 * net.elementwise()


def test_the_output_starts_at_the_prior() -> None:
    net = build(LTC)
    prior = torch.linspace(0.1, 0.7, 7)
    net.start_at_prior(prior)
    assert isinstance(net.output, nn.Linear)
    torch.testing.assert_close(torch.sigmoid(net.output.bias), prior)


@pytest.mark.parametrize("model", [LTC, CNNLTC])
def test_reckless_training_stays_finite(model: type[LTC] | type[CNNLTC]) -> None:
    """Softplus keeps every divisor positive however far a parameter runs."""
    net = build(model, steps=6)
    optimiser = torch.optim.SGD(net.parameters(), lr=30.0)
    x, target = 100 * random(4, 16, 40, dtype=torch.float32), torch.tensor([0, 3, 6, 2])
    for _ in range(12):
        loss = nn.functional.cross_entropy(net(x), target)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        assert torch.isfinite(loss)
    assert all(torch.isfinite(parameter).all() for parameter in net.parameters())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LTC(nn.Identity(), 16, 40, 7, steps=0), "steps"),
        (lambda: LTC(nn.Identity(), 16, 40, 7, units=20, motors=18), "at most 17 motor"),
        (lambda: CNNLTC(nn.Identity(), 6, 40, 7), "at least 7 bands"),
        (lambda: CNNLTC(nn.Identity(), 16, 12, 7), "13 frames"),
        (lambda: LTCLayer(3, 4, ode_unfolds=0), "ode_unfolds"),
    ],
)
def test_impossible_classifiers_are_refused(make: Any, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        make()


def test_what_is_no_wiring_or_no_state_is_refused() -> None:
    with pytest.raises(ModelError, match=r"a wiring of models\.wirings, not str"):
        LTCLayer(3, "AutoNCP")  # type: ignore[arg-type]
    x, v = torch.randn(2, 4, 3), torch.zeros(2, 5)
    with pytest.raises(ModelError, match=r"a pair of tensors .* with mixed_memory"):
        LTCLayer(3, 5)(x, (v, v))
    with pytest.raises(ModelError, match=r"a pair of tensors .* with mixed_memory"):
        LTCLayer(3, 5, mixed_memory=True)(x, v)
    with pytest.raises(ModelError, match="at least one frame"):
        LTCLayer(3, 5)(x[:, :0])
