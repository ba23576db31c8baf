"""A second evaluation of a VGGSound run, by VGGSounder's labels, where the package `vggsounder` is installed."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from bench.evaluation import metrics
from bench.records import Record
from datamodules.tables import vggsounder
from models.metrics import ranking, single_label

DATASET = "vggsound"


def with_second_labels(record: Record, logits: npt.NDArray[np.float32], ids: Sequence[str]) -> Record:
    """Return a record with scores by the audible labels of VGGSounder next to those by the official labels.

    `vggsounder_hit` is the share of clips whose most probable class is among their labels, and `vggsounder_mAP` the
    average precision, mean over the classes with a clip. Both are over the test clips that VGGSounder labels.

    Args:
        record: with the official scores and the classes; that of another dataset is returned as it is.
        logits: of the test clips `(N, C)`.
        ids: names of the N clips.

    Raises:
        DataError: as from `vggsounder.installed`.
    """
    if record.run.dataset != DATASET or (second := vggsounder.installed()) is None:
        return record
    chosen = [i for i, name in enumerate(ids) if name in second.audible]
    if not chosen:
        return record
    number = {name: i for i, name in enumerate(record.classes)}
    positive = np.zeros((len(chosen), len(record.classes)), bool)  # (n, C)
    for row, i in enumerate(chosen):
        positive[row, [number[label] for label in second.audible[ids[i]] if label in number]] = True
    x = logits[chosen]
    precision = ranking.average_precision(single_label.log_odds(x), positive)
    scores = {
        "vggsounder_hit": float(positive[np.arange(len(x)), x.argmax(1)].mean()),
        "vggsounder_mAP": metrics.macro(precision),
    }
    defined = {"vggsounder_mAP": (int(np.isfinite(precision).sum()), len(precision))}
    return replace(record, scores=record.scores | scores, defined=record.defined | defined)
