import subprocess
import sys

import pytest

from bench import suite as suites
from bench.catalog import MODELS
from bench.errors import SuiteError

SMALL = """
models = ["fc", "cnn", "lstm-skip", "fusion-ds"]
datasets = ["synthetic", "audioset-embeddings"]
[recipe]
epochs = 3
[model.cnn]
dropout = 0.1
recipe.learning_rate = 0.01
[dataset.audioset-embeddings.recipe]
batch_size = 128
[model.fc.recipe]
batch_size = 64
"""


def read(tmp_path, text):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    return suites.read(str(path))


def test_a_suite_expands_in_order_and_fits_models_to_data(tmp_path):
    runs = read(tmp_path, SMALL).runs()
    assert [(r.dataset, r.model, r.frontend) for r in runs] == [
        ("synthetic", "fc", "logmel-1s"),
        ("synthetic", "cnn", "logmel-20ms"),
        ("synthetic", "lstm-skip", "logmel-1s"),
        ("synthetic", "fusion-ds", "none"),
        ("audioset-embeddings", "fc", "none"),
        ("audioset-embeddings", "lstm-skip", "none"),
        ("audioset-embeddings", "fusion-ds", "none"),
    ]
    assert runs[3].members == tuple(r.key for r in runs[:3])
    assert len({r.key for r in runs}) == 7


def test_recipes_go_from_the_suite_over_the_dataset_to_the_model(tmp_path):
    runs = {(r.dataset, r.model): r for r in read(tmp_path, SMALL).runs()}
    assert runs["synthetic", "cnn"].recipe.learning_rate == 0.01
    assert runs["synthetic", "cnn"].recipe.epochs == 3
    assert runs["synthetic", "cnn"].arguments == {"dropout": 0.1}
    assert runs["audioset-embeddings", "lstm-skip"].recipe.batch_size == 128
    assert runs["audioset-embeddings", "fc"].recipe.batch_size == 64


def test_a_model_may_have_a_frontend_of_its_own(tmp_path):
    text = 'models = ["cnn", "swishnet"]\ndatasets = ["synthetic"]\n[model.swishnet]\nfrontend = "logmel"\n'
    runs = read(tmp_path, text).runs()
    assert [(r.model, r.frontend, r.arguments) for r in runs] == [
        ("cnn", "logmel-20ms", {}),
        ("swishnet", "logmel", {}),
    ]


def test_folds_seeds_and_frontends_multiply(tmp_path):
    text = 'models = ["cnn", "fusion-average"]\nfrontends = ["logmel", "mfcc"]\ndatasets = ["esc10"]\n'
    suite = read(tmp_path, text + 'folds = "all"\nseeds = [0, 1]')
    runs = suite.runs()
    assert len(runs) == 5 * 2 * (2 + 1)
    assert all(len(r.members) == 2 for r in runs if suites.is_fusion(r.model))


def test_a_selection_brings_the_members_along(tmp_path):
    runs = read(tmp_path, SMALL).runs()
    chosen = suites.select(runs, model=("fusion-ds",), dataset=("synthetic",))
    assert [r.model for r in chosen] == ["fc", "cnn", "lstm-skip", "fusion-ds"]
    with pytest.raises(SuiteError, match="no run of the suite has model rann"):
        suites.select(runs, model=("rann",))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('modles = ["fc"]\ndatasets = ["synthetic"]', "did you mean 'models'"),
        ('models = ["fcc"]\ndatasets = ["synthetic"]', "Did you mean 'fc'"),
        ('models = ["fc"]\ndatasets = ["sinthetic"]', "Did you mean 'synthetic'"),
        ('models = ["fc"]\ndatasets = ["synthetic"]\n[recipe]\nepocs = 3', "did you mean 'epochs'"),
        ('models = ["fc"]\ndatasets = ["synthetic"]\n[recipe]\nepochs = "many"', "recipe.epochs.*valid integer"),
        ('models = ["fc"]\ndatasets = ["synthetic"]\n[recipe]\nepochs = 0', "≥ 1"),
        ('models = ["fc"]\ndatasets = ["synthetic"]\n[model.fc.recipe]\nepocs = 3', "did you mean 'epochs'"),
        ('models = ["fc"]\ndatasets = ["synthetic"]\n[model.cnn]\ndropout = 0.1', "cnn is not among its models"),
        ('models = ["fc"]\ndatasets = ["synthetic"]\nfolds = [7]', "folds 0 to 4"),
        ('models = ["fc"]\ndatasets = ["synthetic"]\nfrontends = ["logmell"]', "Did you mean 'logmel'"),
        ('models = ["fc"]\ndatasets = ["synthetic"]\nfusion_members = ["cnn"]', "not among the suite's trained models"),
        ('models = ["fc"]\ndatasets = ["synthetic"]\n[model.fc]\nfrontend = "logmell"', "Did you mean 'logmel'"),
        ('models = ["fc"]\ndatasets = ["synthetic"]\n[model.fc]\nrecipe = 3', "recipe is a table"),
        ('models = ["fc"]', "names no dataset"),
        ('datasets = ["synthetic"]', "'models' is missing"),
        ("models = [", "not TOML"),
    ],
)
def test_a_mistake_in_a_suite_is_explained(tmp_path, text, words):
    with pytest.raises(SuiteError, match=words):
        read(tmp_path, text).runs()


def test_an_optional_dataset_is_dropped_where_it_is_not_on_disk(tmp_path):
    suite = read(tmp_path, 'models = ["fc"]\ndatasets = ["synthetic", "esc10"]\ndatasets_if_here = ["esc50"]')
    named = [{r.dataset for r in suites.at_hand(suite, suite.runs(), tmp_path, wish)} for wish in ((), ("esc50",))]
    assert named == [{"synthetic", "esc10"}, {"synthetic", "esc10", "esc50"}]
    (tmp_path / "esc50").mkdir()
    assert suites.at_hand(suite, suite.runs(), tmp_path) == suite.runs()


def test_an_unknown_suite_is_explained():
    with pytest.raises(SuiteError, match="Did you mean 'smoke'"):
        suites.read("smok")
    with pytest.raises(SuiteError, match="cannot read"):
        suites.read("nowhere.toml")


@pytest.mark.parametrize("name", suites.suites())
def test_every_suite_that_comes_with_the_project_expands(name):
    runs = suites.read(name).runs()
    assert runs
    assert len({r.key for r in runs}) == len(runs)


@pytest.mark.parametrize("name", ["all", "smoke"])
def test_all_and_smoke_have_every_model(name):
    assert set(suites.read(name).models) == set(MODELS)


def test_suites_and_records_import_no_torch():
    code = "import sys, bench.cli, bench.runner, bench.tables; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
