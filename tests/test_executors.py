import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.errors import BenchError, SuiteError
from bench.executors import EXECUTORS, Job, executor


def job(key, name, *arguments):
    return Job(key, f"fakes.jobs:{name}", arguments)


def done(events):
    return {e.key: e for e in events if e.kind in ("done", "failed")}


@pytest.mark.parametrize("name", ["serial", "processes"])
@pytest.mark.process
def test_values_progress_and_exceptions_arrive(name):
    events = []
    executor(name)([job("one", "add", 1, 2), job("two", "fail"), job("three", "add", 2, 3)], 2, events.append)
    ended = done(events)
    assert (ended["one"].value, ended["three"].value) == (3, 5)
    assert ended["two"].failure.kind == "ValueError"
    assert ended["two"].failure.message == "no such thing: bring one"
    assert "jobs.py" in ended["two"].failure.traceback
    assert [e.kind for e in events if e.key == "one"] == ["started", "progress", "done"]


@pytest.mark.process
def test_a_process_that_dies_is_a_failure_and_takes_nobody_along():
    events = []
    executor("processes")(
        [job("a", "die"), job("b", "add", 1, 1), job("c", "leave"), job("d", "add", 2, 2)], 2, events.append
    )
    ended = done(events)
    assert (ended["b"].value, ended["d"].value) == (2, 4)
    assert ended["a"].failure.kind == "killed"
    assert "SIGKILL" in ended["a"].failure.message
    assert "exit code 3" in ended["c"].failure.message


@pytest.mark.process
def test_every_job_has_a_process_of_its_own(tmp_path):
    events = []
    executor("processes")([job(str(i), "mark", str(tmp_path), i, 0.0) for i in range(3)], 2, events.append)
    assert len({e.value for e in done(events).values()}) == 3


DRIVER = """
import sys
from bench.executors import Job, executor, processes
processes._PRELOAD = []  # these jobs need no torch
if __name__ == "__main__":
    jobs = [Job(str(i), "fakes.jobs:mark", (sys.argv[1], i, 600.0)) for i in range(2)]
    executor("processes")(jobs, 2, lambda event: None)
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
@pytest.mark.process
def test_no_child_outlives_its_driver(start, tmp_path, how):
    script = tmp_path / "driver.py"
    script.write_text(DRIVER)
    marks = tmp_path / "marks"
    marks.mkdir()
    path = os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[1])])
    driver = start(
        [sys.executable, str(script), str(marks)], env={**os.environ, "PYTHONPATH": path}, stderr=subprocess.DEVNULL
    )
    until = time.monotonic() + 60
    while len(list(marks.iterdir())) < 2 and time.monotonic() < until:
        time.sleep(0.1)
    children = [int(p.name.rsplit("-", 1)[1]) for p in marks.iterdir()]
    assert len(children) == 2
    driver.send_signal(how)
    driver.wait(60)
    until = time.monotonic() + 60
    while any(alive(child) for child in children) and time.monotonic() < until:
        time.sleep(0.05)
    assert not any(alive(child) for child in children)


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_an_unknown_executor_is_explained():
    with pytest.raises(SuiteError, match="Did you mean 'serial'"):
        executor("serail")


@pytest.mark.process
def test_ray_does_the_same_or_names_its_extra():
    assert "ray" in EXECUTORS
    try:
        import ray  # noqa: F401
    except ImportError:
        with pytest.raises(BenchError, match=r"\[ray\]"):
            executor("ray")([], 1, lambda event: None)
        return
    events = []
    executor("ray")([job("one", "add", 1, 2), job("two", "fail")], 1, events.append)
    ended = done(events)
    assert ended["one"].value == 3
    assert ended["two"].failure.kind == "ValueError"
