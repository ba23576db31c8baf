"""Systems without Linux's calls: names that macOS or Windows lack are hidden from a child interpreter."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from fakes.paths import PROJECT, TESTS

pytestmark = pytest.mark.process

HIDE = """
import builtins, multiprocessing.reduction, os, sys

OURS = {"bench", "models", "datamodules"}
MODULES = {"fcntl", "grp", "msvcrt", "pwd", "resource", "termios"}  # the standard library keeps its own
CALLS = (
    "getloadavg", "memfd_create", "posix_fadvise", "pread", "preadv", "pwrite", "sched_getaffinity",
    "sched_setaffinity", "sysconf", "O_DIRECTORY",
)
imports = builtins.__import__

def hidden(name, globals=None, *others, **named):
    if name in MODULES and (globals or {}).get("__name__", "").partition(".")[0] in OURS:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    return imports(name, globals, *others, **named)

builtins.__import__ = hidden
for name in CALLS:
    if hasattr(os, name):
        delattr(os, name)
multiprocessing.reduction.HAVE_SEND_HANDLE = False  # no fork server
"""

IMPORT = """
import importlib, json, pkgutil, traceback

failed = {}
for package in sorted(OURS):
    found = pkgutil.walk_packages(importlib.import_module(package).__path__, package + ".")
    for name in [package, *(module.name for module in found)]:
        if name.endswith("__main__"):
            continue
        try:
            importlib.import_module(name)
        except ImportError as error:
            if error.name in {"ray", "triton"}:  # not installed with the dev extra
                continue
            failed[name] = traceback.format_exc()
        except Exception:
            failed[name] = traceback.format_exc()
print(json.dumps({"failed": failed, "loaded": sorted(set(sys.modules) & OURS)}))
"""

USE = """
import json, pathlib, warnings
import torch
from bench.profiling import isolated, measure
from bench.runner.executors import Job, executor
from bench.records import Record, Run, Store
from fakes import processes

root = pathlib.Path(sys.argv[1])
seen = {}
store = Store(root)
with store.machine(alone=False), store.claim("key") as mine, store.claim("key") as again:
    seen["claims"] = [mine, again]
with store.machine(alone=True):
    store.write(Record(run=Run(model="cnn", frontend="logmel", dataset="esc10"), status="ok"))
seen["records"] = len(list((root / "records").iterdir()))

model = torch.nn.Linear(4, 2)
tier = measure.Tier(warm_seconds=0, warm_limit_seconds=0, seconds=0.01, limit_seconds=0.02, sentinel_seconds=0.01)
timed = measure.measure_latency(model, torch.rand(1, 4), 1.0, tier=tier)
seen["load"] = timed.load

events = executor("processes")([Job("one", "fakes.jobs:add", (1, 2))], 1)
seen["events"] = [type(event).__name__ for event in events]
with warnings.catch_warnings(record=True) as warned:
    warnings.simplefilter("always")
    seen["threads"] = isolated.fresh(processes.about, 1)["threads"]
seen["warnings"] = [str(one.message) for one in warned]
print(json.dumps(seen))
"""


def run(code: str, *arguments: str) -> str:
    """Run code in an interpreter from which the names are hidden, and return what it prints."""
    paths = os.pathsep.join([str(PROJECT), str(TESTS)])
    command = [sys.executable, "-c", HIDE + code, *arguments]
    done = subprocess.run(
        command, env=os.environ | {"PYTHONPATH": paths}, cwd=PROJECT, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def imported() -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = json.loads(run(IMPORT).splitlines()[-1])
    return found


@pytest.mark.parametrize("package", ["bench", "models", "datamodules"])
def test_every_module_is_imported(imported: dict[str, dict[str, str]], package: str) -> None:
    assert package in imported["loaded"]
    failed = {name: why for name, why in imported["failed"].items() if name.partition(".")[0] == package}
    assert not failed, "\n".join(failed.values())


def test_names_are_hidden() -> None:
    """The other tests say something only if the names are really absent."""
    code = """
import types
module = types.ModuleType("bench.example")
for name in sorted(MODULES):
    try:
        exec(f"import {name}", vars(module))
    except ModuleNotFoundError:
        continue
    print(name)
print([name for name in CALLS if hasattr(os, name)], multiprocessing.get_all_start_methods())
"""
    assert run(code).splitlines() == ["[] ['fork', 'spawn']"]


def test_locks_processes_and_timings_work_and_say_what_they_lack(tmp_path: Path) -> None:
    seen = json.loads(run(USE, str(tmp_path)).splitlines()[-1])
    assert seen["claims"] == [True, False]
    assert seen["records"] == 1
    assert seen["load"] == 0
    assert seen["events"] == ["Started", "Reported", "Finished"]
    assert seen["threads"] == 1
    assert seen["warnings"] == [
        "on this system processes cannot be pinned to processors, so timings vary more; the load average is not known "
        "and recorded as 0"
    ]


def test_the_command_line_answers() -> None:
    listed = run("sys.argv = ['bench', 'list', 'models', '--json']\nfrom bench.cli import main; main()")
    assert "swishnet" in listed
