"""Latency of a trained model, and the grade that says whether a timing can be compared with other timings.

A record keeps the evidence: spread, drift, other load, samples, the reference workload's time. `graded` computes the
grade from it, and everything that shows a grade calls `graded`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

from pydantic import with_config

from bench.records.canonical import STRICT

Scope = Literal["end-to-end", "model", "step"]
Grade = Literal["A", "B", "C"]

MIN_CALLS = 50
MOST_SCATTER = 0.25
"""Share of the median that the interquartile range of a ranked timing stays below."""
"""Number of timed calls below which a timing has at best grade B."""


@with_config(STRICT)
@dataclass(frozen=True, kw_only=True)
class Latency:
    """Speed on one device, for single clips or for batches.

    A fusion's latency is not measured. It follows from its members' latencies (`combined`): their sum if the members
    run one after another, or the slowest if they run in parallel. The members' medians are added up, and likewise
    their deciles; the sum only approximates the median of the fusion. The fusion rule takes microseconds and is left
    out.

    Attributes:
        device: name of processor or GPU.
        device_type: "cpu" or "cuda".
        threads: intra-operator threads.
        dtype: of the weights, or the number format that the backend converts them to.
        backend: name in the catalogue; it computes the logits from the features.
        scope: "end-to-end" from the waveform (or embedding) in host memory to the logits in host memory, "model" from
            the features, or "step" for one frame of a recurrent model that keeps its state between frames.
        batch: clips per call; only 1 is ranked.
        clip_seconds: length of the clip.
        p50_ms: median time of a call.
        p90_ms: 90th percentile.
        p99_ms: 99th percentile; None below 1,000 samples.
        iqr_share: interquartile range / median.
        samples: number of timed calls.
        throughput: clips per second; frames per second in the scope "step".
        real_time_factor: computing time per second of sound.
        load: one-minute load average before the measurement.
        sentinel_drift: relative change of a fixed workload (the sentinel) timed before and after the measurement.
        sentinel_ms: the slower of these two times; `graded` compares it between timings. None in early records.
        others: share of all the machine's processors that other processes used during the measurement; None where the
            system does not report it, and in early records.
        grade: A, B or C; C is not ranked. A record keeps the grade of the measurement alone. Tables show the grade of
            `graded`, which also compares the timings with each other.
        combined: how the members' latencies were combined; None for a measured latency.
        processes: number of separate processes that measured it; the numbers are of the process with the median p50.
        spread: slowdown of the slowest process against the fastest; None for one process.
        peak_bytes: memory that model and runtime took during the timing, in addition to the process's memory before;
            torch and the kernels of the front-ends are loaded before.
        deviation: greatest difference of a logit from the trained model's, over the compared clips.
        agreement: share of the compared clips whose top class is the same.
        software: packages of the backend, with versions; empty in early records, which have them in the environment.
        frontend: the package whose kernels computed the features, with its version; empty where torch did.
    """

    device: str
    device_type: Literal["cpu", "cuda"]
    threads: int
    dtype: str = "float32"
    backend: str = "eager"
    scope: Scope = "end-to-end"
    batch: int = 1
    clip_seconds: float
    p50_ms: float
    p90_ms: float
    p99_ms: float | None = None
    iqr_share: float
    samples: int
    throughput: float
    real_time_factor: float
    load: float
    sentinel_drift: float
    sentinel_ms: float | None = None
    others: float | None = None
    grade: Grade
    combined: Literal["sum", "parallel"] | None = None
    processes: int = 1
    spread: float | None = None
    peak_bytes: int | None = None
    deviation: float | None = None
    agreement: float | None = None
    software: str = ""
    frontend: str = ""

    @property
    def conditions(self) -> tuple[Any, ...]:
        """Everything that must be equal before two timings may be combined."""
        where = self.device, self.device_type, self.threads, self.dtype, self.software
        return *where, self.backend, self.scope, self.batch, self.clip_seconds

    @property
    def steadiness(self) -> Grade:
        """The grade of the measurement alone.

        The bounds for B and C are: interquartile range / median from 10 and 25 % (`MOST_SCATTER`); processor time of
        other processes from 10 and 25 %; drift of the fixed workload above 5 and 25 %; slowdown of the slowest process
        against the fastest above 5 and 10 %. Fewer than `MIN_CALLS` calls are B.
        """
        drift, busy, spread = abs(self.sentinel_drift), self.others or 0.0, self.spread or 0.0
        if self.iqr_share >= MOST_SCATTER or busy >= 0.25 or drift > 0.25 or spread > 0.10:
            return "C"
        if self.iqr_share >= 0.10 or busy >= 0.10 or drift > 0.05 or spread > 0.05 or self.samples < MIN_CALLS:
            return "B"
        return "A"

    @property
    def ranked(self) -> bool:
        """Whether the timing is steady enough to be compared with other timings."""
        return self.grade != "C"


def _with_names(of: type) -> None:
    """Let all objects of a dataclass share one table of names: the first object that sets them makes it."""
    first: Any = object.__new__(of)
    for each in fields(of):
        object.__setattr__(first, each.name, None)


_with_names(Latency)


def grade(timing: Latency, fastest_ms: float | None = None) -> Grade:
    """Return the grade of a timing compared with other timings: the worst of the recorded grade and all evidence.

    A machine that is slow throughout looks steady from within: its timings agree with each other, but not with timings
    of an hour later. Therefore the fixed workload's time is compared with the machine's fastest time: a slowdown above
    5 % gives B, above 10 % gives C. A timing of one process is at best B, because nothing shows that a second process
    would agree.

    Args:
        timing: measured or combined.
        fastest_ms: shortest time of the fixed workload on this device with as many threads; None if unknown.
    """
    slowdown = timing.sentinel_ms / fastest_ms if timing.sentinel_ms is not None and fastest_ms is not None else 1.0
    compared: Grade = "C" if slowdown > 1.10 else "B" if slowdown > 1.05 or timing.processes == 1 else "A"
    return max(timing.grade, timing.steadiness, compared)


def graded(timings: Sequence[Latency]) -> list[Latency]:
    """Return the timings with grades that compare them with each other, per device and number of threads."""
    fastest: dict[tuple[str, int], float] = {}
    for timing in timings:
        if timing.sentinel_ms is not None:
            machine = timing.device, timing.threads
            fastest[machine] = min(timing.sentinel_ms, fastest.get(machine, timing.sentinel_ms))
    grades = [grade(one, fastest.get((one.device, one.threads))) for one in timings]
    return [one if one.grade == found else with_grade(one, found) for one, found in zip(timings, grades, strict=True)]


def with_grade(timing: Latency, grade: Grade) -> Latency:
    """Return `replace(timing, grade=grade)` in less time and memory: a store may have thousands of timings."""
    copy = object.__new__(Latency)
    for name, value in vars(timing).items():  # one by one, so that all copies share the table of names
        object.__setattr__(copy, name, grade if name == "grade" else value)
    return copy


def aggregate(timings: Sequence[Latency]) -> Latency:
    """Return the timing of the process with the median p50, with the worst disturbance and grade of any process.

    Args:
        timings: of the same work, one per process.
    """
    chosen = sorted(timings, key=lambda timing: timing.p50_ms)[(len(timings) - 1) // 2]
    if len(timings) == 1:
        return chosen
    medians = [timing.p50_ms for timing in timings]
    spread = max(medians) / min(medians) - 1
    found = replace(chosen, processes=len(timings), spread=spread, **disturbance(timings))
    return replace(found, grade=max(found.steadiness, *(timing.grade for timing in timings)))


def disturbance(timings: Sequence[Latency]) -> dict[str, Any]:
    """Return the worst disturbances of these timings, by the names of `Latency`'s attributes."""
    return {
        "load": max(timing.load for timing in timings),
        "sentinel_drift": max((timing.sentinel_drift for timing in timings), key=abs),
        "sentinel_ms": max(timing.sentinel_ms or 0.0 for timing in timings) or None,
        "others": max((timing.others for timing in timings if timing.others is not None), default=None),
    }
