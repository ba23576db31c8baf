"""Scores of time lines over all thresholds, through `sed_scores_eval`; none without it (the extra [segmentation]).

Two obstacles of the package's release 0.0.4 are met here, see docs/libraries.md: it imports `dcase_util`, which imports
`pkg_resources`, a module that setuptools no longer has since version 82; and with pandas 3 its compiled code refuses
the read-only columns of a frame of float64.
"""

import importlib.util
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.evaluation.metrics.bootstrap import group_counts
from bench.evaluation.segmentation import FRAME_RATE, SEGMENT_SECONDS
from bench.statistics import RunScore, nested_interval
from datamodules.clips.timeline import Segment

STEP = 5
"""Frames that are averaged: the work grows with the square of the number of frames."""

LEVELS = 1000
"""Number of different scores: the work grows with it."""

DRAWS = 200
"""Draws of the intervals; each needs all thresholds."""

PSDS = {"dtc_threshold": 0.7, "gtc_threshold": 0.7}
"""Scenario 1 of DCASE's task 4: a detection and a true event have to cover each other by 70 %."""
PSDS_CURVE = {"alpha_ct": 0.0, "alpha_st": 1.0, "unit_of_time": "hour", "max_efpr": 100.0}


@dataclass(frozen=True)
class Further:
    """Values, intervals and values per class, by metric."""

    values: dict[str, float | None] = field(default_factory=dict)
    intervals: dict[str, tuple[float, float]] = field(default_factory=dict)
    per_class: dict[str, tuple[float | None, ...]] = field(default_factory=dict)


def scores(
    probabilities: Sequence[npt.NDArray[np.float32]],
    truth: Sequence[Sequence[Segment]],
    seconds: Sequence[float],
    classes: Sequence[str],
    group: npt.NDArray[np.int64],
    groups: int,
    fold: int,
) -> Further:
    """Return PSDS and the segment-based average precision; nothing where the package is not installed.

    Args:
        probabilities: of each stream `(C, T)` at `FRAME_RATE`.
        truth: true segments of each stream.
        seconds: length of each stream.
        classes: names of the C classes.
        group: number of each stream's source.
        groups: number of sources.
        fold: number of the test fold, the seed of the draws.
    """
    if (package := library()) is None:
        return Further()
    names = [f"class {place}" for place in range(len(classes))]  # the package forbids some characters in names
    frames = {i: _frame(each, names) for i, each in enumerate(probabilities)}
    events = {
        i: [(each.start, each.end, names[each.label]) for each in segments] for i, segments in enumerate(truth)
    }  # fmt: skip
    lengths = dict(enumerate(seconds))
    present = {each.label for segments in truth for each in segments}
    if len(present) < len(classes):  # a class without an event has neither
        return Further({"psds": None, "segment_mAP": None})
    deltas = package.intersection_based.intermediate_statistics_deltas(_named(frames), _named(events), **PSDS)
    segment_deltas = package.segment_based.intermediate_statistics.intermediate_statistics_deltas(
        _named(frames), _named(events), _named(lengths), segment_length=SEGMENT_SECONDS
    )

    def psds(draw: Sequence[int]) -> tuple[float, Mapping[str, float]]:
        value, each, *_ = package.intersection_based.psds(
            None, _drawn(events, draw), _drawn(lengths, draw), deltas=_redrawn(deltas, draw), **PSDS, **PSDS_CURVE
        )
        return float(value), each

    def average_precision(draw: Sequence[int]) -> tuple[float, Mapping[str, float]]:
        value, _ = package.segment_based.average_precision(
            None, _drawn(events, draw), _drawn(lengths, draw),
            deltas=_redrawn(segment_deltas, draw), segment_length=SEGMENT_SECONDS,
        )  # fmt: skip
        return float(value["mean"]), value

    whole = list(range(len(seconds)))
    values: dict[str, float | None] = {}
    intervals: dict[str, tuple[float, float]] = {}
    per_class: dict[str, tuple[float | None, ...]] = {}
    members = [np.flatnonzero(group == each).tolist() for each in range(groups)]
    counts = group_counts(groups, DRAWS, fold) if groups > 1 else np.zeros((0, groups), np.int64)
    drawn = [[i for each, times in enumerate(row) for i in members[each] * int(times)] for row in counts]
    for name, function in (("psds", psds), ("segment_mAP", average_precision)):
        values[name], each = function(whole)
        per_class[name] = tuple(float(each[name_]) for name_ in names)
        draws = np.array([found for draw in drawn if (found := _value(function, draw)) is not None])
        if len(draws) > len(drawn) / 2:
            run = RunScore(values[name] or 0.0, draws, groups)
            intervals[name] = nested_interval({(fold, 0): run}, proportion=False)
    return Further(values, intervals, per_class)


def _value(function: Callable[[Sequence[int]], tuple[float, Any]], draw: Sequence[int]) -> float | None:
    """Return a draw's value; None where a class has no event in it."""
    try:
        value, _ = function(draw)
    except ValueError:
        return None
    return value if np.isfinite(value) else None


def _named(each: Mapping[int, Any]) -> dict[str, Any]:
    return {str(key): value for key, value in each.items()}


def _drawn(each: Mapping[int, Any], draw: Sequence[int]) -> dict[str, Any]:
    """Return the streams of a draw, each under a name of its own."""
    return {str(place): each[i] for place, i in enumerate(draw)}


def _redrawn(deltas: Mapping[str, Any], draw: Sequence[int]) -> dict[str, Any]:
    return {str(place): deltas[str(i)] for place, i in enumerate(draw)}


def _frame(probabilities: npt.NDArray[np.float32], names: Sequence[str]) -> Any:
    """Return the package's table of scores: start and end of each frame, and a column for each class."""
    import pandas as pd

    step = STEP / FRAME_RATE
    frames = max(probabilities.shape[1] // STEP, 1)
    mean = probabilities[:, : frames * STEP].reshape(len(probabilities), frames, -1).mean(2)
    rounded = np.round(mean * LEVELS) / LEVELS
    times = np.round(np.arange(frames + 1) * step, 6)
    columns = {"onset": times[:-1], "offset": times[1:]}
    # float32: its conversion to float64 is a copy that can be written, which the package's compiled code asks for
    return pd.DataFrame(columns | {name: rounded[place].astype(np.float32) for place, name in enumerate(names)})


@cache
def library() -> ModuleType | None:
    """Return `sed_scores_eval`; None where it is not installed."""
    with _pkg_resources(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of packages that it imports
        try:
            import sed_scores_eval
        except ModuleNotFoundError:
            return None
    return sed_scores_eval  # type: ignore[no-any-return]


@contextmanager
def _pkg_resources() -> Iterator[None]:
    """Give an empty `pkg_resources` to imports; `dcase_util` uses it only in functions that are not called here."""
    name = "pkg_resources"
    if name in sys.modules or importlib.util.find_spec(name) is not None:
        yield
        return
    sys.modules[name] = ModuleType(name)
    try:
        yield
    finally:
        del sys.modules[name]
