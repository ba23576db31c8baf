"""Seconds and memory of commands on stores of 300, 1,000 and 3,000 records, side by side with another checkout.

    .venv/bin/python benchmarks/scale.py [CHECKOUT] [--records 300 1000 3000] [--turns 3] [--grid systems|seeds]

The records are a published one with other runs and scores. `--grid systems` has 25 runs (5 folds, 5 seeds) of as many
systems as it takes; `--grid seeds` has 20 systems, and as many seeds of one fold as it takes. Each command is a process
of its own; the two checkouts take turns, and each figure is the median of the turns.
"""

import argparse
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bench import suites
from bench.profiling.environment import processor
from bench.records import Record, Store, sources

HERE = Path(__file__).parents[1]
COMMANDS = {
    "leaderboard": "leaderboard --suite {suite} --store {store}",
    "leaderboard --check": "leaderboard --check --suite {suite} --store {store}",
    "run (nothing to do)": "run --suite {suite} --store {store} --wandb disabled",
}


def suite_text(records: int, grid: str) -> str:
    """Return a suite of this many runs."""
    systems, folds, seeds = (records // 25, 5, 5) if grid == "systems" else (20, 1, records // 20)
    names = [f"s{i}" for i in range(systems)]
    lines = [
        f"models = {names}", 'datasets = ["esc10"]', f"folds = {list(range(folds))}", f"seeds = {list(range(seeds))}"
    ]  # fmt: skip
    lines += [f'[model.{name}]\nmodel = "fc"\nhidden = {100 + i}' for i, name in enumerate(names)]
    return "\n".join(lines) + "\n"


def fill(store: Store, records: int, grid: str) -> Path:
    """Write the records of a suite of this size to a store, with artifacts, and return the suite's file."""
    file = store.root / "scale.toml"
    store.root.mkdir(parents=True)
    file.write_text(suite_text(records, grid))
    template = next(
        Record.from_json(path.read_text(), path.stem)
        for path in sorted((HERE / "leaderboards/records").glob("esc10-*-cnn-f0-s0-*.json"))
    )
    draw = random.Random(0)
    (store.root / "records").mkdir()
    assert template.complexity is not None
    sizes = {
        hidden: replace(
            template.complexity, parameters=int(10 ** draw.uniform(4, 8)), macs=int(10 ** draw.uniform(6, 10))
        )
        for hidden in range(100, 100 + records)
    }
    for run in suites.read(str(file)).runs():
        moved = draw.gauss(0, 0.03) + int(run.arguments["hidden"]) / 5000
        record = replace(
            template, run=run, complexity=sizes[run.arguments["hidden"]], sources=sources.digests(run),
            latencies=tuple(replace(one, p50_ms=one.p50_ms * draw.uniform(1, 1.1)) for one in template.latencies),
            draws=tuple(round(min(max(score + moved, 0.0), 1.0), 5) for score in template.draws),
            scores={name: value and min(max(value + moved, 0.0), 1.0) for name, value in template.scores.items()},
        )  # fmt: skip
        store.path(run.key).write_text(record.to_json())
        folder = store.artifacts(run.key)
        folder.mkdir(parents=True)
        (folder / "weights.safetensors").write_bytes(b"")
    return file


def twin(store: Store, suite: Path, name: str) -> Path:
    """Return a store with the same records, and with tables of its own: another checkout may draw other ones."""
    folder = store.root.with_name(f"{store.root.name}-{name}")
    folder.mkdir()
    for part in ("records", "artifacts"):
        (folder / part).symlink_to(store.root / part)
    shutil.copy(suite, folder)
    return folder


def measured(checkout: Path, command: Sequence[str]) -> tuple[float, float, float]:
    """Run `bench` of a checkout and return its seconds, its processor's seconds, and its largest memory in MB."""
    words = [sys.executable, "-m", "bench", *command]
    start = time.perf_counter()
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    child = subprocess.Popen(
        words, env=variables | {"PYTHONPATH": str(checkout)}, cwd=checkout, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )  # fmt: skip
    errors = child.stderr.read() if child.stderr else b""
    _, status, usage = os.wait4(child.pid, 0)
    seconds = time.perf_counter() - start
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{' '.join(command)} of {checkout} ended with {child.returncode}: {errors.decode()}")
    return seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("base", nargs="?", type=Path, help="checkout to compare with")
    parser.add_argument("--records", type=int, nargs="+", default=[300, 1000, 3000])
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--grid", choices=["systems", "seeds"], default="systems")
    given = parser.parse_args()
    places = {"this": HERE} | ({"base": given.base.resolve()} if given.base else {})
    print(f"{processor()}, {given.turns} turns, grid of {given.grid}; seconds and MB")
    with tempfile.TemporaryDirectory(prefix="bench-scale-") as scratch:
        for count in given.records:
            store = Store(Path(scratch) / str(count))
            suite = fill(store, count, given.grid)
            stores = {name: twin(store, suite, name) for name in places}
            for what, words in COMMANDS.items():
                found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in places}
                for turn in range(given.turns + 1):  # the first one fills the system's cache of files
                    for name, place in places.items():
                        command = words.format(suite=stores[name] / suite.name, store=stores[name]).split()
                        one = measured(place, command)
                        found[name] += [one] if turn or given.turns == 1 else []
                middle = {name: [statistics.median(x) for x in zip(*all_, strict=True)] for name, all_ in found.items()}
                text = ", ".join(
                    f"{name} {s:6.2f} s ({cpu:5.2f} of the processor) {mb:4.0f} MB"
                    for name, (s, cpu, mb) in middle.items()
                )
                this, base = middle["this"], middle.get("base")
                ratio = f", ratio {this[0] / base[0]:.3f}, of the processor {this[1] / base[1]:.3f}" if base else ""
                print(f"{count:5} records, {what:20}: {text}{ratio}", flush=True)


if __name__ == "__main__":
    main()
