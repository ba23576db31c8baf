"""A benchmark of audio classifiers: suites are expanded to runs, runs become records, records become leaderboards.

    import bench

    results = bench.run("smoke")
    results.to_dataframe()  # one row per run
    for board in bench.leaderboard(results):
        print(board.name, board.rows[0].label)

Importing this package is quick: what stands behind a name is imported when the name is first used.
"""

import importlib
import logging
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.api import (
        Results,
        create_datamodule,
        create_model,
        evaluate,
        leaderboard,
        load_results,
        load_suite,
        predict,
        run,
    )
    from bench.errors import BenchError
    from bench.inference import load_model

# onnxruntime, which torchmetrics imports where it is installed, otherwise sends events when it is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__version__ = "0.2.0"
__all__ = [
    "BenchError",
    "Results",
    "__version__",
    "create_datamodule",
    "create_model",
    "evaluate",
    "leaderboard",
    "load_model",
    "load_results",
    "load_suite",
    "predict",
    "run",
]

_MODULES = {
    "BenchError": "bench.errors",
    "Results": "bench.api",
    "create_datamodule": "bench.api",
    "create_model": "bench.api",
    "evaluate": "bench.api",
    "load_model": "bench.inference",
    "load_results": "bench.api",
    "load_suite": "bench.api",
    "predict": "bench.api",
    "run": "bench.api",
}

logging.getLogger("bench").addHandler(logging.NullHandler())


def __getattr__(name: str) -> Any:
    """Import what stands behind a public name. The package `bench.leaderboard` is itself callable."""
    if name == "leaderboard":
        importlib.import_module("bench.shadows").check()
        return importlib.import_module("bench.leaderboard")
    if name in _MODULES:
        if name != "BenchError":
            importlib.import_module("bench.shadows").check()
        return getattr(importlib.import_module(_MODULES[name]), name)
    raise AttributeError(f"module 'bench' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
