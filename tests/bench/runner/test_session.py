"""The start of a call of `bench run`, before it reads the records."""

from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import pytest
from fakes import boards
from rich.console import Console

from bench.errors import ArgumentError, RecordError, SuiteError
from bench.records import Record, Store
from bench.runner import driver, session
from bench.runner.progress import Progress
from bench.suites import Suite
from bench.training import stopping


class NoRunner:
    """Takes the place of the runner, and does nothing."""

    def __init__(self, *given: object) -> None:
        self.outcome = SimpleNamespace(done=[], failed={}, boards=(), warnings=[], interrupted=False)

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
    monkeypatch.setattr(driver, "Runner", NoRunner)
    monkeypatch.setattr(session.executors, "prepare", begun.append)
    chosen = SimpleNamespace(mode="disabled", warning="", open=lambda *given: [])
    whole.run(chosen, SimpleNamespace(note=lambda line: None))
    assert begun == ["processes"] * started


@pytest.mark.parametrize("end", [None, KeyboardInterrupt, SystemExit(143)], ids=["whole", "ctrl-c", "sigterm"])
def test_a_call_that_is_interrupted_waits_for_w_and_b_for_a_moment_only(tmp_path, monkeypatch, end):
    class Runner(NoRunner):
        def run(self, *given: object, **named: object) -> None:
            if isinstance(end, SystemExit):
                raise end
            self.outcome.interrupted = end is not None

    waited: list[float] = []
    tracker = SimpleNamespace(close=waited.append)
    monkeypatch.setattr(driver, "Runner", Runner)
    monkeypatch.setattr(session.executors, "prepare", lambda name: None)
    whole = session.prepare(Suite(name="one", models=("fc",), datasets=("synthetic",)), store=tmp_path)
    chosen = SimpleNamespace(mode="online", warning="", open=lambda *given: [tracker])
    with suppress(SystemExit):
        whole.run(chosen, SimpleNamespace(note=lambda line: None))
    assert waited == [session.CLOSE_SECONDS if end is None else session.INTERRUPTED_SECONDS]
    # of the five seconds after a signal, some are left for the end of this process
    assert session.INTERRUPTED_SECONDS + stopping.LEAVE_SECONDS <= 4
    assert stopping.SOON_SECONDS < stopping.LEAVE_SECONDS


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"attempts": 2}, "--attempts is for runs on a cluster: add --executor ray"),
        ({"data_url": "s3://a/b", "executor": "serial"}, "--data-url is for runs on a cluster: add --executor ray"),
        ({"strategy": "ddp"}, "--strategy says how several devices train a run: add --devices 2"),
        ({"executor": "serial", "workers": 2}, "--executor serial does one run at a time"),
        ({"time_again": True, "resume": False}, "--time-again trains nothing .*: leave --no-resume out"),
        ({"time_again": True, "devices": 2}, "leave --devices 2 out"),
        ({"time_again": True, "devices": 2, "strategy": "ddp"}, "leave --devices 2 out"),
        ({"time_again": True, "executor": "ray"}, "leave --executor ray out"),
        ({"time_again": True, "executor": "ray", "attempts": 2}, "leave --executor ray out"),
        ({"time_again": True, "executor": "ray", "per_gpu": 2}, "leave --executor ray and --per-gpu 2 out"),
        ({"time_again": True, "loaders": 2}, "leave --loaders 2 out"),
        ({"time_again": True, "workers": 2}, "leave --workers 2 out"),
        ({"time_again": True, "run_hours": 1.5}, "leave --run-hours 1.5 out"),
        ({"executor": "ray", "data_url": "/a/b"}, "--data-url is a URL such as s3://bucket/data"),
        ({"executor": "ray", "data_url": "nothing://a/b"}, "cannot be read .*nothing.*; every machine needs"),
    ],
)
def test_an_option_that_would_have_no_effect_is_refused(tmp_path, options, words):
    suite = Suite(name="one", models=("fc",), datasets=("synthetic",))
    with pytest.raises(SuiteError, match=words):
        session.prepare(suite, store=tmp_path, **options)


def test_options_that_have_an_effect_are_taken(tmp_path):
    suite = Suite(name="one", models=("fc",), datasets=("synthetic",))
    whole = session.prepare(suite, store=tmp_path, executor="ray", attempts=2, data_url="file:///a/b")
    assert (whole.settings.attempts, whole.settings.data_url) == (2, "file:///a/b")
    assert session.prepare(suite, store=tmp_path, strategy="ddp", devices=2).settings.attempts == 3
    again = session.prepare(
        suite, store=tmp_path, time_again=True, executor="serial", workers=1, threads=2, device="cpu",
        stall_minutes=5, skip_unreadable=True,
    )  # fmt: skip
    assert (again.time_again, again.settings.threads, again.settings.stall_seconds) == (True, 2, 300.0)


def test_a_url_is_no_folder(tmp_path):
    suite = Suite(name="one", models=("fc",), datasets=("synthetic",))
    with pytest.raises(ArgumentError, match="'s3:/x/runs' is a URL, and a store is a folder of this machine: name"):
        session.prepare(suite, store=Path("s3://x/runs"))
    with pytest.raises(ArgumentError, match=r"and the data folder is a folder of this machine: name .* --data-url"):
        session.prepare(suite, store=tmp_path, data_dir=Path("https://x/data"))


def test_a_device_that_is_not_there_starts_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(session.gpu_places, "visible", lambda: ())
    monkeypatch.setattr(session.executors, "prepare", lambda name: pytest.fail("something was started"))
    whole = session.prepare(Suite(name="one", models=("fc",), datasets=("synthetic",)), store=tmp_path, device="cuda")
    with pytest.raises(SuiteError, match="--device cuda: this machine shows no GPU"):
        whole.run(SimpleNamespace(mode="disabled"), SimpleNamespace())


def test_a_store_that_cannot_be_written_starts_nothing(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setattr(session.executors, "prepare", lambda name: pytest.fail("something was started"))
    whole = session.prepare(Suite(name="one", models=("fc",), datasets=("synthetic",)), store=tmp_path / "file")
    with pytest.raises(RecordError, match="is a file: give another --store"):
        whole.run(SimpleNamespace(mode="disabled"), SimpleNamespace())


def test_a_finished_store_need_not_be_writable(tmp_path, monkeypatch):
    suite = Suite(name="two", models=("fc", "cnn"), datasets=("synthetic",))
    whole = session.prepare(suite, store=tmp_path, timing=True)
    for run in whole.runs:
        Store(tmp_path).write(boards.record(run))
    chosen = SimpleNamespace(mode="offline", warning="", open=lambda *given: [])
    quiet = lambda: Progress(Console(quiet=True))  # noqa: E731
    whole.run(chosen, quiet())  # draws the tables
    written = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    refused = RecordError("cannot be written")
    monkeypatch.setattr(Store, "check", mock.Mock(side_effect=refused))
    chosen.open = lambda *given: pytest.fail("a log was begun")
    again = session.prepare(suite, store=tmp_path)
    assert again.run(chosen, quiet()).kept == [run.key for run in whole.runs]
    assert written == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    with pytest.raises(RecordError, match="cannot be written"):
        session.prepare(suite, store=tmp_path, force=True).run(chosen, quiet())
    Store(tmp_path).path(whole.runs[0].key).unlink()
    with pytest.raises(RecordError, match="cannot be written"):
        session.prepare(suite, store=tmp_path).run(chosen, quiet())
