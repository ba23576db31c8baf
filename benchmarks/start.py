"""Time until commands answer, side by side with another checkout: help, lists, the first epoch of a run.

    .venv/bin/python benchmarks/start.py [CHECKOUT] [--turns 7] [--only commands|epoch]

Each command is a process of its own; the two checkouts take turns. Each figure is the median over the turns of the
time by the clock and of the processor's time, which another program's load changes less.

The first epoch is one of `fc` on synthetic clips whose features are cached; its time goes from the start of the command
to the line that says that the epoch has ended. Nearly all of it is the import of torch and Lightning, whose time of the
processor stands next to it.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from scale import measured

from bench.profiling.environment import processor

HERE = Path(__file__).parents[1]
COMMANDS = ("--help", "list", "run --help", "list --json")
SUITE = 'models = ["fc"]\ndatasets = ["synthetic"]\n[recipe]\nepochs = 1\n'
IMPORT = (sys.executable, "-c", "import gc; gc.disable(); import torch, lightning.pytorch")


def first_epoch(checkout: Path, suite: Path) -> float:
    """Return the seconds from a command to the end of its first epoch; its store lies next to the suite."""
    words = ["run", "--suite", suite, "--store", suite.parent / checkout.name, "--wandb", "disabled"]
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    start = time.perf_counter()
    found = None
    with subprocess.Popen(
        [sys.executable, "-m", "bench", *map(str, words), "--force"], text=True, cwd=checkout,
        env=variables | {"PYTHONPATH": str(checkout)}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    ) as child:  # fmt: skip
        for line in child.stdout or ():
            if found is None and "epoch 1/1" in line:
                found = time.perf_counter() - start
    if found is None or child.returncode:
        raise SystemExit(f"the run of {checkout} ended with {child.returncode} and without an epoch")
    return found


def imports() -> float:
    """Return the processor's seconds of importing torch and Lightning."""
    before = os.times()
    subprocess.run(IMPORT, check=True)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def of_epochs(places: dict[str, Path], turns: int) -> str:
    """Return the line of the first epoch."""
    with tempfile.TemporaryDirectory(prefix="bench-start-") as scratch:
        suite = Path(scratch) / "first.toml"
        suite.write_text(SUITE)
        taken: dict[str, list[float]] = {name: [] for name in places}
        for turn in range(turns + 1):  # the first one fills the cache
            for name, place in places.items():
                one = first_epoch(place, suite)
                taken[name] += [one] if turn else []
    middle = {name: statistics.median(each) for name, each in taken.items()}
    text = ", ".join(f"{name} {each:.2f} s" for name, each in middle.items())
    ratio = f", ratio {middle['this'] / middle['base']:.2f}" if "base" in middle else ""
    imported = statistics.median(imports() for _ in range(3))
    return f"first epoch of a run: {text}{ratio}; importing torch and Lightning takes {imported:.2f} s of the processor"


def main() -> None:
    """Print a line for each command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("base", nargs="?", type=Path, help="checkout to compare with")
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--only", choices=("commands", "epoch"))
    given = parser.parse_args()
    places = {"this": HERE} | ({"base": given.base.resolve()} if given.base else {})
    print(f"{processor()}, {given.turns} turns")
    for command in COMMANDS if given.only != "epoch" else ():
        found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in places}
        for turn in range(given.turns + 1):  # the first one compiles and fills the system's cache of files
            for name, place in places.items():
                one = measured(place, command.split())
                found[name] += [one] if turn else []
        middle = {name: [statistics.median(x) for x in zip(*turns, strict=True)] for name, turns in found.items()}
        text = ", ".join(f"{name} {s:.2f} s ({cpu:.2f} of the processor)" for name, (s, cpu, _) in middle.items())
        ratio = f", ratio {middle['this'][1] / middle['base'][1]:.2f}" if "base" in middle else ""
        print(f"bench {command}: {text}{ratio}", flush=True)
    if given.only != "commands":
        print(of_epochs(places, given.turns), flush=True)


if __name__ == "__main__":
    main()
