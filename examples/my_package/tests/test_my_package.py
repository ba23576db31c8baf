"""The model and the dataset of this package."""

import torch
from my_package.attentive_pool import AttentivePool
from my_package.sweeps import Sweeps

from models.frontends.logmel import LogMel


def test_a_clip_alone_has_the_logits_that_it_has_in_a_batch() -> None:
    data = Sweeps()
    model = AttentivePool.for_data(data, frontend=LogMel(data.sample_rate), hidden=8).eval()
    clips = data.splits.test.load(range(4))
    assert model(clips).shape == (4, 3)
    torch.testing.assert_close(torch.cat([model(clip[None]) for clip in clips]), model(clips))


def test_folds_are_disjoint_and_balanced() -> None:
    tested: list[str] = []
    for fold in range(3):
        data = Sweeps(clips_per_class=6, fold=fold)
        data.setup()
        tested += data.splits.test.ids
        assert torch.equal(torch.bincount(data.splits.test.targets), torch.tensor([2, 2, 2]))
    assert len(tested) == len(set(tested)) == 18
