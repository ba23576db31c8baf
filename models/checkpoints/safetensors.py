"""Reading `.safetensors` files: a length, a JSON table, and the tensors' bytes (https://github.com/huggingface/safetensors)."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

MAX_HEADER = 100_000_000
"""Longest header in bytes, as the format's own library allows."""

TYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "I64": torch.int64,
    "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8, "BOOL": torch.bool,
}  # fmt: skip


def is_safetensors(start: bytes) -> bool:
    """Return whether a file starts as this format does; nine bytes are enough."""
    return len(start) >= 9 and start[8:9] == b"{" and 2 <= int.from_bytes(start[:8], "little") <= MAX_HEADER


def read(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a file by name.

    Raises:
        ValueError: the file is cut off, its table is damaged, or a tensor has a type that is not read.
    """
    content = path.read_bytes()
    size = int.from_bytes(content[:8], "little")
    header, data = content[8 : 8 + size], memoryview(content)[8 + size :]
    if len(header) < size:
        raise ValueError("it is cut off")
    table = json.loads(header)
    if not isinstance(table, dict):
        raise ValueError("its table is damaged")
    return {name: _tensor(name, entry, data) for name, entry in table.items() if name != "__metadata__"}


def _tensor(name: str, entry: Any, data: memoryview) -> Tensor:
    try:
        assert isinstance(entry, Mapping)
        dtype, shape, (start, end) = str(entry["dtype"]), [int(size) for size in entry["shape"]], entry["data_offsets"]
    except (AssertionError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"its table is damaged at {name!r}") from error
    if dtype not in TYPES:
        raise ValueError(f"{name!r} has the type {dtype}: convert it to F32")
    if not 0 <= start <= end <= len(data):
        raise ValueError("it is cut off")
    if min(shape, default=0) < 0 or math.prod(shape) * TYPES[dtype].itemsize != end - start:
        raise ValueError(f"its table is damaged at {name!r}")
    if start == end:
        return torch.empty(shape, dtype=TYPES[dtype])
    return torch.frombuffer(bytearray(data[start:end]), dtype=TYPES[dtype]).reshape(shape)
