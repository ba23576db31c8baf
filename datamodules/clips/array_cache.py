"""The cache of arrays that take long to make: decoded clips, prepared recordings, embeddings, features.

An entry is two files: `<name>-<digest>.npy` with the array and `<name>-<digest>.json` with a checksum of each block (a
clip, a recording, or a batch of features) and with facts about it. The digest is of the entry's key, which has to cover
everything that the content follows from. The index names its entry, so that none takes the place of another. Each file
is written to a temporary name and renamed when it is complete, and the index is written last. So any number of
processes may write the same entry, and a process that is killed leaves no entry behind. A damaged entry is built again.

An array is compared with its checksums before it is mapped, and `recheck` compares it again if its file has changed
since. It is called before clips are read, before an entry that follows from others is completed, and before a record is
written. CRC-32 is the checksum: it finds every damage of up to 32 bits in a row, and zlib computes it at 2 GB/s and
more, where BLAKE2 computes 1 GB/s.
"""

import hashlib
import io
import json
import mmap
import os
import tempfile
import time
import zlib
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, Literal
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from datamodules.errors import DataError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

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

        Blocks are written to disk as they come, so memory holds one block at a time. Reading compares the checksums of
        all blocks in one pass over the file, once in each process, and then maps the file.

        Args:
            name: the start of the file names.
            key: everything that the array follows from.
            build: makes the array, see `Build`.
            copy_on_write: whether the mapped array may be written to in memory; what is written never reaches the disk.

        Returns:
            The array, a read-only memory map where there is a folder, and the facts.

        Raises:
            OSError: the entry cannot be written, for example because the disk is full; nothing is left behind.
            DataError: an array that `build` may have used was damaged while it was in use.
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
        recheck()
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

    Raises:
        OSError: it cannot be written, for example because the disk is full; the error names the path.
    """
    try:
        _write_whole(path, write)
    except OSError as error:
        if error.filename is None:  # as of a disk that is full
            error.filename = os.fspath(path)
        raise


def _write_whole(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=_TEMPORARY, delete=False) as file:
        new = Path(file.name)
        try:
            _hold(file)
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


def _hold(file: IO[bytes]) -> None:
    """Lock a temporary file until it is closed: who tidies up the folder sees that a process writes it."""
    if fcntl is not None:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)


def _write(file: IO[bytes], blocks: Iterable[NDArray[Any]]) -> Facts:
    """Write blocks as one `.npy` file; return its type, shape, and the rows and checksum of each block."""
    dtype, shape, rows = np.dtype(np.uint8), (0,), 0
    sums: list[list[int]] = []
    for block in blocks:
        content = np.ascontiguousarray(block, block.dtype.newbyteorder("<"))
        if not rows:
            dtype, shape = content.dtype, (0, *content.shape[1:])
            file.write(_header(dtype, shape))
        elif (content.dtype, content.shape[1:]) != (dtype, shape[1:]):
            raise ValueError(f"a block of {content.dtype} {content.shape[1:]} follows {dtype} {shape[1:]}")
        rows += len(content)
        sums.append([len(content), zlib.crc32(content.data)])
        file.write(content.data)
    if not rows:
        raise ValueError("an array needs at least one row")
    shape = (rows, *shape[1:])
    file.seek(0)
    file.write(_header(dtype, shape))
    return {"dtype": dtype.str, "shape": list(shape), "blocks": sums}


def _header(dtype: "np.dtype[Any]", shape: tuple[int, ...]) -> bytes:
    """Return the start of a `.npy` file; numpy pads it, so its length does not depend on the number of rows."""
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": dtype.str, "fortran_order": False, "shape": shape})
    return head.getvalue()


def _mapped(array: Path, about: Facts, mode: Literal["c", "r"]) -> NDArray[Any]:
    dtype, shape = np.dtype(about["dtype"]), tuple(about["shape"])
    start = len(_header(dtype, shape))
    state = _state(array.stat())
    found = np.memmap(array, dtype, mode, start, shape)
    _MAPPED[found._mmap] = _Mapped(array, state, start, about)  # type: ignore[attr-defined]
    return found


def _write_index(index: Path, about: Facts, facts: Facts) -> None:
    checksum = zlib.crc32(json.dumps([about, facts]).encode())
    content = {"entry": index.stem, "array": about, "facts": facts, "crc32": checksum}
    write_whole(index, lambda file: file.write(json.dumps(content).encode()))


def _read_index(index: Path) -> tuple[Facts, Facts] | None:
    """Return what an index says of its array, and the facts; None where it is absent, damaged or another entry's.

    Indices of earlier versions do not name their entry.
    """
    try:
        content = json.loads(index.read_bytes())
        about, facts = content["array"], content["facts"]
        if content.get("entry", index.stem) != index.stem:
            return None
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
            if file.read(len(head)) != head or (damaged := _damaged(file, about)) is None:
                return None
        if damaged:
            _note_repair(array, damaged, len(about.get("blocks", [0])))
            return None
        return _mapped(array, about, mode), facts
    except (OSError, ValueError, KeyError, TypeError):
        return None


REPAIRED: list[str] = []
"""What this process found damaged in caches and made again, one line each."""


def _note_repair(array: Path, damaged: list[int], blocks: int) -> None:
    REPAIRED.append(f"{array} was damaged in {len(damaged)} of {blocks} parts and was made again")


_State = tuple[int, int, int, int]


@dataclass(frozen=True)
class _Mapped:
    """A file that this process has mapped: its state when it was compared, where its rows begin, and its index."""

    path: Path
    state: _State
    start: int
    about: Facts


_MAPPED: WeakKeyDictionary[mmap.mmap, _Mapped] = WeakKeyDictionary()
_MATCHED: set[tuple[object, ...]] = set()
"""Files whose checksums this process has compared: device, inode, size, time of the last change, checksum."""

_CLOCK_SECONDS = 2.0  # the coarsest clock of a file system; two changes within a tick have the same time


def _state(found: os.stat_result) -> _State:
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def recheck() -> None:
    """Compare every array that this process has mapped with its checksums again, if its file has changed since.

    It costs one look at each file, about a microsecond, where none has changed.

    Raises:
        DataError: an array was damaged while it was in use. Its entry is removed, so that it is made again. An array is
            reported once, because whatever uses it ends with the error.
    """
    for memory, mapped in list(_MAPPED.items()):
        path = mapped.path
        try:
            now = _state(path.stat())
        except OSError:  # removed, but still mapped
            continue
        if now == mapped.state or now[:2] != mapped.state[:2]:  # another file has taken its place, but not in memory
            continue
        with path.open("rb", buffering=0) as file:
            file.seek(mapped.start)
            damaged = _damaged(file, mapped.about)
        if damaged is None or damaged:
            path.with_suffix(".json").unlink(missing_ok=True)
            del _MAPPED[memory]  # the next work of this process is not to fail for it
            raise DataError(
                f"{path} was changed while it was in use, and is damaged: run it again, and the cache is made again"
            )
        _MAPPED[memory] = replace(mapped, state=now)


def _damaged(file: IO[bytes], about: Facts) -> list[int] | None:
    """Return the places of the blocks that do not have their checksums, None where the file's length is wrong.

    A file that has not changed since it was compared is not read again.
    """
    blocks = about.get("blocks") or [[about["shape"][0], about["crc32"]]]  # earlier versions had one checksum
    before = os.fstat(file.fileno())
    known = (*_state(before), zlib.crc32(json.dumps(blocks).encode()))
    if known in _MATCHED:
        return []
    row = int(np.prod(about["shape"][1:], dtype=np.int64)) * np.dtype(about["dtype"]).itemsize
    if before.st_size != file.tell() + row * about["shape"][0]:
        return None
    buffer = memoryview(bytearray(_CHUNK))  # one buffer: memory stays the same however large the file is
    damaged = [place for place, (rows, wanted) in enumerate(blocks) if _checksum(file, rows * row, buffer) != wanted]
    if not damaged and before.st_mtime < time.time() - _CLOCK_SECONDS:
        _MATCHED.add(known)
    return damaged


def _checksum(file: IO[bytes], size: int, buffer: memoryview) -> int:
    """Return the checksum of the next bytes of a file."""
    checksum = 0
    while size and (read := file.readinto(buffer[: min(size, len(buffer))])):  # type: ignore[attr-defined]
        checksum = zlib.crc32(buffer[:read], checksum)
        size -= read
    return checksum
