"""A student and its teacher: the loss by hand, and the whole line on half-second clips."""

import io
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

from bench import suites
from bench.errors import RunError
from bench.evaluation import evaluate
from bench.records import Recipe, Run, Store
from bench.runner import worker
from bench.runner.driver import Runner
from bench.runner.progress import Progress
from bench.runner.settings import RunSettings
from bench.training import build, fit
from bench.training.stored import read_weights
from datamodules.synthetic import Synthetic, SyntheticTags
from models.base import AudioModel
from models.training import steps

SMALL = """
models = ["student", "fc", "fusion-ds", "swishnet"]
datasets = ["synthetic"]
[recipe]
epochs = 1
mixup = 0.3
[dataset.synthetic]
clips_per_class = 10
clip_seconds = 0.5
[model.student]
model = "fc"
recipe = {teacher = "swishnet", teacher_temperature = 4.0}
"""


class Fixed(AudioModel):
    """Logits that are parameters and do not depend on the input."""

    def __init__(self, logits):
        super().__init__(torch.nn.Identity(), 1, 1, len(logits))
        self.logits = torch.nn.Parameter(torch.tensor([logits]))

    @property
    def output(self):
        return torch.nn.Linear(1, self.classes)

    def classify(self, features):
        return self.logits


def loss(task, student, target, teacher, **recipe):
    """The loss of one clip."""
    model = prepared(student, task, **recipe)
    return model.training_step((torch.zeros(1, 1, 1), torch.tensor([target]), torch.tensor([teacher])), 0).item()


def prepared(logits, task, **recipe):
    model = Fixed(logits)
    model.task, model.recipe, model.from_features = task, Recipe(**recipe), True
    return model


def test_single_label_loss_by_hand():
    # student (0, ln 3): probabilities 1/4, 3/4; teacher (2 ln 2, 0) at T = 2: (ln 2, 0), so 2/3, 1/3
    student, teacher = [0.0, math.log(3)], [2 * math.log(2), 0.0]
    hard = math.log(4)  # of class 0
    warm = math.log(
        1 + 3**0.5
    )  # -log of the student's probability of class 0 at T = 2, where its logits are 0, ln 3 / 2
    soft = 4 * (2 / 3 * warm + 1 / 3 * (warm - math.log(3) / 2))
    for weight in (0.0, 0.3, 0.9, 1.0):
        found = loss("single", student, 0, teacher, teacher_temperature=2.0, teacher_weight=weight)
        assert found == pytest.approx(weight * soft + (1 - weight) * hard, rel=1e-5)


def test_multi_label_loss_by_hand():
    # two labels; at T = 2 the student's odds are 1 and 3, the teacher's 2 and 1
    student, teacher = [0.0, 2 * math.log(3)], [2 * math.log(2), 0.0]
    hard = (math.log(2) + math.log(10)) / 2  # label 0 present at odds 1, label 1 absent at odds 9
    soft = 4 * (math.log(2) + 1 / 2 * math.log(4 / 3) + 1 / 2 * math.log(4)) / 2
    for weight in (0.0, 0.5, 1.0):
        found = loss("multi", student, [1.0, 0.0], teacher, teacher_temperature=2.0, teacher_weight=weight)
        assert found == pytest.approx(weight * soft + (1 - weight) * hard, rel=1e-5)


def test_at_temperature_1_the_teacher_alone_is_cross_entropy_with_its_softmax():
    student, teacher = [0.3, -1.0, 2.0], [1.0, 0.5, -0.2]
    found = loss("single", student, 1, teacher, teacher_temperature=1.0, teacher_weight=1.0)
    p = np.exp(teacher) / np.exp(teacher).sum()
    assert found == pytest.approx(-(p * (np.array(student) - np.log(np.exp(student).sum()))).sum(), rel=1e-5)


def test_mixup_mixes_the_teachers_distributions_as_it_mixes_the_clips(monkeypatch):
    seen = []
    monkeypatch.setattr(steps, "distillation_loss", lambda logits, goal, *_: seen.append(goal) or logits.sum())
    monkeypatch.setattr(steps, "classification_loss", lambda logits, target, *_: seen.append(target) or logits.sum())
    model = prepared([0.0, 0.0], "single", mixup=0.5, teacher_temperature=1.0)
    torch.manual_seed(0)
    target = torch.tensor([0, 1] * 8)
    taught = torch.tensor([[math.log(3), 0.0], [0.0, math.log(3)]])[target]  # 3/4 for the clip's own class
    model.training_step((torch.zeros(16, 1, 1), target, taught), 0)
    targets, goals = seen
    assert ((targets > 0) & (targets < 1)).any()
    assert torch.allclose(goals, targets / 2 + 1 / 4)  # 1/4 + 1/2 where the class is, 1/4 where it is not


@pytest.mark.parametrize("dataset", ["synthetic", "synthetic-tags"])
@pytest.mark.parametrize("most", [fit.FEATURE_BYTES, 0])
@pytest.mark.slow
def test_a_student_follows_its_teacher_where_the_labels_are_wrong(tmp_path, monkeypatch, dataset, most):
    monkeypatch.setattr(fit, "FEATURE_BYTES", most)
    data = {"synthetic": Synthetic, "synthetic-tags": SyntheticTags}[dataset](clips_per_class=20, clip_seconds=0.5)
    data.setup()
    clips = data.splits.train
    shares = torch.nn.functional.one_hot(clips.targets).float() if data.task == "single" else clips.targets
    clips.targets = (clips.targets + 1) % 10 if data.task == "single" else 1 - clips.targets
    scores = []
    for weight in (1.0, 0.0):
        recipe = Recipe(epochs=10, learning_rate=1e-2, teacher_weight=weight)
        torch.manual_seed(0)
        model = build.model(
            Run(
                model="fc",
                frontend="logmel-1s",
                dataset=dataset,
                recipe=recipe,
                arguments={"dropout": 0.0, "input_dropout": 0.0},
            ),
            data,
        )
        curves = fit.train(model, data, recipe, tmp_path, "cpu", lambda *news: None, 10 * shares - 5).curves
        scores.append(curves["val_accuracy" if data.task == "single" else "val_mAP"][-1])
    assert scores[0] > scores[1] + 0.15


def do(suite, store, *runs, force=False):
    settings = RunSettings(store=store, data_dir=Path("nowhere"), device="cpu")
    return Runner(suite, settings, Progress(Console(file=io.StringIO())), "serial").run(runs or suite.runs(), force)


@pytest.fixture(scope="module")
def suite(tmp_path_factory):
    path = tmp_path_factory.mktemp("suite") / "small.toml"
    path.write_text(SMALL)
    return suites.read(str(path))


@pytest.mark.process
def test_teachers_come_before_students_and_students_before_their_fusions(suite, tmp_path):
    teacher, student, plain, fused = suite.runs()
    assert suite.names()[student.key] == "student"
    outcome = do(suite, tmp_path)
    assert outcome.done.index(teacher.key) < outcome.done.index(student.key) < outcome.done.index(fused.key)
    assert set(outcome.done) == {teacher.key, student.key, plain.key, fused.key}
    store = Store(tmp_path)
    curves = [store.get(run.key).curves["train_loss"] for run in (student, plain)]
    assert curves[0] != curves[1]
    table = (tmp_path / "small.md").read_text()
    assert "| student |" in table
    assert "fc (teacher=swishnet)" in table
    assert "| fc |" in table
    assert do(suite, tmp_path).done == []
    forced = do(suite, tmp_path, teacher, force=True)
    assert forced.done == [teacher.key, student.key, fused.key]


@pytest.mark.process
def test_a_student_without_its_teacher_fails_alone(suite, tmp_path, monkeypatch):
    teacher, student, plain, fused = suite.runs()
    real = build.model

    def broken(run, data):
        if run.key == teacher.key:
            raise RunError("the disk is full")
        return real(run, data)

    monkeypatch.setattr(build, "model", broken)
    outcome = do(suite, tmp_path)
    assert outcome.done == [plain.key]
    assert set(outcome.failed) == {teacher.key, student.key, fused.key}
    assert outcome.failed[student.key].message == f"the teacher {teacher.key} has no result: run its suite again"
    assert Store(tmp_path).get(student.key).status == "failed"


@pytest.mark.slow
def test_a_teacher_changes_nothing_but_the_loss(suite, tmp_path):
    teacher, student, plain, _ = suite.runs()
    idle = replace(student, recipe=replace(student.recipe, teacher_weight=0.0))
    settings = RunSettings(store=tmp_path, data_dir=tmp_path, device="cpu")
    for run in (teacher, idle, plain):
        assert worker.execute(run, settings, False, lambda news: None) == "done"
    store = Store(tmp_path)
    assert store.get(idle.key).curves == store.get(plain.key).curves
    weights = [read_weights(store.artifacts(run.key), run.key) for run in (idle, plain)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[1])


@pytest.fixture(scope="module")
def taught(suite, tmp_path_factory):
    """A store with a teacher, fc, and their fusion."""
    folder = tmp_path_factory.mktemp("taught")
    teacher, _, plain, _ = suite.runs()
    fused = Run(
        model="fusion-average", frontend="none", dataset="synthetic", data=plain.data,
        arguments={"members": [teacher.key, plain.key]},
    )  # fmt: skip
    settings = RunSettings(store=folder, data_dir=folder, device="cpu")
    for run in (teacher, plain):
        assert worker.execute(run, settings, False, lambda news: None) == "done"
    worker.fuse((fused,), settings, frozenset(), lambda news: None)
    data = build.dataset(plain, folder, None)
    data.setup()
    return teacher, plain, fused, Store(folder), data


def test_a_fusion_may_teach(taught):
    _, plain, fused, store, data = taught
    student = replace(plain, recipe=Recipe(teacher=fused.key))
    found = evaluate.logits(build.teacher(student, store, data), data.splits.test, 8, "cpu")
    with np.load(store.artifacts(fused.key) / "logits.npz") as saved:
        assert np.allclose(found, saved["logits"], atol=1e-4)


def test_a_teacher_that_may_have_trained_on_the_test_clips_is_refused(taught):
    teacher, plain, _, store, data = taught
    for change in ({"fold": 1}, {"data": {"clips_per_class": 20}}, {"dataset": "synthetic-tags"}):
        student = replace(plain, **{"recipe": Recipe(teacher=teacher.key)} | change)
        with pytest.raises(RunError, match=r"another split|clips that this run's data have, too"):
            build.teacher(student, store, data)


def test_a_teacher_of_other_classes_or_without_weights_is_refused(taught, tmp_path, monkeypatch):
    teacher, plain, _, store, data = taught
    student = replace(plain, recipe=Recipe(teacher=teacher.key))
    elsewhere = Store(tmp_path)
    elsewhere.write(store.get(teacher.key))
    with pytest.raises(
        RunError,
        match=f"{teacher.key} has no weights in .*: repeat the .* with --key {teacher.key} and --force",
    ):
        build.teacher(student, elsewhere, data)
    monkeypatch.setattr(data, "classes", data.classes[::-1])
    with pytest.raises(RunError, match="other classes than the data"):
        build.teacher(student, store, data)


def test_a_member_that_cannot_be_fused_is_refused(taught):
    teacher, plain, fused, store, data = taught
    nested = replace(fused, arguments={"members": [fused.key, plain.key]})
    with pytest.raises(RunError, match=f"{fused.key} is a fusion itself: name its members instead"):
        evaluate.fuse(nested, store, data)
    other = build.dataset(replace(plain, fold=1), store.root, None)
    other.setup()
    with pytest.raises(RunError, match=f"{teacher.key} was tested on other clips or classes"):
        evaluate.fuse(replace(fused, fold=1), store, other)
