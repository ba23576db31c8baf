"""Counts of hits, false alarms and misses of one stream: by events with collars, and by segments of one second.

The rules are those of `sed_eval` (Mesaros, Heittola and Virtanen, "Metrics for polyphonic sound event detection",
Applied Sciences 6(6), 2016, https://doi.org/10.3390/app6060162), with a largest matching of events.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from bench.evaluation.segmentation import OFFSET_COLLAR_RATE, ONSET_COLLAR, SEGMENT_SECONDS
from datamodules.clips.timeline import Segment

Counts = npt.NDArray[np.int64]
"""Hits, false alarms and misses of each class, `(C, 3)`."""

_EPSILON = 1e-6  # seconds; times are multiples of a sample


def event_counts(
    truth: Sequence[Segment],
    found: Sequence[Segment],
    classes: int,
    collar: float = ONSET_COLLAR,
    collar_rate: float = OFFSET_COLLAR_RATE,
) -> Counts:
    """Count events whose class, start and end are right.

    A predicted event is a hit if it can be matched to a true event of its class: their starts differ by at most the
    collar, and their ends by at most the collar or `collar_rate` of the true event's length, whichever is more. Each
    event is matched at most once, and as many as possible are.

    Args:
        truth: true events.
        found: predicted events.
        classes: C.
        collar: in seconds.
        collar_rate: share of the true event's length.

    Returns:
        Hits, false alarms and misses of each class `(C, 3)`.
    """
    from scipy.sparse import csr_array  # with what it imports as slow as reading a cached dataset
    from scipy.sparse.csgraph import maximum_bipartite_matching

    counts = np.zeros((classes, 3), np.int64)
    for label in range(classes):
        true, predicted = (
            np.array([(each.start, each.end) for each in events if each.label == label], np.float64).reshape(-1, 2)
            for events in (truth, found)
        )
        hits = 0
        if len(true) and len(predicted):
            off = np.abs(true[:, None] - predicted[None])  # (true, predicted, 2)
            ends = np.maximum(collar, collar_rate * (true[:, 1] - true[:, 0]))[:, None]
            near = (off[..., 0] <= collar + _EPSILON) & (off[..., 1] <= ends + _EPSILON)
            hits = int((maximum_bipartite_matching(csr_array(near), perm_type="column") >= 0).sum())
        counts[label] = hits, len(predicted) - hits, len(true) - hits
    return counts


def segment_counts(
    truth: Sequence[Segment], found: Sequence[Segment], classes: int, seconds: float, length: float = SEGMENT_SECONDS
) -> Counts:
    """Count segments of fixed length in which a class is truly and by prediction present.

    A class is present in a segment if an event of it covers any part of the segment, so one segment can have several.

    Args:
        truth: true events.
        found: predicted events.
        classes: C.
        seconds: length of the stream; the last segment may be shorter.
        length: of a segment.

    Returns:
        Hits, false alarms and misses of each class `(C, 3)`.
    """
    true, predicted = (_present(events, classes, seconds, length) for events in (truth, found))  # (C, N)
    return np.stack([(true & predicted).sum(1), (~true & predicted).sum(1), (true & ~predicted).sum(1)], 1)


def _present(events: Sequence[Segment], classes: int, seconds: float, length: float) -> npt.NDArray[np.bool_]:
    present = np.zeros((classes, max(1, int(np.ceil(seconds / length - _EPSILON)))), bool)
    for event in events:
        first = int(np.floor(event.start / length + _EPSILON))
        last = int(np.ceil(event.end / length - _EPSILON))
        present[event.label, first:last] = True
    return present


def f1(counts: npt.NDArray[np.generic]) -> npt.NDArray[np.float64]:
    """Return F1 of hits, false alarms and misses `(..., 3)`, `(...)`; NaN where there is neither."""
    hits, alarms, misses = np.moveaxis(np.asarray(counts, np.float64), -1, 0)
    with np.errstate(invalid="ignore"):
        return np.asarray(2 * hits / (2 * hits + alarms + misses))
