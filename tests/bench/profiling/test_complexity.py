"""Multiply-adds against closed forms worked out by hand, and no silent zeros."""

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch._higher_order_ops.map import map as map_of_torch
from torch._higher_order_ops.scan import scan

from bench.errors import ProfileError
from bench.profiling.complexity import count, measure
from models.base import AudioModel, Frontend

T = 10


def counted(module: nn.Module, *shape: int) -> int:
    return count(module.eval().to("meta"), torch.empty(shape, device="meta"))


class Attention(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.scaled_dot_product_attention(x, x, x)


class SelfAttention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.attention(x, x, x)[0]


class Einsum(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(5, 3))

    def forward(self, x: Tensor) -> Tensor:
        return torch.einsum("btf,fh->bth", x, self.weight)


class Pooling(nn.Module):
    """Weights each frame by its product with a vector: a product no counter in use knows by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(5))

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.weight  # (B, T)


class Loop(nn.Module):
    def __init__(self, cell: nn.Module) -> None:
        super().__init__()
        self.cell = cell

    def forward(self, x: Tensor) -> Tensor:
        state = x.new_zeros(len(x), 4)
        for frame in x.unbind(1):
            state = self.cell(frame, state)
        return state


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "shape", "macs"),
    [
        pytest.param(nn.Linear(5, 3), (1, 5), 5 * 3, id="linear"),
        pytest.param(nn.Linear(5, 3), (1, T, 5), T * 5 * 3, id="linear-sequence"),
        pytest.param(nn.Conv1d(4, 6, 3), (1, 4, T), (T - 2) * 6 * 4 * 3, id="conv1d"),
        pytest.param(nn.Conv1d(4, 6, 3, stride=2, padding=1), (1, 4, T), 5 * 6 * 4 * 3, id="conv1d-stride"),
        pytest.param(nn.Conv1d(4, 6, 3, dilation=2, groups=2), (1, 4, T), (T - 4) * 6 * 2 * 3, id="conv1d-groups"),
        pytest.param(
            nn.Sequential(nn.Conv1d(4, 4, 6, groups=4), nn.Conv1d(4, 7, 1)),
            (1, 4, T),
            (T - 5) * (4 * 6 + 4 * 7),
            id="conv1d-separable",
        ),
        pytest.param(
            nn.Sequential(nn.Conv2d(4, 4, 3, groups=4), nn.Conv2d(4, 7, 1)),
            (1, 4, 9, T),
            7 * (T - 2) * (4 * 9 + 4 * 7),
            id="conv2d-separable",
        ),
        pytest.param(nn.Conv2d(3, 8, (3, 5)), (1, 3, 9, T), 7 * 6 * 8 * 3 * 15, id="conv2d"),
        pytest.param(nn.Conv2d(4, 4, 3, stride=(2, 1), groups=4), (1, 4, 9, T), 4 * 8 * 4 * 9, id="conv2d-depthwise"),
        pytest.param(nn.ConvTranspose1d(3, 4, 5, stride=2), (1, 3, T), T * 3 * 4 * 5, id="conv1d-transposed"),
        pytest.param(nn.LSTM(5, 4, batch_first=True), (1, T, 5), T * 4 * 4 * (5 + 4), id="lstm"),
        pytest.param(
            nn.LSTM(5, 4, 2, batch_first=True, bidirectional=True),
            (1, T, 5),
            2 * T * 4 * 4 * (5 + 4) + 2 * T * 4 * 4 * (8 + 4),
            id="lstm-2-layers-2-ways",
        ),
        pytest.param(
            nn.LSTM(5, 4, proj_size=2, batch_first=True), (1, T, 5), T * (4 * 4 * (5 + 2) + 4 * 2), id="lstm-projected"
        ),
        pytest.param(nn.GRU(5, 4, batch_first=True), (1, T, 5), T * 3 * 4 * (5 + 4), id="gru"),
        pytest.param(nn.RNN(5, 4, batch_first=True), (1, T, 5), T * 4 * (5 + 4), id="rnn"),
        pytest.param(Attention(), (1, 2, 6, 4), 2 * (6 * 6 * 4 + 6 * 6 * 4), id="attention"),
        pytest.param(SelfAttention(), (1, 6, 8), 4 * 6 * 8 * 8 + 2 * (2 * 6 * 6 * 4), id="multihead-attention"),
        pytest.param(
            nn.TransformerEncoderLayer(8, 2, 16, batch_first=True),
            (1, 6, 8),
            4 * 6 * 8 * 8 + 2 * (2 * 6 * 6 * 4) + 2 * 6 * 8 * 16,
            id="transformer-layer",
        ),
        pytest.param(Einsum(), (1, T, 5), T * 5 * 3, id="einsum"),
        pytest.param(Pooling(), (1, T, 5), T * 5, id="vector-product"),
        pytest.param(Loop(nn.RNNCell(5, 4)), (1, T, 5), T * 4 * (5 + 4), id="rnn-cell-loop"),
        pytest.param(Loop(nn.GRUCell(5, 4)), (1, T, 5), T * 3 * 4 * (5 + 4), id="gru-cell-loop"),
        pytest.param(nn.Sequential(nn.BatchNorm1d(4), nn.ReLU(), nn.MaxPool1d(2)), (1, 4, T), 0, id="element-wise"),
        pytest.param(
            nn.utils.parametrizations.weight_norm(nn.Conv1d(4, 6, 3)), (1, 4, T), (T - 2) * 6 * 4 * 3, id="weight-norm"
        ),
    ],
)
def test_closed_form(module: nn.Module, shape: tuple[int, ...], macs: int) -> None:
    assert counted(copy.deepcopy(module), *shape) == macs


class Function(nn.Module):
    """Applies a function to the input."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def complex_product(x: Tensor) -> Tensor:
    return x.to(torch.complex64) @ torch.empty(4, 5, dtype=torch.complex64, device=x.device)


def complex_convolution(x: Tensor) -> Tensor:
    kernel = torch.empty(4, 3, 3, dtype=torch.complex64, device=x.device)
    return nn.functional.conv1d(x.to(torch.complex64), kernel)


def stft(x: Tensor) -> Tensor:
    return torch.stft(x, 8, 4, window=torch.ones(8, device=x.device), return_complex=True).abs()


@pytest.mark.parametrize(
    ("function", "shape", "macs"),
    [
        pytest.param(complex_product, (3, 4), 4 * 3 * 4 * 5, id="complex-product"),
        pytest.param(complex_convolution, (1, 3, 10), 3 * 8 * 4 * 3 * 3, id="complex-convolution"),
        pytest.param(stft, (1, 64), 17 * 4 * (8 // 2 * 3), id="stft"),  # 64 / 4 + 1 frames of 8 points
        pytest.param(lambda x: torch.fft.rfft(x), (2, 3, 64), 6 * 4 * 32 * 6, id="rfft"),
        pytest.param(lambda x: torch.fft.irfft(x), (1, 33), 4 * 32 * 6, id="irfft"),  # gives 64 points
        pytest.param(
            lambda x: torch.fft.fft2(x), (2, 8, 16), 2 * (8 * 4 * (8 * 4) + 16 * 4 * (4 * 3)), id="two-dimensional-fft"
        ),
        pytest.param(lambda x: torch.addbmm(x[0, :, :4], x, x.mT), (2, 4, 5), 2 * 4 * 5 * 4, id="addbmm"),
        pytest.param(lambda x: torch.vdot(x, x), (7,), 7, id="vdot"),
    ],
)
def test_closed_form_of_a_function(function: Callable[[Tensor], Tensor], shape: tuple[int, ...], macs: int) -> None:
    assert counted(Function(function), *shape) == macs


class Mixing(nn.Module):
    """Has a matrix of its own and a linear layer.

    Args:
        mix: what is done with the input `(B, 4)`, the matrix `(4, 4)` and the layer.
    """

    def __init__(self, mix: Callable[[Tensor, Tensor, nn.Linear], Tensor]) -> None:
        super().__init__()
        self.matrix = nn.Parameter(torch.zeros(4, 4))
        self.linear = nn.Linear(4, 3)
        self.mix = mix

    def forward(self, x: Tensor) -> Tensor:
        return self.mix(x, self.matrix, self.linear)


@pytest.mark.parametrize(
    ("mix", "macs"),
    [
        pytest.param(lambda x, matrix, linear: linear(x @ matrix), 4 * 4 + 4 * 3, id="product"),
        pytest.param(lambda x, matrix, linear: linear(x @ (2 * matrix.T).softmax(0)), 4 * 4 + 4 * 3, id="derived"),
        pytest.param(lambda x, matrix, linear: linear(x @ matrix[:, :2] @ matrix[:2]), 4 * 3 + 2 * 4 * 2, id="slices"),
        pytest.param(lambda x, matrix, linear: linear(x + matrix).mean(0), 4 * 4 * 3, id="positions"),
    ],
)
def test_a_matrix_next_to_a_layer_is_counted(mix: Callable[..., Tensor], macs: int) -> None:
    assert counted(Mixing(mix), 1, 4) == macs


@pytest.mark.parametrize(
    "mix",
    [
        pytest.param(lambda x, matrix, linear: linear((x.unsqueeze(2) * matrix).sum(1)), id="sum-of-products"),
        pytest.param(lambda x, matrix, linear: linear((x.unsqueeze(2) / matrix.T).mean(1)), id="mean-of-quotients"),
        pytest.param(lambda x, matrix, linear: linear(x @ x.T @ x + (x.unsqueeze(2) * matrix).sum(1)), id="others"),
        pytest.param(lambda x, matrix, linear: linear(x), id="unused"),
    ],
)
def test_a_matrix_that_counts_zero_next_to_a_layer_is_refused(mix: Callable[..., Tensor]) -> None:
    with pytest.raises(ProfileError, match="Mixing: its own matrices have weights but counted 0"):
        counted(Mixing(mix), 1, 4)
    with pytest.raises(ProfileError, match="Sequential: 1 have weights but counted 0"):
        counted(nn.Sequential(nn.Linear(4, 4), Mixing(mix)), 1, 4)


@torch.library.custom_op("bench_tests::product", mutates_args=())
def product_of_another_package(x: Tensor) -> Tensor:
    return x @ x


product_of_another_package.register_fake(torch.empty_like)


@pytest.mark.parametrize(
    ("function", "operator"),
    [
        pytest.param(lambda x: torch.cdist(x, x), "aten::cdist_forward", id="cdist"),
        pytest.param(lambda x: torch.cdist(x.repeat(9, 1), x.repeat(9, 1)), "aten::euclidean_dist", id="large-cdist"),
        pytest.param(lambda x: nn.functional.bilinear(x, x, x.repeat(2, 1, 1)), "aten::trilinear", id="bilinear"),
        pytest.param(lambda x: torch.linalg.solve(x, x), "aten::linalg_solve_ex", id="solve"),
        pytest.param(lambda x: torch.matrix_exp(x), "aten::linalg_matrix_exp", id="exponential"),
        pytest.param(product_of_another_package, "bench_tests::product", id="another-package"),
    ],
)
def test_an_operator_without_a_formula_is_refused(function: Callable[[Tensor], Tensor], operator: str) -> None:
    with pytest.raises(ProfileError, match=f"Function uses the operator {operator}, whose .* build it of matrix"):
        counted(Function(function), 4, 4)


def yes(x: Tensor) -> Tensor:
    return torch.ones((), dtype=torch.bool, device=x.device)


@pytest.mark.parametrize(
    ("function", "operator"),
    [
        pytest.param(
            lambda x: torch.while_loop(lambda go, _: go, lambda go, x: (~go, x @ x), (yes(x), x))[1],
            "while_loop",
            id="while-loop",
        ),
        pytest.param(lambda x: torch.cond(yes(x), lambda x: x @ x, lambda x: x + x, (x,)), "cond", id="condition"),
        pytest.param(lambda x: scan(lambda a, b: (a @ b, a @ b), x[0], x)[0], "scan", id="scan"),
        pytest.param(lambda x: map_of_torch(lambda x: x @ x, x), "map_impl", id="map"),
    ],
)
def test_control_flow_of_torch_is_refused(function: Callable[[Tensor], Tensor], operator: str) -> None:
    with pytest.raises(ProfileError, match=f"Function uses torch's {operator}, .*write it as a loop or a condition"):
        counted(Function(function), 4, 4, 4)


def test_a_declared_transform_is_not_counted_twice() -> None:
    transform = Function(stft)
    transform.counted_by_formula = True  # type: ignore[assignment]
    x = torch.empty(1, 64, device="meta")
    assert count(transform, x, formulas=True) == 0
    assert count(transform, x) == 17 * 4 * 12


def test_the_naive_count_of_an_lstm_is_zero() -> None:
    lstm = nn.LSTM(5, 4, batch_first=True).eval()  # on the CPU
    with pytest.raises(ProfileError, match="LSTM"):
        count(lstm, torch.zeros(1, T, 5))


class Bands(Frontend):
    frame_rate = 2.0

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(4, 8), requires_grad=False)

    def forward(self, waveform: Tensor) -> Tensor:
        return self.weight @ waveform.unflatten(1, (-1, 8)).mT  # (B, 4, T)

    def macs(self, samples: int) -> int:
        return 1000 + samples // 8 * 4 * 8


class Flip(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.mT  # (B, F, T)


class Net(AudioModel):
    """A convolution and a linear layer on `(4, T)` features."""

    inputs = frozenset({"waveform", "embedding"})

    def __init__(self, frontend: nn.Module, frames: int = 6, **layers: nn.Module) -> None:
        super().__init__(frontend, 4, frames, 3)
        self.conv = nn.Conv1d(4, 6, 3)
        self.norm = nn.BatchNorm1d(6)
        self.head = nn.Linear(6, 3)
        for name, layer in layers.items():
            self.add_module(name, layer)

    def classify(self, features: Tensor) -> Tensor:
        return self.head(self.norm(self.conv(features)).mean(2))

    @property
    def output(self) -> nn.Linear:
        return self.head


def test_front_end_and_model_are_apart() -> None:
    found = measure(Net(Bands()), (48,), 3.0)
    assert found.frontend_macs == 1000 + 6 * 32
    assert found.macs == 4 * 6 * 4 * 3 + 6 * 3  # six frames, four after the convolution
    assert found.parameters == (6 * 4 * 3 + 6) + 2 * 6 + (6 * 3 + 3)  # the fixed front-end is not trained
    assert found.bytes == 4 * (found.parameters + 4 * 8 + 2 * 6) + 8  # its weights, the norm's statistics, its counter
    assert found.elementwise == 0
    assert found.clip_seconds == 3.0


def test_embeddings_need_no_front_end() -> None:
    found = measure(Net(Flip()), (T, 4), 10.0)
    assert found.frontend_macs == 0
    assert found.macs == (T - 2) * 6 * 4 * 3 + 6 * 3


def test_the_model_stays_as_it_was() -> None:
    model = Net(Bands()).train()
    before = copy.deepcopy(model.state_dict())
    random = torch.get_rng_state()
    measure(model, (48,), 3.0)
    assert model.training
    assert model.norm.training
    assert torch.equal(torch.get_rng_state(), random)
    for name, value in model.state_dict().items():
        assert value.device.type == "cpu"
        assert torch.equal(value, before[name])


class Synapses(nn.Module):
    """Sums of element-wise products, which no counter sees, as in a liquid time-constant cell."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(4, 4))

    def forward(self, x: Tensor) -> Tensor:
        return (x.unsqueeze(2) * self.weight[:, :, None]).sum(1)  # (B, 4, T)


class Liquid(Net):
    def __init__(self) -> None:
        super().__init__(Bands(), synapses=Synapses())

    def classify(self, features: Tensor) -> Tensor:
        return super().classify(self.get_submodule("synapses")(features))


class Declared(Liquid):
    def __init__(self) -> None:
        super().__init__()
        self.get_submodule("synapses").counted_by_formula = True  # type: ignore[assignment]

    def uncounted_macs(self) -> int:
        return 6 * 4 * 4

    def elementwise(self) -> int:
        return 77


def test_a_layer_that_counts_zero_is_named() -> None:
    with pytest.raises(ProfileError, match=r"Liquid: synapses have weights but counted 0"):
        measure(Liquid(), (48,), 3.0)


def test_declared_multiply_adds_are_added() -> None:
    found = measure(Declared(), (48,), 3.0)
    assert found.macs == 6 * 4 * 4 + 4 * 6 * 4 * 3 + 6 * 3
    assert found.elementwise == 77


def test_a_mark_without_a_formula_is_not_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Declared, "uncounted_macs", lambda _: 0)
    with pytest.raises(ProfileError, match="synapses"):
        measure(Declared(), (48,), 3.0)


def test_an_unused_layer_is_named() -> None:
    with pytest.raises(ProfileError, match="spare"):
        measure(Net(Bands(), spare=nn.Linear(2, 2)), (48,), 3.0)


class Sliced(nn.Module):
    """Multiplies with a part of a layer that lies in a container, as a closed-form cell does."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Sequential(nn.Linear(5, 3), nn.ReLU())])
        self.last = nn.ModuleList([nn.Linear(3, 2)])

    def forward(self, x: Tensor) -> Tensor:
        return self.last[0](nn.functional.linear(x[:, :4], self.layers[0][0].weight[:, :4]))


def test_a_layer_whose_weights_an_ancestor_multiplies_with_is_counted() -> None:
    assert counted(Sliced(), 1, 5) == 4 * 3 + 3 * 2


def test_an_unused_layer_in_a_container_is_named() -> None:
    unused = Sliced()
    unused.forward = lambda x: unused.last[0](x[:, :3])
    with pytest.raises(ProfileError, match=r"layers\.0\.0 have weights"):
        counted(unused, 1, 5)


class Reading(Net):
    def classify(self, features: Tensor) -> Tensor:
        return super().classify(features * features.max().item())


def test_a_model_that_reads_values_is_told_what_to_change() -> None:
    with pytest.raises(ProfileError, match=r"Reading does not run on the meta device .* do not read their values"):
        measure(Reading(Bands()), (48,), 3.0)


def test_one_layer_in_two_places_counts_twice() -> None:
    layer = nn.Linear(5, 5)
    assert counted(nn.Sequential(layer, nn.ReLU(), layer), 1, 5) == 2 * 5 * 5
