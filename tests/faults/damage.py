"""Ways to damage a file."""

import os
import random
from collections.abc import Callable
from pathlib import Path


def _flip(content: bytearray, rng: random.Random) -> None:
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)


def _flips(content: bytearray, rng: random.Random) -> None:
    for place in rng.sample(range(len(content)), min(20, len(content))):
        content[place] ^= 1 << rng.randrange(8)


def _cut(content: bytearray, rng: random.Random) -> None:
    del content[rng.randrange(len(content)) :]


def _longer(content: bytearray, rng: random.Random) -> None:
    content += rng.randbytes(rng.randint(1, 64))


def _zeros(content: bytearray, rng: random.Random) -> None:
    start = rng.randrange(len(content))
    end = min(len(content), start + 512)
    if not any(content[start:end]):  # they are zeros already
        _flip(content, rng)
        return
    content[start:end] = bytes(end - start)


def _swapped(content: bytearray, rng: random.Random) -> None:
    half = len(content) // 2
    start = rng.randrange(max(1, half - 64))
    one, other = content[start : start + 64], content[start + half : start + half + 64]
    if one == other or len(one) != len(other):
        _flip(content, rng)
        return
    content[start : start + 64], content[start + half : start + half + 64] = other, one


def _noise(content: bytearray, rng: random.Random) -> None:
    content[:] = rng.randbytes(len(content))


def _text(content: bytearray, rng: random.Random) -> None:
    content[:] = b"<!DOCTYPE html><title>404 Not Found</title>"


def _empty(content: bytearray, rng: random.Random) -> None:
    content.clear()


WAYS: dict[str, Callable[[bytearray, random.Random], None]] = {
    "a flipped bit": _flip,
    "twenty flipped bits": _flips,
    "its end cut off": _cut,
    "further bytes": _longer,
    "zeros in it": _zeros,
    "two parts exchanged": _swapped,
    "noise": _noise,
    "a web page": _text,
    "nothing in it": _empty,
}


def damage(path: Path, way: str, rng: random.Random) -> None:
    """Damage a file in place, and visibly later than it was written."""
    content = bytearray(path.read_bytes())
    WAYS[way](content, rng)
    with path.open("r+b") as file:
        file.truncate(0)
        file.write(content)
    about = path.stat()
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns + 1))
