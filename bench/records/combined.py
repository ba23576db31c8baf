"""Complexity and latency of a fusion, computed from the records of its members without measuring again."""

from collections.abc import Sequence
from dataclasses import replace

from bench.records.latency import Latency, disturbance
from bench.records.record import Complexity, Record, Segmentation


def fusion_complexity(members: Sequence[Record]) -> Complexity:
    """Return the sum of the members' complexities; every finished run has one."""
    sizes = [member.complexity for member in members if member.complexity]
    return Complexity(
        parameters=sum(s.parameters for s in sizes),
        macs=sum(s.macs for s in sizes),
        frontend_macs=sum(s.frontend_macs for s in sizes),
        elementwise=sum(s.elementwise for s in sizes),
        bytes=sum(s.bytes for s in sizes),
        clip_seconds=sizes[0].clip_seconds,
    )


def fusion_segmentation(members: Sequence[Segmentation]) -> Segmentation:
    """Return the cost of a fusion's time lines: the sum of the members', at the finest of their hops."""
    return Segmentation(
        form="fusion",
        hop_seconds=min(each.hop_seconds for each in members),
        macs_per_second=sum(each.macs_per_second for each in members),
        frontend_macs_per_second=sum(each.frontend_macs_per_second for each in members),
        streams=members[0].streams,
        stream_seconds=members[0].stream_seconds,
    )


def fusion_latencies(members: Sequence[Record]) -> tuple[Latency, ...]:
    """Return the fusion's latencies: the sum and the maximum for each condition under which all members were timed."""
    found: list[Latency] = []
    for first in members[0].latencies if members else ():
        alike = [next((x for x in m.latencies if x.conditions == first.conditions), None) for m in members]
        timings = [x for x in alike if x]
        if len(timings) == len(members):
            found += [_sum(timings), _parallel(timings)]
    return tuple(found)


def _sum(timings: Sequence[Latency]) -> Latency:
    """Return the latency of members that run one after another."""
    p50_ms = sum(x.p50_ms for x in timings)
    p99s = [x.p99_ms for x in timings if x.p99_ms is not None]
    return replace(
        _shared(timings),
        p50_ms=p50_ms,
        p90_ms=sum(x.p90_ms for x in timings),
        p99_ms=sum(p99s) if len(p99s) == len(timings) else None,
        iqr_share=sum(x.iqr_share * x.p50_ms for x in timings) / p50_ms,
        throughput=1 / sum(1 / x.throughput for x in timings),
        real_time_factor=1e-3 * p50_ms / timings[0].clip_seconds,
        combined="sum",
    )


def _parallel(timings: Sequence[Latency]) -> Latency:
    """Return the latency of members that run in parallel, each on its own device: the latency of the slowest."""
    slowest = max(timings, key=lambda x: x.p50_ms)
    return replace(
        _shared(timings),
        p50_ms=slowest.p50_ms,
        p90_ms=max(x.p90_ms for x in timings),
        p99_ms=slowest.p99_ms,
        iqr_share=slowest.iqr_share,
        throughput=min(x.throughput for x in timings),
        real_time_factor=slowest.real_time_factor,
        combined="parallel",
    )


def _shared(timings: Sequence[Latency]) -> Latency:
    """Return the first timing with the weakest evidence of all: fewest samples, worst grade, largest spread."""
    return replace(
        timings[0],
        samples=min(x.samples for x in timings),
        grade=max(x.grade for x in timings),
        processes=min(x.processes for x in timings),
        spread=max((x.spread for x in timings if x.spread is not None), default=None),
        peak_bytes=None,  # members may share memory, so their peaks do not add up
        deviation=None,  # a member's deviation is not the fusion's
        agreement=None,
        **disturbance(timings),
    )
