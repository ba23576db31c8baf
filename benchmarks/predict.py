"""Clips per second of `bench predict` against the bare model in batches, with the same decoder: they take turns.

    .venv/bin/python benchmarks/predict.py [--clips 1000] [--model cnn] [--threads 1] [--rounds 5]

The clips are WAV files of 5 s at 44.1 kHz, written for the measurement. The bare loop decodes each file, cuts it to a
clip, and gives the model batches of 32; it writes nothing. `predict` also writes the rows of its CSV. Loading torch and
the model is left out of both. The weights are random, because speed does not depend on them. The ratio is the median
over the rounds.
"""

import argparse
import io
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile
import torch

from bench.inference import Classifier, formats
from bench.inference.predict import BATCH_SIZE, Source, find, predict
from bench.training import build
from datamodules.audio import decode

SECONDS, RATE, FILES, CLASSES = 5.0, 44_100, 100, 10


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


def bare(model: Classifier, sources: list[Source]) -> float:
    """Return the clips per second of decoding and the model alone."""
    began = time.perf_counter()
    for at in range(0, len(sources), BATCH_SIZE):
        batch = sources[at : at + BATCH_SIZE]
        clips = np.stack([model.clip(decode(source.path, 32_000)) for source in batch])
        with torch.inference_mode():
            model.module(torch.from_numpy(clips))
    return len(sources) / (time.perf_counter() - began)


def ours(model: Classifier, sources: list[Source]) -> float:
    """Return the clips per second of `predict` and its table."""
    began = time.perf_counter()
    table = formats.CsvWriter(io.StringIO(), model)
    for found in predict(model, sources):
        assert not found.error, found.error
        table.write(found)
    return len(sources) / (time.perf_counter() - began)


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
            rates = {first: first(model, sources), second: second(model, sources)}
            taken.append((rates[ours], rates[bare]))
            print(f"  {rates[ours]:7.1f} clips/s, bare {rates[bare]:7.1f}: {rates[ours] / rates[bare]:.2f}", flush=True)
    predicted, plain = np.median(taken, 0)
    least, ratio, most = np.quantile([a / b for a, b in taken], (0, 0.5, 1))
    print(
        f"{given.model}, {given.clips} clips of {SECONDS:g} s, {given.threads} threads: bench predict {predicted:.1f} "
        f"clips/s, bare {plain:.1f} clips/s, {ratio:.2f} times ({least:.2f} to {most:.2f})"
    )


if __name__ == "__main__":
    main()
