"""Metrics of other packages: functions `(logits (N, C), targets, classes) -> float`, added to a record's scores."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from bench import catalog
from bench.records import Record

Function = Callable[[npt.NDArray[np.float32], npt.NDArray[np.generic], tuple[str, ...]], float]
"""Maps logits `(N, C)`, targets `(N,)` or `(N, C)` and class names to a score; more is better, and NaN is no value."""


def with_added(
    record: Record, names: Sequence[str], logits: npt.NDArray[np.float32], targets: npt.NDArray[np.generic]
) -> Record:
    """Return a record with the scores of further metrics; one that fails is named in `not_scored` with the reason.

    Args:
        record: with the scores of this project's metrics, which keep their values, and with its classes.
        names: of metrics, entry points or "package.module:function".
        logits: of the test clips `(N, C)`.
        targets: their targets, `(N,)` or `(N, C)`.
    """
    scores: dict[str, float | None] = {}
    failed: dict[str, str] = {}
    for name in names:
        if name in catalog.METRICS:
            continue
        try:
            function: Function = catalog.load(catalog.metric(name).target)
            value = float(function(logits.copy(), targets.copy(), record.classes))
            if math.isinf(value):
                raise ValueError("its value is infinite")
            scores[name] = None if math.isnan(value) else value
        except Exception as error:
            failed[name] = f"{type(error).__name__}: {error}"
    return replace(record, scores=record.scores | scores, not_scored=failed)
