"""The self-normalising network on frames: the paper's size, and what its layers are drawn for."""

import pytest
import torch

from bench.profiling.complexity import measure, trainable
from models.base import ModelError
from models.frontends.mfcc import MFCCDeltas
from models.frontends.none import NoFrontend
from models.snn import SNN


def test_the_size_is_the_published_one() -> None:
    assert trainable(SNN(NoFrontend(), 60, 200, 3)) == 179_203
    assert trainable(SNN(NoFrontend(), 60, 200, 10)) == 179_203 + 7 * 65


def test_multiply_adds_are_those_of_the_layers_at_each_frame() -> None:
    found = measure(SNN(MFCCDeltas(16000), 60, 200, 3), (32000,), 2.0)
    assert found.macs == 200 * (60 * 512 + 512 * 256 + 256 * 64 + 64 * 3)
    assert found.frontend_macs == MFCCDeltas(16000).macs(32000)


@pytest.mark.slow
def test_activations_stay_normalised() -> None:
    """What SELU is for: mean 0 and variance 1 stay so from layer to layer (Klambauer et al., theorem 1)."""
    torch.manual_seed(0)
    model = SNN(NoFrontend(), 60, 200, 3, hidden=[512] * 8).eval()
    x = model.hidden(torch.randn(2000, 60))
    assert abs(x.mean()) < 0.15
    assert 0.7 < x.std() < 1.3


def test_the_clip_is_decided_by_the_product_of_its_frames_probabilities() -> None:
    torch.manual_seed(0)
    model = SNN(NoFrontend(), 60, 7, 3).eval().double()
    x = torch.randn(4, 7, 60, dtype=torch.float64)
    of_frames = model.frame_logits(x.mT).softmax(2)  # (B, T, C)
    product = of_frames.prod(1) ** (1 / 7)
    expected = product / product.sum(1, keepdim=True)
    torch.testing.assert_close(model(x).softmax(1), expected)
    torch.testing.assert_close(model.frame_logits(x[:, 3:4].mT)[:, 0], model(x[:, 3:4]))


def test_a_network_without_a_hidden_layer_is_refused() -> None:
    with pytest.raises(ModelError, match="hidden must contain the units"):
        SNN(NoFrontend(), 60, 7, 3, hidden=())
