"""The leaderboard while the runs end, on a terminal and without one."""

import io
from dataclasses import replace

import pytest
from rich.console import Console

from bench.records import Latency, Recipe, Record, Run
from bench.runner.progress import EPOCH_SECONDS, Progress
from bench.runner.standings import Standings


def run(model: str, fold: int = 0, dataset: str = "synthetic") -> Run:
    return Run(model=model, frontend="logmel", dataset=dataset, fold=fold, seed=0, recipe=Recipe())


def finished(of: Run, score: float | None, milliseconds: float | None = None) -> Record:
    scores = {} if score is None else {"accuracy": score}
    record = Record(run=of, status="ok", scores=scores)
    if milliseconds is None:
        return record
    timing = Latency(
        device="a processor", device_type="cpu", threads=1, dtype="float32", backend="eager", scope="end-to-end",
        batch=1, clip_seconds=1.0, p50_ms=milliseconds, p90_ms=milliseconds, p99_ms=None, iqr_share=0.0, samples=50,
        throughput=1.0, real_time_factor=0.1, load=0.0, sentinel_drift=0.0, sentinel_ms=1.0, others=0.0, grade="A",
    )  # fmt: skip
    return replace(record, latencies=(timing,))


def words(standings: Standings, height: int = 20) -> list[list[str]]:
    """Return the cells of the table's rows."""
    table = standings.table(height)
    return (
        []
        if table is None
        else [list(cells) for cells in zip(*(column.cells for column in table.columns), strict=True)]
    )


def test_rows_are_ranked_by_the_mean_of_the_folds_that_have_ended() -> None:
    runs = [run(name, fold) for name in ("cnn", "fc", "ltc") for fold in (0, 1)]
    standings = Standings({each.key: f"my {each.model}" for each in runs}, {}, runs)
    assert standings.table(20) is None
    assert standings.line() == ""
    standings.add(finished(runs[2], 0.5))
    standings.add(finished(runs[0], 0.4))
    standings.add(finished(runs[1], 0.8))
    assert words(standings) == [
        ["1", "my cnn", "logmel", "0.600", "", "2"],
        ["2", "my fc", "logmel", "0.500", "", "1"],
    ]
    assert words(standings, height=1) == words(standings)[:1]
    assert standings.line() == "synthetic so far, 2 of 3 systems: my cnn 0.600, my fc 0.500"


def test_a_timing_fills_its_cell_and_a_second_look_at_a_run_counts_once() -> None:
    standings = Standings({}, {}, [run("cnn")])
    standings.add(finished(run("cnn"), 0.25))
    standings.add(finished(run("cnn"), 0.25, 1.5))
    assert words(standings) == [["1", "cnn", "logmel", "0.250", "1.5", "1"]]


def test_an_undefined_score_comes_last() -> None:
    standings = Standings({}, {}, [run("cnn"), run("fc")])
    standings.add(finished(run("cnn"), None))
    standings.add(finished(run("fc"), 0.1))
    assert [row[1::2] for row in words(standings)] == [["fc", "0.100", "1"], ["cnn", "undefined", "1"]]


def test_each_dataset_has_its_own_standings() -> None:
    runs = [run("cnn"), run("cnn", dataset="esc10"), run("fc", dataset="esc10")]
    standings = Standings({}, {runs[0].key: "sounds"}, runs)
    standings.add(finished(runs[1], 0.9))
    standings.add(finished(runs[0], 0.2))
    assert standings.line() == "sounds so far, 1 of 1 systems: cnn 0.200"
    standings.add(finished(runs[2], 0.3))
    assert standings.line() == "esc10 so far, 2 of 2 systems: cnn 0.900, fc 0.300"


@pytest.fixture
def standings() -> Standings:
    found = Standings({}, {}, [run("cnn"), run("fc")])
    found.add(finished(run("cnn"), 0.5))
    return found


def test_without_a_terminal_a_line_says_the_best_now_and_then(standings: Standings) -> None:
    now = [0.0]
    progress = Progress(Console(file=io.StringIO(), width=200), lambda: now[0])
    progress.follow(standings.table, standings.line)
    progress.start(trainings=3)
    for seconds in (EPOCH_SECONDS, 1.0, EPOCH_SECONDS):
        now[0] += seconds
        progress.end_run("a", "a", fusion=False, timed=True)
    file = progress.console.file
    assert isinstance(file, io.StringIO)
    assert file.getvalue().count("synthetic so far, 1 of 2 systems: cnn 0.500\n") == 2


def test_on_a_terminal_the_table_stands_above_the_bar(standings: Standings) -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=100, height=30)
    progress = Progress(console, lambda: 0.0)
    progress.follow(standings.table, standings.line)
    progress.start(trainings=2)
    progress.show("b", "starting")
    progress.bar.refresh()
    progress.stop()
    file = console.file
    assert isinstance(file, io.StringIO)
    shown = file.getvalue()
    assert shown.index("synthetic so far, 1 of 2 systems") < shown.index("0.500") < shown.index("b starting")


def test_a_low_terminal_shows_no_table(standings: Standings) -> None:
    progress = Progress(Console(file=io.StringIO(), force_terminal=True, width=100, height=8), lambda: 0.0)
    progress.follow(standings.table, standings.line)
    assert not any(
        type(part).__name__ == "Table" and getattr(part, "title", None) for part in progress.bar.get_renderables()
    )
