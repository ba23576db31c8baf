"""`bench stream`."""

import json
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.cli import inputs
from bench.cli.options import MOST_THREADS, STDOUT, App, CsvFile, DataDir, Device, RunReference, StoreDir, err, out, say
from bench.cli.segment import (
    Delay,
    Hop,
    Hysteresis,
    MeanLength,
    MedianLength,
    MinDuration,
    Threshold,
    Windows,
    recording,
)
from bench.errors import RunError, SuiteError

if TYPE_CHECKING:
    from bench.inference.classifier import Samples

app = App()


@app.command()
def stream(
    run: RunReference,
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="FILE", help="An audio file, or - for WAV or raw PCM on standard input.", show_default=False
        ),
    ] = None,
    microphone: Annotated[bool, typer.Option("--microphone", help="Listen to the microphone until Ctrl-C.")] = False,
    input_device: Annotated[
        str | None,
        typer.Option(help="Number or name of the microphone; `python -m sounddevice` lists them.", show_default=False),
    ] = None,
    rate: Annotated[
        int | None,
        typer.Option(help="Hertz of raw PCM on standard input, 16 bits, little-endian (s16le).", show_default=False),
    ] = None,
    channels: Annotated[int, typer.Option(help="Channels of raw PCM.")] = 1,
    chunk: Annotated[float, typer.Option(help="Seconds of sound that are processed at a time.")] = 0.1,
    store: StoreDir = Path("runs"),
    windows: Windows = False,
    hop: Hop = None,
    mean: MeanLength = None,
    median: MedianLength = None,
    hysteresis: Hysteresis = None,
    min_duration: MinDuration = None,
    threshold: Threshold = None,
    delay: Delay = None,
    threads: Annotated[int, typer.Option(min=1, max=MOST_THREADS, help="Threads of the model.")] = 1,
    device: Annotated[Device, typer.Option(help="Where to compute.")] = Device.cpu,
    data_dir: DataDir = None,
    csv_file: CsvFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, one object per line.")] = False,
) -> None:
    """Classify sound while it arrives, and print each change of class with its time."""
    import torch

    from bench.inference import load_model, sources
    from bench.inference.segments import Smoothing
    from bench.inference.streaming import Stream

    if name is None and not microphone:
        raise SuiteError("name a file, - for standard input, or --microphone")
    if name is not None and microphone:
        raise SuiteError(f"{name!r} and --microphone cannot both be listened to: give only one of them")
    file = None if name is None else recording(name)
    if (rate is not None or channels != 1) and str(file) != "-":
        raise SuiteError("--rate and --channels are for raw PCM on standard input: use them with -")
    if channels != 1 and rate is None:
        raise SuiteError("--channels is for raw PCM, whose --rate must be given, too")
    if as_json and csv_file == STDOUT:
        raise SuiteError("--json and --csv - both write to standard output: use one of them")
    inputs.refuse_replacing([("--csv", csv_file)], [] if file is None else [file], run)
    if input_device is not None and not microphone:
        raise SuiteError("--input-device is for --microphone")
    try:
        raw = None if rate is None else sources.PCM(rate, channels)
    except RunError as error:
        raise SuiteError(str(error)) from error
    torch.set_num_threads(threads)
    model = load_model(run, store, device=device.value, data_dir=data_dir)
    inputs.refuse_replacing([("--csv", csv_file)], (), run, model)
    smoothing = Smoothing.of(
        model.records, mean_seconds=mean, median_seconds=median, hysteresis=hysteresis, min_seconds=min_duration,
        threshold=threshold, delay_seconds=delay,
    )  # fmt: skip
    if not 1 <= (samples := chunk * model.rate()) <= 60 * model.rate():
        raise SuiteError(f"a chunk of {chunk:g} s is not between a sample and a minute: use 0.01 s or more")
    size = round(samples)
    listening = Stream(model, smoothing, windows, hop)
    listening.warm_up()

    def lost() -> None:
        listening.overflows += 1

    def arriving() -> "Iterator[Samples]":
        if microphone:
            number = int(input_device) if input_device is not None and input_device.isdigit() else input_device
            ready = partial(say, err, "listening; Ctrl-C ends")
            return sources.from_microphone(model.rate(), size, number, lost, ready)
        assert file is not None  # checked above
        if str(file) != "-":
            return sources.from_file(file, model.rate(), size)
        return sources.from_pipe(sys.stdin.buffer, model.rate(), size, raw)

    changes = []
    if csv_file == STDOUT:
        out.print(_HEAD, markup=False, highlight=False)
    try:
        for change in listening.run(arriving()):
            if csv_file == STDOUT:
                out.print(_row(change, model.classes), markup=False, highlight=False)
                continue
            changes.append(change) if csv_file is not None else None
            content: dict[str, Any] = {
                "time": round(change.time, 6),
                "class": model.classes[change.label] if change.label >= 0 else None,
                "begins": change.begins,
                "probability": round(change.probability, 6),
            }
            out.print(json.dumps(content) if as_json else _line(content, model.task), markup=False, highlight=False)
    except KeyboardInterrupt:
        if not microphone and str(file) != "-":
            raise
    if csv_file is not None and csv_file != STDOUT:
        _write(csv_file, changes, model.classes)
    report = listening.report()
    if as_json:
        out.print(json.dumps({"report": _content(report)}), markup=False, highlight=False)
    else:
        say(err, _words(report))


def _line(content: dict[str, Any], task: str) -> str:
    from bench.text import plain

    name = plain(content["class"]) if content["class"] is not None else "(no class)"
    if task == "multi":
        name = f"{'+' if content['begins'] else '-'} {name}"
    return f"{content['time']:10.2f}  {content['probability']:4.2f}  {name}"


_HEAD = "time,class,begins,probability"


def _row(change: Any, classes: tuple[str, ...]) -> str:
    """Return a change as a line of CSV."""
    from bench.text import csv_cell

    name = _quoted(csv_cell(classes[change.label])) if change.label >= 0 else ""
    return f"{change.time:.3f},{name},{int(change.begins)},{change.probability:.4f}"


def _write(path: Path, changes: list[Any], classes: tuple[str, ...]) -> None:
    from bench.records import write_whole

    rows = [_HEAD, *(_row(each, classes) for each in changes)]
    try:
        write_whole(path, ("\n".join(rows) + "\n").encode())
    except OSError as error:
        raise RunError(f"{str(path)!r} cannot be written ({error.strerror}): name another file") from error


def _quoted(cell: str) -> str:
    quote = '"'
    return f"{quote}{cell.replace(quote, 2 * quote)}{quote}" if {",", quote} & set(cell) else cell


def _content(report: Any) -> dict[str, Any]:
    from dataclasses import asdict

    content: dict[str, Any] = asdict(report)
    del content["reactions"]
    return content | {
        "real_time_factor": report.real_time_factor,
        "reaction": report.reaction,
        "largest_reaction": report.largest_reaction,
    }


def _words(report: Any) -> str:
    factor = "no sound" if report.real_time_factor is None else f"real-time factor {report.real_time_factor:.4f}"
    memory = "all before" if report.memory is None else f"{report.memory:.2f} s"
    lines = [
        f"{report.seconds:.1f} s of sound in chunks of {report.chunk_seconds:g} s, {factor} "
        f"(longest chunk {1e3 * report.largest_chunk_seconds:.1f} ms)",
        f"a decision depends on {memory} of sound before it and {report.look_ahead:.3f} s after it; smoothing adds up "
        f"to {report.smoothing_delay:.2f} s",
    ]
    if report.reaction is not None:
        lines.append(
            f"changes were certain {report.reaction:.2f} s after their time (median; at most "
            f"{report.largest_reaction:.2f} s)"
        )
    if report.overflows:
        lines.append(f"sound was lost {report.overflows} times: use a larger --chunk or a smaller model")
    return "\n".join(lines)
