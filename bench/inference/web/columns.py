"""Pictures of a sound of unknown length in bounded memory: columns are joined in pairs when they become too many."""

import numpy as np
from numpy.typing import NDArray

Frames = NDArray[np.float32]


class Columns:
    """The largest values of equal parts of a sequence.

    Args:
        most: number of columns that are not exceeded.
        per_column: frames of a column at the beginning.
    """

    def __init__(self, most: int, per_column: int = 1) -> None:
        self._most = most
        self.per_column = per_column
        self._columns: list[Frames] = []
        self._count = 0
        self._rest: Frames | None = None

    def add(self, frames: Frames) -> None:
        """Take the next frames `(n, F)`."""
        rest = frames if self._rest is None else np.concatenate([self._rest, frames])
        while take := min(len(rest) // self.per_column, self._most - self._count):
            cut = take * self.per_column
            self._columns.append(rest[:cut].reshape(take, self.per_column, -1).max(1))
            self._count += take
            rest = rest[cut:]
            if self._count == self._most:
                joined = np.concatenate(self._columns)
                self._columns = [joined.reshape(self._most // 2, 2, -1).max(1)]
                self._count //= 2
                self.per_column *= 2
        self._rest = rest.copy()

    def finished(self) -> Frames:
        """Return the columns `(n, F)`; the last one may be of fewer frames."""
        rest = [self._rest.max(0, keepdims=True)] if self._rest is not None and len(self._rest) else []
        found: Frames = np.concatenate([*self._columns, *rest])
        return found
