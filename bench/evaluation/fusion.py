"""Combination of members' logits by a fusion rule of the catalogue."""

from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from models import fusion


def fuse_logits(
    logits: Tensor, method: str, task: str, weights: NDArray[np.float64] | Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Combine members' logits `(N, B, C)` to fused logits `(B, C)` and the conflict `(B,)`.

    Args:
        logits: of the members.
        method: a fusion of the catalogue: weighted-average, dempster-shafer or improved-dempster-shafer.
        task: single-label data is fused over all classes, multi-label data per label over {present, absent}.
        weights: of the members, for the weighted average; None gives equal weights.
    """
    rule = getattr(fusion, method.replace("-", "_"))
    if method == "weighted-average" and weights is not None:
        rule = partial(rule, weights=torch.as_tensor(weights))
    if task == "single":
        fused, conflict = rule(torch.log_softmax(logits, -1))
    else:
        fused, conflict = fusion.fuse_labels(rule, F.logsigmoid(logits), F.logsigmoid(-logits))
    return fused, conflict


class Fused(nn.Module):
    """Trained members and their fusion rule in one module, so that timings include all of them."""

    def __init__(self, members: Sequence[nn.Module], method: str, task: str, weights: NDArray[np.float64]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.method = method
        self.task = task
        self.weights = weights

    def forward(self, x: Tensor) -> Tensor:
        """Map the batch's `x` to fused logits `(B, C)`."""
        return fuse_logits(torch.stack([member(x) for member in self.members]), self.method, self.task, self.weights)[0]
