"""Computing scores again from kept logits: a new metric needs no new training."""

from collections.abc import Sequence

from bench.errors import AGAIN, RecordError, RunError
from bench.evaluation import evaluate, metrics
from bench.evaluation.metrics.added import with_added
from bench.evaluation.second_labels import with_second_labels
from bench.evaluation.segmentation import streams
from bench.records import Record, Store, artifacts


def rescore(store: Store, record: Record, further: Sequence[str] = ()) -> Record:
    """Return the record with every score, interval and draw computed again.

    Args:
        store: contains the logits.
        record: of a finished run.
        further: metrics of other packages.

    Raises:
        RecordError: its logits are not in the store, or have other clips or classes.
    """
    try:
        saved = artifacts.logits(store, record)
        logits, targets, groups = saved["logits"], saved["targets"], saved["test_groups"].tolist()
    except RunError as error:
        raise RecordError(str(error)) from error
    files = saved["test_files"].tolist() if "test_files" in saved else None
    ids = saved["test_ids"].tolist()
    if record.data is None or len(logits) != record.data.clips["test"] or logits.shape[1] != len(record.classes):
        raise RecordError(f"the logits of {record.key} have other clips or classes: {AGAIN.format(record.key)}")
    task: metrics.Task = "single" if targets.ndim == 1 else "multi"
    new = evaluate.scores(logits, targets, groups, record.classes, task, record.run.fold, files).into(record)
    if record.segmentation is not None:
        try:
            lines = streams.load(store, record)
        except RunError as error:
            raise RecordError(str(error)) from error
        assert record.complexity is not None  # as of every finished run
        new = streams.scored(new, lines, record.segmentation, record.complexity.clip_seconds)
    return with_added(with_second_labels(new, logits, ids), further, logits, targets)
