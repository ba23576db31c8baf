"""What a call of `bench run` starts before it reads the records."""

from types import SimpleNamespace

import pytest

from bench.records import Record
from bench.runner import session
from bench.suites import Suite


class NoRunner:
    """Takes the place of the runner, and does nothing."""

    def __init__(self, *given: object) -> None:
        self.outcome = SimpleNamespace(done=[], failed={}, boards=(), warnings=[])

    def run(self, *given: object, **named: object) -> None:
        """Do nothing."""

    time = run


@pytest.mark.parametrize(
    ("there", "force", "again", "started"),
    [(0, False, False, 1), (1, False, False, 1), (2, False, False, 0), (2, True, False, 1), (0, False, True, 0)],
    ids=["none-there", "one-there", "all-there", "forced", "only-timed"],
)
def test_the_executor_begins_at_once_where_a_run_has_no_record(tmp_path, monkeypatch, there, force, again, started):
    suite = Suite(name="two", models=("fc", "cnn"), datasets=("synthetic",))
    whole = session.prepare(suite, store=tmp_path, force=force, time_again=again)
    for run in whole.runs[:there]:
        record = Record(run=run, status="ok", scores={"accuracy": 0.5})
        (tmp_path / "records").mkdir(exist_ok=True)
        (tmp_path / "records" / f"{run.key}.json").write_text(record.to_json())
    begun: list[str] = []
    monkeypatch.setattr(session, "Runner", NoRunner)
    monkeypatch.setattr(session.executors, "prepare", begun.append)
    chosen = SimpleNamespace(mode="disabled", warning="", open=lambda *given: [])
    whole.run(chosen, SimpleNamespace(note=lambda line: None))
    assert begun == ["processes"] * started
