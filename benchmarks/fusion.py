"""Seconds that every combination of five members takes, by three methods, from stored logits: 78 fusions in a Runner.

    .venv/bin/python benchmarks/fusion.py

The store is a temporary one. As many clips and classes as ESC-10 has, of the synthetic sounds; the members' logits are
noise around the truth, written as a finished run writes them. The time is all of the Runner's, from the first look into
the store to the tables.
"""

import argparse
import io
import tempfile
import time
from pathlib import Path

import numpy as np
from rich.console import Console

from bench.evaluation import evaluate
from bench.records import Complexity, Latency, Record, Store
from bench.runner import worker
from bench.runner.driver import Runner
from bench.runner.progress import Progress
from bench.runner.settings import RunSettings
from bench.suites import Suite
from bench.training import build

SUITE = Suite(
    name="fusions",
    models=("cnn", "cnn-ltc", "swishnet-wide", "swishnet", "fc", "fusion-average", "fusion-ds", "fusion-ids"),
    datasets=("synthetic",),
    dataset={"synthetic": {"clips_per_class": 40, "clip_seconds": 0.5}},
    fusion_combinations=True,
)
SIZE = Complexity(parameters=1, macs=1, frontend_macs=1, bytes=4, clip_seconds=0.5)
TIMING = Latency(
    device="none", device_type="cpu", threads=1, clip_seconds=0.5, p50_ms=1.0, p90_ms=1.0, iqr_share=0.0, samples=50,
    throughput=1000.0, real_time_factor=0.002, load=0.0, sentinel_drift=0.0, grade="A",
)  # fmt: skip


def members(store: Store) -> None:
    """Write five finished runs with made-up logits."""
    generator = np.random.default_rng(0)
    for run in SUITE.runs()[:5]:
        data = build.dataset(run, store.root, store.cache)
        data.setup()
        truth = (np.eye(len(data.classes))[clips.targets] for clips in (data.splits.val, data.splits.test))
        val, test = ((2 * t + generator.normal(size=t.shape)).astype(np.float32) for t in truth)
        predictions = evaluate.Predictions(val, test)
        evaluate.keep(predictions, data, store.artifacts(run.key))
        clips = data.splits.test
        scored = evaluate.scores(
            predictions.test, clips.targets.numpy(), clips.groups, data.classes, data.task, run.fold
        )
        record = Record(
            run=run, status="ok", classes=data.classes, complexity=SIZE, latencies=(TIMING,), seconds={"train": 1.0},
            data=worker.describe(data),
        )  # fmt: skip
        store.write(scored.into(record))


def main() -> None:
    """Print the seconds."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    console = Console(file=io.StringIO())
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder))
        members(store)
        settings = RunSettings(store=store.root, data_dir=store.root, device="cpu")
        for what in ("first, with the start of the worker process", "once more"):
            runs = [run for run in SUITE.runs() if run.members]
            start = time.perf_counter()
            outcome = Runner(SUITE, settings, Progress(console)).run(runs, force=True)
            print(f"{len(outcome.done)} fusions, {what}: {time.perf_counter() - start:.1f} s")


if __name__ == "__main__":
    main()
