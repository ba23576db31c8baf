"""Complexity and latency of a fusion, worked out by hand for two members."""

from dataclasses import replace

import pytest

from bench.records import Complexity, Latency, Record, Run, combined

QUICK = Latency(
    device="x", device_type="cpu", threads=1, clip_seconds=2.0, p50_ms=4.0, p90_ms=9.0, p99_ms=10.0, iqr_share=0.05,
    samples=2000, throughput=200.0, real_time_factor=0.002, load=0.5, sentinel_drift=-0.2, grade="B",
)  # fmt: skip
SLOW = replace(
    QUICK, p50_ms=6.0, p90_ms=7.0, p99_ms=8.0, iqr_share=0.15, samples=100, throughput=100.0, real_time_factor=0.003,
    load=0.1, sentinel_drift=0.1, sentinel_ms=0.2, grade="A",
)  # fmt: skip


def member(model, *latencies, **sizes):
    size = {"parameters": 1, "macs": 2, "frontend_macs": 3, "bytes": 4, "clip_seconds": 2.0} | sizes
    run = Run(model=model, frontend="logmel", dataset="esc10")
    return Record(run=run, status="ok", complexity=Complexity(**size), latencies=latencies)


def test_sizes_add_up():
    found = combined.fusion_complexity([member("cnn"), member("fc", parameters=10, macs=20, elementwise=7)])
    assert found == Complexity(
        parameters=11, macs=22, frontend_macs=6, elementwise=7, bytes=8, clip_seconds=2.0
    )  # fmt: skip


def test_latencies_one_after_another_and_side_by_side():
    one, other = combined.fusion_latencies([member("cnn", QUICK), member("fc", SLOW)])
    assert (one.combined, other.combined) == ("sum", "parallel")
    assert (one.p50_ms, one.p90_ms, one.p99_ms) == (10.0, 16.0, 18.0)
    assert one.iqr_share == pytest.approx((0.05 * 4 + 0.15 * 6) / 10)
    assert one.throughput == pytest.approx(1 / (1 / 200 + 1 / 100))
    assert one.real_time_factor == pytest.approx(0.010 / 2)
    assert (other.p50_ms, other.p90_ms, other.p99_ms, other.iqr_share) == (6.0, 9.0, 8.0, 0.15)
    assert (other.throughput, other.real_time_factor) == (100.0, 0.003)
    for found in (one, other):
        assert (found.grade, found.samples, found.load, found.sentinel_drift) == ("B", 100, 0.5, -0.2)
        assert found.sentinel_ms == 0.2


def test_only_what_every_member_was_timed_in_adds_up():
    gpu = replace(QUICK, device="y", device_type="cuda")
    both = [member("cnn", QUICK, gpu), member("fc", gpu, SLOW)]
    assert [(x.device_type, x.combined, x.p50_ms) for x in combined.fusion_latencies(both)] == [
        ("cpu", "sum", 10.0), ("cpu", "parallel", 6.0), ("cuda", "sum", 8.0), ("cuda", "parallel", 4.0),
    ]  # fmt: skip
    assert [x.device_type for x in combined.fusion_latencies([*both, member("ltc", SLOW)])] == ["cpu", "cpu"]
    assert combined.fusion_latencies([member("cnn", QUICK), member("fc", replace(SLOW, threads=2))]) == ()
    assert combined.fusion_latencies([member("cnn", QUICK), member("fc")]) == ()


def test_a_sum_has_a_99th_percentile_only_where_all_have_one():
    one, _ = combined.fusion_latencies([member("cnn", QUICK), member("fc", replace(SLOW, p99_ms=None))])
    assert one.p99_ms is None
