"""The liquid layer against ncps 1.0.1, in one process and on one thread: time as a ratio, and the memory of a step.

    .venv/bin/python benchmarks/ltc.py [--device cuda]

Batch 32, 100 and 500 frames, 64 inputs, 64 neurons. Each line comes from a new process, so that the heap of one
measurement does not influence the next. The two layers take turns; each turn gives a ratio, so a change of the
machine's clock affects both. The median ratio is printed with the smallest and the largest.
Memory is the growth of a new process during a training step of 500 frames. On a GPU, kernel launches are also counted.
"""

import argparse
import multiprocessing
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ncps.torch
import ncps.wirings
import numpy as np
import torch
from torch import nn

from models import wirings
from models.ltc import LTCLayer

BATCH, INPUTS = 32, 64
ROUNDS = 11
WIRINGS: tuple[tuple[str, tuple[int, ...]], ...] = (("FullyConnected", (64,)), ("AutoNCP", (64, 10)))


def layers(name: str, arguments: tuple[int, ...]) -> tuple[nn.Module, nn.Module]:
    """Return the same layer of ncps and of ours."""
    torch.manual_seed(0)
    theirs = ncps.torch.LTC(INPUTS, getattr(ncps.wirings, name)(*arguments))
    ours = LTCLayer(INPUTS, getattr(wirings, name)(*arguments))
    ours.load_state_dict(theirs.state_dict())
    return theirs, ours


def forward(layer: nn.Module, x: torch.Tensor) -> None:
    """Run without gradients."""
    with torch.no_grad():
        layer(x)


def both(layer: nn.Module, x: torch.Tensor) -> None:
    """Run forwards and backwards."""
    layer.zero_grad()
    layer(x)[0].square().sum().backward()


def times(call: Callable[..., None], name: str, arguments: tuple[int, ...], frames: int, device: str) -> Any:
    """Return the milliseconds of both layers `(ROUNDS, 2)`, after a first call that compiles."""
    torch.set_num_threads(1)
    pair = [layer.to(device) for layer in layers(name, arguments)]
    x = torch.randn(BATCH, frames, INPUTS, device=device)
    for layer in pair:
        call(layer, x)
    taken = np.empty((ROUNDS, 2))
    for turn in range(ROUNDS):
        for i, layer in enumerate(pair):
            wait(x)
            start = time.perf_counter()
            call(layer, x)
            wait(x)
            taken[turn, i] = 1e3 * (time.perf_counter() - start)
    return taken


def wait(x: torch.Tensor) -> None:
    """Wait for the device."""
    if x.is_cuda:
        torch.cuda.synchronize()


def launches(name: str, arguments: tuple[int, ...], frames: int) -> int:
    """Return how many of the layer's own kernels a call and its backward pass launch."""
    layer, x = layers(name, arguments)[1].to("cuda"), torch.randn(BATCH, frames, INPUTS, device="cuda")
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        both(layer, x)
        wait(x)
    return sum(event.count for event in profile.key_averages() if event.key.startswith(("_listen", "_run")))


def step_memory(index: int, name: str, arguments: tuple[int, ...], frames: int) -> int:
    """Return how many bytes a training step adds to this process's peak."""
    torch.set_num_threads(1)
    layer = layers(name, arguments)[index]
    both(layer, torch.randn(BATCH, 2, INPUTS))
    before = peak()
    both(layer, torch.randn(BATCH, frames, INPUTS))
    return peak() - before


def peak() -> int:
    """Return the most memory that this process has had, in bytes; `getrusage` counts in what it was forked from."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))


def main() -> None:
    """Print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    device = parser.parse_args().device
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as fresh:
        for name, arguments in WIRINGS:
            for frames in (100, 500):
                for what, call in (("forward", forward), ("forward + backward", both)):
                    taken = fresh.apply(times, (call, name, arguments, frames, device))
                    theirs, ours = np.median(taken, 0)
                    least, median, most = np.quantile(taken[:, 0] / taken[:, 1], (0, 0.5, 1))
                    print(f"{name}{arguments}, {frames} frames, {what}: ncps {theirs:.1f} ms, here {ours:.1f} ms, "
                          f"{median:.1f} times as fast ({least:.1f} to {most:.1f})")  # fmt: skip
            if device == "cuda":
                count = fresh.apply(launches, (name, arguments, frames))
                print(f"{name}{arguments}: {count} launches forward + backward, and one sum over the clips")
                continue
            theirs, ours = (fresh.apply(step_memory, (i, name, arguments, frames)) for i in range(2))
            print(f"{name}{arguments}, a step of {frames} frames: ncps {theirs / 2**20:.0f} MiB, "
                  f"here {ours / 2**20:.0f} MiB, 1/{theirs / max(ours, 1):.0f}")  # fmt: skip


if __name__ == "__main__":
    main()
