"""Multiply-adds of every family of models against formulas in the sizes of its layers, worked out by hand."""

import pytest
import torch
from torch import Tensor, nn

from bench import catalog
from bench.profiling.complexity import count, measure, trainable
from bench.training import build
from models import panns
from models.base import AudioModel
from models.frontends.logmel import LogMel
from models.frontends.mfcc import MFCC
from models.frontends.none import NoFrontend
from models.liquid import CNNLTC, LTC, CfC, CNNCfC
from models.lstm_skip import LSTMSkip
from models.swishnet import SwishNet


def counted(module: nn.Module, *shape: int) -> int:
    return count(module.eval().to("meta"), torch.empty(shape, device="meta"))


def macs(model: AudioModel) -> int:
    return measure(model, (model.frames, model.features), 1.0).macs


@pytest.mark.slow
def test_the_front_end_is_counted_apart() -> None:
    """Two seconds at 16 kHz; 400 points of window in a transform of 512, for MFCC after pre-emphasis."""
    transform = 4 * 256 * 9 + 2 * 257  # 256 butterflies in nine stages, four multiply-adds each, then the power
    swishnet = measure(SwishNet(MFCC(16000), 20, 200, 3), (32000,), 2.0)
    assert swishnet.macs == 515_696
    assert swishnet.frontend_macs == 32000 + 200 * (400 + transform + 32 * 257 + 20 * 32)
    ltc = measure(LTC(LogMel(16000), 64, 200, 3, steps=20), (32000,), 2.0)
    assert ltc.macs == macs(LTC(NoFrontend(), 64, 20, 3))
    assert ltc.frontend_macs == 200 * (512 + transform + 64 * 257)


@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("ways", [1, 2])
def test_lstm_skip(layers: int, ways: int) -> None:
    """Four gates of H units on the layer's input and its own state; layer n has F + ways · H · n inputs."""
    f, h, t, c = 24, 10, 7, 5
    model = LSTMSkip(NoFrontend(), f, t, c, hidden=h, layers=layers, head_units=30, bidirectional=ways == 2)
    recurrent = sum(ways * 4 * h * (f + ways * h * n + h) for n in range(layers))
    assert macs(model) == t * recurrent + (f + ways * h * layers) * 30 + 30 * c


@pytest.mark.parametrize("width", [1, 2, 3])
@pytest.mark.parametrize("frames", [1, 50, 201])
def test_swishnet(width: int, frames: int) -> None:
    w, c = width, 4
    first = 3 * 20 * 16 * w + (6 * 20 + 20 * 16 * w)  # a convolution of three frames and a separable one of six
    second = 3 * 16 * w * 8 * w + (6 * 16 * w + 16 * w * 8 * w)
    third = 3 * 8 * w * 8 * w + (6 * 8 * w + 8 * w * 8 * w)
    strided = [3 * 8 * w * 16 * w] * 4 + [3 * 8 * w * 32 * w]
    decision = 40 * w * 16 * w + 16 * w * c
    total, length = frames * (first + second + third) + decision, frames
    for stride, products in zip((3, 2, 2, 2, 2), strided, strict=True):
        length = -(-length // stride)
        total += length * products
    model = SwishNet(NoFrontend(), 20, frames, c, width=w)
    assert macs(model) == total

    class AtEachFrame(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, features: Tensor) -> Tensor:
            return model.frame_logits(features)

    assert counted(AtEachFrame(), 1, 20, frames) == frames * (first + second + third + sum(strided) + decision)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("t_c", "t_m", "w", "classes"), [(2, 2, 3, 50), (16, 8, 7, 10), (1, 1, 1, 2), (4, 1, 2, 527), (8, 4, 6, 527)]
)
def test_rann(t_c: int, t_m: int, w: int, classes: int) -> None:
    """Sizes that are not in the published table, and one that is."""
    bands, frames, inputs = 128, 128 * t_c, 1
    products, parameters = 0, 2 * bands
    for stage in range(5):
        outputs = 8 * w * 2**stage
        quarter = stage > 0 and 2**stage <= t_m
        first, second = (3 * 6, 3 * 5) if quarter else (9, 9)
        if stage:
            bands, frames = bands // 2, frames // (4 if quarter else 2)
        kernels = first * inputs * outputs + second * outputs**2 + inputs * outputs + 3 * 2 * 9 * outputs**2
        products += bands * frames * kernels
        parameters += kernels + 2 * inputs + 2 * outputs + 2 * outputs + 3 * 2 * 2 * outputs
        inputs = outputs
    products += inputs * inputs + inputs * classes
    parameters += inputs * (inputs + 1) + classes * (inputs + 1)
    entry = catalog.model(f"rann-{t_c}x{t_m}-{w}")
    with torch.device("meta"):
        model = catalog.load(entry.target)(NoFrontend(), 128, 128 * t_c, classes, **entry.arguments)
    assert trainable(model) == parameters
    assert macs(model) == products
    if (t_c, t_m, w) == (8, 4, 6):
        assert (parameters, products) == (54_919_313, 47_136_582_912)


def ltc_step(inputs: int, inter: int, command: int, motor: int, unfolds: int) -> tuple[int, int]:
    """Sigmoids and multiply-adds of one step of a liquid layer with the NCP wiring.

    A synapse is a sigmoid, its argument one multiply-add and its two sums two; blocks between layers are full. Each
    neuron is updated once a sub-step, each input and each output scaled once a step.
    """
    sigmoids = inputs * inter + unfolds * (inter * command + command * command + command * motor)
    return sigmoids, 3 * sigmoids + unfolds * (inter + command + motor) + inputs + motor


@pytest.mark.slow
@pytest.mark.parametrize(
    ("units", "motors", "unfolds", "layers"), [(64, None, 6, (20, 12, 32)), (50, 10, 3, (24, 16, 10))]
)
def test_ltc(units: int, motors: int | None, unfolds: int, layers: tuple[int, int, int]) -> None:
    """Of 32 or 40 neurons that are no motors 0.4 are command neurons."""
    f, c = 18, 5
    sigmoids, products = ltc_step(f, *layers, unfolds)
    model = LTC(NoFrontend(), f, 9, c, units=units, motors=motors, ode_unfolds=unfolds)
    found = measure(model, (9, f), 1.0)
    assert found.elementwise == 9 * sigmoids
    assert found.macs == 9 * products + layers[2] * c
    longer = measure(LTC(NoFrontend(), f, 90, c, units=units, motors=motors, ode_unfolds=unfolds), (90, f), 1.0)
    assert longer.elementwise == 50 * sigmoids  # 90 frames are averaged to 50 steps
    assert longer.macs == 50 * products + layers[2] * c


def convolutions(w: int) -> int:
    """Of 64 bands × 96 frames: 5 × 5 at 32 × 24, then 3 × 3 there and, pooled, at 16 × 12."""
    return 25 * w * 32 * 24 + 9 * w * 2 * w * 32 * 24 + 9 * 2 * w * 4 * w * 16 * 12


@pytest.mark.slow
def test_cnn_ltc() -> None:
    sigmoids, products = ltc_step(4 * 16, 20, 12, 32, 6)
    found = measure(CNNLTC(NoFrontend(), 64, 96, 5), (96, 64), 1.0)
    assert found.elementwise == 6 * sigmoids  # pooled to 6 frames
    assert found.macs == convolutions(16) + 6 * products + 32 * 5


@pytest.mark.slow
def test_cfc() -> None:
    """A backbone of 128 units on input and state, four heads on it, one where it is "pure"."""
    f, h, t, c = 18, 20, 9, 5
    backbone = (f + h) * 128
    assert macs(CfC(NoFrontend(), f, t, c, units=h)) == t * (backbone + 4 * 128 * h) + h * c
    assert macs(CfC(NoFrontend(), f, t, c, units=h, mode="pure")) == t * (backbone + 128 * h) + h * c
    assert macs(CfC(NoFrontend(), f, 90, c, units=h)) == 50 * (backbone + 4 * 128 * h) + h * c
    assert measure(CfC(NoFrontend(), f, t, c, units=h), (t, f), 1.0).elementwise == 0
    with_cnn = CNNCfC(NoFrontend(), 64, 96, c, units=h)
    assert macs(with_cnn) == convolutions(16) + 6 * ((64 + h) * 128 + 4 * 128 * h) + h * c


def test_wired_cfc() -> None:
    """Cells of 24, 16 and 10 neurons, each with four heads on the layer before and itself."""
    f, t, c = 20, 9, 5
    cells = 4 * ((f + 24) * 24 + (24 + 16) * 16 + (16 + 10) * 10)
    assert macs(CfC(NoFrontend(), f, t, c, units=50, motors=10, sparsity=0.5)) == t * cells + 10 * c


T, F = 12, 8
"""Frames and bands of the maps that a block of PANNs takes."""


@pytest.mark.parametrize(
    ("block", "channels", "expected"),
    [
        pytest.param(panns.ConvBlock(3, 5), 3, T * F * (9 * 3 * 5 + 9 * 5 * 5), id="two-convolutions"),
        pytest.param(panns.ConvBlock(3, 5, 5), 3, T * F * 25 * 3 * 5, id="5x5"),
        pytest.param(panns.BasicBlock(6, 6, 1, None), 6, T * F * 2 * 9 * 6 * 6, id="basic"),
        pytest.param(
            panns.BasicBlock(6, 8, 2, nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(6, 8, 1, bias=False))),
            6,
            T // 2 * F // 2 * (9 * 6 * 8 + 9 * 8 * 8 + 6 * 8),  # pooled first, then convolved
            id="basic-strided",
        ),
        pytest.param(
            panns.Bottleneck(6, 4, 2, nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(6, 16, 1, bias=False))),
            6,
            T // 2 * F // 2 * (6 * 4 + 9 * 4 * 4 + 4 * 16 + 6 * 16),
            id="bottleneck-strided",
        ),
        pytest.param(
            panns.InvertedResidual(6, 8, 2, 3),  # convolved at full rate, then pooled
            6,
            T * F * (6 * 18 + 9 * 18) + T // 2 * F // 2 * 18 * 8,
            id="inverted-residual",
        ),
    ],
)
def test_blocks_of_panns(block: nn.Module, channels: int, expected: int) -> None:
    assert counted(block, 1, channels, T, F) == expected


MAPS = [1001 * 64, 500 * 32, 250 * 16, 125 * 8, 62 * 4, 31 * 2]
"""Places of the maps of ten seconds, halved five times, an odd row or column dropped."""


def test_cnn14() -> None:
    widths = [1, 64, 128, 256, 512, 1024, 2048]
    blocks = sum(n * 9 * (i * o + o * o) for n, i, o in zip(MAPS, widths, widths[1:], strict=False))
    with torch.device("meta"):
        model = panns.CNN14(NoFrontend(), 64, 1001, 527)
    assert macs(model) == blocks + 2048 * 2048 + 2048 * 527 == 20_041_926_656


@pytest.mark.slow
def test_resnet38() -> None:
    stages = 0
    inputs = 64
    for places, blocks, width in zip(MAPS[1:], (3, 4, 6, 3), (64, 128, 256, 512), strict=False):
        shortcut = inputs * width if width > 64 else 0
        stages += places * (9 * inputs * width + shortcut + (2 * blocks - 1) * 9 * width * width)
        inputs = width
    ends = MAPS[0] * 9 * (64 + 64 * 64) + MAPS[5] * 9 * (512 * 2048 + 2048 * 2048)
    with torch.device("meta"):
        model = panns.ResNet38(NoFrontend(), 64, 1001, 527)
    assert macs(model) == ends + stages + 2048 * 2048 + 2048 * 527 == 23_391_078_400


@pytest.mark.slow
def test_mobilenet_v1() -> None:
    """Depthwise convolutions run at the full rate and are pooled, pointwise ones run after that."""
    plan = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1)]
    frames, bands, inputs = 1001 // 2, 64 // 2, 32
    products = 1001 * 64 * 9 * 32
    for outputs, stride in plan:
        products += frames * bands * 9 * inputs
        frames, bands = frames // stride, bands // stride
        products += frames * bands * inputs * outputs
        inputs = outputs
    with torch.device("meta"):
        model = panns.MobileNetV1(NoFrontend(), 64, 1001, 527)
    assert macs(model) == products + 1024 * 1024 + 1024 * 527


@pytest.mark.slow
def test_wavegram_logmel_cnn() -> None:
    """The spectrogram is inside the model: its transform is declared, its mel filters are a product."""
    model, shape, seconds = build.untrained("wavegram-logmel-cnn", 527, None, 32000, None, None)
    length = 64_000
    wave = length * 11 * 64
    for inputs, outputs in ((64, 64), (64, 128), (128, 128)):
        wave += length * 3 * (inputs * outputs + outputs * outputs)
        length //= 4
    assert wave == 3_190_784_000
    branches = 1000 * 32 * 9 * (4 * 64 + 64 * 64) + MAPS[0] * 9 * (64 + 64 * 64)
    widths = [128, 128, 256, 512, 1024, 2048]
    blocks = sum(n * 9 * (i * o + o * o) for n, i, o in zip(MAPS[1:], widths, widths[1:], strict=False))
    network = wave + branches + blocks + 2048 * 2048 + 2048 * 527
    assert network == 25_665_734_656
    spectrogram = 1001 * (1024 + 4 * 512 * 10 + 2 * 513 + 64 * 513)
    found = measure(model, shape, seconds)
    assert found.macs == network + spectrogram
    assert found.frontend_macs == 0
