"""The liquid layer against ncps 1.0.1, in one process and on one thread: time as a ratio, and the memory of a step.

    .venv/bin/python benchmarks/ltc.py [--device cuda]

Batch 32, 100 frames, 64 inputs, 64 neurons; the two layers take turns, and the least of several times is compared.
Memory is what a training step of 500 frames adds to a fresh process. On a GPU the kernels launched are counted, too.
"""

import argparse
import multiprocessing
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ncps.torch
import ncps.wirings
import torch
from torch import nn

from models import wirings
from models.ltc import LTCLayer

BATCH, INPUTS = 32, 64
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


def ratio(call: Callable[[nn.Module, torch.Tensor], None], pair: tuple[nn.Module, nn.Module], x: torch.Tensor) -> Any:
    """Return the least time of each in milliseconds, after a first call that compiles."""
    least = [float("inf")] * 2
    for layer in pair:
        call(layer, x)
    for _ in range(7):
        for i, layer in enumerate(pair):
            wait(x)
            start = time.perf_counter()
            call(layer, x)
            wait(x)
            least[i] = min(least[i], 1e3 * (time.perf_counter() - start))
    return least


def wait(x: torch.Tensor) -> None:
    """Wait for the device."""
    if x.is_cuda:
        torch.cuda.synchronize()


def launches(layer: nn.Module, x: torch.Tensor) -> int:
    """Return how many of the layer's own kernels a call and its backward pass launch."""
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
    torch.set_num_threads(1)
    fresh = multiprocessing.get_context("spawn")
    for name, arguments in WIRINGS:
        pair = tuple(layer.to(device) for layer in layers(name, arguments))
        for frames in (100, 500):
            x = torch.randn(BATCH, frames, INPUTS, device=device)
            for what, call in (("forward", forward), ("forward + backward", both)):
                theirs, ours = ratio(call, pair, x)
                print(f"{name}{arguments}, {frames} frames, {what}: ncps {theirs:.1f} ms, here {ours:.1f} ms, "
                      f"{theirs / ours:.1f} times as fast")  # fmt: skip
        if device == "cuda":
            print(f"{name}{arguments}: {launches(pair[1], x)} launches forward + backward, and one sum over the clips")
            continue
        with fresh.Pool(1, maxtasksperchild=1) as pool:
            theirs, ours = (pool.apply(step_memory, (i, name, arguments, 500)) for i in range(2))
        print(f"{name}{arguments}, a step of 500 frames: ncps {theirs / 2**20:.0f} MiB, here {ours / 2**20:.0f} MiB, "
              f"1/{theirs / max(ours, 1):.0f}")  # fmt: skip


if __name__ == "__main__":
    main()
