"""Winograd's 3×3 convolution against oneDNN's, on one thread: maps, gradient of the maps, gradient of the kernels.

    .venv/bin/python benchmarks/convolution.py [--turns 7]

Both compute the same maps, channels last, in turns; a ratio above 1 says how many times as fast Winograd's is, by the
median over the turns. The error is that of the maps against torch's in float64, of oneDNN in brackets. Where a training
takes Winograd's, the ratio is marked with a star (`models.kernels.winograd_cpu.pays`).
"""

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.profiling.environment import processor
from models.kernels import winograd_cpu as winograd

SHAPES = (
    (16, 16, 32, 32, 125), (16, 32, 64, 16, 62), (4, 64, 64, 313, 64), (4, 128, 128, 156, 32), (4, 256, 256, 78, 16),
    (4, 512, 512, 39, 8), (2, 48, 48, 128, 256), (2, 96, 96, 64, 64), (2, 192, 192, 32, 16),
)  # fmt: skip
"""Clips, channels, channels of the output, rows and columns: of `cnn`, `cnn14` and RANN-8x4-6."""


def seconds(work: Callable[[], Any]) -> float:
    """Return the processor's seconds of a call."""
    start = time.process_time()
    work()
    return time.process_time() - start


def ratio(rival: Callable[[], Any], ours: Callable[[], Any], turns: int) -> float:
    """Return the median of the rival's time divided by ours."""
    for work in (rival, ours):
        work()
    return statistics.median(seconds(rival) / seconds(ours) for _ in range(turns))


def error(y: Tensor, exact: Tensor) -> float:
    """Return the relative error of maps."""
    return float((y.double() - exact).norm() / exact.norm())


def row(shape: tuple[int, ...], kind: torch.dtype, turns: int) -> str:
    """Return a row of the table."""
    clips, channels, outputs, height, width = shape
    torch.manual_seed(0)
    x, g = (
        torch.randn(clips, size, height, width).to(kind).contiguous(memory_format=torch.channels_last)
        for size in (channels, outputs)
    )
    kernels = torch.randn(outputs, channels, 3, 3) / (3 * channels**0.5)
    turned, same = kernels.flip(2, 3).transpose(0, 1), kernels.to(kind)

    def backward(of_maps: bool) -> Any:
        mask = [of_maps, not of_maps, False]
        return torch.ops.aten.convolution_backward(g, x, same, None, [1, 1], [1, 1], [1, 1], False, [0, 0], 1, mask)

    ratios = (
        ratio(lambda: F.conv2d(x, same, padding=1), lambda: winograd.convolved(x, kernels), turns),
        ratio(lambda: backward(True), lambda: winograd.convolved(g, turned), turns),
        ratio(lambda: backward(False), lambda: winograd.kernel_gradient(x, g), turns),
    )
    taken = winograd.pays(x, kernels)
    exact = F.conv2d(x.double(), kernels.double(), padding=1)
    errors = [error(winograd.convolved(x, kernels), exact), error(F.conv2d(x, same, padding=1), exact)]
    cells = [
        f"{clips} of {channels} to {outputs}, {height} by {width}", str(kind).removeprefix("torch."),
        *(f"{each:.2f}{'*' * pays}" for each, pays in zip(ratios, (taken[0], *taken), strict=True)),
        f"{errors[0]:.1e} ({errors[1]:.1e})",
    ]  # fmt: skip
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=7)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{processor()}, torch {torch.__version__}\n")
    print("| maps | in | maps, times as fast | gradient | kernels' gradient | error |\n|---|---|---|---|---|---|")
    for shape in SHAPES:
        for kind in (torch.float32, torch.bfloat16):
            print(row(shape, kind, options.turns), flush=True)


if __name__ == "__main__":
    main()
