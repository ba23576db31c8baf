"""Fusion of several models' outputs: pure functions on log-probabilities, in the log domain throughout.

A source's softmax is read as masses on the C exclusive classes. N sources `(N, B, C)` are fused to log-masses `(B, C)`
and their conflict `(B,)`. The log domain is needed, because products of sharp softmaxes underflow to 0/0.

* Weighted average: the mixture of the sources, optionally with weights fitted on validation data (`fit_weights`).
* Dempster's rule (Dempster 1967; Shafer 1976): on such masses it is the normalised product, so fusing softmaxes is the
  softmax of the summed logits.
* Murphy (2000, Decision Support Systems 29): average the masses, then combine the average with itself N-1 times.
* Deng et al. (2004, Decision Support Systems 38): as Murphy, but sources far from the others weigh little.
* Improved D-S, after Li et al. 2017 (Sensors 17(8) 1729, doi:10.3390/s17081729): the paper weights each source by its
  distance to the others and by a modified Gini index. Its formulas were not available, so this is a
  self-consistent reconstruction, not exactly the published rule.

The conflict k is always Dempster's: the mass that the sources' product leaves on no class. A uniform source changes
nothing and yet gives k = 1 - 1/C, so a high k alone does not mean disagreement.

Shape letters: **N** sources, **B** batch, **C** classes.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from models.base import ModelError

Method = Callable[[Tensor], tuple[Tensor, Tensor]]

_TOLERANCE = 1e-3  # of log sum p: float32 log_softmax over hundreds of classes stays below 1e-5


def weighted_average(log_probabilities: Tensor, weights: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Average the sources' probabilities.

    Args:
        log_probabilities: `(N, B, C)`, each row normalised; -inf is a probability of 0.
        weights: `(N,)`, ≥ 0, brought to sum 1; equal where None.

    Returns:
        Fused log-probabilities `(B, C)` and the conflict of Dempster's rule `(B,)`, which weights do not change.

    Raises:
        ModelError: a shape is wrong, a row does not sum to 1, or the weights are negative or all zero.
    """
    log_p = _checked(log_probabilities)
    if weights is None:
        return _mean(log_p), _product(log_p)[1]
    w = weights.to(log_p)
    valued = torch.compiler.is_compiling() or (bool((w >= 0).all()) and 0 < float(w.sum()) < math.inf)
    if w.shape != log_p.shape[:1] or not valued:
        raise ModelError(f"weights must be {len(log_p)} numbers ≥ 0, not all 0: got {weights.tolist()}")
    log_w = (w / w.sum()).log()
    return torch.logsumexp(log_p + log_w[:, None, None], 0), _product(log_p)[1]


def dempster_shafer(log_probabilities: Tensor) -> tuple[Tensor, Tensor]:
    """Combine the sources by Dempster's rule, m(A) = Π m_i(A) / (1 - k).

    A class with probability 0 in one source stays at 0. Where every class has probability 0 in some source (total
    conflict) the rule is undefined: Murphy's average replaces it, and the conflict is exactly 1. (A k that only rounds
    to 1 is not such a case, and the rule applies.)

    Args:
        log_probabilities: `(N, B, C)`, each row normalised; -inf is a probability of 0.

    Returns:
        Fused log-masses `(B, C)` and the conflict k `(B,)` in [0, 1].

    Raises:
        ModelError: a shape is wrong or a row does not sum to 1.
    """
    log_p = _checked(log_probabilities)
    product, conflict = _product(log_p)
    undefined = product.isneginf().all(-1)
    fused = product - torch.logsumexp(product, -1, keepdim=True)  # NaN where undefined, replaced below
    return torch.where(undefined[:, None], _self_combined(_mean(log_p), len(log_p)), fused), conflict


def murphy(log_probabilities: Tensor) -> tuple[Tensor, Tensor]:
    """Average the sources, then combine the average with itself N-1 times: m(A) ∝ mean(A)^N.

    Args:
        log_probabilities: `(N, B, C)`, each row normalised; -inf is a probability of 0.

    Returns:
        Fused log-masses `(B, C)` and the conflict k of the sources themselves `(B,)`.

    Raises:
        ModelError: a shape is wrong or a row does not sum to 1.
    """
    log_p = _checked(log_probabilities)
    return _self_combined(_mean(log_p), len(log_p)), _product(log_p)[1]


def deng(log_probabilities: Tensor) -> tuple[Tensor, Tensor]:
    """Weight each source by its agreement with the others, average, combine the average with itself N-1 times.

    With Jousselme's distance d_ij = sqrt(½ Σ_A (m_i(A) - m_j(A))²), source i has the weight Σ_{j≠i} (1 - d_ij), brought
    to sum 1. Where all are 0 they count as equal.

    Args:
        log_probabilities: `(N, B, C)`, each row normalised; -inf is a probability of 0.

    Returns:
        Fused log-masses `(B, C)` and the conflict k of the sources themselves `(B,)`.

    Raises:
        ModelError: a shape is wrong or a row does not sum to 1.
    """
    log_p = _checked(log_probabilities)
    return _self_combined(_mean(log_p, _credibility(log_p.exp())), len(log_p)), _product(log_p)[1]


def improved_dempster_shafer(log_probabilities: Tensor) -> tuple[Tensor, Tensor]:
    """Weight each source by its agreement with the others and by its purity, average, combine the average with itself.

    A reconstruction (see the module): with d_ij = sqrt(½ Σ_A (m_i(A) - m_j(A))²), source i has the credibility
    c_i = Σ_{j≠i} (1 - d_ij), the purity p_i = exp(-(1 - Σ_A m_i(A)²)) and the weight w_i ∝ c_i p_i; the weighted
    average is combined with itself N-1 times. Where all credibilities are 0 they count as equal. With two sources the
    distance carries no information (c_1 = c_2); only purity has an effect. Identical sources give Dempster's rule.

    Args:
        log_probabilities: `(N, B, C)`, each row normalised; -inf is a probability of 0.

    Returns:
        Fused log-masses `(B, C)` and the conflict k of the sources themselves `(B,)`.

    Raises:
        ModelError: a shape is wrong or a row does not sum to 1.
    """
    log_p = _checked(log_probabilities)
    mass = log_p.exp()  # only for distance and purity, for which an underflow to 0 is harmless
    weight = _credibility(mass) * (mass.square().sum(-1) - 1).exp()
    return _self_combined(_mean(log_p, weight), len(log_p)), _product(log_p)[1]


def fuse_labels(method: Method, log_p: Tensor, log_not_p: Tensor) -> tuple[Tensor, Tensor]:
    """Fuse multi-label outputs: each label is a frame of its own with two classes, present and absent.

    With `dempster_shafer` the fused p is sigmoid(Σ logits). Each source's logit holds the label's prior, and the sum
    counts it N times: rare labels come out too improbable (the ranking of clips within a label does not suffer).

    Args:
        method: `dempster_shafer`, `improved_dempster_shafer`, `murphy`, `weighted_average` or a partial of it.
        log_p: log-sigmoid of the logits `(N, B, C)`.
        log_not_p: log-sigmoid of the negated logits `(N, B, C)`.

    Returns:
        Fused log-odds `(B, C)`, finite, and the conflict `(B,)`, mean over labels.

    Raises:
        ModelError: a shape is wrong or p and not-p do not sum to 1.
    """
    if log_p.shape != log_not_p.shape or log_p.dim() != 3:
        raise ModelError(f"log_p and log_not_p must both be (N, B, C), got {_shape(log_p)} and {_shape(log_not_p)}")
    fused, conflict = method(torch.stack([log_p, log_not_p], -1).flatten(1, 2))  # (B C, 2), (B C)
    most = torch.finfo(fused.dtype).max
    log_odds = (fused[:, 0] - fused[:, 1]).clamp(-most, most)
    return log_odds.view(log_p.shape[1:]), conflict.view(log_p.shape[1:]).mean(1)


def fit_weights(log_probabilities: Tensor, targets: Tensor, log_not: Tensor | None = None) -> Tensor:
    """Return the weights `(N,)` of `weighted_average` with the least log-loss on validation clips.

    The loss is the NLL, for multi-label data the binary cross-entropy over all labels. It is convex in the weights;
    expectation maximisation from equal weights finds its minimum, the same one every time.

    Args:
        log_probabilities: `(N, B, C)`; for multi-label data the log-sigmoid of the logits.
        targets: `(B,)` int64, or `(B, C)` in [0, 1] for multi-label data.
        log_not: the log-sigmoid of the negated logits `(N, B, C)`, for multi-label data only.

    Raises:
        ModelError: shapes or targets do not fit, or a row does not sum to 1.
    """
    if log_not is None:
        log_p = _checked(log_probabilities)
        _, b, c = log_p.shape
        if targets.shape != (b,) or targets.is_floating_point() or not bool(((targets >= 0) & (targets < c)).all()):
            raise ModelError(f"targets must be {b} class numbers in 0 to {c - 1}; multi-label data needs log_not")
        seen = log_p[:, torch.arange(b), targets]  # (N, B): what each source gave to what was the case
        count = torch.ones(b)
    else:
        if not log_probabilities.shape == log_not.shape == (len(log_not), *targets.shape):
            raise ModelError(
                f"log_probabilities and log_not must be (N, B, C) and targets (B, C), got {_shape(log_probabilities)}, "
                f"{_shape(log_not)}, {_shape(targets)}"
            )
        _checked(torch.stack([log_probabilities, log_not], -1).flatten(1, 2))
        seen = torch.cat([log_probabilities.flatten(1), log_not.flatten(1)], 1)  # (N, 2 B C)
        count = torch.cat([targets.flatten(), 1 - targets.flatten()])
    seen, count = seen.double(), count.double()
    best = seen.amax(0)
    use = (
        count > 0
    ) & ~best.isneginf()  # a target that no source holds possible carries no information about the weights
    likelihood, count = (seen - best)[:, use].exp(), count[use]  # scaled per clip, which the weights do not notice
    weights = torch.full((len(seen),), 1 / len(seen), dtype=torch.float64)
    for _ in range(1000 if len(count) else 0):
        old = weights
        weights = old * (likelihood @ (count / (old @ likelihood))) / count.sum()
        if float((weights - old).abs().max()) < 1e-9:
            break
    return weights.to(log_probabilities)


def _checked(log_p: Tensor) -> Tensor:
    if log_p.dim() != 3 or 0 in log_p.shape or not log_p.is_floating_point():
        raise ModelError(f"log-probabilities must be a float tensor (N, B, C), got {log_p.dtype} {_shape(log_p)}")
    if torch.compiler.is_compiling():  # a graph has no errors that depend on values
        return log_p
    total = torch.logsumexp(log_p, -1)
    wrong = ~(total.abs() <= _TOLERANCE)  # NaN is wrong too
    if bool(wrong.any()):
        source, clip = wrong.nonzero()[0].tolist()
        raise ModelError(
            f"source {source}, clip {clip}: the probabilities sum to {float(total[source, clip].exp()):.4g}, not 1. "
            f"Pass log_softmax of the logits (log-sigmoid for labels), not logits or probabilities."
        )
    return log_p


def _shape(x: Tensor) -> tuple[int, ...]:
    return tuple(x.shape)


def _product(log_p: Tensor) -> tuple[Tensor, Tensor]:
    """Return the sources' log-product `(B, C)` and the mass k `(B,)` that it lacks to 1."""
    product = log_p.sum(0)
    if len(log_p) == 1:
        return product, torch.zeros_like(product[:, 0])  # not what rounding leaves of 1 - Σ p
    return product, -torch.expm1(torch.logsumexp(product, -1).clamp(max=0))


def _mean(log_p: Tensor, weight: Tensor | None = None) -> Tensor:
    """Return the log of the sources' mean `(B, C)`, with weights `(N, B)` of any sum."""
    if weight is None:
        return torch.logsumexp(log_p, 0) - math.log(len(log_p))
    return torch.logsumexp(log_p + (weight / weight.sum(0)).log()[..., None], 0)


def _credibility(mass: Tensor) -> Tensor:
    """Return Σ_{j≠i} (1 - d_ij) of each source `(N, B)`, 1 for all where no two agree at all."""
    distance = (mass[:, None] - mass[None]).square().sum(-1).mul(0.5).sqrt()  # (N, N, B)
    credibility = (1 - distance).clamp(min=0).sum(1) - 1  # each source's d_ii = 0 does not count
    return torch.where(credibility.sum(0) > 1e-6, credibility.clamp(min=0), torch.ones_like(credibility))


def _self_combined(log_mean: Tensor, n: int) -> Tensor:
    return torch.log_softmax(n * log_mean, -1)  # m^n / Σ m^n
