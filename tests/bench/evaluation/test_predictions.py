"""`predictions.csv`: the predictions of a run's test clips."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch

from bench.evaluation import predictions
from bench.records import Recipe, Store
from bench.runner import worker
from bench.runner.settings import RunSettings
from bench.suites import Suite


def test_one_label_per_clip() -> None:
    logits, targets = np.array([[2.0, 0.0], [0.0, 1.0]], np.float32), torch.tensor([0, 0])
    text = predictions.table(logits, targets, ["a.wav", "b,c.wav"], ["dog", "cat"], "single")
    assert text == (
        "clip,target,prediction,probability_dog,probability_cat\n"
        "a.wav,dog,dog,0.880797029,0.119202912\n"
        '"b,c.wav",dog,cat,0.268941432,0.731058598\n'
    )


def test_several_labels_per_clip() -> None:
    logits = np.array([[2.0, 0.0, -1.0], [-3.0, -2.0, -1.0]], np.float32)
    targets = torch.tensor([[1.0, 0.0, 1.0], [0.0, 0.0, 0.0]])
    text = predictions.table(logits, targets, ["a", "b"], ["x", "y", "z"], "multi")
    assert text.splitlines()[1:] == [
        "a,x;z,x;y,0.880797029,0.5,0.268941432",
        "b,,,0.0474258736,0.119202919,0.268941432",
    ]


def test_a_spreadsheet_takes_no_name_for_a_formula() -> None:
    text = predictions.table(
        np.zeros((1, 2), np.float32), torch.tensor([1]), ["=1+1.wav"], ["+x", "@y"], "single"
    )  # fmt: skip
    (row,) = csv.DictReader(text.splitlines())
    assert (row["clip"], row["target"], row["prediction"]) == ("'=1+1.wav", "'@y", "'+x")
    assert set(row) == {"clip", "target", "prediction", "probability_+x", "probability_@y"}


@pytest.mark.slow
def test_runs_and_fusions_leave_their_predictions(tmp_path: Path) -> None:
    suite = Suite(
        name="tags", models=("fc", "fusion-average"), datasets=("synthetic-tags",), seeds=(0, 1),
        dataset={"synthetic-tags": {"clips_per_class": 10, "clip_seconds": 0.5}}, recipe=Recipe(epochs=1),
        model={"fusion-average": {"members": ["fc", "fc@1"]}},
    )  # fmt: skip
    settings = RunSettings(store=tmp_path / "runs", data_dir=tmp_path, device="cpu", hardest_clips=0)
    runs = suite.runs()
    for run in runs:
        if run.members:
            worker.fuse((run,), settings, frozenset(), lambda news: None)
        else:
            worker.execute(run, settings, False, lambda news: None)
    store = Store(settings.store)
    assert any(run.members for run in runs)
    for run in runs:
        record = store.finished_record(run.key, "the run")
        rows = list(csv.DictReader((store.artifacts(run.key) / "predictions.csv").read_text().splitlines()))
        with np.load(store.artifacts(run.key) / "logits.npz") as saved:
            ids, logits, targets = saved["test_ids"].tolist(), saved["logits"], saved["targets"]
        assert [row["clip"] for row in rows] == ids
        shares = [[float(row[f"probability_{name}"]) for name in record.classes] for row in rows]
        np.testing.assert_allclose(shares, 1 / (1 + np.exp(-logits)), rtol=1e-3)
        named = [[name for name, there in zip(record.classes, row, strict=True) if there] for row in targets]
        assert [row["target"] for row in rows] == [";".join(each) for each in named]
