"""Seconds until a suite's first table is there, side by side with another checkout.

    .venv/bin/python benchmarks/first_table.py CHECKOUT [--suite smoke] [--turns 7] [--model fc --model cnn ...]

Each turn runs the suite of both checkouts in empty stores, one after the other: the models that both suites have, or
those of `--model`, on the datasets that need no download. The grades of the timings are counted, and the runs that
failed.

With `--results FILE`, each run's seconds are kept in that file as soon as it has ended; the same command continues
where it was interrupted, and counts what is there. A run that is interrupted is done again.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from bench.profiling.environment import processor
from bench.records import Record

HERE = Path(__file__).parents[1]
MODELS = "import json, sys; from bench import suites; print(json.dumps(suites.read(sys.argv[1]).models))"


def variables(checkout: Path) -> dict[str, str]:
    """Return the environment of a checkout's processes: without datasets, and with compiled modules kept as usual."""
    left_out = ("PYTHONDONTWRITEBYTECODE", "BENCH_DATA")
    kept = {name: value for name, value in os.environ.items() if name not in left_out}
    return kept | {"PYTHONPATH": str(checkout)}


def models(checkout: Path, suite: str) -> list[str]:
    """Return the names of the systems of a checkout's suite."""
    done = subprocess.run(
        [sys.executable, "-c", MODELS, suite], check=True, env=variables(checkout), cwd=checkout, capture_output=True,
        text=True,
    )  # fmt: skip
    return list(json.loads(done.stdout))


def first_table(checkout: Path, options: list[str]) -> dict[str, Any]:
    """Run `bench run` in an empty store.

    Returns:
        Its seconds, the load average before it, how many timings have each grade, and the numbers of finished and of
        failed runs.
    """
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="bench-first-table-") as store:
        start = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "bench", "run", "--store", store, "--wandb", "disabled", *options], check=False,
            env=variables(checkout), cwd=checkout, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        seconds = time.perf_counter() - start
        records = [Record.from_json(path.read_text(), path.stem) for path in Path(store).glob("records/*.json")]
    if not records:
        raise SystemExit(f"{checkout}: bench run {' '.join(options)} ended with {done.returncode} and without a record")
    graded = Counter(f"{each.grade}" for record in records for each in record.latencies if not each.combined)
    status = Counter(record.status for record in records)
    return {
        "seconds": round(seconds, 2), "load": round(load, 1), "grades": dict(sorted(graded.items())),
        "done": status["ok"], "failed": status["failed"],
    }  # fmt: skip


def said(one: dict[str, Any]) -> str:
    """Return a run's figures in words."""
    failed = f", {one['failed']} FAILED" if one["failed"] else ""
    return (
        f"{one['seconds']:.1f} s, {one['done']} runs{failed}, grades {one['grades']}, load average before {one['load']}"
    )


def main() -> None:
    """Print the seconds of each turn, the medians and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("base", type=Path, help="checkout to compare with")
    parser.add_argument("--suite", default="smoke")
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--model", action="append", default=[])
    parser.add_argument("--results", type=Path, help="file that keeps what is done")
    given = parser.parse_args()
    places = {"base": given.base.resolve(), "this": HERE}
    both = [set(models(place, given.suite)) for place in places.values()]
    names = given.model or [name for name in models(HERE, given.suite) if all(name in one for one in both)]
    whole = not given.model and both[0] == both[1]
    options = ["--suite", given.suite, *(() if whole else (word for name in names for word in ("--model", name)))]
    print(f"{processor()}, bench run {' '.join(options)}")
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in places}
    if given.results and given.results.exists():
        kept = json.loads(given.results.read_text())
        if kept["options"] != options:
            raise SystemExit(f"{given.results} is of bench run {' '.join(kept['options'])}: name another file")
        found = kept["found"]
        for name, done in found.items():
            for turn, one in enumerate(done, 1):
                print(f"turn {turn}, {name}: {said(one)} (kept)")
    for turn in range(given.turns):
        for name, place in places.items():
            if len(found[name]) > turn:
                continue
            found[name].append(one := first_table(place, options))
            print(f"turn {turn + 1}, {name}: {said(one)}", flush=True)
            if given.results:
                given.results.write_text(json.dumps({"options": options, "found": found}, indent=1) + "\n")
    base, this = (statistics.median(one["seconds"] for one in found[name]) for name in ("base", "this"))
    print(f"median: base {base:.1f} s, this {this:.1f} s, ratio {this / base:.3f}")


if __name__ == "__main__":
    main()
