"""`bench latency`: the speed of one model, untrained by name or trained from a store, on the backends asked for."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from bench import catalog, records
from bench.cli.options import (
    MODEL,
    MOST_THREADS,
    App,
    AsJson,
    Classes,
    DataDir,
    Device,
    Embedding,
    FrontendName,
    NamesCode,
    SampleRate,
    Seconds,
    err,
    line_width,
    out,
    permit,
    permit_suite,
    print_json,
    wrapped,
)  # fmt: skip
from bench.errors import BenchError, ProfileError, SuiteError
from bench.runner.settings import data_folder

if TYPE_CHECKING:
    from bench.leaderboard.render.table import Table
    from bench.profiling.isolated import LatencyTarget
    from bench.profiling.measure import Tier
    from bench.records import Latency, Scope

app = App()
TierName = StrEnum("TierName", ["quick", "full"])
ScopeName = StrEnum("ScopeName", [("end_to_end", "end-to-end"), ("model", "model"), ("step", "step")])
"""Values of `bench.records.Scope`, which is not imported for the help's sake."""
DeviceName = Literal["cpu", "cuda"]


@app.command()
def latency(
    model: Annotated[str | None, MODEL] = None,
    run: Annotated[
        str | None,
        typer.Option(
            help="A trained run to time on a test clip, instead of MODEL: its key, or SUITE:SYSTEM (@f0 for a fold)."
        ),
    ] = None,
    store: Annotated[Path, typer.Option(help="Where that run's record and weights are.")] = Path("runs"),
    suite: NamesCode = None,
    data_dir: DataDir = None,
    classes: Classes = 10,
    seconds: Seconds = None,
    sample_rate: SampleRate = 32000,
    frontend: FrontendName = None,
    embedding: Embedding = None,
    device: Annotated[Device, typer.Option(help="Where to time.")] = Device.cpu,
    threads: Annotated[
        int, typer.Option(min=1, max=MOST_THREADS, help="Intra-operator threads, each pinned to a core.")
    ] = 1,
    backend: Annotated[
        list[str] | None,
        typer.Option(help="A backend of `bench list backends`, or all (repeatable).", show_default="eager"),
    ] = None,
    scope: Annotated[
        list[ScopeName] | None,
        typer.Option(
            help="end-to-end, model (from the features on) or step (one frame of a recurrent model); repeatable.",
            show_default="end-to-end and model",
        ),
    ] = None,
    batch_sizes: Annotated[
        int | None,
        typer.Option(
            min=1, help="Also time batches of 2, 4, 8, ... clips, up to this number, and give the best throughput."
        ),
    ] = None,
    tier: Annotated[
        TierName, typer.Option(help="quick: 1 s in one process. full: 5 s in each of three.")
    ] = TierName.full,
    as_json: AsJson = False,
) -> None:
    """Time a model on single clips. Each measurement runs in a fresh process that is pinned to its cores."""
    from bench.profiling import isolated
    from bench.profiling.measure import TIERS
    from bench.runner.progress import Steps

    if (model is None) == (run is None):
        raise SuiteError("name a MODEL, or a trained run with --run KEY --store DIR, not both")
    names = list(catalog.BACKENDS) if "all" in (backend or ()) else list(dict.fromkeys(backend or ["eager"]))
    permit(model, frontend, *names)
    permit_suite(suite)
    for name in names:
        catalog.backend(name)
    where = _device(device)
    if run is not None:
        subject = _trained(run, store, data_folder(data_dir), where, threads, TIERS[tier.value])
    else:
        assert model is not None
        subject = _untrained(
            (model, classes, seconds, sample_rate, frontend, embedding), where, threads, TIERS[tier.value]
        )
    scopes: list[Scope] = [each.value for each in scope] if scope else list(isolated.SCOPES)
    found: list[Latency] = []
    refused: dict[str, str] = {}
    steps = [(name, each) for name in names for each in scopes if each != "step" or name == "eager"]
    each_seconds = subject.tier.expected_seconds
    with subject, Steps(err, _measurements(steps, batch_sizes), each_seconds) as progress:
        for name, each in steps:
            planned = _measurements([(name, each)], batch_sizes)
            before = progress.done

            def time(batch: int, name: str = name, each: "Scope" = each) -> "Latency":
                with progress.step(f"{name}, {each}" + (f", {batch} clips at once" if batch > 1 else "")):
                    return subject.latency(name, each, batch)

            try:
                found += isolated.grow(time, batch_sizes) if batch_sizes and each != "step" else [time(1)]
            except ProfileError as error:
                refused[name if each != "step" else "step"] = str(error)
            progress.skip(planned - (progress.done - before))
    found = records.graded(found)
    if as_json:
        print_json({
            "model": model or run, "clip_seconds": subject.clip_seconds,
            "timings": [asdict(one) for one in found], "not_timed": refused,
        })  # fmt: skip
    elif found:
        from bench.leaderboard.render.terminal import fitted

        table = _table(f"{model or run}, a clip of {subject.clip_seconds:g} s", found)
        for part in fitted(table, line_width(out), _LEAST_IMPORTANT, "the output of --json"):
            out.print(part)
        _say_best(found)
        first = found[0]
        software = max((one.software for one in found), key=len)
        line = (
            f"{first.device}, {first.threads} thread(s), {software}; load {first.load:.1f} before. C is too noisy to "
            f"compare, or was timed while the machine was slower."
        )
        out.print(wrapped(line, line_width(out), indent=0), markup=False, highlight=False)
    for name, reason in refused.items():
        line = wrapped(f"not timed: {name}: {reason}", line_width(err))
        err.print(line, markup=False, highlight=False)
    if not found:
        raise typer.Exit(1)


def _measurements(steps: "Sequence[tuple[str, Scope]]", largest: int | None) -> int:
    """Return how many measurements there are at most: one of each step, or of each number of clips at once."""
    sweep = largest.bit_length() if largest else 1
    return sum(1 if scope == "step" else sweep for _, scope in steps)


def _device(asked: Device) -> DeviceName:
    import torch

    if asked is Device.cuda and not torch.cuda.is_available():
        raise BenchError("torch sees no CUDA device: use --device cpu, or install the CUDA build of torch")
    return "cuda" if asked is not Device.cpu and torch.cuda.is_available() else "cpu"


def _untrained(
    asked: tuple[str, int, float | None, int, str | None, str | None], device: DeviceName, threads: int, tier: "Tier"
) -> "LatencyTarget":
    """Return a model with fresh random weights, and noise as its clips."""
    import torch

    from bench.profiling import isolated
    from bench.training import build

    built, shape, length = build.untrained(*asked)
    noise = torch.Generator().manual_seed(0)
    low = 0.0 if asked[5] else -1.0
    clips = [torch.rand(1, *shape, generator=noise) * (1 - low) + low for _ in range(8)]
    return isolated.LatencyTarget(
        built, clips[0], length, calibration=clips[1:5], clips=clips[5:], device=device, threads=threads, tier=tier
    )


def _trained(
    reference: str, folder: Path, data_dir: Path, device: DeviceName, threads: int, tier: "Tier"
) -> "LatencyTarget":
    """Return a run's trained model, and clips of its dataset."""
    from bench.inference import references
    from bench.runner import timings
    from bench.training import build

    store = records.Store(folder.resolve())
    parts = references.find(reference, store)
    if len(parts) > 1:
        raise SuiteError(f"{reference} is {len(parts)} runs: time one of them, such as --run {parts[0].key}")
    record = store.finished_record(parts[0].key, "the run to time")
    data = build.dataset(record.run, data_dir, store.cache, skip_unreadable=bool(record.data and record.data.left_out))
    data.setup()
    return timings.latency_target(build.load(record.run, store, data), data, device, threads, tier)


def _table(title: str, found: "list[Latency]") -> "Table":
    """Lay the timings out; those too noisy to compare in grey."""
    from bench.leaderboard.render.table import Cell, Head, Table

    return Table(
        title=title,
        heads=tuple(Head(head, is_text=head in ("backend", "scope")) for head in _HEADS),
        rows=tuple(tuple(Cell(text, grey=not one.ranked) for text in _texts(one)) for one in found),
    )


_HEADS = (
    "backend", "scope", "clips", "p50 ms", "p90 ms", "p99 ms", "IQR/p50", "calls", "grade", "a second", "real-time",
    "peak MB", "deviation", "same top",
)  # fmt: skip
_LEAST_IMPORTANT = ("calls", "IQR/p50", "p99 ms", "real-time", "same top", "deviation", "peak MB", "a second", "clips")
"""Columns that a narrow terminal leaves out, the least important one first."""


def _texts(one: "Latency") -> Iterator[str]:
    """Yield the cells of a timing's row, in the order of `_HEADS`."""
    from bench.runner.progress import rounded
    from bench.text import NONE

    yield from (one.backend, one.scope, str(one.batch), rounded(one.p50_ms, 3), rounded(one.p90_ms, 3))
    yield NONE if one.p99_ms is None else rounded(one.p99_ms, 3)
    yield from (rounded(100 * one.iqr_share, 0, "%"), str(one.samples), one.grade, f"{one.throughput:.4g}")
    yield f"{one.real_time_factor:.2g}"
    yield NONE if one.peak_bytes is None else rounded(one.peak_bytes / 1e6, 0)
    yield NONE if one.deviation is None else f"{one.deviation:.1g}"
    yield NONE if one.agreement is None else rounded(100 * one.agreement, 0, "%")


def _say_best(found: "list[Latency]") -> None:
    """Name the batch with the highest throughput, for each backend and scope that more than one was tried of."""
    from bench.profiling.isolated import best

    groups: dict[tuple[str, str], list[Latency]] = {}
    for one in found:
        groups.setdefault((one.backend, one.scope), []).append(one)
    for (name, scope), group in groups.items():
        if len(group) > 1:
            top = best(group)
            out.print(
                f"best throughput, {name}, {scope}: {top.throughput:.4g} clips/s, {top.batch} at once ({top.grade})",
                markup=False, highlight=False,
            )  # fmt: skip
