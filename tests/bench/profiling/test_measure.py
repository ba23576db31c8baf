"""Timings against known work, the grade, and what a measurement leaves as it was."""

import gc
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from bench.errors import ProfileError
from bench.profiling import measure
from bench.profiling.measure import Tier, measure_latency
from bench.records import Latency
from models.base import AudioModel
from models.frontends.logmel import LogMel
from models.swishnet import SwishNet


class Frames(nn.Module):
    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds

    def forward(self, x: Tensor) -> Tensor:
        time.sleep(self.seconds)
        return x.unflatten(1, (-1, 8)).mT  # (B, 8, T)


class Slow(AudioModel):
    """Sleeps a known time in the front-end and in the model; notes how it is called."""

    def __init__(self, frontend_seconds: float = 0.0, seconds: float = 0.0, logit: float = 0.0) -> None:
        super().__init__(Frames(frontend_seconds), 8, 4, 3)
        self.seconds = seconds
        self.head = nn.Linear(8, 3)
        self.seen: list[tuple[bool, bool, bool, int]] = []
        nn.init.constant_(self.head.bias, logit)

    def __deepcopy__(self, memo: object) -> "Slow":
        twin = Slow(self.frontend.seconds, self.seconds)  # type: ignore[arg-type]
        twin.load_state_dict(self.state_dict())
        twin.seen = self.seen
        return twin

    def classify(self, features: Tensor) -> Tensor:
        time.sleep(self.seconds)
        self.seen.append((self.training, torch.is_inference_mode_enabled(), gc.isenabled(), torch.get_num_threads()))
        return self.head(features.mean(2))

    @property
    def output(self) -> nn.Linear:
        return self.head


CLIP = torch.linspace(-1, 1, 32)[None]


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiers that end soon."""
    tier = Tier(warm_seconds=0.01, warm_limit_seconds=0.02, seconds=0.1, limit_seconds=0.3, sentinel_seconds=0.01)
    monkeypatch.setattr(measure, "TIERS", {"quick": tier, "full": tier})


@pytest.mark.slow
@pytest.mark.usefixtures("short")
def test_known_work_is_timed() -> None:
    found = measure_latency(Slow(0.002, 0.003), CLIP, 0.5)
    assert found.p50_ms >= 5.0  # and on a busy machine any more
    assert found.p50_ms <= found.p90_ms
    assert found.real_time_factor == pytest.approx(found.p50_ms / 500)
    assert found.throughput <= 200
    assert (found.scope, found.device_type, found.dtype, found.backend) == ("end-to-end", "cpu", "float32", "eager")
    assert found.clip_seconds == 0.5
    assert found.load >= 0


@pytest.mark.slow
@pytest.mark.usefixtures("short")
def test_scope_model_leaves_the_front_end_out() -> None:
    found = measure_latency(Slow(0.020, 0.002), CLIP, 0.5, scope="model")
    assert found.p50_ms >= 2.0
    assert found.scope == "model"


@pytest.mark.slow
@pytest.mark.usefixtures("short")
def test_calls_are_in_eval_and_inference_mode_without_garbage_collection() -> None:
    model = Slow().train()
    before = torch.get_num_threads()
    found = measure_latency(model, CLIP, 0.5, threads=2)
    assert set(model.seen) == {(False, True, False, 2)}
    assert found.threads == 2
    assert torch.get_num_threads() == before
    assert gc.isenabled()
    assert model.training


@pytest.mark.slow
@pytest.mark.usefixtures("short")
def test_everything_is_restored_after_an_error() -> None:
    before = torch.get_num_threads()
    with pytest.raises(ProfileError, match="not finite"):
        measure_latency(Slow(logit=float("nan")), CLIP, 0.5, threads=2)
    assert torch.get_num_threads() == before
    assert gc.isenabled()


@pytest.mark.slow
@pytest.mark.usefixtures("short")
def test_p99_needs_a_thousand_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Slow()
    for n, expected in ((999, False), (1000, True)):
        monkeypatch.setattr(measure, "_sample", lambda *_, n=n: [i / 1000 for i in range(1, n + 1)])
        found = measure_latency(model, CLIP, 1.0)
        assert (found.p99_ms is not None) == expected
    assert found.p50_ms == pytest.approx(500.5)  # of 1, 2, ... 1000 ms, interpolated
    assert found.p90_ms == pytest.approx(900.1)
    assert found.p99_ms == pytest.approx(990.01)
    assert found.iqr_share == pytest.approx((750.25 - 250.75) / 500.5)
    assert found.throughput == pytest.approx(1000 / 500.5)
    assert found.grade == "C"


@pytest.mark.parametrize(
    ("iqr_share", "drift", "samples", "expected"),
    [
        (0.09, 0.0, 50, "A"),
        (0.09, 0.05, 50, "A"),
        (0.09, 0.06, 50, "B"),
        (0.09, -0.06, 50, "B"),
        (0.09, 0.26, 50, "C"),
        (0.09, -0.26, 50, "C"),
        (0.10, 0.0, 50, "B"),
        (0.24, 0.25, 50, "B"),
        (0.25, 0.0, 50, "C"),
        (0.01, 0.0, 49, "B"),
    ],
)
def test_grade(iqr_share: float, drift: float, samples: int, expected: str) -> None:
    assert steadiness(iqr_share, drift, samples) == expected


def steadiness(iqr_share: float, drift: float, samples: int, others: float | None = None) -> str:
    """Return the grade of a timing with this evidence."""
    return Latency(
        device="x", device_type="cpu", threads=1, clip_seconds=2.0, p50_ms=4.0, p90_ms=9.0, iqr_share=iqr_share,
        samples=samples, throughput=200.0, real_time_factor=0.002, load=0.5, sentinel_drift=drift, others=others,
        grade="A",
    ).steadiness  # fmt: skip


@pytest.mark.parametrize(("others", "expected"), [(None, "A"), (0.09, "A"), (0.1, "B"), (0.24, "B"), (0.25, "C")])
def test_grade_beside_other_processes(others: float | None, expected: str) -> None:
    assert steadiness(0.01, 0.0, 50, others) == expected


@pytest.mark.slow
def test_a_steady_load_is_not_ranked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The processors spent 1,000 seconds in the meantime; 400 were busy, and this process had a few of these."""
    ticks = os.sysconf("SC_CLK_TCK")
    words = [f"cpu {user * ticks} 0 0 {idle * ticks} 0 0 0 0 0 0\n" for user, idle in ((70, 900), (470, 1500))]

    def read_text(path: Path, *how: str, **more: str) -> str:
        return words.pop(0) if path == Path("/proc/stat") else real(path, *how, **more)

    real = Path.read_text
    monkeypatch.setattr(Path, "read_text", read_text)
    found = measure_latency(
        Slow(),
        CLIP,
        1.0,
        tier=Tier(warm_seconds=0, warm_limit_seconds=0, seconds=0, limit_seconds=1, sentinel_seconds=0.01),
    )
    assert words == []
    assert found.others is not None
    assert 0.25 <= found.others <= 0.4
    assert found.grade == "C"


@pytest.mark.slow
@pytest.mark.usefixtures("short")
def test_the_sentinel_sees_that_the_machine_became_slower(monkeypatch: pytest.MonkeyPatch) -> None:
    speeds = iter((0.001, 0.0013))
    monkeypatch.setattr(measure.Sentinel, "time", lambda _: next(speeds))
    monkeypatch.setattr(measure, "_sample", lambda *_: [0.001] * 60)
    found = measure_latency(Slow(), CLIP, 1.0)
    assert found.sentinel_drift == pytest.approx(0.3)
    assert found.grade == "C"


def clocked(
    monkeypatch: pytest.MonkeyPatch, seconds: Callable[[int], float]
) -> tuple[Callable[[], float], list[float]]:
    """Put a clock in place that only the calls move, the n-th by `seconds(n)`; return the call and all times."""
    times: list[float] = []
    monkeypatch.setattr(measure.time, "perf_counter", lambda: sum(times))

    def call() -> float:
        times.append(seconds(len(times)))
        return times[-1]

    return call, times


QUICK = measure.TIERS["quick"]


@pytest.mark.parametrize(
    ("seconds", "calls"),
    [(0.001, 1000), (0.05, 40), (0.25, 10), (1.0, 4)],
    ids=["a second", "2 s at most", "but ten calls", "4 s at the very most"],
)
def test_length_of_the_warm_up(monkeypatch: pytest.MonkeyPatch, seconds: float, calls: int) -> None:
    call, times = clocked(monkeypatch, lambda _: seconds)
    measure._warm_up(call, QUICK)
    assert calls <= len(times) <= calls + 9


def test_warm_up_waits_until_the_times_have_settled(monkeypatch: pytest.MonkeyPatch) -> None:
    call, times = clocked(monkeypatch, lambda n: max(0.012 - n * 6e-5, 0.006))  # falls until call 100
    measure._warm_up(call, QUICK)
    assert len(times) == 150  # a second has passed at 117; calls 90 to 99 are 5.5 % above the end


GROWING = measure.Tier(
    warm_seconds=0.05, warm_limit_seconds=4.0, seconds=0.2, limit_seconds=4.0, warm_group=3, warm_grows=True
)


def test_a_first_timings_warm_up_ends_while_other_programs_make_calls_slower(monkeypatch: pytest.MonkeyPatch) -> None:
    call, times = clocked(monkeypatch, lambda n: 0.005 * (1.2 if n // 10 % 2 else 1.0))  # every other ten calls
    measure._warm_up(call, GROWING)
    assert len(times) == 15  # the last two of the five groups are slower than the first


def test_a_first_timings_warm_up_waits_while_calls_become_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    call, times = clocked(monkeypatch, lambda n: max(0.012 - n * 6e-5, 0.006))  # falls until call 100
    measure._warm_up(call, GROWING)
    assert len(times) == 168  # the median of calls 88 to 103 is 4.5 % above the end; that of 85 to 100 was 7.5 %


@pytest.mark.parametrize(("seconds", "calls"), [(0.001, 1000), (0.05, 50), (0.2, 20), (5.0, 1)])
def test_number_of_calls(monkeypatch: pytest.MonkeyPatch, seconds: float, calls: int) -> None:
    call, _ = clocked(monkeypatch, lambda _: seconds)
    assert len(measure._sample(call, QUICK)) == pytest.approx(calls, abs=1)


@pytest.mark.parametrize(
    ("is_slow", "calls"),
    [
        (lambda n: False, 200),
        (lambda n: n < 30, 170),
        (lambda n: n < 100 and n % 2, 250),  # at the look 0.1 s later, 50 slow ones are less than a quarter
        (lambda n: n % 2, 667),  # the limit of a second
    ],
    ids=["undisturbed", "some", "many for a moment", "many"],
)
def test_a_short_measurement_of_which_much_is_disturbed_goes_on(
    monkeypatch: pytest.MonkeyPatch, is_slow: Callable[[int], bool], calls: int
) -> None:
    call, times = clocked(monkeypatch, lambda n: 0.002 if is_slow(n) else 0.001)
    measure._sample(call, replace(GROWING, unsteady_seconds=1.0))
    assert len(times) == pytest.approx(calls, abs=8)  # each look is followed by a call that is not counted


@pytest.mark.parametrize(
    ("x", "device", "words"),
    [
        (torch.ones(2, 32), "cpu", "one clip"),
        (torch.zeros(1, 32), "cpu", "silent clip"),
        (torch.ones(1, 32), "cuda", "no GPU"),
    ],
)
def test_refusals(monkeypatch: pytest.MonkeyPatch, x: Tensor, device: str, words: str) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ProfileError, match=words):
        measure_latency(Slow(), x, 1.0, device=device)  # type: ignore[arg-type]


@pytest.mark.usefixtures("short")
def test_timings_from_the_waveform_are_with_kernels_and_say_so() -> None:
    frontend = LogMel(16000)
    model = SwishNet(frontend, 64, 20, 3).eval()
    x = torch.randn(1, 3200)
    timing = measure_latency(model, x, 0.2)
    assert timing.frontend.startswith("numba ")
    assert timing.deviation is not None
    assert timing.deviation < 1e-3
    assert measure_latency(model, x, 0.2, scope="model").frontend == ""
    assert not any(getattr(part, "kernels_allowed", False) for part in model.modules())
