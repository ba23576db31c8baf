"""The forms that exports take: the models' own numbers, by fewer and other operations."""

import pytest
import torch

from bench.inference.exporting.program import traced
from models.export_forms import MFCCForm, SwishNetForm, faster
from models.frontends.mfcc import MFCC
from models.swishnet import LOOK_BACK, SwishNet


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


@pytest.mark.parametrize("rate", [8000, 11_025, 16_000])
def test_what_the_last_frame_does_not_depend_on_is_left_out(rate: int) -> None:
    model = swishnet(frontend=MFCC(rate))
    form = faster(model)
    generator = torch.Generator().manual_seed(0)
    hop = rate // 100
    for samples in [rate, *range(206 * hop - 1, 211 * hop, hop // 2), 3 * rate + 37]:
        clips = 0.1 * torch.randn(2, samples, generator=generator)
        with torch.inference_mode():
            torch.testing.assert_close(form(clips), model(clips), atol=1e-5, rtol=1e-4)
    taken = []
    form.standardise.register_forward_pre_hook(lambda _, inputs: taken.append(inputs[0].shape[2]))
    form.frontend.register_forward_hook(lambda *_: taken.append(_[2].shape[2]))
    with torch.inference_mode():
        form(clips)
    assert taken[1] == LOOK_BACK + 1
    assert taken[0] <= LOOK_BACK + 8 or rate == 11_025  # there, frames are not as far apart as hops


def test_a_mean_over_the_clip_takes_all_frames() -> None:
    model = swishnet(read_out="mean", frontend=MFCC(16_000))
    clips = 0.1 * torch.randn(2, 60_000, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        torch.testing.assert_close(faster(model)(clips), model(clips), atol=1e-5, rtol=1e-4)


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


@pytest.mark.parametrize("read_out", ["last", "mean"])
def test_a_file_computes_no_indices_of_frames(read_out: str) -> None:
    shapes = {0: torch.export.Dim("batch"), 2: torch.export.Dim("frames", min=50)}
    made = traced(faster(swishnet(read_out=read_out)), torch.randn(2, 20, 61), shapes, "swishnet", True)
    found = {str(node.target) for node in made.graph.graph.nodes if node.op == "call_function"}
    assert not {name for name in found if "arange" in name or "index_select" in name}
