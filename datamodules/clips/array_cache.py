"""The cache of arrays that take long to make: decoded clips, prepared recordings, embeddings, features.

An entry is two files: `<name>-<digest>.npy` with the array and `<name>-<digest>.json` with its checksum and with facts
about it. The digest is of the entry's key, which has to cover everything that the content follows from. Each file is
written to a temporary name and renamed when it is complete, and the index is written last. So any number of processes
may write the same entry, and a process that is killed leaves no entry behind. A damaged entry is built again.
"""

import hashlib
import io
import json
import os
import tempfile
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
from numpy.typing import NDArray

_FORMAT = 1
_CHUNK = 1 << 20  # bytes that are read at once for a checksum
_ABANDONED_SECONDS = 86_400.0

Facts = dict[str, Any]
"""Facts that are kept next to an array: anything that JSON can hold."""

Build = Callable[[Facts], Iterable[NDArray[Any]]]
"""Fills the facts, and yields the array in blocks along its first axis, which agree in type and in all other axes."""


class ArrayCache:
    """Arrays on disk under a folder, or in memory without one.

    Args:
        folder: where entries are kept, shared by any number of processes; None builds every array in memory.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder

    def array(self, name: str, key: str, build: Build, *, copy_on_write: bool = False) -> tuple[NDArray[Any], Facts]:
        """Return an array and its facts; build them where they are absent or damaged.

        Blocks are written to disk as they come, so memory holds one block at a time. Reading compares the checksum of
        the whole array in one pass over the file, once in each process, and then maps the file.

        Args:
            name: the start of the file names.
            key: everything that the array follows from.
            build: makes the array, see `Build`.
            copy_on_write: whether the mapped array may be written to in memory; what is written never reaches the disk.

        Returns:
            The array, a read-only memory map where there is a folder, and the facts.

        Raises:
            OSError: the entry cannot be written, for example because the disk is full; nothing is left behind.
        """
        facts: Facts = {}
        if self.folder is None:
            return np.concatenate(list(build(facts))), facts
        array, index = self._paths(self.folder, name, key)
        mode: Literal["c", "r"] = "c" if copy_on_write else "r"
        if (found := _read(array, index, mode)) is not None:
            return found
        self._prepare(self.folder)
        about: Facts = {}
        # Plain writes: a full disk is then an error, where a memory map would kill the process.
        write_whole(array, lambda file: about.update(_write(file, build(facts))))
        _write_index(index, about, facts)
        return _mapped(array, about, mode), facts

    def facts(self, name: str, key: str, build: Callable[[], Facts]) -> Facts:
        """Return facts without an array; build them where they are absent or damaged. Arguments as for `array`."""
        if self.folder is None:
            return build()
        _, index = self._paths(self.folder, name, key)
        if (found := _read_index(index)) is not None:
            return found[1]
        facts = build()
        self._prepare(self.folder)
        _write_index(index, {}, facts)
        return facts

    @staticmethod
    def _paths(folder: Path, name: str, key: str) -> tuple[Path, Path]:
        stem = f"{name}-{hashlib.sha256(f'{_FORMAT} {key}'.encode()).hexdigest()[:32]}"
        return folder / f"{stem}.npy", folder / f"{stem}.json"

    @staticmethod
    def _prepare(folder: Path) -> None:
        """Make the folder, and remove temporary files that killed processes left in it."""
        folder.mkdir(parents=True, exist_ok=True)
        for path in folder.glob(f"{_TEMPORARY}*"):
            try:
                if path.stat().st_mtime < time.time() - _ABANDONED_SECONDS:
                    path.unlink()
            except OSError:  # another process was faster
                pass


_TEMPORARY = ".tmp-"
_UMASK = os.umask(0o077)
os.umask(_UMASK)


def write_whole(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Let `write` fill a new file, and rename it to `path` only when it is complete and on disk.

    Several processes may write the same path at once. An exception removes the new file and leaves `path` as it was.
    """
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=_TEMPORARY, delete=False) as file:
        new = Path(file.name)
        try:
            write(file)
            file.flush()
            os.fsync(file.fileno())
            new.chmod(0o666 & ~_UMASK)  # a temporary file is its owner's alone
        except BaseException:
            file.close()
            new.unlink(missing_ok=True)
            raise
    try:
        new.replace(path)  # after closing: Windows cannot rename an open file
    except BaseException:
        new.unlink(missing_ok=True)
        raise


def _write(file: IO[bytes], blocks: Iterable[NDArray[Any]]) -> Facts:
    """Write blocks as one `.npy` file; return its type, shape and checksum."""
    dtype, shape, rows, checksum = np.dtype(np.uint8), (0,), 0, 0
    for block in blocks:
        content = np.ascontiguousarray(block, block.dtype.newbyteorder("<"))
        if not rows:
            dtype, shape = content.dtype, (0, *content.shape[1:])
            file.write(_header(dtype, shape))
        elif (content.dtype, content.shape[1:]) != (dtype, shape[1:]):
            raise ValueError(f"a block of {content.dtype} {content.shape[1:]} follows {dtype} {shape[1:]}")
        rows += len(content)
        checksum = zlib.crc32(content.data, checksum)
        file.write(content.data)
    if not rows:
        raise ValueError("an array needs at least one row")
    shape = (rows, *shape[1:])
    file.seek(0)
    file.write(_header(dtype, shape))
    return {"dtype": dtype.str, "shape": list(shape), "crc32": checksum}


def _header(dtype: "np.dtype[Any]", shape: tuple[int, ...]) -> bytes:
    """Return the start of a `.npy` file; numpy pads it, so its length does not depend on the number of rows."""
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": dtype.str, "fortran_order": False, "shape": shape})
    return head.getvalue()


def _mapped(array: Path, about: Facts, mode: Literal["c", "r"]) -> NDArray[Any]:
    dtype, shape = np.dtype(about["dtype"]), tuple(about["shape"])
    return np.memmap(array, dtype, mode, len(_header(dtype, shape)), shape)


def _write_index(index: Path, about: Facts, facts: Facts) -> None:
    content = {"array": about, "facts": facts, "crc32": zlib.crc32(json.dumps([about, facts]).encode())}
    write_whole(index, lambda file: file.write(json.dumps(content).encode()))


def _read_index(index: Path) -> tuple[Facts, Facts] | None:
    """Return what an index says of its array, and the facts; None where it is absent or damaged."""
    try:
        content = json.loads(index.read_bytes())
        about, facts = content["array"], content["facts"]
        return (about, facts) if zlib.crc32(json.dumps([about, facts]).encode()) == content["crc32"] else None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _read(array: Path, index: Path, mode: Literal["c", "r"]) -> tuple[NDArray[Any], Facts] | None:
    """Return an entry's array, mapped from disk, and its facts; None where it is absent or damaged."""
    if (found := _read_index(index)) is None:
        return None
    about, facts = found
    try:
        head = _header(np.dtype(about["dtype"]), tuple(about["shape"]))
        with array.open("rb", buffering=0) as file:
            if file.read(len(head)) != head or not _matches(file, about["crc32"]):
                return None
        return _mapped(array, about, mode), facts
    except (OSError, ValueError, KeyError, TypeError):
        return None


_MATCHED: set[tuple[int, ...]] = set()
"""Files whose checksum this process has compared: device, inode, size, time of the last change, checksum."""

_CLOCK_SECONDS = 2.0  # the coarsest clock of a file system; two changes within a tick have the same time


def _matches(file: IO[bytes], wanted: int) -> bool:
    """Whether what follows in a file has this checksum; a file that has not changed since is not read again."""
    state = os.fstat(file.fileno())
    known = (state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns, wanted)
    if known in _MATCHED:
        return True
    checksum = 0
    for chunk in _chunks(file):
        checksum = zlib.crc32(chunk, checksum)
    if checksum == wanted and state.st_mtime < time.time() - _CLOCK_SECONDS:
        _MATCHED.add(known)
    return checksum == wanted


def _chunks(file: IO[bytes]) -> Iterator[memoryview]:
    buffer = bytearray(_CHUNK)  # one buffer: memory stays the same however large the file is
    view = memoryview(buffer)
    while read := file.readinto(buffer):  # type: ignore[attr-defined]
        yield view[:read]
