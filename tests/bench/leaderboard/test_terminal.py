"""Boards in the terminal."""

import io
from dataclasses import replace

import pytest
from fakes.boards import boards, record, run, timing
from hypothesis import example, given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from bench.cli.options import described
from bench.leaderboard import render
from bench.leaderboard.board import summary
from bench.records import Failure


def test_summary_and_terminal():
    found = boards(record(run("[red]x"), 0.8), record(run("fc"), 0.9))
    ((dataset, columns, rows),) = [table.columns_and_rows() for table in summary(found)]
    assert dataset == "esc10"
    assert columns[:4] == ("rank", "model", "frontend", "accuracy")
    assert [row[:4] for row in rows] == [(1, "fc", "logmel", 0.9), (2, "[red]x", "logmel", 0.8)]
    assert {len(row) for row in rows} == {len(columns)}
    console = Console(width=200, file=io.StringIO())
    for table in render.terminal(found):
        console.print(table)
    printed = console.file.getvalue()
    assert "[red]x" in printed
    assert "80.0 [70.0, 90.0]" in printed
    assert "54.9 M" in printed


def test_rows_at_chance_are_named_with_a_remedy_and_many_are_counted():
    def said(count):
        two = ("cat", "cow")
        rows = [record(run(f"m{n}"), 0.3, intervals={"accuracy": (0.1, 0.7)}, classes=two) for n in range(count)]
        better = record(run("good"), 0.9, intervals={"accuracy": (0.8, 0.95)}, classes=two)
        parts = render.terminal(boards(*rows, better), None, command="bench run --suite x.toml")
        return [str(part) for part in parts if str(part).startswith("At chance")]

    remedy = (
        "Remedy: more clips, more epochs in the suite's recipe or another learning rate, then bench run --suite x.toml"
    )
    both = "m0 on logmel, m1 on logmel"
    assert said(0) == []
    assert said(2) == [f"At chance: the interval of accuracy contains 50.0 %, the score of guessing: {both}. {remedy}"]
    assert "m2 on logmel, m3 on logmel and 3 more rows. Remedy" in said(7)[0]


def lines_of(found, width, columns=80):
    """The printed lines, on a console that is `columns` wide, of tables for lines of `width` characters."""
    console = Console(width=columns, file=io.StringIO(), soft_wrap=True)
    for part in render.terminal(found, width, "runs/esc10.md"):
        console.print(part)
    return console.file.getvalue().splitlines()


@pytest.fixture
def wide():
    """A leaderboard whose short table needs more than 80 characters, and fewer than 120."""
    return boards(
        record(run("cnn", frontend="logmel-20ms"), 0.8), record(run("wavegram-logmel-cnn", frontend="logmel"), 0.9)
    )


def words(line):
    return " ".join(line.split())


def test_a_piped_table_is_whole_whatever_the_consoles_width(wide):
    piped = lines_of(wide, None, columns=40)
    assert piped == lines_of(wide, None, columns=300)
    assert words(piped[1]) == "rank model front-end accuracy, % parameters MACs CPU ms, p50 / p90 runs"
    assert words(piped[3]) == "1 wavegram-logmel-cnn logmel 90.0 [80.0, 100.0] 54.9 M 47.1 G 12.3 / 24.7 (A) 1/1"
    assert 80 < max(map(len, piped)) <= 120
    assert "Not shown" not in "".join(piped)


def test_120_columns_take_the_whole_table(wide):
    assert lines_of(wide, 120, columns=120) == lines_of(wide, None)


def test_80_columns_leave_whole_columns_out_and_fold_no_cell(wide):
    printed = lines_of(wide, 80)
    assert max(map(len, printed)) <= 80
    assert words(printed[1]) == "rank model front-end accuracy, % parameters runs"
    assert words(printed[3]) == "1 wavegram-logmel-cnn logmel 90.0 [80.0, 100.0] 54.9 M 1/1"
    assert words(printed[4]) == "2 cnn logmel-20ms 80.0 [70.0, 90.0] 54.9 M 1/1"
    assert words(" ".join(printed[5:])) == "Not shown for lack of space: MACs; CPU ms, p50 / p90. See runs/esc10.md."


def test_a_very_narrow_terminal_shortens_names_and_no_number(wide):
    printed = lines_of(wide, 40, columns=40)
    assert max(map(len, printed)) <= 40
    assert words(printed[3]) == "1 wavegram-logm… 90.0 [80.0, 100.0]"
    assert words(printed[4]) == "2 cnn 80.0 [70.0, 90.0]"


@pytest.mark.slow
@example("0000000000\ua8b4", 35)  # the last character has no width of its own
@given(st.text(max_size=60), st.integers(35, 200))
def test_no_line_of_a_table_is_longer_than_the_terminal(name, width):
    found = boards(record(run(name or "x"), 0.8), record(run("fc"), 0.9))
    assert max(cell_len(line) for line in lines_of(found, width, columns=width)) <= width


def test_systems_that_were_not_tried_stand_in_a_line_of_their_own() -> None:
    done, failed = (
        record(run("cnn"), 0.8),
        replace(record(run("snn")), status="failed", error=Failure(kind="data", message="gone")),
    )
    found = boards(done, failed, missing=[run("gmm"), run("fc")])
    printed = lines_of(found, None)
    assert [words(line).split()[1] for line in printed[3:5]] == ["cnn", "snn"]
    assert "Not run yet: fc on logmel, gmm on logmel" in printed
    noisy = boards(*(record(run(name), latencies=(timing(grade="C"),)) for name in ("cnn", "snn")), missing=[run("fc")])
    assert any(line.startswith("Grade C") and ": all rows. " in line for line in lines_of(noisy, None))
    none = lines_of(boards(missing=[run("gmm"), run("fc")]), None)
    assert [words(line).split()[1] for line in none[3:5]] == ["fc", "gmm"]
    assert not any("Not run yet" in line for line in none)


def test_a_description_goes_on_below_itself():
    words = "two-layer fully connected baseline, 1280-500-C on 10 x 128 input"
    assert described("fc", words, 80).splitlines() == [
        "  fc                     two-layer fully connected baseline, 1280-500-C on 10 x",
        "                         128 input",
    ]
    assert described("fc", words, 120) == described("fc", words) == f"  fc                     {words}"


def test_the_terminal_names_timings_of_grade_c_and_their_remedy() -> None:
    found = boards(record(run(), latencies=(timing(spread=0.9),)))
    lines = [str(part) for part in render.terminal(found, command="bench run --suite x")]
    remedy = "Remedy: bench run --suite x --time-again measures it again"
    assert f"Grade C: CPU ms is noisy or from a slow machine, not comparable: cnn on logmel. {remedy}" in lines
