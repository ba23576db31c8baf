"""The metrics of `models.metrics`, and the bootstrap of the primary metric over the groups of the test clips."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from bench.evaluation.metrics import bootstrap
from models.metrics import Array, Scores, Task, checked, macro, primary, ranking, score

__all__ = ["DRAWS", "Array", "Scores", "Task", "bootstrap_draws", "macro", "primary", "score"]

DRAWS = 1000


def bootstrap_draws(
    logits: Array, targets: Array, groups: Sequence[str], task: Task, draws: int = DRAWS, seed: int = 0
) -> npt.NDArray[np.float64] | None:
    """Return the task's primary metric over draws of whole groups with replacement `(D,)`.

    Clips of one source are similar, so sources are resampled instead of clips. The same groups and seed give the same
    draws for any logits, so two systems' draws are paired. A class without a positive in a draw is left out of that
    draw's macro mean.

    A clip that is drawn twice makes a tie that new clips would not make. Where positives are rare, this raises the mAP
    of most draws above the score. The draws of mAP are therefore shifted so that their mean is the score. (In a
    simulation of 2,000 clips and 60 labels with about 11 positives each, at a true mAP of 0.05, 0.23 and 0.58, the
    95 % interval contained the true value in 188, 188 and 181 of 200 cases; without the shift, in 143, 151 and 173.)

    Args:
        logits: `(N, C)`.
        targets: as for `score`.
        groups: source of each of the N clips.
        task: "single" or "multi" label.
        draws: D.
        seed: of the draws.

    Returns:
        The draws; None with fewer than two groups, or where the metric is undefined.

    Raises:
        TrainingError: as for `score`.
        ValueError: the lengths differ.
    """
    x, y = checked(logits, targets, task)
    if len(groups) != len(x):
        raise ValueError(f"{len(groups)} groups for {len(x)} clips")
    names, group = np.unique(np.asarray(groups), return_inverse=True)  # (G,), (N,)
    if len(names) < 2:
        return None
    counts = bootstrap.group_counts(len(names), draws, seed)  # (D, G)
    if task == "single":
        return bootstrap.accuracies(x.argmax(1) == y, group, counts)
    point = macro(ranking.average_precision(x, y.astype(bool)))
    if point is None:
        return None
    values = bootstrap.mean_average_precisions(x, y.astype(bool), group, counts)
    return np.asarray(np.nan_to_num(values - np.nanmean(values)) + point)
