"""Training steps of 2-D convolutional models on a CPU: `precision = "auto"` against float32, through Lightning.

    .venv/bin/python benchmarks/train_step.py [--model NAME ...] [--processor-time] [--write docs/speed.md]

Three trainings of a model take turns in one process: "32-true" as it was before `precision = "auto"` existed (maps
contiguous, memory returned to the kernel), what "auto" is without instructions for bfloat16 (float32, maps channels
last, norms fused, memory kept), and what it is with them. A turn is a short epoch of a real training step (forward,
backward, clipping, AdamW, logging) on features in memory; the first two steps of each turn are left out. The ratio is
the median over the turns. With `--processor-time`, the seconds are those of the process, which other programs change
less than those of the clock.
"""

import argparse
import contextlib
import logging
import re
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import lightning.pytorch as pl
import numpy as np
import torch
from torch.utils.data import DataLoader

from bench import catalog
from bench.profiling.environment import processor
from bench.training import build
from bench.training.allocator import kept_memory
from models.base import AudioModel
from models.recipe import Recipe
from models.training.arithmetic import has_bfloat16

SAMPLE_RATE = 16000


class Case(NamedTuple):
    """A model, its arguments, clips per step, seconds per clip and steps per turn."""

    model: str
    arguments: dict[str, Any]
    clips: int = 16
    seconds: float = 5.0
    steps: int = 12


CASES = {
    "cnn": Case("cnn", {}, steps=40),
    "cnn-wide": Case("cnn", {"channels": [24, 48, 96, 192]}, steps=25),
    "cnn-lstm": Case("cnn-lstm", {}, steps=40),
    "mobilenet-025": Case("mobilenet-025", {}, steps=25),
    "mobilenet-v1": Case("mobilenet-v1", {}, 4, steps=10),
    "mobilenet-v2": Case("mobilenet-v2", {}, 4, steps=10),
    "cnn14": Case("cnn14", {}, 4, steps=4),
    "resnet38": Case("resnet38", {}, 4, steps=4),
    "rann-8x4-6": Case("rann", {"t_m": 4, "width": 6}, 2, 2.0, steps=5),
}
VARIANTS = {
    "32-true": ("32-true", "contiguous"),
    "without bfloat16": ("32-true", "channels-last"),
    "with bfloat16": ("bf16-mixed", "channels-last"),
}


class Steps(pl.Callback):
    """The seconds from the end of each step to the end of the next."""

    clock: Callable[[], float] = staticmethod(time.perf_counter)

    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_train_batch_end(self, *args: Any) -> None:
        """Take the time."""
        self.ends.append(self.clock())


def prepared(case: Case) -> tuple[AudioModel, DataLoader[Any]]:
    """Return an untrained model and a loader of random features."""
    torch.manual_seed(0)
    known = catalog.model(case.model)
    samples = round(case.seconds * SAMPLE_RATE)
    arguments = {**known.arguments, **case.arguments}
    model = build.sized(case.model, known.frontend, arguments, (samples,), SAMPLE_RATE, 10)
    shape = (case.clips, model.features, model.frames)
    batches = [(torch.randn(shape) * 10 - 30, torch.randint(10, shape[:1])) for _ in range(case.steps)]
    model.from_features = True
    return model, DataLoader(batches, batch_size=None)  # type: ignore[arg-type]


def seconds(model: AudioModel, batches: DataLoader[Any], precision: str, memory_format: str, keep: bool) -> float:
    """Return the median seconds of a step of one turn."""
    model.recipe = Recipe(epochs=1, memory_format=memory_format)  # type: ignore[arg-type]
    steps = Steps()
    with warnings.catch_warnings(action="ignore"), kept_memory("cpu") if keep else contextlib.nullcontext():
        trainer = pl.Trainer(
            accelerator="cpu", max_epochs=1, precision=precision, callbacks=[steps], logger=False,  # type: ignore[arg-type]
            enable_progress_bar=False, enable_model_summary=False, enable_checkpointing=False,
        )  # fmt: skip
        trainer.fit(model, batches)
    return float(np.median(np.diff(steps.ends)[1:]))


def measured(name: str, turns: int) -> str:
    """Measure a model, and return its row."""
    case = CASES[name]
    model, batches = prepared(case)
    chosen = {key: value for key, value in VARIANTS.items() if key != "with bfloat16" or has_bfloat16("cpu")}
    taken: dict[str, list[float]] = {key: [] for key in chosen}
    for turn in range(turns + 1):
        for key, (precision, memory_format) in chosen.items():
            found = seconds(model, batches, precision, memory_format, keep=key != "32-true")
            if turn:  # the first compiles
                taken[key].append(found)
    before = np.array(taken["32-true"])
    cells = [name, str(case.clips), f"{1e3 * np.median(before):.0f}"]
    for key in list(VARIANTS)[1:]:
        if key in taken:
            least, median, most = np.quantile(before / np.array(taken[key]), (0, 0.5, 1))
            cells += [f"{1e3 * np.median(taken[key]):.0f}", f"{median:.2f} ({least:.2f} to {most:.2f})"]
        else:
            cells += ["-", "-"]
    return f"| {' | '.join(cells)} |"


HEAD = (
    "| model | clips per step | 32-true, ms | auto without bfloat16, ms | times as fast "
    "| auto with bfloat16, ms | times as fast |\n|---|---|---|---|---|---|---|"
)


def write(path: Path, rows: list[str]) -> None:
    """Replace the rows of these models between the page's markers."""
    text = path.read_text(encoding="utf-8")
    start, end = "<!-- train_step.py -->\n", "<!-- end -->"
    old = re.search(f"{re.escape(start)}(.*?){re.escape(end)}", text, re.DOTALL)
    if old is None:
        raise SystemExit(f"{path} has no {start.strip()} with {end} after it")
    known = {line.split(" | ")[0]: line for line in old[1].splitlines() if line.startswith("| ")}
    known |= {line.split(" | ")[0]: line for line in rows}
    table = [known[f"| {name}"] for name in CASES if f"| {name}" in known]
    title = f"*Processor: {processor()}, one thread, torch {torch.__version__}, {time.strftime('%d %B %Y')}.*\n\n"
    body = start + title + HEAD + "\n" + "\n".join(table) + "\n" + end
    path.write_text(text[: old.start()] + body + text[old.end() :], encoding="utf-8")


def main() -> None:
    """Print the table, or put it into a page."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--model", action="append", choices=list(CASES))
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--write", type=Path, help="page whose table is replaced")
    parser.add_argument("--processor-time", action="store_true", help="time of the process instead of the clock's")
    options = parser.parse_args()
    if options.processor_time:
        Steps.clock = staticmethod(time.process_time)
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    print(f"{processor()}, bfloat16: {has_bfloat16('cpu')}, torch {torch.__version__}\n\n{HEAD}")
    rows = []
    for name in options.model or CASES:
        rows.append(measured(name, options.turns))
        print(rows[-1], flush=True)
    if options.write:
        write(options.write, rows)


if __name__ == "__main__":
    main()
