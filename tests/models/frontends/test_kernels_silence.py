"""Silence has the very same level by a kernel as by torch: models take frames of this level for padding."""

import copy

import pytest
import torch

from bench import catalog
from models.base import use_kernels
from models.kernels.loading import available

pytestmark = pytest.mark.skipif(available("spectrum_cpu") is None, reason="no numba")


@pytest.mark.parametrize("name", ["logmel", "logmel-1s", "logmel-20ms", "logmel-panns", "logmel-128"])
@pytest.mark.parametrize("sample_rate", [16_000, 32_000])
def test_silence_has_the_level_that_torch_gives_it(name: str, sample_rate: int) -> None:
    entry = catalog.frontend(name)
    own = catalog.load(entry.target)(sample_rate, **entry.arguments).eval()
    quick = copy.deepcopy(own)
    use_kernels(quick)
    x = 0.1 * torch.randn(2, 3 * sample_rate, generator=torch.Generator().manual_seed(0))
    x[:, sample_rate:] = 0
    with torch.inference_mode():
        expected, found = own(x), quick(x)
    silent = expected == expected.min()
    assert any(getattr(part, "kernels_used", False) for part in quick.modules())
    assert silent.any()
    assert torch.equal(found == expected.min(), silent)


def test_silence_of_a_clip_has_that_level_beside_a_clip_that_is_not_finite() -> None:
    entry = catalog.frontend("logmel")
    own = catalog.load(entry.target)(16_000, **entry.arguments).eval()
    quick = copy.deepcopy(own)
    use_kernels(quick)
    x = torch.zeros(3, 16_000)
    x[0] = torch.nan
    x[2] = 0.1 * torch.randn(16_000, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = own(x)
        for _ in range(2):  # the second time, the level of silence is known
            found = quick(x)
            assert found[0].isnan().all()
            assert torch.equal(found[1], expected[1])
            assert (found[2] > expected[1].max()).all()
