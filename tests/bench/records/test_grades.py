"""Timings that were taken while the machine was slower, or by one process only, lose their grade."""

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from fakes.paths import PROJECT
from fakes.timings import TIMED

from bench import suites
from bench.leaderboard import files
from bench.records import Complexity, Record, Run, Snapshot, Store, aggregate, graded, graded_records
from bench.runner import timings as timing_runs
from bench.runner.news import News, TimingEnded
from bench.runner.settings import RunSettings

STEADY = replace(TIMED, processes=3, sentinel_ms=0.2)


@pytest.mark.parametrize(
    ("sentinel_ms", "grade", "expected"),
    [(0.2, "A", "A"), (0.209, "A", "A"), (0.212, "A", "B"), (0.219, "A", "B"), (0.222, "A", "C"), (0.21, "C", "C")],
)
def test_grade_beside_a_timing_from_when_the_machine_was_faster(sentinel_ms, grade, expected) -> None:
    slow = replace(STEADY, sentinel_ms=sentinel_ms, grade=grade)
    for timings in ([STEADY, slow], [slow, STEADY]):  # the order does not matter
        assert {one.sentinel_ms: one.grade for one in graded(timings)}[sentinel_ms] == expected


def test_machines_are_not_mixed_and_backends_are() -> None:
    for other in ({"threads": 2}, {"device": "another"}):
        assert [one.grade for one in graded([STEADY, replace(STEADY, sentinel_ms=0.4, **other)])] == ["A", "A"]
    other = replace(STEADY, sentinel_ms=0.4, backend="int8", software="onnxruntime 1")
    assert [one.grade for one in graded([STEADY, other])] == ["A", "C"]


def test_of_one_process_and_of_early_records() -> None:
    one = replace(STEADY, processes=1)
    early = replace(STEADY, sentinel_ms=None)
    assert [each.grade for each in graded([one, early, replace(one, grade="C")])] == ["B", "A", "C"]
    assert graded([]) == []


def test_records_are_graded_beside_each_other() -> None:
    size = Complexity(parameters=1, macs=2, frontend_macs=3, bytes=4, clip_seconds=2.0)

    def record(model, *latencies):
        run = Run(model=model, frontend="logmel", dataset="esc10")
        return Record(run=run, status="ok", complexity=size, latencies=latencies)

    slow = replace(STEADY, sentinel_ms=0.3)
    found = graded_records({"a": record("cnn", STEADY, slow), "b": record("fc"), "c": record("ltc", slow)})
    assert [[one.grade for one in each.latencies] for each in found.values()] == [["A", "C"], [], ["C"]]
    assert found["c"].run.model == "ltc"


def test_what_is_put_together_keeps_the_worst() -> None:
    timings = [replace(TIMED, sentinel_ms=0.2 + d, sentinel_drift=-d, others=d) for d in (0.01, 0.03, 0.02)]
    found = aggregate(timings)
    assert (found.sentinel_ms, found.sentinel_drift, found.others) == (0.23, -0.03, 0.03)
    assert aggregate([TIMED, TIMED]).sentinel_ms is None


def test_a_disturbed_timing_takes_no_better_ones_place(tmp_path: Path, monkeypatch) -> None:
    run = Run(model="cnn", frontend="logmel", dataset="synthetic")
    store = Store(tmp_path)
    old = (replace(STEADY, p50_ms=1.0), replace(STEADY, p50_ms=1.0, scope="model", grade="C"))
    monkeypatch.setattr(Store, "finished_record", lambda store, key, role: store.get(key))
    monkeypatch.setattr(timing_runs._Targets, "_make", lambda targets, run: (ExitStack(), {}))

    def after(*grades: str) -> list[float]:
        store.write(Record(run=run, status="ok", latencies=old))
        new = tuple(replace(one, p50_ms=2.0, grade=grade) for one, grade in zip(old, grades, strict=True))
        monkeypatch.setattr(timing_runs, "_timings", lambda *given: (new, {}))
        timing_runs.time_runs(
            (run,), RunSettings(store=tmp_path, data_dir=tmp_path), ("eager",), True, lambda news: None
        )
        return [one.p50_ms for one in store.get(run.key).latencies]

    assert after("C", "C") == [1.0, 2.0]
    assert after("B", "A") == [2.0, 2.0]
    old = (replace(old[0], threads=2), old[1])
    new_conditions = replace(STEADY, p50_ms=3.0, grade="C")
    store.write(Record(run=run, status="ok", latencies=old))
    monkeypatch.setattr(timing_runs, "_timings", lambda *given: ((new_conditions,), {}))
    timing_runs.time_runs((run,), RunSettings(store=tmp_path, data_dir=tmp_path), ("eager",), True, lambda news: None)
    assert store.get(run.key).latencies == (new_conditions,)


def test_what_was_disturbed_is_timed_again_when_the_others_have_been(tmp_path: Path, monkeypatch) -> None:
    runs = tuple(Run(model=name, frontend="logmel", dataset="synthetic") for name in ("cnn", "ltc", "fc"))
    store = Store(tmp_path)
    for run in runs:
        store.write(Record(run=run, status="ok"))
    speeds = {"cnn": [0.2], "ltc": [0.4, 0.4, 0.4, 0.4, 0.2], "fc": [0.3, 0.19]}
    asked: list[str] = []

    def timings(targets, *others):
        model = targets["cpu"]
        asked.append(model)
        return (replace(STEADY, sentinel_ms=speeds[model].pop(0)),), {}

    monkeypatch.setattr(timing_runs._Targets, "_make", lambda targets, run: (ExitStack(), {"cpu": run.model}))
    monkeypatch.setattr(timing_runs, "_timings", timings)
    monkeypatch.setattr(Store, "finished_record", lambda store, key, role: store.get(key))
    told: list[News] = []
    timing_runs.time_runs(runs, RunSettings(store=tmp_path, data_dir=tmp_path), ("eager",), True, told.append)
    assert asked == ["cnn", "ltc", "fc", "ltc", "fc", "ltc", "ltc"]  # four times at most
    ended = [news for news in told if isinstance(news, TimingEnded)]
    assert ended == [TimingEnded(runs[i].key) for i in (0, 2, 1)]
    assert [store.get(run.key).latencies[0].sentinel_ms for run in runs] == [0.2, 0.4, 0.19]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["all", "audioset-embeddings", "esc10"])
def test_a_published_timing_has_one_grade_wherever_it_is_shown(name: str) -> None:
    suite = suites.read(name)
    snapshot = Snapshot(Store(PROJECT / "leaderboards"), suite.runs())
    exported = {key: record.latencies for key, record in snapshot.graded().items()}
    timings = [timing for latencies in exported.values() for timing in latencies]
    assert len(timings) == sum(len(record.latencies) for record in snapshot.records.values()) > 0
    shown = 0
    for board in files.boards(snapshot, suite):
        for row in board.rows:
            own = [timing for key in row.finished for timing in exported[key]]
            for latency in filter(None, (row.cpu, row.gpu, row.cpu_parallel, row.gpu_parallel)):
                assert latency in own  # the grade, too
                shown += 1
    assert shown
    assert all(timing.grade >= stored.grade for key, latencies in exported.items()
               for timing, stored in zip(latencies, snapshot.records[key].latencies, strict=True))  # fmt: skip
