"""The liquid layer's GPU kernels, in Triton's interpreter, and on a GPU where there is one."""

import subprocess
import sys
from importlib.metadata import version
from importlib.util import find_spec

import numpy
import pytest
import torch
from fakes.paths import PROJECT

from models import ltc, wirings
from models.ltc import LTCLayer

needs_triton = pytest.mark.skipif(find_spec("triton") is None, reason="triton is not installed: pip install triton")
needs_gpu = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="torch sees no GPU here; Triton's interpreter runs the same kernels"
)

counts_loops = pytest.mark.skipif(
    (version("triton") < "3.7" if find_spec("triton") else False)
    and numpy.lib.NumpyVersion(numpy.__version__) >= "2.4.0",
    reason="the interpreter of triton before 3.7 has no loops with numpy 2.4: pip install 'triton>=3.7' or 'numpy<2.4'",
)

INTERPRETED = """
import os
os.environ["TRITON_INTERPRET"] = "1"
import torch
from models import ltc, wirings
from models.kernels import ltc_cuda

def results(layer, x, h, spans, fast):
    ltc._kernels = lambda *_: fast
    layer.zero_grad()
    x, h = x.clone().requires_grad_(), h.clone().requires_grad_()
    y, last = layer(x, h, spans)
    (y.square().sum() + last.sum()).backward()
    return [y.detach(), last.detach(), x.grad, h.grad] + [p.grad for p in layer.parameters() if p.requires_grad]

torch.manual_seed(0)
for wiring, inputs, batch, frames, unfolds in (
    (wirings.FullyConnected(20), 7, 3, 4, 6),
    (wirings.AutoNCP(20, 5), 17, 5, 3, 2),
):
    layer = ltc.LTCLayer(inputs, wiring, ode_unfolds=unfolds)
    x, h = torch.randn(batch, frames, inputs), 0.3 * torch.randn(batch, 20)
    for spans in (None, 0.1 + torch.rand(batch, frames)):
        for a, b in zip(*(results(layer, x, h, spans, fast) for fast in (ltc_cuda, None)), strict=True):
            assert (a - b).norm() <= 1e-5 * b.norm() + 1e-7
"""


@needs_triton
@counts_loops
def test_the_kernels_agree_with_the_definition_in_tritons_interpreter() -> None:
    done = subprocess.run([sys.executable, "-c", INTERPRETED], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@needs_gpu
@needs_triton
@pytest.mark.parametrize("wiring", [wirings.FullyConnected(64), wirings.AutoNCP(100, 10)])
def test_the_kernels_agree_with_the_definition_on_a_gpu(
    monkeypatch: pytest.MonkeyPatch, wiring: wirings.Wiring
) -> None:
    torch.manual_seed(0)
    layer = LTCLayer(64, wiring).cuda()
    x = torch.randn(8, 20, 64, device="cuda")
    found = []
    for fast in (ltc._kernels(x.transpose(0, 1), wiring.units), None):
        monkeypatch.setattr(ltc, "_kernels", lambda *_, fast=fast: fast)
        layer.zero_grad()
        y, _ = layer(x)
        y.square().sum().backward()
        found.append([y.detach(), *(p.grad.clone() for p in layer.parameters() if p.grad is not None)])
    for a, b in zip(*found, strict=True):
        assert (a - b).norm() <= 1e-4 * b.norm() + 1e-6


@needs_triton
def test_without_a_gpu_kernel_large_layers_use_the_definition() -> None:
    from models.kernels import ltc_cuda

    assert ltc_cuda.fits(128, 128)
    assert not ltc_cuda.fits(128, 129)
