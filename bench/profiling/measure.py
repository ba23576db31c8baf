"""Latency of a model, measured in this process; `bench.profiling.isolated` calls this in new processes."""

import contextlib
import copy
import ctypes
import gc
import importlib.metadata
import importlib.util
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from bench import catalog
from bench.errors import ProfileError
from bench.profiling import environment
from bench.profiling.backends import Backend, Classify, backend
from bench.records import Latency, Scope, scratch
from bench.records.latency import MIN_CALLS, MOST_SCATTER
from models.base import AudioModel, ModelError, use_kernels

Device = Literal["cpu", "cuda"]


@dataclass(frozen=True, kw_only=True)
class Tier:
    """Duration of a measurement.

    Attributes:
        warm_seconds: shortest warm-up; it also takes at least ten calls, and lasts until the time of a call settles.
        warm_limit_seconds: longest warm-up after ten calls.
        seconds: shortest measurement; it also takes at least 50 calls.
        limit_seconds: longest measurement, and longest warm-up in any case.
        processes: number of processes that measure.
        warm_group: calls of each of the five medians that must lie within 5 % before the warm-up ends.
        p99_seconds: longest measurement for the calls that a 99th percentile needs.
        warm_grows: whether the five groups grow to the second half of all calls so far, and only the first one must
            not lie above the fastest by more than 5 %. Medians of a few calls that scatter never agree, nor do those
            of many where other programs make some slower; a warm-up ends when the calls no longer become faster.
        unsteady_seconds: longest measurement while the calls scatter so much that they could not be ranked: what
            disturbs a few of them for a moment is a large share of a short measurement.
        sentinel_seconds: shortest time for which the fixed workload is timed before, and again after: several time
            slices, so that one slice of another process does not look like a drift.
    """

    warm_seconds: float
    warm_limit_seconds: float
    seconds: float
    limit_seconds: float
    processes: int = 1
    warm_group: int = 10
    p99_seconds: float = 0.0
    warm_grows: bool = False
    unsteady_seconds: float = 0.0
    sentinel_seconds: float = 0.1

    @property
    def expected_seconds(self) -> float:
        """Time that a measurement usually takes, the start of its processes included."""
        return self.processes * (START_SECONDS + self.warm_seconds + self.seconds)


TIERS = {
    "quick": Tier(warm_seconds=1.0, warm_limit_seconds=2.0, seconds=1.0, limit_seconds=4.0),
    "steady": Tier(warm_seconds=1.0, warm_limit_seconds=2.0, seconds=1.0, limit_seconds=10.0, processes=3),
    "full": Tier(warm_seconds=1.0, warm_limit_seconds=5.0, seconds=5.0, limit_seconds=60.0, processes=3),
}
FIRST = Tier(
    warm_seconds=0.05, warm_limit_seconds=1.0, seconds=0.1, limit_seconds=4.0, warm_group=3, p99_seconds=1.0,
    warm_grows=True, unsteady_seconds=1.0, sentinel_seconds=0.04,
)  # fmt: skip
"""The tier of a run's first timing: one process times a model in several scopes; its grade is at best B."""
START_SECONDS = 1.5
"""Time that a process takes to start and to load the model."""
WARM_CALLS = 10
P99_CALLS = 1000
LOOK_SECONDS = 0.1
"""Least time between two looks at the scatter of calls that go on because of it."""
KERNEL_TOLERANCE = 1e-3  # kernels of front-ends round otherwise
TOLERANCE = {"cpu": 1e-4, "cuda": 1e-2}  # a GPU's convolutions round their inputs to 10 bits (TF32)


def measure_latency(
    model: nn.Module,
    x: Tensor,
    clip_seconds: float,
    *,
    device: Device = "cpu",
    threads: int = 1,
    scope: Scope = "end-to-end",
    tier: Tier | None = None,
    backend_name: str = "eager",
    batch: int = 1,
    logits: Tensor | None = None,
    folder: Path | None = None,
    before: int | None = None,
    sentinel: "Sentinel | None" = None,
) -> Latency:
    """Time calls on one clip, in eval and inference mode with the garbage collector off.

    On the CPU the clock is `perf_counter_ns`. On a GPU the scope "end-to-end" is the wall-clock time from the clip in
    host memory to the logits in host memory, with both copies; the other scopes are the time between two CUDA events
    around the call. The recorded grade is `Latency.steadiness`: it depends on the calls' spread, on the processor time
    of other processes, and on a fixed workload (the sentinel) that is timed before and after. `bench.records.graded`
    compares timings with each other, because a machine that is slow for hours looks steady to a single process.

    Peak memory is the process's largest memory during set-up and calls, minus its memory before, without code that is
    mapped from files. On a GPU it is the memory that torch allocated.

    Args:
        model: maps `x` to logits `(1, C)`; a copy of it is timed.
        x: one clip in host memory, `(1, S)` or `(1, T, F)`, not all zeros.
        clip_seconds: length of the clip.
        device: where to run.
        threads: intra-operator threads; the earlier number is restored at the end.
        scope: "end-to-end" from the clip, "model" from features on the device, or "step" for one step.
        tier: duration of the measurement; None is the quick tier.
        backend_name: backend of the catalogue; it computes the logits from the features.
        batch: number of clips per call; all of them are `x`.
        logits: the trained model's logits `(1, C)` for `x`; None computes them.
        folder: folder that the backend's `prepare` wrote; None prepares a temporary one.
        before: bytes of the process before it had timed anything (`memory_now`); None for now.
        sentinel: of this device, for measurements in a row that share it: it is timed before the first one, and the
            caller lets it judge all of them at the end. None times one before and after this measurement.

    Raises:
        ProfileError: `x` is not one clip or all zeros, there is no GPU, the model has no front-end for this scope, the
            logits are not finite or differ from the trained model's, or the backend cannot run this model.
    """
    tier = tier or TIERS["quick"]
    runs = backend(backend_name, device)
    if x.shape[0] != 1:
        raise ProfileError(f"latency is measured on one clip, got a batch of {x.shape[0]}: pass x[:1]")
    if not x.any():
        raise ProfileError("the latency of a silent clip may differ from that of real clips: pass a clip with sound")
    if device == "cuda" and not torch.cuda.is_available():
        raise ProfileError("torch finds no GPU: measure with device cpu")
    if not isinstance(model, AudioModel) and (scope, backend_name) != ("end-to-end", "eager"):
        raise ProfileError(f"{type(model).__name__} has no front-end to leave out: use eager and scope end-to-end")
    if scope == "step" and (backend_name, batch) != ("eager", 1):
        raise ProfileError("a step is timed for one clip in eager: use the defaults of backend and batch")
    load = environment.load_average()
    with contextlib.ExitStack() as stack:
        if folder is None and isinstance(model, AudioModel):
            folder = stack.enter_context(scratch.folder("latency"))
            prepare(model, x, backend_name, [x], folder, batch)
        for context in (_threads(threads), torch.inference_mode(), _no_garbage_collection()):
            stack.enter_context(context)
        expected = copy.deepcopy(model).eval()(x.cpu()) if logits is None else logits
        kernel = load_kernels(model, x) if device == "cpu" and scope == "end-to-end" else ""
        memory = _Memory(device, before)
        clips = x.cpu().expand(batch, *x.shape[1:]).contiguous()
        work = _work(model, clips, device, threads, scope, runs, folder)
        limit = KERNEL_TOLERANCE if kernel else TOLERANCE[device]
        deviation = _deviation(work.logits, expected, runs.exact, limit, type(model).__name__)
        call = _timer(work.call, device, events=device == "cuda" and scope != "end-to-end")
        own = sentinel or Sentinel(device, tier.sentinel_seconds)
        _warm_up(call, tier)
        own.begin()
        call()  # fills the caches again
        other_processes = _OtherProcesses()
        times = _sample(call, tier)
        busy = other_processes.share()
        if sentinel is None:
            own.end()
        peak = memory.peak()
    p50, p90, p99 = np.percentile(times, (50, 90, 99)).tolist()
    timing = Latency(
        device=(environment.gpu() if device == "cuda" else None) or environment.processor(),
        device_type=device,
        threads=threads,
        dtype=runs.dtype or str(next((p.dtype for p in model.parameters()), x.dtype)).removeprefix("torch."),
        backend=backend_name,
        scope=scope,
        batch=batch,
        clip_seconds=clip_seconds,
        p50_ms=p50 * 1e3,
        p90_ms=p90 * 1e3,
        p99_ms=p99 * 1e3 if len(times) >= P99_CALLS else None,
        iqr_share=_iqr_share(times),
        samples=len(times),
        throughput=batch * len(times) / sum(times),
        real_time_factor=p50 * work.calls / (batch * clip_seconds),
        load=load,
        sentinel_drift=0.0,
        sentinel_ms=0.0,
        others=busy,
        grade="A",
        peak_bytes=peak,
        deviation=deviation,
        agreement=_agreement(work.logits, expected),
        software=runs.software(),
        frontend=kernel,
    )
    return own.judged(timing)


def load_kernels(model: nn.Module, x: Tensor) -> str:
    """Compile the kernels of a model's front-ends, or load them, as `bench predict` does for many files.

    Args:
        model: is not changed.
        x: one clip in host memory.

    Returns:
        The package that compiled the kernels, with its version; "" where the front-ends use none.
    """
    own = copy.deepcopy(model.frontend if isinstance(model, AudioModel) else model).cpu().eval()
    use_kernels(own)
    with torch.inference_mode():
        own(x.cpu())
    used = any(getattr(part, "kernels_used", False) for part in own.modules())
    return f"numba {importlib.metadata.version('numba')}" if used else ""


def preload_kernels() -> None:
    """Load the kernels that most front-ends share, where they were compiled before: each timed process would."""
    if importlib.util.find_spec("numba") is None:
        return
    from models.kernels import spectrum_cpu

    kept = [each._cache._cache_file for each in vars(spectrum_cpu).values() if hasattr(each, "_cache")]
    if any(file._load_index() for file in kept):
        with _threads(1):  # no threads of torch's, which a fork would lack
            load_kernels(catalog.load(catalog.frontend("logmel").target)(sample_rate=16_000), torch.ones(1, 16_000))


def prepare(
    model: AudioModel, x: Tensor, backend_name: str, calibration: Sequence[Tensor], folder: Path, batch: int = 1
) -> None:
    """Let a backend write its files for a model to `folder`.

    Args:
        model: trained; it is not changed.
        x: one clip in host memory.
        backend_name: of the catalogue.
        calibration: clips of the shape of `x`.
        folder: is created.
        batch: number of clips per call.

    Raises:
        ProfileError: the backend cannot run this model.
    """
    folder.mkdir(parents=True, exist_ok=True)
    runs: Backend = catalog.load(catalog.backend(backend_name).target)()
    if not runs.prepares:
        return
    with torch.no_grad():
        own = copy.deepcopy(model).cpu().eval()
        features = own.frontend(x.expand(batch, *x.shape[1:]))
        runs.prepare(own, features, [own.frontend(clip) for clip in calibration], folder)


def compare(
    model: AudioModel, clips: Sequence[Tensor], backend_name: str, device: Device, threads: int, folder: Path
) -> tuple[float, float]:
    """Compare a backend's logits with the model's.

    Args:
        model: trained; it is not changed.
        clips: each one clip in host memory.
        backend_name: of the catalogue.
        device: device of the backend; the model runs on the CPU.
        threads: intra-operator threads of the backend.
        folder: folder that the backend's `prepare` wrote.

    Returns:
        The greatest deviation of a logit, and the share of clips with the same top class.

    Raises:
        ProfileError: the logits of an exact backend differ from the model's, or are not finite.
    """
    runs = backend(backend_name, device)
    with _threads(threads), torch.inference_mode():
        own = copy.deepcopy(model).cpu().eval()
        expected = torch.cat([own(clip) for clip in clips])
        moved = own.to(device)
        classify = runs.ready(moved, moved.frontend(clips[0].to(device)), folder, threads)
        found = torch.cat([classify(moved.frontend(clip.to(device))).cpu() for clip in clips])
    return _deviation(found, expected, runs.exact, TOLERANCE[device], type(model).__name__), _agreement(found, expected)


@dataclass(frozen=True)
class _Work:
    """A call to time, the logits that it computes, and the number of calls per clip (or batch)."""

    call: Callable[[], object]
    logits: Tensor
    calls: int = 1


def _work(
    model: nn.Module, clips: Tensor, device: Device, threads: int, scope: Scope, runs: Backend, folder: Path | None
) -> _Work:
    """Put a copy of the model on the device, ready to be called."""
    if not isinstance(model, AudioModel) or folder is None:
        whole = copy.deepcopy(model).to(device).eval()
        use_kernels(whole)
        return _Work(lambda: whole(clips.to(device)).cpu(), whole(clips.to(device)).cpu())
    timed = model if runs.prepares else copy.deepcopy(model).to(device).eval()
    frontend = copy.deepcopy(model.frontend).to(device).eval() if runs.prepares else timed.frontend
    if scope == "end-to-end":
        use_kernels(frontend if runs.prepares else timed)  # as `bench predict` does for many files
    features = frontend(clips.to(device))
    classify: Classify = runs.ready(timed, features, folder, threads)
    if scope == "step":
        return _steps(timed, features)
    logits = classify(features).cpu().clone()
    if scope == "model":
        return _Work(lambda: classify(features), logits)
    if device == "cuda":
        return _Work(lambda: classify(frontend(clips.to(device))).cpu(), logits)
    return _Work(lambda: classify(frontend(clips)), logits)


def _steps(model: AudioModel, features: Tensor) -> _Work:
    """Return a step in the middle of the clip, and the logits after the last one."""
    try:
        frames = model.stream(features).unbind(2)  # each (1, I)
        state = middle = None
        for i, frame in enumerate(frames):
            middle = state if i == len(frames) // 2 else middle
            logits, state = model.step(frame, state)
    except ModelError as error:
        raise ProfileError(f"{type(model).__name__} has no time per step: {error}") from error
    return _Work(lambda: model.step(frames[len(frames) // 2], middle), logits.cpu(), len(frames))


def _deviation(found: Tensor, expected: Tensor, exact: bool, tolerance: float, name: str) -> float:
    """Return the greatest difference of a logit.

    Raises:
        ProfileError: a logit is not finite, or the logits of an exact backend differ.
    """
    if not found.isfinite().all():
        raise ProfileError(f"{name} gives logits that are not finite for this clip: train it again")
    deviation = float((found - expected).abs().max())
    limit = tolerance * max(1.0, float(expected.abs().max()))
    if exact and not deviation <= limit:
        raise ProfileError(
            f"the logits of {name} differ by {deviation:.2g} from the trained model's, more than {limit:.2g}: this "
            f"backend computes another function, so it is not timed; use eager"
        )
    return deviation


def _agreement(found: Tensor, expected: Tensor) -> float:
    """Return the share of clips with the same top class."""
    return float((found.argmax(1) == expected.argmax(1)).double().mean())


class _Memory:
    """Growth of the process's memory since the construction of this object."""

    def __init__(self, device: Device, before: int | None = None) -> None:
        self.device = device
        if device == "cuda":
            torch.cuda.reset_peak_memory_stats()
        with contextlib.suppress(OSError, AttributeError, TypeError):  # Windows raises TypeError
            ctypes.CDLL(None).malloc_trim(0)  # reused free memory would not be counted
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")  # resets the peak
        self.before = _status()
        if self.before and before is not None:
            self.before["RssAnon"] = before

    def peak(self) -> int | None:
        """Return the peak in bytes; None if the system does not report it."""
        if self.device == "cuda":
            return int(torch.cuda.max_memory_allocated())
        now = _status()
        if not now or not self.before:
            return None
        files = now["RssFile"] + now["RssShmem"]  # code of libraries, which is loaded on the first call
        return max(0, now["VmHWM"] - files - self.before["RssAnon"])


def memory_now() -> int | None:
    """Return the bytes of this process, without files; None if the system does not report them."""
    with contextlib.suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)
    return _status().get("RssAnon")


class _OtherProcesses:
    """Processor time that other processes, and other guests of the host, use after the construction of this object."""

    def __init__(self) -> None:
        self.before = self._seconds()

    def share(self) -> float | None:
        """Return the share of all processors' time; None if the system does not report it."""
        now = self._seconds()
        if now is None or self.before is None:
            return None
        everything, busy, own = (a - b for a, b in zip(now, self.before, strict=True))
        return min(1.0, max(0.0, (busy - own) / everything)) if everything > 0 else None

    @staticmethod
    def _seconds() -> tuple[float, float, float] | None:
        """Return three times in seconds: all processors, all processors without idle time, and this process."""
        with contextlib.suppress(OSError, AttributeError):
            first = Path("/proc/stat").read_text(encoding="ascii").splitlines()[0]
            ticks = [int(word) / os.sysconf("SC_CLK_TCK") for word in first.split()[1:9]]
            return sum(ticks), sum(ticks) - ticks[3] - ticks[4], time.process_time()  # without idle and iowait
        return None


def _status() -> dict[str, int]:
    """Return this process's memory in bytes, by Linux's names."""
    with contextlib.suppress(OSError):
        lines = [line.split() for line in Path("/proc/self/status").read_text().splitlines()]
        return {words[0].rstrip(":"): 1024 * int(words[1]) for words in lines if words[-1] == "kB"}
    return {}


def _timer(work: Callable[[], object], device: str, *, events: bool = False) -> Callable[[], float]:
    """Return a function that does the work once and returns its seconds."""

    def by_clock() -> float:
        start = time.perf_counter_ns()
        work()
        if device == "cuda":
            torch.cuda.synchronize()
        return (time.perf_counter_ns() - start) * 1e-9

    def by_events() -> float:
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        start.record()
        work()
        end.record()
        end.synchronize()
        return float(start.elapsed_time(end)) * 1e-3

    return by_events if events else by_clock


def _warm_up(call: Callable[[], float], tier: Tier) -> None:
    """Make calls until the times settle: five medians of `Tier.warm_group` calls lie within 5 % (or `warm_grows`)."""
    times: list[float] = []
    start = time.perf_counter()
    while (elapsed := time.perf_counter() - start) < tier.limit_seconds:
        if len(times) >= WARM_CALLS and elapsed >= tier.warm_limit_seconds:
            return
        if elapsed >= tier.warm_seconds and settled(times, tier.warm_group, tier.warm_grows, one_sided=tier.warm_grows):
            return
        times.append(call())


def settled(times: Sequence[float], group: int = 10, grows: bool = False, one_sided: bool = False) -> bool:
    """Return whether the medians of the latest five groups of calls show that a warm-up has ended.

    Args:
        times: seconds of each call.
        group: calls of a group; the groups grow to the second half of all calls where `grows` is true.
        grows: whether they do.
        one_sided: whether it is enough that the first group is at most 5 % above the lowest, which is so when the calls
            no longer become faster; all five must agree within 5 % otherwise.
    """
    if len(times) < 5 * group or len(times) % group:
        return False
    if grows:
        group = max(group, len(times) // 10)
    medians = np.median(np.reshape(times[-5 * group :], (5, group)), axis=1)
    return bool((medians[0] if one_sided else medians.max()) <= 1.05 * medians.min())


def _sample(call: Callable[[], float], tier: Tier) -> list[float]:
    """Return the seconds of each call, at least one."""
    times = [call()]
    look = 0.0
    start = time.perf_counter()
    while (elapsed := time.perf_counter() - start) < tier.limit_seconds:
        in_reach = len(times) * tier.p99_seconds > P99_CALLS * elapsed
        few = len(times) < P99_CALLS and elapsed < tier.p99_seconds and in_reach
        if elapsed >= max(tier.seconds, look) and len(times) >= MIN_CALLS and not few:
            if elapsed >= tier.unsteady_seconds or _iqr_share(times) < MOST_SCATTER:
                break
            look = elapsed + LOOK_SECONDS  # a look takes longer than a small model's call, and empties its caches
            call()
        times.append(call())
    return times


def _iqr_share(times: Sequence[float]) -> float:
    p25, p50, p75 = np.percentile(times, (25, 50, 75)).tolist()
    return float((p75 - p25) / p50)


class Sentinel:
    """A fixed matrix product and convolution, whose time says how fast the machine is, not the model.

    Args:
        device: where to compute.
        seconds: shortest time for which the work is timed, see `Tier.sentinel_seconds`.

    Attributes:
        first: seconds that the work took before the measurements; 0 before it was timed.
        last: seconds that it took after them; `first` until then.
    """

    first = last = 0.0

    def __init__(self, device: str, seconds: float) -> None:
        self.seconds = seconds
        generator = torch.Generator().manual_seed(0)
        matrix = torch.randn(192, 192, generator=generator).to(device)
        signal = torch.randn(1, 32, 512, generator=generator).to(device)
        kernel = torch.randn(32, 32, 9, generator=generator).to(device)

        def work() -> None:
            torch.mm(matrix, matrix)
            nn.functional.conv1d(signal, kernel)

        self._call = _timer(work, device)

    def begin(self) -> None:
        """Time the work before measurements, unless that was done."""
        if not self.first:
            self.first = self.last = self.time()

    def end(self) -> None:
        """Time the work after the measurements."""
        self.last = self.time()

    def judged(self, timing: Latency) -> Latency:
        """Return a timing that was taken between `begin` and `end`, with the machine's drift and its grade."""
        drift, slowest = self.last / self.first - 1, max(self.first, self.last)
        timing = replace(timing, sentinel_drift=drift, sentinel_ms=slowest * 1e3)
        return replace(timing, grade=timing.steadiness)

    def time(self) -> float:
        """Return the median of the seconds that the work takes now."""
        times: list[float] = []
        start = time.perf_counter()
        while len(times) < 20 or time.perf_counter() - start < self.seconds:
            times.append(self._call())
        return float(np.median(times[5:]))


@contextmanager
def _threads(threads: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
