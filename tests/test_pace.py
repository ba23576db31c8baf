"""Timings that were taken while the machine was slower than it can be lose their grade."""

import json
from dataclasses import replace

import platformdirs
import pytest
from test_timing import TIMED

from bench.latency import together
from bench.pace import paced


def taken(sentinel_ms: float, **other):
    return replace(TIMED, sentinel_ms=sentinel_ms, **other)


@pytest.mark.parametrize(
    ("sentinel_ms", "grade", "expected"),
    [(0.2, "A", "A"), (0.209, "A", "A"), (0.212, "A", "B"), (0.219, "A", "B"), (0.222, "A", "C"), (0.21, "C", "C")],
)
def test_grade_on_a_machine_that_is_slower_than_before(tmp_path, sentinel_ms, grade, expected) -> None:
    assert paced(taken(0.2), tmp_path).slowdown == 1.0
    found = paced(taken(sentinel_ms, grade=grade), tmp_path)
    assert (found.grade, found.slowdown) == (expected, pytest.approx(sentinel_ms / 0.2))


def test_a_faster_machine_is_remembered_and_others_are_not_mixed_with_it(tmp_path) -> None:
    assert paced(taken(0.4), tmp_path).grade == "A"  # the best that is known
    assert paced(taken(0.2), tmp_path).slowdown == 1.0
    assert paced(taken(0.4), tmp_path).slowdown == 2.0
    for other in ({"threads": 2}, {"device": "another"}):
        assert paced(taken(0.4, **other), tmp_path).slowdown == 1.0
    assert paced(taken(0.4, backend="int8", software="onnxruntime 1"), tmp_path).slowdown == 2.0


@pytest.mark.parametrize("content", ["", "[]", "null", '{"x": "fast"}', "\0"])
def test_a_damaged_file_is_begun_anew(tmp_path, content) -> None:
    (tmp_path / "pace.json").write_text(content)
    assert paced(taken(0.3), tmp_path).slowdown == 1.0
    assert list(json.loads((tmp_path / "pace.json").read_text()).values()) == [0.3]


def test_a_folder_that_cannot_be_written_costs_nothing(tmp_path) -> None:
    (tmp_path / "file").touch()
    assert paced(taken(0.3), tmp_path / "file").slowdown == 1.0


def test_early_records_know_of_no_pace(tmp_path) -> None:
    assert paced(TIMED, tmp_path) is TIMED
    assert not (tmp_path / "pace.json").exists()


def test_what_is_put_together_keeps_the_slowest() -> None:
    timings = [taken(0.2, slowdown=s) for s in (1.0, 1.08, 1.02)]
    assert together(timings).slowdown == 1.08


def test_the_users_folder_is_where_it_is_kept() -> None:
    paced(taken(0.3, device="a device of this test"))
    kept = json.loads((platformdirs.user_data_path("audio-classification-bench") / "pace.json").read_text())
    assert 0.3 in kept.values()
