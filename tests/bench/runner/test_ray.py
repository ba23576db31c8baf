"""The work on a cluster: on one in this process that is no real one, and on Ray's own of this machine."""

import io
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fakes.clusters import Cluster
from fakes.paths import PROJECT, TESTS
from rich.console import Console

from bench import suites
from bench.errors import BenchError
from bench.records import Failure, Recipe, Record, Run, Store
from bench.runner import node
from bench.runner.driver import Runner
from bench.runner.executors import Event, Failed, Finished, Job, Reported, Started
from bench.runner.executors import ray as executor
from bench.runner.news import Noted, RunEnded
from bench.runner.parcels import Complete, Piece
from bench.runner.progress import Progress
from bench.runner.settings import RunSettings

pytest.importorskip("ray", reason='needs Ray: pip install -e ".[ray]"')
RUNS = [
    Run(model="fc", frontend="logmel-1s", dataset="synthetic", fold=0, seed=seed, recipe=Recipe(epochs=1))
    for seed in range(4)
]
SAME = node.identity()


def works(parcel: Any, machine: dict[str, Any]) -> Iterator[Any]:
    """Fail at once, which is a result like any other."""
    yield Started(parcel.run.key)
    failed = Record(run=parcel.run, status="failed", error=Failure(kind="a", message="b"), started="2026-01-01")
    yield Reported(parcel.run.key, RunEnded(parcel.run.key, failed))
    yield Finished(parcel.run.key, None)


def followed(cluster: Cluster, store: Path, runs: list[Run] = RUNS, workers: int = 0, **changes: Any) -> list[Event]:
    settings = RunSettings(store=store, data_dir=store, device="cpu", **changes)
    jobs = [Job(run.key, node.TARGET, (run, settings, False)) for run in runs]
    cluster.works = cluster.works or works
    with ExitStack() as claims:
        return list(executor._Cluster(cluster, jobs, workers, claims).events())


def notes(events: list[Event]) -> list[str]:
    return [event.news.line for event in events if isinstance(event, Reported) and isinstance(event.news, Noted)]


def test_every_run_is_done_on_a_machine_with_room(tmp_path: Path) -> None:
    cluster = Cluster({"a": 1.0, "b": 2.0, "c": 0.0}, dict.fromkeys("abc", SAME))
    events = followed(cluster, tmp_path)
    assert sum(isinstance(event, Started) for event in events) == 4
    assert sum(isinstance(event, Finished) for event in events) == 4
    assert {line.split()[1] for line in cluster.submitted} == {"a", "b"}


def test_a_machine_that_differs_is_named_and_not_used(tmp_path: Path) -> None:
    cluster = Cluster({"a": 1.0, "b": 2.0}, {"a": SAME, "b": SAME | {"torch": "2.0.0"}})
    (said,) = notes(followed(cluster, tmp_path))
    assert said == f"the machine b (10.0.0.1) is not used: torch 2.0.0 there, {SAME['torch']} here"
    assert {line.split()[1] for line in cluster.submitted} == {"a"}
    alone = Cluster({"b": 2.0}, {"b": SAME | {"python": "3.12.0"}})
    with pytest.raises(BenchError, match=r"no machine of the Ray cluster can do the runs: b .*: python 3\.12\.0 there"):
        followed(alone, tmp_path)


def test_runs_of_a_lost_machine_begin_again_on_another(tmp_path: Path) -> None:
    cluster = Cluster({"a": 1.0, "b": 1.0}, {"a": SAME, "b": SAME})

    def dies(parcel: Any, machine: dict[str, Any]) -> Iterator[Any]:
        if machine["NodeManagerHostname"] == "b":
            machine["Alive"] = False
            raise executor_error("the machine has died")
        yield from works(parcel, machine)

    cluster.works = dies
    events = followed(cluster, tmp_path)
    assert sum(isinstance(event, Finished) for event in events) == 4
    (lost,) = (line for line in notes(events) if "was lost" in line)
    assert lost == "was lost on b (10.0.0.1) (the machine has died) and begins again, attempt 2 of 3"
    assert any("the machine b (10.0.0.1) is gone" in line for line in notes(events))


def executor_error(message: str) -> Exception:
    return Cluster.exceptions.RayError(message)


def test_a_run_has_its_attempts_and_no_more(tmp_path: Path) -> None:
    cluster = Cluster({"a": 1.0, "b": 1.0}, {"a": SAME, "b": SAME})

    def damaged(parcel: Any, machine: dict[str, Any]) -> Iterator[Any]:
        yield Piece("logits.npz", b"x")
        yield Complete("{}", ())

    cluster.works = damaged
    (end,) = (event for event in followed(cluster, tmp_path, RUNS[:1], attempts=2) if isinstance(event, Failed))
    assert end.failure.message.startswith("it was lost 2 times, at last on ")
    assert sorted(line.split()[1] for line in cluster.submitted) == ["a", "b"]  # not twice on the same
    assert not list(Store(tmp_path).artifacts(RUNS[0].key).iterdir())


def test_a_run_of_another_driver_is_left_to_it(tmp_path: Path) -> None:
    cluster = Cluster({"a": 4.0}, {"a": SAME})
    with Store(tmp_path).claim(RUNS[1].key):
        events = followed(cluster, tmp_path)
    assert Reported(RUNS[1].key, RunEnded(RUNS[1].key, "elsewhere")) in events
    assert len(cluster.submitted) == 3


def test_sigterm_ends_a_command_in_its_own_way_while_ray_runs() -> None:
    def own(number: int, frame: object) -> None:
        sys.exit(128 + number)

    def wait() -> None:
        with executor._ended_by(own):
            try:
                signal.raise_signal(signal.SIGTERM)
            except SystemExit:
                sys.exit(1)  # as Ray's waits do

    before = signal.getsignal(signal.SIGTERM)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # Ray's
    try:
        with pytest.raises(SystemExit) as ended:
            wait()
        assert ended.value.code == 143
        assert signal.getsignal(signal.SIGTERM) is own
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        with executor._ended_by(signal.SIG_DFL):  # a program that has no way of its own gets Ray's
            assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)


def test_slots_are_processors_and_gpus() -> None:
    settings = RunSettings(store=Path(), data_dir=Path(), threads=2, loaders=1)
    assert executor._slots({"CPU": 8.0}, settings) == (2, 0.0)
    assert executor._slots({"CPU": 12.0, "GPU": 2.0}, settings) == (2, 1.0)
    assert executor._slots({"CPU": 12.0, "GPU": 2.0}, replace(settings, per_gpu=2)) == (4, 0.5)
    assert executor._slots({"CPU": 12.0, "GPU": 2.0}, replace(settings, device="cpu")) == (4, 0.0)
    assert executor._slots({"CPU": 12.0}, replace(settings, device="cuda"))[0] == 0
    assert executor._slots({"CPU": 16.0, "GPU": 4.0}, replace(settings, devices=2)) == (2, 2.0)


@pytest.mark.process
@pytest.mark.slow
def test_ray_itself_gives_the_result_of_one_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(TESTS), str(PROJECT)]))  # for Ray's processes
    monkeypatch.setenv(node.FOLDER, str(tmp_path / "node"))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    text = 'models = ["fc"]\ndatasets = ["synthetic"]\n[recipe]\nepochs = 2\n'
    (tmp_path / "s.toml").write_text(text + "[dataset.synthetic]\nclips_per_class = 10\nclip_seconds = 0.5\n")
    suite = suites.read(str(tmp_path / "s.toml"))
    (run,) = suite.runs()
    found = []
    for name in ("processes", "ray"):
        settings = RunSettings(
            store=tmp_path / name, data_dir=tmp_path, device="cpu", timings=False, workers=int(name != "ray")
        )
        outcome = Runner(suite, settings, Progress(Console(file=io.StringIO())), name).run([run])
        assert outcome.done == [run.key], outcome.failed
        found.append(Store(settings.store).finished_record(run.key, "the run"))
    here, there = found
    assert (there.curves, there.scores, there.artifacts) == (here.curves, here.scores, here.artifacts)
