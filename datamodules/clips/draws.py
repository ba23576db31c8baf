"""The order of training clips: each once, or drawn with replacement by rarity; the same on any number of processes."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, RandomSampler, Sampler, WeightedRandomSampler
from torch.utils.data.distributed import DistributedSampler

if TYPE_CHECKING:
    from datamodules.base import AudioDataModule


def whole(batch: Any) -> Any:
    """Return a batch that `__getitems__` has already collated."""
    return batch


def rarity(targets: Tensor, task: Literal["single", "multi"], classes: int) -> Tensor:
    """Return each clip's weight `(N,)` in a balanced draw: 1 divided by the number of clips of its rarest class.

    Args:
        targets: `(N,)` classes or `(N, C)` labels; a clip without a label has the weight of the most frequent class.
        task: "single" or "multi" label.
        classes: C.
    """
    labels = F.one_hot(targets, classes) if task == "single" else targets
    counts = labels.sum(0).clamp(min=1)  # (C,)
    weights = (labels / counts).amax(1)
    return torch.where(weights > 0, weights, 1 / counts.max())


def place_among_ranks() -> tuple[int, int]:
    """Return this process's rank and the number of processes of distributed training; `(0, 1)` without it."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    return 0, 1


class RankedOrder(DistributedSampler[int]):
    """One order of all clips, of which each rank takes every W-th clip.

    So W ranks with batches of B clips together see, step by step, the clips of one process with batches of W * B. In
    the last step, some ranks may have a clip more than others. Where it has fewer than W clips, it is left out,
    because each rank has to take part in each step; which clips these are differs from epoch to epoch.

    It is a `DistributedSampler`, because Lightning keeps these and shuffles the order of any other sampler again.

    Args:
        order: yields the clips in one order. Its random generator must have the same seed on every rank.
        rank: rank of this process.
        ranks: number of processes W.
        batch_size: clips of a rank in a step, B.
        persistent: whether the loader's workers live for all epochs. A loader draws a seed for new workers from the
            order's generator at the start of an epoch; for persistent ones this class does, so the order is the same.
    """

    def __init__(
        self,
        order: RandomSampler | WeightedRandomSampler,
        rank: int = 0,
        ranks: int = 1,
        batch_size: int = 1,
        *,
        persistent: bool = False,
    ) -> None:
        super().__init__(range(order.num_samples), ranks, rank)  # type: ignore[arg-type]  # only its length is used
        last = order.num_samples % (ranks * batch_size)
        used = order.num_samples - (last if last < ranks else 0)
        self.num_samples = len(range(rank, used, ranks))
        self.order: Sampler[int] = order
        self.generator: torch.Generator = order.generator
        self.persistent = persistent
        self._begun = False

    def __iter__(self) -> Iterator[int]:
        if self.persistent and self._begun:
            torch.empty((), dtype=torch.int64).random_(generator=self.generator)
        self._begun = True
        given = 0
        for place, clip in enumerate(self.order):  # lazily: the generator is used as without ranks
            if place % self.num_replicas == self.rank and given < self.num_samples:
                given += 1
                yield clip


def training_loader(
    clips: Dataset[tuple[Tensor, ...]], data: "AudioDataModule", workers: int | None = None
) -> DataLoader[tuple[Tensor, ...]]:
    """Return a loader in the seed's order, which is by rarity and with replacement where the data are `balanced`.

    In distributed training each rank's loader gives that rank's share, see `RankedOrder`. A last batch of one clip is
    dropped, because batch normalisation needs two; with several ranks, their clips together are two or more.

    Args:
        clips: the training clips, or what belongs to them in their order, with `__getitems__`.
        data: gives seed, batch size, workers, and the targets for a balanced draw; set up.
        workers: processes that read ahead, instead of the data's.
    """
    train = data.splits.train
    generator = torch.Generator().manual_seed(data.seed)
    order: RandomSampler | WeightedRandomSampler = RandomSampler(train, generator=generator)
    if data.balanced:
        shares = rarity(train.targets, data.task, len(data.classes))
        order = WeightedRandomSampler(shares.tolist(), len(train), generator=generator)
    processes = data.workers if workers is None else workers
    rank, ranks = place_among_ranks()
    sampler = RankedOrder(order, rank, ranks, data.batch_size, persistent=processes > 0)
    return DataLoader(
        clips,
        batch_size=data.batch_size,  # by its name: Lightning may replace it
        sampler=sampler,
        generator=generator,
        collate_fn=whole,
        drop_last=ranks == 1 and len(sampler) > 1 and len(sampler) % data.batch_size == 1,
        num_workers=processes,
        persistent_workers=processes > 0,
        pin_memory=data.on_gpu(),
    )
