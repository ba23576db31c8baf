"""Time until commands answer, side by side with another checkout: help, lists.

    .venv/bin/python benchmarks/start.py [CHECKOUT] [--turns 7]

Each command is a process of its own; the two checkouts take turns. Each figure is the median over the turns of the
time by the clock and of the processor's time, which another program's load changes less.
"""

import argparse
import statistics
from pathlib import Path

from scale import measured

from bench.profiling.environment import processor

HERE = Path(__file__).parents[1]
COMMANDS = ("--help", "list", "run --help", "list --json")


def main() -> None:
    """Print a line for each command."""
    parser = argparse.ArgumentParser()
    parser.add_argument("base", nargs="?", type=Path, help="checkout to compare with")
    parser.add_argument("--turns", type=int, default=7)
    given = parser.parse_args()
    places = {"this": HERE} | ({"base": given.base.resolve()} if given.base else {})
    print(f"{processor()}, {given.turns} turns")
    for command in COMMANDS:
        found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in places}
        for turn in range(given.turns + 1):  # the first one compiles and fills the system's cache of files
            for name, place in places.items():
                one = measured(place, command.split())
                found[name] += [one] if turn else []
        middle = {name: [statistics.median(x) for x in zip(*turns, strict=True)] for name, turns in found.items()}
        text = ", ".join(f"{name} {s:.2f} s ({cpu:.2f} of the processor)" for name, (s, cpu, _) in middle.items())
        ratio = f", ratio {middle['this'][1] / middle['base'][1]:.2f}" if "base" in middle else ""
        print(f"bench {command}: {text}{ratio}", flush=True)


if __name__ == "__main__":
    main()
