"""Training within a recipe, on half-second clips made by code."""

import copy

import pytest
import torch

from bench.errors import RunError
from bench.records import Recipe, Run
from bench.training import build, fit
from datamodules.synthetic import Synthetic, SyntheticTags
from models.fc import FC
from models.layers import closed_form


def prepared(dataset="synthetic", model="fc", frontend="logmel-1s", **recipe):
    run = Run(model=model, frontend=frontend, dataset=dataset, recipe=Recipe(**recipe))
    kind = Synthetic if dataset == "synthetic" else SyntheticTags
    data = kind(clips_per_class=10, clip_seconds=0.5, batch_size=run.recipe.batch_size)
    data.setup()
    torch.manual_seed(0)
    return run, data, build.model(run, data)


def train(run, data, model, folder):
    seen = []
    trained = fit.train(model, data, run.recipe, folder, "cpu", lambda *news: seen.append(news))
    return trained, seen


@pytest.mark.parametrize("dataset", ["synthetic", "synthetic-tags"])
@pytest.mark.parametrize(
    "recipe",
    [
        {},
        {"optimizer": "sgd", "schedule": "constant", "learning_rate": 0.1},
        {"optimizer": "adam", "schedule": "cosine", "gradient_clip": None, "weight_decay": 0.0},
        {"schedule": "sgdr", "label_smoothing": 0.1, "mixup": 0.5, "time_shift": 0.5, "time_masks": 1},
        {"precision": "bf16-mixed", "prior_bias": False, "frequency_masks": 2},
        {"time_crop": 0.5, "time_stretch": 0.2, "ema_decay": 0.9},
    ],
)
@pytest.mark.slow
def test_every_recipe_learns(tmp_path, dataset, recipe):
    run, data, model = prepared(dataset, epochs=8, **{"learning_rate": 1e-2} | recipe)
    trained, seen = train(run, data, model, tmp_path)
    assert [epoch for epoch, _, score, _ in seen if score is not None] == list(range(1, 9))
    assert all(len(curve) == 8 for curve in trained.curves.values())
    assert trained.curves["train_loss"][-1] < trained.curves["train_loss"][0]
    assert not any(tmp_path.iterdir())


@pytest.mark.slow
def test_the_weights_of_the_best_epoch_are_kept_and_ties_go_to_the_lower_loss(tmp_path):
    run, data, model = prepared(epochs=12, learning_rate=1e-2)
    trained, _ = train(run, data, model, tmp_path)
    score, loss = trained.curves["val_accuracy"], trained.curves["val_loss"]
    best = max(range(12), key=lambda epoch: (score[epoch], -loss[epoch]))
    assert trained.best_epoch == best
    clips = data.splits.val
    with torch.inference_mode():
        right = (model(clips.load(range(len(clips)))).argmax(1) == clips.targets).float().mean()
    assert right == pytest.approx(score[best])


@pytest.mark.slow
def test_the_moving_average_is_what_is_kept(tmp_path):
    run, data, model = prepared(epochs=3, learning_rate=1e-2, ema_decay=0.999999)
    before = copy.deepcopy(model.hidden.weight)
    train(run, data, model, tmp_path)
    assert torch.allclose(model.hidden.weight, before, atol=1e-3)  # the average starts after the first step
    run, data, model = prepared(epochs=3, learning_rate=1e-2)
    train(run, data, model, tmp_path)
    assert not torch.allclose(model.hidden.weight, before, atol=1e-3)


@pytest.mark.slow
def test_the_moving_average_is_of_weights_and_not_of_buffers(tmp_path):
    kept = {}
    for decay in (None, 0.9):
        run, data, model = prepared(model="cnn", epochs=1, batch_size=8, learning_rate=1e-2, ema_decay=decay)
        before = {name: buffer.clone() for name, buffer in model.frontend.named_buffers()}
        train(run, data, model, tmp_path)
        assert all(torch.equal(buffer, before[name]) for name, buffer in model.frontend.named_buffers())
        kept[decay] = model
    averaged = dict(kept[0.9].named_buffers())
    assert averaged
    assert all(torch.equal(averaged[name], buffer) for name, buffer in kept[None].named_buffers())
    assert not torch.equal(kept[0.9].logits.weight, kept[None].logits.weight)


@pytest.mark.slow
def test_training_stops_when_validation_gets_no_better(tmp_path):
    run, data, model = prepared(epochs=30, learning_rate=1e-9, schedule="constant", patience=2)
    trained, _ = train(run, data, model, tmp_path)
    assert len(trained.curves["val_loss"]) < 30


@pytest.mark.slow
def test_a_training_that_diverges_is_an_error(tmp_path):
    run, data, model = prepared(epochs=5, learning_rate=1e30, gradient_clip=None, optimizer="sgd", schedule="constant")
    with pytest.raises(RunError, match="lower the learning rate"):
        train(run, data, model, tmp_path)
    assert not any(tmp_path.iterdir())


@pytest.mark.slow
def test_features_computed_once_train_as_the_waveforms_do(tmp_path, monkeypatch):
    curves = []
    for most in (fit.FEATURE_BYTES, 0):
        monkeypatch.setattr(fit, "FEATURE_BYTES", most)
        run, data, model = prepared(epochs=2, batch_size=16)
        curves.append(train(run, data, model, tmp_path)[0].curves["val_loss"])
    assert curves[0] == pytest.approx(curves[1], rel=1e-3)


@pytest.mark.slow
def test_auto_trains_and_says_what_it_was(tmp_path, monkeypatch):
    monkeypatch.setattr("models.training.arithmetic.has_bfloat16", lambda device: True)
    run, data, model = prepared(model="cnn", epochs=2, precision="auto", gradient_clip=0.5)
    trained, _ = train(run, data, model, tmp_path)
    assert trained.arithmetic == {"precision": "bf16-mixed", "memory_format": "channels-last"}
    assert type(model.stem[0]) is torch.nn.Conv2d
    assert model.recipe.precision == "bf16-mixed"
    with torch.inference_mode():
        assert model(data.splits.val.load(range(2))).dtype == torch.float32


@pytest.mark.slow
def test_auto_fuses_closed_form_cells_for_the_time_of_the_training(tmp_path, monkeypatch):
    lengths = []
    fused = closed_form.Sequence.apply
    monkeypatch.setattr(closed_form.Sequence, "apply", lambda *given: (lengths.append(len(given[0])), fused(*given))[1])
    run, data, model = prepared(model="cfc", frontend="logmel", epochs=1, precision="auto")
    kinds = [type(module) for module in model.modules()]
    trained, _ = train(run, data, model, tmp_path)
    assert lengths
    assert trained.arithmetic["closed_form_cells"] == "fused"
    assert [type(module) for module in model.modules()] == kinds
    lengths.clear()
    run, data, model = prepared(model="cfc", frontend="logmel", epochs=1)
    train(run, data, model, tmp_path)
    assert not lengths


def test_a_named_precision_is_not_reported(tmp_path):
    run, data, model = prepared(epochs=1)
    trained, _ = train(run, data, model, tmp_path)
    assert trained.arithmetic == {}


@pytest.mark.parametrize("limit", [1e-3, None])
def test_gradients_are_clipped_in_bfloat16(tmp_path, limit):
    """With plain steps of rate 1, the weights move by the norm of the gradient at most."""
    run, data, model = prepared(
        epochs=1, batch_size=100, optimizer="sgd", schedule="constant", learning_rate=1.0, weight_decay=0.0,
        precision="bf16-mixed", gradient_clip=limit,
    )  # fmt: skip
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    train(run, data, model, tmp_path)
    moved = sum((p.detach() - before[name]).square().sum().item() for name, p in model.named_parameters()) ** 0.5
    assert (moved <= 1.01e-3) == (limit is not None)


def test_each_epochs_report_has_the_learning_rate_and_the_norm_of_its_last_step(tmp_path, monkeypatch):
    run, data, model = prepared(epochs=4, learning_rate=1e-2, schedule="one-cycle")
    used = []
    clip = type(model).configure_gradient_clipping

    def watched(self, *arguments, **named):
        used.append(self.trainer.optimizers[0].param_groups[0]["lr"])
        clip(self, *arguments, **named)

    monkeypatch.setattr(type(model), "configure_gradient_clipping", watched)
    _, seen = train(run, data, model, tmp_path)
    values = [values for _, _, score, values in seen if score is not None]
    steps = len(used) // 4
    assert steps > 1
    assert [each["learning_rate"] for each in values] == pytest.approx(used[steps - 1 :: steps])
    assert len({each["gradient_norm"] for each in values}) == 4


PLAIN = ("standardise", "level", "input_dropout", "dropout")
"""Modules of FC without which a clip's loss does not depend on its batch, nor on chance."""


@pytest.mark.parametrize("parts", [2, 5])
@pytest.mark.parametrize(
    "recipe",
    [
        {"batch_size": 22, "frozen": PLAIN, "mixup": 0.5},
        {"batch_size": 22, "frozen": PLAIN, "ema_decay": 0.9, "precision": "bf16-mixed", "optimizer": "sgd"},
        {"batch_size": 22, "model": "lstm-plain", "frozen": ("standardise", "dropout"), "gradient_clip": 0.1},
    ],
)
def test_a_batch_in_parts_gives_the_steps_of_the_whole(tmp_path, recipe, parts):
    """The last batch of each epoch is smaller: its parts weigh by their clips, too."""
    found = []
    for accumulate in (1, parts):
        run, data, model = prepared(epochs=3, learning_rate=1e-2, accumulate=accumulate, **recipe)
        assert len(data.splits.train) % 22
        torch.manual_seed(1)
        trained, _ = train(run, data, model, tmp_path)
        found.append((trained.curves, {name: p.detach() for name, p in model.named_parameters()}))
    (whole, weights), (in_parts, others) = found
    close = 2e-3 if "precision" in recipe else 1e-5
    assert in_parts["train_loss"] == pytest.approx(whole["train_loss"], rel=close)
    assert all(torch.allclose(value, others[name], atol=close) for name, value in weights.items())


def test_no_part_of_a_batch_is_larger_than_its_share(tmp_path, monkeypatch):
    run, data, model = prepared(batch_size=16, accumulate=3, epochs=1)
    sizes = []
    classify = type(model).classify

    def counted(self, features):
        sizes.append(len(features))
        return classify(self, features)

    monkeypatch.setattr(type(model), "classify", counted)
    train(run, data, model, tmp_path)
    assert sizes[:3] == [6, 5, 5]
    steps, left = divmod(len(data.splits.train), 16)
    assert 3 < left < 16
    assert sum(sizes[3 * steps :][: -(-left // 6)]) == left
    assert min(sizes[: 3 * steps + -(-left // 6)]) > 1  # which batch norms need


@pytest.mark.slow
def test_a_learned_front_end_trains_in_parts(tmp_path):
    run, data, model = prepared(model="swishnet", frontend="wavegram-rann", batch_size=8, accumulate=2, epochs=1)
    before = {name: p.detach().clone() for name, p in model.frontend.named_parameters()}
    train(run, data, model, tmp_path)
    assert before
    assert all(not torch.equal(before[name], p) for name, p in model.frontend.named_parameters())


def test_parts_have_two_clips_at_least(tmp_path):
    for wrong in (0, 17):
        with pytest.raises(ValueError, match="accumulate must be from 1 to 16"):
            Recipe(accumulate=wrong)
    for wrong in (2.0, True, "2", None):
        with pytest.raises(ValueError, match="accumulate must be a whole number, not"):
            Recipe(accumulate=wrong)
    assert Recipe(batch_size=1).accumulate == 1
    run, data, model = prepared(batch_size=len(data_clips := range(19)), accumulate=9, epochs=1)
    assert len(data.splits.train) % len(data_clips)
    train(run, data, model, tmp_path)  # a batch norm refuses a single clip


def test_a_step_of_a_models_own_is_not_computed_in_parts(tmp_path):
    class Own(FC):
        def training_step(self, batch, batch_idx):
            return super().training_step(batch, batch_idx)

    run, data, model = prepared(accumulate=2)
    model.__class__ = Own
    with pytest.raises(RunError, match="Own has a training step of its own, which takes each batch as a whole"):
        train(run, data, model, tmp_path)


def test_compiled_steps_of_a_learned_front_end_have_no_parts(tmp_path):
    run, data, model = prepared(model="swishnet", frontend="wavegram-rann", accumulate=2, compile=True)
    with pytest.raises(RunError, match="leave compile or accumulate out"):
        train(run, data, model, tmp_path)


def test_several_devices_share_no_batch_in_parts(tmp_path):
    run, data, model = prepared(accumulate=2)
    with pytest.raises(RunError, match="2 compute a part of each batch already: leave accumulate out"):
        fit.train(model, data, run.recipe, tmp_path, "cpu", print, devices=2)
