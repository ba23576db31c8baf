"""Memory for batches that a loader's processes fill and its own process reads, used again and again.

Fresh pages of shared memory take longer than all else that happens to a clip between decoder and batch.
"""

import weakref
from dataclasses import dataclass

import torch
from torch import Tensor

SPARE = 4
"""Places for each process: two batches that wait, one that is computed with, and one that is filled."""


@dataclass(frozen=True)
class Placed:
    """A batch in a ring.

    Attributes:
        place: number of its place.
        rows: number of its rows.
    """

    place: int
    rows: int


class Ring:
    """Places for batches in shared memory. A place is free again when no tensor has its memory any more.

    Args:
        workers: number of processes.
        rows: of the largest batch.
        columns: samples of a clip.
    """

    def __init__(self, workers: int, rows: int, columns: int) -> None:
        places = SPARE * workers
        self._batches = shared(places * rows, columns).view(places, rows, columns)
        self._taken = torch.zeros(places, dtype=torch.uint8).share_memory_()  # type: ignore[no-untyped-call]

    def take(self, worker: int, rows: int) -> tuple[Placed, Tensor] | None:
        """Return a free place of this process, and its `(rows, columns)`; None where all are taken."""
        for place in range(SPARE * worker, SPARE * (worker + 1)):
            if rows <= self._batches.shape[1] and not self._taken[place]:
                self._taken[place] = 1
                return Placed(place, rows), self._batches[place, :rows]
        return None

    def batch(self, placed: Placed) -> Tensor:
        """Return a batch; its place is free again when the memory of the returned tensor is."""
        array = self._batches[placed.place, : placed.rows].numpy()
        weakref.finalize(array, self._taken.__setitem__, placed.place, 0).atexit = False
        return torch.from_numpy(array)  # its storage keeps the array, also where only a part of the tensor is kept


def shared(rows: int, columns: int) -> Tensor:
    """Return an empty `(rows, columns)` in shared memory, which another process receives without a copy."""
    storage = torch.UntypedStorage._new_shared(4 * rows * columns)  # type: ignore[no-untyped-call]
    return torch.empty(0).set_(storage, 0, (rows, columns))  # type: ignore[call-overload, no-any-return]
