"""Grades of timings beside each other: clocks move and hosts are shared, which no timing can tell from within."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from bench.records.latency import Grade, Latency
from bench.records.record import Record

SLOWER_B = 1.05
SLOWER_C = 1.10
"""How many times as slow as at its fastest the machine may be, lest what was timed be of grade B, or of grade C."""


def graded(timings: Sequence[Latency]) -> list[Latency]:
    """Return timings, graded also by how slow the machine was beside when it was fastest.

    A machine that is slow throughout looks steady from within: all that is timed on it agrees, and agrees with nothing
    that is timed an hour later. So the fixed workload's times (`sentinel_ms`) are compared, on each device and number
    of threads. Of one process the grade is at best B: whether another would agree is not known.
    """
    fastest: dict[tuple[str, int], float] = {}
    for timing in timings:
        if timing.sentinel_ms is not None:
            machine = timing.device, timing.threads
            fastest[machine] = min(timing.sentinel_ms, fastest.get(machine, timing.sentinel_ms))
    return [_graded(timing, fastest.get((timing.device, timing.threads))) for timing in timings]


def _graded(timing: Latency, fastest: float | None) -> Latency:
    found: Grade = "B" if timing.processes == 1 else "A"
    if timing.sentinel_ms is not None and fastest is not None:
        slower = timing.sentinel_ms / fastest
        found = "C" if slower > SLOWER_C else "B" if slower > SLOWER_B else found
    return replace(timing, grade=max(timing.grade, found))


def disturbance(timings: Sequence[Latency]) -> dict[str, Any]:
    """Return the worst of what disturbed any of these timings, by the names of `Latency`'s attributes."""
    return {
        "load": max(timing.load for timing in timings),
        "sentinel_drift": max((timing.sentinel_drift for timing in timings), key=abs),
        "sentinel_ms": max(timing.sentinel_ms or 0.0 for timing in timings) or None,
        "others": max((timing.others for timing in timings if timing.others is not None), default=None),
    }


def records(found: Mapping[str, Record]) -> dict[str, Record]:
    """Return records whose timings are graded beside each other's."""
    timings = iter(graded([timing for record in found.values() for timing in record.latencies]))
    return {
        key: replace(record, latencies=tuple(next(timings) for _ in record.latencies)) for key, record in found.items()
    }
