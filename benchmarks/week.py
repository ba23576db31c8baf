"""Many tiny runs in one suite: memory, descriptors and time per run of the driver.

    .venv/bin/python benchmarks/week.py [--runs 3000] [--workers 2] [--minutes 60] [--folder FOLDER]

A line for each fifty runs, and a fit over all of them but the first fifty. A suite that takes longer than --minutes
is interrupted, and the figures are those of the runs that it has done. With --folder the next call goes on with the
runs that are missing.
"""

import argparse
import io
import os
import resource
import statistics
import sys
import tempfile
import threading
import time
from contextlib import nullcontext
from itertools import pairwise
from pathlib import Path

from rich.console import Console

from bench import suites
from bench.profiling.environment import processor
from bench.runner.driver import Runner
from bench.runner.progress import Progress
from bench.runner.settings import RunSettings

SUITE = """
models = ["fc"]
datasets = ["synthetic"]
frontends = ["logmel-1s"]
seeds = {seeds}
[recipe]
epochs = 1
[dataset.synthetic]
clips_per_class = 10
clip_seconds = 0.5
"""
STEP = 50


def resident() -> float:
    """Return the memory of this process in MB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE") / 1e6


def descriptors() -> int:
    """Return the number of open descriptors of this process."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def main() -> None:
    """Do the runs, and print what they cost the driver."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=3_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--folder", type=Path, help="keep the suite and its runs here, and go on with them")
    given = parser.parse_args()
    points: list[tuple[int, float, float, int]] = []
    if given.folder:
        given.folder.mkdir(parents=True, exist_ok=True)
    with nullcontext(given.folder) if given.folder else tempfile.TemporaryDirectory(prefix="bench-week-") as folder:
        file = Path(folder) / "week.toml"
        file.write_text(SUITE.format(seeds=list(range(given.runs))))
        suite = suites.read(str(file))
        settings = RunSettings(
            store=Path(folder) / "runs", data_dir=Path(folder), device="cpu", workers=given.workers, timings=False
        )
        runner = Runner(suite, settings, Progress(Console(file=io.StringIO())))
        began, count = time.monotonic(), 0
        ended = runner._end
        late = threading.Event()
        timer = threading.Timer(60 * given.minutes, late.set)
        timer.daemon = True
        timer.start()

        def end(*words: object) -> None:
            nonlocal count
            ended(*words)  # type: ignore[arg-type]
            count += 1
            if count % STEP == 0:
                points.append((count, time.monotonic() - began, resident(), descriptors()))
                before = points[-2] if len(points) > 1 else (0, 0.0, 0.0, 0)
                pace = (points[-1][1] - before[1]) / STEP
                memory, open_now = points[-1][2:]
                cpu = resource.getrusage(resource.RUSAGE_SELF)
                mine = 1_000 * (cpu.ru_utime + cpu.ru_stime) / count
                print(
                    f"{count:6} runs, {pace:.3f} s a run, {memory:.1f} MB, {open_now} descriptors, "
                    f"{mine:.1f} ms of processor time of the driver a run",
                    flush=True,
                )
            if late.is_set():
                raise KeyboardInterrupt

        runner._end = end  # type: ignore[method-assign]
        outcome = runner.run(suite.runs())
    later = points[1:]
    if len(later) < 3:
        sys.exit("too few runs")
    places, _, memory, open_ = zip(*later, strict=True)
    slope = statistics.linear_regression(places, memory).slope
    paces = [(b[1] - a[1]) / STEP for a, b in pairwise(points)]
    third = max(1, len(paces) // 3)
    print(
        f"{processor()}: {len(outcome.kept)} runs done before, {len(outcome.done)} now, {len(outcome.failed)} failed; "
        f"{slope:.4f} MB a run, "
        f"{open_[-1] - open_[0]} descriptors more, {statistics.median(paces[:third]):.3f} s a run in the first third "
        f"and {statistics.median(paces[-third:]):.3f} s in the last"
    )
    sys.exit(slope > 0.05 or open_[-1] > open_[0] or bool(outcome.failed))


if __name__ == "__main__":
    main()
