"""SwishNet's branches as one convolution, which predictions and timings may compute."""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

import pytest
import torch
from torch import nn

from models.base import use_kernels
from models.swishnet import SwishNet, TwoBranches


@contextmanager
def joined() -> Iterator[mock.Mock]:
    with mock.patch.object(TwoBranches, "_joined", autospec=True, side_effect=TwoBranches._joined) as calls:
        yield calls


@pytest.mark.parametrize("width", [1, 2])
@torch.no_grad()
def test_branches_as_one_convolution_give_the_logits(width: int) -> None:
    torch.manual_seed(0)
    model = SwishNet(nn.Identity(), 20, 300, 10, width=width).eval()
    for parameter in model.parameters():
        parameter.copy_(0.5 * torch.randn_like(parameter))
    features = torch.randn(3, 20, 300)
    expected = model(features)
    use_kernels(model)
    with joined() as calls:
        torch.testing.assert_close(model(features), expected, atol=2e-5, rtol=2e-5)
    assert calls.call_count == 3


def test_training_gradients_and_streams_use_the_definition() -> None:
    torch.manual_seed(0)
    model = SwishNet(nn.Identity(), 20, 300, 10, dropout=0.0)
    use_kernels(model)
    features = torch.randn(2, 20, 300)
    with joined() as calls:
        model(features)
        model.eval()(features)
        with torch.no_grad():
            model.train()(features)
            model.eval().advance(features)
            torch.export.export(model, (features,))
        assert calls.call_count == 0
