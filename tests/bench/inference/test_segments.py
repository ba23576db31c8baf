"""Smoothing and segments: hand-worked cases, and frames that arrive one by one or all at once."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import median_filter

from bench.errors import RunError
from bench.evaluation.segmentation import FRAME_RATE
from bench.evaluation.segmentation.decisions import smoothed
from bench.inference.segments import NO_CLASS, Change, Mean, Median, Segment, Segmenter, Smoothing
from bench.records import Record, Run
from bench.records.record import Segmentation

NONE = Smoothing(median_seconds=0, hysteresis=0, min_seconds=0)


def one_hot(labels: list[int], classes: int = 3, high: float = 0.8) -> np.ndarray:
    rest = (1 - high) / (classes - 1)
    return np.where(np.arange(classes) == np.asarray(labels)[:, None], high, rest)


def segments_of(
    probabilities: np.ndarray, smoothing: Smoothing, task: str = "single", step: int = 1000, frame: float = 1.0
) -> tuple[list[Segment], list[Change]]:
    """Return segments and changes of frames in the middle of each second, given `step` at a time."""
    segmenter = Segmenter(probabilities.shape[1], task, frame, smoothing)  # type: ignore[arg-type]
    times = (np.arange(len(probabilities)) + 0.5) * frame
    changes: list[Change] = []
    for start in range(0, len(times), step):
        changes += segmenter.push(times[start : start + step], probabilities[start : start + step])
    changes += segmenter.finish(len(times) * frame)
    return segmenter.segments(), changes


def spans(found: list[Segment]) -> list[tuple[float, float, int]]:
    return [(each.start, each.end, each.label) for each in found]


def test_each_run_is_a_segment_with_its_mean_probability() -> None:
    found, changes = segments_of(one_hot([0, 0, 1, 1, 1, 2]), NONE)
    assert spans(found) == [(0, 2, 0), (2, 5, 1), (5, 6, 2)]
    assert [each.probability for each in found] == pytest.approx([0.8] * 3)
    assert [(each.time, each.label, each.begins) for each in changes] == [(0, 0, True), (2, 1, True), (5, 2, True)]


def test_a_short_run_becomes_part_of_the_run_before() -> None:
    found, changes = segments_of(one_hot([0, 0, 0, 1, 0, 0, 2, 2, 2, 1]), Smoothing(
        median_seconds=0, hysteresis=0, min_seconds=2))  # fmt: skip
    assert spans(found) == [(0, 6, 0), (6, 10, 2)]
    assert found[0].probability == pytest.approx((5 * 0.8 + 0.1) / 6)
    assert [(each.time, each.label) for each in changes] == [(0, 0), (6, 2)]


def test_a_short_run_at_the_start_becomes_part_of_the_first_long_one() -> None:
    smoothing = Smoothing(median_seconds=0, hysteresis=0, min_seconds=3)
    assert spans(segments_of(one_hot([2, 0, 1, 1, 1, 1]), smoothing)[0]) == [(0, 6, 1)]


def test_a_recording_without_a_long_run_is_one_segment() -> None:
    smoothing = Smoothing(median_seconds=0, hysteresis=0, min_seconds=10)
    found, changes = segments_of(one_hot([0, 1, 1, 2, 1]), smoothing)
    assert spans(found) == [(0, 5, 1)]
    assert len(changes) == 1


def test_a_pending_run_that_turns_to_a_third_class_starts_there() -> None:
    smoothing = Smoothing(median_seconds=0, hysteresis=0, min_seconds=2)
    assert spans(segments_of(one_hot([0, 0, 1, 2, 2, 2]), smoothing)[0]) == [(0, 3, 0), (3, 6, 2)]


def test_hysteresis_keeps_a_class_until_another_is_clearly_likelier() -> None:
    probabilities = np.array([[0.6, 0.4], [0.45, 0.55], [0.6, 0.4], [0.35, 0.65], [0.45, 0.55], [0.52, 0.48]])
    assert spans(segments_of(probabilities, NONE)[0]) == [(0, 1, 0), (1, 2, 1), (2, 3, 0), (3, 5, 1), (5, 6, 0)]
    kept = Smoothing(median_seconds=0, hysteresis=0.2, min_seconds=0)
    assert spans(segments_of(probabilities, kept)[0]) == [(0, 3, 0), (3, 6, 1)]


def test_frames_below_the_threshold_have_no_class() -> None:
    probabilities = np.array([[0.9, 0.1], [0.55, 0.45], [0.9, 0.1], [0.45, 0.55], [0.9, 0.1]])
    found, changes = segments_of(probabilities, Smoothing(median_seconds=0, hysteresis=0, min_seconds=0, threshold=0.6))
    assert spans(found) == [(0, 1, 0), (2, 3, 0), (4, 5, 0)]
    assert [each.label for each in changes] == [0, NO_CLASS, 0, NO_CLASS, 0]
    held = Smoothing(median_seconds=0, hysteresis=0.1, min_seconds=0, threshold=0.6)
    assert spans(segments_of(probabilities, held)[0])[0] == (0, 3, 0)  # 0.55 is not below 0.6 - 0.1


def test_segments_of_several_labels_overlap() -> None:
    present = np.array([[0.9, 0.1], [0.9, 0.9], [0.45, 0.9], [0.1, 0.9], [0.1, 0.1]])
    smoothing = Smoothing(median_seconds=0, hysteresis=0.1, min_seconds=0)
    found, changes = segments_of(present, smoothing, "multi")
    assert spans(found) == [(0, 3, 0), (1, 4, 1)]  # 0.45 is not below 0.5 - 0.1
    assert [each.probability for each in found] == pytest.approx([0.75, 0.9])
    assert [(each.time, each.label, each.begins) for each in changes] == [
        (0, 0, True), (1, 1, True), (3, 0, False), (4, 1, False)
    ]  # fmt: skip


def test_short_events_and_gaps_of_several_labels() -> None:
    present = np.array([[0.9], [0.1], [0.9], [0.9], [0.1], [0.1], [0.9], [0.1], [0.1], [0.1]])
    smoothing = Smoothing(median_seconds=0, hysteresis=0, min_seconds=2)
    assert spans(segments_of(present, smoothing, "multi")[0]) == [(0, 4, 0)]


@pytest.mark.parametrize("half", [0, 1, 3])
@pytest.mark.parametrize("step", [1, 2, 5, 100])
def test_the_median_is_scipys(half: int, step: int) -> None:
    values = np.random.default_rng(0).random((40, 3))
    median, found = Median(half), []
    for start in range(0, 40, step):
        found.append(median.push(values[start : start + step]))
    if (last := median.finish()) is not None:
        found.append(last)
    expected = median_filter(values, (2 * half + 1, 1), mode="nearest")
    np.testing.assert_array_equal(np.concatenate(found), expected)


def test_a_long_median_is_scipys_in_little_memory() -> None:
    values = np.random.default_rng(0).random((6_000, 3))
    median = Median(3_000)
    tracemalloc.start()
    found = [median.push(values[:2_500]), median.push(values[2_500:]), median.finish()]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    expected = np.stack([median_filter(track, 6_001, mode="nearest") for track in values.T], 1)
    np.testing.assert_array_equal(np.concatenate([each for each in found if each is not None]), expected)
    assert peak < 50e6


@pytest.mark.parametrize("mean", [0, 6])
@pytest.mark.parametrize("task", ["single", "multi"])
@pytest.mark.parametrize("threshold", [None, 0.4])
def test_any_division_of_the_frames_gives_the_same_segments(task: str, threshold: float | None, mean: float) -> None:
    rng = np.random.default_rng(1)
    walk = np.cumsum(rng.standard_normal((400, 4)), 0) / 5
    probabilities = np.exp(walk) / np.exp(walk).sum(1, keepdims=True) if task == "single" else 1 / (1 + np.exp(-walk))
    smoothing = Smoothing(mean_seconds=mean, median_seconds=5, hysteresis=0.1, min_seconds=4, threshold=threshold)
    whole = segments_of(probabilities, smoothing, task)
    assert len(whole[0]) > 3
    for step in (1, 7, 50):
        found, changes = segments_of(probabilities, smoothing, task, step)
        assert spans(found) == spans(whole[0])
        assert [(each.time, each.label, each.begins) for each in changes] == [
            (each.time, each.label, each.begins) for each in whole[1]
        ]
        np.testing.assert_allclose([s.probability for s in found], [s.probability for s in whole[0]])
    if task == "single" and threshold is None:
        assert whole[0][0].start == 0
        assert whole[0][-1].end == 400
        assert all(a.end == b.start for a, b in zip(whole[0], whole[0][1:], strict=False))


def test_a_delay_moves_changes_to_the_past() -> None:
    smoothing = Smoothing(median_seconds=0, hysteresis=0, min_seconds=0, delay_seconds=1.5)
    assert spans(segments_of(one_hot([0, 0, 0, 1, 1]), smoothing)[0]) == [(0, 1.5, 0), (1.5, 5, 1)]


def test_the_delay_of_smoothing_is_half_of_mean_and_median_and_the_shortest_segment() -> None:
    segmenter = Segmenter(2, "single", 0.01, Smoothing(mean_seconds=0.11, median_seconds=0.3, min_seconds=0.2))
    assert segmenter.delay == pytest.approx(0.05 + 0.15 + 0.2)


def test_no_frames_give_no_segments() -> None:
    segmenter = Segmenter(2, "single", 0.01, Smoothing())
    assert segmenter.finish(0.001) == []
    assert segmenter.segments() == []


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"median_seconds": -1}, "the median takes a number of seconds"),
        ({"median_seconds": 601}, "the median takes at most 600 seconds"),
        ({"mean_seconds": 601}, "the mean takes at most 600 seconds"),
        ({"min_seconds": float("nan")}, "the shortest segment takes a number of seconds"),
        ({"hysteresis": 1}, "hysteresis is at least 0 and below 1"),
        ({"threshold": 0}, "the threshold lies between 0 and 1"),
    ],
)
def test_values_out_of_range(given: dict[str, float], words: str) -> None:
    with pytest.raises(RunError, match=words):
        Smoothing(**given)  # type: ignore[arg-type]


def test_smoothing_is_what_a_run_has_chosen() -> None:
    chosen = Segmentation(
        form="frames", hop_seconds=0.01, delay_seconds=0.4, smoothing_seconds=1.2, min_seconds=1.0, macs_per_second=1,
        frontend_macs_per_second=1, streams=2, stream_seconds=60.0,
    )  # fmt: skip
    run = Run(model="swishnet", frontend="mfcc", dataset="synthetic-streams")
    record = Record(run=run, status="ok", segmentation=chosen)
    found = Smoothing(mean_seconds=1.2, median_seconds=0, hysteresis=0, min_seconds=1.0, delay_seconds=0.4)
    assert Smoothing.of([record]) == found
    given = {"mean_seconds": 0.0, "median_seconds": 0.5, "hysteresis": 0.2, "min_seconds": 0.0, "delay_seconds": 0.1}
    assert Smoothing.of([record], **given) == Smoothing(**given)
    assert Smoothing.of([replace(record, segmentation=None)]) == Smoothing.of([]) == Smoothing()


@pytest.mark.parametrize("frames", [1, 3, 40])
@pytest.mark.parametrize("width", [2, 3, 8, 9])
@pytest.mark.parametrize("step", [1, 5, 40])
def test_mean_is_the_one_that_scores_of_streams_are_of(frames: int, width: int, step: int) -> None:
    scores = np.random.default_rng(0).standard_normal((frames, 3)).astype(np.float32)
    mean = Mean(width)
    parts = [mean.push(scores[i : i + step].astype(np.float64)) for i in range(0, frames, step)]
    found = np.concatenate([*parts, mean.finish()])
    np.testing.assert_allclose(found, smoothed(scores.T, width / FRAME_RATE).T, atol=1e-6)


def test_mean_of_log_probabilities() -> None:
    found, _ = segments_of(one_hot([0, 1, 0, 0, 1, 1, 0, 1, 1]), replace(NONE, mean_seconds=3))
    assert spans(found) == [(0, 4, 0), (4, 9, 1)]
    root = 0.08**0.5  # of frames 0 and 1, both classes; frames 1 to 3 have 0.4 : 0.2 : 0.1, as 0.064 = 0.4 ** 3
    assert found[0].probability == pytest.approx((root / (2 * root + 0.1) + 3 * 4 / 7) / 4)
    sure = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    assert spans(segments_of(sure, replace(NONE, mean_seconds=3))[0])[0][0] == 0
