"""Settings of a call of `bench run`, as plain data that can be sent to child processes. Never imports torch."""

import os
from dataclasses import dataclass
from pathlib import Path

from bench.errors import refuse_url


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """Folders, device and processes of a run.

    Attributes:
        store: folder of records and artifacts.
        data_dir: folder with one folder per dataset.
        device: "cpu", "cuda", or "auto" for the GPU if there is one.
        threads: intra-operator threads of each process.
        workers: number of runs that are trained at the same time; 0 for as many as a cluster takes.
        loaders: number of processes per training that read clips ahead.
        hardest_clips: number of test clips with the highest loss whose spectrograms and audio are kept.
        metrics: metrics of other packages that the suite names.
        skip_unreadable: whether a user's own audio that cannot be read is left out.
        resume: whether interrupted trainings go on after their last saved epoch.
        checkpoint_seconds: a finished epoch is saved unless less time has passed since the last one that was saved.
        stall_seconds: time without the end of a batch after which a run is ended; None never ends it.
        run_seconds: time after which a run is ended; None never ends it.
        places: the GPUs that each of the runs at work may see, as values for CUDA_VISIBLE_DEVICES; empty leaves each
            run what this process sees.
        devices: processes, each with a device of its own, that train one run together.
        per_gpu: runs that share a GPU of a cluster.
        attempts: how often a run is begun at most whose machine is lost.
        data_url: where the machines of a cluster read the data folder, as a URL of fsspec's; empty for the driver.
        timings: whether runs are timed when they are trained.
    """

    store: Path
    data_dir: Path
    device: str = "auto"
    threads: int = 1
    workers: int = 1
    loaders: int = 0
    hardest_clips: int = 0
    metrics: tuple[str, ...] = ()
    skip_unreadable: bool = False
    resume: bool = True
    checkpoint_seconds: float = 3.0
    stall_seconds: float | None = 1800.0
    run_seconds: float | None = None
    places: tuple[str, ...] = ()
    devices: int = 1
    per_gpu: int = 1
    attempts: int = 3
    data_url: str = ""
    timings: bool = True


def data_folder(given: Path | None) -> Path:
    """Return the folder with one folder per dataset: the given one, or BENCH_DATA, or a folder of the user's.

    Raises:
        ArgumentError: it is a URL.
    """
    named = given or os.environ.get("BENCH_DATA")
    if not named:
        import platformdirs

        named = platformdirs.user_data_dir("audio-classification-bench")
    refuse_url(named, "the data folder", "name a folder (--data-dir), or the URL by --data-url with --executor ray")
    return Path(named).expanduser().resolve()
