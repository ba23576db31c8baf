"""A call of `bench run` from its options to its outcome, for the command and for the library. Never imports torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from bench import catalog, suites
from bench.errors import RecordError, SuiteError, refuse_url
from bench.profiling.environment import default_workers
from bench.records import Run, Store
from bench.runner import executors
from bench.runner import gpus as gpu_places
from bench.runner.executors import EXECUTORS
from bench.runner.outcome import Outcome
from bench.runner.progress import Progress
from bench.runner.settings import RunSettings, data_folder
from bench.suites import Suite
from bench.tracking import loggers
from bench.tracking.loggers import Loggers
from bench.tracking.tracker import CLOSE_SECONDS

HARDEST_CLIPS = 8
"""Test clips that Weights & Biases gets the spectrogram and the sound of."""
INTERRUPTED_SECONDS = 1.0
"""Longest time that an interrupted call waits for W&B: 5 s after a signal, nothing is to be alive."""

ATTEMPTS = 3
"""How often a run begins at most whose machine is lost, unless the user says otherwise."""


@dataclass(kw_only=True)
class Session:
    """One call of `bench run`.

    Attributes:
        suite: the suite.
        runs: those of its runs that are asked for.
        settings: folders, device and processes.
        executor: name of the executor.
        force: whether runs that are done are done again.
        time_again: whether nothing is trained, and the finished runs are timed again.
        outcome: what was done until now.
    """

    suite: Suite
    runs: tuple[Run, ...]
    settings: RunSettings
    executor: str = "processes"
    force: bool = False
    time_again: bool = False
    outcome: Outcome = field(default_factory=Outcome)

    def run(self, chosen: Loggers, progress: Progress) -> Outcome:
        """Do the runs, log them, and draw the tables.

        Args:
            chosen: where the trainings and the tables are logged.
            progress: shows the progress.

        Raises:
            SuiteError: an argument of the suite fits no constructor, or there is no GPU; nothing was started.
            RecordError: the store cannot be written, and there is something to do; nothing was started.
        """
        store = Store(self.settings.store)
        writable = self._check(store, progress)
        if self.executor != "ray":
            gpu_places.check(self.settings.device)
        if not self.time_again and (self.force or any(store.version(run.key) is None for run in self.runs)):
            executors.prepare(self.executor)  # takes seconds, while this process goes on
        from bench.runner.driver import Runner  # takes a tenth of a second, by which the other process begins earlier

        settings = replace(self.settings, hardest_clips=0 if chosen.mode == "disabled" else HARDEST_CLIPS)
        for line in catalog.clashes():
            progress.note(f"warning: {line}")
        if chosen.warning:
            progress.note(chosen.warning)
        trackers = chosen.open(self.suite.name, settings.store) if writable else ()
        patience = INTERRUPTED_SECONDS
        try:
            runner = Runner(self.suite, settings, progress, self.executor, trackers)
            self.outcome = runner.outcome
            if self.time_again:
                runner.time(self.runs, again=True)
            else:
                runner.run(self.runs, self.force)
            if self.outcome.done or self.outcome.failed:
                loggers.log_boards(trackers, self.outcome.boards)
            if not self.outcome.interrupted:
                patience = CLOSE_SECONDS
        finally:
            self.outcome.warnings += loggers.close(trackers, patience)
        return self.outcome

    def _check(self, store: Store, progress: Progress) -> bool:
        """Return whether the store can be written, as it must be unless every run is done and timed.

        Raises:
            RecordError: it cannot, and there is something to do.
        """
        try:
            store.check()
        except RecordError:
            from bench.runner.driver import Runner

            runner = Runner(self.suite, self.settings, progress, self.executor)
            if self.force or self.time_again or runner.has_work(self.runs):
                raise
            return False
        return True


def prepare(
    suite: str | Path | Suite,
    *,
    tier: str = "",
    models: Sequence[str] = (),
    datasets: Sequence[str] = (),
    folds: Sequence[int] = (),
    seeds: Sequence[int] = (),
    keys: Sequence[str] = (),
    store: Path = Path("runs"),
    data_dir: Path | None = None,
    executor: str = "processes",
    workers: int | None = None,
    threads: int = 1,
    loaders: int = 0,
    device: str = "auto",
    gpus: str | None = None,
    per_gpu: int | None = None,
    devices: int = 1,
    strategy: str | None = None,
    attempts: int | None = None,
    data_url: str = "",
    force: bool = False,
    time_again: bool = False,
    timing: bool = True,
    skip_unreadable: bool = False,
    resume: bool = True,
    stall_minutes: float = 30.0,
    run_hours: float | None = None,
) -> Session:
    """Return a call of `bench run`, checked as far as no data is needed; nothing is started.

    `bench.run` explains the arguments.

    Raises:
        SuiteError: the suite, its tier or a name is unknown, or the arguments do not fit each other or this machine.
    """
    if time_again and not timing:
        raise SuiteError("--time-again and --no-timing exclude each other: leave one of them out")
    if force and time_again:
        raise SuiteError("--force trains again and --time-again trains nothing: choose one")
    if time_again:
        _check_timing_again({
            "--executor ray": executor == "ray", f"--workers {workers}": workers is not None and workers > 1,
            f"--loaders {loaders}": loaders > 0, f"--per-gpu {per_gpu}": per_gpu is not None and per_gpu > 1,
            f"--devices {devices}": devices > 1, "--no-resume": not resume,
            f"--run-hours {run_hours}": run_hours is not None,
        })  # fmt: skip
    catalog.find(EXECUTORS, executor, "executor")
    for option, value in (("--attempts", attempts), ("--data-url", data_url)):
        if value and executor != "ray":
            raise SuiteError(f"{option} is for runs on a cluster: add --executor ray, or leave {option} out")
    if strategy is not None and devices == 1:
        raise SuiteError("--strategy says how several devices train a run: add --devices 2, or leave --strategy out")
    if executor == "serial" and workers is not None and workers > 1:
        raise SuiteError(f"--executor serial does one run at a time: leave it out, or leave --workers {workers} out")
    if data_url:
        from bench.runner import parcels

        parcels.check_url(data_url)
    refuse_url(store, "a store", "name a folder, and copy it there afterwards")
    kept = Store(store.expanduser().resolve())
    if isinstance(suite, Suite):
        if tier:
            raise SuiteError(f"tier = {tier!r} is for a suite that is given by its name or its file")
        grid = replace(suite)  # a copy is expanded again
    else:
        grid = suites.read(str(suite), kept, tier)
    place = data_folder(data_dir)
    here = suites.at_hand(grid, grid.runs(), place, tuple(datasets))
    runs = suites.select(
        here, grid.names(), grid.dataset_names(),
        model=tuple(models), dataset=tuple(datasets), fold=tuple(folds), seed=tuple(seeds), key=tuple(keys),
    )  # fmt: skip
    places, at_once = gpu_places.shared(gpus, per_gpu, devices, device, workers, executor)
    settings = RunSettings(
        store=kept.root,
        data_dir=place,
        device="cuda" if places else device,
        threads=threads,
        workers=at_once or (0 if executor == "ray" else default_workers(device, threads * devices)),
        loaders=loaders,
        skip_unreadable=skip_unreadable,
        resume=resume,
        stall_seconds=60 * stall_minutes or None,
        run_seconds=3600 * run_hours if run_hours else None,
        places=places,
        devices=devices,
        per_gpu=per_gpu or 1,
        attempts=ATTEMPTS if attempts is None else attempts,
        data_url=data_url,
        timings=timing,
    )
    return Session(
        suite=grid, runs=runs, settings=settings, executor=executor, force=force, time_again=time_again
    )  # fmt: skip


def _check_timing_again(given: Mapping[str, bool]) -> None:
    """Check that no option for trainings is given where finished runs are only timed, one at a time, on this machine.

    Args:
        given: options that have no effect on that, and whether each is given.

    Raises:
        SuiteError: one is.
    """
    if found := [option for option, is_given in given.items() if is_given]:
        raise SuiteError(
            f"--time-again trains nothing and times one run at a time on this machine: leave {' and '.join(found)} out"
        )
