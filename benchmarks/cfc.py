"""The closed-form layer against ncps 1.0.1, in one process and on one thread: time as a ratio.

    .venv/bin/python benchmarks/cfc.py [--turns 11]

Batch 32, 100 frames, 64 inputs, 64 units with ncps's default backbone, or the wiring AutoNCP(64, 10). ncps, our layer
as it defines the numbers, and our layer with the sequence as one operation (`precision = "auto"`) take turns; each turn
gives ratios, so a change of the machine's clock affects all. The median ratio is printed with the smallest and the
largest.
"""

import argparse
import time
from collections.abc import Callable
from typing import Any

import ncps.torch
import ncps.wirings
import numpy as np
import torch
from ltc import both, forward
from torch import nn

from bench.profiling.environment import processor
from bench.training.allocator import kept_memory
from models import wirings
from models.cfc import CfCLayer
from models.layers.closed_form import enter, leave

BATCH, FRAMES, INPUTS = 32, 100, 64
UNITS: tuple[tuple[str, tuple[int, ...]], ...] = (("", (64,)), ("AutoNCP", (64, 10)))


def layers(wiring: str, arguments: tuple[int, ...], mode: Any) -> list[nn.Module]:
    """Return the same layer of ncps, of ours, and of ours fused."""
    torch.manual_seed(0)
    theirs = ncps.torch.CfC(INPUTS, getattr(ncps.wirings, wiring)(*arguments) if wiring else arguments[0], mode=mode)
    found: list[nn.Module] = [theirs]
    for on in (False, True):
        ours = CfCLayer(INPUTS, getattr(wirings, wiring)(*arguments) if wiring else arguments[0], mode=mode)
        ours.load_state_dict(theirs.state_dict())
        (enter if on else leave)(ours)
        found.append(ours)
    return found


def times(call: Callable[..., None], candidates: list[nn.Module], turns: int) -> Any:
    """Return the milliseconds of the layers `(turns, 3)`, after a first call."""
    x = torch.randn(BATCH, FRAMES, INPUTS)
    taken = np.empty((turns + 1, len(candidates)))
    for turn in range(turns + 1):
        for i, layer in enumerate(candidates):
            start = time.perf_counter()
            call(layer, x)
            taken[turn, i] = 1e3 * (time.perf_counter() - start)
    return taken[1:]


def main() -> None:
    """Print the processor and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--turns", type=int, default=11)
    turns = parser.parse_args().turns
    torch.set_num_threads(1)
    print(f"{processor()}, torch {torch.__version__}, batch {BATCH}, {FRAMES} frames")
    with kept_memory("cpu"):  # as in every training
        compare(turns)


def compare(turns: int) -> None:
    """Print the ratios of all cells."""
    for wiring, arguments in UNITS:
        for mode in ("default", "no_gate"):
            candidates = layers(wiring, arguments, mode)
            for what, call in (("forward", forward), ("forward + backward", both)):
                taken = times(call, candidates, turns)
                theirs, ours, fused = np.median(taken, 0)
                least, median, most = np.quantile(taken[:, 0] / taken[:, 2], (0, 0.5, 1))
                ratio = f"{median:.1f} times as fast as ncps ({least:.1f} to {most:.1f})"
                print(f"{wiring or 'CfC'}{arguments}, {mode}, {what}: ncps {theirs:.1f} ms, here {ours:.1f} ms, "
                      f"fused {fused:.1f} ms, {ratio}", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
