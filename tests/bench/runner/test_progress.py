"""The time left and the counts, with a clock that the test moves."""

import io
import re

import pytest
from rich.console import Console

from bench.runner.progress import LONG_SECONDS, TIMING_SECONDS, Files, Progress, Recordings, Steps, duration, rounded


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def progress(clock: Clock) -> Progress:
    return Progress(Console(file=io.StringIO(), width=200), clock)


def train(progress: Progress, clock: Clock, key: str, seconds: float) -> None:
    progress.show(key, "starting")
    clock.now += seconds
    progress.end_run(key, key, fusion=False, timed=True)


def time(progress: Progress, clock: Clock, key: str, seconds: float) -> None:
    progress.show(key, "timing")
    clock.now += seconds
    progress.end_timing(key, key, fusion=False)


def printed(progress: Progress) -> str:
    return progress.console.file.getvalue()


def test_a_first_training_with_its_start_up_gives_no_estimate(progress: Progress, clock: Clock) -> None:
    progress.start(trainings=10, timings=10, workers=1)
    assert progress.seconds_left() is None
    train(progress, clock, "a", 23.0)
    assert progress.seconds_left() is None
    assert "left" not in printed(progress)
    train(progress, clock, "b", 2.0)
    assert progress.seconds_left() == pytest.approx(8 * 2.0 + 10 * TIMING_SECONDS)
    train(progress, clock, "c", 4.0)
    assert progress.seconds_left() == pytest.approx(7 * 3.0 + 10 * TIMING_SECONDS)


def test_a_first_training_that_is_long_gives_an_estimate(progress: Progress, clock: Clock) -> None:
    progress.start(trainings=3, workers=1)
    train(progress, clock, "a", 20 * LONG_SECONDS)
    assert progress.seconds_left() == pytest.approx(40 * LONG_SECONDS)


def test_every_worker_has_a_first_training(progress: Progress, clock: Clock) -> None:
    progress.start(trainings=6, workers=2)
    progress.show("a", "starting")
    progress.show("b", "starting")
    clock.now = 20
    progress.end_run("a", "", fusion=False, timed=True)
    progress.show("c", "starting")
    clock.now = 21
    progress.end_run("b", "", fusion=False, timed=True)
    assert progress.seconds_left() is None
    progress.show("d", "starting")
    clock.now = 24  # c took 4 s; d has been going for 3 s, and e and f have not begun
    progress.end_run("c", "", fusion=False, timed=True)
    assert progress.seconds_left() == pytest.approx((3 * 4 - 3) / 2)


def test_the_last_training_is_not_shared_among_workers(progress: Progress, clock: Clock) -> None:
    progress.start(trainings=3, workers=2)
    train(progress, clock, "a", 20.0)
    train(progress, clock, "b", 20.0)
    progress.show("c", "starting")
    clock.now += 6.0
    assert progress.seconds_left() is None
    progress.end_run("c", "", fusion=False, timed=True)
    assert progress.seconds_left() == 0.0


def test_fusions_are_no_trainings(progress: Progress, clock: Clock) -> None:
    progress.start(trainings=4, fusions=50, timings=4, combined=50, workers=1)
    train(progress, clock, "a", 9.0)
    train(progress, clock, "b", 5.0)
    expected = 2 * 5.0 + 4 * TIMING_SECONDS
    assert progress.seconds_left() == pytest.approx(expected)
    progress.end_run("f", "", fusion=True, timed=True)
    assert progress.seconds_left() == pytest.approx(expected)


def test_a_failed_training_is_not_timed(progress: Progress, clock: Clock) -> None:
    progress.start(trainings=3, timings=3, workers=1)
    train(progress, clock, "a", 5.0)
    train(progress, clock, "b", 5.0)
    progress.show("c", "starting")
    clock.now += 5.0
    progress.end_run("c", "c: FAILED", fusion=False, timed=False)
    assert progress.seconds_left() == pytest.approx(2 * TIMING_SECONDS)
    assert "[3/3] c: FAILED" in printed(progress)
    time(progress, clock, "a", 7.0)
    assert "[timing 1/2] a" in printed(progress)


def test_timings_are_estimated_from_timings_and_from_the_number_of_backends(progress: Progress, clock: Clock) -> None:
    progress.start(timings=5, workers=2, backends=3)
    assert progress.seconds_left() is None
    time(progress, clock, "a", 50.0)
    assert progress.seconds_left() == pytest.approx(4 * 3 * TIMING_SECONDS)
    time(progress, clock, "b", 12.0)
    assert progress.seconds_left() == pytest.approx(3 * 12.0)
    progress.show("c", "timing")
    clock.now += 10.0
    assert progress.seconds_left() == pytest.approx(3 * 12.0 - 10.0)
    clock.now += 90.0
    assert progress.seconds_left() == pytest.approx(2 * 12.0)


def test_more_timings_than_were_counted_leave_no_time_below_zero(progress: Progress, clock: Clock) -> None:
    progress.start(timings=1, workers=1)
    time(progress, clock, "a", 2.0)
    time(progress, clock, "b", 2.0)  # another process has trained it meanwhile
    assert progress.seconds_left() == 0.0
    assert "[timing 2/2] b" in printed(progress)


def test_lines_say_whether_the_estimate_includes_timing(progress: Progress, clock: Clock) -> None:
    progress.start(trainings=3, timings=1, workers=1)
    for key in "abc":
        train(progress, clock, key, 10.0)
    lines = printed(progress).splitlines()
    assert lines[0] == "[1/3] a"
    assert lines[1] == f"[2/3] b  (about {10 + TIMING_SECONDS:.0f} s left, timing included)"
    assert lines[2] == f"[3/3] c  (about {TIMING_SECONDS:.0f} s left)"


@pytest.mark.parametrize(
    ("value", "digits", "expected"),
    [
        (0.0049, 2, "<0.01 ms"),
        (0.005, 2, "0.01 ms"),
        (0.0, 2, "0.00 ms"),
        (1.236, 2, "1.24 ms"),
        (0.5, 0, "<1 ms"),
        (-0.001, 2, "-0.00 ms"),
    ],
)
def test_a_positive_number_is_not_shown_as_zero(value: float, digits: int, expected: str) -> None:
    assert rounded(value, digits, " ms") == expected


def test_steps_print_a_line_as_each_begins_and_estimate_from_what_was_measured(clock: Clock) -> None:
    console = Console(file=io.StringIO(), width=200)
    with Steps(console, total=5, each=3.0, clock=clock) as steps:
        assert steps.seconds_left() == pytest.approx(15.0)
        for what, seconds in (("a", 9.0), ("b", 4.0)):
            with steps.step(what):
                clock.now += seconds
        steps.skip(1)
        assert steps.seconds_left() == pytest.approx(2 * 4.0)
        with steps.step("c"):
            clock.now += 1.0
            assert steps.seconds_left() == pytest.approx(2 * 4.0 - 1.0)
        with pytest.raises(KeyError), steps.step("d"):
            raise KeyError
        assert (steps.done, steps.total) == (4, 4)
    assert console.file.getvalue().splitlines() == [
        "[1/5] timing a  (about 15 s left)",
        "[2/5] timing b  (about 12 s left)",
        "[3/4] timing c  (about 8 s left)",
        "[4/4] timing d  (about 2 s left)",
    ]


def test_steps_show_a_bar_on_a_terminal(clock: Clock) -> None:
    console = Console(file=io.StringIO(), width=80, force_terminal=True)
    with Steps(console, total=2, each=30.0, clock=clock) as steps, steps.step("eager, model"):
        steps.bar.refresh()
    shown = console.file.getvalue()
    assert "timing eager, model" in shown
    assert "about 60 s left" in shown
    assert "[1/2]" not in shown


def test_epochs_are_lines_without_a_terminal_but_not_too_many(progress: Progress, clock: Clock) -> None:
    progress.start(trainings=1, workers=1)
    progress.show("cnn", "starting")
    for epoch in range(1, 41):
        clock.now += 4.0
        progress.epoch("cnn", epoch, 40, epoch / 40)
    lines = printed(progress).splitlines()
    assert lines[0] == "cnn: epoch 3/40, validation 0.075  (about 2 min left)"
    assert lines[1] == "cnn: epoch 6/40, validation 0.150  (about 2 min left)"
    assert lines[-1] == "cnn: epoch 40/40, validation 1.000"
    assert len(lines) == 14  # every third epoch, and the last


def test_trainings_that_run_together_share_the_lines(progress: Progress, clock: Clock) -> None:
    progress.start(trainings=2, workers=2)
    for key in "ab":
        progress.show(key, "starting")
    for epoch in range(1, 31):
        clock.now += 5.0
        for key in "ab":
            progress.epoch(key, epoch, 100, 0.5)
    lines = printed(progress).splitlines()
    assert len(lines) == 14  # in 150 s, one of each training every 20 s
    assert {line[0] for line in lines} == {"a", "b"}


def test_a_short_training_has_one_line_for_its_last_epoch(progress: Progress, clock: Clock) -> None:
    progress.start(trainings=1, workers=1)
    progress.show("fc", "starting")
    for epoch in (1, 2):
        clock.now += 1.0
        progress.epoch("fc", epoch, 2, 0.5)
    assert printed(progress).splitlines() == ["fc: epoch 2/2, validation 0.500"]


def test_epochs_give_an_estimate_before_any_training_has_ended(progress: Progress, clock: Clock) -> None:
    progress.start(trainings=3, timings=3, workers=1)
    progress.show("a", "starting")
    clock.now = 50.0  # a slow first epoch
    progress.epoch("a", 1, 10, 0.5)
    assert progress.seconds_left() is None
    clock.now = 60.0
    progress.epoch("a", 2, 10, 0.5)
    assert progress.seconds_left() == pytest.approx(80.0 + 2 * 140.0 + 3 * TIMING_SECONDS)
    clock.now = 65.0
    assert progress.seconds_left() == pytest.approx(75.0 + 2 * 140.0 + 3 * TIMING_SECONDS)


def test_a_terminal_shows_the_whole_names_of_runs_that_run_together(clock: Clock) -> None:
    console = Console(file=io.StringIO(), width=60, force_terminal=True)
    progress = Progress(console, clock)
    progress.start(trainings=2, workers=2)
    keys = [f"synthetic-tags-logmel-panns-mobilenet-v{i}-f0-s0-a3241b60" for i in (1, 2)]
    for key in keys:
        progress.show(key, "starting")
        progress.epoch(key, 3, 40, 0.5)
    progress.bar.refresh()
    progress.stop()
    shown = "".join(re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", console.file.getvalue()).replace("\r", "").split("\n"))
    for key in keys:
        assert key in shown
        assert f"{key} epoch 3/40, validation 0.500" in re.sub(" +", " ", shown)
    assert "validation 0.500  (" not in shown  # no line beside the bar


@pytest.mark.parametrize(
    ("seconds", "expected"), [(0.2, "<1 s"), (119.4, "119 s"), (130, "2 min"), (7100, "118 min"), (9000, "2.5 h")]
)
def test_durations_are_short(seconds: float, expected: str) -> None:
    assert duration(seconds) == expected


def test_reading_is_a_line_every_ten_seconds_without_a_terminal(progress: Progress, clock: Clock) -> None:
    for done in range(1, 10_001):
        progress.read(done, 10_000)
        clock.now += 1 / 256
    progress.end_reading()
    lines = printed(progress).splitlines()
    assert [line.split(" of ")[0] for line in lines] == ["2,561", "5,121", "7,681"]
    assert lines[0] == "2,561 of 10,000 files read, about 29 s left"
    progress.start(trainings=1)
    train(progress, clock, "a", 1.0)
    assert printed(progress).splitlines()[-1].startswith("[1/1] a")


def test_datasets_that_are_read_at_the_same_time_are_one_line(progress: Progress, clock: Clock) -> None:
    for second in range(41):
        clock.now = float(second)
        progress.read(10 * second, 1_000, "esc10")
        if 15 <= second <= 30:
            progress.read(20 * (second - 15), 600, "ravdess")
        if second == 30:
            progress.end_reading("ravdess")
    lines = printed(progress).splitlines()
    assert lines == [
        "100 of 1,000 files read, about 90 s left",  # esc10's 10 files a second
        "280 of 1,600 files read, about 80 s left",  # ravdess's 20 a second take less time
        "580 of 1,600 files read, about 70 s left",
        "400 of 1,000 files read, about 60 s left",
    ]
    progress.end_reading("esc10")
    progress.end_reading("esc10")


def test_reading_is_a_bar_with_the_time_left_on_a_terminal(clock: Clock) -> None:
    console = Console(file=io.StringIO(), width=80, force_terminal=True)
    with Files(console, clock) as files:
        for done in (1, 500):
            files.report(done, 1_000)
            clock.now += 50.0
        files.progress.bar.refresh()
    assert "500/1000" in console.file.getvalue()
    assert "files read, about 50 s left" in console.file.getvalue()


def test_recordings_show_the_time_left_by_bytes():
    now = [0.0]
    console = Console(file=io.StringIO(), width=200)
    with Recordings(console, 3, clock=lambda: now[0]) as progress:
        for seconds, files, done in ((5.0, 0, 500), (20.0, 1, 2_000), (25.0, 1, 2_500), (40.0, 3, 4_000)):
            now[0] = seconds
            progress.report(files, done, 4_000)
    assert console.file.getvalue().splitlines() == [
        "1 of 3 files, about 20 s left", "3 of 3 files, about 0 s left",
    ]  # fmt: skip


def test_no_line_speaks_of_timing_where_none_is_to_come(progress: Progress, clock: Clock) -> None:
    progress.start(trainings=5, timings=0, workers=1)
    train(progress, clock, "a", 10.0)
    progress.end_run("b", "b: FAILED: two\nlines", fusion=False, timed=False)
    progress.begin_again(fusion=False)
    train(progress, clock, "c", 10.0)
    said = printed(progress)
    assert "(about 30 s left)" in said
    assert "timing" not in said
    assert "[2/5] b: FAILED: two\n    lines" in said
