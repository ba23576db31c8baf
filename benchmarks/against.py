"""Work that other comparisons leave out, side by side with another checkout: milliseconds and memory.

    .venv/bin/python benchmarks/against.py CHECKOUT [--turns 7]

A turn is a process of each checkout, one after the other, which does every piece of work in float32 on one thread: a
forward pass and a training step of models, decoding, metrics with their bootstrap, fusions, streams, predictions of
files. The time is the processor's, the median of some calls; the memory is how far the process grows during them,
and its largest. Each ratio is the median of the turns, with the least and the greatest; 1.05 is 5 % slower. The
checkouts take turns in being the first.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

HERE = Path(__file__).parents[1]
FORWARD = ("fc", "lstm-skip", "cnn", "cnn-ltc", "cnn-cfc", "swishnet", "snn", "mobilenet-025", "cnn6", "resnet22")
TRAINED = ("fc", "lstm-skip", "cnn", "cnn-ltc", "cnn-cfc", "swishnet", "mobilenet-025")
Work = tuple[str, Callable[[], object]]
SECONDS = 0.7
"""Time of each piece of work in a turn."""


def forward(model: Any, x: Any) -> None:
    """Classify clips `(B, S)`, or `(B, T, F)`."""
    import torch

    with torch.inference_mode():
        model(x)


def train(model: Any, optimizer: Any, x: Any) -> None:
    """Do a training step on four clips."""
    import torch

    optimizer.zero_grad()
    loss = torch.nn.functional.cross_entropy(model(x), torch.tensor([0, 1, 2, 3]))
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()


def of_models() -> Iterator[Work]:
    """Yield a forward pass of one clip for each model, and a training step of four clips."""
    import torch

    from bench.training import build

    for name in FORWARD:
        model, shape, _ = build.untrained(name, 10, 5.0, 32_000, None, None)
        yield f"forward, {name}", partial(forward, model.eval(), 2 * torch.rand(1, *shape) - 1)
    for name in TRAINED:
        model, shape, _ = build.untrained(name, 10, 5.0, 32_000, None, None)
        optimizer = torch.optim.AdamW(model.parameters(), 1e-3)
        yield f"training step, {name}", partial(train, model.train(), optimizer, 2 * torch.rand(4, *shape) - 1)


def of_the_rest(folder: Path) -> Iterator[Work]:
    """Yield the rest of the work; files are written to the folder."""
    import numpy as np
    import predict
    import soundfile
    import stream
    import torch

    from bench.evaluation import fusion
    from bench.evaluation.metrics import bootstrap_draws
    from bench.inference.sources import cut
    from bench.inference.streaming import Stream
    from datamodules.audio import decode
    from models.metrics import ranking

    rng = np.random.default_rng(0)
    file = folder / "clip.flac"
    soundfile.write(file, 0.1 * rng.standard_normal(5 * 44_100), 44_100)
    yield "decode 5 s of FLAC to 32 kHz", lambda: decode(file, 32_000)
    labels = rng.random((2_000, 100)) < 0.02
    logits = rng.standard_normal(labels.shape).astype(np.float32) + labels
    yield "mAP and mAUC of 100 labels", lambda: ranking.average_precision_and_auc(logits, labels)
    groups = [str(i // 2) for i in range(len(labels))]
    yield "bootstrap of 100 labels", lambda: bootstrap_draws(logits, labels.astype(np.int64), groups, "multi", 100)
    members = torch.from_numpy(rng.standard_normal((5, 2_000, 10)))
    for name in ("fusion-average", "fusion-ds", "fusion-ids"):
        rule = fusion.fusion_rule(name, np.full(5, 0.2))
        yield name, partial(fusion.fuse_logits, members, rule, "single")
    classifier = stream.classifier("swishnet")
    sound = (0.1 * rng.standard_normal(10 * stream.RATE)).astype(np.float32)
    yield "stream of 10 s, swishnet", lambda: list(Stream(classifier).run(cut([sound], stream.RATE // 10)))
    sources = predict.written(folder, 20)
    model = predict.untrained("cnn")
    yield "predict 20 files, cnn", lambda: predict.ours(model, sources)


def memory(name: str) -> float:
    """Return this process's memory in MB, by Linux's name; 0 where it is not known."""
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) / 1024
    return 0.0


def child() -> None:
    """Do all work, and print JSON: name to [milliseconds, MB of growth, MB]."""
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(0)
    found: dict[str, tuple[float, float, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for works in (of_models(), of_the_rest(Path(folder))):
            for name, work in works:
                work()
                with suppress(OSError):
                    Path("/proc/self/clear_refs").write_text("5")  # resets the peak
                before = memory("VmRSS")
                times: list[float] = []
                start = time.perf_counter()
                while not times or time.perf_counter() - start < SECONDS:
                    began = time.process_time()
                    work()
                    times.append(time.process_time() - began)
                peak = memory("VmHWM")
                found[name] = 1e3 * statistics.median(times), peak - before, peak
    print(json.dumps(found))


def turn(checkout: Path) -> dict[str, tuple[float, float, float]]:
    """Return what a process of a checkout finds."""
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(
        [sys.executable, __file__, "--child"], check=True, cwd=checkout, stdout=subprocess.PIPE, text=True,
        env=variables | {"PYTHONPATH": str(checkout)},
    )  # fmt: skip
    return {name: tuple(values) for name, values in json.loads(done.stdout.splitlines()[-1]).items()}


def main() -> None:
    """Print a line for each piece of work."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("base", nargs="?", type=Path, help="checkout to compare with")
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        child()
        return
    if given.base is None:
        parser.error("name a checkout to compare with")
    from bench.profiling.environment import processor

    places = {"base": given.base.resolve(), "this": HERE}
    turns = []
    for n in range(given.turns):
        order = list(places) if n % 2 == 0 else list(places)[::-1]
        turns.append({name: turn(places[name]) for name in order})
    print(f"{processor()}, {given.turns} turns; processor's time, and memory")
    for name in turns[0]["this"]:
        base, this = ([statistics.median(one[place][name][k] for one in turns) for k in range(3)] for place in places)
        ratios = sorted(one["this"][name][0] / one["base"][name][0] for one in turns)
        print(
            f"{name:30} base {base[0]:.2f} ms, this {this[0]:.2f} ms, ratio {statistics.median(ratios):.3f} "
            f"({ratios[0]:.2f} to {ratios[-1]:.2f}); grows by {base[1]:.0f} and {this[1]:.0f} MB, "
            f"to {base[2]:.0f} and {this[2]:.0f} MB"
        )


if __name__ == "__main__":
    main()
