"""Kernels of the front-ends against torch and against the libraries asrfront and auvux-dsp, on one thread of a CPU.

    .venv/bin/python benchmarks/frontend_kernels.py

One side's turn follows the other's; a row has the median ratio of all turns, the smallest and the largest. Clips of
noise, 5 s each, one per call. The two libraries are compared where they are installed; Whisper's setting is 400 points,
a hop of 160 and 80 bands at 16 kHz, PANNs' 1,024, 320 and 64 at 32 kHz. The last rows are SwishNet from the waveform to
the logits.
"""

import argparse
import copy
import importlib
import importlib.metadata
import time
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from bench import catalog
from bench.profiling import environment
from models.base import use_kernels
from models.frontends.logmel import LogMel
from models.swishnet import SwishNet

NAMES = (
    "logmel", "logmel-20ms", "logmel-panns", "logmel-1s", "mfcc", "mfcc-deltas", "mfcc-librosa", "gfcc", "chroma",
    "tempogram", "cqt",
)  # fmt: skip
SECONDS = 5
TURNS = 11
TURN = 0.04
"""Seconds of a turn."""

Call = Callable[[], object]


def fast(module: nn.Module) -> nn.Module:
    """Return a copy with kernels."""
    own = copy.deepcopy(module)
    use_kernels(own)
    return own


def noise(rate: int) -> Tensor:
    """Return a clip `(1, S)`."""
    return 0.1 * torch.randn(1, rate * SECONDS, generator=torch.Generator().manual_seed(0))


def against_libraries() -> Iterator[tuple[str, Call, Call, float]]:
    """Yield name, the library's call, ours and the least ratio, for each library that is installed."""
    try:
        whisper = importlib.import_module("asrfront").whisper
    except ImportError:
        print("asrfront is not installed")
    else:
        x, ours = noise(16_000), fast(LogMel(16_000, 80, 400, f_min=0, f_max=8000))
        samples = x[0].numpy()
        name = f"logmel, Whisper's setting / asrfront {importlib.metadata.version('asrfront')}"
        yield name, lambda: whisper.log_mel(samples, pad_or_trim=False), lambda: ours(x), 1.0
    try:
        dsp = importlib.import_module("auvux.dsp")
    except ImportError:
        print("auvux-dsp is not installed")
    else:
        x, ours = noise(32_000), fast(LogMel(32_000))
        theirs = dsp.MelSpectrogram(sr=32_000, n_fft=1024, hop_length=320, n_mels=64, fmin=50, fmax=14_000)
        samples = x[0].numpy()
        name = f"logmel, PANNs' setting / auvux-dsp {importlib.metadata.version('auvux-dsp')}"
        yield name, lambda: theirs(samples, output="db"), lambda: ours(x), 1.2


def against_torch() -> Iterator[tuple[str, Call, Call, float]]:
    """Yield name, torch's call, the kernel's and the least ratio for each front-end, and for SwishNet as a whole."""
    for name in NAMES:
        for rate in (16_000, 32_000):
            entry = catalog.frontend(name)
            slow, x = catalog.load(entry.target)(rate, **entry.arguments).eval(), noise(rate)
            yield f"{name} at {rate} Hz", partial(slow, x), partial(fast(slow), x), 1.5
    entry = catalog.frontend("mfcc")
    for rate in (16_000, 44_100):
        frontend, x = catalog.load(entry.target)(rate, **entry.arguments), noise(rate)
        _, features, frames = frontend(x).shape
        model = SwishNet(frontend, features, frames, 10).eval()
        yield f"SwishNet slim at {rate} Hz", partial(model, x), partial(fast(model), x), 1 / 0.6


def milliseconds(call: Call) -> float:
    """Return the mean time of a call, of as many as take `TURN` seconds."""
    calls, start = 0, time.perf_counter()
    while calls == 0 or time.perf_counter() - start < TURN:
        call()
        calls += 1
    return 1e3 * (time.perf_counter() - start) / calls


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="part of the names of the rows")
    parser.add_argument("--turns", type=int, default=TURNS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"*Processor: {environment.processor()}, one thread, torch {torch.__version__}.*\n")
    print("| front-end | other, ms | kernel, ms | times as fast (least to greatest) | wanted |\n|---|---|---|---|---|")
    with torch.inference_mode():
        for make in (against_libraries, against_torch):
            for name, other, ours, least in make():
                if options.only not in name:
                    continue
                other()
                ours()
                times = np.array([[milliseconds(other), milliseconds(ours)] for _ in range(options.turns)])
                ratios = times[:, 0] / times[:, 1]
                spread = f"{np.median(ratios):.2f} ({ratios.min():.2f} to {ratios.max():.2f})"
                slow, quick = np.median(times, 0)
                print(f"| {name} | {slow:.2f} | {quick:.2f} | {spread} | {least:.2f} |", flush=True)


if __name__ == "__main__":
    main()
