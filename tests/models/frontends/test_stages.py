"""Front-ends chunk by chunk: the frames of the whole waveform, where the framing says."""

import pytest
import torch
from torch import Tensor, nn

from bench import catalog
from models.base import Frontend, ModelError
from models.layers.framing import join

RATE = 16_000
WHOLE = {"mfcc-librosa", "cqt", "tempogram", "none"}
"""Limited by the clip's loudest band, computed in blocks of their own, or no sound at all."""


def built(name: str, rate: int = RATE) -> Frontend:
    torch.manual_seed(0)
    entry = catalog.frontend(name)
    frontend = catalog.load(entry.target)(rate, **entry.arguments)
    assert isinstance(frontend, Frontend)
    for module in frontend.modules():
        if isinstance(module, nn.BatchNorm1d):
            module.momentum = 1
    if not frontend.fixed:
        with torch.no_grad():
            frontend(sound(rate))
    return frontend.eval()


def sound(samples: int) -> Tensor:
    return 0.1 * torch.randn(1, samples, generator=torch.Generator().manual_seed(1))


def chunked(frontend: Frontend, x: Tensor, sizes: list[int]) -> Tensor:
    stage, found, at, turn = frontend.stage(), [], 0, 0
    while at < x.shape[-1]:
        size = sizes[turn % len(sizes)]
        found.append(stage.push(x[..., at : at + size]))
        at, turn = at + size, turn + 1
    return join(*found, stage.finish())


with_stages = pytest.mark.parametrize("name", [name for name in catalog.FRONTENDS if name not in WHOLE])


@pytest.mark.slow
@with_stages
def test_chunks_give_the_frames_of_the_whole(name: str) -> None:
    frontend = built(name)
    with torch.inference_mode():
        x = sound(2 * RATE + 1234)
        expected = frontend(x)
        scale = float(expected.abs().max())
        for sizes in ([160], [1600, 7, 333], [20_000], [100_000]):
            found = chunked(frontend, x, sizes)
            torch.testing.assert_close(found, expected, atol=1e-5 * scale, rtol=1e-5)


@pytest.mark.parametrize("name", ["mfcc", "logmel", "mfcc-deltas", "gfcc"])
def test_single_samples(name: str) -> None:
    frontend = built(name)
    with torch.inference_mode():
        for samples in (1, 200, 900, 3_000):
            x = sound(samples)
            expected = frontend(x)
            scale = float(expected.abs().max())
            torch.testing.assert_close(chunked(frontend, x, [1]), expected, atol=1e-5 * scale, rtol=1e-5)


@pytest.mark.parametrize(("rate", "ratio"), [(22_050, 220 / 220.5), (44_100, 345 / 344.53125)])
def test_a_hop_that_does_not_divide_the_rate(rate: int, ratio: float) -> None:
    """The stage has a frame at each hop, also where a clip of the front-end leaves some out at its end."""
    frontend = built("mfcc" if rate == 22_050 else "logmel-128", rate)
    with torch.inference_mode():
        x = sound(3 * rate)
        expected, found = frontend(x), chunked(frontend, x, [1000])
        hop = int(frontend.framing().stride)
        same = min(expected.shape[-1], found.shape[-1]) - 8  # reflected at the end
        assert abs(found.shape[-1] - 3 * rate / hop) <= 4
        torch.testing.assert_close(found[..., :same], expected[..., :same], atol=1e-3, rtol=1e-5)
        assert hop / (rate / frontend.frame_rate) == pytest.approx(ratio)


@with_stages
def test_frames_depend_on_what_the_framing_says(name: str) -> None:
    frontend = built(name)
    framing = frontend.framing()
    x = sound(3 * RATE).requires_grad_()
    features = frontend(x)
    one = 2 if features.shape[-1] < 10 else 40
    features[0, :, one].sum().backward()
    assert x.grad is not None
    used = x.grad[0].nonzero().flatten()
    assert framing.before is not None
    assert framing.after is not None
    start = one * framing.stride
    assert start - framing.before <= int(used.min()) <= max(0, start - framing.before + 120)
    assert start + framing.after - 120 <= int(used.max()) < start + framing.after


@pytest.mark.parametrize("name", sorted(WHOLE))
def test_features_of_the_clip_as_a_whole(name: str) -> None:
    with pytest.raises(ModelError, match="depend on the clip as a whole"):
        built(name).stage()
