"""Recipes are chosen by validation scores alone; trials are records, and a second call reads them."""

import importlib.util
from dataclasses import replace
from pathlib import Path

import pytest

from bench import suites
from bench.errors import RunError, SuiteError
from bench.records import Store
from bench.runner.settings import RunSettings
from bench.runner.tuning import space as spaces
from bench.runner.tuning import study, trial
from bench.runner.tuning.space import Space
from bench.runner.tuning.study import Plan
from datamodules.synthetic import Synthetic

SUITE = """
models = ["fc", "swishnet", "fusion-average"]
datasets = ["synthetic"]
folds = [0, 1]
[recipe]
epochs = 3
[dataset.synthetic]
clips_per_class = 10
clip_seconds = 0.5
"""
DRAWN = [{}, {"learning_rate": 0.01}, {"learning_rate": 1e-06, "ema_decay": None}]


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[suites.Suite, RunSettings]:
    (tmp_path / "small.toml").write_text(SUITE)
    monkeypatch.setattr(study, "candidates", lambda space, trials, seed: DRAWN[:trials])
    suite = suites.read(str(tmp_path / "small.toml"))
    return suite, RunSettings(store=tmp_path / "runs", data_dir=tmp_path, device="cpu")


def runs_of(suite: suites.Suite, model: str = "fc"):
    return [run for run in suite.runs() if run.model == model]


@pytest.mark.slow
def test_test_clips_are_never_read_and_have_no_part_in_the_choice(small, monkeypatch):
    suite, settings = small
    plan, space = Plan(trials=3), Space(spaces.DEFAULT)
    found = study.tune(suite, runs_of(suite), plan, space, settings, "serial")
    trials = Store(settings.store / "tuning")
    keys = trials.keys()
    records = [trials.get(key) for key in keys]
    assert len(records) == 6
    assert all(record.status == "ok" and not record.scores and not record.draws for record in records)
    assert not any(name.startswith("test") for record in records for name in record.curves)
    setup = Synthetic.setup

    def other_tests(self, stage=None):
        setup(self, stage)
        test = self.splits.test
        test.targets = test.targets.flip(0)  # other targets, and samples that cannot be loaded
        test.load = None

    monkeypatch.setattr(Synthetic, "setup", other_tests)
    again = study.tune(suite, runs_of(suite), plan, space, replace(settings, store=settings.store / "2"), "serial")
    key = [[(t.number, t.scores) for t in choice.trials] for choice in found.choices]
    assert [[(t.number, t.scores) for t in choice.trials] for choice in again.choices] == key
    assert [choice.best for choice in again.choices] == [choice.best for choice in found.choices]


def test_sealed_test_clips_have_names_and_no_samples_or_targets():
    data = Synthetic(clips_per_class=10, clip_seconds=0.5)
    data.setup()
    ids = data.splits.test.ids
    trial.seal(data)
    assert data.splits.test.ids == ids
    assert not data.splits.test.targets.any()
    with pytest.raises(RunError, match="no test clip"):
        data.splits.test.load([0])


@pytest.mark.slow
def test_a_second_call_trains_nothing_and_says_the_same(small, monkeypatch):
    suite, settings = small
    lines: list[str] = []
    plan = Plan(trials=3, method="halving", scope="all", epochs=3)
    first = study.tune(suite, suite.runs(), plan, Space(spaces.DEFAULT), settings, "serial", lines.append)
    assert lines == [
        f"{model} on synthetic, fold 0, 1: {trials} trials of {epochs} epochs"
        for model in ("fc", "swishnet")
        for trials, epochs in ((3, 1), (1, 3))
    ]
    assert first.left == {"fusion-average": "a fusion is not trained"}
    assert {choice.spent for choice in first.choices} == {2 * (3 * 1 + 1 * 3)}  # an equal budget
    monkeypatch.setattr(trial, "execute", None)
    second = study.tune(suite, suite.runs(), plan, Space(spaces.DEFAULT), settings, "serial")
    assert second.choices == first.choices


@pytest.mark.slow
def test_the_chosen_recipe_is_read_by_a_suite_and_the_study_is_a_record(small, tmp_path):
    suite, settings = small
    plan = Plan(trials=2)
    found = study.tune(suite, runs_of(suite)[:1], plan, Space({"learning_rate": [0.01]}), settings, "serial")
    record, recipes = study.write(suite, plan, Space({"learning_rate": [0.01]}), found, Store(settings.store))
    assert record.name == "small-random-2-fold-s0.json"
    assert '"space": {\n  "learning_rate"' in record.read_text()
    chosen = replace(found.choices[0], best=1, recipe={"learning_rate": 0.01, "ema_decay": None})
    (tmp_path / "tuned.toml").write_text(SUITE.replace("[dataset", "\n".join(study.toml([chosen])) + "[dataset"))
    tuned = suites.read(str(tmp_path / "tuned.toml"))
    assert {run.recipe.learning_rate for run in runs_of(tuned)} == {0.01}
    assert recipes.name == "small-random-2-fold-s0-f0.toml"


def test_the_rounds_by_hand():
    assert Plan(method="halving", trials=9).rungs(27) == [(9, 3), (3, 9), (1, 27)]
    assert Plan(method="halving", trials=10).rungs(80) == [(10, 9), (4, 27), (2, 80)]
    assert Plan(method="halving", trials=27).rungs(4) == [(27, 1), (9, 4)]
    assert Plan(trials=7).rungs(12) == [(7, 12)]
    with pytest.raises(SuiteError, match="2 or more"):
        Plan(trials=1)


def test_a_failed_trial_is_never_chosen(small, monkeypatch):
    suite, settings = small
    scores = iter([None, 0.3, 0.2])
    monkeypatch.setattr(study, "_train", lambda runs, settings, name: {key: next(scores) for key in runs})
    found = study.tune(suite, runs_of(suite)[:1], Plan(trials=3), Space(spaces.DEFAULT), settings, "serial")
    assert found.choices[0].best == 1


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({"learning_rat": [1]}, "did you mean 'learning_rate'"),
        ({"epochs": [3]}, "'epochs'"),
        ({"mixup": {"low": 1.0, "high": 0.5}}, "list of choices"),
        ({"mixup": {"low": 0.0, "high": 0.5, "log": True}}, "above 0"),
        ({}, "empty"),
    ],
)
def test_a_wrong_space_is_refused(space, message):
    with pytest.raises(SuiteError, match=message):
        Space(space)


def test_a_space_is_read_from_toml(tmp_path):
    (tmp_path / "s.toml").write_text("[space]\nmixup = [0.0, 0.2]\nweight_decay = { low = 0.1, high = 1 }\n")
    assert spaces.read(tmp_path / "s.toml").values["mixup"] == [0.0, 0.2]
    (tmp_path / "s.toml").write_text("mixup = 1\n")
    with pytest.raises(SuiteError, match="one table"):
        spaces.read(tmp_path / "s.toml")


@pytest.mark.skipif(importlib.util.find_spec("optuna") is None, reason="needs Optuna: pip install -e '.[tune]'")
def test_candidates_follow_from_space_and_seed_alone():
    space = Space({"mixup": [0.0, 0.2, 0.5], "learning_rate": {"low": 1e-4, "high": 1e-2, "log": True}})
    turned = Space(dict(reversed(list(space.values.items()))))
    found = spaces.candidates(space, 8, 3)
    assert found[0] == {}
    assert spaces.candidates(turned, 5, 3) == found[:5]
    assert spaces.candidates(space, 8, 4) != found
    assert all(1e-4 <= each["learning_rate"] <= 1e-2 and each["mixup"] in (0.0, 0.2, 0.5) for each in found[1:])


@pytest.mark.skipif(importlib.util.find_spec("optuna") is not None, reason="Optuna is installed")
def test_without_optuna_the_error_names_the_extra():
    with pytest.raises(SuiteError, match=r"\[tune\]"):
        spaces.candidates(Space(spaces.DEFAULT), 3, 0)
