"""Metrics of other packages in records and tables."""

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench import catalog, lookup, suites
from bench.errors import SuiteError
from bench.evaluation.metrics.added import with_added
from bench.leaderboard import render
from bench.leaderboard.board import leaderboards
from bench.records import Record

SCORES = """
def spread(logits, targets, classes):
    assert logits.shape == (len(targets), len(classes))
    logits[:] = 0  # its own copy
    return float(len(classes))


def broken(logits, targets, classes):
    raise RuntimeError("no luck")


def nothing(logits, targets, classes):
    return float("nan")


def endless(logits, targets, classes):
    return float("inf")
"""
SUITE = """
models = ["fc"]
datasets = ["synthetic"]
metrics = ["my_scores:spread", "my_scores:broken", "accuracy"]
"""


@pytest.fixture
def suite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[suites.Suite]:
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "my_scores.py").write_text(SCORES)
    (tmp_path / "suite.toml").write_text(SUITE)
    lookup.forget()
    yield suites.read(str(tmp_path / "suite.toml"))
    lookup.forget()


def test_scores_are_added_and_failures_named(suite: suites.Suite) -> None:
    (run,) = suite.runs()
    record = Record(run=run, status="ok", scores={"accuracy": 0.5}, classes=("a", "b", "c"))
    lookup.permit(dict.fromkeys(("my_scores:nothing", "my_scores:endless"), suite.folder))
    logits = np.ones((4, 3), np.float32)
    names = (*suite.metrics, "my_scores:nothing", "my_scores:endless")
    found = with_added(record, names, logits, np.zeros(4, np.int64))
    assert found.scores == {"accuracy": 0.5, "my_scores:spread": 3.0, "my_scores:nothing": None}
    assert found.not_scored == {
        "my_scores:broken": "RuntimeError: no luck", "my_scores:endless": "ValueError: its value is infinite",
    }  # fmt: skip
    assert (logits == 1).all()
    assert Record.from_json(found.to_json(), run.key) == found
    assert "not_scored" not in json.loads(record.to_json())


def test_tables_show_them(suite: suites.Suite) -> None:
    (run,) = suite.runs()
    record = Record(run=run, status="ok", scores={"accuracy": 0.5, "my_scores:spread": 3.0})
    record = replace(record, not_scored={"my_scores:broken": "RuntimeError: no luck"})
    boards = leaderboards([run], {run.key: record})
    assert boards[0].rows[0].flags == ("no my_scores:broken: RuntimeError: no luck",)
    assert json.loads(render.json_text("t", boards))["leaderboards"][0]["rows"][0]["my_scores:spread"] == 3.0
    head, line = render.csv_text(boards).splitlines()
    assert dict(zip(head.split(","), line.split(","), strict=False))["my_scores:spread"] == "3"
    page = render.markdown("t", boards, "bench run")
    assert "| my_scores:spread |" in page
    assert "3.000" in page


def test_a_record_names_no_function_to_call(suite: suites.Suite) -> None:
    with pytest.raises(SuiteError, match="only a record names it"):
        catalog.load(catalog.metric("my_scores:nothing").target)
