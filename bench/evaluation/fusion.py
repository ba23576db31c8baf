"""Combination of members' logits by a fusion rule of the catalogue."""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from bench import catalog
from models import fusion

Rule = Callable[[Tensor], tuple[Tensor, Tensor]]
"""Maps log-probabilities of N members `(N, B, C)` to fused ones `(B, C)` and the members' conflict `(B,)`."""


def fusion_rule(name: str, weights: NDArray[np.float64] | Tensor) -> Rule:
    """Return the rule of a fusion of the catalogue.

    Args:
        name: of the catalogue.
        weights: one of each member `(N,)`; a rule that takes no weights leaves them out.
    """
    entry = catalog.fusion(name)
    rule: Callable[..., tuple[Tensor, Tensor]] = catalog.load(entry.target)
    return partial(rule, weights=torch.as_tensor(weights)) if entry.weighted else rule


def fuse_logits(logits: Tensor, rule: Rule, task: str) -> tuple[Tensor, Tensor]:
    """Combine members' logits `(N, B, C)` to fused logits `(B, C)` and the conflict `(B,)`.

    Args:
        logits: of the members.
        rule: combines log-probabilities.
        task: single-label data is fused over all classes, multi-label data per label over {present, absent}.
    """
    if task == "single":
        fused, conflict = rule(torch.log_softmax(logits, -1))
    else:
        fused, conflict = fusion.fuse_labels(rule, F.logsigmoid(logits), F.logsigmoid(-logits))
    return fused, conflict


class Fused(nn.Module):
    """Trained members and their fusion rule in one module, so that timings include all of them."""

    def __init__(self, members: Sequence[nn.Module], rule: Rule, task: str) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.rule = rule
        self.task = task

    def forward(self, x: Tensor) -> Tensor:
        """Map the batch's `x` to fused logits `(B, C)`."""
        return fuse_logits(torch.stack([member(x) for member in self.members]), self.rule, self.task)[0]
