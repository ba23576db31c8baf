"""Runs on streams: their records, their kept scores, fusions, and their tables."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from fakes.boards import DATA, boards, csv_rows, record, run

from bench.errors import RecordError
from bench.evaluation.rescore import rescore
from bench.leaderboard import render
from bench.leaderboard.board import Leaderboard, leaderboards
from bench.records import Record, Segmentation, Store
from bench.runner import worker
from bench.runner.settings import RunSettings
from bench.suites import Suite, read

SUITE = """
models = ["swishnet", "cnn", "fusion-average"]
datasets = ["synthetic-streams"]
[recipe]
epochs = 2
[model.cnn]
channels = [4, 4]
[dataset.synthetic-streams]
sample_rate = 8000
stream_seconds = 30.0
clip_seconds = 1.0
train_streams = 2
val_streams = 1
test_streams = 2
"""
TIME_LINE = Segmentation(
    form="frames", hop_seconds=0.01, delay_seconds=0.3, smoothing_seconds=0.5, min_seconds=0.2,
    macs_per_second=530_400, frontend_macs_per_second=1_915_400, streams=24, stream_seconds=1440.0,
)  # fmt: skip


@dataclass(frozen=True)
class Done:
    """A store with the runs of a suite."""

    store: Store
    suite: Suite

    def record(self, name: str) -> Record:
        """Return the record of a system."""
        names = self.suite.names()
        key = next(key for key, each in names.items() if each == name)
        return self.store.finished_record(key, "the run")


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Done:
    folder = tmp_path_factory.mktemp("streams")
    (folder / "mine.toml").write_text(SUITE)
    suite = read(str(folder / "mine.toml"))
    settings = RunSettings(store=folder / "runs", data_dir=folder, threads=1, device="cpu")
    for each in suite.runs():
        if each.members:
            worker.fuse((each,), settings, frozenset(), lambda news: None)
        else:
            worker.execute(each, settings, False, lambda news: None)
    return Done(Store(folder / "runs"), suite)


@pytest.mark.slow
def test_a_record_has_the_scores_of_time_lines(done: Done) -> None:
    slim, cnn = done.record("swishnet"), done.record("cnn")
    for found in (slim, cnn):
        assert found.primary == "frame_accuracy"
        assert found.task == "single"
        assert {"frame_accuracy", "frame_sns", "event_f1", "segment_f1", "accuracy", "mAP"} <= found.scores.keys()
        assert {"frame_accuracy", "event_f1"} <= found.intervals.keys()
        assert len(found.draws) == 1000
        assert np.mean(found.draws) == pytest.approx(found.scores["frame_accuracy"], abs=0.05)
        assert found.segmentation is not None
        assert (found.segmentation.streams, found.segmentation.stream_seconds) == (2, 60.0)
        assert 0 <= found.segmentation.delay_seconds <= 1.0  # a clip's length
        assert Record.from_json(found.to_json(), found.key) == found
    assert slim.segmentation is not None
    assert cnn.segmentation is not None
    assert (slim.segmentation.form, cnn.segmentation.form) == ("frames", "windows")
    assert cnn.complexity is not None
    assert cnn.segmentation.macs_per_second == 10 * cnn.complexity.macs


@pytest.mark.slow
def test_a_fusion_combines_the_scores_of_each_frame(done: Done) -> None:
    fusion, slim, cnn = (done.record(name) for name in ("fusion-average", "swishnet", "cnn"))
    assert fusion.segmentation is not None
    assert slim.segmentation is not None
    assert cnn.segmentation is not None
    assert fusion.segmentation.form == "fusion"
    assert fusion.segmentation.macs_per_second == (slim.segmentation.macs_per_second + cnn.segmentation.macs_per_second)
    assert fusion.scores["frame_accuracy"] is not None


@pytest.mark.slow
@pytest.mark.parametrize("name", ["swishnet", "fusion-average"])
def test_scores_are_computed_again_from_what_is_kept(done: Done, name: str) -> None:
    found = done.record(name)
    bare = replace(found, scores={}, intervals={}, draws=(), per_class={})
    again = rescore(done.store, bare)
    assert again.scores == found.scores
    assert again.draws == found.draws
    assert again.intervals == found.intervals
    assert again.segmentation == found.segmentation


@pytest.mark.slow
def test_other_kept_scores_are_refused(done: Done, tmp_path: Path) -> None:
    found = done.record("cnn")
    path = done.store.artifacts(found.key) / "streams.npz"
    content = path.read_bytes()
    try:
        path.write_bytes(content[:-1])
        with pytest.raises(RecordError, match="is not the file that the record"):
            rescore(done.store, found)
        path.unlink()
        with pytest.raises(RecordError, match=r"has no streams\.npz"):
            rescore(done.store, found)
    finally:
        path.write_bytes(content)


@pytest.mark.slow
def test_the_tables_of_a_suite_of_streams(done: Done) -> None:
    (board,) = leaderboards(done.suite.runs(), {each: r for each in done.suite.names() if (r := done.store.get(each))})
    assert board.primary == "frame_accuracy"
    page = render.markdown("t", (board,), "c")
    assert "frame_accuracy, %" in page
    assert "MACs per second" in page


def stream_record(model: str, accuracy: float, event_f1: float, **changes: object) -> Record:
    """Return a made-up record of a run on streams, with draws around its frame accuracy."""
    draws = tuple(np.random.default_rng(0).normal(accuracy, 0.01, 1000).clip(0, 1).tolist())
    return record(
        run(model, dataset="synthetic-streams"), 0.9,
        scores={"accuracy": 0.9, "mAP": 0.8, "ece": 0.1, "frame_accuracy": accuracy, "frame_sns": 0.97,
                "event_f1": event_f1, "segment_f1": 0.96, "psds": 0.7},
        intervals={"accuracy": (0.8, 1.0), "frame_accuracy": (0.9, 1.0),
                   "event_f1": (event_f1 - 0.05, event_f1 + 0.05)},
        draws=draws, segmentation=TIME_LINE, data=replace(DATA, test_groups=24), **changes,
    )  # fmt: skip


def stream_board(*records: Record) -> Leaderboard:
    (board,) = boards(*records)
    return board


def test_the_frame_accuracy_ranks_and_the_event_f1_has_its_interval() -> None:
    board = stream_board(stream_record("cnn", 0.90, 0.6), stream_record("swishnet", 0.95, 0.78))
    assert [row.label for row in board.rows] == ["swishnet", "cnn"]
    assert [row.rank for row in board.rows] == [1, 2]
    first = board.rows[0]
    assert first.interval is not None
    assert first.interval[1] - first.interval[0] < 0.06  # of the draws, and not Wilson's of 24 streams
    page = render.markdown("t", (board,), "c")
    heads = page.split("| rank |")[1].splitlines()[0]
    shown = ["frame_accuracy, %", "event_f1, %", "segment_f1, %", "frame_sns, %", "psds, %", "| accuracy, %"]
    assert [heads.index(name) for name in shown] == sorted(heads.index(name) for name in shown)
    assert "mAP" not in heads
    assert "ece" not in heads
    assert "78.0 [73.0, 83.0]" in page
    assert "530 k" in page
    assert "bootstrap over the test streams" in page
    assert "decides on each frame of 10 ms; chosen on the validation streams: moved by 0.3 s" in page
    windows = replace(TIME_LINE, form="windows", hop_seconds=0.1)
    other = stream_board(replace(stream_record("cnn", 0.9, 0.6), segmentation=windows))
    assert "decides on windows of a clip's length, one every 100 ms" in render.markdown("t", (other,), "c")


def test_csv_and_json_have_every_column_of_time_lines_and_other_suites_none() -> None:
    board = stream_board(stream_record("cnn", 0.90, 0.6))
    (row,) = csv_rows((board,))
    assert (row["primary"], row["frame_accuracy"], row["event_f1"]) == ("frame_accuracy", "0.9", "0.6")
    assert (row["event_f1_low"], row["event_f1_high"], row["form"]) == ("0.55", "0.65", "frames")
    assert (row["macs_per_second"], row["delay_seconds"]) == ("530400", "0.3")
    content = json.loads(render.json_text("t", (board,)))["leaderboards"][0]["rows"][0]
    assert content["macs_per_second"] == 530_400
    assert content["event_f1"] == 0.6
    (usual,) = csv_rows((stream_board(record(run(), 0.8)),))
    assert "macs_per_second" not in usual
    assert "frame_accuracy" not in usual


def test_a_record_without_streams_is_written_as_before() -> None:
    usual = record(run(), 0.8)
    assert "segmentation" not in json.loads(usual.to_json())
    assert usual.primary == "accuracy"
    found = stream_record("cnn", 0.9, 0.6)
    assert json.loads(found.to_json())["segmentation"]["macs_per_second"] == 530_400
    assert Record.from_json(found.to_json(), found.key) == found


def test_a_suite_of_streams_without_a_result_is_ranked_by_frames() -> None:
    (board,) = leaderboards((run(dataset="synthetic-streams"),), {})
    assert board.primary == "frame_accuracy"
    (mixed,) = leaderboards((run(dataset="synthetic-streams"),), {run(dataset="synthetic-streams").key: record(
        run(dataset="synthetic-streams"), 0.9)})  # fmt: skip
    assert mixed.primary == "accuracy"  # such as the records of a dataset before it had streams
