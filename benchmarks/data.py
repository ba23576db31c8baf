"""Throughput of data loading: ESC-10 from the cache against decoding it in each epoch, and AudioSet's embeddings.

    .venv/bin/python benchmarks/data.py --data-dir FOLDER [--threads 2] [--only esc10|embeddings]

ESC-10 at 32 kHz, one process: clips per second of the processor's time, of a whole epoch through the loader from the
cache, and of decoding and resampling a part of its clips, in turns; the ratio is the median over the turns. Then the
memory of this process after each of 20 epochs: its private memory, and the mapped memory of the cache, which the system
may take back.

The embeddings: seconds to parse and check all 22,160 balanced segments, and of epochs of `fc` as the suite of that name
trains it, with validation, compared with the same steps in a plain PyTorch loop without validation.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from bench import suites
from bench.training import build
from bench.training.fit import train
from datamodules.audio import decode
from datamodules.audioset_embeddings import AudioSetEmbeddings, parse
from datamodules.esc50 import ESC10

ROUNDS = 7
DECODED = 40  # clips decoded in a turn
EPOCHS = 20
FC_EPOCHS = 7
RATE = 32_000


clock: Callable[[], float] = time.process_time  # of this process alone: the machine may be busy


def memory() -> tuple[float, float]:
    """Return the MiB that this process holds of its own, and those of files that it maps."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    own, files = (int(status[name].split()[0]) / 1024 for name in ("RssAnon", "RssFile"))
    return own, files


def epoch(data: ESC10) -> float:
    """Return the seconds of an epoch through the training loader."""
    began = clock()
    clips = sum(len(x) for x, _ in data.train_dataloader())
    assert clips == len(data.splits.train)
    return clock() - began


def esc10(root: Path) -> None:
    """Print the ratio of the cache to decoding, and the memory of each epoch."""
    with tempfile.TemporaryDirectory() as cache:
        began = time.perf_counter()
        data = ESC10(root, Path(cache), sample_rate=RATE)
        data.setup()
        print(f"ESC-10 at {RATE} Hz: decoded to the cache once in {time.perf_counter() - began:.1f} s")
        clips = len(data.splits.train)
        paths = [root / "audio" / name for name in data.splits.train.ids]
        rng = np.random.default_rng(0)
        epoch(data)
        turns = []
        for _ in range(ROUNDS):
            chosen = rng.choice(clips, DECODED, replace=False)
            began = clock()
            for i in chosen:
                decode(paths[i], RATE)
            decoding = DECODED / (clock() - began)
            turns.append((decoding, clips / epoch(data)))
        decoding, cached = np.median(turns, 0)
        low, ratio, high = np.quantile([b / a for a, b in turns], (0, 0.5, 1))
        print(f"  decoding {decoding:,.0f} clips/s, cache {cached:,.0f} clips/s: {ratio:.0f} times", end="")
        print(f" ({low:.0f} to {high:.0f})")
        for number in range(1, EPOCHS + 1):
            epoch(data)
            own, files = memory()
            print(f"  epoch {number:2}: {own:7.1f} MiB of its own, {files:7.1f} MiB mapped")


def embeddings(root: Path) -> None:
    """Print the seconds of parsing and of an epoch of `fc`."""
    paths = sorted((root / "audioset_v1_embeddings" / "bal_train").iterdir())
    taken = []
    for _ in range(3):
        began = times()
        segments = len(parse(paths).frames)
        taken.append(times() - began)
    print(f"AudioSet: {segments:,} segments parsed and checked in {said(taken)}")

    run = next(run for run in suites.read("audioset-embeddings").runs() if run.model == "fc")
    with tempfile.TemporaryDirectory() as folder:
        data = AudioSetEmbeddings(root, Path(folder), batch_size=run.recipe.batch_size)
        data.setup()
        model = build.model(run, data)
        ends = [times()]
        recipe = replace(run.recipe, epochs=FC_EPOCHS)
        train(model, data, recipe, Path(folder), "cpu", lambda *news: ends.append(times()))
        plain = [bare(build.model(run, data), data) for _ in range(3)]
    batch, threads = run.recipe.batch_size, torch.get_num_threads()
    print(f"  `fc`, {len(data.splits.train):,} clips in batches of {batch}, {threads} threads:")
    print(f"  an epoch with validation {said(list(np.diff(ends, axis=0)[1:]))}; plain steps {said(plain)}")


def times() -> NDArray[np.float64]:
    """Return the seconds of the clock on the wall and of the processor."""
    return np.array([time.perf_counter(), time.process_time()])


def said(taken: Sequence[NDArray[np.float64]]) -> str:
    """Return the median and the least of both kinds of seconds in words."""
    (wall, processor), least = np.median(taken, 0), np.min(taken, 0)[0]
    return f"{wall:.2f} s (least {least:.2f}; {processor:.2f} s of the processor)"


def bare(model: nn.Module, data: AudioSetEmbeddings) -> NDArray[np.float64]:
    """Return the seconds of an epoch's steps on batches that are there already."""
    batches = list(data.train_dataloader())
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3)
    began = times()
    for x, target in batches:
        optimizer.zero_grad()
        nn.functional.binary_cross_entropy_with_logits(model(x), target).backward()
        optimizer.step()
    return times() - began


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", choices=("esc10", "embeddings"))
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    if given.only != "embeddings":
        esc10(given.data_dir / "esc10")
    if given.only != "esc10":
        embeddings(given.data_dir / "audioset_vggish")


if __name__ == "__main__":
    main()
