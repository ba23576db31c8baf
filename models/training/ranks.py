"""Values of all processes of a distributed training, each clip once."""

from typing import Any

from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data.distributed import DistributedSampler


def each_once(gathered: Tensor, loader: Any) -> Tensor:
    """Return the values of all clips `(N, ...)` from those of each process `(W, n, ...)`.

    `DistributedSampler` deals the clips out in turn. Where W does not divide their number, it gives some of the first
    ones a second time at the end, so that all processes have the same number. Those are left out.

    Args:
        gathered: values of each process.
        loader: the loader of each process.
    """
    sampler = loader.sampler if isinstance(loader, DataLoader) else None
    if not isinstance(sampler, DistributedSampler) or sampler.drop_last:
        return gathered.flatten(0, 1)
    clips = len(sampler.dataset)  # type: ignore[arg-type]
    return gathered.transpose(0, 1).flatten(0, 1)[:clips]
