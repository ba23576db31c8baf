"""A board's rows: means, intervals, ranks, and which runs are comparable."""

import subprocess
import sys
from dataclasses import replace

import pytest
from fakes.boards import DATA, PLACE, boards, everything, failure, record, run

from bench.leaderboard import render
from bench.leaderboard.board import leaderboards


def test_mean_interval_rank_and_columns_hand_worked():
    cnn = [
        record(run(fold=f), a, seconds={"train": 10.0 * (f + 1)}) for f, a in enumerate([0.75, 0.75, 0.8, 0.85, 0.85])
    ]
    fc = [record(run("fc", f), 0.9) for f in range(5)]
    (board,) = boards(*cnn, *fc)
    first, second = board.rows
    assert (first.label, first.rank, first.interval) == ("fc", 1, (pytest.approx(0.9), pytest.approx(0.9)))
    assert (second.label, second.rank, second.done, second.expected) == ("cnn", 2, 5, 5)
    assert second.scores["accuracy"] == pytest.approx(0.8)
    assert second.scores["macro_f1"] == pytest.approx(0.4)
    assert second.scores["mAP"] is None
    half = 2.776445 * 0.05 / 5**0.5  # t(4) s / sqrt(n)
    assert second.interval == pytest.approx((0.8 - half, 0.8 + half))
    assert second.interval_over == "cells"
    assert second.train_seconds == 30
    assert board.metrics == ("accuracy", "macro_f1", "nll")
    assert (board.folds, board.folds_official, board.seeds) == ((0, 1, 2, 3, 4), 5, (0,))
    assert "80.0 [73.8, 86.2]" in render.markdown("t", (board,), "c")


def test_one_cell_shows_its_own_bootstrap_interval():
    (board,) = boards(record(run(), 0.8))
    assert (board.rows[0].interval, board.rows[0].interval_over) == ((pytest.approx(0.7), pytest.approx(0.9)), "groups")
    assert "over the sources of the test clips" in render.markdown("t", (board,), "c")
    (without,) = boards(record(run(), 0.8, intervals={}))
    assert without.rows[0].interval is None
    assert "| 80.0 |" in render.markdown("t", (without,), "c")


def test_an_interval_stays_within_0_and_1():
    (board,) = boards(record(run(fold=0), 1.0), record(run(fold=1), 0.5))
    assert board.rows[0].interval == (0.0, 1.0)


def test_records_from_before_splits_of_own_clips_had_words_of_their_own_stay_comparable():
    after = "; test = k, validation = k + 1"
    old = replace(DATA, split=f"own clips: the table's folds, or else 5 folds grouped by source{after}")
    for words in ("own clips: the given folds", "own clips: 5 folds grouped by source"):
        new = replace(DATA, split=words + after)
        (board,) = boards(record(run("fc"), 0.9, data=old), record(run("cnn"), 0.8, data=new))
        assert [row.rank for row in board.rows] == [1, 2]
    other = replace(DATA, split=f"own clips: 4 folds grouped by source{after}")
    (board,) = boards(record(run("fc"), 0.9, data=old), record(run("cnn"), 0.8, data=other))
    assert sorted((row.rank is None) for row in board.rows) == [False, True]


def test_equal_scores_share_a_rank():
    (board,) = boards(record(run("a1"), 0.9), record(run("b"), 0.9), record(run("c"), 0.5))
    assert [(row.label, row.rank) for row in board.rows] == [("a1", 1), ("b", 1), ("c", 3)]


def test_a_missing_or_failed_fold_is_not_ranked_and_named():
    full = [record(run("fc", f), 0.1) for f in range(5)]
    missing = [record(run(fold=f), 0.99) for f in range(4)]
    failed = [record(run("ltc", f), 0.98) for f in range(4)] + [
        failure(run("ltc", 4), message="loss is nan\nat step 3")
    ]
    (board,) = boards(*full, *missing, *failed, missing=[run(fold=4)])
    assert [(row.label, row.rank, row.done, row.expected) for row in board.rows] == [
        ("fc", 1, 5, 5),
        ("cnn", None, 4, 5),
        ("ltc", None, 4, 5),
    ]
    assert board.missing == 1
    assert board.failures == ((run("ltc", 4).key, failed[-1].error),)
    text = render.markdown("t", (board,), "c")
    assert "| 4/5 |" in text
    assert "| 4/5, 1 failed (RunError) |" in text
    assert f"{run('ltc', 4).key}: RunError: loss is nan at step 3" in text
    assert "1 run has no record" in text


def test_a_system_that_lacks_a_fold_of_the_suite_is_not_ranked():
    (board,) = boards(record(run(fold=0), 0.9), record(run("fc", 0)), record(run("fc", 1)))
    assert [(row.label, row.rank, row.done, row.expected) for row in board.rows] == [
        ("fc", 1, 2, 2),
        ("cnn", None, 1, 2),
    ]


def test_no_record_at_all():
    (board,) = leaderboards([run()], {})
    (row,) = board.rows
    assert (row.rank, row.done, row.expected, row.scores["accuracy"]) == (None, 0, 1, None)
    for text in everything((board,)):
        assert "0/1" in text or ",0,1,0," in text
    assert everything(())[1].count("\n") == 1


def test_a_score_that_is_undefined_in_one_cell_is_not_averaged_over_the_others():
    (board,) = boards(record(run(fold=0), 0.9), record(run(fold=1), scores={"accuracy": None}, intervals={}))
    assert (board.rows[0].rank, board.rows[0].scores["accuracy"]) == (None, None)
    assert "accuracy is undefined" in board.rows[0].flags


def test_other_data_than_the_majority_is_shown_and_not_ranked():
    other = replace(DATA, manifest="m2", clips_available=400)
    cells = [record(run(m, f), 0.5) for m in ("fc", "ltc") for f in (0, 1)]
    odd = [record(run(fold=0), 0.9), record(run(fold=1), 0.9, data=other)]
    (board,) = boards(*cells, *odd)
    assert [(row.label, row.rank) for row in board.rows] == [("fc", 1), ("ltc", 1), ("cnn", None)]
    assert board.rows[2].flags == ("data differ from the other systems' in fold 1",)
    assert board.data == (DATA,)
    assert "- **cnn on logmel**: not ranked: data differ" in render.markdown("t", (board,), "c")
    # one against one: the more complete data are the reference
    (board,) = boards(record(run("fc"), 0.9), record(run(), 0.5, data=other))
    assert [(row.label, row.rank) for row in board.rows] == [("cnn", 1), ("fc", None)]


def test_the_same_clips_split_otherwise_are_other_data():
    cells = [record(run(m), 0.5) for m in ("fc", "ltc")]
    (board,) = boards(*cells, record(run(), data=replace(DATA, clips={"train": 320, "val": 40, "test": 40})))
    assert board.rows[-1].rank is None
    assert board.rows[-1].flags


def test_data_may_differ_from_fold_to_fold():
    cells = [record(run(m, f), 0.5, data=replace(DATA, manifest=f"m{f}")) for m in ("fc", "ltc") for f in (0, 1)]
    (board,) = boards(*cells)
    assert {row.rank for row in board.rows} == {1}


def test_datasets_and_their_arguments_are_boards_of_their_own():
    found = boards(
        record(run(dataset="esc50")),
        record(run()),
        record(run(data={"seconds": 1})),
        record(run(model="fc", dataset="esc50")),
    )
    assert [board.name for board in found] == ["esc50", "esc10", "esc10 (seconds=1)"]
    assert [len(board.rows) for board in found] == [2, 1, 1]


def test_multi_label_ranks_by_map():
    scores = {"mAP": 0.3, "mAUC": 0.9, "d_prime": 1.812}
    (board,) = boards(
        record(run(dataset="synthetic-tags"), scores=scores, defined={"mAP": (511, 527), "mAUC": (511, 527)})
    )
    assert (board.primary, board.task, board.metrics) == ("mAP", "multi", ("mAP", "mAUC", "d_prime"))
    assert "mAP is the mean over 511 of 527 classes; it is undefined for the other classes." in board.notes
    assert "| 90.0 | 1.812 |" in render.markdown("t", (board,), "c")


def test_a_dirty_tree_and_differing_commits_are_shown():
    (board,) = boards(
        record(run(), environment=replace(PLACE, dirty=True, commit="fedcba9876543210")), record(run("fc"))
    )
    flags = {row.label: row.flags for row in board.rows}
    assert flags == {"cnn": ("the working tree had uncommitted changes",), "fc": ()}
    assert board.notes == ("The runs come from 2 commits: 0123456789, fedcba9876.",)
    text = render.markdown("t", (board,), "c")
    assert "- **cnn on logmel**: the working tree had uncommitted changes" in text
    assert "commit 0123456789, fedcba9876 (with uncommitted changes)" in text
    assert (
        "Processor Z, 2 cores, no GPU; 1 run at a time, 1 thread each; Linux x86_64; Python 3.11.7, torch 2.13.0"
        in text
    )


@pytest.mark.process
def test_never_imports_torch():
    code = (
        "import sys, bench.leaderboard.render, bench.leaderboard.board, bench.statistics; print('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "False\n"
