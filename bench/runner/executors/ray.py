"""An executor that trains on a Ray cluster, whose machines share no disk; what is no training is done on this one.

A run's files go to the machine that does it (`bench.runner.parcels`), and its artifacts come back into this machine's
store. A machine whose versions differ is not used. If a machine is lost, its runs begin again on another one.
"""

import logging
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import lookup
from bench.errors import BenchError, RecordError, RunError, code_of
from bench.extras import install
from bench.records import Failure, Run, Store
from bench.runner import cluster, node, parcels, shortage
from bench.runner.executors import Event, Failed, Finished, Job, Reported, Started, processes
from bench.runner.news import Noted, RunEnded
from bench.runner.settings import RunSettings

POLL_SECONDS = 0.2
"""Time to wait for events before the machines are looked at."""

LOOK_SECONDS = 3.0
"""Interval at which the driver looks for machines that have come or gone."""

PATIENCE = 120.0
"""Seconds without any machine that can do the runs, after which they fail."""


def execute(jobs: Sequence[Job], workers: int, places: Sequence[str] = ()) -> Iterator[Event]:
    """Do the jobs: trainings on the cluster, `workers` at a time or as many as it takes (0), others here.

    The cluster is the one that RAY_ADDRESS names, or else the one that this machine belongs to, or else a new one of
    this machine alone.

    Raises:
        BenchError: Ray is not installed, or no machine of the cluster can be used.
    """
    away = [job for job in jobs if job.target == node.TARGET]
    here = [job for job in jobs if job.target != node.TARGET]
    if cluster.is_alone():
        os.environ.update(cluster.ALONE)  # Ray reads it when it is imported
    try:
        import ray
    except ImportError as error:
        raise BenchError(f"the ray executor needs Ray: {install('ray')}") from error
    yield from processes.execute(here, max(1, workers), places)
    if not away:
        return
    ends = signal.getsignal(signal.SIGTERM)
    _connect(ray, workers)
    try:
        with _ended_by(ends), ExitStack() as claims:
            yield from _Cluster(ray, away, workers, claims).events()
    finally:
        ray.shutdown()


def _connect(ray: Any, workers: int) -> None:
    """Join the cluster, or start one of this machine alone."""
    common = {"log_to_driver": False, "ignore_reinit_error": True, "logging_level": logging.WARNING}
    try:
        ray.init(address="auto", **common)
    except ConnectionError as error:
        if os.environ.get("RAY_ADDRESS"):
            raise BenchError(
                f"no Ray cluster answers at RAY_ADDRESS ({os.environ['RAY_ADDRESS']}): start it with `bench cluster "
                f"up`, or unset RAY_ADDRESS"
            ) from error
        ray.init(address="local", num_cpus=workers or None, include_dashboard=False, **common)


@contextmanager
def _ended_by(ends: Any) -> Iterator[None]:
    """Let SIGTERM end this process as before Ray was started.

    Ray puts a handler of its own in its place, and its waits replace the exit code.

    Args:
        ends: handler of SIGTERM before Ray was started; one that is no function is left to Ray.
    """
    if not callable(ends) or threading.current_thread() is not threading.main_thread():
        yield
        return
    ended: list[SystemExit] = []

    def end(number: int, frame: Any) -> None:
        try:
            ends(number, frame)
        except SystemExit as error:
            ended.append(error)
            raise

    signal.signal(signal.SIGTERM, end)
    try:
        yield
    except SystemExit:
        if ended:
            raise ended[0] from None
        raise
    finally:
        signal.signal(signal.SIGTERM, ends)


@dataclass
class _Machine:
    """A machine of the cluster.

    Attributes:
        name: for people.
        slots: trainings that it takes at the same time.
        gpus: share of a GPU, or number of GPUs, that each asks for.
        busy: keys of the jobs that it does.
    """

    name: str
    slots: int
    gpus: float
    busy: set[str] = field(default_factory=set)


@dataclass
class _Task:
    """A job that is under way."""

    job: Job
    machine: str
    arriving: parcels.Arriving
    complete: bool = False
    ended: bool = False


class _Cluster:
    """The work on a cluster.

    Args:
        ray: the module, connected.
        jobs: trainings.
        workers: how many at the same time; 0 for as many as there are slots.
        claims: keeps the claims of the runs.
    """

    def __init__(self, ray: Any, jobs: Sequence[Job], workers: int, claims: ExitStack) -> None:
        self.ray = ray
        self.waiting = deque(jobs)
        self.workers = workers
        self.claims = claims
        self.settings: RunSettings = jobs[0].arguments[1]
        self.store = Store(self.settings.store)
        self.attempts: dict[str, int] = {}
        self.avoided: dict[str, set[str]] = {}
        self.running: dict[Any, _Task] = {}
        self.machines: dict[str, _Machine] = {}
        self.refused: dict[str, str] = {}
        self.probes: dict[Any, str] = {}
        self.notes: list[str] = []
        self.looked = 0.0
        self.alone_since = time.monotonic()
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        self.on = NodeAffinitySchedulingStrategy
        own = self.on(ray.get_runtime_context().get_node_id(), soft=False)
        self.depot = ray.remote(_Depot).options(num_cpus=0, max_concurrency=8, scheduling_strategy=own).remote()

    def events(self) -> Iterator[Event]:
        """Yield the events of all jobs."""
        while self.waiting or self.running:
            self._look()
            yield from self._start()
            for line in self.notes:
                job = self.waiting[0] if self.waiting else next(iter(self.running.values())).job
                yield Reported(job.key, Noted(line))
            self.notes.clear()
            if not self.running:
                self._give_up_without_machines()
                time.sleep(POLL_SECONDS)
                continue
            ready, _ = self.ray.wait(list(self.running), num_returns=1, timeout=POLL_SECONDS, fetch_local=False)
            for stream in ready:
                yield from self._next(stream)

    # -- machines -------------------------------------------------------------------------------------------------

    def _look(self) -> None:
        """Ask new machines what they are, and forget those that are gone."""
        if self.probes:
            ready, _ = self.ray.wait(list(self.probes), num_returns=len(self.probes), timeout=0)
            for reference in ready:
                self._answered(self.probes.pop(reference), reference)
        if self.machines and time.monotonic() - self.looked < LOOK_SECONDS:
            return
        self.looked = time.monotonic()
        alive = {each["NodeID"]: each for each in self.ray.nodes() if each["Alive"]}
        for gone in self.machines.keys() - alive.keys():
            self.notes.append(f"the machine {self.machines.pop(gone).name} is gone")
        asked = {*self.machines, *self.refused, *self.probes.values()}
        for identity in alive.keys() - asked:
            probe = self.ray.remote(_identity).options(
                num_cpus=0, max_retries=0, scheduling_strategy=self.on(identity, soft=False)
            )
            self.probes[probe.remote()] = identity

    def _answered(self, identity: str, reference: Any) -> None:
        about = next((each for each in self.ray.nodes() if each["NodeID"] == identity), None)
        if about is None or not about["Alive"]:
            return
        name = f"{about['NodeManagerHostname']} ({about['NodeManagerAddress']})"
        try:
            differs = node.differences(self.ray.get(reference), node.identity())
        except self.ray.exceptions.RayError as error:
            differs = f"the project cannot be imported there: {_last_line(error)}"
        if differs:
            self.refused[identity] = f"{name}: {differs}"
            self.notes.append(f"the machine {name} is not used: {differs}")
            return
        slots, gpus = _slots(about["Resources"], self.settings)
        self.machines[identity] = _Machine(name, slots, gpus)

    def _give_up_without_machines(self) -> None:
        if any(machine.slots for machine in self.machines.values()) or self.probes:
            self.alone_since = time.monotonic()
        elif self.refused or time.monotonic() - self.alone_since > PATIENCE:
            why = "; ".join(self.refused.values()) or "none of its machines has enough processors or GPUs"
            raise BenchError(f"no machine of the Ray cluster can do the runs: {why}")

    # -- jobs -----------------------------------------------------------------------------------------------------

    def _start(self) -> Iterator[Event]:
        """Start jobs on the machines with the most free slots."""
        while self.waiting and (not self.workers or len(self.running) < self.workers):
            job = self.waiting[0]
            free = [
                (identity in self.avoided.get(job.key, ()), len(machine.busy) / machine.slots, identity)
                for identity, machine in self.machines.items()
                if len(machine.busy) < machine.slots
            ]
            if not free:
                return
            self.waiting.popleft()
            yield from self._submit(job, min(free)[2])

    def _submit(self, job: Job, identity: str) -> Iterator[Event]:
        run: Run
        run, settings, force = job.arguments
        if job.key not in self.attempts:
            yield Started(job.key)
            done = "elsewhere" if not self.claims.enter_context(self.store.claim(run.key)) else None
            if done is None and run in self.store and not force:
                done = "done"
            if done is not None:
                yield Reported(job.key, RunEnded(run.key, done))  # type: ignore[arg-type]
                yield Finished(job.key, done)
                return
        self.attempts[job.key] = self.attempts.get(job.key, 0) + 1
        machine = self.machines[identity]
        try:
            parcel, paths, state = parcels.pack(run, settings, force)
            self.ray.get(self.depot.offer.remote(paths))
            arriving = parcels.Arriving(self.store, run, state)
        except (BenchError, OSError) as error:
            yield Failed(job.key, shortage.failure(error), code_of(error))
            return
        task = self.ray.remote(_work).options(
            num_cpus=_cpus(settings), num_gpus=machine.gpus, max_retries=0, num_returns="streaming",
            scheduling_strategy=self.on(identity, soft=False),
        )  # fmt: skip
        stream = task.remote(parcel, self.depot, lookup.permitted())
        machine.busy.add(job.key)
        self.running[stream] = _Task(job, identity, arriving)

    def _next(self, stream: Any) -> Iterator[Event]:
        """Take the next thing that a task has sent."""
        task = self.running[stream]
        try:
            sent = self.ray.get(next(stream))
        except StopIteration:
            self._leave(stream)
            if not task.ended:
                yield from self._lost(task, "its task ended without a result")
        except self.ray.exceptions.RayError as error:
            self._leave(stream)
            yield from self._lost(task, _last_line(error))
        else:
            try:
                yield from self._took(task, sent)
            except (RunError, RecordError, OSError) as error:
                self.ray.cancel(stream, force=True)
                self._leave(stream)
                yield from self._lost(task, str(error))

    def _took(self, task: _Task, sent: Any) -> Iterator[Event]:
        if isinstance(sent, parcels.Piece):
            task.arriving.take(sent)
        elif isinstance(sent, parcels.Complete):
            task.arriving.finish(sent)
            task.complete = True
        elif isinstance(sent, Finished | Failed):
            task.ended = True
            yield sent
        elif not isinstance(sent, Started):
            yield sent

    def _leave(self, stream: Any) -> None:
        task = self.running.pop(stream)
        task.arriving.close()
        if task.machine in self.machines:
            self.machines[task.machine].busy.discard(task.job.key)

    def _lost(self, task: _Task, why: str) -> Iterator[Event]:
        """Begin a job again whose machine or task is lost, unless it has ended or had its attempts."""
        if task.ended:
            return
        key = task.job.key
        name = self.machines[task.machine].name if task.machine in self.machines else "a machine that is gone"
        self.avoided.setdefault(key, set()).add(task.machine)
        self.looked = 0.0
        if task.complete:  # only its last words are lost
            yield Reported(key, RunEnded(key, "done"))
            yield Finished(key, "done")
        elif self.attempts[key] < self.settings.attempts:
            self.waiting.append(task.job)
            again = f"attempt {self.attempts[key] + 1} of {self.settings.attempts}"
            yield Reported(key, Noted(f"was lost on {name} ({why}) and begins again, {again}"))
        else:
            message = f"it was lost {self.attempts[key]} times, at last on {name}: {why}"
            yield Failed(key, Failure(kind="killed", message=message), "killed")


def _cpus(settings: RunSettings) -> int:
    return settings.threads * settings.devices + settings.loaders


def _slots(resources: Mapping[str, float], settings: RunSettings) -> tuple[int, float]:
    """Return how many trainings a machine takes at the same time, and the GPUs that each asks for."""
    slots = int(resources.get("CPU", 0)) // _cpus(settings)
    there = resources.get("GPU", 0.0)
    if settings.device == "cpu" or (settings.device == "auto" and not there):
        return slots, 0.0
    if settings.devices > 1:
        return min(slots, int(there) // settings.devices), float(settings.devices)
    return min(slots, int(there) * settings.per_gpu), 1 / settings.per_gpu


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__


def _identity() -> dict[str, str]:
    return node.identity()


class _Depot:
    """Gives the machines the files that were offered; it is a process of the driver's machine."""

    def __init__(self) -> None:
        self.paths: dict[str, Path] = {}

    def offer(self, paths: Mapping[str, Path]) -> None:
        self.paths.update(paths)

    def read(self, wanted: Sequence[parcels.Part]) -> list[bytes]:
        return parcels.read_parts(self.paths, wanted)


def _work(parcel: parcels.Parcel, depot: Any, named: Mapping[str, Path | None]) -> Iterator[Any]:
    """Do a run on a machine of the cluster."""
    import ray

    yield from node.do(parcel, lambda parts: ray.get(depot.read.remote(parts)), named)
