"""Many records in little time and memory: the check of a digest without parsing, and values that records share."""

import hashlib
import re
from array import array
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar, overload

_DIGEST = re.compile(rb'\n "digest": "([0-9a-f]{64})",?(?=\n)')
_KEPT = 16
"""Number of values of a class among which an equal one is looked for: a dataset's folds, some machines."""


def verified(text: str) -> bytes | None:
    """Return the canonical JSON of a record's file without its digest, if it has the layout of written records.

    The layout has one value a line, so that taking line breaks, indents and the blanks after keys away gives the text
    that the digest is of. Whatever else is taken away, too, gives another digest.

    Args:
        text: of the file.

    Returns:
        The JSON text that matches the digest; None where the text has another layout, or does not match.
    """
    if not text.isascii():
        return None
    content = text.encode()
    found = _DIGEST.search(content)
    if found is None:
        return None
    content = content[: found.start()] + content[found.end() :]
    # A text with two blanks in a row, such as a traceback, loses them here, and so is left to the parser.
    content = content.replace(b"  ", b"").replace(b"\n ", b"").translate(None, b"\n").replace(b'": ', b'":')
    return content if hashlib.sha256(content).hexdigest().encode() == found[1] else None


class Floats(Sequence[float]):
    """Numbers of 64 bits in one block of memory, a quarter of a tuple's; equal to a tuple of the same numbers.

    Args:
        values: the numbers.
    """

    __slots__ = ("_values",)

    def __init__(self, values: Iterable[float] = ()) -> None:
        self._values = array("d", values)

    def __len__(self) -> int:
        return len(self._values)

    @overload
    def __getitem__(self, place: int) -> float: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[float, ...]: ...
    def __getitem__(self, place: int | slice) -> float | tuple[float, ...]:
        return tuple(self._values[place]) if isinstance(place, slice) else self._values[place]

    def __iter__(self) -> Iterator[float]:
        return iter(self._values)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Floats):
            return self._values == other._values
        return tuple(self) == other if isinstance(other, tuple) else NotImplemented

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return repr(tuple(self))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        """Return the numbers as an array `(N,)`, which holds no copy of them unless one is asked for."""
        import numpy as np

        found = np.frombuffer(self._values)
        return np.array(found, dtype) if copy or dtype not in (None, found.dtype) else found


Value = TypeVar("Value")
_shared: dict[type, deque[Any]] = {}


def shared(value: Value) -> Value:
    """Return an equal value that was seen lately, or else the value itself; the records of a suite have few."""
    recent = _shared.setdefault(type(value), deque(maxlen=_KEPT))
    for known in recent:
        if known == value:
            return known  # type: ignore[no-any-return]
    recent.appendleft(value)
    return value
