"""How fast a trained model is."""

from dataclasses import dataclass
from typing import Any, Literal

from pydantic import with_config

from bench.records.canonical import STRICT

Scope = Literal["end-to-end", "model", "step"]
Grade = Literal["A", "B", "C"]


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
        sentinel_ms: the slower of those two times, which `bench.records.grades` compares with other timings'; None in
            early records.
        others: share of all the machine's processors that others took meanwhile; None where the system does not tell,
            and in early records.
        grade: A, B or C; C is not ranked.
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
    def ranked(self) -> bool:
        """Whether it is steady enough to be compared with others."""
        return self.grade != "C"
