"""The files of a run's artifacts. Its record names them by their digests, so that no other file takes their place."""

import gzip
import hashlib
import io
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import AGAIN, RunError
from bench.records.record import Record
from bench.records.store import Store

LOGITS = "logits.npz"
"""Name of the file with a run's logits among its artifacts."""

STREAMS = "streams.npz"
"""Name of the file with the scores at each frame of a run's streams, and the true segments."""

HARDEST = "worst.npz"
"""Name of the file with the hardest test clips of a run."""

PACKED = ".gz"
"""Ending of a file that a published store holds compressed."""

LARGEST_UNPACKED = 1 << 28
"""Bytes that a compressed file may have when it is unpacked."""

BOUND = ("weights.safetensors", LOGITS, STREAMS, "model.json", "training_clips.json", HARDEST, "predictions.csv")
"""Files whose SHA-256 a record has."""


def digests(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each of the files that a record names, as far as they are in the folder."""
    return {name: _digest((folder / name).read_bytes()) for name in BOUND if (folder / name).is_file()}


def read(path: Path, record: Record | None, key: str) -> bytes:
    """Return the content of a file of a run, which must be the one that the run's record names.

    Args:
        path: the file.
        record: of the run; a file that it does not name is not checked, as in records of earlier versions. None checks
            nothing.
        key: of the run.

    Raises:
        RunError: the file is not there, cannot be read, or is another one.
    """
    try:
        packed = path.with_name(path.name + PACKED)
        content = path.read_bytes() if path.exists() or not packed.exists() else _unpacked(packed, key)
    except FileNotFoundError as error:
        raise RunError(f"{key} has no {path.name} in {path.parent}: {AGAIN.format(key)}") from error
    except OSError as error:
        raise RunError(f"{path} cannot be read ({error.strerror}): {AGAIN.format(key)}") from error
    named = None if record is None else record.artifacts.get(path.name)
    if named is not None and _digest(content) != named:
        raise RunError(
            f"{path} is not the file that the record of {key} names (edited, damaged, or of another training): "
            f"restore it, or {AGAIN.format(key)}"
        )
    return content


def logits(store: Store, record: Record) -> dict[str, NDArray[Any]]:
    """Return what a run has kept of its evaluation by name: logits, targets, names and sources of the clips.

    Raises:
        RunError: the file is not there, is damaged, or is not the one that the record names.
    """
    return arrays(store.artifacts(record.key) / LOGITS, record)


def arrays(path: Path, record: Record) -> dict[str, NDArray[Any]]:
    """Return the arrays of a file of a run by name.

    Raises:
        RunError: the file is not there, is damaged, or is not the one that the record names.
    """
    content = read(path, record, record.key)
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as saved:
            return {name: saved[name] for name in saved.files}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, NotImplementedError) as error:
        raise RunError(f"{path} is damaged ({error}): restore it, or {AGAIN.format(record.key)}") from error


def packed(content: bytes) -> bytes:
    """Return the compressed form of a file, the same for the same content."""
    return gzip.compress(content, 9, mtime=0)


def _unpacked(path: Path, key: str) -> bytes:
    reader = zlib.decompressobj(wbits=31)
    try:
        content = reader.decompress(path.read_bytes(), LARGEST_UNPACKED)
    except zlib.error as error:
        raise RunError(f"{path} of {key} is damaged ({error}): restore it") from error
    if not reader.eof:
        raise RunError(f"{path} of {key} ends early, or holds more than {LARGEST_UNPACKED >> 20} MiB: restore it")
    return content


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
