"""Output of the commands: progress apart from results, p-values, and lines that fit a terminal."""

import json
from pathlib import Path

import pytest
from fakes.calls import bench

from bench.cli import options
from bench.leaderboard.compare import p_value
from bench.profiling.measure import TIERS


@pytest.mark.process
def test_latency_shows_its_progress_on_standard_error() -> None:
    arguments = ("fc", "--embedding", "10x128", "--tier", "quick", "--scope", "end-to-end", "--scope", "model")
    code, output, error = bench("latency", *arguments, "--batch-sizes", 2, "--json")
    assert code == 0
    assert [(one["scope"], one["batch"]) for one in json.loads(output)["timings"]] == [
        ("end-to-end", 1), ("end-to-end", 2), ("model", 1), ("model", 2),
    ]  # fmt: skip
    lines = error.splitlines()
    assert [line.partition("  (about ")[0] for line in lines] == [
        "[1/4] timing eager, end-to-end",
        "[2/4] timing eager, end-to-end, 2 clips at once",
        "[3/4] timing eager, model",
        "[4/4] timing eager, model, 2 clips at once",
    ]
    assert all(line.endswith(" s left)") for line in lines)


@pytest.mark.process
def test_a_backend_that_is_refused_takes_its_measurements_off_the_count() -> None:
    arguments = ("fc", "--embedding", "10x128", "--tier", "quick", "--scope", "end-to-end", "--batch-sizes", 4)
    code, _, error = bench("latency", *arguments, "--backend", "channels-last", "--backend", "eager")
    assert code == 0
    assert "not timed: channels-last" in error
    assert "[1/6] timing channels-last, end-to-end" in error
    assert "[2/4] timing eager, end-to-end" in error


def test_the_expected_time_of_a_measurement_covers_all_processes() -> None:
    full = TIERS["full"]
    assert full.expected_seconds >= full.processes * (full.warm_seconds + full.seconds)


@pytest.mark.parametrize(
    ("p", "words"),
    [(0.0, "p < 0.001"), (0.0009, "p < 0.001"), (0.001, "p = 0.001"), (0.0494, "p = 0.049"), (1, "p = 1.000")],
)
def test_a_p_value_is_never_zero(p: float, words: str) -> None:
    assert p_value(p) == words


def test_long_lines_go_on_below_themselves() -> None:
    line = options.described("esc10", f"/data/esc10: missing {'a' * 90} and more words than fit", 60, margin=0)
    first, *following = line.splitlines()
    assert first.startswith("esc10                  /data/esc10: missing")
    assert following
    assert all(each.startswith(" " * 23) and each[23] != " " for each in following)
    assert "a" * 90 in line  # a path is not torn
    assert max(len(each) for each in line.splitlines() if "aaa" not in each) <= 60
    assert options.wrapped("one two", None) == "one two"


def test_messages_are_broken_between_words_on_a_terminal_and_nowhere_else(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "error: one two three four five\n  six seven"
    options.say(options.out, text)
    assert capsys.readouterr().out == text + "\n"
    monkeypatch.setattr(options, "line_width", lambda console: 20)
    options.say(options.out, text)
    assert capsys.readouterr().out == "error: one two three\n    four five\n  six seven\n"


@pytest.mark.parametrize("arguments", [("list",), ("data", "status")])
def test_no_line_is_longer_than_the_terminal(arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    for command in ("listing", "data"):
        monkeypatch.setattr(f"bench.cli.{command}.line_width", lambda console: 80)
    code, output, _ = bench(*arguments, "--data-dir", Path("/d"))
    assert code == 0
    assert len(output.splitlines()) > 10
    assert [line for line in output.splitlines() if len(line) > 80 and "/" not in line] == []
