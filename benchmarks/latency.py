"""CNN14's body and a SwishNet on every backend of the processor, one thread, side by side.

    .venv/bin/python benchmarks/latency.py [REPETITIONS] [SECONDS] [MODEL ...]

The input is the features of a clip of 10 s (CNN14) or 2 s (SwishNet). The weights are random, because speed does not
depend on them. Each timing is that of the process with the median p50 among three new, pinned processes. A repetition
goes through all backends before the next one begins. Timings of grade C are repeated, with up to four times as many
repetitions. Medians and ratios use the timings of grade A or B if there are any. "Apart" is the slowdown of the slowest
timing against the fastest; it should be below 10 %.
"""

import argparse
from dataclasses import replace
from statistics import median

import torch

from bench.errors import ProfileError
from bench.profiling import isolated
from bench.profiling.measure import TIERS
from bench.records import Latency, graded
from bench.training import build

BACKENDS = ("eager", "channels-last", "compile", "onnxruntime", "int8")
CASES = {"cnn14": 10.0, "swishnet": 2.0}
"""Seconds of a clip."""


def measured(name: str, seconds: float, repetitions: int, tier_seconds: float) -> dict[str, list[Latency]]:
    """Return each backend's timings, one for each repetition."""
    torch.manual_seed(0)
    model, shape, length = build.untrained(name, 10, seconds, 32000, None, None)
    clips = list((2 * torch.rand(5, *shape) - 1).split(1))
    tier = replace(TIERS["full"], seconds=tier_seconds)
    found: dict[str, list[Latency]] = {}
    left = list(BACKENDS)
    with isolated.LatencyTarget(model, clips[0], length, calibration=clips[1:3], clips=clips[3:], tier=tier) as subject:
        for _ in range(4 * repetitions):
            for backend in left:
                try:
                    found.setdefault(backend, []).append(subject.latency(backend, "model"))
                except ProfileError as error:
                    print(f"{name} on {backend}: {error}", flush=True)
            found = regraded({backend: timings for backend, timings in found.items() if timings})
            left = [backend for backend, timings in found.items() if sum(t.ranked for t in timings) < repetitions]
    return found


def regraded(found: dict[str, list[Latency]]) -> dict[str, list[Latency]]:
    """Return each backend's timings, with grades that compare all of them with each other."""
    every = iter(graded([one for timings in found.values() for one in timings]))
    return {backend: [next(every) for _ in timings] for backend, timings in found.items()}


def steady(timings: list[Latency]) -> list[float]:
    """Return the medians in ms of those of grade A or B; of all where there are none."""
    return [one.p50_ms for one in timings if one.ranked] or [one.p50_ms for one in timings]


def main() -> None:
    """Measure and print a table for each model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("repetitions", nargs="?", type=int, default=3)
    parser.add_argument("seconds", nargs="?", type=float, default=TIERS["full"].seconds)
    parser.add_argument("models", nargs="*", metavar="model", default=list(CASES))
    options = parser.parse_args()
    repetitions, tier_seconds = options.repetitions, options.seconds
    for name in options.models:
        seconds = CASES.get(name, 5.0)
        found = measured(name, seconds, repetitions, tier_seconds)
        if "eager" not in found:
            continue
        eager = steady(found["eager"])
        print(f"\n{name}, {seconds:g} s, one thread, {repetitions} repetitions; load {found['eager'][0].load:.1f}")
        print(f"{'backend':14} {'p50 ms':>9} {'eager / it':>10} {'apart':>7} {'grades':>8} {'deviation':>10} same top")
        for backend, timings in found.items():
            medians = steady(timings)
            apart = f"{max(medians) / min(medians) - 1:.1%}" if sum(one.ranked for one in timings) > 1 else "-"
            grades = "".join(one.grade for one in timings)
            print(
                f"{backend:14} {median(medians):9.3f} {median(eager) / median(medians):10.2f} {apart:>7} {grades:>8} "
                f"{timings[0].deviation or 0:10.1e} {timings[0].agreement:.0%}",
                flush=True,
            )


if __name__ == "__main__":
    main()
