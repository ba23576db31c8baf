"""Child processes that send messages, with a fork server and without one."""

import os
import signal
import subprocess
import sys
import time
from multiprocessing.connection import wait
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import pytest
from fakes import processes

from bench.profiling import children
from bench.profiling.children import Child, ChildEnded

pytestmark = pytest.mark.process


@pytest.fixture(params=["forkserver", "spawn"])
def method(request, monkeypatch):
    if request.param == "spawn":
        monkeypatch.setattr(children, "get_all_start_methods", lambda: ["fork", "spawn"])
    return request.param


def test_all_messages_arrive_and_then_the_exit_code(method):
    child = Child(processes.count, 3, preload=[])
    try:
        assert [child.receive() for _ in range(3)] == [1, 2, 3]
        with pytest.raises(ChildEnded) as ended:
            child.receive()
    finally:
        child.end()
    assert ended.value.exitcode == 3


def test_a_childs_children_come_from_the_server_that_it_came_from():
    child = Child(processes.name_parents, 3, preload=[])
    try:
        server, *others = child.receive()
    finally:
        child.end()
    assert others == [server] * 2


def test_a_child_that_waits_is_ended():
    child = Child(processes.wait, preload=[])
    try:
        assert child.receive() == "here"
    finally:
        child.end()  # else this test would wait for ever
    assert child.connection.closed


def gone(number: int) -> bool:
    """Return whether a process ends within five seconds."""
    until = time.monotonic() + 5
    while time.monotonic() < until:
        try:
            if Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except OSError:
            return True
        time.sleep(0.02)
    os.kill(number, signal.SIGKILL)
    return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="this system shows no processes in /proc")
def test_a_childs_child_that_hangs_in_compiled_code_ends_with_it_and_says_where_it_was():
    child = Child(processes.hang_in_c, 3, preload=[])
    try:
        numbers = child.receive()
        time.sleep(0.2)  # it hangs by then
        stacks = child.stacks()
    finally:
        child.end()
    assert len(numbers) == 3
    assert [gone(number) for number in numbers] == [True] * 3
    assert ["hang_in_c" in stack for stack in stacks] == [True] * 3


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="this system shows no processes in /proc")
@pytest.mark.parametrize("generations", [1, 2])
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("kill", [os.kill, os.killpg])
def test_what_hangs_in_compiled_code_ends_when_the_driver_or_its_group_is_killed(kill, how, generations):
    program = f"from fakes import processes; processes.drive_what_hangs({generations})"
    folders = os.pathsep.join(filter(None, sys.path))
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": folders},
        start_new_session=True,
    ) as driver:  # fmt: skip
        assert driver.stdout is not None
        numbers = [int(word) for word in driver.stdout.readline().split()]
        kill(driver.pid, how)
    assert len(numbers) == generations
    assert [gone(number) for number in numbers] == [True] * generations


def test_a_child_is_started_although_the_fork_server_has_just_died(monkeypatch):
    errors = iter([EOFError(), ConnectionRefusedError()])
    start = ForkServerProcess.start

    def failing(process):
        if (error := next(errors, None)) is not None:
            raise error
        start(process)

    monkeypatch.setattr(ForkServerProcess, "start", failing)
    child = Child(processes.count, 1, preload=[])
    try:
        assert child.receive() == 1
    finally:
        child.end()


@pytest.mark.parametrize("seconds", [0.0] * 10 + [0.02, 0.1])
def test_a_child_that_has_hardly_begun_ends_when_it_is_asked_to(seconds):
    child = Child(processes.wait, preload=[])
    try:
        time.sleep(seconds)
        child.ask_to_end()
        assert wait([child.sentinel], 3)
    finally:
        child.end()


def test_a_child_of_a_driver_that_ignores_sigterm_ends_by_it():
    program = "from fakes import processes; processes.drive_while_ignoring()"
    folders = os.pathsep.join(filter(None, sys.path))
    found = subprocess.run(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": folders},
        check=True,
    )  # fmt: skip
    assert int(found.stdout) == -signal.SIGTERM
