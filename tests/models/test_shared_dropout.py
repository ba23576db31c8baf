"""Dropout of several processes: together they drop what one process with the whole batch drops."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.layers.dropout import CheapDropout
from models.training import shared_dropout


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cheap = CheapDropout(0.3)
        self.usual = nn.Dropout(0.4)
        self.selu = nn.AlphaDropout(0.2)
        self.channels = nn.Dropout1d(0.2)

    def forward(self, x: Tensor) -> Tensor:
        frames = self.selu(self.cheap(x.mT.flatten(0, 1)))  # (B·7, 5)
        x = self.channels(self.usual(frames.unflatten(0, (-1, 7)).mT))
        return F.dropout(x.transpose(1, 2), 0.2, self.training)

    def training_step(self, batch: tuple[Tensor, list[int]]) -> Tensor:
        return self(batch[0])


@pytest.mark.parametrize(("ranks", "clips"), [(2, 6), (3, 6), (2, 7), (3, 8)])
def test_the_ranks_drop_together_what_one_process_drops(
    monkeypatch: pytest.MonkeyPatch, ranks: int, clips: int
) -> None:
    net, x = Net(), torch.rand(clips, 5, 7)
    monkeypatch.setattr(torch.distributed, "all_reduce", lambda total: total.fill_(clips))
    torch.manual_seed(3)
    wanted, after = net.training_step((x, [])), torch.get_rng_state()
    assert (wanted == 0).any()
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: ranks)
    for rank in range(ranks):
        monkeypatch.setattr(torch.distributed, "get_rank", lambda rank=rank: rank)
        torch.manual_seed(3)
        shared_dropout.apply(net)
        try:
            found = net.training_step((x[rank::ranks], []))
            found = found / (len(x[rank::ranks]) * ranks / clips)  # as a loss, it has the weight of its clips
            assert torch.equal(torch.get_rng_state(), after)
            assert torch.equal(net.eval()(x), x.transpose(1, 2))
            net.train()
        finally:
            shared_dropout.revert(net)
        torch.testing.assert_close(found, wanted[rank::ranks])  # AlphaDropout sums in another order
        assert torch.equal(found == 0, wanted[rank::ranks] == 0)
    torch.manual_seed(3)
    assert torch.equal(net(x), wanted)  # as before


def test_in_place_is_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    monkeypatch.setattr(torch.distributed, "get_rank", lambda: 1)
    x = torch.ones(4, 50)
    assert shared_dropout.dropout(x, 0.5, True, True) is x
    assert set(x.unique().tolist()) == {0.0, 2.0}
