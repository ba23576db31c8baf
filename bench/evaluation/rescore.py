"""Computing scores again from kept logits: a new metric needs no new training."""

import numpy as np

from bench.errors import RecordError
from bench.evaluation import evaluate
from bench.evaluation.metrics import Task
from bench.records import Record, Store


def rescore(store: Store, record: Record) -> Record:
    """Return the record with every score, interval and draw computed again.

    Raises:
        RecordError: its logits are not in the store, or have other clips or classes.
    """
    path = store.artifacts(record.key) / "logits.npz"
    if not path.exists():
        raise RecordError(f"{record.key} has no logits in {path.parent}: run it again with --force")
    with np.load(path) as saved:
        logits, targets, groups = saved["logits"], saved["targets"], saved["test_groups"].tolist()
    if record.data is None or len(logits) != record.data.clips["test"] or logits.shape[1] != len(record.classes):
        raise RecordError(f"the logits of {record.key} have other clips or classes: run it again with --force")
    task: Task = "multi" if targets.ndim == 2 else "single"
    return evaluate.scores(logits, targets, groups, record.classes, task, record.run.fold).into(record)
