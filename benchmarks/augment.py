"""Clips per second of every augmentation of waveforms: 32 clips of 5 s at 32 kHz, on one thread.

    .venv/bin/python benchmarks/augment.py [--device cuda]

The median of some calls after a first one.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import soundfile
import torch
from torch import Tensor

from models.training.augment.mixing import between_class, mixup
from models.training.augment.noise import Background, noise
from models.training.augment.speed import random_pitch_shift, random_speed, random_time_stretch
from models.training.augment.waveform import crop, gain, shift

CLIPS, SECONDS, RATE = 32, 5, 32_000
CALLS = 5


def seconds(call: Callable[[], object], device: str) -> float:
    """Return the median time of a call."""
    taken = []
    for _ in range(CALLS + 1):
        began = time.perf_counter()
        call()
        if device == "cuda":
            torch.cuda.synchronize()
        taken.append(time.perf_counter() - began)
    return float(np.median(taken[1:]))


def main() -> None:
    """Print a line per function."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    device = parser.parse_args().device
    torch.set_num_threads(1)
    torch.manual_seed(0)
    waveform = (0.1 * torch.randn(CLIPS, SECONDS * RATE)).to(device)
    targets = torch.eye(CLIPS, device=device)
    with tempfile.TemporaryDirectory() as folder:
        soundfile.write(Path(folder) / "noise.wav", 0.1 * np.random.default_rng(0).normal(size=20 * RATE), RATE)
        background = Background(folder, RATE)
    functions: dict[str, Callable[[], Tensor | tuple[Tensor, ...]]] = {
        "crop": partial(crop, waveform, 0.8),
        "shift": partial(shift, waveform, 0.5),
        "gain": partial(gain, waveform, 6.0),
        "speed": partial(random_speed, waveform, 0.1),
        "time_stretch": partial(random_time_stretch, waveform, 0.2),
        "pitch_shift": partial(random_pitch_shift, waveform, 2.0),
        "noise": partial(noise, waveform, 10.0, 40.0),
        "Background": partial(background, waveform, 5.0, 20.0),
        "between_class": partial(between_class, waveform, RATE, targets),
        "mixup": partial(mixup, waveform, targets, 0.4),
    }
    for name, call in functions.items():
        print(f"{name:14} {CLIPS / seconds(call, device):8,.0f} clips/s")


if __name__ == "__main__":
    main()
