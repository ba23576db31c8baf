"""A timing without a flaw."""

from bench.records import Latency

TIMED = Latency(
    device="x", device_type="cpu", threads=1, clip_seconds=2.0, p50_ms=4.0, p90_ms=9.0, p99_ms=10.0, iqr_share=0.05,
    samples=2000, throughput=200.0, real_time_factor=0.002, load=0.5, sentinel_drift=0.0, grade="A",
)  # fmt: skip
