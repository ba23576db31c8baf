"""Real-time factor of classification while sound arrives, on one thread, by model and by length of chunk.

    .venv/bin/python benchmarks/stream.py

Each model is untrained, of ten classes and clips of 2 s at 16 kHz. A minute of noise goes through `Stream`: front-end,
model, probabilities, smoothing. The median of several minutes is printed, by the clock and by the processor time of
this process, which other processes disturb less. Exit code 1 if SwishNet slim takes more than a hundredth of the
sound's length for chunks of 0.1 s, by the processor time.
"""

import argparse
import sys
import time
from collections.abc import Callable

import numpy as np
import torch

from bench import catalog
from bench.inference.classifier import Classifier
from bench.inference.sources import cut
from bench.inference.streaming import Stream
from bench.training import build

RATE = 16_000
SECONDS = 60
ROUNDS = 5
BAR = 0.01
CHUNKS = (0.01, 0.02, 0.05, 0.1, 0.25, 1.0)
MODELS = ("swishnet", "swishnet-wide", "snn", "ltc", "cfc", "cnn-cfc", "lstm-skip", "cnn", "cnn10")
ARGUMENTS: dict[str, dict[str, object]] = {"lstm-skip": {"bidirectional": False}}


def classifier(name: str) -> Classifier:
    """Return an untrained model."""
    torch.manual_seed(0)
    samples = 2 * RATE
    module = build.sized(name, catalog.model(name).frontend, ARGUMENTS.get(name, {}), (samples,), RATE, 10)
    return Classifier(
        name=name, module=module.eval(), classes=tuple("abcdefghij"), task="single", sample_rate=RATE,
        clip_shape=(samples,), clip_seconds=2.0,
    )  # fmt: skip


def factor(model: Classifier, sound: np.ndarray, chunk: float, clock: Callable[[], float]) -> tuple[float, str, float]:
    """Return the median real-time factor, how the model is used, and its look-ahead in seconds."""
    found = []
    for _ in range(ROUNDS):
        stream = Stream(model, clock=clock)
        stream.warm_up()
        list(stream.run(cut([sound], round(chunk * RATE))))
        report = stream.report()
        assert report.real_time_factor is not None
        found.append(report.real_time_factor)
    return float(np.median(found)), stream.line.way, report.look_ahead


def main() -> None:
    """Print a line for each model and chunk."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    torch.set_num_threads(1)
    sound = (0.1 * np.random.default_rng(0).standard_normal(SECONDS * RATE)).astype(np.float32)
    failed = False
    for name in MODELS:
        model = classifier(name)
        for chunk in CHUNKS if name == "swishnet" else (0.1,):
            by_clock, way, ahead = factor(model, sound, chunk, time.perf_counter)
            by_processor = factor(model, sound, chunk, time.process_time)[0]
            print(
                f"{name:14} {way:8} chunks of {chunk:4.2f} s: real-time factor {by_clock:.4f} by the clock, "
                f"{by_processor:.4f} by processor time; look-ahead {ahead:.3f} s"
            )
            failed |= (name, chunk) == ("swishnet", 0.1) and by_processor > BAR
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
