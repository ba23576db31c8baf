"""Many records in little time and memory: the check of a digest without parsing, and values that records share."""

import hashlib
import re
import struct
from array import array
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar, overload

_DIGEST = re.compile(rb'\n "digest": "([0-9a-f]{64})",?(?=\n)')
_ONE = 100_000
"""Floats that are multiples of 1 / `_ONE`, as draws are, are held as whole numbers of four bytes."""
_BITS = struct.unpack("Q", struct.pack("d", _ONE))[0]
"""The bits of `_ONE` as a float; those of a smaller positive number are a smaller whole number."""
_FEWEST = 256
"""Number of floats below which they are not looked at for that."""
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
    if found is None or b"\0" in content:  # which marks what is taken away
        return None
    content = _without_layout(content[: found.start()] + content[found.end() :])
    return content if hashlib.sha256(content).hexdigest().encode() == found[1] else None


def _without_layout(content: bytes) -> bytes:
    """Return JSON text without line breaks, the blanks that begin a line, and the blank after a key."""
    import numpy as np

    letters = np.frombuffer(content, np.uint8).copy()
    blank = letters == ord(" ")
    column = letters == ord("\n")
    layout = column.copy()
    while True:  # once for each level of the text
        column[1:] = column[:-1] & blank[1:]
        column[:1] = False
        if not np.count_nonzero(column):
            break
        layout |= column
    layout[2:] |= (letters[:-2] == ord('"')) & (letters[1:-1] == ord(":")) & blank[2:]
    letters *= ~layout
    return letters.tobytes().translate(None, b"\0")


def without(content: bytes, name: str, value: str) -> bytes | None:
    """Return a record's canonical JSON without one of its attributes; None if it does not have this very value there.

    Args:
        content: what `verified` returns.
        name: of the attribute, which is neither the first nor the last.
        value: its canonical JSON.
    """
    part = f',"{name}":{value},'.encode()
    start = content.rfind(part)
    end = start + len(part) - 1
    if start < 0 or content.count(b"}", end) != content.count(b"{", end) + 1:  # not the record's own
        return None
    return content[:start] + content[end:]


class Floats(Sequence[float]):
    """Numbers of 64 bits in one block of memory, a quarter of a tuple's; equal to a tuple of the same numbers.

    Shares with five decimals, as a record's draws are, take half of that: as whole numbers, from which each is computed
    exactly.

    Args:
        values: the numbers.
    """

    __slots__ = ("_codes", "_values")

    def __init__(self, values: Iterable[float] = ()) -> None:
        self._values = array("d", values)
        self._codes = _coded(self._values)
        if self._codes is not None:
            self._values = array("d")

    def _all(self) -> "array[float]":
        return self._values if self._codes is None else array("d", [code / _ONE for code in self._codes])

    def __len__(self) -> int:
        return len(self._values) if self._codes is None else len(self._codes)

    @overload
    def __getitem__(self, place: int) -> float: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[float, ...]: ...
    def __getitem__(self, place: int | slice) -> float | tuple[float, ...]:
        if isinstance(place, slice):
            return tuple(self._all()[place])
        return self._values[place] if self._codes is None else self._codes[place] / _ONE

    def __iter__(self) -> Iterator[float]:
        return iter(self._all())

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Floats):
            return self._codes == other._codes and self._values == other._values
        return tuple(self) == other if isinstance(other, tuple) else NotImplemented

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return repr(tuple(self))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        """Return the numbers as an array `(N,)`, which holds no copy of them unless one is asked for or needed."""
        import numpy as np

        if self._codes is not None:
            if copy is False:
                raise ValueError("these numbers are held in another form: an array of them is a copy")
            return np.asarray(np.frombuffer(self._codes, np.uint32) / float(_ONE), dtype)
        found = np.frombuffer(self._values)
        return np.array(found, dtype) if copy or dtype not in (None, found.dtype) else found


def _coded(values: "array[float]") -> "array[int] | None":
    """Return numbers as multiples of 1 / `_ONE`; None where one is no multiple, or there are few."""
    if len(values) < _FEWEST:
        return None
    import numpy as np

    given = np.frombuffer(values)
    with np.errstate(over="ignore"):
        wholes = np.rint(given * float(_ONE))
    if np.maximum.reduce(wholes.view(np.uint64)) > _BITS:  # also where one is below 0, -0.0 or NaN
        return None
    if (wholes / float(_ONE)).tobytes() != values.tobytes():
        return None
    codes = wholes.astype(np.uint32)
    return array("I", codes.tobytes())


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
