"""Suites whose names an uninstalled package had added: their finished runs are still shown, and say what to install."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes import calls, foreign

import bench
from bench import catalog, lookup, suites
from bench.errors import PluginError, SuiteError
from bench.records import Record, Store

POINTS = """
[bench.models]
my-net = my_package.net:Net
[bench.datasets]
my-tones = my_package.data:Mine
[bench.frontends]
my-features = my_package.net:Features
[bench.metrics]
my-score = my_package.scores:clips
"""
SUITE = """
models = ["my-net", "fc"]
datasets = ["my-tones"]
metrics = ["my-score"]
folds = "all"
[model.my-net]
frontend = "my-features"
"""


@pytest.fixture
def suite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A suite whose runs were done with a package that is uninstalled now."""
    monkeypatch.setenv("COLUMNS", "300")
    path = foreign.write(tmp_path / "site", SUITE)
    before = list(sys.path)
    sys.path.append(str(foreign.installed(tmp_path / "site", points=POINTS)))
    lookup.forget()
    own = tmp_path / "own.toml"
    own.write_text(path.read_text())
    store = Store(tmp_path / "runs")
    runs = suites.read(str(own)).runs()
    assert [run.fold for run in runs] == [0, 0, 1, 1, 2, 2]
    for run in runs:
        scores: dict[str, float | None] = {"accuracy": 0.5 + run.fold / 10, "my-score": 7.0}
        store.write(Record(run=run, status="ok", scores=scores, started="2026-01-01T00:00:00+00:00"))
    sys.path[:] = before
    lookup.forget()
    yield own
    lookup.forget()


def test_the_rows_stay_and_say_what_to_install(suite: Path, tmp_path: Path) -> None:
    store = tmp_path / "runs"
    code, _, error = calls.bench("leaderboard", "--suite", suite, "--store", store)
    assert code == 0, error
    (board,) = json.loads((store / "own.json").read_text())["leaderboards"]
    rows = {row["model"]: row for row in board["rows"]}
    assert set(rows) == {"my-net", "fc"}
    assert all(len(row["records"]) == 3 for row in rows.values())
    for name in ("my-net", "my-features", "my-tones"):
        assert f"{name}: not installed: pip install my-package" in rows["my-net"]["flags"]
    code, _, error = calls.bench("run", "--suite", suite, "--store", store, "--dry-run")
    assert code == 1
    assert "missing: my-tones: not installed: pip install my-package" in error
    results = bench.load_results(store, suite)
    assert len(results.records) == 6
    assert [row.scores["my-score"] for row in results.leaderboards()[0].rows] == [7.0, 7.0]


def test_a_name_that_no_record_has_is_refused(suite: Path, tmp_path: Path) -> None:
    suite.write_text(SUITE.replace("my-net", "my-nett"))
    code, _, error = calls.bench("run", "--suite", suite, "--store", tmp_path / "runs", "--dry-run")
    assert code == 2
    assert "no model is called 'my-nett'" in error
    with pytest.raises(SuiteError, match="no model is called 'my-nett'"):
        suites.read(str(suite))


def test_the_name_leads_to_no_import_and_an_installed_package_comes_first(suite: Path, tmp_path: Path) -> None:
    suites.read(str(suite), Store(tmp_path / "runs"))
    entry = catalog.model("my-net")
    assert str(entry.package) == "my-package 1.2"
    with pytest.raises(PluginError, match="my-net is not installed: pip install my-package"):
        catalog.load(entry.target)
    assert catalog.dataset("my-tones").folds == 3
    with pytest.raises(PluginError, match="my-score is not installed: install the package that has it"):
        catalog.load(catalog.metric("my-score").target)
    sys.path.append(str(tmp_path / "site"))
    try:
        for function in (lookup.entry_points, lookup._all_entry_points, lookup._scanned, lookup._distribution):
            function.cache_clear()
        assert catalog.model("my-net").target == "my_package.net:Net"
    finally:
        sys.path.remove(str(tmp_path / "site"))


def test_tables_of_a_suite_of_ones_own_are_drawn_with_its_file(suite: Path, tmp_path: Path) -> None:
    store = tmp_path / "runs"
    assert calls.bench("leaderboard", "--suite", suite, "--store", store)[0] == 0
    code, _, error = calls.bench("leaderboard", "--store", store)
    assert code == 2
    assert "name the file, as in --suite own.toml" in error
