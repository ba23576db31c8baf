"""Studies of the networks on embeddings: number and direction of layers, head, initialisation, padding."""

import math

import pytest
import torch
from torch import Tensor, nn

from bench.profiling.complexity import measure, trainable
from models.base import ModelError
from models.fc import FC
from models.frontends.none import NoFrontend
from models.lstm_skip import LSTMSkip

HEADS = [{"head_units": 0}, {"head_units": 0, "pooling": "flatten"}, {}, {"pooling": "flatten"}]
"""a and b straight from the pooled or all ten frames to the classes, c and d through a hidden layer."""

TABLE = [  # H, D, layers 1 and 2, all with the heads a to d: 128 features, 10 frames, 527 classes
    (64, 384, (99_328, 164_864), (467_087, 2_288_399, 720_719, 2_448_719)),
    (100, 528, (184_000, 344_000), (806_783, 3_311_087, 1_056_527, 3_432_527)),
    (128, 640, (264_192, 526_336), (1_128_335, 4_163_855, 1_375_055, 4_255_055)),
    (256, 1152, (790_528, 1_839_104), (3_237_263, 8_701_199, 3_470_159, 8_654_159)),
    (300, 1328, (1_032_000, 2_472_000), (4_204_383, 10_503_087, 4_432_527, 10_408_527)),
    (512, 2176, (2_629_632, 6_823_936), (10_600_847, 20_921_615, 10_806_095, 20_598_095)),
]


def embedder(classes: int = 527, **arguments: object) -> LSTMSkip:
    return LSTMSkip(NoFrontend(), 128, 10, classes, **arguments)


@pytest.mark.parametrize(("hidden", "width", "layers", "totals"), TABLE)
def test_the_sizes_are_those_of_the_table(hidden: int, width: int, layers: tuple[int, ...], totals: tuple[int]) -> None:
    for head, total in zip(HEADS, totals, strict=True):
        with torch.device("meta"):
            model = embedder(hidden=hidden, **head)
        assert tuple(map(trainable, model.layers)) == layers
        assert model.layers[-1].features == width
        assert trainable(model) == total


@pytest.mark.slow
@pytest.mark.parametrize("layers", [0, 1, 2, 3, 4])
@pytest.mark.parametrize("bidirectional", [True, False])
def test_any_number_of_layers_in_one_direction_or_two(layers: int, bidirectional: bool) -> None:
    """Layer n hears the 128 features and all states before: ways · H (n - 1)."""
    ways, h = 1 + bidirectional, 20
    model = embedder(hidden=h, layers=layers, bidirectional=bidirectional)
    heard = [128 + ways * h * n for n in range(layers)]
    width = 128 + ways * h * layers
    body = sum(ways * 4 * h * (inputs + h + 2) for inputs in heard)  # two biases, as PyTorch has them
    assert trainable(model) == body + 500 * (width + 1) + 527 * 501
    products = 10 * sum(ways * 4 * h * (inputs + h) for inputs in heard)
    assert measure(model, (10, 128), 10.0).macs == products + 500 * width + 527 * 500


@pytest.mark.parametrize("pooling", ["mean", "max", "last"])
@pytest.mark.parametrize("layers", [1, 3])
def test_masked_logits_do_not_depend_on_how_much_padding_follows(pooling: str, layers: int) -> None:
    torch.manual_seed(0)
    model = embedder(5, hidden=8, layers=layers, pooling=pooling).double()
    x = torch.rand(3, 4, 128, dtype=torch.float64)
    model(x)
    model.eval()
    bare = model(x)
    for more in (1, 6, 40):
        padded = torch.cat([x, torch.zeros(3, more, 128, dtype=torch.float64)], 1)
        torch.testing.assert_close(model(padded), bare, atol=1e-12, rtol=0)
    model.padding = "unmasked"
    torch.testing.assert_close(model(x), bare, atol=1e-12, rtol=0)
    assert (model(padded) - bare).abs().min() > 1e-5


@pytest.mark.parametrize("pooling", ["mean", "last"])
def test_unmasked_frames_are_those_of_torchs_bidirectional_lstm(pooling: str) -> None:
    torch.manual_seed(0)
    model = embedder(5, hidden=8, layers=2, pooling=pooling, padding="unmasked", head_units=0).eval().double()
    x = torch.rand(3, 10, 128, dtype=torch.float64)
    x[0, 4:] = 0
    states = model.standardise(x.mT).mT
    for layer in model.layers:
        reference = nn.LSTM(states.shape[2], 8, batch_first=True, bidirectional=True).double()
        backwards = {f"{name}_reverse": value for name, value in layer.backwards.state_dict().items()}
        reference.load_state_dict(layer.forwards.state_dict() | backwards)
        states = torch.cat([states, reference(states)[0]], 2)
    pooled = states.mean(1) if pooling == "mean" else states[:, -1]
    torch.testing.assert_close(model(x), model.logits(pooled), atol=1e-12, rtol=0)


@pytest.mark.parametrize("padding", ["masked", "unmasked"])
def test_a_flattened_head_has_weights_for_each_frame(padding: str) -> None:
    torch.manual_seed(0)
    model = embedder(5, hidden=8, layers=1, pooling="flatten", head_units=0, padding=padding).eval()
    x = torch.rand(2, 10, 128)
    x[:, 6:] = 0
    before = model(x)
    with torch.no_grad():
        model.logits.weight.unflatten(1, (10, -1))[:, 6:] = 0
    assert torch.allclose(before, model(x), atol=1e-6) == (padding == "masked")
    with pytest.raises(ModelError, match="built for 10 frames, got 9: cut or pad"):
        model(x[:, :9])


def test_masked_fc_hears_no_padding() -> None:
    torch.manual_seed(0)
    for padding in ("masked", "unmasked"):
        model = FC(NoFrontend(), 128, 10, 5, padding=padding)
        x = torch.rand(4, 10, 128)
        x[:, 6:] = 0
        model(x)
        model.eval()
        before = model(x)
        with torch.no_grad():
            model.hidden.weight.unflatten(1, (10, 128))[:, 6:] = 0
        assert torch.allclose(before, model(x), atol=1e-6) == (padding == "masked")


def matrices(model: nn.Module) -> list[Tensor]:
    """Every linear layer's matrix and every gate's."""
    found = []
    for module in model.modules():
        if isinstance(module, (nn.Linear, nn.LSTM)):
            for parameter in module.parameters(recurse=False):
                if parameter.ndim == 2:
                    found += parameter.chunk(4) if isinstance(module, nn.LSTM) else [parameter]
    return found


BOUNDS = {  # largest absolute value of outputs × inputs, from the papers' variances 2 / (o + i) and 2 / i
    "xavier": lambda o, i: math.sqrt(6 / (o + i)),
    "kaiming": lambda o, i: math.sqrt(6 / i),
    "uniform": lambda o, i: 0.05,
}


@pytest.mark.parametrize("build", [embedder, lambda **k: FC(NoFrontend(), 128, 10, 527, **k)], ids=["lstm-skip", "fc"])
@pytest.mark.parametrize("initialisation", ["xavier", "normal", "uniform", "kaiming", "orthogonal"])
def test_layers_are_drawn_as_asked(build, initialisation: str) -> None:
    torch.manual_seed(0)
    model = build(initialisation=initialisation)
    found = matrices(model)
    assert len(found) == (2 if isinstance(model, FC) else 2 * 2 * 2 * 4 + 2)
    for matrix in (m.detach() for m in found):
        if initialisation in BOUNDS:
            bound = BOUNDS[initialisation](*matrix.shape)
            assert 0.99 * bound < matrix.abs().max() <= bound
            assert matrix.std() == pytest.approx(bound / math.sqrt(3), rel=0.02)
        elif initialisation == "normal":
            assert matrix.std() == pytest.approx(0.05, rel=0.02)
            assert matrix.abs().max() > 0.15
        else:
            short = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
            torch.testing.assert_close(short @ short.T, torch.eye(len(short)), atol=1e-4, rtol=0)
    assert not any(p.any() for p in model.parameters() if p.ndim == 1)


def test_the_default_draws_are_pytorchs() -> None:
    """In the order of the layers: records of earlier runs hold only with these."""
    torch.manual_seed(0)
    model = embedder()
    torch.manual_seed(0)
    layers = [nn.LSTM(inputs, 100, batch_first=True) for inputs in (128, 128, 328, 328)]
    linear = [nn.Linear(528, 500), nn.Linear(500, 527)]
    reference = [p for module in (*layers, *linear) for p in module.parameters()]
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), reference, strict=True))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"initialisation": "zeros"}, "initialisation is one of default, xavier, .*, not 'zeros'"),
        ({"padding": "cut"}, "padding is 'masked' or 'unmasked', not 'cut'"),
    ],
)
@pytest.mark.parametrize("kind", [FC, LSTMSkip])
def test_unknown_settings_are_refused(kind, arguments: dict[str, str], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        kind(NoFrontend(), 128, 10, 527, **arguments)


def test_impossible_sizes_are_refused() -> None:
    with pytest.raises(ModelError, match="need hidden ≥ 1, layers and head_units ≥ 0"):
        embedder(layers=-1)
