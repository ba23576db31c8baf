"""Every format of `bench export` for every architecture, through the check; and ONNX's latency against eager's.

    .venv/bin/python benchmarks/exports.py --latency        # SwishNet's bars; with --seconds 5 where it takes a mean
    .venv/bin/python benchmarks/exports.py --table found.json  # fills docs/exports.md, a combination at a time

Models have random weights and ten classes, for clips of two seconds at 16 kHz; the widest ones are scaled down, because
whether they can be exported does not depend on their width. What the file `found.json` has already is not done again.
"""

import argparse
import json
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from bench import catalog
from bench.errors import RunError
from bench.inference import Classifier
from bench.inference.exporting import FORMATS, export, onnx_file
from bench.inference.exporting.gate import TOLERANCE
from bench.inference.exporting.subject import signals
from bench.training import build

RATE, SECONDS, CLASSES = 16_000, 2, 10
PAGE = Path(__file__).parents[1] / "docs" / "exports.md"
SCALED: dict[str, dict[str, float]] = {"rann": {"width": 1}} | {
    name: {"scale": 1 / 16} for name, entry in catalog.MODELS.items() if entry.target.startswith("models.panns:")
}


INTRODUCTION = f"""\
What `bench export` makes of each architecture with its front-end inside, written by `benchmarks/exports.py`.
Each file went through its own runtime, at several lengths and for one to three clips at once. The number is the largest
difference of a logit, as a share of the greatest logit; a file of more than {TOLERANCE:g} is not kept. In 8 bits it is
the share of test signals with the same likeliest class. Models have random weights, {CLASSES} classes and clips of
{SECONDS} s at {RATE // 1000} kHz; RANN and PANNs are scaled down. A file of one length refuses other lengths. A cross
means that there is no such file; the reasons are below the table."""


@dataclass(frozen=True)
class Cell:
    """What came of a combination."""

    text: str
    problem: str = ""


def classifier(name: str, seconds: int = SECONDS) -> Classifier:
    """Return an untrained model of the catalogue for clips of a length."""
    torch.manual_seed(0)
    shape = (seconds * RATE,)
    module = build.sized(name, catalog.model(name).frontend, SCALED.get(name, {}), shape, RATE, CLASSES)
    for part in module.modules():
        if isinstance(part, torch.nn.modules.batchnorm._BatchNorm) and part.running_mean is not None:
            part.momentum = 1.0
    module(signals(8, seconds * RATE, RATE))  # running statistics as of a training
    return Classifier(
        name=name, module=module.eval(), classes=tuple(map(str, range(CLASSES))), task="single", sample_rate=RATE,
        clip_shape=shape, clip_seconds=float(seconds),
    )  # fmt: skip


def cell(name: str, format: str) -> Cell:
    """Export a model and return what its check found."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            found = export(classifier(name), Path(folder) / f"model{FORMATS[format]}", format)
        except RunError as error:
            return Cell("no", str(error))
    length = "any length" if found.shape[1] is None else f"{SECONDS} s"
    if format == "onnx-int8":
        return Cell(f"{length}, {found.agreement:.0%} same, {found.bytes / 1000:,.0f} kB")
    return Cell(f"{length}, {found.difference:.0e}, {found.bytes / 1000:,.0f} kB")


def table(place: Path, models: list[str], formats: list[str]) -> None:
    """Fill the file of results, and write the page."""
    found: dict[str, dict[str, str]] = json.loads(place.read_text()) if place.exists() else {}
    for name in models:
        for format in formats:
            if f"{name} {format}" not in found:
                start = time.monotonic()
                found[f"{name} {format}"] = asdict(cell(name, format))
                place.write_text(json.dumps(found, indent=1))
                print(f"{name} {format}: {found[f'{name} {format}']} in {time.monotonic() - start:.0f} s", flush=True)
    PAGE.write_text(page(found))


def page(found: dict[str, dict[str, str]]) -> str:
    """Return the page of all results."""
    lines = [
        "# Exports",
        "",
        INTRODUCTION,
        "",
        "| model | " + " | ".join(FORMATS) + " |",
        "|---|" + "---|" * len(FORMATS),
    ]
    reasons: dict[str, list[str]] = {}
    for name in catalog.MODELS:
        row = []
        for format in FORMATS:
            one = found.get(f"{name} {format}")
            if one is None:
                row.append("not tried")
                continue
            row.append(one["text"] if not one["problem"] else "✗")
            if one["problem"]:
                reasons.setdefault(one["problem"].replace(name, "the model"), []).append(f"{name} as {format}")
        lines.append(f"| {name} | " + " | ".join(row) + " |")
    lines += ["", *(f"- {', '.join(which)}: {reason}" for reason, which in reasons.items())]
    return "\n".join(lines).rstrip() + "\n"


def latency(clips: int, lengths: int, own: int) -> None:
    """Print the difference and the latency of SwishNet in ONNX Runtime and in eager, by turns.

    Args:
        clips: number of clips.
        lengths: number of their lengths.
        own: seconds of the model's own clips; from 3 on, it decides on the mean over the clip.
    """
    model = classifier("swishnet", own)
    with tempfile.TemporaryDirectory() as folder:
        export(model, Path(folder) / "model.onnx", "onnx")
        run = onnx_file.runner(Path(folder) / "model.onnx", "clips")
        worst, sums = 0.0, np.zeros(2)
        for seconds in np.geomspace(0.5, 10, lengths):
            times: list[tuple[float, float]] = []
            for number in range(clips // lengths):
                clip = signals(clips, round(seconds * RATE), RATE)[number][None]
                for _ in range(20):
                    start = time.perf_counter()
                    eager = model.logits(clip)
                    between = time.perf_counter()
                    other = run(clip)
                    times.append((between - start, time.perf_counter() - between))
                worst = max(worst, float((eager - other).abs().max()))
            ours, theirs = found = 1e3 * np.median(times, 0)
            sums += found
            print(
                f"{seconds:5.2f} s: eager {ours:.2f} ms, ONNX Runtime {theirs:.2f} ms, {theirs / ours:.2f}", flush=True
            )
    print(f"all lengths together: {sums[1] / sums[0]:.2f}")
    print(f"largest difference of a logit over {clips} clips of {lengths} lengths: {worst:.1e}")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--latency", action="store_true")
    parser.add_argument("--seconds", type=int, default=SECONDS, help="of the model's own clips, for --latency")
    parser.add_argument("--table", type=Path)
    parser.add_argument("--model", action="append", choices=list(catalog.MODELS))
    parser.add_argument("--format", action="append", choices=list(FORMATS))
    asked = parser.parse_args()
    torch.set_num_threads(1)
    if asked.latency:
        latency(100, 10, asked.seconds)
    if asked.table:
        table(asked.table, asked.model or list(catalog.MODELS), asked.format or list(FORMATS))


if __name__ == "__main__":
    main()
