"""The rivals of the papers' tables: their published sizes, and what each computes."""

import itertools
import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bench import catalog
from models.cnn import CNN
from models.errors import TrainingError
from models.fc import FC
from models.frontends.none import NoFrontend
from models.gmm import GMM
from models.gru import GRU
from models.layers.numpy_linear import NumpyLinear
from models.liquid import CNNLTC, LTC, CNNCfC, CNNRecurrent
from models.lstm_plain import LSTMPlain
from models.recipe import Recipe
from models.swishnet_keras import LOOK_BACK, SwishNetKeras


def parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def test_gru_has_the_published_size() -> None:
    """A convolution of 20 · 32 · 3 + 32, a GRU of 3 · 32 · (32 + 32 + 2), and 33 · 3."""
    assert parameters(GRU(NoFrontend(), 20, 200, 3)) == 1_952 + 6_336 + 99 == 8_387


@pytest.mark.parametrize(("width", "classes", "size"), [(1, 2, 7_154), (1, 3, 7_195), (2, 2, 22_370), (2, 3, 22_451)])
def test_the_keras_ports_swishnet_has_its_size(width: int, classes: int, size: int) -> None:
    assert parameters(SwishNetKeras(NoFrontend(), 20, 16, classes, width=width)) == size


def test_a_frame_of_the_keras_port_hears_38() -> None:
    torch.manual_seed(0)
    model = SwishNetKeras(NoFrontend(), 20, 100, 2).eval().double()
    x = torch.randn(1, 20, 100, dtype=torch.float64, requires_grad=True)
    model.frame_logits(x)[0, 80].sum().backward()  # type: ignore[no-untyped-call]
    heard = x.grad[0].abs().sum(0).nonzero().flatten()  # type: ignore[index]
    assert (heard.min(), heard.max()) == (80 - LOOK_BACK, 80)
    assert LOOK_BACK == 37


def test_gmm_has_the_published_size_with_tied_weights() -> None:
    """3 · 256 means and variances in 60 dimensions; one set of 256 mixture weights, or three."""
    assert parameters(GMM(NoFrontend(), 60, 200, 3, tied=True)) == 92_160 + 256 == 92_416
    assert parameters(GMM(NoFrontend(), 60, 200, 3)) == 92_160 + 3 * 256


def test_a_mixtures_density_is_that_of_torchs_distributions() -> None:
    torch.manual_seed(0)
    model = GMM(NoFrontend(), 4, 10, 3, components=5).double()
    nn.init.normal_(model.log_variances)
    x = torch.randn(2, 10, 4, dtype=torch.float64)
    parts = torch.distributions.Independent(torch.distributions.Normal(model.means, (model.log_variances / 2).exp()), 1)
    mixture = torch.distributions.MixtureSameFamily(torch.distributions.Categorical(logits=model.weights), parts)
    torch.testing.assert_close(model.frame_logits(x.mT), mixture.log_prob(x[:, :, None]))  # type: ignore[no-untyped-call]
    torch.testing.assert_close(model.classify(x.mT), mixture.log_prob(x[:, :, None]).mean(1))  # type: ignore[no-untyped-call]


def steps(model: GMM, x: Tensor, target: Tensor, epochs: int) -> list[float]:
    """Return the mean log-likelihood of the right class after each step of expectation maximisation."""
    found = []
    for epoch in range(epochs):
        model.on_train_epoch_start()
        with torch.no_grad():
            for part in range(0, len(x), 16):
                model._add(model.standardise(x[part : part + 16]), target[part : part + 16])
            if epoch == 0:
                model._draw()
                continue
            model._maximise()
            found.append(model.classify(x).gather(1, target[:, None]).mean().item())
    return found


def clouds(seed: int = 0) -> tuple[Tensor, Tensor]:
    """Clips `(64, 3, 20)` of two classes, each of two clouds, and their targets; no mean frame tells them apart."""
    rng = torch.Generator().manual_seed(seed)
    target = torch.arange(64) % 2
    side = torch.randint(0, 2, (64, 1, 20), generator=rng) * 2.0 - 1
    x = 0.3 * torch.randn(64, 3, 20, generator=rng)
    x[:, :1] += 2 * side
    x[:, 1:2] += 2 * side * (1 - 2 * target[:, None, None])
    return 10 * x + 5, target


@pytest.mark.parametrize("tied", [False, True])
def test_expectation_maximisation_never_lowers_the_likelihood_and_learns(tied: bool) -> None:
    torch.manual_seed(0)
    x, target = clouds()
    model = GMM(NoFrontend(), 3, 20, 2, components=4, tied=tied)
    likelihood = steps(model, x, target, 12)
    assert all(after >= before - 1e-4 for before, after in itertools.pairwise(likelihood))
    other, labels = clouds(1)
    assert (model.classify(other).argmax(1) == labels).float().mean() == 1


def test_a_step_equals_scikit_learns() -> None:
    mixture = pytest.importorskip("sklearn.mixture")
    torch.manual_seed(0)
    x, _ = clouds()
    target = torch.zeros(64, dtype=torch.int64)
    model = GMM(NoFrontend(), 3, 20, 1, components=4).double()
    x = x.double()
    steps(model, x, target, 1)
    frames = model.standardise(x).flatten(0, 1).numpy()
    reference = mixture.GaussianMixture(
        4, covariance_type="diag", max_iter=1, reg_covar=0, weights_init=model.weights.softmax(1)[0].detach().numpy(),
        means_init=model.means[0].detach().numpy(), precisions_init=(-model.log_variances[0]).exp().detach().numpy(),
    )  # fmt: skip
    with pytest.warns(UserWarning, match="did not converge"):
        reference.fit(frames)
    model.on_train_epoch_start()
    model._drawn = True
    with torch.no_grad():
        model._add(model.standardise(x), target)
        model._maximise()
    np.testing.assert_allclose(model.means[0].detach().numpy(), reference.means_, atol=1e-9)
    np.testing.assert_allclose(model.log_variances[0].detach().exp().numpy(), reference.covariances_, atol=1e-9)
    np.testing.assert_allclose(model.weights.softmax(1)[0].detach().numpy(), reference.weights_, atol=1e-5)


@pytest.mark.parametrize(
    ("recipe", "task", "words"),
    [(Recipe(ema_decay=0.9), "single", "leave ema_decay out"), (Recipe(), "multi", "clips of one class")],
)
def test_what_has_no_meaning_for_mixtures_is_refused(recipe: Recipe, task: str, words: str) -> None:
    model = GMM(NoFrontend(), 3, 20, 2, components=4)
    model.recipe, model.task = recipe, task  # type: ignore[assignment]
    with pytest.raises(TrainingError, match=words):
        model._refuse()


def test_the_networks_behind_a_cnn_are_of_one_size() -> None:
    """Within 1 %, as the suite liquid-cnn-ltc has them: ten classes, 64 bands."""
    built = {
        "cnn-ltc": CNNLTC(NoFrontend(), 64, 500, 10),
        "full": CNNLTC(NoFrontend(), 64, 500, 10, wiring="full"),
        "cnn-cfc": CNNCfC(NoFrontend(), 64, 500, 10, units=38),
        "cnn-lstm": CNNRecurrent(NoFrontend(), 64, 500, 10),
        "cnn-gru": CNNRecurrent(NoFrontend(), 64, 500, 10, **catalog.MODELS["cnn-gru"].arguments),
        "cnn": CNN(NoFrontend(), 64, 500, 10, channels=(16, 30, 54)),
    }
    sizes = {name: parameters(model) for name, model in built.items()}
    assert sizes == {
        "cnn-ltc": 57_466, "full": 57_466, "cnn-cfc": 57_178, "cnn-lstm": 57_978, "cnn-gru": 57_887, "cnn": 57_660,
    }  # fmt: skip
    assert max(sizes.values()) / min(sizes.values()) < 1.015


def test_a_full_wiring_has_every_synapse() -> None:
    masks = {
        wiring: next(
            p
            for name, p in LTC(NoFrontend(), 8, 50, 3, units=16, wiring=wiring).named_parameters()
            if name.endswith("cell.sparsity_mask")
        )
        for wiring in ("ncp", "full")
    }
    assert masks["full"].abs().sum() == 16 * 16
    assert masks["ncp"].abs().sum() < 16 * 16 / 2


@pytest.mark.parametrize(("layers", "bidirectional"), [(1, True), (2, False), (3, True)])
def test_a_plain_lstm_has_the_size_of_its_formula(layers: int, bidirectional: bool) -> None:
    model = LSTMPlain(NoFrontend(), 128, 10, 527, layers=layers, bidirectional=bidirectional)
    ways = 1 + bidirectional
    body = sum(ways * 400 * ((128 if i == 0 else ways * 100) + 100 + 2) for i in range(layers))
    assert parameters(model) == body + (ways * 100 + 1) * 500 + 501 * 527


def test_a_plain_lstm_is_torchs_stacked_one_and_hears_no_padding() -> None:
    torch.manual_seed(0)
    model = LSTMPlain(NoFrontend(), 6, 9, 4, hidden=5, layers=2).double().eval()
    reference = nn.LSTM(6, 5, num_layers=2, batch_first=True, bidirectional=True).double()
    for i in range(2):
        for ending, layer in (("", model.forwards[i]), ("_reverse", model.backwards[i])):
            for name, value in layer.state_dict().items():
                reference.state_dict()[name.replace("l0", f"l{i}") + ending].copy_(value)
    x = torch.rand(3, 7, 6, dtype=torch.float64)
    states = reference(model.standardise(x.mT).mT)[0].mean(1)
    torch.testing.assert_close(model(x), model.logits(model.hidden(states).relu()))
    padded = torch.cat([x, torch.zeros(3, 2, 6, dtype=torch.float64)], 1)
    torch.testing.assert_close(model(padded), model(x))


def test_numpys_layer_has_torchs_outputs_and_gradients() -> None:
    torch.manual_seed(0)
    mine, theirs = NumpyLinear(7, 3), nn.Linear(7, 3)
    theirs.load_state_dict(mine.state_dict())
    x = torch.randn(5, 7, requires_grad=True)
    found = []
    for layer in (mine, theirs):
        x.grad = None
        y = layer(x)
        y.square().sum().backward()
        found.append([y.detach(), x.grad, layer.weight.grad, layer.bias.grad])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)
    assert type(mine(x).grad_fn).__name__ == "_ProductBackward"
    assert torch.equal(mine.eval()(x), theirs(x))


def test_the_fully_connected_network_learns_alike_in_numpy() -> None:
    torch.manual_seed(0)
    x, losses = torch.rand(8, 10, 128), []
    for numpy in (False, True):
        torch.manual_seed(1)
        model = FC(NoFrontend(), 128, 10, 5, hidden=20, dropout=0.0, input_dropout=0.0, numpy=numpy)
        optimiser = torch.optim.Adam(model.parameters(), 1e-2)
        for _ in range(5):
            loss = nn.functional.cross_entropy(model(x), torch.arange(8) % 5)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        losses.append(loss.item())
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    assert losses[0] < math.log(5)
