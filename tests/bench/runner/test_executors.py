import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fakes.paths import PROJECT, TESTS

from bench.errors import BenchError, SuiteError
from bench.runner import executors
from bench.runner.executors import (
    Failed,
    Finished,
    Job,
    Limits,
    Reported,
    Started,
    Watch,
    executor,
    processes,
    serial,
)
from bench.runner.news import Working


def job(key, name, *arguments):
    return Job(key, f"fakes.jobs:{name}", arguments)


def limited(key, name, *arguments, stall=None, longest=None):
    return Job(key, f"fakes.jobs:{name}", arguments, Limits(stall, longest))


def done(events):
    return {e.job: e for e in events if isinstance(e, Finished | Failed)}


@pytest.mark.parametrize("name", ["serial", "processes"])
@pytest.mark.process
def test_values_progress_and_exceptions_arrive(name):
    events = list(executor(name)([job("one", "add", 1, 2), job("two", "fail"), job("three", "add", 2, 3)], 2))
    ended = done(events)
    assert (ended["one"].value, ended["three"].value) == (3, 5)
    assert ended["two"].failure.kind == "ValueError"
    assert ended["two"].failure.message == "no such thing: bring one"
    assert "jobs.py" in ended["two"].failure.traceback
    assert ended["two"].code == "unexpected"
    assert [e for e in events if e.job == "one"] == [Started("one"), Reported("one", "adding"), Finished("one", 3)]


@pytest.mark.parametrize("name", ["serial", "processes"])
@pytest.mark.process
def test_every_exception_keeps_its_words(name):
    """Also one that is no `Exception`, and one whose words UTF-8 cannot hold."""
    ended = done(executor(name)([job("a", "cancel"), job("b", "misname"), job("c", "add", 1, 1)], 1))
    assert (ended["a"].failure.kind, ended["a"].failure.message) == ("CancelledError", "by its own loop")
    assert "jobs.py" in ended["a"].failure.traceback
    assert ended["b"].failure.message == "caf\\udce9.csv has no rows"
    assert ended["c"].value == 2


@pytest.mark.process
def test_a_process_that_dies_is_a_failure_and_takes_nobody_along():
    jobs = [job("a", "die"), job("b", "add", 1, 1), job("c", "leave"), job("d", "add", 2, 2)]
    events = list(executor("processes")(jobs, 2))
    ended = done(events)
    assert (ended["b"].value, ended["d"].value) == (2, 4)
    assert (ended["a"].failure.kind, ended["a"].code) == ("killed", "killed")
    assert "SIGKILL" in ended["a"].failure.message
    assert "exit code 3" in ended["c"].failure.message


@pytest.mark.parametrize("name", ["serial", "processes"])
@pytest.mark.process
def test_a_job_that_calls_exit_is_a_failure_and_the_next_job_is_done(name):
    jobs = [job("a", "stop", 3), job("b", "add", 1, 1), job("c", "stop", "own message"), job("d", "interrupt")]
    ended = done(executor(name)(jobs, 1))
    assert {key: each.failure.message for key, each in ended.items() if key != "b"} == {
        "a": "sys.exit(3)",
        "c": "own message",
        "d": "KeyboardInterrupt without a message",
    }
    assert [ended[key].failure.kind for key in "acd"] == ["SystemExit", "SystemExit", "KeyboardInterrupt"]
    assert all("jobs.py" in ended[key].failure.traceback and ended[key].code == "unexpected" for key in "acd")
    assert ended["b"].value == 2


@pytest.mark.process
def test_every_job_has_a_process_of_its_own(tmp_path):
    events = list(executor("processes")([job(str(i), "mark", str(tmp_path), i, 0.0) for i in range(3)], 2))
    assert len({e.value for e in done(events).values()}) == 3


DRIVER = """
import sys
from bench.runner.executors import Job, executor, processes
processes._PRELOAD = []  # these jobs need no torch
if __name__ == "__main__":
    jobs = [Job(str(i), "fakes.jobs:mark", (sys.argv[1], i, 600.0)) for i in range(2)]
    list(executor("processes")(jobs, 2))
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
@pytest.mark.process
def test_no_child_outlives_its_driver(start, tmp_path, how):
    script = tmp_path / "driver.py"
    script.write_text(DRIVER)
    marks = tmp_path / "marks"
    marks.mkdir()
    path = os.pathsep.join([str(TESTS), str(PROJECT)])
    driver = start(
        [sys.executable, str(script), str(marks)], env={**os.environ, "PYTHONPATH": path}, stderr=subprocess.DEVNULL
    )
    until = time.monotonic() + 300
    while len(list(marks.iterdir())) < 2 and time.monotonic() < until:
        time.sleep(0.1)
    children = [int(p.name.rsplit("-", 1)[1]) for p in marks.iterdir()]
    assert len(children) == 2
    driver.send_signal(how)
    driver.wait(300)
    until = time.monotonic() + 300
    while any(alive(child) for child in children) and time.monotonic() < until:
        time.sleep(0.05)
    assert not any(alive(child) for child in children)


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):  # gone, or going while it is read
        return False


@pytest.mark.process
@pytest.mark.slow
def test_a_job_that_hangs_is_ended_with_the_stack_of_where_it_hung_and_the_next_one_is_done():
    jobs = [limited("a", "hang", stall=1.2), limited("b", "hang_in_c", stall=1.2), job("c", "add", 1, 1)]
    ended = done(executor("processes")(jobs, 1))
    failure = ended["a"].failure
    assert (failure.kind, ended["a"].code) == ("stalled", "stalled")
    assert failure.message.startswith("nothing went on for 0.02 minutes (--stall-minutes); it was in _without_end (")
    assert "called from hang (jobs.py:" in failure.message
    assert "_without_end" in failure.traceback
    assert "hang_in_c (jobs.py:" in ended["b"].failure.message
    assert ended["c"].value == 2


@pytest.mark.slow
def test_a_serial_job_that_hangs_is_ended_with_its_stack_and_the_next_one_is_done():
    ended = done(executor("serial")([limited("a", "hang", stall=0.5), job("b", "add", 1, 1)], 1))
    failure = ended["a"].failure
    assert (failure.kind, ended["a"].code) == ("stalled", "stalled")
    assert failure.message.startswith("nothing went on for 0.00833 minutes (--stall-minutes); it was in _without_end (")
    assert "called from hang (jobs.py:" in failure.message
    assert ended["b"].value == 2
    ended = done(executor("serial")([limited("a", "keep_going", 10**6, 0.02, longest=0.3)], 1))
    assert ended["a"].failure.message.startswith("the run took longer than")


@pytest.mark.slow
def test_a_serial_job_that_cannot_be_ended_ends_the_suite_with_a_remedy(monkeypatch):
    monkeypatch.setattr(serial, "END_SECONDS", 0.1)
    seen = []
    jobs = [limited("a", "keep_going", 1, 1.5, stall=0.2), job("b", "add", 1, 1)]
    with pytest.raises(BenchError, match=r"a hangs in a call that cannot be ended .*: use --executor processes"):
        seen.extend(executor("serial")(jobs, 1))
    assert [type(each) for each in seen] == [Started, Failed]


def test_a_job_in_a_debugger_is_past_no_limit(monkeypatch):
    monkeypatch.setattr(serial, "_debugged", lambda: True)
    ended = done(executor("serial")([limited("a", "keep_going", 3, 0.05, stall=0.01)], 1))
    assert ended["a"].value == 3


def test_what_goes_on_or_waits_for_others_is_not_ended(monkeypatch):
    now = 1000.0
    monkeypatch.setattr(executors.time, "monotonic", lambda: now)
    running = processes._Running(limited("a", "add", stall=10, longest=100), None, Watch(Limits(10, 100)))
    assert running.due() == math.inf  # its process starts
    running.take(Started("a"))
    assert running.due() == 1010
    now = 1009.0
    running.take(Reported("a", Working()))
    assert running.due() == 1019
    running.take(Reported("a", Working(waits=True)))
    assert running.due() == math.inf
    now = 5009.0
    running.take(Reported("a", Working()))
    assert (running.due(), running.watch.began) == (5019, 5000)
    now = 5095.0
    running.take(Reported("a", Working()))
    assert running.due() == 5100  # the whole job's limit, without what it waited
    running.take(Finished("a", 1))
    assert running.due() == 5095 + processes.LEAVE_SECONDS


@pytest.mark.process
@pytest.mark.slow
def test_a_job_that_takes_too_long_is_ended():
    ended = done(executor("processes")([limited("a", "keep_going", 10**6, 0.05, longest=0.6)], 1))
    assert ended["a"].failure.message.startswith("the run took longer than 0.000167 hours (--run-hours); it was in ")


@pytest.mark.process
@pytest.mark.slow
@pytest.mark.parametrize("name", ["leave_things_behind", "die_with_children"])
def test_what_a_job_leaves_behind_ends_with_it(name, tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "LEAVE_SECONDS", 0.5)
    ended = done(executor("processes")([job("a", name, str(tmp_path)), job("b", "add", 1, 1)], 1))
    if name == "leave_things_behind":
        assert ended["a"].value == "left"
    else:
        assert "SIGKILL" in ended["a"].failure.message
    assert ended["b"].value == 2
    left = [int(path.name) for path in tmp_path.iterdir()]
    assert len(left) == 3
    until = time.monotonic() + 60
    while any(map(alive, left)) and time.monotonic() < until:
        time.sleep(0.02)
    assert not any(map(alive, left))


@pytest.mark.process
def test_the_next_job_need_not_wait_until_the_process_of_the_last_one_has_gone(tmp_path):
    jobs = [job("a", "leave_a_thread", str(tmp_path)), job("b", "mark", str(tmp_path), "next", 0)]
    ended = done(executor("processes")(jobs, 1))
    assert all(isinstance(each, Finished) for each in ended.values())
    assert (tmp_path / "seen").exists()  # after 5 s, the first process would have been ended


@pytest.mark.parametrize("name", ["serial", "processes"])
@pytest.mark.process
def test_a_training_saves_before_the_executor_ends(name, tmp_path):
    events = executor(name)([job("one", "save_on_sigterm", str(tmp_path))], 1)
    while not isinstance(next(events), Reported):
        pass
    events.close()
    assert (tmp_path / "saved").exists()


def test_an_unknown_executor_is_explained():
    with pytest.raises(SuiteError, match="Did you mean 'serial'"):
        executor("serail")


@pytest.mark.parametrize("name", ["serial", "processes"])
@pytest.mark.process
def test_news_arrive_while_the_job_works(name, tmp_path):
    answer = tmp_path / "heard"
    seen = []
    for event in executor(name)([job("one", "wait_for_answer", str(answer)), job("two", "fail")], 1):
        seen.append(event)
        if event == Reported("one", "waiting"):
            answer.touch()  # a job whose news came only at its end would wait in vain
    assert [e for e in seen if e.job == "one"] == [Started("one"), Reported("one", "waiting"), Finished("one", True)]
    assert done(seen)["two"].failure.kind == "ValueError"


@pytest.mark.parametrize("name", ["serial", "processes"])
@pytest.mark.process
def test_closing_the_iterator_ends_what_is_running(name, tmp_path):
    events = executor(name)([job("one", "mark_slowly", str(tmp_path)), job("two", "mark_slowly", str(tmp_path))], 1)
    while not isinstance(next(events), Reported):
        pass
    events.close()
    before = len(list(tmp_path.iterdir()))
    time.sleep(0.5)
    assert len(list(tmp_path.iterdir())) == before < 100


def test_ray_names_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(BenchError, match=r"\[ray\]"):
        list(executor("ray")([], 1))
