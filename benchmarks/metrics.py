"""mAP and mAUC of AudioSet's evaluation set against torchmetrics' exact version, and every class against scikit-learn.

    .venv/bin/python benchmarks/metrics.py

20,371 clips and 527 labels as frequent as AudioSet's, with tied scores and a label without positives. Both take turns
in one process on one thread; each turn gives a ratio, and the median ratio is printed with the least and the greatest.
The time of 100 draws of the bootstrap is printed, too.
"""

import argparse
import sys
import time
import warnings

import numpy as np
import torch
from sklearn.metrics import average_precision_score, roc_auc_score
from torchmetrics.functional.classification import multilabel_auroc, multilabel_average_precision

from bench.evaluation.metrics import bootstrap_draws
from models.metrics import ranking

CLIPS, LABELS, TURNS = 20_371, 527, 5


def data() -> tuple[np.ndarray, np.ndarray]:
    """Return logits `(N, C)` float32 and labels `(N, C)`."""
    rng = np.random.default_rng(0)
    frequency = np.exp(rng.uniform(np.log(8), np.log(500), LABELS)) / CLIPS  # two to three labels a clip, as there
    labels = rng.random((CLIPS, LABELS)) < frequency
    labels[:, 0] = False  # a label without positives
    logits = rng.standard_normal((CLIPS, LABELS)).astype(np.float32) + 1.5 * labels
    logits[:, 1:50] = logits[:, 1:50].round(1)  # ties
    return logits.astype(np.float32), labels


def theirs(logits: torch.Tensor, labels: torch.Tensor) -> None:
    """Compute both by torchmetrics, without thresholds: exactly."""
    multilabel_average_precision(logits, labels, LABELS, average=None, thresholds=None, validate_args=False)
    multilabel_auroc(logits, labels, LABELS, average=None, thresholds=None, validate_args=False)


def main() -> int:
    """Print the greatest difference and the ratio; return 1 where a class differs by more than 1e-6."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    logits, labels = data()
    precision, area = ranking.average_precision_and_auc(logits, labels)
    worst = 0.0
    for c in range(LABELS):
        if not labels[:, c].any():
            assert np.isnan(precision[c])
            assert np.isnan(area[c])
            continue
        exact = average_precision_score(labels[:, c], logits[:, c]), roc_auc_score(labels[:, c], logits[:, c])
        worst = max(worst, abs(precision[c] - exact[0]), abs(area[c] - exact[1]))
    print(f"greatest difference of a class to scikit-learn: {worst:.1e}")

    tensors = torch.from_numpy(logits), torch.from_numpy(labels.astype(np.int64))
    ratios, ours = [], []
    for _ in range(TURNS):
        start = time.perf_counter()
        ranking.average_precision_and_auc(logits, labels)
        middle = time.perf_counter()
        theirs(*tensors)
        ours.append(middle - start)
        ratios.append((time.perf_counter() - middle) / ours[-1])
    print(f"ours {np.median(ours):.3f} s; {np.median(ratios):.0f} times as fast as torchmetrics ", end="")
    print(f"({min(ratios):.0f} to {max(ratios):.0f})")
    start = time.perf_counter()
    bootstrap_draws(logits, labels, [str(i) for i in range(CLIPS)], "multi", draws=100)
    print(f"100 draws of the bootstrap: {time.perf_counter() - start:.1f} s")
    return int(worst > 1e-6)


if __name__ == "__main__":
    sys.exit(main())
