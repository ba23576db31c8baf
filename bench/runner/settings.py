"""Where work is done. Plain data, so that it travels to child processes and never imports torch."""

import os
from dataclasses import dataclass
from pathlib import Path

import platformdirs


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """Where work is done.

    Attributes:
        store: folder of records and artifacts.
        data_dir: folder with one folder per dataset.
        device: "cpu", "cuda", or "auto" for the GPU where there is one.
        threads: intra-operator threads of each process.
        workers: runs trained at the same time.
        loaders: processes of each training that read clips ahead.
        worst: how many of a run's worst mistakes are kept to look at and listen to.
    """

    store: Path
    data_dir: Path
    device: str = "auto"
    threads: int = 1
    workers: int = 1
    loaders: int = 0
    worst: int = 0


def data_folder(given: Path | None) -> Path:
    """Return the folder with one folder per dataset: the given one, or BENCH_DATA, or a folder of the user's."""
    named = given or os.environ.get("BENCH_DATA") or platformdirs.user_data_dir("audio-classification-bench")
    return Path(named).expanduser().resolve()
