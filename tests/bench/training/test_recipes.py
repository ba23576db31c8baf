"""The papers' recipes, and what a recipe can ask of a training besides its rates."""

import copy
import json
from dataclasses import fields, replace

import pytest
import soundfile
import torch
from typer.testing import CliRunner

from bench import suites
from bench.cli import app
from bench.errors import RunError, SuiteError
from bench.records import Recipe, Record, Run, Store
from bench.runner.settings import RunSettings
from bench.runner.worker import execute
from bench.suites import recipes
from bench.training import build, fit
from bench.training.stored import read_weights
from datamodules.base import DataError
from datamodules.clips.draws import rarity
from datamodules.synthetic import Synthetic, SyntheticTags
from models.errors import TrainingError
from models.training.freezing import freeze
from models.training.optimisation import optimizer_and_schedule


@pytest.mark.parametrize("name", sorted(recipes.names()))
def test_a_papers_recipe_is_a_recipe_and_has_a_source_for_each_value(name):
    paper = recipes.read(name)
    assert paper.values.keys() == paper.sources.keys() <= {f.name for f in fields(Recipe)}
    assert all(paper.sources.values())
    assert paper.title
    assert paper.paper
    Recipe(**recipes.resolved({"like": name}))


def test_the_papers_of_the_project_each_have_one():
    assert set(recipes.names()) == {"swishnet", "rann", "panns", "lstm-skip", "fc", "ltc"}


def test_warm_restarts_fall_to_the_papers_least_rate():
    values = Recipe(**recipes.resolved({"like": "swishnet"}))
    assert values.learning_rate / 50 == pytest.approx(1e-5)
    assert values.gradient_clip is None


def written(tmp_path, text):
    path = tmp_path / "mine.toml"
    path.write_text('models = ["fc", "cnn"]\ndatasets = ["synthetic"]\n' + text)
    return suites.read(str(path))


def test_a_suite_takes_a_papers_recipe_and_says_what_differs(tmp_path):
    grid = written(
        tmp_path, '[recipe]\nlike = "panns"\nepochs = 3\n[model.cnn.recipe]\nlike = "swishnet"\nbatch_size = 8\n'
    )
    fc, cnn = (run.recipe for run in grid.runs())
    assert (fc.amsgrad, fc.balanced, fc.epochs, fc.gradient_clip) == (True, True, 3, None)
    assert (cnn.schedule, cnn.batch_size, cnn.epochs) == ("sgdr", 8, 120)


def test_an_unknown_recipe_is_named_with_its_neighbour(tmp_path):
    with pytest.raises(SuiteError, match="Did you mean 'panns'"):
        written(tmp_path, '[recipe]\nlike = "pann"\n')
    with pytest.raises(SuiteError, match="`like` is the name of a recipe"):
        written(tmp_path, "[recipe]\nlike = 3\n")


def test_the_list_shows_values_and_sources():
    found = CliRunner().invoke(app, ["list", "recipes", "--json"])
    assert json.loads(found.stdout)["recipes"]["panns"]["values"]["batch_size"] == 32


def test_a_balanced_draw_weighs_a_clip_by_its_rarest_class():
    single = rarity(torch.tensor([0, 0, 0, 1]), "single", 2)
    assert single.tolist() == pytest.approx([1 / 3, 1 / 3, 1 / 3, 1])
    labels = torch.tensor([[1.0, 0], [1, 1], [1, 0], [0, 0]])
    assert rarity(labels, "multi", 2).tolist() == pytest.approx([1 / 3, 1, 1 / 3, 1 / 3])


def prepared(**recipe):
    run = Run(model="cnn", frontend="logmel", dataset="synthetic", recipe=Recipe(**{"epochs": 2} | recipe))
    data = Synthetic(clips_per_class=10, clip_seconds=0.5, batch_size=run.recipe.batch_size)
    data.setup()
    torch.manual_seed(0)
    return run, data, build.model(run, data)


def trained(folder, workers=0, **recipe):
    run, data, model = prepared(**recipe)
    data.workers = workers
    result = fit.train(model, data, run.recipe, folder, "cpu", lambda *news: None)
    return result, model


@pytest.mark.slow
def test_a_balanced_draw_shows_classes_alike():
    data = SyntheticTags(clips_per_class=40, clip_seconds=0.5)
    data.setup()
    data.balanced = True
    loader = data.train_dataloader()
    drawn = torch.cat([target for _ in range(20) for _, target in loader]).sum(0)
    plain = data.splits.train.targets.sum(0)
    assert drawn.max() / drawn.min() < plain.max() / plain.min()


@pytest.mark.slow
@pytest.mark.parametrize("recipe", [{"balanced": True}, {"amsgrad": True, "optimizer": "adam"}])
def test_they_learn(tmp_path, recipe):
    result, _ = trained(tmp_path, **{"learning_rate": 3e-3, "epochs": 6} | recipe)
    assert result.curves["train_loss"][-1] < result.curves["train_loss"][0]


def test_amsgrad_is_of_adam():
    with pytest.raises(ValueError, match="amsgrad"):
        Recipe(optimizer="sgd", amsgrad=True)


@pytest.mark.slow
def test_the_compiled_model_learns_what_the_plain_one_does(tmp_path, monkeypatch):
    compiled = []

    def compile_(function):
        compiled.append(function)
        return original(function, backend="eager")

    original = torch.compile
    monkeypatch.setattr(torch, "compile", compile_)
    plain, _ = trained(tmp_path)
    fast, model = trained(tmp_path, compile=True)
    assert compiled
    assert fast.curves["train_loss"] == pytest.approx(plain.curves["train_loss"], rel=1e-4)
    assert not any("_orig_mod" in name for name in model.state_dict())


@pytest.mark.process
@pytest.mark.slow
def test_the_same_seed_gives_the_same_weights_bit_for_bit_with_and_without_processes_that_read(tmp_path, monkeypatch):
    monkeypatch.setattr(fit, "FEATURE_BYTES", 0)  # so that clips are read again in each epoch
    recipe = {"mixup": 0.3, "time_shift": 0.5, "time_masks": 1}
    models = [trained(tmp_path, workers, **recipe)[1] for workers in (0, 0, 2)]
    first = models[0].state_dict()
    for model in models[1:]:
        for name, value in model.state_dict().items():
            assert torch.equal(value, first[name]), name


@pytest.mark.slow
def test_frozen_modules_keep_weights_and_statistics(tmp_path):
    run, data, model = prepared(learning_rate=1e-2)
    still = next(name for name, _ in model.named_children() if name != "frontend")
    before = copy.deepcopy(model.state_dict())
    recipe = replace(run.recipe, frozen=(still,))
    fit.train(model, data, recipe, tmp_path, "cpu", lambda *news: None)
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed
    assert not any(name.startswith(f"{still}.") for name in changed)


def test_an_unknown_module_and_nothing_left_to_learn_are_errors():
    _, _, model = prepared()
    with pytest.raises(TrainingError, match="no module 'body2'"):
        freeze(model, ("body2",))
    with pytest.raises(TrainingError, match="no trainable parameter remains"):
        freeze(model, ("",))


@pytest.fixture
def settings(tmp_path):
    return RunSettings(store=tmp_path / "runs", data_dir=tmp_path, device="cpu")


def finish(settings, run):
    assert execute(run, settings, False, lambda news: None) == "done", Store(settings.store).get(run.key).error
    return Store(settings.store).get(run.key)


def small(**recipe):
    return Run(
        model="cnn",
        frontend="logmel",
        dataset="synthetic",
        recipe=Recipe(**{"epochs": 1} | recipe),
        data={"clips_per_class": 10, "clip_seconds": 0.5},
    )


@pytest.mark.slow
def test_a_run_starts_from_anothers_weights(settings):
    first = finish(settings, small()).run
    run = small(init=first.key, learning_rate=1e-12, weight_decay=0.0)
    finish(settings, run)
    store = Store(settings.store)
    one, other = (read_weights(store.artifacts(key), key) for key in (first.key, run.key))
    weights = [name for name in one if name.endswith("weight")]
    assert weights
    for name in weights:
        torch.testing.assert_close(one[name], other[name], rtol=0, atol=1e-6)
    assert run.needs == (first.key,)


@pytest.mark.slow
def test_other_classes_leave_the_last_layer_as_drawn(settings):
    first = finish(settings, small()).run
    run = small(init=first.key)
    _, data, _ = prepared()
    model = build.sized("cnn", "logmel", {}, data.clip_shape, data.sample_rate, len(data.classes) + 3)
    drawn = copy.deepcopy(model.state_dict())
    build.start_from(model, run, Store(settings.store), data)
    learnt = read_weights(Store(settings.store).artifacts(first.key), first.key)
    head = next(name for name, module in model.named_modules() if module is model.output)
    assert torch.equal(model.output.weight, drawn[f"{head}.weight"])
    same = [name for name, value in learnt.items() if value.shape == drawn[name].shape]
    assert len(same) == len(learnt) - 2
    assert all(torch.equal(model.state_dict()[name], learnt[name]) for name in same)


@pytest.mark.slow
def test_what_it_cannot_start_from_is_said(settings):
    first = finish(settings, small()).run
    store = Store(settings.store)
    wrong = replace(small(init=first.key), model="fc", frontend="logmel-1s")
    _, data, _ = prepared()
    with pytest.raises(RunError, match="differ in name or shape"):
        build.start_from(build.model(wrong, data), wrong, store, data)
    with pytest.raises(RunError, match="training clips may include this run's test clips"):
        build.start_from(build.model(first, data), replace(small(init=first.key), fold=1), store, data)
    with pytest.raises(RunError, match="has no result"):
        build.start_from(build.model(first, data), small(init="esc10-logmel-cnn-f0-s0-00000000"), store, data)
    (store.artifacts(first.key) / "weights.safetensors").unlink()
    with pytest.raises(RunError, match="no weights"):
        build.start_from(build.model(first, data), small(init=first.key), store, data)
    assert isinstance(store.get(first.key), Record)


def test_in_a_suite_a_run_starts_from_a_system_by_name(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(
        'models = ["cnn", "tuned"]\ndatasets = ["synthetic"]\nfolds = [0, 1]\n'
        '[model.tuned]\nmodel = "cnn"\nrecipe = {init = "cnn", learning_rate = 1e-4}\n'
    )
    grid = suites.read(str(path))
    names = grid.names()
    for fold in (0, 1):
        plain, tuned = (next(r for r in grid.runs() if names[r.key] == n and r.fold == fold) for n in ("cnn", "tuned"))
        assert tuned.recipe.init == plain.key


@pytest.mark.parametrize(
    "recipe",
    [
        {"between_class": True, "mixup": 0.3},
        {"waveform_shift": 0.5, "waveform_crop": 0.8, "gain_db": 6.0, "noise_snr_db": (10.0, 40.0), "augmented": 0.5},
        {"speed": 0.1, "tempo": 0.1, "pitch_semitones": 1.0},
        {"background": "noise", "background_snr_db": (5.0, 20.0)},
    ],
)
@pytest.mark.slow
def test_what_changes_waveforms_is_reproducible_and_learns(tmp_path, recipe):
    (tmp_path / "noise").mkdir()
    noise = torch.randn(32000).mul(0.1).numpy()
    soundfile.write(tmp_path / "noise" / "hum.wav", noise, 16000)
    weights = []
    for _ in range(2):
        run, data, model = prepared(**{"epochs": 4, "learning_rate": 3e-3} | recipe)
        result = fit.train(model, data, run.recipe, tmp_path, "cpu", lambda *news: None, data_dir=tmp_path)
        weights.append(model.state_dict())
    assert result.curves["train_loss"][-1] < result.curves["train_loss"][0]
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())


def test_a_background_that_is_not_there_and_waveforms_of_embeddings_are_errors(tmp_path):
    run, data, model = prepared(background="nowhere")
    with pytest.raises(DataError, match="nowhere"):
        fit.train(model, data, run.recipe, tmp_path, "cpu", lambda *news: None, data_dir=tmp_path)
    data.sample_rate = None
    with pytest.raises(DataError, match="has embeddings"):
        fit.train(model, data, run.recipe, tmp_path, "cpu", lambda *news: None, data_dir=tmp_path)


@pytest.mark.parametrize(
    "wrong", [{"speed": 1.0}, {"waveform_crop": 0.0}, {"noise_snr_db": (20.0, 10.0)}, {"augmented": 2.0}]
)
def test_what_no_waveform_can_be_changed_by_is_refused(wrong):
    with pytest.raises(ValueError, match=r"must be|above"):
        Recipe(**wrong)


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
def test_one_cycle_moves_the_momentum_too(optimizer: str) -> None:
    recipe = replace(Recipe(), optimizer=optimizer, schedule="one-cycle")
    found = optimizer_and_schedule([torch.nn.Parameter(torch.zeros(1))], recipe, 11, 1, fused=False)
    moved, schedule = found["optimizer"], found["lr_scheduler"]["scheduler"]
    seen = []
    for _ in range(11):
        group = moved.param_groups[0]
        seen.append(group["momentum"] if optimizer == "sgd" else group["betas"][0])
        moved.step()
        if len(seen) < 11:
            schedule.step()
    assert (seen[0], min(seen), seen[-1]) == pytest.approx((0.95, 0.85, 0.95), abs=3e-3)
