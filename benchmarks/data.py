"""Throughput of data loading: ESC-10 from the cache, ESC-10 from tar shards, and AudioSet's embeddings.

    .venv/bin/python benchmarks/data.py --data-dir FOLDER [--threads 2] [--only esc10|shards|embeddings]

ESC-10 at 32 kHz, one process: clips per second of the processor's time, of a whole epoch through the loader from the
cache, and of decoding and resampling a part of its clips, in turns; the ratio is the median over the turns. Then the
memory of this process after each of 20 epochs: its private memory, and the mapped memory of the cache, which the system
may take back.

Shards: clips per second of the loader that feeds a training from tar shards, with a process per core, against the
limit of decoding: libsndfile in as many processes, which read the same clips as files and keep nothing. The clips are
those of ESC-10 several times, at their own rate and in another one, where the limit resamples, too (soxr HQ). Both run
in turns.

The embeddings: seconds to parse and check all 22,160 balanced segments, and of epochs of `fc` as the suite of that name
trains it, with validation, compared with the same steps in a plain PyTorch loop without validation.
"""

import argparse
import io
import multiprocessing
import tarfile
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import soundfile
import soxr
import torch
from numpy.typing import NDArray
from torch import nn

from bench import suites
from bench.profiling.environment import usable_cores
from bench.training import build
from bench.training.allocator import kept_memory
from bench.training.fit import train
from datamodules.audio import decode
from datamodules.audioset_embeddings import AudioSetEmbeddings, parse
from datamodules.clips import shards
from datamodules.esc50 import ESC10

ROUNDS = 7
DECODED = 40  # clips decoded in a turn
EPOCHS = 20
FC_EPOCHS = 7
RATE = 32_000
SHARDS, COPIES, BATCH = 16, 4, 32


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


def pack(clips: Sequence[Path], folder: Path) -> list[Path]:
    """Write each clip `COPIES` times to shards, in turn, and return these."""
    paths = [folder / f"{i:03}.tar" for i in range(SHARDS)]
    for shard, place in enumerate(paths):
        with tarfile.open(place, "w") as tar:
            for i, path in list(enumerate(clips * COPIES))[shard::SHARDS]:
                content = path.read_bytes()
                info = tarfile.TarInfo(f"{i:06}{path.suffix}")
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    return paths


def decoded(path: Path, rate: int) -> int:
    """Decode a file as libsndfile does, and return its number of samples."""
    samples, own = soundfile.read(path, dtype="float32", always_2d=True)
    mono = samples.mean(1) if samples.shape[1] > 1 else samples[:, 0]
    return len(mono if own == rate else soxr.resample(mono, own, rate, "HQ"))


def from_shards(root: Path) -> None:
    """Print the ratio of feeding from shards to the limit of decoding, at the clips' own rate and at `RATE`."""
    cores = usable_cores()
    clips = sorted(path for path in (root / "audio").iterdir() if path.is_file())
    own = soundfile.info(clips[0]).samplerate
    with tempfile.TemporaryDirectory() as folder, multiprocessing.get_context("spawn").Pool(cores) as pool:
        there = shards.index(pack(clips, Path(folder)), None)
        names = [clip.key for clip in there]
        for rate in (own, RATE):
            data = shards.ShardClips(
                [clip.member for clip in there], names, names, [clip.digest for clip in there],
                torch.zeros(len(there), dtype=torch.int64), rate, 5 * rate,
            )  # fmt: skip
            loader = data.stream(BATCH, seed=0, workers=cores)
            taken = []
            for turn in range(ROUNDS + 1):
                began = time.perf_counter()
                pool.starmap(decoded, [(path, rate) for path in clips * COPIES], chunksize=8)
                middle = time.perf_counter()
                assert sum(len(x) for x, _ in loader) == len(there)
                taken += [(middle - began, time.perf_counter() - middle)] if turn else []
            limit, feeding = len(there) / np.median(taken, 0)
            low, ratio, high = np.quantile([a / b for a, b in taken], (0, 0.5, 1))
            print(
                f"shards at {rate} Hz, {cores} processes: {feeding:,.0f} clips/s, limit of decoding {limit:,.0f}, "
                f"ratio {ratio:.2f} ({low:.2f} to {high:.2f})",
                flush=True,
            )


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
    parser.add_argument("--only", choices=("esc10", "shards", "embeddings"))
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    if given.only in (None, "esc10"):
        esc10(given.data_dir / "esc10")
    if given.only in (None, "shards"):
        with kept_memory("cpu"):  # as in every training
            from_shards(given.data_dir / "esc10")
    if given.only in (None, "embeddings"):
        embeddings(given.data_dir / "audioset_vggish")


if __name__ == "__main__":
    main()
