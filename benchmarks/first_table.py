"""Seconds until a suite's first table is there, side by side with another checkout.

    .venv/bin/python benchmarks/first_table.py CHECKOUT [--suite smoke] [--turns 7] [--model fc --model cnn ...]

Each turn runs the suite of both checkouts in empty stores, one after the other. The grades of the timings are counted.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from bench.profiling.environment import processor
from bench.records import Record

HERE = Path(__file__).parents[1]


def first_table(checkout: Path, options: list[str]) -> tuple[float, Counter[str]]:
    """Return the seconds of `bench run` in an empty store, and how many timings have each grade."""
    with tempfile.TemporaryDirectory(prefix="bench-first-table-") as store:
        start = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "bench", "run", "--store", store, "--wandb", "disabled", *options], check=True,
            env=os.environ | {"PYTHONPATH": str(checkout)}, cwd=checkout, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        seconds = time.perf_counter() - start
        records = [Record.from_json(path.read_text(), path.stem) for path in Path(store).glob("records/*.json")]
    return seconds, Counter(f"{each.grade}" for record in records for each in record.latencies if not each.combined)


def main() -> None:
    """Print the seconds of each turn, the medians and their ratio."""
    parser = argparse.ArgumentParser()
    parser.add_argument("base", type=Path, help="checkout to compare with")
    parser.add_argument("--suite", default="smoke")
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--model", action="append", default=[])
    given = parser.parse_args()
    options = ["--suite", given.suite, *(word for name in given.model for word in ("--model", name))]
    print(f"{processor()}, bench run {' '.join(options)}")
    found: dict[str, list[float]] = {"base": [], "this": []}
    for turn in range(given.turns):
        for name, place in (("base", given.base.resolve()), ("this", HERE)):
            seconds, grades = first_table(place, options)
            found[name].append(seconds)
            print(f"turn {turn + 1}, {name}: {seconds:.1f} s, grades {dict(sorted(grades.items()))}", flush=True)
    base, this = (statistics.median(found[name]) for name in ("base", "this"))
    print(f"median: base {base:.1f} s, this {this:.1f} s, ratio {this / base:.3f}")


if __name__ == "__main__":
    main()
