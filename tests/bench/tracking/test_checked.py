"""W&B gets no chart of files that are not those of the record."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from fakes.boards import record as scored
from fakes.boards import run as of

from bench.records import artifacts
from bench.tracking import wandb_runs


def checked(folder: Path, record: Any, name: str) -> tuple[Any, dict[str, str]]:
    run = SimpleNamespace(summary={})
    return wandb_runs._checked(run, record, folder, name), run.summary


def test_files_of_another_training_are_left_out_and_named(tmp_path: Path) -> None:
    for name in (artifacts.LOGITS, artifacts.HARDEST):
        np.savez(tmp_path / name, logits=np.eye(2))
    record = replace(scored(of("cnn"), 0.5), artifacts=artifacts.digests(tmp_path))
    assert record.artifacts.keys() == {artifacts.LOGITS, artifacts.HARDEST}
    found, said = checked(tmp_path, record, artifacts.LOGITS)
    assert found is not None
    assert found["logits"].tolist() == [[1, 0], [0, 1]]
    assert said == {}
    for name in (artifacts.LOGITS, artifacts.HARDEST):
        np.savez(tmp_path / name, logits=np.ones((2, 2)))
        found, said = checked(tmp_path, record, name)
        assert found is None
        assert "is not the file that the record of" in said[f"left out, {name}"]
    (tmp_path / artifacts.LOGITS).write_bytes(b"damaged")
    assert checked(tmp_path, replace(record, artifacts={}), artifacts.LOGITS)[0] is None
    assert checked(tmp_path / "nowhere", record, artifacts.LOGITS) == (None, {})
