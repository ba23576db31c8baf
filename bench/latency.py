"""Speed of a model for one clip at batch 1. A fresh process for each measurement is the caller's business."""

import copy
import gc
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from bench import environment
from bench.errors import ProfileError
from bench.records import Latency
from models.base import AudioModel

Grade = Literal["A", "B", "C"]


@dataclass(frozen=True, kw_only=True)
class Tier:
    """How long to measure.

    Attributes:
        warm_seconds: warm up at least so long, and ten calls, and until the time of a call has settled ...
        warm_limit_seconds: ... but, after ten calls, no longer than this.
        seconds: measure at least so long, and 50 calls ...
        limit_seconds: ... but no longer than this; nor does the warm-up last longer.
    """

    warm_seconds: float
    warm_limit_seconds: float
    seconds: float
    limit_seconds: float


TIERS = {
    "quick": Tier(warm_seconds=0.25, warm_limit_seconds=0.8, seconds=1.0, limit_seconds=4.0),
    "full": Tier(warm_seconds=1.0, warm_limit_seconds=5.0, seconds=5.0, limit_seconds=60.0),
}
WARM_CALLS = 10
CALLS = 50
P99_CALLS = 1000
SENTINEL_SECONDS = 0.1  # several time slices, lest a neighbour's look like a drift


def measure(
    model: nn.Module,
    x: Tensor,
    clip_seconds: float,
    *,
    device: Literal["cpu", "cuda"] = "cpu",
    threads: int = 1,
    scope: Literal["end-to-end", "model"] = "end-to-end",
    tier: Literal["quick", "full"] = "quick",
) -> Latency:
    """Time single calls on one clip, in eval and inference mode with the garbage collector off.

    On the CPU the clock is `perf_counter_ns`. On a GPU "end-to-end" is the wall clock from the clip in host memory to
    the logits in host memory, both copies included, and "model" is the time between two CUDA events around the call.
    The grade is by interquartile range / median: A below 10 %, B below 25 %, else C. It is at best B where a fixed
    workload (the sentinel) timed before and after moved by more than 5 %, and where fewer than 50 calls fitted into the
    time; C where the sentinel moved by more than 25 %.

    Args:
        model: maps `x` to logits `(1, C)`; a copy of it is timed.
        x: one clip in host memory, `(1, S)` or `(1, T, F)`, not all zeros.
        clip_seconds: length of the clip.
        device: where to run.
        threads: intra-operator threads; the number set before is set again at the end.
        scope: from the clip, or from the front-end's features, which are then ready on the device.
        tier: how long to measure.

    Raises:
        ProfileError: not one clip, only zeros, no GPU, no front-end to leave out, or logits that are not finite.
    """
    if x.shape[0] != 1:
        raise ProfileError(f"latency is of one clip, got a batch of {x.shape[0]}: pass x[:1]")
    if not x.any():
        raise ProfileError("latency of a clip of zeros says nothing of real ones: pass a clip with sound")
    if device == "cuda" and not torch.cuda.is_available():
        raise ProfileError("there is no GPU here that torch can use: measure with device cpu")
    load = os.getloadavg()[0]
    with _threads(threads), torch.inference_mode(), _no_garbage_collection():
        timed = copy.deepcopy(model).to(device).eval()
        clip = x.cpu()
        if scope == "model":
            if not isinstance(timed, AudioModel):
                raise ProfileError(f"{type(model).__name__} has no front-end to leave out: use scope end-to-end")
            features = timed.frontend(clip.to(device))
            call = _timer(lambda: timed.classify(features), device, events=device == "cuda")
        elif device == "cuda":
            call = _timer(lambda: timed(clip.to(device)).cpu(), device)
        else:
            call = _timer(lambda: timed(clip), device)
        if not timed(clip.to(device)).isfinite().all():
            raise ProfileError(f"{type(model).__name__} gives logits that are not finite for this clip: train it anew")
        sentinel = _sentinel(device)
        _warm_up(call, TIERS[tier])
        before = sentinel()
        call()  # fills the caches again
        times = _sample(call, TIERS[tier])
        drift = sentinel() / before - 1
    p25, p50, p75, p90, p99 = np.percentile(times, (25, 50, 75, 90, 99)).tolist()
    iqr_share = (p75 - p25) / p50
    return Latency(
        device=(environment.gpu() if device == "cuda" else None) or environment.processor(),
        device_type=device,
        threads=threads,
        dtype=str(next((p.dtype for p in model.parameters()), x.dtype)).removeprefix("torch."),
        scope=scope,
        clip_seconds=clip_seconds,
        p50_ms=p50 * 1e3,
        p90_ms=p90 * 1e3,
        p99_ms=p99 * 1e3 if len(times) >= P99_CALLS else None,
        iqr_share=iqr_share,
        samples=len(times),
        throughput=len(times) / sum(times),
        real_time_factor=p50 / clip_seconds,
        load=load,
        sentinel_drift=drift,
        grade=grade(iqr_share, drift, len(times)),
    )


def grade(iqr_share: float, sentinel_drift: float, samples: int) -> Grade:
    """Say how far a timing can be trusted; see `measure`."""
    if iqr_share >= 0.25 or abs(sentinel_drift) > 0.25:
        return "C"
    if iqr_share >= 0.10 or abs(sentinel_drift) > 0.05 or samples < CALLS:
        return "B"
    return "A"


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
    """Call until the caches, the clock rate and the allocator have settled: five medians of ten calls within 5 %."""
    times: list[float] = []
    start = time.perf_counter()
    while (elapsed := time.perf_counter() - start) < tier.limit_seconds:
        if len(times) >= WARM_CALLS and elapsed >= tier.warm_limit_seconds:
            return
        if elapsed >= tier.warm_seconds and _settled(times):
            return
        times.append(call())


def _settled(times: list[float]) -> bool:
    if len(times) < 50 or len(times) % 10:
        return False
    medians = np.median(np.reshape(times[-50:], (5, 10)), axis=1)
    return bool(medians.max() <= 1.05 * medians.min())


def _sample(call: Callable[[], float], tier: Tier) -> list[float]:
    """Return the seconds of each call, at least one."""
    times = [call()]
    start = time.perf_counter()
    while (elapsed := time.perf_counter() - start) < tier.limit_seconds:
        if elapsed >= tier.seconds and len(times) >= CALLS:
            break
        times.append(call())
    return times


def _sentinel(device: str) -> Callable[[], float]:
    """Return a function that times a fixed matrix product and convolution: the machine's speed, not the model's."""
    generator = torch.Generator().manual_seed(0)
    matrix = torch.randn(192, 192, generator=generator).to(device)
    signal = torch.randn(1, 32, 512, generator=generator).to(device)
    kernel = torch.randn(32, 32, 9, generator=generator).to(device)

    def work() -> None:
        torch.mm(matrix, matrix)
        nn.functional.conv1d(signal, kernel)

    call = _timer(work, device)

    def median() -> float:
        times: list[float] = []
        start = time.perf_counter()
        while len(times) < 20 or time.perf_counter() - start < SENTINEL_SECONDS:
            times.append(call())
        return float(np.median(times[5:]))

    return median


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
