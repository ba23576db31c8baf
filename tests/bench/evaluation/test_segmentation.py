"""Scores of time lines: hand-worked values, and the packages that define them."""

import sys
import warnings
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bench.evaluation.segmentation import FRAME_RATE, threshold_free
from bench.evaluation.segmentation.decisions import (
    PostProcessing,
    Truth,
    choose,
    decided,
    delayed,
    form,
    smoothed,
    stream_scores,
    without_short,
)
from bench.evaluation.segmentation.events import event_counts, f1, segment_counts
from bench.evaluation.segmentation.scores import score
from datamodules.clips.timeline import Segment, Streams, segments_of
from models.base import AudioModel, Frontend
from models.layers.framing import Framing

CLASSES = ("music", "speech", "noise")


def segments(*rows: tuple[float, float, int]) -> tuple[Segment, ...]:
    return tuple(Segment(*row) for row in rows)


def log_probabilities(labels: np.ndarray, share: float = 0.9) -> np.ndarray:
    """Return scores `(C, T)` that are sure of these labels."""
    rest = (1 - share) / (len(CLASSES) - 1)
    return np.log(np.where(np.arange(len(CLASSES))[:, None] == labels, share, rest)).astype(np.float32)


def truth(*streams: tuple[Segment, ...], groups: tuple[str, ...] = ()) -> Truth:
    ids = tuple(f"s{i}" for i in range(len(streams)))
    return Truth(ids, groups or ids, tuple(each[-1].end for each in streams), streams)


# Counts


def test_an_event_is_a_hit_if_class_start_and_end_are_right() -> None:
    true = segments((0, 2, 0), (2, 6, 1), (6, 9, 0))
    # the first starts 0.1 s late; the second ends 0.7 s early, within 20 % of 4 s; the third starts 0.3 s late
    found = segments((0.1, 2, 0), (2.1, 5.3, 1), (6.3, 9, 0))
    assert event_counts(true, found, 2).tolist() == [[1, 1, 1], [1, 0, 0]]
    assert event_counts(true, segments((0, 2, 1), (2, 6, 0), (6, 9, 1)), 2).tolist() == [[0, 1, 2], [0, 2, 1]]
    assert event_counts(true, (), 2).tolist() == [[0, 0, 2], [0, 0, 1]]


def test_an_event_is_matched_once_and_as_many_as_possible_are() -> None:
    true = segments((1.0, 1.3, 0), (1.35, 1.6, 0))
    # the first prediction fits both true events, the second one only the first
    found = segments((1.15, 1.45, 0), (0.9, 1.2, 0))
    assert event_counts(true, found, 1).tolist() == [[2, 0, 0]]
    assert event_counts(true, found[:1], 1).tolist() == [[1, 0, 1]]
    assert event_counts(true[:1], segments((1.0, 1.3, 0), (1.1, 1.3, 0)), 1).tolist() == [[1, 1, 0]]


def test_a_segment_has_every_class_that_covers_a_part_of_it() -> None:
    true = segments((0, 1.5, 0), (1.5, 3, 1))  # seconds 0 and 1 have class 0, seconds 1 and 2 class 1
    found = segments((0, 1, 0), (1, 2.2, 1), (2.2, 3, 0))  # 0: class 0, 1: class 1, 2: both
    assert segment_counts(true, found, 2, 3.0).tolist() == [[1, 1, 1], [2, 0, 0]]
    assert segment_counts(true, (), 2, 2.4).tolist() == [[0, 0, 2], [0, 0, 2]]


def test_f1_is_undefined_without_any_event() -> None:
    assert f1(np.array([[2, 1, 1], [0, 0, 0]])).tolist() == pytest.approx([2 / 3, np.nan], nan_ok=True)


def random_segments(draw: np.random.Generator, seconds: int) -> tuple[Segment, ...]:
    edges = np.sort(draw.choice(np.arange(1, seconds * 20), 12, replace=False)) / 20
    starts, ends = np.concatenate([[0], edges]), np.concatenate([edges, [seconds]])
    labels = draw.integers(3, size=len(starts))
    frames = np.repeat(labels, np.rint((ends - starts) * 20).astype(int))
    return segments_of(frames, 20)


def near(draw: np.random.Generator, events: tuple[Segment, ...], seconds: int) -> tuple[Segment, ...]:
    """Return events with moved boundaries and some other classes; no boundary is exactly a collar off."""
    edges = [0.0, *(each.start for each in events[1:]), float(seconds)]
    moved = [
        0.0,
        *(round(edge + draw.choice([-7, -5, -3, 0, 2, 3, 5, 7]) / 20 + 0.003, 3) for edge in edges[1:-1]),
        edges[-1],
    ]
    moved = np.maximum.accumulate(moved).tolist()
    labels = [int(draw.integers(3)) if draw.random() < 0.2 else each.label for each in events]
    return tuple(Segment(*each) for each in zip(moved, moved[1:], labels, strict=False) if each[0] < each[1])


@pytest.fixture(scope="module")
def sed_eval() -> Any:
    if threshold_free.library() is None:
        pytest.skip('sed_scores_eval is not installed: pip install -e ".[segmentation]"')
    return sys.modules["sed_eval"]


def test_counts_are_those_of_sed_eval(sed_eval: Any) -> None:
    draw = np.random.default_rng(0)
    names = ["a", "b", "c"]
    event = sed_eval.sound_event.EventBasedMetrics(names, t_collar=0.2, percentage_of_length=0.2)
    segment = sed_eval.sound_event.SegmentBasedMetrics(names, time_resolution=1.0)
    ours = {"event": np.zeros((3, 3)), "segment": np.zeros((3, 3))}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for place in range(12):
            true = random_segments(draw, 20)
            found = near(draw, true, 20)
            listed = [
                [
                    {"filename": f"{place}", "onset": e.start, "offset": e.end, "event_label": names[e.label]}
                    for e in each
                ]
                for each in (true, found)
            ]
            event.evaluate(*listed)
            segment.evaluate(*listed, evaluated_length_seconds=20)
            ours["event"] += event_counts(true, found, 3)
            ours["segment"] += segment_counts(true, found, 3, 20.0)
        for name, theirs in (("event", event), ("segment", segment)):
            hits, alarms, misses = ours[name].sum(0)
            result = theirs.results_overall_metrics()["f_measure"]
            assert result["f_measure"] == pytest.approx(2 * hits / (2 * hits + alarms + misses), abs=1e-9)
            assert result["precision"] == pytest.approx(hits / (hits + alarms), abs=1e-9)
            each = theirs.results_class_wise_metrics()
            assert [each[label]["f_measure"]["f_measure"] for label in names] == pytest.approx(f1(ours[name]).tolist())


# Post-processing


def test_scores_are_moved_and_averaged() -> None:
    scores = np.array([[0.0, 1, 2, 3, 4]], np.float32)
    assert delayed(scores, 0.02).tolist() == [[2, 3, 4, 4, 4]]
    assert delayed(scores, 1.0).tolist() == [[4, 4, 4, 4, 4]]
    assert smoothed(scores, 0.03).tolist() == [[0.5, 1, 2, 3, 3.5]]  # fewer frames at the ends
    assert smoothed(scores, 0.01) is scores


def test_a_short_run_becomes_part_of_its_longer_neighbour() -> None:
    labels = np.repeat([0, 1, 2, 0], [30, 5, 20, 45])
    assert without_short(labels, 0.1).tolist() == np.repeat([0, 2, 0], [35, 20, 45]).tolist()
    assert without_short(labels, 0.25).tolist() == [0] * 100  # the second too, and then all are of one class
    assert without_short(labels, 0.0).tolist() == labels.tolist()
    assert without_short(labels[:30], 5.0).tolist() == [0] * 30


def test_the_choice_undoes_a_delay_and_removes_flicker() -> None:
    streams = truth(segments((0, 4, 0), (4, 9, 1), (9, 12, 2)), segments((0, 5, 2), (5, 10, 0)))
    scores = []
    for frames in streams.frames():
        late = np.concatenate([np.repeat(frames[:1], 40), frames[:-40]])
        late[[50, 51, 200, 201, 202]] = 1
        scores.append(log_probabilities(late))
    chosen = choose(scores, streams, 2.0)
    assert chosen.delay_seconds == pytest.approx(0.4)
    for each, frames, true in zip(scores, streams.frames(), streams.segments, strict=True):
        labels = decided(each, chosen)
        assert (labels != frames).sum() <= len(true)  # a frame at a boundary
        assert [found.label for found in segments_of(labels, FRAME_RATE)] == [segment.label for segment in true]
    assert choose([log_probabilities(each) for each in streams.frames()], streams, 2.0) == PostProcessing()
    assert choose(scores, streams, 0.2).delay_seconds == pytest.approx(0.2)  # no more than it may


# Scores


@pytest.mark.slow
def test_hand_worked_scores() -> None:
    streams = truth(segments((0, 4, 0), (4, 8, 1)), segments((0, 4, 2), (4, 8, 0)))
    right, wrong = streams.frames()
    wrong = np.where(np.arange(800) < 600, 2, 0)  # the boundary is 2 s late
    found = score([log_probabilities(right), log_probabilities(wrong)], streams, CLASSES, PostProcessing(), 0)
    assert found.values["frame_accuracy"] == 1400 / 1600
    assert found.values["frame_sns"] == 1.0  # the confusion is of noise and music
    assert found.values["event_f1"] == pytest.approx(2 / 4)
    # seconds with their class right: 8 + 4 + 2; noise is found in two seconds more, music missed in two
    assert found.values["segment_f1"] == pytest.approx(2 * 14 / (2 * 14 + 2 + 2))
    assert found.per_class["event_f1"] == (0.5, 1.0, 0.0)
    low, high = found.intervals["frame_accuracy"]
    assert low < 0.875 < high
    assert len(found.draws) == 1000
    assert {round(each, 5) for each in found.draws} == {0.75, 0.875, 1.0}  # draws of two streams with replacement


def test_frames_without_a_class_count_nowhere() -> None:
    streams = truth(segments((1, 3, 0), (3, 5, 1)), segments((0, 2, 1), (2, 4, 0)))
    labels = [np.where(np.arange(500) < 300, 0, 1), np.where(np.arange(400) < 200, 1, 0)]
    assert streams.frames()[0][:100].tolist() == [-1] * 100
    found = score([log_probabilities(each) for each in labels], streams, CLASSES, PostProcessing(), 0)
    assert found.values["frame_accuracy"] == found.values["event_f1"] == found.values["segment_f1"] == 1.0


def test_streams_of_one_source_have_no_interval() -> None:
    streams = truth(segments((0, 4, 0), (4, 8, 1)), segments((0, 4, 2), (4, 8, 0)), groups=("a", "a"))
    found = score([log_probabilities(each) for each in streams.frames()], streams, CLASSES, PostProcessing(), 0)
    assert (found.intervals, found.draws) == ({}, ())


def test_no_speech_score_without_speech_or_with_two_classes() -> None:
    streams = truth(segments((0, 4, 0), (4, 8, 1)))
    scores = [log_probabilities(each) for each in streams.frames()]
    assert "frame_sns" not in score(scores, streams, ("a", "b", "c"), PostProcessing(), 0).values
    assert "frame_sns" not in score([scores[0][:2]], streams, ("music", "speech"), PostProcessing(), 0).values


# All thresholds


@pytest.mark.slow
def test_scores_over_all_thresholds_are_the_packages(sed_eval: Any) -> None:
    streams = truth(segments((0, 4, 0), (4, 8, 1), (8, 12, 2)), segments((0, 4, 2), (4, 8, 0), (8, 12, 1)))
    sure = [log_probabilities(each) for each in streams.frames()]
    found = score(sure, streams, CLASSES, PostProcessing(), 0)
    assert found.values["psds"] == pytest.approx(1.0)
    assert found.values["segment_mAP"] == pytest.approx(1.0)
    assert found.per_class["psds"] == pytest.approx((1.0, 1.0, 1.0))
    assert found.intervals["psds"][1] == pytest.approx(1.0)
    late = [delayed(each[:, ::-1], 1.5)[:, ::-1].copy() for each in sure]  # 2.5 s of 4 s are covered, below 70 %
    worse = score(late, streams, CLASSES, PostProcessing(), 0)
    assert worse.values["psds"] is not None
    assert worse.values["psds"] < 0.7
    assert worse.values["segment_mAP"] is not None
    assert worse.values["segment_mAP"] < 0.95
    one_class_missing = truth(segments((0, 4, 0), (4, 8, 1)), segments((0, 4, 1), (4, 8, 0)))
    scores = [log_probabilities(each) for each in one_class_missing.frames()]
    assert score(scores, one_class_missing, CLASSES, PostProcessing(), 0).values["psds"] is None


def test_without_the_package_there_are_no_such_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threshold_free, "library", lambda: None)
    streams = truth(segments((0, 4, 0), (4, 8, 1)), segments((0, 4, 2), (4, 8, 0)))
    found = score([log_probabilities(each) for each in streams.frames()], streams, CLASSES, PostProcessing(), 0)
    assert set(found.values) == {"frame_accuracy", "frame_sns", "segment_f1", "event_f1"}


def test_the_stand_in_for_pkg_resources_lasts_for_the_import(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.delitem(sys.modules, "pkg_resources", raising=False)
    with threshold_free._pkg_resources():
        assert isinstance(sys.modules["pkg_resources"], ModuleType)
    assert "pkg_resources" not in sys.modules


# Decisions of models


class Level(Frontend):
    """The mean of each 100 samples."""

    least_samples = 100

    def forward(self, waveform: Tensor) -> Tensor:
        return waveform[:, : waveform.shape[1] // 100 * 100].reshape(len(waveform), 1, -1, 100).mean(3)

    def macs(self, samples: int) -> int:
        return samples

    def framing(self) -> Framing:
        return Framing(stride=Fraction(100), centre=49.5, after=100)


class Threshold(AudioModel):
    """Class 1 where the mean level is above 0.5; on single frames, or on clips alone."""

    def __init__(self, frames_too: bool = True) -> None:
        super().__init__(Level(), 1, 10, 2)
        self.frames_too = frames_too
        self.linear = nn.Linear(1, 2)
        with torch.no_grad():
            self.linear.weight.copy_(torch.tensor([[0.0], [20.0]]))
            self.linear.bias.copy_(torch.tensor([0.0, -10.0]))

    @property
    def output(self) -> nn.Linear:
        return self.linear

    def classify(self, features: Tensor) -> Tensor:
        logits: Tensor = self.linear(features.mean(2))
        return logits

    def framing(self) -> Framing:
        return Framing() if self.frames_too else super().framing()

    def frame_logits(self, features: Tensor) -> Tensor:
        logits: Tensor = self.linear(features.transpose(1, 2))
        return logits


class Clips:
    """The facts about data that decisions need: clips of 1 s at 1 kHz."""

    sample_rate = 1_000
    clip_shape = (1_000,)
    clip_seconds = 1.0
    task = "single"


def stream(*levels: float) -> Streams:
    """Return a stream with a second of each level."""
    audio = (np.repeat(levels, 1_000) * 32767).astype(np.int16)
    whole = segments((0, len(levels), 0))
    return Streams(audio, ((0, len(audio)),), ("s",), ("s",), ("h",), (whole,), 1_000)


@pytest.mark.parametrize("frames_too", [True, False])
def test_a_boundary_is_found_where_it_is(frames_too: bool) -> None:
    model = Threshold(frames_too).eval()
    assert form(model) == ("frames" if frames_too else "windows")
    (scores,) = stream_scores(model, stream(0, 0, 0.9, 0.9), Clips())  # type: ignore[arg-type]
    assert scores.shape == (2, 4 * FRAME_RATE)
    np.testing.assert_allclose(np.exp(scores).sum(0), 1, atol=1e-5)
    edge = np.flatnonzero(np.diff(scores.argmax(0)))[0] + 1
    # a window is of class 1 from 56 % of it on, so its centre is 0.06 s late, and windows are 0.1 s apart
    assert edge == pytest.approx(200, abs=1 if frames_too else 11)


def test_a_stream_that_is_shorter_than_a_clip_is_padded() -> None:
    (scores,) = stream_scores(Threshold().eval(), _cut(stream(0.9), 600), Clips())  # type: ignore[arg-type]
    assert scores.shape == (2, 60)


def _cut(whole: Streams, samples: int) -> Streams:
    short = segments((0, samples / 1_000, 0))
    return Streams(whole.audio[:samples], ((0, samples),), ("s",), ("s",), ("h",), (short,), 1_000)


def test_frames_and_windows_cost_what_they_compute() -> None:
    from bench.profiling.complexity import per_second

    frames, windows = (per_second(Threshold(each), 1_000, (1_000,)) for each in (True, False))
    assert (frames.form, frames.hop_seconds, frames.macs_per_second, frames.frontend_macs_per_second) == (
        "frames", 0.1, 20, 1_000,
    )  # fmt: skip
    assert (windows.form, windows.hop_seconds, windows.macs_per_second, windows.frontend_macs_per_second) == (
        "windows", 0.1, 20, 10_000,
    )  # fmt: skip


@pytest.mark.slow
def test_every_model_of_the_suite_is_counted(tmp_path: Path) -> None:
    from bench import suites
    from bench.profiling.complexity import per_second
    from bench.training.build import sized

    runs = suites.read("segmentation").runs()
    sizes = {}
    for run in runs:
        model = sized(run.model, run.frontend, run.arguments, (32_000,), 16_000, 3)
        size = sum(p.numel() for p in model.parameters())
        sizes[run.model, len(sizes)] = (per_second(model, 16_000, (32_000,)), size)
    slim = next(size for (name, _), size in sizes.items() if name == "swishnet")
    narrow = min((size for (name, _), size in sizes.items() if name == "cnn"), key=lambda size: size[1])
    assert slim[0].form == "frames"
    assert narrow[0].form == "windows"
    assert narrow[1] == pytest.approx(slim[1], rel=0.05)  # of the same size
