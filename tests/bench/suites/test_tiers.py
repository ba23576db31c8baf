"""Smaller forms of a suite: what a tier replaces, and how it is named."""

import pytest

from bench import suites
from bench.errors import SuiteError

TEXT = """
models = ["fc", "cnn", "wide", "fusion-ds"]
datasets = ["synthetic", "esc10"]
seeds = [0, 1]
fusion_members = ["fc", "cnn"]
[recipe]
epochs = 9
[model.wide]
model = "cnn"
channels = [24, 48]
recipe = {epochs = 40, mixup = 0.3}
[model.cnn.on.esc10]
recipe = {epochs = 7}
[dataset.esc10.recipe]
batch_size = 8
[[layout]]
title = "All"
systems = ["wide", "cnn"]
datasets = ["esc10"]
[[layout]]
title = "Wide alone"
systems = ["wide"]
[tier.quick]
models = ["fc", "cnn", "fusion-ds"]
datasets = ["synthetic"]
seeds = [0]
recipe = {epochs = 1}
dataset.synthetic.clips_per_class = 10
model.cnn = {channels = [4, 8]}
[tier.one]
models = ["wide"]
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(TEXT)
    return path


def test_a_tier_replaces_keys_and_merges_tables(file):
    suite = suites.read(str(file), tier="quick")
    assert (suite.name, suite.tier, suite.file) == ("mine-quick", "quick", "mine-quick.toml")
    assert [(r.dataset, r.model, r.seed) for r in suite.runs()] == [
        ("synthetic", "fc", 0), ("synthetic", "cnn", 0), ("synthetic", "fusion-ds", 0),
    ]  # fmt: skip
    cnn = suite.runs()[1]
    assert (cnn.recipe.epochs, cnn.arguments, cnn.data) == (1, {"channels": [4, 8]}, {"clips_per_class": 10})


def test_a_tiers_recipe_shortens_every_training(file):
    file.write_text(TEXT.replace('[tier.one]\nmodels = ["wide"]', "[tier.one]\nrecipe = {epochs = 2}"))
    runs = suites.read(str(file), tier="one").runs()
    assert {r.recipe.epochs for r in runs if not r.members} == {2}
    assert {r.recipe.mixup for r in runs if r.arguments.get("channels")} == {0.3}


def test_layouts_lose_what_a_tier_does_not_list(file):
    assert [each.title for each in suites.read(str(file)).layout] == ["All", "Wide alone"]
    (left,) = suites.read(str(file), tier="quick").layout
    assert (left.systems, left.datasets) == (("cnn",), ("synthetic",))


def test_a_tier_is_a_suite_with_a_name_of_its_own(file):
    by_name = suites.read(str(file.with_name("mine-quick.toml")))
    assert by_name.runs() == suites.read(str(file), tier="quick").runs()
    file.with_name("mine-quick.toml").write_text('models = ["fc"]\ndatasets = ["synthetic"]\n')
    assert len(suites.read(str(file.with_name("mine-quick.toml"))).runs()) == 1
    quick = suites.read("esc50-quick")
    assert quick.name == "esc50-quick"
    assert quick.runs() == suites.read("esc50", tier="quick").runs()
    assert suites.is_own(quick)
    assert not suites.is_own(by_name)


@pytest.mark.parametrize(
    ("tier", "words"),
    [("quik", "no tier of .* is called 'quik'. Did you mean 'quick'"), ("", None)],
)
def test_an_unknown_tier_is_explained(file, tier, words):
    if words is None:
        assert len(suites.read(str(file)).runs()) == 2 * 2 * 4
        return
    with pytest.raises(SuiteError, match=words):
        suites.read(str(file), tier=tier)


def test_a_suite_without_tiers_says_so(tmp_path):
    with pytest.raises(SuiteError, match=r"smoke\.toml has no tiers: leave 'quick' out"):
        suites.read("smoke", tier="quick")
    with pytest.raises(SuiteError, match="named with its tier quick: leave --tier quick out"):
        suites.read("esc50-quick", tier="quick")
    path = tmp_path / "a.toml"
    path.write_text('models = ["fc"]\ndatasets = ["synthetic"]\n[tier.quick]\nname = "b"\n')
    with pytest.raises(SuiteError, match=r"\[tier.quick\] cannot set 'name'"):
        suites.read(str(path), tier="quick")


def test_arguments_and_recipes_of_one_dataset(file):
    runs = {(r.dataset, suites.read(str(file)).names()[r.key]): r for r in suites.read(str(file)).runs()}
    assert (runs["synthetic", "cnn"].recipe.epochs, runs["esc10", "cnn"].recipe.epochs) == (9, 7)
    assert runs["esc10", "cnn"].recipe.batch_size == 8


ACROSS = """
models = ["first", "tuned", "cnn"]
datasets = ["synthetic", "esc10"]
folds = "all"
seeds = [0, 3]
[model.first]
model = "cnn"
channels = [8, 16]
datasets = ["synthetic"]
[model.tuned]
model = "cnn"
channels = [8, 16]
datasets = ["esc10"]
recipe = {init = "synthetic:first", epochs = 2}
"""


def test_a_model_starts_from_its_run_on_an_earlier_dataset(tmp_path):
    path = tmp_path / "across.toml"
    path.write_text(ACROSS)
    suite = suites.read(str(path))
    names = suite.names()
    firsts = {(r.fold, r.seed): r for r in suite.runs() if names[r.key] == "first"}
    tuned = [r for r in suite.runs() if names[r.key] == "tuned"]
    assert {r.dataset for r in firsts.values()} == {"synthetic"}
    assert {r.dataset for r in tuned} == {"esc10"}
    assert all(r.recipe.init == firsts[r.fold, r.seed].key for r in tuned)
    assert len(suite.runs()) == 2 * 5 * (1 + 1 + 2)
    chosen = suites.select(suite.runs(), names, model=("tuned",), fold=(2,), seed=(3,))
    assert [names[r.key] for r in chosen] == ["first", "tuned"]


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("synthetic:first", "esc10:first", "must name a dataset that the suite lists before esc10"),
        ("synthetic:first", "synthetic:frist", "must name one of the suite's models; did you mean 'first'"),
        ("synthetic:first", "synthetic:tuned", "has 0 suitable runs on synthetic"),
        ('datasets = ["esc10"]', 'datasets = ["esc11"]', "names the dataset 'esc11'; did you mean 'esc10'"),
    ],
)
def test_a_wrong_origin_is_explained(tmp_path, before, after, words):
    path = tmp_path / "across.toml"
    path.write_text(ACROSS.replace(before, after))
    with pytest.raises(SuiteError, match=words):
        suites.read(str(path)).runs()
