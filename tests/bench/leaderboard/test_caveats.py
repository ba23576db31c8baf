"""The words on rows at chance, short trainings and timings of grade C, and where "speech or not" is shown."""

import csv
import io
import json
from pathlib import Path

import pytest
from fakes.boards import boards, everything, record, run, timing

from bench import suites
from bench.leaderboard import files, render
from bench.leaderboard.caveats import caveats, has_speech_score, mends
from bench.leaderboard.render.footnotes import about_row
from bench.records import Snapshot, Store

TEN = tuple("abcdefghij")


def curves(*scores):
    return {"val_accuracy": scores, "train_loss": scores}


def kinds(*records):
    (board,) = boards(*records)
    (row,) = board.rows
    return {each.kind: each.words for each in caveats(row, board.task, board.primary)}


@pytest.mark.parametrize(("low", "said"), [(0.05, "contains 10.0 %"), (0.1, "contains 10.0 %"), (0.11, "")])
def test_a_row_is_at_chance_if_its_interval_reaches_down_to_guessing(low, said):
    found = kinds(record(run(), 0.2, intervals={"accuracy": (low, 0.3)}, classes=TEN))
    assert said in found.get("chance", "")
    assert ("chance" in found) is bool(said)


def test_guessing_the_most_frequent_class_is_chance_too():
    table = ((90, 0), (8, 2))  # 90 of 100 clips are of the first class
    one = record(run(), 0.92, intervals={"accuracy": (0.88, 0.95)}, classes=("a", "b"), confusion=table)
    assert "90.0 %, the score of naming the most frequent class" in kinds(one)["chance"]


def test_labels_are_at_chance_if_the_mean_auc_may_be_one_half():
    for aucs, said in (((0.45, 0.5, 0.52, 0.49), True), ((0.8, 0.82, 0.79, 0.81), False)):
        one = record(
            run(dataset="synthetic-tags"),
            scores={"mAP": 0.2, "mAUC": sum(aucs) / 4},
            intervals={"mAP": (0.1, 0.3)},
            classes=TEN[:4],
            per_class={"mAUC": aucs, "mAP": aucs},
        )
        assert ("chance" in kinds(one)) is said


@pytest.mark.parametrize(
    ("values", "best", "said"),
    [
        ((0.3,), 0, "trained for 1 epoch only"),
        ((0.3, 0.4), 1, "trained for 2 epochs only"),
        ((0.1, 0.2, 0.3, 0.4, 0.5), 4, "the last epoch was the best"),
        ((0.5, 0.4, 0.3, 0.2, 0.1), 0, "no epoch was better than the first"),
        ((0.1, 0.2, 0.5, 0.4, 0.3), 2, None),
        ((), None, None),  # as of a fusion
    ],
)
def test_short_trainings(values, best, said):
    found = kinds(record(run(), 0.8, curves=curves(*values) if values else {}, best_epoch=best))
    assert found.get("training") == said


def test_a_model_of_one_epoch_is_not_trained_shortly():
    assert "training" not in kinds(record(run(model="knn"), 0.8, curves=curves(0.3), best_epoch=0))


def test_a_few_folds_that_still_improve_are_no_caveat():
    rising, done = (0.1, 0.2, 0.3, 0.4), (0.1, 0.4, 0.3, 0.2)
    mixed = [
        record(run(fold=f), curves=curves(*(rising if f < 1 else done)), best_epoch=3 if f < 1 else 1) for f in range(3)
    ]
    assert "training" not in kinds(*mixed)
    most = [
        record(run(fold=f), curves=curves(*(rising if f < 2 else done)), best_epoch=3 if f < 2 else 1) for f in range(3)
    ]
    assert kinds(*most)["training"] == "the last epoch was the best in 2 of 3 runs"


def test_the_pages_say_it_in_words_with_the_command_that_removes_it():
    one = record(run("cnn"), 0.12, classes=TEN, curves=curves(0.1), best_epoch=0, latencies=(timing(spread=0.9),))
    markdown, _, html = everything(boards(one, record(run("fc"), 0.9, classes=TEN)))
    for page in (markdown, html):
        assert "At chance" in page
        assert "the score of guessing: cnn on logmel" in page
        assert "trained for 1 epoch only: cnn on logmel. Remedy: more epochs" in page
        assert "bench run --time-again measures it again" in page
        assert "CPU ms is noisy or from a slow machine" in page
    assert '<small class="doubt">at chance, 1 epoch</small>' in html
    assert html.count('class="doubt"') == 1


def test_a_timing_is_measured_again_by_the_suites_own_command():
    assert mends("timing", "bench run --suite x --tier quick") == (
        "bench run --suite x --tier quick --time-again measures it again"
    )


@pytest.mark.parametrize(
    ("classes", "shown"),
    [
        (("music", "speech", "noise"), True),
        (("Speech", "Noise", "Music"), True),
        (("speech", "music"), False),
        (("speech", "dog", "rain"), False),
    ],
)
def test_speech_or_not_is_shown_where_the_classes_are_speech_music_and_noise(classes, shown):
    assert has_speech_score(classes) is shown
    (board,) = boards(record(run(), scores={"accuracy": 0.8, "sns": 0.9}, classes=classes))
    assert ("sns" in board.metrics) is shown
    (row,) = csv.DictReader(io.StringIO(render.csv_text([board])))
    assert row["sns"] == ("0.9" if shown else "")
    (row,) = json.loads(render.json_text("title", [board]))["leaderboards"][0]["rows"]
    assert row["sns"] == (0.9 if shown else None)
    assert board.rows[0].scores["sns"] == 0.9  # the record keeps it


def test_the_published_tables_show_it_only_for_streams_of_speech_music_and_noise():
    for name, metric, shown in (("all", "sns", False), ("segmentation", "frame_sns", True)):
        suite = suites.read(name)
        found = files.boards(Snapshot(Store(Path("leaderboards")), suite.runs()), suite)
        assert any(metric in board.metrics for board in found) is shown


def test_a_row_says_what_auto_was_on_the_machines_that_trained_it() -> None:
    small, wide = {"precision": "32-true", "memory_format": "contiguous"}, {"precision": "bf16-mixed"}
    (board,) = boards(record(run(), arithmetic=wide), record(run(fold=1), arithmetic=small), record(run(fold=2)))
    assert [each for each in about_row(board.rows[0]) if each.startswith("computed")] == [
        "computed with memory_format=contiguous, precision=32-true in 1 of 3 runs",
        "computed with precision=bf16-mixed in 1 of 3 runs",
    ]
    (board,) = boards(record(run(), arithmetic=wide))
    assert "computed with precision=bf16-mixed" in about_row(board.rows[0])
