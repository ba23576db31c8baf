"""How fast a trained model is, and how far such timings can be compared.

A record keeps the evidence: spread, drift, other load, samples, the reference workload's time. `graded` makes the grade
of it, and everything that shows a grade calls it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from pydantic import with_config

from bench.records.canonical import STRICT

Scope = Literal["end-to-end", "model", "step"]
Grade = Literal["A", "B", "C"]

MIN_CALLS = 50
"""Timed calls below which a timing is at best of grade B."""


@with_config(STRICT)
@dataclass(frozen=True, kw_only=True)
class Latency:
    """Speed on one device, of single clips or of several at once.

    A fusion's is not measured but follows from its members' (`combined`): their sum, one after another, or the slowest
    of them, side by side. What adds up are the members' medians and deciles, which the median and decile of the sum
    are only near to; the rule that combines them takes microseconds and is left out.

    Attributes:
        device: name of processor or GPU.
        device_type: "cpu" or "cuda".
        threads: intra-operator threads.
        dtype: of the weights, or what the backend makes of them.
        backend: name in the catalogue; what runs the model from the features on.
        scope: "end-to-end" from the waveform (or embedding) in host memory to the logits there, "model" from the
            features, or "step" for one frame of a recurrent model that remembers the frames before.
        batch: clips at once; only 1 is ranked.
        clip_seconds: length of the clip.
        p50_ms: median of a call.
        p90_ms: ninth decile.
        p99_ms: 99th percentile; None below 1,000 samples.
        iqr_share: interquartile range / median.
        samples: number of timed calls.
        throughput: clips per second; frames per second in the scope "step".
        real_time_factor: time per second of sound.
        load: one-minute load average before the measurement.
        sentinel_drift: relative change of a fixed workload (the sentinel) timed before and after.
        sentinel_ms: the slower of those two times, which `graded` compares with other timings'; None in early records.
        others: share of all the machine's processors that others took meanwhile; None where the system does not tell,
            and in early records.
        grade: A, B or C; C is not ranked. A record keeps the grade of the measurement alone; the grade that tables show
            is `graded`, which also compares the timing with others.
        combined: how a fusion's members were put together; None where it was measured.
        processes: processes that measured it, each anew; the numbers are of the one in the middle.
        spread: how much slower the slowest process was than the fastest; None for one.
        peak_bytes: memory that model and runtime took while they were timed, beyond what the process had before.
        deviation: greatest difference of a logit from the trained model's, over the clips it was compared on.
        agreement: share of those clips whose top class is the same.
        software: packages of the backend, with versions; empty in early records, see their environment.
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

    @property
    def conditions(self) -> tuple[Any, ...]:
        """What two timings must have in common to be put together."""
        where = self.device, self.device_type, self.threads, self.dtype, self.software
        return *where, self.backend, self.scope, self.batch, self.clip_seconds

    @property
    def steadiness(self) -> Grade:
        """The grade of the measurement alone.

        A below these bounds, B from the first one on, C from the second one on: interquartile range / median 10 and
        25 %; processors' time that others took 10 and 25 %; drift of the fixed workload above 5 and 25 %; difference of
        the slowest process from the fastest above 5 and 10 %. Fewer than `MIN_CALLS` calls are B.
        """
        drift, busy, spread = abs(self.sentinel_drift), self.others or 0.0, self.spread or 0.0
        if self.iqr_share >= 0.25 or busy >= 0.25 or drift > 0.25 or spread > 0.10:
            return "C"
        if self.iqr_share >= 0.10 or busy >= 0.10 or drift > 0.05 or spread > 0.05 or self.samples < MIN_CALLS:
            return "B"
        return "A"

    @property
    def ranked(self) -> bool:
        """Whether it is steady enough to be compared with others."""
        return self.grade != "C"


def grade(timing: Latency, fastest_ms: float | None = None) -> Grade:
    """Return how far a timing can be compared with others: the worst of the recorded grade and all evidence.

    A machine that is slow throughout looks steady from within: all that is timed on it agrees, and agrees with nothing
    that is timed an hour later. So the fixed workload's time is compared with the machine's fastest: the grade is B
    from 5 % slower on, C from 10 %. A timing of one process is at best B: whether another process would agree is not
    known.

    Args:
        timing: any.
        fastest_ms: shortest time of the fixed workload on this device with as many threads; None where it is unknown.
    """
    slowdown = timing.sentinel_ms / fastest_ms if timing.sentinel_ms is not None and fastest_ms is not None else 1.0
    compared: Grade = "C" if slowdown > 1.10 else "B" if slowdown > 1.05 or timing.processes == 1 else "A"
    return max(timing.grade, timing.steadiness, compared)


def graded(timings: Sequence[Latency]) -> list[Latency]:
    """Return timings with the grades that they get next to each other, each on its device and number of threads."""
    fastest: dict[tuple[str, int], float] = {}
    for timing in timings:
        if timing.sentinel_ms is not None:
            machine = timing.device, timing.threads
            fastest[machine] = min(timing.sentinel_ms, fastest.get(machine, timing.sentinel_ms))
    return [replace(one, grade=grade(one, fastest.get((one.device, one.threads)))) for one in timings]


def aggregate(timings: Sequence[Latency]) -> Latency:
    """Return the timing of the process in the middle, with the worst disturbance and grade that any process met.

    Args:
        timings: of the same work, one for each process.
    """
    chosen = sorted(timings, key=lambda timing: timing.p50_ms)[(len(timings) - 1) // 2]
    if len(timings) == 1:
        return chosen
    medians = [timing.p50_ms for timing in timings]
    spread = max(medians) / min(medians) - 1
    found = replace(chosen, processes=len(timings), spread=spread, **disturbance(timings))
    return replace(found, grade=max(found.steadiness, *(timing.grade for timing in timings)))


def disturbance(timings: Sequence[Latency]) -> dict[str, Any]:
    """Return the worst of what disturbed any of these timings, by the names of `Latency`'s attributes."""
    return {
        "load": max(timing.load for timing in timings),
        "sentinel_drift": max((timing.sentinel_drift for timing in timings), key=abs),
        "sentinel_ms": max(timing.sentinel_ms or 0.0 for timing in timings) or None,
        "others": max((timing.others for timing in timings if timing.others is not None), default=None),
    }
