"""Models that are made ready to be timed while the process of the one before starts."""

from contextlib import ExitStack
from types import SimpleNamespace
from typing import Any

import pytest

from bench.profiling import measure
from bench.runner import timings
from bench.runner.news import TimingTurned


class Targets(timings._Targets):
    """Makes targets that are only names; `open` are those not yet closed."""

    def __init__(self) -> None:
        super().__init__(None, None, measure.FIRST)  # type: ignore[arg-type]
        self.made: list[str] = []
        self.open: list[str] = []
        self.versions: dict[str, int] = {}

    def _version(self, run: Any) -> object:
        return self.versions.get(run.key, 0)

    def _make(self, run: Any) -> Any:
        self.made.append(run.key)
        if run.key == "broken":
            raise OSError("no weights")
        stack = ExitStack()
        self.open.append(run.key)
        stack.callback(self.open.remove, run.key)
        return stack, {"cpu": f"target of {run.key}"}


A, B, BROKEN = (SimpleNamespace(key=key) for key in ("a", "b", "broken"))


def test_targets_that_were_made_ahead_are_used_once_and_closed() -> None:
    with Targets() as targets:
        with targets.of(A) as found:
            targets.prepare(B)
            targets.prepare(B)  # another backend of the same run
            assert found == {"cpu": "target of a"}
            assert targets.open == ["a", "b"]
        with targets.of(B) as found:
            assert (found, targets.open) == ({"cpu": "target of b"}, ["b"])
        with targets.of(B) as found:
            assert found == {"cpu": "target of b"}
    assert targets.made == ["a", "b", "b"]
    assert not targets.open


def test_what_was_made_ahead_and_is_not_timed_is_closed() -> None:
    with Targets() as targets:
        targets.prepare(A)
        with targets.of(B):  # another process has timed A
            assert targets.open == ["b"]
        targets.prepare(A)
    assert not targets.open
    assert targets.made == ["a", "b", "a"]


def test_the_targets_of_a_run_that_was_trained_again_meanwhile_are_made_again() -> None:
    with Targets() as targets:
        targets.prepare(A)
        targets.versions["a"] = 1
        with targets.of(A):
            assert targets.open == ["a"]
    assert targets.made == ["a", "a"]
    assert not targets.open


def test_what_goes_wrong_while_the_next_model_is_made_is_said_to_be_of_that_run() -> None:
    said: list[Any] = []
    with Targets() as targets:
        timings._look_ahead(targets, A, None, said.append)  # type: ignore[arg-type]
        assert not said
        timings._look_ahead(targets, A, B, lambda news: said.append((news, list(targets.made))))  # type: ignore[arg-type]
    assert said == [(TimingTurned("b"), []), (TimingTurned("a"), ["b"])]


def test_an_error_of_the_run_ahead_comes_when_it_is_timed() -> None:
    with Targets() as targets:
        with targets.of(A):
            targets.prepare(BROKEN)
        with pytest.raises(OSError, match="no weights"), targets.of(BROKEN):
            pytest.fail("there are no targets")
        with targets.of(A) as found:
            assert found == {"cpu": "target of a"}
    assert not targets.open
