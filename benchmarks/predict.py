"""Clips per second of `bench predict` against the bare model in batches, with the same decoder: they take turns.

    .venv/bin/python benchmarks/predict.py [--clips 1000] [--model cnn] [--threads 1] [--rounds 5]

The clips are WAV files of 5 s at 44.1 kHz, written for the measurement. The bare loop decodes each file, cuts it to a
clip, and gives the model batches of 32; it writes nothing. `predict` also writes the rows of its CSV. Loading torch and
the model is left out of both. The weights are random, because speed does not depend on them. The ratio is the median
over the rounds. `predict` decodes in a second thread; the ratio of the processor's time says what it costs apart from
that, and depends less on what else the machine does.
"""

import argparse
import io
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile
import torch

from bench.inference import Classifier, formats
from bench.inference.predict import BATCH_SIZE, Source, find, predict
from bench.training import build
from datamodules.audio import decode

SECONDS, RATE, FILES, CLASSES = 5.0, 44_100, 100, 10
Rates = tuple[float, float]


def untrained(name: str) -> Classifier:
    """Return a model with random weights."""
    torch.manual_seed(0)
    model, shape, seconds = build.untrained(name, CLASSES, SECONDS, 32_000, None, None)
    return Classifier(
        name=name, module=model.eval(), classes=tuple(map(str, range(CLASSES))), task="single", sample_rate=32_000,
        clip_shape=tuple(shape), clip_seconds=seconds,
    )  # fmt: skip


def written(folder: Path, clips: int) -> list[Source]:
    """Write clips, and return as many as are asked for; each is used several times."""
    rng = np.random.default_rng(0)
    for i in range(min(FILES, clips)):
        sound = 0.1 * rng.standard_normal(round(SECONDS * RATE))
        soundfile.write(folder / f"{i:03}.wav", sound, RATE, subtype="PCM_16")
    sources = find([folder])
    return [sources[i % len(sources)] for i in range(clips)]


def rates(work: Callable[[Classifier, list[Source]], None], model: Classifier, sources: list[Source]) -> Rates:
    """Return the clips per second of the clock and of the processor's time."""
    began = time.perf_counter(), time.process_time()
    work(model, sources)
    return len(sources) / (time.perf_counter() - began[0]), len(sources) / (time.process_time() - began[1])


def bare(model: Classifier, sources: list[Source]) -> None:
    """Decode, and compute the logits."""
    for at in range(0, len(sources), BATCH_SIZE):
        batch = sources[at : at + BATCH_SIZE]
        clips = np.stack([model.clip(decode(source.path, 32_000)) for source in batch])
        with torch.inference_mode():
            model.module(torch.from_numpy(clips))


def ours(model: Classifier, sources: list[Source]) -> None:
    """Let `predict` do it, and write its table."""
    table = formats.CsvWriter(io.StringIO(), model)
    for found in predict(model, sources):
        assert not found.error, found.error
        table.write(found)


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=1000)
    parser.add_argument("--model", default="cnn")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    model = untrained(given.model)
    with tempfile.TemporaryDirectory() as folder:
        sources = written(Path(folder), given.clips)
        bare(model, sources[:BATCH_SIZE])
        ours(model, sources[:BATCH_SIZE])
        taken = []
        for number in range(given.rounds):
            first, second = (bare, ours) if number % 2 else (ours, bare)
            found = {work: rates(work, model, sources) for work in (first, second)}
            taken.append((*found[ours], *found[bare]))
            print(f"  {found[ours][0]:7.1f} clips/s, bare {found[bare][0]:7.1f}", flush=True)
    predicted, _, plain, _ = np.median(taken, 0)
    least, ratio, most = np.quantile([row[0] / row[2] for row in taken], (0, 0.5, 1))
    processor = np.median([row[1] / row[3] for row in taken])
    print(
        f"{given.model}, {given.clips} clips of {SECONDS:g} s, {given.threads} threads: bench predict {predicted:.1f} "
        f"clips/s, bare {plain:.1f} clips/s, {ratio:.2f} times ({least:.2f} to {most:.2f}); {processor:.2f} times "
        f"by the processor's time"
    )


if __name__ == "__main__":
    main()
