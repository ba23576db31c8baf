"""What a fusion costs, from the records of its members: nothing is measured again."""

from collections.abc import Sequence
from dataclasses import replace

from bench.records.latency import Latency, disturbance
from bench.records.record import Complexity, Record


def size(members: Sequence[Record]) -> Complexity:
    """Return the sum of the members' sizes; all of them have one, as every finished run."""
    sizes = [member.complexity for member in members if member.complexity]
    return Complexity(
        parameters=sum(s.parameters for s in sizes),
        macs=sum(s.macs for s in sizes),
        frontend_macs=sum(s.frontend_macs for s in sizes),
        elementwise=sum(s.elementwise for s in sizes),
        bytes=sum(s.bytes for s in sizes),
        clip_seconds=sizes[0].clip_seconds,
    )


def latencies(members: Sequence[Record]) -> tuple[Latency, ...]:
    """Return the fusion's latencies, the sum and the parallel one of each kind that all members were timed in."""
    found: list[Latency] = []
    for first in members[0].latencies if members else ():
        alike = [next((x for x in m.latencies if x.conditions == first.conditions), None) for m in members]
        timings = [x for x in alike if x]
        if len(timings) == len(members):
            found += [_sum(timings), _parallel(timings)]
    return tuple(found)


def _sum(timings: Sequence[Latency]) -> Latency:
    """Return the latency of members that answer one after another."""
    p50_ms = sum(x.p50_ms for x in timings)
    p99s = [x.p99_ms for x in timings if x.p99_ms is not None]
    return replace(
        _together(timings),
        p50_ms=p50_ms,
        p90_ms=sum(x.p90_ms for x in timings),
        p99_ms=sum(p99s) if len(p99s) == len(timings) else None,
        iqr_share=sum(x.iqr_share * x.p50_ms for x in timings) / p50_ms,
        throughput=1 / sum(1 / x.throughput for x in timings),
        real_time_factor=1e-3 * p50_ms / timings[0].clip_seconds,
        combined="sum",
    )


def _parallel(timings: Sequence[Latency]) -> Latency:
    """Return the latency of members that answer side by side, each on a device of its own: the slowest one's."""
    slowest = max(timings, key=lambda x: x.p50_ms)
    return replace(
        _together(timings),
        p50_ms=slowest.p50_ms,
        p90_ms=max(x.p90_ms for x in timings),
        p99_ms=slowest.p99_ms,
        iqr_share=slowest.iqr_share,
        throughput=min(x.throughput for x in timings),
        real_time_factor=slowest.real_time_factor,
        combined="parallel",
    )


def _together(timings: Sequence[Latency]) -> Latency:
    """Return what both have in common: the least sure of everything."""
    return replace(
        timings[0],
        samples=min(x.samples for x in timings),
        grade=max(x.grade for x in timings),
        processes=min(x.processes for x in timings),
        spread=max((x.spread for x in timings if x.spread is not None), default=None),
        peak_bytes=None,  # two members may share their weights' memory or not
        deviation=None,  # a member's is none of the fusion
        agreement=None,
        **disturbance(timings),
    )
