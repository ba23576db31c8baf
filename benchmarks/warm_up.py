"""How long first timings warm up, and whether they measure the same, by two rules on the same recorded calls.

    .venv/bin/python benchmarks/warm_up.py [--suite smoke] [--seconds 2.5] [--turns 1] [MODEL ...]

Each model of the suite is called for some seconds in a new process, end to end and from features, and the time of every
call is recorded. Then both rules look at the same recordings: the one of `measure.FIRST` (calls no longer become
faster) and that of the longer tiers, in growing groups (five medians agree within 5 %). Printed are the seconds until
each rule would have ended the warm-ups, and the median of the calls that would have been measured then, as a
multiple of the median of the last two fifths of the recording.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import torch

from bench import suites
from bench.profiling.environment import processor, set_threads
from bench.profiling.measure import FIRST, WARM_CALLS, settled
from bench.records.latency import MIN_CALLS
from bench.training import build
from models.base import use_kernels

LIMIT = 1.0
RULES: dict[str, bool] = {"calls no longer become faster": True, "five medians agree": False}
"""Whether only becoming faster counts."""


def recorded(name: str, seconds: float) -> list[list[float]]:
    """Return the seconds of each call of an untrained model, end to end and then from features."""
    set_threads(1)
    torch.manual_seed(0)
    model, shape, _ = build.untrained(name, 10, 1.0, 16_000, None, None)
    use_kernels(model.eval())
    x = 2 * torch.rand(1, *shape) - 1
    with torch.inference_mode():
        features = model.frontend(x)
        return [called(lambda: model(x), seconds), called(lambda: model.classify(features), seconds)]


def called(call: Callable[[], object], seconds: float) -> list[float]:
    """Return the seconds of each call, for some seconds."""
    times: list[float] = []
    start = time.perf_counter()
    while time.perf_counter() - start < seconds or len(times) < 2 * MIN_CALLS:
        before = time.perf_counter_ns()
        call()
        times.append((time.perf_counter_ns() - before) / 1e9)
    return times


def judged(times: Sequence[float], least: float, one_sided: bool) -> tuple[float, float]:
    """Return the seconds until a rule ends the warm-up, and the median of what is measured then against the end's."""
    ends = np.cumsum(times)
    for calls in range(WARM_CALLS, len(times)):
        ended = ends[calls - 1] >= LIMIT
        if ended or (ends[calls - 1] >= least and settled(times[:calls], FIRST.warm_group, True, one_sided)):
            break
    last = max(int(np.searchsorted(ends, ends[calls - 1] + FIRST.seconds)), calls + MIN_CALLS)
    return float(ends[calls - 1]), float(np.median(times[calls:last]) / np.median(times[len(times) * 3 // 5 :]))


def main() -> None:
    """Print a line for each rule."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", metavar="MODEL")
    parser.add_argument("--suite", default="smoke")
    parser.add_argument("--seconds", type=float, default=2.5)
    parser.add_argument("--turns", type=int, default=1)
    given = parser.parse_args()
    names = [name for name in given.models or suites.read(given.suite).models if not suites.is_fusion(name)]
    found: list[list[float]] = []
    with ProcessPoolExecutor(1, get_context("spawn"), max_tasks_per_child=1) as pool:
        for _ in range(given.turns):
            for name in names:
                found += pool.submit(recorded, name, given.seconds).result()
    print(f"{processor()}, {len(found)} warm-ups of {len(names)} models")
    for rule, one_sided in RULES.items():
        judgements = [judged(times, FIRST.warm_seconds, one_sided) for times in found]
        seconds, ratios = map(np.array, zip(*judgements, strict=True))
        low, middle, high = np.percentile(ratios, (10, 50, 90))
        print(
            f"{rule}: {seconds.sum():.1f} s in all, {(seconds >= LIMIT).sum()} to the limit of {LIMIT:g} s; "
            f"measured then {middle:.3f} of the last calls ({low:.3f} to {high:.3f} in four of five)"
        )


if __name__ == "__main__":
    main()
