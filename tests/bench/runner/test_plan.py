"""What a call of `bench run` will do, and why."""

from pathlib import Path

import pytest

from bench.records import Record, Snapshot, Store
from bench.runner.plan import plan
from bench.suites import Suite


@pytest.mark.parametrize("force", [False, True])
def test_a_damaged_record_is_named_and_its_run_is_done_again(tmp_path: Path, force: bool) -> None:
    suite = Suite(name="two", models=("fc", "cnn"), datasets=("synthetic",))
    store = Store(tmp_path)
    for run in suite.runs():
        store.write(Record(run=run, status="ok", scores={"accuracy": 0.5}))
    first, second = suite.runs()
    path = store.path(first.key)
    path.write_text(path.read_text().replace("0.5", "0.6"))
    planned = plan(suite, Snapshot(store, suite.runs()), suite.runs(), force)
    assert first.key in planned.todo
    assert (second.key in planned.todo) == force
    (line,) = planned.warnings
    assert line.startswith(f"{path} does not count, and its run is done again (record {first.key} does not match its")
