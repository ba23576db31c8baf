"""Child processes that send messages, with a fork server and without one."""

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
