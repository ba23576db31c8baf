"""Timing of trained runs, for their records."""

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from functools import partial

import numpy as np
from torch import Tensor, nn

from bench import catalog
from bench.errors import PluginError, ProfileError
from bench.evaluation import pulse
from bench.profiling import isolated, measure
from bench.profiling.environment import chosen_device, set_threads
from bench.records import Failure, Latency, Record, Run, Snapshot, Store, graded
from bench.runner import shortage
from bench.runner.news import News, TimingEnded, TimingStarted, TimingTurned, Working
from bench.runner.settings import RunSettings
from bench.training import build
from datamodules.base import AudioDataModule, ClipSet

Report = Callable[[News], None]

CLIPS = 32
"""Number of training clips that calibrate int8, and of test clips on which backends are compared."""


ATTEMPTS = 4
"""Largest number of measurements of a run with `again`, if other processes disturb them."""


def time_runs(
    runs: tuple[Run, ...], settings: RunSettings, backends: tuple[str, ...], again: bool, report: Report
) -> None:
    """Time trained runs' models on one clip, on the CPU and on the GPU if there is one, and update their records.

    The function reports `TimingStarted` and `TimingEnded` for each run. It is not a failure if a backend cannot run a
    model: the record keeps the reason.

    Args:
        runs: runs that are not fusions.
        settings: folders, device and threads.
        backends: of the catalogue.
        again: time runs with a timing again, too. Each timing takes three processes, and is repeated up to `ATTEMPTS`
            times while its grade is C. The new timings replace the old ones, but a timing of grade C never replaces a
            better one.
        report: receives the reports.
    """
    store = Store(settings.store)
    set_threads(settings.threads)
    finished = [record for record in Snapshot(store, runs).records.values() if record.status == "ok"]
    seen = [timing for record in finished for timing in record.latencies]
    left = deque((run, ATTEMPTS if again else 1) for run in runs)
    with _Targets(store, settings, measure.TIERS["steady"] if again else measure.FIRST) as targets:
        while left:
            run, attempts = left.popleft()
            report(TimingStarted(run.key))
            try:
                with pulse.calling(lambda waits: report(Working(waits))), _own_machine(store):
                    meanwhile = partial(_look_ahead, targets, run, left[0][0] if left else None, report)
                    latencies = _time(run, store, targets, meanwhile, backends, again)
            except Exception as error:
                report(TimingEnded(run.key, shortage.failure(error)))
                continue
            seen += latencies
            if attempts > 1 and not all(timing.ranked for timing in graded(seen)[-len(latencies) :]):
                left.append((run, attempts - 1))  # after all other runs, because disturbances pass
            else:
                report(TimingEnded(run.key))


def _look_ahead(targets: "_Targets", run: Run, following: Run | None, report: Report) -> None:
    """Make the targets of the run after this one; a process that dies of it, or hangs, does so because of that run."""
    if following is not None:
        report(TimingTurned(following.key))
        targets.prepare(following)
        report(TimingTurned(run.key))


@contextmanager
def _own_machine(store: Store) -> Iterator[None]:
    """Wait until nobody else uses the machine."""
    with ExitStack() as stack:
        with pulse.waiting():
            stack.enter_context(store.machine(alone=True))
        yield


def _time(
    run: Run, store: Store, targets: "_Targets", meanwhile: Callable[[], None], backends: tuple[str, ...], again: bool
) -> tuple[Latency, ...]:
    """Time a run for its record, and return the timings."""
    record = store.finished_record(run.key, "the run to time")
    # Another process may have added some of the timings meanwhile.
    wanted = backends if again else tuple(name for name in backends if not record.timed_on(name))
    if not wanted:
        return ()
    with targets.of(run) as found:
        latencies, refused = _timings(found, wanted, meanwhile)
    if again:
        store.amend(record, lambda now: now.with_latencies(_better(now, latencies), refused))
    else:
        store.amend(record, lambda now: now.with_latencies(now.latencies + latencies, now.not_timed | refused))
    return latencies


def _better(record: Record, latencies: tuple[Latency, ...]) -> tuple[Latency, ...]:
    """Return new timings, but in the place of one of grade C a better one that the record has."""
    better = {old.conditions: old for old in record.latencies if old.ranked}
    return tuple(new if new.ranked else better.get(new.conditions, new) for new in latencies)


_Made = tuple[ExitStack, dict[str, isolated.LatencyTarget]]
"""A stack that closes a run's targets when it is closed, and the targets by device."""


class _Targets:
    """Models ready to be timed; those of the next run are made while the process of the one before starts.

    Args:
        store: with the runs.
        settings: folders, device and threads.
        tier: duration of the measurements.
    """

    def __init__(self, store: Store, settings: RunSettings, tier: measure.Tier) -> None:
        self.store = store
        self.settings = settings
        self.tier = tier
        self._next: tuple[tuple[object, ...], Future[_Made]] | None = None

    def __enter__(self) -> "_Targets":
        return self

    def __exit__(self, *error: object) -> None:
        self._drop()

    def prepare(self, run: Run) -> None:
        """Make the targets of the run that is timed next, unless they are there; an error comes when it is timed."""
        trained = run.key, self._version(run)  # another process may train it again meanwhile
        if self._next is not None and self._next[0] == trained:
            return
        self._drop()
        made: Future[_Made] = Future()
        try:
            made.set_result(self._make(run))
        except (Exception, SystemExit) as error:
            made.set_exception(error)
        self._next = trained, made

    @contextmanager
    def of(self, run: Run) -> Iterator[dict[str, isolated.LatencyTarget]]:
        """Return a run's targets by device until the end of the block."""
        self.prepare(run)
        assert self._next is not None
        (_, made), self._next = self._next, None
        stack, targets = made.result()
        with stack:
            yield targets

    def _version(self, run: Run) -> object:
        return self.store.version(run.key)

    def _make(self, run: Run) -> _Made:
        settings = self.settings
        data = build.dataset(run, settings.data_dir, self.store.cache, settings.loaders, settings.skip_unreadable)
        data.report = lambda done, of: pulse.beat()
        data.setup()
        model = build.load(run, self.store, data)
        with ExitStack() as stack:
            targets: dict[str, isolated.LatencyTarget] = {}
            for device in dict.fromkeys(("cpu", chosen_device(settings.device))):
                target = latency_target(model, data, device, settings.threads, self.tier, settings.stall_seconds)
                targets[device] = stack.enter_context(target)
            return stack.pop_all(), targets

    def _drop(self) -> None:
        if self._next is not None and self._next[1].exception() is None:
            self._next[1].result()[0].close()
        self._next = None


def _timings(
    targets: Mapping[str, isolated.LatencyTarget], backends: tuple[str, ...], meanwhile: Callable[[], None]
) -> tuple[tuple[Latency, ...], dict[str, str]]:
    """Return the timings, and for each backend that cannot run the model the reason."""
    timings: list[Latency] = []
    refused: dict[str, str] = {}
    for device, target in targets.items():
        for name in backends:
            try:
                if device not in catalog.load(catalog.backend(name).target).devices:
                    continue
                timings += target.latencies(name, meanwhile=meanwhile)
                pulse.beat()
            except (ProfileError, PluginError) as error:
                if name == "eager":
                    raise
                refused[name] = Failure.of(error).message
    found = {one.backend for one in timings}
    for name in backends:
        if name not in found:
            refused.setdefault(name, "this machine has no device for it")
    return tuple(timings), refused


def latency_target(
    model: nn.Module,
    data: AudioDataModule,
    device: str,
    threads: int,
    tier: measure.Tier | None = None,
    longest: float | None = None,
) -> isolated.LatencyTarget:
    """Return a trained model ready to be timed on a test clip that is not silent."""
    splits = data.splits
    sounding = (x for i in range(len(splits.test)) if (x := splits.test.load([i])).any())
    x = next(sounding, splits.test.load([0]))  # if all are silent, the measurement says so
    return isolated.LatencyTarget(
        model, x, data.clip_seconds, calibration=_evenly_spaced(splits.train), clips=_evenly_spaced(splits.test),
        device="cuda" if device == "cuda" else "cpu", threads=threads, tier=tier, longest=longest,
    )  # fmt: skip


def _evenly_spaced(part: ClipSet) -> list[Tensor]:
    """Return up to `CLIPS` clips, evenly spaced, each `(1, ...)`."""
    places = np.linspace(0, len(part) - 1, min(CLIPS, len(part))).round().astype(int)
    return [part.load([int(i)]) for i in places]
