"""`benchmarks/gpu.py`: every part runs in tiny sizes, and a part that dies, hangs or lacks a GPU leaves the others."""

import importlib.util
import json
import sys
import warnings
from argparse import Namespace
from types import ModuleType

import pytest
import torch
from fakes.paths import PROJECT

needs_no_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")


def loaded(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, PROJECT / "benchmarks" / f"{name}.py")
    assert spec
    assert spec.loader
    module = sys.modules[name] = importlib.util.module_from_spec(spec)  # dataclasses look for it there
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def gpu() -> ModuleType:
    return loaded("gpu")


@pytest.mark.slow
def test_tiny_sizes_on_a_processor_give_rows_of_every_part(gpu, tmp_path, monkeypatch):
    parts = loaded("gpu_parts")

    def here(name, path, seconds, given):
        words = ["gpu_parts.py", name, str(path), str(given.out), given.device, "1", ""]
        with warnings.catch_warnings(), monkeypatch.context() as patch:
            patch.setattr(sys, "argv", words)
            parts.main()
        return 0, ""

    monkeypatch.syspath_prepend(str(PROJECT / "benchmarks"))
    monkeypatch.setattr(gpu, "_child", here)
    monkeypatch.setattr(sys, "argv", ["gpu.py", "--out", str(tmp_path), "--device", "cpu", "--quick"])
    threads = torch.get_num_threads()
    try:
        gpu.main()
    finally:
        torch.set_num_threads(threads)

    results = json.loads((tmp_path / "results.json").read_text())
    assert set(results) == {"date", "device", "quick", "machine", "parts"}
    assert {"commit", "packages", "processor", "gpu"} <= set(results["machine"])
    assert {name: part["status"] for name, part in results["parts"].items()} == dict.fromkeys(gpu.SECONDS, "measured")
    rows = {name: part["rows"] for name, part in results["parts"].items()}
    assert all(row["holds"] for row in rows["kernels"])
    assert all(row["times as fast"] > 0 for name in ("ltc", "frontends", "training") for row in rows[name])
    assert {row["name"] for row in rows["frontends"]} == {"logmel-panns", "mfcc"}
    assert rows["esc10"][0]["accuracy, %"].endswith("]")
    [record] = (tmp_path / "records").glob("*.json")
    assert "-cnn14-f0-" in record.stem
    for row in json.loads((tmp_path / "latency.json").read_text()):
        assert {"model", "clip_seconds", "timings", "not_timed"} <= set(row)  # of `bench latency --json`
        assert [(one["backend"], one["scope"]) for one in row["timings"]] == [
            ("eager", "end-to-end"),
            ("eager", "model"),
        ]
        assert "runs on cuda, not on cpu" in row["not_timed"]["cuda-graphs-bf16"]
    page = (tmp_path / "speed.md").read_text()
    assert all(title in page for title in gpu.TITLES.values())
    assert "| fc | " in page


PART = """
import json, os, pathlib, sys, time
path = pathlib.Path(sys.argv[2])
there = path.read_text() if path.exists() else ""
for name in ("one", "two", "three"):
    if f'"name": "{name}"' in there:
        continue
    with path.open("a") as file:
        file.write(json.dumps({"begins": name}) + "\\n")
    if name == "two":
        FAULT
    with path.open("a") as file:
        file.write(json.dumps({"name": name, "ms": 1.5}) + "\\n")
"""


@pytest.mark.process
@pytest.mark.parametrize(
    ("fault", "status", "reason", "rows"),
    [
        ("pass", "measured", "", ["one", "two", "three"]),
        ("os.kill(os.getpid(), 9)", "partly measured", "1 of 3 rows failed", ["one", "three"]),
        ("sys.exit('no memory')", "partly measured", "1 of 3 rows failed", ["one", "three"]),
        ("time.sleep(61)", "partly measured", "took more than 1 s at two", ["one"]),
        ("time.sleep(60)", "partly measured", "1 of 3 rows failed", ["one", "three"]),
    ],
    ids=["good", "dies", "ends", "part-hangs", "row-hangs"],
)
def test_a_row_that_ends_its_process_leaves_the_others(gpu, tmp_path, monkeypatch, fault, status, reason, rows):
    script = tmp_path / "part.py"
    script.write_text(PART.replace("FAULT", fault))
    monkeypatch.setattr(gpu, "SCRIPT", script)
    given = Namespace(out=tmp_path, device="cpu", quick=True, data_dir=None)
    monkeypatch.setitem(gpu.ROW_SECONDS, "kernels", 0.5 if "60" in fault else 30)
    found = gpu.measured("kernels", 1 if "61" in fault else 60, given)
    assert (found["status"], found["reason"]) == (status, reason)
    assert [row["name"] for row in found["rows"] if "error" not in row] == rows


@needs_no_gpu
@pytest.mark.process
@pytest.mark.slow
def test_without_a_gpu_a_part_says_that_it_needs_one(gpu, tmp_path):
    given = Namespace(out=tmp_path, device="cuda", quick=False, data_dir=None)
    found = gpu.measured("kernels", 300, given)
    assert (found["status"], found["rows"]) == ("not measured", [])
    assert found["reason"] == "needs a GPU: torch sees none here"


def test_the_parts_take_less_than_eight_minutes(gpu):
    assert sum(gpu.SECONDS.values()) < 8 * 60


def test_results_of_another_machine_become_a_page(gpu, tmp_path, monkeypatch, capsys):
    machine = {"gpu": "NVIDIA H200", "processor": "x", "packages": {"torch": "2.11.0"}, "commit": "abcdef0123"}
    part = {"status": "measured", "reason": "", "seconds": 1.0, "rows": [{"name": "mfcc", "times as fast": 9.876}]}
    results = {
        "date": "1 July 2026",
        "device": "cuda",
        "quick": False,
        "machine": machine,
        "parts": {"frontends": part},
    }
    (tmp_path / "results.json").write_text(json.dumps(results))
    (tmp_path / "page.md").write_text("a\n<!-- gpu.py -->\nold\n<!-- end -->\n")
    words = ["gpu.py", "--out", str(tmp_path), "--page", "--write", str(tmp_path / "page.md")]
    monkeypatch.setattr(sys, "argv", words)
    gpu.main()
    text = (tmp_path / "page.md").read_text()
    assert "### NVIDIA H200" in text
    assert "| mfcc | 9.88 |" in text
    assert "old" not in text
    (tmp_path / "results.json").write_text(json.dumps({**results, "quick": True}))
    with pytest.raises(SystemExit):
        gpu.main()
    assert "say nothing" in capsys.readouterr().err


def test_the_page_has_room_for_the_tables(gpu):
    text = (PROJECT / "docs" / "speed.md").read_text(encoding="utf-8")
    text = gpu.filled(gpu.filled(text, "old"), "new")
    assert "<!-- gpu.py -->\nnew\n<!-- end -->" in text
    with pytest.raises(ValueError, match="no marks"):
        gpu.filled("a", "b")
