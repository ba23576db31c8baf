"""Measurements in new, pinned processes; their aggregate; batches; steps; timing a store again."""

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from fakes import processes
from fakes.timings import TIMED
from torch import nn

from bench.errors import ProfileError
from bench.profiling import isolated, measure
from bench.profiling.measure import Tier, measure_latency
from bench.records import Latency, aggregate
from bench.training import build
from models.base import AudioModel, ModelError
from models.frontends.none import NoFrontend
from models.lstm_skip import LSTMSkip

SHORT = Tier(warm_seconds=0.0, warm_limit_seconds=0.0, seconds=0.01, limit_seconds=0.1, sentinel_seconds=0.01)


@pytest.mark.process
def test_a_fresh_process_is_pinned() -> None:
    before = os.sched_getaffinity(0)
    one, two = (isolated.fresh(processes.about, 1) for _ in range(2))
    assert len({os.getpid(), one["process"], two["process"]}) == 3
    assert one["pinned"] == isolated.cores(1)
    assert len(one["pinned"]) == one["threads"] == 1
    assert one["variable"] == "1"
    assert os.sched_getaffinity(0) == before


@pytest.mark.process
def test_what_goes_wrong_in_a_fresh_process_is_told() -> None:
    with pytest.raises(ProfileError, match="KeyError: 'cause'"):
        isolated.fresh(processes.fails, 1)
    with pytest.raises(ProfileError, match="ended with exit code 7"):
        isolated.fresh(processes.dies, 1)


def test_threads_lie_on_cores_of_their_own_first(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3})
    siblings = {0: "0-1", 1: "0-1", 2: "2-3", 3: "2-3"}
    real = isolated.Path

    def path(name: str):
        file = tmp_path / name.replace("/", "_")
        file.write_text(siblings[int(name.split("/cpu/cpu")[1].split("/")[0])] + "\n")
        return real(file)

    monkeypatch.setattr(isolated, "Path", path)
    assert isolated.cores(1) == {3}
    assert isolated.cores(2) == {3, 1}
    assert isolated.cores(3) == {3, 1, 2}
    with pytest.raises(ProfileError, match="5 threads cannot be pinned to 4 processors"):
        isolated.cores(5)


@pytest.mark.process
def test_a_model_is_timed_in_both_scopes_and_on_batches() -> None:
    model, shape, seconds = build.untrained("fc", 5, 1.0, 16000, None, None)
    x = torch.rand(1, *shape)
    with isolated.LatencyTarget(model, x, seconds, tier=SHORT) as subject:
        whole, part = (subject.latency("eager", scope) for scope in isolated.SCOPES)
        rows = subject.sweep("eager", "model", 4)
    assert (whole.scope, part.scope) == ("end-to-end", "model")
    assert whole.deviation == part.deviation == 0
    assert whole.agreement == 1
    assert whole.software == f"torch {torch.__version__}"
    assert whole.peak_bytes > 0
    assert [row.batch for row in rows] == [1, 2, 4]
    for row in rows:
        assert row.real_time_factor == pytest.approx(row.p50_ms / 1000 / row.batch)
    assert model.training  # left as it was
    assert not subject.folder.exists()


@pytest.mark.process
def test_nothing_is_measured_until_what_goes_on_meanwhile_has_ended(tmp_path: Path) -> None:
    model, shape, seconds = build.untrained("fc", 5, 1.0, 16000, None, None)
    layer = next(part for part in model.modules() if isinstance(part, nn.Linear))
    calls = tmp_path / "calls"
    layer.noted = calls  # type: ignore[assignment]
    layer.register_forward_hook(processes.note_call)
    ends = []

    def meanwhile() -> None:
        time.sleep(1.5)  # longer than it takes to load the model
        ends.append(time.monotonic())

    with isolated.LatencyTarget(model, torch.rand(1, *shape), seconds, tier=SHORT) as subject:
        calls.unlink()
        found = subject.latencies(meanwhile=meanwhile)
    called = [float(line) for line in calls.read_text().split()]
    assert len(ends) == 1
    assert len(called) > sum(one.samples for one in found)
    assert min(called) > ends[0]


def test_a_sweep_ends_where_more_clips_bring_nothing() -> None:
    clips_per_second = {1: 10.0, 2: 18.0, 4: 17.0, 8: 30.0, 16: 29.0, 32: 30.0, 64: 99.0}

    def time(batch: int) -> Latency:
        return replace(TIMED, batch=batch, throughput=clips_per_second[batch])

    rows = isolated.grow(time, 64)
    assert [row.batch for row in rows] == [1, 2, 4, 8, 16, 32]  # 16 and 32 are no better than 8
    assert isolated.best(rows).batch == 8
    assert [row.batch for row in isolated.grow(time, 6)] == [1, 2, 4]
    assert isolated.best([*rows, replace(TIMED, batch=64, throughput=99.0, grade="C")]).batch == 8


@pytest.mark.parametrize(
    ("medians", "grades", "expected"),
    [
        ((4.0, 4.1, 4.19), "AAA", "A"),
        ((4.0, 4.1, 4.3), "AAA", "B"),
        ((4.0, 4.1, 4.5), "AAA", "C"),
        ((4.0, 4.1, 4.1), "ABA", "B"),
        ((4.0, 4.1, 4.1), "CAA", "C"),
    ],
)
def test_processes_that_disagree_lose_the_grade(medians, grades, expected) -> None:
    found = aggregate([replace(TIMED, p50_ms=m, grade=g) for m, g in zip(medians, grades, strict=True)])
    assert (found.p50_ms, found.grade, found.processes) == (4.1, expected, 3)
    assert found.spread == pytest.approx(medians[2] / medians[0] - 1)
    assert found.ranked == (expected != "C")


class Jumpy(nn.Module):
    """As slow as a machine whose neighbour takes the processor every other call."""

    calls = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        Jumpy.calls += 1
        until = measure.time.perf_counter() + (0.002 if Jumpy.calls % 2 else 0.006)
        while measure.time.perf_counter() < until:
            pass
        return x


@pytest.mark.slow
def test_calls_that_a_neighbour_interrupts_are_not_ranked() -> None:
    found = measure_latency(Jumpy(), torch.ones(1, 4), 1.0, tier=replace(SHORT, seconds=0.2, limit_seconds=1.0))
    assert found.grade == "C"
    assert not found.ranked


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("ltc", {"units": 16, "steps": 5}),
        ("cfc", {"units": 16, "steps": 5}),
        ("cnn-ltc", {"units": 16, "steps": 5, "width": 4}),
        ("cnn-cfc", {"units": 16, "steps": 5, "width": 4}),
    ],
)
def test_the_last_step_gives_the_logits_of_the_clip(name: str, arguments: dict[str, int]) -> None:
    torch.manual_seed(0)
    model = build.sized(name, "logmel", arguments, (16000,), 16000, 3).eval()
    check_steps(model, torch.rand(2, 16000), 5)


@pytest.mark.slow
@pytest.mark.parametrize("pooling", ["mean", "max", "last"])
def test_the_last_step_of_a_forward_lstm(pooling: str) -> None:
    torch.manual_seed(0)
    model = LSTMSkip(NoFrontend(), 8, 6, 3, hidden=5, bidirectional=False, pooling=pooling).eval()  # type: ignore[arg-type]
    check_steps(model, torch.rand(2, 6, 8) + 0.1, 6)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "frontend"), [("swishnet", "mfcc"), ("snn", "mfcc-deltas")])
@pytest.mark.parametrize("clips", [1, 2])
def test_the_last_step_of_models_that_decide_on_frames(name: str, frontend: str, clips: int) -> None:
    torch.manual_seed(0)
    model = build.sized(name, frontend, {}, (4800,), 16000, 3).eval()
    check_steps(model, torch.rand(clips, 4800) - 0.5, 30)


def test_a_mean_over_swishnets_clip_has_no_step() -> None:
    model = build.sized("swishnet", "mfcc", {"read_out": "mean"}, (4800,), 16000, 3)
    with pytest.raises(ModelError, match="no step-by-step inference with read_out 'mean'"):
        model.stream(torch.rand(1, 20, 30))


def check_steps(model: AudioModel, x: torch.Tensor, steps: int) -> None:
    with torch.inference_mode():
        frames = model.stream(model.frontend(x))
        assert frames.shape[2] == steps
        state = None
        for frame in frames.unbind(2):
            logits, state = model.step(frame, state)
        torch.testing.assert_close(logits, model(x), atol=1e-6, rtol=1e-5)
    found = measure_latency(model, x[:1], 1.0, scope="step", tier=SHORT)
    assert found.scope == "step"
    assert found.real_time_factor == pytest.approx(steps * found.p50_ms / 1000)


@pytest.mark.slow
def test_what_hears_a_clip_as_a_whole_has_no_step() -> None:
    for model in (
        LSTMSkip(NoFrontend(), 8, 6, 3),
        LSTMSkip(NoFrontend(), 8, 6, 3, bidirectional=False, pooling="flatten"),
        build.sized("fc", "none", {}, (6, 8), None, 3),
    ):
        with pytest.raises(ModelError, match="no step-by-step inference"):
            model.stream(torch.rand(1, 8, 6))
        with pytest.raises(ProfileError, match=r"no time per step.*no step-by-step inference"):
            measure_latency(model, torch.rand(1, 6, 8), 6.0, scope="step", tier=SHORT)


@pytest.mark.process
@pytest.mark.slow
def test_a_timing_that_hangs_is_ended_and_says_where_it_was():
    with pytest.raises(ProfileError, match=r"longer than 0.02 minutes .*; it was in hangs \(processes.py:"):
        isolated.fresh(processes.hangs, 1, longest=1.2)
