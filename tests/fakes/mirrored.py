"""Records and plots that tests mirror to W&B, among them secrets that it must not get."""

from dataclasses import replace
from functools import cache

import numpy as np
from fakes.boards import SIZE, boards, timing
from fakes.boards import record as scored
from fakes.boards import run as of
from fakes.paths import PROJECT

from bench import suites
from bench.leaderboard import files, pareto
from bench.leaderboard.pareto import Plot
from bench.records import Complexity, Failure, Latency, Recipe, Record, Run, Snapshot, Store

CANARIES = {
    "WANDB_API_KEY": "canary0a" * 5,
    "MY_SECRET_TOKEN": "canary-token-in-environment",
    "HTTPS_PROXY": "http://user:canary-proxy@127.0.0.1:9",
}
SECRET_ARGUMENTS = {"width": 8, "hub_token": "canary-token-in-arguments", "weights": "https://me:canary-url@host/w.pt"}
ARGV_CANARY = "canary-password-in-argv"

OK = Record(
    run=Run(model="cnn", frontend="logmel", dataset="esc10", fold=1, recipe=Recipe(epochs=3), arguments={"width": 8}),
    status="ok",
    scores={"accuracy": 0.75, "mAUC": None},
    classes=("dog", "rain", "sea"),
    confusion=((2, 0, 0), (0, 1, 1), (0, 0, 0)),
    curves={"train_loss": (2.0, 1.0, 0.5), "val_accuracy": (0.25, 0.5, 0.75)},
    per_class={"mAP": (1.0, 0.75, None), "mAUC": (1.0, 0.5, None), "macro_f1": (1.0, 0.5, None)},
    best_epoch=2,
    complexity=Complexity(parameters=10, macs=20, frontend_macs=30, bytes=40, clip_seconds=5.0),
    latencies=(
        Latency(
            device="some processor",
            device_type="cpu",
            threads=1,
            clip_seconds=5.0,
            p50_ms=1.5,
            p90_ms=2.0,
            iqr_share=0.05,
            samples=100,
            throughput=600.0,
            real_time_factor=0.0003,
            load=0.1,
            sentinel_drift=0.01,
            grade="A",
        ),
    ),
)
FAILED = Record(
    run=Run(model="ltc", frontend="logmel", dataset="esc10"),
    status="failed",
    error=Failure(kind="RunError", message="the loss is not finite in epoch 3"),
)
TELLING = Record(run=Run(model="cnn", frontend="logmel", dataset="esc10", arguments=SECRET_ARGUMENTS), status="ok")
LOGITS = np.array([[3.0, 1.0, 0.0], [2.0, 0.0, 1.0], [0.0, 2.0, 1.0], [0.0, 1.0, 2.0]])
TARGETS = np.array([0, 0, 1, 1])


def plots_of_four() -> list[Plot]:
    """The plots of three ranked systems and of rann, which lacks a run."""
    systems = (("cnn", 0.75, 1000, 20000, 4.0), ("fc", 0.6, 100, 3000, 0.5), ("ltc", 0.5, 100, 40000, 9.0))
    records = [
        scored(
            of(model),
            score,
            complexity=replace(SIZE, parameters=parameters, macs=macs),
            latencies=(timing(milliseconds),),
        )
        for model, score, parameters, macs, milliseconds in (*systems, ("rann", 0.9, 10, 10, 0.1))
    ]
    (board,) = boards(*records, missing=[of("rann", seed=1)])
    return [*pareto.plots(board)]


@cache
def published_plots() -> list[Plot]:
    """The plots of two published leaderboards, as their pages show them."""
    store = Store(PROJECT / "leaderboards")
    grids = [suites.read(name) for name in ("esc10", "all")]
    found = [board for grid in grids for board in files.boards(Snapshot(store, grid.runs()), grid)]
    return [replace(plot, dataset=f"published {plot.dataset}") for board in found for plot in pareto.plots(board)]


SOON = 300
