"""Work on finished runs: comparison, scores again from logits, a run again from nothing; ties in the table."""

import dataclasses
import io
import json
from pathlib import Path

import numpy as np
import pytest
from fakes.boards import DATA, record, run
from fakes.paths import PROJECT
from rich.console import Console
from scipy import stats as scipy_stats

from bench import statistics, suites
from bench.cli import main
from bench.errors import BenchError, RecordError, SuiteError
from bench.evaluation.rescore import rescore
from bench.leaderboard import render
from bench.leaderboard.board import leaderboards
from bench.leaderboard.compare import compare
from bench.records import Snapshot, Store
from bench.runner.driver import Runner
from bench.runner.progress import Progress
from bench.runner.settings import RunSettings

SUITE = """
models = ["fc", "lstm-skip", "fusion-average"]
datasets = ["synthetic"]
folds = [0, 1]
[recipe]
epochs = 2
[model.fc.recipe]
epochs = 12
learning_rate = 1e-2
[dataset.synthetic]
clips_per_class = 10
clip_seconds = 0.5
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("finished")
    path = folder / "small.toml"
    path.write_text(SUITE)
    suite = suites.read(str(path))
    settings = RunSettings(store=folder / "runs", data_dir=folder, device="cpu")
    outcome = Runner(suite, settings, Progress(Console(file=io.StringIO())), "serial").run(suite.runs())
    assert not outcome.failed
    return path, folder / "runs"


def drawn(model: str, accuracy: float, noise: float, fold: int = 0, seed: int = 0):
    """A record whose draws share most of their variation with the other systems'."""
    shared = 0.05 * np.random.default_rng(fold).standard_normal(1000)
    own = noise * np.random.default_rng(seed).standard_normal(1000)
    return record(run(model, fold), accuracy, draws=tuple((accuracy + shared + own).tolist()))


def test_rows_share_a_rank_where_their_paired_difference_may_be_chance():
    # "lstm-skip" is 1 point below the best with a paired deviation of 2, "fc" 10 points below.
    records = [drawn("cnn", 0.9, 0, seed=1), drawn("lstm-skip", 0.89, 0.02, seed=2), drawn("fc", 0.8, 0.02, seed=3)]
    (board,) = leaderboards([r.run for r in records], {r.key: r for r in records})
    assert [(row.label, row.rank) for row in board.rows] == [("cnn", 1), ("lstm-skip", 1), ("fc", 3)]
    assert all(row.interval_over == "groups" for row in board.rows)
    wider = scipy_stats.t.ppf(0.975, DATA.test_groups - 1) / 1.959964
    expected = statistics.DETECTABLE * 0.02 * (DATA.test_groups / (DATA.test_groups - 1)) ** 0.5 * wider
    assert board.detectable == pytest.approx(expected, rel=0.1)
    text = render.markdown("t", (board,), "c")
    assert "rows share a rank if their paired difference" in text
    assert f"{100 * board.detectable:.1f} points" in text


def test_without_draws_only_equal_scores_share_a_rank():
    records = [record(run("cnn"), 0.9), record(run("fc"), 0.9), record(run("ltc"), 0.899)]
    (board,) = leaderboards([r.run for r in records], {r.key: r for r in records})
    assert [row.rank for row in board.rows] == [1, 1, 3]
    assert board.detectable is None
    assert "ranked by their score alone, untested\n" in render.markdown("t", (board,), "c")


ALONE = dataclasses.replace(DATA, test_groups=1)


def alone(scores: dict[str, list[float]]):
    """The board of systems with a score per fold, where each fold tests one speaker."""
    records = [
        record(run(name, fold), score, data=ALONE) for name, each in scores.items() for fold, score in enumerate(each)
    ]
    (board,) = leaderboards([r.run for r in records], {r.key: r for r in records})
    return board


def test_folds_of_one_source_are_tested_as_wholes_and_that_is_said(tmp_path):
    """Five speakers in five folds: there is nothing to draw within a fold, but the speakers can be compared."""
    one, other = [0.9, 0.8, 0.85, 0.95, 0.7], [0.7, 0.65, 0.6, 0.72, 0.55]
    board = alone({"cnn": one, "fc": other, "cfc": [0.5, 0.9, 0.9, 0.9, 0.9]})
    assert {row.label: row.rank for row in board.rows} == {"cnn": 1, "cfc": 1, "fc": 3}  # cfc is better in some folds
    text = render.markdown("t", (board,), "c")
    assert "differences are tested by Student's paired t over the folds" in text
    assert "untested" not in text
    assert "come from 1 source\n" in text
    found = compare(board, "cnn", "fc", Store(tmp_path))
    truth = scipy_stats.ttest_rel(one, other)
    interval = truth.confidence_interval()
    assert (found.test, found.difference.significant) == ("folds", True)
    assert found.difference.p == pytest.approx(truth.pvalue)
    assert (found.difference.low, found.difference.high) == pytest.approx((interval.low, interval.high))
    assert compare(board, "fc", "cnn", Store(tmp_path)).difference.mean == pytest.approx(-found.difference.mean)


def test_folds_that_differ_equally_are_tested_by_their_signs(tmp_path):
    few = alone({"cnn": [0.9] * 3, "fc": [0.8] * 3})
    assert [row.rank for row in few.rows] == [1, 1]
    assert compare(few, "cnn", "fc", Store(tmp_path)).difference.p == pytest.approx(0.25)
    assert few.rows[0].interval[1] - few.rows[0].interval[0] > 0.3  # three speakers alike are no certainty
    many = alone({"cnn": [0.9] * 6, "fc": [0.8] * 6})
    assert [row.rank for row in many.rows] == [1, 2]
    assert compare(alone({"cnn": [0.9] * 3, "fc": [0.9] * 3}), "cnn", "fc", Store(tmp_path)).difference.p == 1


def test_one_fold_of_one_source_cannot_be_compared_and_says_what_to_do(tmp_path):
    board = alone({"cnn": [0.9], "fc": [0.8]})
    text = render.markdown("t", (board,), "c")
    assert "untested; a fold whose test clips all come from one source has none" in text
    with pytest.raises(BenchError, match="the test needs two sources or two folds; run all folds"):
        compare(board, "cnn", "fc", Store(tmp_path))


def test_compare_counts_the_clips_that_one_alone_has_right(finished):
    path, folder = finished
    suite, store = suites.read(str(path)), Store(folder)
    records = Snapshot(store, suite.runs()).records
    (board,) = leaderboards(suite.runs(), records)
    found = compare(board, "fc", "lstm-skip", store)
    alone = [0, 0]
    for fold in (0, 1):
        right = []
        for model in ("fc", "lstm-skip"):
            key = next(r.key for r in suite.runs() if (r.model, r.fold) == (model, fold))
            saved = np.load(store.artifacts(key) / "logits.npz")
            right.append(saved["logits"].argmax(1) == saved["targets"])
        alone[0] += int((right[0] & ~right[1]).sum())
        alone[1] += int((~right[0] & right[1]).sum())
    assert [found.only_a, found.only_b] == alone
    assert sum(alone)
    clips = sum(len(np.load(store.artifacts(r.key) / "logits.npz")["targets"]) for r in suite.runs() if r.model == "fc")
    assert found.difference.mean == pytest.approx((alone[0] - alone[1]) / clips)
    assert found.mcnemar_p == pytest.approx(scipy_stats.binomtest(alone[0], sum(alone)).pvalue)
    assert compare(board, "lstm-skip", "fc", store).difference.mean == pytest.approx(-found.difference.mean)


def test_compare_names_the_rows_there_are(finished):
    path, folder = finished
    store = Store(folder)
    suite = suites.read(str(path))
    (board,) = leaderboards(suite.runs(), Snapshot(store, suite.runs()).records)
    with pytest.raises(SuiteError, match=r"no row is called 'cnn'.*Name one of: .*fc on logmel-1s"):
        compare(board, "cnn", "fc", store)
    with pytest.raises(SuiteError, match="several rows are called ''"):
        compare(board, "", "fc", store)
    bare = {r.key: dataclasses.replace(r, draws=()) for r in Snapshot(store, suite.runs()).records.values()}
    (undrawn,) = leaderboards(suite.runs(), bare)
    with pytest.raises(BenchError, match="bench rescore"):
        compare(undrawn, "fc", "lstm-skip", store)


def test_scores_computed_again_from_logits_are_the_same(finished, tmp_path):
    path, folder = finished
    store = Store(folder)
    for of in suites.read(str(path)).runs():
        kept = store.get(of.key)
        assert kept is not None
        emptied = dataclasses.replace(kept, scores={}, intervals={}, draws=(), per_class={}, confusion=None, defined={})
        assert rescore(store, emptied) == kept
        assert len(kept.draws) == 1000
    with pytest.raises(RecordError, match="has no logits"):
        rescore(Store(tmp_path), kept)


def test_systems_on_one_fold_have_the_same_draws_and_folds_have_others(finished):
    path, folder = finished
    store = Store(folder)
    for of in suites.read(str(path)).runs():
        kept, saved = store.get(of.key), np.load(store.artifacts(of.key) / "logits.npz")
        names, group = np.unique(saved["test_groups"], return_inverse=True)
        counts = np.random.default_rng(of.fold).multinomial(len(names), np.full(len(names), 1 / len(names)), size=1000)
        right = saved["logits"].argmax(1) == saved["targets"]
        weight = counts[:, group]
        assert kept is not None
        np.testing.assert_allclose(kept.draws, (weight @ right) / weight.sum(1), atol=1e-5)


def command(*arguments: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> tuple[int, str]:
    monkeypatch.setattr("sys.argv", ["bench", *arguments])
    with pytest.raises(SystemExit) as stopped:
        main()
    return int(stopped.value.code or 0), capsys.readouterr().out


def test_the_commands(finished, capsys, monkeypatch):
    path, folder = finished
    suite = ("--suite", str(path), "--store", str(folder))
    code, text = command("compare", "fc", "fusion", *suite, "--json", capsys=capsys, monkeypatch=monkeypatch)
    (found,) = json.loads(text)
    assert code == 0
    assert {"difference", "mcnemar_p", "significant"} <= found.keys()
    code, text = command("rescore", *suite, capsys=capsys, monkeypatch=monkeypatch)
    assert (code, text) == (0, "0 of 6 records changed, 0 could not be scored again\n")


@pytest.mark.parametrize("model", ["fc", "fusion-average"])
def test_a_run_done_again_gives_the_same_score(finished, model, capsys, monkeypatch):
    path, folder = finished
    key = next(r.key for r in suites.read(str(path)).runs() if r.model == model)
    arguments = ("reproduce", key, "--store", str(folder), "--json")
    code, text = command(*arguments, capsys=capsys, monkeypatch=monkeypatch)
    found = json.loads(text)
    assert (code, found["identical"], found["within"]) == (0, True, True)
    assert found["again"] == Store(folder).get(key).scores["accuracy"]
    code, _ = command("reproduce", "no-such-key", "--store", str(folder), capsys=capsys, monkeypatch=monkeypatch)
    assert code == 1


def test_leaderboard_of_a_store_without_records_draws_nothing(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("sys.argv", ["bench", "leaderboard", "--suite", "smoke", "--store", str(tmp_path / "mistyped")])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 1
    command = f"bench run --suite smoke --store {tmp_path / 'mistyped'}"
    assert f"has no records of smoke: `{command}` makes them" in capsys.readouterr().err
    assert not (tmp_path / "mistyped").exists()


def test_one_dataset_of_several_forms_is_named_as_the_suite_names_it(monkeypatch, capsys):
    store = PROJECT / "leaderboards"
    arguments = ["bench", "compare", "gmm", "swishnet", "--suite", "swishnet-musan-sample", "--store", str(store)]
    monkeypatch.setattr("sys.argv", [*arguments, "--dataset", "musan-2s", "--json"])
    with pytest.raises(SystemExit):
        main()
    (found,) = json.loads(capsys.readouterr().out)
    assert found["dataset"] == "musan (clip_seconds=2.0)"
    monkeypatch.setattr("sys.argv", [*arguments, "--dataset", "musan-3s"])
    with pytest.raises(SystemExit):
        main()
    assert "name one of musan-0.5s, musan-1s, musan-2s" in " ".join(capsys.readouterr().err.split())
