"""Timing of a model in new processes, each pinned to as many cores as it has threads."""

import os
import warnings
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from bench.errors import BenchError, ProfileError
from bench.profiling import measure
from bench.profiling.backends import backend
from bench.profiling.children import Child, ChildEnded, end_with, innermost, not_in_forks
from bench.profiling.environment import set_threads
from bench.profiling.measure import Device, Tier
from bench.records import Latency, Scope, aggregate, scratch
from models.base import AudioModel

SCOPES: tuple[Scope, ...] = ("end-to-end", "model")
"""Scopes that `bench run` times."""
LEAVE_SECONDS = 5
"""Time that a process has to end before it is killed."""
AGAIN_SECONDS = 0.03
"""Shortest warm-up of a model in a process that has timed it in another scope."""
OWN_CLIPS = 1
"""Number of clips on which the model is compared with itself, in eager on the CPU."""


class LatencyTarget:
    """A model in a temporary folder that new processes load and time.

    Args:
        model: trained or untrained; a fusion's module is timed only end to end and in eager.
        x: one clip in host memory, `(1, S)` or `(1, T, F)`, not all zeros.
        clip_seconds: length of the clip.
        calibration: clips that calibrate the value ranges of int8; `x` if empty.
        clips: clips on which a backend's logits are compared with the model's; `x` if empty.
        device: "cpu" or "cuda".
        threads: intra-operator threads.
        tier: duration of the measurement; None is the quick tier.
        longest: seconds that one process may take; None for any time.
    """

    def __init__(
        self,
        model: nn.Module,
        x: Tensor,
        clip_seconds: float,
        *,
        calibration: Sequence[Tensor] = (),
        clips: Sequence[Tensor] = (),
        device: Device = "cpu",
        threads: int = 1,
        tier: Tier | None = None,
        longest: float | None = None,
    ) -> None:
        self.model = model
        self.x = x
        self.clip_seconds = clip_seconds
        self.calibration = list(calibration) or [x]
        self.clips = list(clips) or [x]
        self.device = device
        self.threads = threads
        self.tier = tier or measure.TIERS["quick"]
        self.longest = longest
        self.compared: dict[str, tuple[float, float]] = {}

    def __enter__(self) -> "LatencyTarget":
        self._stack = ExitStack()
        self.folder = self._stack.enter_context(scratch.folder("timing"))
        try:
            with torch.inference_mode():
                was = self.model.training
                logits = self.model.eval()(self.x).clone()
                self.model.train(was)
            torch.save((self.model, self.x, logits), self.folder / "model.pt")
            torch.save((self.calibration, self.clips), self.folder / "clips.pt")
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def latency(self, name: str = "eager", scope: Scope = "end-to-end", batch: int = 1) -> Latency:
        """Time a backend in the tier's number of processes.

        Raises:
            ProfileError: the backend cannot run the model or gives other logits, or a process died.
        """
        prepares = backend(name, self.device).prepares
        if name not in self.compared and isinstance(self.model, AudioModel):
            self.compared[name] = self._fresh("compare", name)
        if prepares and batch > 1 and not (self.folder / f"{name}-{batch}").exists():
            self._fresh("prepare", name, batch)
        found = aggregate([self._fresh("time", name, scope, batch) for _ in range(self.tier.processes)])
        deviation, agreement = self.compared.get(name, (found.deviation, found.agreement))
        return replace(found, deviation=deviation, agreement=agreement)

    def latencies(
        self, name: str = "eager", scopes: Sequence[Scope] = SCOPES, meanwhile: Callable[[], None] | None = None
    ) -> list[Latency]:
        """Time a backend on one clip in several scopes, in one process where the tier has one.

        Args:
            name: of the backend.
            scopes: to time.
            meanwhile: is called while that process loads the model, which measures only when the call has returned;
                never called where the tier has several processes.

        Raises:
            ProfileError: as for `latency`.
        """
        if self.tier.processes > 1 or not isinstance(self.model, AudioModel):
            return [self.latency(name, scope) for scope in scopes]
        gate, opener = Pipe(duplex=False)
        with gate, opener:

            def started() -> None:
                gate.close()  # the process has its own
                if meanwhile is not None:
                    meanwhile()
                with suppress(OSError):  # it has ended
                    opener.send("measure")

            found, self.compared[name] = self._fresh("all", name, tuple(scopes), gate, started=started)
        deviation, agreement = self.compared[name]
        return [replace(one, deviation=deviation, agreement=agreement) for one in found]

    def sweep(self, name: str = "eager", scope: Scope = "end-to-end", largest: int = 256) -> list[Latency]:
        """Time batches of 1, 2, 4, ... clips.

        Raises:
            ProfileError: as for `latency`.
        """
        return grow(lambda batch: self.latency(name, scope, batch), largest)

    def _fresh(
        self,
        task: Literal["all", "compare", "prepare", "time"],
        *arguments: Any,
        started: Callable[[], None] | None = None,
    ) -> Any:
        """Do a task in a new process."""
        place = self.folder, self.clip_seconds, self.device, self.threads, self.tier
        return fresh(_TASKS[task], self.threads, place, *arguments, longest=self.longest, started=started)


def grow(time: Callable[[int], Latency], largest: int) -> list[Latency]:
    """Return the timings of batches of 1, 2, 4, ... clips; stops after two sizes without a gain in throughput.

    Args:
        time: times a batch of this size.
        largest: largest batch.
    """
    found: list[Latency] = []
    best, vain, batch = 0.0, 0, 1
    while batch <= largest and vain < 2:
        found.append(time(batch))
        vain = 0 if found[-1].throughput > best else vain + 1
        best = max(best, found[-1].throughput)
        batch *= 2
    return found


def best(timings: Sequence[Latency]) -> Latency:
    """Return the timing with the highest throughput; ranked timings (grade A or B) come before unranked ones."""
    return max(timings, key=lambda timing: (timing.ranked, timing.throughput))


def cores(threads: int) -> frozenset[int]:
    """Return the logical processors to pin to: the last ones, because the first handles interrupts.

    Logical processors on different cores come first.

    Raises:
        ProfileError: this process may use fewer processors than threads.
    """
    usable = sorted(os.sched_getaffinity(0), reverse=True)
    if threads > len(usable):
        raise ProfileError(f"{threads} threads cannot be pinned to {len(usable)} processors: use --threads 1")
    rank: dict[str, int] = {}
    places: list[tuple[int, int, int]] = []
    for processor in usable:
        siblings = str(processor)
        with suppress(OSError):
            file = Path(f"/sys/devices/system/cpu/cpu{processor}/topology/thread_siblings_list")
            siblings = file.read_text().strip()
        rank[siblings] = rank.get(siblings, 0) + 1
        places.append((rank[siblings], len(places), processor))
    return frozenset(processor for _, _, processor in sorted(places)[:threads])


def lacks() -> str | None:
    """Return one line that says what timings lack on this system; None if they lack nothing."""
    lacking = []
    if not hasattr(os, "sched_setaffinity"):
        lacking.append("processes cannot be pinned to processors, so timings vary more")
    if not hasattr(os, "getloadavg"):
        lacking.append("the load average is not known and recorded as 0")
    return f"on this system {'; '.join(lacking)}" if lacking else None


def fresh(
    task: Callable[..., Any],
    threads: int,
    *arguments: Any,
    longest: float | None = None,
    started: Callable[[], None] | None = None,
) -> Any:
    """Call a function in a new, pinned process and return its result.

    A warning says if processes cannot be pinned.

    Args:
        task: of a module.
        threads: intra-operator threads; the number of processors that the process is pinned to.
        *arguments: picklable.
        longest: seconds that the process may take after `started`; None for any time.
        started: is called when the process has started.

    Raises:
        BenchError: the function raised it.
        ProfileError: the function raised any other exception, or the process died or took too long.
    """
    if lacking := lacks():
        warnings.warn(lacking, stacklevel=2)
    pinned = cores(threads) if hasattr(os, "sched_setaffinity") else frozenset()
    child = Child(_child, pinned, threads, task, arguments, preload=["bench.profiling.measure"])
    patience = 0.0
    try:
        if started is not None:
            started()
        result = child.receive(longest)
        patience = LEAVE_SECONDS  # a process that is killed at once leaves its semaphores behind
    except ChildEnded as ended:
        raise ProfileError(f"the timed process ended with exit code {ended.exitcode}; out of memory?") from None
    except TimeoutError:
        where = innermost(child.stack()) or "a place that it could not name"
        raise ProfileError(
            f"the timed process took longer than {(longest or 0) / 60:.3g} minutes (--stall-minutes); it was in {where}"
        ) from None
    finally:
        child.end(patience)
    if isinstance(result, BenchError):
        raise result
    return result


def _child(
    connection: Connection, pinned: frozenset[int], threads: int, task: Callable[..., Any], arguments: tuple[Any, ...]
) -> None:
    """Do a task and send its result or its error; end with the parent."""
    end_with(connection)
    if pinned:
        os.sched_setaffinity(0, pinned)
    os.environ |= {"OMP_NUM_THREADS": str(threads), "TORCHINDUCTOR_COMPILE_THREADS": "1"}
    set_threads(threads)
    try:
        with not_in_forks():
            result = task(*arguments)
        connection.send(result)
    except BenchError as error:
        connection.send(error)
    except Exception as error:
        connection.send(ProfileError(f"{type(error).__name__}: {error}"))


_Place = tuple[Path, float, Device, int, Tier]


def _compare(place: _Place, name: str) -> tuple[float, float]:
    folder, _, device, threads, _ = place
    model, x, _ = torch.load(folder / "model.pt", weights_only=False)
    calibration, clips = torch.load(folder / "clips.pt")
    measure.prepare(model, x, name, calibration, folder / f"{name}-1")
    return measure.compare(model, clips, name, device, threads, folder / f"{name}-1")


def _prepare(place: _Place, name: str, batch: int) -> None:
    folder = place[0]
    model, x, _ = torch.load(folder / "model.pt", weights_only=False)
    calibration, _ = torch.load(folder / "clips.pt")
    measure.prepare(model, x, name, calibration, folder / f"{name}-{batch}", batch)


def _time(place: _Place, name: str, scope: Scope, batch: int) -> Latency:
    folder, clip_seconds, device, threads, tier = place
    model, x, logits = torch.load(folder / "model.pt", weights_only=False)
    return measure.measure_latency(
        model, x, clip_seconds, device=device, threads=threads, scope=scope, tier=tier, backend_name=name, batch=batch,
        logits=logits, folder=folder / f"{name}-{batch}" if isinstance(model, AudioModel) else None,
    )  # fmt: skip


def _all(
    place: _Place, name: str, scopes: Sequence[Scope], gate: Connection
) -> tuple[list[Latency], tuple[float, float]]:
    """Time all scopes and compare, in one process; the memory is that of before, for each of the scopes.

    Nothing is measured before a message comes through the gate: until then, the parent works.
    """
    folder, clip_seconds, device, threads, tier = place
    model, x, logits = torch.load(folder / "model.pt", weights_only=False)
    calibration, clips = torch.load(folder / "clips.pt")
    if name == "eager" and device == "cpu":
        clips = clips[:OWN_CLIPS]
    own = folder / f"{name}-1"
    measure.prepare(model, x, name, calibration, own)
    if device == "cpu":
        measure.load_kernels(model, x)  # like torch itself, they are there before
    gate.recv()
    before = measure.memory_now()
    sentinel = measure.Sentinel(device, tier.sentinel_seconds)
    found = []
    for scope in scopes:
        found.append(measure.measure_latency(
            model, x, clip_seconds, device=device, threads=threads, scope=scope, tier=tier, backend_name=name,
            logits=logits, folder=own, before=before, sentinel=sentinel,
        ))  # fmt: skip
        tier = replace(tier, warm_seconds=min(tier.warm_seconds, AGAIN_SECONDS))
    sentinel.end()
    judged = [sentinel.judged(timing) for timing in found]
    return judged, measure.compare(model, clips, name, device, threads, own)


_TASKS: dict[str, Callable[..., Any]] = {"all": _all, "compare": _compare, "prepare": _prepare, "time": _time}
