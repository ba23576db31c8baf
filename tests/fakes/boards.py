"""Leaderboards of made-up records."""

import csv
import io

from bench.leaderboard import render
from bench.leaderboard.board import leaderboards
from bench.records import Complexity, Data, Environment, Failure, Latency, Record, Run

DATA = Data(
    manifest="m1",
    labels="l",
    split="five official folds",
    clips={"train": 240, "val": 80, "test": 80},
    clips_available=398,
    clips_official=400,
    test_groups=40,
    note="two clips are gone",
)
PLACE = Environment(
    commit="0123456789abcdef",
    dirty=False,
    python="3.11.7",
    packages={"torch": "2.13.0"},
    platform="Linux x86_64",
    processor="Processor Z",
    cores=2,
    gpu=None,
    threads=1,
)
SIZE = Complexity(parameters=54_912_345, macs=47_130_000_000, frontend_macs=0, bytes=1, clip_seconds=5.0)


def timing(p50_ms=12.34, grade="A", **changes):
    values = {
        "device": "Processor Z",
        "device_type": "cpu",
        "threads": 1,
        "clip_seconds": 5.0,
        "p50_ms": p50_ms,
        "p90_ms": 2 * p50_ms,
        "iqr_share": 0.05,
        "samples": 100,
        "throughput": 1000 / p50_ms,
        "real_time_factor": p50_ms / 5000,
        "load": 0.1,
        "sentinel_drift": 0.0,
        "processes": 3,
        "grade": grade,
    }
    return Latency(**values | changes)


def run(model="cnn", fold=0, **changes):
    return Run(**{"model": model, "frontend": "logmel", "dataset": "esc10", "fold": fold} | changes)


def record(of, accuracy=0.8, **changes):
    values = {
        "run": of,
        "status": "ok",
        "scores": {"accuracy": accuracy, "macro_f1": accuracy / 2, "nll": 1.5},
        "intervals": {"accuracy": (accuracy - 0.1, accuracy + 0.1)},
        "complexity": SIZE,
        "latencies": (timing(),),
        "seconds": {"train": 30.0},
        "data": DATA,
        "environment": PLACE,
    }
    return Record(**values | changes)


def failure(of, kind="RunError", message="loss is nan"):
    return Record(run=of, status="failed", error=Failure(kind=kind, message=message))


def boards(*records, missing=()):
    return leaderboards([r.run for r in records] + list(missing), {r.key: r for r in records})


def everything(found, title="t"):
    return render.markdown(title, found, "bench run"), render.csv_text(found), render.html(title, found, "bench run")


def csv_rows(found):
    return list(csv.DictReader(io.StringIO(render.csv_text(found))))


def fused(fold, **changes):
    members = [run("cnn", fold), run("ltc", fold, arguments={"units": 8})]
    return [record(m) for m in members] + [
        record(
            run("fusion-ds", fold, frontend="none", arguments={"members": [m.key for m in members]}),
            0.9,
            conflict=0.2 + 0.2 * fold,
            **changes,
        )
    ]


def nasty():
    names = ('=HYPERLINK("http://x","y")', "<script>alert(1)</script>", "a|b\nc", "@sum", "+1+1", "-x", "`*_[z](y)\\|$")
    records = [
        record(run(name, f, frontend=name), 0.5 + i / 50 + f / 9) for i, name in enumerate(names) for f in range(3)
    ]
    return names, [*records, *fused(0), failure(run("fc", 1), "<b>", "x|y\n<img src=x>\x1b[31m" + "z" * 500)]
