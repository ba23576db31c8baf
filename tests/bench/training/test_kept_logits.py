"""Trainings of earlier versions give the same logits: keys and records of finished runs stay valid."""

from pathlib import Path

import lightning.pytorch as pl
import pytest

from bench.evaluation import evaluate
from bench.records import Recipe, Run
from bench.training import build, fit
from datamodules.synthetic import Synthetic

KEPT = {  # of the first test clip, at commit 6936716, before models became LightningModules
    ("fc", "logmel-1s"): [-2.2873, -2.2110, -2.3671, -2.1805, -2.0806, -2.1883, -2.1221, -2.2443, -2.0559, -2.3564],
    ("swishnet", "mfcc"): [-2.1921, -2.2846, -2.1252, -2.2909, -2.2609, -2.2038, -2.2025, -2.1869, -2.2549, -2.1623],
    ("cnn", "logmel-20ms"): [-2.1872, -2.1823, -2.1491, -2.1770, -2.1999, -2.2451, -2.2118, -2.2251, -2.2112, -2.2375],
}


@pytest.mark.slow
@pytest.mark.parametrize(("model", "frontend"), KEPT)
def test_the_same_seed_and_recipe_give_the_logits_of_before(model: str, frontend: str, tmp_path: Path) -> None:
    data = Synthetic(clips_per_class=10, clip_seconds=0.5, batch_size=16)
    data.setup()
    recipe = Recipe(epochs=1, batch_size=16, mixup=0.3, time_shift=0.5, time_masks=1)
    pl.seed_everything(0, verbose=False)
    built = build.model(Run(model=model, frontend=frontend, dataset="synthetic", recipe=recipe), data)
    fit.train(built, data, recipe, tmp_path, "cpu", lambda *news: None)
    logits = evaluate.logits(built, data.splits.test, 32, "cpu")[0].tolist()
    assert logits == pytest.approx(KEPT[model, frontend], abs=2e-3)  # other processors round otherwise
