"""Fusion against brute-force combination over the power set, published paradoxes, and degenerate evidence."""

import itertools
import math
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from torch import Tensor

from models.base import ModelError
from models.fusion import (
    dempster_shafer,
    deng,
    fit_weights,
    fuse_labels,
    improved_dempster_shafer,
    murphy,
    weighted_average,
)

METHODS = [weighted_average, dempster_shafer, murphy, deng, improved_dempster_shafer]
Masses = dict[frozenset[int], float]


def combine(first: Masses, second: Masses) -> tuple[Masses, float]:
    """Dempster's rule as it is defined, over all pairs of subsets of the frame: the masses, and 1 - k."""
    joint: Masses = {}
    for (a, m), (b, n) in itertools.product(first.items(), second.items()):
        joint[a & b] = joint.get(a & b, 0.0) + m * n
    joint.pop(frozenset(), None)
    agreement = sum(joint.values())  # 1 - k without its cancellation
    return {subset: mass / agreement for subset, mass in joint.items()}, agreement


def brute_force(sources: Tensor) -> tuple[list[float], float]:
    """Combine rows of probabilities `(N, C)`, on a frame whose other subsets have mass 0."""
    classes = range(sources.shape[1])
    subsets = [frozenset(s) for size in range(1, len(classes) + 1) for s in itertools.combinations(classes, size)]
    evidence = [{s: row[min(s)] if len(s) == 1 else 0.0 for s in subsets} for row in sources.tolist()]
    fused, agreement = evidence[0], 1.0
    for other in evidence[1:]:
        fused, step = combine(fused, other)
        agreement *= step
    return [fused[frozenset({c})] for c in classes], 1 - agreement


def random_masses(n: int, batch: int, classes: int, dtype: torch.dtype, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.log_softmax(2 * torch.randn(n, batch, classes, generator=generator, dtype=dtype), -1)


def table(*rows: tuple[float, ...]) -> Tensor:
    return torch.tensor(rows, dtype=torch.float64).log()[:, None]  # (N, 1, C)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
@pytest.mark.parametrize("n", [2, 3, 5])
def test_dempster_is_the_combination_over_the_power_set(n: int, dtype: torch.dtype, tolerance: float) -> None:
    sources = random_masses(n, 4, 5, dtype, seed=n)
    fused, conflict = dempster_shafer(sources)
    for clip in range(4):
        masses, k = brute_force(sources[:, clip].double().exp())
        assert fused[clip].exp().tolist() == pytest.approx(masses, abs=tolerance)
        assert conflict[clip].item() == pytest.approx(k, abs=tolerance)


def test_dempster_is_associative_and_its_agreements_multiply() -> None:
    a, b, c = random_masses(3, 6, 7, torch.float64)
    together, k = dempster_shafer(torch.stack([a, b, c]))
    first, k_first = dempster_shafer(torch.stack([a, b]))
    folded, k_second = dempster_shafer(torch.stack([first, c]))
    torch.testing.assert_close(together, folded, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(1 - k, (1 - k_first) * (1 - k_second), rtol=1e-12, atol=1e-12)


def test_dempster_of_softmaxes_is_the_softmax_of_summed_logits_where_products_underflow() -> None:
    logits = 200 * torch.randn(4, 3, 50, generator=torch.Generator().manual_seed(1))
    assert (torch.softmax(logits, -1).prod(0).sum(-1) == 0).any()  # probabilities would be 0/0 here
    fused, _ = dempster_shafer(torch.log_softmax(logits, -1))
    torch.testing.assert_close(fused, torch.log_softmax(logits.sum(0), -1), rtol=1e-5, atol=1e-3)


# The evidence of four paradoxes of the literature and, to four decimals, (classical, k), Murphy's rule with n - 1
# self-combinations, Deng's, and the reconstruction of the improved rule, each worked out apart from this code.
PARADOXES = {
    "complete conflict": (
        table((1, 0, 0), (0, 1, 0), (0.8, 0.1, 0.1), (0.8, 0.1, 0.1)),
        (None, 1.0),
        (0.9566, 0.0434, 0.0000),
        (0.9995, 0.0004, 0.0000),
        (0.9995, 0.0005, 0.0000),
    ),
    "0 trust": (
        table((0.5, 0.2, 0.3), (0.5, 0.2, 0.3), (0, 0.9, 0.1), (0.5, 0.2, 0.3)),
        ((0, 0.7273, 0.2727), 0.9901),
        (0.4551, 0.4551, 0.0899),
        (0.7253, 0.1593, 0.1154),
        (0.5954, 0.2990, 0.1057),
    ),
    "1 trust": (
        table((0.9, 0.1, 0), (0, 0.1, 0.9), (0.1, 0.15, 0.75), (0.1, 0.15, 0.75)),
        ((0, 1, 0), 0.999775),
        (0.0422, 0.0018, 0.9560),
        (0.0013, 0.0011, 0.9976),
        (0.0016, 0.0010, 0.9974),
    ),
    "high conflict": (
        table(
            (0.7, 0.1, 0.1, 0, 0.1),
            (0, 0.5, 0.2, 0.1, 0.2),
            (0.6, 0.1, 0.15, 0, 0.15),
            (0.55, 0.1, 0.1, 0.15, 0.1),
            (0.6, 0.1, 0.2, 0, 0.1),
        ),
        ((0, 0.3571, 0.4286, 0, 0.2143), 0.99986),
        (0.9894, 0.0066, 0.0027, 0, 0.0013),
        (0.9959, 0.0019, 0.0016, 0, 0.0007),
        (0.9965, 0.0015, 0.0014, 0, 0.0006),
    ),
}


@pytest.mark.parametrize("name", PARADOXES)
def test_paradoxes(name: str) -> None:
    evidence, (classical, k), by_murphy, by_deng, improved = PARADOXES[name]
    fused, conflict = dempster_shafer(evidence)
    assert fused[0].exp().tolist() == pytest.approx(classical or by_murphy, abs=6e-5)  # undefined: Murphy stands in
    assert conflict.item() == pytest.approx(k, abs=6e-6)
    for method, expected in ((murphy, by_murphy), (deng, by_deng), (improved_dempster_shafer, improved)):
        fused, conflict = method(evidence)
        assert fused[0].exp().tolist() == pytest.approx(expected, abs=6e-5)
        assert conflict.item() == pytest.approx(k, abs=6e-6)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("n", [2, 3, 4])
def test_total_conflict_is_flagged_and_never_nan(method: object, n: int) -> None:
    one_hot = torch.eye(4)[:n, None].expand(n, 2, 4).log()
    fused, conflict = method(one_hot)  # type: ignore[operator]
    assert conflict.tolist() == [1, 1]
    expected = [1 / n] * n + [0.0] * (4 - n)  # by symmetry, and no source holds the rest possible
    assert fused.exp()[0].tolist() == pytest.approx(expected, abs=1e-6)


def test_total_conflict_of_one_clip_leaves_the_others_alone() -> None:
    sources = torch.tensor([[[1.0, 0], [0.6, 0.4]], [[0, 1.0], [0.5, 0.5]]]).log()
    fused, conflict = dempster_shafer(sources)
    assert fused.exp().tolist() == [pytest.approx([0.5, 0.5]), pytest.approx([0.6, 0.4])]
    assert conflict.tolist() == pytest.approx([1, 0.5])  # a uniform source: k = 1 - 1/C


def test_a_zero_is_a_veto() -> None:
    fused, conflict = dempster_shafer(table((0, 0.5, 0.5), (0.98, 0.01, 0.01)))
    assert fused[0].exp().tolist() == pytest.approx([0, 0.5, 0.5])
    assert conflict.item() == pytest.approx(0.99)


def test_near_total_conflict_keeps_dempsters_rule() -> None:
    """k rounds to 1 here and yet the rule is defined: the class both allow, however little, wins."""
    sources = torch.tensor([[[-1e-30, -math.inf, -300.0]], [[-math.inf, -1e-30, -300.0]]], dtype=torch.float64)
    fused, conflict = dempster_shafer(sources)
    assert fused[0].tolist() == [-math.inf, -math.inf, 0]
    assert conflict.item() == 1


@pytest.mark.parametrize("method", METHODS)
def test_one_source_stays_as_it_is(method: object) -> None:
    source = torch.cat([random_masses(1, 3, 6, torch.float64), torch.eye(6, dtype=torch.float64)[None, :2].log()], 1)
    fused, conflict = method(source)  # type: ignore[operator]
    torch.testing.assert_close(fused, source[0], rtol=1e-14, atol=1e-14)
    assert conflict.tolist() == [0] * 5


def test_a_uniform_source_changes_nothing_for_dempster() -> None:
    sources = random_masses(2, 5, 8, torch.float64)
    uniform = torch.full((1, 5, 8), -math.log(8), dtype=torch.float64)
    fused, k = dempster_shafer(torch.cat([sources, uniform]))
    alone, k_alone = dempster_shafer(sources)
    torch.testing.assert_close(fused, alone, rtol=1e-13, atol=1e-13)
    torch.testing.assert_close(1 - k, (1 - k_alone) / 8, rtol=1e-12, atol=0)


@pytest.mark.parametrize("method", METHODS)
@settings(max_examples=25, derandomize=True)
@given(seed=st.integers(0, 2**31), n=st.integers(1, 5), classes=st.integers(2, 9), zeros=st.floats(0, 0.8))
def test_any_evidence_gives_masses_that_permute_with_classes_and_not_with_sources(
    method: object, seed: int, n: int, classes: int, zeros: float
) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(n, 4, classes, generator=generator, dtype=torch.float64)
    absent = torch.rand(n, 4, classes, generator=generator) < zeros
    absent[..., 0] &= ~absent.all(-1)
    sources = torch.log_softmax(logits.masked_fill(absent, -math.inf), -1)
    fused, conflict = method(sources)  # type: ignore[operator]
    assert fused.exp().sum(-1).tolist() == pytest.approx([1] * 4)
    assert ((conflict >= 0) & (conflict <= 1)).all()
    order = torch.randperm(classes, generator=generator)
    permuted, same = method(sources[..., order])  # type: ignore[operator]
    torch.testing.assert_close(permuted.exp(), fused[:, order].exp(), rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(same, conflict, rtol=1e-9, atol=1e-12)
    reordered, same = method(sources[torch.randperm(n, generator=generator)])  # type: ignore[operator]
    torch.testing.assert_close(reordered.exp(), fused.exp(), rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(same, conflict, rtol=1e-9, atol=1e-12)


def test_improved_rule_on_identical_sources_is_dempsters() -> None:
    source = random_masses(1, 3, 5, torch.float64).expand(4, 3, 5)
    torch.testing.assert_close(improved_dempster_shafer(source)[0], dempster_shafer(source)[0])


def test_improved_rule_on_two_sources_weighs_by_purity_alone() -> None:
    """By hand: c_1 = c_2; Σ m² is 0.54 and 0.5, p = exp(Σ m² - 1); the mean is squared and normalised."""
    sharp, flat = math.exp(-0.46), math.exp(-0.5)
    mean = [0.7 * sharp + 0.5 * flat, 0.2 * sharp + 0.5 * flat, 0.1 * sharp]
    expected = [m**2 / sum(n**2 for n in mean) for m in mean]
    fused, conflict = improved_dempster_shafer(table((0.7, 0.2, 0.1), (0.5, 0.5, 0)))
    assert fused[0].exp().tolist() == pytest.approx(expected)
    assert conflict.item() == pytest.approx(1 - 0.35 - 0.1)


def test_weighted_average_is_the_mixture() -> None:
    sources = table((0.7, 0.3), (0.1, 0.9))
    fused, conflict = weighted_average(sources, torch.tensor([3.0, 1.0]))
    assert fused[0].exp().tolist() == pytest.approx([0.55, 0.45])
    assert conflict.item() == pytest.approx(1 - 0.07 - 0.27)
    assert weighted_average(sources)[0][0].exp().tolist() == pytest.approx([0.4, 0.6])
    assert weighted_average(sources, torch.tensor([0.0, 2.0]))[0][0].exp().tolist() == pytest.approx([0.1, 0.9])


def test_labels_fused_by_dempster_are_sigmoids_of_summed_logits() -> None:
    logits = 40 * torch.randn(3, 4, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    log_odds, conflict = fuse_labels(dempster_shafer, *signs(logits))
    torch.testing.assert_close(log_odds, logits.sum(0), rtol=1e-9, atol=1e-9)
    p = torch.sigmoid(logits)
    expected = 1 - p.prod(0) - (1 - p).prod(0)
    torch.testing.assert_close(conflict, expected.mean(1), rtol=1e-6, atol=1e-9)


def signs(logits: Tensor) -> tuple[Tensor, Tensor]:
    return torch.nn.functional.logsigmoid(logits), torch.nn.functional.logsigmoid(-logits)


@pytest.mark.parametrize("method", METHODS)
def test_labels_of_certain_sources_have_finite_odds(method: object) -> None:
    logits = torch.tensor([[[math.inf, math.inf, 0.0]], [[math.inf, -math.inf, 0.0]]])
    log_odds, conflict = fuse_labels(method, *signs(logits))  # type: ignore[arg-type]
    assert torch.isfinite(log_odds).all()
    assert log_odds[0, 0] > 1e30  # both are certain
    assert log_odds[0, 1:].tolist() == pytest.approx([0, 0], abs=1e-6)  # total conflict; no opinion
    assert conflict.item() == pytest.approx((0 + 1 + 0.5) / 3)


def test_labels_fused_by_weights_are_mixtures() -> None:
    logits = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    method = partial(weighted_average, weights=torch.tensor([0.25, 0.75]))
    log_odds, _ = fuse_labels(method, *signs(logits))
    p = torch.sigmoid(logits)
    torch.testing.assert_close(torch.sigmoid(log_odds), 0.25 * p[0] + 0.75 * p[1])


def test_fitted_weights_have_the_least_nll() -> None:
    generator = torch.Generator().manual_seed(0)
    targets = torch.randint(6, (80,), generator=generator)
    skill = torch.tensor([2.0, 1.0, 0.0])[:, None, None]
    logits = skill * torch.nn.functional.one_hot(targets, 6) + torch.randn(3, 80, 6, generator=generator)
    log_p = torch.log_softmax(logits.double(), -1)
    given = log_p.exp()[:, torch.arange(80), targets].numpy()
    other = minimize(lambda z: -_log_mixture(z, given), [0.0, 0.0, 0.0], method="BFGS", tol=1e-10)
    weights = fit_weights(log_p, targets)
    assert weights.tolist() == pytest.approx(torch.softmax(torch.tensor(other.x), 0).tolist(), abs=1e-3)
    assert weights.sum().item() == pytest.approx(1)
    assert torch.equal(weights, fit_weights(log_p, targets))


def _log_mixture(z: object, given: object) -> float:
    weights = torch.softmax(torch.tensor(z), 0)
    return float((weights @ torch.tensor(given)).log().sum())


def test_fitted_weights_of_labels_have_the_least_cross_entropy() -> None:
    generator = torch.Generator().manual_seed(1)
    targets = (torch.rand(50, 4, generator=generator) < 0.3).double()
    logits = torch.tensor([3.0, 1.0])[:, None, None] * (targets - 0.5) + torch.randn(2, 50, 4, generator=generator)
    log_p, log_not = signs(logits)
    weights = fit_weights(log_p, targets, log_not)
    grid = torch.linspace(0, 1, 1001, dtype=torch.float64)[:, None, None]
    p = grid * log_p[0].exp() + (1 - grid) * log_p[1].exp()
    losses = torch.nn.functional.binary_cross_entropy(p, targets.expand_as(p), reduction="none").mean((1, 2))
    assert weights[0].item() == pytest.approx(grid[losses.argmin()].item(), abs=1.1e-3)


def test_fitted_weights_survive_a_target_that_no_source_holds_possible() -> None:
    sources = torch.tensor([[[1.0, 0], [0.9, 0.1]], [[1.0, 0], [0.2, 0.8]]]).log()
    assert fit_weights(sources, torch.tensor([1, 1])).tolist() == pytest.approx([0, 1], abs=1e-3)
    assert fit_weights(sources[:, :1], torch.tensor([1])).tolist() == [0.5, 0.5]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("sources", "message"),
    [
        (torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0)), "log_softmax"),
        (torch.full((2, 3, 4), 0.25), "log_softmax"),
        (torch.full((2, 3, 4), math.nan), "source 0, clip 0"),
        (torch.full((2, 3, 4), -math.inf), "sum to 0"),
        (torch.zeros(2, 3), r"\(N, B, C\)"),
        (torch.zeros(0, 3, 4), r"\(N, B, C\)"),
        (torch.zeros(2, 3, 1, dtype=torch.int64), "float"),
    ],
)
def test_evidence_that_is_none_is_refused(method: object, sources: Tensor, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        method(sources)  # type: ignore[operator]


@pytest.mark.parametrize("weights", [[1.0], [-1.0, 2.0], [0.0, 0.0], [math.nan, 1.0], [math.inf, 1.0]])
def test_weights_that_are_none_are_refused(weights: list[float]) -> None:
    with pytest.raises(ModelError, match="weights must be 2 numbers"):
        weighted_average(random_masses(2, 3, 4, torch.float32), torch.tensor(weights))


def test_shapes_and_targets_that_do_not_fit_are_refused() -> None:
    sources = random_masses(2, 3, 4, torch.float32)
    with pytest.raises(ModelError, match="both be"):
        fuse_labels(dempster_shafer, sources, sources[:1])
    for targets in (torch.tensor([0, 1]), torch.tensor([0, 1, 4]), torch.tensor([0, -1, 1]), torch.rand(3)):
        with pytest.raises(ModelError, match="class numbers in 0 to 3"):
            fit_weights(sources, targets)
    with pytest.raises(ModelError, match="targets"):
        fit_weights(*signs(torch.zeros(2, 3, 4))[:1], torch.zeros(3, 5), torch.zeros(2, 3, 4))


@pytest.mark.parametrize("weights", [None, torch.tensor([0.25, 0.75])])
def test_an_average_as_a_graph(weights):
    class Average(torch.nn.Module):
        def forward(self, logits):
            return weighted_average(torch.log_softmax(logits, -1), weights)[0]

    logits = torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(0))
    graph = torch.export.export(Average(), (logits,), strict=False).module()
    torch.testing.assert_close(graph(logits), Average()(logits))
