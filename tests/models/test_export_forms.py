"""The forms that exports take: the models' own numbers, by fewer and other operations."""

import pytest
import torch

from models.export_forms import MFCCForm, SwishNetForm, faster
from models.frontends.mfcc import MFCC
from models.swishnet import SwishNet


def swishnet(width: int = 1, read_out: str = "last", frontend: torch.nn.Module | None = None) -> SwishNet:
    torch.manual_seed(width)
    model = SwishNet(frontend or torch.nn.Identity(), 20, 200, 5, width, read_out=read_out)
    for conv in model.modules():  # biases are 0 at first, and the statistics of the features 0 and 1
        if isinstance(conv, torch.nn.Conv1d) and conv.bias is not None:
            torch.nn.init.normal_(conv.bias, std=0.1)
    model.standardise.running_mean.normal_()
    model.standardise.running_var.uniform_(0.5, 2)
    return model.eval()


@pytest.mark.parametrize("read_out", ["last", "mean"])
@pytest.mark.parametrize("width", [1, 2])
def test_swishnet_at_lengths_that_no_stride_divides(width: int, read_out: str) -> None:
    model = swishnet(width, read_out)
    form = faster(model)
    assert isinstance(form, SwishNetForm)
    with torch.inference_mode():
        for frames in (1, 2, 3, 7, 47, 48, 49, 200, 311):
            x = torch.randn(3, 20, frames)
            torch.testing.assert_close(form(x), model(x), atol=1e-6, rtol=1e-5)


def test_the_model_itself_is_not_changed() -> None:
    model = swishnet(frontend=MFCC(16_000))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    form = faster(model)
    assert isinstance(form.frontend, MFCCForm)
    assert isinstance(model.frontend, MFCC)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    clips = 0.1 * torch.randn(2, 16_000)
    with torch.inference_mode():
        torch.testing.assert_close(form(clips), model(clips), atol=1e-5, rtol=1e-4)


def test_energy_in_the_first_coefficient_keeps_its_own_form() -> None:
    form = faster(MFCC(16_000, append_energy=True))
    assert not isinstance(form, MFCCForm)
    clips = 0.1 * torch.randn(2, 16_000)
    torch.testing.assert_close(form(clips), MFCC(16_000, append_energy=True)(clips), atol=1e-4, rtol=1e-4)


def test_a_file_computes_no_indices_of_frames() -> None:
    example = torch.randn(2, 20, 61)
    shapes = ({0: torch.export.Dim("batch"), 2: torch.export.Dim("frames", min=50)},)
    graph = torch.export.export(faster(swishnet()), (example,), dynamic_shapes=shapes)
    found = {str(node.target) for node in graph.graph.nodes if node.op == "call_function"}
    assert not {name for name in found if "arange" in name or "index_select" in name}
