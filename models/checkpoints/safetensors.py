"""Reading `.safetensors` files (https://github.com/huggingface/safetensors), with errors that say what to do."""

from pathlib import Path

import safetensors
from safetensors.torch import load
from torch import Tensor

MAX_HEADER = 100_000_000
"""Longest header in bytes that the format's library allows."""


def is_safetensors(start: bytes) -> bool:
    """Return whether a file starts as this format does; nine bytes are enough."""
    return len(start) >= 9 and start[8:9] == b"{" and 2 <= int.from_bytes(start[:8], "little") <= MAX_HEADER


def read(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a file by name.

    Raises:
        ValueError: the file is cut off, its table is damaged, or a tensor has a type that torch does not have.
    """
    try:
        return load(path.read_bytes())
    except (safetensors.SafetensorError, KeyError, RuntimeError) as error:
        if any(words in str(error) for words in ("incomplete metadata", "header length", "header too")):
            raise ValueError("it is cut off") from error
        raise ValueError(
            f"its table is damaged, or names a type of numbers that torch does not have ({error})"
        ) from error
