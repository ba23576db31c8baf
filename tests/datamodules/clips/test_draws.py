"""The order of training clips: the seed's, by rarity, and divided among ranks as Lightning would."""

from typing import Any
from unittest import mock

import pytest
import torch
from fakes.numbered import Numbers, numbers
from lightning.pytorch import Trainer
from lightning.pytorch.trainer.connectors.data_connector import _DataConnector
from lightning.pytorch.trainer.states import RunningStage
from torch.utils.data import DataLoader, Dataset

from datamodules.clips import draws
from datamodules.clips.draws import rarity, training_loader


def data(clips: int, **given: Any) -> Numbers:
    made = Numbers(clips, **given)
    made.setup()
    return made


def ranked(clips: int, ranks: int, epochs: int = 1, *, balanced: bool = False, **given: Any) -> list[list[list[int]]]:
    """The batches of each rank."""
    found = []
    for rank in range(ranks):
        part = data(clips, **given)
        part.balanced = balanced
        with mock.patch.object(draws, "place_among_ranks", return_value=(rank, ranks)):
            loader = part.train_dataloader()
        found.append([batch for _ in range(epochs) for batch in numbers(loader)])
    return found


@pytest.mark.parametrize(
    ("clips", "batch_size", "seed", "first", "second"),
    [
        (10, 4, 0, [[3, 7, 5, 2], [0, 8, 1, 6], [9, 4]], [[1, 3, 2, 7], [5, 9, 0, 6], [4, 8]]),
        (9, 4, 3, [[1, 4, 2, 3], [0, 6, 7, 8]], [[0, 6, 7, 2], [1, 3, 8, 5]]),  # a last batch of one clip is dropped
        (5, 8, 1, [[4, 1, 3, 0, 2]], [[1, 4, 3, 2, 0]]),
    ],
)
def test_the_order_is_that_of_published_records(
    clips: int, batch_size: int, seed: int, first: list[list[int]], second: list[list[int]]
) -> None:
    loader = data(clips, seed=seed, batch_size=batch_size).train_dataloader()
    assert [numbers(loader), numbers(loader)] == [first, second]


def test_a_balanced_order_is_that_of_published_records() -> None:
    part = data(10)
    part.balanced = True
    loader = part.train_dataloader()
    assert numbers(loader) == [[7, 3, 9, 6], [8, 0, 1, 5], [0, 3]]
    assert numbers(loader) == [[1, 6, 3, 2], [2, 0, 6, 8], [0, 7]]


def test_a_rare_class_weighs_more() -> None:
    assert rarity(torch.tensor([0, 0, 0, 1]), "single", 2).tolist() == pytest.approx([1 / 3, 1 / 3, 1 / 3, 1])
    labels = torch.tensor([[1.0, 0.0], [1.0, 1.0], [1.0, 0.0], [0.0, 0.0]])
    assert rarity(labels, "multi", 2).tolist() == pytest.approx([1 / 3, 1, 1 / 3, 1 / 3])


def test_what_belongs_to_the_clips_comes_in_their_order() -> None:
    class Squares(Dataset[tuple[torch.Tensor, ...]]):
        def __len__(self) -> int:
            return 10

        def __getitems__(self, indices: list[int]) -> tuple[torch.Tensor, ...]:
            return (torch.tensor([i * i for i in indices]),)

    part = data(10)
    wanted = [[i * i for i in batch] for batch in numbers(part.train_dataloader())]
    loader = training_loader(Squares(), part, workers=0)
    assert [batch.tolist() for (batch,) in loader] == wanted


@pytest.mark.parametrize("balanced", [False, True])
@pytest.mark.parametrize(("clips", "ranks", "batch_size"), [(12, 2, 3), (24, 3, 2), (20, 2, 4)])
def test_ranks_see_step_by_step_the_clips_of_one_process(
    clips: int, ranks: int, batch_size: int, balanced: bool
) -> None:
    (one,) = ranked(clips, 1, epochs=2, balanced=balanced, batch_size=ranks * batch_size)
    several = ranked(clips, ranks, epochs=2, balanced=balanced, batch_size=batch_size)
    assert [sorted(clip for batch in step for clip in batch) for step in zip(*several, strict=True)] == [
        sorted(step) for step in one
    ]


@pytest.mark.parametrize(("clips", "ranks"), [(11, 2), (13, 3), (7, 5)])
def test_ranks_together_have_each_clip_once(clips: int, ranks: int) -> None:
    several = ranked(clips, ranks, batch_size=100)
    assert {len(clip) for (clip,) in several} == {clips // ranks, -(-clips // ranks)}
    assert sorted(clip for (batch,) in several for clip in batch) == list(range(clips))


@pytest.mark.parametrize(("clips", "ranks", "steps"), [(18, 2, 3), (17, 2, 2), (26, 3, 2), (27, 3, 3), (2, 5, 0)])
def test_a_last_step_with_fewer_clips_than_ranks_is_left_out(clips: int, ranks: int, steps: int) -> None:
    several = ranked(clips, ranks, batch_size=4)
    assert [len(batches) for batches in several] == [steps] * ranks
    (one,) = ranked(clips, 1, batch_size=4 * ranks)
    assert len(one) == steps or 1 < len(one[-1]) < ranks


@pytest.mark.filterwarnings("ignore:.*GPU available but not used.*")
def test_lightning_leaves_the_order_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """It wraps other samplers and shuffles their order by a seed of its own."""
    trainer = Trainer(accelerator="cpu", devices=2, strategy="ddp", logger=False, enable_checkpointing=False)
    connector: _DataConnector = trainer._data_connector
    part = data(12)
    monkeypatch.setattr(draws, "place_among_ranks", lambda: (1, 2))
    loader = part.train_dataloader()
    assert connector._prepare_dataloader(loader, shuffle=True, mode=RunningStage.TRAINING) is loader
    plain = DataLoader(part.splits.train, 4, shuffle=True)
    assert connector._prepare_dataloader(plain, shuffle=True, mode=RunningStage.TRAINING) is not plain


def test_without_distributed_training_there_is_one_place() -> None:
    assert draws.place_among_ranks() == (0, 1)
