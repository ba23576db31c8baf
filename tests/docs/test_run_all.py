"""`benchmarks/run_all.py`: every script is known to it, a failed one is named, and the page holds what was kept."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest
from fakes.paths import PROJECT


@pytest.fixture(scope="module")
def run_all() -> ModuleType:
    spec = importlib.util.spec_from_file_location("run_all", PROJECT / "benchmarks" / "run_all.py")
    assert spec
    assert spec.loader
    module = sys.modules["run_all"] = importlib.util.module_from_spec(spec)  # dataclasses look for it there
    spec.loader.exec_module(module)
    return module


def test_every_script_explains_itself_instead_of_running_when_it_is_asked_for_help():
    called_by_another = {"gpu_parts.py"}
    for path in (PROJECT / "benchmarks").glob("*.py"):
        assert path.name in called_by_another or "ArgumentParser(description=__doc__" in path.read_text(), path.name


def test_every_script_is_run_or_left_out_for_a_reason(run_all):
    scripts = [script.name for script in run_all.SCRIPTS]
    assert sorted([*scripts, *run_all.LEFT_OUT]) == sorted(path.name for path in (PROJECT / "benchmarks").glob("*.py"))


@pytest.mark.process
@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("print('cnn: 3 ms, ratio 1.25')", None),
        ("raise SystemExit('no data')", "ended with 1: no data"),
        ("import time; time.sleep(60)", "took more than 0.005 minutes"),
        ("", "printed nothing"),
    ],
    ids=["good", "fails", "hangs", "silent"],
)
def test_a_script_without_a_result_says_why(run_all, tmp_path, code, reason):
    (tmp_path / "one.py").write_text(code)
    minutes = 1 if reason is None or "more" not in reason else 0.005
    found = run_all.run(run_all.Script("one.py"), minutes, None, tmp_path)
    assert (found if reason else found.lines) == (reason or ("cnn: 3 ms, ratio 1.25",))


@pytest.mark.process
def test_a_script_gets_the_checkout_and_the_quick_arguments_and_keeps_what_it_has_printed(run_all, tmp_path):
    (tmp_path / "one.py").write_text("import sys, time; print(sys.argv[1:], flush=True); time.sleep(60)")
    script = run_all.Script("one.py", ("{base}", "--data", "{data}"), ("--turns", "1"))
    base, data = Path("base"), Path("data")
    found = run_all.run(script, 0.02, data, tmp_path, base=base, quick=True)
    assert found.lines == ("['base', '--data', 'data', '--turns', '1']", "(ended after 0.02 minutes)")
    assert found.about.startswith("a quick one")
    assert run_all.run(script, 0.02, data, tmp_path).lines[0] == "['--data', 'data']"


def test_a_script_that_needs_data_is_not_started_without(run_all, tmp_path):
    assert run_all.run(run_all.Script("one.py", needs=("data",)), 1, None, tmp_path) == "needs --data-dir"
    assert run_all.run(run_all.Script("one.py", needs=("base",)), 1, None, tmp_path) == "needs --base"


def test_the_page_has_a_table_of_ratios_for_each_processor(run_all, tmp_path):
    lines = (
        "AMD, 7 turns", "list: this 0.3 s, ratio 0.47", "mfcc  5.0 times as fast, then 6 times as fast",
        "| model | ms | times as fast (least to most) |", "|---|---|---|", "| cnn | 12 | 1.31 (1.2 to 1.4) |",
        "| x | - | - |",
    )  # fmt: skip
    one = run_all.Result("start.py", lines, 3.2, "abc", "29 November 2026")
    run_all.write("AMD EPYC", {"start.py": one}, tmp_path)
    run_all.write("Intel(R) Xeon", {"start.py": one}, tmp_path)
    assert run_all.read(tmp_path) == {"AMD EPYC": {"start.py": one}, "Intel(R) Xeon": {"start.py": one}}
    text = run_all.filled("a\n<!-- run_all.py -->\nold\n<!-- end -->\nb\n", run_all.page(run_all.read(tmp_path)))
    assert text.startswith("a\n<!-- run_all.py -->\n### AMD EPYC\n")
    assert text.endswith("\n<!-- end -->\nb\n")
    assert "old" not in text
    assert text.count("| `start.py` | list | 0.47 |") == 2
    assert text.count("| `start.py` | mfcc | 5.0, 6 |") == 2
    assert text.count("| `start.py` | cnn | 1.31 |") == 2
    assert text.count("`start.py`, 29 November 2026, commit abc, 3 s:") == 2
    assert run_all.filled(text, run_all.page(run_all.read(tmp_path))) == text
    with pytest.raises(ValueError, match="no marks"):
        run_all.filled("a", "b")


def test_the_page_is_the_one_of_the_kept_results(run_all):
    text = (PROJECT / "docs" / "speed.md").read_text(encoding="utf-8")
    assert run_all.filled(text, run_all.page(run_all.read())) == text
