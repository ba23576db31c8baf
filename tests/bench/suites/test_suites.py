import json
import subprocess
import sys

import pytest
from fakes import esc50
from fakes.paths import PROJECT

from bench import catalog, suites
from bench.errors import SuiteError
from bench.leaderboard import files
from bench.records import Recipe, Store

RECORDS = PROJECT / "leaderboards" / "records"
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


def test_a_selection_without_runs_names_what_there_is(tmp_path):
    suite = read(tmp_path, 'models = ["cnn", "cnn14"]\nfrontends = ["logmel"]\ndatasets = ["esc10"]\nfolds = [0, 1]')
    with pytest.raises(SuiteError, match=r"has model CNN14\. Did you mean 'cnn14'\? Models of its runs: cnn, cnn14\.$"):
        suites.select(suite.runs(), suite.names(), model=("CNN14",))
    with pytest.raises(SuiteError, match=r"has model cnn, fold 7\. Folds of its runs: 0, 1\.$"):
        suites.select(suite.runs(), suite.names(), model=("cnn",), fold=(7,))
    with pytest.raises(SuiteError, match=r"has model cnn, fold 1\. Each of these has runs, but no run has all of them"):
        suites.select(suite.runs()[:1] + suite.runs()[3:], suite.names(), model=("cnn",), fold=(1,))


STUDENT = """
models = ["small", "swishnet", "cnn", "fusion-ds"]
datasets = ["synthetic"]
folds = [0, 1]
[model.swishnet]
dropout = 0.2
recipe = {epochs = 5, mixup = 0.2}
[model.small]
model = "swishnet"
recipe = {teacher = "cnn", epochs = 7}
"""


def test_a_further_system_of_a_model_has_that_ones_table_and_its_own_differences(tmp_path):
    suite = read(tmp_path, STUDENT)
    small, plain = (next(r for r in suite.runs() if suite.names()[r.key] == name) for name in ("small", "swishnet"))
    assert (small.model, small.frontend, small.arguments) == ("swishnet", "mfcc", {"dropout": 0.2})
    assert (plain.recipe.epochs, plain.recipe.mixup, plain.recipe.teacher) == (5, 0.2, None)
    assert (small.recipe.epochs, small.recipe.mixup) == (7, 0.2)


def test_a_teacher_is_the_run_of_the_same_fold_and_comes_first(tmp_path):
    suite = read(tmp_path, STUDENT)
    runs, names = suite.runs(), suite.names()
    assert [(names[r.key], r.fold) for r in runs] == [
        (name, fold) for fold in (0, 1) for name in ("cnn", "small", "swishnet", "fusion-ds")
    ]
    for teacher, student, plain, fusion in (runs[:4], runs[4:]):
        assert student.recipe.teacher == teacher.key
        assert student.needs == (teacher.key,)
        assert fusion.members == (student.key, plain.key, teacher.key)  # in the order of the models
    again = read(tmp_path, STUDENT.replace('"cnn", epochs', f'"{runs[0].key}", epochs')).runs()
    assert runs[1] in again


def test_a_selection_brings_the_teacher_along_and_knows_the_suites_names(tmp_path):
    suite = read(tmp_path, STUDENT)
    chosen = suites.select(suite.runs(), suite.names(), model=("small",), fold=(1,))
    assert [suite.names()[r.key] for r in chosen] == ["cnn", "small"]
    chosen = suites.select(suite.runs(), model=("swishnet",), fold=(1,))
    assert [suite.names()[r.key] for r in chosen] == ["cnn", "small", "swishnet"]
    chosen = suites.select(suite.runs(), model=("fusion-ds",), fold=(1,))
    assert len(chosen) == 4


def test_a_teacher_on_several_front_ends_teaches_its_own(tmp_path):
    text = 'models = ["fc", "cnn"]\ndatasets = ["synthetic"]\nfrontends = ["logmel", "mfcc"]\n'
    runs = read(tmp_path, text + 'model.fc.recipe.teacher = "cnn"').runs()
    by_key = {r.key: r for r in runs}
    assert [(r.frontend, by_key[r.recipe.teacher].frontend) for r in runs if r.model == "fc"] == [
        ("logmel", "logmel"),
        ("mfcc", "mfcc"),
    ]


FUSIONS = """
models = ["cnn", "fc", "swishnet", "fusion-ds", "pair"]
datasets = ["synthetic"]
seeds = [0, 1]
[model.pair]
model = "fusion-ds"
"""


def test_members_are_named_by_fusion_by_seed_or_by_key(tmp_path):
    def pairs(members):
        suite = read(tmp_path, FUSIONS + f"members = {members}")
        runs, names = suite.runs(), suite.names()
        keys = {r.key: (r.model, r.seed) for r in runs}
        fusions = {r.seed: [keys.get(key, key) for key in r.members] for r in runs if names[r.key] == "pair"}
        assert all(len(r.members) == 3 for r in runs if names[r.key] == "fusion-ds")
        return fusions

    assert pairs(["swishnet", "cnn"]) == {s: [("cnn", s), ("swishnet", s)] for s in (0, 1)}
    assert pairs(["cnn@0", "cnn@1"]) == {0: [("cnn", 0), ("cnn", 1)]}  # the same for every seed, so once
    assert pairs(["cnn", "fc@1"]) == {0: [("cnn", 0), ("fc", 1)], 1: [("cnn", 1), ("fc", 1)]}
    other = "synthetic-mfcc-rann-f0-s0-01234567"
    assert pairs([other, "cnn"]) == {s: [("cnn", s), other] for s in (0, 1)}


def test_every_two_or_more_members_are_combined(tmp_path):
    text = 'models = ["fc", "cnn", "swishnet", "ltc", "cnn-ltc", "fusion-ds", "fusion-average", "fusion-ids"]\n'
    text += 'datasets = ["synthetic"]\n'
    fusions = [r for r in read(tmp_path, text + "fusion_combinations = true").runs() if r.members]
    assert len(fusions) == 3 * 26
    assert len({r.key for r in fusions}) == 78
    sizes = [len(r.members) for r in fusions if r.model == "fusion-ds"]
    assert {n: sizes.count(n) for n in sizes} == {2: 10, 3: 10, 4: 5, 5: 1}
    assert {r.key for r in read(tmp_path, text).runs()} < {r.key for r in fusions} | {
        r.key for r in read(tmp_path, text).runs() if not r.members
    }


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
        ('models = ["fcc"]\ndatasets = ["synthetic"]\n[model.fcc]\nmodel = "cnm"', "Did you mean 'cnn'"),
        ('models = ["fc"]\ndatasets = ["synthetic"]\n[model.fc]\nmodel = "cnn"', "name of another model"),
        ('models = ["fc", "b"]\ndatasets = ["synthetic"]\n[model.b]\nmodel = "fc"', "b is the same as fc"),
        ('models = ["fc", "cnn"]\ndatasets = ["synthetic"]\nmodel.fc.recipe.teacher = "cn"', "did you mean 'cnn'"),
        ('models = ["fc"]\ndatasets = ["synthetic"]\nrecipe.teacher = "fc"', "fc on synthetic needs its own result"),
        (
            'models = ["fc"]\ndatasets = ["synthetic"]\nrecipe.teacher_weight = 1.1',
            r"teacher_weight must be in \[0, 1\]",
        ),
        (
            'models = ["fc"]\ndatasets = ["synthetic"]\nrecipe.teacher_temperature = 0',
            "teacher_temperature must be > 0",
        ),
        (
            'models = ["fc", "cnn"]\ndatasets = ["audioset-embeddings"]\nmodel.fc.recipe.teacher = "cnn"',
            "has 0 suitable runs",
        ),
        ('models = ["cnn", "fusion-ds"]\ndatasets = ["synthetic"]\nmodel.fusion-ds.members = ["cn"]', "mean 'cnn'"),
        ('models = ["fc", "fusion-ds"]\ndatasets = ["synthetic"]\nmodel.fusion-ds.members = "fc"', "a list of names"),
        ('models = ["fc", "fusion-ds"]\ndatasets = ["synthetic"]\nmodel.fusion-ds.members = ["fc@1"]', "seeds, \\(0,"),
        ('models = ["fusion-ds"]\ndatasets = ["synthetic"]\nfusion_members = ["fusion-ds"]', "trained models"),
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
    assert not [run for run in suites.at_hand(suite, suite.runs(), tmp_path) if run.dataset == "esc50"]
    (tmp_path / "esc50").rmdir()
    esc50.write(tmp_path / "esc50")
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


RIVALS = {"lstm-plain", "swishnet-keras", "gru", "gmm", "cnn-lstm", "cnn-gru"}
"""Of the papers' tables, which have suites of their own."""


@pytest.mark.parametrize(("name", "others"), [("all", RIVALS), ("smoke", set())])
def test_all_and_smoke_have_every_model(name, others):
    of_embeddings = {"knn", "linear-probe"}
    expected = {*catalog.MODELS, *catalog.FUSIONS} - of_embeddings - others
    assert {run.model for run in suites.read(name).runs()} == expected


@pytest.mark.parametrize("name", ["esc10", "esc10-ablation", "audioset-embeddings"])
def test_published_suites_expand_to_the_keys_of_the_published_records(name):
    published = {path.stem for path in RECORDS.glob("*.json")}
    keys = {run.key for run in suites.read(name).runs()}
    assert keys
    assert keys <= published


def test_every_fusion_is_a_table_entry_of_its_own():
    assert not catalog.FUSIONS.keys() & catalog.MODELS.keys()
    assert [name for name in catalog.FUSIONS if catalog.system(name) is not catalog.FUSIONS[name]] == []
    assert all(suites.is_fusion(name) for name in catalog.FUSIONS)
    assert not any(suites.is_fusion(name) for name in catalog.MODELS)
    assert [name for name, entry in catalog.FUSIONS.items() if entry.weighted] == ["fusion-average"]
    with pytest.raises(SuiteError, match="fusion-ds combines the results of trained models"):
        catalog.model("fusion-ds")
    with pytest.raises(SuiteError, match="Did you mean 'fusion-ds'"):
        catalog.model("fusion-dz")


@pytest.mark.process
def test_suites_and_records_import_no_torch():
    code = "import sys, bench.cli.main, bench.runner.driver, bench.leaderboard.files; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('models = ["cnn", "fp"]\n[model.fp]\nmodel = "fusion-ds"\nmembers = ["cnn"]', "combines two or more members"),
        ('models = ["cnn", "fp"]\n[model.fp]\nmodel = "fusion-ds"\nmembrs = ["cnn"]', "did you mean 'members'"),
        ('models = ["cnn"]\n[recipe]\nteacher_weight = 2.0', r"teacher_weight must be in \[0, 1\], not 2.0$"),
        ('models = ["cnn"]\n[model.cnn]\nrecipe = {teacher = ""}', "teacher must be a name or a key"),
    ],
)
def test_a_fusion_or_a_teacher_that_says_nothing_is_refused(tmp_path, text, message):
    with pytest.raises(SuiteError, match=message):
        read(tmp_path, text.replace("\n", '\ndatasets = ["synthetic"]\n', 1)).runs()


def test_backends_are_asked_for_by_name_and_change_no_key(tmp_path):
    plain = read(tmp_path, 'models = ["cnn"]\ndatasets = ["synthetic"]\n')
    more = read(tmp_path, 'models = ["cnn"]\ndatasets = ["synthetic"]\nbackends = ["eager", "int8"]\n')
    assert (plain.backends, more.backends) == (("eager",), ("eager", "int8"))
    assert plain.runs() == more.runs()
    with pytest.raises(SuiteError, match=r"no backend is called 'int9'. Did you mean 'int8'"):
        read(tmp_path, 'models = ["cnn"]\ndatasets = ["synthetic"]\nbackends = ["int9"]\n')


@pytest.mark.parametrize("name", ["../../README", "a/b", "", ".hidden", "a b"])
def test_a_suite_whose_name_is_a_path_is_refused(tmp_path, name):
    with pytest.raises(SuiteError, match="is no name of a suite: use letters"):
        read(tmp_path, f'name = "{name}"\nmodels = ["cnn"]\ndatasets = ["synthetic"]\n')


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("models = []", r"mine\.toml: models = \[\] asks for no run: name at least one of the models$"),
        (
            "seeds = []",
            r"seeds = \[\] asks for no run: name at least one of the seeds, or leave the key out for seed 0$",
        ),
        ("folds = []", r"folds = \[\] asks for no run: .* or leave the key out for the first$"),
        ("datasets = []", "names no dataset: add"),
        *((f"seeds = [{value}]", r"seeds\.0: .*valid integer") for value in ("true", "1.0", "'1'")),
        *((f"folds = [{value}]", r"folds.*valid integer") for value in ("true", "1.0")),
        ("recipe.epochs = true", r"recipe\.epochs = true: it cannot be true or false$"),
    ],
)
def test_a_list_that_asks_for_nothing_or_for_no_whole_number_is_refused(tmp_path, line, words):
    lines = {"models": 'models = ["fc"]', "datasets": 'datasets = ["synthetic"]'} | {line.split(" ")[0]: line}
    with pytest.raises(SuiteError, match=words):
        read(tmp_path, "\n".join(lines.values()))


def test_a_name_whose_files_could_not_be_written_is_refused(tmp_path):
    long, text = 101 * "a", 'models = ["fc", "{}"]\ndatasets = ["{}"]\n'
    tables = '[model."{}"]\nmodel = "fc"\nhidden = 3\n[dataset."{}"]\ndataset = "synthetic"\n'
    for suite, model, data, what in (
        (long, "b", "c", "suite aaaaa"), ("a", long, "c", "system aaaaa"), ("a", "b", long, "dataset aaaaa"),
        ("a", 51 * "é", "c", "system ééééé"),
    ):  # fmt: skip
        content = (f'name = "{suite}"\n' + text + tables).format(model, data, model, data)
        with pytest.raises(SuiteError, match=rf"name of the {what}.* has 10[12] bytes.* room for 100 of it: choose"):
            read(tmp_path, content)
    name = 100 * "a"
    suite = read(tmp_path, (f'name = "{name}"\n' + text + tables).format(name, name, name, name))
    drawn = files.texts(suite, files.boards({}, suite), Store(tmp_path), index=True)
    assert max(len(path.name) for path in drawn) < 255
    for path in drawn:
        path.parent.mkdir(exist_ok=True)
        path.touch()


def test_a_file_whose_name_has_spaces_gives_a_name_without_them(tmp_path):
    (tmp_path / "my sounds (2).toml").write_text('models = ["cnn"]\ndatasets = ["synthetic"]\n')
    assert suites.read(str(tmp_path / "my sounds (2).toml")).name == "my-sounds--2-"


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_seeds_that_no_generator_takes_are_refused(tmp_path, seed):
    with pytest.raises(SuiteError, match=rf"the seed {seed} is out of range: seeds go from 0 to 4294967295"):
        read(tmp_path, f'seeds = [{seed}]\nmodels = ["cnn"]\ndatasets = ["synthetic"]\n')


@pytest.mark.parametrize("value", [50_000 * "[" + 50_000 * "]", 5_000 * "1"])
def test_a_suite_that_no_parser_takes_is_named(tmp_path, value):
    with pytest.raises(SuiteError, match=r"\.toml is not TOML"):
        read(tmp_path, f"seeds = {value}\n")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("model.fc.hidden = nan", r"model\.fc\.hidden is nan: give a finite number, or leave it out for the default$"),
        ("model.fc.hidden = [1, [2, -inf]]", r"model\.fc\.hidden\.1\.1 is -inf: give a finite number"),
        ("model.fc.on.synthetic.hidden = inf", r"model\.fc\.on\.synthetic\.hidden is inf: give a finite number"),
        ("dataset.synthetic.hop_seconds = nan", r"dataset\.synthetic\.hop_seconds is nan: give a finite number"),
        ("dataset.synthetic.a.b = [{c = nan}]", r"dataset\.synthetic\.a\.b\.0\.c is nan: give a finite number"),
        ("model.fc.hidden = 2026-11-30", r"model\.fc\.hidden is 2026-11-30, which a record cannot hold: give a number"),
    ],
)
def test_an_argument_that_a_record_cannot_hold_is_named(tmp_path, line, words):
    with pytest.raises(SuiteError, match=words):
        read(tmp_path, f'models = ["fc"]\ndatasets = ["synthetic"]\n{line}\n')


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("gradient_clip = -1.0", r"gradient_clip must be ≥ 0, not -1.0$"),
        ("patience = -3", r"patience must be ≥ 0, not -3$"),
        (
            "accumulate = 0",
            r"accumulate must be from 1 to 16, so that each part of 32 clips \(batch_size\) has two, not 0$",
        ),
        ("mixup = -1.0", r"mixup must be in \[0, 100\], not -1.0$"),
        ("channel_noise = -1.0", r"channel_noise must be in \[0, 10\], not -1.0$"),
        *(
            (f"ema_decay = {value}", rf"ema_decay must be in \[0, 1\), not {value}$")
            for value in ("2.0", "1.0", "-1.0")
        ),
        ("label_smoothing = 3", r"label_smoothing must be in \[0, 1\], not 3.0$"),
        ("weight_decay = -1", "weight_decay must be ≥ 0, not -1.0$"),
        ("time_shift = 2.0", r"time_shift must be in \[0, 1\], not 2.0$"),
        ("time_masks = -2", r"time_masks must be in \[0, 100\], not -2$"),
        ("frequency_masks = 1000", r"frequency_masks must be in \[0, 100\], not 1000$"),
        ("gain_db = 1e300", r"gain_db must be in \[0, 120\], not 1e\+300$"),
        ("noise_snr_db = [-1e300, 0]", r"ratios must be from -120 to 120 dB, not -1e\+300 to 0.0$"),
        ("pitch_semitones = 1e6", r"pitch_semitones must be in \[0, 24\], not 1000000.0$"),
        *((f"{name} = 0.999", rf"{name} must be in \[0, 0.9\], not 0.999$") for name in ("speed", "tempo")),
        *(
            (f"background = '{path}'", "background must be a folder under the data directory, such as musan/noise, not")
            for path in ("/etc", "../..", "musan/../../etc", "", "C:/noise")
        ),
    ],
)
@pytest.mark.parametrize("table", ["recipe", "model.fc.recipe", "dataset.synthetic.recipe"])
def test_a_recipe_out_of_range_is_refused_before_anything_is_trained(tmp_path, table, value, words):
    with pytest.raises(SuiteError, match=words):
        read(tmp_path, f'models = ["fc"]\ndatasets = ["synthetic"]\n{table}.{value}\n').runs()


def test_no_recipe_that_was_published_is_refused():
    texts = {json.dumps(json.loads(path.read_text())["run"]["recipe"]) for path in RECORDS.glob("*.json")}
    found = [json.loads(text) for text in texts]
    assert len(found) > 10
    assert all(Recipe.of(each).batch_size == each["batch_size"] for each in found)


@pytest.mark.parametrize("members", ["", 'fusion_members = ["fc"]\n'])
def test_a_fusion_of_fewer_than_two_runs_is_no_fusion(tmp_path, members):
    text = f'models = ["fc", "fusion-average"]\ndatasets = ["synthetic"]\n{members}'
    with pytest.raises(SuiteError, match=r"fusion-average would have no run in .*: a fusion combines two or more runs"):
        read(tmp_path, text).runs()
    assert len(read(tmp_path, text + 'frontends = ["logmel", "mfcc"]\n').runs()) == 3
