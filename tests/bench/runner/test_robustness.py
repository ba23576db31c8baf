"""Kept weights on disturbed test clips: nothing is measured twice, nothing is lost, and the page follows from files."""

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from bench import statistics, suites
from bench.errors import RecordError
from bench.evaluation.calibration import page as calibration_page
from bench.evaluation.robustness import page
from bench.records import Store, robustness
from bench.runner.driver import Runner
from bench.runner.progress import Progress
from bench.runner.robustness import evaluate_runs
from bench.runner.settings import RunSettings
from bench.statistics import RunScore

pytestmark = pytest.mark.slow
SUITE = """
models = ["fc", "swishnet", "fusion-ds"]
datasets = ["synthetic"]
folds = [0, 1]
[recipe]
epochs = 2
learning_rate = 1e-2
[dataset.synthetic]
clips_per_class = 10
clip_seconds = 0.5
"""
SOME = ["gain-20", "clipping", "telephone"]
NUMBER = 5  # with "clean" and two of clipping


@pytest.fixture
def finished(tmp_path: Path, trained: Path) -> tuple[suites.Suite, RunSettings]:
    import shutil

    shutil.copytree(trained, tmp_path / "store")
    return suites.read(str(trained.parent / "small.toml")), RunSettings(store=tmp_path / "store", data_dir=tmp_path)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    (folder / "small.toml").write_text(SUITE)
    suite = suites.read(str(folder / "small.toml"))
    settings = RunSettings(store=folder / "runs", data_dir=folder, device="cpu")
    quiet = Progress(Console(file=io.StringIO()))
    assert not Runner(replace(suite, backends=()), settings, quiet, "serial").run(suite.runs()).failed
    return folder / "runs"


def test_all_runs_are_evaluated_once_and_a_second_call_goes_on(finished):
    suite, settings = finished
    first = evaluate_runs(suite.runs(), settings, ["telephone"])
    assert (first.done, first.kept, first.left) == (6 * 2, 0, {})
    second = evaluate_runs(suite.runs(), settings, SOME)
    assert (second.done, second.kept, second.left) == (6 * (NUMBER - 2), 6 * 2, {})
    store = Store(settings.store)
    for run in suite.runs():
        found = robustness.read(store, run.key)
        assert found is not None
        assert found.deviation == pytest.approx(0, abs=1e-4)
        assert found.conditions["clean"].scores["accuracy"] == store.get(run.key).scores["accuracy"]
        assert len(found.conditions) == NUMBER


def test_the_page_has_scores_paired_differences_and_ranks_and_is_drawn_again_from_published_files(finished, tmp_path):
    suite, settings = finished
    evaluate_runs(suite.runs(), settings, SOME)
    store = Store(settings.store)
    (sheet,) = [page.sheet(board, store) for board in page.files.boards(page.Snapshot(store, suite.runs()), suite)]
    line = sheet.lines[0]
    telephone, clean = line.cells["telephone"], line.cells["clean"]
    assert telephone.change.mean == pytest.approx(telephone.score - clean.score)
    assert telephone.change.low <= telephone.change.mean <= telephone.change.high
    assert telephone.moved == telephone.rank - clean.rank
    folds = [robustness.read(store, key).conditions["telephone"].scores["accuracy"] for key in line.row.finished]
    assert telephone.score == pytest.approx(np.mean(folds))
    drawn = {path.name: path.read_text() for path in page.draw(suite, store)}
    assert "| system | front-end | clean | telephone | -20 dB |" in drawn["small.md"]
    target = Store(tmp_path / "published")
    for run in suite.runs():
        target.write(store.get(run.key))
    assert page.publish(suite, store, target) == 6
    assert {path.name: path.read_text() for path in page.draw(suite, target)} == drawn


def test_a_run_that_is_done_again_is_evaluated_again_and_other_weights_are_refused(finished):
    suite, settings = finished
    run = suite.runs()[0]
    evaluate_runs([run], settings, ["gain-20"])
    store = Store(settings.store)
    found = robustness.read(store, run.key)
    robustness.write(store, replace(found, of="of an earlier training"))
    assert evaluate_runs([run], settings, ["gain-20"]).done == 2
    other = suite.runs()[3]  # the same model on the other fold
    assert other.model == run.model
    record = replace(store.get(run.key), artifacts={})
    store.write(record)
    weights = store.weights(other.key).read_bytes()
    store.weights(run.key).write_bytes(weights)
    outcome = evaluate_runs([run], settings, ["gain-20"], force=True)
    assert outcome.done == 0
    assert "other logits for the clean clips" in outcome.left[run.key]


def test_what_is_missing_is_said_with_a_remedy(finished):
    suite, settings = finished
    run = suite.runs()[0]
    outcome = evaluate_runs([run], settings, ["noise-10"])
    assert outcome.done == 1
    assert "--musan" in outcome.left[f"{run.key} noise-10"]
    fusion = next(run for run in suite.runs() if run.members)
    store = Store(settings.store)
    (store.root / "robustness" / f"{fusion.members[1]}.json").unlink(missing_ok=True)
    outcome = evaluate_runs([fusion], settings, [])
    assert outcome.left[f"{fusion.key} clean"] == f"its member {fusion.members[1]} has not been evaluated"


def test_a_damaged_file_of_results_is_named(finished):
    suite, settings = finished
    run = suite.runs()[0]
    evaluate_runs([run], settings, ["gain-20"])
    path = settings.store / "robustness" / f"{run.key}.json"
    content = json.loads(path.read_text())
    content["conditions"]["clean"]["scores"]["accuracy"] = 1.0
    path.write_text(json.dumps(content))
    with pytest.raises(RecordError, match="does not match its own digest"):
        robustness.read(Store(settings.store), run.key)


def test_the_page_of_calibration_reads_test_targets_only_for_scores(finished):
    suite, settings = finished
    store = Store(settings.store)
    paths, left = calibration_page.draw(suite, store)
    assert not left
    text = next(path for path in paths if path.suffix == ".md").read_text()
    assert "Conflict of the members" in text
    assert sum(path.suffix == ".svg" for path in paths) == 2 * 3
    (before,) = [calibration_page.study(b, store) for b in page.files.boards(page.Snapshot(store, suite.runs()), suite)]
    for run in suite.runs():  # other targets of the test clips leave the temperatures as they are
        path = store.artifacts(run.key) / "logits.npz"
        with np.load(path) as saved:
            arrays = {name: saved[name] for name in saved.files}
        np.savez(path, **{**arrays, "targets": arrays["targets"][::-1]})
        store.write(replace(store.get(run.key), artifacts={}))
    (after,) = [calibration_page.study(b, store) for b in page.files.boards(page.Snapshot(store, suite.runs()), suite)]
    assert [s.temperatures for s in before.systems] == [s.temperatures for s in after.systems]
    assert [s.before["nll"] for s in before.systems] != [s.before["nll"] for s in after.systems]


def test_a_change_pairs_each_run_with_itself():
    rng = np.random.default_rng(0)
    shared = rng.standard_normal(1000)
    here = {(0, seed): RunScore(0.5 + seed / 10, 0.5 + shared, 40) for seed in (0, 1)}
    there = {(0, seed): RunScore(0.4 + seed / 10, 0.4 + shared, 40) for seed in (0, 1)}
    found = statistics.difference_of_runs(here, there)
    assert (found.mean, found.low, found.high) == pytest.approx((0.1, 0.1, 0.1))  # seeds differ, their changes do not
    assert statistics.difference(here, there).high > 0.1 + 1e-6
    with pytest.raises(ValueError, match="different runs"):
        statistics.difference_of_runs(here, {(1, 0): there[0, 0]})
